/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A sink that draws: one HTML file with everything in it (styles, code,
 * data), that any browser opens without a network.
 *
 * The file is written while the program runs, each definition before its
 * first use and the page's code before the data, so that it opens even when
 * the tracer was killed in the middle: only the names of functions, which are
 * looked up at the end, are addresses then.
 */
#ifndef KMAP_TRACE_HTML_H
#define KMAP_TRACE_HTML_H

#include "event.h"

/* Who knows what a number means. Each may be NULL: numbers are shown then. */
struct trace_html_text {
	/*
	 * The arguments without the parentheses, as in snprintf: at most
	 * size bytes with the final NUL; returns the length it had needed.
	 */
	size_t (*args)(char *buf, size_t size, const struct trace_call *c);
	/* "recvfrom" for SYS_recvfrom; NULL when there is no such number */
	const char *(*sysname)(int sys);
	/* "module!function+0x12"; the caller copies it. Called from finish,
	 * with a process as it was announced last. */
	const char *(*symbol)(const struct trace_process *p, uint64_t addr);
};

struct trace_html_options {
	const char *file; /* where it goes; an old one is overwritten */
	const char *title; /* what was traced, a command line */
	/* Calls that are written, 0 for the default: a browser does not show
	 * more than it has memory for. The rest is counted. */
	uint64_t max_calls;
	struct trace_html_text text;
};

#define TRACE_HTML_MAX_CALLS 1000000

/*
 * Opens the file and fills in *s. Strings of *o are copied. Returns 0, or
 * -errno with a message on stderr. What s holds is freed by s->finish, which
 * returns the first error of writing: the rest was dropped then.
 */
int trace_html_open(struct trace_sink *s, const struct trace_html_options *o);

#endif
