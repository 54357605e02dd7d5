/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The shape of a wrapper. Three layers: kmap_real.x is libc's, kmap_x is the
 * hook (returns -errno), the exported x has no logic and alone writes errno.
 */
#ifndef KMAP_EMU_CALL_H
#define KMAP_EMU_CALL_H

#include <errno.h>

#include "extra.h"
#include "hook.h"
#include "preload.h"
#include "real.h"

#define KMAP_EXPORT __attribute__((visibility("default")))
#define KMAP_COLD __attribute__((cold, noinline))

/* A further exported name of a function of this file. */
#define KMAP_ALIAS_OF(name, of)                                                \
	extern __typeof(of) name                                               \
		__attribute__((alias(#of), copy(of), visibility("default")))

/* The same where the header gives both names, with structures apart. */
#define KMAP_ALIAS_64(name, of)                                                       \
	_Pragma("GCC diagnostic push") _Pragma(                                       \
		"GCC diagnostic ignored \"-Wattribute-alias\"") extern __typeof(name) \
		name __attribute__((alias(#of), visibility("default")));              \
	_Pragma("GCC diagnostic pop") _Static_assert(1, "")

/*
 * The library's own way to the code behind an exported name: a call of the
 * name itself would go through the GOT to whoever interposes it before us.
 */
#define KMAP_SELF(name)                                                        \
	extern __typeof(name) kmap_self_##name __attribute__((                 \
		alias(#name), copy(name), visibility("hidden")))

/* What a real call returned, as the layers below the exported name say it;
 * kmap_errno, the exported functions' last line, is the way back. */
static inline long
kmap_ret(long r)
{
	return __builtin_expect(r == -1, 0) ? -(long)errno : r;
}

#endif
