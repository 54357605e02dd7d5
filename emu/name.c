/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "call.h"
#include "family.h"

int
kmap_getsockname(int fd, struct sockaddr *addr, socklen_t *len)
{
	return kmap_ret(kmap_real.getsockname(kmap_fd_seen(fd), addr, len));
}

KMAP_EXPORT int
getsockname(int fd, struct sockaddr *addr, socklen_t *len)
{
	return kmap_errno(kmap_getsockname(fd, addr, len));
}
KMAP_SELF(getsockname);

int
kmap_getpeername(int fd, struct sockaddr *addr, socklen_t *len)
{
	return kmap_ret(kmap_real.getpeername(kmap_fd_seen(fd), addr, len));
}

KMAP_EXPORT int
getpeername(int fd, struct sockaddr *addr, socklen_t *len)
{
	return kmap_errno(kmap_getpeername(fd, addr, len));
}
KMAP_SELF(getpeername);
