/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * "Poll or sleep?": one small answer for every wait, from what polling paid
 * lately (doc/DESIGN.md, "Waiting"). State belongs to one thread.
 *
 *	limit = kmap_policy_begin(p, now);
 *	poll until `limit` ns passed: hit, miss or preempted
 *	sleep: woken or timed_out
 */
#ifndef KMAP_POLICY_H
#define KMAP_POLICY_H

#include "base.h"

struct kmap_policy {
	uint64_t budget; /* ns that a wait may poll */
	uint64_t gap; /* smoothed: how long data took to come, ns */
	uint64_t bar_until; /* no polling before: the core is wanted */
	uint64_t bar; /* how long the next such bar is */
	uint32_t waits;
	bool never; /* a real-time class: polling may starve */
};

/* How long this wait may poll, ns; 0: sleep at once. */
uint64_t kmap_policy_begin(struct kmap_policy *p, uint64_t now);
/* Polling found data after `e` ns. */
void kmap_policy_hit(struct kmap_policy *p, uint64_t e);
void kmap_policy_miss(struct kmap_policy *p);
/* One step of polling took `took` ns; true: somebody else needs the core. */
bool kmap_policy_preempted(struct kmap_policy *p, uint64_t now, uint64_t took);
/* Woken from a wait that began at `began` by data that came at `came`. */
void kmap_policy_woken(
	struct kmap_policy *p, uint64_t began, uint64_t came, uint64_t now);
void kmap_policy_timed_out(struct kmap_policy *p);

#endif
