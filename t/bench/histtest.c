/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The histogram of the measuring programs against sorting: quantiles of
 * known data must come out within one step.
 */
#include "config.h"

#include "common.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N 20000

static uint64_t state = 88172645463325252ull;
static int done, failed;

static uint64_t
draw(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static int
compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void
ok(int good, const char *what)
{
	printf("%sok %d - %s\n", good ? "" : "not ", ++done, what);
	failed += !good;
}

/* Off by at most 1 %, or by nothing where the steps are single values. */
static int
near(uint64_t got, uint64_t want)
{
	uint64_t off = got > want ? got - want : want - got;

	return want < HIST_STEPS ? !off : off * 100 <= want;
}

static uint64_t
sample(int how)
{
	switch (how) {
	case 0:
		return draw() % 64;
	case 1:
		return 1000 + draw() % 100000;
	case 2:
		return 1ull << draw() % 40;
	default:
		return draw() >> (24 + draw() % 36);
	}
}

static void
one(int how, const char *name)
{
	static const double q[] = {0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 1};
	static uint64_t v[N];
	static struct hist h;
	unsigned int i, bad = 0;
	uint64_t want, got;

	memset(&h, 0, sizeof(h));
	for (i = 0; i < N; i++) {
		v[i] = sample(how);
		hist_add(&h, v[i]);
	}
	qsort(v, N, sizeof(*v), compare);
	for (i = 0; i < sizeof(q) / sizeof(*q); i++) {
		want = v[(unsigned int)(q[i] * N + 0.5) - 1];
		got = hist_quantile(&h, q[i]);
		if (near(got, want))
			continue;
		printf("# quantile %g: %llu, should be %llu\n", q[i],
			(unsigned long long)got, (unsigned long long)want);
		bad++;
	}
	ok(!bad, name);
}

static void
corners(void)
{
	static struct hist h;

	ok(hist_quantile(&h, 0.5) == 0, "an empty histogram says 0");
	hist_add(&h, 7);
	ok(hist_quantile(&h, 0.01) == 7 && hist_quantile(&h, 1) == 7,
		"one value is every quantile");
	hist_add(&h, UINT64_MAX);
	ok(hist_quantile(&h, 1) >> (HIST_MAX_BITS - 1) == 1 && h.count == 2,
		"what is too large counts as the largest");
}

int
main(void)
{
	printf("1..7\n");
	one(0, "small values are exact");
	one(1, "uniform values");
	one(2, "powers of two");
	one(3, "values of many magnitudes");
	corners();
	return failed != 0;
}
