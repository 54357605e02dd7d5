/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * KMAP_LOG=level[:file]. One write(2) a line, no allocation, no stdio, fit
 * for a signal handler. %s %d %u %x and %lu are understood.
 */
#ifndef KMAP_LOG_H
#define KMAP_LOG_H

#include "base.h"

enum kmap_level {
	KMAP_ERROR,
	KMAP_WARN,
	KMAP_INFO,
	KMAP_DEBUG
};

extern int kmap_log_level; /* -1: silent */

bool kmap_log_open(const char *value);
void kmap_log_write(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* To stderr, wherever the log goes: for settings that are not understood. */
void
kmap_log_always(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* vsnprintf for the conversions above; returns the length, cut at size. */
size_t
kmap_format(char *buf, size_t size, const char *fmt, __builtin_va_list ap);

#define kmap_log(level, ...)                                                   \
	do {                                                                   \
		if (kmap_unlikely((int)(level) <= kmap_log_level))             \
			kmap_log_write(__VA_ARGS__);                           \
	} while (0)

#endif
