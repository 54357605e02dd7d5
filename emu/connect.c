/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "call.h"
#include "family.h"

int
kmap_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	int r = kmap_ret(kmap_real.connect(kmap_fd_seen(fd), addr, len));
	int family = AF_UNSPEC;

	if ((r == 0 || r == -EINPROGRESS || r == -EINTR) &&
		len >= sizeof(addr->sa_family))
		family = addr->sa_family;
	if (family == AF_INET || family == AF_INET6)
		kmap_connected(fd, addr, len);
	else if (r == 0)
		/* AF_UNSPEC dissolves the connection. */
		kmap_fd_closing(fd);
	return r;
}

KMAP_EXPORT int
connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	return kmap_errno(kmap_connect(fd, addr, len));
}
KMAP_SELF(connect);
KMAP_ALIAS_OF(__connect, connect);
