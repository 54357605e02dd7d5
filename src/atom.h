/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The only user of <stdatomic.h>. Each macro's name says its order; plain
 * access to an atomic field is a bug. The ordering rules are numbered in
 * doc/MEMORY.md and cited where they are used.
 */
#ifndef KMAP_ATOM_H
#define KMAP_ATOM_H

#include <stdatomic.h>
#include <stdint.h>

typedef _Atomic uint32_t kmap_a32;
typedef _Atomic uint64_t kmap_a64;

#define a_load(p) atomic_load_explicit((p), memory_order_relaxed)
#define a_load_acq(p) atomic_load_explicit((p), memory_order_acquire)
/* Reads after the caller's own sequentially consistent update. */
#define a_load_sc(p) atomic_load_explicit((p), memory_order_seq_cst)
#define a_store(p, v) atomic_store_explicit((p), (v), memory_order_relaxed)
#define a_store_rel(p, v) atomic_store_explicit((p), (v), memory_order_release)
#define a_xchg(p, v) atomic_exchange_explicit((p), (v), memory_order_seq_cst)
#define a_add(p, v) atomic_fetch_add_explicit((p), (v), memory_order_seq_cst)
#define a_sub(p, v) atomic_fetch_sub_explicit((p), (v), memory_order_seq_cst)
#define a_or(p, v) atomic_fetch_or_explicit((p), (v), memory_order_seq_cst)
#define a_and(p, v) atomic_fetch_and_explicit((p), (v), memory_order_seq_cst)
/* A counter of statistics: no order, but no update is lost. */
#define a_count(p, v) atomic_fetch_add_explicit((p), (v), memory_order_relaxed)

/* True when *p was old and is now new. */
#define a_cas(p, old, new)                                                     \
	__extension__({                                                        \
		__typeof__(old) kmap_old_ = (old);                             \
		atomic_compare_exchange_strong_explicit((p), &kmap_old_,       \
			(new), memory_order_seq_cst, memory_order_relaxed);    \
	})

/* Order for the compiler alone: what stands before it is not joined with what
 * follows. */
static inline void
a_compiler_fence(void)
{
	atomic_signal_fence(memory_order_seq_cst);
}

/* Store → load order, the one that x86-64 does not give. */
static inline void
a_fence(void)
{
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
	/* A locked add on the stack is about twice as fast as mfence. */
	__asm__ __volatile__("lock; addl $0,-4(%%rsp)" ::: "memory", "cc");
#else
	atomic_thread_fence(memory_order_seq_cst);
#endif
}

static inline void
a_pause(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#else
	__asm__ __volatile__("yield" ::: "memory");
#endif
}

#endif
