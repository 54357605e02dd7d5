/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A futex lock that may lie in memory of the fork family and survives the
 * death of its holder: the word is the holder's thread id, and whoever waits
 * for long asks the kernel whether that thread still lives. State under such
 * a lock is committed by single stores, so a dead holder leaves it whole.
 *
 * While a thread holds one, handlers of the application are put off
 * (kmap_self.crit, emu/signal.c): a handler never meets a held lock of its
 * own thread and never leaves one behind by siglongjmp.
 *
 * Lock order: fd table → epoll set → endpoint rx → endpoint tx → link.
 */
#ifndef KMAP_LOCK_H
#define KMAP_LOCK_H

#include "atom.h"
#include "base.h"

struct kmap_lock {
	kmap_a32 word; /* 0, or the holder's tid | CONTENDED */
};

void kmap_lock_slow(struct kmap_lock *l);
void kmap_unlock_slow(struct kmap_lock *l);
int kmap_tid_slow(void);
/* Delivers what was put off: set by emu. */
extern void (*kmap_deferred_hook)(void);

static inline uint32_t
kmap_tid(void)
{
	return (uint32_t)(kmap_likely(kmap_self.tid != 0) ? kmap_self.tid
							  : kmap_tid_slow());
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
	if (kmap_unlikely(!a_cas(&l->word, 0u, kmap_tid())))
		kmap_lock_slow(l);
}

static inline bool
kmap_trylock(struct kmap_lock *l)
{
	kmap_crit_enter();
	if (kmap_likely(a_cas(&l->word, 0u, kmap_tid())))
		return true;
	kmap_crit_leave();
	return false;
}

static inline void
kmap_unlock(struct kmap_lock *l)
{
	if (kmap_unlikely(!a_cas(&l->word, kmap_tid(), 0u)))
		kmap_unlock_slow(l);
	kmap_crit_leave();
}

#endif
