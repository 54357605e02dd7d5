#include "config.h"

#include "call.h"
#include "family.h"

#include "stream.h"

int
kmap_shutdown(int fd, int how)
{
	struct kmap_ent *e = kmap_fd_ent(fd);

	if (e != NULL && (how == SHUT_WR || how == SHUT_RDWR) &&
		!kmap_vfork_child())
		kmap_tx_finish(e);
	return kmap_ret(kmap_real.shutdown(fd, how));
}

KMAP_EXPORT int
shutdown(int fd, int how)
{
	return kmap_errno(kmap_shutdown(fd, how));
}
KMAP_SELF(shutdown);
