/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The one sleep/kick pair of the project (doc/MEMORY.md, model wake.pml).
 *
 *	waiter				other end
 *	kmap_wake_arm(mask)		publish (tail, head, record)
 *	look again			kmap_wake_kick(mask):
 *	kmap_wake_sleep_begin(place)	  fence; mask → 0; bitmap bit;
 *	look again			  asleep → 0; write the placeholder
 *	sleep in epoll_wait
 *	kmap_wake_take(bitmap)
 *
 * Each arrow has its own fence, so that either the waiter's look finds what
 * was published, or the other end's look finds the waiter.
 */
#ifndef KMAP_WAKE_H
#define KMAP_WAKE_H

#include "layout.h"

struct kmap_link;

/* Asks for a doorbell at `bit` (1 << place). The caller looks again after. */
void kmap_wake_arm(kmap_a64 *mask, uint64_t bit);

/*
 * After a publish: rings whoever armed. Any thread; lock-free; one system
 * call for each place that sleeps. Returns the mask it took, in which the
 * caller looks for KMAP_BOUNCE.
 */
uint64_t kmap_wake_kick(struct kmap_link *link, kmap_a64 *mask, uint32_t slot);
/* Rings the peer's common place about a slot, asked or not, and the places of
 * the mask. */
void kmap_wake_peer(struct kmap_link *link, uint64_t places, uint32_t slot);

/* From now on this side's `place` wants the eventfd written. Look again
 * after. The peer alone takes the word back, when it rings. */
void kmap_wake_sleep_begin(struct kmap_link *link, unsigned int place);

/*
 * Takes the slots that were rung for a place and calls fn for each. Bounded
 * by KMAP_SLOTS_MAX; a hostile bit costs one call. Returns how many.
 */
unsigned int kmap_wake_take(struct kmap_link *link, unsigned int place,
	void (*fn)(void *arg, struct kmap_link *link, uint32_t slot),
	void *arg);
/* Whether anything is there to take: one load. */
bool kmap_wake_pending(struct kmap_link *link, unsigned int place);

#endif
