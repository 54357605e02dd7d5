/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Addresses in canonical form, and the name of a rendezvous. */
#ifndef KMAP_ADDR_H
#define KMAP_ADDR_H

#include "layout.h"

#include <netinet/in.h>
#include <sys/un.h>

/* IPv4 becomes v4-mapped; -EAFNOSUPPORT for another family. */
int kmap_addr_from(struct kmap_addr *a, const void *sa, socklen_t len);
bool kmap_addr_is_v4(const struct kmap_addr *a);

static inline bool
kmap_addr_eq(const struct kmap_addr *a, const struct kmap_addr *b)
{
	return __builtin_memcmp(a, b, sizeof(*a)) == 0;
}

/* The connector's own address and the destination as it sees it. `fd` is
 * the connector's or the acceptor's socket; behind a REDIRECT the acceptor
 * asks SO_ORIGINAL_DST. *translated: the acceptor saw an address translated. */
int kmap_tuple_of(struct kmap_tuple *t, int fd, int role, bool *translated);

/* The abstract AF_UNIX name of a tuple; returns the address's length. */
socklen_t kmap_tuple_name(const struct kmap_tuple *t, struct sockaddr_un *un);

/*
 * The uid that the kernel names as the owner of the socket whose own address
 * is `local` and whose peer is `remote`: by sock_diag, unprivileged, or where
 * that is forbidden by proc(5)'s net/tcp and net/tcp6.
 * -ENOENT: no such socket, or nobody has it (not accepted yet, closed);
 * another -errno: it cannot be asked.
 */
int64_t
kmap_owner_uid(const struct kmap_addr *local, const struct kmap_addr *remote);

/*
 * How many bytes lie unread at the socket whose own address is `local` and
 * whose peer is `remote`, accepted or not; -errno: it cannot be asked, or
 * nobody has it.
 */
int64_t
kmap_unread_at(const struct kmap_addr *local, const struct kmap_addr *remote);

/* The inode number of the socket that listens at `at`, which is its identity
 * while it lives; 0: none, or it cannot be asked. */
uint32_t kmap_listener(const struct kmap_addr *at);

#endif
