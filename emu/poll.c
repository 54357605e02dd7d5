#include "config.h"

#include "call.h"
#include "family.h"

int
kmap_poll(struct pollfd *fds, nfds_t n, int timeout)
{
	return kmap_ret(kmap_real.poll(fds, n, timeout));
}

KMAP_EXPORT int
poll(struct pollfd *fds, nfds_t n, int timeout)
{
	return kmap_errno(kmap_poll(fds, n, timeout));
}
KMAP_SELF(poll);
KMAP_ALIAS_OF(__poll, poll);

int
kmap_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout,
	const sigset_t *mask)
{
	return kmap_ret(kmap_real.ppoll(fds, n, timeout, mask));
}

KMAP_EXPORT int
ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout,
	const sigset_t *mask)
{
	return kmap_errno(kmap_ppoll(fds, n, timeout, mask));
}
KMAP_SELF(ppoll);

/* FORTIFY: size is what the compiler knows of the array, in bytes. */
KMAP_EXPORT int
__poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t size)
{
	if (size / sizeof(*fds) < n)
		__chk_fail();
	return kmap_errno(kmap_poll(fds, n, timeout));
}

KMAP_EXPORT int
__ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout,
	const sigset_t *mask, size_t size)
{
	if (size / sizeof(*fds) < n)
		__chk_fail();
	return kmap_errno(kmap_ppoll(fds, n, timeout, mask));
}
