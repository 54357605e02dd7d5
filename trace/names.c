/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "sinks.h"

#include <stdlib.h>
#include <string.h>

#include "symbol.h"

/* By stack id; ids count from 1 without large gaps. */
static const char *const **stacks;
static size_t nstacks;

/* Every name once: a hash table with open addressing. */
static const char **words;
static size_t nwords, words_room;

static size_t
hash(const char *s)
{
	size_t h = 14695981039346656037u;

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 1099511628211u;
	return h;
}

static const char **
word_place(const char **table, size_t room, const char *s)
{
	size_t i = hash(s) & (room - 1);

	while (table[i] && strcmp(table[i], s))
		i = (i + 1) & (room - 1);
	return &table[i];
}

static const char *
word(const char *s)
{
	const char **place, **bigger;
	size_t room, i;

	if (2 * nwords >= words_room) {
		room = words_room ? 2 * words_room : 1024;
		bigger = xcalloc(room, sizeof(*bigger));
		for (i = 0; i < words_room; i++)
			if (words[i])
				*word_place(bigger, room, words[i]) = words[i];
		free(words);
		words = bigger;
		words_room = room;
	}
	place = word_place(words, words_room, s);
	if (!*place) {
		*place = xstrdup(s);
		nwords++;
	}
	return *place;
}

const char *const *
trace_stack_names(const struct trace_process *p, const struct trace_stack *s)
{
	const char **names;
	size_t room, i;

	if (s->id >= nstacks) {
		room = s->id >= 2 * nstacks ? s->id + 256 : 2 * nstacks;
		stacks = xrealloc(stacks, room * sizeof(*stacks));
		memset(stacks + nstacks, 0, (room - nstacks) * sizeof(*stacks));
		nstacks = room;
	}
	if (stacks[s->id])
		return stacks[s->id];
	names = xcalloc(s->n, sizeof(*names));
	for (i = 0; i < s->n; i++)
		names[i] = word(trace_symbol(p, s->frames[i].addr));
	stacks[s->id] = names;
	return names;
}
