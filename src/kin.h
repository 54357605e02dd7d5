/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which processes of the fork family hold an endpoint. Each process has a
 * place in a table that the family shares, and a bit for it in each endpoint
 * that it holds; so one that was killed is found dead by the others, and
 * what it held is let go for it. Processes beyond the table are only counted:
 * of them nobody can tell that they died, and they tell it of nobody.
 */
#ifndef KMAP_KIN_H
#define KMAP_KIN_H

#include "ep.h"

/* A new endpoint is this process's alone. */
void kmap_kin_hold(struct kmap_ep *ep);
/* This process lets go. True: nobody else that lives holds it; the caller
 * finishes it. One process alone is told so. */
bool kmap_kin_drop(struct kmap_ep *ep);
/* Let go, with nobody to finish it: the end of a process, exec. False: this
 * process is the only one, and nothing is done. */
bool kmap_kin_leave(struct kmap_ep *ep);
/* Whether this process alone holds it. Others that died are found, but are
 * looked for every 100 ms only. */
bool kmap_kin_alone(struct kmap_ep *ep);
/* Takes the holds of the dead away. True: nobody is left; told once. */
bool kmap_kin_orphan(struct kmap_ep *ep);

/*
 * Around a fork, in this order: a place for the child, its hold on each
 * endpoint; in the parent, at any time, pid (< 0: there is no child, and its
 * place is a dead one's), in the child kmap_kin_born. One at a time takes a
 * place: under the locks of kmap_fork_before.
 */
void kmap_kin_child(void);
/* The next child takes a dead one's place: before that kmap_ep_sweep. */
bool kmap_kin_full(void);
void kmap_kin_child_more(struct kmap_ep *ep);
void kmap_kin_forked(int pid);
void kmap_kin_born(void);
/* The parent has ended without a word. */
void kmap_kin_parent_less(struct kmap_ep *ep);
/* Around exec, which ends every other thread, but not the process: from here
 * on none of them is in the middle of judging who is dead. */
void kmap_kin_image(bool begins);
/*
 * exec failed: what kmap_kin_leave gave up, of a life that had this gen, is
 * held again. False: it was finished meanwhile, and may be another's by now.
 */
bool kmap_kin_again(struct kmap_ep *ep, uint32_t gen);

#endif
