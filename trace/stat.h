/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kmap-stat: what the processes of this machine do on Kmap. stat-proc.c
 * collects (hostile input, checked there), stat-text.c and stat-json.c show,
 * stat.c has the options and the loop.
 */
#ifndef KMAP_TRACE_STAT_H
#define KMAP_TRACE_STAT_H

#include <stdbool.h>
#include <stdio.h>

#include "ep.h"
#include "stats.h"

#define STAT_ADDR 56 /* "[" v6 "]:65535" and the end */
#define STAT_UNKNOWN UINT64_MAX

enum stat_path {
	STAT_TCP,
	STAT_RING
};

struct stat_conn {
	uint32_t index, seq; /* which record, in which of its lives */
	int fd;
	unsigned int stage, role, why; /* why: KMAP_NWHY when not known */
	unsigned int watch;
	uint32_t rx_records, tx_records;
	uint64_t n[KMAP_NSTATS]; /* total, or since the last look */
	uint64_t segment, head, tail;
	uint32_t slot, slot_gen, ring_size;
	uint64_t fill_in, fill_out; /* bytes; STAT_UNKNOWN */
	const char *state; /* of TCP, as ss(8) names it; "-" */
	char local[STAT_ADDR], peer[STAT_ADDR]; /* "*:*" when not known */
	uint16_t lport, rport;
};

struct stat_proc {
	pid_t pid;
	uid_t uid;
	uint64_t started; /* in clock ticks: tells a pid used again */
	char comm[64], exe[512]; /* printable */
	bool published;
	uint64_t n[KMAP_NSTATS];
	uint64_t why[KMAP_NWHY];
	uint64_t live; /* connections it has now */
	uint64_t unshown; /* those of them without a record here */
	unsigned int on_ring, hot, armed;
	struct stat_conn *conns;
	size_t nconns;
};

struct stat_all {
	double time; /* seconds since 1970 */
	double interval; /* of the deltas, in seconds; 0: totals */
	struct stat_proc *procs;
	size_t nprocs;
};

/* What is wanted. */
struct stat_want {
	const pid_t *pids;
	size_t npids;
	bool all; /* processes without connections, too */
	bool conns; /* text: connections, not processes */
	bool wide; /* text: every counter by its name */
	bool human;
	bool no_header;
	int port, sport, dport; /* 0: any */
	const char *sort;
};

extern const char *const stat_names[KMAP_NSTATS];

/* Reads all processes that may be read. The caller frees with stat_free.
 * False: memory is short. */
bool stat_collect(struct stat_all *a, const struct stat_want *w);
void stat_free(struct stat_all *a);

/* "ring", "ring-in", "ring-out", "paired", "offered", "plain", "barred" */
const char *stat_stage(const struct stat_conn *c);
static inline enum stat_path
stat_in(const struct stat_conn *c)
{
	return c->rx_records & 1 ? STAT_RING : STAT_TCP;
}

static inline enum stat_path
stat_out(const struct stat_conn *c)
{
	return c->tx_records & 1 ? STAT_RING : STAT_TCP;
}

/* Why it is not on rings, as KMAP_STATS names it; NULL: it is. */
const char *stat_why(const struct stat_conn *c);

/* Both write to `out` and leave errors to ferror(). */
void stat_text(FILE *out, const struct stat_all *a, const struct stat_want *w);
void stat_json(FILE *out, const struct stat_all *a, const struct stat_want *w);

#endif
