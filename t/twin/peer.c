/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The peer of a twin test: obeys one order after the other.
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
#include <sys/syscall.h>
#include <unistd.h>

#include "twin.h"

#define NCONN 64

static struct {
	int fd;
	uint64_t tx, rx;
} conn[NCONN];
static int nconn;
static int listener = -1;
static char buf[65536];

static int
new_conn(int fd)
{
	int one = 1;

	if (fd < 0)
		return -1;
	tw_tp_reset(fd);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	conn[nconn].fd = fd;
	conn[nconn].tx = conn[nconn].rx = 0;
	return nconn++;
}

static void
wait_for(int fd, short ev)
{
	struct pollfd p = {fd, ev, 0};

	poll(&p, 1, 3000);
}

static bool
send_raw(int fd, const void *p, size_t n, int flags)
{
	while (n > 0) {
		ssize_t r = send(fd, p, n, MSG_NOSIGNAL | flags);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0 && errno == EAGAIN) {
			wait_for(fd, POLLOUT);
			continue;
		}
		if (r < 0)
			return false;
		p = (const char *)p + r;
		n -= r;
	}
	return true;
}

static bool
recv_raw(int fd, void *p, size_t n)
{
	while (n > 0) {
		ssize_t r = recv(fd, p, n, 0);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return false;
		p = (char *)p + r;
		n -= r;
	}
	return true;
}

static void
do_rounds(int i, struct tw_answer *a)
{
	char m[64];

	do {
		errno = 0;
		if (!tw_round(2, recv_raw(conn[i].fd, m, sizeof m)))
			goto broke;
		m[1] = tw_tp_up(conn[i].fd) > 0;
		if (!tw_round(3, send_raw(conn[i].fd, m, sizeof m, 0)))
			goto broke;
		a->r++;
	} while (m[0]);
	return;
broke:
	/* The subject may sleep for ever now; on TCP it is a case's end. */
	a->err = errno;
	atomic_store(&tw->rounds_broke, errno ? errno : -1);
}

static void
do_send(int i, long n, int flags, struct tw_answer *a)
{
	while (a->r < n) {
		size_t k = n - a->r < (long)sizeof buf ? (size_t)(n - a->r)
						       : sizeof buf;

		pat_fill(2 + 2 * i, conn[i].tx, buf, k);
		if (!send_raw(conn[i].fd, buf, k, flags)) {
			a->err = errno;
			return;
		}
		conn[i].tx += k;
		a->r += k;
	}
}

static void
do_recv(int i, long n, struct tw_answer *a)
{
	while (n < 0 || a->r < n) {
		size_t k = n < 0 || n - a->r > (long)sizeof buf
			? sizeof buf
			: (size_t)(n - a->r);
		ssize_t r = recv(conn[i].fd, buf, k, 0);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			a->err = errno;
		if (r <= 0)
			return;
		if (pat_check(1 + 2 * i, conn[i].rx, buf, r) >= 0)
			a->bad = 1;
		conn[i].rx += r;
		a->r += r;
	}
}

static void
do_duplex(int i, long out, long in, struct tw_answer *a)
{
	static char obuf[32768];
	int fd = conn[i].fd;

	while (out > 0 || in > 0) {
		struct pollfd p = {
			fd, (in > 0 ? POLLIN : 0) | (out > 0 ? POLLOUT : 0), 0};
		ssize_t r;

		if (poll(&p, 1, 5000) != 1)
			break;
		if (out > 0 && (p.revents & POLLOUT)) {
			size_t k = out < (long)sizeof obuf ? (size_t)out
							   : sizeof obuf;

			pat_fill(2 + 2 * i, conn[i].tx, obuf, k);
			r = send(fd, obuf, k, MSG_DONTWAIT | MSG_NOSIGNAL);
			if (r < 0 && errno != EAGAIN) {
				a->err = errno;
				return;
			}
			if (r > 0) {
				conn[i].tx += r;
				out -= r;
			}
		}
		if (in > 0 && (p.revents & (POLLIN | POLLHUP))) {
			size_t k =
				in < (long)sizeof buf ? (size_t)in : sizeof buf;

			r = recv(fd, buf, k, MSG_DONTWAIT);
			if (r == 0 || (r < 0 && errno != EAGAIN)) {
				a->err = r ? errno : 0;
				return;
			}
			if (r > 0) {
				if (pat_check(1 + 2 * i, conn[i].rx, buf, r) >=
					0)
					a->bad = 1;
				conn[i].rx += r;
				in -= r;
				a->r += r;
			}
		}
	}
}

static void
obey(const struct tw_order *o, struct tw_answer *a)
{
	int i = o->conn, fd = i >= 0 && i < nconn ? conn[i].fd : -1, v;

	if (o->tid)
		a->awake = !tw_asleep_in(o->pid, o->tid);
	if (o->ms)
		tw_msleep(o->ms);
	switch (o->op) {
	case OP_LISTEN:
		listener = tw_listen(o->a);
		a->r = tw_port(listener);
		break;
	case OP_ACCEPT:
		a->r = new_conn(accept(listener, NULL, NULL));
		break;
	case OP_CONNECT:
		a->r = new_conn(tw_connect_to(o->b, o->a, 0));
		break;
	case OP_ROUNDS:
		do_rounds(i, a);
		break;
	case OP_SEND:
		do_send(i, o->a, o->b, a);
		break;
	case OP_FLIGHT:
		for (long k = 0; k < o->a; k++) {
			a->r = 0;
			do_send(i, o->b, 0, a);
		}
		break;
	case OP_RECV:
		do_recv(i, o->a, a);
		break;
	case OP_LEAVE: {
		struct tw_answer sent = {0};

		/* Never closed: that would be the end of fd. */
		if (fdopen(fd, "r+") == NULL)
			a->err = errno;
		do_recv(i, o->a, a);
		do_send(i, o->b, 0, &sent);
		break;
	}
	case OP_DUPLEX:
		do_duplex(i, o->a, o->b, a);
		break;
	case OP_SHUT:
		a->r = shutdown(fd, o->a);
		break;
	case OP_CLOSE:
		a->r = close(fd);
		break;
	case OP_RST: {
		struct linger l = {1, 0};

		setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
		a->r = close(fd);
		break;
	}
	case OP_KILL:
		kmap_syscall6(SYS_kill,
			kmap_syscall6(SYS_getpid, 0, 0, 0, 0, 0, 0), SIGKILL, 0,
			0, 0, 0);
		break;
	case OP_SIGNAL:
		a->r = kmap_syscall6(SYS_tgkill, o->pid, o->tid, o->a, 0, 0, 0);
		break;
	case OP_SETOPT:
		v = o->c;
		a->r = setsockopt(fd, o->a, o->b, &v, sizeof v);
		break;
	case OP_OOB:
		a->r = send(fd, "!", 1, MSG_OOB | MSG_NOSIGNAL);
		break;
	case OP_POLL: {
		struct pollfd p = {fd, o->a, 0};

		a->r = poll(&p, 1, o->b);
		a->bad = 0;
		a->err = p.revents;
		break;
	}
	case OP_UNREAD:
		a->r = ioctl(fd, FIONREAD, &v) < 0 ? -1 : v;
		break;
	case OP_NOW:
		atomic_store(&tw->hold, 0);
		break;
	}
	if (fd >= 0) {
		a->up = atomic_load(&tw->hold) ? 0 : tw_tp_up(fd);
		a->down = 0;
	}
}

static void
serve(int ctl)
{
	struct tw_order o;

	for (;;) {
		struct tw_answer a = {0};
		ssize_t n = recv(ctl, &o, sizeof o, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n != sizeof o || o.op == OP_EXIT)
			return;
		obey(&o, &a);
		if (send(ctl, &a, sizeof a, MSG_NOSIGNAL) < 0)
			return;
	}
}

int
tw_peer_main(int ctl)
{
	signal(SIGPIPE, SIG_IGN);
	nconn = 0;
	listener = -1;
	serve(ctl);
	return 0;
}

static void *
as_thread(void *arg)
{
	serve((int)(intptr_t)arg);
	return NULL;
}

/* The peer as a thread of the subject: signals are for the others. */
void
tw_peer_thread(void)
{
	int sv[2];
	pthread_t t;
	sigset_t all, old;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
		abort();
	dup3(sv[0], TW_FD_CTL, O_CLOEXEC);
	close(sv[0]);
	dup3(sv[1], TW_FD_OUT + 1, O_CLOEXEC);
	close(sv[1]);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	if (pthread_create(
		    &t, NULL, as_thread, (void *)(intptr_t)(TW_FD_OUT + 1)))
		abort();
	pthread_detach(t);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}
