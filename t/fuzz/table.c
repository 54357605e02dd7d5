/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The parser of tables, fed with whatever. Linked with -fsanitize=fuzzer
 * -DFUZZER it is a target of libFuzzer. Alone:
 *
 *	table [-n RUNS] [-s SEED] FILE…	mutate these; TAP
 *	table --json FILE…		for each file a line of JSON: what was
 *					understood, or "error"
 */
#include "config.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "table.h"

static unsigned long accepted;

static void
walk(const struct kmap_value *v, unsigned int *n)
{
	for (; v; v = v->next) {
		++*n;
		if (v->key && strlen(v->key) > KMAP_TABLE_MAX)
			abort();
		if (v->type == KMAP_STRING) {
			if (strlen(v->string) > KMAP_TABLE_MAX)
				abort();
		} else if (v->type == KMAP_ARRAY || v->type == KMAP_INLINE)
			walk(v->first, n);
		else if (v->type > KMAP_INLINE)
			abort();
	}
}

/* Whatever is fed in: an error that says where, or a table that is whole. */
static int
one(const uint8_t *data, size_t size)
{
	struct kmap_table_error e = {0};
	const struct kmap_section *s;
	unsigned int n = 0, lines = 1;
	struct kmap_addr a = {.ip = {1}, .port = 80};
	struct kmap_table t;
	char text[400];
	int r;

	r = kmap_table_parse(&t, data, size, &e);
	if (r != 0) {
		for (size_t i = 0; i < size; i++)
			lines += data[i] == '\n';
		if (e.text[0] == '\0' || e.line > lines ||
			(e.line == 0) != (e.column == 0))
			abort();
		kmap_table_error_text(&e, "file", text, sizeof(text));
		if (strncmp(text, "file:", 5) != 0)
			abort();
		for (const char *c = text; *c; c++)
			if ((unsigned char)*c < ' ')
				abort();
		return 0;
	}
	accepted++;
	if (!t.exe || !t.build_id)
		abort();
	for (s = t.sections; s; s = s->next)
		walk(s->first, &n);
	for (int role = KMAP_CONNECTS; role <= KMAP_LISTENS; role++) {
		const struct kmap_rule *m = kmap_table_match(&t, role, &a);

		if (m && (m < t.rules || m >= t.rules + t.nrules))
			abort();
	}
	kmap_table_free(&t);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return one(data, size);
}

#ifndef FUZZER

static uint64_t state;

static uint32_t
rnd(uint32_t below)
{
	state = state * UINT64_C(6364136223846793005) +
		UINT64_C(1442695040888963407);
	return (uint32_t)((state >> 33) % below);
}

static char *
slurp(const char *path, size_t *n)
{
	char *buf = malloc(1 << 20);
	int fd = open(path, O_RDONLY);
	ssize_t r;

	*n = 0;
	while (fd >= 0 && buf && *n < 1 << 19 &&
		(r = read(fd, buf + *n, (1 << 19) - *n)) > 0)
		*n += (size_t)r;
	if (fd < 0 || !buf) {
		fprintf(stderr, "table: cannot read %s\n", path);
		exit(1);
	}
	close(fd);
	return buf;
}

/* What is worth putting somewhere. */
static const char *const tokens[] = {"\"", "\\", "\\u12", "\\U0010ffff", "[",
	"]", "[[", "]]", "{", "}", "=", ",", "#", "\n", ".", "'", "'''",
	"\"\"\"", "true", "false", "1979-05-27", "0x1", "1_0", "+1", "-0",
	"9223372036854775808", "1e3", "inf", "nan", "[endpoint]",
	"[[endpoint]]\n", "[program]\n", "kmap-table = 1\n", "exe", "role",
	"\xff", "\xc3\xa9", "\xed\xa0\x80", "\t", "\r", "x = {", "x = [", "*:*",
	"\"127.0.0.1:80\"", "\"listen\"", "\"emulate\""};

#define NTOKENS (sizeof(tokens) / sizeof(tokens[0]))

static size_t
mutate(char *b, size_t n, size_t max)
{
	for (uint32_t i = 1 + rnd(4); i > 0; i--) {
		const char *tok = tokens[rnd(NTOKENS)];
		size_t at = n ? rnd((uint32_t)n) : 0, len = strlen(tok), k;

		switch (rnd(6)) {
		case 0:
			if (n)
				b[at] = (char)rnd(256);
			break;
		case 1: /* cut something out */
			k = rnd(40);
			if (k > n - at)
				k = n - at;
			memmove(b + at, b + at + k, n - at - k);
			n -= k;
			break;
		case 2: /* put a token in */
			if (n + len > max)
				break;
			memmove(b + at + len, b + at, n - at);
			memcpy(b + at, tok, len);
			n += len;
			break;
		case 3: /* over what stands there */
			if (at + len > n)
				break;
			memcpy(b + at, tok, len);
			break;
		case 4: /* once more */
			k = rnd(60);
			if (k > n - at)
				k = n - at;
			if (n + k > max)
				break;
			memmove(b + at + k, b + at, n - at);
			n += k;
			break;
		case 5: /* the end is missing */
			if (rnd(8) == 0)
				n = at;
			break;
		}
	}
	return n;
}

static void
put_string(const char *s)
{
	putchar('"');
	for (; *s; s++)
		if ((unsigned char)*s < ' ' || *s == '"' || *s == '\\' ||
			*s == 0x7f)
			printf("\\u%04x", (unsigned int)(unsigned char)*s);
		else
			putchar(*s);
	putchar('"');
}

static void put_list(const struct kmap_value *v, char open, char close);

static void
put_value(const struct kmap_value *v)
{
	switch (v->type) {
	case KMAP_STRING:
		put_string(v->string);
		break;
	case KMAP_INTEGER:
		printf("%lld", (long long)v->integer);
		break;
	case KMAP_BOOLEAN:
		fputs(v->boolean ? "true" : "false", stdout);
		break;
	case KMAP_ARRAY:
		put_list(v->first, '[', ']');
		break;
	default:
		put_list(v->first, '{', '}');
	}
}

static void
put_list(const struct kmap_value *v, char open, char close)
{
	putchar(open);
	for (; v; v = v->next) {
		if (v->key) {
			put_string(v->key);
			putchar(':');
		}
		put_value(v);
		if (v->next)
			putchar(',');
	}
	putchar(close);
}

/* The sections in order: [name, many, {…}]. */
static int
json(char *const *files)
{
	for (; *files; files++) {
		struct kmap_table_error e;
		struct kmap_table t;
		char text[400];

		if (kmap_table_load(&t, *files, &e) != 0) {
			kmap_table_error_text(&e, *files, text, sizeof(text));
			fputs("{\"error\":", stdout);
			put_string(text);
			puts("}");
			continue;
		}
		fputs("{\"sections\":[", stdout);
		for (const struct kmap_section *s = t.sections; s;
			s = s->next) {
			putchar('[');
			put_string(s->kind->name);
			fputs(s->kind->many ? ",true," : ",false,", stdout);
			put_list(s->first, '{', '}');
			fputs(s->next ? "]," : "]", stdout);
		}
		puts("]}");
		kmap_table_free(&t);
	}
	return 0;
}

int
main(int argc, char **argv)
{
	unsigned long runs = 100000;
	static char buf[1 << 20];
	char *seeds[64];
	size_t sizes[64];
	int c, n = 0;

	state = 1;
	if (argc > 1 && strcmp(argv[1], "--json") == 0)
		return json(argv + 2);
	while ((c = getopt(argc, argv, "n:s:")) != -1)
		if (c == 'n')
			runs = strtoul(optarg, NULL, 10);
		else if (c == 's')
			state = strtoull(optarg, NULL, 10);
		else
			return 1;
	for (; optind < argc && n < 64; optind++, n++)
		seeds[n] = slurp(argv[optind], &sizes[n]);
	if (n == 0)
		return 1;
	puts("1..2");
	for (unsigned long i = 0; i < runs; i++) {
		uint32_t k = rnd((uint32_t)n);
		size_t len = sizes[k];

		memcpy(buf, seeds[k], len);
		len = mutate(buf, len, sizeof(buf));
		one((const uint8_t *)buf, len);
	}
	printf("ok 1 - %lu mutated tables\n", runs);
	/* Else the mutations reach nothing behind the first line. */
	printf("%s 2 - some are tables, some are not\n",
		accepted > runs / 50 && accepted < runs / 50 * 49 ? "ok"
								  : "not ok");
	printf("# %lu were tables\n", accepted);
	while (n > 0)
		free(seeds[--n]);
	return 0;
}

#endif
