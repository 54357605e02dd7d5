/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the measuring programs share: two processes joined by one of four
 * transports, a clock, the processor time of both, and a histogram.
 *
 * The peer is the same program executed again, not a forked copy: a client
 * and a server that meet on TCP are strangers in real life, too.
 */
#ifndef KMAP_BENCH_COMMON_H
#define KMAP_BENCH_COMMON_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum kind {
	TCP,
	UNIX,
	PIPE,
	FIFO
};

struct opts {
	enum kind kind;
	int epoll; /* wait in epoll_wait, not in read and write */
	size_t size;
	double secs;
	int cpu[2]; /* of this process and of the peer, or -1 */
	int idle; /* further connections that lie idle */
	int window; /* connections in flight */
	const char *address;
	const char *how; /* of the program's own choice */
	int nagle; /* leave TCP_NODELAY alone */
};

/* Two fds, which are one on a socket. */
struct chan {
	int rfd;
	int wfd;
	int rset; /* epoll sets, -1: blocking calls */
	int wset;
};

struct peer {
	pid_t pid;
	int hello; /* readable once the peer can be connected */
	int port;
	struct chan pipes; /* our ends */
	char dir[64]; /* of the FIFOs */
};

/* 64 linear steps in each power of two: no value is off by more than 1 %. */
#define HIST_BITS 6
#define HIST_STEPS (1u << HIST_BITS)
#define HIST_MAX_BITS 42
#define HIST_SIZE ((HIST_MAX_BITS - HIST_BITS + 1) * HIST_STEPS)

struct hist {
	uint64_t count;
	uint64_t bucket[HIST_SIZE];
};

struct result {
	uint64_t n;
	uint64_t before; /* the warm-up's */
	double secs;
	uint64_t cpu[2]; /* ns, of this process and of the peer */
	const struct hist *hist; /* or NULL */
};

void hist_add(struct hist *h, uint64_t value);
uint64_t hist_quantile(const struct hist *h, double q);

void parse_opts(int argc, char **argv, struct opts *o);
void die(const char *what) __attribute__((noreturn));
uint64_t now_ns(void);
uint64_t cpu_ns(pid_t pid);
void pin(int cpu);
void put_result(const struct result *r);

/* In the process that measures. */
void peer_start(const struct opts *o, char **argv, struct peer *p);
void peer_connect(const struct opts *o, const struct peer *p, struct chan *c);
void peer_end(struct peer *p);

/* In the peer: is this it? Its listener, or -1 and its channel. */
int peer_role(void);
int peer_listen(const struct opts *o, struct chan *c);
void peer_accept(const struct opts *o, int listener, struct chan *c);
void peer_say(int value);

void chan_set(const struct opts *o, struct chan *c);
void chan_close(struct chan *c);
ssize_t chan_read(struct chan *c, void *buf, size_t len);
int chan_read_full(struct chan *c, void *buf, size_t len);
int chan_write_full(struct chan *c, const void *buf, size_t len);

#endif
