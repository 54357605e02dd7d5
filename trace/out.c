/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "out.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "must.h"

#define OUT_ROOM (64u << 10)

struct trace_out {
	int fd;
	int error; /* -errno of the first write that failed */
	char *name;
	struct trace_buf buf;
};

void
say(const char *fmt, ...)
{
	struct trace_buf b = {0};
	char text[1024];
	va_list ap;
	int saved = errno;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	buf_fmt(&b, "kmap-trace: %s\n", text);
	if (write(STDERR_FILENO, b.s, b.len) < 0) {
		/* There is nobody left to tell. */
	}
	buf_free(&b);
	errno = saved;
}

void
fatal(const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	say("%s", text);
	exit(EXIT_FAILURE);
}

void *
xrealloc(void *p, size_t n)
{
	return must(realloc(p, n ? n : 1));
}

void *
xcalloc(size_t n, size_t size)
{
	return must(calloc(n ? n : 1, size));
}

void *
xgrow(void *p, size_t *n, size_t at, size_t size)
{
	size_t room;

	if (at < *n)
		return p;
	room = at >= 2 * *n ? at + 64 : 2 * *n;
	p = xrealloc(p, room * size);
	memset((char *)p + *n * size, 0, (room - *n) * size);
	*n = room;
	return p;
}

char *
xstrdup(const char *s)
{
	size_t n = strlen(s) + 1;

	return memcpy(xrealloc(NULL, n), s, n);
}

static void
buf_room(struct trace_buf *b, size_t n)
{
	if (b->room - b->len > n)
		return;
	b->room = b->len + n + 1 > 2 * b->room ? b->len + n + 64 : 2 * b->room;
	b->s = xrealloc(b->s, b->room);
}

void
buf_add(struct trace_buf *b, const void *s, size_t n)
{
	buf_room(b, n);
	if (n)
		memcpy(b->s + b->len, s, n);
	b->len += n;
	b->s[b->len] = 0;
}

void
buf_str(struct trace_buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void
buf_char(struct trace_buf *b, char c)
{
	buf_add(b, &c, 1);
}

void
buf_fmt(struct trace_buf *b, const char *fmt, ...)
{
	va_list ap, again;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n > 0) {
		buf_room(b, n);
		vsnprintf(b->s + b->len, n + 1, fmt, again);
		b->len += n;
	}
	va_end(again);
}

void
buf_free(struct trace_buf *b)
{
	free(b->s);
	*b = (struct trace_buf){0};
}

void
buf_quoted(struct trace_buf *b, const void *s, size_t n, bool more)
{
	const unsigned char *p = s;
	static const char plain[] = "\"\\\t\n\v\f\r";
	static const char named[] = "\"\\tnvfr";
	const char *at;
	size_t i;

	buf_char(b, '"');
	for (i = 0; i < n; i++) {
		at = p[i] ? strchr(plain, p[i]) : NULL;
		if (at) {
			buf_char(b, '\\');
			buf_char(b, named[at - plain]);
		} else if (p[i] >= ' ' && p[i] < 0x7f) {
			buf_char(b, p[i]);
		} else if (i + 1 < n && isdigit(p[i + 1])) {
			/* A digit that follows would belong to the number. */
			buf_fmt(b, "\\%03o", p[i]);
		} else {
			buf_fmt(b, "\\%o", p[i]);
		}
	}
	buf_str(b, more ? "\"..." : "\"");
}

void
buf_plain(struct trace_buf *b, const char *s)
{
	for (; *s; s++)
		if (*s >= ' ' && *s < 0x7f)
			buf_char(b, *s);
		else
			buf_fmt(b, "\\%03o", (unsigned char)*s);
}

/* The length of the UTF-8 character at s, or 0 if there is none. */
static size_t
utf8_length(const unsigned char *s)
{
	size_t n, i;

	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xc2 && s[0] < 0xe0)
		n = 2;
	else if (s[0] >= 0xe0 && s[0] < 0xf0)
		n = 3;
	else if (s[0] >= 0xf0 && s[0] < 0xf5)
		n = 4;
	else
		return 0;
	for (i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	/* Overlong forms, surrogates, and what lies above U+10FFFF. */
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] >= 0xa0) ||
		(s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] >= 0x90))
		return 0;
	return n;
}

static void
json_char(struct trace_buf *b, unsigned int c)
{
	if (c == '"' || c == '\\') {
		buf_char(b, '\\');
		buf_char(b, c);
	} else if (c == '\n') {
		buf_str(b, "\\n");
	} else if (c == '\r') {
		buf_str(b, "\\r");
	} else if (c == '\t') {
		buf_str(b, "\\t");
	} else if (c < ' ' || c >= 0x7f) {
		buf_fmt(b, "\\u%04x", c);
	} else {
		buf_char(b, c);
	}
}

void
buf_json(struct trace_buf *b, const char *s)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t n;

	buf_char(b, '"');
	while (*p) {
		n = utf8_length(p);
		if (n > 1)
			buf_add(b, p, n);
		else
			json_char(b, n ? *p : 0xfffd);
		p += n ? n : 1;
	}
	buf_char(b, '"');
}

void
buf_json_bytes(struct trace_buf *b, const void *s, size_t n)
{
	const unsigned char *p = s;
	size_t i;

	buf_char(b, '"');
	for (i = 0; i < n; i++)
		json_char(b, p[i]);
	buf_char(b, '"');
}

struct trace_out *
out_open(const char *path)
{
	struct trace_out *o;
	int fd;

	/* A copy: stdout and stderr are the program's, too, and stay open. */
	if (!path)
		fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	else if (!strcmp(path, "-"))
		fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	else
		fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0)
		return NULL;
	o = xcalloc(1, sizeof(*o));
	o->fd = fd;
	o->name = xstrdup(!path		    ? "standard error"
			: strcmp(path, "-") ? path
					    : "standard output");
	return o;
}

void
out_flush(struct trace_out *o)
{
	size_t at = 0;
	ssize_t n;

	while (!o->error && at < o->buf.len) {
		n = write(o->fd, o->buf.s + at, o->buf.len - at);
		if (n >= 0) {
			at += n;
		} else if (errno == EAGAIN) {
			/* The program made the description we share so. */
			poll(&(struct pollfd){.fd = o->fd, .events = POLLOUT},
				1, -1);
		} else if (errno != EINTR) {
			o->error = -errno;
			say("%s: %s; it ends here, the program goes on",
				o->name, strerror(errno));
		}
	}
	o->buf.len = 0;
}

void
out_write(struct trace_out *o, const void *s, size_t n)
{
	if (o->error)
		return;
	buf_add(&o->buf, s, n);
	if (o->buf.len >= OUT_ROOM)
		out_flush(o);
}

void
out_buf(struct trace_out *o, struct trace_buf *b)
{
	if (b->len)
		out_write(o, b->s, b->len);
	b->len = 0;
}

int
out_close(struct trace_out *o)
{
	int error;

	out_flush(o);
	/* Some file systems say only here that the disk is full. */
	if (close(o->fd) < 0 && !o->error && errno != EINTR) {
		o->error = -errno;
		say("%s: %s", o->name, strerror(errno));
	}
	error = o->error;
	buf_free(&o->buf);
	free(o->name);
	free(o);
	return error;
}
