/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Calls as strace writes them: names instead of numbers for what Linux calls
 * flags, options, commands and errors. One table says for each function what
 * its arguments are; text and JSON are two ways of writing them.
 */
#ifndef KMAP_TRACE_DECODE_H
#define KMAP_TRACE_DECODE_H

#include <stdbool.h>

#include "event.h"
#include "out.h"

/* "recvfrom" for SYS_recvfrom; "" for a number that is no syscall. */
const char *trace_sys_name(int nr);
/* The number of a syscall's name, or -1. */
int trace_sys_number(const char *name);
/* The function without FORTIFY's and large files' dress: "recv" for
 * "__recv_chk", "fcntl" for "fcntl64". Owned by decode. */
const char *trace_plain_name(const char *fn);
/* What to call it: fn, or the syscall's name for an escape. */
const char *trace_call_name(const struct trace_call *c);
/* Whether any call is known by this name: function, plain name or syscall. */
bool trace_is_call(const char *name);

const char *trace_kind_name(enum trace_kind kind); /* "tcp", "listen" … */
const char *trace_origin_name(enum trace_origin origin);
const char *trace_escape_name(enum trace_escape escape); /* "" if covered */
/* The same as a sentence for people: "inside libc" … */
const char *trace_escape_text(enum trace_escape escape);

/*
 * How an fd is written. ep is its endpoint where the event knows it, else 0.
 * NULL writes the number alone.
 */
typedef void trace_fd_fn(void *arg, struct trace_buf *b,
	const struct trace_call *c, int fd, uint32_t ep);

/* "(3, "GET"..., 78, MSG_NOSIGNAL)", at most `max` bytes of a buffer. */
void trace_decode_args(struct trace_buf *b, const struct trace_call *c,
	size_t max, trace_fd_fn *fd, void *arg);
/* "78", "-1 EAGAIN (Resource temporarily unavailable)", "0 (Timeout)". */
void trace_decode_ret(struct trace_buf *b, const struct trace_call *c,
	trace_fd_fn *fd, void *arg);
/* {"fd":3,"buf":"GET","len":78,"flags":["MSG_NOSIGNAL"]} */
void
trace_decode_json(struct trace_buf *b, const struct trace_call *c, size_t max);

#endif
