/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "lock.h"

#include "sys.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sys/mman.h>

#define CONTENDED 0x80000000u

/*
 * A thread's seat. It stands in the kernel's list of the robust futexes that
 * the thread holds (get_robust_list(2)), once and for ever: however the thread
 * ends, the kernel puts FUTEX_OWNER_DIED for the thread id in the word, and
 * all of the family see it, in whatever pid namespace. Locking and unlocking
 * know nothing of the list.
 *
 * The list is libc's, for its robust mutexes; so the seat looks like one.
 */
struct seat {
	kmap_a32 word; /* the thread's id as it sees it itself; 0 or
			* FUTEX_OWNER_DIED: nobody's */
	kmap_a32 owners; /* how many had it */
	uint32_t unused[4];
	void *prev; /* libc's: to the next of the one before */
	void *next; /* the kernel's struct robust_list */
	uint64_t unused_too[3];
};
#define TO_WORD                                                                \
	((long)offsetof(struct seat, word) - (long)offsetof(struct seat, next))
_Static_assert(sizeof(struct seat) == 64, "a power of two");
_Static_assert(offsetof(pthread_mutex_t, __data.__lock) + sizeof(struct seat) -
			offsetof(pthread_mutex_t, __data.__list.__next) ==
		offsetof(struct seat, word) + sizeof(struct seat) -
			offsetof(struct seat, next),
	"libc's mutex");
_Static_assert(offsetof(struct seat, next) - offsetof(struct seat, prev) ==
		offsetof(pthread_mutex_t, __data.__list.__next) -
			offsetof(pthread_mutex_t, __data.__list.__prev),
	"libc's list");

/* A lock's word: the seat's number, and which of its owners. */
#define SEAT_BITS 13
#define SEATS (1u << SEAT_BITS)
#define SEAT(holder) ((holder) & (SEATS - 1))
#define OWNER(holder) (((holder) & ~CONTENDED) >> SEAT_BITS)
#define HOLDER(seat, owner) (((owner) << SEAT_BITS | (seat)) & ~CONTENDED)
/* Seat 0 is not one: its thread is never found dead. */
#define UNSEATED HOLDER(0u, 1u)
#define LOOKS 8

/* MAP_SHARED, from before the first lock that a child could share. The place
 * of seat 0 has what is common. */
static union seats {
	struct seat seat[SEATS];
	struct {
		kmap_a32 used; /* seats that ever had an owner */
		kmap_a32 look; /* where the next one looks for one left */
	};
} * _Atomic seats;

int (*kmap_testpoint_hook)(const char *name, int fd);
void (*kmap_deferred_hook)(void);

static union seats *
seats_get(void)
{
	union seats *old = a_load_acq(&seats), *t;

	if (old != NULL)
		return old;
	t = kmap_sys_mmap(sizeof(*t), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1);
	if (t == NULL || a_cas(&seats, (union seats *)NULL, t))
		return t;
	kmap_sys_munmap(t, sizeof(*t));
	return a_load_acq(&seats);
}

/* The kernel's list of this thread; NULL: there is none, or not now. */
static struct robust_list_head *
robust_list(bool *never)
{
	struct robust_list_head *head = NULL;
	size_t len = 0;

	if (kmap_syscall(SYS_get_robust_list, 0, &head, &len, 0, 0, 0) != 0)
		return NULL;
	if (head != NULL) {
		*never = head->futex_offset != TO_WORD;
		/* In the middle of a change: we are in a handler. */
		return *never || head->list_op_pending != NULL ? NULL : head;
	}
	/* A vfork child is dead in a moment, its parent's thread is not. */
	if (kmap_syscall(SYS_getpid, 0, 0, 0, 0, 0, 0) != kmap_sys_getpid())
		return NULL;
	/* The child of a fork that libc did not make. */
	_Static_assert(sizeof(kmap_self.robust) == sizeof(*head), "the head");
	head = (void *)kmap_self.robust;
	head->list.next = &head->list;
	head->futex_offset = TO_WORD;
	head->list_op_pending = NULL;
	return kmap_syscall(SYS_set_robust_list, head, sizeof(*head), 0, 0, 0,
		       0) == 0
		? head
		: NULL;
}

/* Between any two of these steps the thread may be killed. */
static bool
sit_down(struct seat *s, struct robust_list_head *head, uint32_t tid)
{
	uint32_t was = a_load(&s->word);
	void **first;

	if ((was & FUTEX_TID_MASK) != 0)
		return false;
	head->list_op_pending = (void *)&s->next;
	atomic_signal_fence(memory_order_seq_cst);
	if (!a_cas(&s->word, was, tid)) {
		head->list_op_pending = NULL;
		return false;
	}
	s->next = head->list.next;
	s->prev = &head->list;
	/* The lowest bit says that a mutex inherits priority. */
	first = (void **)((uintptr_t)s->next & ~(uintptr_t)1);
	if (first != (void **)&head->list)
		first[-1] = &s->next;
	atomic_signal_fence(memory_order_seq_cst);
	head->list.next = (void *)&s->next;
	atomic_signal_fence(memory_order_seq_cst);
	head->list_op_pending = NULL;
	return true;
}

/* The number of a seat that is now this thread's; 0: there is none. */
static uint32_t
find_seat(union seats *t, struct robust_list_head *head)
{
	uint32_t tid = (uint32_t)kmap_sys_gettid();
	uint32_t used = a_load(&t->used);
	uint32_t look = a_add(&t->look, LOOKS);

	for (uint32_t i = 0; i < LOOKS && i < used; i++) {
		uint32_t n = 1 + (look + i) % used;

		if (sit_down(&t->seat[n], head, tid))
			return n;
	}
	while (used < SEATS - 1)
		if (!a_cas(&t->used, used, used + 1))
			used = a_load(&t->used);
		else if (sit_down(&t->seat[++used], head, tid))
			return used;
	for (uint32_t n = 1; n < SEATS; n++)
		if (sit_down(&t->seat[n], head, tid))
			return n;
	return 0;
}

uint32_t
kmap_holder_slow(void)
{
	struct robust_list_head *head;
	bool never = false;
	union seats *t;
	uint32_t n;

	/* A filter may kill who asks the kernel for more. */
	if (kmap_sys_is_confined())
		return UNSEATED;
	t = seats_get();
	if (t == NULL)
		return UNSEATED;
	head = robust_list(&never);
	if (never)
		kmap_self.holder = UNSEATED;
	if (head == NULL)
		return UNSEATED;
	n = find_seat(t, head);
	kmap_self.holder = n == 0
		? UNSEATED
		: HOLDER(n, a_add(&t->seat[n].owners, 1u) + 1);
	return kmap_self.holder;
}

/* A thread that no longer exists holds nothing. */
static bool
holder_is_dead(uint32_t word)
{
	union seats *t = a_load_acq(&seats);
	struct seat *s;

	if (SEAT(word) == 0 || t == NULL)
		return false;
	/* M16. Only a dead one's seat has a next owner. */
	s = &t->seat[SEAT(word)];
	return OWNER(HOLDER(0u, a_load_acq(&s->owners))) != OWNER(word) ||
		(a_load_acq(&s->word) & FUTEX_TID_MASK) == 0;
}

bool
kmap_trylock_dead(struct kmap_lock *l)
{
	uint32_t w = a_load(&l->word);

	return w != 0 && holder_is_dead(w) &&
		a_cas(&l->word, w, kmap_holder() | (w & CONTENDED));
}

void
kmap_lock_slow(struct kmap_lock *l)
{
	struct timespec limit = {0, 50 * 1000 * 1000};

	for (int i = 0; i < 100; i++) {
		if (a_load(&l->word) == 0 && a_cas(&l->word, 0u, kmap_holder()))
			return;
		a_pause();
	}
	for (;;) {
		uint32_t w = a_load(&l->word);
		long r;

		if (w == 0) {
			/* Others may sleep: keep the mark. */
			if (a_cas(&l->word, 0u, kmap_holder() | CONTENDED))
				return;
			continue;
		}
		if (!(w & CONTENDED) && !a_cas(&l->word, w, w | CONTENDED))
			continue;
		r = kmap_syscall(SYS_futex, &l->word, FUTEX_WAIT, w | CONTENDED,
			&limit, NULL, 0);
		if (r == -ETIMEDOUT && holder_is_dead(w) &&
			a_cas(&l->word, w | CONTENDED,
				kmap_holder() | CONTENDED))
			return;
	}
}

void
kmap_unlock_slow(struct kmap_lock *l)
{
	a_xchg(&l->word, 0u);
	kmap_syscall(SYS_futex, &l->word, FUTEX_WAKE, 1, NULL, NULL, 0);
}
