/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The byte ring of one direction: one sender and one receiver at a time
 * (each side serialises its own by the endpoint's tx or rx lock).
 *
 * | call            | who             | gives                              |
 * |-----------------|-----------------|------------------------------------|
 * | kmap_ring_space | holder of tx    | bytes that fit; acquires head      |
 * | kmap_ring_put   | holder of tx    | copies in, releases tail           |
 * | kmap_ring_avail | holder of rx    | bytes to read; acquires tail       |
 * | kmap_ring_get   | holder of rx    | copies out, releases head          |
 *
 * All are wait-free. The cursors count bytes and wrap freely; only unsigned
 * differences are compared (doc/MEMORY.md).
 */
#ifndef KMAP_RING_H
#define KMAP_RING_H

#include "layout.h"

#include <sys/uio.h>

/* The sender's own view: in side state, the peer cannot touch it. */
struct kmap_ring_tx {
	struct kmap_dir_shm *shm;
	uint8_t *data;
	uint64_t size; /* a power of two */
	uint64_t tail;
	uint64_t head; /* the peer's cursor as last read */
};

struct kmap_ring_rx {
	struct kmap_dir_shm *shm;
	uint8_t *data;
	uint64_t size;
	uint64_t head;
	uint64_t tail;
};

/* An iovec list with a place in it. */
struct kmap_iter {
	const struct iovec *iov;
	size_t cnt;
	size_t off; /* into iov[0] */
	size_t left;
};

/* Linux cuts every transfer there. */
#define KMAP_MAX_RW ((size_t)0x7ffff000)

/* -EINVAL for a count or a length that Linux refuses, -EFAULT when the list
 * itself cannot be read or names what no program has. The list stays the
 * caller's. */
int kmap_iter_init(struct kmap_iter *it, const struct iovec *iov, size_t cnt);
/* Whether [p, p + n) may be a program's memory at all, as access_ok asks
 * before anything else. */
bool kmap_user_range(const void *p, size_t n);

/* Free bytes; -EPROTO when the peer's head is impossible. Re-reads the
 * peer's cursor only when less than `want` seems free. */
ssize_t kmap_ring_space(struct kmap_ring_tx *r, size_t want);
/* Copies up to n bytes and publishes them. A count, or -EFAULT and nothing
 * was taken. n is at most what kmap_ring_space said. */
ssize_t kmap_ring_put(struct kmap_ring_tx *r, struct kmap_iter *it, size_t n);
/* The next free stretch of the ring, for calls that fill it themselves. */
size_t kmap_ring_stretch(struct kmap_ring_tx *r, size_t n, void **at);
void kmap_ring_commit(struct kmap_ring_tx *r, size_t n);

/* Bytes to read; re-reads the peer's cursor when fewer than `want` are known.
 * -EPROTO when it is impossible. */
ssize_t kmap_ring_avail(struct kmap_ring_rx *r, size_t want);
/* Copies up to n bytes out; `peek` leaves them, `discard` copies nothing.
 * -EFAULT: nothing was consumed, as with a TCP segment. */
ssize_t kmap_ring_get(struct kmap_ring_rx *r, struct kmap_iter *it, size_t n,
	bool peek, bool discard);
size_t kmap_ring_readable(struct kmap_ring_rx *r, size_t n, const void **at);
void kmap_ring_consume(struct kmap_ring_rx *r, size_t n);

/*
 * memcpy between our memory and the application's: returns 0, or -EFAULT
 * where the kernel would (emu/signal.c catches the fault). Some bytes may
 * have been copied then.
 */
int kmap_copy(void *dst, const void *src, size_t n);

#endif
