/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "call.h"
#include "family.h"

#include "addr.h"
#include "env.h"
#include "pair.h"
#include "stream.h"
#include "sys.h"
#include "wait.h"

#include <limits.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>

#define RWF_NOWAIT_ 8
#define RWF_NOSIGNAL_ 0x100
/* RWF_HIPRI, DSYNC, SYNC, NOWAIT, APPEND */
#define RWF_PLAIN 0x1f
/* A send longer than this is cut, so that it can move midway; and one of these
 * may have to give the other end a moment. */
#define LONG_SEND (100u << 10)
#define MOMENT_SEND (8u << 10)

/* ---- the kernel path: who is in there, and what it teaches ---- */

bool
kmap_rx_kernel_slow(struct kmap_iocall *c)
{
	struct kmap_ent *e = c->ent;

	if (kmap_vfork_child())
		return true;
	if (kmap_likely(kmap_rx_gated(e))) {
		if (kmap_unlikely(!a_load(&e->ep->rx.consented)))
			kmap_pair_tick(e, c->fd);
		if (kmap_tx_rises(e->ep))
			kmap_tx_rise(e, c->fd);
		return false;
	}
	if (a_load(&e->ep->role) == KMAP_CONNECTOR ||
		a_load(&e->ep->stage) == KMAP_PAIRED)
		kmap_pair_tick(e, c->fd);
	c->ep = e->ep;
	if (!kmap_gate_enter(&c->ep->rx.gate)) {
		/* Turned away: it may have been the last one counted. */
		kmap_consent_try(e, c->fd);
		return false;
	}
	c->entered = true;
	kmap_note_in(e, a_load(&c->ep->gen), c->fd, KMAP_IN_RX);
	return true;
}

void
kmap_iocall_out(struct kmap_iocall *c)
{
	c->entered = false;
	kmap_note_out();
	if (c->tx)
		kmap_gate_leave(&c->ep->tx.gate);
	/* Closed meanwhile by another thread, the entry may be another
	 * connection's by now. */
	else if (kmap_gate_leave(&c->ep->rx.gate) && c->ent->ep == c->ep)
		kmap_consent_try(c->ent, c->fd);
}

ssize_t
kmap_rx_leave_slow(struct kmap_iocall *c, ssize_t r)
{
	struct kmap_ent *e = c->ent;
	int saved = errno;

	kmap_iocall_out(c);
	if (r > 0 && e->ep == c->ep) {
		kmap_publish_moved(
			&e->pub->tcp_bytes_in, &e->pub->tcp_messages_in, r);
		/* With data in hand the other end has called, too: its name
		 * stands if it has one. */
		kmap_pair_tick(e, c->fd);
	}
	/* The byte of ours that asks a dead peer for its reset brings EPIPE,
	 * which no receive on TCP gives. */
	if (kmap_unlikely(c->ep->rx.frozen) && e->ep == c->ep &&
		(r == 0 || (r < 0 && saved == EPIPE)) && kmap_rx_lost(e)) {
		saved = ECONNRESET;
		r = -1;
	}
	if (r < 0 && e->ep == c->ep && kmap_ep_tell(e->ep, -saved) == 0)
		r = 0;
	errno = saved;
	return r;
}

static bool
nonblocking(const struct kmap_ent *e, int fd)
{
	int fl;

	if (a_load(&e->ep->stage) == KMAP_PAIRED)
		return a_load(&e->ep->nonblock) != 0;
	fl = kmap_sys_fcntl(fd, F_GETFL, 0);
	return fl >= 0 && (fl & O_NONBLOCK);
}

/* An offer, or a greeting. */
static bool
is_unanswered(const struct kmap_ent *e)
{
	uint32_t stage = a_load_acq(&e->ep->stage);

	return stage == KMAP_OFFERED ||
		(stage == KMAP_PAIRED &&
			kmap_link_can_ring(e->ep->link) == -EAGAIN);
}

/* See moment(). */
static bool
has_moment(const struct kmap_ent *e)
{
	return kmap_conf.upgrade == KMAP_NOW && !e->moment_over &&
		is_unanswered(e);
}

#define LEN_PARTS 64u

size_t
kmap_vec_len(const struct iovec *iov, size_t cnt)
{
	struct iovec v[LEN_PARTS];
	size_t n = 0;

	if (cnt == 0 || cnt > LEN_PARTS ||
		kmap_copy(v, iov, cnt * sizeof(v[0])) != 0)
		return 0;
	for (size_t i = 0; i < cnt; i++)
		n = v[i].iov_len > SIZE_MAX - n ? SIZE_MAX : n + v[i].iov_len;
	return n;
}

size_t
kmap_msg_len(const struct msghdr *msg)
{
	struct msghdr m;

	return kmap_copy(&m, msg, sizeof(m)) != 0
		? 0
		: kmap_vec_len(m.msg_iov, m.msg_iovlen);
}

bool
kmap_tx_kernel_slow(struct kmap_iocall *c, size_t len)
{
	struct kmap_ent *e = c->ent;
	uint32_t stage;

	if (kmap_vfork_child())
		return true;
	if (kmap_likely(kmap_tx_gated(e))) {
		if (kmap_unlikely(!a_load(&e->ep->rx.consented)))
			kmap_pair_tick(e, c->fd);
		return false;
	}
	kmap_pair_tick(e, c->fd);
	stage = a_load(&e->ep->stage);
	if (len > LONG_SEND && (stage == KMAP_PLAIN || stage == KMAP_OFFERED) &&
		kmap_conf.upgrade != KMAP_NEVER && kmap_pair_hopes(e))
		return false;
	if (len > MOMENT_SEND && has_moment(e))
		return false;
	c->ep = e->ep;
	if (!kmap_gate_enter(&c->ep->tx.gate))
		return false;
	c->entered = true;
	kmap_note_in(e, a_load(&c->ep->gen), c->fd, KMAP_IN_TX);
	return true;
}

ssize_t
kmap_tx_leave_slow(struct kmap_iocall *c, ssize_t r)
{
	struct kmap_ent *e = c->ent;
	int saved = errno;

	kmap_iocall_out(c);
	/* Gated meanwhile: whether it filled the buffer is not known. */
	if (kmap_unlikely(kmap_tx_gated(e)) && e->ep == c->ep)
		a_store(&c->ep->tx.nospace, 1u);
	if (r > 0 && e->ep == c->ep) {
		kmap_publish_moved(
			&e->pub->tcp_bytes_out, &e->pub->tcp_messages_out, r);
	} else if (r < 0 && e->ep == c->ep)
		kmap_ep_tell(e->ep, -saved);
	errno = saved;
	return r;
}

/* ---- receiving ---- */

static uint64_t
deadline_of(uint64_t timeo)
{
	return timeo != 0 ? kmap_now() + timeo : 0;
}

/* What recv(2) knows beyond the ring: urgent data, the error queue. */
static ssize_t
rx_by_kernel(struct kmap_iocall *c, const struct kmap_rxreq *req)
{
	struct msghdr m = {
		.msg_iov = (struct iovec *)(uintptr_t)req->iov,
		.msg_iovlen = (size_t)req->iovcnt,
	};
	ssize_t r;

	/* (Urgent data lies beside the stream, and comes by TCP always.) */
	if (req->msg == NULL)
		return kmap_ret(kmap_real.recvmsg(c->fd, &m, req->flags));
	r = kmap_ret(kmap_real.recvmsg(c->fd, req->msg, req->flags));
	return r;
}

/*
 * RWF_* beyond those that every Linux takes on a socket: the kernel is asked
 * on a socket of no connection, where it looks at them before anything else.
 */
static int
rwf_asked(int rwf, bool tx)
{
	char b = 0;
	struct iovec v = {&b, 1};
	int fd = kmap_sys_raise(
		    kmap_real.socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)),
	    r;

	if (fd < 0)
		return -EOPNOTSUPP;
	r = (int)kmap_syscall(
		tx ? SYS_pwritev2 : SYS_preadv2, fd, &v, 1, -1, -1, rwf);
	kmap_sys_close(fd);
	return r == -EOPNOTSUPP ? r : 0;
}

/* As the kernel's put_cmsg: what does not fit is cut and said so. */
static void
put_inq(struct msghdr *msg, size_t room, int inq)
{
	struct cmsghdr h = {.cmsg_len = CMSG_LEN(sizeof(inq)),
		.cmsg_level = IPPROTO_TCP,
		.cmsg_type = TCP_CM_INQ};
	char buf[CMSG_LEN(sizeof(inq))];

	if (msg->msg_control == NULL || room < sizeof(h)) {
		msg->msg_flags |= MSG_CTRUNC;
		return;
	}
	if (room < sizeof(buf)) {
		msg->msg_flags |= MSG_CTRUNC;
		h.cmsg_len = room;
	}
	memcpy(buf, &h, sizeof(h));
	memcpy(buf + sizeof(h), &inq, sizeof(inq));
	if (kmap_copy(msg->msg_control, buf, h.cmsg_len) == 0)
		msg->msg_controllen = kmap_umin(CMSG_SPACE(sizeof(inq)), room);
}

/* As the kernel's move_addr_to_user, of an address that has no bytes. */
static int
put_no_addr(socklen_t *lenp)
{
	socklen_t len;

	if (kmap_copy(&len, lenp, sizeof(len)) != 0)
		return -EFAULT;
	if ((int)len < 0)
		return -EINVAL;
	len = 0;
	return kmap_copy(lenp, &len, sizeof(len));
}

/* The bytes were taken already, as they are when the kernel fails here. */
static int
rx_outputs(struct kmap_iocall *c, const struct kmap_rxreq *req)
{
	struct msghdr m;
	size_t room;

	if (req->addr != NULL)
		return put_no_addr(req->addrlen);
	if (req->msg == NULL)
		return 0;
	if (kmap_copy(&m, req->msg, sizeof(m)) != 0)
		return -EFAULT;
	if (m.msg_name != NULL)
		m.msg_namelen = 0;
	room = m.msg_controllen;
	m.msg_controllen = 0;
	m.msg_flags = req->flags & MSG_CMSG_CLOEXEC;
	if (kmap_unlikely(a_load(&c->ent->ep->inq)))
		put_inq(&m, room,
			kmap_rx_hint(c->ent, kmap_carrier(c->ent, c->fd)));
	return kmap_copy(req->msg, &m, sizeof(m));
}

/* A call that waits, from its first sleep to its end: a close by another
 * thread leaves it its carrier, between two sleeps, too. */
struct waiting {
	struct kmap_ent *ent;
};

static void
waiting_begin(struct waiting *w, struct kmap_ent *e)
{
	if (w->ent == NULL) {
		w->ent = e;
		kmap_sleep_begin(e);
		kmap_note_in(e, a_load(&e->ep->gen), -1, KMAP_IN_SLEEP);
	}
}

static void
waiting_end(struct waiting *w)
{
	if (w->ent != NULL) {
		kmap_note_out();
		kmap_sleep_end(w->ent);
	}
}

#define WAITING(w)                                                             \
	struct waiting w __attribute__((cleanup(waiting_end))) = {NULL}

/* -ERESTART: the endpoint went back to TCP for good; ask the kernel. */
static ssize_t
rx_loop(struct kmap_iocall *c, struct kmap_rx_op *op, bool nb, uint64_t end,
	size_t *done)
{
	struct kmap_ran ran = kmap_ran_now();
	struct kmap_ent *e = c->ent;
	struct kmap_iter start = op->it;
	size_t want = op->it.left, target;
	bool peeked = false, ended = false;
	WAITING(w);
	ssize_t n;
	int r;

	/* As sock_rcvlowat. */
	target = op->flags & MSG_WAITALL ? want
					 : kmap_umin(e->ep->rcvlowat, want);

	for (;;) {
		n = kmap_rx_try(e, kmap_carrier(e, c->fd), op);
		if (n >= 0) {
			if (op->flags & MSG_PEEK) {
				*done = (size_t)n;
				if (n == 0 || *done >= target || ended)
					return 0;
				op->it = start;
				peeked = true;
				/* Behind the end no more comes; but what came
				 * before it is still to be seen. */
				ended = kmap_sys_poll1(kmap_carrier(e, c->fd),
						POLLRDHUP) > 0;
				if (ended)
					continue;
			} else {
				*done += (size_t)n;
				if (n == 0 || *done >= target)
					return 0;
				continue;
			}
		} else if (n != -EAGAIN)
			return n;
		if (nb)
			return -EAGAIN;
		op->look = false;
		ran.some = *done > 0;
		waiting_begin(&w, e);
		r = kmap_wait_one(e, c->fd, POLLIN, end, ran, &op->look,
			peeked ? op : NULL);
		if (r != 0)
			return r;
		if (!kmap_rx_gated(e))
			return -ERESTART;
	}
}

/* read and write refuse what no program has by its whole length; the socket
 * calls cut the length first. */
static int
iter_of(struct kmap_iter *it, const struct iovec *iov, int cnt, bool vec,
	bool whole)
{
	size_t n;

	if (vec)
		return kmap_iter_init(it, iov, (size_t)cnt);
	n = kmap_umin(iov->iov_len, KMAP_MAX_RW);
	*it = (struct kmap_iter){.iov = iov, .cnt = 1, .left = n};
	return kmap_user_range(iov->iov_base, whole ? iov->iov_len : n)
		? 0
		: -EFAULT;
}

int
kmap_rx_error(struct kmap_iocall *c)
{
	struct kmap_ep *ep = c->ent->ep;
	int err = 0;
	socklen_t len = sizeof(err);

	kmap_sys_getsockopt(
		kmap_carrier(c->ent, c->fd), SOL_SOCKET, SO_ERROR, &err, &len);
	return (int)kmap_ep_tell(ep, err != 0 ? -err : kmap_ep_error(ep));
}

/*
 * A call of recv's kind for no bytes waits for one, and tells the end and
 * the error, but takes nothing. (read's kind returns at once.)
 */
static ssize_t
rx_nothing(struct kmap_iocall *c, const struct kmap_rxreq *req, bool nb)
{
	struct kmap_rx_op op = {.flags = MSG_PEEK, .pipe = -1};
	char b;
	struct iovec v = {&b, 1};
	size_t done = 0;
	ssize_t r;

	op.it = (struct kmap_iter){.iov = &v, .cnt = 1, .left = 1};
	r = rx_loop(
		c, &op, nb, nb ? 0 : deadline_of(c->ent->ep->rcvtimeo), &done);
	if (r == -ERESTART)
		return rx_by_kernel(c, req);
	return r < 0 ? r : rx_outputs(c, req);
}

ssize_t
kmap_rx(struct kmap_iocall *c, const struct kmap_rxreq *req)
{
	struct kmap_ent *e = c->ent;
	struct kmap_rx_op op = {.flags = req->flags, .pipe = -1};
	bool sys5 = req->call == KMAP_read || req->call == KMAP_readv ||
		req->call == KMAP_preadv2;
	size_t done = 0;
	ssize_t r;
	bool nb;

	if (req->flags & (MSG_OOB | MSG_ERRQUEUE))
		return rx_by_kernel(c, req);
	if (req->iovcnt < 0 || req->iovcnt > IOV_MAX)
		return req->msg != NULL ? -EMSGSIZE : -EINVAL;
	r = iter_of(&op.it, req->iov, req->iovcnt, req->vec,
		req->call == KMAP_read);
	if (r != 0)
		return r;
	if (op.it.left == 0 && sys5)
		return 0;
	if (kmap_unlikely(req->rwf & ~RWF_PLAIN)) {
		r = rwf_asked(req->rwf, false);
		if (r != 0)
			return r;
	}
	nb = a_load(&e->ep->nonblock) || (req->flags & MSG_DONTWAIT) ||
		(req->rwf & RWF_NOWAIT_);
	if (op.it.left == 0)
		return rx_nothing(c, req, nb);
	r = rx_loop(c, &op, nb, nb ? 0 : deadline_of(e->ep->rcvtimeo), &done);
	if (r == -ERESTART && done == 0)
		return rx_by_kernel(c, req);
	if (r < 0 && done == 0)
		return r;
	r = rx_outputs(c, req);
	return r != 0 ? r : (ssize_t)done;
}

/* ---- sending ---- */

static ssize_t
tx_by_kernel(struct kmap_iocall *c, const struct kmap_txreq *req)
{
	struct msghdr m = {
		.msg_iov = (struct iovec *)(uintptr_t)req->iov,
		.msg_iovlen = (size_t)req->iovcnt,
	};

	if (req->msg == NULL)
		return kmap_ret(kmap_real.sendmsg(c->fd, &m, req->flags));
	return kmap_ret(kmap_real.sendmsg(c->fd, req->msg, req->flags));
}

/*
 * KMAP_UPGRADE=now: the moment that sends, once in a connection's life, give
 * the other end to answer the offer, or the greeting, when the first
 * MOMENT_BURST bytes are out. MOMENT_NS to anybody. Blocking ones go on by
 * MOMENT_PIECE in each millisecond, which wakes who sleeps over there, for
 * MOMENT_FLAT_NS, and then by more and more: nobody may have accepted the
 * connection yet, or looked at it, and a child cannot answer until its parent
 * has let go of its copy. One that has read and has not answered in the end
 * has no library: the next connection to its address knows.
 */
#define MOMENT_BURST (32u << 10)
#define MOMENT_PIECE (1u << 10)
#define MOMENT_NS 5000000u
#define DEAF_NS 300000u
#define MOMENT_FLAT_NS 40000000u
#define MOMENT_DOUBLE_NS 4000000u
#define MOMENT_DOUBLES 6u

static kmap_a32 deaf[64];

static kmap_a32 *
deaf_slot(const struct kmap_addr *to, uint32_t *mark)
{
	uint32_t h = to->port;

	for (size_t i = 0; i < sizeof(to->ip); i++)
		h = h * 31 + to->ip[i];
	*mark = h | 1;
	return &deaf[h % kmap_countof(deaf)];
}

/* It was in vain. */
static void
moment_vain(struct kmap_ent *e, kmap_a32 *slot, uint32_t mark)
{
	const struct kmap_tuple *t = &e->ep->tuple;
	int64_t unread = kmap_unread_at(&t->to, &t->from);

	if (unread >= 0 && (uint64_t)unread < e->pub->tcp_bytes_out)
		a_store(slot, mark);
}

/* The next piece; 0: the moment is over. */
static size_t
moment_begin(struct kmap_ent *e, int fd, bool nb)
{
	uint32_t mark;
	kmap_a32 *slot = deaf_slot(&e->ep->tuple.to, &mark);
	bool is_deaf = a_load(slot) == mark;
	uint64_t ns = is_deaf ? DEAF_NS : MOMENT_NS;

	e->moment = kmap_now();
	do {
		kmap_sys_yield();
		if (a_load(&e->ep->stage) == KMAP_OFFERED)
			kmap_pair_look(e, fd);
		else
			kmap_consent_try(e, fd);
	} while (is_unanswered(e) && kmap_now() - e->moment < ns);
	if (a_load(&e->ep->stage) != KMAP_OFFERED)
		a_store(slot, 0u);
	else if (!nb && !is_deaf)
		return MOMENT_PIECE;
	else
		moment_vain(e, slot, mark);
	return 0;
}

static size_t
moment_more(struct kmap_ent *e, int fd)
{
	uint64_t age = kmap_now() - e->moment, doubles = 0;
	uint32_t mark;

	if (age > MOMENT_FLAT_NS)
		doubles = (age - MOMENT_FLAT_NS) / MOMENT_DOUBLE_NS;
	if (doubles >= MOMENT_DOUBLES) {
		moment_vain(e, deaf_slot(&e->ep->tuple.to, &mark), mark);
		return 0;
	}
	kmap_sys_nap_ms(1);
	kmap_pair_look(e, fd);
	return MOMENT_PIECE << doubles;
}

/* Before each piece. */
static void
moment(struct kmap_ent *e, int fd, struct kmap_tx_op *op, bool nb)
{
	op->piece = 0;
	if (!has_moment(e))
		return;
	if (e->pub->tcp_bytes_out < MOMENT_BURST)
		op->piece = MOMENT_BURST;
	else if (e->moment == 0)
		op->piece = moment_begin(e, fd, nb);
	else
		op->piece = moment_more(e, fd);
	e->moment_over = op->piece == 0;
}

/*
 * What stands beside the bytes, address and control data, is the kernel's to
 * judge: it is asked with the same message of no bytes.
 */
static ssize_t
tx_beside(struct kmap_iocall *c, const struct kmap_txreq *req)
{
	int fd = kmap_carrier(c->ent, c->fd), flags = req->flags | MSG_DONTWAIT;
	struct msghdr m;

	if (req->msg == NULL)
		return kmap_ret(kmap_real.sendto(
			fd, NULL, 0, flags, req->addr, req->addrlen));
	m = *req->msg;
	m.msg_iov = NULL;
	m.msg_iovlen = 0;
	return kmap_ret(kmap_real.sendmsg(fd, &m, flags));
}

static ssize_t
tx_loop(struct kmap_iocall *c, struct kmap_tx_op *op, bool nb, uint64_t end,
	size_t *done)
{
	struct kmap_ran ran = kmap_ran_now();
	struct kmap_ent *e = c->ent;
	bool look = true;
	WAITING(w);
	ssize_t n;
	int r;

	for (;;) {
		moment(e, c->fd, op, nb);
		n = kmap_tx_try(e, kmap_carrier(e, c->fd), op);
		if (kmap_unlikely(nb && a_load(&e->ep->tx.nospace)))
			kmap_items_full(e);
		if (n >= 0) {
			*done += (size_t)n;
			ran.some = *done > 0;
			if (n == 0 ||
				(op->file >= 0 ? op->file_left : op->it.left) ==
					0)
				return 0;
			if (!kmap_tx_gated(e))
				kmap_pair_look(e, c->fd);
			else if (!a_load(&e->ep->rx.consented))
				kmap_consent_try(e, c->fd);
			/* What was sent is told first, and the error, with
			 * its SIGPIPE, by the next call: as the kernel does. */
			op->flags |= MSG_NOSIGNAL;
			if (!kmap_tx_on_ring(e->ep) &&
				(kmap_sys_poll1(kmap_carrier(e, c->fd), 0) &
					(POLLERR | POLLHUP)))
				return -EPIPE;
			continue;
		}
		if (n != -EAGAIN || nb)
			return n;
		waiting_begin(&w, e);
		r = kmap_wait_one(e, c->fd, POLLOUT, end, ran, &look, NULL);
		if (r != 0)
			return r;
	}
}

ssize_t
kmap_tx(struct kmap_iocall *c, const struct kmap_txreq *req)
{
	struct kmap_ent *e = c->ent;
	struct kmap_tx_op op = {.flags = req->flags, .file = -1};
	size_t done = 0;
	ssize_t r;
	bool nb;

	if (req->flags & (MSG_OOB | MSG_ZEROCOPY | MSG_FASTOPEN)) {
		kmap_tx_go_down(e, c->fd, KMAP_WHY_URGENT);
		return tx_by_kernel(c, req);
	}
	if (req->rwf & ~RWF_PLAIN) {
		r = rwf_asked(req->rwf, true);
		if (r != 0)
			return r;
		if (req->rwf & RWF_NOSIGNAL_)
			op.flags |= MSG_NOSIGNAL;
	}
	if (kmap_unlikely(req->addr != NULL ||
		    (req->msg != NULL &&
			    (req->msg->msg_name != NULL ||
				    req->msg->msg_controllen != 0)))) {
		r = tx_beside(c, req);
		if (r < 0)
			return r;
	}
	if (req->iovcnt < 0 || req->iovcnt > IOV_MAX)
		return req->msg != NULL ? -EMSGSIZE : -EINVAL;
	r = iter_of(&op.it, req->iov, req->iovcnt, req->vec,
		req->call == KMAP_write);
	if (r != 0)
		return r;
	/* writev's kind does nothing for nothing; write asks the socket. */
	if (op.it.left == 0)
		return req->call == KMAP_writev || req->call == KMAP_pwritev2
			? 0
			: tx_by_kernel(c, req);
	nb = nonblocking(e, c->fd) || (req->flags & MSG_DONTWAIT) ||
		(req->rwf & RWF_NOWAIT_);
	r = tx_loop(c, &op, nb, nb ? 0 : deadline_of(e->ep->sndtimeo), &done);
	return r < 0 && done == 0 ? r : (ssize_t)done;
}

/* ---- sendfile and splice ---- */

/*
 * What sendfile(2) does not read from: what has no position, and what has no
 * pages, such as most of /proc (which shows as an empty file). The kernel is
 * asked, with no bytes or to a pipe of nobody's.
 */
static int
file_refused(int out, int in, const int64_t *off)
{
	int64_t pos = off != NULL ? *off : 0;
	struct stat st;
	int pp[2];
	long r;

	if (kmap_real.fstat(in, &st) == 0 && S_ISREG(st.st_mode)) {
		if (kmap_likely(st.st_size != 0) || pos < 0 ||
			kmap_real.pipe2(pp, O_CLOEXEC) != 0)
			return 0;
		pos = 0;
		r = kmap_ret(kmap_real.sendfile(pp[1], in, &pos, 1));
		kmap_sys_close(pp[0]);
		kmap_sys_close(pp[1]);
		return r == -EINVAL ? -EINVAL : 0;
	}
	r = kmap_ret(kmap_real.sendfile(out, in, off != NULL ? &pos : NULL, 0));
	return r < 0 ? (int)r : 0;
}

ssize_t
kmap_sendfile_ring(int out, int in, off_t *off, size_t n)
{
	KMAP_IOCALL(c);
	struct kmap_tx_op op = {.file = in, .file_left = n};
	int64_t pos = 0;
	size_t done = 0;
	ssize_t r;
	bool nb;

	if (kmap_tx_kernel(&c, out, n))
		return kmap_tx_leave(&c, kmap_real.sendfile(out, in, off, n));
	if (off != NULL) {
		if (kmap_copy(&pos, off, sizeof(pos)) != 0)
			return kmap_errno(-EFAULT);
		op.off = &pos;
	}
	r = file_refused(out, in, op.off);
	if (r != 0)
		return kmap_errno(r);
	if (n == 0)
		return 0;
	op.file_left = kmap_umin(n, 0x7ffff000);
	nb = nonblocking(c.ent, out);
	r = tx_loop(
		&c, &op, nb, nb ? 0 : deadline_of(c.ent->ep->sndtimeo), &done);
	if (off != NULL && done > 0)
		*off = pos;
	return r < 0 && done == 0 ? kmap_errno(r) : (ssize_t)done;
}

/* A pipe to splice into: 0 when it has room, which a blocking call waits for;
 * before the socket is looked at. */
static int
pipe_room(int out, unsigned int flags)
{
	struct pollfd p = {.fd = out, .events = POLLOUT};
	int ev;

	for (;;) {
		ev = kmap_sys_poll1(out, POLLOUT);
		if (ev & POLLERR) {
			/* No reader is left. */
			kmap_raw(SYS_tgkill, (long)kmap_sys_getpid(),
				(long)kmap_sys_gettid(), (long)SIGPIPE);
			return -EPIPE;
		}
		if (ev & POLLOUT)
			return 0;
		if (flags & SPLICE_F_NONBLOCK)
			return -EAGAIN;
		if (kmap_real.poll(&p, 1, -1) < 0)
			return -errno;
	}
}

/* splice(2) from an endpoint to a pipe. SPLICE_F_NONBLOCK is for the pipe. */
ssize_t
kmap_splice_in(struct kmap_iocall *c, int out, size_t n, unsigned int flags)
{
	struct kmap_rx_op op = {.pipe = out, .pipe_flags = flags};
	struct kmap_ent *e = c->ent;
	bool nb = a_load(&e->ep->nonblock);
	size_t done = 0;
	ssize_t r;

	if (n == 0)
		return 0;
	for (;;) {
		r = pipe_room(out, flags);
		if (r != 0)
			return r;
		op.it.left = n;
		r = rx_loop(c, &op, nb, nb ? 0 : deadline_of(e->ep->rcvtimeo),
			&done);
		if (r == -ERESTART && done == 0)
			return kmap_ret(kmap_real.splice(
				c->fd, NULL, out, NULL, n, flags));
		if (r != -ENOSPC || done > 0)
			return r < 0 && done == 0 ? r : (ssize_t)done;
	}
}

/* splice(2) from a pipe to an endpoint: read it, then send it. What does not
 * fit is not taken from the pipe. */
ssize_t
kmap_splice_out(struct kmap_iocall *c, int in, size_t n, unsigned int flags)
{
	struct kmap_tx_op op = {.file = in};
	struct kmap_ent *e = c->ent;
	struct pollfd p = {.fd = in, .events = POLLIN};
	bool nb = nonblocking(e, c->fd) || (flags & SPLICE_F_NONBLOCK);
	size_t done = 0;
	ssize_t r;
	int held = 0;

	if (n == 0)
		return 0;
	/* An empty pipe blocks or not by its own flag and the call's. */
	if (kmap_sys_ioctl(in, FIONREAD, &held) != 0)
		return -EINVAL;
	while (held == 0) {
		int fl = kmap_sys_fcntl(in, F_GETFL, 0);
		int ev = kmap_sys_poll1(in, POLLIN);

		if (ev & POLLIN)
			break;
		if (ev & POLLHUP)
			return 0;
		if ((flags & SPLICE_F_NONBLOCK) || (fl & O_NONBLOCK))
			return -EAGAIN;
		if (kmap_real.poll(&p, 1, -1) < 0)
			return -errno;
		if (kmap_sys_ioctl(in, FIONREAD, &held) != 0)
			return -EINVAL;
	}
	op.file_left = kmap_umin(n, (size_t)(held > 0 ? held : 1));
	op.flags = KMAP_TX_PIPE;
	r = tx_loop(c, &op, nb, nb ? 0 : deadline_of(e->ep->sndtimeo), &done);
	return r < 0 && done == 0 ? r : (ssize_t)done;
}
