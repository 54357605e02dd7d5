/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* --check, --merge and --diff. */
#include "config.h"

#include "table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "table-file.h"

/* Said on stderr: FILE:LINE:COLUMN, and a sentence. */
static bool
load(struct kmap_table *t, const char *path)
{
	struct kmap_table_error e;
	char text[4600];

	if (kmap_table_load(t, path, &e) == 0)
		return true;
	kmap_table_error_text(&e, path, text, sizeof(text));
	fprintf(stderr, "%s\n", text);
	return false;
}

int
trace_table_check(int n, char *const *files)
{
	struct kmap_table t;
	int bad = 0;

	for (int i = 0; i < n; i++) {
		if (!load(&t, files[i])) {
			bad = 1;
			continue;
		}
		kmap_table_free(&t);
	}
	return bad;
}

/* ---- finding the same thing in two tables ---- */

static struct kmap_value *
member(struct kmap_value *v, const char *key)
{
	for (; v; v = v->next)
		if (strcmp(v->key, key) == 0)
			return v;
	return NULL;
}

/* "listen 127.0.0.1:80", "udp connect 127.0.0.53:53" */
static void
name_of(const struct kmap_section *s, char *buf, size_t size)
{
	bool tcp = strcmp(tv_kind(s), "tcp") == 0;

	snprintf(buf, size, "%s%s%s%s%s", tcp ? "" : tv_kind(s), tcp ? "" : " ",
		kmap_value_text(s->first, "role"),
		kmap_value_text(s->first, "address")[0] ? " " : "",
		kmap_value_text(s->first, "address"));
}

static struct kmap_section *
same_section(struct kmap_section *list, const struct kmap_section *s)
{
	for (; list; list = list->next) {
		if (list->kind != s->kind)
			continue;
		if (!s->kind->many)
			return list;
		if (strcmp(tv_kind(list), tv_kind(s)) == 0 &&
			strcmp(kmap_value_text(list->first, "role"),
				kmap_value_text(s->first, "role")) == 0 &&
			strcmp(kmap_value_text(list->first, "address"),
				kmap_value_text(s->first, "address")) == 0)
			return list;
	}
	return NULL;
}

/* ---- --merge ---- */

static int
rank(const struct kmap_field *f, const struct kmap_value *v)
{
	for (int i = 0; f->words[i]; i++)
		if (strcmp(f->words[i], v->string) == 0)
			return i;
	return -1;
}

static void
unite(struct kmap_value *to, const struct kmap_value *from)
{
	for (const struct kmap_value *v = from->first; v; v = v->next) {
		const struct kmap_value *w = to->first;

		while (w && strcmp(w->string, v->string) != 0)
			w = w->next;
		if (!w)
			tv_string(&to->first, NULL, v->string);
	}
}

/* What replaces a value keeps its place in the list. */
static void
replace(struct kmap_value *to, const struct kmap_value *from)
{
	struct kmap_value *next = to->next;

	*to = *from;
	to->next = next;
}

static void
add_copy(struct kmap_value **list, const struct kmap_value *v)
{
	struct kmap_value *w =
		tv_list(list, v->key, (enum kmap_value_type)v->type);

	replace(w, v);
}

static void
drop(struct kmap_value **list, const char *key)
{
	for (; *list; list = &(*list)->next)
		if (strcmp((*list)->key, key) == 0) {
			*list = (*list)->next;
			return;
		}
}

static void
join_fields(const struct kmap_kind *k, struct kmap_value **to,
	const struct kmap_value *from)
{
	bool worse = false;

	for (const struct kmap_value *v = from; v; v = v->next) {
		const struct kmap_field *f = kmap_field(k, v->key);
		struct kmap_value *w = member(*to, v->key);

		if (!w) {
			if (f->join != KMAP_JOIN_WITH_WORSE)
				add_copy(to, v);
			continue;
		}
		switch ((enum kmap_join)f->join) {
		case KMAP_JOIN_SAME:
			/* A build id that one run did not know. */
			if (w->type == KMAP_STRING && !w->string[0])
				replace(w, v);
			break;
		case KMAP_JOIN_NEWEST:
			replace(w, v);
			break;
		case KMAP_JOIN_SUM:
			if (__builtin_add_overflow(
				    w->integer, v->integer, &w->integer))
				w->integer = INT64_MAX;
			break;
		case KMAP_JOIN_SET:
			unite(w, v);
			break;
		case KMAP_JOIN_OR:
			w->boolean |= v->boolean;
			break;
		case KMAP_JOIN_WORSE:
			if (rank(f, v) > rank(f, w)) {
				replace(w, v);
				worse = true;
			}
			break;
		case KMAP_JOIN_WITH_WORSE:
			break;
		}
	}
	/* The reason is the one of the decision that stands. */
	for (unsigned int i = 0; worse && i < k->nfields; i++) {
		const struct kmap_value *v = from;

		if (k->fields[i].join != KMAP_JOIN_WITH_WORSE)
			continue;
		drop(to, k->fields[i].name);
		while (v && strcmp(v->key, k->fields[i].name) != 0)
			v = v->next;
		if (v)
			add_copy(to, v);
	}
}

static void
join_section(struct kmap_section *to, const struct kmap_section *from)
{
	if (!to->kind->open) {
		join_fields(to->kind, &to->first, from->first);
		return;
	}
	for (const struct kmap_value *v = from->first; v; v = v->next) {
		struct kmap_value *w = member(to->first, v->key);

		if (w)
			join_fields(to->kind, &w->first, v->first);
		else
			add_copy(&to->first, v);
	}
}

static void
join(struct kmap_section *to, struct kmap_section *from)
{
	while (from) {
		struct kmap_section *next = from->next;
		struct kmap_section *s = same_section(to, from), *last = to;

		if (s)
			join_section(s, from);
		else {
			while (last->next)
				last = last->next;
			from->next = NULL;
			last->next = from;
		}
		from = next;
	}
}

static bool
one_program(const struct kmap_table *a, const struct kmap_table *b,
	const char *path_a, const char *path_b)
{
	if (strcmp(basename(a->exe), basename(b->exe)) != 0) {
		fprintf(stderr,
			"kmap-trace: %s is of %s, and %s is of %s: tables of "
			"one program can be joined\n",
			path_a, basename(a->exe), path_b, basename(b->exe));
		return false;
	}
	if (a->build_id[0] && b->build_id[0] &&
		strcmp(a->build_id, b->build_id) != 0) {
		fprintf(stderr,
			"kmap-trace: %s and %s are of two builds of %s: trace "
			"again what the older one has\n",
			path_a, path_b, basename(a->exe));
		return false;
	}
	return true;
}

int
trace_table_merge(int n, char *const *files, const char *out)
{
	struct kmap_table *t = calloc((size_t)n + 1, sizeof(*t));
	bool unchanged, good = t != NULL;
	size_t len;
	char *text;

	/* All are looked at, so that all that is wrong is said at once. */
	for (int i = 0; i < n; i++)
		if (!load(&t[i], files[i]))
			good = false;
	for (int i = 1; good && i < n; i++)
		good = one_program(&t[0], &t[i], files[0], files[i]);
	if (!good || n == 0)
		return 1;
	for (int i = 1; i < n; i++)
		join(t[0].sections, t[i].sections);
	tv_sort(t[0].sections);
	text = tv_text(t[0].sections, &len);
	return tv_write(out, text, len, &unchanged) != 0;
}

/* ---- --diff ---- */

static unsigned int differences;

static void
put_value(const struct kmap_value *v)
{
	switch (v->type) {
	case KMAP_STRING:
		fputs(v->string[0] ? v->string : "(none)", stdout);
		break;
	case KMAP_INTEGER:
		printf("%lld", (long long)v->integer);
		break;
	case KMAP_BOOLEAN:
		fputs(v->boolean ? "true" : "false", stdout);
		break;
	default:
		for (v = v->first; v; v = v->next) {
			put_value(v);
			fputs(v->next ? ", " : "", stdout);
		}
	}
}

static bool
equal(const struct kmap_value *a, const struct kmap_value *b)
{
	if (a->type != b->type)
		return false;
	if (a->type == KMAP_STRING)
		return strcmp(a->string, b->string) == 0;
	if (a->type == KMAP_INTEGER)
		return a->integer == b->integer;
	if (a->type == KMAP_BOOLEAN)
		return a->boolean == b->boolean;
	for (a = a->first, b = b->first; a && b; a = a->next, b = b->next)
		if (!equal(a, b))
			return false;
	return !a && !b;
}

static bool
contains(const struct kmap_value *list, const char *s)
{
	for (; list; list = list->next)
		if (strcmp(list->string, s) == 0)
			return true;
	return false;
}

/* "~ call recv: flags +MSG_PEEK"; the sets' order means nothing. */
static void
diff_sets(const char *what, const char *key, const struct kmap_value *a,
	const struct kmap_value *b)
{
	bool said = false;

	for (int side = 0; side < 2; side++) {
		const struct kmap_value *here = side ? b : a;
		const struct kmap_value *there = side ? a : b;

		for (here = here ? here->first : NULL; here;
			here = here->next) {
			if (contains(there ? there->first : NULL, here->string))
				continue;
			if (!said)
				printf("~ %s: %s", what, key);
			said = true;
			printf(" %c%s", side ? '+' : '-', here->string);
		}
	}
	if (said)
		puts("");
	differences += said;
}

static void
diff_field(const char *what, const struct kmap_field *f,
	const struct kmap_value *a, const struct kmap_value *b)
{
	if (!a && !b)
		return;
	if (f->evidence) {
		/* How often is not what a program does; whether is. */
		if (!f->required || !a || !b || !a->integer == !b->integer)
			return;
		printf("~ %s: %s\n", what,
			a->integer ? "no longer called" : "called now");
		differences++;
		return;
	}
	if (f->join == KMAP_JOIN_SET) {
		diff_sets(what, f->name, a, b);
		return;
	}
	if (a && b && equal(a, b))
		return;
	printf("~ %s: %s ", what, f->name);
	if (a)
		put_value(a);
	else
		fputs("(none)", stdout);
	fputs(" -> ", stdout);
	if (b)
		put_value(b);
	else
		fputs("(none)", stdout);
	puts("");
	differences++;
}

static void
diff_fields(const char *what, const struct kmap_kind *k,
	const struct kmap_value *a, const struct kmap_value *b)
{
	for (unsigned int i = 0; i < k->nfields; i++)
		diff_field(what, &k->fields[i],
			kmap_value(a, k->fields[i].name),
			kmap_value(b, k->fields[i].name));
}

static void
only(char sign, const char *what, const struct kmap_value *fields)
{
	const struct kmap_value *d = kmap_value(fields, "decision");
	const struct kmap_value *f = kmap_value(fields, "frames");
	const struct kmap_value *n = kmap_value(fields, "count");

	printf("%c %s", sign, what);
	if (d)
		printf(": %s", d->string);
	else if (f) {
		fputs(": ", stdout);
		put_value(f);
	} else if (n && n->integer == 0)
		fputs(": imported, not called", stdout);
	puts("");
	differences++;
}

/* One way: what a has; the things of both are compared the first time. */
static void
diff_sections(struct kmap_section *a, struct kmap_section *b, bool first)
{
	char what[600];

	for (; a; a = a->next) {
		struct kmap_section *s = same_section(b, a);

		if (a->kind->open) {
			for (struct kmap_value *v = a->first; v; v = v->next) {
				struct kmap_value *w =
					s ? member(s->first, v->key) : NULL;

				snprintf(what, sizeof(what), "%s %s",
					a->kind->name, v->key);
				if (!w)
					only(first ? '-' : '+', what, v->first);
				else if (first)
					diff_fields(what, a->kind, v->first,
						w->first);
			}
			continue;
		}
		if (a->kind->many) {
			strcpy(what, "endpoint ");
			name_of(a, what + 9, sizeof(what) - 9);
		} else
			snprintf(what, sizeof(what), "%s", a->kind->name);
		if (!s && a->kind->many)
			only(first ? '-' : '+', what, a->first);
		else if (first || !s)
			diff_fields(what, a->kind, first ? a->first : NULL,
				first ? (s ? s->first : NULL) : a->first);
	}
}

int
trace_table_diff(const char *a, const char *b)
{
	struct kmap_table x, y;
	bool good = load(&x, a);

	if (!load(&y, b) || !good)
		return 2;
	differences = 0;
	tv_sort(x.sections);
	tv_sort(y.sections);
	diff_sections(x.sections, y.sections, true);
	diff_sections(y.sections, x.sections, false);
	kmap_table_free(&x);
	kmap_table_free(&y);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		perror("kmap-trace: standard output");
		return 2;
	}
	return differences != 0;
}
