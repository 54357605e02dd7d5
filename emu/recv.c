/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "call.h"
#include "family.h"

#include <limits.h>
#include <sys/eventfd.h>
#include <time.h>

/*
 * Everything that takes bytes from an endpoint. Where they come from the
 * kernel the real function is called, so that it is the cancellation point
 * it is without us; otherwise all are one request to kmap_rx.
 */

static inline ssize_t
do_read(int fd, void *buf, size_t n)
{
	KMAP_IOCALL(c);

	if (kmap_rx_kernel(&c, fd)) {
		ssize_t r = kmap_real.read(c.fd, buf, n);

		return kmap_rx_leave(&c, r);
	}
	struct iovec iov = {buf, n};

	return kmap_errno(kmap_rx(&c,
		&(struct kmap_rxreq){
			.iov = &iov, .iovcnt = 1, .call = KMAP_read}));
}

KMAP_EXPORT ssize_t
read(int fd, void *buf, size_t n)
{
	return do_read(fd, buf, n);
}
KMAP_SELF(read);
KMAP_ALIAS_OF(__read, read);

/* FORTIFY: size is what the compiler knows of the buffer. */
KMAP_EXPORT ssize_t
__read_chk(int fd, void *buf, size_t n, size_t size)
{
	if (n > size)
		__chk_fail();
	return do_read(fd, buf, n);
}

/* libc reads the count inside itself, from whatever the descriptor is. */
KMAP_EXPORT int
eventfd_read(int fd, eventfd_t *value)
{
	return do_read(fd, value, sizeof(*value)) == sizeof(*value) ? 0 : -1;
}

KMAP_EXPORT ssize_t
readv(int fd, const struct iovec *iov, int iovcnt)
{
	KMAP_IOCALL(c);

	if (kmap_rx_kernel(&c, fd)) {
		ssize_t r = kmap_real.readv(c.fd, iov, iovcnt);

		return kmap_rx_leave(&c, r);
	}
	return kmap_errno(kmap_rx(&c,
		&(struct kmap_rxreq){.iov = iov,
			.iovcnt = iovcnt,
			.vec = true,
			.call = KMAP_readv}));
}
KMAP_SELF(readv);

/* preadv2(2): offset -1 is readv with flags; a socket has no other. */
KMAP_EXPORT ssize_t
preadv2(int fd, const struct iovec *iov, int iovcnt, off_t off, int flags)
{
	KMAP_IOCALL(c);

	if (off != -1)
		return kmap_real.preadv2(
			kmap_fd_seen(fd), iov, iovcnt, off, flags);
	if (kmap_rx_kernel(&c, fd)) {
		ssize_t r = kmap_real.preadv2(c.fd, iov, iovcnt, off, flags);

		return kmap_rx_leave(&c, r);
	}
	return kmap_errno(kmap_rx(&c,
		&(struct kmap_rxreq){.iov = iov,
			.iovcnt = iovcnt,
			.rwf = flags,
			.vec = true,
			.call = KMAP_preadv2}));
}
KMAP_SELF(preadv2);
KMAP_ALIAS_OF(preadv64v2, preadv2);

static inline ssize_t
do_recv(int fd, void *buf, size_t n, int flags)
{
	KMAP_IOCALL(c);

	if (kmap_rx_kernel(&c, fd)) {
		ssize_t r = kmap_real.recv(c.fd, buf, n, flags);

		return kmap_rx_leave(&c, r);
	}
	struct iovec iov = {buf, n};

	return kmap_errno(kmap_rx(&c,
		&(struct kmap_rxreq){.iov = &iov,
			.iovcnt = 1,
			.flags = flags,
			.call = KMAP_recv}));
}

KMAP_EXPORT ssize_t
recv(int fd, void *buf, size_t n, int flags)
{
	return do_recv(fd, buf, n, flags);
}

KMAP_EXPORT ssize_t
__recv_chk(int fd, void *buf, size_t n, size_t size, int flags)
{
	if (n > size)
		__chk_fail();
	return do_recv(fd, buf, n, flags);
}

static inline ssize_t
do_recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *addr,
	socklen_t *len)
{
	KMAP_IOCALL(c);

	if (kmap_rx_kernel(&c, fd)) {
		ssize_t r = kmap_real.recvfrom(c.fd, buf, n, flags, addr, len);

		return kmap_rx_leave(&c, r);
	}
	struct iovec iov = {buf, n};

	return kmap_errno(kmap_rx(&c,
		&(struct kmap_rxreq){.iov = &iov,
			.iovcnt = 1,
			.flags = flags,
			.addr = addr,
			.addrlen = len,
			.call = KMAP_recvfrom}));
}

KMAP_EXPORT ssize_t
recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *addr,
	socklen_t *len)
{
	return do_recvfrom(fd, buf, n, flags, addr, len);
}
KMAP_SELF(recvfrom);

KMAP_EXPORT ssize_t
__recvfrom_chk(int fd, void *buf, size_t n, size_t size, int flags,
	struct sockaddr *addr, socklen_t *len)
{
	if (n > size)
		__chk_fail();
	return do_recvfrom(fd, buf, n, flags, addr, len);
}

static inline ssize_t
ring_recvmsg(struct kmap_iocall *c, struct msghdr *msg, int flags, int call)
{
	struct msghdr m;
	size_t cnt;

	if (kmap_copy(&m, msg, sizeof(m)) != 0)
		return -EFAULT;
	if (m.msg_name != NULL && (int)m.msg_namelen < 0)
		return -EINVAL;
	/* More than an int holds is EMSGSIZE in any case: clamped, not cut. */
	cnt = m.msg_iovlen;
	return kmap_rx(c,
		&(struct kmap_rxreq){.iov = m.msg_iov,
			.iovcnt = cnt > INT_MAX ? INT_MAX : (int)cnt,
			.flags = flags,
			.msg = msg,
			.vec = true,
			.call = call});
}

KMAP_EXPORT ssize_t
recvmsg(int fd, struct msghdr *msg, int flags)
{
	KMAP_IOCALL(c);

	if (kmap_rx_kernel(&c, fd)) {
		ssize_t r = kmap_real.recvmsg(c.fd, msg, flags);

		if (r >= 0 && msg->msg_controllen)
			kmap_pass_in(msg);
		return kmap_rx_leave(&c, r);
	}
	return kmap_errno(ring_recvmsg(&c, msg, flags, KMAP_recvmsg));
}
KMAP_SELF(recvmsg);

/* What is left until end; false when it has passed. */
static bool
time_left(const struct timespec *end, struct timespec *left)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	left->tv_sec = end->tv_sec - now.tv_sec;
	left->tv_nsec = end->tv_nsec - now.tv_nsec;
	if (left->tv_nsec < 0) {
		left->tv_sec--;
		left->tv_nsec += 1000000000;
	}
	if (left->tv_sec < 0)
		left->tv_sec = left->tv_nsec = 0;
	return left->tv_sec || left->tv_nsec;
}

static ssize_t
ring_message(struct kmap_iocall *c, struct mmsghdr *m, int flags)
{
	return ring_recvmsg(c, &m->msg_hdr, flags, KMAP_recvmmsg);
}

static ssize_t
next_message(int fd, struct mmsghdr *m, int flags)
{
	KMAP_IOCALL(c);

	if (flags & MSG_WAITFORONE)
		flags |= MSG_DONTWAIT;
	flags &= ~MSG_WAITFORONE;
	if (kmap_rx_kernel(&c, fd)) {
		ssize_t r = kmap_real.recvmsg(c.fd, &m->msg_hdr, flags);

		return kmap_ret(kmap_rx_leave(&c, r));
	}
	return ring_message(&c, m, flags);
}

/*
 * recvmmsg(2) as the kernel does it: the time-out is looked at after each
 * message only; with MSG_WAITFORONE the second and later ones do not wait;
 * an error behind a message is not reported by this call. *
 * c is the first message's; each further message enters anew, as the
 * direction may have come down in between.
 */
static int
ring_recvmmsg(struct kmap_iocall *first, int fd, struct mmsghdr *vec,
	unsigned int vlen, int flags, struct timespec *timeout)
{
	struct timespec end = {0};
	unsigned int done = 0;
	ssize_t r;

	if (timeout) {
		if (!kmap_plausible(timeout))
			return -EFAULT;
		if (timeout->tv_sec < 0 ||
			(unsigned long)timeout->tv_nsec >= 1000000000)
			return -EINVAL;
		clock_gettime(CLOCK_MONOTONIC, &end);
		if (__builtin_add_overflow(
			    end.tv_sec, timeout->tv_sec, &end.tv_sec))
			end.tv_sec = INT64_MAX - 1;
		end.tv_nsec += timeout->tv_nsec;
		if (end.tv_nsec >= 1000000000) {
			end.tv_nsec -= 1000000000;
			end.tv_sec++;
		}
	}
	if (!vlen)
		return 0;
	/* The kernel's first look is for an error, before any data. */
	r = flags & MSG_ERRQUEUE ? 0 : kmap_rx_error(first);
	if (r == 0)
		r = ring_message(first, &vec[0], flags & ~MSG_WAITFORONE);
	while (r >= 0) {
		vec[done++].msg_len = r;
		if (done == vlen)
			break;
		if (timeout && !time_left(&end, timeout))
			break;
		if (vec[done - 1].msg_hdr.msg_flags & MSG_OOB)
			break;
		r = next_message(fd, &vec[done], flags);
	}
	/* It is told by the next call. */
	if (done && r < 0 && r != -EAGAIN && r != -EINTR)
		kmap_ep_untell(first->ent->ep, r);
	return done ? (int)done : r;
}

/* Returns what the kernel returned, errno as it is. */
static int
kernel_recvmmsg(struct kmap_iocall *c, struct mmsghdr *vec, unsigned int vlen,
	int flags, struct timespec *timeout)
{
	int r = kmap_real.recvmmsg(c->fd, vec, vlen, flags, timeout);

	for (int i = 0; i < r; i++)
		if (vec[i].msg_hdr.msg_controllen)
			kmap_pass_in(&vec[i].msg_hdr);
	return kmap_rx_leave(c, r);
}

KMAP_EXPORT int
recvmmsg(int fd, struct mmsghdr *vec, unsigned int vlen, int flags,
	struct timespec *timeout)
{
	KMAP_IOCALL(c);

	if (kmap_rx_kernel(&c, fd))
		return kernel_recvmmsg(&c, vec, vlen, flags, timeout);
	return kmap_errno(ring_recvmmsg(&c, fd, vec, vlen, flags, timeout));
}
KMAP_SELF(recvmmsg);
