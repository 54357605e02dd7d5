/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who holds a lock and is dead is found, however it ended; who lives is not.
 * The library's seats stand in the same list as libc's robust mutexes.
 */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lock.h"
#include "sys.h"
#include "tap.h"

#define THREADS 9000 /* more than there are seats */

static struct shared {
	struct kmap_lock lock;
	kmap_a32 freed;
	pthread_mutex_t before, middle, after;
} * s;

static void
in_thread(void *(*fn)(void *))
{
	pthread_t t;

	if (pthread_create(&t, NULL, fn, NULL) != 0 ||
		pthread_join(t, NULL) != 0)
		bail_out("thread");
}

/* The lock is free, or its holder is dead: else the alarm ends us. */
static void
got(const char *name)
{
	alarm(20);
	kmap_lock(&s->lock);
	kmap_unlock(&s->lock);
	alarm(0);
	ok(true, "%s", name);
}

static void *
among_mutexes(void *arg)
{
	pthread_mutex_lock(&s->before);
	kmap_lock(&s->lock);
	pthread_mutex_lock(&s->middle);
	pthread_mutex_unlock(&s->before);
	pthread_mutex_lock(&s->after);
	pthread_mutex_unlock(&s->middle);
	return arg;
}

static void *
briefly(void *arg)
{
	kmap_lock(&s->lock);
	kmap_unlock(&s->lock);
	return arg;
}

static void *
for_ever(void *arg)
{
	kmap_lock(&s->lock);
	return arg;
}

static void
with_mutexes(int protocol, const char *name)
{
	pthread_mutexattr_t at;

	pthread_mutexattr_init(&at);
	pthread_mutexattr_setrobust(&at, PTHREAD_MUTEX_ROBUST);
	pthread_mutexattr_setpshared(&at, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setprotocol(&at, protocol);
	pthread_mutex_init(&s->before, &at);
	pthread_mutex_init(&s->middle, &at);
	pthread_mutex_init(&s->after, &at);
	in_thread(among_mutexes);
	got("a thread's that ended");
	is_int(pthread_mutex_trylock(&s->after), EOWNERDEAD,
		"%s: libc's mutex of that thread, before it in the list", name);
	is_int(pthread_mutex_trylock(&s->before), 0, "%s: one behind, unlocked",
		name);
	is_int(pthread_mutex_trylock(&s->middle), 0, "%s: one before, unlocked",
		name);
	/* What this thread holds is no part of the next ones. */
	pthread_mutex_consistent(&s->after);
	pthread_mutex_unlock(&s->after);
	pthread_mutex_unlock(&s->before);
	pthread_mutex_unlock(&s->middle);
}

static void
dies_with_it(pid_t pid, const char *name)
{
	siginfo_t si;

	if (pid < 0)
		bail_out("fork");
	if (pid == 0) {
		kmap_sys_forked();
		kmap_self.holder = 0;
		kmap_self.crit = 0;
		kmap_lock(&s->lock);
		raise(SIGKILL);
	}
	/* A zombie holds nothing. */
	if (waitid(P_PID, (id_t)pid, &si, WEXITED | WNOWAIT) != 0)
		bail_out("waitid");
	got(name);
	waitpid(pid, NULL, 0);
}

/* The first lock of the thread is its vfork child's. */
static void *
vforks(void *arg)
{
	pid_t pid = vfork();

	if (pid == 0) {
		kmap_lock(&s->lock);
		kmap_unlock(&s->lock);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	kmap_lock(&s->lock);
	a_store(&s->freed, 1u);
	usleep(300000);
	a_store(&s->freed, 2u);
	kmap_unlock(&s->lock);
	return arg;
}

int
main(void)
{
	pthread_t t;

	s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (s == MAP_FAILED)
		bail_out("mmap");
	kmap_sys_getpid();
	/* The family's table. */
	briefly(NULL);

	with_mutexes(PTHREAD_PRIO_NONE, "plain");
	with_mutexes(PTHREAD_PRIO_INHERIT, "inheriting");

	dies_with_it(fork(), "a killed child's");
	/* libc knows nothing of it, nor of its threads' mutexes. */
	dies_with_it((pid_t)kmap_syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0, 0),
		"that of one made by clone(2)");

	if (pthread_create(&t, NULL, vforks, NULL) != 0)
		bail_out("thread");
	while (a_load(&s->freed) == 0)
		usleep(1000);
	alarm(20);
	kmap_lock(&s->lock);
	is_int(a_load(&s->freed), 2, "a vfork child's parent lives");
	kmap_unlock(&s->lock);
	alarm(0);
	pthread_join(t, NULL);

	for (int i = 0; i < THREADS; i++)
		in_thread(briefly);
	in_thread(for_ever);
	got("one that had a seat after many others");
	in_thread(for_ever);
	ok(kmap_trylock(&s->lock), "who only tries gets a dead one's, too");
	ok(!kmap_trylock(&s->lock), "but not one's who lives");
	kmap_unlock(&s->lock);
	return done();
}
