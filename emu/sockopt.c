/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "call.h"
#include "family.h"

#include <netinet/in.h>
#include <linux/tcp.h>

#include "keep.h"
#include "pair.h"
#include "stream.h"

/* An error that only the library knows is told once, as the kernel's. */
static void
add_pending(struct kmap_ent *e, void *val, socklen_t len)
{
	int v = 0;

	len = len < sizeof(v) ? len : sizeof(v);
	if (kmap_copy(&v, val, len) != 0 || kmap_ep_tell(e->ep, -v) != 0 ||
		a_load(&e->ep->pending) == 0)
		return;
	v = -(int)kmap_ep_tell(e->ep, kmap_ep_error(e->ep));
	kmap_copy(val, &v, len);
}

/*
 * SO_PEEK_OFF: the kernel moves its offset with each peek, and knows nothing
 * of the ring. An endpoint that may be on its ring leaves it; another does
 * not consent while the option is set.
 */
static void
peek_off(struct kmap_ent *e, int fd, const void *val)
{
	int v = -1;

	if (kmap_copy(&v, val, sizeof(v)) != 0)
		return;
	a_store(&e->ep->peek_off, v >= 0 ? 1u : 0u);
	if (v >= 0 && (e->preconsent || a_load(&e->ep->rx.consented)))
		kmap_go_down(e, fd, KMAP_WHY_NO_CONSENT);
}

int
kmap_getsockopt(int fd, int level, int name, void *val, socklen_t *len)
{
	struct kmap_ent *e = kmap_fd_ent(fd);
	int r = kmap_ret(kmap_real.getsockopt(
		    kmap_fd_seen(fd), level, name, val, len)),
	    v;

	if (r != 0 || e == NULL)
		return r;
	if (kmap_unlikely(kmap_keep_get(e->ep, level, name, &v)))
		/* The kernel's probes are by our will: not the program's. */
		kmap_copy(val, &v, kmap_umin((size_t)*len, sizeof(v)));
	else if (level == IPPROTO_TCP && name == TCP_INFO &&
		e->ep->link != NULL)
		kmap_tcp_info(e, val, *len);
	else if (level == SOL_SOCKET && name == SO_ERROR)
		add_pending(e, val, *len);
	else if (level == SOL_SOCKET && name == SO_RCVLOWAT &&
		kmap_unlikely(e->ep->rx.lowat_bent))
		kmap_copy(val, &e->ep->rcvlowat,
			*len < sizeof(int) ? *len : sizeof(int));
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
	kmap_keep_set(e->ep, fd, level, name);
	if (level == SOL_SOCKET && name == SO_RCVLOWAT)
		e->ep->rx.lowat_bent = false;
	if (level == SOL_SOCKET &&
		(name == SO_RCVTIMEO || name == SO_SNDTIMEO ||
			name == SO_RCVLOWAT))
		kmap_ent_options(e, fd);
	else if (level == IPPROTO_TCP && name == TCP_INQ)
		kmap_ent_options(e, fd);
	else if (level == SOL_SOCKET && name == SO_PEEK_OFF)
		peek_off(e, fd, val);
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
