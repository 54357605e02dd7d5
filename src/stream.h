/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One attempt to move bytes of an endpoint whose gate is closed, by TCP or by
 * the ring, whichever is due. Nothing here sleeps; emu does the waiting.
 * Errors and results are those of recv(2) and send(2) on Linux TCP.
 */
#ifndef KMAP_STREAM_H
#define KMAP_STREAM_H

#include "fdtab.h"

#include <sys/socket.h>

/* What an attempt to receive is to do with the bytes. */
struct kmap_rx_op {
	struct kmap_iter it;
	int flags; /* MSG_PEEK, MSG_TRUNC, MSG_DONTWAIT … */
	/* In: look at the carrier even though the ring is the path. Out: the
	 * look found nothing, so the next may be spared until an edge. */
	bool look;
	bool looked_clean;
	/* Out, of a peek: how far the ring and the records were seen. */
	uint64_t seen_tail;
	uint32_t seen_nrec;
	/* Bytes go to this pipe instead (splice); -1: no. */
	int pipe;
	unsigned int pipe_flags;
};

/*
 * Bytes received (0: end of stream), or -errno; -EAGAIN when there is nothing
 * now. Takes rx.lock.
 */
ssize_t kmap_rx_try(struct kmap_ent *e, int fd, struct kmap_rx_op *op);

/* In kmap_tx_op's flags: the file is a pipe (splice). No MSG_ bit has it. */
#define KMAP_TX_PIPE 0x40000000

struct kmap_tx_op {
	struct kmap_iter it;
	int flags;
	/* Bytes come from this file instead (sendfile); -1: no. */
	int file;
	int64_t *off; /* NULL: the file's own position */
	size_t file_left;
	size_t piece; /* what goes by TCP at once, at most; 0: much */
};

/*
 * Goes up without a send, if the direction may: whoever has said its last
 * word before the other end consented may have more to say later. Called
 * where kmap_tx_rises; only tries tx.lock.
 */
void kmap_tx_rise(struct kmap_ent *e, int fd);

static inline bool
kmap_tx_rises(const struct kmap_ep *ep)
{
	const struct kmap_dir_shm *d = ep->tx.ring.shm;

	return kmap_unlikely(!kmap_tx_on_ring(ep)) && d != NULL &&
		!ep->tx.fin && a_load(&d->consent) != 0;
}

/*
 * Bytes accepted (more than 0), or -errno; -EAGAIN when nothing fits now.
 * Takes tx.lock.
 */
ssize_t kmap_tx_try(struct kmap_ent *e, int fd, struct kmap_tx_op *op);

/*
 * Readiness of a gated endpoint as poll(2) names it, for the bits in `want`
 * plus POLLERR, POLLHUP and POLLRDHUP. *look as in kmap_rx_op: in, whether
 * the carrier is to be asked; out, whether it has to be asked again.
 */
int kmap_ready(struct kmap_ent *e, int fd, int want, bool *look);

/* Whether the ring's way shows anything new: what a poller and a waiter
 * that armed look at. No system call, no lock. */
bool kmap_rx_changed(const struct kmap_ent *e);
/* The same behind what a peek saw. */
bool kmap_rx_more(const struct kmap_ent *e, const struct kmap_rx_op *seen);
bool kmap_tx_has_room(const struct kmap_ep *ep);
/*
 * A direction that will go up as soon as the receiver makes its next call
 * (consent, or passing a record) takes 32 KiB at once by TCP, then little in
 * each millisecond, and more and more: megabytes put into the kernel meanwhile
 * would never see the ring.
 * True: the share is used up. The receiver's step rings space_waiters.
 */
bool kmap_tx_paced(const struct kmap_ep *ep);
/* A paced direction may go up now. */
bool kmap_tx_freed(const struct kmap_ep *ep);
#define KMAP_PACE_NS 1000000u

/*
 * A wait to send found the ring full for kmap_tx_spill_look nanoseconds. If the
 * receiver has made no progress for long (stream.c, "spill"), goes back to
 * TCP. True: the direction is on TCP now.
 */
uint64_t kmap_tx_spill_look(const struct kmap_ep *ep);
bool kmap_tx_spill(struct kmap_ent *e);
/* Bytes to read and bytes not yet read by the peer, as SIOCINQ and SIOCOUTQ
 * count them: the kernel's number corrected by the ring. */
int kmap_rx_queued(struct kmap_ent *e, int kernel);
int kmap_tx_queued(struct kmap_ent *e, int kernel);
/* What TCP_INQ tells behind a read: bytes left, or 1 if only the end is. */
int kmap_rx_hint(struct kmap_ent *e, int fd);
/* TCP_INFO: adds the ring's bytes to the fields within len. */
void kmap_tcp_info(struct kmap_ent *e, void *info, socklen_t len);
/* If the peer asks for its unread bytes by TCP, it gets them. True: not yet all
 * of them; whoever sleeps asks again after KMAP_REPAY_NS. */
#define KMAP_REPAY_NS 5000000u
bool kmap_tx_answer(struct kmap_ent *e);
/* shutdown(SHUT_WR): the FIN follows by TCP. */
void kmap_tx_finish(struct kmap_ent *e);
/* The endpoint's last number is about to be closed: what a bounce asks for
 * goes by TCP now or never. */
void kmap_tx_last(struct kmap_ent *e, int fd);
/* After a bounce the kernel says that the stream ends: true, if it ends
 * without the bytes that were asked back. */
bool kmap_rx_lost(struct kmap_ent *e);
/* Sending leaves its ring for good. */
void kmap_tx_go_down(struct kmap_ent *e, int fd, enum kmap_why why);
/* Leaves the rings for good: tx goes down, rx asks for a bounce. */
void kmap_go_down(struct kmap_ent *e, int fd, enum kmap_why why);

#endif
