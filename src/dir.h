/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One direction's way between TCP and its ring (doc/PROTOCOL.md, "Records";
 * doc/model/switch.pml).
 *
 * The sender publishes records, alternately up ("N bytes went by TCP, what
 * follows is on the ring") and down ("N ring bytes, then TCP again"). At most
 * one of each is outstanding, because a sender goes up only after the
 * receiver passed every earlier record.
 */
#ifndef KMAP_DIR_H
#define KMAP_DIR_H

#include "ep.h"

/* ---- the sender; tx.lock held ---- */

/* Whether the direction may go up now: consent, every record passed, nobody
 * of ours in a kernel send, not barred. Cheap: no system call. */
bool kmap_dir_may_up(struct kmap_ep *ep);
/* 0 once on the ring; -EAGAIN: not now; another -errno: barred. */
int kmap_dir_up(struct kmap_ep *ep, int fd);
/* Back to TCP at the tail; never waits, cannot fail. */
void kmap_dir_down(struct kmap_ep *ep);
/* The receiver froze its head: takes the direction down at that head and
 * notes the bytes owed by TCP. */
void kmap_dir_bounce(struct kmap_ep *ep);
/* Sends what a bounce still owes. 0 when nothing is left, -EAGAIN. */
int kmap_dir_repay(struct kmap_ep *ep, int fd);

/* ---- the receiver; rx.lock held ---- */

/* The gate is closed and nobody is in the kernel: counts the TCP bytes that
 * were read. -EAGAIN: not now. */
int kmap_dir_count(struct kmap_ep *ep, int fd);
/* The same, and publishes consent. */
int kmap_dir_consent(struct kmap_ep *ep, int fd);
/* Passes the records that are due. 1: the path changed; 0: none is due;
 * -EPROTO: impossible record. */
int kmap_dir_pass(struct kmap_ep *ep);
/*
 * How many bytes a kernel read of a consented direction may take: asks
 * SIOCINQ first, then looks at the records. *pending says whether a record
 * limits it. The first rule of the order of bytes: without it a read takes
 * bytes from behind the ring.
 */
int64_t kmap_dir_tcp_cap(struct kmap_ep *ep, int fd, bool *pending);
/* Leaves the ring at once and asks the sender for the unread bytes by TCP.
 * -EBUSY: the sender is on its way down; the ring has to be read to its end. */
int kmap_dir_freeze(struct kmap_ep *ep);

#endif
