/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * look program NAME            what kmap-trace sees in a program file
 * look imports FILE            "recv GLIBC_2.2.5 libc.so.6", sorted
 * look symbol FILE VADDR...    the names of addresses of a file
 * look site FILE VADDR [FN]    the call that returns there
 * look damage FILE N           N damaged copies of it are read; ends in a
 *                              fault if one makes us read outside of it
 * look speed FILE N            N distinct addresses named; prints ns for each
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "../trace/eh-frame.h"
#include "../trace/elf-file.h"
#include "../trace/program.h"
#include "../trace/symbol.h"

static int
program(const char *name)
{
	static const char *const libcs[] = {"none", "glibc", "musl", "other"};
	struct trace_program p;
	char why[128] = "";
	int rc = trace_program_look(&p, name, getenv("PATH"), why, sizeof(why));

	if (rc) {
		printf("error %d %s\n", -rc, why);
		return 1;
	}
	printf("chain");
	for (size_t i = 0; i < p.nchain; i++)
		printf(" %s", p.chain[i]);
	printf("\nbits %d\nlibc %s\ninterp %s\nbuild-id %s\nmarks%s%s%s%s%s\n",
		p.bits, libcs[p.libc], p.interp, p.build_id,
		p.is_static ? " static" : "", p.go ? " go" : "",
		p.setuid ? " setuid" : "", p.setgid ? " setgid" : "",
		p.caps ? " caps" : "");
	printf("obstacle %d\n%s\n", p.obstacle, p.sentence);
	trace_program_free(&p);
	return 0;
}

static int
open_file(struct trace_elf *e, const char *path)
{
	char why[128] = "";

	if (!trace_elf_open(e, path, why, sizeof(why)))
		return 0;
	printf("error %s\n", why);
	return 1;
}

static int
imports(const char *path)
{
	struct trace_import *list;
	struct trace_elf e;
	int n;

	if (open_file(&e, path))
		return 1;
	n = trace_elf_imports(&e, &list);
	for (int i = 0; i < n; i++)
		printf("%s %s %s\n", list[i].name, list[i].version,
			list[i].library);
	free(list);
	trace_elf_close(&e);
	return 0;
}

static void
use_all(struct trace_elf *e)
{
	struct trace_import *list, import;
	struct eh_entry *frames;
	uint64_t base;
	size_t left;

	eh_frame_table(e, &frames, &base);
	free(frames);

	if (trace_elf_imports(e, &list) > 0 && list[0].name[0] == 1)
		puts("odd");
	free(list);
	for (size_t i = 0; i < e->nslots; i += 1 + e->nslots / 64)
		trace_elf_slot(e, e->slots[i].vaddr, &import);
	for (size_t i = 0; i < e->nsymtab; i += 1 + e->nsymtab / 64)
		trace_elf_string(
			e->strtab, e->strtab_size, e->symtab[i].st_name);
	for (size_t i = 0; i < e->nloads; i++) {
		const uint8_t *p = trace_elf_at(e, e->loads[i].vaddr, &left);

		if (p && left && p[left - 1] == 1 && p[0] == 1)
			puts("");
	}
}

/*
 * Copies end at a page that cannot be read. Most damage goes where headers
 * and tables are: the first page, and the words that look like small offsets.
 */
static int
damage(const char *path, int n)
{
	struct trace_elf e;
	size_t size, room;
	uint8_t *at, *area;
	int refused = 0;

	if (open_file(&e, path))
		return 1;
	size = e.size & ~(size_t)7;
	room = ((size + 4095) & ~(size_t)4095) + 4096;
	area = mmap(NULL, room, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (area == MAP_FAILED || mprotect(area + room - 4096, 4096, PROT_NONE))
		return 2;
	srandom(1);
	for (int i = 0; i < n; i++) {
		struct trace_elf d;
		char why[128] = "";
		size_t len = size;

		if (i % 3 == 0)
			len = (random() % size) & ~(size_t)7;
		at = area + room - 4096 - len;
		memcpy(at, e.map, len);
		for (int k = 0; len >= 64 && i % 3 && k < 1 + i % 5; k++) {
			static const uint64_t words[] = {0, 1, 8, 0x1000,
				0x7fffffff, 0xffffffff, 1ull << 63, -1ull,
				-8ull};
			size_t where = random() % (i & 4 ? len : 1024) % len;
			uint64_t w = words[random() % 9];

			if (where > len - 8)
				where = len - 8;
			memcpy(at + where, &w, 1 << random() % 4);
		}
		if (trace_elf_memory(&d, at, len, why, sizeof(why))) {
			refused++;
			if (!*why) {
				puts("refused without a reason");
				return 1;
			}
			continue;
		}
		use_all(&d);
		trace_elf_close(&d);
	}
	trace_elf_close(&e);
	printf("%d refused\n", refused);
	return 0;
}

/* A process with that file at its own addresses. */
static void
fake(struct trace_process *p, struct trace_module *m, const char *path)
{
	path = realpath(path, NULL);
	*m = (struct trace_module){.path = path ? path : "", .end = UINT64_MAX};
	*p = (struct trace_process){.id = 1, .nmodules = 1, .modules = m};
}

static uint64_t
number(const char *s)
{
	return strtoull(s, NULL, 0);
}

static int
speed(const struct trace_process *p, uint64_t n)
{
	struct timespec a, b;

	for (int pass = 0; pass < 2; pass++) {
		clock_gettime(CLOCK_MONOTONIC, &a);
		for (uint64_t i = 1; i <= n; i++)
			trace_symbol(p, 0x28000 + 5 * i);
		clock_gettime(CLOCK_MONOTONIC, &b);
		printf("%s %.0f\n", pass ? "again" : "first",
			((b.tv_sec - a.tv_sec) * 1e9 +
				(b.tv_nsec - a.tv_nsec)) /
				n);
	}
	return 0;
}

int
main(int argc, char **argv)
{
	struct trace_process p;
	struct trace_module m;

	if (argc == 3 && !strcmp(argv[1], "program"))
		return program(argv[2]);
	if (argc == 3 && !strcmp(argv[1], "imports"))
		return imports(argv[2]);
	if (argc < 4) {
		fprintf(stderr, "usage: see look.c\n");
		return 2;
	}
	if (!strcmp(argv[1], "damage"))
		return damage(argv[2], atoi(argv[3]));
	fake(&p, &m, argv[2]);
	if (!strcmp(argv[1], "speed"))
		return speed(&p, number(argv[3]));
	if (!strcmp(argv[1], "site")) {
		static const char *const kinds[] = {
			"unknown", "plt", "got", "direct", "tail", "indirect"};
		const struct trace_site *s =
			trace_call_site(&p, number(argv[3]), argv[4]);

		printf("%s %s\n", kinds[s->kind], s->text);
		return 0;
	}
	for (int i = 3; i < argc; i++)
		puts(trace_symbol(&p, number(argv[i])));
	return 0;
}
