/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "call.h"
#include "family.h"

#include <linux/sockios.h>

/*
 * Calls that work on an endpoint inside libc or in another process, where
 * no hook stands. What the kernel refuses on a socket by itself (pread,
 * lseek, …) needs no wrapper: the app fd is the socket.
 */

/* sockatmark(3) asks SIOCATMARK inside libc. */
KMAP_EXPORT int
sockatmark(int fd)
{
	int mark = 0, r = kmap_ioctl(fd, SIOCATMARK, &mark);

	return r < 0 ? kmap_errno(r) : mark;
}

/* aio(7): a thread of libc reads and writes, on a socket without offset. */
KMAP_EXPORT int
aio_read(struct aiocb *cb)
{
	int r = cb ? kmap_fd_unseen(cb->aio_fildes, KMAP_aio_read) : 0;

	return r ? kmap_errno(r) : kmap_real.aio_read(cb);
}

KMAP_EXPORT int
aio_write(struct aiocb *cb)
{
	int r = cb ? kmap_fd_unseen(cb->aio_fildes, KMAP_aio_write) : 0;

	return r ? kmap_errno(r) : kmap_real.aio_write(cb);
}

KMAP_EXPORT int
lio_listio(int mode, struct aiocb *const list[], int n, struct sigevent *sev)
{
	for (int i = 0; list && i < n; i++) {
		int r = list[i]
			? kmap_fd_unseen(list[i]->aio_fildes, KMAP_lio_listio)
			: 0;

		if (r)
			return kmap_errno(r);
	}
	return kmap_real.lio_listio(mode, list, n, sev);
}

KMAP_ALIAS_64(aio_read64, aio_read);
KMAP_ALIAS_64(aio_write64, aio_write);
KMAP_ALIAS_64(lio_listio64, lio_listio);

/* An fd of another process, from its inside: nobody there can be asked. */
KMAP_EXPORT int
pidfd_getfd(int pidfd, int fd, unsigned int flags)
{
	int r = kmap_ret(kmap_real.pidfd_getfd(kmap_fd_seen(pidfd), fd, flags));

	if (r >= 0)
		kmap_fd_passed_in(r);
	return kmap_errno(r);
}
KMAP_SELF(pidfd_getfd);
