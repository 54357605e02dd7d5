/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "stream.h"

#include "dir.h"
#include "keep.h"
#include "link.h"
#include "log.h"
#include "pair.h"
#include "sys.h"
#include "wake.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>

#ifndef POLLRDHUP
#define POLLRDHUP 0x2000
#endif

/* A sender whose peer's head stands still looks at the carrier at most so
 * often, or each so many bytes. */
#define LOOK_NS 1000000u
#define BY_READS 4u
#define LOOK_BYTES 16384u

static void
kick_space(struct kmap_ep *ep)
{
	kmap_wake_kick(ep->link, &ep->rx.ring.shm->space_waiters, ep->slot);
}

static void
kick_data(struct kmap_ep *ep)
{
	if (kmap_unlikely(kmap_wake_kick(ep->link,
				  &ep->tx.ring.shm->data_waiters, ep->slot) &
		    KMAP_BOUNCE))
		kmap_dir_bounce(ep);
}

/* Bytes of ours met a reset, which nobody was told of yet. */
static void
met_reset(struct kmap_ep *ep)
{
	if (!a_load(&ep->reset))
		a_store(&ep->pending, (uint32_t)ECONNRESET);
}

/* The peer's FIN takes our own sending back to TCP, so that the kernel gives
 * EPIPE and ECONNRESET exactly as it does. rx.lock may be held. `late`: what
 * the peer left unread may have been written after its end. */
static void
fin_seen(struct kmap_ent *e, int fd, bool late)
{
	struct kmap_ep *ep = e->ep;
	struct kmap_dir_shm *d;
	uint64_t unread;

	if (ep->link == NULL || ep->tx.fin)
		return;
	kmap_lock(&ep->tx.lock);
	if (!ep->tx.fin) {
		ep->tx.fin = true;
		d = ep->tx.ring.shm;
		unread = ep->tx.ring.tail - a_load_acq(&d->head);
		kmap_dir_down(ep);
		/*
		 * A peer that died left bytes unread: on TCP they would have
		 * met a reset. One byte by TCP brings it.
		 */
		if (unread != 0 && !(a_load(&d->rflags) & KMAP_BYE) &&
			kmap_link_dead(ep->link)) {
			struct iovec v = {(char[]){0}, 1};
			struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};

			ssize_t r = kmap_sys_sendmsg(
				fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);

			/* After the FIN the kernel says EPIPE only, which is
			 * right for what came late; and what it told us just
			 * now it will not tell again. */
			if ((r == 1 && !late) || r == -ECONNRESET)
				met_reset(ep);
		}
	}
	kmap_unlock(&ep->tx.lock);
}

/* The end of the stream, or the error before it that is told once. */
static ssize_t
rx_end(struct kmap_ep *ep)
{
	ssize_t r = ep->rx.error;

	/* The reset that our own byte behind the FIN brought. */
	if (r == -EPIPE)
		r = 0;
	ep->rx.error = 0;
	ep->rx.eof = true;
	return r != 0 ? r : kmap_ep_error(ep);
}

/* ---- receiving ---- */

/* The iovecs that stand for the next `max` bytes, for a kernel call. */
static size_t
iter_iov(const struct kmap_iter *it, size_t max, struct iovec *out, size_t n)
{
	size_t off = it->off, k = 0;

	for (size_t i = 0; i < it->cnt && k < n && max > 0; i++) {
		size_t len = it->iov[i].iov_len - off;

		if (len > 0) {
			out[k].iov_base = (char *)it->iov[i].iov_base + off;
			out[k].iov_len = kmap_umin(len, max);
			max -= out[k].iov_len;
			k++;
		}
		off = 0;
	}
	return k;
}

static void
iter_skip(struct kmap_iter *it, size_t n)
{
	it->left -= n;
	while (n > 0) {
		size_t m = kmap_umin(n, it->iov->iov_len - it->off);

		it->off += m;
		n -= m;
		if (it->off >= it->iov->iov_len && it->cnt > 1) {
			it->iov++;
			it->cnt--;
			it->off = 0;
		}
	}
}

#define TRY_IOVS 64

static ssize_t
kernel_recv(int fd, struct kmap_rx_op *op, size_t max)
{
	struct iovec v[TRY_IOVS];
	struct msghdr m = {.msg_iov = v};
	ssize_t n;

	if (op->pipe >= 0) {
		n = kmap_syscall(SYS_splice, fd, NULL, op->pipe, NULL, max,
			op->pipe_flags | 2 /* SPLICE_F_NONBLOCK */);
		if (n > 0)
			op->it.left -= (size_t)n;
		return n;
	}
	m.msg_iovlen = iter_iov(&op->it, max, v, TRY_IOVS);
	n = kmap_sys_recvmsg(
		fd, &m, (op->flags & (MSG_PEEK | MSG_TRUNC)) | MSG_DONTWAIT);
	if (n > 0 && (op->flags & MSG_TRUNC))
		op->it.left -= (size_t)n;
	else if (n > 0)
		iter_skip(&op->it, (size_t)n);
	return n;
}

/*
 * The sender left its ring for good (its end, urgent data) and every record
 * is passed: what comes is the kernel's alone, with the urgent mark, where
 * SIOCINQ says 0 although a read would give bytes.
 */
static bool
rx_for_good(const struct kmap_ep *ep)
{
	const struct kmap_dir_shm *d = ep->rx.ring.shm;

	/* The flag first: behind it comes one down record at most. */
	return (a_load_acq(&d->sflags) & KMAP_BYE) && !kmap_rx_on_ring(ep) &&
		a_load_acq(&d->nrec) == ep->rx.passed;
}

static void
took_by_tcp(struct kmap_ent *e, ssize_t n)
{
	kmap_publish_moved(&e->pub->tcp_bytes_in, &e->pub->tcp_messages_in, n);
}

/* Receives by TCP, at most up to the next record. */
static ssize_t
tcp_recv(struct kmap_ent *e, int fd, struct kmap_rx_op *op)
{
	struct kmap_ep *ep = e->ep;
	size_t want = op->it.left;
	bool pending = false;
	char c;
	ssize_t n;

	if (a_load(&ep->rx.consented) && kmap_unlikely(rx_for_good(ep))) {
		n = kernel_recv(fd, op, want);
		if (n == 0) {
			fin_seen(e, fd, false);
			return rx_end(ep);
		}
		if (n > 0 && !(op->flags & MSG_PEEK))
			took_by_tcp(e, n);
		return n;
	}
	if (a_load(&ep->rx.consented)) {
		int64_t cap = kmap_dir_tcp_cap(ep, fd, &pending);

		if (cap < 0)
			return cap;
		if (cap == 0) {
			/* At the record; else bytes before it are still to
			 * come, or are lost with a peer that died. */
			if (pending &&
				a_load(&ep->rx.ring.shm->rec_tcp) == ep->rx.tcp)
				return -EAGAIN;
			/* End, error, or bytes that came just now: those are
			 * not taken before the records were looked at. */
			n = kmap_sys_recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT);
			if (n > 0)
				return -ERESTART;
			/* M10: before its FIN it may have gone up and down. */
			if (n == 0 && !pending &&
				a_load_acq(&ep->rx.ring.shm->nrec) !=
					ep->rx.passed)
				return -ERESTART;
			if (n != 0)
				return n;
			fin_seen(e, fd, false);
			return rx_end(ep);
		}
		want = kmap_umin(want, (size_t)cap);
	}
	if (kmap_unlikely(e->preconsent) && ep->link == NULL) {
		/* SIOCINQ first, then: was it claimed? As with the records. */
		int inq = 0;

		if (kmap_sys_ioctl(fd, SIOCINQ, &inq) != 0)
			inq = 0;
		if (kmap_pair_claimed(e))
			return -ESTALE;
		if (inq == 0) {
			n = kmap_sys_recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT);
			if (n >= 0 && kmap_pair_claimed(e))
				return -ESTALE;
			return n > 0 ? -ERESTART : n;
		}
		want = kmap_umin(want, (size_t)inq);
	}
	n = kernel_recv(fd, op, want);
	if (n > 0 && !(op->flags & MSG_PEEK)) {
		ep->rx.tcp += (uint64_t)n;
		if (pending)
			a_store(&ep->rx.ring.shm->progress,
				a_load(&ep->rx.ring.shm->progress) + 1);
		took_by_tcp(e, n);
	}
	return n;
}

/* The carrier of a direction that is on the ring tells of the end only. */
static int
carrier_look(struct kmap_ent *e, int fd)
{
	struct kmap_ep *ep = e->ep;
	ssize_t n;
	char c;

	n = kmap_sys_recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT);
	if (n == -EAGAIN)
		return -EAGAIN;
	if (n == 0) {
		fin_seen(e, fd, false);
		ep->rx.eof = true;
		return 0;
	}
	if (n < 0) {
		ep->rx.error = (int32_t)n;
		return 0;
	}
	if (a_load_acq(&ep->rx.ring.shm->nrec) != ep->rx.passed)
		return 0; /* a down record explains them */
	kmap_log(KMAP_ERROR,
		"fd %d: bytes came by TCP past the switch: "
		"somebody wrote past the wrappers; the connection is reset",
		fd);
	ep->rx.error = -ECONNRESET;
	kmap_sys_shutdown(fd, SHUT_RDWR);
	return 0;
}

/*
 * No write to a pipe says that it would block before Linux 6.4, nor later
 * once the pipe was spliced. An empty pipe takes all its size at once; one
 * that is not full takes a page. (A second writer to a blocking pipe can make
 * this one wait, as it could any other.)
 */
static ssize_t
pipe_put(int pipe, const uint8_t *at, size_t n)
{
	int held = 1, size = kmap_sys_fcntl(pipe, F_GETPIPE_SZ, 0);
	size_t done = 0;
	ssize_t r;

	if (kmap_sys_ioctl(pipe, FIONREAD, &held) == 0 && held == 0 && size > 0)
		return kmap_sys_write(pipe, at, kmap_umin(n, (size_t)size));
	while (done < n) {
		r = kmap_sys_poll1(pipe, POLLOUT);
		if (!(r & (POLLOUT | POLLERR)))
			r = r < 0 ? r : -EAGAIN;
		else
			r = kmap_sys_write(pipe, at + done,
				kmap_umin(n - done, KMAP_PAGE));
		if (r <= 0)
			return done > 0 ? (ssize_t)done : r;
		done += (size_t)r;
	}
	return (ssize_t)done;
}

static ssize_t
ring_to_pipe(struct kmap_ep *ep, struct kmap_rx_op *op, size_t n)
{
	struct iovec v;
	ssize_t r;
	const void *at;

	v.iov_len = kmap_ring_readable(&ep->rx.ring, n, &at);
	v.iov_base = (void *)(uintptr_t)at;
	/* RWF_NOWAIT: the pipe may be full and blocking. */
	r = kmap_syscall(SYS_pwritev2, op->pipe, &v, 1, -1, -1, 8);
	if (r == -EOPNOTSUPP)
		r = pipe_put(op->pipe, at, v.iov_len);
	if (r > 0) {
		kmap_ring_consume(&ep->rx.ring, (size_t)r);
		op->it.left -= (size_t)r;
	} else if (r == -EAGAIN)
		r = -ENOSPC; /* the pipe, not the ring */
	return r;
}

/* Receives from the ring. -EAGAIN: it is empty, or a record is due. */
static ssize_t
ring_recv(struct kmap_ent *e, struct kmap_rx_op *op)
{
	struct kmap_ep *ep = e->ep;
	struct kmap_dir_shm *d = ep->rx.ring.shm;
	ssize_t n = kmap_ring_avail(&ep->rx.ring, op->it.left);
	kmap_a32 *beat;

	if (n <= 0)
		return n == 0 ? -EAGAIN : n;
	if (kmap_unlikely(a_load_acq(&d->nrec) != ep->rx.passed)) {
		/* The ring ends at the down record. */
		n = (ssize_t)kmap_umin(
			(uint64_t)n, a_load(&d->rec_ring) - ep->rx.ring.head);
		if (n == 0)
			return -EAGAIN;
	}
	n = (ssize_t)kmap_umin((size_t)n, op->it.left);
	if (op->pipe >= 0)
		n = ring_to_pipe(ep, op, (size_t)n);
	else
		n = kmap_ring_get(&ep->rx.ring, &op->it, (size_t)n,
			(op->flags & MSG_PEEK) != 0,
			(op->flags & MSG_TRUNC) != 0);
	if (n <= 0 || (op->flags & MSG_PEEK))
		return n;
	kmap_publish_moved(
		&e->pub->ring_bytes_in, &e->pub->ring_messages_in, n);
	beat = &ep->link->ctl->side[ep->link->side].beat;
	a_store(beat, a_load(beat) + 1);
	a_store(&ep->rx.reads, a_load(&ep->rx.reads) + 1);
	kick_space(ep);
	return n;
}

static ssize_t
broken(struct kmap_ent *e, int fd)
{
	kmap_log(KMAP_ERROR,
		"fd %d: the peer broke the protocol; the "
		"connection is reset",
		fd);
	kmap_ent_bar(e, KMAP_WHY_PROTOCOL);
	kmap_sys_shutdown(fd, SHUT_RDWR);
	return -ECONNRESET;
}

/* A reader that never waits looks at the carrier at a limited rate. */
static bool
quiet_too_long(struct kmap_ep *ep)
{
	uint64_t now = kmap_now();

	if (now - ep->rx.looked_at < LOOK_NS)
		return false;
	ep->rx.looked_at = now;
	return true;
}

/* Steps without a byte in one call: honest ones are a handful. */
#define STEPS_MAX 1000u

/* rx.lock held. */
static ssize_t
rx_once(struct kmap_ent *e, int fd, struct kmap_rx_op *op)
{
	struct kmap_ep *ep = e->ep;
	ssize_t n;
	int r;

	for (unsigned int i = 0;; i++) {
		/* A peer that publishes records for ever. */
		if (kmap_unlikely(i > STEPS_MAX))
			return broken(e, fd);
		if (!kmap_rx_on_ring(ep)) {
			n = tcp_recv(e, fd, op);
			if (n == -ERESTART)
				continue;
			if (n != -EAGAIN || ep->link == NULL)
				return n;
			r = kmap_dir_pass(ep);
			if (r < 0)
				return broken(e, fd);
			if (r == 0)
				return -EAGAIN;
			op->look = true;
			continue;
		}
		n = ring_recv(e, op);
		if (n == -EPROTO)
			return broken(e, fd);
		if (n != -EAGAIN)
			return n;
		r = kmap_dir_pass(ep);
		if (r < 0)
			return broken(e, fd);
		if (r > 0)
			continue;
		if (ep->rx.error != 0 || ep->rx.eof)
			return rx_end(ep);
		if (!op->look &&
			!(a_load(&ep->rx.ring.shm->sflags) & KMAP_BYE) &&
			!quiet_too_long(ep))
			return -EAGAIN;
		/* What was published before the FIN is found by the next
		 * look at the ring. */
		if (carrier_look(e, fd) == -EAGAIN) {
			op->looked_clean = true;
			return -EAGAIN;
		}
	}
}

/*
 * A short read tells a program that there is no more (and an edge-triggered
 * one waits for the next edge): so a read that ended at a record goes on
 * behind it. Errors there stay for the next call.
 */
static ssize_t
rx_go_on(struct kmap_ent *e, int fd, struct kmap_rx_op *op)
{
	struct kmap_ep *ep = e->ep;
	ssize_t total = 0, n;
	int inq = 0, mark = 0;

	for (unsigned int i = 0; i < STEPS_MAX && op->it.left > 0 &&
		ep->link != NULL && kmap_dir_pass(ep) > 0;
		i++) {
		if (kmap_rx_on_ring(ep))
			n = ring_recv(e, op);
		/* A read ends at the urgent mark. */
		else if (kmap_sys_ioctl(fd, SIOCINQ, &inq) == 0 && inq > 0 &&
			!(kmap_sys_ioctl(fd, SIOCATMARK, &mark) == 0 && mark))
			n = tcp_recv(e, fd, op);
		else
			continue;
		if (n > 0)
			total += n;
	}
	return total;
}

/* The TCP bytes behind `skip` others, for a peek: the kernel knows no offset,
 * so those are told once more, to where they were told before. */
static ssize_t
tcp_peek_behind(int fd, struct kmap_rx_op *op, const struct kmap_iter *start,
	size_t skip)
{
	struct iovec v[2 * TRY_IOVS];
	struct msghdr m = {.msg_iov = v};
	size_t k = iter_iov(start, skip, v, TRY_IOVS), have = 0;
	ssize_t n;

	for (size_t i = 0; i < k; i++)
		have += v[i].iov_len;
	if (have < skip)
		return 0;
	m.msg_iovlen = k + iter_iov(&op->it, op->it.left, v + k, TRY_IOVS);
	n = kmap_sys_recvmsg(
		fd, &m, (op->flags & MSG_TRUNC) | MSG_PEEK | MSG_DONTWAIT);
	return n <= (ssize_t)skip ? 0 : n - (ssize_t)skip;
}

/*
 * What lies behind the record that ended a peek. At most two are due: TCP up
 * to the first, the ring up to the second, TCP. `n` bytes were seen.
 */
static size_t
rx_peek_on(struct kmap_ent *e, int fd, struct kmap_rx_op *op,
	const struct kmap_iter *start, size_t n)
{
	struct kmap_ep *ep = e->ep;
	struct kmap_dir_shm *d = ep->rx.ring.shm;
	uint32_t due = a_load_acq(&d->nrec) - ep->rx.passed;
	size_t by_tcp = 0, total = 0;
	uint64_t at = ep->rx.ring.head;
	ssize_t r;

	op->seen_nrec = ep->rx.passed + due;
	if (kmap_rx_on_ring(ep))
		at += n;
	else if (due != 0 && a_load(&d->rec_tcp) == ep->rx.tcp + n) {
		by_tcp = n;
		r = kmap_ring_avail(&ep->rx.ring, SIZE_MAX);
		if (r > 0 && due > 1)
			r = (ssize_t)kmap_umin(
				(uint64_t)r, a_load(&d->rec_ring) - at);
		if (r > 0)
			r = kmap_ring_get(&ep->rx.ring, &op->it,
				kmap_umin((size_t)r, op->it.left), true,
				(op->flags & MSG_TRUNC) != 0);
		if (r > 0) {
			total = (size_t)r;
			at += total;
		}
		due--;
	} else
		due = 0;
	op->seen_tail = ep->rx.ring.tail;
	if (due == 1 && op->it.left > 0 && a_load(&d->rec_ring) == at) {
		r = tcp_peek_behind(fd, op, start, by_tcp);
		if (r > 0)
			total += (size_t)r;
	}
	return total;
}

bool
kmap_rx_more(const struct kmap_ent *e, const struct kmap_rx_op *seen)
{
	struct kmap_dir_shm *d = e->ep->rx.ring.shm;

	return d == NULL ? kmap_rx_changed(e)
			 : a_load_acq(&d->nrec) != seen->seen_nrec ||
			a_load_acq(&d->tail) != seen->seen_tail;
}

/*
 * An end that leaves goes down, and asks for what it did not read: whoever
 * only receives from it sees so at the record, or on TCP.
 */
static inline void
answer_leaver(struct kmap_ent *e)
{
	struct kmap_ep *ep = e->ep;
	struct kmap_dir_shm *d = ep->rx.ring.shm;

	if (d != NULL &&
		kmap_unlikely(!kmap_rx_on_ring(ep) ||
			a_load_acq(&d->nrec) != ep->rx.passed))
		kmap_tx_answer(e);
}

ssize_t
kmap_rx_try(struct kmap_ent *e, int fd, struct kmap_rx_op *op)
{
	const struct kmap_iter start = op->it;
	struct kmap_ep *ep = e->ep;
	ssize_t n;

	for (;;) {
		kmap_lock(&ep->rx.lock);
		/* The head stands: what is in the ring comes by TCP again. */
		n = kmap_unlikely(ep->rx.frozen) ? -ERESTART
						 : rx_once(e, fd, op);
		if (kmap_unlikely(n == -EPIPE) && op->pipe < 0)
			n = rx_end(ep);
		if (kmap_likely(n != -ESTALE))
			break;
		/* An acceptor has claimed the connection. */
		kmap_unlock(&ep->rx.lock);
		kmap_pair_tick(e, fd);
	}
	if (n > 0 && op->it.left > 0) {
		if (!(op->flags & MSG_PEEK))
			n += rx_go_on(e, fd, op);
		else if (ep->link != NULL)
			n += (ssize_t)rx_peek_on(e, fd, op, &start, (size_t)n);
	} else if (n == -EAGAIN && kmap_unlikely(a_load(&ep->pending) != 0))
		n = kmap_ep_error(ep);
	kmap_unlock(&ep->rx.lock);
	answer_leaver(e);
	return kmap_ep_tell(ep, n);
}

bool
kmap_rx_changed(const struct kmap_ent *e)
{
	const struct kmap_ep *ep = e->ep;
	struct kmap_dir_shm *d = ep->rx.ring.shm;

	if (kmap_unlikely(d == NULL))
		return e->preconsent && kmap_pair_claimed(e);
	if (kmap_unlikely(ep->rx.frozen))
		return false;
	return a_load_acq(&d->nrec) != ep->rx.passed ||
		(kmap_rx_on_ring(ep) &&
			a_load_acq(&d->tail) != ep->rx.ring.head);
}

/* ---- sending ---- */

/*
 * sendfile and splice have no MSG_DONTWAIT: a piece of the file goes by way
 * of a buffer, so that nobody sleeps in the kernel with tx.lock held. What
 * the socket did not take is not taken from a file (it has a position) and
 * is kept for the pipe.
 */
static ssize_t
kernel_send_file(int fd, struct kmap_tx_op *op, size_t max)
{
	ssize_t n;

	if (!(kmap_sys_poll1(fd, POLLOUT) & (POLLOUT | POLLERR | POLLHUP)))
		return -EAGAIN;
	if (op->flags & KMAP_TX_PIPE)
		return kmap_syscall(SYS_splice, op->file, NULL, fd, NULL, max,
			2 /* SPLICE_F_NONBLOCK */);
	n = kmap_sys_fcntl(fd, F_GETFL, 0);
	if (n >= 0 && !(n & O_NONBLOCK)) {
		uint8_t buf[16384];
		struct iovec v = {buf, kmap_umin(max, sizeof(buf))};
		struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
		int64_t at = op->off != NULL
			? *op->off
			: kmap_syscall(SYS_lseek, op->file, 0, 1, 0, 0, 0);

		n = kmap_syscall(
			SYS_pread64, op->file, buf, v.iov_len, at, 0, 0);
		if (n <= 0)
			return n;
		v.iov_len = (size_t)n;
		n = kmap_sys_sendmsg(fd, &m, MSG_DONTWAIT);
		if (n > 0 && op->off != NULL)
			*op->off += n;
		else if (n > 0)
			kmap_syscall(SYS_lseek, op->file, n, 1, 0, 0, 0);
		return n;
	}
	return kmap_syscall(SYS_sendfile, fd, op->file, op->off, max, 0, 0);
}

static ssize_t
kernel_send(struct kmap_ent *e, int fd, struct kmap_tx_op *op, size_t max)
{
	struct iovec v[TRY_IOVS];
	struct msghdr m = {.msg_iov = v};
	ssize_t n;

	if (op->file >= 0) {
		n = kernel_send_file(fd, op, kmap_umin(op->file_left, max));
		if (n > 0)
			op->file_left -= (size_t)n;
	} else {
		m.msg_iovlen = iter_iov(&op->it, max, v, TRY_IOVS);
		n = kmap_sys_sendmsg(fd, &m, op->flags | MSG_DONTWAIT);
		if (n > 0)
			iter_skip(&op->it, (size_t)n);
	}
	if (n > 0) {
		kmap_publish_moved(
			&e->pub->tcp_bytes_out, &e->pub->tcp_messages_out, n);
	}
	return n;
}

/* The pieces of a long send that may yet move. */
#define TCP_PIECE (64u << 10)

/* Fills the ring straight from a file: no second copy. */
static ssize_t
ring_from_file(struct kmap_ep *ep, struct kmap_tx_op *op, size_t space)
{
	size_t done = 0;

	while (done < space && op->file_left > 0) {
		void *at;
		size_t n = kmap_ring_stretch(&ep->tx.ring,
			kmap_umin(space - done, op->file_left), &at);
		ssize_t r;

		if (op->off != NULL)
			r = kmap_syscall(
				SYS_pread64, op->file, at, n, *op->off, 0, 0);
		else
			r = kmap_sys_read(op->file, at, n);
		if (r <= 0) {
			if (done == 0)
				return r;
			break;
		}
		if (op->off != NULL)
			*op->off += r;
		kmap_ring_commit(&ep->tx.ring, (size_t)r);
		op->file_left -= (size_t)r;
		done += (size_t)r;
	}
	return (ssize_t)done;
}

/*
 * What may go by TCP while a receiver that has the library makes no call:
 * a burst at once, then a little in each millisecond, so that a stream moves
 * whole however late its reader is scheduled. Bytes that nobody reads lose
 * nothing by waiting; but a program may write megabytes before anybody reads
 * them, as TCP lets it, so after PACE_STEPS the share doubles each
 * PACE_DOUBLE steps (4 MB are gone after some 90 ms).
 */
#define PACE_BURST (32u << 10)
#define PACE_BYTES (2u << 10)
#define PACE_STEPS 48u
#define PACE_DOUBLE 4u
#define PACE_LAST (PACE_STEPS + 13 * PACE_DOUBLE)

/*
 * Spill. A receiver that makes no progress at a full ring is either not
 * scheduled, and it is best to wait for it, or it will not read before we
 * have written more, and it is best to go back to TCP at once. One that waits
 * for room in a ring that we do not read is surely the latter. Of others the
 * last times tell how long the processes of a link are waited for; a slow
 * reader loses nothing by that. A receiver that reads other connections
 * meanwhile is busy; it gets BUSY_NS.
 */
#define STUCK_NS 20000000u /* at first */
#define PATIENT_MAX 3 /* doublings of it, at most */
#define MUTUAL_NS 5000000u
#define STUCK_LOOK_NS 5000000u
#define STUCK_BYTES (256u << 10) /* gone by TCP: it was stuck */
#define UNSTUCK_BYTES (128u << 10) /* it was not */
#define BUSY_NS 100000000u

static bool
waits_for_us(const struct kmap_ep *ep)
{
	const struct kmap_ring_rx *r = &ep->rx.ring;

	return (a_load(&r->shm->space_waiters) & ~KMAP_BOUNCE) != 0 &&
		a_load_acq(&r->shm->tail) - a_load(&r->shm->head) >=
		r->size / 2;
}

static uint64_t
patience(const struct kmap_ep *ep)
{
	uint64_t ns = STUCK_NS << ep->link->patient;

	return waits_for_us(ep) ? kmap_umin(ns, MUTUAL_NS) : ns;
}

uint64_t
kmap_tx_spill_look(const struct kmap_ep *ep)
{
	return kmap_umin(patience(ep) / 2, STUCK_LOOK_NS);
}

/* tx.lock held; the direction was on the ring. */
static void
spill(struct kmap_ep *ep)
{
	bool mutual = waits_for_us(ep);

	/* What it says of the next one is not of those that wait for us. */
	ep->tx.spilled = mutual ? 0 : 1;
	ep->tx.pace_step = mutual ? PACE_STEPS + 8 * PACE_DOUBLE : 1;
	ep->tx.ahead = 0;
	kmap_dir_down(ep);
	kmap_stats_count(KMAP_STAT_spills);
}

/* tx.lock held; the direction is on the ring again. (Two that learn at once
 * may lose one lesson.) */
static void
unspill(struct kmap_ep *ep)
{
	int patient = ep->link->patient;

	if (ep->tx.spilled > STUCK_BYTES && patient > 0)
		ep->link->patient = patient - 1;
	else if (ep->tx.spilled < UNSTUCK_BYTES && patient < PATIENT_MAX)
		ep->link->patient = patient + 1;
	ep->tx.spilled = 0;
}

/*
 * Whoever waits for room that the ring makes must wait the ring's way: an
 * epoll set that is not filtered yet would ask the kernel, which has room.
 * Until that is known of a sender, what a full ring does not take goes on by
 * TCP at once, so that its answer and the kernel's are one.
 */
static bool
waits_known(const struct kmap_ent *e)
{
	const struct kmap_fdslot *s;

	if (kmap_likely(a_load(&e->ep->rx.consented) != 0))
		return true;
	s = kmap_fdslot(e->fd);
	return a_load(&e->fds) == 1 && s != NULL && s->items == NULL;
}

static uint64_t
pace(const struct kmap_ep *ep)
{
	uint32_t k = ep->tx.pace_step;

	return k == 0 ? PACE_BURST
		: k < PACE_STEPS
		? PACE_BYTES
		: (uint64_t)PACE_BYTES << (k - PACE_STEPS) / PACE_DOUBLE;
}

/* The receiver has the library and has not made its next call yet. */
static bool
tx_may_rise_soon(const struct kmap_ep *ep)
{
	struct kmap_dir_shm *d = ep->tx.ring.shm;

	return d != NULL && !kmap_tx_on_ring(ep) && !ep->tx.fin &&
		ep->tx.bounce_from == ep->tx.bounce_to &&
		a_load(&d->rflags) == 0 &&
		(a_load_acq(&d->consent) == 0 ||
			a_load_acq(&d->passed) != ep->tx.nrec);
}

bool
kmap_tx_paced(const struct kmap_ep *ep)
{
	return kmap_unlikely(ep->tx.ahead >= pace(ep)) &&
		tx_may_rise_soon(ep) &&
		kmap_now() -
			a_load(&((struct kmap_ep *)(uintptr_t)ep)
					->tx.ahead_since) <
		KMAP_PACE_NS;
}

bool
kmap_tx_freed(const struct kmap_ep *ep)
{
	return ep->tx.ring.shm != NULL && !kmap_tx_on_ring(ep) &&
		ep->tx.ahead >= pace(ep) && !tx_may_rise_soon(ep);
}

/* tx.lock held: how much may go by TCP at once. */
static size_t
tx_piece(struct kmap_ep *ep)
{
	uint64_t now;

	if (ep->tx.fin)
		return SIZE_MAX;
	if (!tx_may_rise_soon(ep)) {
		ep->tx.ahead = 0;
		return TCP_PIECE;
	}
	now = kmap_now();
	if (now - a_load(&ep->tx.ahead_since) >= KMAP_PACE_NS) {
		a_store(&ep->tx.ahead_since, now);
		if (ep->tx.ahead >= pace(ep) && ep->tx.pace_step < PACE_LAST)
			ep->tx.pace_step++;
		ep->tx.ahead = 0;
	}
	if (ep->tx.ahead >= pace(ep))
		return TCP_PIECE;
	return kmap_umin(TCP_PIECE, (size_t)(pace(ep) - ep->tx.ahead));
}

/*
 * Whether the peer was seen alive since the last send: its bytes were read, or
 * it reads ours. Its head is asked last: that costs a transfer of the line here,
 * and one more where the peer moves it. But what a dead one had sent can be read
 * for long: so each BY_READS sends the clock is asked whether LOOK_NS are over.
 */
static bool
tx_peer_moved(struct kmap_ep *ep)
{
	uint32_t reads = a_load(&ep->rx.reads);
	bool answered = reads != ep->tx.reads_then, moved;
	uint64_t head, now = 0;

	ep->tx.reads_then = reads;
	if (answered &&
		(++ep->tx.by_reads % BY_READS != 0 ||
			(now = kmap_now()) - ep->tx.head_at < LOOK_NS))
		return true;
	head = a_load(&ep->tx.ring.shm->head);
	moved = head != ep->tx.head_then && (answered || ep->tx.by_reads == 0);
	ep->tx.head_then = head;
	ep->tx.head_at = now;
	ep->tx.by_reads = 0;
	return moved;
}

/* Whether the peer is still there, when it was not seen. tx.lock held; true:
 * the direction left the ring. */
static bool
tx_look(struct kmap_ent *e, int fd, size_t n)
{
	struct kmap_ep *ep = e->ep;
	struct kmap_dir_shm *d = ep->tx.ring.shm;
	bool bye = (a_load(&d->rflags) & KMAP_BYE) != 0;
	uint64_t now;

	if (kmap_likely(!bye && tx_peer_moved(ep))) {
		ep->tx.unlooked = 0;
		return false;
	}
	ep->tx.unlooked += n;
	if (!bye && ep->tx.unlooked < LOOK_BYTES) {
		now = kmap_now();
		if (now - ep->tx.looked_at < LOOK_NS)
			return false;
		ep->tx.looked_at = now;
	}
	ep->tx.unlooked = 0;
	if (!(kmap_sys_poll1(fd, POLLRDHUP) &
		    (POLLRDHUP | POLLHUP | POLLERR))) {
		ep->tx.clean_tail = ep->tx.ring.tail;
		return false;
	}
	kmap_unlock(&ep->tx.lock);
	fin_seen(e, fd, (int64_t)(ep->tx.clean_tail - a_load(&d->head)) <= 0);
	kmap_lock(&ep->tx.lock);
	return true;
}

/* *full: there was not room for all of it. (A file may end, and a pipe be
 * empty, before that.) */
static ssize_t
ring_send(struct kmap_ent *e, struct kmap_tx_op *op, bool *full)
{
	struct kmap_ep *ep = e->ep;
	size_t want = op->file >= 0 ? op->file_left : op->it.left;
	/* Half of it at least: whoever asks for room then needs no look at
	 * the peer's cursor. */
	ssize_t space = kmap_ring_space(
			&ep->tx.ring, kmap_umax(want, ep->tx.ring.size / 2)),
		n;

	*full = space == 0;
	if (space < 0)
		return space;
	if (space == 0)
		return -EAGAIN;
	n = (ssize_t)kmap_umin((size_t)space, want);
	if (op->file >= 0)
		n = ring_from_file(ep, op, (size_t)n);
	else
		n = kmap_ring_put(&ep->tx.ring, &op->it, (size_t)n);
	if (n > 0) {
		kmap_publish_moved(
			&e->pub->ring_bytes_out, &e->pub->ring_messages_out, n);
		kick_data(ep);
	}
	*full = n == space && (size_t)n < want;
	return n;
}

/* tx.lock held, the direction is not on the ring. */
static ssize_t
tx_by_tcp(struct kmap_ent *e, int fd, struct kmap_tx_op *op)
{
	struct kmap_ep *ep = e->ep;
	size_t piece;
	ssize_t n;

	if (kmap_tx_paced(ep) && waits_known(e)) {
		a_store(&ep->tx.nospace, 1u);
		return -EAGAIN;
	}
	piece = tx_piece(ep);
	if (op->piece != 0)
		piece = kmap_umin(piece, op->piece);
	n = kernel_send(e, fd, op, piece);
	if (n > 0) {
		ep->tx.ahead += (uint64_t)n;
		if (ep->tx.spilled != 0)
			ep->tx.spilled += (uint64_t)n;
	} else if (n == -EAGAIN)
		a_store(&ep->tx.nospace, 1u);
	return n;
}

/* The same, behind what a bounce owes. */
static ssize_t
tx_repaid_by_tcp(struct kmap_ent *e, int fd, struct kmap_tx_op *op)
{
	if (kmap_dir_repay(e->ep, fd) == 0)
		return tx_by_tcp(e, fd, op);
	a_store(&e->ep->tx.nospace, 1u);
	return -EAGAIN;
}

/* tx.lock held. */
static ssize_t
tx_once(struct kmap_ent *e, int fd, struct kmap_tx_op *op)
{
	struct kmap_ep *ep = e->ep;
	size_t want = op->file >= 0 ? op->file_left : op->it.left;
	ssize_t n, more;
	bool full;

	if (ep->link == NULL) {
		n = kernel_send(e, fd, op,
			op->piece != 0		     ? op->piece
				: kmap_pair_hopes(e) ? TCP_PIECE
						     : SIZE_MAX);
		/* The burst of a direction that is about to move. */
		if (n > 0)
			ep->tx.ahead += (uint64_t)n;
		return n;
	}
	if (kmap_tx_on_ring(ep) && !tx_look(e, fd, want) &&
		kmap_unlikely(a_load_acq(&ep->tx.ring.shm->data_waiters) &
			KMAP_BOUNCE))
		kmap_dir_bounce(ep);
	n = kmap_ep_error(ep);
	if (kmap_unlikely(n != 0))
		return n;
	if (!kmap_tx_on_ring(ep)) {
		if (!kmap_dir_may_up(ep) || kmap_dir_up(ep, fd) != 0)
			return tx_repaid_by_tcp(e, fd, op);
	}
	ep->tx.ahead = 0;
	ep->tx.pace_step = 0;
	if (kmap_unlikely(ep->tx.spilled != 0))
		unspill(ep);
	n = ring_send(e, op, &full);
	if (n == -EPROTO)
		return broken(e, fd);
	if (!full)
		return n;
	if (waits_known(e)) {
		a_store(&ep->tx.nospace, 1u);
		return n;
	}
	kmap_dir_down(ep);
	if (n > 0)
		op->flags |= MSG_NOSIGNAL;
	more = tx_repaid_by_tcp(e, fd, op);
	if (n < 0)
		return more;
	/* What was sent is told first, and the error by the next call. */
	if (more < 0 && more != -EAGAIN && more != -EPIPE)
		a_store(&ep->pending, (uint32_t)-more);
	return more < 0 ? n : n + more;
}

void
kmap_tx_rise(struct kmap_ent *e, int fd)
{
	struct kmap_ep *ep = e->ep;

	if (!kmap_trylock(&ep->tx.lock))
		return;
	if (ep->link != NULL && !kmap_tx_on_ring(ep) && waits_known(e) &&
		kmap_dir_may_up(ep))
		kmap_dir_up(ep, fd);
	kmap_unlock(&ep->tx.lock);
}

ssize_t
kmap_tx_try(struct kmap_ent *e, int fd, struct kmap_tx_op *op)
{
	struct kmap_ep *ep = e->ep;
	ssize_t n;

	kmap_lock(&ep->tx.lock);
	n = tx_once(e, fd, op);
	kmap_unlock(&ep->tx.lock);
	if (kmap_unlikely(n == -ECONNRESET))
		kmap_ep_tell(ep, n);
	return n;
}

/* As sk_stream_is_writeable: at least a third of the buffer is free. The head
 * only moves on: where there is room by the last one that we saw, there is. */
static bool
has_room(const struct kmap_ring_tx *r, uint64_t head)
{
	uint64_t used = r->tail - head;

	return used < r->size && r->size - used >= used / 2;
}

bool
kmap_tx_has_room(const struct kmap_ep *ep)
{
	const struct kmap_ring_tx *r = &ep->tx.ring;

	return kmap_likely(has_room(r, r->head)) ||
		has_room(r, a_load_acq(&r->shm->head));
}

bool
kmap_tx_spill(struct kmap_ent *e)
{
	struct kmap_ep *ep = e->ep;
	struct kmap_dir_shm *d;
	uint64_t at, now = kmap_now();
	uint32_t beat;
	bool down = true;

	kmap_lock(&ep->tx.lock);
	if (ep->link == NULL || !kmap_tx_on_ring(ep))
		goto out;
	down = false;
	d = ep->tx.ring.shm;
	at = a_load_acq(&d->head) +
		a_load(&d->progress) * UINT64_C(0x9e3779b97f4a7c15);
	beat = a_load(&ep->link->ctl->side[!ep->link->side].beat);
	if (at != ep->tx.stuck_at || kmap_tx_has_room(ep)) {
		ep->tx.stuck_at = at;
		ep->tx.stuck_since = now;
	} else if (now - ep->tx.stuck_since >=
		(beat == ep->tx.stuck_beat
				? patience(ep)
				: kmap_umax(patience(ep), BUSY_NS))) {
		spill(ep);
		down = true;
	}
	ep->tx.stuck_beat = beat;
out:
	kmap_unlock(&ep->tx.lock);
	return down;
}

int
kmap_rx_queued(struct kmap_ent *e, int kernel)
{
	struct kmap_ep *ep = e->ep;
	uint64_t ring;

	kmap_lock(&ep->rx.lock);
	if (ep->link != NULL && !ep->rx.frozen) {
		ring = a_load_acq(&ep->rx.ring.shm->tail) - ep->rx.ring.head;
		if (ring <= ep->rx.ring.size)
			kernel += (int)ring;
	}
	kmap_unlock(&ep->rx.lock);
	return kernel;
}

int
kmap_tx_queued(struct kmap_ent *e, int kernel)
{
	struct kmap_ep *ep = e->ep;
	uint64_t ring = 0;

	kmap_lock(&ep->tx.lock);
	if (ep->link != NULL) {
		ring = ep->tx.ring.tail - a_load_acq(&ep->tx.ring.shm->head);
		if (ring > ep->tx.ring.size)
			ring = 0;
		/* Read already, whatever TCP has still to acknowledge: the
		 * answers that would have done it went by the ring. */
		if (kmap_tx_on_ring(ep) &&
			a_load(&ep->tx.ring.shm->passed) == ep->tx.nrec)
			kernel = 0;
	}
	kmap_unlock(&ep->tx.lock);
	return kernel + (int)ring;
}

int
kmap_rx_hint(struct kmap_ent *e, int fd)
{
	struct kmap_ep *ep = e->ep;
	int inq = 0, n;

	if (ep->link != NULL && kmap_rx_on_ring(ep)) {
		n = kmap_rx_queued(e, 0);
		if (n > 0)
			return n;
	}
	if (kmap_sys_ioctl(fd, SIOCINQ, &inq) != 0)
		inq = 0;
	n = kmap_rx_queued(e, inq);
	/* Whoever is told 0 waits for an edge, and the FIN's may be past. */
	if (n == 0 && kmap_sys_poll1(fd, POLLIN | POLLRDHUP) > 0)
		n = 1;
	return n;
}

static void
info_add(void *info, socklen_t len, size_t at, uint64_t n)
{
	uint64_t v;

	if (at + sizeof(v) > len)
		return;
	memcpy(&v, (char *)info + at, sizeof(v));
	v += n;
	memcpy((char *)info + at, &v, sizeof(v));
}

void
kmap_tcp_info(struct kmap_ent *e, void *info, socklen_t len)
{
	struct kmap_ep *ep = e->ep;
	uint64_t in = ep->rx.ring.head, out = ep->tx.ring.tail, came;

	/* Received is what came, read or not. */
	came = a_load_acq(&ep->rx.ring.shm->tail);
	if (came - in <= ep->rx.ring.size)
		in = came;
	info_add(info, len, offsetof(struct tcp_info, tcpi_bytes_received), in);
	info_add(info, len, offsetof(struct tcp_info, tcpi_bytes_acked), out);
	info_add(info, len, offsetof(struct tcp_info, tcpi_bytes_sent), out);
}

bool
kmap_tx_answer(struct kmap_ent *e)
{
	struct kmap_ep *ep = e->ep;
	struct kmap_dir_shm *d = ep->tx.ring.shm;
	bool owes = false;

	if (d == NULL ||
		(!(a_load_acq(&d->data_waiters) & KMAP_BOUNCE) &&
			kmap_likely(ep->tx.bounce_from == ep->tx.bounce_to)))
		return false;
	kmap_lock(&ep->tx.lock);
	if (ep->link != NULL) {
		int fd = e->carrier >= 0 ? e->carrier : e->fd;
		uint64_t debt;

		if (kmap_tx_on_ring(ep))
			kmap_dir_bounce(ep);
		debt = ep->tx.bounce_to - ep->tx.bounce_from;
		owes = kmap_dir_repay(ep, fd) != 0;
		/* It has closed with these bytes unread: they met a reset, of
		 * which the kernel tells as EPIPE only, after the FIN. */
		if (debt != 0 && !owes &&
			(kmap_sys_poll1(fd, 0) & (POLLERR | POLLHUP)))
			met_reset(ep);
	}
	kmap_unlock(&ep->tx.lock);
	return owes;
}

void
kmap_tx_finish(struct kmap_ent *e)
{
	struct kmap_ep *ep = e->ep;
	struct linger lg = {.l_onoff = 1};
	int fd = e->carrier >= 0 ? e->carrier : e->fd;

	kmap_lock(&ep->tx.lock);
	if (ep->link != NULL) {
		ep->tx.fin = true;
		a_or(&ep->tx.ring.shm->sflags, KMAP_BYE);
		/* The record decides the race with a freeze (M9): a later one
		 * is refused, and what an earlier one is owed goes first. */
		kmap_dir_down(ep);
		if (kmap_dir_repay(ep, fd) != 0) {
			kmap_log(KMAP_ERROR,
				"fd %d: the end comes before "
				"bytes that are owed; it will be a reset",
				fd);
			kmap_sys_setsockopt(
				fd, SOL_SOCKET, SO_LINGER, &lg, sizeof(lg));
		}
	}
	kmap_unlock(&ep->tx.lock);
}

/* Frozen with bytes that nobody can send again: the sender's family died. */
static bool
lost(struct kmap_ep *ep)
{
	return a_load_acq(&ep->rx.ring.shm->tail) != ep->rx.ring.head &&
		(a_load_acq(&ep->rx.ring.shm->data_waiters) & KMAP_BOUNCE) &&
		kmap_link_dead(ep->link);
}

void
kmap_tx_last(struct kmap_ent *e, int fd)
{
	struct kmap_ep *ep = e->ep;

	kmap_lock(&ep->tx.lock);
	if (ep->link != NULL && kmap_tx_on_ring(ep) &&
		(a_load(&ep->tx.ring.shm->data_waiters) & KMAP_BOUNCE))
		kmap_dir_bounce(ep);
	if (ep->link != NULL)
		kmap_dir_repay(ep, fd);
	kmap_unlock(&ep->tx.lock);
}

bool
kmap_rx_lost(struct kmap_ent *e)
{
	struct kmap_ep *ep = e->ep;
	struct kmap_dir_shm *d;
	bool lost = false;

	kmap_lock(&ep->rx.lock);
	d = ep->rx.ring.shm;
	if (ep->link != NULL && ep->rx.frozen && d != NULL)
		lost = a_load_acq(&d->tail) != ep->rx.ring.head &&
			!(a_load_acq(&d->sflags) & KMAP_REPAID);
	kmap_unlock(&ep->rx.lock);
	return lost;
}

void
kmap_tx_go_down(struct kmap_ent *e, int fd, enum kmap_why why)
{
	kmap_ent_bar(e, why);
	/* Also whoever pairs it just now comes to his end first. */
	kmap_pair_settle(e, fd);
	kmap_tx_finish(e);
}

static void
lowat_set(struct kmap_ep *ep, int fd, uint32_t lowat)
{
	int v = (int)lowat;

	ep->rx.lowat_bent = lowat != ep->rcvlowat;
	kmap_sys_setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &v, sizeof(v));
}

/*
 * What was readable stays readable: whoever gets the descriptor may not want
 * to block. A peer that is in no call of ours cannot repay; it is not waited
 * for any longer.
 */
static void
wait_repaid(struct kmap_ep *ep)
{
	uint64_t t0 = kmap_now();

	while (!(a_load_acq(&ep->rx.ring.shm->sflags) & KMAP_REPAID) &&
		kmap_now() - t0 < 20 * KMAP_REPAY_NS)
		kmap_sys_yield();
}

void
kmap_go_down(struct kmap_ent *e, int fd, enum kmap_why why)
{
	struct kmap_ep *ep = e->ep;
	bool owed = false;

	kmap_ent_bar(e, why);
	/* Also whoever pairs it just now comes to his end first. */
	kmap_pair_settle(e, fd);
	kmap_lock(&ep->rx.lock);
	if (ep->link != NULL && a_load(&ep->rx.consented) &&
		(kmap_dir_freeze(ep) != 0 || lost(ep))) {
		struct sockaddr none = {.sa_family = AF_UNSPEC};

		/* Never the wrong bytes, never a clean end. */
		kmap_log(KMAP_ERROR,
			"fd %d: bytes on the ring cannot go back "
			"to TCP; the connection is reset",
			fd);
		kmap_sys_connect(fd, &none, sizeof(none));
		ep->rx.frozen = true;
	} else if (ep->rx.frozen && ep->link != NULL)
		owed = a_load_acq(&ep->rx.ring.shm->tail) != ep->rx.ring.head;
	if (ep->rx.lowat_bent)
		lowat_set(ep, fd, ep->rcvlowat);
	kmap_gate_open(&ep->rx.gate);
	kmap_unlock(&ep->rx.lock);
	/* Whoever sees this record sees the request. */
	kmap_tx_finish(e);
	if (owed && why == KMAP_WHY_PASSED)
		wait_repaid(ep);
	kmap_keep_end(ep, fd);
}

/* ---- readiness ---- */

/*
 * A reset shows in steps in the kernel: the error, then, when megabytes that
 * waited were freed, the state and the shutdowns. Whoever polls, as a sleeper
 * does not, may look in between. An error that stands alone is another one.
 */
#define STEPS_NS 2000000u

static int
carrier_poll(struct kmap_ep *ep, int fd, int want)
{
	uint64_t t0 = 0;
	int k;

	for (;;) {
		k = kmap_sys_poll1(fd, want | POLLIN | POLLRDHUP);
		if (k <= 0 || !(k & (POLLERR | POLLHUP)) ||
			((k & POLLHUP) && (k & POLLRDHUP)) || ep->rx.soft_error)
			return k;
		if (t0 == 0)
			t0 = kmap_now();
		else if (kmap_now() - t0 > STEPS_NS)
			ep->rx.soft_error = true;
		kmap_sys_yield();
	}
}

/*
 * With SO_RCVLOWAT, and unread bytes on both sides of a record, their sum
 * counts. The kernel knows of TCP's alone: its mark is bent meanwhile to what
 * is missing, so that it wakes whoever waits.
 */
static bool
rx_enough(struct kmap_ep *ep, int fd)
{
	uint64_t ring;
	int inq = 0;

	if (a_load_acq(&ep->rx.ring.shm->nrec) == ep->rx.passed) {
		if (ep->rx.lowat_bent)
			lowat_set(ep, fd, ep->rcvlowat);
		return false;
	}
	ring = a_load_acq(&ep->rx.ring.shm->tail) - ep->rx.ring.head;
	if (ring >= ep->rcvlowat)
		return true; /* or nonsense, which a read finds */
	lowat_set(ep, fd, ep->rcvlowat - (uint32_t)ring);
	return kmap_sys_ioctl(fd, SIOCINQ, &inq) == 0 &&
		ring + (uint64_t)inq >= ep->rcvlowat;
}

static int
rx_ready(struct kmap_ent *e, int fd, int want, bool *look)
{
	struct kmap_ep *ep = e->ep;
	int ev = 0, k;

	if (kmap_unlikely(ep->rx.frozen)) {
		k = carrier_poll(ep, fd, want);
		*look = true;
		return k < 0 ? 0 : k & ~(POLLOUT | POLLWRNORM | POLLWRBAND);
	}
	if (kmap_rx_on_ring(ep) && kmap_ring_avail(&ep->rx.ring, 1) == 0 &&
		kmap_dir_pass(ep) > 0)
		*look = true;
	if (!kmap_rx_on_ring(ep) && ep->link != NULL && kmap_dir_pass(ep) > 0)
		*look = true;
	if (kmap_rx_on_ring(ep)) {
		ssize_t n = kmap_ring_avail(&ep->rx.ring, ep->rcvlowat);

		if (n < 0 || n >= (ssize_t)ep->rcvlowat)
			ev |= POLLIN | POLLRDNORM;
		if (ep->rx.error != 0 || ep->rx.eof)
			ev |= POLLIN | POLLRDNORM;
	}
	if (kmap_unlikely(ep->rcvlowat > 1 || ep->rx.lowat_bent) &&
		ep->link != NULL && rx_enough(ep, fd))
		ev |= POLLIN | POLLRDNORM;
	/* The peer has ended: RDHUP, HUP and ERR show beside unread bytes. */
	if (ep->link != NULL &&
		(ep->rx.shut || (a_load(&ep->rx.ring.shm->sflags) & KMAP_BYE)))
		*look = true;
	if (!*look)
		return ev;
	k = carrier_poll(ep, fd, want);
	if (k < 0)
		return ev;
	/* While it is readable it stays so, or is drained through us. */
	*look = (k & (POLLIN | POLLRDHUP | POLLHUP | POLLERR | POLLPRI)) != 0;
	/* An edge is told once: the read that follows it has to see why. */
	if (*look)
		ep->rx.looked_at = 0;
	if (k & (POLLRDHUP | POLLHUP | POLLERR))
		fin_seen(e, fd, false);
	return ev | (k & ~(POLLOUT | POLLWRNORM | POLLWRBAND));
}

/* Nothing is locked where a look at our own cursors tells. */
static int
tx_ready(struct kmap_ent *e, int fd)
{
	const int out = POLLOUT | POLLWRNORM;
	struct kmap_ep *ep = e->ep;
	int k = 0;

	if (kmap_likely(ep->link != NULL && kmap_tx_on_ring(ep)) &&
		kmap_tx_has_room(ep))
		return out;
	kmap_lock(&ep->tx.lock);
	if (ep->link != NULL && kmap_tx_on_ring(ep))
		k = kmap_tx_has_room(ep) ? out : 0;
	else if ((ep->link == NULL || kmap_dir_repay(ep, fd) == 0) &&
		!kmap_tx_paced(ep))
		k = kmap_sys_poll1(fd, out);
	kmap_unlock(&ep->tx.lock);
	return k > 0 ? k & out : 0;
}

int
kmap_ready(struct kmap_ent *e, int fd, int want, bool *look)
{
	struct kmap_ep *ep = e->ep;
	int ev;

	if (kmap_unlikely(e->preconsent) && ep->link == NULL &&
		kmap_pair_claimed(e))
		kmap_pair_take_claimed(e, fd);
	kmap_lock(&ep->rx.lock);
	ev = rx_ready(e, fd, want, look);
	kmap_unlock(&ep->rx.lock);
	answer_leaver(e);
	if (want & (POLLOUT | POLLWRNORM))
		ev |= tx_ready(e, fd);
	return ev & (want | POLLERR | POLLHUP);
}
