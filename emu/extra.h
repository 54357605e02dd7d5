/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Exported names that this libc's headers do not declare: FORTIFY's, the
 * double-underscore ones, and those newer than the oldest libc we build on.
 */
#ifndef KMAP_EMU_EXTRA_H
#define KMAP_EMU_EXTRA_H

#include "types.h"

/* Weak: see kmap_on_glibc. */
void __chk_fail(void) __attribute__((noreturn, weak));
ssize_t __read_chk(int fd, void *buf, size_t n, size_t size);
ssize_t __recv_chk(int fd, void *buf, size_t n, size_t size, int flags);
ssize_t __recvfrom_chk(int fd, void *buf, size_t n, size_t size, int flags,
	struct sockaddr *addr, socklen_t *len);
int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t size);
int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout,
	const sigset_t *mask, size_t size);
int __dprintf_chk(int fd, int flag, const char *fmt, ...);
int __vdprintf_chk(int fd, int flag, const char *fmt, va_list ap);
int __fxstat(int ver, int fd, struct stat *st);
int __fxstatat(int ver, int dir, const char *path, struct stat *st, int flags);
int __fxstat64(int ver, int fd, struct stat64 *st);
int
__fxstatat64(int ver, int dir, const char *path, struct stat64 *st, int flags);
int __open_2(const char *path, int flags);
int __openat_2(int dir, const char *path, int flags);
sighandler_t bsd_signal(int sig, sighandler_t handler);
int pidfd_open(pid_t pid, unsigned int flags);
int pidfd_getfd(int pidfd, int fd, unsigned int flags);
int close_range(unsigned int first, unsigned int last, int flags);
void closefrom(int first);
pid_t _Fork(void);
int execveat(int dir, const char *path, char *const argv[], char *const envp[],
	int flags);
int epoll_pwait2(int ep, struct epoll_event *ev, int max,
	const struct timespec *timeout, const sigset_t *mask);

#endif
