/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pingpong - round trips between two processes.
 *
 *	pingpong [-t tcp|unix|pipe|fifo] [-e] [-s bytes] [-d seconds]
 *		 [-c cpu,cpu] [-i idle] [-a address]
 *
 * -e: both sides wait in epoll_wait. -i: so many further connections have
 * talked before, and lie idle in the server's set (with -e, on sockets).
 * Prints one line of JSON; times in ns, processor time per round trip.
 */
#include "config.h"

#include "common.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#define EVENTS 64

/* Enough that an upgrade that wants to be earned has been earned. */
#define IDLE_ROUNDS 32

struct conn {
	struct chan chan;
	size_t have;
	char *buf;
};

static void
serve_blocking(const struct opts *o, struct chan *c, int listener)
{
	char *buf = malloc(o->size);

	if (listener >= 0)
		peer_accept(o, listener, c);
	while (!chan_read_full(c, buf, o->size)) {
		if (chan_write_full(c, buf, o->size))
			break;
	}
	chan_close(c);
	free(buf);
}

static void
add_conn(const struct opts *o, int set, struct conn *conn)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = conn};

	conn->have = 0;
	conn->buf = malloc(o->size);
	/* One set for all: the channel's own would be a second sleeper. */
	close(conn->chan.rset);
	conn->chan.rset = -1;
	if (!conn->buf || epoll_ctl(set, EPOLL_CTL_ADD, conn->chan.rfd, &ev))
		die("epoll_ctl");
}

/* One event: one read, and the answer once all is there. 0: it has ended. */
static int
serve_event(const struct opts *o, struct conn *conn)
{
	ssize_t n = read(
		conn->chan.rfd, conn->buf + conn->have, o->size - conn->have);

	if (n < 0 && errno == EAGAIN)
		return 1;
	if (n <= 0)
		return 0;
	conn->have += (size_t)n;
	if (conn->have < o->size)
		return 1;
	conn->have = 0;
	return !chan_write_full(&conn->chan, conn->buf, o->size);
}

static void
serve_epoll(const struct opts *o, struct chan *c, int listener)
{
	struct epoll_event ev[EVENTS] = {{.events = EPOLLIN}};
	int set = epoll_create1(EPOLL_CLOEXEC), open = 0, i, n;
	struct conn *conn;

	if (listener >= 0) {
		epoll_ctl(set, EPOLL_CTL_ADD, listener, ev);
	} else {
		conn = malloc(sizeof(*conn));
		conn->chan = *c;
		add_conn(o, set, conn);
		open++;
	}
	do {
		n = epoll_wait(set, ev, EVENTS, -1);
		for (i = 0; i < n; i++) {
			conn = ev[i].data.ptr;
			if (!conn) {
				conn = malloc(sizeof(*conn));
				peer_accept(o, listener, &conn->chan);
				add_conn(o, set, conn);
				open++;
			} else if (!serve_event(o, conn)) {
				chan_close(&conn->chan);
				free(conn->buf);
				free(conn);
				open--;
			}
		}
	} while (open || n < 0);
}

static void
exchange(const struct opts *o, struct chan *c, char *buf)
{
	if (chan_write_full(c, buf, o->size) || chan_read_full(c, buf, o->size))
		die("exchange");
}

static struct chan *
open_idle(const struct opts *o, const struct peer *p, char *buf)
{
	struct chan *idle = calloc((size_t)o->idle + 1, sizeof(*idle));
	int i, j;

	for (i = 0; i < o->idle; i++) {
		peer_connect(o, p, idle + i);
		for (j = 0; j < IDLE_ROUNDS; j++)
			exchange(o, idle + i, buf);
	}
	return idle;
}

static uint64_t
run(const struct opts *o, struct chan *c, char *buf, double secs,
	struct hist *h)
{
	uint64_t start = now_ns(), last = start, now, n = 0;
	uint64_t end = start + (uint64_t)(secs * 1e9);

	do {
		exchange(o, c, buf);
		now = now_ns();
		hist_add(h, now - last);
		last = now;
		n++;
	} while (now < end);
	return n;
}

static void
measure(const struct opts *o, const struct peer *p, struct chan *c, char *buf)
{
	static struct hist warm, hist;
	struct result r = {.hist = &hist};
	uint64_t start;

	r.before =
		run(o, c, buf, o->secs / 4 > 0.02 ? o->secs / 4 : 0.02, &warm) +
		(uint64_t)o->idle * IDLE_ROUNDS;
	r.cpu[0] = cpu_ns(getpid());
	r.cpu[1] = cpu_ns(p->pid);
	start = now_ns();
	r.n = run(o, c, buf, o->secs, &hist);
	r.secs = (double)(now_ns() - start) / 1e9;
	r.cpu[0] = cpu_ns(getpid()) - r.cpu[0];
	r.cpu[1] = cpu_ns(p->pid) - r.cpu[1];
	put_result(&r);
}

int
main(int argc, char **argv)
{
	struct rlimit files;
	struct chan c, *idle;
	struct opts o;
	struct peer p;
	int listener, i;
	char *buf;

	parse_opts(argc, argv, &o);
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	if (peer_role()) {
		listener = peer_listen(&o, &c);
		if (o.epoll)
			serve_epoll(&o, &c, listener);
		else
			serve_blocking(&o, &c, listener);
		return 0;
	}
	buf = calloc(1, o.size);
	peer_start(&o, argv, &p);
	idle = open_idle(&o, &p, buf);
	peer_connect(&o, &p, &c);
	measure(&o, &p, &c, buf);
	chan_close(&c);
	for (i = 0; i < o.idle; i++)
		chan_close(idle + i);
	peer_end(&p);
	free(idle);
	free(buf);
	return 0;
}
