/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The traced program and its children: started, seen to their end, their
 * signals theirs.
 */
#ifndef KMAP_TRACE_RUN_H
#define KMAP_TRACE_RUN_H

#include <stdbool.h>

#include "drain.h"
#include "event.h"

/*
 * Starts argv (as execvp does) with the recorder and stays until it and all
 * that carries the recorder has ended, or until the user ends the trace; what
 * is recorded goes to the sinks all the while. Signals that only kmap-trace
 * got go to the program; what the terminal sends the program has got itself.
 *
 * Returns the wait status, or -errno when it could not be started: the
 * message was said, nothing was recorded. The sinks are not finished.
 */
int trace_run(struct trace_drain *d, char *const *argv, bool quiet);

/* A sink that follows the processes; trace_run needs it among the sinks. */
const struct trace_sink *trace_run_sink(void);

/* Ends this process as the wait status says the program ended. */
void trace_end_like(int status) __attribute__((noreturn));

#endif
