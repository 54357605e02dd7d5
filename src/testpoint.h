/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Named test points: a test program that exports kmap_testpoint() is called
 * right after each side effect whose order matters, and may sleep, die, or,
 * where the caller looks at the answer, say "not now". Without such a program
 * a test point is one load and one branch that is never taken.
 */
#ifndef KMAP_TESTPOINT_H
#define KMAP_TESTPOINT_H

extern int (*kmap_testpoint_hook)(const char *name, int fd);

#define KMAP_TESTPOINT(name, fd) kmap_testpoint_pass((name), (fd))

static inline int
kmap_testpoint_pass(const char *name, int fd)
{
	return __builtin_expect(kmap_testpoint_hook != 0, 0)
		? kmap_testpoint_hook(name, fd)
		: 0;
}

#endif
