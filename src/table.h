/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Interception tables: kmap-table(5), a strict subset of TOML v1.0. The
 * parser, the model that kmap-trace joins and compares, and what the library
 * needs of it: whom a table is for, its settings, and which endpoints may
 * move. No malloc, no stdio; everything lies in one mapping. A table never
 * changes once it is read, so that any thread may look at it.
 */
#ifndef KMAP_TABLE_H
#define KMAP_TABLE_H

#include "addr.h"
#include "env.h"

#define KMAP_TABLE_VERSION 1
#define KMAP_TABLE_MAX (16u << 20) /* bytes of a file */

enum kmap_value_type {
	KMAP_STRING,
	KMAP_INTEGER,
	KMAP_BOOLEAN,
	KMAP_ARRAY,
	KMAP_INLINE, /* an inline table */
};

struct kmap_value {
	struct kmap_value *next;
	const char *key; /* NULL in an array */
	union {
		const char *string;
		int64_t integer;
		bool boolean;
		struct kmap_value *first; /* array, inline table */
	};
	uint32_t line; /* where the key stands, or the element */
	uint16_t column; /* in bytes, from 1 */
	uint8_t type;
};

/* How two runs' values of a field become one. */
enum kmap_join {
	KMAP_JOIN_SAME, /* must be equal */
	KMAP_JOIN_NEWEST, /* the last table's */
	KMAP_JOIN_SUM,
	KMAP_JOIN_SET, /* an array of strings: the union, sorted */
	KMAP_JOIN_OR,
	KMAP_JOIN_WORSE, /* of two words, the later in `words` */
	KMAP_JOIN_WITH_WORSE, /* goes with the field that joins by WORSE */
};

#define KMAP_TYPE(t) (1u << (t))

struct kmap_field {
	const char *name;
	uint8_t types; /* KMAP_TYPE of those it takes */
	uint8_t items; /* an array's: KMAP_TYPE of the elements */
	bool required;
	bool evidence; /* a count: --diff passes it over */
	uint8_t join;
	const char *const *words; /* a string that is one of these */
};

/*
 * A kind of section. Where `open` holds the keys are names of the traced
 * program's things, each with an inline table of the fields.
 */
struct kmap_kind {
	const char *name;
	bool many; /* [[name]] */
	bool open;
	bool evidence; /* nothing is decided by it */
	const char *about; /* the comment that a writer puts above it */
	const struct kmap_field *fields;
	unsigned int nfields;
};

extern const struct kmap_kind kmap_kinds[];
extern const unsigned int kmap_nkinds;

struct kmap_section {
	struct kmap_section *next;
	const struct kmap_kind *kind;
	struct kmap_value *first;
	uint32_t line;
};

enum kmap_role {
	KMAP_CONNECTS,
	KMAP_ACCEPTS,
	KMAP_LISTENS
};

/* "127.0.0.1:80", "[::1]:*", "*:80": an address with holes. */
struct kmap_pattern {
	struct kmap_addr addr;
	bool any_host;
	bool any_port;
};

/* An [[endpoint]] of TCP. */
struct kmap_rule {
	struct kmap_pattern at;
	uint8_t role; /* enum kmap_role */
	bool emulate;
	uint32_t line;
};

struct kmap_table {
	struct kmap_section *sections; /* in the file's order */
	const char *exe;
	const char *build_id; /* "": not known */
	bool inert;
	struct kmap_conf conf; /* its settings; see conf.given */
	struct kmap_rule *rules;
	unsigned int nrules;
	void *arena;
	size_t arena_size;
	size_t arena_used;
};

struct kmap_table_error {
	unsigned int line, column; /* 0: it is about the file */
	char text[200];
};

/*
 * Reads a table from a file (regular, at most KMAP_TABLE_MAX bytes) or from
 * memory, which is copied. 0, or -errno with a sentence in *e: -EINVAL for a
 * bad table. After an error there is nothing to free.
 */
int kmap_table_load(
	struct kmap_table *t, const char *path, struct kmap_table_error *e);
/* The same for who obeys: what is mere evidence is checked, and left out. */
int kmap_table_load_rules(
	struct kmap_table *t, const char *path, struct kmap_table_error *e);
int kmap_table_parse(struct kmap_table *t, const void *text, size_t n,
	struct kmap_table_error *e);
void kmap_table_free(struct kmap_table *t);

/* "FILE:LINE:COLUMN: sentence", or "FILE: sentence"; cut at size. */
void kmap_table_error_text(const struct kmap_table_error *e, const char *path,
	char *buf, size_t size);

/* The field of a kind, or NULL. */
const struct kmap_field *
kmap_field(const struct kmap_kind *k, const char *name);
/* The member of a list of values, or NULL. */
const struct kmap_value *
kmap_value(const struct kmap_value *first, const char *key);
/* The same for strings: its text, or "" when there is none. */
const char *kmap_value_text(const struct kmap_value *first, const char *key);

/* False: that is no address pattern. */
bool kmap_pattern_parse(struct kmap_pattern *p, const char *s);

/*
 * The rule for a TCP endpoint, or NULL: the table does not know it. `a` is
 * the destination of who connects, and the own address of who accepts or
 * listens. The rule that says most wins: host and port, port, host, none. An
 * accepted connection without a rule of its own has its listener's, whose
 * 0.0.0.0 and [::] stand for every address.
 */
const struct kmap_rule *kmap_table_match(const struct kmap_table *t,
	enum kmap_role role, const struct kmap_addr *a);

#endif
