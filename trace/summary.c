/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of papers: which functions does each program call on its TCP
 * sockets, and on the sets it waits for them with. Beside them what
 * libkmapemu does with each, from doc/COVERAGE.md. It is Markdown.
 */
#include "config.h"

#include "sinks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decode.h"

static const struct cover {
	const char *fn, *answer;
} covers[] = {
#include "covers.h"
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define MAX_PROGRAMS 32

/* What a row counts. */
struct row {
	char *fn;
	bool escape; /* a syscall that passed the recorder by */
	uint64_t count[MAX_PROGRAMS];
};

struct summary {
	struct trace_out *out;
	struct row *rows;
	size_t nrows, rows_room;
	char *programs[MAX_PROGRAMS]; /* the last takes all that follow */
	size_t nprograms;
	uint8_t *column; /* of a process, by its id: + 1; 0: not known yet */
	size_t ncolumns;
	uint64_t others[TRACE_FILE + 1]; /* by kind: not counted above */
};

const char *
trace_covered(const char *fn)
{
	size_t i;

	for (i = 0; i < COUNT(covers); i++)
		if (!strcmp(covers[i].fn, fn))
			return covers[i].answer;
	return NULL;
}

static size_t
named(struct summary *s, const char *exe)
{
	size_t i;

	for (i = 0; i < s->nprograms; i++)
		if (!strcmp(s->programs[i], exe))
			return i;
	if (s->nprograms == MAX_PROGRAMS)
		return MAX_PROGRAMS - 1;
	s->programs[s->nprograms] =
		xstrdup(s->nprograms == MAX_PROGRAMS - 1 ? "others" : exe);
	return s->nprograms++;
}

/* Its name is looked for once: that asks the file system. */
static size_t
program(struct summary *s, const struct trace_process *p)
{
	struct trace_name name;
	size_t i;

	s->column = xgrow(s->column, &s->ncolumns, p->id, 1);
	if (s->column[p->id])
		return s->column[p->id] - 1u;
	name = trace_process_name(p);
	i = named(s, *name.s ? name.s : "?");
	if (*name.s)
		s->column[p->id] = (uint8_t)(i + 1);
	return i;
}

static bool
is_tcp(uint32_t ep)
{
	const struct trace_endpoint *e = trace_endpoint_by_id(ep);

	return e && (e->kind == TRACE_TCP || e->kind == TRACE_LISTEN);
}

/* A call on TCP, on an epoll set, or on a poll set with TCP in it. */
static bool
concerns(const struct trace_call *c)
{
	const struct trace_endpoint *e = trace_endpoint_by_id(c->ep);
	struct trace_poll p;
	size_t i, at;

	if (is_tcp(c->ep) || (e && e->kind == TRACE_EPOLL))
		return true;
	for (i = 0; i < c->nitems; i++) {
		const struct trace_item *it = &c->items[i];

		if (it->type != TRACE_ITEM_POLL)
			continue;
		for (at = 0; at + sizeof(p) <= it->len; at += sizeof(p)) {
			memcpy(&p, (const char *)it->data + at, sizeof(p));
			if (is_tcp(p.ep) || p.kind == TRACE_TCP ||
				p.kind == TRACE_LISTEN)
				return true;
		}
	}
	return false;
}

static struct row *
row(struct summary *s, const char *fn, bool escape)
{
	size_t i;

	for (i = 0; i < s->nrows; i++)
		if (s->rows[i].escape == escape && !strcmp(s->rows[i].fn, fn))
			return &s->rows[i];
	if (s->nrows == s->rows_room) {
		s->rows_room = s->rows_room ? 2 * s->rows_room : 32;
		s->rows = xrealloc(s->rows, s->rows_room * sizeof(*s->rows));
	}
	s->rows[s->nrows] = (struct row){.fn = xstrdup(fn), .escape = escape};
	return &s->rows[s->nrows++];
}

static void
summary_call(void *arg, const struct trace_call *c)
{
	const struct trace_endpoint *e = trace_endpoint_by_id(c->ep);
	struct summary *s = arg;
	bool escape = c->escape != TRACE_COVERED;

	if (!concerns(c)) {
		s->others[e ? e->kind : TRACE_UNKNOWN]++;
		return;
	}
	row(s, trace_call_name(c), escape)->count[program(s, c->process)]++;
}

/* Functions in the order of doc/COVERAGE.md, escapes last. */
static int
by_place(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	size_t i, at[2] = {COUNT(covers), COUNT(covers)};

	if (x->escape != y->escape)
		return x->escape - y->escape;
	for (i = 0; i < COUNT(covers); i++) {
		if (!strcmp(covers[i].fn, x->fn))
			at[0] = i;
		if (!strcmp(covers[i].fn, y->fn))
			at[1] = i;
	}
	if (at[0] != at[1])
		return at[0] < at[1] ? -1 : 1;
	return strcmp(x->fn, y->fn);
}

static const char *
verdict(const struct row *r)
{
	const char *answer;

	if (r->escape)
		return "not seen";
	answer = trace_covered(r->fn);
	return answer ? answer : "not wrapped";
}

static void
put_row(struct summary *s, const struct row *r, size_t wide,
	const size_t *width)
{
	struct trace_buf b = {0};
	char name[64], number[24];
	size_t i;

	snprintf(name, sizeof(name), "%s%s", r->escape ? "!" : "", r->fn);
	buf_fmt(&b, "| %-*s |", (int)wide, name);
	for (i = 0; i < s->nprograms; i++) {
		snprintf(number, sizeof(number), "%llu",
			(unsigned long long)r->count[i]);
		buf_fmt(&b, " %*s |", (int)width[i], r->count[i] ? number : "");
	}
	buf_fmt(&b, " %s |\n", verdict(r));
	out_buf(s->out, &b);
	buf_free(&b);
}

static void
put_head(struct summary *s, size_t wide, const size_t *width)
{
	static const char dashes[] =
		"----------------------------------------------------------------";
	struct trace_buf b = {0};
	size_t i;

	buf_fmt(&b, "| %-*s |", (int)wide, "function");
	for (i = 0; i < s->nprograms; i++)
		buf_fmt(&b, " %*s |", (int)width[i], s->programs[i]);
	buf_str(&b, " libkmapemu |\n");
	buf_fmt(&b, "|%.*s|", (int)wide + 2, dashes);
	for (i = 0; i < s->nprograms; i++)
		buf_fmt(&b, "%.*s:|", (int)width[i] + 1, dashes);
	buf_str(&b, "---|\n");
	out_buf(s->out, &b);
	buf_free(&b);
}

static void
put_others(struct summary *s)
{
	struct trace_buf b = {0};
	const char *sep = "\nBeside these: ";
	size_t i;

	for (i = 0; i < COUNT(s->others); i++) {
		if (!s->others[i])
			continue;
		buf_fmt(&b, "%s%llu on %s", sep,
			(unsigned long long)s->others[i],
			i == TRACE_UNKNOWN ? "no known endpoint"
					   : trace_kind_name(i));
		sep = ", ";
	}
	if (b.len)
		buf_str(&b, ".\n");
	out_buf(s->out, &b);
	buf_free(&b);
}

static int
summary_finish(void *arg)
{
	struct summary *s = arg;
	size_t wide = strlen("function"), width[MAX_PROGRAMS] = {0}, i, n, at;
	char number[24];
	int rc;

	if (s->nrows)
		qsort(s->rows, s->nrows, sizeof(*s->rows), by_place);
	for (at = 0; at < s->nprograms; at++) {
		n = strlen(s->programs[at]);
		width[at] = n < 48 ? n : 48;
	}
	for (i = 0; i < s->nrows; i++) {
		n = strlen(s->rows[i].fn) + s->rows[i].escape;
		if (n > wide)
			wide = n < 48 ? n : 48;
		for (at = 0; at < s->nprograms; at++) {
			n = snprintf(number, sizeof(number), "%llu",
				(unsigned long long)s->rows[i].count[at]);
			if (n > width[at])
				width[at] = n;
		}
	}
	put_head(s, wide, width);
	for (i = 0; i < s->nrows; i++)
		put_row(s, &s->rows[i], wide, width);
	put_others(s);
	rc = out_close(s->out);
	for (i = 0; i < s->nrows; i++)
		free(s->rows[i].fn);
	for (i = 0; i < s->nprograms; i++)
		free(s->programs[i]);
	free(s->column);
	free(s->rows);
	free(s);
	return rc;
}

const struct trace_sink *
trace_summary_sink(struct trace_out *out)
{
	static struct trace_sink sink;
	struct summary *s = xcalloc(1, sizeof(*s));

	s->out = out;
	sink = (struct trace_sink){
		.name = "summary",
		.arg = s,
		.call = summary_call,
		.finish = summary_finish,
	};
	return &sink;
}
