/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "tracer.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>

#define MAX_IOV 16
#define MAX_POLL 64

/*
 * Page by page: process_vm_readv gives up a whole slice of its vector when
 * its end cannot be read.
 */
size_t
peek(pid_t tid, uint64_t addr, void *to, size_t n)
{
	size_t got = 0;

	while (got < n) {
		size_t k = 4096 - (addr + got) % 4096;
		struct iovec l, r;
		ssize_t rc;

		if (k > n - got)
			k = n - got;
		l = (struct iovec){(char *)to + got, k};
		r = (struct iovec){(void *)(uintptr_t)(addr + got), k};
		rc = process_vm_readv(tid, &l, 1, &r, 1, 0);
		if (rc <= 0)
			break;
		got += rc;
	}
	return got;
}

unsigned
peek_nargs(int nr)
{
	switch (nr) {
	case SYS_sendto:
	case SYS_recvfrom:
	case SYS_pselect6:
	case SYS_splice:
	case SYS_copy_file_range:
	case SYS_preadv2:
	case SYS_pwritev2:
	case SYS_epoll_pwait2:
	case SYS_io_uring_enter:
		return nr == SYS_epoll_pwait2 ? 5 : 6;
	case SYS_setsockopt:
	case SYS_getsockopt:
	case SYS_recvmmsg:
	case SYS_epoll_pwait:
#ifdef SYS_poll
	case SYS_select:
#endif
		return 5;
	case SYS_socketpair:
	case SYS_accept4:
	case SYS_sendmmsg:
	case SYS_sendfile:
	case SYS_tee:
	case SYS_vmsplice:
	case SYS_ppoll:
	case SYS_epoll_ctl:
	case SYS_io_uring_register:
#ifdef SYS_poll
	case SYS_epoll_wait:
#endif
		return 4;
	case SYS_listen:
	case SYS_shutdown:
	case SYS_eventfd2:
	case SYS_timerfd_create:
	case SYS_pipe2:
	case SYS_io_uring_setup:
#ifdef SYS_poll
	case SYS_dup2:
#endif
		return 2;
	case SYS_close:
	case SYS_dup:
	case SYS_epoll_create1:
#ifdef SYS_poll
	case SYS_epoll_create:
	case SYS_pipe:
	case SYS_eventfd:
#endif
		return 1;
	}
	return 3;
}

static void
unix_address(char *text, const struct sockaddr_un *un, size_t len)
{
	size_t n = len - offsetof(struct sockaddr_un, sun_path), at = 0;

	if (len <= offsetof(struct sockaddr_un, sun_path))
		return; /* unnamed */
	for (size_t i = 0; i < n && at < 110; i++) {
		unsigned char c = un->sun_path[i];

		/* "@": abstract; other names end at a zero byte. */
		if (!c && i)
			break;
		text[at++] = !c ? '@' : c < 0x20 || c == 0x7f ? '?' : c;
	}
	text[at] = 0;
}

void
peek_address(char *text, const void *sa, size_t len)
{
	const struct sockaddr_in6 *in6 = sa;
	const struct sockaddr_in *in = sa;
	char ip[INET6_ADDRSTRLEN] = "";
	sa_family_t family = AF_UNSPEC;

	text[0] = 0;
	if (len >= sizeof(family))
		memcpy(&family, sa, sizeof(family));
	if (family == AF_UNIX) {
		unix_address(text, sa,
			len < sizeof(struct sockaddr_un)
				? len
				: sizeof(struct sockaddr_un));
	} else if (family == AF_INET && len >= sizeof(*in)) {
		inet_ntop(AF_INET, &in->sin_addr, ip, sizeof(ip));
		snprintf(text, 112, "%s:%u", ip, ntohs(in->sin_port));
	} else if (family == AF_INET6 && len >= sizeof(*in6)) {
		bool v4 = IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr);

		inet_ntop(v4 ? AF_INET : AF_INET6,
			in6->sin6_addr.s6_addr + (v4 ? 12 : 0), ip, sizeof(ip));
		snprintf(text, 112, v4 ? "%s:%u" : "[%s]:%u", ip,
			ntohs(in6->sin6_port));
	}
}

static unsigned
add(unsigned type, unsigned arg, const void *data, size_t len)
{
	struct wire_item it = {.type = type, .arg = arg, .len = len};

	tracer_add(&it, sizeof(it));
	tracer_add(data, len);
	return 1;
}

static unsigned
address(struct tracee *t, unsigned arg, uint64_t at, size_t len)
{
	char text[112];
	struct sockaddr_storage sa = {0};

	if (!at || len > sizeof(sa))
		len = at ? sizeof(sa) : 0;
	len = peek(t->tid, at, &sa, len);
	if (!len)
		return 0;
	peek_address(text, &sa, len);
	return add(TRACE_ITEM_ADDR, arg, text, strlen(text) + 1);
}

/* The address and its length both came from the kernel. */
static unsigned
address_out(struct tracee *t, unsigned arg, uint64_t at, uint64_t len_at)
{
	socklen_t len;

	if (!at || peek(t->tid, len_at, &len, sizeof(len)) < sizeof(len))
		return 0;
	return address(t, arg, at, len);
}

static unsigned
data(struct tracee *t, unsigned arg, uint64_t at, uint64_t len)
{
	char buf[1024];
	size_t n = len < tracer.data ? len : tracer.data;

	if (n > sizeof(buf))
		n = sizeof(buf);
	n = peek(t->tid, at, buf, n);
	return n ? add(TRACE_ITEM_DATA, arg, buf, n) : 0;
}

/* The lengths of the slices, and the first `moved` bytes that they hold. */
static unsigned
slices(struct tracee *t, unsigned arg, uint64_t at, uint64_t n, int64_t moved)
{
	uint64_t lens[MAX_IOV];
	struct iovec iov[MAX_IOV];
	char buf[1024];
	size_t got = 0, room = tracer.data < 1024 ? tracer.data : 1024;
	unsigned items;

	if (n > MAX_IOV)
		n = MAX_IOV;
	n = peek(t->tid, at, iov, n * sizeof(*iov)) / sizeof(*iov);
	if (!n)
		return 0;
	for (size_t i = 0; i < n; i++)
		lens[i] = iov[i].iov_len;
	items = add(TRACE_ITEM_IOV, arg, lens, n * sizeof(*lens));
	if (moved >= 0 && (size_t)moved < room)
		room = moved;
	for (size_t i = 0; i < n && got < room && moved > 0; i++) {
		size_t k = iov[i].iov_len < room - got ? iov[i].iov_len
						       : room - got;

		got += peek(t->tid, (uintptr_t)iov[i].iov_base, buf + got, k);
	}
	if (got)
		items += add(TRACE_ITEM_DATA, arg, buf, got);
	return items;
}

size_t
peek_passed(struct tracee *t, uint64_t msg, int *fds)
{
	char buf[CMSG_SPACE(PEEK_FDS * sizeof(int)) + 256];
	size_t off = 0, len;
	struct msghdr m;

	if (peek(t->tid, msg, &m, sizeof(m)) < sizeof(m) || !m.msg_control)
		return 0;
	len = m.msg_controllen < sizeof(buf) ? m.msg_controllen : sizeof(buf);
	len = peek(t->tid, (uintptr_t)m.msg_control, buf, len);
	while (len - off >= sizeof(struct cmsghdr)) {
		struct cmsghdr c;

		memcpy(&c, buf + off, sizeof(c));
		if (c.cmsg_len < CMSG_LEN(0) || c.cmsg_len > len - off)
			break;
		if (c.cmsg_level == SOL_SOCKET && c.cmsg_type == SCM_RIGHTS) {
			size_t n = (c.cmsg_len - CMSG_LEN(0)) / sizeof(*fds);

			n = n < PEEK_FDS ? n : PEEK_FDS;
			memcpy(fds, buf + off + CMSG_LEN(0), n * sizeof(*fds));
			return n;
		}
		off += CMSG_ALIGN(c.cmsg_len);
		if (off > len)
			break;
	}
	return 0;
}

static unsigned
message(struct tracee *t, unsigned arg, uint64_t at, int64_t moved, bool in)
{
	int fds[PEEK_FDS];
	struct msghdr m;
	unsigned items = 0;
	size_t n;

	if (peek(t->tid, at, &m, sizeof(m)) < sizeof(m))
		return 0;
	if (m.msg_name && m.msg_namelen && (moved >= 0 || !in))
		items += address(t, arg, (uintptr_t)m.msg_name, m.msg_namelen);
	items += slices(t, arg, (uintptr_t)m.msg_iov, m.msg_iovlen, moved);
	n = moved >= 0 || !in ? peek_passed(t, at, fds) : 0;
	if (n)
		items += add(TRACE_ITEM_FDS, arg, fds, n * sizeof(*fds));
	return items;
}

static void
fill(struct tracee *t, struct trace_poll *p, int fd)
{
	struct tfd *f = fd < 0 ? NULL : fds_get(t->image, fd);

	p->fd = fd;
	if (!f)
		return;
	/* Announced already, where it is one: see poll_endpoints. */
	p->ep = f->ep;
	p->kind = f->kind - 1;
}

static unsigned
poll_set(struct tracee *t, uint64_t at, uint64_t n, bool out)
{
	struct trace_poll l[MAX_POLL] = {0};
	struct pollfd p[MAX_POLL];

	n = n > MAX_POLL ? MAX_POLL : n;
	n = peek(t->tid, at, p, n * sizeof(*p)) / sizeof(*p);
	for (size_t i = 0; i < n; i++) {
		fill(t, &l[i], p[i].fd);
		l[i].events = (uint16_t)p[i].events;
		l[i].revents = out ? (uint16_t)p[i].revents : 0;
	}
	return n ? add(TRACE_ITEM_POLL, 0, l, n * sizeof(*l)) : 0;
}

static const unsigned select_bits[] = {0, POLLIN, POLLOUT, POLLPRI};

static void
read_sets(struct tracee *t, const uint64_t *args, unsigned char (*sets)[128])
{
	size_t n = args[0] < 1024 ? args[0] : 1024;

	memset(sets, 0, 3 * 128);
	for (int k = 1; k <= 3; k++)
		if (args[k])
			peek(t->tid, args[k], sets[k - 1], (n + 63) / 64 * 8);
}

/* select writes its answer over the question: asked for at the entry. */
void
peek_sets(struct tracee *t, struct tcall *c)
{
	unsigned char sets[3][128];

	read_sets(t, c->args, sets);
	c->nsets = 0;
	for (int fd = 0; fd < 1024 && c->nsets < MAX_POLL; fd++) {
		struct trace_poll p = {0};

		for (int k = 1; k <= 3; k++)
			if (sets[k - 1][fd / 8] & 1 << fd % 8)
				p.events |= select_bits[k];
		if (!p.events)
			continue;
		fill(t, &p, fd);
		c->sets[c->nsets++] = p;
	}
}

static unsigned
select_set(struct tracee *t, struct tcall *c, int64_t ret)
{
	unsigned char sets[3][128];

	if (!c->nsets)
		return 0;
	read_sets(t, c->args, sets);
	for (size_t i = 0; i < c->nsets && ret > 0; i++) {
		struct trace_poll *p = &c->sets[i];

		for (int k = 1; k <= 3; k++)
			if (sets[k - 1][p->fd / 8] & 1 << p->fd % 8)
				p->revents |= select_bits[k];
	}
	return add(TRACE_ITEM_POLL, 0, c->sets, c->nsets * sizeof(*c->sets));
}

static unsigned
epoll_one(struct tracee *t, const uint64_t *args)
{
	struct epoll_event ev;
	struct trace_poll p = {0};

	if (!args[3] || peek(t->tid, args[3], &ev, sizeof(ev)) < sizeof(ev))
		return 0;
	fill(t, &p, (int)args[2]);
	p.events = ev.events;
	return add(TRACE_ITEM_EPOLL, 3, &p, sizeof(p));
}

/* Which fd an event is of is known to the program alone (epoll_data). */
static unsigned
epoll_many(struct tracee *t, const uint64_t *args, int64_t ret)
{
	struct trace_poll l[MAX_POLL] = {0};
	struct epoll_event ev[MAX_POLL];
	size_t n = ret < 0 ? 0 : ret > MAX_POLL ? MAX_POLL : ret;

	n = peek(t->tid, args[1], ev, n * sizeof(*ev)) / sizeof(*ev);
	for (size_t i = 0; i < n; i++) {
		l[i].fd = -1;
		l[i].revents = ev[i].events;
	}
	return n ? add(TRACE_ITEM_EPOLL, 1, l, n * sizeof(*l)) : 0;
}

static unsigned
time_out(struct tracee *t, unsigned arg, uint64_t at, uint64_t scale)
{
	struct timespec ts; /* or a timeval: the same two words */
	int64_t ns = -1;

	if (at) {
		if (peek(t->tid, at, &ts, sizeof(ts)) < sizeof(ts))
			return 0;
		ns = ts.tv_sec * 1000000000 + ts.tv_nsec * (int64_t)scale;
	}
	return add(TRACE_ITEM_TIME, arg, &ns, sizeof(ns));
}

static unsigned
option_value(struct tracee *t, const uint64_t *args, int64_t ret, bool get)
{
	char buf[256];
	uint32_t len = args[4];

	if (get &&
		(ret < 0 ||
			peek(t->tid, args[4], &len, sizeof(len)) < sizeof(len)))
		return 0;
	len = peek(t->tid, args[3], buf, len < sizeof(buf) ? len : sizeof(buf));
	return len ? add(TRACE_ITEM_OPT, 3, buf, len) : 0;
}

static unsigned
two_fds(struct tracee *t, unsigned arg, uint64_t at)
{
	int pair[2];

	if (peek(t->tid, at, pair, sizeof(pair)) < sizeof(pair))
		return 0;
	return add(TRACE_ITEM_PAIR, arg, pair, sizeof(pair));
}

unsigned
peek_items(struct tracee *t, struct tcall *c, int64_t ret)
{
	const uint64_t *a = c->args;

	switch (c->nr) {
	case SYS_bind:
	case SYS_connect:
		return address(t, 1, a[1], (socklen_t)a[2]);
	case SYS_accept:
	case SYS_accept4:
	case SYS_getsockname:
	case SYS_getpeername:
		return ret < 0 ? 0 : address_out(t, 1, a[1], a[2]);
	case SYS_read:
		return ret > 0 ? data(t, 1, a[1], ret) : 0;
	case SYS_recvfrom:
		if (ret < 0)
			return 0;
		return data(t, 1, a[1],
			       (uint64_t)ret < a[2] ? (uint64_t)ret : a[2]) +
			address_out(t, 4, a[4], a[5]);
	case SYS_write:
		return data(t, 1, a[1], a[2]);
	case SYS_sendto:
		return data(t, 1, a[1], a[2]) +
			(a[4] ? address(t, 4, a[4], (socklen_t)a[5]) : 0);
	case SYS_readv:
	case SYS_preadv2:
		return slices(t, 1, a[1], a[2], ret);
	case SYS_writev:
	case SYS_pwritev2:
	case SYS_vmsplice:
		return slices(t, 1, a[1], a[2], 1 << 30);
	case SYS_sendmsg:
		return message(t, 1, a[1], 1 << 30, false);
	case SYS_recvmsg:
		return message(t, 1, a[1], ret, true);
	case SYS_setsockopt:
		return option_value(t, a, ret, false);
	case SYS_getsockopt:
		return option_value(t, a, ret, true);
	case SYS_socketpair:
		return ret < 0 ? 0 : two_fds(t, 3, a[3]);
	case SYS_pipe2:
#ifdef SYS_poll
	case SYS_pipe:
#endif
		return ret < 0 ? 0 : two_fds(t, 0, a[0]);
	case SYS_ppoll:
		return poll_set(t, a[0], a[1], ret > 0) +
			time_out(t, 2, a[2], 1);
	case SYS_pselect6:
		return select_set(t, c, ret) + time_out(t, 4, a[4], 1);
#ifdef SYS_poll
	case SYS_poll:
		return poll_set(t, a[0], a[1], ret > 0);
	case SYS_select:
		return select_set(t, c, ret) + time_out(t, 4, a[4], 1000);
	case SYS_epoll_wait:
		return epoll_many(t, a, ret);
#endif
	case SYS_epoll_pwait:
		return epoll_many(t, a, ret);
	case SYS_epoll_pwait2:
		return epoll_many(t, a, ret) + time_out(t, 3, a[3], 1);
	case SYS_epoll_ctl:
		return epoll_one(t, a);
	}
	return 0;
}
