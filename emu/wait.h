/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Waiting places: where a thread sleeps the ring's way. A thread that blocks
 * in a call, in poll or in select sleeps on its small hidden epoll set (nap.h);
 * an epoll set of the application is a place of its own (epoll.c).
 */
#ifndef KMAP_EMU_WAIT_H
#define KMAP_EMU_WAIT_H

#include "hook.h"
#include "nap.h"
#include "policy.h"
#include "stream.h"

#define KMAP_REGS 64
#define KMAP_COMMONS 4
/* The hidden sets' tag of a common placeholder. */
#define KMAP_TAG_BELL UINT64_MAX

/* A carrier that a thread's hidden set watches. */
struct kmap_reg {
	struct kmap_ep *ep;
	uint32_t gen;
	int fd;
	uint32_t events;
	bool look; /* an edge came since the carrier was seen quiet */
};

struct kmap_place {
	int ep; /* hidden; watches the bells and the carriers */
	int id; /* of its own placeholder, -1: none */
	int bell; /* that eventfd, -1 */
	int commons[KMAP_COMMONS];
	struct kmap_reg regs[KMAP_REGS];
	struct kmap_policy policy;
};

/* The calling thread's place; NULL when it cannot be made (fds, memory). */
struct kmap_place *kmap_place_get(void);
/* After fork, in the child: the inherited one is the parent's. */
void kmap_place_forget(void);
/* Makes the thread's set watch e's carrier for EPOLLIN | RDHUP (and OUT). */
struct kmap_reg *kmap_place_watch(
	struct kmap_place *p, struct kmap_ent *e, int fd, uint32_t out);
/* Makes it listen to the bell of e's link (or of its offers). */
bool kmap_place_bell(struct kmap_place *p, const struct kmap_ent *e);
/* Takes what the hidden set has, without sleeping. */
void kmap_place_harvest(struct kmap_place *p);

/* When the peer last rang place `id` (or the common one) about the link. */
uint64_t kmap_rung_at(const struct kmap_link *l, int id);

/* bell.c: a placeholder for a new waiting place: its number, or -1 when only
 * the eventfd could be had (*bell -1: not even that). */
int kmap_bell_get(int *bell);
void kmap_bell_put(int id, int bell);
/* In the child of a fork. */
void kmap_bells_forked(void);

/*
 * Sleeps until e may be ready for `want` (POLLIN, POLLOUT), an interrupting
 * signal or the deadline (ns, 0: none). 0: look again; -EINTR; -EAGAIN at
 * the deadline. A cancellation point, holding nothing. peek: more than it
 * saw is waited for; or NULL.
 */
int kmap_wait_one(struct kmap_ent *e, int fd, int want, uint64_t deadline,
	struct kmap_ran ran, bool *look, const struct kmap_rx_op *peek);

/* Whether the byte at p can be read; no system call, unlike kmap_readable. */
static inline bool
kmap_probe(const void *p)
{
	char c;

	return kmap_copy(&c, p, 1) == 0;
}

/*
 * What a thread is in the middle of when it may be cancelled. No unwinder is
 * asked (the library needs libc alone): what is still noted when the thread
 * ends is undone then.
 */
enum kmap_in {
	KMAP_IN_RX,
	KMAP_IN_TX,
	KMAP_IN_SLEEP,
	KMAP_IN_SET
};
/* gen: of the endpoint; of a set, whether it was inherited. */
void kmap_note_in(void *of, uint32_t gen, int fd, enum kmap_in what);

static inline void
kmap_note_out(void)
{
	if (kmap_self.depth != 0)
		kmap_self.depth--;
}

/*
 * A thread that is about to sleep in the kernel's own poll(2) or select(2) for
 * endpoints that have not moved is counted in, as one in recv(2) is: another
 * thread may pair them meanwhile, and they consent when this one is back. (A
 * process of one thread counts nothing.) False, and nobody is counted: with
 * `all` one has moved by now, without it one is about to. `mark` is
 * kmap_polled_leave's; that a cancelled thread left is undone when it ends.
 */
#define KMAP_POLLED_NONE UINT32_MAX /* nothing is left */
bool kmap_polled_enter(
	const struct pollfd *fds, nfds_t n, bool all, unsigned int *mark);
void kmap_polled_leave(unsigned int mark);

/* An endpoint in sleep: a close by another thread leaves it asleep. */
void kmap_sleep_begin(struct kmap_ent *e);
void kmap_sleep_end(struct kmap_ent *e);

/*
 * Takes one step (yields, then looks) after the other, from t0 on, for as long
 * as the policy of a thread or a set allows. What a step returned once it was
 * not 0; 0: sleep.
 */
int kmap_spin(
	struct kmap_policy *p, uint64_t t0, int (*step)(void *arg), void *arg);

/* poll(2) and select(2) with endpoints among the fds; deadline 0: none,
 * 1: do not wait. */
int kmap_wait_fds(
	struct pollfd *fds, nfds_t n, uint64_t deadline, const sigset_t *mask);
/* Whether any of the fds needs kmap_wait_fds; notes what is waited for. */
bool kmap_wait_concerns(struct pollfd *fds, nfds_t n);

/* Whether reads (writes) of the endpoint go the ring's way. */
static inline bool
kmap_rx_gated(const struct kmap_ent *e)
{
	return a_load(&e->ep->rx.gate.closed) != 0;
}

static inline bool
kmap_tx_gated(const struct kmap_ent *e)
{
	return a_load(&e->ep->tx.gate.closed) != 0;
}

/* The number under which the carrier can be reached now. */
static inline int
kmap_carrier(const struct kmap_ent *e, int fd)
{
	return kmap_unlikely(e->carrier >= 0) ? e->carrier : fd;
}

/* epoll.c, for poll and select on an epoll fd, close and fork. */
struct kmap_set;
/*
 * Somebody looks at the set's fd from outside (poll, select, an outer set):
 * from now on the kernel's readiness of the fd is exact whenever this was
 * called. Returns for how long (ns) a wait may trust it: rings that are full
 * are spilled by kmap_set_overdue after that.
 */
uint64_t kmap_set_watch(struct kmap_set *s);
void kmap_set_overdue(struct kmap_set *s);
/* Whether the set has rings in it. */
bool kmap_set_concerns(struct kmap_set *s);
/*
 * The set behind an epoll fd, or NULL. It stays what it is, whoever closes the
 * number, until it is dropped.
 */
struct kmap_set *kmap_set_hold(int fd);
void kmap_set_drop(struct kmap_set *s);
/* fd2 is one more number of the set behind fd, if one is. */
void kmap_set_dup(int fd, int fd2);
void kmap_set_close(struct kmap_set *s, int fd);
void kmap_items_close(int fd, bool keep);
bool kmap_items_tag(struct kmap_ent *e);
/* Their endpoint is gone: the registrations are the application's again. */
void kmap_items_lost(struct kmap_ent *e);
bool kmap_items_seen(struct kmap_ent *e);
/* A send met a full buffer: sets that want EPOLLOUT watch for room. */
void kmap_items_full(struct kmap_ent *e);
/*
 * The epoll set behind fd, if one is, goes to another process: it becomes the
 * kernel's alone. 0, or -EBUSY: a child cannot do that with one that it
 * inherited, and that has rings in it. kmap_sets_image: those that a new image
 * gets.
 */
int kmap_set_passed_out(int fd);
void kmap_sets_image(void);
/* A set was ever known. */
extern kmap_a32 kmap_any_set;
/* Before a fork, with kmap_fdtab_lock; in the child. */
void kmap_sets_fork(void);
void kmap_sets_forked(void);
/* A thread sleeps in the set no more; child: one that had inherited it. */
void kmap_set_left(struct kmap_set *s, bool child);
/* The thread ends: it holds no set any more. */
void kmap_set_thread_end(void);
/* Delivers the bells of all links to the application's epoll sets. */
void kmap_bells_take(void);

#endif
