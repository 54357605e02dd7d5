#include "config.h"

#include "call.h"
#include "family.h"

int
kmap_epoll_create(int size)
{
	return kmap_fd_born(kmap_ret(kmap_real.epoll_create(size)));
}

KMAP_EXPORT int
epoll_create(int size)
{
	return kmap_errno(kmap_epoll_create(size));
}
KMAP_SELF(epoll_create);

int
kmap_epoll_create1(int flags)
{
	return kmap_fd_born(kmap_ret(kmap_real.epoll_create1(flags)));
}

KMAP_EXPORT int
epoll_create1(int flags)
{
	return kmap_errno(kmap_epoll_create1(flags));
}
KMAP_SELF(epoll_create1);

int
kmap_epoll_ctl(int ep, int op, int fd, struct epoll_event *ev)
{
	return kmap_ret(kmap_real.epoll_ctl(ep, op, fd, ev));
}

KMAP_EXPORT int
epoll_ctl(int ep, int op, int fd, struct epoll_event *ev)
{
	return kmap_errno(kmap_epoll_ctl(ep, op, fd, ev));
}
KMAP_SELF(epoll_ctl);

int
kmap_epoll_wait(int ep, struct epoll_event *ev, int max, int timeout)
{
	return kmap_ret(kmap_real.epoll_wait(ep, ev, max, timeout));
}

KMAP_EXPORT int
epoll_wait(int ep, struct epoll_event *ev, int max, int timeout)
{
	return kmap_errno(kmap_epoll_wait(ep, ev, max, timeout));
}
KMAP_SELF(epoll_wait);

int
kmap_epoll_pwait(int ep, struct epoll_event *ev, int max, int timeout,
	const sigset_t *mask)
{
	return kmap_ret(kmap_real.epoll_pwait(ep, ev, max, timeout, mask));
}

KMAP_EXPORT int
epoll_pwait(int ep, struct epoll_event *ev, int max, int timeout,
	const sigset_t *mask)
{
	return kmap_errno(kmap_epoll_pwait(ep, ev, max, timeout, mask));
}
KMAP_SELF(epoll_pwait);

int
kmap_epoll_pwait2(int ep, struct epoll_event *ev, int max,
	const struct timespec *timeout, const sigset_t *mask)
{
	return kmap_ret(kmap_real.epoll_pwait2(ep, ev, max, timeout, mask));
}

KMAP_EXPORT int
epoll_pwait2(int ep, struct epoll_event *ev, int max,
	const struct timespec *timeout, const sigset_t *mask)
{
	return kmap_errno(kmap_epoll_pwait2(ep, ev, max, timeout, mask));
}
KMAP_SELF(epoll_pwait2);
