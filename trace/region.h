/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The shared mapping between libkmaptrace.so (in the traced programs) and
 * kmap-trace, which makes it, drains it and removes it.
 *
 *	struct kt_region	one page: who is there, and what is wanted
 *	names			of programs that were executed, each with its
 *				NUL; never taken back
 *	struct kt_ring[]	one for each thread that has called something
 *	the rings' bytes	KT_RING_BYTES each
 *	the arena		interned stacks, append only
 *
 * A ring has one writer (its thread; handlers nest) and one reader. Records
 * are whole multiples of 8 bytes and may wrap. `head` is the writer's own;
 * `published` (release) says how far the reader may go; `tail` (release) says
 * how far the writer may overwrite. Positions are bytes since the ring was
 * taken, and only differences are compared.
 *
 * Who owns a ring: state FREE -> USED by the recorder's compare-and-swap;
 * USED -> ENDED by its thread, or by the reader when the process is gone;
 * ENDED -> FREE by the reader, when all of it was read.
 *
 * The reader holds `alive`, a robust mutex, as long as it reads: when it dies
 * the kernel writes FUTEX_OWNER_DIED, and recorders neither wait nor write
 * any more.
 *
 * What lies here was written by the traced program, which may have run wild:
 * the reader checks every length before it follows it.
 */
#ifndef KMAP_TRACE_REGION_H
#define KMAP_TRACE_REGION_H

#include <linux/futex.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>

#include "atom.h"

/* The environment of a traced program: the path of the region's file. */
#define KT_ENV "KMAP_TRACE"

#define KT_MAGIC 0x313172747061676bULL
#define KT_VERSION 3

#define KT_RINGS 4096
#define KT_RING_BYTES (128u << 10)
#define KT_ARENA_BYTES (256u << 20)
/* What one process takes of the arena at a time, made real before use. */
#define KT_CHUNK (64u << 10)

/* Before the name of a program whose user cannot open the region. */
#define KT_BARRED '\1'

#define KT_PROGRAMS_AT 4096u
#define KT_PROGRAMS_BYTES (16u << 10)
#define KT_RINGS_AT (KT_PROGRAMS_AT + KT_PROGRAMS_BYTES)
#define KT_DATA_AT (KT_RINGS_AT + KT_RINGS * sizeof(struct kt_ring))
#define KT_ARENA_AT (KT_DATA_AT + (size_t)KT_RINGS * KT_RING_BYTES)
#define KT_REGION_BYTES (KT_ARENA_AT + KT_ARENA_BYTES)

#define KT_KEPT 256 /* rings whose memory stays when nobody uses them */
#define KT_MAX_RECORD 4096 /* bytes; no record is longer */
#define KT_MAX_FRAMES 128

#ifdef SYS_dup2
#define KT_NR_dup2 SYS_dup2
#define KT_NR_poll SYS_poll
#define KT_NR_epoll_create SYS_epoll_create
#define KT_NR_epoll_wait SYS_epoll_wait
#define KT_NR_pipe SYS_pipe
#else
#define KT_NR_dup2 SYS_dup3
#define KT_NR_poll SYS_ppoll
#define KT_NR_epoll_create SYS_epoll_create1
#define KT_NR_epoll_wait SYS_epoll_pwait
#define KT_NR_pipe SYS_pipe2
#endif

enum kt_name {
#define KT_NAME(name, base, sys) KT_##name,
#include "recorder/names.def"
	KT_NAMES
};

struct kt_region {
	uint64_t magic; /* written last by the reader, before anybody maps */
	uint32_t version;
	uint32_t names; /* KT_NAMES of the reader's build */
	uint64_t size;
	uint32_t data; /* bytes of each buffer that are wanted */
	uint32_t frames; /* frames of each stack that are wanted */
	kmap_a32 stop; /* reader: record nothing more */
	kmap_a32 error; /* recorder: errno that ended a recording, or 0 */
	kmap_a32 wake; /* futex of the reader's sleep; any change wakes */
	kmap_a32 asleep; /* the reader sleeps, or is about to */
	kmap_a32 processes; /* numbers given out, from 1 */
	kmap_a32 endpoints; /* the same */
	kmap_a32 top; /* rings below it have been used */
	uint32_t hash; /* the bytes that TCP calls move are hashed */
	kmap_a64 arena; /* bytes of the arena given out */
	kmap_a64 lost; /* calls that were seen and not recorded */
	kmap_a32 programs; /* bytes of names given out, or more than there is */
	/* Its first word is the futex that the kernel marks. */
	_Alignas(64) pthread_mutex_t alive;
};

_Static_assert(sizeof(struct kt_region) <= KT_PROGRAMS_AT, "one page");
_Static_assert(offsetof(struct kt_region, alive) == 128, "layout");

enum kt_state {
	KT_FREE,
	KT_USED,
	KT_ENDED
};

struct kt_ring {
	/* writer */
	kmap_a32 state;
	uint32_t process; /* number of the image */
	uint32_t pid, tid; /* as the writer sees them */
	uint64_t pidns; /* inode of its pid namespace, 0: unknown */
	kmap_a64 head; /* reserved up to here; only the writer reads it */
	kmap_a32 inside; /* for --verify, see below; ptrace reads it */
	_Alignas(64) kmap_a64 published;
	/* reader */
	_Alignas(64) kmap_a64 tail;
	kmap_a32 moved; /* futex: the writer waits for tail to move */
	kmap_a32 waiting; /* the writer sleeps on it */
};

_Static_assert(sizeof(struct kt_ring) == 192, "layout");

/*
 * inside: what the thread is about, so that a tracer that sees it enter a
 * system call knows whether a recorded function made it. The function's
 * enum kt_name + 1 while the real one runs, whatever it calls (functions
 * nest: a handler saves and restores it); KT_OWN while the recorder looks at
 * an fd, waits for its reader or unwinds, which the program does not ask for.
 * A vfork child writes its parent's.
 */
#define KT_OUTSIDE 0u
#define KT_OWN 0xffffffffu

enum kt_type {
	KT_PAD, /* skip it: a record that was abandoned */
	KT_CALL,
	KT_PROCESS,
	KT_MODULE,
	KT_ENDPOINT,
};

#define KT_VFORKED 1 /* flags: by a vfork child, in its parent's memory */
#define KT_CUT 0x7fff /* err: the thread was ended inside of the call */

/* The head of all records, and the whole of a call's but args and items. */
struct kt_rec {
	uint16_t len; /* of the whole record, in 8-byte units */
	uint8_t type; /* enum kt_type, written last */
	uint8_t flags;
	uint32_t process; /* number of the image */
	uint64_t t, dur;
	uint32_t tid;
	uint16_t fn; /* enum kt_name */
	int16_t sys;
	int32_t fd;
	uint32_t ep; /* number of the endpoint, or 0 */
	int64_t ret;
	int16_t err;
	uint8_t nargs, nitems;
	uint32_t stack; /* place in the arena in 8-byte units, or 0 */
	uint64_t caller;
	/* uint64_t args[nargs], then the items */
};

_Static_assert(sizeof(struct kt_rec) == 64, "layout");

/* Data follow, padded to 8 bytes. type and arg as in event.h. */
struct kt_item {
	uint8_t type, arg;
	uint16_t len;
	uint32_t pad;
};

_Static_assert(sizeof(struct kt_item) == 8, "layout");

/* Bodies of the other records, after struct kt_rec. */
struct kt_process {
	uint64_t pidns; /* as a ring has it */
	uint32_t pid, ppid;
	uint32_t parent; /* image it was forked from, or 0: an exec'd one */
	uint16_t exe_len, cmd_len; /* bytes that follow: exe, argv with NULs */
};

struct kt_module {
	uint64_t start, end, base;
	uint8_t id_len, id[20];
	uint8_t pad;
	uint16_t path_len; /* bytes that follow */
};

_Static_assert(sizeof(struct kt_module) == 48, "layout");

/* kt_rec.ep is its number. */
struct kt_endpoint {
	uint64_t cookie;
	uint8_t kind, origin, connected, pad;
	uint8_t local_len, peer_len; /* bytes of sockaddr that follow */
	uint16_t pad2;
	int32_t domain, type, protocol;
	uint32_t listener; /* a number, or 0 */
};

_Static_assert(sizeof(struct kt_endpoint) == 32, "layout");

/*
 * Items whose form is not event.h's: an address is a raw sockaddr, KT_POLL and
 * KT_EPOLL hold these. The event that a wait returned names no fd; the reader
 * knows from epoll_ctl which one the data belong to.
 */
struct kt_poll {
	int32_t fd;
	uint32_t events, revents, ep, kind;
};

struct kt_epoll {
	uint64_t data;
	int32_t fd; /* -1 in the events of a wait */
	uint32_t events, ep, kind;
};

_Static_assert(sizeof(struct kt_poll) == 20, "layout");
_Static_assert(sizeof(struct kt_epoll) == 24, "layout");

/*
 * The hash of a stream does not depend on how it was cut: bytes are the digits
 * of a number to this base, modulo 2^64, so that hash(ab) = hash(a) * base to
 * the power of b's length + hash(b). The base is odd: no single changed byte
 * goes unnoticed.
 */
#define KT_HASH_BASE 0x9e3779b97f4a7c15u

static inline uint64_t
kt_hash(uint64_t h, const void *p, size_t n)
{
	const unsigned char *b = p;

	while (n--)
		h = h * KT_HASH_BASE + *b++ + 1;
	return h;
}

/* In the arena. */
struct kt_stack {
	uint32_t n, hash;
	uint64_t addr[]; /* return addresses, the caller first */
};

static inline struct kt_ring *
kt_ring(struct kt_region *r, uint32_t i)
{
	return (struct kt_ring *)((char *)r + KT_RINGS_AT) + i;
}

static inline char *
kt_ring_data(struct kt_region *r, uint32_t i)
{
	return (char *)r + KT_DATA_AT + (size_t)i * KT_RING_BYTES;
}

static inline char *
kt_arena(struct kt_region *r)
{
	return (char *)r + KT_ARENA_AT;
}

/* Whether somebody drains: one word that only changes at an end. */
static inline int
kt_alive(struct kt_region *r)
{
	uint32_t v =
		__atomic_load_n((const uint32_t *)&r->alive, __ATOMIC_RELAXED);

	return (v & FUTEX_TID_MASK) && !(v & FUTEX_OWNER_DIED) &&
		!a_load(&r->stop);
}

#endif
