/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ring between two threads: pieces of any size, in one go and scattered,
 * peeked at and thrown away, with cursors that wrap around 2^64; and what it
 * says of cursors that cannot be. Built with -fsanitize=thread it checks the
 * ordering, too: both ends go through one mapping.
 *
 * KMAP_LONG=1: a hundred times as many bytes.
 */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "gate.h"
#include "kid.h"
#include "pattern.h"
#include "ring.h"
#include "tap.h"

#define PIECES 7

struct run {
	struct kmap_dir_shm shm;
	uint8_t data[1 << 16];
	uint64_t size, bytes, start, seed;
	uint64_t bad_at; /* 0: none; else 1 + position */
	ssize_t err;
	_Atomic int quit;
};

/* calloc knows nothing of cache lines. */
static struct run *
run_new(void)
{
	struct run *r = aligned_alloc(_Alignof(struct run), sizeof(*r));

	return r == NULL ? NULL : memset(r, 0, sizeof(*r));
}

static uint64_t
rnd(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

/* The buffer in up to PIECES pieces, some of them empty. */
static size_t
scatter(struct iovec *v, unsigned char *buf, size_t n, uint64_t *s)
{
	size_t k = 1 + (size_t)rnd(s) % PIECES, at = 0;

	for (size_t i = 0; i < k; i++) {
		size_t m = i + 1 == k ? n - at : (size_t)rnd(s) % (n - at + 1);

		v[i].iov_base = buf + at;
		v[i].iov_len = m;
		at += m;
	}
	return k;
}

static void *
sender(void *arg)
{
	struct run *r = arg;
	struct kmap_ring_tx tx = {.shm = &r->shm,
		.data = r->data,
		.size = r->size,
		.tail = r->start,
		.head = r->start};
	uint64_t s = r->seed | 1, done = 0;
	unsigned char *buf = malloc(r->size);

	while (done < r->bytes && !r->quit) {
		size_t want =
			1 + (size_t)rnd(&s) % (rnd(&s) % 4 ? 300 : r->size);
		struct iovec v[PIECES];
		struct kmap_iter it;
		ssize_t room, n;

		if (want > r->bytes - done)
			want = (size_t)(r->bytes - done);
		room = kmap_ring_space(&tx, want);
		if (room < 0) {
			r->err = room;
			break;
		}
		if (room == 0) {
			sched_yield();
			continue;
		}
		n = (ssize_t)kmap_umin(want, (uint64_t)room);
		pattern_fill(buf, (size_t)n, r->seed, done);
		if (rnd(&s) % 4 == 0) {
			void *at;
			size_t m = kmap_ring_stretch(&tx, (size_t)n, &at);

			memcpy(at, buf, m);
			kmap_ring_commit(&tx, m);
			done += m;
			continue;
		}
		kmap_iter_init(&it, v, scatter(v, buf, (size_t)n, &s));
		if (kmap_ring_put(&tx, &it, (size_t)n) != n || it.left != 0) {
			r->err = -EIO;
			break;
		}
		done += (uint64_t)n;
	}
	free(buf);
	return NULL;
}

static void
receive(struct run *r)
{
	struct kmap_ring_rx rx = {.shm = &r->shm,
		.data = r->data,
		.size = r->size,
		.head = r->start,
		.tail = r->start};
	uint64_t s = r->seed * 77 + 1, done = 0;
	unsigned char *buf = malloc(r->size);

	while (done < r->bytes && r->err == 0 && r->bad_at == 0) {
		size_t want =
			1 + (size_t)rnd(&s) % (rnd(&s) % 4 ? 400 : r->size);
		ssize_t have = kmap_ring_avail(&rx, want), n;
		struct iovec v[PIECES];
		struct kmap_iter it;
		bool peek = rnd(&s) % 8 == 0, drop = rnd(&s) % 16 == 0;
		size_t good;

		if (have < 0) {
			r->err = have;
			break;
		}
		if (have == 0) {
			sched_yield();
			continue;
		}
		n = (ssize_t)kmap_umin(want, (uint64_t)have);
		memset(buf, 0xee, (size_t)n);
		kmap_iter_init(&it, v, scatter(v, buf, (size_t)n, &s));
		if (kmap_ring_get(&rx, &it, (size_t)n, peek && !drop, drop) !=
			n) {
			r->err = -EIO;
			break;
		}
		good = drop ? (size_t)n
			    : pattern_check(buf, (size_t)n, r->seed, done);
		if (good != (size_t)n)
			r->bad_at = 1 + done + good;
		if (!peek || drop)
			done += (uint64_t)n;
	}
	r->quit = 1;
	free(buf);
}

static void
stream(uint64_t size, uint64_t start, uint64_t bytes, const char *name)
{
	struct run *r = run_new();
	pthread_t t;

	r->size = size;
	r->start = start;
	r->bytes = bytes;
	r->seed = size + 1;
	atomic_store(&r->shm.head, start);
	atomic_store(&r->shm.tail, start);
	if (pthread_create(&t, NULL, sender, r) != 0)
		bail_out("pthread_create");
	receive(r);
	pthread_join(t, NULL);
	is_int((long long)r->err, 0, "%s: no error", name);
	is_int((long long)r->bad_at, 0, "%s: every byte in its place", name);
	is_int((long long)(atomic_load(&r->shm.head) - start), (long long)bytes,
		"%s: all of them", name);
	free(r);
}

/* Cursors that an honest peer cannot publish. */
static void
impossible(void)
{
	static const uint64_t wrong[] = {1, 4097, 1 << 20, UINT64_C(1) << 40,
		UINT64_MAX, UINT64_C(1) << 63};
	struct run *r = run_new();
	unsigned int tx_bad = 0, rx_bad = 0;

	for (unsigned int i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct kmap_ring_tx tx = {
			.shm = &r->shm, .data = r->data, .size = 4096};
		struct kmap_ring_rx rx = {
			.shm = &r->shm, .data = r->data, .size = 4096};

		/* The head is beyond the tail, or lags more than a ring. */
		atomic_store(&r->shm.head, wrong[i]);
		tx_bad += (-wrong[i] > 4096) !=
			(kmap_ring_space(&tx, 8192) == -EPROTO);
		atomic_store(&r->shm.tail, wrong[i]);
		rx_bad += (wrong[i] > 4096) != (kmap_ring_avail(&rx, 1) < 0);
	}
	is_int(tx_bad, 0, "an impossible head is refused");
	is_int(rx_bad, 0, "an impossible tail is refused");
	free(r);
}

static void
lists(void)
{
	struct iovec v[2] = {{NULL, 0}, {NULL, (size_t)-1}};
	struct kmap_iter it;

	is_int(kmap_iter_init(&it, v, 2), -EINVAL, "a length below 0");
	is_int(kmap_iter_init(&it, v, 1 << 20), -EINVAL, "too many pieces");
	is_int(kmap_iter_init(&it, v, 1), 0, "an empty list");
	is_int((long long)it.left, 0, "has nothing");
	/* UndefinedBehaviorSanitizer looks at the pointers, too. */
	is_int(kmap_copy(NULL, NULL, 0), 0, "no byte of no address");
}

/* ---- the gate: nobody is inside when it was found quiet ---- */

static struct kmap_gate gate;
static kmap_a32 inside, quiet, wrong_times, gate_stop;

static void *
caller(void *arg)
{
	(void)arg;
	while (!a_load_sc(&gate_stop)) {
		if (!kmap_gate_enter(&gate))
			continue;
		a_add(&inside, 1u);
		if (a_load_sc(&quiet))
			a_add(&wrong_times, 1u);
		a_sub(&inside, 1u);
		kmap_gate_leave(&gate);
	}
	return NULL;
}

static void
gates(int rounds)
{
	pthread_t t[2];
	int found = 0;

	for (int i = 0; i < 2; i++)
		if (pthread_create(&t[i], NULL, caller, NULL) != 0)
			bail_out("pthread_create");
	for (int i = 0; i < rounds; i++) {
		kmap_gate_close(&gate);
		while (!kmap_gate_consent(&gate))
			sched_yield();
		a_xchg(&quiet, 1u);
		if (a_load_sc(&inside) != 0)
			a_add(&wrong_times, 1u);
		found++;
		if (i % 16 == 0)
			sched_yield();
		a_xchg(&quiet, 0u);
		kmap_gate_open(&gate);
		if (i % 4 == 0)
			sched_yield();
	}
	a_xchg(&gate_stop, 1u);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	is_int(a_load(&wrong_times), 0, "nobody inside of %d quiet gates",
		found);
}

int
main(void)
{
	uint64_t n = (getenv("KMAP_LONG") ? UINT64_C(4096) : 40) << 20;

#ifdef __SANITIZE_THREAD__
	n /= 8;
#endif
	stream(4096, 0, n / 4, "a ring of a page");
	stream(65536, 0, n, "64 KiB");
	stream(65536, UINT64_MAX - (1 << 20), n / 4, "cursors around 2^64");
	impossible();
	lists();
	gates(getenv("KMAP_LONG") ? 2000000 : 20000);
	return done();
}
