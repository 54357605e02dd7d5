/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * poll and select on many fds, beside other fds, with masks and bad use.
 */
#include <config.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "twin.h"

#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wnonnull"
#pragma GCC diagnostic ignored "-Wstringop-overflow"

static char buf[65536];

static void
polls(struct pollfd *p, int n, int ms)
{
	char s[512] = "";
	int r;

	for (int i = 0; i < n; i++)
		p[i].revents = -1;
	errno = 0;
	r = poll(p, n, ms);
	if (r < 0) {
		t_ret("poll", r);
		return;
	}
	for (int i = 0; i < n; i++)
		sprintf(s + strlen(s), " %s",
			t_ev((unsigned short)p[i].revents));
	T("poll = %d%s", r, s);
}

CASE(pollx, mixed, 0)
{
	struct tw_conn *c = tw_open(), *d = tw_open();
	int pp[2], ev = eventfd(0, EFD_NONBLOCK), l = tw_listen(AF_INET);
	uint64_t v = 1;

	if (pipe(pp) < 0)
		return;
	struct pollfd p[] = {{c->fd, POLLIN, 0}, {pp[0], POLLIN, 0},
		{-1, POLLIN, 0}, {d->fd, POLLIN | POLLOUT, 0}, {ev, POLLIN, 0},
		{777, POLLIN, 0}, {l, POLLIN, 0}, {c->fd, POLLOUT, 0},
		{c->fd, 0, 0}};

	for (int half = 0; half < 2; half++) {
		polls(p, 9, 0);
		polls(p, 0, 0);
		polls(p, 3, 5);
		p_send(c, 10);
		polls(p, 9, 0);
		t_ret("pipe", write(pp[1], "x", 1));
		t_ret("eventfd", write(ev, &v, 8));
		p_send(d, 10);
		polls(p, 9, 1000);
		t_recv(c, 10);
		t_recv(d, 10);
		polls(p, 9, -1);
		t_ret("pipe", read(pp[0], buf, 9));
		t_ret("eventfd", read(ev, &v, 8));
		/* Each of them wakes the sleeper. */
		p[3].events = POLLIN;
		p_when(OP_SEND, d, 10, 0, 0);
		polls(p, 5, 5000);
		p_end();
		t_recv(d, 10);
		p_when(OP_CONNECT, NULL, tw_port(l), 0, 0);
		struct pollfd q[] = {{c->fd, POLLIN, 0}, {l, POLLIN, 0}};

		polls(q, 2, 5000);
		p_end();
		close(accept(l, NULL, NULL));
		p[3].events = POLLIN | POLLOUT;
		tw_mid(c);
		tw_mid(d);
	}
}

CASE(pollx, twice, 0)
{
	struct tw_conn *c = tw_open();
	struct pollfd p[] = {{c->fd, POLLIN, 0}, {c->fd, POLLIN | POLLOUT, 0},
		{c->fd, POLLRDNORM | POLLWRNORM | POLLRDBAND | POLLWRBAND, 0},
		{c->fd, POLLPRI, 0}, {c->fd, -1, 0}};

	for (int half = 0; half < 2; half++) {
		polls(p, 5, 0);
		p_send(c, 10);
		polls(p, 5, 0);
		t_recv(c, 10);
		tw_mid(c);
	}
	p_shut_wr(c);
	polls(p, 5, 0);
}

CASE(pollx, many, 0)
{
	struct tw_conn *c[24];
	struct pollfd p[24];

	for (int i = 0; i < 24; i++) {
		c[i] = tw_open();
		p[i] = (struct pollfd){c[i]->fd, POLLIN, 0};
	}
	for (int i = 0; i < 24; i++)
		tw_mid(c[i]);
	polls(p, 24, 0);
	p_send(c[5], 10);
	p_send(c[17], 10);
	polls(p, 24, 1000);
	t_recv(c[5], 10);
	t_recv(c[17], 10);
	for (int i = 0; i < 24; i += 5) {
		p_when(OP_SEND, c[i], 10, 0, 0);
		polls(p, 24, 5000);
		p_end();
		t_recv(c[i], 10);
	}
	for (int i = 0; i < 24; i += 3)
		p_shut_wr(c[i]);
	polls(p, 24, 1000);
}

CASE(pollx, bad, F_NOASAN)
{
	struct tw_conn *c = tw_open();
	struct pollfd p = {c->fd, POLLOUT, 0};
	struct rlimit rl;
	struct timespec ts;

	getrlimit(RLIMIT_NOFILE, &rl);
	for (int half = 0; half < 2; half++) {
		t_ret("nowhere", poll(TW_NOWHERE, 1, 0));
		t_ret("null", poll(NULL, 1, 0));
		t_ret("null, 0", poll(NULL, 0, 0));
		t_ret("too many", poll(&p, rl.rlim_cur + 1, 0));
		ts = (struct timespec){0, -1};
		t_ret("bad time", ppoll(&p, 1, &ts, NULL));
		ts = (struct timespec){-1, 0};
		t_ret("bad time", ppoll(&p, 1, &ts, NULL));
		ts = (struct timespec){0, 1000000000};
		t_ret("bad time", ppoll(&p, 1, &ts, NULL));
		ts = (struct timespec){3, 14};
		t_ret("ppoll", ppoll(&p, 1, &ts, NULL));
		T("time-out left as it was: %d",
			ts.tv_sec == 3 && ts.tv_nsec == 14);
		tw_mid(c);
	}
}

/* Only SIGUSR1 is let through, or only it is kept out. */
static void
masked(struct tw_conn *c, int kind, const sigset_t *m)
{
	struct timespec ts = {5, 0};
	struct pollfd p = {c->fd, POLLIN, 0};
	fd_set in;
	int r;

	FD_ZERO(&in);
	FD_SET(c->fd, &in);
	r = kind ? pselect(c->fd + 1, &in, NULL, NULL, &ts, m)
		 : ppoll(&p, 1, &ts, m);
	t_ret(kind ? "pselect" : "ppoll", r);
	T("signals %d", tw_sigs);
}

CASE(pollx, masks, 0)
{
	struct tw_conn *c = tw_open();
	sigset_t blocked, none;

	sigemptyset(&none);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	tw_catch(SIGUSR1, SA_RESTART);
	sigprocmask(SIG_BLOCK, &blocked, NULL);
	for (int half = 0; half < 2; half++) {
		for (int kind = 0; kind < 2; kind++) {
			raise(SIGUSR1);
			masked(c, kind, &none);
			p_when(OP_SIGNAL, c, SIGUSR1, 0, 0);
			masked(c, kind, &none);
			p_end();
			p_when(OP_SIGNAL, c, SIGUSR1, 0, 0);
			p_when(OP_SEND, c, 10, 0, 0);
			masked(c, kind, &blocked);
			p_end();
			p_end();
			/* Ready, and a signal too. */
			masked(c, kind, &none);
			t_recv(c, 10);
			masked(c, kind, &none);
			raise(SIGUSR1);
			T("signals %d", tw_sigs);
			masked(c, kind, &none);
			if (kind == 0)
				continue;
			tw_mid(c);
		}
	}
}

static void
selects(int n, fd_set *in, fd_set *out, fd_set *ex, struct tw_conn **c, int k)
{
	struct timeval tv = {1, 0};
	char s[256] = "";
	int r = select(n, in, out, ex, &tv);

	if (r < 0) {
		t_ret("select", r);
		return;
	}
	for (int i = 0; i < k; i++)
		sprintf(s + strlen(s), " %c%c%c",
			in && FD_ISSET(c[i]->fd, in) ? 'i' : '-',
			out && FD_ISSET(c[i]->fd, out) ? 'o' : '-',
			ex && FD_ISSET(c[i]->fd, ex) ? 'x' : '-');
	T("select = %d%s, time left %s", r, s,
		tv.tv_sec == 1				    ? "all"
			: tv.tv_sec == 0 && tv.tv_usec == 0 ? "none"
							    : "some");
}

CASE(selectx, sets, 0)
{
	struct tw_conn *c[3] = {tw_open(), tw_open(), tw_open()};
	int top = c[2]->fd + 1;

	for (int half = 0; half < 2; half++) {
		fd_set in, out, ex;

		FD_ZERO(&in);
		FD_ZERO(&out);
		FD_ZERO(&ex);
		for (int i = 0; i < 3; i++) {
			FD_SET(c[i]->fd, &in);
			FD_SET(c[i]->fd, &ex);
		}
		FD_SET(c[1]->fd, &out);
		p_send(c[0], 10);
		fd_set i2 = in, o2 = out, e2 = ex;

		selects(top, &i2, &o2, &e2, c, 3);
		i2 = in;
		selects(top, &i2, NULL, NULL, c, 3);
		o2 = out;
		selects(top, NULL, &o2, NULL, c, 3);
		e2 = ex;
		t_recv(c[0], 10);
		/* Only those below the first argument count. */
		i2 = in;
		p_when(OP_SEND, c[1], 10, 0, 0);
		selects(top, &i2, NULL, &e2, c, 3);
		p_end();
		i2 = in;
		o2 = in;
		selects(c[1]->fd, &i2, &o2, NULL, c, 1);
		t_recv(c[1], 10);
		t_ret("negative", select(-1, &i2, NULL, NULL, NULL));
		t_ret("nowhere", select(top, TW_NOWHERE, NULL, NULL, NULL));
		struct timeval tv = {0, -1};

		t_ret("bad time", select(top, &i2, NULL, NULL, &tv));
		tv = (struct timeval){-1, 0};
		t_ret("bad time", select(top, &i2, NULL, NULL, &tv));
		tv = (struct timeval){0, 1500000};
		o2 = in;
		t_ret("long usec", select(top, NULL, &o2, NULL, &tv));
		struct timespec ts = {0, 1000000000};

		t_ret("bad time", pselect(top, &i2, NULL, NULL, &ts, NULL));
		FD_ZERO(&i2);
		FD_SET(777, &i2);
		FD_SET(c[0]->fd, &i2);
		o2 = in;
		tv = (struct timeval){0, 0};
		t_ret("a closed one", select(1000, &i2, &o2, NULL, &tv));
		T("the sets are %s", FD_ISSET(777, &i2) ? "untouched" : "new");
		tv = (struct timeval){0, 2000};
		t_ret("a sleep", select(0, NULL, NULL, NULL, &tv));
		T("%ld.%06ld left", (long)tv.tv_sec, (long)tv.tv_usec);
		for (int i = 0; i < 3; i++)
			tw_mid(c[i]);
	}
}
