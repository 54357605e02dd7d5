/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Memory that there has to be. */
#ifndef KMAP_TRACE_MUST_H
#define KMAP_TRACE_MUST_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * p, unless it is NULL: then that is said, and the process ends, by abort so
 * that nothing goes on to write what it has half of. The traced program is
 * not harmed: its recorder sees that nobody reads any more.
 */
static inline void *
must(void *p)
{
	if (!p) {
		fputs("kmap-trace: out of memory\n", stderr);
		abort();
	}
	return p;
}

/* As asprintf(3). */
__attribute__((format(printf, 1, 2))) static inline char *
must_printf(const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	return must(text);
}

#endif
