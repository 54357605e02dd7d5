/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The conditions under which every call that sends is looked at: columns of a
 * matrix, whose rows are the calls. "writev.eof" is one cell and one case.
 */
#include <config.h>

#include <fcntl.h>
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

static char big[8 << 20];

static void
go(const struct tw_call *x, struct tw_conn *c, size_t n, int fl)
{
	char what[64];

	tw_fill(c, big, n);
	snprintf(what, sizeof what, "%s(%zu%s%s%s)", x->name, n,
		fl & MSG_MORE ? " MORE" : "",
		fl & MSG_NOSIGNAL ? " NOSIGNAL" : "",
		fl & MSG_DONTWAIT ? " DONTWAIT" : "");
	errno = 0;
	t_sent(c, what, x->tx(c->fd, big, n, fl));
}

/* How much goes is up to the buffers, and in how many pieces. */
static long
some(const struct tw_call *x, struct tw_conn *c, size_t n)
{
	ssize_t r;

	tw_fill(c, big, n);
	r = x->tx(c->fd, big, n, 0);
	if (r <= 0)
		t_ret(x->name, r);
	else
		T("%s took %s", x->name, (size_t)r < n ? "a part" : "all");
	if (r > 0)
		c->tx += r;
	return r > 0 ? r : 0;
}

/* A receiver whose window does not grow with what it reads: 8 MB never fit. */
static struct tw_conn *
open_narrow(void)
{
	struct tw_conn *c = tw_open();

	p_do(OP_SETOPT, c, SOL_SOCKET, SO_RCVBUF, 100000);
	return c;
}

static void
peer_takes(struct tw_conn *c, long n)
{
	struct tw_answer a = p_do(OP_RECV, c, n, 0, 0);

	T("peer took %s%s", a.r == n ? "all" : "less", a.bad ? " WRONG" : "");
}

static void
tx_ok(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();

	for (int half = 0; half < 2; half++) {
		go(x, c, 10, 0);
		p_recv(c, 10);
		go(x, c, 1, 0);
		go(x, c, 100, 0);
		go(x, c, 3000, 0);
		p_recv(c, 3101);
		go(x, c, 30000, 0);
		p_recv(c, 30000);
		tw_mid(c);
	}
}

static void
tx_zero(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();

	for (int half = 0; half < 2; half++) {
		go(x, c, 0, 0);
		T("peer sees %ld", p_do(OP_POLL, c, POLLIN, 5, 0).r);
		go(x, c, 10, 0);
		go(x, c, 0, 0);
		p_recv(c, 10);
		tw_mid(c);
	}
}

static void
tx_big(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();
	long sum = 0, all = 6 << 20;

	c->count = false;
	p_start(OP_RECV, c, all, 0, 0);
	for (int i = 0; sum < all; i++) {
		uint64_t was = c->tx;
		long n = all - sum < 3 << 20 ? all - sum : 3 << 20;

		/* The most a pipe holds. */
		if ((x->what & MX_PIPE) && n > 1 << 20)
			n = 1 << 20;
		go(x, c, n, 0);
		if (c->tx == was)
			break;
		sum += c->tx - was;
		tw_now();
	}
	T("peer took %ld", p_end().r);
	tw_some_ring(c, false);
	tw_mid(c);
	c->count = false;
	p_start(OP_RECV, c, 1 << 20, 0, 0);
	go(x, c, 1 << 20, 0);
	T("peer took %ld", p_end().r);
	tw_some_ring(c, false);
}

static void
tx_nonblock(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();

	for (int half = 0; half < 2; half++) {
		struct pollfd p = {c->fd, POLLOUT, 0};
		long n;

		tw_nonblock(c->fd, true);
		go(x, c, 10, 0);
		n = 10 + t_fill(c);
		go(x, c, 1000, 0);
		go(x, c, 1, 0);
		peer_takes(c, n);
		poll(&p, 1, 2000);
		T("%s", t_ev(p.revents));
		go(x, c, 1000, 0);
		p_recv(c, 1000);
		tw_nonblock(c->fd, false);
		tw_mid(c);
	}
}

static void
tx_partial(const struct tw_call *x)
{
	struct tw_conn *c = open_narrow();

	for (int half = 0; half < 2; half++) {
		ssize_t r;
		long sum = 0;

		tw_nonblock(c->fd, true);
		do {
			tw_fill(c, big, sizeof big);
			r = x->tx(c->fd, big, sizeof big, 0);
			c->tx += r > 0 ? r : 0;
			sum += r > 0 ? r : 0;
			tw_msleep(2);
		} while (r > 0 && sum < 64 << 20);
		T("took %s, then", sum ? "a part" : "nothing");
		t_ret(x->name, r);
		peer_takes(c, sum);
		tw_nonblock(c->fd, false);
		tw_mid(c);
	}
}

static void
tx_dontwait(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();

	for (int half = 0; half < 2; half++) {
		long n;

		go(x, c, 10, MSG_DONTWAIT);
		n = 10 + t_fill(c);
		go(x, c, 1000, MSG_DONTWAIT);
		go(x, c, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
		peer_takes(c, n);
		go(x, c, 100, 0);
		p_recv(c, 100);
		tw_mid(c);
	}
}

/* The thread sleeps already in the call when the connection may move. */
static void
tx_block(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();
	long n = t_fill(c);

	p_when(OP_NOW, c, 0, 0, 0);
	p_when(OP_RECV, c, n, 0, 0);
	go(x, c, 50000, 0);
	T("peer %s", p_end().bad + p_end().bad ? "WRONG" : "right");
	p_recv(c, 50000);
	tw_mid(c);
	for (int i = 0; i < 2; i++) {
		n = t_fill(c);
		p_when(OP_RECV, c, n, 0, 0);
		go(x, c, 50000, 0);
		T("peer %s", p_end().bad ? "WRONG" : "right");
		p_recv(c, 50000);
		tw_rounds(c, false);
	}
}

static void
tx_eintr(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();

	tw_catch(SIGUSR1, 0);
	for (int half = 0; half < 2; half++) {
		long n = t_fill(c);

		p_when(OP_SIGNAL, c, SIGUSR1, 0, 0);
		go(x, c, 1000, 0);
		p_end();
		T("signals %d", tw_sigs);
		peer_takes(c, n);
		go(x, c, 1000, 0);
		p_recv(c, 1000);
		tw_mid(c);
	}
}

/* Cut short in its middle, it says how much went. */
static void
tx_eintr_part(const struct tw_call *x)
{
	struct tw_conn *c = open_narrow();

	tw_catch(SIGUSR1, SA_RESTART);
	for (int half = 0; half < 2; half++) {
		long n;

		p_when(OP_SIGNAL, c, SIGUSR1, 0, 0);
		n = some(x, c, sizeof big);
		p_end();
		T("signals %d", tw_sigs);
		peer_takes(c, n);
		tw_mid(c);
	}
}

static void
tx_restart(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();

	tw_catch(SIGUSR1, SA_RESTART);
	for (int half = 0; half < 2; half++) {
		long n = t_fill(c);

		p_when(OP_SIGNAL, c, SIGUSR1, 0, 0);
		p_when(OP_RECV, c, n, 0, 0);
		go(x, c, 1000, 0);
		p_end();
		p_end();
		T("signals %d", tw_sigs);
		p_recv(c, 1000);
		tw_mid(c);
	}
}

static void
tx_timeo(const struct tw_call *x)
{
	struct tw_conn *c = open_narrow();

	for (int half = 0; half < 2; half++) {
		long n = t_fill(c);
		uint64_t t;

		tw_timeo(c->fd, SO_SNDTIMEO, 30);
		t = tw_ns();
		go(x, c, 1000, 0);
		T("%s", tw_ns() - t >= 25000000 ? "waited" : "too early");
		peer_takes(c, n);
		n = some(x, c, sizeof big);
		peer_takes(c, n);
		tw_timeo(c->fd, SO_SNDTIMEO, 0);
		tw_mid(c);
	}
}

/* The peer has closed: the first goes, the RST it brings fails the second. */
static void
tx_eof(const struct tw_call *x)
{
	for (int i = 0; i < 2; i++) {
		struct tw_conn *c = tw_open();

		tw_mid(c);
		p_close(c);
		tw_tcp_ok(c);
		go(x, c, 10, 0);
		tw_rst_came(c->fd);
		go(x, c, 10, i && (x->what & MX_FLAGS) ? MSG_NOSIGNAL : 0);
		t_pipes();
		go(x, c, 10, 0);
		t_pipes();
		T("then recv = %zd", recv(c->fd, big, 10, 0));
	}
}

static void
tx_half_closed(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();

	tw_flight(c);
	go(x, c, 100, 0);
	p_shut_wr(c);
	tw_tcp_ok(c);
	go(x, c, 100, 0);
	p_recv(c, TW_FLIGHT + 200);
	go(x, c, 100, 0);
	p_recv(c, 100);
	t_drain(c, TW_FLIGHT + 1);
	t_ret("shutdown", shutdown(c->fd, SHUT_WR));
	p_recv(c, -1);
}

static void
tx_rst(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();

	tw_flight(c);
	p_recv(c, TW_FLIGHT);
	p_rst(c);
	go(x, c, 10, 0);
	t_pipes();
	go(x, c, 10, 0);
	t_pipes();
	t_drain(c, TW_FLIGHT + 1);
}

static void
tx_rst_blocked(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();

	tw_mid(c);
	t_fill(c);
	p_when(OP_RST, c, 0, 0, 0);
	go(x, c, 1000, 0);
	p_end();
	t_pipes();
	go(x, c, 1000, 0);
	t_pipes();
}

static void
tx_killed(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();

	tw_mid(c);
	p_kill(c);
	tw_tcp_ok(c);
	go(x, c, 10, 0);
	tw_rst_came(c->fd);
	go(x, c, 10, 0);
	t_pipes();
}

static void
tx_killed_blocked(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();

	tw_mid(c);
	t_fill(c);
	p_when(OP_KILL, c, 0, 0, 0);
	go(x, c, 1000, 0);
	t_pipes();
	go(x, c, 1000, 0);
	t_pipes();
}

static void
tx_shut_wr(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();

	tw_mid(c);
	go(x, c, 100, 0);
	t_ret("shutdown(WR)", shutdown(c->fd, SHUT_WR));
	go(x, c, 10, 0);
	t_pipes();
	go(x, c, 0, 0);
	t_pipes();
	if (x->what & MX_FLAGS) {
		go(x, c, 10, MSG_NOSIGNAL);
		t_pipes();
	}
	p_recv(c, -1);
}

static void
tx_shut_rd(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();

	tw_mid(c);
	t_ret("shutdown(RD)", shutdown(c->fd, SHUT_RD));
	tw_tcp_ok(c);
	go(x, c, 100, 0);
	p_recv(c, 100);
	t_ret("shutdown(RDWR)", shutdown(c->fd, SHUT_RDWR));
	go(x, c, 10, 0);
	t_pipes();
	p_recv(c, -1);
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
tx_shut_blocked(const struct tw_call *x)
{
	static const int how[] = {SHUT_WR, SHUT_RDWR};

	for (int i = 0; i < 2; i++) {
		struct tw_conn *c = tw_open();
		struct shutter s = {tw_tid(), c->fd, how[i]};
		pthread_t t;

		tw_mid(c);
		t_fill(c);
		pthread_create(&t, NULL, shut_when_asleep, &s);
		go(x, c, 1000, 0);
		pthread_join(t, NULL);
		t_pipes();
		go(x, c, 1000, 0);
		t_pipes();
	}
}

static void
tx_badfd(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();
	struct tw_conn bad = *c;

	tw_mid(c);
	bad.count = false;
	bad.fd = -1;
	go(x, &bad, 16, 0);
	bad.fd = 777;
	go(x, &bad, 16, 0);
	bad.fd = INT_MAX;
	go(x, &bad, 16, 0);
	if (x->what & MX_FLAGS) {
		bad.fd = memfd_create("x", 0);
		go(x, &bad, 16, 0);
		close(bad.fd);
	}
	tw_close(c);
	go(x, c, 16, 0);
	bad.fd = socket(AF_INET, SOCK_STREAM, 0);
	go(x, &bad, 16, 0);
	t_pipes();
	close(bad.fd);
}

static void
tx_badptr(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();
	char *p = tw_page(50);

	for (int half = 0; half < 2; half++) {
		t_ret("nowhere", x->tx(c->fd, TW_NOWHERE, 100, 0));
		t_ret("null", x->tx(c->fd, NULL, 100, 0));
		t_ret("half valid", x->tx(c->fd, p, 100, 0));
		t_ret("kernel", x->tx(c->fd, (void *)(-4096L), 100, 0));
		T("peer sees %ld", p_do(OP_POLL, c, POLLIN, 5, 0).r);
		go(x, c, 50, 0);
		p_recv(c, 50);
		tw_mid(c);
	}
}

static void
tx_badoff(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();

	for (int half = 0; half < 2; half++) {
		t_ret("offset", x->tx(c->fd, big, 100, MX_OFF_BAD));
		t_ret("socket's", x->tx(c->fd, big, 100, MX_SOCK_OFF_BAD));
		T("peer sees %ld", p_do(OP_POLL, c, POLLIN, 5, 0).r);
		go(x, c, 50, 0);
		p_recv(c, 50);
		tw_mid(c);
	}
}

static void
tx_huge(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();
	char *p = tw_page(50);

	for (int half = 0; half < 2; half++) {
		t_ret("INT_MAX", x->tx(c->fd, p, INT_MAX, 0));
		t_ret("SSIZE_MAX", x->tx(c->fd, p, SSIZE_MAX, 0));
		t_ret("SIZE_MAX", x->tx(c->fd, p, SIZE_MAX, 0));
		T("peer sees %ld", p_do(OP_POLL, c, POLLIN, 5, 0).r);
		go(x, c, 50, 0);
		p_recv(c, 50);
		tw_mid(c);
	}
}

static void
tx_flags(const struct tw_call *x)
{
	static const int fl[] = {MSG_NOSIGNAL, MSG_DONTROUTE, MSG_EOR,
		MSG_CONFIRM, MSG_DONTWAIT, MSG_MORE, MSG_PEEK, MSG_TRUNC,
		MSG_WAITALL, MSG_CMSG_CLOEXEC, 0x40000, MSG_ZEROCOPY};
	struct tw_conn *c = tw_open();
	char what[64];

	for (int half = 0; half < 2; half++) {
		for (size_t i = 0; i < sizeof fl / sizeof *fl; i++) {
			uint64_t was = c->tx;

			snprintf(what, sizeof what, "flag %#x", fl[i]);
			tw_fill(c, big, 10);
			errno = 0;
			t_sent(c, what, x->tx(c->fd, big, 10, fl[i]));
			go(x, c, 5, 0);
			p_recv(c, c->tx - was);
		}
		tw_mid(c);
	}
	t_ret("FASTOPEN", x->tx(c->fd, big, 0, MSG_FASTOPEN));
}

static void
tx_more(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();

	for (int half = 0; half < 2; half++) {
		for (int i = 0; i < 5; i++)
			go(x, c, 100, MSG_MORE);
		go(x, c, 100, 0);
		p_recv(c, 600);
		/* Nothing more comes: TCP lets it go after 200 ms. */
		go(x, c, 100, MSG_MORE);
		p_recv(c, 100);
		tw_mid(c);
	}
}

static void
tx_flight(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();

	tw_flight(c);
	go(x, c, 7, 0);
	go(x, c, 5000, 0);
	p_recv(c, TW_FLIGHT + 5007);
	t_drain(c, TW_FLIGHT);
	tw_rounds(c, false);
	tw_flight(c);
	go(x, c, 100, 0);
	t_drain(c, TW_FLIGHT);
	p_recv(c, TW_FLIGHT + 100);
}

struct cancelled {
	const struct tw_call *x;
	struct tw_conn *c;
	_Atomic int tid;
};

static void *
to_be_cancelled(void *arg)
{
	struct cancelled *k = arg;

	k->tid = tw_tid();
	k->x->tx(k->c->fd, big, 1000, 0);
	return NULL;
}

static void
tx_cancel(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();

	/* syscall(2) is no cancellation point. */
	if (!strncmp(x->name, "sys_", 4)) {
		T("no cancellation point");
		tw_mid(c);
		return;
	}
	for (int half = 0; half < 2; half++) {
		struct cancelled k = {x, c, 0};
		long n = t_fill(c);
		pthread_t t;
		void *res;

		pthread_create(&t, NULL, to_be_cancelled, &k);
		while (!k.tid)
			tw_msleep(1);
		tw_asleep(k.tid);
		pthread_cancel(t);
		pthread_join(t, &res);
		T("%s", res == PTHREAD_CANCELED ? "cancelled" : "returned");
		peer_takes(c, n);
		go(x, c, 30, 0);
		p_recv(c, 30);
		tw_mid(c);
	}
}

static const struct tw_column columns[] = {
	{"ok", tx_ok, CORE},
	{"zero", tx_zero, CORE},
	{"big", tx_big, 0},
	{"nonblock", tx_nonblock, CORE | F_TCP},
	{"partial", tx_partial, F_TCP},
	{"dontwait", tx_dontwait, NEEDS(MX_FLAGS) | F_TCP},
	{"block", tx_block, CORE | F_TCP},
	{"eintr", tx_eintr, CORE | F_TCP},
	{"eintr_part", tx_eintr_part, NOT(MX_PIPE) | F_TCP},
	{"restart", tx_restart, F_TCP},
	{"timeo", tx_timeo, F_SLOW | F_TCP},
	{"eof", tx_eof, CORE},
	{"half_closed", tx_half_closed, 0},
	{"rst", tx_rst, CORE},
	{"rst_blocked", tx_rst_blocked, F_TCP},
	{"killed", tx_killed, F_PROC},
	{"killed_blocked", tx_killed_blocked, F_PROC | CORE | F_TCP},
	{"shut_wr", tx_shut_wr, CORE},
	{"shut_rd", tx_shut_rd, 0},
	{"shut_blocked", tx_shut_blocked, F_TCP},
	{"badfd", tx_badfd, CORE},
	{"badptr", tx_badptr, CORE | NOT(MX_PIPE)},
	{"badoff", tx_badoff, CORE | NEEDS(MX_PIPE)},
	{"huge", tx_huge, NOT(MX_PIPE | MX_IOV)},
	{"flight", tx_flight, CORE},
	{"cancel", tx_cancel, NOT(MX_PIPE) | F_TCP},
	{"flags", tx_flags, NEEDS(MX_FLAGS)},
	{"more", tx_more, NEEDS(MX_FLAGS) | F_SLOW},
};

void
tw_tx_row(const struct tw_call *x)
{
	tw_row(x, columns, sizeof columns / sizeof *columns);
}
