/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "wake.h"

#include "link.h"
#include "stats.h"
#include "sys.h"
#include "testpoint.h"

void
kmap_wake_arm(kmap_a64 *mask, uint64_t bit)
{
	a_or(mask, bit);
	/* M3: before the second look; partner: the fence of kick. */
	a_fence();
}

static void
ring_place(struct kmap_link *link, unsigned int place, uint32_t slot)
{
	struct kmap_place_shm *p = &link->ctl->side[!link->side].place[place];

	a_or(&p->level2[slot / 64], UINT64_C(1) << (slot % 64));
	/* M4: level two first, then level one, always. */
	a_or(&p->level1, UINT64_C(1) << (slot / 64));
	if (a_load_sc(&p->asleep) == 0 || a_xchg(&p->asleep, 0u) == 0) {
		kmap_stats_count(KMAP_STAT_doorbells_saved);
		return;
	}
	a_store(&p->rung_at, kmap_now());
	kmap_link_bell(link, place);
	kmap_stats_count(KMAP_STAT_doorbells_rung);
}

uint64_t
kmap_wake_kick(struct kmap_link *link, kmap_a64 *mask, uint32_t slot)
{
	uint64_t m;

	/* M3: between the publish and the look; partner: arm. */
	a_fence();
	if (kmap_likely(a_load(mask) == 0))
		return 0;
	KMAP_TESTPOINT("ring-published", -1);
	m = a_xchg(mask, UINT64_C(0));
	for (uint64_t left = m & ~KMAP_BOUNCE; left != 0; left &= left - 1)
		ring_place(link, (unsigned int)__builtin_ctzll(left), slot);
	return m;
}

void
kmap_wake_peer(struct kmap_link *link, uint64_t places, uint32_t slot)
{
	/* First where the slot is looked for, then whoever may look. */
	ring_place(link, KMAP_PLACE_COMMON, slot);
	for (places &= ~KMAP_BOUNCE; places != 0; places &= places - 1)
		ring_place(link, (unsigned int)__builtin_ctzll(places), slot);
}

void
kmap_wake_sleep_begin(struct kmap_link *link, unsigned int place)
{
	a_xchg(&link->ctl->side[link->side].place[place].asleep, 1u);
	/* M3: before the last look; partner: the exchange in ring_place. */
	a_fence();
}

bool
kmap_wake_pending(struct kmap_link *link, unsigned int place)
{
	return a_load_sc(&link->ctl->side[link->side].place[place].level1) != 0;
}

unsigned int
kmap_wake_take(struct kmap_link *link, unsigned int place,
	void (*fn)(void *arg, struct kmap_link *link, uint32_t slot), void *arg)
{
	struct kmap_place_shm *p = &link->ctl->side[link->side].place[place];
	unsigned int n = 0;
	uint64_t one;

	if (a_load_acq(&p->level1) == 0)
		return 0;
	/* M4: level one is cleared first, so that a bit set meanwhile in
	 * level two is found now or announced again. */
	one = a_xchg(&p->level1, UINT64_C(0));
	for (; one != 0; one &= one - 1) {
		unsigned int w = (unsigned int)__builtin_ctzll(one);
		uint64_t two = a_xchg(&p->level2[w], UINT64_C(0));

		for (; two != 0; two &= two - 1) {
			uint32_t slot =
				w * 64 + (unsigned int)__builtin_ctzll(two);

			if (slot < link->nslots) {
				fn(arg, link, slot);
				n++;
			}
		}
	}
	return n;
}
