/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "call.h"
#include "family.h"

int
kmap_socket(int domain, int type, int protocol)
{
	return kmap_fd_born(kmap_ret(kmap_real.socket(domain, type, protocol)));
}

KMAP_EXPORT int
socket(int domain, int type, int protocol)
{
	return kmap_errno(kmap_socket(domain, type, protocol));
}
KMAP_SELF(socket);

int
kmap_socketpair(int domain, int type, int protocol, int *sv)
{
	int r = kmap_ret(kmap_real.socketpair(domain, type, protocol, sv));

	if (r == 0) {
		kmap_fd_born(sv[0]);
		kmap_fd_born(sv[1]);
	}
	return r;
}

KMAP_EXPORT int
socketpair(int domain, int type, int protocol, int sv[2])
{
	return kmap_errno(kmap_socketpair(domain, type, protocol, sv));
}
KMAP_SELF(socketpair);
