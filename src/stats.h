/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Counters of this process, and the line of JSON that KMAP_STATS asks for.
 * What a data path counts lies in its endpoint's entry and is added up when
 * the entry goes or the line is written.
 */
#ifndef KMAP_STATS_H
#define KMAP_STATS_H

#include "atom.h"
#include "ep.h"
#include "publish.h"

#define KMAP_STATS(X)                                                          \
	X(connections_seen)                                                    \
	X(connections_paired)                                                  \
	X(connections_upgraded)                                                \
	X(directions_up)                                                       \
	X(directions_down)                                                     \
	X(bounces)                                                             \
	X(spills)                                                              \
	X(ring_bytes_in)                                                       \
	X(ring_bytes_out)                                                      \
	X(tcp_bytes_in)                                                        \
	X(tcp_bytes_out)                                                       \
	X(ring_messages_in)                                                    \
	X(ring_messages_out)                                                   \
	X(tcp_messages_in)                                                     \
	X(tcp_messages_out)                                                    \
	X(doorbells_rung)                                                      \
	X(doorbells_saved)                                                     \
	X(sleeps)                                                              \
	X(polls)

enum kmap_stat {
#define KMAP_STAT_ENUM(n) KMAP_STAT_##n,
	KMAP_STATS(KMAP_STAT_ENUM)
#undef KMAP_STAT_ENUM
	KMAP_NSTATS
};

/* They lie where kmap-stat(1) may read them. */
#define kmap_stats kmap_published.head.stats
#define kmap_stats_why kmap_published.head.why

static inline void
kmap_stats_count(enum kmap_stat s)
{
	a_count(&kmap_stats[s], UINT64_C(1));
}

static inline void
kmap_stats_add(enum kmap_stat s, uint64_t n)
{
	a_count(&kmap_stats[s], n);
}

/* Adds what a connection's record counts to sums[KMAP_NSTATS]. */
static inline void
kmap_stats_of(const struct kmap_pub_conn *p, uint64_t *sums)
{
	sums[KMAP_STAT_ring_bytes_in] += p->ring_bytes_in;
	sums[KMAP_STAT_ring_bytes_out] += p->ring_bytes_out;
	sums[KMAP_STAT_tcp_bytes_in] += p->tcp_bytes_in;
	sums[KMAP_STAT_tcp_bytes_out] += p->tcp_bytes_out;
	sums[KMAP_STAT_ring_messages_in] += p->ring_messages_in;
	sums[KMAP_STAT_ring_messages_out] += p->ring_messages_out;
	sums[KMAP_STAT_tcp_messages_in] += p->tcp_messages_in;
	sums[KMAP_STAT_tcp_messages_out] += p->tcp_messages_out;
}

/* Opens the file while the process may still do so. */
void kmap_stats_open(const char *path);
/* Whether a file is open for the line. */
bool kmap_stats_wanted(void);
/* Appends this process's line, once. Async-signal-safe. */
void kmap_stats_write(void);
/* In the child of a fork: begins at 0. */
void kmap_stats_reset(void);

#endif
