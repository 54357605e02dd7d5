/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every structure that lies in memory shared with the peer. It is a wire
 * format: the same on x86-64 and arm64, with glibc and musl, and versioned
 * (doc/PROTOCOL.md). All of it is hostile input: a word is read once, checked,
 * then used. Each field names its writer; the other side only reads it,
 * except where both are named.
 *
 * A link is directed: side 0 made the connections (connector), side 1
 * accepted them (acceptor). Direction 0 of a connection carries the bytes
 * from the connector to the acceptor. So the sender of direction d is side d.
 */
#ifndef KMAP_LAYOUT_H
#define KMAP_LAYOUT_H

#include "atom.h"
#include "base.h"

#define KMAP_MAGIC 0x70616d6bu /* "kmap" */
#define KMAP_WIRE_VERSION 1u

#define KMAP_CONNECTOR 0
#define KMAP_ACCEPTOR 1

#define KMAP_PLACES 64
/* The placeholder that the peer knows from the pairing on. */
#define KMAP_PLACE_COMMON 62
/* Not a place: the receiver froze its head and asks for a bounce. */
#define KMAP_BOUNCE_BIT 63
#define KMAP_BOUNCE (UINT64_C(1) << KMAP_BOUNCE_BIT)

/* Connections of one link: a bit each in a place's bitmap of 64 × 64. */
#define KMAP_SLOTS_MAX 4096u
#define KMAP_RING_MIN 4096u
#define KMAP_RING_MAX (64u << 20)

/* A socket address in canonical form: IPv4 as v4-mapped IPv6. */
struct kmap_addr {
	uint8_t ip[16];
	uint16_t port; /* network order */
	uint16_t spare;
};

/* A connection's name: the connector's address and the destination as the
 * connector sees it (SO_ORIGINAL_DST behind a REDIRECT). */
struct kmap_tuple {
	struct kmap_addr from;
	struct kmap_addr to;
};

/* What the peer does to wake one waiting place of a side. */
struct kmap_place_shm {
	_Alignas(KMAP_CACHELINE)
		kmap_a32 asleep; /* owner: 1; peer exchanges it for 0 */
	uint32_t spare0;
	kmap_a64 rung_at; /* peer: CLOCK_MONOTONIC of the last doorbell */
	_Alignas(KMAP_CACHELINE)
		kmap_a64 level1; /* peer sets, owner clears: words of level2 */
	_Alignas(KMAP_CACHELINE)
		kmap_a64 level2[64]; /* peer sets, owner clears: slots */
};

struct kmap_side_shm {
	_Alignas(KMAP_CACHELINE)
		kmap_a64 acked; /* peer: the places of this side it can ring */
	_Alignas(KMAP_CACHELINE)
		kmap_a32 messages; /* owner: messages sent by the link socket */
	uint32_t spare[15];
	/* Owner: reads from its rings. A sender whose ring is full sees that
	 * the receiver is busy, not stuck. It changes all the time: nothing
	 * that the peer looks at often lies beside it. */
	_Alignas(KMAP_CACHELINE) kmap_a32 beat;
	uint32_t spare1[15];
	struct kmap_place_shm place[KMAP_PLACES];
};

/* Flags that one end publishes in its own line of a direction. They are
 * hints: whoever sees one asks the carrier, which alone tells the truth. */
#define KMAP_BYE                                                               \
	1u /* this end closes; sflags: sends by
					 * TCP alone from the next record on */
#define KMAP_FROZEN 2u /* receiver: head stands at freeze_at */
#define KMAP_REPAID 4u /* sender: a bounce's bytes went by TCP */

/* One direction of one connection. */
struct kmap_dir_shm {
	/* The sender's line. */
	_Alignas(KMAP_CACHELINE) kmap_a64 tail; /* ring bytes ever written */
	kmap_a64 rec_tcp; /* last up record: TCP bytes before it */
	kmap_a64 rec_ring; /* last down record: ring bytes before it */
	kmap_a32 nrec; /* records ever published; odd: up */
	kmap_a32 sflags;
	uint64_t spare0[3];
	/* The receiver's line. */
	_Alignas(KMAP_CACHELINE) kmap_a64 head; /* ring bytes ever read */
	kmap_a64 freeze_at; /* with KMAP_FROZEN */
	kmap_a32 passed; /* records ever passed */
	kmap_a32 consent;
	/* Reads by TCP while a record pends: a sender whose ring is full
	 * sees that the receiver is on its way. */
	kmap_a32 progress;
	uint32_t spare1;
	uint64_t spare2[4];
	/* What changes rarely while both are busy, and is looked at by each
	 * send and receive. Who waits: set by the waiting end, exchanged for
	 * 0 by the other. */
	_Alignas(KMAP_CACHELINE) kmap_a64
		data_waiters; /* places of the receiver, KMAP_BOUNCE */
	kmap_a64 space_waiters; /* places of the sender */
	kmap_a32 rflags; /* the receiver's */
	uint32_t spare3;
	uint64_t spare4[5];
};

/* claim: generation << 2 | one of these. The connector announces and may
 * withdraw, the acceptor claims: one compare-and-swap decides. */
#define KMAP_CLAIM_FREE 0u
#define KMAP_CLAIM_ANNOUNCED 1u
#define KMAP_CLAIM_CLAIMED 2u
#define KMAP_CLAIM_WITHDRAWN 3u

struct kmap_slot_shm {
	_Alignas(KMAP_CACHELINE) kmap_a32 claim;
	kmap_a32 released[2]; /* each side: the generation it is done with */
	uint32_t spare;
	struct kmap_tuple tuple; /* connector, before it announces */
	uint32_t spare1[2];
	struct kmap_dir_shm dir[2];
};

#define KMAP_LOG_SIZE 4096u

/* The head of a segment: its control page(s). The slots and the rings lie
 * behind it; their places follow from nslots and ring_size alone. */
struct kmap_ctl_shm {
	uint32_t magic; /* the creator, before it sends the segment */
	uint32_t version;
	uint32_t features;
	uint32_t nslots;
	uint64_t ring_size;
	uint64_t spare[12];
	struct kmap_side_shm side[2];
	_Alignas(KMAP_CACHELINE)
		kmap_a32 log_tail; /* connector: announcements ever made */
	_Alignas(KMAP_CACHELINE)
		kmap_a32 log[KMAP_LOG_SIZE]; /* connector: slot numbers */
};

_Static_assert(sizeof(struct kmap_addr) == 20, "wire");
_Static_assert(sizeof(struct kmap_tuple) == 40, "wire");
_Static_assert(sizeof(struct kmap_place_shm) == 640, "wire");
_Static_assert(sizeof(struct kmap_side_shm) == 41152, "wire");
_Static_assert(sizeof(struct kmap_dir_shm) == 192, "wire");
_Static_assert(offsetof(struct kmap_dir_shm, head) == 64, "wire");
_Static_assert(offsetof(struct kmap_dir_shm, data_waiters) == 128, "wire");
_Static_assert(sizeof(struct kmap_slot_shm) == 448, "wire");
_Static_assert(offsetof(struct kmap_slot_shm, dir) == 64, "wire");

#define KMAP_PAGE 4096u
#define KMAP_ROUND(n, to) (((n) + (to)-1) / (to) * (to))

static inline uint64_t
kmap_seg_slots_at(void)
{
	return KMAP_ROUND(sizeof(struct kmap_ctl_shm), KMAP_PAGE);
}

static inline uint64_t
kmap_seg_rings_at(uint32_t nslots)
{
	return kmap_seg_slots_at() +
		KMAP_ROUND((uint64_t)nslots * sizeof(struct kmap_slot_shm),
			KMAP_PAGE);
}

static inline uint64_t
kmap_seg_size(uint32_t nslots, uint64_t ring_size)
{
	return kmap_seg_rings_at(nslots) + (uint64_t)nslots * 2 * ring_size;
}

/* Messages of the rendezvous and of the link socket (SOCK_SEQPACKET). */
#define KMAP_MSG_HELLO 1u /* acceptor: fds segment, placeholder */
#define KMAP_MSG_WELCOME 2u /* connector: fd placeholder */
#define KMAP_MSG_PLACE 3u /* either: fd of placeholder `arg` */
#define KMAP_MSG_JOIN 4u /* acceptor: announce it on `link` */

struct kmap_msg {
	uint32_t magic;
	uint32_t version;
	uint32_t features;
	uint32_t kind;
	uint32_t size; /* of this message */
	uint32_t arg;
	uint32_t nslots;
	uint32_t slot;
	uint64_t ring_size;
	struct kmap_tuple tuple;
	uint64_t link; /* acceptor: its number for the link */
	uint64_t spare[5];
};
_Static_assert(sizeof(struct kmap_msg) == 128, "wire");

#endif
