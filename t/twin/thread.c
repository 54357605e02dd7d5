/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Threads on one endpoint, and streams of both ends at once.
 */
#include <config.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "twin.h"

static char buf[1 << 22];

/* One call that blocks. */
static void
give(struct tw_conn *c, size_t n)
{
	tw_fill(c, buf, n);
	t_sent(c, "send", send(c->fd, buf, n, MSG_NOSIGNAL));
}

struct reader {
	struct tw_conn *c;
	long want, got;
	_Atomic int tid;
	bool bad;
	pthread_t t;
};

static void *
reading(void *arg)
{
	struct reader *k = arg;
	static _Thread_local char b[65536];

	k->tid = tw_tid();
	while (k->got < k->want) {
		long n = k->want - k->got < (long)sizeof b ? k->want - k->got
							   : (long)sizeof b;
		ssize_t r = recv(k->c->fd, b, n, 0);

		if (r <= 0)
			break;
		if (pat_check(k->c->rxseed, k->c->rx, b, r) >= 0)
			k->bad = true;
		k->c->rx += r;
		k->got += r;
	}
	return NULL;
}

static void
reader(struct reader *k, struct tw_conn *c, long want)
{
	*k = (struct reader){.c = c, .want = want};
	pthread_create(&k->t, NULL, reading, k);
	while (!k->tid)
		tw_msleep(1);
}

static void
joined(struct reader *k)
{
	pthread_join(k->t, NULL);
	T("thread read %ld%s", k->got, k->bad ? " WRONG" : "");
}

/* One thread always sits in recv while the other sends: as the thread-per-
 * connection programs do. It must move all the same. */
CASE(thread, reader_sits, 0)
{
	struct tw_conn *c = tw_open();
	struct reader k;

	reader(&k, c, 2000);
	tw_asleep(k.tid);
	tw_now();
	c->count = false;
	for (int i = 0; i < 200; i++) {
		tw_fill(c, buf, 10);
		if (send(c->fd, buf, 10, 0) == 10)
			c->tx += 10;
		p_do(OP_RECV, c, 10, 0, 0);
		p_do(OP_SEND, c, 10, 0, 0);
	}
	joined(&k);
	tw_mid(c);
	reader(&k, c, 10);
	tw_asleep(k.tid);
	p_do(OP_SEND, c, 10, 0, 0);
	joined(&k);
}

CASE(thread, duplex, 0)
{
	struct tw_conn *c = tw_open();
	struct reader k;
	struct tw_answer a;

	c->count = false;
	p_start(OP_DUPLEX, c, 1 << 20, 1 << 20, 0);
	reader(&k, c, 1 << 20);
	for (int i = 0; i < 16; i++) {
		if (i == 4)
			tw_now();
		give(c, 65536);
	}
	joined(&k);
	a = p_end();
	T("peer got %ld%s", a.r, a.bad ? " WRONG" : "");
	tw_mid(c);
	c->count = false;
	p_start(OP_DUPLEX, c, 1 << 20, 1 << 20, 0);
	reader(&k, c, 1 << 20);
	give(c, 1 << 20);
	joined(&k);
	a = p_end();
	T("peer got %ld%s", a.r, a.bad ? " WRONG" : "");
	tw_some_ring(c, true);
	tw_some_ring(c, false);
}

/* Several readers: each byte comes to one of them. */
static _Atomic long shared_sum;

static void *
one_of(void *arg)
{
	struct tw_conn *c = arg;
	char b[512];
	ssize_t r;

	while ((r = recv(c->fd, b, sizeof b, 0)) > 0)
		shared_sum += r;
	return NULL;
}

CASE(thread, readers, 0)
{
	struct tw_conn *c = tw_open();
	pthread_t t[4];

	tw_mid(c);
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, one_of, c);
	p_do(OP_FLIGHT, c, 300, 300, 0);
	p_do(OP_SHUT, c, SHUT_WR, 0, 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	T("in all %ld", shared_sum);
}

static void *
a_writer(void *arg)
{
	struct tw_conn *c = arg;
	char b[100];

	memset(b, 'x', sizeof b);
	for (int i = 0; i < 250; i++)
		if (send(c->fd, b, sizeof b, 0) != sizeof b)
			return (void *)1;
	return NULL;
}

CASE(thread, writers, 0)
{
	struct tw_conn *c = tw_open();
	struct tw_answer a;
	pthread_t t[4];
	void *r;

	p_start(OP_RECV, c, 100000, 0, 0);
	for (int i = 0; i < 4; i++) {
		pthread_create(&t[i], NULL, a_writer, c);
		if (i == 1)
			tw_now();
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(t[i], &r);
		T("%s", r ? "failed" : "done");
	}
	a = p_end();
	T("peer got %ld", a.r);
	tw_mid(c);
}

/* A sleeping reader and a poller are both told. */
static void *
polling(void *arg)
{
	struct reader *k = arg;
	struct pollfd p = {k->c->fd, POLLIN, 0};

	k->tid = tw_tid();
	k->got = poll(&p, 1, 5000);
	return NULL;
}

CASE(thread, poll_and_recv, 0)
{
	struct tw_conn *c = tw_open();
	struct reader a = {.c = c}, b = {.c = c};

	tw_mid(c);
	pthread_create(&a.t, NULL, polling, &a);
	pthread_create(&b.t, NULL, polling, &b);
	while (!a.tid || !b.tid)
		tw_msleep(1);
	tw_asleep(a.tid);
	tw_asleep(b.tid);
	p_send(c, 10);
	pthread_join(a.t, NULL);
	pthread_join(b.t, NULL);
	T("polls %ld %ld", a.got, b.got);
	t_recv(c, 10);
}

/* ---- streams ---- */

static unsigned
next(unsigned *s)
{
	*s = *s * 1664525 + 1013904223;
	return *s >> 8;
}

/* Both ends send and receive pieces of random sizes; it moves on the way. */
static void
random_stream(unsigned seed)
{
	struct tw_conn *c = tw_open();
	long out = 1500000, in = 1500000, sent = 0, got = 0, bad = -1;
	struct tw_answer a;
	unsigned s = seed;
	int pieces = 0;

	c->count = false;
	p_start(OP_DUPLEX, c, in, out, 0);
	while (sent < out || got < in) {
		struct pollfd p = {c->fd,
			(sent < out ? POLLOUT : 0) | (got < in ? POLLIN : 0),
			0};
		size_t n = next(&s) % (1 << (next(&s) % 17)) + 1;
		ssize_t r;

		if (pieces++ == 40)
			tw_now();
		if (poll(&p, 1, 5000) != 1) {
			T("poll: nothing");
			break;
		}
		if ((p.revents & POLLOUT) && (next(&s) & 3)) {
			if ((long)n > out - sent)
				n = out - sent;
			tw_fill(c, buf, n);
			r = send(c->fd, buf, n, MSG_DONTWAIT | MSG_NOSIGNAL);
			if (r > 0) {
				c->tx += r;
				sent += r;
			} else if (errno != EAGAIN) {
				t_ret("send", r);
				break;
			}
		}
		if (p.revents & POLLIN) {
			n = next(&s) % (1 << (next(&s) % 17)) + 1;
			if ((long)n > in - got)
				n = in - got;
			r = recv(c->fd, buf, n, MSG_DONTWAIT);
			if (r > 0) {
				if (bad < 0 &&
					pat_check(c->rxseed, c->rx, buf, r) >=
						0)
					bad = got;
				c->rx += r;
				got += r;
			} else if (r == 0 || errno != EAGAIN) {
				t_ret("recv", r);
				break;
			}
		}
		/* A reader that pauses makes the other side spill. */
		if (next(&s) % 500 == 0)
			tw_msleep(3);
	}
	a = p_end();
	T("sent %ld got %ld %s, peer got %ld %s", sent, got,
		bad < 0 ? "right" : "WRONG", a.r, a.bad ? "WRONG" : "right");
	tw_mid(c);
	p_send(c, 10);
	t_recv(c, 10);
}

#define STREAM(n)                                                              \
	CASE(stream, random##n, F_TCP)                                         \
	{                                                                      \
		random_stream(n);                                              \
	}

STREAM(1)
STREAM(2)
STREAM(3)
STREAM(4)

/* What TCP takes before it blocks, Kmap takes: 4 MB before a byte is read. */
CASE(stream, spill, F_TCP)
{
	struct tw_conn *c = tw_open();
	struct tw_answer a;

	p_do(OP_SETOPT, c, SOL_SOCKET, SO_RCVBUF, 4 << 20);
	for (int half = 0; half < 2; half++) {
		give(c, 2 << 20);
		a = p_do(OP_RECV, c, 2 << 20, 0, 0);
		T("peer got %ld%s", a.r, a.bad ? " WRONG" : "");
		tw_mid(c);
	}
	/* Up and down several times. */
	for (int i = 0; i < 5; i++) {
		give(c, 1 << 20);
		a = p_do(OP_RECV, c, 1 << 20, 0, 0);
		T("peer got %ld%s", a.r, a.bad ? " WRONG" : "");
		tw_rounds(c, false);
	}
}

CASE(stream, spill_read, F_TCP)
{
	struct tw_conn *c = tw_open();
	int v = 4 << 20;

	setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &v, sizeof v);
	tw_mid(c);
	for (int i = 0; i < 4; i++) {
		p_start(OP_SEND, c, 2 << 20, 0, 0);
		p_end();
		t_drain(c, 2 << 20);
		tw_rounds(c, false);
	}
}

/* Both ends write before they read: deadlocks where TCP would not. */
CASE(stream, both_write_first, F_TCP)
{
	struct tw_conn *c = tw_open();
	struct tw_answer a;
	int v = 4 << 20;

	setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &v, sizeof v);
	p_do(OP_SETOPT, c, SOL_SOCKET, SO_RCVBUF, v);
	tw_mid(c);
	p_start(OP_SEND, c, 2 << 20, 0, 0);
	give(c, 2 << 20);
	p_end();
	p_start(OP_RECV, c, 2 << 20, 0, 0);
	t_drain(c, 2 << 20);
	a = p_end();
	T("peer got %ld%s", a.r, a.bad ? " WRONG" : "");
	tw_rounds(c, false);
}

/* Urgent data goes back to TCP, in its place. */
CASE(stream, oob_out, F_TCP)
{
	struct tw_conn *c = tw_open();

	tw_mid(c);
	give(c, 10);
	t_ret("OOB", send(c->fd, "!", 1, MSG_OOB));
	give(c, 10);
	struct tw_answer a = p_do(OP_POLL, c, POLLPRI, 2000, 0);

	T("peer polls %s", t_ev(a.err));
	p_recv(c, 20);
	give(c, 10);
	p_recv(c, 10);
}

CASE(stream, oob_in, F_TCP)
{
	struct tw_conn *c = tw_open();
	struct pollfd p = {c->fd, POLLIN | POLLPRI, 0};
	int m = -1;

	tw_mid(c);
	p_send(c, 10);
	t_ret("peer OOB", p_do(OP_OOB, c, 1, 0, 0).r);
	struct pollfd q = {c->fd, POLLPRI, 0};

	T("poll %d %s", poll(&q, 1, 2000), t_ev(q.revents));
	T("poll %d %s", poll(&p, 1, 0), t_ev(p.revents));
	t_ret("OOB", recv(c->fd, buf, 1, MSG_OOB | MSG_PEEK));
	t_ret("OOB", recv(c->fd, buf, 1, MSG_OOB));
	T("%c", buf[0]);
	t_ret("OOB again", recv(c->fd, buf, 1, MSG_OOB));
	ioctl(c->fd, SIOCATMARK, &m);
	T("at mark %d", m);
	p_send(c, 10);
	t_recv(c, 100);
	ioctl(c->fd, SIOCATMARK, &m);
	T("at mark %d %d", m, sockatmark(c->fd));
	t_recv(c, 100);
	t_recv(c, 100);
	p_send(c, 10);
	t_recv(c, 100);
}

CASE(stream, oob_inline, F_TCP)
{
	struct tw_conn *c = tw_open();
	int on = 1;

	t_ret("OOBINLINE",
		setsockopt(c->fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on));
	tw_mid(c);
	p_send(c, 10);
	p_do(OP_OOB, c, 1, 0, 0);
	tw_arrived(c, 11);
	t_got(c, "recv", recv(c->fd, buf, 100, MSG_DONTWAIT), buf);
	t_ret("recv", recv(c->fd, buf, 100, MSG_DONTWAIT));
	T("%c", buf[0]);
	t_ret("recv", recv(c->fd, buf, 100, MSG_DONTWAIT));
}

/* ---- both ends in one thread ---- */

CASE(self, ping, 0)
{
	struct tw_conn a, b;

	tw_self(&a, &b);
	for (int half = 0; half < 2; half++) {
		for (int i = 0; i < 10; i++) {
			give(&a, 100);
			t_recv(&b, 1000);
			give(&b, 100);
			t_recv(&a, 50);
			t_recv(&a, 50);
		}
		t_recv(&a, 10);
		tw_self_mid(&a, &b);
	}
	t_ret("shutdown", shutdown(a.fd, SHUT_WR));
	tw_state(b.fd, TS_BIT(TCP_CLOSE_WAIT));
	t_recv(&b, 10);
	tw_tcp_ok(&b);
	give(&b, 10);
	tw_tcp_ok(&a);
	t_recv(&a, 10);
	tw_close(&b);
	tw_state(a.fd,
		TS_BIT(TCP_TIME_WAIT) | TS_BIT(TCP_CLOSE) |
			TS_BIT(TCP_FIN_WAIT2));
	t_recv(&a, 10);
}

/* 2 MB written before a byte is read, by the same thread. */
CASE(self, spill, F_TCP)
{
	struct tw_conn a, b;
	int v = 4 << 20;

	tw_self(&a, &b);
	setsockopt(b.fd, SOL_SOCKET, SO_RCVBUF, &v, sizeof v);
	for (int half = 0; half < 3; half++) {
		give(&a, 2 << 20);
		t_drain(&b, 2 << 20);
		tw_self_mid(&a, &b);
	}
}

CASE(self, poll, 0)
{
	struct tw_conn a, b;

	tw_self(&a, &b);
	for (int half = 0; half < 2; half++) {
		struct pollfd p[2] = {
			{a.fd, POLLIN, 0}, {b.fd, POLLIN | POLLOUT, 0}};

		T("poll %d %s %s", poll(p, 2, 0), t_ev(p[0].revents),
			t_ev(p[1].revents));
		give(&a, 10);
		T("poll %d %s %s", poll(p, 2, 0), t_ev(p[0].revents),
			t_ev(p[1].revents));
		give(&b, 10);
		T("poll %d %s %s", poll(p, 2, 0), t_ev(p[0].revents),
			t_ev(p[1].revents));
		t_recv(&a, 10);
		t_recv(&b, 10);
		tw_self_mid(&a, &b);
	}
}

/* Connected to its own address: one socket is both ends. */
CASE(self, simultaneous, F_NOUP)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t l = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct tw_conn c;

	tw_now();
	if (bind(fd, (void *)&a, sizeof a) < 0)
		return;
	getsockname(fd, (void *)&a, &l);
	t_ret("connect", connect(fd, (void *)&a, sizeof a));
	tw_wrap(&c, fd, 0);
	c.rxseed = c.txseed;
	for (int i = 0; i < 50; i++) {
		tw_fill(&c, buf, 100);
		if (send(fd, buf, 100, 0) != 100)
			T("send: %s", t_err(errno));
		c.tx += 100;
		t_drain(&c, 100);
	}
	t_ret("shutdown", shutdown(fd, SHUT_WR));
	t_ret("recv", recv(fd, buf, 10, 0));
	t_ret("send", send(fd, buf, 10, MSG_NOSIGNAL));
}
