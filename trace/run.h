/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The traced program and its children: started, seen to their end, their
 * signals theirs.
 */
#ifndef KMAP_TRACE_RUN_H
#define KMAP_TRACE_RUN_H

#include <stdbool.h>

#include "drain.h"
#include "event.h"
#include "ptrace.h"

struct trace_run {
	struct trace_drain *drain; /* NULL with trace_follow */
	struct trace_ptrace *ptrace; /* NULL without --verify */
	char *const *argv; /* the program, NULL at the end */
	bool quiet; /* only errors are said */
	/* Called a few times a second, with the program's pid while it runs,
	 * then 0 while something that it started does. May be NULL. */
	void (*each)(void *arg, pid_t pid);
	void *arg;
};

/*
 * At the start: a file that may not grow any more (RLIMIT_FSIZE) is an error
 * to tell, as a full disk is, not the end of kmap-trace. The program is started
 * as if nothing had been changed; so is what else calls trace_run_restore().
 */
void trace_run_prepare(void);
void trace_run_restore(void);

/*
 * Starts the program (as execvp does) with the recorder and stays until it
 * and all that carries the recorder, or is ptraced, has ended, or until the
 * user ends the trace after the program has ended; what is recorded goes to
 * the sinks all the while. Signals that only kmap-trace got go to the
 * program; what the terminal sends the program has got itself.
 *
 * Returns the wait status, or -errno when it could not be started: the
 * message was said, nothing was recorded. The sinks are not finished.
 */
int trace_run(const struct trace_run *r);

/* --attach: follows a process until it ends or a signal (^C) comes. 0, or
 * -errno with a message. */
int trace_follow(const struct trace_run *r, pid_t pid);

/* Sends all that carry the recorder and still run a signal. */
void trace_run_signal(int sig);

/* The signal by which the user wanted to end the program or the trace, or 0.
 * One that a terminal sent counts, too. */
int trace_run_interrupted(void);

/* A sink that follows the processes; trace_run needs it among the sinks. */
const struct trace_sink *trace_run_sink(void);

/* Ends this process as the wait status says the program ended. */
void trace_end_like(int status) __attribute__((noreturn));

#endif
