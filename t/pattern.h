/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The bytes of every document that the program tests move: a function of a
 * seed and a position alone, so that a reader can say at any offset whether
 * a byte was lost, doubled, moved or taken from another connection.
 */
#ifndef KMAP_T_PATTERN_H
#define KMAP_T_PATTERN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t
pattern_word(uint64_t seed, uint64_t index)
{
	uint64_t z = (seed << 40) + (index + 1) * 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* Byte @pos of the document of @seed; little-endian words on any machine. */
static inline unsigned char
pattern_byte(uint64_t seed, uint64_t pos)
{
	return (unsigned char)(pattern_word(seed, pos / 8) >> (pos % 8 * 8));
}

static inline void
pattern_fill(unsigned char *buf, size_t len, uint64_t seed, uint64_t pos)
{
	size_t i = 0;
	uint64_t word;
	int b;

	while (i < len && (pos + i) % 8) {
		buf[i] = pattern_byte(seed, pos + i);
		i++;
	}
	for (; i + 8 <= len; i += 8) {
		word = pattern_word(seed, (pos + i) / 8);
		for (b = 0; b < 8; b++)
			buf[i + b] = (unsigned char)(word >> (b * 8));
	}
	for (; i < len; i++)
		buf[i] = pattern_byte(seed, pos + i);
}

/* The number of leading bytes of @buf that are right. */
static inline size_t
pattern_check(const unsigned char *buf, size_t len, uint64_t seed, uint64_t pos)
{
	unsigned char want[512];
	size_t done = 0, n, i;

	while (done < len) {
		n = len - done < sizeof(want) ? len - done : sizeof(want);
		pattern_fill(want, n, seed, pos + done);
		if (memcmp(buf + done, want, n)) {
			for (i = 0; buf[done + i] == want[i]; i++)
				;
			return done + i;
		}
		done += n;
	}
	return len;
}

#endif
