/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The interception table: gathers what was traced and writes kmap-table(5),
 * and what the command does with tables that exist. The grammar, the model
 * and the parser are src/table.h, shared with the library.
 *
 * Every message goes to stderr and begins with "kmap-trace: ", or with
 * "FILE:LINE:COLUMN: " where it is about a line of a table.
 */
#ifndef KMAP_TRACE_TABLE_H
#define KMAP_TRACE_TABLE_H

#include "event.h"

struct trace_table_conf {
	/* Where to (-o); NULL: "NAME.kmap" in the current directory, NAME
	 * being the base name of argv[0]. A different file of that name is
	 * kept as "PATH~". */
	const char *path;
	/* The command as the user gave it, NULL at its end; NULL with
	 * --attach: then the first process that is seen says its own. */
	char *const *argv;
	pid_t pid; /* of --attach, else 0 */
	/* A table that cannot be written there goes to TMPDIR, which is said. */
	bool spare;
	/* Seccomp filters that kmap-trace itself puts on it (--verify). */
	unsigned int filters;
};

/*
 * The sink; there is one for each run of the command. conf is copied, what
 * it points to must live until finish.
 */
const struct trace_sink *trace_table_sink(const struct trace_table_conf *conf);

/* What finish wrote, for the summary. All of it lives until the end. */
struct trace_table_result {
	const char *path; /* NULL: not written */
	bool unchanged; /* the file was there and held the same */
	unsigned int endpoints; /* all of them … */
	unsigned int emulate; /* … and those that may move */
	bool inert; /* the program installs a seccomp filter */
	/* Endpoints that stay with the kernel: "connect 127.0.0.1:53 (udp)" */
	unsigned int nkept;
	const char *const *kept;
	const char *const *why; /* a sentence for each of them */
};
const struct trace_table_result *trace_table_result(void);

/* --check FILE…: 0, or 1 when a file is no good (all are looked at). */
int trace_table_check(int n, char *const *files);
/* --merge FILE… -o OUT: 0 or 1. OUT may be one of the files; "-" is stdout.
 * The tables must be of one program. */
int trace_table_merge(int n, char *const *files, const char *out);
/* --diff A B, on stdout: 0 same (counts aside), 1 different, 2 trouble. */
int trace_table_diff(const char *a, const char *b);

#endif
