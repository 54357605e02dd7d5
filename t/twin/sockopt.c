/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Options, names, ioctl, fcntl and fstat of an upgraded endpoint.
 */
#include <config.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "twin.h"

#ifndef SO_ORIGINAL_DST
#define SO_ORIGINAL_DST 80
#endif
#ifndef SO_PEEK_OFF
#define SO_PEEK_OFF 42
#endif
#ifndef IP6T_SO_ORIGINAL_DST
#define IP6T_SO_ORIGINAL_DST 80
#endif

#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wnonnull"

static char buf[65536];

static void
get(int fd, const char *name, int level, int opt)
{
	int v = -77;
	socklen_t l = sizeof v;
	int r = getsockopt(fd, level, opt, &v, &l);

	if (r < 0)
		T("get %s = %s", name, t_err(errno));
	else
		T("get %s = %d length %u", name, v, l);
}

static void
put(int fd, const char *name, int level, int opt, int v)
{
	char s[64];

	snprintf(s, sizeof s, "set %s %d", name, v);
	t_ret(s, setsockopt(fd, level, opt, &v, sizeof v));
}

#define OPT(l, o)                                                              \
	{                                                                      \
#o, l, o                                                       \
	}

static const struct {
	const char *name;
	int level, opt;
} options[] = {
	OPT(SOL_SOCKET, SO_TYPE),
	OPT(SOL_SOCKET, SO_DOMAIN),
	OPT(SOL_SOCKET, SO_PROTOCOL),
	OPT(SOL_SOCKET, SO_ACCEPTCONN),
	OPT(SOL_SOCKET, SO_ERROR),
	OPT(SOL_SOCKET, SO_KEEPALIVE),
	OPT(SOL_SOCKET, SO_REUSEADDR),
	OPT(SOL_SOCKET, SO_REUSEPORT),
	OPT(SOL_SOCKET, SO_OOBINLINE),
	OPT(SOL_SOCKET, SO_RCVLOWAT),
	OPT(SOL_SOCKET, SO_SNDLOWAT),
	OPT(SOL_SOCKET, SO_SNDBUF),
	OPT(SOL_SOCKET, SO_PRIORITY),
	OPT(SOL_SOCKET, SO_TIMESTAMP),
	OPT(SOL_SOCKET, SO_BUSY_POLL),
	OPT(SOL_SOCKET, SO_ZEROCOPY),
	OPT(SOL_SOCKET, SO_MARK),
	OPT(SOL_SOCKET, SO_DONTROUTE),
	OPT(SOL_SOCKET, SO_BROADCAST),
	OPT(IPPROTO_TCP, TCP_NODELAY),
	OPT(IPPROTO_TCP, TCP_CORK),
	OPT(IPPROTO_TCP, TCP_KEEPIDLE),
	OPT(IPPROTO_TCP, TCP_KEEPINTVL),
	OPT(IPPROTO_TCP, TCP_KEEPCNT),
	OPT(IPPROTO_TCP, TCP_USER_TIMEOUT),
	OPT(IPPROTO_TCP, TCP_LINGER2),
	OPT(IPPROTO_TCP, TCP_DEFER_ACCEPT),
	OPT(IPPROTO_TCP, TCP_SYNCNT),
	OPT(IPPROTO_TCP, TCP_NOTSENT_LOWAT),
	OPT(IPPROTO_TCP, TCP_REPAIR),
	OPT(IPPROTO_IP, IP_TOS),
	OPT(IPPROTO_IP, IP_TTL),
	{"SO_ORIGINAL_DST", IPPROTO_IP, SO_ORIGINAL_DST},
	{"unknown", IPPROTO_TCP, 999},
	{"unknown level", 999, 1},
};

/* Each as it is, then set, then read again: also those that the library
 * itself needs (NODELAY, KEEPALIVE) must look untouched. */
CASE(sockopt, all, 0)
{
	struct tw_conn *c = tw_open();

	for (int half = 0; half < 2; half++) {
		for (size_t i = 0; i < sizeof options / sizeof *options; i++)
			get(c->fd, options[i].name, options[i].level,
				options[i].opt);
		tw_mid(c);
	}
	static const int set[] = {SO_KEEPALIVE, SO_OOBINLINE, SO_RCVLOWAT,
		SO_PRIORITY, SO_REUSEADDR};

	for (int i = 0; i < 5; i++) {
		put(c->fd, "socket's", SOL_SOCKET, set[i], 1);
		get(c->fd, "socket's", SOL_SOCKET, set[i]);
		put(c->fd, "socket's", SOL_SOCKET, set[i], 0);
		get(c->fd, "socket's", SOL_SOCKET, set[i]);
	}
	static const int tset[] = {TCP_NODELAY, TCP_CORK, TCP_KEEPIDLE,
		TCP_KEEPINTVL, TCP_KEEPCNT, TCP_USER_TIMEOUT, TCP_QUICKACK,
		TCP_SYNCNT, TCP_MAXSEG};

	for (int i = 0; i < 9; i++) {
		put(c->fd, "TCP's", IPPROTO_TCP, tset[i], 7);
		if (tset[i] != TCP_MAXSEG)
			get(c->fd, "TCP's", IPPROTO_TCP, tset[i]);
		put(c->fd, "TCP's", IPPROTO_TCP, tset[i], 0);
		if (tset[i] != TCP_MAXSEG)
			get(c->fd, "TCP's", IPPROTO_TCP, tset[i]);
	}
	t_send(c, 100);
	p_recv(c, 100);
}

CASE(sockopt, bad, 0)
{
	struct tw_conn *c = tw_open();

	for (int half = 0; half < 2; half++) {
		static const int opt[] = {SO_ERROR, SO_RCVTIMEO, SO_LINGER,
			SO_RCVLOWAT, SO_SNDBUF};
		char b[256];
		socklen_t l;

		for (int i = 0; i < 5; i++) {
			l = 2;
			t_ret("get 2 bytes",
				getsockopt(c->fd, SOL_SOCKET, opt[i], b, &l));
			T("%u", l);
			l = -1;
			t_ret("get -1",
				getsockopt(c->fd, SOL_SOCKET, opt[i], b, &l));
			l = 200;
			t_ret("get 200",
				getsockopt(c->fd, SOL_SOCKET, opt[i], b, &l));
			T("%u", l);
			l = 16;
			t_ret("get nowhere",
				getsockopt(c->fd, SOL_SOCKET, opt[i],
					TW_NOWHERE, &l));
			t_ret("get no length",
				getsockopt(c->fd, SOL_SOCKET, opt[i], b, NULL));
			t_ret("set 2 bytes",
				setsockopt(c->fd, SOL_SOCKET, opt[i], b, 2));
			t_ret("set nowhere",
				setsockopt(c->fd, SOL_SOCKET, opt[i],
					TW_NOWHERE, 16));
			t_ret("set -1",
				setsockopt(c->fd, SOL_SOCKET, opt[i], b, -1));
		}
		l = 300;
		t_ret("TCP_INFO nowhere",
			getsockopt(
				c->fd, IPPROTO_TCP, TCP_INFO, TW_NOWHERE, &l));
		l = -1;
		t_ret("TCP_INFO -1",
			getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, b, &l));
		l = 1;
		b[0] = 0;
		t_ret("TCP_INFO 1",
			getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, b, &l));
		T("state %d length %u", b[0], l);
		t_ret("set TCP_INFO",
			setsockopt(c->fd, IPPROTO_TCP, TCP_INFO, b, 100));
		t_ret("closed", getsockopt(777, SOL_SOCKET, SO_ERROR, b, &l));
		t_ret("closed", setsockopt(777, SOL_SOCKET, SO_ERROR, b, 4));
		t_ret("-1", getsockopt(-1, SOL_SOCKET, SO_ERROR, b, &l));
		t_ret("a pipe", getsockopt(2, SOL_SOCKET, SO_ERROR, b, &l));
		get(c->fd, "by syscall too", SOL_SOCKET, SO_TYPE);
		l = 4;
		t_ret("syscall",
			syscall(SYS_getsockopt, c->fd, SOL_SOCKET, SO_TYPE, b,
				&l));
		T("%d", *(int *)b);
		tw_mid(c);
		struct linger lg = {0, 0};
		struct timeval none = {0, 0};

		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &lg, sizeof lg);
		setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &none, sizeof none);
	}
}

CASE(sockopt, timeo, 0)
{
	static const int opt[] = {SO_RCVTIMEO, SO_SNDTIMEO};
	struct tw_conn *c = tw_open();

	for (int half = 0; half < 2; half++) {
		for (int i = 0; i < 2; i++) {
			static const struct timeval tvs[] = {{0, 0},
				{5, 123000}, {0, 1000000}, {0, -1}, {-1, 0},
				{0, 0}};

			for (int k = 0; k < 6; k++) {
				struct timeval tv = tvs[k];
				socklen_t l = sizeof tv;

				t_ret("set",
					setsockopt(c->fd, SOL_SOCKET, opt[i],
						&tv, sizeof tv));
				t_ret("get",
					getsockopt(c->fd, SOL_SOCKET, opt[i],
						&tv, &l));
				T("%ld.%06ld length %u", (long)tv.tv_sec,
					(long)tv.tv_usec, l);
			}
		}
		tw_mid(c);
	}
}

/* A reader waits until so much is there. */
CASE(sockopt, lowat, 0)
{
	struct tw_conn *c = tw_open();

	for (int half = 0; half < 2; half++) {
		put(c->fd, "RCVLOWAT", SOL_SOCKET, SO_RCVLOWAT, 50);
		get(c->fd, "RCVLOWAT", SOL_SOCKET, SO_RCVLOWAT);
		p_send(c, 10);
		t_recv(c, 4);
		p_when(OP_SEND, c, 20, 0, 0);
		p_when(OP_SEND, c, 30, 0, 0);
		t_got(c, "recv(100)", recv(c->fd, buf, 100, 0), buf);
		p_end();
		p_end();
		p_send(c, 10);
		t_got(c, "recv(10)", recv(c->fd, buf, 10, 0), buf);
		tw_timeo(c->fd, SO_RCVTIMEO, 20);
		p_send(c, 10);
		t_got(c, "recv(100)", recv(c->fd, buf, 100, 0), buf);
		t_got(c, "recv(100)", recv(c->fd, buf, 100, 0), buf);
		tw_timeo(c->fd, SO_RCVTIMEO, 0);
		put(c->fd, "RCVLOWAT", SOL_SOCKET, SO_RCVLOWAT, -1);
		get(c->fd, "RCVLOWAT", SOL_SOCKET, SO_RCVLOWAT);
		put(c->fd, "RCVLOWAT", SOL_SOCKET, SO_RCVLOWAT, 0);
		get(c->fd, "RCVLOWAT", SOL_SOCKET, SO_RCVLOWAT);
		put(c->fd, "SNDLOWAT", SOL_SOCKET, SO_SNDLOWAT, 10);
		tw_mid(c);
	}
	put(c->fd, "RCVLOWAT", SOL_SOCKET, SO_RCVLOWAT, 50);
	p_send(c, 10);
	p_when(OP_SHUT, c, SHUT_WR, 0, 0);
	t_got(c, "recv(100)", recv(c->fd, buf, 100, 0), buf);
	p_end();
}

CASE(sockopt, so_error, 0)
{
	struct tw_conn *c = tw_open();

	get(c->fd, "ERROR", SOL_SOCKET, SO_ERROR);
	tw_mid(c);
	get(c->fd, "ERROR", SOL_SOCKET, SO_ERROR);
	p_send(c, 10);
	p_rst(c);
	get(c->fd, "ERROR", SOL_SOCKET, SO_ERROR);
	get(c->fd, "ERROR", SOL_SOCKET, SO_ERROR);
	t_recv(c, 100);
	t_recv(c, 100);
	t_send(c, 10);
	t_pipes();
}

CASE(sockopt, linger, 0)
{
	struct linger l = {1, 0};
	socklen_t n = sizeof l;
	struct tw_conn *c = tw_open();
	struct tw_answer a;

	t_ret("set", setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &l, sizeof l));
	tw_mid(c);
	l.l_onoff = 99;
	t_ret("get", getsockopt(c->fd, SOL_SOCKET, SO_LINGER, &l, &n));
	T("on %d for %d", l.l_onoff, l.l_linger);
	/* RST, and what the peer had not read before is still read. */
	t_send(c, 50);
	p_do(OP_POLL, c, POLLIN, 2000, 0);
	tw_close(c);
	a = p_do(OP_RECV, c, -1, 0, 0);
	T("peer got %ld then %s", a.r, t_err(a.err));

	c = tw_open();
	tw_mid(c);
	l = (struct linger){1, 5};
	t_ret("set", setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &l, sizeof l));
	t_ret("get", getsockopt(c->fd, SOL_SOCKET, SO_LINGER, &l, &n));
	T("on %d for %d", l.l_onoff, l.l_linger);
	t_send(c, 50);
	tw_close(c);
	a = p_do(OP_RECV, c, -1, 0, 0);
	T("peer got %ld then %s", a.r, a.err ? t_err(a.err) : "the end");
}

struct counters {
	uint64_t sent, acked, received, notsent;
	unsigned state;
};

static struct counters
counted(int fd)
{
	struct tcp_info_now {
		struct tcp_info i;
		char more[400];
	} x;
	struct counters k;
	socklen_t l = sizeof x;
	char *p = (char *)&x;

	memset(&x, 0, sizeof x);
	t_ret("TCP_INFO", getsockopt(fd, IPPROTO_TCP, TCP_INFO, &x, &l));
	k.state = x.i.tcpi_state;
	/* By offset: the struct of libc 2.36 ends before some of them. */
	memcpy(&k.acked, p + 120, 8);
	memcpy(&k.received, p + 128, 8);
	memcpy(&k.notsent, p + 144, 4);
	k.notsent &= 0xffffffff;
	memcpy(&k.sent, p + 200, 8);
	return k;
}

CASE(sockopt, tcp_info, 0)
{
	struct tw_conn *c = tw_open();

	for (int half = 0; half < 2; half++) {
		struct counters k0 = counted(c->fd), k;

		t_send(c, 1000);
		p_recv(c, 1000);
		p_send(c, 300);
		/* An answer acknowledges what it answers. */
		k = counted(c->fd);
		T("sent %llu acked %llu received %llu notsent %llu state %u",
			(unsigned long long)(k.sent - k0.sent),
			(unsigned long long)(k.acked - k0.acked),
			(unsigned long long)(k.received - k0.received),
			(unsigned long long)k.notsent, k.state);
		t_recv(c, 1000);
		k = counted(c->fd);
		T("received %llu",
			(unsigned long long)(k.received - k0.received));
		tw_mid(c);
	}
	p_shut_wr(c);
	T("state %u", counted(c->fd).state);
}

/* Corked bytes come when the cork goes; when else is TCP's affair. */
CASE(sockopt, cork, 0)
{
	struct tw_conn *c = tw_open();

	for (int half = 0; half < 2; half++) {
		put(c->fd, "CORK", IPPROTO_TCP, TCP_CORK, 1);
		get(c->fd, "CORK", IPPROTO_TCP, TCP_CORK);
		t_send(c, 100);
		t_send(c, 100);
		put(c->fd, "CORK", IPPROTO_TCP, TCP_CORK, 0);
		p_recv(c, 200);
		put(c->fd, "NODELAY", IPPROTO_TCP, TCP_NODELAY, 0);
		t_send(c, 100);
		p_recv(c, 100);
		tw_mid(c);
		get(c->fd, "NODELAY", IPPROTO_TCP, TCP_NODELAY);
		get(c->fd, "CORK", IPPROTO_TCP, TCP_CORK);
	}
	put(c->fd, "CORK", IPPROTO_TCP, TCP_CORK, 1);
	t_send(c, 100);
	t_ret("shutdown", shutdown(c->fd, SHUT_WR));
	p_recv(c, -1);
}

/* It may move while corked bytes wait in the kernel. */
CASE(sockopt, cork_moves, 0)
{
	struct tw_conn *c = tw_open();

	put(c->fd, "CORK", IPPROTO_TCP, TCP_CORK, 1);
	t_send(c, 100);
	tw_now();
	c->count = false;
	for (int i = 0; i < 20; i++)
		t_send(c, 100);
	get(c->fd, "CORK", IPPROTO_TCP, TCP_CORK);
	put(c->fd, "CORK", IPPROTO_TCP, TCP_CORK, 0);
	p_recv(c, 2100);
	tw_mid(c);
	get(c->fd, "CORK", IPPROTO_TCP, TCP_CORK);
	get(c->fd, "NODELAY", IPPROTO_TCP, TCP_NODELAY);
}

CASE(sockopt, buffers, 0)
{
	struct tw_conn *c = tw_open();

	for (int half = 0; half < 2; half++) {
		put(c->fd, "SNDBUF", SOL_SOCKET, SO_SNDBUF, 50000);
		get(c->fd, "SNDBUF", SOL_SOCKET, SO_SNDBUF);
		put(c->fd, "RCVBUF", SOL_SOCKET, SO_RCVBUF, 60000);
		get(c->fd, "RCVBUF", SOL_SOCKET, SO_RCVBUF);
		t_send(c, 1000);
		p_recv(c, 1000);
		tw_mid(c);
	}
}

CASE(sockopt, peek_off, F_TCP)
{
	struct tw_conn *c = tw_open();

	for (int half = 0; half < 2; half++) {
		put(c->fd, "PEEK_OFF", SOL_SOCKET, SO_PEEK_OFF, 0);
		get(c->fd, "PEEK_OFF", SOL_SOCKET, SO_PEEK_OFF);
		p_send(c, 30);
		t_peek(c, "peek", recv(c->fd, buf, 10, MSG_PEEK), buf);
		get(c->fd, "PEEK_OFF", SOL_SOCKET, SO_PEEK_OFF);
		c->rx += 10;
		t_peek(c, "peek", recv(c->fd, buf, 10, MSG_PEEK), buf);
		c->rx -= 10;
		t_recv(c, 15);
		get(c->fd, "PEEK_OFF", SOL_SOCKET, SO_PEEK_OFF);
		put(c->fd, "PEEK_OFF", SOL_SOCKET, SO_PEEK_OFF, -1);
		t_recv(c, 100);
		/* With the option set it may stay on TCP, so only now. */
		tw_mid(c);
	}
}

CASE(sockopt, congestion, 0)
{
	struct tw_conn *c = tw_open();
	char s[16] = "";
	socklen_t l = sizeof s;

	tw_mid(c);
	t_ret("get", getsockopt(c->fd, IPPROTO_TCP, TCP_CONGESTION, s, &l));
	T("%s", s);
	t_ret("set", setsockopt(c->fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
	t_ret("set", setsockopt(c->fd, IPPROTO_TCP, TCP_CONGESTION, "none", 4));
	t_ret("ULP", setsockopt(c->fd, IPPROTO_TCP, TCP_ULP, "none", 4));
	t_send(c, 10);
	p_recv(c, 10);
}

/* ---- names ---- */

static void
name(int fd, int (*f)(int, struct sockaddr *, socklen_t *), const char *what,
	socklen_t len)
{
	struct sockaddr_storage ss;
	socklen_t l = len;
	char s[64] = "";
	int r;

	memset(&ss, 0, sizeof ss);
	r = f(fd, (void *)&ss, &l);
	t_ret(what, r);
	if (r < 0)
		return;
	inet_ntop(AF_INET, &((struct sockaddr_in *)&ss)->sin_addr, s, sizeof s);
	T("family %d address %s port %s length %u", ss.ss_family, s,
		((struct sockaddr_in *)&ss)->sin_port ? "yes" : "none", l);
}

CASE(name, all, 0)
{
	struct tw_conn *c = tw_open();

	for (int half = 0; half < 2; half++) {
		socklen_t l = 16;
		char b[16];

		name(c->fd, getsockname, "getsockname", 128);
		name(c->fd, getpeername, "getpeername", 128);
		name(c->fd, getsockname, "getsockname", 0);
		name(c->fd, getpeername, "getpeername", 5);
		name(c->fd, getpeername, "getpeername", -1);
		name(777, getsockname, "getsockname", 128);
		name(2, getpeername, "getpeername", 128);
		t_ret("nowhere", getsockname(c->fd, TW_NOWHERE, &l));
		t_ret("null", getpeername(c->fd, (void *)b, NULL));
		tw_mid(c);
	}
	p_rst(c);
	name(c->fd, getsockname, "getsockname", 128);
	name(c->fd, getpeername, "getpeername", 128);
}

/* ---- ioctl ---- */

static void
inq(int fd, unsigned long req, const char *what)
{
	int v = -1;

	if (ioctl(fd, req, &v) < 0)
		T("%s: %s", what, t_err(errno));
	else
		T("%s %d", what, v);
}

CASE(ioctl, fionread, 0)
{
	struct tw_conn *c = tw_open();

	for (int half = 0; half < 2; half++) {
		inq(c->fd, FIONREAD, "FIONREAD");
		p_send(c, 100);
		inq(c->fd, FIONREAD, "FIONREAD");
		t_recv(c, 30);
		inq(c->fd, SIOCINQ, "SIOCINQ");
		t_peek(c, "peek", recv(c->fd, buf, 10, MSG_PEEK), buf);
		inq(c->fd, FIONREAD, "FIONREAD");
		p_send(c, 20000);
		inq(c->fd, FIONREAD, "FIONREAD");
		t_drain(c, 20070);
		inq(c->fd, FIONREAD, "FIONREAD");
		int v = -1;

		t_ret("syscall", syscall(SYS_ioctl, c->fd, FIONREAD, &v));
		T("%d", v);
		t_ret("nowhere", ioctl(c->fd, FIONREAD, TW_NOWHERE));
		t_ret("closed", ioctl(777, FIONREAD, &v));
		tw_mid(c);
	}
	tw_flight(c);
	inq(c->fd, FIONREAD, "FIONREAD");
	p_shut_wr(c);
	inq(c->fd, FIONREAD, "FIONREAD");
	t_recv(c, 100);
	inq(c->fd, FIONREAD, "FIONREAD");
	t_drain(c, TW_FLIGHT);
	inq(c->fd, FIONREAD, "FIONREAD");
}

/* What was acknowledged, though unread, is no longer in the queue. */
CASE(ioctl, outq, F_TCP)
{
	struct tw_conn *c = tw_open();

	for (int half = 0; half < 2; half++) {
		int v = -1;
		long n;

		inq(c->fd, SIOCOUTQ, "SIOCOUTQ");
		t_send(c, 100);
		p_recv(c, 100);
		p_send(c, 1);
		t_recv(c, 1);
		inq(c->fd, SIOCOUTQ, "SIOCOUTQ");
		inq(c->fd, SIOCOUTQNSD, "SIOCOUTQNSD");
		n = t_fill(c);
		ioctl(c->fd, SIOCOUTQ, &v);
		T("full: %s", v > 0 ? "some" : "none");
		struct tw_answer a = p_do(OP_RECV, c, n, 0, 0);

		T("peer took %s", a.r == n ? "all" : "less");
		p_send(c, 1);
		t_recv(c, 1);
		inq(c->fd, SIOCOUTQ, "SIOCOUTQ");
		t_ret("nowhere", ioctl(c->fd, SIOCOUTQ, TW_NOWHERE));
		tw_mid(c);
	}
}

CASE(ioctl, fionbio, 0)
{
	struct tw_conn *c = tw_open();
	int on = 1, off = 0, fl;

	for (int half = 0; half < 2; half++) {
		t_ret("FIONBIO", ioctl(c->fd, FIONBIO, &on));
		fl = fcntl(c->fd, F_GETFL);
		T("O_NONBLOCK %d", !!(fl & O_NONBLOCK));
		t_got(c, "recv", recv(c->fd, buf, 10, 0), buf);
		t_got(c, "read", read(c->fd, buf, 10), buf);
		t_ret("FIONBIO", ioctl(c->fd, FIONBIO, &off));
		fl = fcntl(c->fd, F_GETFL);
		T("O_NONBLOCK %d", !!(fl & O_NONBLOCK));
		p_when(OP_SEND, c, 10, 0, 0);
		t_got(c, "recv", recv(c->fd, buf, 10, 0), buf);
		p_end();
		/* By syscall, past the function. */
		t_ret("syscall", syscall(SYS_ioctl, c->fd, FIONBIO, &on));
		t_got(c, "recv", recv(c->fd, buf, 10, 0), buf);
		t_ret("F_SETFL", syscall(SYS_fcntl, c->fd, F_SETFL, O_RDWR));
		p_when(OP_SEND, c, 10, 0, 0);
		t_got(c, "recv", recv(c->fd, buf, 10, 0), buf);
		p_end();
		t_ret("nowhere", ioctl(c->fd, FIONBIO, TW_NOWHERE));
		tw_mid(c);
	}
}

CASE(ioctl, others, F_TCP)
{
	struct tw_conn *c = tw_open();
	int v = 0;

	tw_mid(c);
	t_ret("FIOCLEX", ioctl(c->fd, FIOCLEX));
	T("FD_CLOEXEC %d", fcntl(c->fd, F_GETFD));
	t_ret("FIONCLEX", ioctl(c->fd, FIONCLEX));
	T("FD_CLOEXEC %d", fcntl(c->fd, F_GETFD));
	t_ret("unknown", ioctl(c->fd, 0x12345678, &v));
	t_ret("TCGETS", ioctl(c->fd, TCGETS, buf));
	t_ret("FIOQSIZE", ioctl(c->fd, FIOQSIZE, buf));
	t_ret("SIOCGPGRP", ioctl(c->fd, SIOCGPGRP, &v));
	inq(c->fd, SIOCATMARK, "SIOCATMARK");
	t_send(c, 10);
	p_recv(c, 10);
	p_send(c, 10);
	t_recv(c, 10);
}

/* Signal-driven: SIGIO at an arrival. */
CASE(ioctl, fioasync, F_TCP)
{
	struct tw_conn *c = tw_open();
	int on = 1, off = 0;

	tw_mid(c);
	tw_catch(SIGIO, SA_RESTART);
	t_ret("F_SETOWN", fcntl(c->fd, F_SETOWN, getpid()));
	T("F_GETOWN %s",
		fcntl(c->fd, F_GETOWN) == getpid() ? "right" : "wrong");
	t_ret("FIOASYNC", ioctl(c->fd, FIOASYNC, &on));
	T("O_ASYNC %d", !!(fcntl(c->fd, F_GETFL) & O_ASYNC));
	/* What arrives from here on goes by TCP, or is signalled as there:
	 * a few go to bring the sender back. */
	tw_sigs = 0;
	for (int i = 0; i < 3; i++) {
		p_send(c, 10);
		for (int k = 0; k < 500 && !tw_sigs; k++)
			tw_msleep(1);
		T("%s", atomic_exchange(&tw_sigs, 0) ? "a signal" : "none");
		t_recv(c, 10);
		t_send(c, 10);
		p_recv(c, 10);
	}
	t_ret("FIOASYNC", ioctl(c->fd, FIOASYNC, &off));
	tw_msleep(2);
	tw_sigs = 0;
	p_send(c, 10);
	T("%s", tw_sigs ? "a signal" : "none");
	t_recv(c, 10);
}

/* ---- fcntl ---- */

CASE(fcntl, flags, 0)
{
	struct tw_conn *c = tw_open();

	for (int half = 0; half < 2; half++) {
		T("F_GETFL %#x", fcntl(c->fd, F_GETFL));
		t_ret("F_SETFL", fcntl(c->fd, F_SETFL, O_NONBLOCK));
		T("F_GETFL %#x", fcntl(c->fd, F_GETFL));
		t_got(c, "recv", recv(c->fd, buf, 10, 0), buf);
		t_ret("F_SETFL", fcntl(c->fd, F_SETFL, O_NONBLOCK | O_APPEND));
		T("F_GETFL %#x", fcntl(c->fd, F_GETFL));
		t_ret("F_SETFL", fcntl(c->fd, F_SETFL, O_NONBLOCK | O_DIRECT));
		t_ret("F_SETFL", fcntl(c->fd, F_SETFL, O_RDWR));
		T("F_GETFL %#x", fcntl64(c->fd, F_GETFL));
		T("F_GETFD %d", fcntl(c->fd, F_GETFD));
		t_ret("F_SETFD", fcntl(c->fd, F_SETFD, FD_CLOEXEC));
		T("F_GETFD %d", fcntl(c->fd, F_GETFD));
		t_ret("F_SETFD", fcntl(c->fd, F_SETFD, 0));
		t_ret("unknown", fcntl(c->fd, 9999, 0));
		t_ret("closed", fcntl(777, F_GETFL));
		t_ret("-1", fcntl(-1, F_GETFD));
		struct flock fl = {.l_type = F_WRLCK};

		t_ret("F_GETLK", fcntl(c->fd, F_GETLK, &fl));
		t_ret("F_GETLK nowhere", fcntl(c->fd, F_GETLK, TW_NOWHERE));
		t_ret("F_GETPIPE_SZ", fcntl(c->fd, F_GETPIPE_SZ));
		t_ret("F_GET_SEALS", fcntl(c->fd, F_GET_SEALS));
		t_ret("F_DUPFD too high", fcntl(c->fd, F_DUPFD, INT_MAX));
		t_ret("F_DUPFD -1", fcntl(c->fd, F_DUPFD, -1));
		tw_mid(c);
	}
}

/* ---- fstat ---- */

CASE(fstat, all, 0)
{
	struct tw_conn *c = tw_open();
	struct stat a, b;
	struct stat64 a64;
	struct statx x;
	char path[64], l[64];

	for (int half = 0; half < 2; half++) {
		int d = dup(c->fd);
		ssize_t n;

		t_ret("fstat", fstat(c->fd, &a));
		T("socket %d mode %o size %ld", S_ISSOCK(a.st_mode), a.st_mode,
			(long)a.st_size);
		t_ret("fstat", fstat(d, &b));
		T("same %d", a.st_dev == b.st_dev && a.st_ino == b.st_ino);
		t_ret("fstat64", fstat64(c->fd, &a64));
		T("same %d", a64.st_ino == a.st_ino);
		t_ret("fstatat", fstatat(c->fd, "", &b, AT_EMPTY_PATH));
		T("same %d", a.st_ino == b.st_ino);
		t_ret("statx", statx(c->fd, "", AT_EMPTY_PATH, STATX_INO, &x));
		T("same %d", x.stx_ino == a.st_ino);
		snprintf(path, sizeof path, "/proc/self/fd/%d", c->fd);
		n = readlink(path, l, sizeof l - 1);
		l[n > 0 ? n : 0] = 0;
		T("%.8s", l);
		t_ret("nowhere", fstat(c->fd, TW_NOWHERE));
		t_ret("closed", fstat(777, &a));
		close(d);
		tw_mid(c);
	}
}
