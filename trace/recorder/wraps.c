/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "rec.h"

#include <aio.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>

#include "wrap.h"

/*
 * The wrappers. All have one shape: is it ours to record; the real call; what
 * it did (kt_after). The C names are our own, the symbols are libc's: so no
 * header's promise about a pointer holds here.
 */

#define NET kt_before_net(&c, fd, self)
#define ANY kt_before_any(&c, self)
#define FD kt_before(&c, fd, self)

/* socket, and what is a socket's by nature */
W(int, socket, (int domain, int type, int protocol), (domain, type, protocol),
	ANY, OP_SOCKET, 3, domain, type, protocol)
W(int, socketpair, (int domain, int type, int protocol, int *sv),
	(domain, type, protocol, sv), ANY, OP_PAIR, 4, domain, type, protocol,
	U(sv))
#define ADDR (int fd, const void *addr, socklen_t len)
W(int, bind, ADDR, (fd, addr, len), NET, OP_BIND, 3, fd, U(addr), len)
W(int, connect, ADDR, (fd, addr, len), NET, OP_CONNECT, 3, fd, U(addr), len)
W(int, __connect, ADDR, (fd, addr, len), NET, OP_CONNECT, 3, fd, U(addr), len)
W(int, listen, (int fd, int backlog), (fd, backlog), NET, OP_LISTEN, 2, fd,
	backlog)
W(int, accept, (int fd, void *addr, socklen_t *len), (fd, addr, len), NET,
	OP_ACCEPT, 3, fd, U(addr), U(len))
W(int, accept4, (int fd, void *addr, socklen_t *len, int flags),
	(fd, addr, len, flags), NET, OP_ACCEPT, 4, fd, U(addr), U(len), flags)
W(int, shutdown, (int fd, int how), (fd, how), NET, OP_NONE, 2, fd, how)
W(int, getsockname, (int fd, void *addr, socklen_t *len), (fd, addr, len), NET,
	OP_NAME, 3, fd, U(addr), U(len))
W(int, getpeername, (int fd, void *addr, socklen_t *len), (fd, addr, len), NET,
	OP_NAME, 3, fd, U(addr), U(len))
W(int, getsockopt, (int fd, int level, int name, void *val, socklen_t *len),
	(fd, level, name, val, len), NET, OP_GETOPT, 5, fd, level, name, U(val),
	U(len))
W(int, setsockopt,
	(int fd, int level, int name, const void *val, socklen_t len),
	(fd, level, name, val, len), NET, OP_SETOPT, 5, fd, level, name, U(val),
	len)
W(int, sockatmark, (int fd), (fd), NET, OP_NONE, 1, fd)

/* recv, send */
W(ssize_t, recv, (int fd, void *buf, size_t n, int flags), (fd, buf, n, flags),
	NET, OP_READ, 4, fd, U(buf), n, flags)
W(ssize_t, __recv_chk, (int fd, void *buf, size_t n, size_t room, int flags),
	(fd, buf, n, room, flags), NET, OP_READ, 4, fd, U(buf), n, flags)
W(ssize_t, recvfrom,
	(int fd, void *buf, size_t n, int flags, void *addr, socklen_t *len),
	(fd, buf, n, flags, addr, len), NET, OP_RECVFROM, 6, fd, U(buf), n,
	flags, U(addr), U(len))
W(ssize_t, __recvfrom_chk,
	(int fd, void *buf, size_t n, size_t room, int flags, void *addr,
		socklen_t *len),
	(fd, buf, n, room, flags, addr, len), NET, OP_RECVFROM, 6, fd, U(buf),
	n, flags, U(addr), U(len))
W(ssize_t, recvmsg, (int fd, struct msghdr *m, int flags), (fd, m, flags), NET,
	OP_RECVMSG, 3, fd, U(m), flags)
W(int, recvmmsg,
	(int fd, struct mmsghdr *v, unsigned int n, int flags,
		struct timespec *t),
	(fd, v, n, flags, t), NET, OP_RECVMMSG, 5, fd, U(v), n, flags, U(t))
#define SEND (int fd, const void *buf, size_t n, int flags)
W(ssize_t, send, SEND, (fd, buf, n, flags), NET, OP_WRITE, 4, fd, U(buf), n,
	flags)
W(ssize_t, __send, SEND, (fd, buf, n, flags), NET, OP_WRITE, 4, fd, U(buf), n,
	flags)
W(ssize_t, sendto,
	(int fd, const void *buf, size_t n, int flags, const void *addr,
		socklen_t len),
	(fd, buf, n, flags, addr, len), NET, OP_SENDTO, 6, fd, U(buf), n, flags,
	U(addr), len)
W(ssize_t, sendmsg, (int fd, const struct msghdr *m, int flags), (fd, m, flags),
	NET, OP_SENDMSG, 3, fd, U(m), flags)
W(int, sendmmsg, (int fd, struct mmsghdr *v, unsigned int n, int flags),
	(fd, v, n, flags), NET, OP_SENDMMSG, 4, fd, U(v), n, flags)

/* read, write: of any fd, and libunwind's */
static ssize_t
unw_read(void)
{
	errno = EAGAIN;
	return -1;
}

/* The byte is only looked at: "EFAULT buf is outside your accessible address
 * space" (write(2)). */
static ssize_t
unw_write(const void *p, size_t n)
{
	if (kt_readable((void *)(U(p) & ~7ul)))
		return n;
	errno = EFAULT;
	return -1;
}

#define READ_ARGS (int fd, void *buf, size_t n)
#define GUARD(act)                                                             \
	if (kt_unw(fd))                                                        \
	return act
WG(ssize_t, read, READ_ARGS, (fd, buf, n), GUARD(unw_read()), FD, OP_READ, 3,
	fd, U(buf), n)
W(ssize_t, __read, READ_ARGS, (fd, buf, n), FD, OP_READ, 3, fd, U(buf), n)
W(ssize_t, __read_chk, (int fd, void *buf, size_t n, size_t room),
	(fd, buf, n, room), FD, OP_READ, 3, fd, U(buf), n)
#define WRITE_ARGS (int fd, const void *buf, size_t n)
WG(ssize_t, write, WRITE_ARGS, (fd, buf, n), GUARD(unw_write(buf, n)), FD,
	OP_WRITE, 3, fd, U(buf), n)
W(ssize_t, __write, WRITE_ARGS, (fd, buf, n), FD, OP_WRITE, 3, fd, U(buf), n)
W(int, eventfd_read, (int fd, uint64_t *v), (fd, v), FD, OP_NONE, 2, fd, U(v))
W(int, eventfd_write, (int fd, uint64_t v), (fd, v), FD, OP_NONE, 2, fd, v)
#define VEC (int fd, const void *iov, int n)
W(ssize_t, readv, VEC, (fd, iov, n), FD, OP_READV, 3, fd, U(iov), n)
W(ssize_t, writev, VEC, (fd, iov, n), FD, OP_WRITEV, 3, fd, U(iov), n)
#define VEC2 (int fd, const void *iov, int n, off_t off, int flags)
W(ssize_t, preadv2, VEC2, (fd, iov, n, off, flags), FD, OP_READV, 5, fd, U(iov),
	n, off, flags)
W(ssize_t, preadv64v2, VEC2, (fd, iov, n, off, flags), FD, OP_READV, 5, fd,
	U(iov), n, off, flags)
W(ssize_t, pwritev2, VEC2, (fd, iov, n, off, flags), FD, OP_WRITEV, 5, fd,
	U(iov), n, off, flags)
W(ssize_t, pwritev64v2, VEC2, (fd, iov, n, off, flags), FD, OP_WRITEV, 5, fd,
	U(iov), n, off, flags)

/* Between two fds: recorded when one is, and then the other is watched. */
static bool
before_two(struct kt_call *c, int a, int b)
{
	kt_entry ea, eb;

	if (!kt_on())
		return false;
	ea = kt_fd(a);
	eb = kt_fd(b);
	if (!((ea | eb) & KT_REC))
		return false;
	/* The socket is what the call is about. */
	if (kt_entry_kind(ea) <= TRACE_SOCKET && (ea & KT_REC)) {
		kt_watch(b);
		c->fd = a;
		c->e = ea;
	} else {
		kt_watch(a);
		c->fd = b;
		c->e = eb;
	}
	return true;
}

#define TWO(a, b) (before_two(&c, a, b) && (kt_start(&c, self), true))
W(ssize_t, sendfile, (int out, int in, off_t *off, size_t n), (out, in, off, n),
	TWO(out, in), OP_NONE, 4, out, in, U(off), n)
W(ssize_t, sendfile64, (int out, int in, off_t *off, size_t n),
	(out, in, off, n), TWO(out, in), OP_NONE, 4, out, in, U(off), n)
W(ssize_t, splice,
	(int in, off64_t *io, int out, off64_t *oo, size_t n,
		unsigned int flags),
	(in, io, out, oo, n, flags), TWO(in, out), OP_NONE, 6, in, U(io), out,
	U(oo), n, flags)
W(ssize_t, tee, (int in, int out, size_t n, unsigned int flags),
	(in, out, n, flags), TWO(in, out), OP_NONE, 4, in, out, n, flags)
W(ssize_t, vmsplice,
	(int fd, const struct iovec *iov, size_t n, unsigned int flags),
	(fd, iov, n, flags), FD, OP_WRITEV, 4, fd, U(iov), n, flags)
W(ssize_t, copy_file_range,
	(int in, off64_t *io, int out, off64_t *oo, size_t n,
		unsigned int flags),
	(in, io, out, oo, n, flags), TWO(in, out), OP_NONE, 6, in, U(io), out,
	U(oo), n, flags)

/*
 * close: the number is free for other threads before the call returns, so it
 * is taken out of the table first.
 */
static inline void
closing(int fd)
{
	if ((unsigned int)fd < kt_nfds && kt_fds[fd])
		kt_fd_put(fd, 0);
}

#define CLOSING (FD ? (closing(fd), true) : (closing(fd), false))
WG(int, close, (int fd), (fd), GUARD(0), CLOSING, OP_NONE, 1, fd)
W(int, __close, (int fd), (fd), CLOSING, OP_NONE, 1, fd)
W(int, close_range, (unsigned int first, unsigned int last, int flags),
	(first, last, flags), ANY, OP_CLOSE_RANGE, 3, first, last, flags)

KT_EXPORT void kt_w_closefrom(int first) __asm__("closefrom");
KT_EXPORT void
kt_w_closefrom(int first)
{
	void (*real)(int) = kt_real(KT_closefrom);
	const enum kt_name self = KT_closefrom;
	struct kt_call c;

	if (!ANY) {
		real(first);
		return;
	}
	real(first);
	kt_done(&c, 0);
	kt_after(&c, KT_closefrom, SYS_close_range, OP_CLOSE_RANGE, 2,
		(uint64_t[]){first < 0 ? 0 : first, ~0u});
}

/* dup: what stood at the new number is gone */
static bool
before_dup(struct kt_call *c, int fd, int to)
{
	bool on = kt_on();

	if (!on)
		return false;
	c->e = kt_fd(fd);
	c->fd = fd;
	return (c->e & KT_REC) ||
		((unsigned int)to < kt_nfds && (kt_fds[to] & KT_REC));
}

static int
dupped(int fd, int r)
{
	if (kt_live && r >= 0 && r != fd)
		kt_fd_put(r, kt_fd(fd) & ~(kt_entry)KT_HAD);
	return r;
}

#define DUP(name, params, args, to, nargs, ...)                                \
	KT_EXPORT int kt_w_##name params __asm__(#name);                       \
	KT_EXPORT int kt_w_##name params                                       \
	{                                                                      \
		int(*real) params = kt_real(KT_##name);                        \
		struct kt_call c;                                              \
		int r;                                                         \
                                                                               \
		if (!before_dup(&c, fd, to))                                   \
			return dupped(fd, real args);                          \
		kt_start(&c, KT_##name);                                       \
		r = real args;                                                 \
		kt_done(&c, r);                                                \
		kt_after(&c, KT_##name, KT_SYS_##name, OP_DUP, nargs,          \
			(uint64_t[]){__VA_ARGS__});                            \
		return r;                                                      \
	}
DUP(dup, (int fd), (fd), -1, 1, fd)
DUP(dup2, (int fd, int to), (fd, to), to, 2, fd, to)
DUP(__dup2, (int fd, int to), (fd, to), to, 2, fd, to)
DUP(dup3, (int fd, int to, int flags), (fd, to, flags), to, 3, fd, to, flags)

/* fcntl makes copies of what is not recorded, too */
#define FCNTL(name)                                                            \
	KT_EXPORT int kt_w_##name(int, int, uint64_t) __asm__(#name);          \
	KT_EXPORT int kt_w_##name(int fd, int cmd, uint64_t arg)               \
	{                                                                      \
		const enum kt_name self = KT_##name;                           \
		int (*real)(int, int, uint64_t) = kt_real(KT_##name);          \
		struct kt_call c;                                              \
		int r;                                                         \
                                                                               \
		if (!FD) {                                                     \
			r = real(fd, cmd, arg);                                \
			if (cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC)          \
				dupped(fd, r);                                 \
			return r;                                              \
		}                                                              \
		const uint64_t a[] = {fd, cmd, arg};                           \
		KT_CUTS struct kt_cut cut = {                                  \
			&c, a, NULL, KT_##name, OP_NONE, SYS_fcntl, 3, true};  \
		r = real(fd, cmd, arg);                                        \
		cut.live = false;                                              \
		kt_done(&c, r);                                                \
		kt_after(&c, KT_##name, SYS_fcntl, OP_FCNTL, 3, a);            \
		return r;                                                      \
	}
FCNTL(fcntl)
FCNTL(fcntl64)
FCNTL(__fcntl)
W(int, ioctl, (int fd, unsigned long req, uint64_t arg), (fd, req, arg), FD,
	OP_IOCTL, 3, fd, req, arg)

/* fstat */
W(int, fstat, (int fd, void *st), (fd, st), FD, OP_NONE, 2, fd, U(st))
W(int, fstat64, (int fd, void *st), (fd, st), FD, OP_NONE, 2, fd, U(st))
W(int, __fxstat, (int ver, int fd, void *st), (ver, fd, st), FD, OP_NONE, 2, fd,
	U(st))
W(int, __fxstat64, (int ver, int fd, void *st), (ver, fd, st), FD, OP_NONE, 2,
	fd, U(st))

/* poll, select, epoll */
#define POLL_ARGS (void *fds, nfds_t n, int ms)
W(int, poll, POLL_ARGS, (fds, n, ms), n &&ANY, OP_POLL, 3, U(fds), n, ms)
W(int, __poll, POLL_ARGS, (fds, n, ms), n &&ANY, OP_POLL, 3, U(fds), n, ms)
W(int, __poll_chk, (void *fds, nfds_t n, int ms, size_t room),
	(fds, n, ms, room), n &&ANY, OP_POLL, 3, U(fds), n, ms)
W(int, ppoll, (void *fds, nfds_t n, const void *t, const void *mask),
	(fds, n, t, mask), n &&ANY, OP_PPOLL, 4, U(fds), n, U(t), U(mask))
W(int, __ppoll_chk,
	(void *fds, nfds_t n, const void *t, const void *mask, size_t room),
	(fds, n, t, mask, room), n &&ANY, OP_PPOLL, 4, U(fds), n, U(t), U(mask))

/*
 * select writes over what it was asked: the sets are copied before. Only
 * when they can be read, for EFAULT is the kernel's to say.
 */
bool
kt_before_select(struct kt_select *s, int n, const fd_set *const sets[3],
	const void *t, bool timeval)
{
	bool net = false;
	int max = 0;

	if (!kt_on() || n <= 0)
		return false;
	s->n = n > FD_SETSIZE ? FD_SETSIZE : n;
	for (int k = 0; k < 3; k++) {
		size_t bytes = (s->n + 63) / 64 * 8;

		memset(&s->in[k], 0, sizeof(s->in[k]));
		if (!sets[k])
			continue;
		if (!kt_readable(sets[k]) ||
			!kt_readable((const char *)sets[k] + bytes - 8))
			return false;
		memcpy(&s->in[k], sets[k], bytes);
	}
	for (int fd = 0; fd < s->n; fd++) {
		if (!FD_ISSET(fd, &s->in[0]) && !FD_ISSET(fd, &s->in[1]) &&
			!FD_ISSET(fd, &s->in[2]))
			continue;
		max = fd + 1;
		net = net || (kt_fd(fd) & KT_REC);
	}
	s->n = max;
	s->ns = -1;
	if (t && kt_readable(t) && kt_readable((const long *)t + 1)) {
		const long *v = t;

		s->ns = v[0] * 1000000000 + v[1] * (timeval ? 1000 : 1);
	}
	return net;
}

#define SELECT(name, params, args, timeval, nargs, ...)                        \
	KT_EXPORT int kt_w_##name params __asm__(#name);                       \
	KT_EXPORT int kt_w_##name params                                       \
	{                                                                      \
		int(*real) params = kt_real(KT_##name);                        \
		const fd_set *const sets[3] = {rd, wr, ex};                    \
		const enum kt_name self = KT_##name;                           \
		struct kt_select s;                                            \
		struct kt_call c;                                              \
		int r;                                                         \
                                                                               \
		if (!kt_before_select(&s, n, sets, t, timeval) || !ANY)        \
			return real args;                                      \
		const uint64_t a[] = {__VA_ARGS__};                            \
		KT_CUTS struct kt_cut cut = {&c, a, &s, KT_##name, OP_SELECT,  \
			KT_SYS_##name, nargs, true};                           \
		r = real args;                                                 \
		cut.live = false;                                              \
		kt_done(&c, r);                                                \
		kt_after_select(&c, KT_##name, KT_SYS_##name, nargs, a, &s);   \
		return r;                                                      \
	}
#define SEL_ARGS (int n, fd_set *rd, fd_set *wr, fd_set *ex, void *t)
SELECT(select, SEL_ARGS, (n, rd, wr, ex, t), true, 5, n, U(rd), U(wr), U(ex),
	U(t))
SELECT(__select, SEL_ARGS, (n, rd, wr, ex, t), true, 5, n, U(rd), U(wr), U(ex),
	U(t))
SELECT(pselect,
	(int n, fd_set *rd, fd_set *wr, fd_set *ex, const void *t,
		const void *mask),
	(n, rd, wr, ex, t, mask), false, 6, n, U(rd), U(wr), U(ex), U(t),
	U(mask))

W(int, epoll_create, (int size), (size), ANY, OP_EPOLL_CREATE, 1, size)
W(int, epoll_create1, (int flags), (flags), ANY, OP_EPOLL_CREATE, 1, flags)
W(int, epoll_ctl, (int fd, int op, int of, void *ev), (fd, op, of, ev), NET,
	OP_EPOLL_CTL, 4, fd, op, of, U(ev))
W(int, epoll_wait, (int fd, void *ev, int max, int ms), (fd, ev, max, ms), NET,
	OP_EPOLL_WAIT, 4, fd, U(ev), max, ms)
W(int, epoll_pwait, (int fd, void *ev, int max, int ms, const void *mask),
	(fd, ev, max, ms, mask), NET, OP_EPOLL_WAIT, 5, fd, U(ev), max, ms,
	U(mask))
W(int, epoll_pwait2,
	(int fd, void *ev, int max, const void *t, const void *mask),
	(fd, ev, max, t, mask), NET, OP_EPOLL_PWAIT2, 5, fd, U(ev), max, U(t),
	U(mask))

/* What only gives a number */
#define BORN(name, params, args, kind)                                         \
	KT_EXPORT int kt_w_##name params __asm__(#name);                       \
	KT_EXPORT int kt_w_##name params                                       \
	{                                                                      \
		int(*real) params = kt_real(KT_##name);                        \
		int r;                                                         \
                                                                               \
		/* libunwind shall not move the numbers. */                    \
		if (kt_from_unw()) {                                           \
			errno = ENOENT;                                        \
			return -1;                                             \
		}                                                              \
		r = real args;                                                 \
		kt_born(r, kind);                                              \
		return r;                                                      \
	}
#define OPEN (const char *path, int flags, int mode)
BORN(open, OPEN, (path, flags, mode), TRACE_FILE)
BORN(open64, OPEN, (path, flags, mode), TRACE_FILE)
BORN(__open, OPEN, (path, flags, mode), TRACE_FILE)
BORN(__open64, OPEN, (path, flags, mode), TRACE_FILE)
BORN(__open_2, (const char *path, int flags), (path, flags), TRACE_FILE)
BORN(__open64_2, (const char *path, int flags), (path, flags), TRACE_FILE)
#define OPENAT (int dir, const char *path, int flags, int mode)
BORN(openat, OPENAT, (dir, path, flags, mode), TRACE_FILE)
BORN(openat64, OPENAT, (dir, path, flags, mode), TRACE_FILE)
BORN(__openat_2, (int dir, const char *path, int flags), (dir, path, flags),
	TRACE_FILE)
BORN(__openat64_2, (int dir, const char *path, int flags), (dir, path, flags),
	TRACE_FILE)
BORN(creat, (const char *path, int mode), (path, mode), TRACE_FILE)
BORN(creat64, (const char *path, int mode), (path, mode), TRACE_FILE)
BORN(eventfd, (unsigned int v, int flags), (v, flags), TRACE_EVENTFD)
BORN(signalfd, (int fd, const void *mask, int flags), (fd, mask, flags),
	TRACE_SIGNALFD)
BORN(timerfd_create, (int clock, int flags), (clock, flags), TRACE_TIMERFD)
BORN(inotify_init, (void), (), TRACE_FILE)
BORN(inotify_init1, (int flags), (flags), TRACE_FILE)
BORN(memfd_create, (const char *name, unsigned int flags), (name, flags),
	TRACE_FILE)
BORN(mkstemp, (char *t), (t), TRACE_FILE)
BORN(mkstemp64, (char *t), (t), TRACE_FILE)
BORN(mkostemp, (char *t, int flags), (t, flags), TRACE_FILE)
BORN(mkostemp64, (char *t, int flags), (t, flags), TRACE_FILE)
BORN(mkstemps, (char *t, int len), (t, len), TRACE_FILE)
BORN(mkstemps64, (char *t, int len), (t, len), TRACE_FILE)
BORN(mkostemps, (char *t, int len, int flags), (t, len, flags), TRACE_FILE)
BORN(mkostemps64, (char *t, int len, int flags), (t, len, flags), TRACE_FILE)
BORN(shm_open, (const char *name, int flags, mode_t mode), (name, flags, mode),
	TRACE_FILE)
BORN(posix_openpt, (int flags), (flags), TRACE_FILE)
BORN(getpt, (void), (), TRACE_FILE)
BORN(pidfd_open, (pid_t pid, unsigned int flags), (pid, flags), TRACE_FILE)
BORN(fanotify_init, (unsigned int flags, unsigned int ev), (flags, ev),
	TRACE_FILE)
BORN(open_by_handle_at, (int mnt, void *h, int flags), (mnt, h, flags),
	TRACE_FILE)

static int
two(int r, const int *fds, enum trace_kind kind)
{
	if (r == 0) {
		kt_born(fds[0], kind);
		kt_born(fds[1], kind);
	}
	return r;
}

#define PIPE(name, params, args)                                               \
	KT_EXPORT int kt_w_##name params __asm__(#name);                       \
	KT_EXPORT int kt_w_##name params                                       \
	{                                                                      \
		int(*real) params = kt_real(KT_##name);                        \
                                                                               \
		if (kt_from_unw()) {                                           \
			fds[0] = KT_UNW_RD;                                    \
			fds[1] = KT_UNW_WR;                                    \
			return 0;                                              \
		}                                                              \
		return two(real args, fds, TRACE_PIPE);                        \
	}
PIPE(pipe, (int *fds), (fds))
PIPE(__pipe, (int *fds), (fds))
PIPE(pipe2, (int *fds, int flags), (fds, flags))

KT_EXPORT int kt_w_openpty(
	int *, int *, char *, const void *, const void *) __asm__("openpty");
KT_EXPORT int
kt_w_openpty(int *m, int *s, char *name, const void *t, const void *w)
{
	int (*real)(int *, int *, char *, const void *, const void *) =
		kt_real(KT_openpty);
	int r = real(m, s, name, t, w);

	if (r == 0) {
		kt_born(*m, TRACE_FILE);
		kt_born(*s, TRACE_FILE);
	}
	return r;
}

KT_EXPORT int
kt_w_forkpty(int *, char *, const void *, const void *) __asm__("forkpty");
KT_EXPORT int
kt_w_forkpty(int *m, char *name, const void *t, const void *w)
{
	int (*real)(int *, char *, const void *, const void *) =
		kt_real(KT_forkpty);
	int r = real(m, name, t, w);

	if (r > 0)
		kt_born(*m, TRACE_FILE);
	return r;
}

W(int, pidfd_getfd, (int pidfd, int fd, unsigned int flags), (pidfd, fd, flags),
	ANY, OP_GETFD, 3, pidfd, fd, flags)

/* aio works in threads inside libc */
#define AIO (struct aiocb * cb)
#define AIO_FD kt_before(&c, cb ? cb->aio_fildes : -1, self)
W(int, aio_read, AIO, (cb), AIO_FD, OP_NONE, 1, U(cb))
W(int, aio_read64, AIO, (cb), AIO_FD, OP_NONE, 1, U(cb))
W(int, aio_write, AIO, (cb), AIO_FD, OP_NONE, 1, U(cb))
W(int, aio_write64, AIO, (cb), AIO_FD, OP_NONE, 1, U(cb))
