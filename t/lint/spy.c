/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Preloaded behind libkmapemu.so: stands for libc and counts what arrives.
 * The counts lie in shared memory, so that children's calls are counted.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "real.h"

#include "spy.h"

static struct spy *counts;

struct spy *
kmap_spy(void)
{
	if (!counts) {
		counts = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		if (counts == MAP_FAILED)
			abort();
	}
	return counts;
}

static void *
next(enum kmap_call call, const char *name)
{
	__atomic_fetch_add(&kmap_spy()->calls[call], 1, __ATOMIC_RELAXED);
	return dlsym(RTLD_NEXT, name);
}

/*
 * asm names, because the headers declare many of these otherwise (variadic,
 * with transparent unions). The link leaves vfork out, see lint.mk.
 */
#define KMAP_CALL(ret, name, params, args, family, nr)                         \
	ret spy_##name params __asm__(#name);                                  \
	ret spy_##name params                                                  \
	{                                                                      \
		return ((ret(*) params)next(KMAP_##name, #name))args;          \
	}
#include "calls.def"
