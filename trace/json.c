/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * JSON Lines. A line is a process, an endpoint, a stack or a call; the first
 * three come before the first call that names them, and a process or endpoint
 * again when it changed. Keys are always all there, in this order.
 */
#include "config.h"

#include "sinks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "decode.h"

struct json {
	struct trace_out *out;
	size_t data;
	struct trace_buf line;
	bool *stacks; /* by id: written */
	size_t nstacks;
};

static void
key(struct trace_buf *b, const char *name)
{
	buf_fmt(b, "%s\"%s\":", b->s[b->len - 1] == '{' ? "" : ",", name);
}

static void
key_int(struct trace_buf *b, const char *name, int64_t v)
{
	key(b, name);
	buf_fmt(b, "%lld", (long long)v);
}

static void
key_uint(struct trace_buf *b, const char *name, uint64_t v)
{
	key(b, name);
	buf_fmt(b, "%llu", (unsigned long long)v);
}

static void
key_str(struct trace_buf *b, const char *name, const char *v)
{
	key(b, name);
	buf_json(b, v ? v : "");
}

static void
key_bool(struct trace_buf *b, const char *name, bool v)
{
	key(b, name);
	buf_str(b, v ? "true" : "false");
}

static void
begin(struct json *j, const char *type)
{
	buf_char(&j->line, '{');
	key_str(&j->line, "type", type);
}

static void
end(struct json *j)
{
	buf_str(&j->line, "}\n");
	out_buf(j->out, &j->line);
}

static void
json_process(void *arg, const struct trace_process *p)
{
	struct json *j = arg;
	struct trace_buf *b = &j->line;
	bool ended = p->status != -1;
	size_t i;

	begin(j, "process");
	key_uint(b, "id", p->id);
	key_int(b, "pid", p->pid);
	key_int(b, "ppid", p->ppid);
	key_uint(b, "t", p->t);
	key_str(b, "exe", p->exe);
	key_str(b, "cmdline", p->cmdline);
	key_bool(b, "recorded", p->recorded);
	key(b, "exit");
	if (ended && WIFEXITED(p->status))
		buf_fmt(b, "%d", WEXITSTATUS(p->status));
	else
		buf_str(b, "null");
	key(b, "signal");
	if (ended && WIFSIGNALED(p->status))
		buf_fmt(b, "%d", WTERMSIG(p->status));
	else
		buf_str(b, "null");
	key(b, "modules");
	buf_char(b, '[');
	for (i = 0; i < p->nmodules; i++) {
		const struct trace_module *m = &p->modules[i];

		buf_str(b, i ? ",{" : "{");
		key_str(b, "path", m->path);
		key_uint(b, "base", m->base);
		key_uint(b, "start", m->start);
		key_uint(b, "end", m->end);
		key_str(b, "build_id", m->build_id);
		buf_char(b, '}');
	}
	buf_char(b, ']');
	end(j);
}

static void
json_endpoint(void *arg, const struct trace_endpoint *e)
{
	struct json *j = arg;
	struct trace_buf *b = &j->line;

	begin(j, "endpoint");
	key_uint(b, "id", e->id);
	key_uint(b, "cookie", e->cookie);
	key_str(b, "kind", trace_kind_name(e->kind));
	key_str(b, "origin", trace_origin_name(e->origin));
	key_int(b, "domain", e->domain);
	key_int(b, "socktype", e->type);
	key_int(b, "protocol", e->protocol);
	key_bool(b, "connected", e->connected);
	key_str(b, "local", e->local);
	key_str(b, "peer", e->peer);
	key_uint(b, "listener", e->listener);
	end(j);
}

static void
put_stack(struct json *j, const struct trace_call *c)
{
	const struct trace_stack *s = c->stack;
	struct trace_buf *b = &j->line;
	const char *const *names;
	size_t room, i;

	if (s->id >= j->nstacks) {
		room = s->id >= 2 * j->nstacks ? s->id + 64 : 2 * j->nstacks;
		j->stacks = xrealloc(j->stacks, room * sizeof(*j->stacks));
		memset(j->stacks + j->nstacks, 0, room - j->nstacks);
		j->nstacks = room;
	}
	if (j->stacks[s->id])
		return;
	j->stacks[s->id] = true;
	names = trace_stack_names(c->process, s);
	begin(j, "stack");
	key_uint(b, "id", s->id);
	key_uint(b, "process", c->process->id);
	key(b, "frames");
	buf_char(b, '[');
	for (i = 0; i < s->n; i++) {
		buf_str(b, i ? "," : "");
		buf_json(b, names[i]);
	}
	buf_str(b, "]");
	key(b, "addresses");
	buf_char(b, '[');
	for (i = 0; i < s->n; i++)
		buf_fmt(b, "%s%llu", i ? "," : "",
			(unsigned long long)s->frames[i].addr);
	buf_char(b, ']');
	end(j);
}

static void
json_call(void *arg, const struct trace_call *c)
{
	const struct trace_endpoint *e = trace_endpoint_by_id(c->ep);
	struct json *j = arg;
	struct trace_buf *b = &j->line;
	const char *name = c->err ? strerrorname_np(c->err) : "";

	if (c->stack)
		put_stack(j, c);
	begin(j, "call");
	key_int(b, "pid", c->process->pid);
	key_int(b, "tid", c->tid);
	key_uint(b, "t", c->t);
	key_uint(b, "dur", c->dur);
	key_str(b, "fn", c->fn);
	key_str(b, "version", c->version);
	key_str(b, "sys", trace_sys_name(c->sys));
	key_int(b, "fd", c->fd);
	key_uint(b, "endpoint", c->ep);
	key_str(b, "kind", trace_kind_name(e ? e->kind : TRACE_UNKNOWN));
	key(b, "args");
	trace_decode_json(b, c, j->data);
	if (c->cut) {
		key(b, "ret");
		buf_str(b, "null");
	} else {
		key_int(b, "ret", c->ret);
	}
	key_int(b, "errno", c->err);
	key_str(b, "errname", name);
	key_uint(b, "stack", c->stack ? c->stack->id : 0);
	key_str(b, "escape", trace_escape_name(c->escape));
	end(j);
}

static void
json_tick(void *arg)
{
	struct json *j = arg;

	out_flush(j->out);
}

static int
json_finish(void *arg)
{
	struct json *j = arg;
	int rc = out_close(j->out);

	buf_free(&j->line);
	free(j->stacks);
	free(j);
	return rc;
}

const struct trace_sink *
trace_json_sink(struct trace_out *out, size_t data)
{
	static struct trace_sink sink;
	struct json *j = xcalloc(1, sizeof(*j));

	j->out = out;
	j->data = data;
	sink = (struct trace_sink){
		.name = "json",
		.arg = j,
		.process = json_process,
		.endpoint = json_endpoint,
		.call = json_call,
		.tick = json_tick,
		.finish = json_finish,
	};
	return &sink;
}
