/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The shape of a wrapper, for those that are one line each. */
#ifndef KMAP_TRACE_WRAP_H
#define KMAP_TRACE_WRAP_H

#include "rec.h"

enum {
#define KT_NAME(name, base, sys) KT_SYS_##name = sys,
#include "names.def"
};

#define U(p) ((uint64_t)(p))

/*
 * WG: a further statement stands first. `before` fills c and says whether the
 * call is recorded; op says what else it did; then the words of the record.
 */
#define WG(ret, name, params, args, guard, before, op, nargs, ...)             \
	KT_EXPORT ret kt_w_##name params __asm__(#name);                       \
	KT_EXPORT ret kt_w_##name params                                       \
	{                                                                      \
		ret(*real) params = kt_real(KT_##name);                        \
		const enum kt_name self = KT_##name;                           \
		struct kt_call c;                                              \
		ret r;                                                         \
                                                                               \
		(void)self;                                                    \
		guard;                                                         \
		if (!(before))                                                 \
			return real args;                                      \
		const uint64_t a[] = {__VA_ARGS__};                            \
		KT_CUTS struct kt_cut cut = {&c, a, NULL, KT_##name, op,       \
			KT_SYS_##name, nargs, true};                           \
		r = real args;                                                 \
		cut.live = false;                                              \
		kt_done(&c, (long)r);                                          \
		kt_after(&c, KT_##name, KT_SYS_##name, op, nargs, a);          \
		return r;                                                      \
	}
#define W(ret, name, params, args, before, op, nargs, ...)                     \
	WG(ret, name, params, args, (void)0, before, op, nargs, __VA_ARGS__)

bool kt_before_select(struct kt_select *s, int n, const fd_set *const sets[3],
	const void *t, bool timeval);

#endif
