#include "config.h"

#include "call.h"
#include "family.h"

#include <netinet/in.h>
#include <linux/tcp.h>

#include "pair.h"
#include "stream.h"

int
kmap_getsockopt(int fd, int level, int name, void *val, socklen_t *len)
{
	struct kmap_ent *e = kmap_fd_ent(fd);
	int r = kmap_ret(kmap_real.getsockopt(fd, level, name, val, len));

	if (r == 0 && e != NULL && level == IPPROTO_TCP && name == TCP_INFO &&
		e->ep->link != NULL)
		kmap_tcp_info(e, val, *len);
	return r;
}

KMAP_EXPORT int
getsockopt(int fd, int level, int name, void *val, socklen_t *len)
{
	return kmap_errno(kmap_getsockopt(fd, level, name, val, len));
}
KMAP_SELF(getsockopt);

int
kmap_setsockopt(int fd, int level, int name, const void *val, socklen_t len)
{
	struct kmap_ent *e = kmap_fd_ent(fd);
	int r;

	if (kmap_fd_hidden(fd))
		return -EBADF;
	r = kmap_ret(kmap_real.setsockopt(fd, level, name, val, len));
	if (r != 0 || e == NULL)
		return r;
	if (level == SOL_SOCKET && (name == SO_RCVTIMEO ||
			name == SO_SNDTIMEO || name == SO_RCVLOWAT))
		kmap_ent_options(e, fd);
	else if (level == IPPROTO_TCP && name == TCP_INQ)
		kmap_ent_options(e, fd);
	else if (level == IPPROTO_TCP && name == TCP_ULP)
		/* Payloads of the kernel's own. */
		kmap_go_down(e, fd, KMAP_WHY_NO_CONSENT);
	return r;
}

KMAP_EXPORT int
setsockopt(int fd, int level, int name, const void *val, socklen_t len)
{
	return kmap_errno(kmap_setsockopt(fd, level, name, val, len));
}
KMAP_SELF(setsockopt);
