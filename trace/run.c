/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include "run.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "out.h"

#pragma weak trace_drain_preload
#pragma weak trace_drain_path
#pragma weak trace_drain_poll
#pragma weak trace_drain_exited

/* What people and init systems send to a program they started. */
static const int forwarded[] = {
	SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct sigaction before[COUNT(forwarded)];
static volatile sig_atomic_t program; /* its pid while it runs */
static volatile sig_atomic_t asked; /* a signal came when it ran no more */

/* Every process that was seen with the recorder in it. */
static struct watched {
	pid_t pid;
	int pidfd; /* -1: it has ended */
} *watched;
static size_t nwatched, nalive;

static void
watch(pid_t pid)
{
	size_t i;
	int fd;

	for (i = 0; i < nwatched; i++)
		if (watched[i].pid == pid && watched[i].pidfd >= 0)
			return;
	fd = syscall(SYS_pidfd_open, pid, 0);
	if (fd < 0)
		return; /* it is gone */
	watched = xrealloc(watched, (nwatched + 1) * sizeof(*watched));
	watched[nwatched++] = (struct watched){pid, fd};
	nalive++;
}

/* Forgets those that ended; how many are left. */
static size_t
still_running(void)
{
	size_t i;

	for (i = 0; i < nwatched; i++) {
		struct pollfd p = {
			.fd = watched[i].pidfd, .events = POLLIN};

		if (p.fd < 0 || poll(&p, 1, 0) != 1)
			continue;
		close(p.fd);
		watched[i].pidfd = -1;
		nalive--;
	}
	return nalive;
}

static void
run_process(void *arg, const struct trace_process *p)
{
	(void)arg;
	/* A process that ptrace alone sees ends with the tracer's wait. */
	if (p->recorded && p->status == -1)
		watch(p->pid);
}

const struct trace_sink *
trace_run_sink(void)
{
	static const struct trace_sink sink = {
		.name = "run",
		.process = run_process,
	};

	return &sink;
}

/* Whether the process has the region mapped. */
static bool
carries(const char *pid, const char *region)
{
	char path[64], line[4352];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%s/maps", pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	while (!found && fgets(line, sizeof(line), f))
		found = strstr(line, region) != NULL;
	fclose(f);
	return found;
}

/*
 * A child that was forked and has called nothing yet has not been announced,
 * but it has its parent's mapping.
 */
static void
watch_silent(const char *region)
{
	DIR *dir = opendir("/proc");
	struct dirent *e;
	pid_t pid;

	if (!dir)
		return;
	while ((e = readdir(dir))) {
		pid = atoi(e->d_name);
		if (pid > 0 && pid != getpid() && carries(e->d_name, region))
			watch(pid);
	}
	closedir(dir);
}

static void
on_signal(int sig, siginfo_t *info, void *context)
{
	int saved = errno;

	(void)context;
	/* The terminal has sent it to the whole group. */
	if (program && info->si_code != SI_KERNEL)
		kill(program, sig);
	if (!program)
		asked = sig;
	errno = saved;
}

static void
on_child(int sig)
{
	(void)sig; /* only ends the sleep */
}

/* What was ignored (nohup) stays ignored, here and in the program. */
static void
take_signals(void)
{
	struct sigaction sa = {
		.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
	size_t i;

	for (i = 0; i < COUNT(forwarded); i++) {
		sigaction(forwarded[i], NULL, &before[i]);
		if (before[i].sa_handler != SIG_IGN)
			sigaction(forwarded[i], &sa, NULL);
	}
}

/* In the child, all signals blocked. Returns only when it fails. */
static void
become(struct trace_drain *d, char *const *argv, const char *preload,
	const sigset_t *mask)
{
	size_t i;

	for (i = 0; i < COUNT(forwarded); i++)
		sigaction(forwarded[i], &before[i], NULL);
	sigprocmask(SIG_SETMASK, mask, NULL);
	if (preload && (setenv("LD_PRELOAD", preload, 1) < 0 ||
			       setenv("KMAP_TRACE", trace_drain_path(d), 1) <
				       0))
		return;
	execvp(argv[0], argv);
}

/* The program's pid, or -errno. */
static pid_t
start(struct trace_drain *d, char *const *argv)
{
	char *preload = trace_drain_preload(getenv("LD_PRELOAD"));
	struct sigaction chld = {.sa_handler = on_child}, old_chld;
	int errors[2], error = 0;
	sigset_t all, mask;
	pid_t pid;

	if (!preload)
		return -ENOENT;
	if (pipe2(errors, O_CLOEXEC) < 0) {
		error = -errno;
		free(preload);
		return error;
	}
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &mask);
	take_signals();
	pid = fork();
	if (!pid) {
		become(d, argv, preload, &mask);
		error = errno;
		if (write(errors[1], &error, sizeof(error)) < 0) {
			/* It sees the exit status. */
		}
		_exit(127);
	}
	if (pid < 0)
		error = errno;
	else
		program = pid;
	/* After the fork: the program has what was inherited. */
	signal(SIGPIPE, SIG_IGN);
	sigaction(SIGCHLD, &chld, &old_chld);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	/* SIGCHLD may come to us blocked; we must see it. */
	sigemptyset(&all);
	sigaddset(&all, SIGCHLD);
	sigprocmask(SIG_UNBLOCK, &all, NULL);
	free(preload);
	close(errors[1]);
	if (pid > 0 && read(errors[0], &error, sizeof(error)) ==
			sizeof(error)) {
		program = 0;
		waitpid(pid, NULL, 0);
	}
	close(errors[0]);
	return error ? -error : pid;
}

/* Takes note of each child that has ended; true when pid is among them. */
static bool
reap(struct trace_drain *d, pid_t pid, int *status)
{
	bool ended = false;
	pid_t one;
	int st;

	while ((one = waitpid(-1, &st, WNOHANG)) > 0) {
		if (one == pid) {
			program = 0;
			*status = st;
			ended = true;
		}
		trace_drain_exited(d, one, st);
	}
	return ended;
}

static void
say_left(const char *name)
{
	struct trace_buf b = {0};
	size_t i, n = 0;

	for (i = 0; i < nwatched && n < 8; i++)
		if (watched[i].pidfd >= 0)
			buf_fmt(&b, "%s%d", n++ ? ", " : "", watched[i].pid);
	if (n < nalive)
		buf_str(&b, " …");
	say("%s has ended, what it started runs on (pid %s): recording goes "
	    "on; ^C or SIGTERM ends the trace, not them",
		name, b.s ? b.s : "?");
	buf_free(&b);
}

/* The program has ended; its children may not have. */
static void
follow_rest(struct trace_drain *d, const char *name, bool quiet)
{
	int quiet_for = 0;
	bool said = quiet;

	for (;;) {
		if (asked)
			break;
		if (!still_running()) {
			watch_silent(trace_drain_path(d));
			if (!still_running())
				break;
		}
		/* Those that are about to end need no word. */
		if (!said && ++quiet_for == 10) {
			say_left(name);
			said = true;
		}
		if (trace_drain_poll(d, 100) < 0)
			break;
		reap(d, 0, NULL);
	}
	if (asked && still_running() && !quiet)
		say("detached from %zu process%s", nalive,
			nalive == 1 ? "" : "es");
}

int
trace_run(struct trace_drain *d, char *const *argv, bool quiet)
{
	int status = 0;
	pid_t pid;

	pid = start(d, argv);
	if (pid < 0) {
		say("%s: %s", argv[0], strerror(-pid));
		return pid;
	}
	while (!reap(d, pid, &status))
		trace_drain_poll(d, 100);
	follow_rest(d, argv[0], quiet);
	return status;
}

void
trace_end_like(int status)
{
	struct rlimit none = {0, 0};
	sigset_t set;
	int sig;

	if (WIFEXITED(status))
		exit(WEXITSTATUS(status));
	/* The program's core was dumped already; ours would replace it. */
	sig = WTERMSIG(status);
	setrlimit(RLIMIT_CORE, &none);
	signal(sig, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, sig);
	fflush(NULL);
	raise(sig);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	exit(128 + sig);
}
