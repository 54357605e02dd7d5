/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "call.h"
#include "family.h"

#include <linux/sockios.h>

#include "stream.h"

int
kmap_ioctl(int fd, unsigned long req, void *arg)
{
	struct kmap_ent *e = kmap_fd_ent(fd);
	int r;

	if (kmap_fd_hidden(fd))
		return -EBADF;
	if (e == NULL || kmap_vfork_child())
		return kmap_ret(kmap_real.ioctl(fd, req, arg));
	r = kmap_ret(kmap_real.ioctl(fd, req, arg));
	if (r < 0)
		return r;
	if (req == FIONBIO)
		a_store(&e->ep->nonblock, *(int *)arg != 0 ? 1u : 0u);
	else if (req == FIOASYNC && *(int *)arg != 0)
		kmap_go_down(e, fd, KMAP_WHY_ASYNC);
	/* Urgent data comes by TCP, behind what the ring still has. */
	else if (req == SIOCATMARK && kmap_rx_queued(e, 0) > 0)
		*(int *)arg = 0;
	else if (req == FIONREAD)
		*(int *)arg = kmap_rx_queued(e, *(int *)arg);
	else if (req == SIOCOUTQ)
		*(int *)arg = kmap_tx_queued(e, *(int *)arg);
	return r;
}

KMAP_EXPORT int
ioctl(int fd, unsigned long req, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, req);
	arg = va_arg(ap, void *);
	va_end(ap);
	return kmap_errno(kmap_ioctl(fd, req, arg));
}
KMAP_SELF(ioctl);
