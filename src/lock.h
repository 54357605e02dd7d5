/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A futex lock that may lie in memory of the fork family and survives the
 * death of its holder: the word names the holder's seat in a table that the
 * family shares, and whoever waits for long looks there whether that thread
 * still lives. A thread id would mean somebody else in another pid namespace.
 * State under such a lock is committed by single stores, so a dead holder
 * leaves it whole.
 *
 * While a thread holds one, handlers of the application are put off
 * (kmap_self.crit, emu/signal.c): a handler never meets a held lock of its
 * own thread and never leaves one behind by siglongjmp.
 *
 * Lock order: entries → endpoint → fd table → epoll set → endpoint rx →
 * endpoint tx → links → link.
 */
#ifndef KMAP_LOCK_H
#define KMAP_LOCK_H

#include "atom.h"
#include "base.h"

struct kmap_lock {
	kmap_a32 word; /* 0, or who holds it | CONTENDED */
};

void kmap_lock_slow(struct kmap_lock *l);
void kmap_unlock_slow(struct kmap_lock *l);
/* Takes it from a holder that is dead, if it is. */
bool kmap_trylock_dead(struct kmap_lock *l);
/* Seats this thread (M16). Not remembered where that cannot be now. */
uint32_t kmap_holder_slow(void);
/* Delivers what was put off: set by emu. */
extern void (*kmap_deferred_hook)(void);

static inline uint32_t
kmap_holder(void)
{
	return kmap_likely(kmap_self.holder != 0) ? kmap_self.holder
						  : kmap_holder_slow();
}

static inline void
kmap_crit_enter(void)
{
	kmap_self.crit++;
	__asm__ __volatile__("" ::: "memory");
}

static inline void
kmap_crit_leave(void)
{
	__asm__ __volatile__("" ::: "memory");
	if (--kmap_self.crit == 0 && kmap_unlikely(kmap_self.deferred != 0))
		kmap_deferred_hook();
}

static inline void
kmap_lock(struct kmap_lock *l)
{
	kmap_crit_enter();
	if (kmap_unlikely(!a_cas(&l->word, 0u, kmap_holder())))
		kmap_lock_slow(l);
}

static inline bool
kmap_trylock(struct kmap_lock *l)
{
	kmap_crit_enter();
	if (kmap_likely(a_cas(&l->word, 0u, kmap_holder())) ||
		kmap_trylock_dead(l))
		return true;
	kmap_crit_leave();
	return false;
}

static inline void
kmap_unlock(struct kmap_lock *l)
{
	if (kmap_unlikely(!a_cas(&l->word, kmap_holder(), 0u)))
		kmap_unlock_slow(l);
	kmap_crit_leave();
}

#endif
