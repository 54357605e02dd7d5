/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Source 1: the recorder's rings. The region is made here, the recorders of
 * the traced programs write into it, and poll turns what they wrote into
 * events, merged by time of return.
 *
 *	trace_drain_open(&d, ...)
 *	fork; in the child: setenv("KMAP_TRACE", trace_drain_path(d)),
 *		setenv("LD_PRELOAD", trace_drain_preload(old value)), exec
 *	while (the program runs)
 *		trace_drain_poll(d, 100)
 *	trace_drain_exited(d, pid, status)
 *	trace_drain_close(d)		the last drain; removes the file
 *	trace_finish()			sinks may still use processes' modules
 *	trace_drain_free(d)
 *
 * All of it in one thread, the one that called open: the kernel tells the
 * recorders when that thread dies. While it lives but does not poll, a
 * program whose ring is full waits.
 */
#ifndef KMAP_TRACE_DRAIN_H
#define KMAP_TRACE_DRAIN_H

#include <sys/types.h>

#include "event.h"

/*
 * What its calls carry beyond event.h's words:
 *  - close_range and closefrom: a TRACE_ITEM_POLL of the recorded numbers
 *    that went (fd, ep, kind); fd is -1
 *  - sendmmsg, recvmmsg: TRACE_ITEM_IOV has the length of each message
 *  - select: one TRACE_ITEM_POLL for the three sets, in poll's bits
 *  - epoll_wait: the fd of an event is that of the last epoll_ctl that gave
 *    these data; -1 when none was seen
 *  - a call that a cancelled thread never came back from is there when the
 *    thread has been unwound, with `cut`
 * Not recorded: eventfd, pipe, timerfd, signalfd and files until they lie in
 * a poll set with a socket or are spliced with one; poll and select of sets
 * without a socket or epoll set; poll and select that failed with EFAULT.
 */
struct trace_drain;

struct trace_drain_options {
	unsigned int data; /* first bytes kept of each buffer, at most 1024 */
	unsigned int frames; /* of each stack; 0: no stacks; at most 128 */
	bool hash; /* TRACE_ITEM_HASH for the calls of TCP connections */
};

/*
 * Makes the region: in $KMAP_TRACE_DIR (for tests), else $XDG_RUNTIME_DIR,
 * /dev/shm or $TMPDIR, the first that takes it. o may be NULL: 32 bytes, 64
 * frames. Returns 0, or -errno with a message on stderr; *d is valid only
 * after 0.
 */
int
trace_drain_open(struct trace_drain **d, const struct trace_drain_options *o);

/* The value of KMAP_TRACE for the traced program. Owned by d. */
const char *trace_drain_path(const struct trace_drain *d);

/*
 * A library of ours: what the environment's variable names, else `name` in
 * `built` beside the running kmap-trace when it is not installed, else that in
 * lib beside its bin, else the one in configure's libdir, there or not. The
 * caller frees it.
 */
char *trace_library(const char *variable, const char *built, const char *name);

/*
 * The value of LD_PRELOAD: the recorder, then what was there (old may be NULL
 * or ""). The caller frees it. NULL when there is no recorder.
 */
char *trace_drain_preload(const char *old);

/*
 * Emits what has been recorded. When there is nothing it sleeps until there
 * is, for timeout_ms at most; a signal ends the sleep, too. Returns the
 * number of calls emitted. Emits a tick about once a second. A recording that
 * broke off (no space) is said on stderr, once.
 */
long trace_drain_poll(struct trace_drain *d, int timeout_ms);

/*
 * A process has ended (wait status): emits all it recorded, then the process
 * once more with its status. Call it for every child that is waited for.
 */
void trace_drain_exited(struct trace_drain *d, pid_t pid, int status);

/* The image that pid runs, or NULL when no recorder was loaded into it. */
const struct trace_process *
trace_drain_process(struct trace_drain *d, pid_t pid);

/*
 * Whether some thread is inside of accept, poll, select or epoll_wait now: the
 * program has set itself up and waits for the world.
 */
bool trace_drain_waiting(const struct trace_drain *d);

/*
 * The programs that were executed, after trace_drain_close: names, each with
 * its NUL (argz_next(3)); those without a slash were looked for in $PATH.
 */
const char *trace_drain_programs(const struct trace_drain *d, size_t *len);

/* Calls that a recorder saw and could not record. */
uint64_t trace_drain_lost(const struct trace_drain *d);

/*
 * Tells the recorders to stop (programs that run on do so unrecorded), drains
 * the last, removes the file. What the events pointed to stays until free.
 */
void trace_drain_close(struct trace_drain *d);
void trace_drain_free(struct trace_drain *d);

/*
 * The function whose arguments trace_call.args are, for a recorded name:
 * "recv" for "__recv_chk", "fcntl" for "fcntl64". For "syscall" the arguments
 * are those of the syscall trace_call.sys. A name that the recorder does not
 * know is returned as it is.
 */
const char *trace_fn_base(const char *fn);

#endif
