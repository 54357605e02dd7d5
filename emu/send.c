/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "call.h"
#include "family.h"

#include <limits.h>
#include <sys/eventfd.h>

#include "wait.h"

/* Everything that puts bytes into an endpoint: the mirror of recv.c. */

static inline ssize_t
do_write(int fd, const void *buf, size_t n)
{
	KMAP_IOCALL(c);

	if (kmap_tx_kernel(&c, fd, n)) {
		ssize_t r = kmap_real.write(c.fd, buf, n);

		return kmap_tx_leave(&c, r);
	}
	struct iovec iov = {(void *)buf, n};

	return kmap_errno(kmap_tx(&c,
		&(struct kmap_txreq){
			.iov = &iov, .iovcnt = 1, .call = KMAP_write}));
}

KMAP_EXPORT ssize_t
write(int fd, const void *buf, size_t n)
{
	return do_write(fd, buf, n);
}
KMAP_SELF(write);
KMAP_ALIAS_OF(__write, write);

/* libc writes the count inside itself, to whatever the descriptor is. */
KMAP_EXPORT int
eventfd_write(int fd, eventfd_t value)
{
	return do_write(fd, &value, sizeof(value)) == sizeof(value) ? 0 : -1;
}

KMAP_EXPORT ssize_t
writev(int fd, const struct iovec *iov, int iovcnt)
{
	KMAP_IOCALL(c);

	if (kmap_tx_kernel_iov(&c, fd, iov, (size_t)iovcnt)) {
		ssize_t r = kmap_real.writev(c.fd, iov, iovcnt);

		return kmap_tx_leave(&c, r);
	}
	return kmap_errno(kmap_tx(&c,
		&(struct kmap_txreq){.iov = iov,
			.iovcnt = iovcnt,
			.vec = true,
			.call = KMAP_writev}));
}
KMAP_SELF(writev);

/* pwritev2(2): offset -1 is writev with flags; a socket has no other. */
KMAP_EXPORT ssize_t
pwritev2(int fd, const struct iovec *iov, int iovcnt, off_t off, int flags)
{
	KMAP_IOCALL(c);

	if (off != -1)
		return kmap_real.pwritev2(
			kmap_fd_seen(fd), iov, iovcnt, off, flags);
	if (kmap_tx_kernel_iov(&c, fd, iov, (size_t)iovcnt)) {
		ssize_t r = kmap_real.pwritev2(c.fd, iov, iovcnt, off, flags);

		return kmap_tx_leave(&c, r);
	}
	return kmap_errno(kmap_tx(&c,
		&(struct kmap_txreq){.iov = iov,
			.iovcnt = iovcnt,
			.rwf = flags,
			.vec = true,
			.call = KMAP_pwritev2}));
}
KMAP_SELF(pwritev2);
KMAP_ALIAS_OF(pwritev64v2, pwritev2);

KMAP_EXPORT ssize_t
send(int fd, const void *buf, size_t n, int flags)
{
	KMAP_IOCALL(c);

	if (kmap_tx_kernel(&c, fd, n)) {
		ssize_t r = kmap_real.send(c.fd, buf, n, flags);

		return kmap_tx_leave(&c, r);
	}
	struct iovec iov = {(void *)buf, n};

	return kmap_errno(kmap_tx(&c,
		&(struct kmap_txreq){.iov = &iov,
			.iovcnt = 1,
			.flags = flags,
			.call = KMAP_send}));
}
KMAP_ALIAS_OF(__send, send);

KMAP_EXPORT ssize_t
sendto(int fd, const void *buf, size_t n, int flags,
	const struct sockaddr *addr, socklen_t len)
{
	KMAP_IOCALL(c);

	if (kmap_tx_kernel(&c, fd, n)) {
		ssize_t r = kmap_real.sendto(c.fd, buf, n, flags, addr, len);

		return kmap_tx_leave(&c, r);
	}
	struct iovec iov = {(void *)buf, n};

	return kmap_errno(kmap_tx(&c,
		&(struct kmap_txreq){.iov = &iov,
			.iovcnt = 1,
			.flags = flags,
			.addr = addr,
			.addrlen = len,
			.call = KMAP_sendto}));
}
KMAP_SELF(sendto);

static inline ssize_t
ring_sendmsg(
	struct kmap_iocall *c, const struct msghdr *msg, int flags, int call)
{
	struct msghdr m;
	size_t cnt;

	if (kmap_copy(&m, msg, sizeof(m)) != 0)
		return -EFAULT;
	/* More than an int holds is EMSGSIZE in any case: clamped, not cut. */
	cnt = m.msg_iovlen;
	return kmap_tx(c,
		&(struct kmap_txreq){.iov = m.msg_iov,
			.iovcnt = cnt > INT_MAX ? INT_MAX : (int)cnt,
			.flags = flags,
			.msg = &m,
			.vec = true,
			.call = call});
}

KMAP_EXPORT ssize_t
sendmsg(int fd, const struct msghdr *msg, int flags)
{
	KMAP_IOCALL(c);

	if (kmap_tx_kernel_msg(&c, fd, msg)) {
		int e = kmap_pass_out(msg);
		ssize_t r;

		if (e) {
			kmap_tx_leave(&c, -1);
			return kmap_errno(e);
		}
		r = kmap_real.sendmsg(c.fd, msg, flags);
		return kmap_tx_leave(&c, r);
	}
	return kmap_errno(ring_sendmsg(&c, msg, flags, KMAP_sendmsg));
}
KMAP_SELF(sendmsg);

/* How many bytes a message is made of: a shorter count ends sendmmsg. */
static size_t
message_size(const struct msghdr *msg)
{
	size_t n = 0;

	for (size_t i = 0; i < msg->msg_iovlen; i++)
		n += msg->msg_iov[i].iov_len;
	return n;
}

static ssize_t
next_message(int fd, struct mmsghdr *m, int flags)
{
	KMAP_IOCALL(c);

	if (kmap_tx_kernel_msg(&c, fd, &m->msg_hdr)) {
		ssize_t r = kmap_real.sendmsg(c.fd, &m->msg_hdr, flags);

		return kmap_ret(kmap_tx_leave(&c, r));
	}
	return ring_sendmsg(&c, &m->msg_hdr, flags, KMAP_sendmmsg);
}

/*
 * sendmmsg(2) as the kernel does it: 1,024 messages at most; a message that
 * was sent in part is counted and ends the call; an error behind a message
 * is not reported by this call. c is the first message's; each further one
 * enters anew, as the direction may have come down in between.
 */
static int
ring_sendmmsg(struct kmap_iocall *c, int fd, struct mmsghdr *vec,
	unsigned int vlen, int flags)
{
	unsigned int done = 0;
	ssize_t r;

	if (vlen > IOV_MAX)
		vlen = IOV_MAX;
	if (!vlen)
		return 0;
	if (vec == NULL)
		return -EFAULT;
	r = ring_sendmsg(c, &vec[0].msg_hdr, flags, KMAP_sendmmsg);
	while (r >= 0) {
		vec[done].msg_len = r;
		done++;
		if ((size_t)r < message_size(&vec[done - 1].msg_hdr))
			break;
		if (done == vlen)
			break;
		r = next_message(fd, &vec[done], flags);
	}
	return done ? (int)done : r;
}

KMAP_EXPORT int
sendmmsg(int fd, struct mmsghdr *vec, unsigned int vlen, int flags)
{
	KMAP_IOCALL(c);

	if (kmap_tx_kernel(&c, fd, 0)) {
		int r = 0;

		for (unsigned int i = 0; i < vlen && i < IOV_MAX && !r; i++) {
			if (!kmap_probe(&vec[i]))
				break;
			r = kmap_pass_out(&vec[i].msg_hdr);
		}
		if (r) {
			kmap_tx_leave(&c, -1);
			return kmap_errno(r);
		}
		r = kmap_real.sendmmsg(c.fd, vec, vlen, flags);
		return kmap_tx_leave(&c, r);
	}
	return kmap_errno(ring_sendmmsg(&c, fd, vec, vlen, flags));
}
KMAP_SELF(sendmmsg);
