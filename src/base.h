/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What every file of the core uses: fixed-width names, small arithmetic, and
 * the thread's own state.
 *
 * Inside the library a function that can fail returns 0 or a count, or
 * -errno; errno itself is written only in exported functions.
 */
#ifndef KMAP_BASE_H
#define KMAP_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define KMAP_CACHELINE 64

#define kmap_likely(x) __builtin_expect(!!(x), 1)
#define kmap_unlikely(x) __builtin_expect(!!(x), 0)
#define kmap_countof(a) (sizeof(a) / sizeof((a)[0]))
#define kmap_container_of(p, type, member)                                     \
	((type *)((char *)(p)-offsetof(type, member)))

/* Of unsigned numbers of any width: a negative one would be the largest. */
static inline uint64_t
kmap_umin(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t
kmap_umax(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/*
 * The state of one thread. Initial-exec: the default model calls
 * __tls_get_addr, which may allocate, and a preloaded library is always
 * loaded at start, when room in the static block is certain.
 */
struct kmap_thread {
	/* Locks of ours that this thread holds: while it is not 0, handlers
	 * of the application are put off (emu/signal.c). */
	unsigned int crit;
	/* Signals that were put off: bit signo - 1. */
	uint64_t deferred;
	/* Handlers of the application that ran in this thread, all of them
	 * and those without SA_RESTART: a sleep compares them. */
	unsigned int handlers;
	unsigned int handlers_intr;
	/* Where a copy from or to the application's memory goes on when it
	 * faults; NULL outside of copies. */
	void **fault;
	/* What this thread writes into a lock, 0: not known yet. */
	uint32_t holder;
	/* The kernel's list of what this thread leaves behind, where libc
	 * made none (lock.c). */
	void *robust[3];
	/* Calls of this thread that are inside the kernel, or asleep the
	 * ring's way: whoever is cancelled there counts itself out when the
	 * thread ends (emu/wait.c). A handler's call nests. */
	unsigned int depth;
	struct kmap_entered {
		void *of; /* entry or epoll set */
		uint32_t gen;
		int fd;
		int what;
	} entered[8];
	bool keyed;
	/* The epoll set that it used last and still holds, and how deep it is
	 * inside of sets: a handler may nest (emu/epoll.c). */
	unsigned int set_depth;
	void *set;
	/* The thread's waiting place, made at its first sleep. */
	struct kmap_place *place;
};

extern __thread struct kmap_thread kmap_self
	__attribute__((tls_model("initial-exec")));

#endif
