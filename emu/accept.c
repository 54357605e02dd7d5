/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "call.h"
#include "family.h"

static int
accepted(int listener, int fd)
{
	if (fd >= 0) {
		kmap_fd_born(fd);
		kmap_accepted(listener, fd);
	}
	return fd;
}

int
kmap_accept(int fd, struct sockaddr *addr, socklen_t *len)
{
	return accepted(
		fd, kmap_ret(kmap_real.accept(kmap_fd_seen(fd), addr, len)));
}

KMAP_EXPORT int
accept(int fd, struct sockaddr *addr, socklen_t *len)
{
	return kmap_errno(kmap_accept(fd, addr, len));
}
KMAP_SELF(accept);

int
kmap_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	return accepted(fd,
		kmap_ret(
			kmap_real.accept4(kmap_fd_seen(fd), addr, len, flags)));
}

KMAP_EXPORT int
accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	return kmap_errno(kmap_accept4(fd, addr, len, flags));
}
KMAP_SELF(accept4);
