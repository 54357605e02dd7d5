/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Twin tests: a case runs once on plain TCP and again under the preload, and
 * whatever it says must be the same. A case therefore says only what Linux
 * determines: no time, no port, no fd number that is not the point.
 *
 * A run has two ends, the subject (this file's cases) and its peer, a second
 * process (or a forked child, or a thread) that obeys small orders.
 */
#ifndef TWIN_H
#define TWIN_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

/* kmap_syscall6: the kernel, past every wrapper. */
#include "sys.h"

/* Far above what a case opens, below FD_SETSIZE. */
#define TW_FD_CTL 900
#define TW_FD_SHM 901
#define TW_FD_OUT 902

enum tw_mode {
	MODE_PLAIN, /* no preload */
	MODE_BEFORE, /* upgraded before the case looks */
	MODE_MIDDLE, /* held on TCP until the case says tw_now() */
	MODE_NEVER, /* KMAP_UPGRADE=never */
	MODE_ALONE, /* the peer has no library */
	MODE_COUNT
};

enum tw_peer {
	PEER_EXEC,
	PEER_FORK,
	PEER_THREAD
};

/* What a case is, beside its name. */
#define F_PROC 1u /* needs a peer that is a process (it is killed) */
#define F_NOUP 2u /* no connection of this case need be upgraded */
#define F_TCP 4u /* the bytes may go by TCP after an upgrade: spill, OOB */
#define F_SLOW 8u /* more than a tenth of a second */
/* Not under AddressSanitizer, whose interceptors fail it on plain TCP already:
 * they read a vector before the kernel refuses its length, and a cancelled
 * thread leaves them the shadow of frames that are gone. */
#define F_NOASAN 32u
#define F_CON 16u /* the subject must be the connector */

struct tw_case {
	const char *family;
	const char *name;
	void (*run)(const void *arg);
	const void *arg;
	unsigned flags;
};

#define CASE(fam, nm, fl)                                                      \
	static void tw_run_##fam##_##nm(const void *);                         \
	static const struct tw_case tw_case_##fam##_##nm = {                   \
		#fam, #nm, tw_run_##fam##_##nm, NULL, fl};                     \
	__attribute__((constructor)) static void tw_reg_##fam##_##nm(void)     \
	{                                                                      \
		tw_register(&tw_case_##fam##_##nm);                            \
	}                                                                      \
	static void tw_run_##fam##_##nm(__attribute__((unused)) const void *arg)

void tw_register(const struct tw_case *c);
const struct tw_case *tw_cases(size_t *n);

/* Shared by driver, subject and peer. */
struct tw_shm {
	_Atomic int hold; /* the test points answer "not now" */
	_Atomic int held; /* how often they did */
	int mode;
	int peer_kind;
	int acceptor; /* the subject accepts */
	int verbose;
	unsigned flags;
	_Atomic int subject_pid;
	_Atomic long need_up; /* connections_upgraded of the subject */
	_Atomic long need_in; /* ring_bytes_in */
	_Atomic long need_out; /* ring_bytes_out */
	/* The messages of tw_rounds, sent and received by the subject, received
	 * and sent by the peer: for whoever has to say why one sleeps. */
	_Atomic long rounds[4];
	_Atomic int rounds_broke; /* the peer's errno; -1: it saw the end */
	_Atomic int done; /* the case came to its end */
	_Atomic int nfault;
	char fault[8][200];
};

extern struct tw_shm *tw;

/* ---- what the peer is told ---- */

enum tw_op {
	OP_LISTEN, /* → port; a = address family */
	OP_ACCEPT, /* → conn */
	OP_CONNECT, /* a = port, b = address family → conn */
	OP_ROUNDS, /* the other side of tw_rounds */
	OP_SEND, /* a bytes of the pattern */
	OP_RECV, /* a bytes, to the end if a < 0 */
	OP_DUPLEX, /* send a, receive b, at the same time */
	OP_SHUT, /* a = how */
	OP_CLOSE,
	OP_RST, /* linger 0, close */
	OP_KILL, /* SIGKILL to itself, then a RST or FIN by the kernel */
	OP_SIGNAL, /* signal a to the thread of the order */
	OP_SETOPT, /* a = level, b = name, c = value */
	OP_OOB, /* a bytes with MSG_OOB */
	OP_POLL, /* a = events, b = time-out → revents */
	OP_UNREAD, /* FIONREAD at the peer */
	OP_FLIGHT, /* a times: send b bytes */
	OP_LEAVE, /* fdopen; then receive a bytes, and send b */
	OP_NOW, /* ends the hold */
	OP_NONE, /* only the waiting */
	OP_EXIT
};

struct tw_order {
	int op;
	int conn;
	long a, b, c;
	pid_t pid, tid; /* wait until this thread sleeps */
	int ms; /* then so long */
};

struct tw_answer {
	long r;
	int err;
	int bad; /* the bytes were not those that were sent */
	int awake; /* who was to sleep did not, for seconds */
	long up, down;
};

/* ---- a connection, seen from the subject ---- */

struct tw_conn {
	int fd;
	int id; /* the peer's number for it */
	uint64_t tx, rx;
	unsigned txseed, rxseed;
	bool count; /* the bytes must go by ring */
	bool upped;
	bool squeezed;
};

struct tw_conn *tw_open(void); /* connected, preamble done */
struct tw_conn *tw_open_raw(void); /* without a preamble */
void tw_wrap(struct tw_conn *c, int fd, int id);
void tw_preamble(struct tw_conn *c);
void tw_rounds(struct tw_conn *c, bool want_up);
bool tw_round(int step, bool ok); /* counts, if it is */
void tw_now(void); /* from here on it may move */
/* fn at the subject's next test point of this name, once. */
void tw_at(const char *name, int fd, void (*fn)(int fd));
void tw_signal_at_sleep(struct tw_conn *c);
void tw_signal_done(void);
void tw_mid(struct tw_conn *c); /* in the middle: moves, streams idle */
/* In the middle: moves while bytes lie unread in both directions. Leaves
 * TW_FLIGHT bytes to read at each side. */
void tw_flight(struct tw_conn *c);
#define TW_FLIGHT 400
void tw_tcp_ok(struct tw_conn *c); /* bytes from here on may go by TCP */
/* Of a large stream whose reader may be late only a part must have gone by
 * ring: a ring that stays full spills to TCP. */
void tw_some_ring(struct tw_conn *c, bool in);
void tw_close(struct tw_conn *c);
int tw_tp_up(int fd); /* up records published for this fd, less the downs */
void tw_tp_reset(int fd);
int tw_listen(int family);
int tw_connect_to(int family, int port, int type_flags);
int tw_port(int fd);

/* A pair whose two ends are both the subject's. */
void tw_self(struct tw_conn *a, struct tw_conn *b);
void tw_self_mid(struct tw_conn *a, struct tw_conn *b);

/* ---- orders ---- */

struct tw_answer p_do(int op, struct tw_conn *c, long a, long b, long d);
void p_start(int op, struct tw_conn *c, long a, long b, long d);
/* As p_start, once the calling thread sleeps. */
void p_when(int op, struct tw_conn *c, long a, long b, long d);
void p_when_tid(pid_t tid, int op, struct tw_conn *c, long a, long b, long d);
struct tw_answer p_end(void);
void p_send(struct tw_conn *c, long n); /* and waits until it arrived */
void p_recv(struct tw_conn *c, long n); /* and says what came */
void p_close(struct tw_conn *c); /* FIN arrived */
void p_shut_wr(struct tw_conn *c);
void p_rst(struct tw_conn *c);
void p_kill(struct tw_conn *c); /* F_PROC */

/* ---- waiting for the kernel to be where the case says ---- */

void tw_arrived(struct tw_conn *c, long n); /* FIONREAD >= n */
void tw_state(int fd, unsigned states); /* TCP state of the carrier */
void tw_rst_came(int fd);
void tw_settle(int fd); /* all that TCP sent is acknowledged */
#define TS_BIT(s) (1u << (s))
void tw_asleep(pid_t tid);
bool tw_asleep_in(pid_t pid, pid_t tid); /* false: it did not */
pid_t tw_tid(void);
void tw_msleep(int ms);
uint64_t tw_ns(void);

/* ---- what the case says ---- */

void T(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void tw_fault(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void t_ret(const char *what, long r); /* r, and errno when r < 0 */
/* The same, and the bytes against the pattern at c->rx, which moves on. */
void t_got(struct tw_conn *c, const char *what, long r, const void *buf);
void t_peek(struct tw_conn *c, const char *what, long r, const void *buf);
void t_sent(struct tw_conn *c, const char *what, long r);
void t_pipes(void); /* how many SIGPIPE came since */
const char *t_err(int e);
const char *t_ev(unsigned ev); /* poll bits */

void tw_fill(struct tw_conn *c, void *buf, size_t n); /* the next to send */
void pat_fill(unsigned seed, uint64_t pos, void *buf, size_t n);
long pat_check(unsigned seed, uint64_t pos, const void *buf, size_t n);

/* One call that does not block, of 64 KiB at most; fd: another number of the
 * same endpoint. */
void t_recv(struct tw_conn *c, size_t n);
void t_recv_fd(struct tw_conn *c, int fd, size_t n);
void t_send(struct tw_conn *c, size_t n);
void t_send_fd(struct tw_conn *c, int fd, size_t n);
/* recv to an amount, quietly; says the sum once */
void t_drain(struct tw_conn *c, long n);
/* send until EAGAIN, says that it was something; returns how much */
long t_fill(struct tw_conn *c);
void tw_squeeze(struct tw_conn *c, bool on);
void tw_nonblock(int fd, bool on);
void tw_timeo(int fd, int name, int ms);
void *tw_page(size_t bytes); /* so many readable bytes before a wall */
#define TW_NOWHERE ((void *)16)
/* The sanitizer's own interceptors look at some arguments before the kernel
 * does: those are kept from them. */
#ifdef __SANITIZE_ADDRESS__
#define TW_ASAN 1
#else
#define TW_ASAN 0
#endif

void tw_catch_pipe(void);
void tw_catch(int sig, int flags);
extern _Atomic int tw_sigs;
extern _Atomic int tw_pipes;

int tw_peer_main(int ctl);
int tw_taker_main(void);
int tw_watcher_main(int from);
void tw_peer_thread(void);
int tw_drive(int argc, char **argv);
void tw_subject(const struct tw_case *c);

#endif
