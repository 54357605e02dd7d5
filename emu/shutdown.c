/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "call.h"
#include "family.h"

#include "stream.h"

int
kmap_shutdown(int fd, int how)
{
	struct kmap_ent *e = kmap_fd_ent(fd);

	if (e == NULL || kmap_vfork_child())
		return kmap_ret(kmap_real.shutdown(kmap_fd_seen(fd), how));
	if (how == SHUT_WR || how == SHUT_RDWR)
		kmap_tx_finish(e);
	/* From here on the carrier is asked beside the ring: RDHUP. */
	if (how == SHUT_RD || how == SHUT_RDWR)
		e->ep->rx.shut = true;
	return kmap_ret(kmap_real.shutdown(kmap_fd_seen(fd), how));
}

KMAP_EXPORT int
shutdown(int fd, int how)
{
	return kmap_errno(kmap_shutdown(fd, how));
}
KMAP_SELF(shutdown);
