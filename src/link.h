/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What two processes that share connections keep: a segment with the control
 * page, the slots and the rings, each other's placeholders, and a socket
 * that passes fds and whose end tells that the other family died.
 *
 * Links are private to a process; a child inherits those of its parent with
 * the endpoints on them, and never reads their sockets.
 */
#ifndef KMAP_LINK_H
#define KMAP_LINK_H

#include "layout.h"
#include "lock.h"

struct kmap_ent;
struct kmap_place;

/* Destinations of a connector that one process answers. */
#define KMAP_DESTS 8

struct kmap_link {
	int side; /* KMAP_CONNECTOR or KMAP_ACCEPTOR */
	int sock;
	struct kmap_ctl_shm *ctl;
	struct kmap_slot_shm *slots;
	uint8_t *rings;
	uint64_t size;
	uint32_t nslots;
	uint64_t ring_size;
	uint64_t inode; /* of the segment */
	int my_common; /* what this side's sleepers watch */
	int own_bell; /* eventfd behind my_common */
	int peer_fd[KMAP_PLACES]; /* the peer's placeholders, -1: none */
	kmap_a32 messages_read;
	uint32_t peer_uid;
	kmap_a32 mute; /* the peer's placeholder was lost */
	/*
	 * Another uid than ours: no placeholder is passed either way, and a
	 * doorbell is a byte on the link socket (PROTOCOL, "Strangers").
	 */
	bool stranger;
	bool distrusted; /* it announced what is not its own */
	/* Connector: the listening socket that the peer was seen to accept
	 * from, 0: none. */
	uint32_t listener;
	bool translated; /* connector: as the connection was that
					 * made the link */
	uint64_t id; /* the acceptor's number for it */
	uint64_t peer_proc; /* acceptor: who is at the other end */
	struct kmap_addr dests[KMAP_DESTS]; /* connector: where it leads */
	kmap_a32 ndests;
	kmap_a32 refs; /* endpoints of this process on it */
	bool inherited; /* by fork: scan, do not read */
	bool forked; /* others of the family may use it */
	/* Forked before the peer's welcome came: both processes look at it
	 * without taking it (MSG_PEEK duplicates its fd). */
	bool forked_early;
	kmap_a32 wait_seen; /* an endpoint's waiting was seen */
	kmap_a32 missed; /* connector: pair.c, missed_before */
	_Atomic int patient; /* stream.c, "spill": what was learned */
	/* connector: which slots are free, and their generations */
	struct kmap_lock lock;
	uint32_t *gen;
	uint32_t *free;
	uint32_t nfree;
	/* By slot: the generation that a process forked from us, which cannot
	 * reach the list, let go of last. The family's memory. */
	kmap_a32 *back;
	uint32_t log_seen; /* acceptor: announcements read */
	/* by slot: this process's entry, NULL when it has none */
	struct kmap_ent *_Atomic *ents;
	size_t priv_size;
	_Atomic(struct kmap_link *) next;
	struct kmap_link *next_grave;
	uint64_t buried_at;
	kmap_a64 told; /* own placeholders sent */
};

extern _Atomic(struct kmap_link *) kmap_links;
extern struct kmap_lock kmap_links_lock;

/* The process's common placeholder, made at the first pairing; -errno. */
int kmap_common_fd(void);

/*
 * What a place watches that waits for any link of this process: the common
 * placeholder, or the hub, which has that one in it.
 */
int kmap_sleep_fd(void);

/* Acceptor: a new segment with slot 0 taken. *memfd is the caller's to send
 * and to close. */
struct kmap_link *
kmap_link_create(int *memfd, uint32_t nslots, uint64_t ring_size, int *err);
/* Connector: maps a segment that a peer sent; everything is checked. memfd
 * stays the caller's. */
struct kmap_link *
kmap_link_attach(int memfd, const struct kmap_msg *hello, int *err);
/* The peer is of another uid: before l->sock says anything about bells, and
 * before the link is visible. 0 or -errno. */
int kmap_link_estrange(struct kmap_link *l);
/* Makes a finished link visible. */
void kmap_link_publish(struct kmap_link *l);
void kmap_link_free(struct kmap_link *l);
/* Frees links that nobody uses and whose peer is gone. */
void kmap_link_reap(void);
bool kmap_link_dead(struct kmap_link *l);
/* Connector: whether l leads to an address; notes that it does. */
bool kmap_link_leads(const struct kmap_link *l, const struct kmap_addr *to);
void kmap_link_lead(struct kmap_link *l, const struct kmap_addr *to);
/*
 * A number for the process at the other end of a rendezvous socket, the same
 * in each call as long as that process lives; 0: it cannot be told, as from
 * another pid namespace by kernels before 6.9.
 */
uint64_t kmap_peer_proc(int sock);
/* Before a fork, kmap_links_lock held. */
void kmap_links_fork(void);
/* In the child of a fork: links without endpoints go, the others are the
 * parent's to read. */
void kmap_links_forked(void);
/* Takes the messages that pend on the link socket. */
void kmap_link_receive(struct kmap_link *l);

/* A free slot (connector), or -1. */
int kmap_link_slot_get(struct kmap_link *l);
void kmap_link_slot_put(struct kmap_link *l, uint32_t slot);

uint8_t *
kmap_link_ring(const struct kmap_link *l, uint32_t slot, unsigned int dir);

/*
 * The place to arm for a waiting place with the number `id` and the eventfd
 * `bell`: `id` once the peer acknowledged it, KMAP_PLACE_COMMON until then
 * (and for id < 0). Tells the peer when it is first asked.
 */
unsigned int kmap_link_place(struct kmap_link *l, int id, int bell);
/* Takes the peer's messages if there are any: one load when there are none. */
void kmap_link_poll(struct kmap_link *l);

/* 0: the peer can be rung; -EAGAIN: its placeholder has not come yet; else it
 * never will, and nothing may move to a ring. */
int kmap_link_can_ring(struct kmap_link *l);
/* Wakes this side's own sleepers on the link: they look again. */
void kmap_link_bell_own(const struct kmap_link *l);
/* Whether fd may be written to as the placeholder of a peer of our uid. */
bool kmap_link_bell_good(const struct kmap_link *l, int fd);
/* Wakes the peer's place; never blocks, whatever the peer does. */
void kmap_link_bell(struct kmap_link *l, unsigned int place);

/* Sends or takes one message with fds on a rendezvous or link socket. */
int kmap_msg_send(int sock, const struct kmap_msg *m, const int *fds, int nfds);
/* Fds come raised and CLOEXEC. Returns how many fds, or -errno; -EPIPE when
 * the other end closed. */
int kmap_msg_recv(int sock, struct kmap_msg *m, int *fds, int nfds, int flags);

#endif
