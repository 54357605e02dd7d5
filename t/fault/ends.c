/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every way in which a process ends, one child for each:
 *
 *	ends NOTE	says on stdout what its parent saw of each, and writes
 *			"pid lines name" to NOTE: how many lines of KMAP_STATS
 *			that process owes
 *	ends say [all]	says what dispositions it finds, all: as the kernel does
 *	ends return	returns from main
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define VALUE 42

static FILE *note;
static char *self;

static void
nothing(int sig)
{
	(void)sig;
}

/* ---- what the kernel raises ---- */

static void
segv(void)
{
	char *p =
		mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	*(volatile char *)p = 1;
}

static void
bus(void)
{
	char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
		memfd_create("empty", MFD_CLOEXEC), 0);

	*(volatile char *)p = 1;
}

static void
ill(void)
{
	__builtin_trap();
}

static void
sys(void)
{
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog p = {.len = 4, .filter = f};

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p);
	getppid();
}

static void
xfsz(void)
{
	struct rlimit rl = {1 << 20, 1 << 20};
	int fd = memfd_create("large", MFD_CLOEXEC);

	setrlimit(RLIMIT_FSIZE, &rl);
	if (pwrite(fd, "x", 1, 1 << 20) < 0)
		perror("pwrite");
}

static void
pipes(void)
{
	int p[2];

	if (pipe(p) != 0 || close(p[0]) != 0 || write(p[1], "x", 1) < 0)
		perror("pipe");
}

static void
timer(int which)
{
	struct itimerval it = {.it_value.tv_usec = 1000};

	setitimer(which, &it, NULL);
	for (;;)
		;
}

static void
alrm(void)
{
	timer(ITIMER_REAL);
}

static void
vtalrm(void)
{
	timer(ITIMER_VIRTUAL);
}

static void
prof(void)
{
	timer(ITIMER_PROF);
}

#if defined __x86_64__
static void
fpe(void)
{
	volatile int zero = 0;

	zero = 1 / zero;
}

static void
trap(void)
{
	__asm__ volatile("int3");
}
#endif

/* ---- and how else one may come ---- */

static void
suspended(void)
{
	sigset_t all, none;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	raise(SIGTERM);
	sigemptyset(&none);
	sigsuspend(&none);
}

static void
default_again(void)
{
	signal(SIGHUP, nothing);
	raise(SIGHUP);
	signal(SIGHUP, SIG_DFL);
	raise(SIGHUP);
}

static void
handled_once(void)
{
	struct sigaction sa = {
		.sa_handler = nothing, .sa_flags = (int)SA_RESETHAND};

	sigaction(SIGUSR2, &sa, NULL);
	raise(SIGUSR2);
	raise(SIGUSR2);
}

static void
no_defer(void)
{
	struct sigaction sa = {.sa_handler = SIG_DFL, .sa_flags = SA_NODEFER};

	sigaction(SIGINT, &sa, NULL);
	raise(SIGINT);
}

static void
ignored(void)
{
	signal(SIGUSR1, SIG_IGN);
	raise(SIGUSR1);
}

static void *
kills(void *arg)
{
	(void)arg;
	kill(getpid(), SIGQUIT);
	pause();
	return NULL;
}

static void
in_thread(void)
{
	pthread_t t;
	sigset_t all;

	/* A shell's & has it ignored. */
	signal(SIGQUIT, SIG_DFL);
	pthread_create(&t, NULL, kills, NULL);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	pthread_join(t, NULL);
}

/* ---- ends by itself ---- */

static void
exits(void)
{
	exit(3);
}

static void
exits_at_once(void)
{
	_exit(4);
}

static void
Exits(void)
{
	_Exit(5);
}

static void
exits_quick(void)
{
	quick_exit(6);
}

static void
exits_raw(void)
{
	syscall(SYS_exit_group, 8);
}

static void
returns(void)
{
	execl(self, self, "return", (char *)NULL);
}

/* An empty environment: only the old program owes a line. */
static void
executes(void)
{
	char *none[] = {NULL};

	execle("/bin/false", "false", (char *)NULL, none);
}

static void
executes_nothing(void)
{
	execl("/nowhere/false", "false", (char *)NULL);
	exit(errno == ENOENT ? 10 : 11);
}

static void *
late(void *arg)
{
	usleep(20000);
	return arg;
}

static void
last_thread(void)
{
	pthread_t t;

	pthread_create(&t, NULL, late, NULL);
	pthread_exit(NULL);
}

/* How much was said so far: nothing for whoever lives on. */
static off_t
said(void)
{
	const char *path = getenv("KMAP_STATS");
	struct stat st;

	return path != NULL && stat(path, &st) == 0 ? st.st_size : 0;
}

static void
vfork_child(void)
{
	off_t before = said();
	pid_t pid = vfork();
	int st = 0;

	if (pid == 0) {
		kill((pid_t)syscall(SYS_getpid), SIGTERM);
		_exit(1);
	}
	waitpid(pid, &st, 0);
	if (said() != before)
		_exit(17);
	_exit(WIFSIGNALED(st) && WTERMSIG(st) == SIGTERM ? 12 : 13);
}

/* The first process of a namespace: what is sent is as if it were not. */
static void
first(void)
{
	pid_t pid;
	int st = -1;

	if (unshare(CLONE_NEWPID) != 0)
		_exit(14);
	pid = fork();
	if (pid == 0) {
		off_t before = said();

		raise(SIGTERM);
		raise(SIGSEGV);
		raise(SIGRTMIN);
		if (said() != before)
			_exit(17);
		execl(self, self, "first", (char *)NULL);
	}
	waitpid(pid, &st, 0);
	_exit(WIFEXITED(st) ? WEXITSTATUS(st) : 15);
}

static int
first_again(void)
{
	struct timespec ts = {.tv_nsec = 30000000};
	pid_t pid = fork();

	if (pid == 0) {
		usleep(5000);
		kill(1, SIGTERM);
		kill(1, SIGUSR1);
		_exit(0);
	}
	/* It is not woken, either. */
	if (nanosleep(&ts, NULL) != 0)
		return 16;
	waitpid(pid, NULL, 0);
	raise(SIGTERM);
	return 14;
}

static const struct {
	const char *name;
	void (*run)(void);
	int lines; /* of KMAP_STATS */
	bool traced;
} ways[] = {
	{"raised SIGSEGV", segv, 1, true},
	{"raised SIGBUS", bus, 1, true},
	{"raised SIGILL", ill, 1, true},
#if defined __x86_64__
	{"raised SIGFPE", fpe, 1, true},
	{"raised SIGTRAP", trap, 1, true},
#endif
	{"raised SIGSYS", sys, 1, true},
	{"raised SIGXFSZ", xfsz, 1, true},
	{"raised SIGPIPE", pipes, 1, true},
	{"raised SIGALRM", alrm, 1, true},
	{"raised SIGVTALRM", vtalrm, 1, true},
	{"raised SIGPROF", prof, 1, true},
	{"abort", abort, 1, true},
	{"a signal let in by sigsuspend", suspended, 1, true},
	{"a signal whose handler was taken away", default_again, 1, true},
	{"a signal whose handler was for once", handled_once, 1, true},
	{"a signal that is not blocked meanwhile", no_defer, 1, true},
	{"an ignored signal", ignored, 1, true},
	{"a signal in another thread", in_thread, 1, false},
	{"exit", exits, 1, false},
	{"_exit", exits_at_once, 1, false},
	{"_Exit", Exits, 1, false},
	{"quick_exit", exits_quick, 1, false},
	{"exit_group", exits_raw, 1, false},
	{"return from main", returns, 2, false},
	{"exec", executes, 1, false},
	{"exec that fails", executes_nothing, 2, false},
	{"the last thread's end", last_thread, 1, false},
	{"a vfork child's death", vfork_child, 1, false},
	{"a first process", first, 1, false},
};

/* ---- the parent ---- */

/* Follows the child to its end; si: the last signal that it was given. */
static int
follow(pid_t pid, siginfo_t *si)
{
	int st, sig;

	memset(si, 0, sizeof(*si));
	while (waitpid(pid, &st, 0) == pid && WIFSTOPPED(st)) {
		siginfo_t now;

		sig = WSTOPSIG(st);
		/* That it now stops is no news. */
		if (ptrace(PTRACE_GETSIGINFO, pid, NULL, &now) != 0)
			sig = 0;
		else
			*si = now;
		if (sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU)
			sig = 0;
		ptrace(PTRACE_CONT, pid, NULL, (long)sig);
	}
	return st;
}

static void
row(const char *name, int sig, void (*run)(void), int lines, bool traced)
{
	siginfo_t si;
	pid_t pid;
	int st;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		union sigval v = {.sival_int = VALUE};

		if (traced)
			ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		if (run != NULL)
			run();
		else
			sigqueue(getpid(), sig, v);
		_exit(7);
	}
	st = follow(pid, &si);
	printf("%s: status %#x", name, (unsigned int)st);
	if (traced)
		printf(", signal %d, code %d%s%s", si.si_signo, si.si_code,
			si.si_code == SI_QUEUE && si.si_value.sival_int == VALUE
				? ", its value"
				: "",
			si.si_code <= 0 && si.si_pid == pid ? ", its own" : "");
	printf("\n");
	fprintf(note, "%d %d %s\n", pid, lines, name);
}

static int
say(bool caught)
{
	char line[128];
	FILE *f = fopen("/proc/self/status", "r");

	for (int sig = 1; sig < _NSIG; sig++) {
		struct {
			void *handler;
			unsigned long flags;
			void *restorer;
			unsigned long mask;
		} k = {0};
		struct sigaction sa;

		if (sigaction(sig, NULL, &sa) != 0)
			printf("%d: %s\n", sig, strerrorname_np(errno));
		else
			printf("%d: %s %#x\n", sig,
				sa.sa_handler == SIG_DFL	   ? "default"
					: sa.sa_handler == SIG_IGN ? "ignored"
								   : "handled",
				(unsigned int)sa.sa_flags);
		if (syscall(SYS_rt_sigaction, sig, NULL, &k, 8L) != 0 ||
			k.handler != (void *)sa.sa_handler)
			printf("%d: the system call says other\n", sig);
	}
	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, "SigIgn", 6) == 0 ||
			(caught && strncmp(line, "SigCgt", 6) == 0))
			fputs(line, stdout);
	return 0;
}

int
main(int argc, char **argv)
{
	struct rlimit core = {1 << 20, 1 << 20};

	self = argv[0];
	if (argc < 2)
		return 2;
	if (strcmp(argv[1], "return") == 0)
		return 9;
	if (strcmp(argv[1], "say") == 0)
		return say(argc == 3);
	if (strcmp(argv[1], "first") == 0)
		return first_again();
	note = fopen(argv[1], "w");
	if (note == NULL)
		return 2;
	setrlimit(RLIMIT_CORE, &core);
	for (int sig = 1; sig < _NSIG; sig++) {
		char name[32];

		if (sig == SIGKILL || sig == SIGSTOP ||
			(sig >= __SIGRTMIN && sig < SIGRTMIN))
			continue;
		snprintf(name, sizeof(name), "sent signal %d", sig);
		row(name, sig, NULL, 1, true);
	}
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		row(ways[i].name, 0, ways[i].run, ways[i].lines,
			ways[i].traced);
	fclose(note);
	return 0;
}
