/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tables as files: built from values, written, joined, compared. A table here
 * is a list of sections as src/table.h has it; what builders make is never
 * freed, for a command that ends soon.
 */
#ifndef KMAP_TRACE_TABLE_FILE_H
#define KMAP_TRACE_TABLE_FILE_H

#include <stddef.h>

/* Beside it lies the command's own header of that name. */
#include "../src/table.h"

/* Appends a value to a list; key is NULL in an array. Strings are copied. */
struct kmap_value *
tv_string(struct kmap_value **list, const char *key, const char *s);
struct kmap_value *
tv_integer(struct kmap_value **list, const char *key, int64_t n);
struct kmap_value *
tv_boolean(struct kmap_value **list, const char *key, bool b);
/* An empty array or inline table, to be filled at ->first. */
struct kmap_value *
tv_list(struct kmap_value **list, const char *key, enum kmap_value_type type);

/* A copy as it will be written: two names that are written alike are one. */
char *tv_clean(const char *s);

/* The section of that name, appended if there is none, or if it is [[ ]]. */
struct kmap_section *tv_section(struct kmap_section **list, const char *name);

/* What kind of endpoint an [[endpoint]] is: "tcp" where it does not say. */
const char *tv_kind(const struct kmap_section *s);

/* Sorts everything whose order means nothing: keys, endpoints, sets. */
void tv_sort(struct kmap_section *list);

/* The file's text, malloced; *n is its length. The list is sorted. */
char *tv_text(const struct kmap_section *list, size_t *n);

/*
 * Writes a file whole or not at all (temporary, rename); an old one that
 * differs is kept as "PATH~", and one that is the same is left alone:
 * *unchanged. "-" is stdout. 0 or -errno, with a message on stderr.
 */
int tv_write(const char *path, const char *text, size_t n, bool *unchanged);

#endif
