/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory as the models see it: a FIFO store buffer for each thread, which
 * the process "memory" empties at times of its own choice.
 *
 *	store(t, w, v)	word w becomes v: into the buffer
 *	or(t, w, v)	fetch_or, add(t, w, v) fetch_add, whose result nobody
 *			uses: the operation lies in the buffer and is applied,
 *			in one step, when it leaves it
 *	xchg(t, w, n, old)	exchange for n; fetch_add(t, w, v, old): the
 *			load part happens here, the store part leaves the
 *			buffer later, and until then nobody else writes the
 *			word
 *	load(t, w)	an expression: what thread t sees
 *	fence(t)	seq_cst: waits until the own buffer is empty
 *
 * So a later load may overtake an earlier store or read-modify-write, and
 * nothing else may change its place.  That is arm64, and what C11 allows to
 * acquire loads and release stores (doc/MEMORY.md has the details).  With
 * -DX86 a read-modify-write is a locked instruction: it waits for the empty
 * buffer and acts on memory itself.  The default can do all that -DX86 can.
 *
 * The including file defines NT (threads), NWORDS (words) and SBD (depth).
 */
byte m[NWORDS];		/* memory */
/* 1 + the thread whose xchg or fetch_add is half done, and 8 * the result */
byte own[NWORDS];

byte sbn[NT];		/* the buffers: length, then words, kinds, values */
byte sbw[NT * SBD];
byte sbk[NT * SBD];
byte sbv[NT * SBD];

#define STORE	0
#define OR	1
#define ADD	2
#define XCHG	3

/* A thread never loads a word that it changed by one of the other three. */
#define load(t, w)	(((own[w] & 7) == (t) + 1) -> own[w] >> 3 : m[w])

#define fence(t)	(sbn[t] == 0)

#define PUSH(t, w, k, v) \
	sbw[(t) * SBD + sbn[t]] = w; sbk[(t) * SBD + sbn[t]] = k; \
	sbv[(t) * SBD + sbn[t]] = v; sbn[t]++

#define store(t, w, v) \
	atomic { sbn[t] < SBD -> PUSH(t, w, STORE, v) }

#ifdef X86
#define or(t, w, v)	atomic { sbn[t] == 0 -> m[w] = m[w] | (v) }
#define add(t, w, v)	atomic { sbn[t] == 0 -> m[w] = m[w] + (v) }
#define xchg(t, w, n, old) \
	atomic { sbn[t] == 0 -> old = m[w]; m[w] = n }
#define fetch_add(t, w, v, old)	\
	atomic { sbn[t] == 0 -> old = m[w]; m[w] = m[w] + (v) }
#else
#define or(t, w, v)	atomic { sbn[t] < SBD -> PUSH(t, w, OR, v) }
#define add(t, w, v)	atomic { sbn[t] < SBD -> PUSH(t, w, ADD, v) }
#define xchg(t, w, n, old) \
	atomic { sbn[t] < SBD && !own[w] -> \
		 old = m[w]; own[w] = (t) + 1 + 8 * (n); PUSH(t, w, XCHG, n) }
#define fetch_add(t, w, v, old) \
	atomic { sbn[t] < SBD && !own[w] -> \
		 old = m[w]; own[w] = (t) + 1 + 8 * ((old + (v)) & 31); \
		 PUSH(t, w, XCHG, old + (v)) }
#endif

/* The oldest entry of t's buffer goes to memory, unless the word is half exchanged. */
#define FLUSH(t) \
	:: atomic { sbn[t] && (sbk[(t) * SBD] == XCHG || \
			       !own[sbw[(t) * SBD]]) -> \
		if \
		:: sbk[(t) * SBD] == STORE -> \
			m[sbw[(t) * SBD]] = sbv[(t) * SBD] \
		:: sbk[(t) * SBD] == OR -> \
			m[sbw[(t) * SBD]] = m[sbw[(t) * SBD]] | sbv[(t) * SBD] \
		:: sbk[(t) * SBD] == ADD -> \
			m[sbw[(t) * SBD]] = m[sbw[(t) * SBD]] + sbv[(t) * SBD] \
		:: sbk[(t) * SBD] == XCHG -> \
			m[sbw[(t) * SBD]] = sbv[(t) * SBD]; \
			own[sbw[(t) * SBD]] = 0 \
		fi; \
		do \
		:: fx + 1 < SBD -> \
			sbw[(t) * SBD + fx] = sbw[(t) * SBD + fx + 1]; \
			sbk[(t) * SBD + fx] = sbk[(t) * SBD + fx + 1]; \
			sbv[(t) * SBD + fx] = sbv[(t) * SBD + fx + 1]; \
			fx++ \
		:: else -> \
			sbw[(t) * SBD + fx] = 0; sbk[(t) * SBD + fx] = 0; \
			sbv[(t) * SBD + fx] = 0; fx = 0; break \
		od; \
		sbn[t]-- \
	}

active proctype memory()
{
	byte fx;

end:	do
	FLUSH(0)
	FLUSH(1)
#if NT > 2
	FLUSH(2)
#endif
#if NT > 3
	FLUSH(3)
#endif
#if NT > 4
#error "more threads than memory() serves"
#endif
	od
}
