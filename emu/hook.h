/*
 * Where the emulation enters the wrappers. Hooks return -errno and write no
 * errno; those named *_leave keep errno as the real call left it.
 *
 * Here every hook stands for "nothing is upgraded": the bytes come from the
 * kernel, nothing is hidden, nothing is remembered.
 */
#ifndef KMAP_EMU_HOOK_H
#define KMAP_EMU_HOOK_H

#include <errno.h>
#include <stdbool.h>

#include "types.h"

/*
 * One data call on its way through the library. It lives on the caller's
 * stack from kmap_rx_kernel (kmap_tx_kernel) to kmap_rx_leave (kmap_rx), or
 * to kmap_iocall_cleanup when the thread is cancelled inside the real call:
 * -fexceptions makes the cleanup run in that unwinding, too.
 */
struct kmap_iocall {
	int fd;
	bool entered; /* counted in; the cleanup counts it out */
	bool tx;
	void *endpoint;
};

static inline void
kmap_iocall_cleanup(struct kmap_iocall *c)
{
	(void)c;
}

#define KMAP_IOCALL(c)                                                         \
	struct kmap_iocall c __attribute__((cleanup(kmap_iocall_cleanup)))

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
 * True: the bytes of this call come from the kernel; make the real call and
 * then kmap_rx_leave, whatever it returned.
 */
static inline bool
kmap_rx_kernel(struct kmap_iocall *c, int fd)
{
	(void)c;
	(void)fd;
	return true;
}

static inline ssize_t
kmap_rx_leave(struct kmap_iocall *c, ssize_t r)
{
	(void)c;
	return r;
}

/* The same call on a ring. Returns bytes or -errno. */
static inline ssize_t
kmap_rx(struct kmap_iocall *c, const struct kmap_rxreq *req)
{
	(void)c;
	(void)req;
	return -ENOSYS;
}

static inline bool
kmap_tx_kernel(struct kmap_iocall *c, int fd)
{
	(void)c;
	(void)fd;
	return true;
}

static inline ssize_t
kmap_tx_leave(struct kmap_iocall *c, ssize_t r)
{
	(void)c;
	return r;
}

static inline ssize_t
kmap_tx(struct kmap_iocall *c, const struct kmap_txreq *req)
{
	(void)c;
	(void)req;
	return -ENOSYS;
}

/*
 * A number came back from libc: whatever the fd table still says of it is
 * stale (libc closed it where we did not see). Returns fd; -1 is ignored.
 */
static inline int
kmap_fd_born(int fd)
{
	return fd;
}

/*
 * libc is about to close fd where no wrapper sees it (fclose, freopen).
 * Runs before, because afterwards the number may be somebody else's.
 */
static inline void
kmap_fd_closing(int fd)
{
	(void)fd;
}

/* Whether fd is one of the library's own, which the program must not see. */
static inline bool
kmap_fd_hidden(int fd)
{
	(void)fd;
	return false;
}

/*
 * The endpoint will be used where no hook stands (stdio, aio, another
 * process): it must be on TCP from here on. Returns 0, or -errno if that
 * cannot be and the call has to fail instead. why is a KMAP_ call number.
 */
static inline int
kmap_fd_unseen(int fd, int why)
{
	(void)fd;
	(void)why;
	return 0;
}

/* fd was passed to another process by SCM_RIGHTS, or came from one. */
static inline int
kmap_fd_passed_out(int fd)
{
	(void)fd;
	return 0;
}

static inline void
kmap_fd_passed_in(int fd)
{
	kmap_fd_born(fd);
}

/* Whether anything in this process is upgraded: the scans below cost. */
static inline bool
kmap_any_upgraded(void)
{
	return false;
}

/* True: every wait may go to the kernel as it is. */
static inline bool
kmap_wait_kernel(void)
{
	return true;
}

/* True: signal dispositions may go to the kernel as they are. */
static inline bool
kmap_sig_kernel(void)
{
	return true;
}

/*
 * Around everything that makes a process. kind is a KMAP_ call number, or
 * KMAP_syscall for raw ones. For fork and daemon the two later hooks run
 * behind libc's atfork handlers. vfork has none but kmap_vfork_* in fork.c.
 */
static inline void
kmap_fork_before(int kind)
{
	(void)kind;
}

static inline void
kmap_fork_parent(int kind, pid_t pid)
{
	(void)kind;
	(void)pid;
}

static inline void
kmap_fork_child(int kind)
{
	(void)kind;
}

/*
 * Before a new image takes this process's place. The environment to use is
 * returned; kmap_exec_failed runs if the call came back.
 */
static inline char *const *
kmap_exec_before(char *const envp[])
{
	return envp;
}

static inline void
kmap_exec_failed(void)
{
}

/* The process ends now, without destructors. May run twice. */
static inline void
kmap_end(void)
{
}

/* The program installs a seccomp filter; made an io_uring; pins memory. */
static inline void
kmap_seccomp_filter(void)
{
}

static inline void
kmap_uring(void)
{
}

static inline void
kmap_pinned(int flags)
{
	(void)flags;
}

#endif
