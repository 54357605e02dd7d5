/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "call.h"
#include "family.h"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>

#include "self.h"

/*
 * syscall(2): every number whose libc function is wrapped goes to the same
 * code; the others go to the kernel. What differs between a function and
 * its syscall is kept: structures and what is written back are the
 * kernel's, and no syscall is a cancellation point.
 */

struct args {
	long nr, a, b, c, d, e, f;
};

static long
kernel(const struct args *s)
{
	return kmap_real.syscall(s->nr, s->a, s->b, s->c, s->d, s->e, s->f);
}

static long
pair(const struct args *s)
{
	const int *fds = (const int *)s->a;
	long r = kernel(s);

	if (r == 0) {
		kmap_fd_born(fds[0]);
		kmap_fd_born(fds[1]);
	}
	return r;
}

/* The kernel's sigset is 8 bytes; libc's functions read a larger one. */
#define MASK_BYTES 8

struct mask {
	sigset_t wide;
	const sigset_t *use;
};

static int
mask_in(struct mask *m, const void *from, size_t size)
{
	m->use = NULL;
	if (!from)
		return 0;
	if (size != MASK_BYTES)
		return -EINVAL;
	if (!kmap_readable(from))
		return -EFAULT;
	memset(&m->wide, 0, sizeof(m->wide));
	memcpy(&m->wide, from, MASK_BYTES);
	m->use = &m->wide;
	return 0;
}

/* ppoll and pselect6 write back what is left; libc's functions do not. */
struct timed {
	struct timespec *left;
	struct timespec t, start;
};

static int
timed_in(struct timed *w, struct timespec *left)
{
	w->left = left;
	if (!left)
		return 0;
	if (!kmap_readable(left))
		return -EFAULT;
	w->t = *left;
	clock_gettime(CLOCK_MONOTONIC, &w->start);
	return 0;
}

static long
timed_out(const struct timed *w, long r)
{
	struct timespec now, *left = w->left;

	if (!left || r == -EINVAL)
		return kmap_errno(r);
	clock_gettime(CLOCK_MONOTONIC, &now);
	left->tv_sec -= now.tv_sec - w->start.tv_sec;
	left->tv_nsec -= now.tv_nsec - w->start.tv_nsec;
	if (left->tv_nsec < 0) {
		left->tv_nsec += 1000000000;
		left->tv_sec--;
	} else if (left->tv_nsec >= 1000000000) {
		left->tv_nsec -= 1000000000;
		left->tv_sec++;
	}
	if (left->tv_sec < 0)
		left->tv_sec = left->tv_nsec = 0;
	return kmap_errno(r);
}

static long
raw_ppoll(const struct args *s)
{
	struct timed w;
	struct mask m;
	long r;

	if (kmap_wait_kernel())
		return kernel(s);
	r = mask_in(&m, (const void *)s->d, s->e);
	if (r == 0)
		r = timed_in(&w, (struct timespec *)s->c);
	if (r)
		return kmap_errno(r);
	return timed_out(&w,
		kmap_ppoll((struct pollfd *)s->a, s->b, w.left ? &w.t : NULL,
			m.use));
}

static long
raw_pselect6(const struct args *s)
{
	const struct {
		const void *mask;
		size_t size;
	} *sig = (const void *)s->f;
	struct mask m = {.use = NULL};
	struct timed w;
	long r = 0;

	if (kmap_wait_kernel())
		return kernel(s);
	if (sig)
		r = kmap_readable(sig) ? mask_in(&m, sig->mask, sig->size)
				       : -EFAULT;
	if (r == 0)
		r = timed_in(&w, (struct timespec *)s->e);
	if (r)
		return kmap_errno(r);
	return timed_out(&w,
		kmap_pselect(s->a, (fd_set *)s->b, (fd_set *)s->c,
			(fd_set *)s->d, w.left ? &w.t : NULL, m.use));
}

static long
raw_epoll_pwait(const struct args *s)
{
	struct mask m;
	long r;

	if (kmap_wait_kernel())
		return kernel(s);
	r = mask_in(&m, (const void *)s->e, s->f);
	if (r)
		return kmap_errno(r);
	return kmap_errno(kmap_epoll_pwait(
		s->a, (struct epoll_event *)s->b, s->c, s->d, m.use));
}

static long
raw_epoll_pwait2(const struct args *s)
{
	struct mask m;
	long r;

	if (kmap_wait_kernel())
		return kernel(s);
	r = mask_in(&m, (const void *)s->e, s->f);
	if (r)
		return kmap_errno(r);
	return kmap_errno(kmap_epoll_pwait2(s->a, (struct epoll_event *)s->b,
		s->c, (const struct timespec *)s->d, m.use));
}

/* The kernel's own struct sigaction. */
struct ksigaction {
	void (*handler)(int);
	unsigned long flags;
#ifdef SA_RESTORER
	void (*restorer)(void);
#endif
	unsigned long mask;
};

static long
raw_sigaction(const struct args *s)
{
	const struct ksigaction *kact = (const void *)s->b;
	struct ksigaction *kold = (void *)s->c;
	struct sigaction act, old;
	long r;

	/* Signals below SIGRTMIN that libc keeps for itself are not ours. */
	if (s->d != MASK_BYTES || (s->a >= __SIGRTMIN && s->a < SIGRTMIN) ||
		(kact && !kmap_readable(kact)) ||
		(kold && !kmap_readable(kold)))
		return kernel(s);
	if (kact) {
		memset(&act, 0, sizeof(act));
		act.sa_handler = kact->handler;
		act.sa_flags = kact->flags;
		memcpy(&act.sa_mask, &kact->mask, sizeof(kact->mask));
	}
	r = kmap_sigaction(s->a, kact ? &act : NULL, &old);
	if (r == 0 && kold) {
		memset(kold, 0, sizeof(*kold));
		kold->handler = old.sa_handler;
		kold->flags = (unsigned int)old.sa_flags;
		memcpy(&kold->mask, &old.sa_mask, sizeof(kold->mask));
	}
	return kmap_errno(r);
}

static long
raw_fork(const struct args *s)
{
	bool ours = kmap_fork_before();
	long r = kernel(s);

	if (r == 0) {
		if (ours)
			kmap_fork_child();
		return 0;
	}
	if (ours)
		kmap_fork_parent();
	kmap_fork_over((pid_t)kmap_ret(r));
	return r;
}

static long
raw_seccomp(const struct args *s)
{
	if (s->a == SECCOMP_SET_MODE_STRICT || s->a == SECCOMP_SET_MODE_FILTER)
		kmap_seccomp_filter();
	return kernel(s);
}

/* Entries that the application queues are seen by nobody but the kernel. */
static long
raw_uring(const struct args *s)
{
	long r = kernel(s);

	if (r >= 0)
		kmap_uring();
	return kmap_fd_born(r);
}

/* A NULL that a header forbids is the kernel's to judge, not UBSan's. */
#define NULLS __attribute__((no_sanitize("nonnull-attribute")))

/* A pointer that came as a word. */
#define P(type, word) ((type *)(word))

/* Calls that make, copy, name or close descriptors. */
NULLS static bool
dispatch_fd(const struct args *s, long *r)
{
	switch (s->nr) {
	case SYS_socket:
		*r = kmap_self_socket(s->a, s->b, s->c);
		break;
	case SYS_socketpair:
		*r = kmap_self_socketpair(s->a, s->b, s->c, P(int, s->d));
		break;
	case SYS_bind:
		*r = kmap_self_bind(s->a, P(struct sockaddr, s->b), s->c);
		break;
	case SYS_listen:
		*r = kmap_self_listen(s->a, s->b);
		break;
	case SYS_connect:
		*r = kmap_self_connect(s->a, P(struct sockaddr, s->b), s->c);
		break;
	case SYS_accept:
		*r = kmap_self_accept(
			s->a, P(struct sockaddr, s->b), P(socklen_t, s->c));
		break;
	case SYS_accept4:
		*r = kmap_self_accept4(s->a, P(struct sockaddr, s->b),
			P(socklen_t, s->c), s->d);
		break;
	case SYS_shutdown:
		*r = kmap_self_shutdown(s->a, s->b);
		break;
	case SYS_close:
		*r = kmap_self_close(s->a);
		break;
	case SYS_close_range:
		*r = kmap_self_close_range(s->a, s->b, s->c);
		break;
	case SYS_dup:
		*r = kmap_self_dup(s->a);
		break;
#ifdef SYS_dup2
	case SYS_dup2:
		*r = kmap_self_dup2(s->a, s->b);
		break;
#endif
	case SYS_dup3:
		*r = kmap_self_dup3(s->a, s->b, s->c);
		break;
	case SYS_getsockname:
		*r = kmap_self_getsockname(
			s->a, P(struct sockaddr, s->b), P(socklen_t, s->c));
		break;
	case SYS_getpeername:
		*r = kmap_self_getpeername(
			s->a, P(struct sockaddr, s->b), P(socklen_t, s->c));
		break;
	case SYS_getsockopt:
		*r = kmap_self_getsockopt(
			s->a, s->b, s->c, P(void, s->d), P(socklen_t, s->e));
		break;
	case SYS_setsockopt:
		*r = kmap_self_setsockopt(
			s->a, s->b, s->c, P(void, s->d), s->e);
		break;
	case SYS_fcntl:
		/* libc's F_GETOWN asks otherwise than the syscall answers. */
		*r = s->b == F_GETOWN ? kernel(s)
				      : kmap_self_fcntl(s->a, s->b, s->c);
		break;
	case SYS_ioctl:
		*r = kmap_self_ioctl(s->a, s->b, s->c);
		break;
#ifdef SYS_fstat
	case SYS_fstat:
		*r = kmap_self_fstat(s->a, P(struct stat, s->b));
		break;
#endif
	case SYS_newfstatat:
		*r = kmap_self_fstatat(
			s->a, P(char, s->b), P(struct stat, s->c), s->d);
		break;
	case SYS_statx:
		*r = kmap_self_statx(
			s->a, P(char, s->b), s->c, s->d, P(struct statx, s->e));
		break;
	default:
		return false;
	}
	return true;
}

/* Calls that move bytes. */
static bool
dispatch_data(const struct args *s, long *r)
{
	switch (s->nr) {
	case SYS_read:
		*r = kmap_self_read(s->a, P(void, s->b), s->c);
		break;
	case SYS_readv:
		*r = kmap_self_readv(s->a, P(struct iovec, s->b), s->c);
		break;
	case SYS_preadv2:
		*r = kmap_self_preadv2(
			s->a, P(struct iovec, s->b), s->c, s->d, s->f);
		break;
	case SYS_recvfrom:
		*r = kmap_self_recvfrom(s->a, P(void, s->b), s->c, s->d,
			P(struct sockaddr, s->e), P(socklen_t, s->f));
		break;
	case SYS_recvmsg:
		*r = kmap_self_recvmsg(s->a, P(struct msghdr, s->b), s->c);
		break;
	case SYS_recvmmsg:
		*r = kmap_self_recvmmsg(s->a, P(struct mmsghdr, s->b), s->c,
			s->d, P(struct timespec, s->e));
		break;
	case SYS_write:
		*r = kmap_self_write(s->a, P(void, s->b), s->c);
		break;
	case SYS_writev:
		*r = kmap_self_writev(s->a, P(struct iovec, s->b), s->c);
		break;
	case SYS_pwritev2:
		*r = kmap_self_pwritev2(
			s->a, P(struct iovec, s->b), s->c, s->d, s->f);
		break;
	case SYS_sendto:
		*r = kmap_self_sendto(s->a, P(void, s->b), s->c, s->d,
			P(struct sockaddr, s->e), s->f);
		break;
	case SYS_sendmsg:
		*r = kmap_self_sendmsg(s->a, P(struct msghdr, s->b), s->c);
		break;
	case SYS_sendmmsg:
		*r = kmap_self_sendmmsg(
			s->a, P(struct mmsghdr, s->b), s->c, s->d);
		break;
	case SYS_sendfile:
		*r = kmap_self_sendfile(s->a, s->b, P(off_t, s->c), s->d);
		break;
	case SYS_splice:
		*r = kmap_self_splice(s->a, P(off64_t, s->b), s->c,
			P(off64_t, s->d), s->e, s->f);
		break;
	case SYS_tee:
		*r = kmap_self_tee(s->a, s->b, s->c, s->d);
		break;
	case SYS_vmsplice:
		*r = kmap_self_vmsplice(
			s->a, P(struct iovec, s->b), s->c, s->d);
		break;
	case SYS_copy_file_range:
		*r = kmap_self_copy_file_range(s->a, P(off64_t, s->b), s->c,
			P(off64_t, s->d), s->e, s->f);
		break;
	default:
		return false;
	}
	return true;
}

/* Calls that wait. */
static bool
dispatch_wait(const struct args *s, long *r)
{
	switch (s->nr) {
#ifdef SYS_poll
	case SYS_poll:
		*r = kmap_self_poll(P(struct pollfd, s->a), s->b, s->c);
		break;
	case SYS_select:
		*r = kmap_self_select(s->a, P(fd_set, s->b), P(fd_set, s->c),
			P(fd_set, s->d), P(struct timeval, s->e));
		break;
	case SYS_epoll_create:
		*r = kmap_self_epoll_create(s->a);
		break;
	case SYS_epoll_wait:
		*r = kmap_self_epoll_wait(
			s->a, P(struct epoll_event, s->b), s->c, s->d);
		break;
#endif
	case SYS_ppoll:
		*r = raw_ppoll(s);
		break;
	case SYS_pselect6:
		*r = raw_pselect6(s);
		break;
	case SYS_epoll_create1:
		*r = kmap_self_epoll_create1(s->a);
		break;
	case SYS_epoll_ctl:
		*r = kmap_self_epoll_ctl(
			s->a, s->b, s->c, P(struct epoll_event, s->d));
		break;
	case SYS_epoll_pwait:
		*r = raw_epoll_pwait(s);
		break;
	case SYS_epoll_pwait2:
		*r = raw_epoll_pwait2(s);
		break;
	default:
		return false;
	}
	return true;
}

/* Calls that make, change or end processes. */
NULLS static bool
dispatch_process(const struct args *s, long *r)
{
	switch (s->nr) {
#ifdef SYS_fork
	case SYS_fork:
		*r = raw_fork(s);
		break;
#endif
	/* Those that are a fork: see kmap_clone_before. */
	case SYS_clone:
	case SYS_clone3:
		*r = raw_fork(s);
		break;
	case SYS_execve:
		*r = kmap_self_execve(
			P(char, s->a), P(char *, s->b), P(char *, s->c));
		break;
	case SYS_execveat:
		*r = kmap_self_execveat(s->a, P(char, s->b), P(char *, s->c),
			P(char *, s->d), s->e);
		break;
	case SYS_exit_group:
		kmap_self__exit(s->a);
		break;
	case SYS_rt_sigaction:
		*r = raw_sigaction(s);
		break;
	case SYS_prctl:
		*r = kmap_self_prctl(s->a, s->b, s->c, s->d, s->e);
		break;
	case SYS_seccomp:
		*r = raw_seccomp(s);
		break;
	case SYS_mlockall:
		*r = kmap_self_mlockall(s->a);
		break;
	default:
		return false;
	}
	return true;
}

/* Calls of which only the new number matters. */
static bool
dispatch_born(const struct args *s, long *r)
{
	switch (s->nr) {
	case SYS_openat:
	case SYS_openat2:
	case SYS_eventfd2:
	case SYS_signalfd4:
	case SYS_timerfd_create:
	case SYS_inotify_init1:
	case SYS_memfd_create:
	case SYS_memfd_secret:
	case SYS_userfaultfd:
	case SYS_perf_event_open:
	case SYS_fanotify_init:
	case SYS_open_by_handle_at:
	case SYS_mq_open:
	case SYS_pidfd_open:
	case SYS_fsopen:
	case SYS_fsmount:
	case SYS_fspick:
	case SYS_open_tree:
	case SYS_landlock_create_ruleset:
#ifdef SYS_open
	case SYS_open:
	case SYS_creat:
	case SYS_eventfd:
	case SYS_signalfd:
	case SYS_inotify_init:
#endif
		*r = kmap_fd_born(kernel(s));
		break;
#ifdef SYS_pipe
	case SYS_pipe:
#endif
	case SYS_pipe2:
		*r = pair(s);
		break;
	case SYS_pidfd_getfd:
		*r = kmap_self_pidfd_getfd(s->a, s->b, s->c);
		break;
	case SYS_io_uring_setup:
		*r = raw_uring(s);
		break;
	default:
		return false;
	}
	return true;
}

/*
 * No syscall is a cancellation point, and the functions behind these
 * numbers are: cancellation is put off meanwhile.
 */
__attribute__((used, visibility("hidden"))) long
kmap_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	const struct args s = {nr, a, b, c, d, e, f};
	int old;
	long r;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
	if (!dispatch_data(&s, &r) && !dispatch_wait(&s, &r) &&
		!dispatch_fd(&s, &r) && !dispatch_process(&s, &r) &&
		!dispatch_born(&s, &r))
		r = kernel(&s);
	pthread_setcancelstate(old, NULL);
	return r;
}

/*
 * Before a clone. True: it is a fork, whose child has a copy of our frames as
 * of all others, so it goes the way of fork(2). Otherwise no frame of ours
 * may stand around it, and behind it nothing of ours runs.
 */
__attribute__((used, visibility("hidden"))) bool
kmap_clone_before(long nr, unsigned long a, unsigned long b)
{
	unsigned long flags = a, stack = b;

#ifdef SYS_vfork
	if (nr == SYS_vfork)
		flags = CLONE_VM | CLONE_VFORK;
#endif
	if (nr == SYS_clone3) {
		const uint64_t *ca = (const uint64_t *)a;

		/* struct clone_args: flags is its first word, stack its 6th.
		 * What cannot be read is the kernel's EFAULT. */
		if (!kmap_readable(ca) || !kmap_readable(ca + 5))
			return false;
		flags = ca[0];
		stack = ca[5];
	}
	if ((flags & CLONE_VM) && (flags & CLONE_VFORK))
		kmap_vfork_before();
	return !(flags & CLONE_VM) && stack == 0;
}

/* It made no child. */
__attribute__((used, visibility("hidden"))) long
kmap_clone_failed(long r)
{
	return kmap_errno(r);
}

#if defined(__x86_64__)
/* clang-format off */
KMAP_SYSCALL_ENTRY(kmap_syscall, kmap_clone_before,
	"	test %r11b, %r11b\n"
	"	jz 3f\n"
	"	jmp kmap_syscall\n"
	"3:	mov %rdi, %rax\n"
	KMAP_ASM_ARGS
	"	syscall\n"
	"	cmp $-4095, %rax\n"
	"	jae 2f\n"
	"	ret\n"
	"2:	mov %rax, %rdi\n"
	"	jmp kmap_clone_failed\n");
/* clang-format on */
#else
KMAP_EXPORT long
syscall(long nr, ...)
{
	long a, b, c, d, e, f;
	va_list ap;

	va_start(ap, nr);
	a = va_arg(ap, long);
	b = va_arg(ap, long);
	c = va_arg(ap, long);
	d = va_arg(ap, long);
	e = va_arg(ap, long);
	f = va_arg(ap, long);
	va_end(ap);
	return kmap_syscall(nr, a, b, c, d, e, f);
}
#endif
