/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "wait.h"

#include "call.h"

#include "dir.h"
#include "pair.h"
#include "real.h"
#include "stream.h"
#include "sys.h"
#include "testpoint.h"
#include "wake.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>

#define MS 1000000u

#define CARRIER_EVENTS ((uint32_t)(EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLET))

/* ---- the thread's place ---- */

static pthread_key_t thread_key;
static pthread_once_t thread_once = PTHREAD_ONCE_INIT;
static bool thread_key_ok;

static void
place_free(struct kmap_place *p)
{
	kmap_self.place = NULL;
	kmap_bell_put(p->id, p->bell);
	kmap_fd_hidden_close(p->ep);
	kmap_sys_munmap(p, sizeof(*p));
}

static void
undo(const struct kmap_entered *n)
{
	struct kmap_ent *e = n->of;

	if (n->what == KMAP_IN_SET) {
		kmap_set_left(n->of, n->gen != 0);
		return;
	}
	if (e->ep == NULL || a_load(&e->ep->gen) != n->gen)
		return;
	if (n->what == KMAP_IN_SLEEP)
		kmap_sleep_end(e);
	else if (n->what == KMAP_IN_TX)
		kmap_gate_leave(&e->ep->tx.gate);
	else if (kmap_gate_leave(&e->ep->rx.gate))
		kmap_consent_try(e, n->fd);
}

static void polled_end(void);

/* The thread ends, perhaps cancelled in one of our calls. */
static void
thread_end(void *arg)
{
	unsigned int n = kmap_self.depth;

	(void)arg;
	kmap_self.keyed = false;
	kmap_self.depth = 0;
	while (n > 0)
		if (--n < kmap_countof(kmap_self.entered))
			undo(&kmap_self.entered[n]);
	kmap_set_thread_end();
	polled_end();
	if (kmap_self.place != NULL)
		place_free(kmap_self.place);
}

static void
thread_key_make(void)
{
	thread_key_ok = pthread_key_create(&thread_key, thread_end) == 0;
}

static void
thread_note(void)
{
	pthread_once(&thread_once, thread_key_make);
	kmap_self.keyed = true;
	if (thread_key_ok)
		pthread_setspecific(thread_key, &kmap_self);
}

void
kmap_note_in(void *of, uint32_t gen, int fd, enum kmap_in what)
{
	if (kmap_unlikely(!kmap_self.keyed))
		thread_note();
	if (kmap_self.depth < kmap_countof(kmap_self.entered))
		kmap_self.entered[kmap_self.depth] = (struct kmap_entered){
			.of = of, .gen = gen, .fd = fd, .what = what};
	kmap_self.depth++;
}

/* ---- in the kernel's own poll ---- */

extern char __libc_single_threaded __attribute__((weak));

/* A stack, because a handler may poll, too; changed while handlers are put
 * off. */
static __thread struct {
	struct polled {
		struct kmap_ent *ent;
		struct kmap_ep *ep;
		int fd;
	} * of;
	unsigned int top, room;
} polled;

static bool
polled_room(void)
{
	size_t old = polled.room * sizeof(*polled.of);
	size_t size = kmap_umax(2 * old, KMAP_PAGE);
	struct polled *p;

	if (polled.top < polled.room)
		return true;
	if (!kmap_self.keyed)
		thread_note();
	p = kmap_sys_mmap(
		size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	if (p == NULL)
		return false;
	if (old != 0) {
		memcpy(p, polled.of, old);
		kmap_sys_munmap(polled.of, KMAP_ROUND(old, KMAP_PAGE));
	}
	polled.of = p;
	polled.room = (unsigned int)(size / sizeof(*p));
	return true;
}

bool
kmap_polled_enter(
	const struct pollfd *fds, nfds_t n, bool all, unsigned int *mark)
{
	bool in = true;

	*mark = polled.top;
	if (&__libc_single_threaded != NULL && __libc_single_threaded)
		return true;
	kmap_crit_enter();
	for (nfds_t i = 0; i < n && in; i++) {
		struct kmap_ent *e =
			fds[i].fd < 0 ? NULL : kmap_fd_ent(fds[i].fd);
		struct kmap_ep *ep;

		if (e == NULL)
			continue;
		ep = e->ep;
		if (kmap_rx_gated(e))
			in = !all;
		else if (!polled_room())
			break;
		else if (kmap_gate_enter(&ep->rx.gate))
			polled.of[polled.top++] = (struct polled){
				.ent = e, .ep = ep, .fd = fds[i].fd};
		else
			in = false;
	}
	kmap_crit_leave();
	if (!in)
		kmap_polled_leave(*mark);
	return in;
}

void
kmap_polled_leave(unsigned int mark)
{
	while (polled.top > mark) {
		struct polled p;

		kmap_crit_enter();
		p = polled.of[--polled.top];
		kmap_crit_leave();
		/* Closed meanwhile by another thread, the entry may be
		 * another connection's by now. */
		if (kmap_gate_leave(&p.ep->rx.gate) && p.ent->ep == p.ep)
			kmap_consent_try(p.ent, p.fd);
	}
}

static void
polled_end(void)
{
	kmap_polled_leave(0);
	if (polled.room != 0)
		kmap_sys_munmap(polled.of,
			KMAP_ROUND(
				polled.room * sizeof(*polled.of), KMAP_PAGE));
	polled.of = NULL;
	polled.room = 0;
}

/* A poller of a real-time class keeps the core from whom it waits for. */
static bool
real_time(void)
{
	int c = sched_getscheduler(0) & ~SCHED_RESET_ON_FORK;

	return c != SCHED_OTHER && c != SCHED_BATCH && c != SCHED_IDLE;
}

struct kmap_place *
kmap_place_get(void)
{
	struct kmap_place *p = kmap_self.place;

	if (kmap_likely(p != NULL))
		return p;
	if (!kmap_self.keyed)
		thread_note();
	p = kmap_sys_mmap(sizeof(*p), PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1);
	if (p == NULL)
		return NULL;
	p->ep = kmap_fd_hide(
		kmap_sys_raise(kmap_sys_epoll_create1(EPOLL_CLOEXEC)));
	if (p->ep < 0) {
		kmap_sys_munmap(p, sizeof(*p));
		return NULL;
	}
	for (int i = 0; i < KMAP_COMMONS; i++)
		p->commons[i] = -1;
	p->id = kmap_bell_get(&p->bell);
	if (p->bell >= 0) {
		struct epoll_event ev = {
			.events = EPOLLIN | EPOLLET, .data.u64 = KMAP_TAG_BELL};

		if (kmap_sys_epoll_ctl(p->ep, EPOLL_CTL_ADD, p->bell, &ev) !=
			0) {
			kmap_bell_put(p->id, p->bell);
			p->id = p->bell = -1;
		}
	}
	p->policy.never = real_time();
	kmap_self.place = p;
	return p;
}

void
kmap_place_forget(void)
{
	struct kmap_place *p = kmap_self.place;

	/* Not back to the pool: its lock may be held by a thread that only
	 * the parent has, and the pool begins anew. */
	if (p != NULL) {
		kmap_self.place = NULL;
		if (p->bell >= 0)
			kmap_fd_hidden_close(p->bell);
		kmap_fd_hidden_close(p->ep);
		kmap_sys_munmap(p, sizeof(*p));
	}
	kmap_self.depth = 0;
}

bool
kmap_place_bell(struct kmap_place *p, const struct kmap_ent *e)
{
	struct epoll_event ev = {
		.events = EPOLLIN | EPOLLET, .data.u64 = KMAP_TAG_BELL};

	/* Before it is paired offers ring, or this process itself. */
	int bell =
		e->ep->link != NULL ? e->ep->link->my_common : kmap_sleep_fd();

	if (bell < 0)
		return false;
	for (int i = 0; i < KMAP_COMMONS; i++) {
		if (p->commons[i] == bell)
			return true;
		if (p->commons[i] < 0) {
			if (kmap_sys_epoll_ctl(
				    p->ep, EPOLL_CTL_ADD, bell, &ev) != 0)
				return false;
			p->commons[i] = bell;
			return true;
		}
	}
	return false;
}

struct kmap_reg *
kmap_place_watch(struct kmap_place *p, struct kmap_ent *e, int fd, uint32_t out)
{
	struct kmap_reg *r = &p->regs[(unsigned int)fd % KMAP_REGS];
	uint32_t gen = a_load(&e->ep->gen);
	struct epoll_event ev = {.events = CARRIER_EVENTS | out};
	int op = EPOLL_CTL_ADD, e2;

	if (r->ep == e->ep && r->gen == gen && r->fd == fd) {
		if ((r->events & out) == out)
			return r;
		op = EPOLL_CTL_MOD;
		ev.events |= r->events;
	} else if (r->ep != NULL)
		kmap_sys_epoll_ctl(p->ep, EPOLL_CTL_DEL, r->fd, NULL);
	ev.data.u64 = (uint64_t)gen << 32 | (uint32_t)fd;
	e2 = kmap_sys_epoll_ctl(p->ep, op, fd, &ev);
	if (e2 == -EEXIST)
		e2 = kmap_sys_epoll_ctl(p->ep, EPOLL_CTL_MOD, fd, &ev);
	if (e2 != 0) {
		*r = (struct kmap_reg){.ep = NULL};
		return NULL;
	}
	*r = (struct kmap_reg){e->ep, gen, fd, ev.events, true};
	return r;
}

static void
harvested(struct kmap_place *p, const struct epoll_event *evs, int n)
{
	for (int i = 0; i < n; i++) {
		struct kmap_reg *r =
			&p->regs[(uint32_t)evs[i].data.u64 % KMAP_REGS];

		if (evs[i].data.u64 != KMAP_TAG_BELL &&
			evs[i].data.u64 ==
				((uint64_t)r->gen << 32 | (uint32_t)r->fd))
			r->look = true;
	}
}

void
kmap_place_harvest(struct kmap_place *p)
{
	struct epoll_event evs[16];

	harvested(p, evs, kmap_sys_epoll_look(p->ep, evs, 16));
}

uint64_t
kmap_rung_at(const struct kmap_link *l, int id)
{
	struct kmap_place_shm *p = l->ctl->side[l->side].place;
	uint64_t at = a_load(&p[KMAP_PLACE_COMMON].rung_at);

	return id < 0 ? at : kmap_umax(at, a_load(&p[id].rung_at));
}

/* ---- one endpoint ---- */

void
kmap_sleep_begin(struct kmap_ent *e)
{
	a_add(&e->sleepers, 1u);
}

void
kmap_sleep_end(struct kmap_ent *e)
{
	int fd;

	if (a_sub(&e->sleepers, 1u) == 1 && kmap_unlikely(e->carrier >= 0) &&
		(fd = atomic_exchange(&e->carrier, -1)) >= 0) {
		/* The last number was closed meanwhile; now the FIN. */
		kmap_ent_close(e);
		kmap_fd_hidden_close(fd);
	}
}

int
kmap_spin(struct kmap_policy *p, uint64_t t0, int (*step)(void *arg), void *arg)
{
	uint64_t limit = kmap_policy_begin(p, t0), t = t0, t2;
	int n;

	if (limit == 0)
		return 0;
	kmap_stats_count(KMAP_STAT_polls);
	while (t - t0 < limit) {
		n = step(arg);
		t2 = kmap_now();
		if (n != 0) {
			kmap_policy_hit(p, t2 - t0);
			return n;
		}
		if (kmap_policy_preempted(p, t2, t2 - t))
			return 0;
		t = t2;
	}
	kmap_policy_miss(p);
	return 0;
}

#define RX_WANT (POLLIN | POLLRDNORM)
#define TX_WANT (POLLOUT | POLLWRNORM)

/* What is waited for at one endpoint. */
struct one {
	struct kmap_ent *ent;
	int fd;
	int want;
	const struct kmap_rx_op *peek; /* more than it saw; or NULL */
	/* By poll(2), which SO_RCVLOWAT leaves asleep beside too few bytes. */
	bool poll;
};

/* What the ring's way would find at once. */
static bool
one_changed(const struct one *o)
{
	struct kmap_ent *e = o->ent;
	struct kmap_ep *ep = e->ep;
	bool look = false, in;

	if (o->want & RX_WANT) {
		in = kmap_likely(o->peek == NULL) ? kmap_rx_changed(e)
						  : kmap_rx_more(e, o->peek);
		if (kmap_unlikely(in && o->poll && ep->rcvlowat > 1))
			in = kmap_ready(e, o->fd, o->want & RX_WANT, &look) !=
				0;
		if (in)
			return true;
	}
	if (ep->link == NULL)
		return false;
	return (o->want & TX_WANT) &&
		(kmap_tx_on_ring(ep) ? kmap_tx_has_room(ep)
				     : kmap_tx_freed(ep));
}

static int
one_step(void *one)
{
	kmap_sys_yield();
	return one_changed(one);
}

/* Arms for one endpoint. True: there is something already. */
static bool
one_arm(const struct kmap_place *p, const struct one *o)
{
	struct kmap_ent *e = o->ent;
	struct kmap_ep *ep = e->ep;
	unsigned int place = KMAP_PLACE_COMMON;
	uint64_t bit;

	if (ep->link == NULL) {
		/* Offers were armed when they were announced. */
		for (unsigned int i = 0; i < e->noffers; i++)
			kmap_wake_sleep_begin(
				e->offers[i].link, KMAP_PLACE_COMMON);
		return one_changed(o);
	}
	kmap_link_poll(ep->link);
	if (p != NULL)
		place = kmap_link_place(ep->link, p->id, p->bell);
	bit = UINT64_C(1) << place;
	if (o->want & RX_WANT)
		kmap_wake_arm(&ep->rx.ring.shm->data_waiters, bit);
	if ((o->want & TX_WANT) && (kmap_tx_on_ring(ep) || kmap_tx_paced(ep)))
		kmap_wake_arm(&ep->tx.ring.shm->space_waiters, bit);
	if (one_changed(o))
		return true;
	kmap_wake_sleep_begin(ep->link, place);
	return one_changed(o);
}

/*
 * What was refused only to keep the pace, or before room came, gets no edge
 * from the carrier any more: asked after the pace was found to be over.
 */
static bool
writable_now(int fd)
{
	return (kmap_sys_poll1(fd, POLLOUT) & (POLLOUT | POLLERR | POLLHUP)) !=
		0;
}

struct sleeping {
	struct kmap_ent *ent;
};

static void
sleeping_end(struct sleeping *s)
{
	kmap_note_out();
	kmap_sleep_end(s->ent);
}

/* Without a place (no fd is left): short sleeps on the carrier. */
static int
wait_poor(struct kmap_ent *e, int fd, int want, uint64_t deadline,
	struct kmap_ran ran)
{
	struct pollfd p = {.fd = fd, .events = (short)want};

	kmap_real.poll(&p, 1, 1);
	kmap_tx_answer(e);
	if ((want & POLLOUT) && e->ep->link != NULL && kmap_tx_on_ring(e->ep))
		kmap_tx_spill(e);
	if (one_changed(&(struct one){.ent = e, .fd = fd, .want = want}) ||
		p.revents != 0)
		return 0;
	if (kmap_interrupted(ran, deadline != 0))
		return -EINTR;
	return deadline != 0 && kmap_now() >= deadline ? -EAGAIN : 0;
}

int
kmap_wait_one(struct kmap_ent *e, int fd, int want, uint64_t deadline,
	struct kmap_ran ran, bool *look, const struct kmap_rx_op *peek)
{
	struct sleeping s __attribute__((cleanup(sleeping_end))) = {e};
	struct one o = {.ent = e, .want = want, .peek = peek};
	struct kmap_place *p = kmap_place_get();
	struct kmap_ep *ep = e->ep;
	struct epoll_event evs[8];
	bool out_tcp = (want & POLLOUT) && !kmap_tx_on_ring(ep), paced;
	uint64_t t0, stop = deadline, now, began;
	struct kmap_reg *r;
	int n, ms = -1;

	kmap_sleep_begin(e);
	kmap_note_in(e, a_load(&ep->gen), fd, KMAP_IN_SLEEP);
	o.fd = fd = kmap_carrier(e, fd);
	if (p == NULL)
		return wait_poor(e, fd, want, deadline, ran);
	began = t0 = kmap_now();
	if (kmap_spin(&p->policy, t0, one_step, &o))
		return 0;
	r = kmap_place_watch(p, e, fd, out_tcp ? EPOLLOUT : 0);
	if (r == NULL || !kmap_place_bell(p, e))
		return wait_poor(e, fd, want, deadline, ran);
	if (r->look && !*look) {
		/* Nobody looked at the carrier since its last edge. */
		r->look = false;
		*look = true;
		ep->rx.looked_at = 0;
		return 0;
	}
	paced = out_tcp && kmap_tx_paced(ep);
	if ((want & POLLOUT) && (!out_tcp || paced)) {
		stop = t0 + (out_tcp ? KMAP_PACE_NS : kmap_tx_spill_look(ep));
		if (deadline != 0)
			stop = kmap_umin(deadline, stop);
	}
	if (one_arm(p, &o))
		return 0;
	/* Who asked before the sleep does not ring again. */
	if (kmap_tx_answer(e) && (stop == 0 || stop > t0 + KMAP_REPAY_NS))
		stop = t0 + KMAP_REPAY_NS;
	if (out_tcp && !paced && writable_now(fd))
		return 0;
	if (stop != 0) {
		now = kmap_now();
		ms = stop <= now
			? 0
			: (int)kmap_umin((stop - now + MS - 1) / MS, 1000000);
	}
	kmap_stats_count(KMAP_STAT_sleeps);
	KMAP_TESTPOINT("sleep", fd);
	n = kmap_nap_epoll(p->ep, evs, 8, ms, NULL, ran, deadline != 0);
	if (n > 0)
		harvested(p, evs, n);
	r = &p->regs[(unsigned int)fd % KMAP_REGS];
	*look = r->ep == ep && r->look;
	if (r->ep == ep)
		r->look = false;
	/* The edge comes once: a send must not eat what a read has to see,
	 * nor a read that finds bytes before the end. */
	if (*look)
		ep->rx.looked_at = 0;
	if (ep->link != NULL && n > 0)
		kmap_policy_woken(&p->policy, began,
			kmap_rung_at(ep->link, p->id), kmap_now());
	/* Bells of connections in epoll sets: hand them on. */
	kmap_bells_take();
	if (one_changed(&o) || *look)
		return 0;
	if (kmap_interrupted(ran, deadline != 0))
		return -EINTR;
	if (n == 0) {
		kmap_policy_timed_out(&p->policy);
		if (deadline != 0 && kmap_now() >= deadline)
			return -EAGAIN;
		if ((want & POLLOUT) && !out_tcp)
			kmap_tx_spill(e);
	}
	return 0;
}

/* ---- many: poll and select ---- */

/* The endpoint behind fds[i], if it is to be asked from user space. */
static struct kmap_ent *
gated(const struct pollfd *f)
{
	struct kmap_ent *e = f->fd < 0 ? NULL : kmap_fd_ent(f->fd);

	return e != NULL && (kmap_rx_gated(e) || kmap_tx_gated(e)) ? e : NULL;
}

bool
kmap_wait_concerns(struct pollfd *fds, nfds_t n)
{
	bool yes = false;

	for (nfds_t i = 0; i < n; i++) {
		struct kmap_fdslot *s =
			fds[i].fd < 0 ? NULL : kmap_fdslot(fds[i].fd);
		struct kmap_ent *e;
		struct kmap_set *set;

		if (s == NULL)
			continue;
		if (kmap_unlikely(atomic_load(&s->set) != NULL) &&
			(set = kmap_set_hold(fds[i].fd)) != NULL) {
			kmap_set_watch(set);
			yes |= kmap_set_concerns(set);
			kmap_set_drop(set);
		}
		if (kmap_unlikely(a_load(&s->hidden)))
			yes = true;
		e = atomic_load(&s->ent);
		if (e == NULL)
			continue;
		if (fds[i].events & POLLIN)
			kmap_pair_wait_seen(e, fds[i].fd);
		if (kmap_rx_gated(e) || kmap_tx_gated(e))
			yes = true;
	}
	return yes;
}

struct many {
	struct pollfd *fds; /* the application's */
	struct pollfd *kernel; /* n + 1: what the kernel is asked */
	nfds_t n;
	bool poor; /* something cannot wake us: short sleeps */
};

/* Fills revents of the endpoints; returns how many are ready. */
static int
many_ready(struct kmap_place *p, struct many *m)
{
	int cnt = 0;

	for (nfds_t i = 0; i < m->n; i++) {
		struct kmap_ent *e = gated(&m->fds[i]);
		struct kmap_reg *r;
		bool look = true;

		if (e == NULL)
			continue;
		if (p != NULL) {
			r = kmap_place_watch(p, e, m->fds[i].fd,
				(m->fds[i].events & TX_WANT) &&
						!kmap_tx_on_ring(e->ep)
					? EPOLLOUT
					: 0);
			if (r == NULL)
				m->poor = true;
			else
				look = r->look || !kmap_rx_on_ring(e->ep);
			m->fds[i].revents = (short)kmap_ready(
				e, m->fds[i].fd, m->fds[i].events, &look);
			if (r != NULL)
				r->look = look;
		} else
			m->fds[i].revents = (short)kmap_ready(
				e, m->fds[i].fd, m->fds[i].events, &look);
		cnt += m->fds[i].revents != 0;
	}
	return cnt;
}

static struct one
many_one(const struct many *m, nfds_t i)
{
	return (struct one){.ent = gated(&m->fds[i]),
		.fd = m->fds[i].fd,
		.want = m->fds[i].events,
		.poll = true};
}

static int
many_step(void *many)
{
	struct many *m = many;

	kmap_sys_yield();
	for (nfds_t i = 0; i < m->n; i++) {
		struct one o = many_one(m, i);

		if (o.ent != NULL && one_changed(&o))
			return 1;
	}
	return 0;
}

static bool
many_arm(struct kmap_place *p, struct many *m, uint64_t *limit)
{
	for (nfds_t i = 0; i < m->n; i++) {
		struct one o = many_one(m, i);
		struct kmap_ent *e = o.ent;

		if (e == NULL)
			continue;
		if (p != NULL && !kmap_place_bell(p, e))
			m->poor = true;
		if (one_arm(p, &o))
			return true;
		if (kmap_tx_answer(e))
			*limit = kmap_umin(*limit, KMAP_REPAY_NS);
		if (!(o.want & TX_WANT) || e->ep->link == NULL)
			continue;
		if (kmap_tx_on_ring(e->ep))
			*limit = kmap_umin(*limit, kmap_tx_spill_look(e->ep));
		else if (kmap_tx_paced(e->ep))
			*limit = kmap_umin(*limit, KMAP_PACE_NS);
		else if (writable_now(m->fds[i].fd))
			return true;
	}
	return false;
}

/* A full ring that nobody reads goes back to TCP, as a send would do it. */
static void
many_spill(struct many *m)
{
	for (nfds_t i = 0; i < m->n; i++) {
		struct kmap_ent *e = gated(&m->fds[i]);

		if (e != NULL && (m->fds[i].events & TX_WANT) &&
			e->ep->link != NULL && kmap_tx_on_ring(e->ep) &&
			!kmap_tx_has_room(e->ep))
			kmap_tx_spill(e);
	}
}

/*
 * What the kernel is to watch of an endpoint's carrier itself: nothing if the
 * thread's set has it. Two fds of one poll may want the same place there, and
 * the later one has it. Only what many_ready would report, or it spins.
 */
static short
carrier_events(const struct kmap_place *p, const struct kmap_ent *e,
	const struct pollfd *f)
{
	const struct kmap_reg *r;
	short ev = f->events & (POLLIN | POLLRDNORM | POLLRDHUP | POLLPRI);

	if (p != NULL) {
		r = &p->regs[(unsigned int)f->fd % KMAP_REGS];
		if (r->ep == e->ep && r->fd == f->fd)
			return 0;
	}
	if (!kmap_tx_on_ring(e->ep) && !kmap_tx_paced(e->ep))
		ev |= f->events & (POLLOUT | POLLWRNORM);
	return ev;
}

/* The epoll set with rings behind an fd that is polled, to be dropped. */
static struct kmap_set *
watched_set(const struct pollfd *f)
{
	struct kmap_set *set = f->fd < 0 ? NULL : kmap_set_hold(f->fd);

	if (set == NULL || kmap_set_concerns(set))
		return set;
	kmap_set_drop(set);
	return NULL;
}

static uint64_t
many_watch(struct many *m, bool overdue)
{
	uint64_t limit = UINT64_MAX;

	for (nfds_t i = 0; i < m->n; i++) {
		struct kmap_set *set = watched_set(&m->fds[i]);

		if (set == NULL)
			continue;
		if (overdue)
			kmap_set_overdue(set);
		else
			limit = kmap_umin(limit, kmap_set_watch(set));
		kmap_set_drop(set);
	}
	return limit;
}

/* Asks the kernel about the fds that are not ours, for at most `ts`; ran: it
 * is a sleep, else a look. */
static int
many_kernel(struct kmap_place *p, struct many *m, const struct timespec *ts,
	const sigset_t *mask, const struct kmap_ran *ran)
{
	nfds_t k = m->n;
	struct kmap_set *set;
	int r, cnt = 0;

	for (nfds_t i = 0; i < m->n; i++) {
		struct kmap_ent *e = gated(&m->fds[i]);

		m->kernel[i] = m->fds[i];
		m->kernel[i].revents = 0;
		if (m->fds[i].fd >= 0 && kmap_fd_hidden(m->fds[i].fd))
			m->kernel[i].fd = -1;
		if (e == NULL)
			continue;
		m->kernel[i].events = carrier_events(p, e, &m->fds[i]);
		if (m->kernel[i].events == 0)
			m->kernel[i].fd = -1;
	}
	if (p != NULL)
		m->kernel[k++] = (struct pollfd){.fd = p->ep, .events = POLLIN};
	/* poll(2) is never restarted. */
	r = ran != NULL
		? kmap_nap_poll(m->kernel, k, ts, mask, *ran)
		: (int)kmap_ret(kmap_real.ppoll(m->kernel, k, ts, mask));
	if (r < 0)
		return r;
	for (nfds_t i = 0; i < m->n; i++) {
		if (m->fds[i].fd >= 0 && kmap_fd_hidden(m->fds[i].fd))
			m->kernel[i].revents = POLLNVAL;
		if (m->kernel[i].fd < 0 && m->kernel[i].revents == 0)
			continue;
		/* A carrier's news is a reason to look, not an answer. */
		if (gated(&m->fds[i]) != NULL)
			continue;
		m->fds[i].revents = m->kernel[i].revents;
		/* A bell without anything behind it. */
		if ((m->fds[i].revents & POLLIN) &&
			(set = watched_set(&m->fds[i])) != NULL) {
			kmap_set_watch(set);
			kmap_set_drop(set);
			if (!(kmap_sys_poll1(m->fds[i].fd, POLLIN) & POLLIN))
				m->fds[i].revents &= ~(POLLIN | POLLRDNORM);
		}
		cnt += m->fds[i].revents != 0;
	}
	if (p != NULL && m->kernel[m->n].revents != 0)
		kmap_place_harvest(p);
	return cnt;
}

static uint64_t
many_rung(const struct kmap_place *p, struct many *m)
{
	uint64_t at = 0;

	for (nfds_t i = 0; i < m->n; i++) {
		struct kmap_ent *e = gated(&m->fds[i]);

		if (e != NULL && e->ep->link != NULL)
			at = kmap_umax(at, kmap_rung_at(e->ep->link, p->id));
	}
	return at;
}

static int
many_wait(struct many *m, uint64_t deadline, const sigset_t *mask)
{
	static const struct timespec zero;
	struct kmap_place *p = kmap_place_get();
	struct kmap_ran ran = kmap_ran_now();

	for (;;) {
		uint64_t t0, now, stop = deadline;
		struct timespec ts;
		uint64_t limit = UINT64_MAX;
		unsigned int mark;
		/* The kernel first: the carriers' edges say where to look. */
		int r = many_kernel(p, m, &zero, NULL, NULL), ours;

		if (r < 0)
			return r;
		ours = many_ready(p, m);
		if (ours + r > 0 || deadline == 1)
			return ours + r;
		t0 = kmap_now();
		if (deadline != 0 && t0 >= deadline)
			return 0;
		if (p != NULL && kmap_spin(&p->policy, t0, many_step, m))
			continue;
		/* Before the last look: what moves from here on waits. */
		if (!kmap_polled_enter(m->fds, m->n, false, &mark))
			continue;
		if (many_arm(p, m, &limit)) {
			kmap_polled_leave(mark);
			continue;
		}
		limit = kmap_umin(limit, many_watch(m, false));
		if (limit != UINT64_MAX)
			stop = deadline == 0 ? t0 + limit
					     : kmap_umin(deadline, t0 + limit);
		if (p == NULL || m->poor)
			stop = t0 + MS;
		now = kmap_now();
		if (stop != 0 && stop < now)
			stop = now;
		ts.tv_sec = (time_t)((stop - now) / 1000000000u);
		ts.tv_nsec = (long)((stop - now) % 1000000000u);
		kmap_stats_count(KMAP_STAT_sleeps);
		KMAP_TESTPOINT("sleep", -1);
		r = many_kernel(p, m, stop != 0 ? &ts : NULL, mask, &ran);
		kmap_polled_leave(mark);
		if (r < 0)
			return r;
		if (p != NULL && r == 0 && stop != 0 && kmap_now() >= stop)
			kmap_policy_timed_out(&p->policy);
		else if (p != NULL)
			kmap_policy_woken(
				&p->policy, t0, many_rung(p, m), kmap_now());
		kmap_bells_take();
		if (limit != UINT64_MAX && kmap_now() >= stop) {
			many_spill(m);
			many_watch(m, true);
		}
	}
}

int
kmap_wait_fds(
	struct pollfd *fds, nfds_t n, uint64_t deadline, const sigset_t *mask)
{
	struct pollfd few[65];
	struct many m = {.fds = fds, .kernel = few, .n = n};
	size_t size = KMAP_ROUND((n + 1) * sizeof(*fds), KMAP_PAGE);
	int r;

	if (n >= kmap_countof(few)) {
		m.kernel = kmap_sys_mmap(size, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1);
		if (m.kernel == NULL)
			return -ENOMEM;
	}
	for (nfds_t i = 0; i < n; i++)
		fds[i].revents = 0;
	r = many_wait(&m, deadline, mask);
	if (m.kernel != few)
		kmap_sys_munmap(m.kernel, size);
	return r;
}
