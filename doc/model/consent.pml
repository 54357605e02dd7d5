/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Consent: a direction moves only when no thread sits in the kernel with it.
 *
 * Readers and senders are blocking threads; one that finds its gate open is
 * counted in and goes to the kernel, where it sees TCP only.  Some other
 * thread pairs the connection and closes the gates.  Whoever finds the
 * receiver's gate closed and nobody in the kernel publishes consent; a sender
 * that finds its own closed and quiet takes the direction up.
 *
 * The peer answers only when it has all, so a reader that sleeps in the kernel
 * while bytes lie in the ring is a deadlock.
 *
 * Configurations
 *	NRD=n NSD=n	readers (threads 0 .. NRD-1), senders (after them)
 *	K=n		messages of each sender
 *	LONGMSG		of 2 bytes each, not 1
 *
 * Switches that break it, each of which has to make spin fail
 *	NO_QUIET	consent is published without a look at in_kernel
 *	NO_TX_QUIET	a sender goes up while another sits in the kernel
 *	NO_FENCE_ENTER	count in, look at the gate
 *	NO_FENCE_CLOSE	close the gate, look at in_kernel
 *	NO_FENCE_LEAVE	count out, look at the gate
 *	NO_LEAVE_LOOK	the last one out does not look at the gate
 *	NO_TURNED_LOOK	who was turned away at the gate does not look either
 *	NO_ENTER_LOOK	a reader goes in without a look at the gate
 */
#ifndef NRD
#define NRD	1
#endif
#ifndef NSD
#define NSD	1
#endif
#ifndef K
#define K	2
#endif
#ifdef LONGMSG
#define MAX	(2 * K * NSD)
#else
#define MAX	(K * NSD)
#endif
#define NT	(NRD + NSD + 1)
#define SBD	3
#define PAIRER	(NT - 1)

/* Words of shared memory: two gates, then what the segment has. */
#define RX_IN	0
#define RX_SHUT	1
#define TX_IN	2
#define TX_SHUT	3
#define CONSENT	4	/* receiver */
#define REC	5	/* sender: 1 + TCP bytes before the ring, or 0 */
#define TAIL	6	/* sender: ring bytes published */
#define RMASK	7	/* readers that wait */
#define NWORDS	8

#include "mem.pml"

chan tcp = [MAX + 1] of { byte };
byte ring[MAX];
byte wr, rd;
bit fin;
bit bell[NT], edge[NT];
bit txlock, rxlock;

/* Side state: under txlock, under rxlock. */
bit up;
byte tail, tcpw;
bit consented;
byte head, tcpr, taken;

#define lock(l)		atomic { !l -> l = 1 }
#define unlock(t, l)	atomic { sbn[t] == 0 -> l = 0 }

inline edges()
{
	x = 0;
	do
	:: x < NRD -> edge[x] = 1; x++
	:: else -> x = 0; break
	od
}

/* Closed, and nobody in the kernel: the answer is in v. */
inline quiet(me, in, shut)
{
	/* kmap_gate_consent */
	v = load(me, shut);
	if
	:: v -> v = (load(me, in) == 0)
	:: else
	fi
}

/* Who notices that nobody is left in the kernel says so to the sender. */
inline consent(me)
{
	lock(rxlock);
	quiet(me, RX_IN, RX_SHUT);
#ifdef NO_QUIET
	v = load(me, RX_SHUT);
#endif
	if
	:: v && !consented ->
		/* kmap_dir_consent: TCP_INFO says how much was taken */
		atomic { consented = 1; tcpr = taken };
		store(me, CONSENT, 1)
	:: else
	fi;
	unlock(me, rxlock);
	v = 0
}

inline enter(me, in, shut)
{
	/* kmap_gate_enter; v: the gate is closed */
	add(me, in, 1);
#ifndef NO_FENCE_ENTER
	fence(me);
#endif
	v = load(me, shut);
#ifdef NO_ENTER_LOOK
	v = v && (in) == TX_IN;
#endif
	if
	:: v -> fetch_add(me, in, 255, x); x = 0; fence(me)
	:: else
	fi
}

inline leave(me, in, shut)
{
	/* kmap_gate_leave; v: the gate is closed and this was the last */
	fetch_add(me, in, 255, x);
#ifndef NO_FENCE_LEAVE
	fence(me);
#endif
	v = (x == 1 -> load(me, shut) : 0);
	x = 0
}

inline close(me, in, shut)
{
	/* kmap_gate_close; v: nobody is in the kernel */
	xchg(me, shut, 1, v);
#ifndef NO_FENCE_CLOSE
	fence(me);
#endif
#ifndef NO_QUIET
	v = (load(me, in) == 0)
#else
	v = 1
#endif
}

inline tcp_get()
{
	tcp?y;
	assert(y == rd);
	rd++;
	taken++;
	y = 0
}

/* The ring's way, right on TCP as well; got says whether it went forward. */
inline try(me)
{
	lock(rxlock);
	/* kmap_dir_tcp_cap */
	n = len(tcp);
	k = m[REC];
	if
	:: consented && k -> n = (n < k - 1 - tcpr -> n : k - 1 - tcpr)
	:: else
	fi;
	if
	:: n ->
		/* a thread in the kernel may have been quicker */
		atomic {
			if
			:: len(tcp) ->
				tcp_get();
				tcpr = tcpr + consented;
				got = 1
			:: else
			fi
		}
	:: !n && consented && k && tcpr == k - 1 && m[TAIL] > head ->
		/* kmap_ring_get */
		atomic {
			assert(ring[head] == rd);
			rd++;
			head++;
			got = 1
		}
	:: else -> eof = (fin && !len(tcp))
	fi;
	atomic { n = 0; k = 0 };
	unlock(me, rxlock)
}

proctype reader(byte t)
{
	byte v, x, y, n, k;
	bit got, eof, armed;

	do
	:: eof -> break
	:: !eof ->
		enter(t, RX_IN, RX_SHUT);
		if
		:: !v ->
			/* the kernel's recv */
			atomic {
				if
				:: len(tcp) -> tcp_get()
				:: fin && !len(tcp) -> eof = 1
				fi
			};
			leave(t, RX_IN, RX_SHUT);
			if
#ifndef NO_LEAVE_LOOK
			:: v -> consent(t)
#endif
			:: else
			fi
		:: v ->
#ifndef NO_TURNED_LOOK
			if
			:: !consented -> consent(t)
			:: else
			fi;
#endif
			try(t);
			if
			:: got || eof -> armed = 0
			:: !got && !eof && !armed ->
				/* kmap_wake_arm */
				or(t, RMASK, 1 << t);
				fence(t);
				armed = 1
			:: !got && !eof && armed ->
				/* kmap_wake_sleep_begin .. _end */
				atomic {
					bell[t] || edge[t] ->
					bell[t] = 0; edge[t] = 0; armed = 0
				}
			fi
		fi;
		atomic { got = 0; v = 0 }
	od;
	assert(rd == MAX)
}

/* The kernel takes a message in pieces, and sleeps in between. */
inline tcp_put(me)
{
	fence(me);
#ifdef LONGMSG
	atomic { tcp!wr; wr++; tcpw++; edges() };
#endif
	atomic { tcp!wr; wr++; tcpw++; edges() }
}

/* kmap_wake_kick */
inline kick(me)
{
	fence(me);
	v = load(me, RMASK);
	if
	:: v ->
		xchg(me, RMASK, 0, v);
		atomic {
			do
			:: x < NRD -> bell[x] = bell[x] | ((v >> x) & 1); x++
			:: else -> x = 0; break
			od
		}
	:: else
	fi
}

proctype sender(byte t)
{
	byte v, x, sent;

	do
	:: sent == K -> break
	:: sent < K ->
		enter(t, TX_IN, TX_SHUT);
		if
		:: !v ->
			/* the kernel's send */
			tcp_put(t);
			leave(t, TX_IN, TX_SHUT)
		:: v ->
			lock(txlock);
			v = m[CONSENT];
			if
			:: v && !up ->
				quiet(t, TX_IN, TX_SHUT);
#ifdef NO_TX_QUIET
				v = 1;
#endif
				if
				:: v ->
					/* kmap_dir_up */
					up = 1;
					store(t, REC, tcpw + 1);
					kick(t)
				:: else
				fi
			:: else
			fi;
			if
			:: up ->
				/* kmap_ring_put */
				atomic {
#ifdef LONGMSG
					ring[tail] = wr; wr++; tail++;
#endif
					ring[tail] = wr; wr++; tail++
				};
				store(t, TAIL, tail);
				kick(t)
			:: !up -> tcp_put(t)
			fi;
			unlock(t, txlock)
		fi;
		atomic { sent++; v = 0 }
	od
}

/* Pairs the connection, at any moment. */
proctype pairer(byte t)
{
	byte v;

	close(t, TX_IN, TX_SHUT);
	close(t, RX_IN, RX_SHUT);
	if
	:: v -> consent(t)
	:: else
	fi
}

/* The peer has all and answers; in the end consent was published. */
active proctype peer()
{
	byte x;

	rd == MAX;
	atomic { fin = 1; edges() };
	timeout;
	assert(m[CONSENT])
}

init {
	atomic {
		byte i;
		do
		:: i < NRD -> run reader(i); i++
		:: i >= NRD && i < NRD + NSD -> run sender(i); i++
		:: i == NRD + NSD -> run pairer(i); break
		od
	}
}
