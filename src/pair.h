/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How the two ends of a connection find each other, without a daemon and
 * without anybody waiting (doc/PROTOCOL.md, "Rendezvous"): by an abstract
 * AF_UNIX name made of the connection's own addresses, and, once two
 * processes share a link, by an announcement in its memory.
 */
#ifndef KMAP_PAIR_H
#define KMAP_PAIR_H

#include "fdtab.h"

/*
 * Called on the kernel path of an endpoint's calls: makes the next step when
 * it is due. Never blocks; a connection that did not earn it pays one
 * comparison. fd is a live number of the endpoint.
 */
void kmap_pair_tick(struct kmap_ent *e, int fd);
/* Pairs what kmap_pair_claimed was true of. A set's lock may be held, which an
 * endpoint's comes before: the endpoint's is only tried, and whatever the peer
 * writes meanwhile, no set is looked at. */
void kmap_pair_take_claimed(struct kmap_ent *e, int fd);
/* Publishes consent to receive by the ring if nothing stands against it. */
void kmap_consent_try(struct kmap_ent *e, int fd);
/* The endpoint's waiting went through the wrappers: it may consent. */
void kmap_pair_wait_seen(struct kmap_ent *e, int fd);
/* Within one long call: looks whether an offer was taken, without counting as
 * one of the calls after which it is taken back. */
void kmap_pair_look(struct kmap_ent *e, int fd);
/* Before the close: a greeting that came meanwhile is too late for this
 * connection, but brings a link for the next ones. */
void kmap_pair_look_last(struct kmap_ent *e, int fd);
/* Whether an acceptor has claimed one of the endpoint's offers: loads only. */
bool kmap_pair_claimed(const struct kmap_ent *e);
/* Whether a long send may yet meet the peer: until more went by TCP than
 * sockets hold, so that a peer with the library has looked. */
bool kmap_pair_hopes(const struct kmap_ent *e);
/*
 * The endpoint's offers are no longer open: one that was claimed is paired,
 * the others are taken back. Before anything that leaves the ring's way or
 * makes a second holder: a claimed one may carry consent.
 */
void kmap_pair_settle(struct kmap_ent *e, int fd);
/*
 * This process is about to let go of the endpoint: it has no name, no offer and
 * no slot of a link any more, and is not paired. Once it has let go, as the
 * last one kmap_pair_end gives the slot back; then kmap_pair_unlink.
 */
void kmap_pair_close(struct kmap_ent *e);
void kmap_pair_end(struct kmap_ent *e);
void kmap_pair_unlink(struct kmap_ent *e);
/* All that held the endpoint were killed: its slot is let go for them. */
void kmap_pair_orphan(struct kmap_ep *ep);
/* KMAP_WHY_NONE: both directions were on rings; else the reason. */
enum kmap_why kmap_pair_verdict(const struct kmap_ent *e);
/* In the child of a fork: the names that pend are the parent's. */
void kmap_pair_forked(void);
/* No pairing any more in this process. */
void kmap_pair_stop(enum kmap_why why);

/*
 * Set by emu: the epoll registrations of the endpoint are made ready for
 * readiness from user space. False: they cannot be.
 */
extern bool (*kmap_consent_hook)(struct kmap_ent *e);
/* Set by emu: a wrapped epoll_wait was seen on a set that has it. */
extern bool (*kmap_seen_hook)(struct kmap_ent *e);
/* Reads SO_RCVTIMEO, SO_SNDTIMEO, SO_RCVLOWAT and O_NONBLOCK anew. */
void kmap_ent_options(struct kmap_ent *e, int fd);

#endif
