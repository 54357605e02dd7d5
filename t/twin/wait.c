/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The conditions under which every call that waits is looked at: columns of a
 * matrix, whose rows are the calls. "poll.fin" is one cell and one case.
 */
#include <config.h>

#include <limits.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "matrix.h"
#include "twin.h"

#define ALL (POLLIN | POLLOUT | POLLPRI | POLLRDHUP)

static void
look(const struct tw_call *x, int fd, unsigned want, int ms)
{
	unsigned got = 0;
	int r, e;

	errno = 0;
	r = x->wait(fd, want, ms, &got);
	e = errno;
	if (r < 0)
		T("%s(%s) = %d %s", x->name, t_ev(want), r, t_err(e));
	else
		T("%s(%s) = %d %s", x->name, t_ev(want), r, t_ev(got));
}

static void
looks(const struct tw_call *x, int fd)
{
	look(x, fd, ALL, 0);
	look(x, fd, POLLIN, 0);
	look(x, fd, POLLOUT, 0);
	look(x, fd, 0, 0);
}

static void
w_idle(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();

	for (int half = 0; half < 2; half++) {
		looks(x, c->fd);
		t_send(c, 100);
		looks(x, c->fd);
		p_recv(c, 100);
		looks(x, c->fd);
		look(x, c->fd, POLLOUT, -1);
		look(x, c->fd, POLLIN | POLLOUT, 1000);
		tw_mid(c);
	}
}

static void
w_data(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();

	for (int half = 0; half < 2; half++) {
		p_send(c, 10);
		looks(x, c->fd);
		looks(x, c->fd);
		t_recv(c, 4);
		looks(x, c->fd);
		p_send(c, 10);
		t_recv(c, 16);
		looks(x, c->fd);
		t_recv(c, 1);
		p_send(c, 1);
		look(x, c->fd, POLLIN, -1);
		look(x, c->fd, POLLIN | POLLRDHUP, 1000);
		t_recv(c, 10);
		look(x, c->fd, POLLIN, 0);
		tw_mid(c);
	}
}

/* The thread sleeps already in the call when the connection may move. */
static void
w_block(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();

	p_when(OP_NOW, c, 0, 0, 0);
	p_when(OP_SEND, c, 10, 0, 0);
	look(x, c->fd, POLLIN, 5000);
	p_end();
	p_end();
	t_recv(c, 100);
	for (int i = 0; i < 4; i++) {
		p_when(OP_SEND, c, 1000, 0, 0);
		look(x, c->fd, i & 1 ? POLLIN : POLLIN | POLLRDHUP,
			i == 2 ? -1 : 5000);
		p_end();
		tw_arrived(c, 1000);
		t_recv(c, 2000);
		tw_mid(c);
	}
}

static void
w_timeout(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();

	for (int half = 0; half < 2; half++) {
		uint64_t t = tw_ns();

		look(x, c->fd, POLLIN, 25);
		T("%s", tw_ns() - t >= 24000000 ? "waited" : "too early");
		t = tw_ns();
		look(x, c->fd, POLLIN, 1);
		T("%s", tw_ns() - t >= 900000 ? "waited" : "too early");
		p_when(OP_SEND, c, 10, 0, 0);
		look(x, c->fd, POLLIN, 5000);
		p_end();
		t_recv(c, 10);
		tw_mid(c);
	}
}

static void
w_full(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();

	for (int half = 0; half < 2; half++) {
		long n = t_fill(c);
		struct tw_answer a;

		looks(x, c->fd);
		p_send(c, 10);
		looks(x, c->fd);
		t_recv(c, 10);
		a = p_do(OP_RECV, c, n, 0, 0);
		T("peer took %s%s", a.r == n ? "all" : "less",
			a.bad ? " WRONG" : "");
		look(x, c->fd, POLLOUT, 2000);
		looks(x, c->fd);
		t_send(c, 100);
		p_recv(c, 100);
		tw_mid(c);
	}
}

static void
w_full_blocked(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();
	long n = t_fill(c);

	p_when(OP_NOW, c, 0, 0, 0);
	p_when(OP_RECV, c, n, 0, 0);
	look(x, c->fd, POLLOUT, 10000);
	p_end();
	p_end();
	tw_mid(c);
	n = t_fill(c);
	p_when(OP_RECV, c, n, 0, 0);
	look(x, c->fd, POLLOUT, -1);
	p_end();
	t_send(c, 10);
	p_recv(c, 10);
}

/* What comes in wakes nobody who wants only to write. */
static void
w_full_deaf(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();
	struct tw_answer a;
	long n;

	tw_mid(c);
	n = t_fill(c);
	p_when(OP_SEND, c, 10, 0, 0);
	p_when(OP_RECV, c, n, 0, 0);
	look(x, c->fd, POLLOUT, 10000);
	p_end();
	a = p_end();
	T("peer took %s", a.r == n ? "all" : "less");
	t_recv(c, 10);
}

static void
w_fin(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();

	tw_flight(c);
	p_recv(c, TW_FLIGHT);
	p_shut_wr(c);
	looks(x, c->fd);
	look(x, c->fd, POLLRDHUP, 0);
	t_drain(c, TW_FLIGHT);
	looks(x, c->fd);
	t_recv(c, 1);
	looks(x, c->fd);
	look(x, c->fd, POLLIN | POLLRDHUP, -1);
	tw_tcp_ok(c);
	t_send(c, 10);
	p_recv(c, 10);
	looks(x, c->fd);
	t_ret("shutdown(WR)", shutdown(c->fd, SHUT_WR));
	looks(x, c->fd);
}

static void
w_fin_blocked(const struct tw_call *x)
{
	for (int i = 0; i < 2; i++) {
		struct tw_conn *c = tw_open();

		tw_mid(c);
		p_when(i ? OP_CLOSE : OP_SHUT, c, SHUT_WR, 0, 0);
		look(x, c->fd, POLLIN | POLLRDHUP, 5000);
		p_end();
		looks(x, c->fd);
	}
}

static void
w_rst(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();

	tw_mid(c);
	p_send(c, 10);
	p_rst(c);
	looks(x, c->fd);
	t_recv(c, 4);
	looks(x, c->fd);
	t_recv(c, 10);
	looks(x, c->fd);
	t_recv(c, 10);
	looks(x, c->fd);
	t_recv(c, 10);
	looks(x, c->fd);
}

static void
w_rst_unread(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();
	int v = -1;
	socklen_t l = sizeof v;

	tw_mid(c);
	t_send(c, 100);
	p_do(OP_POLL, c, POLLIN, 2000, 0);
	p_do(OP_CLOSE, c, 0, 0, 0);
	tw_state(c->fd, TS_BIT(TCP_CLOSE));
	looks(x, c->fd);
	t_ret("SO_ERROR", getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &v, &l));
	T("%s", t_err(v));
	looks(x, c->fd);
	t_recv(c, 10);
	looks(x, c->fd);
}

static void
w_rst_blocked(const struct tw_call *x)
{
	for (int i = 0; i < 2; i++) {
		struct tw_conn *c = tw_open();

		tw_mid(c);
		if (i)
			t_fill(c);
		p_when(OP_RST, c, 0, 0, 0);
		look(x, c->fd, i ? POLLOUT : POLLIN | POLLRDHUP, 5000);
		p_end();
		looks(x, c->fd);
		t_recv(c, 1);
		looks(x, c->fd);
	}
}

static void
w_killed_blocked(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();

	tw_mid(c);
	p_when(OP_KILL, c, 0, 0, 0);
	look(x, c->fd, POLLIN, 5000);
	looks(x, c->fd);
	t_recv(c, 1);
	looks(x, c->fd);
}

static void
w_shut(const struct tw_call *x)
{
	static const int how[] = {SHUT_RD, SHUT_WR, SHUT_RDWR};

	for (int i = 0; i < 3; i++) {
		struct tw_conn *c = tw_open();

		tw_mid(c);
		p_send(c, 10);
		t_ret("shutdown", shutdown(c->fd, how[i]));
		looks(x, c->fd);
		t_recv(c, 100);
		looks(x, c->fd);
		if (how[i] == SHUT_WR) {
			p_recv(c, -1);
			p_close(c);
			looks(x, c->fd);
		}
	}
}

struct shutter {
	pid_t tid;
	int fd, how;
};

static void *
shut_when_asleep(void *arg)
{
	struct shutter *s = arg;

	tw_asleep(s->tid);
	shutdown(s->fd, s->how);
	return NULL;
}

static void
w_shut_blocked(const struct tw_call *x)
{
	static const int how[] = {SHUT_RD, SHUT_RDWR};

	for (int i = 0; i < 2; i++) {
		struct tw_conn *c = tw_open();
		struct shutter s = {tw_tid(), c->fd, how[i]};
		pthread_t t;

		tw_mid(c);
		pthread_create(&t, NULL, shut_when_asleep, &s);
		look(x, c->fd, POLLIN, 5000);
		pthread_join(t, NULL);
		looks(x, c->fd);
	}
}

/* signal(7): never restarted. */
static void
w_eintr(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();

	for (int half = 0; half < 2; half++) {
		tw_catch(SIGUSR1, half ? 0 : SA_RESTART);
		p_when(OP_SIGNAL, c, SIGUSR1, 0, 0);
		look(x, c->fd, POLLIN, half ? -1 : 5000);
		p_end();
		T("signals %d", tw_sigs);
		p_send(c, 10);
		look(x, c->fd, POLLIN, 1000);
		t_recv(c, 10);
		tw_mid(c);
	}
}

static void
w_lowat(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();
	int v = 50;

	t_ret("SO_RCVLOWAT",
		setsockopt(c->fd, SOL_SOCKET, SO_RCVLOWAT, &v, sizeof v));
	for (int half = 0; half < 2; half++) {
		p_send(c, 10);
		look(x, c->fd, POLLIN, 0);
		p_send(c, 39);
		look(x, c->fd, POLLIN, 0);
		p_when(OP_SEND, c, 1, 0, 0);
		look(x, c->fd, POLLIN, 5000);
		p_end();
		t_recv(c, 10);
		look(x, c->fd, POLLIN, 0);
		t_recv(c, 100);
		v = 1;
		setsockopt(c->fd, SOL_SOCKET, SO_RCVLOWAT, &v, sizeof v);
		tw_mid(c);
		v = 50;
		setsockopt(c->fd, SOL_SOCKET, SO_RCVLOWAT, &v, sizeof v);
	}
	p_send(c, 10);
	p_shut_wr(c);
	look(x, c->fd, POLLIN, 0);
}

/* Bytes of the ring, and those behind that TCP took because the ring was
 * full, count together. */
static void
w_lowat_spill(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();
	int v = 600000;
	socklen_t l = sizeof v;

	tw_mid(c);
	t_ret("SO_RCVLOWAT",
		setsockopt(c->fd, SOL_SOCKET, SO_RCVLOWAT, &v, sizeof v));
	p_start(OP_SEND, c, 599999, 0, 0);
	tw_arrived(c, 599999);
	p_end();
	look(x, c->fd, POLLIN, 0);
	t_ret("get SO_RCVLOWAT",
		getsockopt(c->fd, SOL_SOCKET, SO_RCVLOWAT, &v, &l));
	T("%d", v);
	p_when(OP_SEND, c, 1, 0, 0);
	look(x, c->fd, POLLIN, 10000);
	p_end();
	t_drain(c, 600000);
	look(x, c->fd, POLLIN, 0);
	v = 0;
	getsockopt(c->fd, SOL_SOCKET, SO_RCVLOWAT, &v, &l);
	T("%d", v);
}

static void
w_flight(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();

	tw_flight(c);
	looks(x, c->fd);
	t_drain(c, TW_FLIGHT);
	looks(x, c->fd);
	p_recv(c, TW_FLIGHT);
	tw_rounds(c, false);
	tw_flight(c);
	looks(x, c->fd);
	t_drain(c, TW_FLIGHT - 1);
	looks(x, c->fd);
	t_recv(c, 2);
	looks(x, c->fd);
}

static void
w_badfd(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();
	int fd = c->fd;

	tw_mid(c);
	look(x, 777, POLLIN, 0);
	if (!(x->what & MX_SELECT))
		look(x, -1, POLLIN, 0);
	look(x, fd, POLLIN, 0);
	tw_close(c);
	/* Of a set that held the closed fd a MOD fails. */
	look(x, fd, POLLOUT, 0);
}

static const struct tw_column columns[] = {
	{"idle", w_idle, CORE},
	{"data", w_data, CORE},
	{"block", w_block, CORE},
	{"timeout", w_timeout, 0},
	{"full", w_full, F_TCP},
	{"full_blocked", w_full_blocked, CORE | F_TCP},
	{"full_deaf", w_full_deaf, F_TCP},
	{"fin", w_fin, CORE},
	{"fin_blocked", w_fin_blocked, 0},
	{"rst", w_rst, CORE},
	{"rst_unread", w_rst_unread, 0},
	{"rst_blocked", w_rst_blocked, F_TCP},
	{"killed_blocked", w_killed_blocked, F_PROC},
	{"shut", w_shut, 0},
	{"shut_blocked", w_shut_blocked, 0},
	{"eintr", w_eintr, CORE},
	{"lowat", w_lowat, 0},
	{"lowat_spill", w_lowat_spill, F_TCP},
	{"flight", w_flight, 0},
	{"badfd", w_badfd, CORE | NOT(MX_COPY)},
};

void
tw_wait_row(const struct tw_call *x)
{
	tw_row(x, columns, sizeof columns / sizeof *columns);
}
