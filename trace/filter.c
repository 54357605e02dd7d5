/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "sinks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decode.h"

struct rule {
	bool not ;
	char *text; /* what the words point into */
	char **words;
	size_t n;
	struct rule *next;
};

struct trace_filter {
	struct rule *calls, *endpoints;
};

struct trace_filter *
trace_filter_new(void)
{
	return xcalloc(1, sizeof(struct trace_filter));
}

/* After the rules there are, in order. */
static void
append(struct rule **at, struct rule *r)
{
	while (*at)
		at = &(*at)->next;
	*at = r;
}

int
trace_filter_add(struct trace_filter *f, const char *expression, char *why,
	size_t why_size)
{
	struct rule *r = xcalloc(1, sizeof(*r));
	bool endpoints = false;
	char *s, *word;

	r->text = s = xstrdup(expression);
	if (*s == '!') {
		r->not = true;
		s++;
	}
	if (!strncmp(s, "endpoint=", 9)) {
		endpoints = true;
		s += 9;
	} else if (!strncmp(s, "trace=", 6)) {
		s += 6;
	}
	if (*s == '!') {
		r->not = !r->not ;
		s++;
	}
	while ((word = strsep(&s, ","))) {
		if (!*word) {
			snprintf(why, why_size, "'%s': a name is empty",
				expression);
			return -EINVAL;
		}
		if (!endpoints && !trace_is_call(word)) {
			snprintf(why, why_size, "no call is named '%s'", word);
			return -EINVAL;
		}
		r->words = xrealloc(r->words, (r->n + 1) * sizeof(*r->words));
		r->words[r->n++] = word;
	}
	append(endpoints ? &f->endpoints : &f->calls, r);
	return 0;
}

static bool
is_call(const char *word, const struct trace_call *c)
{
	const char *fn = c->fn ? c->fn : "";

	return !strcmp(word, fn) || !strcmp(word, trace_plain_name(fn)) ||
		!strcmp(word, trace_sys_name(c->sys));
}

/* One address of an endpoint: whole, the host alone, or ":port". */
static bool
is_address(const char *word, const char *address)
{
	const char *port = strrchr(address, ':');

	if (!address[0])
		return false;
	if (!strcmp(word, address))
		return true;
	if (!port)
		return false;
	return !strcmp(word, port) ||
		(strlen(word) == (size_t)(port - address) &&
			!strncmp(word, address, port - address));
}

static bool
is_endpoint(const char *word, uint32_t ep)
{
	const struct trace_endpoint *e = trace_endpoint_by_id(ep);
	const char *id = word + (word[0] == '#');
	char text[16];

	if (!e)
		return false;
	snprintf(text, sizeof(text), "c%u", e->id);
	return !strcmp(id, text) || !strcmp(word, trace_kind_name(e->kind)) ||
		is_address(word, e->local) || is_address(word, e->peer);
}

/* Its own endpoint, or one of those in the poll set it is about. */
static bool
has_endpoint(const char *word, const struct trace_call *c)
{
	struct trace_poll p;
	size_t i, at;

	if (is_endpoint(word, c->ep))
		return true;
	for (i = 0; i < c->nitems; i++) {
		const struct trace_item *it = &c->items[i];

		if (it->type != TRACE_ITEM_POLL && it->type != TRACE_ITEM_EPOLL)
			continue;
		for (at = 0; at + sizeof(p) <= it->len; at += sizeof(p)) {
			memcpy(&p, (const char *)it->data + at, sizeof(p));
			if (is_endpoint(word, p.ep))
				return true;
		}
	}
	return false;
}

/*
 * The rules of one kind: what the first names (or all, when it begins with
 * "!"), then each adds or takes away.
 */
static bool
holds(const struct rule *r, const struct trace_call *c,
	bool (*is)(const char *, const struct trace_call *))
{
	bool shown = !r || r->not ;
	size_t i;

	for (; r; r = r->next)
		for (i = 0; i < r->n; i++)
			if (is(r->words[i], c))
				shown = !r->not ;
	return shown;
}

bool
trace_filter_holds(const struct trace_filter *f, const struct trace_call *c)
{
	return holds(f->calls, c, is_call) &&
		holds(f->endpoints, c, has_endpoint);
}

struct filtered {
	const struct trace_filter *filter;
	struct trace_sink to, *self;
};

static void
filtered_process(void *arg, const struct trace_process *p)
{
	struct filtered *f = arg;

	if (f->to.process)
		f->to.process(f->to.arg, p);
}

static void
filtered_endpoint(void *arg, const struct trace_endpoint *e)
{
	struct filtered *f = arg;

	if (f->to.endpoint)
		f->to.endpoint(f->to.arg, e);
}

static void
filtered_call(void *arg, const struct trace_call *c)
{
	struct filtered *f = arg;

	if (f->to.call && trace_filter_holds(f->filter, c))
		f->to.call(f->to.arg, c);
}

static void
filtered_tick(void *arg)
{
	struct filtered *f = arg;

	if (f->to.tick)
		f->to.tick(f->to.arg);
}

static int
filtered_finish(void *arg)
{
	struct filtered *f = arg;
	int rc = f->to.finish ? f->to.finish(f->to.arg) : 0;

	free(f->self);
	free(f);
	return rc;
}

const struct trace_sink *
trace_filter_sink(const struct trace_filter *f, const struct trace_sink *to)
{
	struct filtered *in = xcalloc(1, sizeof(*in));
	struct trace_sink *sink = xcalloc(1, sizeof(*sink));

	in->filter = f;
	in->to = *to;
	in->self = sink;
	*sink = (struct trace_sink){
		.name = to->name,
		.arg = in,
		.process = filtered_process,
		.endpoint = filtered_endpoint,
		.call = filtered_call,
		.tick = filtered_tick,
		.finish = filtered_finish,
	};
	return sink;
}
