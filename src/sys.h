/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * System calls without libc: the core may call no name that the library
 * interposes, syscall(2) included. All return a result or -errno, none is a
 * cancellation point, and none of them may block; what sleeps goes through
 * libc's real functions in emu.
 */
#ifndef KMAP_SYS_H
#define KMAP_SYS_H

#include "base.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>

static inline long
kmap_syscall6(long nr, long a, long b, long c, long d, long e, long f)
{
#if defined(__x86_64__)
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ __volatile__(
		"syscall"
		: "=a"(ret)
		: "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
		: "rcx", "r11", "memory");
	return ret;
#elif defined(__aarch64__)
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ __volatile__(
		"svc 0"
		: "+r"(x0)
		: "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
		: "memory");
	return x0;
#else
#error "Kmap knows x86-64 and arm64"
#endif
}

#define kmap_syscall(nr, a, b, c, d, e, f)                                     \
	kmap_syscall6((nr), (long)(a), (long)(b), (long)(c), (long)(d),        \
		(long)(e), (long)(f))

static inline int
kmap_sys_close(int fd)
{
	return kmap_syscall(SYS_close, fd, 0, 0, 0, 0, 0);
}

static inline int
kmap_sys_fcntl(int fd, int cmd, long arg)
{
	return kmap_syscall(SYS_fcntl, fd, cmd, arg, 0, 0, 0);
}

static inline int
kmap_sys_ioctl(int fd, unsigned long req, void *arg)
{
	return kmap_syscall(SYS_ioctl, fd, req, arg, 0, 0, 0);
}

static inline ssize_t
kmap_sys_write(int fd, const void *buf, size_t n)
{
	return kmap_syscall(SYS_write, fd, buf, n, 0, 0, 0);
}

static inline ssize_t
kmap_sys_read(int fd, void *buf, size_t n)
{
	return kmap_syscall(SYS_read, fd, buf, n, 0, 0, 0);
}

static inline ssize_t
kmap_sys_recv(int fd, void *buf, size_t n, int flags)
{
	return kmap_syscall(SYS_recvfrom, fd, buf, n, flags, 0, 0);
}

static inline ssize_t
kmap_sys_recvmsg(int fd, struct msghdr *m, int flags)
{
	return kmap_syscall(SYS_recvmsg, fd, m, flags, 0, 0, 0);
}

static inline ssize_t
kmap_sys_sendmsg(int fd, const struct msghdr *m, int flags)
{
	return kmap_syscall(SYS_sendmsg, fd, m, flags, 0, 0, 0);
}

static inline int
kmap_sys_socket(int family, int type, int proto)
{
	return kmap_syscall(SYS_socket, family, type, proto, 0, 0, 0);
}

static inline int
kmap_sys_bind(int fd, const void *sa, socklen_t len)
{
	return kmap_syscall(SYS_bind, fd, sa, len, 0, 0, 0);
}

static inline int
kmap_sys_connect(int fd, const void *sa, socklen_t len)
{
	return kmap_syscall(SYS_connect, fd, sa, len, 0, 0, 0);
}

static inline int
kmap_sys_listen(int fd, int backlog)
{
	return kmap_syscall(SYS_listen, fd, backlog, 0, 0, 0, 0);
}

static inline int
kmap_sys_accept4(int fd, int flags)
{
	return kmap_syscall(SYS_accept4, fd, NULL, NULL, flags, 0, 0);
}

static inline int
kmap_sys_getsockopt(int fd, int level, int name, void *val, socklen_t *len)
{
	return kmap_syscall(SYS_getsockopt, fd, level, name, val, len, 0);
}

static inline int
kmap_sys_setsockopt(int fd, int level, int name, const void *val, socklen_t len)
{
	return kmap_syscall(SYS_setsockopt, fd, level, name, val, len, 0);
}

static inline int
kmap_sys_getsockname(int fd, void *sa, socklen_t *len)
{
	return kmap_syscall(SYS_getsockname, fd, sa, len, 0, 0, 0);
}

static inline int
kmap_sys_getpeername(int fd, void *sa, socklen_t *len)
{
	return kmap_syscall(SYS_getpeername, fd, sa, len, 0, 0, 0);
}

static inline int
kmap_sys_shutdown(int fd, int how)
{
	return kmap_syscall(SYS_shutdown, fd, how, 0, 0, 0, 0);
}

static inline int
kmap_sys_epoll_create1(int flags)
{
	return kmap_syscall(SYS_epoll_create1, flags, 0, 0, 0, 0, 0);
}

static inline int
kmap_sys_epoll_ctl(int ep, int op, int fd, void *ev)
{
	return kmap_syscall(SYS_epoll_ctl, ep, op, fd, ev, 0, 0);
}

/* Never sleeps: a time-out of 0. */
static inline int
kmap_sys_epoll_look(int ep, void *evs, int max)
{
	return kmap_syscall(SYS_epoll_pwait, ep, evs, max, 0, 0, 8);
}

static inline int
kmap_sys_eventfd(unsigned int val, int flags)
{
	return kmap_syscall(SYS_eventfd2, val, flags, 0, 0, 0, 0);
}

static inline void
kmap_sys_yield(void)
{
	kmap_syscall(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
}

/* The real mmap's result as a pointer, or NULL. */
void *kmap_sys_mmap(size_t len, int prot, int flags, int fd);

static inline int
kmap_sys_munmap(void *p, size_t len)
{
	return kmap_syscall(SYS_munmap, p, len, 0, 0, 0, 0);
}

/* Remembered, before a vfork child can be the first to ask: the child of a
 * fork calls kmap_sys_forked. */
int kmap_sys_getpid(void);
void kmap_sys_forked(void);
int kmap_sys_gettid(void);

/* The events of `want` that hold now on one fd: poll(2) with time-out 0. */
int kmap_sys_poll1(int fd, int want);

/* Sleeps for so long, or until a handler ran. No cancellation point. */
static inline void
kmap_sys_nap_ms(int ms)
{
	struct timespec ts = {0, ms * 1000000L};

	kmap_syscall(SYS_ppoll, NULL, 0, &ts, NULL, 0, 0);
}

/* CLOCK_MONOTONIC in nanoseconds. */
static inline uint64_t
kmap_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* RLIMIT_FSIZE. Whoever makes a file larger meets SIGXFSZ, which kills the
 * application. -errno: it cannot be asked. */
int kmap_sys_file_limit(uint64_t *bytes);
/* Appends to a file, unless that limit forbids (-EFBIG). */
ssize_t kmap_sys_append(int fd, const void *buf, size_t n);
/* From now on a seccomp filter may kill at any call but write(2): where the
 * size of files is limited, nothing is appended any more. */
void kmap_sys_confined(void);
bool kmap_sys_is_confined(void);

/*
 * Duplicates a fresh fd to a high number with FD_CLOEXEC, so that the
 * application's own numbers stay the lowest free ones, and closes the
 * original. Returns the new number or -errno (then fd is closed, too).
 */
int kmap_sys_raise(int fd);

#endif
