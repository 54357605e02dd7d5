/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "eh-frame.h"

#include <stdlib.h>
#include <string.h>

/* Pointer encodings, the low four bits: the size. */
#define ABSPTR 0x00
#define UDATA4 0x03
#define SDATA4 0x0b
#define UDATA8 0x04
#define SDATA8 0x0c
#define PCREL 0x10

#ifndef SHT_X86_64_UNWIND
#define SHT_X86_64_UNWIND 0x70000001
#endif

struct section {
	const uint8_t *p;
	uint64_t vaddr;
	size_t size;
	size_t pointer; /* bytes */
};

static bool
find_section(const struct trace_elf *e, struct section *s)
{
	for (size_t i = 0; i < e->nsections; i++) {
		const Elf64_Shdr *h = &e->sections[i];
		size_t left;

		if (!(h->sh_flags & SHF_ALLOC) || h->sh_flags & SHF_EXECINSTR)
			continue;
		if (h->sh_type != SHT_PROGBITS &&
			h->sh_type != SHT_X86_64_UNWIND)
			continue;
		if (strcmp(trace_elf_string(
				   e->shstr, e->shstr_size, h->sh_name),
			    ".eh_frame"))
			continue;
		s->p = trace_elf_at(e, h->sh_addr, &left);
		s->vaddr = h->sh_addr;
		s->pointer = e->bits / 8;
		s->size = h->sh_size < left ? h->sh_size : left;
		return s->p != NULL;
	}
	return false;
}

static bool
uleb(const struct section *s, size_t *at, size_t end, uint64_t *v)
{
	unsigned shift = 0;

	for (*v = 0; *at < end && shift < 64; shift += 7) {
		uint8_t b = s->p[(*at)++];

		*v |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80))
			return true;
	}
	return false;
}

static size_t
encoded_size(const struct section *s, int encoding)
{
	switch (encoding & 0x0f) {
	case ABSPTR:
		return s->pointer;
	case UDATA8:
	case SDATA8:
		return 8;
	case UDATA4:
	case SDATA4:
		return 4;
	}
	return 0;
}

/* How the CIE at `at` has its FDEs written down; -1: unknown. */
static int
cie_encoding(const struct section *s, size_t at)
{
	uint32_t len, id;
	uint64_t v;
	const char *aug;
	size_t end;

	if (at > s->size || s->size - at < 9)
		return -1;
	memcpy(&len, s->p + at, 4);
	memcpy(&id, s->p + at + 4, 4);
	if (id || len < 5 || len > s->size - at - 4)
		return -1;
	end = at + 4 + len;
	at += 9; /* length, id, version */
	aug = (const char *)s->p + at;
	if (!memchr(aug, 0, end - at))
		return -1;
	at += strlen(aug) + 1;
	/* code and data alignment, the return address's register */
	if (!uleb(s, &at, end, &v) || !uleb(s, &at, end, &v) ||
		!uleb(s, &at, end, &v))
		return -1;
	if (*aug != 'z')
		return *aug ? -1 : ABSPTR;
	if (!uleb(s, &at, end, &v))
		return -1;
	for (aug++; *aug; aug++) {
		if (*aug == 'S' || *aug == 'B')
			continue;
		if (at >= end)
			return -1;
		if (*aug == 'R')
			return s->p[at];
		if (*aug == 'L')
			at++;
		else if (*aug == 'P' && encoded_size(s, s->p[at]))
			at += 1 + encoded_size(s, s->p[at]);
		else
			return -1;
	}
	return ABSPTR;
}

static bool
fde_start(const struct section *s, size_t at, size_t end, int encoding,
	uint64_t *start)
{
	size_t n = encoded_size(s, encoding);
	int32_t v4;

	if (!n || end - at < n || (encoding & 0x70 & ~PCREL))
		return false;
	if (n == 8) {
		memcpy(start, s->p + at, 8);
	} else {
		memcpy(&v4, s->p + at, 4);
		*start = (encoding & 0x0f) == SDATA4 ? (uint64_t)(int64_t)v4
						     : (uint32_t)v4;
	}
	if (encoding & PCREL)
		*start += s->vaddr + at;
	return true;
}

static int
compare(const void *a, const void *b)
{
	const struct eh_entry *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

size_t
eh_frame_table(
	const struct trace_elf *e, struct eh_entry **list, uint64_t *base)
{
	struct section s;
	struct eh_entry *l = NULL;
	size_t n = 0, room = 0, cie = SIZE_MAX;
	int encoding = -1;

	*list = NULL;
	if (!find_section(e, &s))
		return 0;
	*base = s.vaddr;
	for (size_t at = 0; s.size - at >= 8;) {
		uint32_t len, id;
		uint64_t start;
		size_t from;

		memcpy(&len, s.p + at, 4);
		memcpy(&id, s.p + at + 4, 4);
		/* Zero ends a file's part of it: another may follow. */
		if (!len) {
			at += 4;
			continue;
		}
		/* 64-bit lengths are not in use. */
		if (len == UINT32_MAX || len < 4 || len > s.size - at - 4)
			break;
		from = id <= at + 4 ? at + 4 - id : SIZE_MAX;
		if (id && from != cie) {
			cie = from;
			encoding = cie_encoding(&s, cie);
		}
		if (id && encoding >= 0 &&
			fde_start(&s, at + 8, at + 4 + len, encoding, &start) &&
			(int64_t)(start - *base) == (int32_t)(start - *base)) {
			if (n == room) {
				struct eh_entry *m;

				room = room ? 2 * room : 1024;
				m = realloc(l, room * sizeof(*l));
				if (!m)
					break;
				l = m;
			}
			l[n].start = start - *base;
			l[n++].fde = at;
		}
		at += 4 + len;
	}
	if (n)
		qsort(l, n, sizeof(*l), compare);
	*list = l;
	return n;
}
