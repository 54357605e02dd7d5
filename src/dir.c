/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "dir.h"

#include "fdtab.h"
#include "link.h"
#include "stats.h"
#include "sys.h"
#include "testpoint.h"
#include "wake.h"

#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <string.h>

/* Of linux/tcp.h's tcp_info, up to and with what a switch needs. */
#define INFO_ENOUGH                                                            \
	(offsetof(struct tcp_info, tcpi_bytes_retrans) + sizeof(uint64_t))
#define TCP_STATE_ESTABLISHED 1

static int
tcp_info(int fd, struct tcp_info *ti)
{
	socklen_t len = sizeof(*ti);
	int r;

	memset(ti, 0, sizeof(*ti));
	r = kmap_sys_getsockopt(fd, IPPROTO_TCP, TCP_INFO, ti, &len);
	if (r != 0)
		return r;
	return len < INFO_ENOUGH ? -ENOSYS : 0;
}

/* Publishing a record is publishing bytes: whoever waits for data is told.
 * True: the receiver has frozen its head. */
static bool
ring_on_record(struct kmap_ep *ep)
{
	return (kmap_wake_kick(
			ep->link, &ep->tx.ring.shm->data_waiters, ep->slot) &
		       KMAP_BOUNCE) != 0;
}

/* What kmap-stat(1) is shown of each direction. */
static void
show_tx(struct kmap_ep *ep)
{
	struct kmap_ent *e = atomic_load(&ep->link->ents[ep->slot]);

	if (e != NULL)
		e->pub->tx_records = ep->tx.nrec;
}

static void
show_rx(struct kmap_ep *ep)
{
	struct kmap_ent *e = atomic_load(&ep->link->ents[ep->slot]);

	if (e != NULL)
		e->pub->rx_records = ep->rx.passed;
}

bool
kmap_dir_may_up(struct kmap_ep *ep)
{
	struct kmap_dir_shm *d = ep->tx.ring.shm;

	return !ep->tx.fin && a_load_acq(&d->consent) != 0 &&
		!(a_load(&d->rflags) & KMAP_FROZEN) &&
		ep->tx.bounce_from == ep->tx.bounce_to &&
		/* M11, the second rule: every earlier record was passed. */
		a_load_acq(&d->passed) == ep->tx.nrec &&
		kmap_gate_consent(&ep->tx.gate) &&
		kmap_link_can_ring(ep->link) == 0;
}

/* A corked tail would wait 200 ms in the kernel while the ring goes ahead. */
static void
push_tail(int fd)
{
	int was = 0, on = 1;
	socklen_t len = sizeof(was);

	kmap_sys_getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &was, &len);
	kmap_sys_setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (!was)
		kmap_sys_setsockopt(
			fd, IPPROTO_TCP, TCP_NODELAY, &was, sizeof(was));
}

int
kmap_dir_up(struct kmap_ep *ep, int fd)
{
	struct kmap_dir_shm *d = ep->tx.ring.shm;
	struct tcp_info ti;
	int r;

	if (!kmap_dir_may_up(ep) || KMAP_TESTPOINT("up", fd))
		return -EAGAIN;
	r = tcp_info(fd, &ti);
	if (r == 0 && (ti.tcpi_options & TCPI_OPT_SYN_DATA))
		r = -EOPNOTSUPP;
	if (r == 0 && ti.tcpi_state != TCP_STATE_ESTABLISHED)
		r = -EPIPE;
	if (r != 0) {
		ep->tx.fin = true;
		return r;
	}
	if (ti.tcpi_notsent_bytes > 0)
		push_tail(fd);
	a_store(&d->rec_tcp,
		ti.tcpi_bytes_sent - ti.tcpi_bytes_retrans +
			ti.tcpi_notsent_bytes);
	ep->tx.nrec++;
	/* M5: release, after the record's offset. */
	a_store_rel(&d->nrec, ep->tx.nrec);
	if (!ep->was_up[1])
		ep->was_up[1] = true;
	kmap_stats_count(KMAP_STAT_directions_up);
	show_tx(ep);
	KMAP_TESTPOINT("up-record", fd);
	if (ring_on_record(ep)) {
		kmap_dir_bounce(ep);
		return -EAGAIN;
	}
	return 0;
}

/* The bytes from the frozen head on are owed by TCP, before any other. */
static uint64_t
owe(struct kmap_ep *ep)
{
	uint64_t from = a_load_acq(&ep->tx.ring.shm->freeze_at);

	ep->tx.fin = true;
	/* Hostile: no more than what is in the ring. */
	if (ep->tx.ring.tail - from > ep->tx.ring.size)
		from = ep->tx.ring.tail;
	ep->tx.bounce_from = from;
	ep->tx.bounce_to = ep->tx.ring.tail;
	kmap_stats_count(KMAP_STAT_bounces);
	return from;
}

static bool
down_at(struct kmap_ep *ep, uint64_t at)
{
	struct kmap_dir_shm *d = ep->tx.ring.shm;

	a_store(&d->rec_ring, at);
	ep->tx.nrec++;
	a_store_rel(&d->nrec, ep->tx.nrec);
	kmap_stats_count(KMAP_STAT_directions_down);
	show_tx(ep);
	KMAP_TESTPOINT("down-record", -1);
	return ring_on_record(ep);
}

void
kmap_dir_down(struct kmap_ep *ep)
{
	/* A freeze that the record met: no byte went by TCP since. */
	if (kmap_tx_on_ring(ep) && down_at(ep, ep->tx.ring.tail))
		owe(ep);
}

void
kmap_dir_bounce(struct kmap_ep *ep)
{
	ep->tx.fin = true;
	if (kmap_tx_on_ring(ep))
		down_at(ep, owe(ep));
}

int
kmap_dir_repay(struct kmap_ep *ep, int fd)
{
	struct kmap_ring_tx *r = &ep->tx.ring;

	while (ep->tx.bounce_from != ep->tx.bounce_to) {
		uint64_t pos = ep->tx.bounce_from & (r->size - 1);
		struct iovec v = {
			.iov_base = r->data + pos,
			.iov_len =
				kmap_umin(ep->tx.bounce_to - ep->tx.bounce_from,
					r->size - pos),
		};
		struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
		ssize_t n =
			kmap_sys_sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n == -EAGAIN || n == -EINTR)
			return -EAGAIN;
		if (n <= 0) {
			/* The carrier is dead: the next send says so. */
			ep->tx.bounce_from = ep->tx.bounce_to;
			return 0;
		}
		ep->tx.bounce_from += (uint64_t)n;
		/* Until this bit stands an end of the stream is not clean. */
		if (ep->tx.bounce_from == ep->tx.bounce_to)
			a_or(&r->shm->sflags, KMAP_REPAID);
	}
	return 0;
}

int
kmap_dir_count(struct kmap_ep *ep, int fd)
{
	struct tcp_info a, b;
	int inq = 0, r;

	if (ep->rx.frozen || a_load(&ep->peek_off) != 0 ||
		!kmap_gate_consent(&ep->rx.gate) ||
		KMAP_TESTPOINT("consent", fd))
		return -EAGAIN;
	/* bytes_received counts a FIN as one byte: refuse after a FIN. */
	do {
		r = tcp_info(fd, &a);
		if (r == 0)
			r = kmap_sys_ioctl(fd, SIOCINQ, &inq);
		if (r == 0)
			r = tcp_info(fd, &b);
		if (r == 0 && b.tcpi_state != TCP_STATE_ESTABLISHED)
			r = -EPIPE;
		if (r != 0)
			return r;
	} while (a.tcpi_bytes_received != b.tcpi_bytes_received);
	ep->rx.tcp = a.tcpi_bytes_received - (uint64_t)inq;
	return 0;
}

int
kmap_dir_consent(struct kmap_ep *ep, int fd)
{
	struct kmap_dir_shm *d = ep->rx.ring.shm;
	int r;

	if (a_load(&ep->rx.consented))
		return 0;
	r = kmap_dir_count(ep, fd);
	if (r != 0)
		return r;
	a_store(&ep->rx.consented, 1u);
	/* M6: release, after the gate was found quiet. */
	a_store_rel(&d->consent, 1u);
	/* A long send may pace itself until now. */
	kmap_wake_kick(ep->link, &d->space_waiters, ep->slot);
	return 0;
}

int
kmap_dir_pass(struct kmap_ep *ep)
{
	struct kmap_dir_shm *d = ep->rx.ring.shm;
	uint32_t k = a_load_acq(&d->nrec);
	uint32_t due = k - ep->rx.passed;
	uint64_t at;

	if (kmap_likely(due == 0))
		return 0;
	if (due > 2 || !a_load(&ep->rx.consented))
		return -EPROTO;
	if (!kmap_rx_on_ring(ep)) {
		at = a_load(&d->rec_tcp);
		if (at == ep->rx.tcp) {
			ep->rx.passed++;
			ep->was_up[0] = true;
			a_store_rel(&d->passed, ep->rx.passed);
			show_rx(ep);
			return 1;
		}
		return at < ep->rx.tcp ? -EPROTO : 0;
	}
	/* due == 2 cannot be here: after the pending down no up may come. */
	if (due != 1)
		return -EPROTO;
	at = a_load(&d->rec_ring);
	if (at != ep->rx.ring.head) {
		/* The bytes before it were published first: M5. Whoever
		 * waited for others would wait for ever. */
		uint64_t n = a_load(&d->tail) - ep->rx.ring.head;

		return at - ep->rx.ring.head > n || n > ep->rx.ring.size
			? -EPROTO
			: 0;
	}
	ep->rx.passed++;
	a_store_rel(&d->passed, ep->rx.passed);
	show_rx(ep);
	/* The sender may rise again, and may pace itself until now. */
	kmap_wake_kick(ep->link, &d->space_waiters, ep->slot);
	return 1;
}

int64_t
kmap_dir_tcp_cap(struct kmap_ep *ep, int fd, bool *pending)
{
	struct kmap_dir_shm *d = ep->rx.ring.shm;
	int n = 0, r;

	*pending = false;
	r = kmap_sys_ioctl(fd, SIOCINQ, &n);
	if (r != 0)
		return r;
	/* M7: the look at the records comes after SIOCINQ. */
	if (a_load_acq(&d->nrec) != ep->rx.passed) {
		uint64_t left = a_load(&d->rec_tcp) - ep->rx.tcp;

		*pending = true;
		return (int64_t)kmap_umin(left, (uint64_t)n);
	}
	return n;
}

/*
 * The sender went down before it could see the request: bytes behind those
 * in the ring may be in TCP already, and no resending restores their order.
 * True: the request was taken back in time.
 */
static bool
freeze_refused(struct kmap_ep *ep)
{
	struct kmap_dir_shm *d = ep->rx.ring.shm;
	uint32_t k;
	uint64_t m;

	/* M3: between the request and the look; partner: kick. */
	a_fence();
	k = a_load_acq(&d->nrec);
	/* Also with the up record before it not yet passed. */
	if (k == ep->rx.passed || (k & 1) ||
		a_load(&d->rec_ring) == ep->rx.ring.head)
		return false;
	m = a_xchg(&d->data_waiters, UINT64_C(0));
	/* Our own waiters lost their place in the mask: they look again. */
	if (m & ~KMAP_BOUNCE)
		kmap_link_bell_own(ep->link);
	return (m & KMAP_BOUNCE) != 0;
}

int
kmap_dir_freeze(struct kmap_ep *ep)
{
	struct kmap_dir_shm *d = ep->rx.ring.shm;

	if (ep->rx.frozen)
		return 0;
	a_store(&d->freeze_at, ep->rx.ring.head);
	a_store(&d->consent, 0u);
	/* M9: release, after the frozen head; then the bit in the mask that
	 * the sender exchanges after every publish. */
	a_or(&d->rflags, KMAP_FROZEN);
	KMAP_TESTPOINT("freeze", -1);
	a_or(&d->data_waiters, KMAP_BOUNCE);
	if (freeze_refused(ep)) {
		a_and(&d->rflags, ~KMAP_FROZEN);
		return -EBUSY;
	}
	ep->rx.frozen = true;
	/* A sender that sleeps in the library repays at once, whatever it
	 * waits for. M3: after the fence of freeze_refused; partner: the last
	 * look of who sleeps. */
	kmap_wake_peer(ep->link,
		a_load(&d->space_waiters) |
			a_load(&ep->tx.ring.shm->data_waiters),
		ep->slot);
	KMAP_TESTPOINT("bounce-request", -1);
	return 0;
}
