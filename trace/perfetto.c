/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Chrome's trace event format, JSON object form: Perfetto and chrome://tracing
 * open it. A call is a complete event ("ph":"X") of its thread, times in
 * microseconds. The whole stack of an event is in "stackFrames" under its
 * "sf"; the inner frames are in its arguments, too, because Perfetto shows
 * those.
 */
#include "config.h"

#include "sinks.h"

#include <stdlib.h>
#include <string.h>

#include "decode.h"

#define SHOWN_FRAMES 6

struct perfetto {
	struct trace_out *out;
	size_t data;
	struct trace_buf line;
	bool any; /* an event was written: a comma comes before the next */
	/* Of each stack that was seen: the id of its innermost frame. */
	uint32_t *leaves;
	size_t nleaves;
	/* Frames, each with its parent, as a tree that stacks share. */
	struct frame {
		const char *name; /* of names.c, each name once */
		uint32_t parent;
	} * frames;
	size_t nframes, frames_room;
	uint32_t *table; /* frame ids by name and parent */
	size_t table_room;
};

static size_t
frame_hash(const char *name, uint32_t parent)
{
	return ((uintptr_t)name >> 4) * 2654435761u + parent * 40503u;
}

static void
rehash(struct perfetto *p)
{
	size_t room = p->table_room ? 2 * p->table_room : 1024, i, h;

	free(p->table);
	p->table = xcalloc(room, sizeof(*p->table));
	p->table_room = room;
	for (i = 0; i < p->nframes; i++) {
		h = frame_hash(p->frames[i].name, p->frames[i].parent);
		while (p->table[h & (room - 1)])
			h++;
		p->table[h & (room - 1)] = i + 1;
	}
}

/* The id, from 1, of a frame under its parent. */
static uint32_t
frame_id(struct perfetto *p, const char *name, uint32_t parent)
{
	struct frame *f;
	size_t h;

	if (2 * p->nframes >= p->table_room)
		rehash(p);
	for (h = frame_hash(name, parent); p->table[h & (p->table_room - 1)];
		h++) {
		f = &p->frames[p->table[h & (p->table_room - 1)] - 1];
		if (f->name == name && f->parent == parent)
			return p->table[h & (p->table_room - 1)];
	}
	if (p->nframes == p->frames_room) {
		p->frames_room = p->frames_room ? 2 * p->frames_room : 512;
		p->frames = xrealloc(
			p->frames, p->frames_room * sizeof(*p->frames));
	}
	p->frames[p->nframes++] = (struct frame){name, parent};
	p->table[h & (p->table_room - 1)] = p->nframes;
	return p->nframes;
}

static uint32_t
stack_leaf(struct perfetto *p, const struct trace_call *c)
{
	const struct trace_stack *s = c->stack;
	const char *const *names;
	uint32_t id = 0;
	size_t room, i;

	if (s->id >= p->nleaves) {
		room = s->id >= 2 * p->nleaves ? s->id + 64 : 2 * p->nleaves;
		p->leaves = xrealloc(p->leaves, room * sizeof(*p->leaves));
		memset(p->leaves + p->nleaves, 0,
			(room - p->nleaves) * sizeof(*p->leaves));
		p->nleaves = room;
	}
	if (!p->leaves[s->id]) {
		names = trace_stack_names(c->process, s);
		for (i = s->n; i-- > 0;)
			id = frame_id(p, names[i], id);
		p->leaves[s->id] = id;
	}
	return p->leaves[s->id];
}

static void
begin(struct perfetto *p)
{
	if (p->any)
		buf_str(&p->line, ",\n");
	p->any = true;
}

static void
metadata(struct perfetto *p, const char *what, pid_t pid, pid_t tid,
	const char *name)
{
	begin(p);
	buf_fmt(&p->line,
		"{\"name\":\"%s\",\"ph\":\"M\",\"pid\":%d,\"tid\":%d,"
		"\"args\":{\"name\":",
		what, pid, tid);
	buf_json(&p->line, name);
	buf_str(&p->line, "}}");
	out_buf(p->out, &p->line);
}

static void
perfetto_process(void *arg, const struct trace_process *pr)
{
	struct perfetto *p = arg;

	/* The last one stands, that of the last exec. */
	metadata(p, "process_name", pr->pid, pr->pid,
		pr->cmdline && pr->cmdline[0] ? pr->cmdline
			: pr->exe	      ? pr->exe
					      : "?");
}

/* Microseconds with their three decimals, exactly. */
static void
put_us(struct trace_buf *b, const char *key, uint64_t ns)
{
	buf_fmt(b, ",\"%s\":%llu.%03llu", key, (unsigned long long)(ns / 1000),
		(unsigned long long)(ns % 1000));
}

static void
put_args(struct perfetto *p, const struct trace_call *c)
{
	const struct trace_endpoint *e = trace_endpoint_by_id(c->ep);
	struct trace_buf *b = &p->line;
	const char *const *names;
	size_t i;

	buf_str(b, ",\"args\":{\"call\":");
	trace_decode_json(b, c, p->data);
	buf_fmt(b, ",\"ret\":%lld,\"error\":", (long long)c->ret);
	buf_json(b,
		c->cut ? "unfinished"
			: c->err && strerrorname_np(c->err)
			? strerrorname_np(c->err)
			: "");
	buf_fmt(b, ",\"endpoint\":\"");
	if (e)
		buf_fmt(b, "#c%u ", e->id);
	buf_str(b, "\"");
	if (e) {
		buf_str(b, ",\"local\":");
		buf_json(b, e->local);
		buf_str(b, ",\"peer\":");
		buf_json(b, e->peer);
	}
	if (c->escape != TRACE_COVERED)
		buf_fmt(b, ",\"escape\":\"%s\"", trace_escape_name(c->escape));
	if (c->stack) {
		names = trace_stack_names(c->process, c->stack);
		buf_str(b, ",\"stack\":[");
		for (i = 0; i < c->stack->n && i < SHOWN_FRAMES; i++) {
			buf_str(b, i ? "," : "");
			buf_json(b, names[i]);
		}
		buf_str(b, "]");
	}
	buf_char(b, '}');
}

static void
perfetto_call(void *arg, const struct trace_call *c)
{
	const struct trace_endpoint *e = trace_endpoint_by_id(c->ep);
	struct perfetto *p = arg;
	struct trace_buf *b = &p->line;

	begin(p);
	buf_str(b, "{\"name\":");
	buf_json(b, trace_call_name(c));
	buf_fmt(b, ",\"cat\":\"%s\",\"ph\":\"X\"",
		trace_kind_name(e ? e->kind : TRACE_UNKNOWN));
	put_us(b, "ts", c->t);
	put_us(b, "dur", c->dur);
	buf_fmt(b, ",\"pid\":%d,\"tid\":%d", c->process->pid, c->tid);
	if (c->stack)
		buf_fmt(b, ",\"sf\":%u", stack_leaf(p, c));
	put_args(p, c);
	buf_char(b, '}');
	out_buf(p->out, b);
}

static void
perfetto_tick(void *arg)
{
	struct perfetto *p = arg;

	out_flush(p->out);
}

static int
perfetto_finish(void *arg)
{
	struct perfetto *p = arg;
	struct trace_buf *b = &p->line;
	size_t i;
	int rc;

	buf_str(b, "\n],\"stackFrames\":{");
	for (i = 0; i < p->nframes; i++) {
		buf_fmt(b, "%s\n\"%zu\":{\"name\":", i ? "," : "", i + 1);
		buf_json(b, p->frames[i].name);
		if (p->frames[i].parent)
			buf_fmt(b, ",\"parent\":%u", p->frames[i].parent);
		buf_char(b, '}');
		out_buf(p->out, b);
	}
	buf_str(b, "}}\n");
	out_buf(p->out, b);
	rc = out_close(p->out);
	buf_free(b);
	free(p->leaves);
	free(p->frames);
	free(p->table);
	free(p);
	return rc;
}

const struct trace_sink *
trace_perfetto_sink(struct trace_out *out, size_t data)
{
	static struct trace_sink sink;
	struct perfetto *p = xcalloc(1, sizeof(*p));

	p->out = out;
	p->data = data;
	buf_str(&p->line, "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n");
	sink = (struct trace_sink){
		.name = "perfetto",
		.arg = p,
		.process = perfetto_process,
		.call = perfetto_call,
		.tick = perfetto_tick,
		.finish = perfetto_finish,
	};
	return &sink;
}
