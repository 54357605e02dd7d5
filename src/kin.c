/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "kin.h"

#include "sys.h"
#include "testpoint.h"

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

/* A place's owner: its pid, as who wrote it sees it (0: not told yet), and
 * how many had the place before. */
#define WHO(before, pid) ((uint64_t)(before) << 32 | (uint32_t)(pid))
#define BEFORE(who) ((uint32_t)((who) >> 32))
#define UNBORN (-1) /* the fork failed: as dead as can be */

struct kin {
	kmap_a32 used;
	kmap_a64 who;
	kmap_a64 ns; /* inode of the pid namespace of who wrote it */
	kmap_a64 ino; /* of its pidfd; 0: cannot be told */
};

/*
 * That a process is dead is told by its place, and a place may be another's a
 * moment later. So whoever takes a dead one's holds away, or its place, has
 * the judge's word meanwhile. It names its owner's place in the low byte, and
 * changes with each owner: one that died is told apart, by its place, in any
 * pid namespace, and the word taken from it by one exchange.
 */
#define JUDGE(word, place) ((((word) >> 8) + 1) << 8 | (uint64_t)((place) + 1))
#define JUDGE_PLACE(word) ((int)((word)&0xff) - 1)
#define JUDGE_TRIES 64

struct family {
	kmap_a64 judge; /* M15 */
	struct kin place[PLACES];
};

static struct family *family; /* MAP_SHARED */
static struct kmap_lock table_lock; /* of this process's threads */
static bool leaving; /* for a new image: no thread is to judge */
static int self = -1; /* our place */
static bool counted; /* we have none: one of the others */
/* The place of the child that this thread makes, until its pid is told. */
static __thread int child = -1;
static __thread uint32_t child_before;
static int parent = -1;
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
	const struct kin *k = &family->place[place];
	uint32_t pid = (uint32_t)a_load_acq(&k->who);
	uint64_t ino, was = a_load(&k->ino);
	bool dead;
	int fd;

	if (pid == (uint32_t)UNBORN)
		return true;
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

/*
 * False: others have the word for long. They are stopped, or there is nobody to
 * tell their end; whoever is dead stays undecided. So it is also for a process
 * without a place, whose own end nobody could tell.
 */
static bool
judge_begin(void)
{
	kmap_lock(&table_lock);
	for (int i = 0; i < JUDGE_TRIES && self >= 0 && !leaving; i++) {
		uint64_t word = a_load_acq(&family->judge);
		int by = JUDGE_PLACE(word);

		/* By this place: a thread that ended unseen. */
		if ((by < 0 || by == self || is_dead(by)) &&
			a_cas(&family->judge, word, JUDGE(word, self)))
			return true;
		kmap_sys_yield();
	}
	kmap_unlock(&table_lock);
	return false;
}

static void
judge_end(void)
{
	uint64_t word = a_load(&family->judge);

	a_store_rel(&family->judge, word & ~UINT64_C(0xff));
	kmap_unlock(&table_lock);
}

static uint64_t
dead_among(uint64_t held)
{
	uint64_t dead = 0;

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

/* Takes the holds of the dead away. True: they were the last ones. */
static bool
take_dead(struct kmap_ep *ep)
{
	uint64_t dead;
	bool last;

	if (family == NULL || (dead = dead_among(a_load(&ep->held))) == 0)
		return false;
	KMAP_TESTPOINT("kin-judged", -1);
	if (!judge_begin())
		return false;
	/* Their places may be others' by now. */
	dead = dead_among(dead);
	KMAP_TESTPOINT("kin-locked", -1);
	last = take(ep, dead);
	judge_end();
	return last;
}

static bool
take_one(struct kmap_ep *ep, uint64_t hold)
{
	return hold == OTHER ? a_sub(&ep->held, OTHER) == OTHER
			     : take(ep, hold);
}

/* The next owner's; it is told to the others by tell(). */
static uint32_t
claim(int place)
{
	struct kin *k = &family->place[place];
	uint32_t before = BEFORE(a_load(&k->who)) + 1;

	a_store(&k->who, WHO(before, 0));
	a_store(&k->ino, UINT64_C(0));
	a_store(&k->ns, pid_ns());
	return before;
}

/* M14. Nothing if it was told already, or the place is another's by now. */
static void
tell(int place, uint32_t before, int pid)
{
	a_cas(&family->place[place].who, WHO(before, 0), WHO(before, pid));
}

/* The family's first: before its first endpoint. */
static void
found(void)
{
	kmap_lock(&table_lock);
	if (self < 0 && !counted) {
		struct family *f = kmap_sys_mmap(KMAP_PAGE,
			PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1);

		_Static_assert(sizeof(*f) <= KMAP_PAGE, "a page");
		counted = f == NULL;
		if (f != NULL) {
			uint32_t before;

			family = f;
			before = claim(0);
			a_store(&f->place[0].used, 1u);
			a_store(&f->place[0].ino, own_ino());
			tell(0, before, kmap_sys_getpid());
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
	return take_dead(ep);
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

bool
kmap_kin_again(struct kmap_ep *ep, uint32_t gen)
{
	uint64_t own = hold_of(self), was;

	do {
		was = a_load_acq(&ep->held);
		/* With no hold left it is being finished; with ours it has
		 * begun anew. */
		if (was == 0 || a_load_acq(&ep->gen) != gen ||
			(own != OTHER && (was & own) != 0))
			return false;
	} while (!a_cas(&ep->held, was, was + own));
	if (a_load_sc(&ep->gen) == gen)
		return true;
	/* Its next life has the holders that the last one had. */
	take_one(ep, own);
	return false;
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
	take_dead(ep);
	return a_load(&ep->held) == own;
}

bool
kmap_kin_orphan(struct kmap_ep *ep)
{
	return take_dead(ep);
}

bool
kmap_kin_full(void)
{
	for (int i = 0; family != NULL && i < PLACES; i++)
		if (!a_load(&family->place[i].used))
			return false;
	return family != NULL;
}

/*
 * What the dead one held was found by the sweep before; what another process
 * made looks as if the new one held it: a slot unused.
 */
static int
dead_place(void)
{
	int place = -1;

	for (int i = 0; i < PLACES && place < 0; i++)
		if (i != self && is_dead(i))
			place = i;
	if (place < 0 || !judge_begin())
		return -1;
	if (is_dead(place))
		child_before = claim(place);
	else
		place = -1;
	judge_end();
	return place;
}

void
kmap_kin_child(void)
{
	child = -1;
	if (self < 0 && !counted)
		found();
	if (family == NULL)
		return;
	for (int i = 0; i < PLACES && child < 0; i++)
		if (a_cas(&family->place[i].used, 0u, 1u))
			child = i;
	if (child >= 0)
		child_before = claim(child);
	else
		child = dead_place();
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
kmap_kin_forked(int pid)
{
	if (child >= 0)
		tell(child, child_before, pid > 0 ? pid : UNBORN);
	child = -1;
}

void
kmap_kin_born(void)
{
	a_store(&table_lock.word, 0u);
	parent = self;
	parent_counted = counted;
	self = child;
	counted = self < 0;
	child = -1;
	leaving = false;
	if (self < 0)
		return;
	a_store(&family->place[self].ino, own_ino());
	/* The parent may have ended inside libc, or been killed; it counts in
	 * its own pid namespace. */
	if (a_load(&family->place[self].ns) == pid_ns())
		tell(self, child_before, kmap_sys_getpid());
}

void
kmap_kin_image(bool begins)
{
	kmap_lock(&table_lock);
	leaving = begins;
	kmap_unlock(&table_lock);
}

void
kmap_kin_parent_less(struct kmap_ep *ep)
{
	if (parent >= 0 || parent_counted)
		take_one(ep, hold_of(parent));
}
