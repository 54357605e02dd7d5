/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "rec.h"

#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/select.h>

#include "wrap.h"

/*
 * syscall(2): recorded under the name "syscall" with the number and the
 * words of the syscall; what it does is the same as behind libc's functions.
 */

enum how {
	HOW_NO, /* it is not about an fd of ours */
	HOW_FD, /* about a[0], recorded when that is */
	HOW_NET, /* about a[0], a socket or epoll set by its nature */
	HOW_ANY,
	HOW_CLOSE,
	HOW_DUP,
	HOW_TWO, /* about a[0] and a[1] */
	HOW_SPLICE, /* about a[0] and a[2] */
	HOW_SELECT,
	HOW_POLL,
	HOW_BORN, /* ret is a new number */
	HOW_PIPE,
	HOW_SECCOMP,
};

struct raw {
	uint8_t how, op, nargs, kind;
};

#define R(h, o, n, k)                                                          \
	{                                                                      \
		HOW_##h, OP_##o, n, k                                          \
	}

static const struct raw raws[] = {
	[SYS_socket] = R(ANY, SOCKET, 3, 0),
	[SYS_socketpair] = R(ANY, PAIR, 4, 0),
	[SYS_bind] = R(NET, BIND, 3, 0),
	[SYS_listen] = R(NET, LISTEN, 2, 0),
	[SYS_connect] = R(NET, CONNECT, 3, 0),
	[SYS_accept] = R(NET, ACCEPT, 3, 0),
	[SYS_accept4] = R(NET, ACCEPT, 4, 0),
	[SYS_shutdown] = R(NET, NONE, 2, 0),
	[SYS_getsockname] = R(NET, NAME, 3, 0),
	[SYS_getpeername] = R(NET, NAME, 3, 0),
	[SYS_getsockopt] = R(NET, GETOPT, 5, 0),
	[SYS_setsockopt] = R(NET, SETOPT, 5, 0),
	[SYS_close] = R(CLOSE, NONE, 1, 0),
	[SYS_close_range] = R(ANY, CLOSE_RANGE, 3, 0),
	[SYS_dup] = R(DUP, DUP, 1, 0),
#ifdef SYS_dup2
	[SYS_dup2] = R(DUP, DUP, 2, 0),
#endif
	[SYS_dup3] = R(DUP, DUP, 3, 0),
	[SYS_fcntl] = R(FD, FCNTL, 3, 0),
	[SYS_ioctl] = R(FD, IOCTL, 3, 0),
	[SYS_read] = R(FD, READ, 3, 0),
	[SYS_readv] = R(FD, READV, 3, 0),
	[SYS_preadv2] = R(FD, READV, 6, 0),
	[SYS_recvfrom] = R(NET, RECVFROM, 6, 0),
	[SYS_recvmsg] = R(NET, RECVMSG, 3, 0),
	[SYS_recvmmsg] = R(NET, RECVMMSG, 5, 0),
	[SYS_write] = R(FD, WRITE, 3, 0),
	[SYS_writev] = R(FD, WRITEV, 3, 0),
	[SYS_pwritev2] = R(FD, WRITEV, 6, 0),
	[SYS_sendto] = R(NET, SENDTO, 6, 0),
	[SYS_sendmsg] = R(NET, SENDMSG, 3, 0),
	[SYS_sendmmsg] = R(NET, SENDMMSG, 4, 0),
	[SYS_sendfile] = R(TWO, NONE, 4, 0),
	[SYS_splice] = R(SPLICE, NONE, 6, 0),
	[SYS_tee] = R(TWO, NONE, 4, 0),
	[SYS_vmsplice] = R(FD, WRITEV, 4, 0),
	[SYS_copy_file_range] = R(SPLICE, NONE, 6, 0),
#ifdef SYS_poll
	[SYS_poll] = R(POLL, POLL, 3, 0),
	[SYS_epoll_wait] = R(NET, EPOLL_WAIT, 4, 0),
	[SYS_epoll_create] = R(ANY, EPOLL_CREATE, 1, 0),
	[SYS_select] = R(SELECT, SELECT, 5, 0),
#endif
	[SYS_ppoll] = R(POLL, PPOLL, 5, 0),
	[SYS_pselect6] = R(SELECT, SELECT, 6, 1),
	[SYS_epoll_create1] = R(ANY, EPOLL_CREATE, 1, 0),
	[SYS_epoll_ctl] = R(NET, EPOLL_CTL, 4, 0),
	[SYS_epoll_pwait] = R(NET, EPOLL_WAIT, 6, 0),
	[SYS_epoll_pwait2] = R(NET, EPOLL_PWAIT2, 6, 0),
	[SYS_newfstatat] = R(NO, NONE, 4, 0),
#ifdef SYS_fstat
	[SYS_fstat] = R(FD, NONE, 2, 0),
#endif
	[SYS_pidfd_getfd] = R(ANY, GETFD, 3, 0),
	[SYS_seccomp] = R(SECCOMP, NONE, 3, 0),
	[SYS_prctl] = R(SECCOMP, NONE, 5, 0),
#ifdef SYS_pipe
	[SYS_pipe] = R(PIPE, NONE, 1, 0),
	[SYS_open] = R(BORN, NONE, 3, TRACE_FILE),
	[SYS_creat] = R(BORN, NONE, 2, TRACE_FILE),
	[SYS_eventfd] = R(BORN, NONE, 1, TRACE_EVENTFD),
	[SYS_signalfd] = R(BORN, NONE, 3, TRACE_SIGNALFD),
	[SYS_inotify_init] = R(BORN, NONE, 0, TRACE_FILE),
#endif
	[SYS_pipe2] = R(PIPE, NONE, 2, 0),
	[SYS_openat] = R(BORN, NONE, 4, TRACE_FILE),
	[SYS_openat2] = R(BORN, NONE, 4, TRACE_FILE),
	[SYS_eventfd2] = R(BORN, NONE, 2, TRACE_EVENTFD),
	[SYS_signalfd4] = R(BORN, NONE, 4, TRACE_SIGNALFD),
	[SYS_timerfd_create] = R(BORN, NONE, 2, TRACE_TIMERFD),
	[SYS_inotify_init1] = R(BORN, NONE, 1, TRACE_FILE),
	[SYS_memfd_create] = R(BORN, NONE, 2, TRACE_FILE),
	[SYS_io_uring_setup] = R(ANY, URING, 2, 0),
	[SYS_io_uring_enter] = R(NET, NONE, 6, 0),
	[SYS_io_uring_register] = R(NET, NONE, 4, 0),
	[SYS_userfaultfd] = R(BORN, NONE, 1, TRACE_FILE),
	[SYS_perf_event_open] = R(BORN, NONE, 5, TRACE_FILE),
	[SYS_fanotify_init] = R(BORN, NONE, 2, TRACE_FILE),
	[SYS_open_by_handle_at] = R(BORN, NONE, 3, TRACE_FILE),
	[SYS_mq_open] = R(BORN, NONE, 4, TRACE_FILE),
	[SYS_pidfd_open] = R(BORN, NONE, 2, TRACE_FILE),
};

static bool
before(struct kt_call *c, const struct raw *w, const uint64_t *a,
	struct kt_select *s)
{
	const fd_set *sets[3];
	kt_entry e[2];
	bool net;

	switch (w->how) {
	case HOW_FD:
		c->e = kt_fd(c->fd = a[0]);
		return c->e & KT_REC;
	case HOW_CLOSE:
		c->e = kt_fd(c->fd = a[0]);
		kt_fd_put(a[0], 0);
		return c->e & KT_REC;
	case HOW_NET:
		c->e = kt_fd(c->fd = a[0]);
		return true;
	case HOW_DUP:
		c->e = kt_fd(c->fd = a[0]);
		return (c->e & KT_REC) ||
			(w->nargs > 1 && (unsigned int)a[1] < kt_nfds &&
				(kt_fds[a[1]] & KT_REC));
	case HOW_TWO:
	case HOW_SPLICE:
		e[0] = kt_fd(a[0]);
		e[1] = kt_fd(a[w->how == HOW_TWO ? 1 : 2]);
		if (!((e[0] | e[1]) & KT_REC))
			return false;
		net = (e[0] & KT_REC) && kt_entry_kind(e[0]) <= TRACE_SOCKET;
		c->e = net ? e[0] : e[1];
		c->fd = net || w->how == HOW_TWO ? a[!net] : a[2];
		return true;
	case HOW_SELECT:
		for (int k = 0; k < 3; k++)
			sets[k] = (const fd_set *)a[1 + k];
		return kt_before_select(s, a[0], sets, (void *)a[4], !w->kind);
	case HOW_POLL:
		return a[1] != 0;
	case HOW_ANY:
		return true;
	default:
		return false;
	}
}

static void
unrecorded(const struct raw *w, const uint64_t *a, long r)
{
	switch (w->how) {
	case HOW_FD:
		if (w->op == OP_FCNTL && r >= 0 &&
			(a[1] == 0 || a[1] == 1030)) /* F_DUPFD, _CLOEXEC */
			kt_fd_put(r, kt_fd(a[0]) & ~(kt_entry)KT_HAD);
		break;
	case HOW_DUP:
		if (r >= 0 && r != (int)a[0])
			kt_fd_put(r, kt_fd(a[0]) & ~(kt_entry)KT_HAD);
		break;
	case HOW_BORN:
		kt_born(r, w->kind);
		break;
	case HOW_PIPE:
		if (r == 0) {
			kt_born(((int *)a[0])[0], TRACE_PIPE);
			kt_born(((int *)a[0])[1], TRACE_PIPE);
		}
		break;
	default:
		break;
	}
}

/* What libunwind asks for in a walk is answered without a descriptor. */
static KT_COLD long
walking(long nr, uint64_t a, uint64_t b, uint64_t n)
{
	(void)a;
	if (nr == SYS_write && !kt_readable((void *)(b & ~7ul))) {
		errno = EFAULT;
		return -1;
	}
	if (nr == SYS_write)
		return n;
	errno = nr == SYS_read ? EAGAIN : ENOSYS;
	return -1;
}

__attribute__((used, visibility("hidden"))) long
kt_syscall(long nr, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3,
	uint64_t a4, uint64_t a5)
{
	long (*real)(long, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
		uint64_t) = kt_real(KT_syscall);
	const struct raw *w =
		(unsigned long)nr < kmap_countof(raws) ? &raws[nr] : &raws[0];
	const uint64_t a[6] = {a0, a1, a2, a3, a4, a5};
	struct kt_select s;
	struct kt_call c;
	int saved;
	long r;

	if (kt_from_unw())
		return walking(nr, a0, a1, a2);
	/* read is number 0: nothing else falls on it. */
	if (((unsigned long)nr >= kmap_countof(raws)) || w->how == HOW_NO ||
		!kt_on())
		return real(nr, a0, a1, a2, a3, a4, a5);
	c.fd = -1;
	c.e = 0;
	if (w->how == HOW_SECCOMP &&
		(nr == SYS_seccomp ? a0 <= SECCOMP_SET_MODE_FILTER
				   : a0 == PR_SET_SECCOMP)) {
		/* Recorded before it is made, as in prctl's wrapper. */
		saved = errno;
		kt_start(&c, KT_syscall);
		kt_done(&c, 0);
		kt_after(&c, KT_syscall, nr, OP_NONE, w->nargs, a);
		errno = saved;
		kt_sealed(nr == SYS_seccomp ? a0 == SECCOMP_SET_MODE_STRICT
					    : a1 == SECCOMP_MODE_STRICT);
	}
	if (!before(&c, w, a, &s)) {
		r = real(nr, a0, a1, a2, a3, a4, a5);
		saved = errno;
		unrecorded(w, a, r);
		errno = saved;
		return r;
	}
	kt_start(&c, KT_syscall);
	r = real(nr, a0, a1, a2, a3, a4, a5);
	kt_done(&c, r);
	if (w->how == HOW_SELECT)
		kt_after_select(&c, KT_syscall, nr, w->nargs, a, &s);
	else
		kt_after(&c, KT_syscall, nr, w->op, w->nargs, a);
	return r;
}

/*
 * Before a clone or vfork by number. A child that shares our memory and its
 * parent's thread is a vfork child; no frame of ours may stand around the
 * instruction, because both return from it.
 */
__attribute__((used, visibility("hidden"))) void *
kt_syscall_before(long nr, uint64_t a)
{
	uint64_t flags = a;

#ifdef SYS_vfork
	if (nr == SYS_vfork)
		flags = CLONE_VM | CLONE_VFORK;
#endif
	if (nr == SYS_clone3)
		flags = kt_readable((void *)a) ? *(const uint64_t *)a : 0;
	if ((flags & CLONE_VM) && (flags & CLONE_VFORK) &&
		!(flags & CLONE_SETTLS))
		kt_vfork_before();
	return kt_real(KT_syscall);
}

#if defined(__x86_64__)
KMAP_SYSCALL_ENTRY(kt_syscall, kt_syscall_before, "	jmp *%r11\n");
#else
KT_EXPORT long kt_w_syscall(long, uint64_t, uint64_t, uint64_t, uint64_t,
	uint64_t, uint64_t) __asm__("syscall");
KT_EXPORT long
kt_w_syscall(long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d,
	uint64_t e, uint64_t f)
{
	return kt_syscall(nr, a, b, c, d, e, f);
}
#endif
