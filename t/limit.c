/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * limit SECONDS PROGRAM [ARGUMENT...]
 *
 * Run a test. If it is still running after SECONDS, print the stacks of all
 * that it started, kill all of it, and fail. Whatever a test leaves behind
 * when it ends is named and killed, so that no test disturbs the next.
 *
 * It stands above the test as "child subreaper": a daemon that detached itself
 * is found too. A script may ask for its own limit in its first lines:
 *	# Limit: 300 s
 * KMAP_LIMIT_SCALE multiplies every limit (sanitizers, slow machines);
 * KMAP_LONG=1 multiplies by ten.
 */
#include "config.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_PROCS 4096
#define MAX_STACKS 16

struct proc {
	pid_t pid, ppid;
	char state;
};

static struct proc procs[MAX_PROCS];
static int n_procs;
static pid_t found[MAX_PROCS];
static int n_found;

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void
nap_ms(long ms)
{
	struct timespec ts = {ms / 1000, ms % 1000 * 1000000};

	nanosleep(&ts, NULL);
}

static void
scan_procs(void)
{
	DIR *dir = opendir("/proc");
	struct dirent *de;

	n_procs = 0;
	while (dir && (de = readdir(dir)) && n_procs < MAX_PROCS) {
		struct proc *p = &procs[n_procs];
		char path[300], *end;
		FILE *f;

		if (!isdigit((unsigned char)de->d_name[0]))
			continue;
		snprintf(path, sizeof(path), "/proc/%s/stat", de->d_name);
		f = fopen(path, "re");
		if (!f)
			continue;
		/* The name in brackets may hold anything: go from its end. */
		if (fgets(path, sizeof(path), f) &&
			(end = strrchr(path, ')')) &&
			sscanf(end + 1, " %c %d", &p->state, &p->ppid) == 2) {
			p->pid = atoi(de->d_name);
			n_procs++;
		}
		fclose(f);
	}
	if (dir)
		closedir(dir);
}

/* Fill found[] with all living descendants, parents first. */
static void
find_descendants(void)
{
	scan_procs();
	n_found = 0;
	for (int from = -1; from < n_found; from++) {
		pid_t parent = from < 0 ? getpid() : found[from];

		for (int i = 0; i < n_procs; i++)
			if (procs[i].ppid == parent && procs[i].state != 'Z')
				found[n_found++] = procs[i].pid;
	}
}

/* Copy a file of /proc to stdout as comment lines. */
static void
show_file(pid_t pid, const char *name)
{
	char path[64], buf[512];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	n = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	for (ssize_t i = 0; i < n; i++)
		if (buf[i] == '\0' || buf[i] == '\n')
			buf[i] = ' ';
	printf("#   %s: %.*s\n", name, (int)(n > 0 ? n : 0), buf);
	fflush(stdout);
}

static void
show_stacks(pid_t pid)
{
	char line[1024], target[16];
	int out[2], status;
	double end = now() + 20;
	pid_t gdb;
	FILE *f;

	printf("# --- process %d\n", pid);
	show_file(pid, "cmdline");
	show_file(pid, "wchan");
	show_file(pid, "syscall");
	if (pipe2(out, O_CLOEXEC) != 0)
		return;
	snprintf(target, sizeof(target), "%d", pid);
	gdb = fork();
	if (gdb == 0) {
		setpgid(0, 0);
		dup2(out[1], 1);
		dup2(out[1], 2);
		execlp("timeout", "timeout", "-k", "2", "18", "gdb", "-nx",
			"-batch", "-iex", "set debuginfod enabled off", "-ex",
			"thread apply all bt 40", "-p", target, (char *)NULL);
		_exit(127);
	}
	close(out[1]);
	f = fdopen(out[0], "r");
	while (f && now() < end && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (*line && strncmp(line, "[New LWP", 8) != 0 &&
			strncmp(line, "warning:", 8) != 0)
			printf("# %s\n", line);
	}
	if (f)
		fclose(f);
	if (gdb > 0) {
		while (waitpid(gdb, &status, 0) < 0 && errno == EINTR)
			;
		if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
			printf("# (no gdb here)\n");
	}
	fflush(stdout);
}

/*
 * Reap whoever ended, and tell whether nobody is left. The answer comes from
 * waitpid, not from /proc, which can be read while a child forks and exits;
 * a grandchild whose parent is gone is a child of ours.
 */
static bool
alone(void)
{
	pid_t pid;

	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
		;
	return pid < 0 && errno == ECHILD;
}

static void
kill_descendants(void)
{
	/* Who dies gives its children to us: look until none is left. */
	for (int round = 0; round < 500 && !alone(); round++) {
		find_descendants();
		for (int i = 0; i < n_found; i++)
			kill(found[i], SIGKILL);
		nap_ms(5);
	}
}

/* The limit that a script names in its first lines, or 0. */
static int
script_limit(const char *path)
{
	char line[256];
	int seconds = 0;
	FILE *f = fopen(path, "re");

	if (!f)
		return 0;
	for (int i = 0; i < 30 && fgets(line, sizeof(line), f); i++) {
		if (i == 0 && strncmp(line, "#!", 2) != 0)
			break;
		if (sscanf(line, "# Limit: %d s", &seconds) == 1)
			break;
	}
	fclose(f);
	return seconds;
}

/*
 * TMPDIR for the test, in the one that we were given: a test that is killed
 * leaves no litter. Like /tmp, for tests that play with uids.
 */
static char tmpdir[4096];

static void
make_tmpdir(void)
{
	const char *base = getenv("TMPDIR");

	snprintf(tmpdir, sizeof(tmpdir), "%s/kmap-limit.XXXXXX",
		base && *base ? base : "/tmp");
	if (!mkdtemp(tmpdir)) {
		*tmpdir = '\0';
		return;
	}
	chmod(tmpdir, 01777);
	setenv("TMPDIR", tmpdir, 1);
}

static void
remove_tmpdir(void)
{
	pid_t pid;

	if (!*tmpdir || getenv("KMAP_KEEP"))
		return;
	/* Also what a test made read-only. */
	pid = fork();
	if (pid == 0) {
		execlp("sh", "sh", "-c",
			"chmod -R u+rwX \"$0\" 2>/dev/null; rm -rf \"$0\"",
			tmpdir, (char *)NULL);
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static pid_t
start(char **argv, const sigset_t *mask)
{
	pid_t self = getpid(), pid = fork();

	if (pid != 0)
		return pid;
	/* A group of its own: `kill 0` in a test is not to end make. */
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != self)
		_exit(98);
	sigprocmask(SIG_SETMASK, mask, NULL);
	execvp(argv[0], argv);
	printf("# %s: %s\n", argv[0], strerror(errno));
	fflush(stdout);
	_exit(127);
}

static void
time_is_up(int seconds)
{
	int shown;

	printf("\n# still running after %d s\n", seconds);
	find_descendants();
	shown = n_found < MAX_STACKS ? n_found : MAX_STACKS;
	for (int i = 0; i < shown; i++)
		show_stacks(found[i]);
	if (shown < n_found)
		printf("# and %d more processes\n", n_found - shown);
	printf("not ok - time limit of %d s\n", seconds);
	fflush(stdout);
}

static void
leftovers(void)
{
	double end = now() + 3;

	/* A server that was told to stop may take a moment. */
	while (!alone() && now() < end)
		nap_ms(20);
	find_descendants();
	for (int i = 0; i < n_found; i++) {
		printf("# left running: process %d\n", found[i]);
		show_file(found[i], "cmdline");
	}
	fflush(stdout);
	kill_descendants();
}

int
main(int argc, char **argv)
{
	const char *scale = getenv("KMAP_LIMIT_SCALE");
	const char *longer = getenv("KMAP_LONG");
	struct rlimit no_core;
	sigset_t mask, old;
	int seconds, own, status = 0;
	double end;
	pid_t pid;

	if (argc < 3 || (seconds = atoi(argv[1])) <= 0) {
		fprintf(stderr, "usage: limit SECONDS PROGRAM [ARGUMENT...]\n");
		return 2;
	}
	own = script_limit(argv[2]);
	if (own > 0)
		seconds = own;
	if (scale && atoi(scale) > 0)
		seconds *= atoi(scale);
	if (longer && *longer && *longer != '0')
		seconds *= 10;

	/* Tests kill processes on purpose; their cores would litter. */
	getrlimit(RLIMIT_CORE, &no_core);
	no_core.rlim_cur = 0;
	setrlimit(RLIMIT_CORE, &no_core);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGHUP);
	sigprocmask(SIG_BLOCK, &mask, &old);
	make_tmpdir();
	end = now() + seconds;
	pid = start(argv + 2, &old);
	if (pid < 0) {
		perror("limit: fork");
		return 2;
	}

	for (bool ended = false; !ended;) {
		struct timespec tick = {1, 0};
		int sig = sigtimedwait(&mask, NULL, &tick), one;
		pid_t gone;

		if (sig == SIGINT || sig == SIGTERM || sig == SIGHUP) {
			kill_descendants();
			remove_tmpdir();
			return 128 + sig;
		}
		while ((gone = waitpid(-1, &one, WNOHANG)) > 0)
			if (gone == pid) {
				ended = true;
				status = one;
			}
		if (!ended && now() >= end) {
			time_is_up(seconds);
			kill_descendants();
			remove_tmpdir();
			return 124;
		}
	}
	leftovers();
	remove_tmpdir();
	if (WIFSIGNALED(status)) {
		printf("# killed by signal %d (%s)\n", WTERMSIG(status),
			strsignal(WTERMSIG(status)));
		return 128 + WTERMSIG(status);
	}
	return WEXITSTATUS(status);
}
