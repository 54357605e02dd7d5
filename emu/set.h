/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An epoll set of the application as the library sees it.
 *
 * The kernel's set stays what it is: every fd is registered in it. An item
 * whose endpoint is gated is registered with a tag of ours, edge-triggered,
 * so that the kernel reports only the carrier's news; its readiness is
 * computed here, from the ring. What epoll_wait brings is always filtered:
 * no tag ever reaches the application.
 */
#ifndef KMAP_EMU_SET_H
#define KMAP_EMU_SET_H

#include "wait.h"

struct kmap_item {
	struct kmap_set *set;
	struct kmap_ent *ent; /* once tagged */
	struct kmap_ep *ep; /* its endpoint then */
	struct kmap_item *live; /* of which this is a child's copy */
	int fd;
	bool hot;
	/* The registration: what a child's copy takes over and brings back. */
	struct {
		bool active; /* the application has it registered */
		bool tagged;
		bool fired; /* EPOLLONESHOT: silent until MOD */
		bool trigger; /* edge-triggered: something came */
		bool look; /* the carrier is to be asked */
		bool kernel_out; /* it includes EPOLLOUT in the kernel's set */
		bool out_known; /* full buffers are noted: tx.nospace */
		bool exclusive;
		uint32_t events;
		uint32_t gen; /* of the tag */
		uint64_t data;
		uint64_t seen_tail; /* arrivals that were reported */
		uint32_t seen_nrec; /* and records */
		uint32_t seen_space;
	} reg;
	struct kmap_item *next_of_fd;
	struct kmap_item *prev_hot, *next_hot;
	struct kmap_item *next_free;
};

#define KMAP_NESTED 8
#define KMAP_STASH 16

struct kmap_set {
	/* What outlives a set's end; 0 uses: nobody's (epoll.c, "uses"). */
	struct kmap_set *next_free;
	kmap_a32 uses;
	/* All that follows begins anew. */
	struct kmap_lock lock;
	kmap_a32 fds; /* numbers of this process */
	int fd; /* one of them */
	kmap_a32 waited; /* a wrapped wait was seen on it */
	kmap_a32 tagged; /* items with a tag, ever: filter */
	kmap_a32 sleepers;
	kmap_a32 watched; /* an outer set or poll looks at it */
	kmap_a32 passed; /* others have it: epoll.c, "passed" */
	/* Shared with the family since a fork: epoll.c, "forks". */
	struct kmap_set_shm *shm;
	bool forked; /* inherited */
	bool viewed; /* and used since */
	bool oneshots; /* some tags stand for EPOLLONESHOT */
	int bell; /* its own placeholder, -1 */
	int id; /* by which peers know it, -1 */
	int commons[KMAP_COMMONS];
	uint64_t base; /* tags: base + fd, gen in the middle */
	/* Epoll fds registered in it, which may be sets with rings. */
	int nested[KMAP_NESTED];
	unsigned int nnested;
	/* Edges of ordinary fds, taken when the set was looked at from
	 * outside: the next wait reports them. */
	struct epoll_event stash[KMAP_STASH];
	unsigned int nstash;
	struct kmap_item **by_fd;
	size_t nby_fd;
	struct kmap_item *hot; /* a ring list; the next to look at */
	unsigned int nhot;
	unsigned int unlooked; /* waits since the kernel was asked; 0:
					 * it has told all */
	struct kmap_policy policy;
} __attribute__((aligned(64))); /* several on a page, no line of two */

#endif
