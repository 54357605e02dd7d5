/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The conditions under which every call that receives is looked at: columns
 * of a matrix, whose rows are the calls. "readv.eof" is one cell and one case.
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
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "matrix.h"
#include "twin.h"

static char big[1 << 20];

static void
go(const struct tw_call *x, struct tw_conn *c, size_t n, int fl)
{
	char what[64];
	ssize_t r;

	memset(big, 0xee, n < sizeof big ? n : sizeof big);
	errno = 0;
	r = x->rx(c->fd, big, n, fl);
	snprintf(what, sizeof what, "%s(%zu%s%s%s)", x->name, n,
		fl & MSG_PEEK ? " PEEK" : "",
		fl & MSG_WAITALL ? " WAITALL" : "",
		fl & MSG_DONTWAIT ? " DONTWAIT" : "");
	if (fl & MSG_PEEK)
		t_peek(c, what, r, big);
	else
		t_got(c, what, r, big);
	/* What the call said it did not write must be untouched. */
	if (r >= 0 && (size_t)r < n && n <= sizeof big &&
		(unsigned char)big[r] != 0xee)
		T("%s wrote beyond what it returned", x->name);
}

/* ---- the columns ---- */

static void
rx_ok(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();

	for (int half = 0; half < 2; half++) {
		p_send(c, 10);
		go(x, c, 16, 0);
		p_send(c, 100);
		go(x, c, 40, 0);
		go(x, c, 60, 0);
		p_send(c, 1);
		go(x, c, 1, 0);
		p_send(c, 30000);
		p_send(c, 30000);
		go(x, c, 45000, 0);
		go(x, c, 45000, 0);
		tw_mid(c);
	}
}

static void
rx_zero(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();

	for (int half = 0; half < 2; half++) {
		tw_nonblock(c->fd, true);
		go(x, c, 0, 0);
		p_send(c, 10);
		go(x, c, 0, 0);
		go(x, c, 16, 0);
		tw_nonblock(c->fd, false);
		tw_mid(c);
	}
	p_shut_wr(c);
	go(x, c, 0, 0);
}

static void
rx_big(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();
	long sum = 0, bad = -1;

	p_start(OP_SEND, c, 4 << 20, 0, 0);
	while (sum < 4 << 20) {
		ssize_t r;

		if (sum > 1 << 20)
			tw_now();
		r = x->rx(c->fd, big, 1 + sum % 150000, 0);
		if (r <= 0) {
			t_ret(x->name, r);
			break;
		}
		if (bad < 0)
			bad = pat_check(c->rxseed, c->rx, big, r);
		c->rx += r;
		sum += r;
	}
	p_end();
	T("4 MB: %ld %s", sum, bad < 0 ? "right" : "WRONG");
	tw_some_ring(c, true);
	tw_mid(c);
	/* More than a ring in one call. */
	p_start(OP_SEND, c, 3 << 20, 0, 0);
	for (sum = 0; sum < 3 << 20;) {
		ssize_t r = x->rx(c->fd, big, sizeof big, 0);

		if (r <= 0) {
			t_ret(x->name, r);
			break;
		}
		if (pat_check(c->rxseed, c->rx, big, r) >= 0)
			T("WRONG");
		c->rx += r;
		sum += r;
	}
	p_end();
	T("3 MB: %ld", sum);
	tw_some_ring(c, true);
}

static void
rx_nonblock(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();

	for (int half = 0; half < 2; half++) {
		tw_nonblock(c->fd, true);
		go(x, c, 16, 0);
		p_send(c, 10);
		go(x, c, 16, 0);
		go(x, c, 16, 0);
		go(x, c, 1, 0);
		tw_nonblock(c->fd, false);
		tw_mid(c);
	}
}

static void
rx_dontwait(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();

	if (!(x->what & MX_FLAGS))
		tw_nonblock(c->fd, true);
	for (int half = 0; half < 2; half++) {
		go(x, c, 16, MSG_DONTWAIT);
		p_send(c, 10);
		go(x, c, 4, MSG_DONTWAIT);
		go(x, c, 16, MSG_DONTWAIT);
		go(x, c, 16, MSG_DONTWAIT);
		tw_mid(c);
	}
}

/* The thread sleeps already in the call when the connection may move. */
static void
rx_block(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();

	p_when(OP_NOW, c, 0, 0, 0);
	p_when(OP_SEND, c, 10, 0, 0);
	go(x, c, 16, 0);
	p_end();
	p_end();
	for (int i = 0; i < 3; i++) {
		p_when(OP_SEND, c, 1000, 0, 0);
		go(x, c, 2000, 0);
		p_end();
		tw_mid(c);
	}
}

static void
rx_eintr(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();

	tw_catch(SIGUSR1, 0);
	for (int half = 0; half < 2; half++) {
		p_when(OP_SIGNAL, c, SIGUSR1, 0, 0);
		go(x, c, 16, 0);
		p_end();
		T("signals %d", tw_sigs);
		p_send(c, 10);
		go(x, c, 16, 0);
		tw_mid(c);
	}
}

static void
rx_restart(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();

	tw_catch(SIGUSR1, SA_RESTART);
	for (int half = 0; half < 2; half++) {
		p_when(OP_SIGNAL, c, SIGUSR1, 0, 0);
		p_when(OP_SIGNAL, c, SIGUSR1, 0, 0);
		p_when(OP_SEND, c, 10, 0, 0);
		go(x, c, 16, 0);
		p_end();
		p_end();
		p_end();
		T("signals %d", tw_sigs);
		tw_mid(c);
	}
}

static void
rx_timeo(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();

	for (int half = 0; half < 2; half++) {
		uint64_t t;

		tw_timeo(c->fd, SO_RCVTIMEO, 30);
		t = tw_ns();
		go(x, c, 16, 0);
		T("%s", tw_ns() - t >= 25000000 ? "waited" : "too early");
		p_when(OP_SEND, c, 5, 0, 0);
		tw_timeo(c->fd, SO_RCVTIMEO, 5000);
		go(x, c, 16, 0);
		p_end();
		/* signal(7): never restarted with a time-out. */
		tw_catch(SIGUSR1, SA_RESTART);
		p_when(OP_SIGNAL, c, SIGUSR1, 0, 0);
		go(x, c, 16, 0);
		p_end();
		tw_timeo(c->fd, SO_RCVTIMEO, 0);
		tw_mid(c);
	}
}

static void
rx_eof(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();

	tw_flight(c);
	p_recv(c, TW_FLIGHT);
	p_send(c, 50);
	p_shut_wr(c);
	go(x, c, 20, 0);
	go(x, c, 1000, 0);
	go(x, c, 1000, 0);
	go(x, c, 1000, 0);
	tw_nonblock(c->fd, true);
	go(x, c, 1000, 0);
}

static void
rx_eof_close(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();

	tw_mid(c);
	p_send(c, 50);
	p_close(c);
	go(x, c, 30, 0);
	go(x, c, 30, 0);
	go(x, c, 30, 0);
}

static void
rx_eof_blocked(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();

	tw_mid(c);
	p_when(OP_SHUT, c, SHUT_WR, 0, 0);
	go(x, c, 100, 0);
	p_end();
	go(x, c, 100, 0);
}

static void
rx_rst(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();

	tw_mid(c);
	p_send(c, 50);
	p_rst(c);
	go(x, c, 20, 0);
	go(x, c, 100, 0);
	go(x, c, 100, 0);
	go(x, c, 100, 0);
	go(x, c, 100, 0);
}

static void
rx_rst_empty(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();

	tw_mid(c);
	p_rst(c);
	go(x, c, 100, 0);
	go(x, c, 100, 0);
}

/* Closed with unread data: the kernel sends a RST. */
static void
rx_rst_unread(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();
	char b[100];

	tw_mid(c);
	p_send(c, 50);
	tw_fill(c, b, sizeof b);
	t_sent(c, "send(100)", send(c->fd, b, sizeof b, 0));
	p_do(OP_POLL, c, POLLIN, 2000, 0);
	p_do(OP_CLOSE, c, 0, 0, 0);
	tw_state(c->fd, TS_BIT(TCP_CLOSE));
	go(x, c, 20, 0);
	go(x, c, 100, 0);
	go(x, c, 100, 0);
	go(x, c, 100, 0);
}

static void
rx_rst_blocked(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();

	tw_mid(c);
	p_when(OP_RST, c, 0, 0, 0);
	go(x, c, 100, 0);
	p_end();
	go(x, c, 100, 0);
}

static void
rx_killed(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();

	tw_mid(c);
	p_send(c, 50);
	p_kill(c);
	go(x, c, 20, 0);
	go(x, c, 100, 0);
	go(x, c, 100, 0);
}

static void
rx_killed_blocked(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();

	tw_mid(c);
	p_when(OP_KILL, c, 0, 0, 0);
	go(x, c, 100, 0);
	go(x, c, 100, 0);
}

static void
rx_shut_rd(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();

	tw_mid(c);
	p_send(c, 50);
	t_ret("shutdown(RD)", shutdown(c->fd, SHUT_RD));
	go(x, c, 20, 0);
	go(x, c, 100, 0);
	go(x, c, 100, 0);
	/* Linux goes on receiving. */
	p_do(OP_SEND, c, 30, 0, 0);
	tw_msleep(3);
	tw_tcp_ok(c);
	go(x, c, 100, 0);
	go(x, c, 100, 0);
}

static void
rx_shut_wr(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();

	tw_mid(c);
	p_send(c, 50);
	t_ret("shutdown(WR)", shutdown(c->fd, SHUT_WR));
	p_recv(c, -1);
	go(x, c, 20, 0);
	/* Half-closed: the peer may go back to TCP with what it sends now. */
	tw_tcp_ok(c);
	p_send(c, 50);
	go(x, c, 30, 0);
	go(x, c, 100, 0);
	p_when(OP_SEND, c, 10, 0, 0);
	go(x, c, 100, 0);
	p_end();
	p_close(c);
	go(x, c, 100, 0);
}

static void
rx_shut_rdwr(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();

	tw_mid(c);
	p_send(c, 50);
	t_ret("shutdown(RDWR)", shutdown(c->fd, SHUT_RDWR));
	go(x, c, 20, 0);
	go(x, c, 100, 0);
	go(x, c, 100, 0);
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
rx_shut_blocked(const struct tw_call *x)
{
	static const int how[] = {SHUT_RD, SHUT_RDWR};

	for (int i = 0; i < 2; i++) {
		struct tw_conn *c = tw_open();
		struct shutter s = {tw_tid(), c->fd, how[i]};
		pthread_t t;

		tw_mid(c);
		pthread_create(&t, NULL, shut_when_asleep, &s);
		go(x, c, 100, 0);
		pthread_join(t, NULL);
		go(x, c, 100, 0);
	}
}

static void
rx_badfd(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();
	struct tw_conn bad = *c;
	int fd;

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
	/* A number that was a Kmap fd a moment ago. */
	fd = c->fd;
	tw_close(c);
	go(x, c, 16, 0);
	bad.fd = socket(AF_INET, SOCK_STREAM, 0);
	T("the number is %s", bad.fd == fd ? "reused" : "another");
	go(x, &bad, 16, 0);
	close(bad.fd);
}

static void
rx_badptr(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();
	char *p = tw_page(50);

	for (int half = 0; half < 2; half++) {
		tw_nonblock(c->fd, true);
		/* Nothing there: EAGAIN is found first. */
		t_ret("nowhere, empty", x->rx(c->fd, TW_NOWHERE, 100, 0));
		p_send(c, 200);
		t_ret("nowhere", x->rx(c->fd, TW_NOWHERE, 100, 0));
		t_ret("null", x->rx(c->fd, NULL, 100, 0));
		t_ret("half valid", x->rx(c->fd, p, 100, 0));
		t_ret("kernel", x->rx(c->fd, (void *)(-4096L), 100, 0));
		go(x, c, 500, 0);
		tw_nonblock(c->fd, false);
		tw_mid(c);
	}
}

static void
rx_badoff(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();

	for (int half = 0; half < 2; half++) {
		p_send(c, 100);
		t_ret("offset", x->rx(c->fd, big, 50, MX_OFF_BAD));
		t_ret("socket's", x->rx(c->fd, big, 50, MX_SOCK_OFF_BAD));
		go(x, c, 200, 0);
		tw_mid(c);
	}
}

static void
rx_huge(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();

	for (int half = 0; half < 2; half++) {
		p_send(c, 20);
		t_got(c, "INT_MAX", x->rx(c->fd, big, INT_MAX, 0), big);
		p_send(c, 20);
		t_got(c, "SSIZE_MAX", x->rx(c->fd, big, SSIZE_MAX, 0), big);
		tw_nonblock(c->fd, true);
		p_send(c, 20);
		t_got(c, "SIZE_MAX", x->rx(c->fd, big, SIZE_MAX, 0), big);
		go(x, c, 50, 0);
		tw_nonblock(c->fd, false);
		tw_mid(c);
	}
}

static void
rx_peek(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();

	if (!(x->what & MX_FLAGS)) {
		T("no flags");
		tw_mid(c);
		return;
	}
	for (int half = 0; half < 2; half++) {
		go(x, c, 10, MSG_PEEK | MSG_DONTWAIT);
		p_send(c, 100);
		go(x, c, 10, MSG_PEEK);
		go(x, c, 200, MSG_PEEK);
		go(x, c, 200, MSG_PEEK | MSG_DONTWAIT);
		go(x, c, 30, 0);
		go(x, c, 200, MSG_PEEK);
		go(x, c, 70, MSG_PEEK | MSG_WAITALL);
		go(x, c, 70, 0);
		p_when(OP_SEND, c, 10, 0, 0);
		go(x, c, 200, MSG_PEEK);
		p_end();
		go(x, c, 200, 0);
		tw_mid(c);
	}
	tw_flight(c);
	go(x, c, 1000, MSG_PEEK | MSG_WAITALL | MSG_DONTWAIT);
	p_send(c, 10);
	p_shut_wr(c);
	go(x, c, 1000, MSG_PEEK);
	go(x, c, 1000, MSG_PEEK | MSG_WAITALL);
	go(x, c, 1000, 0);
	go(x, c, 1000, MSG_PEEK);
	go(x, c, 1000, 0);
}

static void
rx_waitall(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();

	if (!(x->what & MX_FLAGS)) {
		T("no flags");
		tw_mid(c);
		return;
	}
	for (int half = 0; half < 2; half++) {
		p_send(c, 40);
		p_when(OP_SEND, c, 40, 0, 0);
		p_when(OP_SEND, c, 40, 0, 0);
		go(x, c, 100, MSG_WAITALL);
		p_end();
		p_end();
		go(x, c, 100, MSG_WAITALL | MSG_DONTWAIT);
		/* Larger than a ring. */
		tw_tcp_ok(c);
		p_start(OP_SEND, c, 900000, 0, 0);
		go(x, c, 900000, MSG_WAITALL);
		p_end();
		/* A signal cuts it short once something is there. */
		tw_catch(SIGUSR1, 0);
		p_send(c, 10);
		p_when(OP_SIGNAL, c, SIGUSR1, 0, 0);
		go(x, c, 100, MSG_WAITALL);
		p_end();
		tw_timeo(c->fd, SO_RCVTIMEO, 30);
		p_send(c, 10);
		go(x, c, 100, MSG_WAITALL);
		tw_timeo(c->fd, SO_RCVTIMEO, 0);
		tw_mid(c);
	}
	p_send(c, 10);
	p_when(OP_SHUT, c, SHUT_WR, 0, 0);
	go(x, c, 100, MSG_WAITALL);
	p_end();
	go(x, c, 100, MSG_WAITALL);
}

static void
rx_trunc(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();

	if (!(x->what & MX_FLAGS)) {
		T("no flags");
		tw_mid(c);
		return;
	}
	for (int half = 0; half < 2; half++) {
		p_send(c, 100);
		memset(big, 0, 50);
		t_got(c, "TRUNC 30", x->rx(c->fd, big, 30, MSG_TRUNC), NULL);
		T("%s", big[0] || big[1] || big[2] ? "written" : "not written");
		t_got(c, "TRUNC nowhere",
			x->rx(c->fd, TW_NOWHERE, 20, MSG_TRUNC), NULL);
		t_got(c, "TRUNC null", x->rx(c->fd, NULL, 20, MSG_TRUNC), NULL);
		t_ret("TRUNC PEEK",
			x->rx(c->fd, big, 10, MSG_TRUNC | MSG_PEEK));
		t_got(c, "TRUNC 1000", x->rx(c->fd, big, 1000, MSG_TRUNC),
			NULL);
		t_ret("TRUNC DONTWAIT",
			x->rx(c->fd, big, 1000, MSG_TRUNC | MSG_DONTWAIT));
		p_send(c, 10);
		go(x, c, 100, 0);
		tw_mid(c);
	}
}

static void
rx_flags(const struct tw_call *x)
{
	static const int fl[] = {MSG_NOSIGNAL, MSG_CMSG_CLOEXEC, MSG_MORE,
		MSG_EOR, MSG_CONFIRM, MSG_DONTROUTE, MSG_CTRUNC, 0x40000,
		MSG_FASTOPEN, MSG_ZEROCOPY, MSG_WAITFORONE};
	struct tw_conn *c = tw_open();
	char what[64];

	if (!(x->what & MX_FLAGS)) {
		T("no flags");
		tw_mid(c);
		return;
	}
	for (int half = 0; half < 2; half++) {
		for (size_t i = 0; i < sizeof fl / sizeof *fl; i++) {
			p_send(c, 10);
			snprintf(what, sizeof what, "flag %#x", fl[i]);
			errno = 0;
			ssize_t r =
				x->rx(c->fd, big, 100, fl[i] | MSG_DONTWAIT);

			t_got(c, what, r, big);
			if (r < 0)
				go(x, c, 10, 0);
		}
		t_ret("ERRQUEUE",
			x->rx(c->fd, big, 100, MSG_ERRQUEUE | MSG_DONTWAIT));
		tw_mid(c);
	}
	/* OOB takes a connection off its rings. */
	tw_tcp_ok(c);
	t_ret("OOB, none", x->rx(c->fd, big, 100, MSG_OOB));
	t_ret("OOB PEEK, none", x->rx(c->fd, big, 100, MSG_OOB | MSG_PEEK));
	p_send(c, 10);
	go(x, c, 100, 0);
}

static void
rx_flight(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();

	tw_flight(c);
	go(x, c, 7, 0);
	go(x, c, 33, 0);
	go(x, c, 1, 0);
	if (x->what & MX_FLAGS)
		go(x, c, 359, MSG_WAITALL);
	else
		t_drain(c, 359);
	p_recv(c, TW_FLIGHT);
	tw_rounds(c, false);
	tw_flight(c);
	p_recv(c, TW_FLIGHT);
	t_drain(c, TW_FLIGHT);
}

struct cancelled {
	const struct tw_call *x;
	struct tw_conn *c;
	_Atomic int tid;
	bool cleaned;
};

static void
cleanup(void *arg)
{
	((struct cancelled *)arg)->cleaned = true;
}

static void *
to_be_cancelled(void *arg)
{
	struct cancelled *k = arg;
	char b[100];

	pthread_cleanup_push(cleanup, k);
	k->tid = tw_tid();
	k->x->rx(k->c->fd, b, sizeof b, 0);
	pthread_cleanup_pop(0);
	return NULL;
}

static void
rx_cancel(const struct tw_call *x)
{
	struct tw_conn *c = tw_open();

	/* syscall(2) is no cancellation point. */
	if (!strncmp(x->name, "sys_", 4)) {
		T("no cancellation point");
		tw_mid(c);
		return;
	}
	for (int half = 0; half < 2; half++) {
		struct cancelled k = {x, c, 0, false};
		pthread_t t;
		void *res;

		pthread_create(&t, NULL, to_be_cancelled, &k);
		while (!k.tid)
			tw_msleep(1);
		tw_asleep(k.tid);
		pthread_cancel(t);
		pthread_join(t, &res);
		T("%s, %s", res == PTHREAD_CANCELED ? "cancelled" : "returned",
			k.cleaned ? "cleaned" : "not cleaned");
		p_send(c, 30);
		go(x, c, 100, 0);
		tw_mid(c);
	}
}

static const struct tw_column columns[] = {
	{"ok", rx_ok, CORE},
	{"zero", rx_zero, 0},
	{"big", rx_big, 0},
	{"nonblock", rx_nonblock, CORE},
	{"dontwait", rx_dontwait, 0},
	{"block", rx_block, CORE},
	{"eintr", rx_eintr, CORE},
	{"restart", rx_restart, CORE},
	{"timeo", rx_timeo, F_SLOW},
	{"eof", rx_eof, CORE},
	{"eof_close", rx_eof_close, 0},
	{"eof_blocked", rx_eof_blocked, 0},
	{"rst", rx_rst, 0},
	{"rst_empty", rx_rst_empty, 0},
	{"rst_unread", rx_rst_unread, CORE},
	{"rst_blocked", rx_rst_blocked, 0},
	{"killed", rx_killed, F_PROC},
	{"killed_blocked", rx_killed_blocked, F_PROC | CORE},
	{"shut_rd", rx_shut_rd, 0},
	{"shut_wr", rx_shut_wr, 0},
	{"shut_rdwr", rx_shut_rdwr, 0},
	{"shut_blocked", rx_shut_blocked, 0},
	{"badfd", rx_badfd, CORE},
	{"badptr", rx_badptr, CORE | NOT(MX_PIPE | MX_COPY)},
	{"badoff", rx_badoff, CORE | NEEDS(MX_PIPE)},
	{"huge", rx_huge, NOT(MX_PIPE | MX_IOV | MX_COPY)},
	{"flight", rx_flight, CORE},
	{"cancel", rx_cancel, F_NOASAN},
	{"peek", rx_peek, NEEDS(MX_FLAGS)},
	{"waitall", rx_waitall, NEEDS(MX_FLAGS) | F_SLOW},
	{"trunc", rx_trunc, NEEDS(MX_FLAGS) | NOT(MX_COPY)},
	{"flags", rx_flags, NEEDS(MX_FLAGS)},
};

void
tw_rx_row(const struct tw_call *x)
{
	tw_row(x, columns, sizeof columns / sizeof *columns);
}
