/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "call.h"
#include "family.h"

#include <signal.h>
#include <string.h>
#include <ucontext.h>

#include "guard.h"
#include "nap.h"
#include "stats.h"
#include "sys.h"

/*
 * The application's handlers run behind one of ours (doc/MEMORY.md,
 * "Signals"), for three reasons:
 *
 * - A handler may call write on the very endpoint whose lock the interrupted
 *   code holds, or leave by siglongjmp. So a signal that comes while the
 *   thread holds a lock of ours is blocked, queued again to the thread with
 *   everything it carries, and let in when the last lock is released.
 * - A sleep must know whether a handler ran, and whether it had SA_RESTART.
 * - A copy from or to the application's memory that faults is EFAULT.
 *
 * The application sees and sets its own dispositions as ever.
 */

static struct sigaction acts[_NSIG];
static struct kmap_lock acts_lock;
/* Dispositions that are not the kernel's own word: bit signo - 1. */
static kmap_a64 behind;

static void handler(int sig, siginfo_t *si, void *uc);

static bool
is_handler(const struct sigaction *a)
{
	return a->sa_handler != SIG_DFL && a->sa_handler != SIG_IGN;
}

static bool
is_fault(int sig)
{
	return sig == SIGSEGV || sig == SIGBUS;
}

/* The default ends the process. libc refuses its own two of them. */
static bool
is_fatal(int sig)
{
	switch (sig) {
	case SIGCHLD:
	case SIGCONT:
	case SIGURG:
	case SIGWINCH:
	case SIGTSTP:
	case SIGTTIN:
	case SIGTTOU:
	case SIGKILL:
	case SIGSTOP:
		return false;
	}
	return true;
}

/* What the kernel raises for what the thread itself did. */
static bool
is_raised(int sig, const siginfo_t *si)
{
	return si->si_code > 0 &&
		(is_fault(sig) || sig == SIGFPE || sig == SIGILL ||
			sig == SIGTRAP || sig == SIGSYS);
}

static bool
stands_behind(int sig, const struct sigaction *a)
{
	return is_handler(a) || (is_fault(sig) && a->sa_handler != SIG_IGN) ||
		/* Where KMAP_STATS wants its line. What is sent to the first
		 * process of a namespace ends it not, and must not wake it. */
		(is_fatal(sig) && a->sa_handler == SIG_DFL &&
			kmap_stats_wanted() && kmap_sys_getpid() != 1);
}

static int
real_set(int sig, const struct sigaction *a)
{
	struct sigaction k = *a;

	if (!stands_behind(sig, a)) {
		a_and(&behind, ~(UINT64_C(1) << (sig - 1)));
		return kmap_ret(kmap_real.sigaction(sig, &k, NULL));
	}
	k.sa_sigaction = handler;
	k.sa_flags |= SA_SIGINFO;
	/* A signal that is queued again must find us again. */
	k.sa_flags &= ~(int)SA_RESETHAND;
	if (is_fault(sig)) {
		/* A fault in a copy jumps out: nothing may stay blocked. */
		sigemptyset(&k.sa_mask);
		k.sa_flags |= SA_NODEFER;
	}
	a_or(&behind, UINT64_C(1) << (sig - 1));
	return kmap_ret(kmap_real.sigaction(sig, &k, NULL));
}

/* The kernel drops flags that it does not know, and libc adds one: the
 * application reads them back as it would without us. */
static void
as_kept(int sig)
{
	const int ours = SA_SIGINFO | (int)SA_RESETHAND | SA_NODEFER;
	struct sigaction k;

	if (kmap_real.sigaction(sig, NULL, &k) != 0)
		return;
	acts[sig].sa_flags = (k.sa_flags & ~ours) | (acts[sig].sa_flags & ours);
	acts[sig].sa_restorer = k.sa_restorer;
}

int
kmap_sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	struct sigaction a, was;
	int r = 0;

	if (sig < 1 || sig >= _NSIG || sig == SIGKILL || sig == SIGSTOP ||
		kmap_vfork_child() || !kmap_awake ||
		(act != NULL && kmap_copy(&a, act, sizeof(a)) != 0))
		return kmap_ret(kmap_real.sigaction(sig, act, old));
	kmap_lock(&acts_lock);
	if (a_load(&behind) & UINT64_C(1) << (sig - 1))
		was = acts[sig];
	else
		r = kmap_ret(kmap_real.sigaction(sig, NULL, &was));
	if (r == 0 && act != NULL) {
		struct sigaction before = acts[sig];

		acts[sig] = a;
		r = real_set(sig, &a);
		if (r != 0)
			acts[sig] = before;
		else if (a_load(&behind) & UINT64_C(1) << (sig - 1))
			as_kept(sig);
	}
	kmap_unlock(&acts_lock);
	if (r == 0 && old != NULL && kmap_copy(old, &was, sizeof(was)) != 0)
		r = -EFAULT;
	return r;
}

/*
 * The disposition is the default one, and that ends the process: once this
 * handler has returned, so that the cause and a core are those of the place
 * where the signal came.
 */
static void
die(int sig, siginfo_t *si, ucontext_t *uc)
{
	struct sigaction dfl = {.sa_handler = SIG_DFL};
	long pid = kmap_raw(SYS_getpid);
	uint64_t all = ~UINT64_C(0);

	/* The first process of a namespace dies of nothing that is sent. */
	if (pid == 1 && !is_raised(sig, si))
		return;
	/* No other one ends the process before the line is out. */
	kmap_raw(SYS_rt_sigprocmask, (long)SIG_BLOCK, &all, NULL, 8L);
	if (!kmap_vfork_child())
		kmap_stats_write();
	kmap_real.sigaction(sig, &dfl, NULL);
	/* The same instruction faults again; a trap or call is behind it. */
	if (is_raised(sig, si) && sig != SIGTRAP && sig != SIGSYS)
		return;
	/* sigsuspend and its kin come back to a mask that may block it. */
	sigdelset(&uc->uc_sigmask, sig);
	if (kmap_raw(SYS_rt_tgsigqueueinfo, pid, (long)kmap_sys_gettid(),
		    (long)sig, si) < 0)
		kmap_raw(SYS_kill, pid, (long)sig);
}

/* Put off until the thread holds no lock of ours. */
static void
put_off(int sig, siginfo_t *si, ucontext_t *uc)
{
	sigaddset(&uc->uc_sigmask, sig);
	kmap_self.deferred |= UINT64_C(1) << (sig - 1);
	kmap_raw(SYS_rt_tgsigqueueinfo, (long)kmap_sys_getpid(),
		(long)kmap_sys_gettid(), (long)sig, si);
}

static void
let_in(void)
{
	uint64_t mask = kmap_self.deferred;

	kmap_self.deferred = 0;
	kmap_raw(SYS_rt_sigprocmask, (long)SIG_UNBLOCK, &mask, NULL, 8L);
}

static void
handler(int sig, siginfo_t *si, void *ctx)
{
	struct sigaction a;

	if (is_fault(sig) && kmap_self.fault != NULL && si->si_code > 0)
		__builtin_longjmp(kmap_self.fault, 1);
	if (kmap_self.crit != 0 && !is_raised(sig, si)) {
		put_off(sig, si, ctx);
		return;
	}
	a = acts[sig];
	if (a.sa_handler == SIG_IGN)
		return;
	if (a.sa_handler == SIG_DFL) {
		die(sig, si, ctx);
		return;
	}
	kmap_self.handlers++;
	if (!(a.sa_flags & SA_RESTART))
		kmap_self.handlers_intr++;
	/* Before the handler: it may leave by siglongjmp. */
	kmap_nap_caught(ctx);
	if (a.sa_flags & SA_RESETHAND)
		acts[sig].sa_handler = SIG_DFL;
	if (is_fault(sig)) {
		sigset_t mask = a.sa_mask;

		if (!(a.sa_flags & SA_NODEFER))
			sigaddset(&mask, sig);
		kmap_raw(SYS_rt_sigprocmask, (long)SIG_BLOCK, &mask, NULL, 8L);
	}
	if (a.sa_flags & SA_SIGINFO)
		a.sa_sigaction(sig, si, ctx);
	else
		a.sa_handler(sig);
}

/* What was set before us, or by nobody: called once at start. */
void
kmap_handlers_forked(void)
{
	a_store(&acts_lock.word, 0u);
}

void
kmap_handlers_init(void)
{
	kmap_deferred_hook = let_in;
	for (int sig = 1; sig < _NSIG; sig++) {
		struct sigaction a;

		if (!is_fault(sig) && !is_fatal(sig))
			continue;
		if (kmap_real.sigaction(sig, NULL, &a) != 0 ||
			a.sa_handler != SIG_DFL)
			continue;
		acts[sig] = a;
		if (stands_behind(sig, &a))
			real_set(sig, &a);
	}
}
