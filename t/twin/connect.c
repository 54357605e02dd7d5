/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * socket, connect, listen, accept: the kernel's own affair before an upgrade,
 * and it must stay so.
 */
#include <config.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "twin.h"

#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wnonnull"

static char buf[4096];

static struct sockaddr_in
to(int port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int
unused_port(void)
{
	int fd = tw_listen(AF_INET), p = tw_port(fd);

	close(fd);
	return p;
}

static void
so_error(int fd)
{
	int v = -1;
	socklen_t l = sizeof v;

	t_ret("SO_ERROR", getsockopt(fd, SOL_SOCKET, SO_ERROR, &v, &l));
	T("%s", v ? t_err(v) : "none");
}

static void
see(int fd, unsigned want, int ms)
{
	struct pollfd p = {fd, want, 0};
	int r = poll(&p, 1, ms);

	T("poll = %d %s", r, t_ev(p.revents));
}

static void
use(struct tw_conn *c)
{
	tw_preamble(c);
	p_send(c, 10);
	t_got(c, "recv", recv(c->fd, buf, 100, 0), buf);
	tw_fill(c, buf, 10);
	t_sent(c, "send", send(c->fd, buf, 10, 0));
	p_recv(c, 10);
	tw_mid(c);
	p_send(c, 10);
	t_got(c, "recv", recv(c->fd, buf, 100, 0), buf);
}

CASE(socket, kinds, F_NOUP)
{
	static const int k[][3] = {{AF_INET, SOCK_STREAM, 0},
		{AF_INET, SOCK_STREAM, IPPROTO_TCP},
		{AF_INET, SOCK_STREAM, IPPROTO_UDP}, {AF_INET, SOCK_DGRAM, 0},
		{AF_INET6, SOCK_STREAM, 0}, {AF_UNIX, SOCK_STREAM, 0},
		{AF_INET, 77, 0}, {AF_INET, SOCK_STREAM | 0x100000, 0},
		{999, SOCK_STREAM, 0}, {AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0},
		{AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0},
		{AF_INET, SOCK_SEQPACKET, 0}};

	for (size_t i = 0; i < sizeof k / sizeof *k; i++) {
		int fd = socket(k[i][0], k[i][1], k[i][2]);

		/* The numbers are those that TCP would have had. */
		t_ret("socket", fd);
		if (fd < 0)
			continue;
		T("FD %d FL %#x", fcntl(fd, F_GETFD), fcntl(fd, F_GETFL));
		if (i % 3 == 0)
			close(fd);
	}
	int sv[2];

	t_ret("socketpair", socketpair(AF_INET, SOCK_STREAM, 0, sv));
	t_ret("socketpair", socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	T("%d %d", sv[0], sv[1]);
	t_ret("write", write(sv[0], "abc", 3));
	t_ret("read", read(sv[1], buf, 10));
}

/* The lowest free number, always: nothing of the library's is below. */
CASE(socket, numbers, 0)
{
	struct tw_conn *c[6];
	int fd, pp[2];

	for (int i = 0; i < 6; i++)
		c[i] = tw_open();
	for (int i = 0; i < 6; i++)
		tw_mid(c[i]);
	for (int i = 0; i < 6; i++)
		T("connection %d", c[i]->fd);
	close(c[2]->fd);
	close(c[4]->fd);
	fd = dup(c[0]->fd);
	T("dup %d", fd);
	T("pipe %d %d %d", pipe(pp), pp[0], pp[1]);
	fd = epoll_create1(0);
	T("epoll %d", fd);
	fd = open("/dev/null", O_RDONLY);
	T("open %d", fd);
	T("next connection %d", tw_open()->fd);
}

CASE(connect, blocking, F_CON)
{
	struct tw_conn *c = tw_open_raw();
	struct sockaddr_in a = to(tw_port(c->fd));

	t_ret("again", connect(c->fd, (void *)&a, sizeof a));
	use(c);
	t_ret("again", connect(c->fd, (void *)&a, sizeof a));
	t_ret("short", connect(c->fd, (void *)&a, 3));
	t_ret("nowhere", connect(c->fd, TW_NOWHERE, sizeof a));
	t_ret("closed", connect(777, (void *)&a, sizeof a));
	p_rst(c);
	t_ret("after RST", connect(c->fd, (void *)&a, sizeof a));
}

CASE(connect, nonblocking, F_CON)
{
	struct tw_conn c;
	struct sockaddr_in a;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	a = to(p_do(OP_LISTEN, NULL, AF_INET, 0, 0).r);
	see(fd, POLLIN | POLLOUT, 0);
	t_ret("send", send(fd, "x", 1, MSG_NOSIGNAL));
	t_ret("recv", recv(fd, buf, 1, 0));
	t_ret("connect", connect(fd, (void *)&a, sizeof a));
	see(fd, POLLOUT, 2000);
	so_error(fd);
	t_ret("again", connect(fd, (void *)&a, sizeof a));
	t_ret("again", connect(fd, (void *)&a, sizeof a));
	so_error(fd);
	tw_tp_reset(fd);
	tw_wrap(&c, fd, p_do(OP_ACCEPT, NULL, 0, 0, 0).r);
	use(&c);
	t_ret("again", connect(fd, (void *)&a, sizeof a));
}

CASE(connect, refused, F_NOUP)
{
	struct sockaddr_in a = to(unused_port());
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	t_ret("blocking", connect(fd, (void *)&a, sizeof a));
	so_error(fd);
	t_ret("again", connect(fd, (void *)&a, sizeof a));
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	t_ret("connect", connect(fd, (void *)&a, sizeof a));
	see(fd, POLLIN | POLLOUT | POLLRDHUP, 2000);
	so_error(fd);
	so_error(fd);
	see(fd, POLLIN | POLLOUT | POLLRDHUP, 0);
	t_ret("send", send(fd, "x", 1, 0));
	t_pipes();
	t_ret("recv", recv(fd, buf, 1, 0));
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	t_ret("connect", connect(fd, (void *)&a, sizeof a));
	see(fd, POLLOUT, 2000);
	t_ret("recv", recv(fd, buf, 1, 0));
	so_error(fd);
}

/* A backlog that is full keeps it in EINPROGRESS. */
CASE(connect, in_progress, F_NOUP)
{
	struct sockaddr_in a = to(0);
	socklen_t l = sizeof a;
	int s = socket(AF_INET, SOCK_STREAM, 0), x[8], fd;

	if (bind(s, (void *)&a, sizeof a) < 0 || listen(s, 0) < 0)
		return;
	getsockname(s, (void *)&a, &l);
	for (int i = 0; i < 2; i++) {
		x[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(x[i], (void *)&a, sizeof a);
	}
	tw_msleep(5);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	t_ret("connect", connect(fd, (void *)&a, sizeof a));
	t_ret("again", connect(fd, (void *)&a, sizeof a));
	see(fd, POLLIN | POLLOUT, 0);
	so_error(fd);
	t_ret("send", send(fd, "x", 1, MSG_NOSIGNAL));
	t_ret("recv", recv(fd, buf, 1, 0));
	struct tw_conn c = {.fd = fd};

	(void)c;
	/* A blocking one is interrupted. */
	tw_catch(SIGUSR1, 0);
	x[2] = socket(AF_INET, SOCK_STREAM, 0);
	p_when(OP_SIGNAL, NULL, SIGUSR1, 0, 0);
	t_ret("blocking", connect(x[2], (void *)&a, sizeof a));
	p_end();
	tw_nonblock(x[2], true);
	t_ret("again", connect(x[2], (void *)&a, sizeof a));
	tw_timeo(fd, SO_SNDTIMEO, 20);
	tw_nonblock(fd, false);
	t_ret("time-out", connect(fd, (void *)&a, sizeof a));
}

CASE(connect, unspec, F_CON)
{
	struct tw_conn *c = tw_open();
	struct sockaddr u = {.sa_family = AF_UNSPEC};
	struct sockaddr_in a;
	int port;

	tw_mid(c);
	p_send(c, 10);
	t_ret("AF_UNSPEC", connect(c->fd, &u, sizeof u));
	t_got(c, "recv", recv(c->fd, buf, 100, MSG_DONTWAIT), NULL);
	t_ret("recv", recv(c->fd, buf, 100, MSG_DONTWAIT));
	t_ret("send", send(c->fd, buf, 1, MSG_NOSIGNAL));
	struct tw_answer r = p_do(OP_RECV, c, -1, 0, 0);

	T("peer: %ld %s", r.r, r.err ? t_err(r.err) : "the end");
	/* The same socket once more. */
	port = p_do(OP_LISTEN, NULL, AF_INET, 0, 0).r;
	a = to(port);
	t_ret("connect", connect(c->fd, (void *)&a, sizeof a));
	tw_tp_reset(c->fd);
	tw_wrap(c, c->fd, p_do(OP_ACCEPT, NULL, 0, 0, 0).r);
	use(c);
}

CASE(connect, v6, F_CON)
{
	struct tw_conn c;
	int fd = tw_connect_to(
		AF_INET6, p_do(OP_LISTEN, NULL, AF_INET6, 0, 0).r, 0);

	tw_tp_reset(fd);
	tw_wrap(&c, fd, p_do(OP_ACCEPT, NULL, 0, 0, 0).r);
	use(&c);
}

/* As Java: AF_INET6 with a mapped address. */
CASE(connect, v4_mapped, F_CON)
{
	struct tw_conn c;
	struct sockaddr_in6 a = {.sin6_family = AF_INET6};
	int fd = socket(AF_INET6, SOCK_STREAM, 0);

	a.sin6_port = htons(p_do(OP_LISTEN, NULL, AF_INET, 0, 0).r);
	inet_pton(AF_INET6, "::ffff:127.0.0.1", &a.sin6_addr);
	t_ret("connect", connect(fd, (void *)&a, sizeof a));
	tw_tp_reset(fd);
	tw_wrap(&c, fd, p_do(OP_ACCEPT, NULL, 0, 0, 0).r);
	use(&c);
}

CASE(listen, errors, F_NOUP)
{
	struct sockaddr_in a = to(0);
	int s = tw_listen(AF_INET), fd;

	t_ret("again", listen(s, 5));
	t_ret("recv", recv(s, buf, 1, 0));
	t_ret("send", send(s, buf, 1, MSG_NOSIGNAL));
	t_ret("shutdown", shutdown(s, SHUT_WR));
	see(s, POLLIN | POLLOUT, 0);
	a = to(tw_port(s));
	fd = socket(AF_INET, SOCK_STREAM, 0);
	t_ret("bind in use", bind(fd, (void *)&a, sizeof a));
	t_ret("bind short", bind(fd, (void *)&a, 3));
	t_ret("bind nowhere", bind(fd, TW_NOWHERE, sizeof a));
	t_ret("listen closed", listen(777, 1));
	t_ret("listen pipe", listen(2, 1));
	t_ret("connect a listener", connect(s, (void *)&a, sizeof a));
	t_ret("shutdown RD", shutdown(s, SHUT_RD));
	t_ret("accept", accept(s, NULL, NULL));
	t_ret("connect", connect(fd, (void *)&a, sizeof a));
}

CASE(accept, flags, 0)
{
	int s = tw_listen(AF_INET), fd;

	/* Not inherited. */
	tw_nonblock(s, true);
	t_ret("none", accept(s, NULL, NULL));
	t_ret("none", accept4(s, NULL, NULL, SOCK_CLOEXEC));
	for (int i = 0; i < 6; i++) {
		static const int fl[] = {0, 0, SOCK_NONBLOCK, SOCK_CLOEXEC,
			SOCK_NONBLOCK | SOCK_CLOEXEC, 0};
		struct sockaddr_storage ss;
		socklen_t l = i == 1 ? 5 : sizeof ss;
		struct tw_conn c;
		long id;

		if (i == 3)
			tw_now();
		p_start(OP_CONNECT, NULL, tw_port(s), 0, 0);
		see(s, POLLIN, 2000);
		if (i == 0)
			t_ret("bad flags", accept4(s, NULL, NULL, 0x1234));
		fd = i == 0	 ? accept(s, (void *)&ss, &l)
			: i == 5 ? syscall(SYS_accept4, s, &ss, &l, 0)
				 : accept4(s, (void *)&ss, &l, fl[i]);
		T("%s family %d length %u FL %#x FD %d",
			fd >= 0 ? "accepted" : t_err(errno), ss.ss_family, l,
			fcntl(fd, F_GETFL), fcntl(fd, F_GETFD));
		id = p_end().r;
		tw_tp_reset(fd);
		tw_wrap(&c, fd, id);
		if (i >= 3)
			use(&c);
		close(fd);
	}
	/* ASan's accept reads the length itself. */
	if (!TW_ASAN)
		t_ret("nowhere", accept(s, TW_NOWHERE, TW_NOWHERE));
	t_ret("closed", accept(777, NULL, NULL));
	t_ret("pipe", accept(2, NULL, NULL));
}

CASE(accept, blocking, 0)
{
	int s = tw_listen(AF_INET), fd;
	struct tw_conn c;

	tw_catch(SIGUSR1, 0);
	p_when(OP_SIGNAL, NULL, SIGUSR1, 0, 0);
	t_ret("EINTR", accept(s, NULL, NULL));
	p_end();
	tw_catch(SIGUSR1, SA_RESTART);
	p_when(OP_SIGNAL, NULL, SIGUSR1, 0, 0);
	p_when(OP_CONNECT, NULL, tw_port(s), 0, 0);
	fd = accept(s, NULL, NULL);
	T("restarted %s", fd >= 0 ? "and accepted" : t_err(errno));
	p_end();
	tw_tp_reset(fd);
	tw_wrap(&c, fd, p_end().r);
	use(&c);
	tw_timeo(s, SO_RCVTIMEO, 20);
	t_ret("time-out", accept(s, NULL, NULL));
}

/* Aborted before it is accepted. */
CASE(accept, aborted, F_NOUP)
{
	int s = tw_listen(AF_INET), x = tw_connect_to(AF_INET, tw_port(s), 0);
	struct linger l = {1, 0};
	int fd;

	setsockopt(x, SOL_SOCKET, SO_LINGER, &l, sizeof l);
	t_ret("send", send(x, "abc", 3, 0));
	close(x);
	tw_msleep(2);
	fd = accept(s, NULL, NULL);
	T("%s", fd >= 0 ? "accepted" : t_err(errno));
	t_ret("recv", recv(fd, buf, 10, 0));
	t_ret("recv", recv(fd, buf, 10, 0));
	t_ret("recv", recv(fd, buf, 10, 0));
}

/* The client speaks, and closes, before accept. */
CASE(accept, late, F_NOUP)
{
	int s = tw_listen(AF_INET), x = tw_connect_to(AF_INET, tw_port(s), 0);
	int fd;

	t_ret("send", send(x, "hello", 5, 0));
	close(x);
	fd = accept(s, NULL, NULL);
	t_ret("recv", recv(fd, buf, 10, 0));
	t_ret("recv", recv(fd, buf, 10, 0));
	t_ret("send", send(fd, "x", 1, MSG_NOSIGNAL));
}

CASE(shutdown, errors, 0)
{
	struct tw_conn *c = tw_open();
	int s = socket(AF_INET, SOCK_STREAM, 0);

	for (int half = 0; half < 2; half++) {
		t_ret("bad how", shutdown(c->fd, 3));
		t_ret("bad how", shutdown(c->fd, -1));
		t_ret("closed", shutdown(777, SHUT_WR));
		t_ret("pipe", shutdown(2, SHUT_WR));
		t_ret("not connected", shutdown(s, SHUT_WR));
		tw_mid(c);
	}
	t_ret("WR", shutdown(c->fd, SHUT_WR));
	t_ret("WR", shutdown(c->fd, SHUT_WR));
	p_recv(c, -1);
	t_ret("RD", shutdown(c->fd, SHUT_RD));
	t_ret("RDWR", shutdown(c->fd, SHUT_RDWR));
	p_close(c);
	t_ret("WR after the peer's", shutdown(c->fd, SHUT_WR));
	c = tw_open();
	tw_mid(c);
	p_rst(c);
	t_ret("after RST", shutdown(c->fd, SHUT_WR));
}

/* Half-closed both ways with bytes under way both ways. */
CASE(shutdown, half_closes, 0)
{
	struct tw_conn *c = tw_open();

	tw_flight(c);
	p_do(OP_SHUT, c, SHUT_WR, 0, 0);
	t_ret("WR", shutdown(c->fd, SHUT_WR));
	p_recv(c, -1);
	t_drain(c, TW_FLIGHT + 1);
	see(c->fd, POLLIN | POLLOUT | POLLRDHUP, 0);
	so_error(c->fd);
	tw_close(c);
}

CASE(shutdown, one_then_other, 0)
{
	struct tw_conn *c = tw_open();

	tw_mid(c);
	tw_fill(c, buf, 1000);
	t_sent(c, "send", send(c->fd, buf, 1000, 0));
	t_ret("WR", shutdown(c->fd, SHUT_WR));
	tw_tcp_ok(c);
	p_recv(c, -1);
	for (int i = 0; i < 5; i++) {
		p_send(c, 1000);
		t_drain(c, 500);
	}
	p_shut_wr(c);
	t_drain(c, 3000);
	tw_close(c);
}
