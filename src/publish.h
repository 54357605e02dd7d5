/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What kmap-stat(1) reads of a process: its counters and a record for each
 * connection. They are counted where they lie; publishing puts a memfd under
 * that memory, once, when the process sees its first connection. Without it
 * (no descriptor, no memory) everything is counted all the same.
 *
 * The layout is a format between two programs that need not be of one build:
 * versioned, sizes asserted. The reader copies with pread(2), never maps, and
 * takes nothing for true. Nothing here is ever read back by the library to
 * decide anything but "has it earned the ring".
 */
#ifndef KMAP_PUBLISH_H
#define KMAP_PUBLISH_H

#include "atom.h"
#include "base.h"

struct kmap_ent;

/* As /proc/PID/fd names it: "/memfd:kmap-stat (deleted)". */
#define KMAP_PUB_NAME "kmap-stat"
#define KMAP_PUB_MAGIC UINT64_C(0x746174732d70616d)
#define KMAP_PUB_VERSION 1u
/* Connections with a record; the others only count in `live`. */
#define KMAP_PUB_CONNS 4096u
#define KMAP_PUB_NAMES 32u
/* The largest page: the memory is mapped over in whole pages. */
#if defined(__aarch64__)
#define KMAP_PUB_ALIGN 65536u
#else
#define KMAP_PUB_ALIGN 4096u
#endif

enum kmap_pub_watch {
	KMAP_PUB_UNWATCHED, /* in no epoll set that knows the ring */
	KMAP_PUB_ARMED, /* asked the peer for a doorbell */
	KMAP_PUB_HOT, /* looked at by each wait */
};

/*
 * One connection of this process. The counters are plain words with one
 * writer each (who holds the lock of the direction); a reader may see one
 * older than another.
 */
struct kmap_pub_conn {
	/* The receiver's line. */
	_Alignas(KMAP_CACHELINE)
		kmap_a32 seq; /* odd: in use; moves on with each life */
	uint32_t rx_records; /* passed; odd: receives by the ring */
	uint64_t ring_bytes_in;
	uint64_t ring_messages_in;
	uint64_t tcp_bytes_in;
	uint64_t tcp_messages_in;
	/* Ring bytes taken before this process counted, by a parent: plus
	 * ring_bytes_in it is the ring's head. No store of its own on the
	 * data path; short where several processes read in turn. */
	uint64_t head_base;
	kmap_a32 state; /* stage | role << 8 | why << 16 */
	int32_t fd; /* one of its numbers */
	uint64_t segment; /* its inode number; 0: not paired */
	/* The sender's line. */
	_Alignas(KMAP_CACHELINE) uint32_t
		tx_records; /* published; odd: sends by the ring */
	uint32_t slot; /* in the segment, and its generation */
	uint64_t ring_bytes_out;
	uint64_t ring_messages_out;
	uint64_t tcp_bytes_out;
	uint64_t tcp_messages_out;
	uint64_t tail_base; /* likewise; with ring_bytes_out the tail */
	uint32_t slot_gen;
	uint32_t ring_size;
	kmap_a32 watch; /* enum kmap_pub_watch */
	uint32_t spare;
};
_Static_assert(sizeof(struct kmap_pub_conn) == 128, "published");

struct kmap_pub_head {
	kmap_a64 magic; /* last of the fixed fields */
	uint32_t version;
	uint32_t head_size; /* where conn begins */
	uint32_t conn_size;
	uint32_t conn_max;
	uint32_t nstats; /* words of `stats` and `why` that are meant; */
	uint32_t nwhy; /*   new names are appended */
	int32_t pid; /* in its own pid namespace */
	kmap_a32 nconns; /* records that may be in use: the first ones */
	kmap_a32 live; /* connections, with a record or without */
	uint32_t spare;
	/* Connections whose counters move from their record to `stats`:
	 * who reads begun == ended, before and after, has missed none. */
	kmap_a32 begun;
	kmap_a32 ended;
	uint64_t spare1[9];
	kmap_a64 stats[KMAP_PUB_NAMES]; /* enum kmap_stat */
	kmap_a64 why[KMAP_PUB_NAMES]; /* enum kmap_why */
};
_Static_assert(offsetof(struct kmap_pub_head, stats) == 128, "published");
_Static_assert(sizeof(struct kmap_pub_head) == 640, "published");

struct kmap_pub {
	_Alignas(KMAP_PUB_ALIGN) struct kmap_pub_head head;
	_Alignas(KMAP_PUB_ALIGN) struct kmap_pub_conn conn[KMAP_PUB_CONNS];
};
_Static_assert(offsetof(struct kmap_pub, conn) == KMAP_PUB_ALIGN, "published");

extern struct kmap_pub kmap_published;

/* Once, before the first connection is counted; remembers a failure. */
void kmap_publish_begin_slow(void);
extern kmap_a32 kmap_publish_tried;

static inline void
kmap_publish_begin(void)
{
	if (kmap_unlikely(a_load(&kmap_publish_tried) == 0))
		kmap_publish_begin_slow();
}

/*
 * A message of n bytes went by. Two adds to memory: neighbours would become
 * one of a vector, which takes twice the instructions to put together.
 */
static inline void
kmap_publish_moved(uint64_t *bytes, uint64_t *messages, ssize_t n)
{
	*bytes += (uint64_t)n;
	a_compiler_fence();
	++*messages;
}

/* No new system calls for it from now on: a filter may kill for them. */
void kmap_publish_stop(void);
/* Records first to first + n - 1 get their memory; false: they cannot be
 * shown, the caller counts elsewhere. */
bool kmap_publish_room(unsigned int first, unsigned int n);
/*
 * In the child of a fork, alone: lets go of the parent's memory and publishes
 * its own if it holds connections. False: the counters are still the parent's
 * and must not be cleared.
 */
bool kmap_publish_forked(void);

/* A connection begins: e->ep is set. */
void kmap_publish_open(struct kmap_ent *e);
/* It ends: its counters are the process's from now on. `why`: the verdict,
 * an enum kmap_why. */
void kmap_publish_close(struct kmap_ent *e, int why);
/* Stage, role or reason changed, or the connection was paired. */
void kmap_publish_state(struct kmap_ent *e);

#endif
