/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sleeps that a handler ends, however late before the sleep it runs: it is the
 * thread that ran the handler which comes back, at no cost for others.
 */
#ifndef KMAP_EMU_NAP_H
#define KMAP_EMU_NAP_H

#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>

#include "base.h"

/* Handlers that ran in this thread when a call began: see kmap_interrupted. */
struct kmap_ran {
	unsigned int all, intr;
	bool some; /* the call has moved bytes already */
};

static inline struct kmap_ran
kmap_ran_now(void)
{
	return (struct kmap_ran){
		kmap_self.handlers, kmap_self.handlers_intr, false};
}

/*
 * signal(7): a blocking call of a socket is restarted after a handler with
 * SA_RESTART, unless a time-out is set or a part of it is done; a stop and
 * SIGCONT alone never interrupt it.
 */
static inline bool
kmap_interrupted(struct kmap_ran r, bool timeo)
{
	return timeo || r.some ? kmap_self.handlers != r.all
			       : kmap_self.handlers_intr != r.intr;
}

/*
 * epoll_pwait(2), epoll_pwait2(2), ppoll(2): what they return, or -errno; at
 * once -EINTR if a handler has run since `r` that interrupts the call. timeo:
 * as for kmap_interrupted; without it epoll's comes back from the kernel's
 * own EINTR, too, and asks. Cancellation points: nothing may be held.
 */
int kmap_nap_epoll(int ep, struct epoll_event *evs, int max, int ms,
	const sigset_t *mask, struct kmap_ran r, bool timeo);
int kmap_nap_epoll2(int ep, struct epoll_event *evs, int max,
	const struct timespec *ts, const sigset_t *mask, struct kmap_ran r);
int kmap_nap_poll(struct pollfd *fds, nfds_t n, const struct timespec *ts,
	const sigset_t *mask, struct kmap_ran r);

/* In a handler, when it has been counted and before the application's own:
 * whoever was about to sleep looks once more. ctx: the ucontext_t. */
void kmap_nap_caught(void *ctx);

#endif
