/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where the emulation enters the wrappers. Hooks return -errno and write no
 * errno; those named *_leave keep errno as the real call left it.
 */
#ifndef KMAP_EMU_HOOK_H
#define KMAP_EMU_HOOK_H

#include <errno.h>
#include <stdbool.h>

#include "types.h"

#include "fdtab.h"
#include "link.h"

/*
 * One data call on its way through the library. It lives on the caller's
 * stack from kmap_rx_kernel (kmap_tx_kernel) to kmap_rx_leave (kmap_rx), or
 * to the end of the thread when it is cancelled inside the real call
 * (kmap_note_in, wait.h).
 */
struct kmap_iocall {
	int fd;
	bool entered; /* counted in; the cleanup counts it out */
	bool tx;
	struct kmap_ent *ent;
	struct kmap_ep *ep; /* where it was counted in: ent may be another's */
};

/* Counts a call out of the kernel; the last one may bring consent. */
void kmap_iocall_out(struct kmap_iocall *c);

static inline void
kmap_iocall_cleanup(struct kmap_iocall *c)
{
	if (kmap_unlikely(c->entered))
		kmap_iocall_out(c);
}

#define KMAP_IOCALL(c)                                                         \
	struct kmap_iocall c                                                   \
		__attribute__((cleanup(kmap_iocall_cleanup))) = {.fd = -1}

/* A receiving call, in one form for all of them. */
struct kmap_rxreq {
	const struct iovec *iov; /* as the application gave it */
	int iovcnt; /* unchecked: EINVAL is the hook's */
	int flags; /* MSG_* */
	int rwf; /* RWF_* of preadv2 */
	struct msghdr *msg; /* recvmsg: name, control, msg_flags */
	struct sockaddr *addr; /* recvfrom */
	socklen_t *addrlen;
	int call; /* KMAP_read … */
	bool vec; /* iov is the application's memory */
};

/* A sending call. */
struct kmap_txreq {
	const struct iovec *iov;
	int iovcnt;
	int flags;
	int rwf;
	const struct msghdr *msg;
	const struct sockaddr *addr;
	socklen_t addrlen;
	int call;
	bool vec;
};

/*
 * True: the bytes of this call come from the kernel; make the real call, with
 * the number in c, and then kmap_rx_leave, whatever it returned.
 */
bool kmap_rx_kernel_slow(struct kmap_iocall *c);
ssize_t kmap_rx_leave_slow(struct kmap_iocall *c, ssize_t r);
bool kmap_tx_kernel_slow(struct kmap_iocall *c, size_t len);
ssize_t kmap_tx_leave_slow(struct kmap_iocall *c, ssize_t r);

/*
 * The endpoint at fd, and the number that the kernel is to be given: none for
 * what the program must not see, so that it says EBADF in its own order.
 */
static inline bool
kmap_iocall_plain(struct kmap_iocall *c, int fd)
{
	struct kmap_fdslot *s = kmap_fdslot(fd);

	c->fd = fd;
	c->ent = s == NULL
		? NULL
		: atomic_load_explicit(&s->ent, memory_order_acquire);
	if (kmap_unlikely(c->ent != NULL))
		return false;
	if (s != NULL && kmap_unlikely(a_load(&s->hidden) != 0))
		c->fd = -1;
	return true;
}

static inline bool
kmap_rx_kernel(struct kmap_iocall *c, int fd)
{
	return kmap_iocall_plain(c, fd) || kmap_rx_kernel_slow(c);
}

static inline ssize_t
kmap_rx_leave(struct kmap_iocall *c, ssize_t r)
{
	return kmap_likely(!c->entered) ? r : kmap_rx_leave_slow(c, r);
}

/* The same call on a ring. Returns bytes or -errno. */
ssize_t kmap_rx(struct kmap_iocall *c, const struct kmap_rxreq *req);

/* The endpoint's pending error, taken, as -errno; 0: none. */
int kmap_rx_error(struct kmap_iocall *c);

/* len: what the call is about to send, as far as that is known cheaply. */
static inline bool
kmap_tx_kernel(struct kmap_iocall *c, int fd, size_t len)
{
	c->tx = true;
	return kmap_iocall_plain(c, fd) || kmap_tx_kernel_slow(c, len);
}

static inline bool
kmap_tx_moved(const struct kmap_iocall *c)
{
	return a_load(&c->ent->ep->tx.gate.closed);
}

/* The bytes that the application's vector, or message, is of; as far as it can
 * be read, and has few parts. */
size_t kmap_vec_len(const struct iovec *iov, size_t cnt);
size_t kmap_msg_len(const struct msghdr *msg);

/* The same for a vector and a message. Where the direction has moved nobody
 * asks how many. */
static inline bool
kmap_tx_kernel_iov(
	struct kmap_iocall *c, int fd, const struct iovec *iov, size_t cnt)
{
	c->tx = true;
	return kmap_iocall_plain(c, fd) ||
		kmap_tx_kernel_slow(
			c, kmap_tx_moved(c) ? 0 : kmap_vec_len(iov, cnt));
}

static inline bool
kmap_tx_kernel_msg(struct kmap_iocall *c, int fd, const struct msghdr *msg)
{
	c->tx = true;
	return kmap_iocall_plain(c, fd) ||
		kmap_tx_kernel_slow(
			c, kmap_tx_moved(c) ? 0 : kmap_msg_len(msg));
}

static inline ssize_t
kmap_tx_leave(struct kmap_iocall *c, ssize_t r)
{
	return kmap_likely(!c->entered) ? r : kmap_tx_leave_slow(c, r);
}

ssize_t kmap_tx(struct kmap_iocall *c, const struct kmap_txreq *req);

/*
 * A number came back from libc: whatever the fd table still says of it is
 * stale (libc closed it where we did not see). Returns fd; -1 is ignored.
 */
void kmap_fd_forget(int fd);

static inline int
kmap_fd_born(int fd)
{
	struct kmap_fdslot *s = kmap_fdslot(fd);

	if (s != NULL &&
		kmap_unlikely(atomic_load(&s->ent) != NULL ||
			atomic_load(&s->set) != NULL || s->items != NULL ||
			a_load(&s->kind) != 0))
		kmap_fd_forget(fd);
	return fd;
}

/*
 * libc is about to close fd where no wrapper sees it (fclose, freopen).
 * Runs before, because afterwards the number may be somebody else's.
 */
void kmap_fd_closing(int fd);

/* Whether fd is one of the library's own, which the program must not see. */
static inline bool
kmap_fd_hidden(int fd)
{
	return kmap_unlikely(kmap_fd_is_hidden(fd));
}

/* The number for the kernel, which says EBADF of -1 in its own order. */
static inline int
kmap_fd_seen(int fd)
{
	return kmap_fd_hidden(fd) ? -1 : fd;
}

/*
 * The endpoint will be used where no hook stands (stdio, aio, another
 * process): it must be on TCP from here on. Returns 0, or -errno if that
 * cannot be and the call has to fail instead. why is a KMAP_ call number.
 */
int kmap_fd_unseen(int fd, int why);

/* fd was passed to another process by SCM_RIGHTS, or came from one. */
int kmap_fd_passed_out(int fd);

static inline void
kmap_fd_passed_in(int fd)
{
	kmap_fd_born(fd);
}

/* Whether anything in this process is upgraded: the scans below cost. */
static inline bool
kmap_any_upgraded(void)
{
	return atomic_load(&kmap_links) != NULL;
}

/* True: every wait may go to the kernel as it is. */
static inline bool
kmap_wait_kernel(void)
{
	return !kmap_any_upgraded();
}

/*
 * Around everything that makes a process like this one (fork.c says where).
 * False: nothing was done, and neither of the next two follows (this is a
 * vfork child).
 */
bool kmap_fork_before(void);
void kmap_fork_parent(void);
void kmap_fork_child(void);
/* In the parent, when it knows what has become of the fork: a pid or -errno.
 * No lock is held since kmap_fork_parent. */
void kmap_fork_over(pid_t pid);
/* In the child: its parent has ended without another word. */
void kmap_fork_orphaned(void);
/* Our handlers of pthread_atfork(3), before all others. */
void kmap_atfork_init(void);
/* libc is about to make a process that becomes another program at once. */
void kmap_spawn_before(void);

/*
 * Before a new image takes this process's place. The environment to use is
 * returned; kmap_exec_failed runs if the call came back.
 */
char *const *kmap_exec_before(char *const envp[]);

void kmap_exec_failed(void);

/* The process ends now, without destructors. May run twice. */
void kmap_end(void);

/* The program installs a seccomp filter; made an io_uring; pins memory. */
void kmap_seccomp_filter(void);

void kmap_uring(void);

void kmap_pinned(int flags);

/* life.c: a connection exists from here on; a number goes away. */
void kmap_connected(int fd, const struct sockaddr *addr, socklen_t addrlen);
/* listen() succeeded. */
void kmap_listening(int fd);
void kmap_accepted(int listener, int fd);
void kmap_fd_leave(int fd);
/* io.c: sendfile and splice with an endpoint. */
ssize_t kmap_sendfile_ring(int out, int in, off_t *off, size_t n);
ssize_t
kmap_splice_in(struct kmap_iocall *c, int out, size_t n, unsigned int flags);
ssize_t
kmap_splice_out(struct kmap_iocall *c, int in, size_t n, unsigned int flags);

#endif
