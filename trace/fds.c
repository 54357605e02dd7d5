/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "tracer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SO_COOKIE
#define SO_COOKIE 57
#endif

/* More than any program opens; a number above is not looked up in advance. */
#define MAX_FDS (1 << 20)

int
fds_arg(int nr, const uint64_t *args)
{
	switch (nr) {
	case SYS_socket:
	case SYS_socketpair:
	case SYS_ppoll:
	case SYS_pselect6:
	case SYS_epoll_create1:
	case SYS_eventfd2:
	case SYS_timerfd_create:
	case SYS_pipe2:
	case SYS_close_range:
	case SYS_pidfd_getfd:
	case SYS_io_uring_setup:
#ifdef SYS_poll
	case SYS_poll:
	case SYS_select:
	case SYS_epoll_create:
	case SYS_pipe:
	case SYS_eventfd:
#endif
		return -1;
	}
	return (int)args[0];
}

static struct tfd *
slot(struct image *im, int fd)
{
	if (fd < 0 || fd >= MAX_FDS)
		return NULL;
	if ((size_t)fd >= im->nfds) {
		size_t n = im->nfds ? im->nfds : 64;

		while (n <= (size_t)fd)
			n *= 2;
		im->fds = must(realloc(im->fds, n * sizeof(*im->fds)));
		memset(im->fds + im->nfds, 0,
			(n - im->nfds) * sizeof(*im->fds));
		im->nfds = n;
	}
	return &im->fds[fd];
}

static void
drop(struct image *im, int fd)
{
	if (fd >= 0 && (size_t)fd < im->nfds)
		memset(&im->fds[fd], 0, sizeof(*im->fds));
}

void
fds_forget(struct image *im)
{
	free(im->fds);
	im->fds = NULL;
	im->nfds = 0;
}

/* What /proc says the fd is; TRACE_SOCKET for all sockets. -1: no fd. */
static int
look(const struct image *im, int fd)
{
	static const struct {
		const char *name;
		int kind;
	} anon[] = {{"[eventpoll]", TRACE_EPOLL}, {"[eventfd", TRACE_EVENTFD},
		{"[timerfd]", TRACE_TIMERFD}, {"[signalfd]", TRACE_SIGNALFD}};
	char path[64], link[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", im->pid, fd);
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 0)
		return -1;
	link[n] = 0;
	if (!strncmp(link, "socket:", 7))
		return TRACE_SOCKET;
	if (!strncmp(link, "pipe:", 5))
		return TRACE_PIPE;
	if (strncmp(link, "anon_inode:", 11))
		return TRACE_FILE;
	for (size_t i = 0; i < sizeof(anon) / sizeof(anon[0]); i++)
		if (!strncmp(link + 11, anon[i].name, strlen(anon[i].name)))
			return anon[i].kind;
	return TRACE_FILE;
}

struct tfd *
fds_get(struct image *im, int fd)
{
	struct tfd *f = slot(im, fd);
	int kind;

	if (!f || f->kind)
		return f;
	kind = look(im, fd);
	if (kind < 0)
		return NULL;
	f->kind = kind + 1;
	return f;
}

bool
fds_network(const struct tfd *f)
{
	return f && f->kind && f->kind - 1 >= TRACE_TCP &&
		f->kind - 1 <= TRACE_EPOLL;
}

/* Two fds of one socket, in whatever processes, have one number. */
static uint32_t
number(uint64_t cookie)
{
	static struct known {
		uint64_t cookie;
		uint32_t ep;
	} * known;
	static size_t n, room;

	/* Newest first: connections come and go. */
	for (size_t i = n; cookie && i-- > 0;)
		if (known[i].cookie == cookie)
			return known[i].ep;
	if (cookie) {
		if (n == room) {
			room = room ? 2 * room : 256;
			known = must(realloc(known, room * sizeof(*known)));
		}
		known[n].cookie = cookie;
		known[n++].ep = tracer.endpoints + 1;
	}
	return ++tracer.endpoints;
}

static int
option(int s, int name)
{
	socklen_t len = sizeof(int);
	int v = 0;

	return getsockopt(s, SOL_SOCKET, name, &v, &len) < 0 ? 0 : v;
}

static enum trace_kind
socket_kind(int s, const struct wire_endpoint *e)
{
	if (e->domain == AF_UNIX)
		return TRACE_UNIX;
	if (e->domain != AF_INET && e->domain != AF_INET6)
		return TRACE_SOCKET;
	if (e->type == SOCK_DGRAM)
		return TRACE_UDP;
	if (e->type != SOCK_STREAM)
		return TRACE_SOCKET;
	return option(s, SO_ACCEPTCONN) ? TRACE_LISTEN : TRACE_TCP;
}

/* All that a socket tells of itself, through an fd of our own for a moment. */
static void
describe(struct wire_endpoint *e, pid_t pid, int fd)
{
	int pidfd = syscall(SYS_pidfd_open, pid, 0);
	int s = pidfd < 0 ? -1 : syscall(SYS_pidfd_getfd, pidfd, fd, 0);
	struct sockaddr_storage sa;
	socklen_t len = sizeof(e->cookie);

	if (pidfd >= 0)
		close(pidfd);
	if (s < 0)
		return;
	getsockopt(s, SOL_SOCKET, SO_COOKIE, &e->cookie, &len);
	e->domain = option(s, SO_DOMAIN);
	e->type = option(s, SO_TYPE);
	e->protocol = option(s, SO_PROTOCOL);
	e->kind = socket_kind(s, e);
	len = sizeof(sa);
	if (!getsockname(s, (struct sockaddr *)&sa, &len))
		peek_address(e->local, &sa, len);
	len = sizeof(sa);
	if (!getpeername(s, (struct sockaddr *)&sa, &len))
		peek_address(e->peer, &sa, len);
	close(s);
}

uint32_t
fds_endpoint(struct tracee *t, int fd)
{
	struct tfd *f = fds_get(t->image, fd);
	struct wire_endpoint e = {0};

	if (!f)
		return 0;
	if (f->ep && !f->stale)
		return f->ep;
	e.kind = f->kind - 1;
	if (e.kind >= TRACE_TCP && e.kind <= TRACE_SOCKET)
		describe(&e, t->image->pid, fd);
	/* Files and the like are endpoints only where the recorder knows. */
	if (e.kind == TRACE_FILE)
		return 0;
	f->kind = e.kind + 1;
	f->stale = false;
	if (!f->ep)
		f->ep = number(e.cookie);
	e.ep = f->ep;
	e.origin = f->origin	? f->origin
		: tracer.verify ? TRACE_BY_INHERIT
				: TRACE_BY_BEFORE;
	e.connected = f->connected;
	e.listener = f->listener;
	tracer_send(WIRE_ENDPOINT, &e, sizeof(e));
	return f->ep;
}

/* What a process that is attached to listens on: it may not call anything on
 * it as long as it is looked at, and what it accepted before is known by it. */
void
fds_before(struct tracee *t)
{
	char path[64];
	struct dirent *d;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", t->image->pid);
	dir = opendir(path);
	while (dir && (d = readdir(dir))) {
		struct wire_endpoint e = {0};
		int fd = atoi(d->d_name);

		if (*d->d_name == '.' || look(t->image, fd) != TRACE_SOCKET)
			continue;
		describe(&e, t->image->pid, fd);
		if (e.kind == TRACE_LISTEN)
			fds_endpoint(t, fd);
	}
	if (dir)
		closedir(dir);
}

/* What a call makes of fds, seen at its entry: numbers that become free. */
void
fds_entry(struct tracee *t, int nr, const uint64_t *args)
{
	struct image *im = t->image;

	switch (nr) {
	case SYS_close:
		drop(im, (int)args[0]);
		break;
	case SYS_dup3:
#ifdef SYS_poll
	case SYS_dup2:
#endif
		if (args[0] != args[1])
			drop(im, (int)args[1]);
		break;
	case SYS_close_range:
		if (args[2] & CLOSE_RANGE_CLOEXEC)
			break;
		for (uint64_t i = (unsigned)args[0];
			i <= (unsigned)args[1] && i < im->nfds; i++)
			drop(im, i);
		break;
	}
}

static void
made(struct tracee *t, int fd, enum trace_origin origin, uint32_t listener)
{
	struct tfd *f;

	drop(t->image, fd);
	f = fds_get(t->image, fd);
	if (!f)
		return;
	f->origin = origin;
	f->listener = listener;
	fds_endpoint(t, fd);
}

/* The same at its exit, when the exit is seen: fds made and changed. */
void
fds_exit(struct tracee *t, int nr, const uint64_t *args, int64_t ret)
{
	struct tfd *f, *of;
	int pair[2], passed[PEEK_FDS];
	uint32_t listener;
	size_t n;

	if (ret < 0 && !(nr == SYS_connect && ret == -EINPROGRESS))
		return;
	switch (nr) {
	case SYS_socket:
	case SYS_epoll_create1:
	case SYS_eventfd2:
	case SYS_timerfd_create:
#ifdef SYS_poll
	case SYS_epoll_create:
	case SYS_eventfd:
#endif
		made(t, ret, TRACE_BY_SOCKET, 0);
		break;
	case SYS_socketpair:
		if (peek(t->tid, args[3], pair, sizeof(pair)) < sizeof(pair))
			break;
		made(t, pair[0], TRACE_BY_SOCKET, 0);
		made(t, pair[1], TRACE_BY_SOCKET, 0);
		break;
	case SYS_accept:
	case SYS_accept4:
		listener = fds_endpoint(t, (int)args[0]);
		made(t, ret, TRACE_BY_ACCEPT, listener);
		break;
	case SYS_recvmsg:
		n = peek_passed(t, args[1], passed);
		for (size_t i = 0; i < n; i++)
			made(t, passed[i], TRACE_BY_PASSING, 0);
		break;
	case SYS_fcntl:
		if (args[1] != F_DUPFD && args[1] != F_DUPFD_CLOEXEC)
			break;
		/* fall through */
	case SYS_dup:
	case SYS_dup3:
#ifdef SYS_poll
	case SYS_dup2:
#endif
		of = fds_get(t->image, (int)args[0]);
		f = of && ret != (int)args[0] ? slot(t->image, ret) : NULL;
		/* slot may have moved them all */
		of = fds_get(t->image, (int)args[0]);
		if (f && of)
			*f = *of;
		break;
	case SYS_bind:
	case SYS_listen:
	case SYS_connect:
		f = fds_get(t->image, (int)args[0]);
		if (!f)
			break;
		f->stale = true;
		f->connected |= nr == SYS_connect;
		fds_endpoint(t, (int)args[0]);
		break;
	}
}

static bool
network(struct tracee *t, int fd)
{
	struct tfd *f = fds_get(t->image, fd);
	int kind;

	if (!fds_network(f))
		return false;
	/*
	 * Believed to be one since an earlier call: what was opened since,
	 * unseen, may have taken the number of one closed out of our sight.
	 */
	kind = look(t->image, fd);
	if ((kind == TRACE_SOCKET) == (f->kind - 1 <= TRACE_SOCKET) &&
		(kind == TRACE_EPOLL) == (f->kind - 1 == TRACE_EPOLL))
		return true;
	drop(t->image, fd);
	return fds_network(fds_get(t->image, fd));
}

static bool
poll_network(struct tracee *t, uint64_t at, uint64_t n)
{
	struct pollfd p[64];

	for (uint64_t i = 0; i < n && i < 4096; i += 64) {
		size_t k = n - i < 64 ? n - i : 64;

		k = peek(t->tid, at + i * sizeof(*p), p, k * sizeof(*p)) /
			sizeof(*p);
		for (size_t j = 0; j < k; j++)
			if (p[j].fd >= 0 && network(t, p[j].fd))
				return true;
	}
	return false;
}

static bool
select_network(struct tracee *t, const uint64_t *args)
{
	unsigned char set[128];
	size_t n = args[0] < 1024 ? args[0] : 1024;

	for (int k = 1; k <= 3; k++) {
		memset(set, 0, sizeof(set));
		if (!args[k])
			continue;
		peek(t->tid, args[k], set, (n + 63) / 64 * 8);
		for (size_t fd = 0; fd < n; fd++)
			if (set[fd / 8] & 1 << fd % 8 && network(t, fd))
				return true;
	}
	return false;
}

/* Seldom called, and for thousands of numbers: only those in use count. */
static bool
range_network(struct tracee *t, unsigned first, unsigned last)
{
	char path[64];
	struct dirent *e;
	bool yes = false;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", t->image->pid);
	dir = opendir(path);
	while (dir && !yes && (e = readdir(dir))) {
		unsigned fd = atoi(e->d_name);

		yes = *e->d_name != '.' && fd >= first && fd <= last &&
			network(t, fd);
	}
	if (dir)
		closedir(dir);
	return yes;
}

bool
fds_call_network(struct tracee *t, int nr, const uint64_t *args)
{
	switch (nr) {
	case SYS_socket:
	case SYS_socketpair:
	case SYS_epoll_create1:
	case SYS_io_uring_setup:
	case SYS_io_uring_enter:
	case SYS_io_uring_register:
#ifdef SYS_poll
	case SYS_epoll_create:
#endif
		return true;
	case SYS_eventfd2:
	case SYS_signalfd4:
	case SYS_timerfd_create:
	case SYS_pipe2:
	case SYS_pidfd_getfd:
#ifdef SYS_poll
	case SYS_pipe:
	case SYS_eventfd:
	case SYS_signalfd:
#endif
		return false;
	case SYS_ppoll:
		return poll_network(t, args[0], args[1]);
	case SYS_pselect6:
		return select_network(t, args);
#ifdef SYS_poll
	case SYS_poll:
		return poll_network(t, args[0], args[1]);
	case SYS_select:
		return select_network(t, args);
#endif
	case SYS_close_range:
		return range_network(t, args[0], args[1]);
	case SYS_dup3:
#ifdef SYS_poll
	case SYS_dup2:
#endif
	case SYS_sendfile:
	case SYS_tee:
		if (network(t, (int)args[1]))
			return true;
		break;
	case SYS_splice:
	case SYS_copy_file_range:
		if (network(t, (int)args[2]))
			return true;
		break;
	}
	return network(t, (int)args[0]);
}
