/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sinks of the command: each takes events and writes one form of them.
 * What a function of this file returns lives until the end of the process.
 */
#ifndef KMAP_TRACE_SINKS_H
#define KMAP_TRACE_SINKS_H

#include "event.h"
#include "out.h"

struct trace_text_conf {
	struct trace_out *out; /* the sink closes it */
	size_t data; /* at most so many bytes of a buffer */
	bool live; /* somebody watches: nothing stays in memory for long */
};

/* text.c: strace's dialect, one line for each call at its return. */
const struct trace_sink *trace_text_sink(const struct trace_text_conf *conf);

/* json.c: JSON Lines. */
const struct trace_sink *trace_json_sink(struct trace_out *out, size_t data);

/* folded.c: "program;outermost;…;innermost;function count" at the end. */
const struct trace_sink *trace_folded_sink(struct trace_out *out);

/* perfetto.c: the JSON object format of Chrome's trace events. */
const struct trace_sink *
trace_perfetto_sink(struct trace_out *out, size_t data);

/* summary.c: functions × programs, and what libkmapemu does with each. */
const struct trace_sink *trace_summary_sink(struct trace_out *out);
/* What libkmapemu does with a function: "emulated", "to TCP" …; NULL for one
 * that doc/COVERAGE.md does not name. */
const char *trace_covered(const char *fn);

/*
 * names.c: the frames of a stack as text, innermost first, s->n of them. Each
 * stack is looked up once, while the process that it belongs to is known.
 */
const char *const *
trace_stack_names(const struct trace_process *p, const struct trace_stack *s);

/*
 * filter.c: which calls are shown. An expression is what -e takes:
 * "recv,send", "!close", "endpoint=127.0.0.1:80", "endpoint=!unix"; several
 * of one kind add up, and both kinds must hold.
 */
struct trace_filter;
struct trace_filter *trace_filter_new(void);
/* 0, or -EINVAL with a clause for the user in why. */
int trace_filter_add(struct trace_filter *f, const char *expression, char *why,
	size_t why_size);
bool
trace_filter_holds(const struct trace_filter *f, const struct trace_call *c);
/* A sink that hands on to `to` (copied) the calls that f lets pass. */
const struct trace_sink *
trace_filter_sink(const struct trace_filter *f, const struct trace_sink *to);

#endif
