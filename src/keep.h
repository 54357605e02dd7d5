/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A carrier behind an address translation is kept alive while its bytes go by
 * the rings: a firewall that has seen no packet for its time-out forgets the
 * translation, and then neither a FIN nor a byte of TCP finds its way any
 * more. The probes are the kernel's (tcp(7), SO_KEEPALIVE); the program's own
 * values of the four options stay in side state, and are what it is told.
 */
#ifndef KMAP_KEEP_H
#define KMAP_KEEP_H

#include "ep.h"

/* From now on probes go out. ep->lock is held. */
void kmap_keep_begin(struct kmap_ep *ep, int fd);
/* The program's own values stand again: it left the rings for good. */
void kmap_keep_end(struct kmap_ep *ep, int fd);
/* A setsockopt of the program succeeded: notes its value, and sets ours. */
void kmap_keep_set(struct kmap_ep *ep, int fd, int level, int name);
/* What getsockopt has to say; false: what the kernel says. */
bool kmap_keep_get(const struct kmap_ep *ep, int level, int name, int *val);

#endif
