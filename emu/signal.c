/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "call.h"
#include "family.h"

#include <signal.h>

/*
 * Every way to set a disposition ends in kmap_sigaction; signal and its
 * kin are what libc makes of sigaction, said once more here. What stands
 * behind a disposition is in handler.c.
 */

KMAP_EXPORT int
sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	return kmap_errno(kmap_sigaction(sig, act, old));
}
KMAP_ALIAS_OF(__sigaction, sigaction);

/* Signals that siginterrupt(3) made interrupt, for later signal(2)s. */
static uint64_t interrupts;

static sighandler_t
set(int sig, struct sigaction *act)
{
	struct sigaction old;
	int r;

	if (act->sa_handler == SIG_ERR || sig < 1 || sig >= _NSIG) {
		errno = EINVAL;
		return SIG_ERR;
	}
	r = kmap_sigaction(sig, act, &old);
	if (r < 0) {
		errno = -r;
		return SIG_ERR;
	}
	return old.sa_handler;
}

/* signal(2), BSD: the signal stays blocked in its handler, calls restart. */
KMAP_EXPORT sighandler_t
signal(int sig, sighandler_t handler)
{
	struct sigaction act = {.sa_handler = handler};

	if (sig >= 1 && sig < _NSIG) {
		sigaddset(&act.sa_mask, sig);
		if (!(__atomic_load_n(&interrupts, __ATOMIC_RELAXED) &
			    1ULL << (sig - 1)))
			act.sa_flags = SA_RESTART;
	}
	return set(sig, &act);
}
KMAP_ALIAS_OF(bsd_signal, signal);
KMAP_ALIAS_OF(ssignal, signal);

/* sysv_signal(3): once, not blocked, calls are interrupted. */
KMAP_EXPORT sighandler_t
sysv_signal(int sig, sighandler_t handler)
{
	struct sigaction act = {
		.sa_handler = handler,
		.sa_flags = SA_RESETHAND | SA_NODEFER | SA_INTERRUPT,
	};

	return set(sig, &act);
}
KMAP_ALIAS_OF(__sysv_signal, sysv_signal);

KMAP_EXPORT int
siginterrupt(int sig, int flag)
{
	uint64_t bit = sig >= 1 && sig < _NSIG ? 1ULL << (sig - 1) : 0;
	struct sigaction act;
	int r = kmap_sigaction(sig, NULL, &act);

	if (r < 0)
		return kmap_errno(r);
	if (flag) {
		__atomic_fetch_or(&interrupts, bit, __ATOMIC_RELAXED);
		act.sa_flags &= ~SA_RESTART;
	} else {
		__atomic_fetch_and(&interrupts, ~bit, __ATOMIC_RELAXED);
		act.sa_flags |= SA_RESTART;
	}
	return kmap_errno(kmap_sigaction(sig, &act, NULL));
}

KMAP_EXPORT int
sigignore(int sig)
{
	struct sigaction act = {.sa_handler = SIG_IGN};

	return kmap_errno(kmap_sigaction(sig, &act, NULL));
}

/* sigset(3): sets a disposition and unblocks; SIG_HOLD blocks only. */
KMAP_EXPORT sighandler_t
sigset(int sig, sighandler_t disp)
{
	struct sigaction act = {.sa_handler = disp}, old;
	bool hold = disp == SIG_HOLD;
	sigset_t one, before;
	int r;

	sigemptyset(&one);
	if (sigaddset(&one, sig) < 0)
		return SIG_ERR;
	if (hold && sigprocmask(SIG_BLOCK, &one, &before) < 0)
		return SIG_ERR;
	if (hold && sigismember(&before, sig))
		return SIG_HOLD;
	r = kmap_sigaction(sig, hold ? NULL : &act, &old);
	if (r < 0) {
		errno = -r;
		return SIG_ERR;
	}
	if (hold)
		return old.sa_handler;
	if (sigprocmask(SIG_UNBLOCK, &one, &before) < 0)
		return SIG_ERR;
	return sigismember(&before, sig) ? SIG_HOLD : old.sa_handler;
}
