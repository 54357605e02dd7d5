/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "tracer.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>

#define OPTIONS                                                                \
	(PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC | PTRACE_O_TRACECLONE |    \
		PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK)

static void
interrupt(struct tracee *t)
{
	ptrace(PTRACE_INTERRUPT, t->tid, 0, 0);
}

void
attach_interrupt_all(void)
{
	tracer_each(interrupt);
}

/*
 * Takes all threads of a process. Those that are made meanwhile come with
 * their makers (PTRACE_O_TRACECLONE) or are found when /proc is read again;
 * it is read until it shows nobody new. 0, or -errno, *failed then tells
 * whom it was about.
 *
 * ptrace(2): PTRACE_SEIZE does not stop; what does is PTRACE_INTERRUPT, so
 * that each thread gets to its first stop and from there from call to call.
 * Options with TRACESECCOMP and TRACEEXIT are for --verify.
 */
int
attach_seize(pid_t pid, pid_t *failed)
{
	long options = OPTIONS;
	char path[64];
	bool more = true;

	if (tracer.verify)
		options |= PTRACE_O_TRACESECCOMP | PTRACE_O_TRACEEXIT;
	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	while (more) {
		DIR *dir = opendir(path);
		struct dirent *e;

		*failed = pid;
		if (!dir)
			return errno == ENOENT ? -ESRCH : -errno;
		more = false;
		while ((e = readdir(dir))) {
			pid_t tid = atoi(e->d_name);

			if (tid <= 0 || tracer_find(tid))
				continue;
			if (ptrace(PTRACE_SEIZE, tid, 0, options) < 0) {
				int err = errno;

				/* It has ended since, or was seized as the
				 * child of one that we have. */
				if (err == ESRCH ||
					(err == EPERM && tracer_find(tid)))
					continue;
				if (tid != pid && tracer_count()) {
					/* perhaps it came with its maker */
					continue;
				}
				*failed = tid;
				closedir(dir);
				return -err;
			}
			tracer_new(tid);
			more = true;
			if (!tracer.verify)
				ptrace(PTRACE_INTERRUPT, tid, 0, 0);
		}
		closedir(dir);
	}
	return tracer_count() ? 0 : -ESRCH;
}
