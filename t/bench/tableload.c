/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tableload - how long the library takes to read a table (kmap-table(5)).
 *
 *	tableload table
 *
 * Prints one line of JSON: ns of the first time, and the median of 51 times.
 */
#include "config.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "table.h"

#define TIMES 51

static int
compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

int
main(int argc, char **argv)
{
	struct kmap_table_error e;
	struct kmap_table t;
	struct timespec from, to;
	uint64_t took[TIMES], first;
	char why[256];

	if (argc != 2)
		return 2;
	for (int i = 0; i < TIMES; i++) {
		clock_gettime(CLOCK_MONOTONIC, &from);
		if (kmap_table_load_rules(&t, argv[1], &e)) {
			kmap_table_error_text(&e, argv[1], why, sizeof(why));
			fprintf(stderr, "%s\n", why);
			return 1;
		}
		kmap_table_free(&t);
		clock_gettime(CLOCK_MONOTONIC, &to);
		took[i] = (uint64_t)(to.tv_sec - from.tv_sec) * 1000000000u +
			(uint64_t)to.tv_nsec - (uint64_t)from.tv_nsec;
	}
	first = took[0];
	qsort(took, TIMES, sizeof(*took), compare);
	printf("{\"first\":%llu,\"median\":%llu}\n", (unsigned long long)first,
		(unsigned long long)took[TIMES / 2]);
	return 0;
}
