/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The endpoint: one side of a connection, what dup and fork share. Its side
 * state lies in memory of the fork family from birth; the peer cannot touch
 * it. A process that holds fds of it has one entry (struct kmap_ent).
 */
#ifndef KMAP_EP_H
#define KMAP_EP_H

#include "gate.h"
#include "layout.h"
#include "lock.h"
#include "ring.h"

#include <errno.h>
#include <sys/types.h>

struct kmap_link;
struct kmap_ent;

/* The options of tcp(7)'s keep-alive: see keep.h. */
enum {
	KMAP_KEEP_ON,
	KMAP_KEEP_IDLE,
	KMAP_KEEP_INTVL,
	KMAP_KEEP_CNT,
	KMAP_KEEPS
};

enum kmap_stage {
	KMAP_NEW, /* not yet connected */
	KMAP_PLAIN, /* on TCP; may be offered when it has earned it */
	KMAP_OFFERED, /* connector: a name is bound or announced */
	KMAP_PAIRED, /* has a slot of a link */
	KMAP_BARRED, /* stays on TCP for good; `why` says why */
};

/* Why an endpoint stays on TCP: the keys of not_upgraded in KMAP_STATS. */
enum kmap_why {
	KMAP_WHY_NONE,
	KMAP_WHY_NOT_EARNED, /* too few bytes and round trips */
	KMAP_WHY_NO_PEER, /* no library at the other end */
	KMAP_WHY_NEVER, /* KMAP_UPGRADE=never */
	KMAP_WHY_NO_CONSENT, /* a side waits where wrappers do not see it */
	KMAP_WHY_UID, /* the other end's owner may not pair */
	KMAP_WHY_NAME_TAKEN, /* somebody holds the rendezvous name */
	KMAP_WHY_SHARED, /* held by several processes */
	KMAP_WHY_STDIO,
	KMAP_WHY_PASSED, /* SCM_RIGHTS, exec */
	KMAP_WHY_URGENT, /* MSG_OOB, SIOCATMARK, EPOLLPRI */
	KMAP_WHY_ASYNC, /* O_ASYNC */
	KMAP_WHY_SECCOMP,
	KMAP_WHY_MLOCK,
	KMAP_WHY_LIMIT, /* fds, memory, file size */
	KMAP_WHY_KERNEL, /* TCP_INFO lacks what a switch needs */
	KMAP_WHY_CLOSED, /* ended before it could move */
	KMAP_WHY_PROTOCOL, /* the peer broke the protocol */
	KMAP_WHY_TABLE, /* KMAP_TABLE says so, or was refused */
	KMAP_WHY_UNKNOWN, /* KMAP_TABLE does not know the endpoint */
	KMAP_NWHY
};
extern const char *const kmap_why_names[KMAP_NWHY];

/*
 * Fields under rx_lock are the receiver's, those under tx_lock the sender's.
 * Where both locks are needed rx is taken first.
 */
struct kmap_ep {
	/* ---- receiving: under rx.lock ---- */
	struct {
		_Alignas(KMAP_CACHELINE) struct kmap_lock lock;
		struct kmap_gate gate;
		kmap_a32 consented; /* published to the peer */
		uint32_t passed; /* records; odd: on the ring */
		kmap_a32 reads; /* from the ring; tells the sender of ours */
		int32_t error; /* -errno to be told once */
		bool eof; /* the carrier said FIN */
		bool frozen; /* bounced: the kernel's again */
		bool shut; /* shutdown(SHUT_RD) of our own */
		bool soft_error; /* POLLERR does not mean the end */
		bool lowat_bent; /* the carrier's SO_RCVLOWAT is ours */
		uint64_t tcp; /* TCP bytes read, once consented */
		uint64_t looked_at; /* when the carrier was looked at */
		struct kmap_ring_rx ring;
	} rx;
	/* ---- sending: under tx.lock ---- */
	struct {
		_Alignas(KMAP_CACHELINE) struct kmap_lock lock;
		struct kmap_gate gate;
		uint32_t nrec; /* records; odd: on the ring */
		bool fin; /* went down for good */
		kmap_a32 nospace; /* a send met a full buffer */
		kmap_a32 space_edges; /* times space came back after that */
		uint64_t head_then; /* peer's head when it was asked for */
		uint32_t reads_then; /* rx.reads at the last send */
		uint32_t by_reads; /* sends since to which that was enough */
		uint64_t head_at; /* when the head was asked for */
		uint64_t looked_at; /* when the carrier was looked at */
		uint64_t bounce_from; /* ring bytes still owed by TCP: */
		uint64_t bounce_to; /*   [from, to) */
		uint64_t unlooked; /* bytes since the last look */
		uint64_t clean_tail; /* ring bytes before a look that
					 * found no FIN */
		uint64_t stuck_at; /* progress seen by the last spill check */
		uint64_t stuck_since;
		uint32_t stuck_beat;
		uint64_t spilled; /* TCP bytes since a spill, + 1 */
		uint64_t ahead; /* TCP bytes since ahead_since */
		kmap_a64 ahead_since; /* ns; see kmap_tx_paced */
		uint32_t pace_step;
		struct kmap_ring_tx ring;
	} tx;
	/* ---- the connection ---- */
	_Alignas(KMAP_CACHELINE) struct kmap_lock lock;
	kmap_a32 stage;
	kmap_a32 why;
	kmap_a32 role; /* KMAP_CONNECTOR or KMAP_ACCEPTOR */
	kmap_a32 nonblock; /* O_NONBLOCK of the description */
	kmap_a64 held; /* by which processes: kin.h */
	kmap_a32 gen; /* odd while in use */
	/* An errno that one call is told, as the kernel's sk_err: the peer
	 * died with bytes unread; recvmmsg met it behind a message. */
	kmap_a32 pending;
	kmap_a32 reset; /* ECONNRESET was told */
	kmap_a32 inq; /* TCP_INQ is set */
	kmap_a32 peek_off; /* SO_PEEK_OFF is set: no consent */
	uint32_t rcvlowat;
	uint32_t slot;
	uint32_t slot_gen;
	bool was_up[2]; /* rx, tx moved at least once */
	bool translated; /* or nobody can say that it is not */
	struct {
		kmap_a32 ours; /* probes are sent by our will */
		int idle; /* s; ours */
		kmap_a32 val[KMAP_KEEPS]; /* the program's */
	} keep;
	struct kmap_link *link;
	uint64_t link_id; /* tells whose pointer that is */
	struct kmap_slot_shm *shm;
	uint64_t rcvtimeo; /* ns, 0: none */
	uint64_t sndtimeo;
	struct kmap_tuple tuple;
	struct kmap_ep *next_free;
	int owner; /* pid whose chunk it lies in */
};

static inline bool
kmap_rx_on_ring(const struct kmap_ep *ep)
{
	return (ep->rx.passed & 1) != 0;
}

static inline bool
kmap_tx_on_ring(const struct kmap_ep *ep)
{
	return (ep->tx.nrec & 1) != 0;
}

/* Takes the pending error: -errno, 0 for none. */
static inline int
kmap_ep_error(struct kmap_ep *ep)
{
	return kmap_likely(a_load(&ep->pending) == 0)
		? 0
		: -(int)a_xchg(&ep->pending, 0u);
}

/*
 * What a call is about to tell of a connection that was reset: the kernel's
 * sk_err is told once, and so is the reset of which both the kernel and the
 * library knew. Whoever comes later finds the end of the stream.
 */
static inline ssize_t
kmap_ep_tell(struct kmap_ep *ep, ssize_t n)
{
	uint32_t same = ECONNRESET;

	if (kmap_likely(n != -ECONNRESET))
		return n;
	atomic_compare_exchange_strong(&ep->pending, &same, 0u);
	return a_xchg(&ep->reset, 1u) ? 0 : n;
}

/* It was not told after all: the next call does. */
static inline void
kmap_ep_untell(struct kmap_ep *ep, ssize_t n)
{
	a_store(&ep->reset, 0u);
	a_store(&ep->pending, (uint32_t)-n);
}

/* Shared with the fork family; zeroed, gen odd. NULL when memory is short. */
struct kmap_ep *kmap_ep_alloc(void);
/* The last holder let go. */
void kmap_ep_free(struct kmap_ep *ep);
/* Finds what dead processes of the family held. */
void kmap_ep_sweep(void);
/* In the child of a fork: the parent's free list is not ours. */
void kmap_ep_forget_pool(void);
/* Its endpoint stays on TCP for good from now on; only the first reason
 * counts. */
void kmap_ent_bar(struct kmap_ent *e, enum kmap_why why);

#endif
