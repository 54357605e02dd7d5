/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Memory that there has to be. */
#ifndef KMAP_TRACE_MUST_H
#define KMAP_TRACE_MUST_H

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

#endif
