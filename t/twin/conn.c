/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Connections of a twin test: made, brought onto the rings, or held on TCP.
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
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "twin.h"

#define ROUNDS 4 /* on TCP, in every mode */
#define ROUNDS_MAX 400 /* until both directions are up */

static bool
want_up(void)
{
	return (tw->mode == MODE_BEFORE || tw->mode == MODE_MIDDLE) &&
		!atomic_load(&tw->hold) && !(tw->flags & F_NOUP);
}

int
tw_port(int fd)
{
	struct sockaddr_in6 a;
	socklen_t l = sizeof a;

	if (kmap_syscall6(SYS_getsockname, fd, (long)&a, (long)&l, 0, 0, 0) < 0)
		return -1;
	return ntohs(a.sin6_port); /* at the same place in sockaddr_in */
}

static socklen_t
local(int family, int port, struct sockaddr_storage *ss)
{
	memset(ss, 0, sizeof *ss);
	if (family == AF_INET6) {
		struct sockaddr_in6 *a = (void *)ss;

		a->sin6_family = AF_INET6;
		a->sin6_port = htons(port);
		a->sin6_addr = in6addr_loopback;
		return sizeof *a;
	}
	struct sockaddr_in *a = (void *)ss;

	a->sin_family = AF_INET;
	a->sin_port = htons(port);
	a->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return sizeof *a;
}

int
tw_listen(int family)
{
	struct sockaddr_storage ss;
	socklen_t l = local(family ? family : AF_INET, 0, &ss);
	int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (bind(fd, (void *)&ss, l) < 0 || listen(fd, 64) < 0)
		tw_fault("listen: %s", t_err(errno));
	return fd;
}

int
tw_connect_to(int family, int port, int type_flags)
{
	struct sockaddr_storage ss;
	socklen_t l = local(family ? family : AF_INET, port, &ss);
	int fd = socket(ss.ss_family, SOCK_STREAM | type_flags, 0);

	if (connect(fd, (void *)&ss, l) < 0 && errno != EINPROGRESS) {
		tw_fault("connect: %s", t_err(errno));
		close(fd);
		return -1;
	}
	return fd;
}

#define NCONN 64
static struct tw_conn pool[NCONN];
static int npool;

static struct tw_conn *
fresh(void)
{
	if (npool == NCONN)
		abort();
	return memset(&pool[npool++], 0, sizeof *pool);
}

void
tw_wrap(struct tw_conn *c, int fd, int id)
{
	int one = 1;

	*c = (struct tw_conn){
		.fd = fd, .id = id, .txseed = 1 + 2 * id, .rxseed = 2 + 2 * id};
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

struct tw_conn *
tw_open_raw(void)
{
	static int port, lfd = -1;
	struct tw_conn *c = fresh();
	int fd;
	long id;

	if (tw->acceptor) {
		if (lfd < 0)
			lfd = tw_listen(AF_INET);
		p_start(OP_CONNECT, NULL, tw_port(lfd), 0, 0);
		fd = accept(lfd, NULL, NULL);
		id = p_end().r;
	} else {
		if (!port)
			port = p_do(OP_LISTEN, NULL, AF_INET, 0, 0).r;
		fd = tw_connect_to(AF_INET, port, 0);
		id = p_do(OP_ACCEPT, NULL, 0, 0, 0).r;
	}
	if (fd < 0 || id < 0)
		tw_fault("no connection");
	if (fd >= 0)
		tw_tp_reset(fd);
	tw_wrap(c, fd, id);
	return c;
}

static bool
all(int fd, char *p, size_t n, bool out)
{
	while (n > 0) {
		ssize_t r =
			out ? send(fd, p, n, MSG_NOSIGNAL) : recv(fd, p, n, 0);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0 && errno == EAGAIN) {
			struct pollfd pf = {fd, out ? POLLOUT : POLLIN, 0};

			if (poll(&pf, 1, 3000) == 1)
				continue;
		}
		if (r <= 0)
			return false;
		p += r;
		n -= r;
	}
	return true;
}

static void
is_up(struct tw_conn *c)
{
	if (c->upped)
		return;
	c->upped = true;
	c->count = !(tw->flags & F_TCP);
	atomic_fetch_add(&tw->need_up, 1);
}

bool
tw_round(int step, bool ok)
{
	if (ok)
		atomic_fetch_add(&tw->rounds[step], 1);
	return ok;
}

/* Round trips until both directions are on their rings, then one more, so
 * that nothing of TCP is left to read. */
void
tw_rounds(struct tw_conn *c, bool up)
{
	bool more, own = false, other = false;
	char m[64];
	int i = 0;

	tw_squeeze(c, false);
	/* When a direction that spilled comes back is the library's affair. */
	if (c->upped && (tw->flags & F_TCP))
		up = false;
	p_start(OP_ROUNDS, c, 0, 0, 0);
	do {
		more = i < ROUNDS || (up && i < ROUNDS_MAX && !(own && other));
		memset(m, 0, sizeof m);
		m[0] = more;
		if (!tw_round(0, all(c->fd, m, sizeof m, true)) ||
			!tw_round(1, all(c->fd, m, sizeof m, false))) {
			T("the round trips broke: %s", t_err(errno));
			break;
		}
		own = tw_tp_up(c->fd) > 0;
		other = m[1];
		i++;
	} while (more);
	p_end();
	if (!up)
		return;
	if (own && other)
		is_up(c);
	else
		tw_fault("not upgraded after %d round trips: sending %s, "
			 "receiving %s",
			i, own ? "up" : "on TCP", other ? "up" : "on TCP");
}

void
tw_preamble(struct tw_conn *c)
{
	tw_rounds(c, want_up());
	if (atomic_load(&tw->hold) && tw_tp_up(c->fd) > 0)
		tw_fault("upgraded although the test point said no");
	if (tw->mode == MODE_NEVER && tw_tp_up(c->fd) > 0)
		tw_fault("upgraded although KMAP_UPGRADE=never");
}

struct tw_conn *
tw_open(void)
{
	struct tw_conn *c = tw_open_raw();

	tw_preamble(c);
	return c;
}

void
tw_now(void)
{
	atomic_store(&tw->hold, 0);
}

void
tw_mid(struct tw_conn *c)
{
	tw_now();
	tw_rounds(c, want_up());
}

void
tw_flight(struct tw_conn *c)
{
	struct tw_answer a = {0};
	char b;

	/* A byte at a time: each call is a chance to notice the other side. */
	for (int i = 0; i < 10; i++) {
		if (i == 1)
			tw_now();
		a = p_do(OP_FLIGHT, c, TW_FLIGHT / 10, 1, 0);
		for (int k = 0; k < TW_FLIGHT / 10; k++) {
			tw_fill(c, &b, 1);
			if (all(c->fd, &b, 1, true))
				c->tx++;
		}
	}
	tw_arrived(c, TW_FLIGHT);
	if (!want_up())
		return;
	if (a.up > 0 && tw_tp_up(c->fd) > 0) {
		bool was = c->upped;

		is_up(c);
		/* An unknown part of what is in flight goes by TCP. */
		if (!was)
			c->count = false;
	} else {
		tw_fault("not upgraded with bytes in flight: sending %s, "
			 "receiving %s",
			tw_tp_up(c->fd) > 0 ? "up" : "on TCP",
			a.up > 0 ? "up" : "on TCP");
	}
}

void
tw_tcp_ok(struct tw_conn *c)
{
	c->count = false;
}

void
tw_some_ring(struct tw_conn *c, bool in)
{
	c->count = false;
	if (c->upped)
		atomic_fetch_add(in ? &tw->need_in : &tw->need_out, 4096);
}

void
tw_close(struct tw_conn *c)
{
	t_ret("close", close(c->fd));
}

/* ---- both ends in one thread ---- */

static void
self_rounds(struct tw_conn *a, struct tw_conn *b, bool up)
{
	bool x = false, y = false, more;
	char m[64] = {0};
	int i = 0;

	do {
		more = i < ROUNDS || (up && i < ROUNDS_MAX && !(x && y));
		if (!all(a->fd, m, sizeof m, true) ||
			!all(b->fd, m, sizeof m, false) ||
			!all(b->fd, m, sizeof m, true) ||
			!all(a->fd, m, sizeof m, false)) {
			T("the round trips broke: %s", t_err(errno));
			break;
		}
		x = tw_tp_up(a->fd) > 0;
		y = tw_tp_up(b->fd) > 0;
		i++;
	} while (more);
	if (!up)
		return;
	if (x && y) {
		is_up(a);
		is_up(b);
	} else {
		tw_fault("both ends in one thread: not upgraded after %d "
			 "round trips (connector %s, acceptor %s)",
			i, x ? "up" : "on TCP", y ? "up" : "on TCP");
	}
}

void
tw_self(struct tw_conn *a, struct tw_conn *b)
{
	int l = tw_listen(AF_INET);
	int x = tw_connect_to(AF_INET, tw_port(l), 0);
	int y = accept(l, NULL, NULL);

	close(l);
	tw_tp_reset(x);
	tw_tp_reset(y);
	tw_wrap(a, x, 0);
	tw_wrap(b, y, 0);
	b->txseed = a->rxseed;
	b->rxseed = a->txseed;
	self_rounds(a, b, want_up());
}

void
tw_self_mid(struct tw_conn *a, struct tw_conn *b)
{
	tw_now();
	self_rounds(a, b, want_up());
}

/* ---- the subject ---- */

void
tw_subject(const struct tw_case *c)
{
	atomic_store(&tw->subject_pid, getpid());
	tw_catch_pipe();
	if (tw->peer_kind == PEER_THREAD) {
		tw_peer_thread();
	} else if (tw->peer_kind == PEER_FORK) {
		int sv[2];
		pid_t pid;

		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv))
			abort();
		pid = fork();
		if (pid == 0) {
			close(sv[0]);
			_exit(tw_peer_main(sv[1]));
		}
		close(sv[1]);
		dup3(sv[0], TW_FD_CTL, O_CLOEXEC);
		close(sv[0]);
	}
	c->run(c->arg);
	if (tw->mode == MODE_MIDDLE && atomic_load(&tw->hold) &&
		!(c->flags & F_NOUP))
		tw_fault("the case never lets its connection move");
	p_start(OP_EXIT, NULL, 0, 0, 0);
	atomic_store(&tw->done, 1);
	/* The peer's statistics must be written before the driver looks. */
	if (tw->peer_kind != PEER_THREAD)
		p_end();
}
