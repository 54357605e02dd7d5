/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "call.h"
#include "family.h"

int
kmap_listen(int fd, int backlog)
{
	int r = kmap_ret(kmap_real.listen(kmap_fd_seen(fd), backlog));

	if (r == 0)
		kmap_listening(fd);
	return r;
}

KMAP_EXPORT int
listen(int fd, int backlog)
{
	return kmap_errno(kmap_listen(fd, backlog));
}
KMAP_SELF(listen);
