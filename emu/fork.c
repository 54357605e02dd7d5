/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "call.h"
#include "family.h"

#include <pty.h>
#include <stdlib.h>
#include <unistd.h>

/*
 * fork and _Fork: kmap_fork_before, then in the parent kmap_fork_parent, in
 * the child kmap_fork_child. The hooks stand outside libc's atfork handlers.
 */
static pid_t
kmap_fork(int kind, pid_t (*real)(void))
{
	pid_t pid;

	kmap_fork_before(kind);
	pid = real();
	if (pid == 0) {
		kmap_fork_child(kind);
		return 0;
	}
	pid = kmap_ret(pid);
	kmap_fork_parent(kind, pid);
	return pid;
}

KMAP_EXPORT pid_t
fork(void)
{
	return kmap_errno(kmap_fork(KMAP_fork, kmap_real.fork));
}
KMAP_ALIAS_OF(__fork, fork);

KMAP_EXPORT pid_t
_Fork(void)
{
	return kmap_errno(kmap_fork(KMAP__Fork, kmap_real._Fork));
}

/*
 * vfork. The child runs on the parent's stack, so no frame of ours may lie
 * between the two returns: the exported name jumps to libc's. The parent's
 * thread sleeps meanwhile and its thread-local words are the child's, too:
 * one that is not 0 says "a vfork was called here", and the pid beside it
 * tells the child from the parent that has returned.
 */
__thread pid_t kmap_vfork_parent;

bool
kmap_vfork_child_slow(void)
{
	if (kmap_raw(SYS_getpid) != kmap_vfork_parent)
		return true;
	kmap_vfork_parent = 0;
	return false;
}

__attribute__((used, visibility("hidden"))) void *
kmap_vfork_before(void)
{
	void *real = kmap_real_resolve(KMAP_vfork);

	/* The child of a vfork child goes on with its grandparent's memory. */
	if (!kmap_vfork_child())
		kmap_vfork_parent = kmap_raw(SYS_getpid);
	return real ? real : (void *)kmap_real.fork;
}

#if defined(__x86_64__)
KMAP_VFORK(kmap_vfork_before);
#else
/* vfork(2) may be a fork: the child then has memory of its own. */
KMAP_EXPORT pid_t
vfork(void)
{
	return kmap_errno(kmap_fork(KMAP_vfork, kmap_real._Fork));
}
KMAP_ALIAS_OF(__vfork, vfork);
#endif

/* What clone's child runs first, when it has memory of its own. */
struct start {
	int (*fn)(void *);
	void *arg;
};

static int
start(void *arg)
{
	struct start s = *(struct start *)arg;

	kmap_fork_child(KMAP_clone);
	return s.fn(s.arg);
}

/*
 * clone(2) with a function: with CLONE_VM a thread (or a vfork) made by
 * hand, otherwise a fork. The start record lies on our stack, of which a
 * child without CLONE_VM has its own copy.
 */
KMAP_EXPORT int
clone(int (*fn)(void *), void *stack, int flags, void *arg, ...)
{
	struct start s = {fn, arg};
	void *ptid, *tls, *ctid;
	va_list ap;
	int pid;

	va_start(ap, arg);
	ptid = va_arg(ap, void *);
	tls = va_arg(ap, void *);
	ctid = va_arg(ap, void *);
	va_end(ap);
	if ((flags & CLONE_VM) || !fn)
		return kmap_real.clone(fn, stack, flags, arg, ptid, tls, ctid);
	kmap_fork_before(KMAP_clone);
	pid = kmap_ret(
		kmap_real.clone(start, stack, flags, &s, ptid, tls, ctid));
	kmap_fork_parent(KMAP_clone, pid);
	return kmap_errno(pid);
}
KMAP_ALIAS_OF(__clone, clone);

/* daemon(3) forks inside libc and ends the parent with _exit. */
KMAP_EXPORT int
daemon(int nochdir, int noclose)
{
	int r;

	kmap_fork_before(KMAP_daemon);
	r = kmap_ret(kmap_real.daemon(nochdir, noclose));
	if (r == 0)
		kmap_fork_child(KMAP_daemon);
	else
		kmap_fork_parent(KMAP_daemon, r);
	return kmap_errno(r);
}

KMAP_EXPORT pid_t
forkpty(int *master, char *name, const struct termios *tio,
	const struct winsize *ws)
{
	pid_t pid;

	kmap_fork_before(KMAP_forkpty);
	pid = kmap_ret(kmap_real.forkpty(master, name, tio, ws));
	if (pid == 0) {
		kmap_fork_child(KMAP_forkpty);
		return 0;
	}
	kmap_fork_parent(KMAP_forkpty, pid);
	if (pid > 0)
		kmap_fd_born(*master);
	return kmap_errno(pid);
}

/*
 * system and popen: the shell is spawned inside libc, in the parent's
 * memory, with our environment, and inherits what is not FD_CLOEXEC.
 */
KMAP_EXPORT int
system(const char *command)
{
	int r;

	kmap_fork_before(KMAP_system);
	r = kmap_real.system(command);
	kmap_fork_parent(KMAP_system, 0);
	return r;
}

KMAP_EXPORT FILE *
popen(const char *command, const char *mode)
{
	FILE *f;

	kmap_fork_before(KMAP_popen);
	f = kmap_real.popen(command, mode);
	kmap_fork_parent(KMAP_popen, 0);
	if (f)
		kmap_fd_born(fileno(f));
	return f;
}
