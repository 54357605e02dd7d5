/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * inject N FILE PROGRAM [ARGUMENT...]
 *
 * Runs a program and fails the Nth system call that libkmapemu.so itself
 * makes to set something up; the program's own calls, and libc's, are left
 * alone (the instruction pointer tells whose they are). What was failed is
 * noted in FILE; nothing there: there was no Nth. The exit status is the
 * program's. Only the threads of the program itself are followed.
 */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__x86_64__)

static const struct fails {
	long nr;
	int err;
	const char *name;
} fails[] = {
	{SYS_memfd_create, ENFILE, "memfd_create"},
	{SYS_ftruncate, ENOMEM, "ftruncate"},
	{SYS_fallocate, ENOSPC, "fallocate"},
	{SYS_mmap, ENOMEM, "mmap"},
	{SYS_madvise, ENOMEM, "madvise"},
	{SYS_socket, EMFILE, "socket"},
	{SYS_bind, ENOMEM, "bind"},
	{SYS_listen, ENOBUFS, "listen"},
	{SYS_connect, ENOMEM, "connect"},
	{SYS_accept4, EMFILE, "accept4"},
	{SYS_eventfd2, ENFILE, "eventfd2"},
	{SYS_epoll_create1, EMFILE, "epoll_create1"},
	{SYS_epoll_ctl, ENOSPC, "epoll_ctl"},
	{SYS_fcntl, EMFILE, "fcntl"},
	{SYS_fstat, ENOMEM, "fstat"},
	{SYS_fstatfs, ENOMEM, "fstatfs"},
	{SYS_prlimit64, EPERM, "prlimit64"},
	{SYS_openat, EMFILE, "openat"},
	{SYS_getrandom, EAGAIN, "getrandom"},
	{SYS_sendmsg, ETOOMANYREFS, "sendmsg"},
	{SYS_recvmsg, ENOMEM, "recvmsg"},
};

static uint64_t text[8][2];
static int ntext;

/* Where the library's code lies; false: not loaded yet. */
static bool
find_text(pid_t pid)
{
	char path[64], line[4096], perms[8];
	FILE *f;

	if (ntext != 0)
		return true;
	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	f = fopen(path, "re");
	while (f != NULL && ntext < 8 && fgets(line, sizeof(line), f) != NULL) {
		unsigned long a, b;

		if (strstr(line, "/libkmapemu.so") != NULL &&
			sscanf(line, "%lx-%lx %7s", &a, &b, perms) == 3 &&
			strchr(perms, 'x') != NULL) {
			text[ntext][0] = a;
			text[ntext++][1] = b;
		}
	}
	if (f != NULL)
		fclose(f);
	return ntext != 0;
}

static bool
is_ours(pid_t pid, uint64_t ip)
{
	if (!find_text(pid))
		return false;
	for (int i = 0; i < ntext; i++)
		if (ip >= text[i][0] && ip < text[i][1])
			return true;
	return false;
}

static const struct fails *
may_fail(const struct user_regs_struct *r)
{
	/* Messages on the carrier are the program's own calls. */
	if ((r->orig_rax == SYS_sendmsg || r->orig_rax == SYS_recvmsg) &&
		r->rdi < 64)
		return NULL;
	/* F_DUPFD_CLOEXEC; the other commands do not fail. */
	if (r->orig_rax == SYS_fcntl && r->rsi != 1030)
		return NULL;
	for (size_t i = 0; i < sizeof(fails) / sizeof(fails[0]); i++)
		if (fails[i].nr == (long)r->orig_rax)
			return &fails[i];
	return NULL;
}

#define THREADS 64
static struct thread {
	pid_t tid;
	bool inside;
	const struct fails *fail;
} threads[THREADS];

static struct thread *
thread_of(pid_t tid)
{
	for (int i = 0; i < THREADS; i++) {
		if (threads[i].tid == 0)
			threads[i].tid = tid;
		if (threads[i].tid == tid)
			return &threads[i];
	}
	exit(98);
}

static void
at_syscall(struct thread *t, long *left, const char *file)
{
	struct user_regs_struct r;
	FILE *f;

	t->inside = !t->inside;
	if (ptrace(PTRACE_GETREGS, t->tid, 0, &r) != 0)
		return;
	if (!t->inside && t->fail != NULL) {
		r.rax = (unsigned long long)-(long long)t->fail->err;
		ptrace(PTRACE_SETREGS, t->tid, 0, &r);
		t->fail = NULL;
	}
	if (!t->inside || *left == 0 || !is_ours(t->tid, r.rip))
		return;
	t->fail = may_fail(&r);
	if (t->fail == NULL)
		return;
	if (--*left != 0) {
		t->fail = NULL;
		return;
	}
	f = fopen(file, "ae");
	if (f != NULL) {
		fprintf(f, "%s\n", t->fail->name);
		fclose(f);
	}
	/* No system call; the answer is put in when it "returns". */
	r.orig_rax = (unsigned long long)-1;
	ptrace(PTRACE_SETREGS, t->tid, 0, &r);
}

static pid_t child;

static void
forward(int sig)
{
	kill(child, sig);
}

int
main(int argc, char **argv)
{
	long left = argc > 3 ? atol(argv[1]) : 0;
	int st, status = 0;
	pid_t pid, tid;

	if (left <= 0)
		return 2;
	pid = fork();
	if (pid == 0) {
		/* The tracer goes without the library. */
		const char *lib = getenv("INJECT_PRELOAD");

		if (lib != NULL)
			setenv("LD_PRELOAD", lib, 1);
		if (ptrace(PTRACE_TRACEME, 0, 0, 0) != 0)
			_exit(99);
		raise(SIGSTOP);
		execvp(argv[3], &argv[3]);
		_exit(127);
	}
	if (waitpid(pid, &st, 0) != pid || !WIFSTOPPED(st) ||
		ptrace(PTRACE_SETOPTIONS, pid, 0,
			PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE |
				PTRACE_O_EXITKILL | PTRACE_O_TRACEEXEC) != 0)
		return 99;
	child = pid;
	signal(SIGTERM, forward);
	ptrace(PTRACE_SYSCALL, pid, 0, 0);
	while ((tid = waitpid(-1, &st, __WALL)) > 0 || errno == EINTR) {
		struct thread *t;
		int sig = 0;

		if (tid < 0)
			continue;
		t = thread_of(tid);
		if (WIFEXITED(st) || WIFSIGNALED(st)) {
			t->tid = -1;
			if (tid == pid)
				status = st;
			continue;
		}
		if (WSTOPSIG(st) == (SIGTRAP | 0x80))
			at_syscall(t, &left, argv[2]);
		else if (WSTOPSIG(st) != SIGTRAP && WSTOPSIG(st) != SIGSTOP)
			sig = WSTOPSIG(st);
		ptrace(PTRACE_SYSCALL, tid, 0, sig);
	}
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status)
				   : WEXITSTATUS(status);
}

#else

int
main(void)
{
	return 99;
}

#endif
