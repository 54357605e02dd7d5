/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the sinks write with: text that grows, and a file that may fill up
 * while somebody's program runs.
 */
#ifndef KMAP_TRACE_OUT_H
#define KMAP_TRACE_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Text that grows; all zero is empty. Kept NUL-terminated once not empty. */
struct trace_buf {
	char *s;
	size_t len, room;
};

void buf_add(struct trace_buf *b, const void *s, size_t n);
void buf_str(struct trace_buf *b, const char *s);
void buf_char(struct trace_buf *b, char c);
void buf_fmt(struct trace_buf *b, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void buf_free(struct trace_buf *b);

/* n bytes as strace writes a string, with its quotes; "..." after them when
 * `more`. */
void buf_quoted(struct trace_buf *b, const void *s, size_t n, bool more);

/* A name that a stranger chose, without quotes: nothing that a terminal would
 * obey; other bytes than ASCII's are octal, as in strace. */
void buf_plain(struct trace_buf *b, const char *s);

/* A JSON string, with its quotes. UTF-8 stays what it is; a byte that is
 * none becomes U+FFFD. */
void buf_json(struct trace_buf *b, const char *s);
/* The same of bytes: each byte is the code point of its number. */
void buf_json_bytes(struct trace_buf *b, const void *s, size_t n);

/*
 * One file of output. Writing never fails for the caller: the first error is
 * said once on stderr and the rest is dropped, because the traced program
 * must not notice. Nothing is on disk before a flush.
 */
struct trace_out;

/* Opens path for writing, close-on-exec; "-" is stdout, NULL is stderr.
 * NULL with errno set if it cannot be. */
struct trace_out *out_open(const char *path);
void out_write(struct trace_out *o, const void *s, size_t n);
/* What b holds, and empties it. */
void out_buf(struct trace_out *o, struct trace_buf *b);
void out_flush(struct trace_out *o);
/* Flushes, closes, frees. 0, or the -errno of the first error there was. */
int out_close(struct trace_out *o);

/* "kmap-trace: " and a message on stderr, one write. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The same and exit status 1: only before the program was started. */
void
fatal(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));
void *xrealloc(void *p, size_t n);
void *xcalloc(size_t n, size_t size);
/* Room in the array p of *n elements for the one at `at`, zeroed when new. */
void *xgrow(void *p, size_t *n, size_t at, size_t size);
char *xstrdup(const char *s);

#endif
