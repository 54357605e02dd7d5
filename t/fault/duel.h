/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the driver of t4010-kills shares with the two ends of a connection, a
 * survivor and a victim that dies: the job, and how far each end came. It
 * lies in a memfd that outlives the victim, at descriptor DUEL_FD.
 */
#ifndef KMAP_T_DUEL_H
#define KMAP_T_DUEL_H

#include <stdatomic.h>
#include <stdint.h>

#define DUEL_FD 190

/* Which way the bytes go, as the survivor sees it. */
enum {
	DUEL_IN,
	DUEL_OUT,
	DUEL_BOTH,
	DUEL_DIRS
};
/* How the survivor waits. */
enum {
	WAY_BLOCK,
	WAY_POLL,
	WAY_EPOLL,
	WAY_EDGE,
	WAYS
};
/* What kills the victim: its own next step at a position, another thread of
 * it while the first goes on, a test point of the library. */
enum {
	KILL_EXACT,
	KILL_ASYNC,
	KILL_POINT,
	KILL_KINDS
};
/* What the victim does at a position of its stream, besides: it asks for its
 * bytes by TCP, forks, closes when a child of it was killed, runs another
 * image. */
enum {
	ACT_NONE,
	ACT_LEAVE,
	ACT_FORK,
	ACT_BURY,
	ACT_EXEC
};

struct duel {
	/* ---- the job: written by the driver ---- */
	uint64_t seed;
	uint64_t kill_at; /* position in the victim's stream */
	int dir, way, kill;
	char point[24];
	int nth;
	int victim_listens;
	int drained; /* it dies with nothing unread */
	int slow; /* the other end of the stream dawdles: spills */
	int act; /* of the victim, at kill_at */
	uint64_t survivor_leaves; /* at this position, 0: never */
	_Atomic int load; /* other connections are busy */
	_Atomic int quit;
	/* ---- the survivor ---- */
	_Atomic int port;
	_Atomic uint64_t in, out;
	int in_end, in_end2, out_end; /* errno, 0: end of stream */
	int bad; /* a byte that was not sent */
	uint64_t bad_at;
	/* ---- the victim ---- */
	_Atomic int victim_port;
	_Atomic uint64_t done; /* bytes whose call returned */
	_Atomic int hits; /* of the test point */
	int victim_bad;
	/* ---- the load ---- */
	_Atomic int load_port;
	_Atomic uint64_t rounds;
	_Atomic int load_bad;
};

#endif
