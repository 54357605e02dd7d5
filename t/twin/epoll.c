/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * epoll beyond level-triggered waiting: edges, ONESHOT, EXCLUSIVE, book-
 * keeping, several sets, data, closed numbers, threads.
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
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "twin.h"

static char buf[65536];

static const char *
ev_name(unsigned ev)
{
	static char s[4][160];
	static unsigned turn;
	char *p = s[turn++ & 3];

	sprintf(p, "%s%s%s%s", t_ev(ev & 0xffff), ev & EPOLLET ? " ET" : "",
		ev & EPOLLONESHOT ? " ONESHOT" : "",
		ev & EPOLLEXCLUSIVE ? " EXCLUSIVE" : "");
	return p;
}

static int
ctl(int ep, int op, int fd, unsigned ev, uint64_t data)
{
	static const char *const name[] = {"?", "ADD", "DEL", "MOD"};
	struct epoll_event e = {.events = ev, .data.u64 = data};
	char what[200];
	int r;

	snprintf(what, sizeof what, "%s %s", op <= 3 ? name[op] : "?",
		ev_name(ev));
	errno = 0;
	r = epoll_ctl(ep, op, fd, &e);
	t_ret(what, r);
	return r;
}

static int
by_data(const void *a, const void *b)
{
	const struct epoll_event *x = a, *y = b;

	return x->data.u64 < y->data.u64 ? -1 : x->data.u64 > y->data.u64;
}

/* Waits and says what came, in an order of its own. */
static int
see(int ep, int ms)
{
	struct epoll_event ev[64];
	char s[2048] = "";
	int r;

	errno = 0;
	r = epoll_wait(ep, ev, 64, ms);
	if (r <= 0) {
		t_ret("wait", r);
		return r;
	}
	qsort(ev, r, sizeof *ev, by_data);
	for (int i = 0; i < r; i++)
		sprintf(s + strlen(s), " %llx:%s",
			(unsigned long long)ev[i].data.u64, t_ev(ev[i].events));
	T("wait = %d%s", r, s);
	return r;
}

/* As see, for a set of Kmap's and of ordinary fds: a wait may bring the ones
 * before the others, so it takes several and says what came in all. */
static void
see_all(int ep)
{
	struct epoll_event sum[64], ev[64];
	unsigned times[64] = {0};
	char s[2048] = "";
	int n = 0;

	for (int w = 0; w < 100; w++) {
		int r = epoll_wait(ep, ev, 64, 0);

		for (int i = 0; i < r; i++) {
			int k = 0;

			while (k < n && sum[k].data.u64 != ev[i].data.u64)
				k++;
			if (k == n)
				sum[n++] = ev[i];
			sum[k].events |= ev[i].events;
			times[sum[k].data.u64 & 63]++;
		}
	}
	qsort(sum, n, sizeof *sum, by_data);
	for (int i = 0; i < n; i++)
		sprintf(s + strlen(s), " %llx:%s%s",
			(unsigned long long)sum[i].data.u64,
			t_ev(sum[i].events),
			times[sum[i].data.u64 & 63] > 1 ? "*" : "");
	T("waits = %d%s", n, s);
}

static int
set(void)
{
	return epoll_create1(EPOLL_CLOEXEC);
}

#define IN EPOLLIN
#define OUT EPOLLOUT
#define RDHUP EPOLLRDHUP
#define ET EPOLLET
#define ONE EPOLLONESHOT
#define EXC EPOLLEXCLUSIVE
#define ADD EPOLL_CTL_ADD
#define MOD EPOLL_CTL_MOD
#define DEL EPOLL_CTL_DEL

/* ---- edges ---- */

CASE(epoll_et, arrival, 0)
{
	struct tw_conn *c = tw_open();
	int ep = set();

	ctl(ep, ADD, c->fd, IN | ET, 1);
	for (int half = 0; half < 2; half++) {
		see(ep, 0);
		for (int i = 0; i < 3; i++) {
			/* An edge for each arrival, though nothing was read. */
			p_send(c, 10);
			see(ep, 0);
			see(ep, 0);
		}
		t_peek(c, "peek", recv(c->fd, buf, 100, MSG_PEEK), buf);
		see(ep, 0);
		t_recv(c, 5);
		see(ep, 0);
		p_send(c, 10);
		see(ep, 0);
		t_recv(c, 100);
		t_recv(c, 100);
		see(ep, 0);
		p_when(OP_SEND, c, 10, 0, 0);
		see(ep, 5000);
		p_end();
		t_recv(c, 100);
		ctl(ep, DEL, c->fd, 0, 0);
		tw_mid(c);
		ctl(ep, ADD, c->fd, IN | ET, 2);
	}
}

/* The set holds the connection while it moves. */
CASE(epoll_et, moves, 0)
{
	struct tw_conn *c = tw_open();
	int ep = set();

	ctl(ep, ADD, c->fd, IN | OUT | RDHUP | ET, 1);
	see(ep, 0);
	tw_flight(c);
	p_recv(c, TW_FLIGHT);
	/* How many edges the flight gave nobody can say. */
	struct epoll_event ev;
	int r = epoll_wait(ep, &ev, 1, 0);

	T("%s, IN %s", r == 1 ? "an edge" : "none",
		r == 1 && (ev.events & IN) ? "yes" : "no");
	see(ep, 0);
	t_drain(c, TW_FLIGHT);
	see(ep, 0);
	for (int i = 0; i < 3; i++) {
		p_send(c, 10);
		see(ep, 0);
		see(ep, 0);
		t_recv(c, 20);
		see(ep, 0);
	}
	tw_rounds(c, false);
	p_when(OP_SEND, c, 10, 0, 0);
	while (epoll_wait(ep, &ev, 1, 0) == 1)
		;
	see(ep, 5000);
	p_end();
}

CASE(epoll_et, in_out, 0)
{
	struct tw_conn *c = tw_open();

	for (int half = 0; half < 2; half++) {
		int ep = set();

		ctl(ep, ADD, c->fd, IN | OUT | RDHUP | ET, 7);
		see(ep, 0);
		see(ep, 0);
		p_send(c, 10);
		see(ep, 0);
		see(ep, 0);
		t_recv(c, 10);
		see(ep, 0);
		t_send(c, 10);
		p_recv(c, 10);
		see(ep, 0);
		close(ep);
		tw_mid(c);
	}
}

/* An edge of OUT comes only after the buffer was full. */
CASE(epoll_et, out, F_TCP)
{
	struct tw_conn *c = tw_open();

	for (int half = 0; half < 2; half++) {
		int ep = set();
		long n;

		ctl(ep, ADD, c->fd, OUT | ET, 7);
		see(ep, 0);
		see(ep, 0);
		t_send(c, 100);
		p_recv(c, 100);
		see(ep, 0);
		n = t_fill(c);
		see(ep, 0);
		p_start(OP_RECV, c, n, 0, 0);
		see(ep, 5000);
		p_end();
		t_send(c, 10);
		p_recv(c, 10);
		close(ep);
		tw_mid(c);
	}
}

CASE(epoll_et, fin, 0)
{
	struct tw_conn *c = tw_open();
	int ep = set();

	tw_mid(c);
	ctl(ep, ADD, c->fd, IN | OUT | RDHUP | ET, 7);
	see(ep, 0);
	p_send(c, 10);
	see(ep, 0);
	p_shut_wr(c);
	see(ep, 0);
	see(ep, 0);
	t_recv(c, 100);
	t_recv(c, 100);
	see(ep, 0);
	ctl(ep, MOD, c->fd, IN | OUT | RDHUP | ET, 8);
	see(ep, 0);
	see(ep, 0);
	t_ret("shutdown", shutdown(c->fd, SHUT_WR));
	see(ep, 100);
}

CASE(epoll_et, fin_blocked, 0)
{
	struct tw_conn *c = tw_open();
	int ep = set();

	tw_mid(c);
	ctl(ep, ADD, c->fd, IN | RDHUP | ET, 7);
	see(ep, 0);
	p_when(OP_CLOSE, c, 0, 0, 0);
	see(ep, 5000);
	p_end();
	see(ep, 0);
	t_recv(c, 10);
}

CASE(epoll_et, rst, 0)
{
	struct tw_conn *c = tw_open();
	int ep = set();

	tw_mid(c);
	ctl(ep, ADD, c->fd, IN | OUT | RDHUP | ET, 7);
	see(ep, 0);
	p_rst(c);
	see(ep, 1000);
	see(ep, 0);
	t_recv(c, 10);
	see(ep, 0);
	ctl(ep, MOD, c->fd, IN | OUT | RDHUP | ET, 7);
	see(ep, 0);
	see(ep, 0);
}

/* ---- a sender in a set on which nobody was seen to wait ---- */

#define PIECE 16384

static struct tw_conn *
unwaited(int *ep)
{
	static struct tw_conn c;
	int port = p_do(OP_LISTEN, NULL, AF_INET, 0, 0).r;
	int fd = tw_connect_to(AF_INET, port, SOCK_NONBLOCK);

	tw_wrap(&c, fd, p_do(OP_ACCEPT, NULL, 0, 0, 0).r);
	tw_tp_reset(fd);
	*ep = set();
	ctl(*ep, ADD, fd, OUT | ET, 7);
	tw_now();
	if (tw->mode == MODE_BEFORE || tw->mode == MODE_MIDDLE)
		atomic_fetch_add(&tw->need_out, PIECE);
	return &c;
}

/* Sends so much, or until there is no room: then it is less. */
static long
pour(struct tw_conn *c, long n)
{
	long sum = 0, r;

	while (sum < n) {
		size_t k = n - sum < PIECE ? n - sum : PIECE;

		tw_fill(c, buf, k);
		r = send(c->fd, buf, k, MSG_NOSIGNAL);
		if (r < 0 && errno == EAGAIN)
			break;
		if (r <= 0) {
			t_sent(c, "send", r);
			break;
		}
		c->tx += r;
		sum += r;
	}
	return sum;
}

/* Until it has moved, to a receiver that takes all of it. */
static void
pour_all(struct tw_conn *c)
{
	bool up = tw->mode == MODE_BEFORE || tw->mode == MODE_MIDDLE,
	     all = true;

	for (int i = 0; i < 2 || (up && i < 400 && tw_tp_up(c->fd) <= 0); i++) {
		long n = 16 * PIECE;

		p_start(OP_RECV, c, n, 0, 0);
		for (long sum = 0, r; sum < n; sum += r) {
			r = pour(c, n - sum);
			if (r == 0)
				tw_msleep(1);
		}
		all = p_end().r == n && all;
	}
	T("the peer got all: %d", all);
}

CASE(epoll_unwaited, moves, F_TCP | F_CON | F_NOUP)
{
	int ep;
	struct tw_conn *c = unwaited(&ep);

	pour_all(c);
	pour_all(c);
	close(ep);
}

/* Its waits are system calls of the program's own: what a full ring did not
 * take must be TCP's, whose edge the program gets. */
CASE(epoll_unwaited, raw_waits, F_TCP | F_CON | F_NOUP)
{
	struct epoll_event ev;
	int ep;
	struct tw_conn *c = unwaited(&ep);

	for (int i = 0; i < 3; i++) {
		long n = 0, r;

		pour_all(c);
		while (kmap_syscall6(
			       SYS_epoll_pwait, ep, (long)&ev, 1, 0, 0, 8) > 0)
			;
		while ((r = pour(c, 64 * PIECE)) > 0)
			n += r;
		T("full: %d", n > 0);
		p_start(OP_RECV, c, n, 0, 0);
		r = kmap_syscall6(
			SYS_epoll_pwait, ep, (long)&ev, 1, 5000, 0, 8);
		T("edge: %ld %s", r, r == 1 ? t_ev(ev.events) : "");
		T("the peer got all: %d", p_end().r == n);
	}
	close(ep);
}

/* As Envoy does when it does not want to read. */
CASE(epoll_et, read_disabled, 0)
{
	struct tw_conn *c = tw_open();
	int ep = set();

	ctl(ep, ADD, c->fd, OUT | RDHUP | ET, 7);
	for (int half = 0; half < 2; half++) {
		see(ep, 0);
		p_send(c, 10);
		see(ep, 0);
		ctl(ep, DEL, c->fd, 0, 0);
		ctl(ep, ADD, c->fd, IN | OUT | RDHUP | ET, 8);
		see(ep, 0);
		see(ep, 0);
		t_recv(c, 100);
		ctl(ep, DEL, c->fd, 0, 0);
		tw_mid(c);
		ctl(ep, ADD, c->fd, OUT | RDHUP | ET, 7);
	}
	see(ep, 0);
	p_send(c, 10);
	p_shut_wr(c);
	see(ep, 1000);
	see(ep, 0);
}

/* An unchanged registration, made again to get the edge again. */
CASE(epoll_et, again, 0)
{
	struct tw_conn *c = tw_open();

	for (int half = 0; half < 2; half++) {
		int ep = set();

		ctl(ep, ADD, c->fd, IN | ET, 7);
		p_send(c, 10);
		see(ep, 0);
		see(ep, 0);
		ctl(ep, MOD, c->fd, IN | ET, 7);
		see(ep, 0);
		see(ep, 0);
		ctl(ep, DEL, c->fd, 0, 0);
		ctl(ep, ADD, c->fd, IN | ET, 7);
		see(ep, 0);
		see(ep, 0);
		ctl(ep, MOD, c->fd, OUT | ET, 7);
		see(ep, 0);
		see(ep, 0);
		ctl(ep, MOD, c->fd, ET, 7);
		see(ep, 0);
		p_send(c, 10);
		see(ep, 0);
		ctl(ep, MOD, c->fd, IN, 7);
		see(ep, 0);
		see(ep, 0);
		t_recv(c, 100);
		see(ep, 0);
		close(ep);
		tw_mid(c);
	}
}

CASE(epoll_et, lowat, 0)
{
	struct tw_conn *c = tw_open();
	int ep = set(), v = 20;

	tw_mid(c);
	t_ret("SO_RCVLOWAT",
		setsockopt(c->fd, SOL_SOCKET, SO_RCVLOWAT, &v, sizeof v));
	ctl(ep, ADD, c->fd, IN | ET, 7);
	p_send(c, 10);
	see(ep, 0);
	p_send(c, 10);
	see(ep, 0);
	see(ep, 0);
	t_recv(c, 20);
}

/* ---- ONESHOT, EXCLUSIVE ---- */

CASE(epoll_oneshot, all, 0)
{
	struct tw_conn *c = tw_open();
	int ep = set();

	ctl(ep, ADD, c->fd, IN | ONE, 7);
	for (int half = 0; half < 2; half++) {
		p_send(c, 10);
		see(ep, 0);
		see(ep, 0);
		p_send(c, 10);
		see(ep, 0);
		ctl(ep, MOD, c->fd, IN | ONE, 8);
		see(ep, 0);
		see(ep, 0);
		t_recv(c, 100);
		ctl(ep, MOD, c->fd, IN | ONE, 9);
		see(ep, 0);
		p_when(OP_SEND, c, 10, 0, 0);
		see(ep, 5000);
		p_end();
		see(ep, 0);
		t_recv(c, 100);
		ctl(ep, MOD, c->fd, IN | OUT | ET | ONE, 10);
		see(ep, 0);
		see(ep, 0);
		tw_mid(c);
		ctl(ep, MOD, c->fd, IN | ONE, 7);
	}
	ctl(ep, MOD, c->fd, IN | RDHUP | ONE, 7);
	p_shut_wr(c);
	see(ep, 0);
	see(ep, 0);
	/* ERR and HUP of a spent ONESHOT are not reported either. */
	p_rst(c);
	see(ep, 0);
	ctl(ep, MOD, c->fd, RDHUP | ONE, 7);
	see(ep, 0);
}

/* Spent before it moves: it is told of nothing until the next MOD. */
CASE(epoll_oneshot, moves, 0)
{
	struct tw_conn *c = tw_open();
	int ep = set(), ep2 = set();

	ctl(ep, ADD, c->fd, IN | ONE, 7);
	ctl(ep2, ADD, c->fd, IN | ET | ONE, 8);
	p_send(c, 10);
	see(ep, 1000);
	see(ep2, 1000);
	t_recv(c, 10);
	tw_mid(c);
	see(ep, 0);
	see(ep2, 0);
	p_send(c, 10);
	see(ep, 0);
	see(ep2, 0);
	ctl(ep, MOD, c->fd, IN | ONE, 7);
	ctl(ep2, MOD, c->fd, IN | ET | ONE, 8);
	see(ep, 0);
	see(ep2, 0);
	t_recv(c, 100);
	see(ep, 0);
	see(ep2, 0);
}

CASE(epoll_exclusive, all, 0)
{
	struct tw_conn *c = tw_open();
	int ep = set(), ep2 = set();

	ctl(ep, ADD, c->fd, IN | EXC, 1);
	ctl(ep2, ADD, c->fd, IN | EXC, 2);
	for (int half = 0; half < 2; half++) {
		see(ep, 0);
		p_send(c, 10);
		see(ep, 0);
		see(ep2, 0);
		t_recv(c, 10);
		see(ep, 0);
		see(ep2, 0);
		ctl(ep, MOD, c->fd, IN, 1);
		ctl(ep, MOD, c->fd, IN | EXC, 1);
		ctl(ep, ADD, c->fd, IN | EXC, 1);
		tw_mid(c);
	}
	ctl(ep, DEL, c->fd, 0, 0);
	ctl(ep, ADD, c->fd, IN | EXC | ONE, 1);
	ctl(ep, ADD, c->fd, IN | RDHUP | EXC, 1);
	ctl(ep, ADD, c->fd, IN | OUT | EXC | ET, 1);
	see(ep, 0);
	see(ep, 0);
	ctl(ep, ADD, ep2, IN | EXC, 1);
	p_send(c, 10);
	see(ep, 0);
	see(ep2, 0);
	p_shut_wr(c);
	see(ep, 0);
	see(ep2, 0);
}

/* ---- book-keeping ---- */

CASE(epoll_ctl, errors, 0)
{
	struct tw_conn *c = tw_open();
	int ep = set(), f = memfd_create("file", 0), ev = eventfd(0, 0);

	for (int half = 0; half < 2; half++) {
		ctl(ep, MOD, c->fd, IN, 1);
		ctl(ep, DEL, c->fd, IN, 1);
		ctl(ep, ADD, c->fd, IN, 1);
		ctl(ep, ADD, c->fd, OUT, 1);
		ctl(ep, 0, c->fd, IN, 1);
		ctl(ep, 9, c->fd, IN, 1);
		ctl(-1, ADD, c->fd, IN, 1);
		ctl(777, MOD, c->fd, IN, 1);
		ctl(c->fd, ADD, c->fd, IN, 1);
		ctl(ev, ADD, c->fd, IN, 1);
		ctl(ep, ADD, ep, IN, 1);
		ctl(ep, ADD, 777, IN, 1);
		ctl(ep, ADD, -1, IN, 1);
		ctl(ep, ADD, f, IN, 1);
		t_ret("ADD null", epoll_ctl(ep, ADD, c->fd, NULL));
		t_ret("MOD null", epoll_ctl(ep, MOD, c->fd, NULL));
		t_ret("MOD nowhere", epoll_ctl(ep, MOD, c->fd, TW_NOWHERE));
		see(ep, 0);
		t_ret("DEL null", epoll_ctl(ep, DEL, c->fd, NULL));
		t_ret("DEL null", epoll_ctl(ep, DEL, c->fd, NULL));
		see(ep, 0);
		tw_mid(c);
	}
	t_ret("ADD by syscall null",
		syscall(SYS_epoll_ctl, ep, ADD, c->fd, NULL));
	struct epoll_event e = {.events = IN, .data.u64 = 3};

	t_ret("ADD by syscall", syscall(SYS_epoll_ctl, ep, ADD, c->fd, &e));
	p_send(c, 1);
	see(ep, 0);
	ctl(ep, DEL, c->fd, 0, 0);
	see(ep, 0);
	close(f);
	close(ev);
}

/*
 * What stands at the connection when its registration changes shows in the
 * next wait, though it came when nobody asked for it: the registration did
 * not, was spent, or was not there.
 */
static void
stands(uint32_t before, uint32_t after, int way)
{
	struct tw_conn *c = tw_open();
	int ep = set();

	ctl(ep, ADD, c->fd, before, 1);
	tw_mid(c);
	see(ep, 0);
	see(ep, 0);
	if (way == 1)
		ctl(ep, DEL, c->fd, 0, 0);
	if (after & EPOLLPRI)
		p_do(OP_OOB, c, 1, 0, 0);
	else if (way == 2)
		p_do(OP_KILL, c, 0, 0, 0);
	else
		p_shut_wr(c);
	/* The state, not the set, tells that it came. */
	struct pollfd p = {c->fd, POLLPRI | POLLRDHUP, 0};

	T("poll %d %s", poll(&p, 1, 5000), t_ev(p.revents));
	for (int i = 0; i < 40; i++)
		see(ep, 0);
	ctl(ep, way == 1 ? ADD : MOD, c->fd, after, 2);
	see(ep, 0);
	see(ep, 0);
	ctl(ep, MOD, c->fd, before, 3);
	see(ep, 0);
	ctl(ep, MOD, c->fd, after, 4);
	see(ep, 0);
	if (after & EPOLLPRI) {
		t_ret("OOB", recv(c->fd, buf, 1, MSG_OOB));
		see(ep, 0);
		ctl(ep, MOD, c->fd, after, 5);
		see(ep, 0);
	}
}

CASE(epoll_ctl, stands_end, 0)
{
	stands(OUT, IN | RDHUP, 0);
}

CASE(epoll_ctl, stands_end_edge, 0)
{
	stands(OUT | ET, IN | RDHUP | ET, 0);
}

CASE(epoll_ctl, stands_end_spent, 0)
{
	stands(OUT | ONE, RDHUP | ONE, 0);
}

CASE(epoll_ctl, stands_end_away, 0)
{
	stands(IN | OUT, IN | RDHUP, 1);
}

CASE(epoll_ctl, stands_killed, F_PROC)
{
	stands(OUT, IN | RDHUP, 2);
}

CASE(epoll_ctl, stands_killed_edge, F_PROC)
{
	stands(OUT | ET, IN | RDHUP | ET, 2);
}

CASE(epoll_ctl, stands_killed_spent, F_PROC)
{
	stands(OUT | ONE, IN | ONE, 2);
}

CASE(epoll_ctl, stands_urgent, F_TCP)
{
	stands(OUT, IN | EPOLLPRI, 0);
}

CASE(epoll_ctl, stands_urgent_edge, F_TCP)
{
	stands(IN | ET, EPOLLPRI | ET, 0);
}

CASE(epoll_ctl, stands_urgent_away, F_TCP)
{
	stands(IN, EPOLLPRI, 1);
}

/* Bad arguments are the point. */
#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wstringop-overflow"

CASE(epoll_ctl, wait_errors, 0)
{
	struct tw_conn *c = tw_open();
	int ep = set();
	struct epoll_event e;

	ctl(ep, ADD, c->fd, IN, 1);
	for (int half = 0; half < 2; half++) {
		p_send(c, 1);
		t_ret("max 0", epoll_wait(ep, &e, 0, 0));
		t_ret("max -1", epoll_wait(ep, &e, -1, 0));
		t_ret("max INT_MAX", epoll_wait(ep, &e, 0x7fffffff, 0));
		t_ret("no set", epoll_wait(c->fd, &e, 1, 0));
		t_ret("closed", epoll_wait(777, &e, 1, 0));
		t_ret("-1", epoll_wait(-1, &e, 1, 0));
		t_ret("nowhere", epoll_wait(ep, TW_NOWHERE, 1, 0));
		t_ret("kernel", epoll_wait(ep, (void *)-4096L, 1, 0));
		t_ret("pwait2",
			epoll_pwait2(
				ep, &e, 1, &(struct timespec){0, -1}, NULL));
		t_ret("pwait2",
			epoll_pwait2(ep, &e, 1,
				&(struct timespec){0, 1000000000}, NULL));
		t_ret("pwait2",
			epoll_pwait2(
				ep, &e, 1, &(struct timespec){-1, 0}, NULL));
		t_ret("sigset size",
			syscall(SYS_epoll_pwait, ep, &e, 1, 0, TW_NOWHERE, 7));
		see(ep, 0);
		t_recv(c, 1);
		tw_mid(c);
	}
	t_ret("create 0", epoll_create(0));
	t_ret("create -1", epoll_create(-1));
	t_ret("create1", epoll_create1(0x1234));
	int e2 = epoll_create(1);

	T("create %s, CLOEXEC %d", e2 >= 0 ? "works" : "fails",
		fcntl(e2, F_GETFD));
	T("create1 CLOEXEC %d", fcntl(ep, F_GETFD));
	t_ret("read", read(ep, buf, 8));
	t_ret("write", write(ep, buf, 8));
}

CASE(epoll_ctl, data, 0)
{
	static const uint64_t d[] = {0, ~0ull, 1, 0x8000000000000000ull,
		0x4b4d415000000000ull, 0x00007fffffffffffull,
		0xffffffff00000000ull, 42};
	struct tw_conn *c[8];
	int ep = set();

	for (int i = 0; i < 8; i++) {
		c[i] = tw_open();
		ctl(ep, ADD, c[i]->fd, i & 1 ? IN : IN | ET, d[i]);
	}
	for (int half = 0; half < 2; half++) {
		for (int i = 0; i < 8; i++)
			p_send(c[i], 1 + i);
		see(ep, 0);
		for (int i = 0; i < 8; i++)
			ctl(ep, MOD, c[i]->fd, IN, d[7 - i] ^ half);
		see(ep, 0);
		for (int i = 0; i < 8; i++) {
			t_recv(c[i], 100);
			tw_mid(c[i]);
		}
		see(ep, 0);
	}
	for (int i = 0; i < 8; i++) {
		close(c[i]->fd);
		/* No tag of the library's may come with the last one's end. */
		see(ep, 0);
	}
}

CASE(epoll_ctl, several_sets, 0)
{
	struct tw_conn *c = tw_open();
	int a = set(), b = set(), d = set();

	ctl(a, ADD, c->fd, IN, 1);
	ctl(b, ADD, c->fd, IN | OUT | ET, 2);
	ctl(d, ADD, c->fd, OUT, 3);
	for (int half = 0; half < 2; half++) {
		see(a, 0);
		see(b, 0);
		see(d, 0);
		p_send(c, 10);
		see(a, 0);
		see(b, 0);
		see(d, 0);
		see(a, 0);
		see(b, 0);
		t_recv(c, 10);
		see(a, 0);
		see(d, 0);
		ctl(d, MOD, c->fd, half ? OUT : OUT | ONE, 4);
		see(d, 0);
		see(d, 0);
		see(b, 0);
		ctl(b, DEL, c->fd, 0, 0);
		tw_mid(c);
		ctl(b, ADD, c->fd, IN | OUT | ET, 2);
		ctl(d, MOD, c->fd, OUT, 3);
	}
	close(b);
	p_send(c, 10);
	see(a, 0);
	see(d, 0);
}

CASE(epoll_ctl, nested, 0)
{
	struct tw_conn *c = tw_open();
	int in = set(), mid = set(), out = set();
	struct pollfd p = {out, POLLIN, 0};

	ctl(in, ADD, c->fd, IN, 1);
	ctl(mid, ADD, in, IN, 2);
	ctl(out, ADD, mid, IN | ET, 3);
	ctl(in, ADD, out, IN, 4);
	for (int half = 0; half < 2; half++) {
		see(out, 0);
		p_send(c, 10);
		T("poll %d %s", poll(&p, 1, 1000), t_ev(p.revents));
		see(out, 0);
		see(mid, 0);
		see(in, 0);
		see(mid, 0);
		p_send(c, 10);
		see(out, 0);
		t_recv(c, 100);
		see(mid, 0);
		see(in, 0);
		T("poll %d %s", poll(&p, 1, 0), t_ev(p.revents));
		p_when(OP_SEND, c, 10, 0, 0);
		see(out, 5000);
		p_end();
		see(mid, 0);
		t_recv(c, 100);
		tw_mid(c);
		while (epoll_wait(out, &(struct epoll_event){0}, 1, 0) == 1)
			;
	}
	close(in);
	p_send(c, 10);
	see(mid, 0);
	see(out, 0);
}

/* ---- numbers that go away ---- */

CASE(epoll_close, plain, 0)
{
	struct tw_conn *c = tw_open(), *d = tw_open();
	int ep = set(), fd = c->fd;

	ctl(ep, ADD, c->fd, IN | OUT, 1);
	ctl(ep, ADD, d->fd, IN, 2);
	tw_mid(c);
	tw_mid(d);
	see(ep, 0);
	tw_close(c);
	see(ep, 0);
	ctl(ep, DEL, fd, 0, 0);
	ctl(ep, MOD, fd, IN, 3);
	p_send(d, 10);
	see(ep, 0);
	c = tw_open();
	T("the number is %s", c->fd == fd ? "used again" : "another");
	ctl(ep, MOD, c->fd, IN, 4);
	ctl(ep, ADD, c->fd, IN, 5);
	tw_mid(c);
	see(ep, 0);
	p_send(c, 10);
	see(ep, 0);
	t_recv(d, 10);
	t_recv(c, 10);
	close(d->fd);
	close(c->fd);
	see(ep, 0);
}

/* A copy keeps the registration alive under the closed number. */
CASE(epoll_close, dup_lives, F_TCP)
{
	struct tw_conn *c = tw_open();
	int ep = set(), fd, e;

	ctl(ep, ADD, c->fd, IN, 1);
	tw_mid(c);
	fd = c->fd;
	e = dup(fd);
	tw_close(c);
	c->fd = e;
	p_send(c, 10);
	see(ep, 0);
	ctl(ep, DEL, fd, 0, 0);
	ctl(ep, MOD, e, IN, 2);
	ctl(ep, ADD, e, IN, 3);
	see(ep, 0);
	t_recv(c, 4);
	see(ep, 0);
	t_recv(c, 100);
	see(ep, 0);
	p_send(c, 10);
	see(ep, 0);
	close(e);
	see(ep, 0);
}

CASE(epoll_close, dup_both, 0)
{
	struct tw_conn *c = tw_open();
	int ep = set(), d;

	tw_mid(c);
	d = dup(c->fd);
	ctl(ep, ADD, c->fd, IN, 1);
	ctl(ep, ADD, d, IN | ET, 2);
	ctl(ep, ADD, d, IN, 2);
	p_send(c, 10);
	see(ep, 0);
	see(ep, 0);
	ctl(ep, MOD, d, IN | OUT, 3);
	see(ep, 0);
	ctl(ep, DEL, c->fd, 0, 0);
	see(ep, 0);
	t_recv(c, 100);
	see(ep, 0);
	close(c->fd);
	c->fd = d;
	p_send(c, 10);
	see(ep, 0);
	t_recv(c, 10);
}

CASE(epoll_close, dup2_over, 0)
{
	struct tw_conn *c = tw_open(), *d = tw_open();
	int ep = set();

	tw_mid(c);
	tw_mid(d);
	ctl(ep, ADD, c->fd, IN, 1);
	t_ret("dup2", dup2(d->fd, c->fd) == c->fd ? 0 : -1);
	p_send(d, 10);
	see(ep, 0);
	ctl(ep, MOD, c->fd, IN, 2);
	ctl(ep, ADD, c->fd, IN, 2);
	see(ep, 0);
	c->fd = d->fd;
	t_recv(d, 100);
	see(ep, 0);
}

CASE(epoll_close, set_closed, 0)
{
	struct tw_conn *c = tw_open();

	for (int i = 0; i < 20; i++) {
		int ep = set();

		ctl(ep, ADD, c->fd, IN, i);
		p_send(c, 1);
		see(ep, 0);
		t_recv(c, 1);
		close(ep);
		if (i == 10)
			tw_mid(c);
	}
}

CASE(epoll_close, set_dup, 0)
{
	struct tw_conn *c = tw_open();
	int ep = set(), e2;

	ctl(ep, ADD, c->fd, IN, 1);
	tw_mid(c);
	e2 = dup(ep);
	p_send(c, 10);
	see(ep, 0);
	see(e2, 0);
	close(ep);
	see(e2, 0);
	ctl(e2, MOD, c->fd, IN | OUT, 2);
	see(e2, 0);
	t_recv(c, 10);
	see(e2, 0);
	close(e2);
}

/* ---- beside others ---- */

CASE(epoll_mixed, others, 0)
{
	struct tw_conn *c = tw_open(), *d = tw_open();
	int ep = set(), pp[2], ev = eventfd(0, EFD_NONBLOCK), one = 1;
	int l = tw_listen(AF_INET), k;
	uint64_t v = 1;

	(void)one;
	if (pipe(pp) < 0)
		return;
	ctl(ep, ADD, c->fd, IN, 1);
	ctl(ep, ADD, pp[0], IN, 2);
	ctl(ep, ADD, ev, IN | ET, 3);
	ctl(ep, ADD, d->fd, IN | ET, 4);
	ctl(ep, ADD, l, IN, 5);
	for (int half = 0; half < 2; half++) {
		see_all(ep);
		p_send(c, 1);
		t_ret("pipe", write(pp[1], "x", 1));
		t_ret("eventfd", write(ev, &v, sizeof v));
		p_send(d, 1);
		see_all(ep);
		t_recv(c, 1);
		see_all(ep);
		t_ret("pipe", read(pp[0], buf, 10));
		t_recv(d, 1);
		see_all(ep);
		k = tw_connect_to(AF_INET, tw_port(l), 0);
		see(ep, 1000);
		close(accept(l, NULL, NULL));
		close(k);
		see_all(ep);
		tw_mid(c);
		tw_mid(d);
		while (epoll_wait(ep, &(struct epoll_event){0}, 1, 0) == 1)
			;
	}
}

/* A busy connection starves nobody. */
CASE(epoll_mixed, fair, 0)
{
	struct tw_conn *c[5];
	int ep = set(), pp[2];
	unsigned seen = 0;

	if (pipe(pp) < 0)
		return;
	for (int i = 0; i < 5; i++) {
		c[i] = tw_open();
		tw_mid(c[i]);
		ctl(ep, ADD, c[i]->fd, IN, i);
		p_send(c[i], 10);
	}
	ctl(ep, ADD, pp[0], IN, 5);
	t_ret("pipe", write(pp[1], "x", 1));
	for (int i = 0; i < 12; i++) {
		struct epoll_event e[2];
		int r = epoll_wait(ep, e, 2, 0);

		if (r != 2)
			t_ret("wait", r);
		for (int k = 0; k < r; k++)
			seen |= 1u << e[k].data.u64;
	}
	T("seen %#x", seen);
}

CASE(epoll_mixed, timers, 0)
{
	struct tw_conn *c = tw_open();
	int ep = set();
	uint64_t t;

	ctl(ep, ADD, c->fd, IN, 1);
	for (int half = 0; half < 2; half++) {
		t = tw_ns();
		see(ep, 20);
		T("%s", tw_ns() - t >= 19000000 ? "waited" : "too early");
		t = tw_ns();
		t_ret("pwait2 1.5 ms",
			epoll_pwait2(ep, &(struct epoll_event){0}, 1,
				&(struct timespec){0, 1500000}, NULL));
		T("%s", tw_ns() - t >= 1400000 ? "waited" : "too early");
		p_when(OP_SEND, c, 1, 0, 0);
		see(ep, -1);
		p_end();
		t_recv(c, 1);
		tw_mid(c);
	}
}

/* ---- before it is connected ---- */

CASE(epoll_connect, before, F_CON)
{
	struct tw_conn c;
	struct sockaddr_in a = {.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int ep = set(), fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	int v = -1;
	socklen_t l = sizeof v;

	a.sin_port = htons(p_do(OP_LISTEN, NULL, AF_INET, 0, 0).r);
	ctl(ep, ADD, fd, IN | OUT | RDHUP | ET, 1);
	see(ep, 0);
	see(ep, 0);
	t_ret("connect", connect(fd, (void *)&a, sizeof a));
	see(ep, 1000);
	t_ret("SO_ERROR", getsockopt(fd, SOL_SOCKET, SO_ERROR, &v, &l));
	T("%d", v);
	tw_tp_reset(fd);
	tw_wrap(&c, fd, p_do(OP_ACCEPT, NULL, 0, 0, 0).r);
	tw_preamble(&c);
	tw_mid(&c);
	while (epoll_wait(ep, &(struct epoll_event){0}, 1, 0) == 1)
		;
	p_send(&c, 10);
	see(ep, 0);
	see(ep, 0);
	t_recv(&c, 100);
	p_close(&c);
	see(ep, 0);
}

/* ---- signals ---- */

static void
see_masked(int ep, int ms, const sigset_t *m)
{
	struct epoll_event e = {0};
	int r = epoll_pwait(ep, &e, 1, ms, m);

	t_ret("pwait", r);
	if (r > 0)
		T("%s", t_ev(e.events));
	T("signals %d", tw_sigs);
}

CASE(epoll_signal, mask, 0)
{
	struct tw_conn *c = tw_open();
	sigset_t blocked, none;
	int ep = set();

	sigemptyset(&none);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	tw_catch(SIGUSR1, SA_RESTART);
	ctl(ep, ADD, c->fd, IN, 1);
	sigprocmask(SIG_BLOCK, &blocked, NULL);
	for (int half = 0; half < 2; half++) {
		raise(SIGUSR1);
		see_masked(ep, 0, &blocked);
		see_masked(ep, 10, NULL);
		/* Pending, let through by the mask. */
		see_masked(ep, 5000, &none);
		see_masked(ep, 0, &none);
		p_send(c, 10);
		raise(SIGUSR1);
		see_masked(ep, 5000, &none);
		see_masked(ep, 5000, &none);
		t_recv(c, 10);
		p_when(OP_SIGNAL, c, SIGUSR1, 0, 0);
		see_masked(ep, 5000, &none);
		p_end();
		/* The old mask is back. */
		raise(SIGUSR1);
		T("signals %d", tw_sigs);
		see_masked(ep, 5000, &none);
		p_when(OP_SIGNAL, c, SIGUSR1, 0, 0);
		p_when(OP_SEND, c, 10, 0, 0);
		see_masked(ep, 5000, &blocked);
		p_end();
		p_end();
		t_recv(c, 10);
		see_masked(ep, 0, &none);
		tw_mid(c);
	}
}

/* Between the last look and the sleep. */
CASE(epoll_signal, gap, 0)
{
	struct tw_conn *c = tw_open();
	struct pollfd p = {.fd = c->fd, .events = POLLIN};
	struct timeval t;
	int ep = set();
	fd_set r;

	ctl(ep, ADD, c->fd, IN, 1);
	tw_mid(c);
	tw_catch(SIGUSR1, SA_RESTART);
	for (int i = 0; i < 2; i++) {
		tw_signal_at_sleep(c);
		see(ep, i ? -1 : 5000);
		tw_signal_done();
		tw_signal_at_sleep(c);
		t_ret("poll", poll(&p, 1, i ? -1 : 5000));
		tw_signal_done();
		tw_signal_at_sleep(c);
		t = (struct timeval){5, 0};
		FD_ZERO(&r);
		FD_SET(c->fd, &r);
		t_ret("select",
			select(c->fd + 1, &r, NULL, NULL, i ? NULL : &t));
		tw_signal_done();
	}
	tw_catch(SIGUSR1, 0);
	for (int i = 0; i < 2; i++) {
		tw_signal_at_sleep(c);
		t_got(c, "recv", recv(c->fd, buf, 10, 0), buf);
		tw_signal_done();
	}
	p_send(c, 10);
	see(ep, 0);
	t_recv(c, 10);
	see(ep, 0);
}

CASE(epoll_signal, eintr, 0)
{
	struct tw_conn *c = tw_open();
	int ep = set();

	tw_catch(SIGUSR1, SA_RESTART);
	ctl(ep, ADD, c->fd, IN | ET, 1);
	for (int half = 0; half < 2; half++) {
		p_when(OP_SIGNAL, c, SIGUSR1, 0, 0);
		see(ep, -1);
		p_end();
		p_when(OP_SIGNAL, c, SIGUSR1, 0, 0);
		see(ep, 5000);
		p_end();
		p_send(c, 10);
		see(ep, 0);
		t_recv(c, 10);
		tw_mid(c);
		while (epoll_wait(ep, &(struct epoll_event){0}, 1, 0) == 1)
			;
	}
}

/* ---- threads ---- */

struct waiter {
	int ep, ms;
	_Atomic int tid;
	int r;
	struct epoll_event e;
	pthread_t t;
};

static void *
waiting(void *arg)
{
	struct waiter *w = arg;

	w->tid = tw_tid();
	w->r = epoll_wait(w->ep, &w->e, 1, w->ms);
	return NULL;
}

static void
start(struct waiter *w, int ep, int ms)
{
	memset(w, 0, sizeof *w);
	w->ep = ep;
	w->ms = ms;
	pthread_create(&w->t, NULL, waiting, w);
	while (!w->tid)
		tw_msleep(1);
	tw_asleep(w->tid);
}

static void
result(struct waiter *w)
{
	pthread_join(w->t, NULL);
	T("thread: %d %s", w->r, w->r > 0 ? t_ev(w->e.events) : "");
}

/* Of two threads in one set, an edge wakes one. */
CASE(epoll_thread, two, F_SLOW)
{
	struct tw_conn *c = tw_open();

	for (int half = 0; half < 2; half++) {
		for (int one = 0; one < 2; one++) {
			struct waiter a, b;
			int ep = set();

			ctl(ep, ADD, c->fd, one ? IN | ONE : IN | ET, 1);
			start(&a, ep, 150);
			start(&b, ep, 150);
			p_send(c, 10);
			pthread_join(a.t, NULL);
			pthread_join(b.t, NULL);
			T("woken %d", a.r + b.r);
			see(ep, 0);
			t_recv(c, 10);
			close(ep);
		}
		tw_mid(c);
	}
}

/* A thread waits in a set before anything is in it, alone or in a set around
 * it: what it is told is of the application. */
CASE(epoll_thread, empty, 0)
{
	struct tw_conn *c = tw_open();

	for (int half = 0; half < 2; half++) {
		for (int how = 0; how < 3; how++) {
			unsigned more = how == 1 ? ET | ONE : 0;
			int in = set(), out = how == 2 ? set() : in;
			struct waiter w;

			if (out != in)
				ctl(out, ADD, in, IN, 7);
			start(&w, out, 5000);
			ctl(in, ADD, c->fd, IN | more, 5);
			tw_msleep(20);
			p_send(c, 10);
			result(&w);
			T("data %llu", (unsigned long long)w.e.data.u64);
			t_recv(c, 10);
			if (out != in)
				close(out);
			close(in);
		}
		tw_mid(c);
	}
}

/* Two threads, two connections: both are served. */
CASE(epoll_thread, two_events, 0)
{
	struct tw_conn *c = tw_open(), *d = tw_open();

	for (int half = 0; half < 2; half++) {
		struct waiter a, b;
		int ep = set();

		ctl(ep, ADD, c->fd, IN | ET, 1);
		ctl(ep, ADD, d->fd, IN | ET, 2);
		start(&a, ep, 5000);
		start(&b, ep, 5000);
		p_send(c, 10);
		p_send(d, 10);
		pthread_join(a.t, NULL);
		pthread_join(b.t, NULL);
		T("woken %d for %llu", a.r + b.r,
			(unsigned long long)(a.e.data.u64 + b.e.data.u64));
		see(ep, 0);
		t_recv(c, 10);
		t_recv(d, 10);
		close(ep);
		tw_mid(c);
		tw_mid(d);
	}
}

CASE(epoll_thread, ctl_meanwhile, 0)
{
	struct tw_conn *c = tw_open();

	for (int half = 0; half < 2; half++) {
		struct waiter w;
		int ep = set();

		start(&w, ep, 5000);
		p_send(c, 10);
		ctl(ep, ADD, c->fd, IN, 1);
		result(&w);
		t_recv(c, 10);
		start(&w, ep, 5000);
		ctl(ep, MOD, c->fd, IN | OUT, 2);
		result(&w);
		ctl(ep, MOD, c->fd, IN, 2);
		start(&w, ep, 100);
		ctl(ep, DEL, c->fd, 0, 0);
		p_send(c, 10);
		result(&w);
		ctl(ep, ADD, c->fd, IN, 3);
		see(ep, 0);
		t_recv(c, 10);
		close(ep);
		tw_mid(c);
	}
}

/* It sits in epoll_wait when the connection may move. */
CASE(epoll_thread, moves, 0)
{
	struct tw_conn *c = tw_open();
	int ep = set();
	struct waiter w;

	ctl(ep, ADD, c->fd, IN, 1);
	start(&w, ep, 5000);
	tw_now();
	for (int i = 0; i < 20; i++) {
		tw_fill(c, buf, 10);
		if (send(c->fd, buf, 10, 0) == 10)
			c->tx += 10;
		p_recv(c, 10);
	}
	p_send(c, 10);
	result(&w);
	t_recv(c, 100);
	tw_mid(c);
	start(&w, ep, 5000);
	p_send(c, 10);
	result(&w);
	t_recv(c, 100);
	see(ep, 0);
}

CASE(epoll_thread, closed, 0)
{
	struct tw_conn *c = tw_open(), *d = tw_open();
	struct waiter w;
	int ep = set();

	tw_mid(c);
	tw_mid(d);
	ctl(ep, ADD, c->fd, IN, 1);
	ctl(ep, ADD, d->fd, IN, 2);
	start(&w, ep, 5000);
	tw_close(c);
	p_send(d, 10);
	result(&w);
	T("for %llu", (unsigned long long)w.e.data.u64);
}

/* ---- fork ---- */

CASE(epoll_fork, shared, F_NOUP)
{
	struct tw_conn *c = tw_open();
	int ep = set(), st;
	pid_t pid;

	ctl(ep, ADD, c->fd, IN, 1);
	tw_now();
	tw_rounds(c, false);
	pid = fork();
	if (pid == 0) {
		p_send(c, 10);
		see(ep, 1000);
		t_recv(c, 5);
		see(ep, 0);
		ctl(ep, MOD, c->fd, IN, 2);
		_exit(0);
	}
	waitpid(pid, &st, 0);
	t_ret("child", st);
	see(ep, 0);
	c->rx += 5;
	t_recv(c, 100);
	see(ep, 0);
	p_send(c, 10);
	see(ep, 1000);
}

/* In the child what `fn` does; the parent has waited for it. */
static void
in_child(void (*fn)(struct tw_conn *c, int ep), struct tw_conn *c, int ep)
{
	int st = -1;
	pid_t pid = fork();

	if (pid == 0) {
		fn(c, ep);
		_exit(0);
	}
	waitpid(pid, &st, 0);
	t_ret("child", st);
}

static void
closes(struct tw_conn *c, int ep)
{
	close(c->fd);
	close(ep);
}

static void
sees_once(struct tw_conn *c, int ep)
{
	p_send(c, 10);
	see(ep, 1000);
	see(ep, 0);
}

static void
removes(struct tw_conn *c, int ep)
{
	ctl(ep, DEL, c->fd, 0, 0);
}

static void
removes_by_child(struct tw_conn *c, int ep)
{
	in_child(removes, c, ep);
	see(ep, 0);
}

static void
adds(struct tw_conn *c, int ep)
{
	ctl(ep, ADD, c->fd, IN, 1);
	see(ep, 0);
	p_send(c, 10);
	see(ep, 1000);
	t_recv(c, 5);
	see(ep, 0);
}

/* What has moved, and a child adds to the set that it inherited. */
CASE(epoll_fork, added_by_child, F_NOUP)
{
	struct tw_conn *c = tw_open();
	int ep = set();

	tw_mid(c);
	tw_tcp_ok(c);
	see(ep, 0);
	in_child(adds, c, ep);
	see(ep, 0);
	c->rx += 5;
	t_recv(c, 100);
	see(ep, 0);
	p_send(c, 10);
	see(ep, 1000);
	t_recv(c, 100);
	close(ep);
}

/* A child that closes what it got leaves the parent's set as it is. */
CASE(epoll_fork, closes, F_NOUP | F_PROC)
{
	struct tw_conn *c = tw_open();
	int ep = set();

	ctl(ep, ADD, c->fd, IN | RDHUP | ET, 1);
	tw_mid(c);
	in_child(closes, c, ep);
	while (epoll_wait(ep, &(struct epoll_event){0}, 1, 0) == 1)
		;
	for (int i = 0; i < 3; i++) {
		p_send(c, 10);
		see(ep, 1000);
		see(ep, 0);
		t_recv(c, 10);
	}
	/* The kernel alone knows of this end. */
	p_when(OP_KILL, c, 0, 0, 0);
	see(ep, 5000);
	t_recv(c, 10);
	ctl(ep, DEL, c->fd, 0, 0);
}

/* As libuv's uv_loop_fork: another set for what the inherited one held. */
static void
begins_anew(struct tw_conn *c, int ep)
{
	int other, p[2];

	close(ep);
	other = set();
	if (pipe(p) != 0)
		T("no pipe");
	for (int i = 0; i < 2; i++)
		ctl(other, ADD, p[i], p[i] == p[0] ? IN : OUT, 8 + i);
	ctl(other, ADD, c->fd, IN | RDHUP, 7);
	see(other, 0);
}

CASE(epoll_fork, anew, F_NOUP)
{
	struct tw_conn *c = tw_open();
	int ep = set(), p[2];

	if (pipe(p) != 0)
		T("no pipe");
	ctl(ep, ADD, c->fd, IN | RDHUP | ET, 1);
	ctl(ep, ADD, p[0], IN, 2);
	ctl(ep, ADD, p[1], OUT, 3);
	see(ep, 0);
	tw_mid(c);
	in_child(begins_anew, c, ep);
	ctl(ep, MOD, p[1], 0, 3);
	for (int i = 0; i < 3; i++) {
		p_send(c, 10);
		see(ep, 1000);
		t_recv(c, 10);
	}
	close(p[0]);
	close(p[1]);
	close(ep);
}

/* An event, or a ONESHOT, is spent for all. */
CASE(epoll_fork, spent, F_NOUP)
{
	static const unsigned ev[] = {IN | ONE, IN | ET, IN | ET | ONE, IN};

	for (int i = 0; i < 4; i++) {
		struct tw_conn *c = tw_open();
		int ep = set();

		tw_mid(c);
		ctl(ep, ADD, c->fd, ev[i], 1);
		in_child(sees_once, c, ep);
		see(ep, 0);
		ctl(ep, MOD, c->fd, ev[i], 2);
		see(ep, 0);
		see(ep, 0);
		t_recv(c, 20);
		see(ep, 0);
	}
}

CASE(epoll_fork, removed, F_NOUP)
{
	for (int i = 0; i < 2; i++) {
		struct tw_conn *c = tw_open();
		int ep = set();

		ctl(ep, ADD, c->fd, IN, 1);
		tw_mid(c);
		see(ep, 0);
		in_child(i ? removes_by_child : removes, c, ep);
		p_send(c, 10);
		see(ep, 20);
		ctl(ep, MOD, c->fd, IN, 2);
		ctl(ep, ADD, c->fd, IN, 3);
		see(ep, 0);
		t_recv(c, 20);
		see(ep, 0);
	}
}

/* What a child changes wakes the parent, and what the parent does the child. */
CASE(epoll_fork, wakes, F_NOUP)
{
	struct tw_conn *c = tw_open();
	int ep = set(), st = -1;
	pid_t pid, parent = getpid(), tid = tw_tid();

	ctl(ep, ADD, c->fd, 0, 1);
	tw_mid(c);
	p_send(c, 10);
	pid = fork();
	if (pid == 0) {
		tw_asleep_in(parent, tid);
		_exit(epoll_ctl(ep, MOD, c->fd,
			      &(struct epoll_event){
				      .events = IN, .data.u64 = 2}) != 0);
	}
	see(ep, 10000);
	waitpid(pid, &st, 0);
	t_ret("child", st);
	t_recv(c, 20);
	ctl(ep, MOD, c->fd, 0, 3);
	p_send(c, 10);
	pid = fork();
	if (pid == 0) {
		see(ep, 10000);
		_exit(0);
	}
	tw_asleep_in(pid, pid);
	if (epoll_ctl(ep, MOD, c->fd,
		    &(struct epoll_event){.events = IN, .data.u64 = 4}))
		T("MOD failed");
	waitpid(pid, &st, 0);
	t_ret("child", st);
	see(ep, 0);
	t_recv(c, 20);
	see(ep, 0);
}

/* ---- a seeded walk ---- */

static unsigned
next(unsigned *s)
{
	*s = *s * 1664525 + 1013904223;
	return *s >> 8;
}

static void
walk(unsigned seed)
{
	static const unsigned masks[] = {IN, IN | ET, IN | OUT | ET, IN | RDHUP,
		OUT, IN | ONE, IN | OUT | RDHUP | ET | ONE, 0,
		OUT | RDHUP | ET};
	struct tw_conn *c = tw_open();
	int a = set(), b = set();
	unsigned s = seed;

	ctl(a, ADD, c->fd, IN | ET, 1);
	ctl(b, ADD, c->fd, IN, 2);
	for (int i = 0; i < 60; i++) {
		unsigned m = masks[next(&s) % 9];
		unsigned k = next(&s) % 200 + 1;
		int ep = next(&s) & 1 ? a : b;

		switch (next(&s) % 8) {
		case 0:
		case 1:
			T("arrive");
			p_send(c, k);
			break;
		case 2:
			t_recv(c, k);
			break;
		case 3:
			t_recv(c, 60000);
			break;
		case 4:
			ctl(ep, MOD, c->fd, m, seed + i);
			break;
		case 5:
			t_send(c, k);
			p_recv(c, k);
			break;
		case 6:
			if (next(&s) & 1)
				break;
			ctl(ep, DEL, c->fd, 0, 0);
			ctl(ep, ADD, c->fd, m, seed + i);
			break;
		}
		see(ep, 0);
		if (i == 30) {
			t_drain(c, 0);
			t_recv(c, 60000);
			tw_mid(c);
			while (epoll_wait(a, &(struct epoll_event){0}, 1, 0) ==
					1 &&
				k++ < 300)
				;
			ctl(b, MOD, c->fd, IN, 2);
			ctl(a, MOD, c->fd, IN | ET, 1);
		}
		see(a, 0);
		see(b, 0);
	}
	p_shut_wr(c);
	see(a, 0);
	see(b, 0);
	t_recv(c, 60000);
	t_recv(c, 60000);
	see(a, 0);
	see(b, 0);
}

#define WALK(n)                                                                \
	CASE(epoll_walk, seed##n, 0)                                           \
	{                                                                      \
		walk(n);                                                       \
	}

WALK(1)
WALK(2)
WALK(3)
WALK(4)
WALK(5)
WALK(6)
