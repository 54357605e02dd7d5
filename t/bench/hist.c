/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hist - a log-linear histogram: exact below HIST_STEPS, then HIST_STEPS
 * equal steps in each power of two. One writer, no allocation.
 */
#include "config.h"

#include "common.h"

static unsigned int
index_of(uint64_t v)
{
	unsigned int top;

	if (v >> HIST_MAX_BITS)
		return HIST_SIZE - 1;
	if (v < HIST_STEPS)
		return (unsigned int)v;
	top = 63 - (unsigned int)__builtin_clzll(v);
	return (top - HIST_BITS + 1) * HIST_STEPS +
		(unsigned int)((v >> (top - HIST_BITS)) & (HIST_STEPS - 1));
}

/* The middle of a bucket: what is returned is at most half a step off. */
static uint64_t
value_of(unsigned int i)
{
	unsigned int shift;

	if (i < HIST_STEPS)
		return i;
	shift = i / HIST_STEPS - 1;
	return ((uint64_t)(HIST_STEPS + i % HIST_STEPS) << shift) +
		((1ull << shift) >> 1);
}

void
hist_add(struct hist *h, uint64_t value)
{
	h->count++;
	h->bucket[index_of(value)]++;
}

/* The smallest value that at least the part q of all values do not exceed. */
uint64_t
hist_quantile(const struct hist *h, double q)
{
	uint64_t want = (uint64_t)(q * (double)h->count), seen = 0;
	unsigned int i;

	if ((double)want < q * (double)h->count || !want)
		want++;
	for (i = 0; i < HIST_SIZE; i++) {
		seen += h->bucket[i];
		if (seen >= want)
			return value_of(i);
	}
	return 0;
}
