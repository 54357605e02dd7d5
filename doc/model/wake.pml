/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Waiting: who publishes (bytes, or space) and who goes to sleep for it.
 *
 *	publish, fence, look at the mask	mask, fence, look at the ring
 *	level two, then level one		level one to 0, then level two
 *	level one, fence, look at asleep	asleep, fence, look at level one
 *
 * Three pairs, one behind the other; each step names the C function that it
 * stands for.  The rules with the same names are in doc/MEMORY.md.
 *
 * Configurations
 *	NC=n		connections, each with a sending thread of its own
 *	ONE		one thread sends on all of them
 *	NR=n		receiving threads, all of one process
 *	K=n		messages of each connection
 *	SPLIT		receiver i waits for connection i alone, not for all
 *	LINES		each connection lies in a level-two line of its own
 *	COMMON		all receivers share one placeholder, bitmap and asleep
 *			word (the process's common placeholder)
 *	SPACE=n		rings of n messages, and senders that sleep for space
 *	KILL		the sender of connection 0 may die between level two
 *			and level one
 *
 * Switches that break it, each of which has to make spin fail
 *	NO_FENCE_KICK	publish, look at the mask
 *	NO_FENCE_ARM	say "I wait", look at the ring
 *	NO_FENCE_L1	set level one, look at asleep
 *	NO_FENCE_SLEEP	say "I sleep", look at level one
 *	NO_LOOK_ARM	no second look at the ring after arming
 *	NO_LOOK_SLEEP	no look at level one after saying "I sleep"
 *	NO_L2_FIRST	the sender sets level one before level two
 *	NO_L1_ALWAYS	the sender that finds level two set leaves it at that
 *	NO_L1_FIRST	the consumer takes level two before level one
 *	NO_CLEAR	... or leaves level one standing: it never sleeps again
 *	NO_HAND_ON	who takes from the common bitmap keeps what is others'
 *	NO_HAND_RING	... hands it on and wakes nobody
 *	NO_KEEP		who wakes clears the common placeholder's asleep
 *	NO_KICK_SPACE	taking bytes does not wake the sender
 */
#ifndef NC
#define NC	1
#endif
#ifndef NR
#define NR	1
#endif
#ifndef K
#define K	2
#endif
#ifndef SBD
#define SBD	3
#endif

/* Threads: the senders, then the receivers. */
#ifdef ONE
#define NS	1
#else
#define NS	NC
#endif
#define NT	(NS + NR)

#ifdef SPLIT
#define INTEREST(t)	((t) < NS -> 0 : 1 << ((t) - NS))
#else
#define INTEREST(t)	((t) < NS -> 0 : (1 << NC) - 1)
#endif

#ifdef LINES
#define LINE(c)	(c)
#define NLINE	NC
#else
#define LINE(c)	0
#define NLINE	1
#endif

/* A waiting place has the number of its thread; NS is the common one. */
#ifdef COMMON
#define PLACE(t)	((t) < NS -> (t) : NS)
#else
#define PLACE(t)	(t)
#endif

/* Words of shared memory; LOCAL is shared within one process only. */
#define TAIL(c)		(c)
#define HEAD(c)		(NC + (c))
#define RMASK(c)	(2 * NC + (c))		/* who waits for bytes */
#define SMASK(c)	(3 * NC + (c))		/* who waits for space */
#define L1(p)		(4 * NC + (p))
#define ASLEEP(p)	(4 * NC + NT + (p))
#define LOCAL(t)	(4 * NC + 2 * NT + (t))	/* handed on to t */
#define L2(p, l)	(4 * NC + 3 * NT + (p) * NLINE + (l))
#define NWORDS		(4 * NC + 3 * NT + NT * NLINE)

#include "mem.pml"

bit bell[NT];		/* the eventfd, as the epoll of each sleeper has it */
byte hd[NC];		/* the receivers' own head: side state, under lock */
byte sent[NC];		/* the senders' own tail */
bit dead;

/* The doorbell: an edge-triggered eventfd wakes every set that has it. */
inline ring(pl)
{
	atomic {
		bell[pl] = 1;
#ifdef COMMON
		if
		:: pl == NS ->
			x = NS;
			do
			:: x < NT -> bell[x] = 1; x++
			:: else -> x = 0; break
			od
		:: else
		fi
#endif
	}
}

/* kmap_wake_kick, its second half: a bit for connection cn, and the bell */
inline ring_place(me, pl, cn)
{
#ifdef NO_L2_FIRST
	or(me, L1(pl), 1 << LINE(cn));
	or(me, L2(pl, LINE(cn)), 1 << (cn));
#else
	v = m[L2(pl, LINE(cn))];
	or(me, L2(pl, LINE(cn)), 1 << (cn));
#ifdef KILL
	if
	:: (cn) == 0 -> dead = 1; goto gone
	:: skip
	fi;
#endif
	if
#ifdef NO_L1_ALWAYS
	:: v
#endif
	:: else -> or(me, L1(pl), 1 << LINE(cn))
	fi;
#endif
	doorbell(me, pl)
}

/* Rings the place if somebody sleeps there. */
inline doorbell(me, pl)
{
#ifndef NO_FENCE_L1
	fence(me);
#endif
	v = load(me, ASLEEP(pl));
	if
	:: v ->
		xchg(me, ASLEEP(pl), 0, v);
		if
		:: v -> ring(pl)
		:: else
		fi
	:: else
	fi
}

/* kmap_wake_kick: connection cn was published to who waits in mask wm */
inline kick(me, wm, cn)
{
#ifndef NO_FENCE_KICK
	fence(me);
#endif
	v = load(me, wm);
	if
	:: v ->
		xchg(me, wm, 0, mk);
		do
		:: mk ->
			/* the next place */
			atomic {
				do
				:: mk & (1 << p) -> mk = mk - (1 << p); break
				:: else -> p++
				od
			};
			ring_place(me, p, cn)
		:: else -> break
		od;
		p = 0
	:: else
	fi;
	v = 0
}

/* kmap_wake_take: empties the bitmap; todo gets what t waits for */
inline take(me)
{
#ifdef NO_L1_FIRST
	do
	:: p < NLINE ->
		xchg(me, L2(PLACE(me), p), 0, v);
		bits = bits | v;
		p++
	:: else -> p = 0; break
	od;
	fence(me);
	xchg(me, L1(PLACE(me)), 0, v);
#else
#ifdef NO_CLEAR
	mk = load(me, L1(PLACE(me)));
#else
	xchg(me, L1(PLACE(me)), 0, mk);
#endif
	do
	:: mk ->
		atomic {
			do
			:: mk & (1 << p) -> mk = mk - (1 << p); break
			:: else -> p++
			od
		};
		xchg(me, L2(PLACE(me), p), 0, v);
		bits = bits | v
	:: else -> p = 0; break
	od;
#endif
	todo = todo | (bits & INTEREST(me));
#ifdef COMMON
#ifndef NO_HAND_ON
	p = NS;
	do
	:: p < NT && p != me && (bits & INTEREST(p)) ->
		or(me, LOCAL(p), bits & INTEREST(p));
#ifndef NO_HAND_RING
		doorbell(me, NS);
#endif
		p++
	:: p < NT && !(p != me && (bits & INTEREST(p))) -> p++
	:: p == NT -> p = 0; break
	od;
#endif
	if
	:: me >= NS -> xchg(me, LOCAL(me), 0, v); todo = todo | v
	:: else
	fi;
#endif
	atomic { bits = 0; v = 0 }
}

/* Sleep until rung, unless there is something in the bitmap. */
inline sleep(me)
{
	/* kmap_wake_sleep_begin */
	store(me, ASLEEP(PLACE(me)), 1);
#ifndef NO_FENCE_SLEEP
	fence(me);
#endif
#ifndef NO_LOOK_SLEEP
	v = load(me, L1(PLACE(me)));
#ifdef COMMON
	if
	:: !v -> v = load(me, LOCAL(me))
	:: else
	fi;
#endif
#endif
	if
	:: !v ->
		/* the kernel's epoll_wait on the placeholder */
end:		atomic { bell[me] -> bell[me] = 0 }
	:: else
	fi;
	/*
	 * Nobody who slept takes the word back: in the common place another
	 * may still sleep by it.  Whoever rings does, and wakes all.
	 */
#ifdef NO_KEEP
	store(me, ASLEEP(PLACE(me)), 0);
#endif
	take(me)
}

proctype tx(byte t)
{
	byte mk, p, v, x;
	byte c = t;
#ifdef SPACE
	byte bits, todo;
#endif
	do
	:: sent[c] < K ->
#ifdef SPACE
		do
		:: sent[c] - m[HEAD(c)] < SPACE -> break
		:: else ->
			/* kmap_wake_arm */
			or(t, SMASK(c), 1 << PLACE(t));
#ifndef NO_FENCE_ARM
			fence(t);
#endif
			if
#ifndef NO_LOOK_ARM
			:: sent[c] - m[HEAD(c)] < SPACE
#endif
			:: else -> sleep(t)
			fi;
			todo = 0
		od;
#endif
		/* kmap_ring_put */
		sent[c]++;
		store(t, TAIL(c), sent[c]);
		kick(t, RMASK(c), c)
#ifdef ONE
	:: sent[c] == K && c + 1 < NC -> c++
	:: sent[c] == K && c + 1 == NC -> break
#else
	:: else -> break
#endif
	od;
gone:	skip
}

proctype rx(byte t)
{
	byte mk, p, v, x, c, bits;
	byte todo = INTEREST(t);

	do
	:: todo ->
		/* kmap_ring_get, under the receive lock */
		atomic {
			do
			:: todo & (1 << c) -> break
			:: else -> c++
			od;
			if
			:: m[TAIL(c)] > hd[c] -> hd[c]++; v = 1
			:: else
			fi
		};
		if
		:: v ->
			v = 0;
#ifdef SPACE
			store(t, HEAD(c), hd[c]);
#ifndef NO_KICK_SPACE
			kick(t, SMASK(c), c)
#endif
#endif
		:: else ->
			/* kmap_wake_arm */
			or(t, RMASK(c), 1 << PLACE(t));
#ifndef NO_FENCE_ARM
			fence(t);
#endif
			if
#ifndef NO_LOOK_ARM
			:: m[TAIL(c)] > hd[c]
#endif
			:: else -> todo = todo & (255 - (1 << c))
			fi
		fi;
		c = 0
	:: else -> sleep(t)
	od
#ifdef KILL
gone:	skip
#endif
}

/*
 * When nothing moves any more, everything was sent and taken, and everybody
 * is asleep or at his end: any other place to stand in is an invalid end
 * state.  That it always comes to that (pan -l finds no cycle) is "idle means
 * asleep".
 */
active proctype idle()
{
	byte c;

	timeout;
	atomic {
		do
		:: c < NC ->
			assert(sent[c] == K || (c == 0 && dead));
			assert(hd[c] == K || (c == 0 && dead));
			c++
		:: else -> break
		od
	}
}

init {
	atomic {
		byte i;
		do
		:: i < NS -> run tx(i); i++
		:: i >= NS && i < NT -> run rx(i); i++
		:: i == NT -> break
		od
	}
}
