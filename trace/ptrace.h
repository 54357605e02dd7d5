/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Source 2: ptrace. A process of its own, the tracer, does what ptrace(2)
 * asks to be done by one thread, and tells kmap-trace what it saw.
 *
 * --verify: the program runs under a seccomp filter that stops it at each
 * system call that may be about the network (SECCOMP_RET_TRACE; one stop, at
 * the entry). A call that the recorder is inside of is let go at once and
 * counted; any other is an escape: its arguments, result and stack are told.
 * In a program without the recorder every call is.
 *
 * A filter cannot be taken back, and without a tracer it makes calls fail
 * with ENOSYS. So the tracer goes on, mute, for as long as there are traced
 * processes: when kmap-trace has ended or was killed the program notices
 * nothing. It keeps out of the terminal's process group and ignores what ends
 * others. When the tracer itself is killed kmap-trace starts another at once;
 * a call that is made in between fails (ENOSYS).
 *
 * --attach: PTRACE_SEIZE and stops at entry and exit of every call, no
 * filter: the program can be left at any time, and is when kmap-trace dies.
 *
 *	x = trace_verify_new(region)
 *	fork; in the child: trace_verify_child(x), exec
 *	in the parent: trace_ptrace_begin(x, pid)
 *	while (...)
 *		trace_ptrace_poll(x, d)
 *	trace_ptrace_close(x, d)
 *	trace_finish(); trace_ptrace_free(x)
 *
 * The same with trace_attach_new and no child. All in one thread.
 */
#ifndef KMAP_TRACE_PTRACE_H
#define KMAP_TRACE_PTRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "drain.h"
#include "event.h"

struct trace_ptrace;

struct trace_ptrace_options {
	unsigned int data; /* first bytes kept of each buffer, at most 1024 */
	unsigned int frames; /* of each stack; at most 128 */
};

/*
 * region: trace_drain_path, or NULL when there is no recorder. NULL with
 * errno set when pipes or memory are missing.
 */
struct trace_ptrace *
trace_verify_new(const char *region, const struct trace_ptrace_options *o);
struct trace_ptrace *trace_attach_new(const struct trace_ptrace_options *o);

/*
 * In the child that will be the program, just before exec: waits until it is
 * traced and installs the filter. 0, or -errno: then it must not exec. An
 * ordinary user's program gets no_new_privs with it (seccomp(2) asks for it;
 * under ptrace setuid had no effect anyway).
 */
int trace_verify_child(struct trace_ptrace *x);

/*
 * Starts the tracer on that process. 0, or -errno with a message on stderr
 * that says what to do about it (ptrace forbidden, no such process); then
 * the child, if there was one, has ended.
 */
int trace_ptrace_begin(struct trace_ptrace *x, pid_t pid);

/* Its pid, for those who look at all processes; 0: none. */
pid_t trace_ptrace_tracer(const struct trace_ptrace *x);

/*
 * Emits what has been seen, without waiting. d may be NULL; with it the
 * calls of recorded processes are those processes'. Returns the number of
 * calls emitted.
 */
long trace_ptrace_poll(struct trace_ptrace *x, struct trace_drain *d);

/* Readable when poll has something to do. */
int trace_ptrace_fd(const struct trace_ptrace *x);

/* Has all that was traced ended, or been left? Poll has told all then. */
bool trace_ptrace_ended(const struct trace_ptrace *x);

/*
 * --attach: lets all threads go, in the state they would be in untraced.
 * --verify: says nothing more of them. Comes back when that is done.
 */
void trace_ptrace_leave(struct trace_ptrace *x, struct trace_drain *d);

/* Leaves, if need be, and emits the last. */
void trace_ptrace_close(struct trace_ptrace *x, struct trace_drain *d);
void trace_ptrace_free(struct trace_ptrace *x);

/* What --verify counted for one system call; as in struct wire_counts. */
struct trace_coverage {
	int sys;
	uint64_t calls, network, recorded;
};

/* By number of the system call, those that were seen. Owned by x. */
size_t trace_ptrace_coverage(
	const struct trace_ptrace *x, const struct trace_coverage **list);

#endif
