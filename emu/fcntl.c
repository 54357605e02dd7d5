/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "call.h"
#include "family.h"

#include "stream.h"

int
kmap_fcntl(int fd, int cmd, void *arg)
{
	struct kmap_ent *e = kmap_fd_ent(fd);
	int r;

	if (kmap_fd_hidden(fd))
		return -EBADF;
	r = kmap_ret(kmap_real.fcntl(fd, cmd, arg));
	if (cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC)
		return kmap_duplicated(fd, r);
	if (r >= 0 && e != NULL && cmd == F_SETFL) {
		a_store(&e->ep->nonblock, ((long)arg & O_NONBLOCK) ? 1u : 0u);
		if ((long)arg & O_ASYNC)
			kmap_go_down(e, fd, KMAP_WHY_ASYNC);
	}
	return r;
}

/* The third argument is an int or a pointer: a word on every ABI of ours. */
KMAP_EXPORT int
fcntl(int fd, int cmd, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, cmd);
	arg = va_arg(ap, void *);
	va_end(ap);
	/* A process group is a negative result, and no error. */
	if (cmd == F_GETOWN)
		return kmap_real.fcntl(fd, cmd, arg);
	return kmap_errno(kmap_fcntl(fd, cmd, arg));
}
KMAP_SELF(fcntl);
KMAP_ALIAS_OF(fcntl64, fcntl);
KMAP_ALIAS_OF(__fcntl, fcntl);
