/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "fdtab.h"

#include "env.h"
#include "kin.h"
#include "link.h"
#include "obey.h"
#include "pair.h"
#include "sys.h"
#include "testpoint.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

struct kmap_lock kmap_fdtab_lock;
struct kmap_fdslot *_Atomic kmap_fd_chunks[KMAP_FD_CHUNKS];

#define ENT_CHUNK 64
#define EP_CHUNK 64
#define ENT_CHUNKS 16384

static struct kmap_ent *ent_chunks[ENT_CHUNKS];
static unsigned int ent_nchunks;
static struct kmap_ent *ent_free;
static struct kmap_ep *ep_free;
static struct kmap_lock ent_lock;
static struct kmap_lock ep_lock;

struct kmap_fdslot *
kmap_fdslot_make(int fd)
{
	struct kmap_fdslot *s = kmap_fdslot(fd), *c, *none = NULL;
	unsigned int i = (unsigned int)fd / KMAP_FD_CHUNK;

	if (s != NULL || i >= KMAP_FD_CHUNKS)
		return s;
	c = kmap_sys_mmap(KMAP_FD_CHUNK * sizeof(*c), PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1);
	if (c == NULL)
		return NULL;
	if (!a_cas(&kmap_fd_chunks[i], none, c))
		kmap_sys_munmap(c, KMAP_FD_CHUNK * sizeof(*c));
	return kmap_fdslot(fd);
}

int
kmap_fd_hide(int fd)
{
	struct kmap_fdslot *s;

	if (fd < 0)
		return fd;
	s = kmap_fdslot_make(fd);
	if (s == NULL) {
		kmap_sys_close(fd);
		return -ENOMEM;
	}
	a_store_rel(&s->hidden, 1u);
	return fd;
}

void
kmap_fd_hidden_close(int fd)
{
	struct kmap_fdslot *s = kmap_fdslot(fd);

	if (s != NULL)
		a_store_rel(&s->hidden, 0u);
	kmap_sys_close(fd);
}

int
kmap_fd_next_hidden(int fd)
{
	for (int i = fd; i < KMAP_FD_CHUNK * KMAP_FD_CHUNKS; i++) {
		struct kmap_fdslot *s = kmap_fdslot(i);

		if (s == NULL)
			i |= KMAP_FD_CHUNK - 1;
		else if (a_load(&s->hidden))
			return i;
	}
	return -1;
}

/* ---- side state ---- */

/* The process's own chunks, each a node of a list in its last place. */
static struct kmap_ep *ep_chunks;

/* What ep->owner says of one that is on the free list. */
#define EP_LISTED (-1)

/* ep_lock is held. */
static void
ep_list(struct kmap_ep *ep)
{
	ep->owner = EP_LISTED;
	ep->next_free = ep_free;
	ep_free = ep;
}

/* A thread that is still counted in will count itself out. */
static bool
ep_quiet(const struct kmap_ep *ep)
{
	return a_load_acq(&ep->rx.gate.in_kernel) == 0 &&
		a_load_acq(&ep->tx.gate.in_kernel) == 0;
}

/*
 * What could not be listed when it was freed: another process of the family
 * let go last, or was killed with it, or a thread was in the kernel with it.
 * ep_lock is held.
 */
static void
ep_sweep(void)
{
	int pid = kmap_sys_getpid();

	for (struct kmap_ep *c = ep_chunks; c != NULL;
		c = c[EP_CHUNK - 1].next_free)
		for (int i = 0; i < EP_CHUNK - 1; i++) {
			struct kmap_ep *ep = &c[i];

			if (ep->owner != pid)
				continue;
			if (a_load_acq(&ep->gen) & 1) {
				if (!kmap_kin_orphan(ep))
					continue;
				kmap_pair_orphan(ep);
				a_add(&ep->gen, 1u);
				ep_list(ep);
			} else if (ep_quiet(ep))
				ep_list(ep);
		}
}

void
kmap_ep_sweep(void)
{
	kmap_lock(&ep_lock);
	ep_sweep();
	kmap_unlock(&ep_lock);
}

static void
ep_grow(void)
{
	struct kmap_ep *c = kmap_sys_mmap(EP_CHUNK * sizeof(*c),
		PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1);

	if (c == NULL)
		return;
	c[EP_CHUNK - 1].next_free = ep_chunks;
	ep_chunks = c;
	for (int i = 0; i < EP_CHUNK - 1; i++)
		ep_list(&c[i]);
}

struct kmap_ep *
kmap_ep_alloc(void)
{
	struct kmap_ep *ep;
	uint32_t gen;

	kmap_lock(&ep_lock);
	if (ep_free == NULL)
		ep_sweep();
	if (ep_free == NULL)
		ep_grow();
	ep = ep_free;
	if (ep != NULL) {
		ep_free = ep->next_free;
		gen = a_load(&ep->gen);
		memset(ep, 0, sizeof(*ep));
		ep->rcvlowat = 1;
		kmap_kin_hold(ep);
		a_store_rel(&ep->gen, gen + 1);
		/* Last, and under the lock: with an even gen it is swept. */
		ep->owner = kmap_sys_getpid();
	}
	kmap_unlock(&ep_lock);
	return ep;
}

void
kmap_ep_free(struct kmap_ep *ep)
{
	int pid = kmap_sys_getpid();

	kmap_lock(&ep_lock);
	a_add(&ep->gen, 1u);
	/* Its chunk's owner alone hands it out again: else ep_sweep finds
	 * it. */
	if (ep->owner == pid && ep_quiet(ep))
		ep_list(ep);
	kmap_unlock(&ep_lock);
}

void
kmap_ep_forget_pool(void)
{
	ep_free = NULL;
	ep_chunks = NULL;
}

void
kmap_ent_bar(struct kmap_ent *e, enum kmap_why why)
{
	struct kmap_ep *ep = e->ep;

	if (a_cas(&ep->why, (uint32_t)KMAP_WHY_NONE, (uint32_t)why)) {
		uint32_t s = a_load(&ep->stage);

		if (s != KMAP_PAIRED)
			a_cas(&ep->stage, s, (uint32_t)KMAP_BARRED);
		if (kmap_unlikely(kmap_obeying))
			kmap_obey_left(why);
		kmap_publish_state(e);
	}
}

/* ---- entries ---- */

void
kmap_ents_lock(void)
{
	kmap_lock(&ent_lock);
}

void
kmap_ents_unlock(void)
{
	kmap_unlock(&ent_lock);
}

/* ent_lock is held. */
static void
ent_grow(void)
{
	unsigned int first = ent_nchunks * ENT_CHUNK;
	struct kmap_ent *e;
	bool room;

	if (ent_nchunks == ENT_CHUNKS)
		return;
	e = kmap_sys_mmap(ENT_CHUNK * sizeof(*e), PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1);
	if (e == NULL)
		return;
	room = kmap_publish_room(first, ENT_CHUNK);
	ent_chunks[ent_nchunks++] = e;
	for (unsigned int i = 0; i < ENT_CHUNK; i++) {
		e[i].pub = room ? &kmap_published.conn[first + i] : &e[i].own;
		e[i].next_free = ent_free;
		ent_free = &e[i];
	}
}

static void
ent_put(struct kmap_ent *e)
{
	kmap_ents_lock();
	/* ep stays: who still holds the entry finds an endpoint, if an old
	 * one. */
	e->in_use = false;
	e->next_free = ent_free;
	ent_free = e;
	kmap_ents_unlock();
}

struct kmap_ent *
kmap_ent_open(int fd, int role)
{
	struct kmap_fdslot *s = kmap_fdslot_make(fd);
	struct kmap_ent *e;
	struct kmap_ep *ep;

	kmap_publish_begin();
	if (s == NULL || (ep = kmap_ep_alloc()) == NULL)
		return NULL;
	a_store(&ep->role, (uint32_t)role);
	a_store(&ep->stage, (uint32_t)KMAP_PLAIN);
	kmap_ents_lock();
	if (ent_free == NULL)
		ent_grow();
	e = ent_free;
	if (e != NULL) {
		ent_free = e->next_free;
		memset(e, 0, offsetof(struct kmap_ent, next_free));
		e->ep = ep;
		e->fd = fd;
		e->carrier = e->rdv_fd = e->rdv_conn = -1;
		e->in_use = true;
		a_store(&e->fds, 1u);
		kmap_publish_open(e);
		atomic_store(&s->ent, e);
	}
	kmap_ents_unlock();
	if (e != NULL)
		kmap_stats_count(KMAP_STAT_connections_seen);
	else if (kmap_kin_drop(ep))
		kmap_ep_free(ep);
	return e;
}

void
kmap_ent_dup(struct kmap_ent *e, int fd)
{
	struct kmap_fdslot *s = kmap_fdslot_make(fd);

	if (s == NULL) {
		kmap_ent_bar(e, KMAP_WHY_LIMIT);
		return;
	}
	a_add(&e->fds, 1u);
	atomic_store(&s->ent, e);
}

bool
kmap_ent_unlink(struct kmap_ent *e, int fd)
{
	struct kmap_fdslot *s = kmap_fdslot(fd);

	if (s == NULL || !a_cas(&s->ent, e, (struct kmap_ent *)NULL))
		return false;
	if (a_sub(&e->fds, 1u) == 1)
		return true;
	if (e->fd == fd) {
		/* Another number of the same entry stands for it now. */
		for (int i = 0; i < KMAP_FD_CHUNK * KMAP_FD_CHUNKS; i++) {
			s = kmap_fdslot(i);
			if (s == NULL)
				i |= KMAP_FD_CHUNK - 1;
			else if (atomic_load(&s->ent) == e) {
				e->fd = e->pub->fd = i;
				break;
			}
		}
	}
	return false;
}

void
kmap_ent_close(struct kmap_ent *e)
{
	struct kmap_ep *ep = e->ep;
	enum kmap_why why = kmap_pair_verdict(e);
	bool last;

	kmap_pair_close(e);
	/* A child gets a hold, or no entry. */
	kmap_ents_lock();
	last = !e->let_go && kmap_kin_drop(ep);
	e->let_go = true;
	kmap_ents_unlock();
	KMAP_TESTPOINT("let-go", e->fd);
	/* From here on the endpoint is the others', unless we were the last. */
	if (last)
		kmap_pair_end(e);
	kmap_pair_unlink(e);
	kmap_publish_close(e, (int)why);
	if (last)
		kmap_ep_free(ep);
	ent_put(e);
}

void
kmap_ent_lost(struct kmap_ent *e)
{
	struct kmap_ent *self = e;

	for (int fd = 0; fd < KMAP_FD_CHUNK * KMAP_FD_CHUNKS; fd++) {
		struct kmap_fdslot *s = kmap_fdslot(fd);

		if (s == NULL)
			fd |= KMAP_FD_CHUNK - 1;
		else
			a_cas(&s->ent, self, (struct kmap_ent *)NULL);
	}
	if (e->link != NULL)
		a_cas(&e->link->ents[e->link_slot], self,
			(struct kmap_ent *)NULL);
	kmap_pair_unlink(e);
	kmap_publish_close(e, KMAP_WHY_PASSED);
	ent_put(e);
}

void
kmap_fdtab_forked(void)
{
	a_store(&ent_lock.word, 0u);
	/* With those that the parent was about to put away. */
	ent_free = NULL;
	for (unsigned int c = 0; c < ent_nchunks; c++)
		for (int i = 0; i < ENT_CHUNK; i++) {
			struct kmap_ent *e = &ent_chunks[c][i];

			if (e->let_go && a_load(&e->fds) == 0)
				e->in_use = false;
			if (e->in_use)
				continue;
			e->next_free = ent_free;
			ent_free = e;
		}
	a_store(&ep_lock.word, 0u);
	kmap_ep_forget_pool();
}

void
kmap_ent_each(void (*fn)(struct kmap_ent *e, void *arg), void *arg)
{
	for (unsigned int c = 0; c < ent_nchunks; c++)
		for (int i = 0; i < ENT_CHUNK; i++)
			if (ent_chunks[c][i].in_use)
				fn(&ent_chunks[c][i], arg);
}
