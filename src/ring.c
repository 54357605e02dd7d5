/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "ring.h"

#include "testpoint.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

/* What the sanitizers call a fault of ours is one of the application's: the
 * copy meets it, as the kernel's would. */
__attribute__((no_sanitize("address", "undefined"))) static inline void
move(void *dst, const void *src, size_t n)
{
#ifdef __SANITIZE_ADDRESS__
	const volatile char *from = src;
	volatile char *to = dst;

	while (n-- > 0)
		*to++ = *from++;
#else
	memcpy(dst, src, n);
#endif
}

/*
 * __builtin_setjmp saves three words and costs two nanoseconds; the handler
 * of SIGSEGV and SIGBUS jumps back when this thread is inside a copy.
 */
__attribute__((noinline)) int
kmap_copy(void *dst, const void *src, size_t n)
{
	void *here[5];

	/* No byte of no address: fine for the kernel, not for memcpy. */
	if (kmap_unlikely(n == 0))
		return 0;
	if (__builtin_setjmp(here)) {
		kmap_self.fault = NULL;
		return -EFAULT;
	}
	kmap_self.fault = here;
	__asm__ __volatile__("" ::: "memory");
	move(dst, src, n);
	__asm__ __volatile__("" ::: "memory");
	kmap_self.fault = NULL;
	return 0;
}

/* No program's memory reaches beyond it: 56 bits of address on x86-64, 52
 * below a tag on arm64. */
#ifdef __aarch64__
#define USER_BITS 55
#define USER_ADDR(p) ((uint64_t)(uintptr_t)(p) << 8 >> 8)
#else
#define USER_BITS 56
#define USER_ADDR(p) ((uint64_t)(uintptr_t)(p))
#endif

bool
kmap_user_range(const void *p, size_t n)
{
	const uint64_t end = UINT64_C(1) << USER_BITS;

	return n <= end && USER_ADDR(p) <= end - n;
}

int
kmap_iter_init(struct kmap_iter *it, const struct iovec *iov, size_t cnt)
{
	size_t total = 0;
	bool good = true;

	it->iov = iov;
	it->cnt = cnt;
	it->off = 0;
	it->left = 0;
	if (cnt > IOV_MAX)
		return -EINVAL;
	for (size_t i = 0; i < cnt; i++) {
		struct iovec v;

		if (kmap_copy(&v, &iov[i], sizeof(v)) != 0)
			return -EFAULT;
		if (v.iov_len > SSIZE_MAX)
			return -EINVAL;
		good = good && kmap_user_range(v.iov_base, v.iov_len);
		total += kmap_umin(v.iov_len, KMAP_MAX_RW - total);
	}
	it->left = total;
	return good ? 0 : -EFAULT;
}

/* The current piece of the list, at most n bytes; skips empty pieces. */
static size_t
iter_piece(struct kmap_iter *it, size_t n, void **at)
{
	while (it->cnt > 0 && it->off >= it->iov->iov_len) {
		it->iov++;
		it->cnt--;
		it->off = 0;
	}
	if (it->cnt == 0)
		return 0;
	*at = (char *)it->iov->iov_base + it->off;
	return kmap_umin(n, it->iov->iov_len - it->off);
}

static void
iter_advance(struct kmap_iter *it, size_t n)
{
	it->off += n;
	it->left -= n;
}

ssize_t
kmap_ring_space(struct kmap_ring_tx *r, size_t want)
{
	uint64_t used = r->tail - r->head;

	if (r->size - used < want) {
		/* M2: acquire, before the bytes are overwritten. */
		uint64_t head = a_load_acq(&r->shm->head);

		used = r->tail - head;
		if (kmap_unlikely(used > r->size))
			return -EPROTO;
		r->head = head;
	}
	return (ssize_t)(r->size - used);
}

ssize_t
kmap_ring_put(struct kmap_ring_tx *r, struct kmap_iter *it, size_t n)
{
	const struct kmap_iter was = *it;
	size_t done = 0;

	while (done < n) {
		void *at, *to;
		size_t m = iter_piece(it, n - done, &at);

		if (m == 0)
			break;
		m = kmap_umin(m, r->size - ((r->tail + done) & (r->size - 1)));
		to = r->data + ((r->tail + done) & (r->size - 1));
		if (kmap_copy(to, at, m) != 0) {
			*it = was;
			return -EFAULT;
		}
		iter_advance(it, m);
		done += m;
	}
	KMAP_TESTPOINT("ring-copied", -1);
	kmap_ring_commit(r, done);
	return (ssize_t)done;
}

size_t
kmap_ring_stretch(struct kmap_ring_tx *r, size_t n, void **at)
{
	uint64_t pos = r->tail & (r->size - 1);

	*at = r->data + pos;
	return kmap_umin(n, r->size - pos);
}

void
kmap_ring_commit(struct kmap_ring_tx *r, size_t n)
{
	r->tail += n;
	/* M1: release, after the bytes. */
	a_store_rel(&r->shm->tail, r->tail);
}

ssize_t
kmap_ring_avail(struct kmap_ring_rx *r, size_t want)
{
	uint64_t n = r->tail - r->head;

	if (n < want) {
		/* M1: acquire, before the bytes are read. */
		uint64_t tail = a_load_acq(&r->shm->tail);

		n = tail - r->head;
		if (kmap_unlikely(n > r->size))
			return -EPROTO;
		r->tail = tail;
	}
	return (ssize_t)n;
}

ssize_t
kmap_ring_get(struct kmap_ring_rx *r, struct kmap_iter *it, size_t n, bool peek,
	bool discard)
{
	const struct kmap_iter was = *it;
	size_t done = 0;

	if (discard) {
		it->left -= n;
		if (!peek)
			kmap_ring_consume(r, n);
		return (ssize_t)n;
	}
	while (done < n) {
		void *at;
		const void *from;
		size_t m = iter_piece(it, n - done, &at);

		if (m == 0)
			break;
		m = kmap_umin(m, r->size - ((r->head + done) & (r->size - 1)));
		from = r->data + ((r->head + done) & (r->size - 1));
		if (kmap_copy(at, from, m) != 0) {
			*it = was;
			return -EFAULT;
		}
		iter_advance(it, m);
		done += m;
	}
	if (!peek)
		kmap_ring_consume(r, done);
	return (ssize_t)done;
}

size_t
kmap_ring_readable(struct kmap_ring_rx *r, size_t n, const void **at)
{
	uint64_t pos = r->head & (r->size - 1);

	*at = r->data + pos;
	return kmap_umin(n, r->size - pos);
}

void
kmap_ring_consume(struct kmap_ring_rx *r, size_t n)
{
	r->head += n;
	/* M2: release, after the bytes were read. */
	a_store_rel(&r->shm->head, r->head);
}
