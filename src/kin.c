/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "kin.h"

#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/vfs.h>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#define PIDFS 0x50494446 /* statfs(2)'s f_type */

/* A word of holders: a bit for each place, and a count of the others. */
#define PLACES 48
#define OTHER (UINT64_C(1) << PLACES)
#define LOOK_NS UINT64_C(100000000)

struct kin {
	kmap_a32 used;
	kmap_a32 pid; /* as who wrote it sees it; 0: not told yet */
	kmap_a64 ns; /* inode of that one's pid namespace */
	kmap_a64 ino; /* of its pidfd; 0: cannot be told */
};

static struct kin *table; /* MAP_SHARED */
static struct kmap_lock table_lock;
static int self = -1; /* our place */
static bool counted; /* we have none: one of the others */
static int child = -1, parent = -1;
static bool parent_counted;
static kmap_a64 looked_at;

static uint64_t
hold_of(int place)
{
	return place >= 0 ? UINT64_C(1) << place : OTHER;
}

static uint64_t
pid_ns(void)
{
	struct stat st;

	return kmap_syscall(SYS_newfstatat, AT_FDCWD, "/proc/self/ns/pid", &st,
		       0, 0, 0) == 0
		? st.st_ino
		: 0;
}

/* A process's pidfd, and what names it for ever (0: the kernel is old). */
static int
pidfd(int pid, uint64_t *ino)
{
	struct statfs sf;
	struct stat st;
	int fd = (int)kmap_syscall(SYS_pidfd_open, pid, 0, 0, 0, 0, 0);

	*ino = 0;
	if (fd >= 0 && kmap_syscall(SYS_fstatfs, fd, &sf, 0, 0, 0, 0) == 0 &&
		sf.f_type == PIDFS &&
		kmap_syscall(SYS_fstat, fd, &st, 0, 0, 0, 0) == 0)
		*ino = st.st_ino;
	return fd;
}

static uint64_t
own_ino(void)
{
	uint64_t ino;
	int fd = pidfd(kmap_sys_getpid(), &ino);

	if (fd >= 0)
		kmap_sys_close(fd);
	return ino;
}

/* True only if it is certain: a doubt costs a slot, an error would cost the
 * bytes of a connection that lives. */
static bool
is_dead(int place)
{
	const struct kin *k = &table[place];
	uint32_t pid = a_load_acq(&k->pid);
	uint64_t ino, was = a_load(&k->ino);
	bool dead;
	int fd;

	if (pid == 0 || a_load(&k->ns) == 0 || a_load(&k->ns) != pid_ns())
		return false;
	fd = pidfd((int)pid, &ino);
	if (fd < 0)
		return fd == -ESRCH;
	/* Its number may be another's by now; a zombie is dead. */
	dead = (was != 0 && ino != 0 && ino != was) ||
		kmap_sys_poll1(fd, POLLIN) == POLLIN;
	kmap_sys_close(fd);
	return dead;
}

static uint64_t
dead_among(uint64_t held)
{
	uint64_t dead = 0;

	if (table == NULL)
		return 0;
	for (held &= OTHER - 1; held != 0; held &= held - 1) {
		int place = __builtin_ctzll(held);

		if (place != self && is_dead(place))
			dead |= UINT64_C(1) << place;
	}
	return dead;
}

/* Takes holds away. True: they were the last ones. */
static bool
take(struct kmap_ep *ep, uint64_t bits)
{
	uint64_t was = bits == 0 ? 0 : a_and(&ep->held, ~bits);

	return (was & bits) != 0 && (was & ~bits) == 0;
}

static bool
take_one(struct kmap_ep *ep, uint64_t hold)
{
	return hold == OTHER ? a_sub(&ep->held, OTHER) == OTHER
			     : take(ep, hold);
}

static void
claim(int place)
{
	a_store(&table[place].pid, 0u);
	a_store(&table[place].ino, UINT64_C(0));
	a_store(&table[place].ns, pid_ns());
}

/* The family's first: before its first endpoint. */
static void
found(void)
{
	kmap_lock(&table_lock);
	if (self < 0 && !counted) {
		struct kin *t = kmap_sys_mmap(KMAP_PAGE, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1);

		_Static_assert(PLACES * sizeof(*t) <= KMAP_PAGE, "a page");
		counted = t == NULL;
		if (t != NULL) {
			table = t;
			claim(0);
			a_store(&t[0].used, 1u);
			a_store(&t[0].ino, own_ino());
			a_store_rel(&t[0].pid, (uint32_t)kmap_sys_getpid());
			self = 0;
		}
	}
	kmap_unlock(&table_lock);
}

void
kmap_kin_hold(struct kmap_ep *ep)
{
	if (kmap_unlikely(self < 0 && !counted))
		found();
	a_store(&ep->held, hold_of(self));
}

bool
kmap_kin_drop(struct kmap_ep *ep)
{
	if (take_one(ep, hold_of(self)))
		return true;
	return take(ep, dead_among(a_load(&ep->held)));
}

bool
kmap_kin_leave(struct kmap_ep *ep)
{
	uint64_t own = hold_of(self), was = a_load(&ep->held);

	while (was != own) {
		uint64_t left = own == OTHER ? was - own : was & ~own;

		if (a_cas(&ep->held, was, left))
			return true;
		was = a_load(&ep->held);
	}
	return false;
}

void
kmap_kin_again(struct kmap_ep *ep)
{
	if (self < 0)
		a_add(&ep->held, OTHER);
	else
		a_or(&ep->held, hold_of(self));
}

bool
kmap_kin_alone(struct kmap_ep *ep)
{
	uint64_t own = hold_of(self), now;

	if (kmap_likely(a_load(&ep->held) == own))
		return true;
	now = kmap_now();
	if (now - a_load(&looked_at) < LOOK_NS)
		return false;
	a_store(&looked_at, now);
	take(ep, dead_among(a_load(&ep->held)));
	return a_load(&ep->held) == own;
}

bool
kmap_kin_orphan(struct kmap_ep *ep)
{
	return take(ep, dead_among(a_load(&ep->held)));
}

bool
kmap_kin_full(void)
{
	for (int i = 0; table != NULL && i < PLACES; i++)
		if (!a_load(&table[i].used))
			return false;
	return table != NULL;
}

void
kmap_kin_child(void)
{
	child = -1;
	if (self < 0 && !counted)
		found();
	for (int i = 0; table != NULL && i < PLACES && child < 0; i++)
		if (a_cas(&table[i].used, 0u, 1u))
			child = i;
	/* What the dead one held was found by the sweep before; what another
	 * process made looks as if the new one held it: a slot unused. */
	for (int i = 0; table != NULL && i < PLACES && child < 0; i++)
		if (i != self && is_dead(i)) {
			uint32_t pid = a_load(&table[i].pid);

			if (a_cas(&table[i].pid, pid, 0u))
				child = i;
		}
	if (child >= 0)
		claim(child);
}

void
kmap_kin_child_more(struct kmap_ep *ep)
{
	if (child < 0)
		a_add(&ep->held, OTHER);
	else
		a_or(&ep->held, hold_of(child));
}

void
kmap_kin_child_less(struct kmap_ep *ep)
{
	take_one(ep, hold_of(child));
}

void
kmap_kin_forked(int pid)
{
	if (child >= 0 && pid > 0)
		a_store_rel(&table[child].pid, (uint32_t)pid);
	else if (child >= 0)
		a_store(&table[child].used, 0u);
}

void
kmap_kin_born(bool alone)
{
	a_store(&table_lock.word, 0u);
	parent = self;
	parent_counted = counted;
	self = child;
	counted = self < 0;
	child = -1;
	if (self < 0)
		return;
	a_store(&table[self].ino, own_ino());
	if (alone && a_load(&table[self].ns) == pid_ns())
		a_store_rel(&table[self].pid, (uint32_t)kmap_sys_getpid());
}

void
kmap_kin_parent_less(struct kmap_ep *ep)
{
	if (parent >= 0 || parent_counted)
		take_one(ep, hold_of(parent));
}
