/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Folded stacks, as flamegraph.pl, inferno and speedscope read them: one
 * line for each different stack, outermost frame first, then the function
 * called, then how often. Offsets are left out: they would part what a flame
 * graph joins.
 */
#include "config.h"

#include "sinks.h"

#include <stdlib.h>
#include <string.h>

#include "decode.h"

struct fold {
	uint32_t stack, process;
	const char *fn; /* ours */
	char *text; /* the line without its count */
	uint64_t count;
};

struct folded {
	struct trace_out *out;
	struct fold *folds; /* a hash table with open addressing */
	size_t n, room;
};

static struct fold *
place(struct fold *folds, size_t room, uint32_t stack, uint32_t process,
	const char *fn)
{
	size_t h = stack * 2654435761u + process * 40503u, i;
	const char *p;

	for (p = fn; *p; p++)
		h = h * 31 + (unsigned char)*p;
	for (i = h & (room - 1); folds[i].count; i = (i + 1) & (room - 1))
		if (folds[i].stack == stack && folds[i].process == process &&
			!strcmp(folds[i].fn, fn))
			break;
	return &folds[i];
}

/* A frame must not hold what parts frames, nor its offset. */
static void
put_frame(struct trace_buf *b, const char *name)
{
	const char *plus = strstr(name, "+0x");
	size_t n = plus && strchr(name, '!') ? (size_t)(plus - name)
					     : strlen(name);

	for (; n; n--, name++)
		buf_char(b, *name == ';' || *name == '\n' ? ':' : *name);
}

static char *
fold_text(const struct trace_call *c)
{
	const char *exe = c->process->exe ? c->process->exe : "";
	const char *slash = strrchr(exe, '/');
	struct trace_buf b = {0};
	const char *const *names;
	size_t i;

	put_frame(&b, slash ? slash + 1 : *exe ? exe : "?");
	if (c->stack) {
		names = trace_stack_names(c->process, c->stack);
		for (i = c->stack->n; i-- > 0;) {
			buf_char(&b, ';');
			put_frame(&b, names[i]);
		}
	}
	buf_char(&b, ';');
	if (c->escape != TRACE_COVERED)
		buf_char(&b, '!');
	buf_str(&b, trace_call_name(c));
	return b.s;
}

static void
folded_call(void *arg, const struct trace_call *c)
{
	struct folded *f = arg;
	const char *fn = trace_call_name(c);
	uint32_t id = c->stack ? c->stack->id : 0;
	struct fold *folds, *at;
	size_t room, i;

	if (2 * f->n >= f->room) {
		room = f->room ? 2 * f->room : 256;
		folds = xcalloc(room, sizeof(*folds));
		for (i = 0; i < f->room; i++)
			if (f->folds[i].count)
				*place(folds, room, f->folds[i].stack,
					f->folds[i].process, f->folds[i].fn) =
					f->folds[i];
		free(f->folds);
		f->folds = folds;
		f->room = room;
	}
	at = place(f->folds, f->room, id, c->process->id, fn);
	if (!at->count) {
		f->n++;
		at->stack = id;
		at->process = c->process->id;
		at->text = fold_text(c);
		at->fn = xstrdup(fn);
	}
	at->count++;
}

static int
by_text(const void *a, const void *b)
{
	const struct fold *x = a, *y = b;

	return strcmp(x->text, y->text);
}

static int
folded_finish(void *arg)
{
	struct folded *f = arg;
	struct trace_buf b = {0};
	uint64_t count;
	size_t i, n = 0;
	int rc;

	for (i = 0; i < f->room; i++)
		if (f->folds[i].count)
			f->folds[n++] = f->folds[i];
	if (n)
		qsort(f->folds, n, sizeof(*f->folds), by_text);
	for (i = 0; i < n;) {
		/* Different processes, or offsets, give the same line. */
		const char *text = f->folds[i].text;

		for (count = 0; i < n && !strcmp(f->folds[i].text, text); i++)
			count += f->folds[i].count;
		buf_fmt(&b, "%s %llu\n", text, (unsigned long long)count);
		out_buf(f->out, &b);
	}
	for (i = 0; i < n; i++) {
		free(f->folds[i].text);
		free((char *)f->folds[i].fn);
	}
	rc = out_close(f->out);
	buf_free(&b);
	free(f->folds);
	free(f);
	return rc;
}

const struct trace_sink *
trace_folded_sink(struct trace_out *out)
{
	static struct trace_sink sink;
	struct folded *f = xcalloc(1, sizeof(*f));

	f->out = out;
	sink = (struct trace_sink){
		.name = "folded",
		.arg = f,
		.call = folded_call,
		.finish = folded_finish,
	};
	return &sink;
}
