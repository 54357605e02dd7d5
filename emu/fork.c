/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "call.h"
#include "family.h"
#include "guard.h"
#include "sys.h"

#include <pty.h>
#include <stdlib.h>
#include <unistd.h>

/*
 * What becomes of our tables around a fork: kmap_fork_before, then in the
 * parent kmap_fork_parent, in the child kmap_fork_child. In between the tables
 * are locked. Where libc runs the handlers of pthread_atfork(3), these three
 * are the first that were registered: so they stand next to the fork itself
 * ("prepare handlers are called in reverse order of registration"), and the
 * program's own handlers use connections as ever, in the child with tables
 * that are the child's.
 */
static __thread bool prepared;

static void
at_prepare(void)
{
	prepared = kmap_awake && kmap_fork_before();
}

static void
at_parent(void)
{
	if (prepared)
		kmap_fork_parent();
	prepared = false;
}

static void
at_child(void)
{
	if (prepared)
		kmap_fork_child();
	prepared = false;
}

extern void *__dso_handle __attribute__((visibility("hidden")));

void
kmap_atfork_init(void)
{
	static kmap_a32 done;

	if (a_xchg(&done, 1u) == 0)
		kmap_real.__register_atfork(
			at_prepare, at_parent, at_child, __dso_handle);
}

/* What pthread_atfork(3) calls. Ours are first, also where a library's
 * constructor runs before ours. */
KMAP_EXPORT int
__register_atfork(void (*prepare)(void), void (*parent)(void),
	void (*child)(void), void *dso)
{
	kmap_atfork_init();
	return kmap_real.__register_atfork(prepare, parent, child, dso);
}

KMAP_EXPORT pid_t
fork(void)
{
	pid_t pid = kmap_ret(kmap_real.fork());

	if (pid != 0)
		kmap_fork_over(pid);
	return kmap_errno(pid);
}
KMAP_ALIAS_OF(__fork, fork);

/* A fork for which libc runs no handlers. */
static pid_t
bare_fork(pid_t (*real)(void))
{
	bool ours = kmap_fork_before();
	pid_t pid = real();

	if (pid == 0) {
		if (ours)
			kmap_fork_child();
		return 0;
	}
	pid = kmap_ret(pid);
	if (ours)
		kmap_fork_parent();
	kmap_fork_over(pid);
	return pid;
}

KMAP_EXPORT pid_t
_Fork(void)
{
	return kmap_errno(bare_fork(kmap_real._Fork));
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
	return kmap_errno(bare_fork(kmap_real._Fork));
}
KMAP_ALIAS_OF(__vfork, vfork);
#endif

/* What clone's child runs first, when it has memory of its own. */
struct start {
	int (*fn)(void *);
	void *arg;
	bool ours;
};

static int
start(void *arg)
{
	struct start s = *(struct start *)arg;

	if (s.ours)
		kmap_fork_child();
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
	struct start s = {fn, arg, false};
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
	s.ours = kmap_fork_before();
	pid = kmap_ret(
		kmap_real.clone(start, stack, flags, &s, ptid, tls, ctid));
	if (s.ours)
		kmap_fork_parent();
	kmap_fork_over(pid);
	return kmap_errno(pid);
}
KMAP_ALIAS_OF(__clone, clone);

/* daemon(3) forks inside libc and ends the parent with _exit; it may fail on
 * either side of that. */
KMAP_EXPORT int
daemon(int nochdir, int noclose)
{
	pid_t pid = kmap_sys_getpid();
	int r = kmap_ret(kmap_real.daemon(nochdir, noclose));

	if (kmap_sys_getpid() != pid)
		kmap_fork_orphaned();
	else
		kmap_fork_over(r);
	return kmap_errno(r);
}

KMAP_EXPORT pid_t
forkpty(int *master, char *name, const struct termios *tio,
	const struct winsize *ws)
{
	pid_t pid = kmap_ret(kmap_real.forkpty(master, name, tio, ws));

	if (pid != 0)
		kmap_fork_over(pid);
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
	kmap_spawn_before();
	return kmap_real.system(command);
}

KMAP_EXPORT FILE *
popen(const char *command, const char *mode)
{
	FILE *f;

	kmap_spawn_before();
	f = kmap_real.popen(command, mode);
	if (f)
		kmap_fd_born(fileno(f));
	return f;
}
