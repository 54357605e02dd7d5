/* SPDX-License-Identifier: LGPL-2.1-or-later */
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
#include <time.h>
#include <unistd.h>

#include "out.h"

/* What people and init systems send to a program they started. */
static const int forwarded[] = {
	SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct sigaction before[COUNT(forwarded)];
static void (*xfsz_before)(int) = SIG_DFL;
static volatile sig_atomic_t program; /* its pid while it runs */
static volatile sig_atomic_t asked; /* a signal came when it ran no more */
static volatile sig_atomic_t interrupted; /* one of those that end came */

/* Every process that was seen with the recorder in it. */
static struct watched {
	pid_t pid;
	int pidfd; /* -1: it has ended */
} * watched;
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
		struct pollfd p = {.fd = watched[i].pidfd, .events = POLLIN};

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
	/* A process that ptrace alone sees ends with the tracer's wait. One
	 * of another pid namespace has another number here: /proc tells it,
	 * when it matters. */
	if (p->recorded && !p->elsewhere && p->status == -1)
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

/* Whether a part of /proc/PID/FILE, each up to `end`, holds the text. */
static bool
holds(const char *pid, const char *file, int end, const char *text)
{
	char path[64], *part = NULL;
	bool found = false;
	size_t room = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%s/%s", pid, file);
	f = fopen(path, "re");
	if (!f)
		return false;
	while (!found && getdelim(&part, &room, end, f) > 0)
		found = strstr(part, text) != NULL;
	free(part);
	fclose(f);
	return found;
}

/*
 * A child that was forked and has called nothing yet has not been announced,
 * but it has its parent's mapping. True: there was one. *starting: another one
 * has only the word of it in its environment, because its program was executed
 * just now (or takes no recorder).
 */
static bool
watch_silent(const char *region, pid_t tracer, bool *starting)
{
	DIR *dir = opendir("/proc");
	struct dirent *e;
	bool any = false;
	pid_t pid;

	if (!dir)
		return false;
	while ((e = readdir(dir))) {
		pid = atoi(e->d_name);
		if (pid <= 0 || pid == getpid() || pid == tracer)
			continue;
		if (holds(e->d_name, "maps", '\n', region)) {
			any = true;
			watch(pid);
		} else if (holds(e->d_name, "environ", 0, region)) {
			*starting = true;
		}
	}
	closedir(dir);
	return any;
}

/*
 * A shell without job control ignores these two for what it starts with "&",
 * so that the terminal's ^C is not for it. Who sends one by kill(2) means it.
 */
static bool
meant(int sig, const siginfo_t *info)
{
	return (sig == SIGINT || sig == SIGQUIT) && info->si_code == SI_USER;
}

static void
on_signal(int sig, siginfo_t *info, void *context)
{
	int saved = errno;
	size_t i;

	(void)context;
	if (sig == SIGHUP || sig == SIGINT || sig == SIGQUIT || sig == SIGTERM)
		interrupted = sig;
	/* The terminal has sent it to the whole group. */
	if (program && info->si_code != SI_KERNEL)
		kill(program, sig);
	for (i = 0; !program && i < COUNT(forwarded); i++)
		if (forwarded[i] == sig &&
			(before[i].sa_handler != SIG_IGN || meant(sig, info)))
			asked = sig;
	errno = saved;
}

static uint64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ull + ts.tv_nsec / 1000000;
}

/* Once a second, when there is no drain that does it. */
static void
tick(void)
{
	static uint64_t last;

	if (now_ms() - last < 1000)
		return;
	last = now_ms();
	trace_emit_tick();
}

static void
on_child(int sig)
{
	(void)sig; /* only ends the sleep */
}

/*
 * What was ignored when we were started (nohup; a shell's "&") stays ignored
 * in the program until it says otherwise, and does not end the trace unless it
 * is meant for it. It is handed on all the same: gunicorn takes SIGQUIT however
 * it was started.
 */
static void
take_signals(void)
{
	struct sigaction sa = {
		.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
	static bool taken;
	size_t i;

	/* A second run: `before` is what it was before the first. */
	if (taken)
		return;
	taken = true;
	for (i = 0; i < COUNT(forwarded); i++) {
		sigaction(forwarded[i], NULL, &before[i]);
		sigaction(forwarded[i], &sa, NULL);
	}
}

/* Why the program was not started; all zero while that is not known. */
struct failed {
	int error; /* errno */
	bool filter; /* of seccomp(2), not of execve(2) */
};

void
trace_run_prepare(void)
{
	xfsz_before = signal(SIGXFSZ, SIG_IGN);
}

void
trace_run_restore(void)
{
	signal(SIGXFSZ, xfsz_before);
}

/* In the child, all signals blocked. */
static struct failed
become(const struct trace_run *r, const char *preload, const sigset_t *mask)
{
	size_t i;
	int rc;

	for (i = 0; i < COUNT(forwarded); i++)
		sigaction(forwarded[i], &before[i], NULL);
	trace_run_restore();
	sigprocmask(SIG_SETMASK, mask, NULL);
	if (setenv("LD_PRELOAD", preload, 1) < 0 ||
		setenv("KMAP_TRACE", trace_drain_path(r->drain), 1) < 0)
		return (struct failed){.error = errno};
	rc = r->ptrace ? trace_verify_child(r->ptrace) : 0;
	if (rc < 0)
		return (struct failed){.error = -rc, .filter = true};
	execvp(r->argv[0], r->argv);
	return (struct failed){.error = errno};
}

static void
say_failed(const struct trace_run *r, const struct failed *f)
{
	if (f->filter)
		say("%s cannot be followed by ptrace, seccomp(2) is not "
		    "permitted here: %s",
			r->argv[0], strerror(f->error));
	else
		say("%s: %s", r->argv[0], strerror(f->error));
}

/* The program's pid, or -errno with a message on stderr. */
static pid_t
start(const struct trace_run *r)
{
	char *preload = trace_drain_preload(getenv("LD_PRELOAD"));
	struct sigaction chld = {.sa_handler = on_child};
	int errors[2], error = 0;
	struct failed failed;
	sigset_t all, mask;
	pid_t pid;

	if (!preload)
		return -EIO;
	if (pipe2(errors, O_CLOEXEC) < 0) {
		error = errno;
		say("pipe: %s", strerror(error));
		free(preload);
		return -error;
	}
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &mask);
	take_signals();
	pid = fork();
	if (!pid) {
		failed = become(r, preload, &mask);
		if (write(errors[1], &failed, sizeof(failed)) < 0) {
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
	sigaction(SIGCHLD, &chld, NULL);
	/* What was blocked when we were started must not be now: only the
	 * program's end is sure to come. */
	sigdelset(&mask, SIGCHLD);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	free(preload);
	close(errors[1]);
	if (pid < 0) {
		say("fork: %s", strerror(error));
	} else if (r->ptrace && trace_ptrace_begin(r->ptrace, pid) < 0) {
		error = EPERM;
		waitpid(pid, NULL, 0);
	} else if (read(errors[0], &failed, sizeof(failed)) == sizeof(failed)) {
		error = failed.error;
		say_failed(r, &failed);
		waitpid(pid, NULL, 0);
	} else {
		error = 0;
	}
	if (error)
		program = 0;
	close(errors[0]);
	return error ? -error : pid;
}

/* Whether the program has ended; takes note of it. */
static bool
ended(const struct trace_run *r, pid_t pid, int *status)
{
	if (waitpid(pid, status, WNOHANG) != pid)
		return false;
	program = 0;
	/* Its last calls, before its end is told. */
	if (r->ptrace)
		trace_ptrace_poll(r->ptrace, r->drain);
	trace_drain_exited(r->drain, pid, *status);
	return true;
}

/* Emits what there is; sleeps for a while when there is nothing. */
static void
step(const struct trace_run *r)
{
	static bool busy;
	struct pollfd p = {.events = POLLIN};
	long n;

	if (!r->ptrace) {
		trace_drain_poll(r->drain, 100);
		return;
	}
	/* Two sources, and a sleep that wakes for one of them: it is short,
	 * so that a ring does not fill up meanwhile. */
	if (!busy) {
		p.fd = trace_ptrace_fd(r->ptrace);
		poll(&p, 1, r->drain ? 5 : 100);
	}
	n = trace_ptrace_poll(r->ptrace, r->drain);
	if (r->drain)
		n += trace_drain_poll(r->drain, 0);
	else
		tick();
	busy = n > 0;
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
	say("%s has ended, what it started runs on%s%s%s: recording goes "
	    "on; ^C or SIGTERM ends the trace, not them",
		name, b.s ? " (pid " : "", b.s ? b.s : "", b.s ? ")" : "");
	buf_free(&b);
}

/* Whether anything that is traced still runs, or *starting to. */
static bool
any_left(const struct trace_run *r, bool *starting)
{
	pid_t tracer = r->ptrace ? trace_ptrace_tracer(r->ptrace) : 0;
	int looks;

	*starting = false;
	if (r->ptrace && !trace_ptrace_ended(r->ptrace))
		return true;
	/* Who ends while /proc is read may leave a child that is not in what
	 * was read (each daemon begins so): only when nobody was there twice
	 * in a row, nobody is. */
	for (looks = 0; looks < 2; looks++) {
		if (still_running())
			return true;
		if (watch_silent(trace_drain_path(r->drain), tracer, starting))
			looks = -1;
		/* In the middle of an exec a process has no mapping; it was
		 * announced before, though. */
		trace_drain_poll(r->drain, 0);
	}
	return still_running();
}

/* The program has ended; its children may not have. */
static void
follow_rest(const struct trace_run *r)
{
	uint64_t since = now_ms();
	bool said = r->quiet, starting;

	/* Who has executed its program just now is waited for a little. */
	while (any_left(r, &starting) ||
		((starting || r->each) && now_ms() - since < 200)) {
		if (asked) {
			if (!r->quiet)
				say("detached from what runs on");
			return;
		}
		/* Those that are about to end need no word. */
		if (!said && now_ms() - since > 1000) {
			say_left(r->argv[0]);
			said = true;
		}
		step(r);
		if (r->each)
			r->each(r->arg, 0);
	}
}

void
trace_run_signal(int sig)
{
	size_t i;

	for (i = 0; i < nwatched; i++)
		if (watched[i].pidfd >= 0)
			syscall(SYS_pidfd_send_signal, watched[i].pidfd, sig,
				NULL, 0);
}

int
trace_run_interrupted(void)
{
	return interrupted;
}

int
trace_run(const struct trace_run *r)
{
	int status = 0;
	pid_t pid;

	pid = start(r);
	if (pid < 0)
		return pid;
	while (!ended(r, pid, &status)) {
		step(r);
		if (r->each)
			r->each(r->arg, pid);
	}
	follow_rest(r);
	return status;
}

int
trace_follow(const struct trace_run *r, pid_t pid)
{
	int rc;

	take_signals();
	signal(SIGPIPE, SIG_IGN);
	rc = trace_ptrace_begin(r->ptrace, pid);
	if (rc < 0)
		return rc;
	if (!r->quiet)
		say("attached to %d; ^C leaves it", pid);
	while (!asked && !trace_ptrace_ended(r->ptrace))
		step(r);
	if (asked && !r->quiet)
		say("left %d, which runs on", pid);
	trace_ptrace_leave(r->ptrace, NULL);
	return 0;
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
