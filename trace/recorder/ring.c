/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "rec.h"

#include <limits.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <fcntl.h>

__thread struct kt_self kt_self;

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

static pthread_key_t key;
static bool keyed;
uint64_t kt_pidns;
static kmap_a64
	backed[KT_KEPT / 64]; /* rings that this process has made usable */

static long
futex(kmap_a32 *word, int op, uint32_t val, const struct timespec *t)
{
	return kmap_syscall(SYS_futex, word, op, val, t, NULL, 0);
}

void *
kt_mmap(size_t len, int prot, int flags, int fd)
{
	long r = kmap_syscall(SYS_mmap, 0, len, prot, flags, fd, 0);

	return r < 0 && r > -4096 ? NULL : (void *)r;
}

void
kt_lost(void)
{
	struct kt_region *r = kt_region;

	if (kt_live)
		a_count(&r->lost, 1);
}

void
kt_give_up(int err)
{
	struct kt_region *r = kt_region;

	if (err)
		a_cas(&r->error, (uint32_t)0, (uint32_t)err);
	/* The mapping stays: other threads are still looking at it. */
	kt_live = false;
}

/*
 * A page that is written before it has room in the file raises SIGBUS; one
 * that was populated has room for good.
 */
int
kt_back(size_t at, size_t len)
{
	char *p = (char *)kt_region + at;
	long r = kmap_syscall(
		SYS_mprotect, p, len, PROT_READ | PROT_WRITE, 0, 0, 0);
	int fd;

	if (r)
		return r;
	r = kmap_syscall(SYS_madvise, p, len, MADV_POPULATE_WRITE, 0, 0, 0);
	/* "EFAULT ... a SIGBUS would have been generated" (madvise(2)) */
	if (r == -EFAULT)
		return -ENOSPC;
	if (r != -EINVAL)
		return r;
	/* Linux before 5.14 */
	fd = kmap_syscall(
		SYS_openat, AT_FDCWD, kt_path, O_RDWR | O_CLOEXEC, 0, 0, 0);
	if (fd < 0)
		return fd;
	r = kmap_syscall(SYS_fallocate, fd, 0, at, len, 0, 0);
	kmap_sys_close(fd);
	return r;
}

static void
look_pidns(void)
{
	struct stat st;

	kt_pidns = kmap_syscall(SYS_newfstatat, AT_FDCWD, "/proc/self/ns/pid",
			   &st, 0, 0, 0)
		? 0
		: st.st_ino;
}

void
kt_ring_init(void)
{
	keyed = pthread_key_create(&key, kt_thread_end) == 0;
	look_pidns();
}

/* The thread's last act of ours: other destructors may still call. */
void
kt_thread_end(void *arg)
{
	struct kt_self *s = &kt_self;

	if (++s->ends < PTHREAD_DESTRUCTOR_ITERATIONS) {
		pthread_setspecific(key, arg);
		return;
	}
	kt_stack_end();
	if (s->ring && kt_private && s->process == kt_private->process)
		a_store_rel(&s->ring->state, (uint32_t)KT_ENDED);
	s->ring = NULL;
	s->process = 0;
}

static KT_COLD void
wake(struct kt_region *r)
{
	if (!a_xchg(&r->asleep, 0))
		return;
	a_count(&r->wake, 1);
	futex(&r->wake, FUTEX_WAKE, 1, NULL);
}

/* The child of a fork: what the page of zeroes tells. */
static KT_COLD void
forked(void)
{
	struct kt_private *p = kt_private;
	uint32_t n = a_count(&kt_region->processes, 1) + 1;

	p->pid = kmap_syscall(SYS_getpid, 0, 0, 0, 0, 0, 0);
	p->chunk = p->left = 0;
	p->process = n;
	look_pidns();
	kt_self.vfork_parent = 0;
	kt_self.depth = kt_self.nested = 0;
	kt_stack_forked();
}

/* A ring for this thread, or KT_RINGS. */
static uint32_t
find_ring(struct kt_region *r)
{
	for (uint32_t i = 0; i < KT_RINGS; i++)
		if (a_load(&kt_ring(r, i)->state) == KT_FREE &&
			a_cas(&kt_ring(r, i)->state, (uint32_t)KT_FREE,
				(uint32_t)KT_USED))
			return i;
	return KT_RINGS;
}

/*
 * All are taken. Those of threads that have ended become free when they were
 * read; when none does in a second they are taken by threads that live, and
 * nobody waits for them again.
 */
static KT_COLD uint32_t
wait_ring(struct kt_region *r)
{
	static const struct timespec slice = {0, 10000000};
	static bool hopeless;
	uint32_t i = KT_RINGS;

	for (int n = 0; n < 100 && !hopeless && kt_alive(r); n++) {
		wake(r);
		kmap_syscall(SYS_nanosleep, &slice, NULL, 0, 0, 0, 0);
		i = find_ring(r);
		if (i < KT_RINGS)
			return i;
	}
	hopeless = true;
	return i;
}

KT_COLD bool
kt_attach(void)
{
	struct kt_self *s = &kt_self;
	struct kt_region *r = kt_region;
	uint32_t parent = 0;
	bool born = false;
	uint32_t i, top;

	if (!kt_live || kt_quiet)
		goto lost;
	if (!kt_alive(r)) {
		kt_give_up(0);
		goto lost;
	}
	if (!kt_private->process) {
		forked();
		parent = kt_last_process;
		kt_last_process = kt_private->process;
		born = true;
	}
	i = find_ring(r);
	if (i == KT_RINGS)
		i = wait_ring(r);
	if (i == KT_RINGS)
		goto lost;
	s->ring = kt_ring(r, i);
	s->index = i;
	s->data = kt_ring_data(r, i);
	s->tid = kmap_syscall(SYS_gettid, 0, 0, 0, 0, 0, 0);
	s->process = kt_private->process;
	s->ring->process = s->process;
	s->ring->pid = kt_private->pid;
	s->ring->tid = s->tid;
	s->ring->pidns = kt_pidns;
	a_store(&s->ring->inside, KT_OWN);
	/* The first ones the reader never takes back from the file. */
	if (i < KT_KEPT && (a_load(&backed[i / 64]) & 1ul << i % 64)) {
		a_store(&s->ring->inside, KT_OWN);
	} else if (kt_back(KT_DATA_AT + (size_t)i * KT_RING_BYTES,
			   KT_RING_BYTES)) {
		a_store_rel(&s->ring->state, (uint32_t)KT_ENDED);
		s->ring = NULL;
		s->process = 0;
		kt_give_up(ENOSPC);
		goto lost;
	}
	if (i < KT_KEPT)
		a_or(&backed[i / 64], 1ul << i % 64);
	while ((top = a_load(&r->top)) <= i)
		if (a_cas(&r->top, top, i + 1))
			break;
	if (keyed)
		pthread_setspecific(key, s);
	if (born)
		kt_announce(s->process, parent, 0);
	a_store(&s->ring->inside, KT_OUTSIDE);
	return true;
lost:
	return false;
}

/*
 * The number in the records: the image's, but a vfork child, which lives in
 * its parent's memory, gets one of its own.
 */
uint32_t
kt_process_now(void)
{
	struct kt_self *s = &kt_self;

	if (kmap_likely(!s->vfork_parent) || !kt_vfork_child())
		return s->process;
	if (!s->vfork_process) {
		s->vfork_process = a_count(&kt_region->processes, 1) + 1;
		kt_announce(s->vfork_process, s->process, KT_VFORKED);
	}
	return s->vfork_process;
}

/* Until the reader has moved on. False: it never will. */
static KT_COLD bool
wait(struct kt_ring *ring, uint64_t tail)
{
	static const struct timespec slice = {0, 20000000};
	struct kt_region *r = kt_region;
	uint32_t v;

	if (!kt_alive(r)) {
		kt_give_up(0);
		return false;
	}
	/* A handler whose thread has filled the ring with what it may not
	 * publish yet. */
	if (kt_self.depth && a_load(&ring->published) == tail)
		return false;
	if (kt_quiet)
		return false;
	v = a_load_acq(&ring->moved);
	a_xchg(&ring->waiting, 1);
	if (a_load_acq(&ring->tail) != tail)
		return true;
	wake(r);
	futex(&ring->moved, FUTEX_WAIT, v, &slice);
	return true;
}

/* len bytes, a multiple of 8, that do not wrap. */
struct kt_rec *
kt_reserve(size_t len)
{
	struct kt_self *s = &kt_self;
	uint64_t head, off, pad, tail;
	struct kt_rec *rec;

	if (!kt_ready()) {
		kt_lost();
		return NULL;
	}
	for (;;) {
		head = a_load(&s->ring->head);
		off = head & (KT_RING_BYTES - 1);
		pad = off + len > KT_RING_BYTES ? KT_RING_BYTES - off : 0;
		tail = a_load_acq(&s->ring->tail);
		if (kmap_unlikely(head + pad + len - tail > KT_RING_BYTES)) {
			if (!wait(s->ring, tail)) {
				kt_lost();
				return NULL;
			}
			continue;
		}
		/* A handler may have come between. */
		if (a_cas(&s->ring->head, head, head + pad + len))
			break;
	}
	s->depth++;
	__asm__ __volatile__("" ::: "memory");
	if (pad) {
		rec = (struct kt_rec *)(s->data + off);
		rec->len = pad / 8;
		rec->type = KT_PAD;
		off = 0;
	}
	rec = (struct kt_rec *)(s->data + off);
	rec->len = len / 8;
	rec->type = KT_PAD;
	rec->flags = 0;
	return rec;
}

/*
 * Only the outermost record publishes: a handler's lies behind one that is
 * not finished. One that never is (the handler jumped out) must not hold up
 * all that follow.
 */
void
kt_commit(struct kt_rec *rec, enum kt_type type)
{
	struct kt_self *s = &kt_self;
	struct kt_region *r = kt_region;
	uint64_t head;

	__asm__ __volatile__("" ::: "memory");
	rec->type = type;
	if (kmap_unlikely(s->depth > 1 && ++s->nested < 64)) {
		s->depth--;
		return;
	}
	do {
		s->depth = s->nested = 0;
		head = a_load(&s->ring->head);
		a_store_rel(&s->ring->published, head);
	} while (kmap_unlikely(head != a_load(&s->ring->head)));
	if (kmap_unlikely(a_load(&r->stop)))
		kt_give_up(0);
	if (kmap_unlikely(a_load(&r->asleep)) &&
		head - a_load(&s->ring->tail) > KT_RING_BYTES / 4 && !kt_quiet)
		wake(r);
}
