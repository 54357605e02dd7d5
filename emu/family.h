/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The hooks behind the exported names, one for each call, in the file of its
 * family. They return what the call returns, or -errno.
 */
#ifndef KMAP_EMU_FAMILY_H
#define KMAP_EMU_FAMILY_H

#include <stdint.h>

#include "types.h"

int kmap_socket(int domain, int type, int protocol);
int kmap_socketpair(int domain, int type, int protocol, int *sv);
int kmap_bind(int fd, const struct sockaddr *addr, socklen_t len);
int kmap_listen(int fd, int backlog);
int kmap_connect(int fd, const struct sockaddr *addr, socklen_t len);
int kmap_accept(int fd, struct sockaddr *addr, socklen_t *len);
int kmap_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags);
int kmap_shutdown(int fd, int how);
int kmap_close(int fd);
int kmap_close_range(unsigned int first, unsigned int last, int flags);
void kmap_closefrom(int first);
/* Notes that fd2 is a duplicate of fd; returns fd2. */
int kmap_duplicated(int fd, int fd2);
int kmap_dup(int fd);
int kmap_dup2(int fd, int fd2);
int kmap_dup3(int fd, int fd2, int flags);
int kmap_getsockname(int fd, struct sockaddr *addr, socklen_t *len);
int kmap_getpeername(int fd, struct sockaddr *addr, socklen_t *len);
int kmap_getsockopt(int fd, int level, int name, void *val, socklen_t *len);
int
kmap_setsockopt(int fd, int level, int name, const void *val, socklen_t len);
int kmap_fcntl(int fd, int cmd, void *arg);
int kmap_ioctl(int fd, unsigned long req, void *arg);
ssize_t kmap_sendfile(int out, int in, off_t *off, size_t n);
ssize_t kmap_splice(int in, off64_t *inoff, int out, off64_t *outoff, size_t n,
	unsigned int flags);
ssize_t kmap_tee(int in, int out, size_t n, unsigned int flags);
ssize_t
kmap_vmsplice(int fd, const struct iovec *iov, size_t n, unsigned int flags);
ssize_t kmap_copy_file_range(int in, off64_t *inoff, int out, off64_t *outoff,
	size_t n, unsigned int flags);
int kmap_poll(struct pollfd *fds, nfds_t n, int timeout);
int kmap_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout,
	const sigset_t *mask);
int
kmap_select(int n, fd_set *rd, fd_set *wr, fd_set *ex, struct timeval *timeout);
int kmap_pselect(int n, fd_set *rd, fd_set *wr, fd_set *ex,
	const struct timespec *timeout, const sigset_t *mask);
int kmap_epoll_create(int size);
int kmap_epoll_create1(int flags);
int kmap_epoll_ctl(int ep, int op, int fd, struct epoll_event *ev);
int kmap_epoll_wait(int ep, struct epoll_event *ev, int max, int timeout);
int kmap_epoll_pwait(int ep, struct epoll_event *ev, int max, int timeout,
	const sigset_t *mask);
int kmap_epoll_pwait2(int ep, struct epoll_event *ev, int max,
	const struct timespec *timeout, const sigset_t *mask);
int kmap_sigaction(int sig, const struct sigaction *act, struct sigaction *old);

/*
 * SCM_RIGHTS. kmap_pass_out looks at what a sendmsg is about to pass, and
 * gives 0 or -errno; a pointer that cannot be read is left to the kernel,
 * which answers EFAULT. kmap_pass_in looks at what recvmsg brought.
 */
int kmap_pass_out(const struct msghdr *msg);
void kmap_pass_in(const struct msghdr *msg);

/* Whether the byte at p can be read, without a signal if it cannot. */
bool kmap_readable(const void *p);

/*
 * For the data path, where a syscall for each pointer is too much: false for
 * what cannot be an address of a program at all.
 */
static inline bool
kmap_plausible(const void *p)
{
	return (uintptr_t)p - 4096 < (1UL << 47) - 4096;
}

/*
 * True in a vfork child, which runs in its parent's memory: whoever changes
 * a table for a call made there changes the parent's.
 */
bool kmap_vfork_child_slow(void);
void *kmap_vfork_before(void);
extern __thread pid_t kmap_vfork_parent;

static inline bool
kmap_vfork_child(void)
{
	return __builtin_expect(kmap_vfork_parent != 0, 0) &&
		kmap_vfork_child_slow();
}

#endif
