/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "call.h"
#include "family.h"
#include "set.h"

#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "dir.h"
#include "env.h"
#include "log.h"
#include "pair.h"
#include "stream.h"
#include "sys.h"
#include "testpoint.h"
#include "wake.h"

#define MS 1000000u
/* Waits that user space may answer before the kernel's fds are looked at. */
#define KERNEL_EACH 8u
#define ALWAYS ((uint32_t)(EPOLLERR | EPOLLHUP))
#define FLAGS                                                                  \
	((uint32_t)(EPOLLET | EPOLLONESHOT | EPOLLEXCLUSIVE | EPOLLWAKEUP))
#define CARRIER_EVENTS ((uint32_t)(EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLET))

/*
 * ---- memory: type-stable. Sets are private; items lie where a fork shares
 * them, but only the process that made them gives them away ("forks", below).
 */

static struct kmap_lock pool_lock;
static struct kmap_item *item_free;
static struct kmap_set *set_free;
kmap_a32 kmap_any_set;

static struct kmap_item *
item_alloc(void)
{
	const size_t size = 64 * sizeof(struct kmap_item);
	struct kmap_item *it;

	kmap_lock(&pool_lock);
	if (item_free == NULL) {
		it = kmap_sys_mmap(size, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1);
		for (int i = 0; it != NULL && i < 64; i++) {
			it[i].next_free = item_free;
			item_free = &it[i];
		}
	}
	it = item_free;
	if (it != NULL) {
		item_free = it->next_free;
		memset(it, 0, sizeof(*it));
	}
	kmap_unlock(&pool_lock);
	return it;
}

static void
item_put(struct kmap_item *it)
{
	kmap_lock(&pool_lock);
	it->next_free = item_free;
	item_free = it;
	kmap_unlock(&pool_lock);
}

static struct kmap_set *
set_alloc(int fd)
{
	const size_t each = KMAP_PAGE / sizeof(struct kmap_set);
	struct kmap_set *s;

	_Static_assert(sizeof(*s) <= KMAP_PAGE, "a page has one");
	kmap_lock(&pool_lock);
	if (set_free == NULL) {
		s = kmap_sys_mmap(KMAP_PAGE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1);
		for (size_t i = 0; s != NULL && i < each; i++) {
			s[i].next_free = set_free;
			set_free = &s[i];
		}
	}
	s = set_free;
	if (s != NULL)
		set_free = s->next_free;
	kmap_unlock(&pool_lock);
	if (s == NULL)
		return NULL;
	memset((char *)s + offsetof(struct kmap_set, lock), 0,
		sizeof(*s) - offsetof(struct kmap_set, lock));
	a_store(&s->fds, 1u);
	s->fd = fd;
	s->bell = s->id = -1;
	for (int i = 0; i < KMAP_COMMONS; i++)
		s->commons[i] = -1;
	/* The numbers' use: from now on it can be held. */
	a_store_rel(&s->uses, 1u);
	return s;
}

/*
 * ---- uses: a set is given away once its numbers are closed and nobody is
 * inside any more, asleep or not.
 *
 * Its numbers are one use, and each thread inside is another. Which set a
 * number is can change between the look and the count: nobody's is never
 * counted, and whoever has counted looks again. A thread keeps the use of the
 * set that it was inside last, so that one who waits in the same set again and
 * again counts nothing; it lets go when it uses another, closes this one, or
 * ends. What it interrupts may need that use: a handler counts its own. (A
 * handler that leaves by siglongjmp leaves the thread inside: nothing is given
 * away too early for that, but a set may stay for good.)
 */

void
kmap_set_drop(struct kmap_set *s)
{
	if (a_sub(&s->uses, 1u) != 1)
		return;
	if (s->by_fd != NULL)
		kmap_sys_munmap(s->by_fd, s->nby_fd * sizeof(*s->by_fd));
	if (s->shm != NULL)
		kmap_sys_munmap(s->shm, KMAP_PAGE);
	kmap_lock(&pool_lock);
	s->next_free = set_free;
	set_free = s;
	kmap_unlock(&pool_lock);
}

struct kmap_set *
kmap_set_hold(int fd)
{
	struct kmap_fdslot *sl = kmap_fdslot(fd);
	struct kmap_set *s;

	while (sl != NULL && (s = atomic_load(&sl->set)) != NULL) {
		uint32_t n = a_load(&s->uses);

		if (n == 0 || !a_cas(&s->uses, n, n + 1))
			continue;
		if (atomic_load(&sl->set) == s)
			return s;
		kmap_set_drop(s);
	}
	return NULL;
}

/* A thread's stay in a set. */
struct set_use {
	struct kmap_set *set; /* NULL: none */
	bool counted; /* for this stay alone */
};

static void
depth_in(void)
{
	kmap_self.set_depth++;
	__asm__ __volatile__("" ::: "memory");
}

static void
depth_out(void)
{
	__asm__ __volatile__("" ::: "memory");
	kmap_self.set_depth--;
}

/* Not the set that the thread keeps; kmap_self.set_depth is counted. */
static __attribute__((noinline)) void
set_enter_other(struct set_use *u, int fd)
{
	struct kmap_set *old = kmap_self.set;

	u->set = kmap_set_hold(fd);
	if (u->set == NULL) {
		depth_out();
		return;
	}
	/* Whose end nobody will tell of keeps nothing. */
	u->counted = kmap_self.set_depth != 1 || !kmap_self.keyed;
	if (u->counted)
		return;
	kmap_self.set = u->set;
	if (old != NULL)
		kmap_set_drop(old);
}

/* Into the set behind an epoll fd, if one is known: set_leave ends it. */
static inline struct kmap_set *
set_enter(struct set_use *u, int fd)
{
	struct kmap_fdslot *sl = kmap_fdslot(fd);

	u->set = NULL;
	u->counted = false;
	if (sl == NULL || atomic_load(&sl->set) == NULL)
		return NULL;
	depth_in();
	u->set = atomic_load(&sl->set);
	if (kmap_unlikely(u->set == NULL || u->set != kmap_self.set))
		set_enter_other(u, fd);
	return u->set;
}

static inline void
set_leave(struct set_use *u)
{
	if (u->set == NULL)
		return;
	depth_out();
	if (kmap_unlikely(u->counted))
		kmap_set_drop(u->set);
}

/* This thread keeps nothing of s, or of any set, if it is in none. */
static void
set_let_go(const struct kmap_set *s)
{
	struct kmap_set *old = kmap_self.set;

	depth_in();
	if (kmap_self.set_depth == 1 && old != NULL &&
		(s == NULL || s == old)) {
		kmap_self.set = NULL;
		kmap_set_drop(old);
	}
	depth_out();
}

void
kmap_set_thread_end(void)
{
	/* Cancelled, it never left. */
	kmap_self.set_depth = 0;
	set_let_go(NULL);
}

/* An epoll fd is known from now on; passed: it was not made here. */
static void
set_make(int fd, bool passed)
{
	struct kmap_fdslot *sl = kmap_fdslot_make(fd);
	struct kmap_set *s, *none = NULL;

	if (sl == NULL || atomic_load(&sl->set) != NULL)
		return;
	s = set_alloc(fd);
	if (s == NULL)
		return;
	a_store(&s->passed, passed ? 1u : 0u);
	if (!a_cas(&sl->set, none, s))
		kmap_set_drop(s);
	else if (a_load(&kmap_any_set) == 0)
		a_store(&kmap_any_set, 1u);
}

void
kmap_set_dup(int fd, int fd2)
{
	struct kmap_fdslot *sl = kmap_fdslot_make(fd2);
	struct kmap_set *s = kmap_set_hold(fd);
	uint32_t n;

	if (s == NULL)
		return;
	do
		n = a_load(&s->fds);
	while (n != 0 && !a_cas(&s->fds, n, n + 1));
	if (n != 0 && sl != NULL)
		atomic_store(&sl->set, s);
	else if (n != 0)
		a_sub(&s->fds, 1u);
	kmap_set_drop(s);
}

/* ---- items; the set's lock is held ---- */

static struct kmap_item *
item_of(struct kmap_set *s, int fd)
{
	return (size_t)fd < s->nby_fd ? s->by_fd[fd] : NULL;
}

static bool
items_room(struct kmap_set *s, int fd)
{
	size_t n = s->nby_fd != 0 ? s->nby_fd : 512;
	struct kmap_item **p;

	if ((size_t)fd < s->nby_fd)
		return true;
	while (n <= (size_t)fd)
		n *= 2;
	p = kmap_sys_mmap(n * sizeof(*p), PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1);
	if (p == NULL)
		return false;
	if (s->nby_fd != 0) {
		memcpy(p, s->by_fd, s->nby_fd * sizeof(*p));
		kmap_sys_munmap(s->by_fd, s->nby_fd * sizeof(*p));
	}
	s->by_fd = p;
	s->nby_fd = n;
	return true;
}

static void
shown_as(struct kmap_item *it, enum kmap_pub_watch watch)
{
	a_store(&it->ent->pub->watch, (uint32_t)watch);
}

static void
hot_add(struct kmap_item *it)
{
	struct kmap_set *s = it->set;

	if (it->hot || !it->reg.active)
		return;
	it->hot = true;
	shown_as(it, KMAP_PUB_HOT);
	s->nhot++;
	if (s->hot == NULL) {
		s->hot = it->prev_hot = it->next_hot = it;
		return;
	}
	it->next_hot = s->hot;
	it->prev_hot = s->hot->prev_hot;
	it->prev_hot->next_hot = it;
	s->hot->prev_hot = it;
}

static void
hot_remove(struct kmap_item *it)
{
	struct kmap_set *s = it->set;

	if (!it->hot)
		return;
	it->hot = false;
	shown_as(it, KMAP_PUB_ARMED);
	s->nhot--;
	if (it->next_hot == it)
		s->hot = NULL;
	else {
		it->prev_hot->next_hot = it->next_hot;
		it->next_hot->prev_hot = it->prev_hot;
		if (s->hot == it)
			s->hot = it->next_hot;
	}
}

/* ---- forks ----
 *
 * The kernel's set is one open file, which the processes of a family share.
 * The items that a set had at a fork are shared, too, under one more lock: a
 * child that comes to use the set works on copies (`live`), which it fetches
 * as it takes the lock and brings back as it lets go. What it did, and what it
 * took of the kernel's events that is another's, is told by `changed`.
 */
struct kmap_set_shm {
	struct kmap_lock lock;
	kmap_a32 changed; /* 1: look at all; 2: and take all for new */
	kmap_a32 sleepers; /* those of children */
	kmap_a32 tagged; /* as the maker's */
	kmap_a32 passed;
};

static void ring_set(struct kmap_set *s);

/* See "passed". */
static bool
is_passed(const struct kmap_set *s)
{
	return a_load(&s->passed) != 0 ||
		(kmap_unlikely(s->shm != NULL) && a_load(&s->shm->passed) != 0);
}

static bool
others_sleep(const struct kmap_set *s)
{
	return a_load(&s->sleepers) != 0 ||
		(kmap_unlikely(s->shm != NULL) &&
			(s->forked || a_load(&s->shm->sleepers) != 0));
}

/* The other process has given it up, or to another connection. */
static bool
live_valid(const struct kmap_item *it)
{
	const struct kmap_item *l = it->live;

	return l->set == it->set && l->fd == it->fd &&
		(!l->reg.tagged || (it->ent != NULL && l->ep == it->ent->ep));
}

static void
live_fetch(struct kmap_set *s)
{
	for (size_t i = 0; i < s->nby_fd; i++) {
		struct kmap_item *it = s->by_fd[i];

		if (it == NULL || it->live == NULL)
			continue;
		if (live_valid(it))
			it->reg = it->live->reg;
		else
			it->reg.tagged = false;
		if (it->reg.tagged && it->reg.active)
			hot_add(it);
		else
			hot_remove(it);
	}
}

static void
live_bring(struct kmap_set *s)
{
	bool news = false;

	for (size_t i = 0; i < s->nby_fd; i++) {
		struct kmap_item *it = s->by_fd[i], *l;

		if (it == NULL || it->live == NULL || !live_valid(it))
			continue;
		l = it->live;
		news |= it->reg.active != l->reg.active ||
			it->reg.events != l->reg.events ||
			it->reg.data != l->reg.data ||
			it->reg.fired != l->reg.fired ||
			(it->reg.look && !l->reg.look) ||
			(it->reg.trigger && !l->reg.trigger);
		l->reg = it->reg;
	}
	if (news && a_load(&s->shm->changed) == 0) {
		a_store(&s->shm->changed, 1u);
		ring_set(s);
	}
}

/* A child did something, or has got what may be ours. */
static void
live_changed(struct kmap_set *s)
{
	uint32_t how = a_xchg(&s->shm->changed, 0u);

	for (size_t i = 0; i < s->nby_fd; i++) {
		struct kmap_item *it = s->by_fd[i];

		if (it == NULL || !it->reg.tagged)
			continue;
		it->reg.look |= how > 1;
		it->reg.trigger |= how > 1;
		if (it->reg.active)
			hot_add(it);
		else
			hot_remove(it);
	}
}

static void
shared_lock(struct kmap_set *s)
{
	kmap_lock(&s->shm->lock);
	if (s->forked && s->viewed)
		live_fetch(s);
	else if (!s->forked && a_load(&s->shm->changed) != 0)
		live_changed(s);
}

static void
shared_unlock(struct kmap_set *s)
{
	if (s->forked && s->viewed)
		live_bring(s);
	kmap_unlock(&s->shm->lock);
}

/* Inline: each wait takes it, and few sets are shared. */
static inline __attribute__((always_inline)) void
set_lock(struct kmap_set *s)
{
	kmap_lock(&s->lock);
	if (kmap_unlikely(s->shm != NULL))
		shared_lock(s);
}

static inline __attribute__((always_inline)) void
set_unlock(struct kmap_set *s)
{
	if (kmap_unlikely(s->shm != NULL))
		shared_unlock(s);
	kmap_unlock(&s->lock);
}

static uint64_t
tag_of(const struct kmap_item *it)
{
	return it->set->base +
		((uint64_t)(it->reg.gen & 0xffff) << 24 | (uint32_t)it->fd);
}

static bool
is_tag(const struct kmap_set *s, uint64_t data)
{
	return data - s->base < UINT64_C(1) << 41;
}

/* The application's value lies where our tags do: one in 2^23, or malice. */
static bool
base_clashes(const struct kmap_set *s, uint64_t data)
{
	return a_load(&s->tagged) != 0 && is_tag(s, data);
}

static void
base_choose(struct kmap_set *s)
{
	bool again;

	do {
		kmap_syscall(
			SYS_getrandom, &s->base, sizeof(s->base), 1, 0, 0, 0);
		again = s->base > UINT64_MAX - (UINT64_C(1) << 42);
		for (size_t i = 0; i < s->nby_fd && !again; i++)
			again = s->by_fd[i] != NULL &&
				is_tag(s, s->by_fd[i]->reg.data);
	} while (again);
}

static bool
attach_bell(struct kmap_set *s)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET};

	ev.data.u64 = s->base + (UINT64_C(1) << 40) + 1;
	if (s->bell >= 0)
		return true;
	s->id = kmap_bell_get(&s->bell);
	if (s->bell < 0)
		return false;
	if (kmap_sys_epoll_ctl(s->fd, EPOLL_CTL_ADD, s->bell, &ev) == 0)
		return true;
	kmap_bell_put(s->id, s->bell);
	s->id = s->bell = -1;
	return false;
}

/* Registers the bells, so that the kernel's readiness of the epoll fd shows
 * what arrives on rings. */
static bool
attach(struct kmap_set *s, int common)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET};
	int r;

	ev.data.u64 = s->base + (UINT64_C(1) << 40) + 1;
	if (!attach_bell(s))
		return false;
	for (int i = 0; i < KMAP_COMMONS; i++) {
		if (s->commons[i] == common)
			return true;
		if (s->commons[i] >= 0)
			continue;
		r = kmap_sys_epoll_ctl(s->fd, EPOLL_CTL_ADD, common, &ev);
		if (r != 0 && r != -EEXIST)
			return false;
		s->commons[i] = common;
		return true;
	}
	return false;
}

static void
ring_set(struct kmap_set *s)
{
	static const uint64_t one = 1;

	if (s->bell >= 0)
		kmap_sys_write(s->bell, &one, sizeof(one));
}

/* Changes what the kernel has of it. `anew`: to or from EPOLLEXCLUSIVE, which
 * refuses MOD. */
static int
reregister(struct kmap_item *it, bool anew, struct epoll_event *ev)
{
	int set = it->set->fd;

	if (anew)
		kmap_sys_epoll_ctl(set, EPOLL_CTL_DEL, it->fd, NULL);
	return kmap_sys_epoll_ctl(
		set, anew ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, it->fd, ev);
}

static int
register_tag(struct kmap_item *it, bool anew)
{
	struct epoll_event ev = {.events = CARRIER_EVENTS |
			(it->reg.kernel_out ? EPOLLOUT : 0u)};

	ev.data.u64 = tag_of(it);
	return reregister(it, anew, &ev);
}

/*
 * An edge is told once, and a changed registration reports anew what holds at
 * that time: so what pends of an edge-triggered one is taken before it gets
 * its tag, and what the change itself reports is no edge.
 */
struct edges {
	uint64_t came; /* bytes and FIN */
	uint32_t state;
	bool full;
	bool pends;
};

static void
edges_now(const struct kmap_item *it, struct edges *x)
{
	struct tcp_info ti = {0};
	socklen_t len = sizeof(ti);

	kmap_sys_getsockopt(it->fd, IPPROTO_TCP, TCP_INFO, &ti, &len);
	x->came = ti.tcpi_bytes_received;
	x->state = ti.tcpi_state;
}

static bool bells_clear(struct kmap_set *s);
static bool stash_take(struct kmap_set *s, uint64_t data);

static void
edges_before(struct kmap_item *it, struct edges *x)
{
	edges_now(it, x);
	x->full = (it->reg.events & EPOLLOUT) &&
		!(kmap_sys_poll1(it->fd, POLLOUT) & POLLOUT);
	/* Too many pend to see them all: one too many is told then. */
	x->pends = !bells_clear(it->set) || stash_take(it->set, it->reg.data);
}

static void
edges_after(struct kmap_item *it, struct edges *x)
{
	struct edges seen, now;
	bool all;

	/* What comes behind the last of these looks is told by the kernel. */
	edges_now(it, &now);
	do {
		seen = now;
		all = bells_clear(it->set);
		edges_now(it, &now);
	} while (seen.came != now.came || seen.state != now.state);
	it->reg.trigger = x->pends || !all || now.state != x->state ||
		(now.came != x->came &&
			(it->reg.events &
				(EPOLLIN | EPOLLRDNORM | EPOLLRDHUP))) ||
		(x->full && (kmap_sys_poll1(it->fd, POLLOUT) & POLLOUT));
}

/* The events of a registration from a line of fdinfo; false: another's. */
static bool
fdinfo_line(const char *p, const char *end, const struct kmap_item *it,
	uint32_t *events)
{
	uint64_t v[3] = {0, 0, 0};
	static const struct {
		const char *name;
		unsigned int base;
	} field[] = {{"tfd:", 10}, {"events:", 16}, {"data:", 16}};

	for (unsigned int i = 0; i < 3; i++) {
		size_t n = strlen(field[i].name);

		if ((size_t)(end - p) < n || memcmp(p, field[i].name, n) != 0)
			return false;
		for (p += n; p < end && *p == ' '; p++)
			;
		for (; p < end && *p != ' '; p++)
			v[i] = v[i] * field[i].base +
				(unsigned int)(*p <= '9' ? *p - '0'
							 : *p - 'a' + 10);
		for (; p < end && *p == ' '; p++)
			;
	}
	*events = (uint32_t)v[1];
	return v[0] == (uint64_t)it->fd && v[2] == it->reg.data;
}

/*
 * Whether the kernel has told of an EPOLLONESHOT registration already, which
 * it shows in /proc alone: 1 or 0; -1: it cannot be read there.
 */
static int
item_spent(const struct kmap_item *it)
{
	char buf[4096 + 256], *nl;
	size_t have = 0, at;
	uint32_t events;
	int spent = -1;
	ssize_t n;
	int fd;

	memcpy(buf, "/proc/self/fdinfo/", 18);
	at = 18 + 10;
	buf[at] = '\0';
	for (unsigned int v = (unsigned int)it->set->fd; at > 18; v /= 10)
		buf[--at] = (char)('0' + v % 10);
	/* (Leading zeros name no fd.) */
	for (at = 18; buf[at] == '0' && buf[at + 1] != '\0'; at++)
		;
	memmove(buf + 18, buf + at, 18 + 10 + 1 - at);
	fd = (int)kmap_syscall(
		SYS_openat, AT_FDCWD, buf, O_RDONLY | O_CLOEXEC, 0, 0, 0);
	if (fd < 0)
		return -1;
	while ((n = kmap_sys_read(fd, buf + have, sizeof(buf) - have)) > 0) {
		char *line = buf;

		have += (size_t)n;
		while ((nl = memchr(line, '\n', have - (size_t)(line - buf))) !=
			NULL) {
			if (fdinfo_line(line, nl, it, &events))
				spent = (events & ~FLAGS) == 0;
			line = nl + 1;
		}
		have -= (size_t)(line - buf);
		memmove(buf, line, have);
	}
	kmap_sys_close(fd);
	return spent;
}

/* A thread was told by the kernel of what has its tag by now. */
static void
item_spend(struct kmap_set *s, uint64_t data)
{
	struct kmap_item *one = NULL;

	for (size_t i = 0; i < s->nby_fd; i++) {
		struct kmap_item *it = s->by_fd[i];

		if (it == NULL || it->reg.data != data)
			continue;
		if (one != NULL || !it->reg.tagged ||
			!(it->reg.events & EPOLLONESHOT))
			return;
		one = it;
	}
	if (one != NULL)
		one->reg.fired = true;
}

/* The bell that will tell of an endpoint. */
static int
bell_of(const struct kmap_ent *e)
{
	return e->ep->link != NULL ? e->ep->link->my_common : kmap_sleep_fd();
}

/*
 * It has its tag since an announcement that nobody claimed: whatever was armed
 * then was not armed on the link that there is now.
 */
static bool
item_tagged_before(struct kmap_item *it, const struct kmap_ent *e)
{
	struct kmap_set *s = it->set;

	if (!attach(s, bell_of(e)))
		return false;
	it->reg.look = true;
	hot_add(it);
	a_fence();
	if (others_sleep(s) || a_load(&s->watched) != 0)
		ring_set(s);
	return true;
}

/* fresh: the application has registered it just now. */
static bool
item_tag_as(struct kmap_item *it, struct kmap_ent *e, bool fresh)
{
	struct kmap_set *s = it->set;
	struct edges x = {.full = false};
	bool et = !fresh && (it->reg.events & EPOLLET);
	int spent = 0;

	if (it->reg.tagged)
		return item_tagged_before(it, e);
	if (s->forked || is_passed(s))
		return false;
	if (a_load(&s->tagged) == 0) {
		if (s->shm == NULL)
			base_choose(s);
		a_store_rel(&s->tagged, 1u);
	}
	if (s->shm != NULL)
		a_store(&s->shm->tagged, 1u);
	if (!attach(s, bell_of(e)))
		return false;
	if (!fresh && (it->reg.events & EPOLLONESHOT)) {
		spent = item_spent(it);
		if (spent < 0)
			return false;
		s->oneshots = true;
	}
	it->reg.gen++;
	if (et)
		edges_before(it, &x);
	it->reg.kernel_out = x.full;
	/* From now on a full buffer is noted where it is met. */
	it->reg.out_known = kmap_tx_gated(e);
	if (register_tag(it, it->reg.exclusive) != 0)
		return false;
	it->reg.tagged = true;
	it->reg.fired = spent != 0;
	it->ent = e;
	it->ep = e->ep;
	it->reg.look = true;
	it->reg.trigger = true;
	it->reg.seen_tail = e->ep->rx.ring.head;
	hot_add(it);
	if (et)
		edges_after(it, &x);
	/* Who sleeps there has not armed it, nor seen what was taken. */
	a_fence();
	if (others_sleep(s) || (s->nstash != 0 && a_load(&s->watched) != 0))
		ring_set(s);
	return true;
}

static bool
item_tag(struct kmap_item *it, struct kmap_ent *e)
{
	return item_tag_as(it, e, false);
}

/* The application's own registration anew, which tells of what holds now. */
static void
item_anew(struct kmap_item *it)
{
	/* A spent one stays so, but for the end of the connection. */
	struct epoll_event ev = {.data.u64 = it->reg.data,
		.events = it->reg.fired ? it->reg.events & FLAGS
					: it->reg.events};

	reregister(it, it->reg.exclusive, &ev);
}

/* Back to the application's own registration. */
static void
item_untag(struct kmap_item *it)
{
	if (!it->reg.tagged)
		return;
	hot_remove(it);
	shown_as(it, KMAP_PUB_UNWATCHED);
	it->reg.tagged = false;
	it->ent = NULL;
	if (it->reg.active)
		item_anew(it);
	else
		kmap_sys_epoll_ctl(it->set->fd, EPOLL_CTL_DEL, it->fd, NULL);
}

/* ---- from the fd table ---- */

/* kmap_fdtab_lock is held: out of the number's list, and gone. */
static void
item_drop(struct kmap_item *it)
{
	struct kmap_fdslot *sl = kmap_fdslot(it->fd);
	struct kmap_item **at = &sl->items;

	while (*at != NULL && *at != it)
		at = &(*at)->next_of_fd;
	if (*at != NULL)
		*at = it->next_of_fd;
	hot_remove(it);
	if (it->ent != NULL)
		shown_as(it, KMAP_PUB_UNWATCHED);
	it->set->by_fd[it->fd] = NULL;
	item_put(it);
}

void
kmap_items_close(int fd, bool keep)
{
	struct kmap_fdslot *sl = kmap_fdslot(fd);
	struct kmap_ent *e = NULL;
	struct kmap_item *it;

	kmap_lock(&kmap_fdtab_lock);
	while ((it = sl->items) != NULL) {
		struct kmap_set *s = it->set;

		set_lock(s);
		/* A dup keeps the registration alive, or another process: from
		 * now on it cannot be changed any more, so it becomes the
		 * application's. Of an inherited set's, another process goes
		 * on with it. */
		if (it->live != NULL)
			;
		else if (keep && it->reg.tagged && it->reg.active) {
			e = it->ent;
			item_untag(it);
		} else if (it->reg.tagged)
			kmap_sys_epoll_ctl(s->fd, EPOLL_CTL_DEL, fd, NULL);
		item_drop(it);
		set_unlock(s);
	}
	kmap_unlock(&kmap_fdtab_lock);
	/* Without the table's lock: an endpoint's own is taken before it. */
	if (e != NULL)
		kmap_go_down(e, fd, KMAP_WHY_NO_CONSENT);
}

/* Calls fn for each registration of an endpoint of this process. */
static bool
items_each(
	struct kmap_ent *e, bool (*fn)(struct kmap_item *, struct kmap_ent *))
{
	bool ok = true;
	int left = (int)a_load(&e->fds);

	kmap_lock(&kmap_fdtab_lock);
	for (int fd = left == 1 ? e->fd : 0;
		left > 0 && fd < KMAP_FD_CHUNK * KMAP_FD_CHUNKS; fd++) {
		struct kmap_fdslot *sl = kmap_fdslot(fd);

		if (sl == NULL) {
			fd |= KMAP_FD_CHUNK - 1;
			continue;
		}
		if (atomic_load(&sl->ent) != e)
			continue;
		left--;
		for (struct kmap_item *it = sl->items; it != NULL;
			it = it->next_of_fd) {
			set_lock(it->set);
			ok = fn(it, e) && ok;
			set_unlock(it->set);
		}
	}
	kmap_unlock(&kmap_fdtab_lock);
	return ok;
}

bool
kmap_items_tag(struct kmap_ent *e)
{
	return items_each(e, item_tag);
}

static bool
item_lost(struct kmap_item *it, struct kmap_ent *e)
{
	(void)e;
	/* Of an inherited set's, the others go on with it. */
	if (it->live != NULL) {
		hot_remove(it);
		it->reg.tagged = false;
		it->ent = NULL;
	} else
		item_untag(it);
	return true;
}

void
kmap_items_lost(struct kmap_ent *e)
{
	items_each(e, item_lost);
}

static bool
item_not_waited(struct kmap_item *it, struct kmap_ent *e)
{
	(void)e;
	return a_load(&it->set->waited) == 0;
}

bool
kmap_items_seen(struct kmap_ent *e)
{
	return !items_each(e, item_not_waited);
}

/* Another number of a set, one of whose numbers goes. */
static void
set_renumber(struct kmap_set *s, int gone)
{
	for (int fd = 0; fd < KMAP_FD_CHUNK * KMAP_FD_CHUNKS; fd++) {
		struct kmap_fdslot *sl = kmap_fdslot(fd);

		if (sl == NULL)
			fd |= KMAP_FD_CHUNK - 1;
		else if (fd != gone && atomic_load(&sl->set) == s) {
			s->fd = fd;
			return;
		}
	}
}

void
kmap_set_close(struct kmap_set *s, int fd)
{
	/* The numbers' use is there as long as this number counts. */
	a_add(&s->uses, 1u);
	if (a_sub(&s->fds, 1u) != 1) {
		if (s->fd == fd)
			set_renumber(s, fd);
		kmap_set_drop(s);
		return;
	}
	kmap_lock(&kmap_fdtab_lock);
	set_lock(s);
	for (size_t i = 0; i < s->nby_fd; i++) {
		if (s->by_fd[i] == NULL)
			continue;
		/* Before its first use here an inherited set names the
		 * parent's. */
		if (s->forked && !s->viewed)
			s->by_fd[i] = NULL;
		else
			item_drop(s->by_fd[i]);
	}
	kmap_bell_put(s->id, s->bell);
	s->bell = s->id = -1;
	s->fd = -1;
	set_unlock(s);
	kmap_unlock(&kmap_fdtab_lock);
	kmap_set_drop(s);
	set_let_go(s);
	kmap_set_drop(s);
}

/* Calls fn for each set of this process, once for each of its numbers. */
static void
sets_each(void (*fn)(struct kmap_set *s, int fd))
{
	for (int i = 0; i < KMAP_FD_CHUNK * KMAP_FD_CHUNKS; i++) {
		struct kmap_fdslot *sl = kmap_fdslot(i);
		struct kmap_set *s;

		/* A close that has taken it out waits for kmap_fdtab_lock. */
		if (sl == NULL)
			i |= KMAP_FD_CHUNK - 1;
		else if ((s = atomic_load(&sl->set)) != NULL)
			fn(s, i);
	}
}

static void
set_fork(struct kmap_set *s, int fd)
{
	(void)fd;
	if (s->shm != NULL)
		return;
	kmap_lock(&s->lock);
	if (a_load(&s->tagged) == 0)
		base_choose(s);
	if (!is_passed(s))
		attach_bell(s);
	s->shm = kmap_sys_mmap(KMAP_PAGE, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1);
	if (s->shm != NULL) {
		a_store(&s->shm->tagged, a_load(&s->tagged));
		a_store(&s->shm->passed, a_load(&s->passed));
	}
	kmap_unlock(&s->lock);
}

void
kmap_sets_fork(void)
{
	if (kmap_conf.upgrade != KMAP_NEVER)
		sets_each(set_fork);
}

static void
set_forked(struct kmap_set *s, int fd)
{
	(void)fd;
	a_store(&s->lock.word, 0u);
	a_store(&s->sleepers, 0u);
	/* The parent's other threads are not here to let go of it. */
	if (kmap_self.set_depth == 0)
		a_store(&s->uses, kmap_self.set == s ? 2u : 1u);
	s->forked = true;
	s->viewed = false;
	s->id = -1;
	s->hot = NULL;
	s->nhot = 0;
	s->nstash = 0;
	/* What the kernel brings may be the parent's tags. */
	if (s->shm != NULL)
		a_store(&s->tagged, 1u);
}

void
kmap_sets_forked(void)
{
	for (int i = 0; i < KMAP_FD_CHUNK * KMAP_FD_CHUNKS; i++) {
		struct kmap_fdslot *sl = kmap_fdslot(i);

		if (sl == NULL)
			i |= KMAP_FD_CHUNK - 1;
		else
			sl->items = NULL;
	}
	sets_each(set_forked);
	a_store(&pool_lock.word, 0u);
	item_free = NULL;
	kmap_bells_forked();
}

/* An inherited set is used for the first time: no lock is held. */
static void
set_view(struct kmap_set *s)
{
	kmap_lock(&kmap_fdtab_lock);
	kmap_lock(&s->lock);
	if (s->shm != NULL)
		kmap_lock(&s->shm->lock);
	for (size_t i = 0; i < s->nby_fd && !s->viewed; i++) {
		struct kmap_item *l = s->by_fd[i], *it;
		struct kmap_fdslot *sl;

		if (l == NULL)
			continue;
		s->by_fd[i] = NULL;
		/* A grandchild's come from the child, which has copies. */
		l = l->live != NULL ? l->live : l;
		sl = kmap_fdslot_make((int)i);
		it = s->shm == NULL || sl == NULL ? NULL : item_alloc();
		if (it == NULL)
			continue;
		it->set = s;
		it->fd = (int)i;
		it->live = l;
		it->ent = kmap_fd_ent((int)i);
		if (!live_valid(it)) {
			item_put(it);
			continue;
		}
		it->reg = l->reg;
		it->next_of_fd = sl->items;
		sl->items = it;
		s->by_fd[i] = it;
	}
	s->viewed = true;
	if (s->shm != NULL)
		kmap_unlock(&s->shm->lock);
	kmap_unlock(&s->lock);
	kmap_unlock(&kmap_fdtab_lock);
}

static void
set_touch(struct kmap_set *s)
{
	if (kmap_unlikely(s->forked && !s->viewed))
		set_view(s);
}

/*
 * A child has taken what is the parent's from the kernel, and rung: before it
 * sleeps where it would take the ring, too, the others get some time.
 */
static void
set_hand_over(struct kmap_set *s)
{
	static const struct timespec ms = {0, MS};

	for (int i = 0; i < 20 && a_load(&s->shm->changed) != 0; i++)
		kmap_syscall(SYS_nanosleep, &ms, NULL, 0, 0, 0, 0);
}

static bool
item_full(struct kmap_item *it, struct kmap_ent *e)
{
	(void)e;
	if (!it->reg.tagged || !(it->reg.events & EPOLLOUT))
		return true;
	hot_add(it);
	/* Whoever sleeps there has to arm it, and to keep the limit. */
	if (others_sleep(it->set))
		ring_set(it->set);
	return true;
}

void
kmap_items_full(struct kmap_ent *e)
{
	items_each(e, item_full);
}

/* ---- bells ---- */

static bool
item_rung(struct kmap_item *it, struct kmap_ent *e)
{
	struct kmap_set *s = it->set;

	(void)e;
	if (!it->reg.tagged)
		return true;
	hot_add(it);
	if (others_sleep(s) || a_load(&s->watched) != 0)
		ring_set(s);
	return true;
}

/* A connection was rung: every set that has it looks at it. */
static void
rung(void *arg, struct kmap_link *l, uint32_t slot)
{
	struct kmap_ent *e = atomic_load(&l->ents[slot]);

	(void)arg;
	if (e == NULL)
		return;
	kmap_tx_answer(e);
	items_each(e, item_rung);
}

void
kmap_bells_take(void)
{
	struct kmap_link *l;

	for (l = atomic_load(&kmap_links); l != NULL;
		l = atomic_load(&l->next)) {
		kmap_link_poll(l);
		if (kmap_unlikely(l->inherited)) {
			/* The parent takes the bits: look at all of ours. */
			for (uint32_t i = 0; i < l->nslots; i++)
				if (atomic_load(&l->ents[i]) != NULL)
					rung(NULL, l, i);
			continue;
		}
		if (kmap_wake_pending(l, KMAP_PLACE_COMMON))
			kmap_wake_take(l, KMAP_PLACE_COMMON, rung, NULL);
	}
}

/* The bells of the set's own placeholder. The set's lock is not held. */
static void
own_bells_take(struct kmap_set *s)
{
	struct kmap_link *l;

	kmap_bells_take();
	if (s->id < 0)
		return;
	for (l = atomic_load(&kmap_links); l != NULL; l = atomic_load(&l->next))
		if (!l->inherited && kmap_wake_pending(l, (unsigned int)s->id))
			kmap_wake_take(l, (unsigned int)s->id, rung, NULL);
}

static bool
bells_pending(const struct kmap_set *s)
{
	struct kmap_link *l;

	/* An inherited link's bits are the parent's to take; they may stand
	 * for ever. */
	for (l = atomic_load(&kmap_links); l != NULL; l = atomic_load(&l->next))
		if (!l->inherited &&
			(kmap_wake_pending(l, KMAP_PLACE_COMMON) ||
				(s->id >= 0 &&
					kmap_wake_pending(
						l, (unsigned int)s->id))))
			return true;
	return false;
}

/* ---- readiness ---- */

/* A send met a full ring and there is room again: an edge for EPOLLOUT. */
static void
space_edge(struct kmap_ep *ep)
{
	if (a_load(&ep->tx.nospace) && ep->link != NULL &&
		(kmap_tx_on_ring(ep) ? kmap_tx_has_room(ep)
				     : !kmap_tx_paced(ep)) &&
		a_xchg(&ep->tx.nospace, 0u) != 0)
		a_add(&ep->tx.space_edges, 1u);
}

/*
 * Whether an edge-triggered item has anything new, as the kernel's wake-up
 * would tell it: an arrival is none for whoever does not ask for EPOLLIN.
 */
static bool
item_edge(struct kmap_item *it, uint64_t tail, uint32_t nrec)
{
	struct kmap_ep *ep = it->ent->ep;

	space_edge(ep);
	if (it->reg.seen_space != a_load(&ep->tx.space_edges))
		it->reg.trigger = true;
	/* A down record is no arrival: what follows it comes by TCP. */
	if ((it->reg.events & (EPOLLIN | EPOLLRDNORM)) &&
		(tail != it->reg.seen_tail ||
			(nrec != it->reg.seen_nrec && !kmap_rx_on_ring(ep) &&
				kmap_rx_changed(it->ent))))
		it->reg.trigger = true;
	return it->reg.trigger;
}

/* By TCP, and there is no room: the carrier's own edge will tell of it. */
static void
item_wait_carrier(struct kmap_item *it)
{
	struct kmap_ep *ep = it->ent->ep;

	if (it->reg.kernel_out || !(it->reg.events & EPOLLOUT) ||
		it->reg.fired || (ep->link != NULL && kmap_tx_on_ring(ep)) ||
		kmap_tx_paced(ep))
		return;
	it->reg.kernel_out = true;
	/* It reports at once if there is room by now. */
	register_tag(it, false);
}

/* The events to report now, 0 for none. Set lock held. */
static uint32_t
item_ready(struct kmap_item *it)
{
	struct kmap_ep *ep = it->ent->ep;
	struct kmap_ring_rx *rx;
	bool look, changed;
	uint64_t tail = 0;
	uint32_t nrec = 0;
	int ev;

	if (kmap_unlikely(ep == NULL || it->reg.fired))
		return 0;
	rx = &ep->rx.ring;
	changed = kmap_rx_changed(it->ent);
	if (it->reg.events & EPOLLET) {
		if (rx->shm != NULL) {
			nrec = a_load_acq(&rx->shm->nrec);
			tail = a_load_acq(&rx->shm->tail);
		} else if (changed)
			nrec = UINT32_MAX; /* claimed just now */
		if (!item_edge(it, tail, nrec))
			return 0;
		/* An edge of the carrier's that pends is the same one: what
		 * came by TCP and by the ring meanwhile is told once. */
		if (it->set->unlooked != 0 &&
			(!kmap_rx_on_ring(ep) || nrec != it->reg.seen_nrec) &&
			bells_clear(it->set))
			it->set->unlooked = 0;
		it->reg.trigger = false;
		it->reg.seen_tail = tail;
		it->reg.seen_nrec = nrec;
		it->reg.seen_space = a_load(&ep->tx.space_edges);
	} else if (!changed && !it->reg.look && !(it->reg.events & EPOLLOUT) &&
		(kmap_rx_on_ring(ep) || ep->link == NULL))
		return 0;
	look = it->reg.look;
	ev = kmap_ready(it->ent, it->fd, (int)(it->reg.events & ~FLAGS), &look);
	it->reg.look = look;
	if (!(ev & EPOLLOUT))
		item_wait_carrier(it);
	return (uint32_t)ev & (it->reg.events | ALWAYS);
}

static void
report(struct kmap_item *it, uint32_t ev, struct epoll_event *out)
{
	out->events = ev;
	out->data.u64 = it->reg.data;
	if (it->reg.events & EPOLLONESHOT)
		it->reg.fired = true;
}

/* Looks at each hot item once, beginning where the last look ended. */
static int
hot_scan(struct kmap_set *s, struct epoll_event *out, int max)
{
	int n = 0;

	for (unsigned int left = s->nhot; left > 0 && n < max; left--) {
		struct kmap_item *it = s->hot;
		uint32_t ev = item_ready(it);

		s->hot = it->next_hot;
		if (ev != 0)
			report(it, ev, &out[n++]);
	}
	return n;
}

static bool
wants_out(const struct kmap_item *it)
{
	return (it->reg.events & EPOLLOUT) && !it->reg.fired;
}

/*
 * Arms one item. True: it may be ready. *limit: it waits for room that a
 * spill, or the end of its pacing, may have to make: sleep no longer.
 */
static bool
item_arm(struct kmap_item *it, uint64_t *limit)
{
	struct kmap_ep *ep = it->ent->ep;
	struct kmap_set *s = it->set;
	uint64_t bit = 0;

	if (ep == NULL)
		return false;
	if (ep->link != NULL)
		bit = UINT64_C(1) << kmap_link_place(ep->link, s->id, s->bell);
	if (ep->link != NULL)
		kmap_wake_arm(&ep->rx.ring.shm->data_waiters, bit);
	if (wants_out(it) && ep->link != NULL && kmap_tx_on_ring(ep)) {
		if (!(it->reg.events & EPOLLET) || a_load(&ep->tx.nospace)) {
			kmap_wake_arm(&ep->tx.ring.shm->space_waiters, bit);
			if (!kmap_tx_has_room(ep))
				*limit = kmap_umin(
					*limit, kmap_tx_spill_look(ep));
		}
	} else if (wants_out(it) && kmap_tx_paced(ep)) {
		kmap_wake_arm(&ep->tx.ring.shm->space_waiters, bit);
		*limit = kmap_umin(*limit, KMAP_PACE_NS);
	} else if (wants_out(it) && !it->reg.kernel_out &&
		(!(it->reg.events & EPOLLET) || !it->reg.out_known)) {
		/* By TCP: the carrier's own edge tells of room. (For an edge
		 * of ours item_wait_carrier has asked, once it was full.) */
		it->reg.kernel_out = true;
		register_tag(it, false);
	}
	if (kmap_tx_answer(it->ent))
		*limit = kmap_umin(*limit, KMAP_REPAY_NS);
	return item_ready(it) != 0;
}

/* An edge that was eaten by the look after arming is still to be told. */
static bool
item_arm_keep(struct kmap_item *it, uint64_t *limit)
{
	bool was = it->reg.trigger;

	if (!item_arm(it, limit)) {
		it->reg.trigger = was && it->reg.trigger;
		return false;
	}
	it->reg.trigger = true;
	return true;
}

/* On a link of the parent's: no bit will tell this process. */
static bool
inherited(const struct kmap_item *it)
{
	const struct kmap_link *l = it->ent->ep->link;

	return l != NULL && l->inherited;
}

/*
 * Every hot item is armed and cools down; those of inherited links stay hot,
 * and are looked at once more behind "asleep" (M3). True: one is ready (it
 * stays hot).
 */
static bool
set_arm(struct kmap_set *s, uint64_t *limit)
{
	struct kmap_link *l;
	bool ready = false;

	for (unsigned int left = s->nhot; left > 0; left--) {
		struct kmap_item *it = s->hot;
		uint64_t l1 = UINT64_MAX;

		s->hot = it->next_hot;
		if (item_arm_keep(it, &l1))
			ready = true;
		else if (l1 == UINT64_MAX && !inherited(it))
			hot_remove(it);
		*limit = kmap_umin(*limit, l1);
	}
	if (ready)
		return true;
	for (l = atomic_load(&kmap_links); l != NULL;
		l = atomic_load(&l->next)) {
		kmap_wake_sleep_begin(l, KMAP_PLACE_COMMON);
		if (s->id >= 0 && !l->inherited)
			kmap_wake_sleep_begin(l, (unsigned int)s->id);
	}
	if (bells_pending(s))
		return true;
	for (unsigned int left = s->nhot; left > 0; left--) {
		struct kmap_item *it = s->hot;
		uint64_t l1 = UINT64_MAX;

		s->hot = it->next_hot;
		if (inherited(it) && item_arm_keep(it, &l1))
			ready = true;
	}
	return ready;
}

/* Rings that stayed full for long go back to TCP. */
static void
set_spill(struct kmap_set *s)
{
	for (unsigned int left = s->nhot; left > 0; left--) {
		struct kmap_item *it = s->hot;
		struct kmap_ep *ep = it->ent->ep;

		s->hot = it->next_hot;
		if (ep == NULL || ep->link == NULL || !wants_out(it) ||
			!kmap_tx_on_ring(ep) || kmap_tx_has_room(ep))
			continue;
		kmap_tx_spill(it->ent);
		it->reg.look = true;
	}
}

static void
tell_others(struct kmap_set *s, uint32_t how)
{
	if (s->shm != NULL && a_load(&s->shm->changed) < how) {
		a_store(&s->shm->changed, how);
		ring_set(s);
	}
}

/*
 * What the kernel brought: tags become hot items, bells are taken, the
 * application's own events stay. Returns how many stay.
 */
static int
filter(struct kmap_set *s, struct epoll_event *evs, int n)
{
	int kept = 0;

	for (int i = 0; i < n; i++) {
		uint64_t off = evs[i].data.u64 - s->base;
		struct kmap_item *it;

		if (!is_tag(s, evs[i].data.u64)) {
			if (kmap_unlikely(s->oneshots))
				item_spend(s, evs[i].data.u64);
			evs[kept++] = evs[i];
			continue;
		}
		if (off > UINT64_C(1) << 40) {
			/* A bell; perhaps another process's. */
			if (kmap_unlikely(s->forked))
				tell_others(s, 1);
			continue;
		}
		it = item_of(s, (int)(off & 0xffffff));
		if (it == NULL || !it->reg.tagged ||
			(it->reg.gen & 0xffff) != off >> 24) {
			if (kmap_unlikely(s->forked))
				tell_others(s, 2);
			continue;
		}
		it->reg.look = true;
		it->reg.trigger = true;
		hot_add(it);
	}
	return kept;
}

/* ---- waiting ---- */

struct wait {
	struct kmap_set *set;
	struct epoll_event *evs;
	int max;
	uint64_t deadline; /* 0: none; 1: do not wait */
	const sigset_t *mask;
	struct kmap_ran ran;
};

/* One look at everything that user space knows, and now and then at the
 * kernel's fds. Set lock held. */
static int
set_look(struct wait *w, bool kernel)
{
	struct kmap_set *s = w->set;
	int n = 0;

	if (kmap_unlikely(s->nstash != 0)) {
		while (n < w->max && s->nstash != 0)
			w->evs[n++] = s->stash[--s->nstash];
		return n;
	}
	if (kernel || ++s->unlooked >= KERNEL_EACH) {
		n = kmap_sys_epoll_look(s->fd, w->evs, w->max);
		if (n < 0)
			return n;
		s->unlooked = n == w->max;
		n = filter(s, w->evs, n);
	}
	return n + hot_scan(s, w->evs + n, w->max - n);
}

/* A step of kmap_spin: the set's lock is held, but not as it yields. */
static int
set_step(void *wait)
{
	struct wait *w = wait;

	set_unlock(w->set);
	kmap_sys_yield();
	own_bells_take(w->set);
	set_lock(w->set);
	return set_look(w, false);
}

struct set_sleep {
	struct kmap_set *set;
	bool child; /* counted in the family's memory, too */
};

static void
set_sleep_end(struct set_sleep *z)
{
	kmap_note_out();
	kmap_set_left(z->set, z->child);
}

void
kmap_set_left(struct kmap_set *s, bool child)
{
	a_sub(&s->sleepers, 1u);
	if (kmap_unlikely(child))
		a_sub(&s->shm->sleepers, 1u);
}

/* Sleeps in the kernel; the lock is not held. */
static int
set_sleep(struct wait *w, uint64_t stop)
{
	bool child = w->set->forked && w->set->shm != NULL;
	struct set_sleep z
		__attribute__((cleanup(set_sleep_end))) = {w->set, child};
	uint64_t now;
	int ms = -1;

	kmap_note_in(w->set, child, -1, KMAP_IN_SET);
	if (stop != 0) {
		now = kmap_now();
		/* Rounded up: down, the last millisecond would spin. */
		ms = stop <= now
			? 0
			: (int)kmap_umin((stop - now + MS - 1) / MS, INT32_MAX);
	}
	if (kmap_unlikely(child)) {
		set_hand_over(w->set);
		a_add(&w->set->shm->sleepers, 1u);
	}
	kmap_stats_count(KMAP_STAT_sleeps);
	KMAP_TESTPOINT("sleep", -1);
	/* epoll_wait(2) is never restarted. */
	return kmap_nap_epoll(
		w->set->fd, w->evs, w->max, ms, w->mask, w->ran, true);
}

static uint64_t
last_rung(const struct kmap_set *s)
{
	struct kmap_link *l;
	uint64_t at = 0;

	for (l = atomic_load(&kmap_links); l != NULL; l = atomic_load(&l->next))
		at = kmap_umax(at, kmap_rung_at(l, s->id));
	return at;
}

/*
 * Others sleep in this set, or look at its fd from outside: what is hot must
 * not stay unarmed behind our back, and what is ready must show.
 */
static uint64_t
settle(struct kmap_set *s)
{
	uint64_t limit = UINT64_MAX;

	if (!others_sleep(s) && a_load(&s->watched) == 0)
		return limit;
	if (set_arm(s, &limit) || s->nstash != 0)
		ring_set(s);
	return limit;
}

static uint64_t nested_watch(struct kmap_set *s);
static void nested_overdue(struct kmap_set *s);

static int
set_wait(struct wait *w)
{
	struct kmap_set *s = w->set;
	uint64_t t0, stop, limit;
	bool first = true;
	int n;

	for (;;) {
		if (kmap_unlikely(s->nnested != 0))
			nested_watch(s);
		own_bells_take(s);
		set_lock(s);
		n = set_look(w, w->deadline == 1 && s->nhot == 0);
		if (n == 0 && w->deadline == 1)
			n = set_look(w, true);
		if (n != 0 || w->deadline == 1)
			break;
		t0 = kmap_now();
		if (w->deadline != 0 && t0 >= w->deadline && !first)
			break;
		first = false;
		n = others_sleep(s) ? 0
				    : kmap_spin(&s->policy, t0, set_step, w);
		if (n != 0)
			break;
		limit = UINT64_MAX;
		a_add(&s->sleepers, 1u);
		if (set_arm(s, &limit)) {
			a_sub(&s->sleepers, 1u);
			set_unlock(s);
			continue;
		}
		set_unlock(s);
		stop = w->deadline;
		if (limit != UINT64_MAX)
			stop = stop != 0 ? kmap_umin(stop, t0 + limit)
					 : t0 + limit;
		n = set_sleep(w, stop);
		if (n < 0)
			return n;
		own_bells_take(s);
		set_lock(s);
		if (n > 0)
			kmap_policy_woken(
				&s->policy, t0, last_rung(s), kmap_now());
		else
			kmap_policy_timed_out(&s->policy);
		if (n == 0 && limit != UINT64_MAX)
			set_spill(s);
		s->unlooked = n == w->max;
		n = filter(s, w->evs, n);
		n += hot_scan(s, w->evs + n, w->max - n);
		if (n != 0)
			break;
		set_unlock(s);
		if (w->deadline != 0 && kmap_now() >= w->deadline)
			return 0;
	}
	settle(s);
	set_unlock(s);
	return n;
}

/* An event that the kernel tells only once: one of an ordinary fd with
 * EPOLLET or EPOLLONESHOT. */
static bool
told_once(const struct kmap_set *s, uint64_t data)
{
	for (size_t i = 0; i < s->nby_fd; i++) {
		const struct kmap_item *it = s->by_fd[i];

		if (it != NULL && !it->reg.tagged && it->reg.data == data &&
			(it->reg.events & (EPOLLET | EPOLLONESHOT)))
			return true;
	}
	return false;
}

/*
 * Bells that were answered already make the kernel's set look ready: they are
 * taken, so that its readiness, for whoever looks from outside, is what user
 * space knows. Levels come again by themselves, edges are kept. False: there
 * may be more.
 */
static bool
bells_clear(struct kmap_set *s)
{
	struct epoll_event evs[KMAP_STASH];
	int room = (int)(KMAP_STASH - s->nstash), n, kept;

	if (room == 0)
		return false;
	n = kmap_sys_epoll_look(s->fd, evs, room);
	kept = n > 0 ? filter(s, evs, n) : 0;
	for (int i = 0; i < kept; i++)
		if (told_once(s, evs[i].data.u64))
			s->stash[s->nstash++] = evs[i];
	return n < room;
}

/* Whether an event of a registration was taken. It stays for others that have
 * the same data. */
static bool
stash_take(struct kmap_set *s, uint64_t data)
{
	unsigned int alike = 0, i;

	for (i = 0; i < s->nstash && s->stash[i].data.u64 != data; i++)
		;
	if (i == s->nstash)
		return false;
	for (size_t fd = 0; fd < s->nby_fd; fd++)
		alike += s->by_fd[fd] != NULL && s->by_fd[fd]->reg.data == data;
	if (alike <= 1)
		s->stash[i] = s->stash[--s->nstash];
	return true;
}

bool
kmap_set_concerns(struct kmap_set *s)
{
	return (a_load_acq(&s->tagged) != 0 && !is_passed(s)) ||
		s->nnested != 0;
}

void
kmap_set_overdue(struct kmap_set *s)
{
	nested_overdue(s);
	set_lock(s);
	set_spill(s);
	set_unlock(s);
}

uint64_t
kmap_set_watch(struct kmap_set *s)
{
	uint64_t limit = UINT64_MAX;

	set_touch(s);
	if (a_load(&s->watched) == 0)
		a_store(&s->watched, 1u);
	if (kmap_unlikely(s->nnested != 0))
		limit = nested_watch(s);
	/* What is taken of a passed one's is taken from others. */
	if (a_load(&s->tagged) == 0 || is_passed(s))
		return limit;
	own_bells_take(s);
	set_lock(s);
	bells_clear(s);
	limit = kmap_umin(limit, settle(s));
	set_unlock(s);
	return limit;
}

/* The i-th set inside s, if it has rings; to be dropped. */
static struct kmap_set *
nested_of(struct kmap_set *s, unsigned int i)
{
	/* Of a number that was closed meanwhile the item is gone. */
	struct kmap_set *in = item_of(s, s->nested[i]) == NULL
		? NULL
		: kmap_set_hold(s->nested[i]);

	if (in == NULL || (in != s && kmap_set_concerns(in)))
		return in;
	kmap_set_drop(in);
	return NULL;
}

static void
nested_overdue(struct kmap_set *s)
{
	struct kmap_set *in;

	for (unsigned int i = 0; i < s->nnested; i++)
		if ((in = nested_of(s, i)) != NULL) {
			kmap_set_overdue(in);
			kmap_set_drop(in);
		}
}

/* Before a wait on s: the sets inside it show what they have. */
static uint64_t
nested_watch(struct kmap_set *s)
{
	uint64_t limit = UINT64_MAX;
	struct kmap_set *in;

	for (unsigned int i = 0; i < s->nnested; i++)
		if ((in = nested_of(s, i)) != NULL) {
			limit = kmap_umin(limit, kmap_set_watch(in));
			kmap_set_drop(in);
		}
	return limit;
}

/* What came for a set inside was a bell, and there is nothing after all. */
static bool
nested_vain(struct kmap_set *s, const struct epoll_event *ev)
{
	struct kmap_set *in;

	for (unsigned int i = 0; i < s->nnested; i++) {
		const struct kmap_item *it = item_of(s, s->nested[i]);

		if (it == NULL || it->reg.data != ev->data.u64 ||
			(in = nested_of(s, i)) == NULL)
			continue;
		kmap_set_watch(in);
		kmap_set_drop(in);
		return !(kmap_sys_poll1(s->nested[i], POLLIN) & POLLIN);
	}
	return false;
}

static void
nested_note(struct kmap_set *s, int fd)
{
	for (unsigned int i = 0; i < s->nnested; i++)
		if (s->nested[i] == fd)
			return;
	if (s->nnested < KMAP_NESTED)
		s->nested[s->nnested++] = fd;
}

/*
 * ---- passed: other processes have the set (SCM_RIGHTS, a new image, or it
 * came from there), and what they know of our tags is nothing. So there are
 * none in it any more, nor placeholders: what it holds is the application's,
 * its endpoints are on TCP, and what is added consents no more.
 */

/* The set's lock is held. What we alone have of the kernel's is told again. */
static void
set_give_back(struct kmap_set *s)
{
	for (size_t i = 0; i < s->nby_fd; i++)
		if (s->by_fd[i] != NULL)
			item_untag(s->by_fd[i]);
	for (unsigned int k = 0; k < s->nstash; k++)
		for (size_t i = 0; i < s->nby_fd; i++)
			if (s->by_fd[i] != NULL && s->by_fd[i]->reg.active &&
				s->by_fd[i]->reg.data == s->stash[k].data.u64)
				item_anew(s->by_fd[i]);
	s->nstash = 0;
	for (int i = 0; i < KMAP_COMMONS; i++) {
		if (s->commons[i] >= 0)
			kmap_sys_epoll_ctl(
				s->fd, EPOLL_CTL_DEL, s->commons[i], NULL);
		s->commons[i] = -1;
	}
	if (s->bell >= 0)
		kmap_sys_epoll_ctl(s->fd, EPOLL_CTL_DEL, s->bell, NULL);
}

/* One of the set's that has its tag, or NULL: then the set was given back. */
static struct kmap_ent *
set_tagged_one(struct kmap_set *s, int *fd)
{
	struct kmap_ent *e = NULL;

	set_lock(s);
	for (size_t i = (size_t)(*fd + 1); i < s->nby_fd && e == NULL; i++) {
		const struct kmap_item *it = s->by_fd[i];

		if (it != NULL && it->reg.tagged && it->reg.active) {
			e = it->ent;
			*fd = (int)i;
		}
	}
	if (e == NULL)
		set_give_back(s);
	set_unlock(s);
	return e;
}

/* A child has what its family shares, but knows no tag that came since. */
static int
set_pass_inherited(struct kmap_set *s)
{
	int r = 0;

	if (s->shm == NULL)
		return 0;
	set_touch(s);
	set_lock(s);
	if (a_load(&s->shm->tagged) != 0 && a_load(&s->shm->passed) == 0)
		r = -EBUSY;
	else
		a_store(&s->shm->passed, 1u);
	if (r == 0 && s->bell >= 0)
		kmap_sys_epoll_ctl(s->fd, EPOLL_CTL_DEL, s->bell, NULL);
	set_unlock(s);
	return r;
}

static void
set_passed(struct kmap_set *s, bool down)
{
	struct kmap_ent *e;
	int fd = -1;

	set_lock(s);
	a_store(&s->passed, 1u);
	if (s->shm != NULL)
		a_store(&s->shm->passed, 1u);
	if (!down)
		set_give_back(s);
	set_unlock(s);
	while (down && (e = set_tagged_one(s, &fd)) != NULL)
		kmap_go_down(e, fd, KMAP_WHY_PASSED);
}

/* The library's locks are not held. */
static int
set_pass(struct kmap_set *s)
{
	int r = 0;

	/* Whoever has it sees what the sets inside it have. */
	for (unsigned int i = 0; i < s->nnested && r == 0; i++)
		if (item_of(s, s->nested[i]) != NULL)
			r = kmap_set_passed_out(s->nested[i]);
	if (r != 0 || is_passed(s))
		return r;
	if (s->forked)
		return set_pass_inherited(s);
	set_passed(s, true);
	return 0;
}

int
kmap_set_passed_out(int fd)
{
	struct kmap_set *s = kmap_vfork_child() ? NULL : kmap_set_hold(fd);
	int r;

	if (s == NULL)
		return 0;
	r = set_pass(s);
	kmap_set_drop(s);
	return r;
}

static void
set_image(struct kmap_set *s, int fd)
{
	int fl = kmap_sys_fcntl(fd, F_GETFD, 0);

	/* An inherited one is its maker's, who goes on with it. */
	if (fl >= 0 && !(fl & FD_CLOEXEC) && !s->forked && !is_passed(s))
		set_passed(s, false);
}

void
kmap_sets_image(void)
{
	kmap_lock(&kmap_fdtab_lock);
	sets_each(set_image);
	kmap_unlock(&kmap_fdtab_lock);
}

/* What cannot have a tag where it was added just now has to be on TCP. */
static void
added_beyond_us(struct kmap_set *s, int fd)
{
	struct kmap_ent *e = kmap_fd_ent(fd);
	struct kmap_item *it;
	bool untagged;

	if (e == NULL || !kmap_rx_gated(e))
		return;
	set_lock(s);
	it = item_of(s, fd);
	untagged = it != NULL && it->reg.active && !it->reg.tagged;
	set_unlock(s);
	if (untagged)
		kmap_go_down(e, fd, KMAP_WHY_NO_CONSENT);
}

static int
plain_look(const struct wait *w)
{
	return (int)kmap_ret(w->mask != NULL
			? kmap_real.epoll_pwait(
				  w->set->fd, w->evs, w->max, 0, w->mask)
			: kmap_real.epoll_wait(w->set->fd, w->evs, w->max, 0));
}

static int
plain_sleep(const struct wait *w, int ms, const struct timespec *ts)
{
	if (ts != NULL && kmap_real_has(KMAP_epoll_pwait2))
		return kmap_nap_epoll2(
			w->set->fd, w->evs, w->max, ts, w->mask, w->ran);
	return kmap_nap_epoll(
		w->set->fd, w->evs, w->max, ms, w->mask, w->ran, true);
}

static int
plain_sleep_noted(const struct wait *w, int ms, const struct timespec *ts)
{
	struct set_sleep z
		__attribute__((cleanup(set_sleep_end))) = {w->set, false};

	kmap_note_in(w->set, 0, -1, KMAP_IN_SET);
	KMAP_TESTPOINT("sleep", -1);
	return plain_sleep(w, ms, ts);
}

/* A wait on a set in which nothing is tagged; 0, and it ends early, when
 * that changes. */
static int
plain_wait(const struct wait *w, const struct timespec *ts)
{
	uint64_t now;
	int ms = -1;

	if (w->deadline == 1)
		return plain_look(w);
	if (w->deadline != 0) {
		now = kmap_now();
		ms = w->deadline <= now
			? 0
			: (int)kmap_umin(
				  (w->deadline - now + MS - 1) / MS, INT32_MAX);
	}
	/* Whoever tags an item in between has to ring. */
	a_add(&w->set->sleepers, 1u);
	a_fence();
	if (a_load(&w->set->tagged) != 0) {
		a_sub(&w->set->sleepers, 1u);
		return 0;
	}
	return plain_sleep_noted(w, ms, ts);
}

/* A wait on a set that holds other sets. */
static int
nested_wait(struct wait *w, const struct timespec *ts)
{
	struct kmap_set *s = w->set;

	for (;;) {
		uint64_t limit = nested_watch(s), now = kmap_now();
		struct wait part = *w;
		int n, kept = 0;

		if (limit != UINT64_MAX && w->deadline != 1)
			part.deadline = w->deadline == 0
				? now + limit
				: kmap_umin(w->deadline, now + limit);
		n = plain_wait(&part, part.deadline == w->deadline ? ts : NULL);
		if (n < 0)
			return n;
		for (int i = 0; i < n; i++)
			if (!nested_vain(s, &w->evs[i]))
				w->evs[kept++] = w->evs[i];
		if (kept > 0 || w->deadline == 1 ||
			(w->deadline != 0 && kmap_now() >= w->deadline))
			return kept;
		if (n == 0)
			nested_overdue(s);
	}
}

/* A wait on a set in which nothing is tagged yet; that may change while we
 * sleep, so what comes is filtered. */
static int
any_wait(struct wait *w, const struct timespec *ts)
{
	struct kmap_set *s = w->set;
	int n;

	w->ran = kmap_ran_now();
	if (a_load_acq(&s->tagged) == 0) {
		n = kmap_unlikely(s->nnested != 0) ? nested_wait(w, ts)
						   : plain_wait(w, ts);
		if (n < 0 || a_load_acq(&s->tagged) == 0)
			return n;
		set_lock(s);
		n = filter(s, w->evs, n);
		set_unlock(s);
		if (n > 0 || w->deadline == 1 ||
			(w->deadline != 0 && kmap_now() >= w->deadline))
			return n;
	}
	return set_wait(w);
}

static uint64_t
deadline_ms(int timeout)
{
	return timeout < 0     ? 0
		: timeout == 0 ? 1
			       : kmap_now() + (uint64_t)timeout * MS;
}

/* The way in which its endpoints are waited for is known from now on. */
static void
first_wait(struct kmap_set *s)
{
	size_t n = 1;

	a_store(&s->waited, 1u);
	for (size_t fd = 0; fd < n; fd++) {
		struct kmap_ent *e = NULL;

		set_lock(s);
		n = s->nby_fd;
		if (fd < n && s->by_fd[fd] != NULL)
			e = kmap_fd_ent((int)fd);
		set_unlock(s);
		if (e != NULL)
			kmap_pair_wait_seen(e, (int)fd);
	}
}

/* The set to wait on in user space, or NULL: the kernel's business. In either
 * case the caller leaves it. */
static struct kmap_set *
waited(struct set_use *u, int ep, struct epoll_event *ev, int max)
{
	struct kmap_set *s;

	if (kmap_vfork_child() || (s = set_enter(u, ep)) == NULL)
		return NULL;
	set_touch(s);
	if (kmap_unlikely(a_load(&s->waited) == 0))
		first_wait(s);
	if (max <= 0 ||
		(a_load_acq(&s->tagged) != 0 &&
			(!kmap_probe(ev) ||
				!kmap_probe((char *)(ev + max) - 1))))
		return NULL;
	return s;
}

/*
 * A set is known before its first fd: a thread may wait in it already, or an
 * outer set may hold it, when another thread adds an endpoint that has moved;
 * a sleeper that is not known would be given the tag.
 */
static int
set_born(int fd)
{
	if (fd >= 0 && !kmap_vfork_child() && kmap_conf.upgrade != KMAP_NEVER)
		set_make(fd, false);
	return fd;
}

int
kmap_epoll_create(int size)
{
	return set_born(kmap_fd_born(kmap_ret(kmap_real.epoll_create(size))));
}

KMAP_EXPORT int
epoll_create(int size)
{
	return kmap_errno(kmap_epoll_create(size));
}
KMAP_SELF(epoll_create);

int
kmap_epoll_create1(int flags)
{
	return set_born(kmap_fd_born(kmap_ret(kmap_real.epoll_create1(flags))));
}

KMAP_EXPORT int
epoll_create1(int flags)
{
	return kmap_errno(kmap_epoll_create1(flags));
}
KMAP_SELF(epoll_create1);

/* ---- epoll_ctl ---- */

/* The masks that the kernel refuses with EPOLLEXCLUSIVE. */
static bool
exclusive_bad(uint32_t ev)
{
	return (ev & EPOLLEXCLUSIVE) &&
		(ev &
			~(uint32_t)(EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP |
				EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE));
}

/* What is known of the carrier (`look`) does not hang on who asks for what:
 * of a tagged item it stands, and a changed registration costs no call. */
static void
item_set(struct kmap_item *it, const struct epoll_event *ev)
{
	it->reg.active = true;
	it->reg.fired = false;
	it->reg.events = ev->events;
	it->reg.data = ev->data.u64;
	it->reg.exclusive = (ev->events & EPOLLEXCLUSIVE) != 0;
	it->reg.trigger = true;
	if (it->reg.tagged)
		hot_add(it);
}

/* Notes a registration that the kernel has taken. fdtab and set locks held. */
static void
item_add(struct kmap_set *s, int fd, const struct epoll_event *ev)
{
	struct kmap_fdslot *sl = kmap_fdslot_make(fd);
	struct kmap_item *it =
		sl == NULL || !items_room(s, fd) ? NULL : item_alloc();
	struct kmap_ent *e = sl == NULL ? NULL : atomic_load(&sl->ent);

	if (it == NULL) {
		if (e != NULL)
			kmap_ent_bar(e, KMAP_WHY_LIMIT);
		return;
	}
	it->set = s;
	it->fd = fd;
	s->by_fd[fd] = it;
	it->next_of_fd = sl->items;
	sl->items = it;
	item_set(it, ev);
	if (e != NULL && kmap_rx_gated(e) &&
		(e->ep->link != NULL || e->preconsent))
		item_tag_as(it, e, true);
}

/* A tagged item changes in memory only; -EAGAIN: the kernel's business. */
static int
ctl_tagged(struct kmap_set *s, int op, int fd, const struct epoll_event *ev)
{
	struct kmap_item *it = item_of(s, fd);

	if (it == NULL || !it->reg.tagged)
		return -EAGAIN;
	switch (op) {
	case EPOLL_CTL_ADD:
		if (exclusive_bad(ev->events))
			return -EINVAL;
		if (it->reg.active)
			return -EEXIST;
		item_set(it, ev);
		return 0;
	case EPOLL_CTL_MOD:
		if (!it->reg.active)
			return (ev->events & EPOLLEXCLUSIVE) ? -EINVAL
							     : -ENOENT;
		if ((ev->events & EPOLLEXCLUSIVE) || it->reg.exclusive)
			return -EINVAL;
		item_set(it, ev);
		return 0;
	case EPOLL_CTL_DEL:
		if (!it->reg.active)
			return -ENOENT;
		it->reg.active = false;
		hot_remove(it);
		shown_as(it, KMAP_PUB_UNWATCHED);
		return 0;
	default:
		return -EAGAIN;
	}
}

static int
ctl_noted(struct kmap_set *s, int op, int fd, struct epoll_event *ev)
{
	struct kmap_item *it;
	int r = ctl_tagged(s, op, fd, ev);

	if (r != -EAGAIN)
		return r;
	if (op != EPOLL_CTL_DEL && base_clashes(s, ev->data.u64))
		kmap_log(KMAP_WARN, "epoll data of fd %d looks like a tag", fd);
	r = kmap_ret(kmap_real.epoll_ctl(s->fd, op, fd, ev));
	if (r != 0)
		return r;
	it = item_of(s, fd);
	if (op == EPOLL_CTL_DEL) {
		if (it != NULL)
			item_drop(it);
	} else if (it != NULL)
		item_set(it, ev);
	else
		item_add(s, fd, ev);
	return 0;
}

static int
ctl(struct set_use *u, int ep, int op, int fd, struct epoll_event *ev);

/* A set that is waited on has got the endpoint: it may consent now. */
static void
settled(struct kmap_set *s, int fd)
{
	struct kmap_ent *e = kmap_fd_ent(fd);

	if (e != NULL && a_load(&s->waited) != 0)
		kmap_consent_try(e, fd);
}

int
kmap_epoll_ctl(int ep, int op, int fd, struct epoll_event *ev)
{
	struct set_use u __attribute__((cleanup(set_leave))) = {NULL, false};
	struct kmap_set *in;
	int r;

	if (kmap_fd_hidden(ep) || kmap_fd_hidden(fd))
		return -EBADF;
	if (kmap_vfork_child())
		return kmap_ret(kmap_real.epoll_ctl(ep, op, fd, ev));
	if (set_enter(&u, ep) != NULL)
		set_touch(u.set);
	r = ctl(&u, ep, op, fd, ev);
	/* An outer set looks at this one from now on. No lock is held: what
	 * pends on its rings goes to sets by the table's. */
	if (r != 0)
		return r;
	if (op == EPOLL_CTL_ADD && u.set != NULL &&
		kmap_unlikely(u.set->forked || is_passed(u.set)))
		added_beyond_us(u.set, fd);
	if (op == EPOLL_CTL_ADD && (in = kmap_set_hold(fd)) != NULL) {
		if (u.set != NULL) {
			nested_note(u.set, fd);
			if (is_passed(u.set))
				set_pass(in);
		}
		kmap_set_watch(in);
		kmap_set_drop(in);
	}
	/* And this one may be looked at: its change has to show. */
	if (u.set != NULL && a_load(&u.set->watched) != 0)
		kmap_set_watch(u.set);
	return r;
}

/* A set that is met here for the first time is entered. */
static int
ctl(struct set_use *u, int ep, int op, int fd, struct epoll_event *ev)
{
	struct epoll_event copy = {0};
	struct kmap_set *s = u->set;
	int r;

	if (fd < 0 || ep < 0 ||
		(op != EPOLL_CTL_DEL &&
			kmap_copy(&copy, ev, sizeof(copy)) != 0))
		return kmap_ret(kmap_real.epoll_ctl(ep, op, fd, ev));
	if (s == NULL) {
		/* Is it one at all? The kernel says so first. */
		r = kmap_ret(kmap_real.epoll_ctl(ep, op, fd, ev));
		if (r != 0 || op != EPOLL_CTL_ADD)
			return r;
		/* Each that is made here is known from then on. */
		set_make(ep, true);
		if ((s = set_enter(u, ep)) == NULL)
			return r;
		kmap_lock(&kmap_fdtab_lock);
		set_lock(s);
		/* It may be closed by now. */
		if (a_load(&s->fds) != 0)
			item_add(s, fd, &copy);
		set_unlock(s);
		kmap_unlock(&kmap_fdtab_lock);
		return r;
	}
	/* The usual change: one lock, no table. */
	if (op != EPOLL_CTL_ADD || a_load(&s->tagged) != 0) {
		set_lock(s);
		r = ctl_tagged(s, op, fd, &copy);
		/* Whoever sleeps in it is told of what it waits for now. */
		if (r == 0 && op != EPOLL_CTL_DEL && others_sleep(s))
			settle(s);
		set_unlock(s);
		if (r != -EAGAIN)
			return r;
	}
	kmap_lock(&kmap_fdtab_lock);
	set_lock(s);
	r = ctl_noted(s, op, fd, op == EPOLL_CTL_DEL ? ev : &copy);
	set_unlock(s);
	kmap_unlock(&kmap_fdtab_lock);
	if (r == 0 && op == EPOLL_CTL_ADD)
		settled(s, fd);
	return r;
}

KMAP_EXPORT int
epoll_ctl(int ep, int op, int fd, struct epoll_event *ev)
{
	return kmap_errno(kmap_epoll_ctl(ep, op, fd, ev));
}
KMAP_SELF(epoll_ctl);

int
kmap_epoll_wait(int ep, struct epoll_event *ev, int max, int timeout)
{
	struct set_use u __attribute__((cleanup(set_leave))) = {NULL, false};
	struct kmap_set *s = waited(&u, ep, ev, max);

	if (s == NULL)
		return kmap_ret(kmap_real.epoll_wait(
			kmap_fd_seen(ep), ev, max, timeout));
	return any_wait(
		&(struct wait){s, ev, max, deadline_ms(timeout), NULL, {0}},
		NULL);
}

KMAP_EXPORT int
epoll_wait(int ep, struct epoll_event *ev, int max, int timeout)
{
	return kmap_errno(kmap_epoll_wait(ep, ev, max, timeout));
}
KMAP_SELF(epoll_wait);

int
kmap_epoll_pwait(int ep, struct epoll_event *ev, int max, int timeout,
	const sigset_t *mask)
{
	struct set_use u __attribute__((cleanup(set_leave))) = {NULL, false};
	struct kmap_set *s = waited(&u, ep, ev, max);

	if (s == NULL || (mask != NULL && !kmap_probe(mask)))
		return kmap_ret(kmap_real.epoll_pwait(
			kmap_fd_seen(ep), ev, max, timeout, mask));
	return any_wait(
		&(struct wait){s, ev, max, deadline_ms(timeout), mask, {0}},
		NULL);
}

KMAP_EXPORT int
epoll_pwait(int ep, struct epoll_event *ev, int max, int timeout,
	const sigset_t *mask)
{
	return kmap_errno(kmap_epoll_pwait(ep, ev, max, timeout, mask));
}
KMAP_SELF(epoll_pwait);

int
kmap_epoll_pwait2(int ep, struct epoll_event *ev, int max,
	const struct timespec *timeout, const sigset_t *mask)
{
	struct set_use u __attribute__((cleanup(set_leave))) = {NULL, false};
	struct kmap_set *s = waited(&u, ep, ev, max);
	uint64_t end = 0;

	if (s == NULL || (mask != NULL && !kmap_probe(mask)) ||
		(timeout != NULL &&
			(!kmap_probe(timeout) || timeout->tv_sec < 0 ||
				(unsigned long)timeout->tv_nsec >= 1000000000)))
		return kmap_ret(kmap_real.epoll_pwait2(
			kmap_fd_seen(ep), ev, max, timeout, mask));
	if (timeout != NULL && timeout->tv_sec < 1000000000) {
		end = (uint64_t)timeout->tv_sec * 1000000000u +
			(uint64_t)timeout->tv_nsec;
		end = end == 0 ? 1 : end + kmap_now();
	}
	return any_wait(&(struct wait){s, ev, max, end, mask, {0}}, timeout);
}

KMAP_EXPORT int
epoll_pwait2(int ep, struct epoll_event *ev, int max,
	const struct timespec *timeout, const sigset_t *mask)
{
	return kmap_errno(kmap_epoll_pwait2(ep, ev, max, timeout, mask));
}
KMAP_SELF(epoll_pwait2);
