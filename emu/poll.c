/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "call.h"
#include "family.h"

#include "env.h"
#include "sys.h"
#include "wait.h"

/* The deadline of kmap_wait_fds; 1: do not wait. */
static uint64_t
deadline(const struct timespec *t)
{
	uint64_t now;

	if (t == NULL)
		return 0;
	if (t->tv_sec == 0 && t->tv_nsec == 0)
		return 1;
	now = kmap_now();
	if ((uint64_t)t->tv_sec >= (UINT64_MAX - now) / 1000000000u - 1)
		return 0;
	return now + (uint64_t)t->tv_sec * 1000000000u + t->tv_nsec;
}

/* Whether some of it may have to be answered from user space. What the kernel
 * refuses as a whole is left to it. */
static bool
possible(struct pollfd *fds, nfds_t n)
{
	return kmap_conf.upgrade != KMAP_NEVER && n > 0 &&
		n <= KMAP_FD_CHUNK * KMAP_FD_CHUNKS && kmap_probe(fds) &&
		kmap_probe((char *)(fds + n) - 1) && !kmap_vfork_child();
}

int
kmap_poll(struct pollfd *fds, nfds_t n, int timeout)
{
	struct timespec t = {timeout / 1000, timeout % 1000 * 1000000L};
	unsigned int mark = KMAP_POLLED_NONE;
	bool may = possible(fds, n);
	int r;

	if (may &&
		(kmap_wait_concerns(fds, n) ||
			(timeout != 0 &&
				!kmap_polled_enter(fds, n, true, &mark))))
		return kmap_wait_fds(
			fds, n, deadline(timeout < 0 ? NULL : &t), NULL);
	r = kmap_ret(kmap_real.poll(fds, n, timeout));
	kmap_polled_leave(mark);
	return r;
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
	bool may = possible(fds, n) &&
		(timeout == NULL ||
			(timeout->tv_sec >= 0 &&
				(unsigned long)timeout->tv_nsec < 1000000000));
	unsigned int mark = KMAP_POLLED_NONE;
	int r;

	if (may &&
		(kmap_wait_concerns(fds, n) ||
			!kmap_polled_enter(fds, n, true, &mark)))
		return kmap_wait_fds(fds, n, deadline(timeout), mask);
	r = kmap_ret(kmap_real.ppoll(fds, n, timeout, mask));
	kmap_polled_leave(mark);
	return r;
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
