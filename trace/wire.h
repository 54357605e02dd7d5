/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the ptracing process tells kmap-trace through a pipe: messages, each a
 * head and then what its type says, in the order in which things happened.
 * Both ends are one program, forked: no versions, and plain structs.
 */
#ifndef KMAP_TRACE_WIRE_H
#define KMAP_TRACE_WIRE_H

#include <stdint.h>

enum wire_type {
	WIRE_FAILED, /* struct wire_failed: nothing is traced */
	WIRE_READY, /* the program is traced and may run */
	WIRE_IMAGE, /* struct wire_image, exe NUL, cmdline NUL */
	WIRE_MODULES, /* struct wire_modules, then entries */
	WIRE_ENDPOINT, /* struct wire_endpoint */
	WIRE_CALL, /* struct wire_call, frames, items */
	WIRE_END, /* struct wire_end: a process has ended */
	WIRE_COUNTS, /* struct wire_counts */
	WIRE_LEFT, /* nothing is traced any more */
};

#define WIRE_MAX (1u << 20) /* bytes of a message */

struct wire_head {
	uint32_t len; /* of the whole message, a multiple of 8 */
	uint32_t type;
};

struct wire_failed {
	int32_t error; /* errno */
	int32_t pid; /* of the thread that could not be traced */
};

struct wire_image {
	uint64_t t;
	uint32_t image; /* counted by the tracer, from 1 */
	int32_t pid, ppid;
	uint32_t recorded; /* libkmaptrace.so is mapped */
};

struct wire_modules {
	uint32_t image, n;
	/* n times struct wire_module and its path, NUL, padded to 8 */
};

struct wire_module {
	uint64_t start, end; /* of the code */
	uint64_t file; /* where the file's first byte would lie */
	uint32_t len; /* of the path, NUL and padding */
	uint32_t first; /* file is an address that is really mapped */
};

struct wire_endpoint {
	uint32_t ep; /* the tracer's number, from 1 */
	uint32_t kind, origin;
	uint64_t cookie;
	int32_t domain, type, protocol;
	uint32_t connected, listener;
	char local[112], peer[112];
};

/* wire_call.seen: what the recorder had to do with it */
enum wire_seen {
	WIRE_NO_RECORDER,
	WIRE_PASSED_BY, /* it was in no recorded function */
	WIRE_WITHIN, /* in one that does more than this call: fflush … */
	WIRE_I386, /* 32-bit code: no recorder can be in front of it */
};

struct wire_call {
	uint64_t t, dur;
	uint32_t image;
	int32_t tid;
	int32_t nr, fd;
	uint32_t ep;
	uint16_t seen; /* enum wire_seen */
	uint16_t name; /* enum kt_name + 1 of the function it is within */
	uint64_t args[6];
	int64_t ret;
	uint64_t pc;
	uint32_t made; /* endpoint of what accept returned */
	uint16_t err;
	uint8_t nargs, nitems;
	uint32_t nframes;
	/* uint64_t frames[nframes]; items: struct wire_item and its data,
	 * padded to 8; of a struct trace_poll the ep is the tracer's */
};

struct wire_item {
	uint8_t type, arg;
	uint16_t len;
	uint32_t pad;
};

struct wire_end {
	uint32_t image;
	int32_t status;
};

/* Totals since the start, for one system call. */
struct wire_counts {
	int32_t nr;
	uint32_t pad;
	uint64_t calls; /* as strace counts them; not the recorder's own */
	uint64_t network; /* of them, known to be about a network fd */
	uint64_t recorded; /* of them, made by a recorded function */
};

#endif
