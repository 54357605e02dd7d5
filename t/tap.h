/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * TAP for C tests. Each check prints one line and returns whether it held,
 * so that a test can say more about a failure:
 *
 *	plan(2);
 *	ok(fd >= 0, "socket");
 *	is_int(errno, EINTR, "errno of %s", name);
 *	return done();
 *
 * Only one process of a test prints checks: the one that began it.
 */
#ifndef KMAP_TAP_H
#define KMAP_TAP_H

#include <stdbool.h>

/* Why a check of this name that failed is a known difference (t/known), or
 * NULL. */
const char *tap_known(const char *name);

/* Say how many checks will come. Without it, done() says it. */
void plan(int checks);

/* The whole test cannot run here: give this machine's reason. */
void
skip_all(const char *why, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* Like skip_all, but with CI=true the missing thing is an error. */
void need_failed(const char *why, ...)
	__attribute__((noreturn, format(printf, 1, 2)));

/* Nothing that follows makes sense: the whole run is broken. */
void
bail_out(const char *why, ...) __attribute__((noreturn, format(printf, 1, 2)));

bool ok(bool held, const char *name, ...) __attribute__((format(printf, 2, 3)));

bool is_int(long long got, long long want, const char *name, ...)
	__attribute__((format(printf, 3, 4)));

/* NULL is equal to NULL alone. */
bool is_str(const char *got, const char *want, const char *name, ...)
	__attribute__((format(printf, 3, 4)));

/* This many checks cannot run here. */
void
skip(int checks, const char *why, ...) __attribute__((format(printf, 2, 3)));

/* A line for the reader, not for the harness. */
void diag(const char *text, ...) __attribute__((format(printf, 1, 2)));

/* The exit status of the test: 0 if all checks held and were as many as
 * planned. */
int done(void);

#endif
