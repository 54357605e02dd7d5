/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * --twin: one program and its load run twice, on TCP and on Kmap, and what
 * the program saw is compared. twin.c runs, twin-diff.c takes down and
 * compares.
 */
#ifndef KMAP_TRACE_TWIN_H
#define KMAP_TRACE_TWIN_H

#include <stdbool.h>
#include <stdint.h>

#include "event.h"
#include "opts.h"

enum twin_arm {
	TWIN_TCP,
	TWIN_KMAP,
	TWIN_AGAIN, /* on TCP; only when the first two differ */
	TWIN_ARMS,
};

extern const char *const twin_names[TWIN_ARMS];

/* What was compared, of the run on TCP. */
struct twin_totals {
	unsigned int accepted, connected; /* connections */
	uint64_t in, out; /* bytes that the program read and wrote */
	uint64_t blind; /* of those read, by calls that did not show them */
	unsigned int ends, errors, ready; /* ends of stream, errors,
					   * connections seen ready */
	unsigned int reordered; /* equal, but in another order */
};

/* A sink that takes down what happens, for the arm that twin_begin named.
 * Processes and stacks are looked at again by twin_compare. */
const struct trace_sink *twin_sink(void);
void twin_begin(enum twin_arm arm);
/* Of the arm that runs: a TCP socket listens; ns of CLOCK_MONOTONIC of the
 * last call on a TCP connection, 0 if there was none. */
bool twin_listens(void);
uint64_t twin_last(void);

/* Compares an arm with that on TCP. Whether they are equal; if not, the first
 * difference is kept for twin_tell, which says it on standard error with both
 * stacks, after `what`. */
bool twin_compare(enum twin_arm with, struct twin_totals *t);
void twin_tell(enum twin_arm with, const char *what);

/* The command. The exit status: 0 equal, 1 different, 2 nothing was
 * compared. */
int twin_run(const struct trace_opts *o);

#endif
