/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "table-file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "must.h"

/* ---- building ---- */

static struct kmap_value *
append(struct kmap_value **list, const char *key, enum kmap_value_type type)
{
	struct kmap_value *v = must(calloc(1, sizeof(*v)));

	v->key = key ? must(strdup(key)) : NULL;
	v->type = type;
	while (*list)
		list = &(*list)->next;
	return *list = v;
}

struct kmap_value *
tv_string(struct kmap_value **list, const char *key, const char *s)
{
	struct kmap_value *v = append(list, key, KMAP_STRING);

	v->string = must(strdup(s));
	return v;
}

struct kmap_value *
tv_integer(struct kmap_value **list, const char *key, int64_t n)
{
	struct kmap_value *v = append(list, key, KMAP_INTEGER);

	v->integer = n;
	return v;
}

struct kmap_value *
tv_boolean(struct kmap_value **list, const char *key, bool b)
{
	struct kmap_value *v = append(list, key, KMAP_BOOLEAN);

	v->boolean = b;
	return v;
}

struct kmap_value *
tv_list(struct kmap_value **list, const char *key, enum kmap_value_type type)
{
	return append(list, key, type);
}

struct kmap_section *
tv_section(struct kmap_section **list, const char *name)
{
	const struct kmap_kind *k = kmap_kinds;
	struct kmap_section *s;

	while (strcmp(k->name, name) != 0)
		k++;
	for (; *list; list = &(*list)->next)
		if ((*list)->kind == k && !k->many)
			return *list;
	s = must(calloc(1, sizeof(*s)));
	s->kind = k;
	return *list = s;
}

/* ---- order ---- */

static int
by_key(const void *a, const void *b)
{
	const struct kmap_value *const *x = a, *const *y = b;

	return strcmp((*x)->key, (*y)->key);
}

static int
by_string(const void *a, const void *b)
{
	const struct kmap_value *const *x = a, *const *y = b;

	return strcmp((*x)->string, (*y)->string);
}

static void
sort_values(struct kmap_value **list, int (*cmp)(const void *, const void *))
{
	struct kmap_value **all, *v;
	size_t n = 0, i = 0;

	for (v = *list; v; v = v->next)
		n++;
	all = must(calloc(n + 1, sizeof(*all)));
	for (v = *list; v; v = v->next)
		all[i++] = v;
	qsort(all, n, sizeof(*all), cmp);
	for (i = 0; i < n; i++) {
		*list = all[i];
		list = &all[i]->next;
	}
	*list = NULL;
	free(all);
}

static void
sort_fields(const struct kmap_kind *k, struct kmap_value **first)
{
	for (struct kmap_value *v = *first; v; v = v->next) {
		const struct kmap_field *f = kmap_field(k, v->key);

		if (f && f->join == KMAP_JOIN_SET)
			sort_values(&v->first, by_string);
	}
	sort_values(first, by_key);
}

const char *
tv_kind(const struct kmap_section *s)
{
	const char *k = kmap_value_text(s->first, "kind");

	return k[0] ? k : "tcp";
}

/* TCP first, then by role and address. */
static int
endpoint_order(const struct kmap_section *a, const struct kmap_section *b)
{
	const char *x = tv_kind(a), *y = tv_kind(b);
	int r = (strcmp(y, "tcp") == 0) - (strcmp(x, "tcp") == 0);

	if (!r)
		r = strcmp(x, y);
	if (!r)
		r = strcmp(kmap_value_text(a->first, "role"),
			kmap_value_text(b->first, "role"));
	return r ? r
		 : strcmp(kmap_value_text(a->first, "address"),
			   kmap_value_text(b->first, "address"));
}

static int
by_kind(const void *a, const void *b)
{
	const struct kmap_section *x = *(struct kmap_section *const *)a;
	const struct kmap_section *y = *(struct kmap_section *const *)b;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	return x->kind->many ? endpoint_order(x, y) : 0;
}

void
tv_sort(struct kmap_section *list)
{
	struct kmap_section **all, *s, **last = NULL;
	size_t n = 0, i = 0;

	for (s = list; s; s = s->next) {
		if (s->kind->open) {
			for (struct kmap_value *v = s->first; v; v = v->next)
				sort_fields(s->kind, &v->first);
			sort_values(&s->first, by_key);
		} else
			sort_fields(s->kind, &s->first);
		n++;
	}
	/* The first stays the first: it is the version. */
	all = must(calloc(n + 1, sizeof(*all)));
	for (s = list; s; s = s->next)
		all[i++] = s;
	qsort(all, n, sizeof(*all), by_kind);
	for (i = 0; i < n; i++) {
		if (last)
			*last = all[i];
		last = &all[i]->next;
	}
	if (last)
		*last = NULL;
	free(all);
}

/* ---- text ---- */

struct out {
	char *p;
	size_t n, room;
};

static void
put(struct out *o, const char *s, size_t n)
{
	if (o->n + n > o->room) {
		o->room = 2 * (o->n + n) + 4096;
		o->p = must(realloc(o->p, o->room));
	}
	memcpy(o->p + o->n, s, n);
	o->n += n;
}

static void
puts_(struct out *o, const char *s)
{
	put(o, s, strlen(s));
}

/* A character of UTF-8 that a string may hold as it is; 0: none. */
static size_t
character(const unsigned char *s)
{
	size_t n = *s < 0x80 ? 1
		: *s < 0xc2  ? 0
		: *s < 0xe0  ? 2
		: *s < 0xf0  ? 3
		: *s < 0xf5  ? 4
			     : 0;

	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((*s == 0xe0 && s[1] < 0xa0) || (*s == 0xed && s[1] > 0x9f) ||
		(*s == 0xf0 && s[1] < 0x90) || (*s == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

/* What is not UTF-8 cannot be said in TOML. */
static const char none[] = "\xef\xbf\xbd";

char *
tv_clean(const char *s)
{
	struct out o = {0};

	while (*s) {
		size_t n = character((const unsigned char *)s);

		if (n)
			put(&o, s, n);
		else
			puts_(&o, none);
		s += n ? n : 1;
	}
	put(&o, "", 1);
	return o.p;
}

static void
put_string(struct out *o, const char *s)
{
	char esc[8];

	puts_(o, "\"");
	while (*s) {
		size_t n = character((const unsigned char *)s);

		if (n == 0) {
			puts_(o, none);
			s++;
			continue;
		}
		if (*s == '"' || *s == '\\') {
			put(o, "\\", 1);
			put(o, s, 1);
		} else if ((unsigned char)*s < ' ' || *s == 0x7f) {
			snprintf(esc, sizeof(esc), "\\u%04x", *s);
			puts_(o, esc);
		} else
			put(o, s, n);
		s += n;
	}
	puts_(o, "\"");
}

static void
put_key(struct out *o, const char *s)
{
	static const char bare[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "abcdefghijklmnopqrstuvwxyz0123456789_-";

	if (s[0] && s[strspn(s, bare)] == '\0')
		puts_(o, s);
	else
		put_string(o, s);
}

static void
put_value(struct out *o, const struct kmap_value *v)
{
	char number[24];

	switch (v->type) {
	case KMAP_STRING:
		put_string(o, v->string);
		break;
	case KMAP_INTEGER:
		snprintf(number, sizeof(number), "%lld", (long long)v->integer);
		puts_(o, number);
		break;
	case KMAP_BOOLEAN:
		puts_(o, v->boolean ? "true" : "false");
		break;
	case KMAP_ARRAY:
		puts_(o, "[");
		for (v = v->first; v; v = v->next) {
			put_value(o, v);
			puts_(o, v->next ? ", " : "");
		}
		puts_(o, "]");
		break;
	default:
		puts_(o, v->first ? "{ " : "{");
		for (v = v->first; v; v = v->next) {
			put_key(o, v->key);
			puts_(o, " = ");
			put_value(o, v);
			puts_(o, v->next ? ", " : " ");
		}
		puts_(o, "}");
	}
}

char *
tv_text(const struct kmap_section *list, size_t *n)
{
	const struct kmap_kind *before = NULL;
	struct out o = {0};

	puts_(&o,
		"# An interception table, see kmap-table(5). Check it with\n"
		"# kmap-trace --check, obey it with KMAP_TABLE=FILE.\n");
	for (; list; list = list->next) {
		const struct kmap_kind *k = list->kind;

		if (k->open && !list->first)
			continue;
		if (k->name[0]) {
			puts_(&o, "\n");
			if (k != before) {
				puts_(&o, "# ");
				puts_(&o, k->about);
				puts_(&o, "\n");
			}
			puts_(&o, k->many ? "[[" : "[");
			puts_(&o, k->name);
			puts_(&o, k->many ? "]]\n" : "]\n");
		}
		before = k;
		for (const struct kmap_value *v = list->first; v; v = v->next) {
			put_key(&o, v->key);
			puts_(&o, " = ");
			put_value(&o, v);
			puts_(&o, "\n");
		}
	}
	*n = o.n;
	put(&o, "", 1);
	return o.p;
}

/* ---- files ---- */

static int
complain(const char *path, const char *what)
{
	int err = errno;

	fprintf(stderr, "kmap-trace: %s: %s: %s\n", path, what, strerror(err));
	return -err;
}

static int
write_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t r = write(fd, p, n);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -1;
		p += r;
		n -= (size_t)r;
	}
	return 0;
}

static bool
holds(const char *path, const char *text, size_t n)
{
	struct stat st;
	char *old;
	bool same = false;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return false;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
		(size_t)st.st_size == n && (old = malloc(n + 1))) {
		same = read(fd, old, n + 1) == (ssize_t)n &&
			memcmp(old, text, n) == 0;
		free(old);
	}
	close(fd);
	return same;
}

int
tv_write(const char *path, const char *text, size_t n, bool *unchanged)
{
	struct stat st;
	char *tmp, *old;
	mode_t mask;
	int fd, r = 0;

	*unchanged = false;
	if (strcmp(path, "-") == 0)
		return write_all(STDOUT_FILENO, text, n) < 0
			? complain("standard output", "cannot be written")
			: 0;
	if (holds(path, text, n)) {
		*unchanged = true;
		return 0;
	}
	/* Nothing to rename over: a device, a pipe. */
	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
		fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
		if (fd < 0 || write_all(fd, text, n) < 0)
			r = complain(path, "cannot be written");
		if (fd >= 0)
			close(fd);
		return r;
	}
	tmp = must_printf("%s.XXXXXX", path);
	old = must_printf("%s~", path);
	fd = mkostemp(tmp, O_CLOEXEC);
	if (fd < 0) {
		r = complain(path, "cannot be written");
		goto out;
	}
	mask = umask(0);
	umask(mask);
	fchmod(fd, 0666 & ~mask);
	if (write_all(fd, text, n) < 0)
		r = complain(path, "cannot be written");
	if (close(fd) != 0 && !r)
		r = complain(path, "cannot be written");
	/* Linked, not renamed: at no moment is there no table. */
	if (!r) {
		unlink(old);
		if (link(path, old) != 0 && errno != ENOENT &&
			rename(path, old) != 0)
			r = complain(old, "the old table cannot be kept");
	}
	if (!r && rename(tmp, path) != 0)
		r = complain(path, "cannot be written");
	if (r)
		unlink(tmp);
out:
	free(tmp);
	free(old);
	return r;
}
