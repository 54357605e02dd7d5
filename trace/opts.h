/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the user asked for. */
#ifndef KMAP_TRACE_OPTS_H
#define KMAP_TRACE_OPTS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum trace_mode {
	TRACE_RUN, /* argv is a program to start */
	TRACE_ATTACH,
	TRACE_TWIN, /* argv is a program to start twice */
	TRACE_MERGE, /* argv are tables, in these three */
	TRACE_CHECK,
	TRACE_DIFF,
};

/* Strings are argv's own. A file NULL was not asked for, unless it says so. */
struct trace_opts {
	enum trace_mode mode;
	pid_t pid; /* TRACE_ATTACH */
	const char *table; /* -o; NULL: named after the program */
	bool text;
	const char *text_file; /* NULL: stderr */
	const char *json, *folded, *perfetto, *html;
	bool summary;
	const char *summary_file; /* NULL: stderr */
	bool verify;
	const char *drive; /* TRACE_TWIN: a shell command; NULL: no load */
	bool quiet;
	size_t data; /* -s */
	struct trace_filter *filter; /* NULL: everything is shown */
	int argc;
	char **argv; /* NULL at its end */
};

/* Exits by itself after --help, --version and for what makes no sense. */
void trace_opts_parse(struct trace_opts *o, int argc, char **argv);

#endif
