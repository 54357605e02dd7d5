/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What this process knows of each fd number: the entry of the endpoint it
 * refers to, the epoll set it is, the sets it is registered in, and whether
 * it is one of our own, hidden ones. Look-ups take no lock; changes do.
 */
#ifndef KMAP_FDTAB_H
#define KMAP_FDTAB_H

#include "ep.h"
#include "stats.h"

struct kmap_set; /* an epoll set: emu/epoll.c */
struct kmap_item; /* one registration in it */

#define KMAP_OFFERS 4

/*
 * This process's entry of an endpoint. Entries are never unmapped: who holds
 * a stale pointer finds an entry, compares, and looks again.
 */
struct kmap_ent {
	struct kmap_ep *ep;
	kmap_a32 fds; /* fd numbers of this process */
	kmap_a32 sleepers; /* threads that sleep the ring's way */
	_Atomic int carrier; /* hidden dup for those after the last close */
	int fd; /* one of the fds */
	/* pairing: under ep->lock */
	struct kmap_link *link; /* where it is counted; ep->link may be
					 * another's once it is let go */
	uint32_t link_slot;
	bool closing; /* not paired any more */
	int rdv_fd; /* connector: the bound name, -1 */
	int rdv_conn; /* connector: accepted, its message pends */
	uint64_t rdv_at; /* when the name was bound */
	uint64_t rdv_looked; /* and looked at, if that is long ago */
	struct kmap_offer {
		struct kmap_link *link;
		uint32_t slot;
		uint32_t gen;
	} offers[KMAP_OFFERS];
	unsigned int noffers;
	bool preconsent; /* the offers carry consent to receive */
	bool asked_join; /* acceptor: told of a link that both have */
	uint64_t join; /* connector: was told of that link */
	uint32_t rdv_uid; /* connector: of whom rdv_conn is */
	kmap_a32 ticks; /* calls on the kernel path */
	uint32_t next_try;
	uint64_t moment; /* when it began; see emu/io.c */
	bool moment_over;
	uint32_t tries; /* acceptor: look-ups of the name */
	uint64_t tried_at; /* bytes moved at the last of them */
	kmap_a32 wait_seen; /* its way of waiting went through wrappers */
	bool in_use;
	bool let_go; /* held no more: the end */
	uint32_t let_gen; /* and which life of the endpoint that was */
	bool let_up; /* and whether it was on its rings */
	/* What follows outlives the entry's uses. */
	struct kmap_ent *next_free;
	struct kmap_pub_conn *pub; /* what is counted of it: published … */
	struct kmap_pub_conn own; /* … or, where there is no room, here */
};

struct kmap_fdslot {
	_Atomic(struct kmap_ent *) ent;
	_Atomic(struct kmap_set *) set;
	struct kmap_item *items; /* under kmap_fdtab_lock */
	kmap_a32 hidden;
	kmap_a32 kind; /* of a listener: emu/accept.c */
};

extern struct kmap_lock kmap_fdtab_lock;
/* Which entries are in use, and held: taken before every other lock. Whoever
 * forks has it from its first hold for the child on. */
void kmap_ents_lock(void);
void kmap_ents_unlock(void);
#define KMAP_FD_CHUNK 1024
#define KMAP_FD_CHUNKS 1024
extern struct kmap_fdslot *_Atomic kmap_fd_chunks[KMAP_FD_CHUNKS];

/* NULL: nothing was ever noted of this number. */
static inline struct kmap_fdslot *
kmap_fdslot(int fd)
{
	struct kmap_fdslot *c;

	if (kmap_unlikely((unsigned int)fd >= KMAP_FD_CHUNK * KMAP_FD_CHUNKS))
		return NULL;
	c = atomic_load_explicit(
		&kmap_fd_chunks[(unsigned int)fd / KMAP_FD_CHUNK],
		memory_order_acquire);
	return c == NULL ? NULL : &c[(unsigned int)fd % KMAP_FD_CHUNK];
}

static inline struct kmap_ent *
kmap_fd_ent(int fd)
{
	struct kmap_fdslot *s = kmap_fdslot(fd);

	return s == NULL ? NULL
			 : atomic_load_explicit(&s->ent, memory_order_acquire);
}

static inline bool
kmap_fd_is_hidden(int fd)
{
	struct kmap_fdslot *s = kmap_fdslot(fd);

	return s != NULL && a_load(&s->hidden) != 0;
}

/* The slot of a number, made if need be; NULL when memory is short. */
struct kmap_fdslot *kmap_fdslot_make(int fd);

/* Notes fd as one of ours; passes -errno through. */
int kmap_fd_hide(int fd);
/* Forgets and closes one of ours. */
void kmap_fd_hidden_close(int fd);
/* The next hidden number that is at least fd, or -1. */
int kmap_fd_next_hidden(int fd);

/* A new entry with a new endpoint for a connected (or connecting) socket;
 * NULL: memory is short, the socket stays on TCP. */
struct kmap_ent *kmap_ent_open(int fd, int role);
/* One more number for an entry (dup). */
void kmap_ent_dup(struct kmap_ent *e, int fd);
/*
 * fd is about to be closed or overwritten. True: it was this process's last
 * number; the caller finishes with kmap_ent_close().
 */
bool kmap_ent_unlink(struct kmap_ent *e, int fd);
/* Lets go: withdraws offers, releases the slot, adds up the counters. */
void kmap_ent_close(struct kmap_ent *e);

/*
 * The endpoint was finished by others and may be another's: nothing of it is
 * touched. The numbers are the kernel's from here on.
 */
void kmap_ent_lost(struct kmap_ent *e);

/* In the child of a fork: private locks and pools begin anew. */
void kmap_fdtab_forked(void);

/* Calls fn for each entry in use. */
void kmap_ent_each(void (*fn)(struct kmap_ent *e, void *arg), void *arg);

#endif
