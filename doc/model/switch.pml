/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One direction of a connection: up to the ring, down to TCP, up again,
 * spill, bounce and the end.
 *
 * Byte i of the stream carries the number i.  Writers put it on the ring or
 * send it by TCP; readers assert that they get 0, 1, 2, ... and, at EOF, that
 * all came.  When nothing moves any more, everybody must have ended.
 *
 * Configurations
 *	NWR=n NRD=n	writers (threads 0 .. NWR-1) and readers
 *	MAX=n		bytes, shared out among the writers
 *	RC=n		size of the ring
 *	MAXREC=n	switches at most
 *	BOUNCE		the receiver may leave the ring at once, at any moment
 *
 * Switches that break it, each of which has to make spin fail
 *	NO_INQ_FIRST	rule 1: the records are looked at, then SIOCINQ asked
 *	NO_CAP		rule 1: the read takes more than SIOCINQ said
 *	NO_PASS		rule 2: up before the receiver passed every record
 *	NO_EOF_LOOK	no second look at the records after TCP's EOF
 *	NO_CARRIER	a sleeping reader watches its placeholder only
 *	NO_FENCE_KICK	publish, look at the mask
 *	NO_FENCE_ARM	say "I wait", look again
 *	NO_LOOK_ARM	no second look after saying "I wait"
 *	NO_LOCK		readers do not lock
 *	NO_KICK_REC	a record is published and the mask not looked at
 *	NO_BOUNCE_BIT	the request to bounce is a word of its own, looked at
 *			when the sender enters, and not after each publish
 *	NO_UP		on entry the request is taken when it is down, too
 *	NO_FENCE_FREEZE	ask for the bounce, look at the records
 *	NO_LOOK_FREEZE	no second look at the records after asking
 *	NO_WITHDRAW	a request that came too late is left standing
 *	NO_KICK_FREEZE	the request does not wake a writer that waits for space
 *	NO_DOWN_FIN	shutdown and close do not go down first
 */
#ifndef NWR
#define NWR	1
#endif
#ifndef NRD
#define NRD	1
#endif
#ifndef MAX
#define MAX	3
#endif
#ifndef RC
#define RC	1
#endif
#ifndef MAXREC
#define MAXREC	3
#endif
#define NT	(NWR + NRD)
#define SBD	3

/* Words of the shared segment; who writes: S sender, R receiver. */
#define TAIL	0	/* S: ring bytes published */
#define RECT	1	/* S: the up record, in TCP bytes */
#define RECR	2	/* S: the down record, in ring bytes */
#define NREC	3	/* S: records published; odd: up */
#define HEAD	4	/* R: ring bytes taken */
#define PASSED	5	/* R: records passed */
#define RMASK	6	/* both: readers that wait, and BBIT */
#define SMASK	7	/* both: writers that wait */
#define BWORD	8	/* NO_BOUNCE_BIT's */
#define NWORDS	9

#define BBIT	128

#ifdef NO_UP
#define ENTRY	true
#else
#define ENTRY	up
#endif

/* Rule 2, and the second look after TCP's EOF */
#ifdef NO_PASS
#define PASS	true
#else
#define PASS	(m[PASSED] == nrec)
#endif
#ifdef NO_EOF_LOOK
#define EOF_LOOK	true
#else
#define EOF_LOOK	(m[NREC] == passed)
#endif

#include "mem.pml"

chan tcp = [MAX + 1] of { byte };	/* sent and not received */
byte ring[RC];
byte wr, rd;			/* bytes written, read */
bit fin;			/* the writers' FIN is in the queue */
bit bell[NT], edge[NT];		/* placeholder and carrier, edges */

/* Side state of the sender, under txlock */
bit txlock, up, stay;
byte tail, tcpw, nrec, ended;

/* Side state of the receiver, under rxlock */
bit rxlock, onring, frozen, asked;
byte head, tcpr, passed;

#define lock(l)		atomic { !l -> l = 1 }
#define unlock(t, l)	atomic { sbn[t] == 0 -> l = 0 }

inline edges()
{
	x = NWR;
	do
	:: x < NT -> edge[x] = 1; x++
	:: else -> x = 0; break
	od
}

/* Every thread whose bit is in v; wake.pml has what lies in between. */
inline rings()
{
	atomic {
		do
		:: x < NT -> bell[x] = bell[x] | ((v >> x) & 1); x++
		:: else -> x = 0; break
		od
	}
}

/* kmap_dir_bounce: send what the receiver left in the ring, stay on TCP */
inline bounce(me)
{
	y = m[HEAD];
	do
	:: y < tail -> atomic { tcp!ring[y % RC]; tcpw++; y++; edges() }
	:: else -> break
	od;
	atomic { y = 0; up = 0; stay = 1 }
}

/* kmap_wake_kick on the readers' mask */
inline kick(me)
{
#ifndef NO_FENCE_KICK
	fence(me);
#endif
	v = load(me, RMASK);
	if
	:: v ->
		xchg(me, RMASK, 0, v);
		rings();
		if
		:: v & BBIT -> bounce(me)
		:: else
		fi
	:: else
	fi;
	v = 0
}

/*
 * The sender comes into the library, or wakes in it. When it is down, with
 * bytes sent behind the record, it leaves the request alone: it could not do
 * it justice any more, and the receiver sees the record.
 */
inline entry(me)
{
#ifdef NO_BOUNCE_BIT
	if
	:: up && m[BWORD] -> bounce(me)
	:: else
	fi
#else
	if
	:: ENTRY && (m[RMASK] & BBIT) -> kick(me)
	:: else
	fi
#endif
}

inline go_up(me)
{
	/* kmap_dir_up */
	atomic { store(me, RECT, tcpw); nrec++; up = 1 };
	store(me, NREC, nrec);
#ifndef NO_KICK_REC
	kick(me)
#endif
}

inline go_down(me)
{
	/* kmap_dir_down */
	atomic { store(me, RECR, tail); nrec++; up = 0 };
	store(me, NREC, nrec);
#ifndef NO_KICK_REC
	kick(me)
#endif
}

proctype writer(byte t)
{
	byte v, x, y;
	byte n = 0;

	do
	:: n < MAX / NWR ->
		lock(txlock);
		entry(t);
		/* may go up, or down: by choice, by FIN, or to spill */
		if
		:: !up && !stay && nrec + 1 < MAXREC && PASS -> go_up(t)
		:: up && nrec < MAXREC -> go_down(t)
		:: skip
		fi;
		if
		:: !up ->
			/* the kernel's send */
			fence(t);
			atomic { tcp!wr; wr++; tcpw++; n++; edges() };
			unlock(t, txlock)
		:: up && tail - m[HEAD] < RC ->
			/* kmap_ring_put */
			atomic { ring[tail % RC] = wr; wr++; tail++; n++ };
			store(t, TAIL, tail);
			kick(t);
			unlock(t, txlock)
		:: up && tail - m[HEAD] == RC ->
			/* kmap_wake_arm, on the ring's space */
			or(t, SMASK, 1 << t);
#ifndef NO_FENCE_ARM
			fence(t);
#endif
			if
#ifndef NO_LOOK_ARM
			:: tail - m[HEAD] < RC || (m[RMASK] & BBIT) ->
				unlock(t, txlock)
#endif
			:: else ->
				unlock(t, txlock);
				/* kmap_wake_sleep_begin .. _end */
				atomic { bell[t] -> bell[t] = 0 }
			fi
		fi
	:: else -> break
	od;

	/* shutdown(SHUT_WR), or the last close */
	lock(txlock);
	entry(t);
	ended++;
	if
	:: ended == NWR ->
#ifndef NO_DOWN_FIN
		if
		:: up -> go_down(t)
		:: else
		fi;
#endif
		fence(t);
		atomic { fin = 1; edges() }
	:: else
	fi;
	unlock(t, txlock)
}

/* One byte that came by TCP. */
inline tcp_get()
{
	tcp?v;
	assert(v == rd);
	rd++;
	tcpr++;
	v = 0
}

/* One look at everything; got says whether anything went forward. */
inline try(me)
{
	/* kmap_dir_tcp_cap: SIOCINQ, then the records, then at most so many */
#ifdef NO_INQ_FIRST
	k = m[NREC];
	n = len(tcp);
#else
	n = len(tcp);
	k = m[NREC];
#endif
#ifdef NO_CAP
	n = MAX;
#endif
	if
	:: !onring && passed < k ->
		y = m[RECT] - tcpr;
		if
		:: y == 0 ->
			/* kmap_dir_pass */
			atomic { onring = 1; passed++; got = 1 };
			store(me, PASSED, passed)
		:: else -> n = (n < y -> n : y)
		fi
	:: !onring && passed >= k -> y = n
	:: onring && m[TAIL] > head && (passed == k || head < m[RECR]) ->
		/* kmap_ring_get */
		atomic {
			assert(ring[head % RC] == rd);
			rd++;
			head++;
			got = 1
		};
		store(me, HEAD, head);
		/* kmap_wake_kick, on the ring's space */
		fence(me);
		v = load(me, SMASK);
		if
		:: v -> xchg(me, SMASK, 0, v); rings(); v = 0
		:: else
		fi;
		n = 0
	:: onring && passed < k && head == m[RECR] ->
		/* kmap_dir_pass */
		atomic { onring = 0; passed++; got = 1 };
		store(me, PASSED, passed);
		n = 0
	:: onring && m[TAIL] == head && passed == k -> n = 0
	:: onring && m[TAIL] == head && passed < k && head < m[RECR] -> n = 0
	fi;
	if
	:: !onring && !got ->
		do
		:: n && len(tcp) -> atomic { tcp_get(); n--; got = 1 }
		:: n && !len(tcp) -> break
		:: !n -> break
		od;
		/* recv said 0: all that was published before it is visible */
		if
		:: !got && fin && !len(tcp) && EOF_LOOK -> eof = 1
		:: else
		fi
	:: else
	fi;
	atomic { n = 0; k = 0; y = 0 }
}

/* The receiver leaves the ring at once; the rest comes by TCP. */
inline freeze(me)
{
	/* kmap_dir_freeze */
	store(me, HEAD, head);
#ifdef NO_BOUNCE_BIT
	store(me, BWORD, 1);
#else
	or(me, RMASK, BBIT);
#endif
#ifndef NO_FENCE_FREEZE
	fence(me);
#endif
#ifndef NO_LOOK_FREEZE
	k = m[NREC];
#else
	k = 0;
#endif
	v = BBIT;
	if
	:: k > passed && !(k & 1) && head < m[RECR] ->
		/*
		 * It went down already, over bytes that are still in the
		 * ring: later ones may be in TCP's queue.  If it did not
		 * see the request it is withdrawn, and refused.
		 */
#ifndef NO_WITHDRAW
		xchg(me, RMASK, 0, v);
		rings();
		v = (v & BBIT) ^ BBIT
#endif
	:: else
	fi;
	atomic { frozen = (v != 0); k = 0; v = 0 };
#ifndef NO_KICK_FREEZE
	/* kmap_wake_kick, on the ring's space */
	fence(me);
	v = load(me, SMASK);
	if
	:: v -> xchg(me, SMASK, 0, v); rings(); v = 0
	:: else
	fi
#endif
}

#ifdef NO_LOCK
#define RLOCK		skip
#define RUNLOCK(t)	skip
#else
#define RLOCK		lock(rxlock)
#define RUNLOCK(t)	unlock(t, rxlock)
#endif

proctype reader(byte t)
{
	byte v, x, y, n, k;
	bit got, eof, armed;

	do
	:: eof -> break
	:: !eof && !frozen ->
		RLOCK;
		if
		:: frozen -> got = 1
		:: else -> try(t)
		fi;
#ifdef BOUNCE
		if
		:: t == NWR && !frozen && !asked -> asked = 1; freeze(t)
		:: skip
		fi;
#endif
		RUNLOCK(t);
		if
		:: got || eof -> armed = 0
		:: !got && !eof && !armed ->
			/* kmap_wake_arm */
			or(t, RMASK, 1 << t);
#ifndef NO_FENCE_ARM
			fence(t);
#endif
#ifndef NO_LOOK_ARM
			armed = 1
#else
			goto asleep
#endif
		:: !got && !eof && armed ->
asleep:			/* kmap_wake_sleep_begin .. _end, on both */
#ifdef NO_CARRIER
			atomic { bell[t] -> bell[t] = 0; armed = 0 }
#else
			atomic {
				bell[t] || edge[t] ->
				bell[t] = 0; edge[t] = 0; armed = 0
			}
#endif
		fi;
		got = 0
	:: !eof && frozen ->
		/* whoever has the socket now reads it without the library */
		atomic {
			if
			:: len(tcp) -> tcp_get()
			:: fin && !len(tcp) -> eof = 1
			fi
		}
	od;
	assert(rd == MAX)
}

init {
	atomic {
		byte i;
		do
		:: i < NWR -> run writer(i); i++
		:: i >= NWR && i < NT -> run reader(i); i++
		:: i == NT -> break
		od
	}
}
