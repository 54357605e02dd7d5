/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "event.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "must.h"

#define MAX_SINKS 16

static struct trace_sink sinks[MAX_SINKS];
static size_t nsinks;

/* By id - 1; a pointer each, so that what by_id gave stays where it is. */
static struct trace_endpoint **eps;
static uint32_t neps, room;

/* Open addressing: the id of each cookie. Never more than half full. */
static struct slot {
	uint64_t cookie;
	uint32_t id;
} * table;
static uint32_t slots, used;

void
trace_sink_add(const struct trace_sink *s)
{
	if (nsinks == MAX_SINKS)
		abort();
	sinks[nsinks++] = *s;
}

void
trace_emit_process(const struct trace_process *p)
{
	for (size_t i = 0; i < nsinks; i++)
		if (sinks[i].process)
			sinks[i].process(sinks[i].arg, p);
}

void
trace_emit_endpoint(const struct trace_endpoint *e)
{
	if (e->id == 0 || e->id > neps)
		return;
	if (eps[e->id - 1] != e)
		*eps[e->id - 1] = *e;
	for (size_t i = 0; i < nsinks; i++)
		if (sinks[i].endpoint)
			sinks[i].endpoint(sinks[i].arg, e);
}

void
trace_emit_call(const struct trace_call *c)
{
	for (size_t i = 0; i < nsinks; i++)
		if (sinks[i].call)
			sinks[i].call(sinks[i].arg, c);
}

void
trace_emit_tick(void)
{
	for (size_t i = 0; i < nsinks; i++)
		if (sinks[i].tick)
			sinks[i].tick(sinks[i].arg);
}

int
trace_finish(void)
{
	int err = 0;

	for (size_t i = 0; i < nsinks; i++) {
		int r = sinks[i].finish ? sinks[i].finish(sinks[i].arg) : 0;

		if (!err)
			err = r;
	}
	return err;
}

uint32_t
trace_process_id(void)
{
	static uint32_t last;

	return ++last;
}

uint32_t
trace_stack_id(void)
{
	static uint32_t last;

	return ++last;
}

const struct trace_endpoint *
trace_endpoint_by_id(uint32_t id)
{
	return id && id <= neps ? eps[id - 1] : NULL;
}

static uint32_t
new_id(uint64_t cookie)
{
	struct trace_endpoint *e = must(calloc(1, sizeof(*e)));

	if (neps == room) {
		room = room ? 2 * room : 64;
		eps = must(realloc(eps, room * sizeof(*eps)));
	}
	e->id = neps + 1;
	e->cookie = cookie;
	eps[neps++] = e;
	return e->id;
}

static struct slot *
find(uint64_t cookie)
{
	uint32_t i = (cookie * 0x9e3779b97f4a7c15u) >> 32;

	for (;; i++) {
		struct slot *s = &table[i & (slots - 1)];

		if (!s->id || s->cookie == cookie)
			return s;
	}
}

uint32_t
trace_endpoint_id(uint64_t cookie)
{
	struct slot *s;

	/* What has no cookie cannot be met again. */
	if (!cookie)
		return new_id(0);
	if (2 * used >= slots) {
		struct slot *old = table;
		uint32_t n = slots;

		slots = n ? 2 * n : 128;
		table = must(calloc(slots, sizeof(*table)));
		for (uint32_t i = 0; i < n; i++)
			if (old[i].id)
				*find(old[i].cookie) = old[i];
		free(old);
	}
	s = find(cookie);
	if (!s->id) {
		s->cookie = cookie;
		s->id = new_id(cookie);
		used++;
	}
	return s->id;
}
