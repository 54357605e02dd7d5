/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "call.h"
#include "family.h"

int
kmap_bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	return kmap_ret(kmap_real.bind(kmap_fd_seen(fd), addr, len));
}

KMAP_EXPORT int
bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	return kmap_errno(kmap_bind(fd, addr, len));
}
KMAP_SELF(bind);
