/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "call.h"
#include "family.h"

#include <string.h>
#include <sys/mman.h>

#include "env.h"
#include "sys.h"
#include "wait.h"

/*
 * select(2) with endpoints in its sets is one poll over the numbers that
 * stand in them; what each poll event means for which set is the kernel's
 * table (fs/select.c).
 */
#define IN_SET (POLLRDNORM | POLLRDBAND | POLLIN | POLLHUP | POLLERR)
#define OUT_SET (POLLWRBAND | POLLWRNORM | POLLOUT | POLLERR)
#define EX_SET POLLPRI

static bool
has(const fd_set *s, int fd)
{
	return s != NULL &&
		(((const unsigned long *)s)[fd / 64] >> (fd % 64) & 1);
}

static void
put(fd_set *s, int fd, bool on)
{
	unsigned long *w, bit = 1UL << (fd % 64);

	if (s == NULL)
		return;
	w = (unsigned long *)s + fd / 64;
	*w = on ? *w | bit : *w & ~bit;
}

static nfds_t
gather(struct pollfd *p, int n, fd_set *rd, fd_set *wr, fd_set *ex)
{
	nfds_t k = 0;

	for (int fd = 0; fd < n; fd++) {
		short ev =
			(has(rd, fd) ? POLLIN | POLLRDNORM | POLLRDBAND : 0) |
			(has(wr, fd) ? POLLOUT | POLLWRNORM | POLLWRBAND : 0) |
			(has(ex, fd) ? POLLPRI : 0);

		if (ev == 0)
			continue;
		if (p != NULL)
			p[k] = (struct pollfd){.fd = fd, .events = ev};
		k++;
	}
	return k;
}

static int
scatter(const struct pollfd *p, nfds_t k, fd_set *rd, fd_set *wr, fd_set *ex)
{
	int cnt = 0;

	for (nfds_t i = 0; i < k; i++) {
		bool r = has(rd, p[i].fd) && (p[i].revents & IN_SET);
		bool w = has(wr, p[i].fd) && (p[i].revents & OUT_SET);
		bool x = has(ex, p[i].fd) && (p[i].revents & EX_SET);

		put(rd, p[i].fd, r);
		put(wr, p[i].fd, w);
		put(ex, p[i].fd, x);
		cnt += r + w + x;
	}
	return cnt;
}

/* -ENOSYS: the kernel's business, and then kmap_polled_leave's. */
static int
emulate(int n, fd_set *rd, fd_set *wr, fd_set *ex, uint64_t deadline,
	const sigset_t *mask, unsigned int *mark)
{
	struct pollfd few[64], *p = few;
	nfds_t k = gather(NULL, n, rd, wr, ex);
	size_t size = k * sizeof(*p);
	int r = -ENOSYS;

	if (k > 64) {
		p = kmap_sys_mmap(size, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1);
		if (p == NULL)
			return -ENOSYS;
	}
	gather(p, n, rd, wr, ex);
	if (kmap_wait_concerns(p, k) ||
		(deadline != 1 && !kmap_polled_enter(p, k, true, mark))) {
		r = kmap_wait_fds(p, k, deadline, mask);
		for (nfds_t i = 0; r >= 0 && i < k; i++)
			if (p[i].revents & POLLNVAL)
				r = -EBADF;
		if (r >= 0)
			r = scatter(p, k, rd, wr, ex);
	}
	if (p != few)
		kmap_sys_munmap(p, size);
	return r;
}

static bool
possible(int n, fd_set *rd, fd_set *wr, fd_set *ex)
{
	size_t bytes = n > 0 ? (size_t)(n + 63) / 64 * 8 : 0;

	return kmap_conf.upgrade != KMAP_NEVER && n > 0 &&
		!kmap_vfork_child() &&
		(rd == NULL || kmap_probe((char *)rd + bytes - 1)) &&
		(wr == NULL || kmap_probe((char *)wr + bytes - 1)) &&
		(ex == NULL || kmap_probe((char *)ex + bytes - 1));
}

static uint64_t
deadline_ns(uint64_t now, int64_t sec, int64_t ns)
{
	if (sec == 0 && ns == 0)
		return 1;
	if ((uint64_t)sec >= 1000000000u)
		return 0;
	return now + (uint64_t)sec * 1000000000u + (uint64_t)ns;
}

/* Linux's select writes back what is left of the time. */
static void
time_left(struct timeval *t, uint64_t deadline)
{
	uint64_t now = kmap_now(), left;

	if (t == NULL || deadline == 0)
		return;
	left = deadline > now ? (deadline - now) / 1000 : 0;
	t->tv_sec = (time_t)(left / 1000000);
	t->tv_usec = (suseconds_t)(left % 1000000);
}

int
kmap_select(int n, fd_set *rd, fd_set *wr, fd_set *ex, struct timeval *timeout)
{
	unsigned int mark = KMAP_POLLED_NONE;
	uint64_t end = 0;
	int r;

	if (possible(n, rd, wr, ex) &&
		(timeout == NULL ||
			(timeout->tv_sec >= 0 && timeout->tv_usec >= 0))) {
		if (timeout != NULL)
			end = deadline_ns(kmap_now(), timeout->tv_sec,
				timeout->tv_usec * 1000);
		r = emulate(n, rd, wr, ex, end, NULL, &mark);
		if (r != -ENOSYS) {
			time_left(timeout, end);
			return r;
		}
	}
	r = kmap_ret(kmap_real.select(n, rd, wr, ex, timeout));
	kmap_polled_leave(mark);
	return r;
}

KMAP_EXPORT int
select(int n, fd_set *rd, fd_set *wr, fd_set *ex, struct timeval *timeout)
{
	return kmap_errno(kmap_select(n, rd, wr, ex, timeout));
}
KMAP_SELF(select);
KMAP_ALIAS_OF(__select, select);

int
kmap_pselect(int n, fd_set *rd, fd_set *wr, fd_set *ex,
	const struct timespec *timeout, const sigset_t *mask)
{
	unsigned int mark = KMAP_POLLED_NONE;
	uint64_t end = 0;
	int r;

	if (possible(n, rd, wr, ex) &&
		(timeout == NULL ||
			(timeout->tv_sec >= 0 &&
				(unsigned long)timeout->tv_nsec <
					1000000000))) {
		if (timeout != NULL)
			end = deadline_ns(
				kmap_now(), timeout->tv_sec, timeout->tv_nsec);
		r = emulate(n, rd, wr, ex, end, mask, &mark);
		if (r != -ENOSYS)
			return r;
	}
	r = kmap_ret(kmap_real.pselect(n, rd, wr, ex, timeout, mask));
	kmap_polled_leave(mark);
	return r;
}

KMAP_EXPORT int
pselect(int n, fd_set *rd, fd_set *wr, fd_set *ex,
	const struct timespec *timeout, const sigset_t *mask)
{
	return kmap_errno(kmap_pselect(n, rd, wr, ex, timeout, mask));
}
KMAP_SELF(pselect);
