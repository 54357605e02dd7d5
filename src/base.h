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

static inline uint64_t
kmap_min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t
kmap_max(uint64_t a, uint64_t b)
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
	/* An eventfd + 1 that ends the sleep which this thread is about to
	 * begin: a handler that runs until then writes it. */
	int nap_plus1;
	/* Where a copy from or to the application's memory goes on when it
	 * faults; NULL outside of copies. */
	void **fault;
	int tid;
	/* Calls of this thread that are inside the kernel, or asleep the
	 * ring's way: whoever is cancelled there counts itself out when the
	 * thread ends (emu/wait.c). A handler's call nests. */
	unsigned int depth;
	struct kmap_entered {
		void *of; /* entry or epoll set */
		uint32_t gen;
		int fd;
		int what;
	} entered[4];
	bool keyed;
	/* The thread's waiting place, made at its first sleep. */
	struct kmap_place *place;
};

extern __thread struct kmap_thread kmap_self
	__attribute__((tls_model("initial-exec")));

#endif
