/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "keep.h"

#include "sys.h"

#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>

/* At the longest; a time-out of conntrack's that is shorter is asked for. */
#define IDLE_S 60
/* The most that tcp(7) allows: probes are there to be seen on the way, not to
 * end a connection that the program wants to last. */
#define PROBES 127

static const struct {
	int level, name;
} options[KMAP_KEEPS] = {
	[KMAP_KEEP_ON] = {SOL_SOCKET, SO_KEEPALIVE},
	[KMAP_KEEP_IDLE] = {IPPROTO_TCP, TCP_KEEPIDLE},
	[KMAP_KEEP_INTVL] = {IPPROTO_TCP, TCP_KEEPINTVL},
	[KMAP_KEEP_CNT] = {IPPROTO_TCP, TCP_KEEPCNT},
};

static int
which(int level, int name)
{
	for (int i = 0; i < KMAP_KEEPS; i++)
		if (options[i].level == level && options[i].name == name)
			return i;
	return -1;
}

static int
get(int fd, int i)
{
	int v = 0;
	socklen_t len = sizeof(v);

	kmap_sys_getsockopt(fd, options[i].level, options[i].name, &v, &len);
	return v;
}

static void
set(int fd, int i, int v)
{
	kmap_sys_setsockopt(
		fd, options[i].level, options[i].name, &v, sizeof(v));
}

/* Seconds of silence: a third of what this network namespace's conntrack
 * allows a connection, so that two probes may be lost. */
static int
idle(void)
{
	char buf[24];
	long fd, n = 0;
	int s = 0;

	fd = kmap_syscall(SYS_openat, AT_FDCWD,
		"/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established",
		O_RDONLY | O_CLOEXEC, 0, 0, 0);
	if (fd < 0)
		return IDLE_S;
	n = kmap_sys_read((int)fd, buf, sizeof(buf));
	kmap_sys_close((int)fd);
	for (long i = 0;
		i < n && buf[i] >= '0' && buf[i] <= '9' && s < 1000 * IDLE_S;
		i++)
		s = s * 10 + (buf[i] - '0');
	if (s == 0 || s / 3 > IDLE_S)
		return IDLE_S;
	return s < 6 ? 1 : s / 3;
}

/* A program that asked for probes has them at least as often as it said. */
static void
set_ours(const struct kmap_ep *ep, int fd)
{
	bool on = a_load(&ep->keep.val[KMAP_KEEP_ON]) != 0;
	int s = ep->keep.idle;

	for (int i = KMAP_KEEPS; i-- > 0;) {
		int v = (int)a_load(&ep->keep.val[i]);

		if (i == KMAP_KEEP_ON)
			v = 1;
		else if (i == KMAP_KEEP_CNT)
			v = on ? v : PROBES;
		else
			v = on && v < s ? v : s;
		set(fd, i, v);
	}
}

void
kmap_keep_begin(struct kmap_ep *ep, int fd)
{
	if (a_load(&ep->keep.ours))
		return;
	ep->keep.idle = idle();
	for (int i = 0; i < KMAP_KEEPS; i++)
		a_store(&ep->keep.val[i], (uint32_t)get(fd, i));
	a_store_rel(&ep->keep.ours, 1u);
	set_ours(ep, fd);
}

void
kmap_keep_end(struct kmap_ep *ep, int fd)
{
	if (kmap_likely(a_load(&ep->keep.ours) == 0))
		return;
	kmap_lock(&ep->lock);
	for (int i = 0; a_load(&ep->keep.ours) && i < KMAP_KEEPS; i++)
		set(fd, i, (int)a_load(&ep->keep.val[i]));
	a_store(&ep->keep.ours, 0u);
	kmap_unlock(&ep->lock);
}

void
kmap_keep_set(struct kmap_ep *ep, int fd, int level, int name)
{
	int i = which(level, name);

	if (i < 0 || kmap_likely(a_load(&ep->keep.ours) == 0))
		return;
	kmap_lock(&ep->lock);
	if (a_load(&ep->keep.ours)) {
		/* What the kernel made of it. */
		a_store(&ep->keep.val[i], (uint32_t)get(fd, i));
		set_ours(ep, fd);
	}
	kmap_unlock(&ep->lock);
}

bool
kmap_keep_get(const struct kmap_ep *ep, int level, int name, int *val)
{
	int i;

	if (kmap_likely(a_load_acq(&ep->keep.ours) == 0) ||
		(i = which(level, name)) < 0)
		return false;
	*val = (int)a_load(&ep->keep.val[i]);
	return true;
}
