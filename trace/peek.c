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

/*
 * A pointer, a long and a size_t are each a word, and an int before one of
 * them takes as much: a struct iovec is two, a struct msghdr seven (the name's
 * length and the flags are the lower half of theirs), a struct mmsghdr eight.
 */
size_t
peek_words(struct tracee *t, uint64_t addr, uint64_t *to, size_t n)
{
	uint32_t half[6 * MAX_IOV];

	if (t->abi.word == 8)
		return peek(t->tid, addr, to, 8 * n) / 8;
	if (n > sizeof(half) / 4)
		n = sizeof(half) / 4;
	n = peek(t->tid, addr, half, 4 * n) / 4;
	for (size_t i = 0; i < n; i++)
		to[i] = half[i];
	return n;
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
	case SYS_epoll_pwait2:
	case SYS_io_uring_enter:
		return nr == SYS_epoll_pwait2 ? 5 : 6;
	case SYS_setsockopt:
	case SYS_getsockopt:
	case SYS_recvmmsg:
	case SYS_epoll_pwait:
	case SYS_preadv2:
	case SYS_pwritev2:
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
	uint64_t lens[MAX_IOV], iov[MAX_IOV][2];
	char buf[1024];
	size_t got = 0, room = tracer.data < 1024 ? tracer.data : 1024;
	unsigned items;

	if (n > MAX_IOV)
		n = MAX_IOV;
	n = peek_words(t, at, iov[0], n * 2) / 2;
	if (!n)
		return 0;
	for (size_t i = 0; i < n; i++)
		lens[i] = iov[i][1];
	items = add(TRACE_ITEM_IOV, arg, lens, n * sizeof(*lens));
	if (moved >= 0 && (size_t)moved < room)
		room = moved;
	for (size_t i = 0; i < n && got < room && moved > 0; i++) {
		size_t k = lens[i] < room - got ? lens[i] : room - got;

		got += peek(t->tid, iov[i][0], buf + got, k);
	}
	if (got)
		items += add(TRACE_ITEM_DATA, arg, buf, got);
	return items;
}

/* The words of a struct msghdr. */
enum {
	MSG_NAME,
	MSG_NAMELEN,
	MSG_IOV,
	MSG_IOVLEN,
	MSG_CONTROL,
	MSG_CONTROLLEN,
	MSG_FLAGS,
	MSG_WORDS
};

size_t
peek_passed(struct tracee *t, uint64_t msg, int *fds)
{
	char buf[CMSG_SPACE(PEEK_FDS * sizeof(int)) + 256];
	/* A struct cmsghdr: a word, its length, and two ints. */
	size_t off = 0, len, word = t->abi.word, head = word + 8;
	uint64_t m[MSG_WORDS];

	if (peek_words(t, msg, m, MSG_WORDS) < MSG_WORDS || !m[MSG_CONTROL])
		return 0;
	len = m[MSG_CONTROLLEN] < sizeof(buf) ? m[MSG_CONTROLLEN] : sizeof(buf);
	len = peek(t->tid, m[MSG_CONTROL], buf, len);
	while (len - off >= head) {
		uint64_t n = 0;
		int what[2];

		memcpy(&n, buf + off, word);
		memcpy(what, buf + off + word, sizeof(what));
		if (n < head || n > len - off)
			break;
		if (what[0] == SOL_SOCKET && what[1] == SCM_RIGHTS) {
			n = (n - head) / sizeof(*fds);
			n = n < PEEK_FDS ? n : PEEK_FDS;
			memcpy(fds, buf + off + head, n * sizeof(*fds));
			return n;
		}
		off += (n + word - 1) & ~(word - 1);
		if (off > len)
			break;
	}
	return 0;
}

static unsigned
message(struct tracee *t, unsigned arg, uint64_t at, int64_t moved, bool in)
{
	int fds[PEEK_FDS];
	uint64_t m[MSG_WORDS];
	unsigned items = 0;
	size_t n;

	if (peek_words(t, at, m, MSG_WORDS) < MSG_WORDS)
		return 0;
	m[MSG_NAMELEN] = (socklen_t)m[MSG_NAMELEN];
	if (m[MSG_NAME] && m[MSG_NAMELEN] && (moved >= 0 || !in))
		items += address(t, arg, m[MSG_NAME], m[MSG_NAMELEN]);
	items += slices(t, arg, m[MSG_IOV], m[MSG_IOVLEN], moved);
	n = moved >= 0 || !in ? peek_passed(t, at, fds) : 0;
	if (n)
		items += add(TRACE_ITEM_FDS, arg, fds, n * sizeof(*fds));
	return items;
}

/* Of several messages, those that were moved: their lengths. */
static unsigned
messages(struct tracee *t, unsigned arg, uint64_t at, int64_t moved)
{
	uint64_t m[MSG_WORDS + 1], lens[MAX_IOV];
	size_t n = 0;

	for (; n < MAX_IOV && (int64_t)n < moved; n++) {
		if (peek_words(t, at, m, MSG_WORDS + 1) < MSG_WORDS + 1)
			break;
		lens[n] = (uint32_t)m[MSG_WORDS];
		at += (MSG_WORDS + 1) * t->abi.word;
	}
	return n ? add(TRACE_ITEM_IOV, arg, lens, n * sizeof(*lens)) : 0;
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

static void
peek_sets(struct tracee *t, struct tcall *c)
{
	unsigned char sets[3][128];

	read_sets(t, c->args, sets);
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

/* A timespec, or a timeval with its scale of 1000. */
static void
peek_time(struct tracee *t, struct tcall *c, uint64_t at, int scale)
{
	int64_t ts[2];
	int32_t half[2];
	size_t size = 2 * t->abi.time;
	void *to = size == sizeof(half) ? (void *)half : ts;

	c->timed = !at || peek(t->tid, at, to, size) == size;
	c->time_out = -1;
	if (!at || !c->timed)
		return;
	if (to == half) {
		ts[0] = half[0];
		ts[1] = half[1];
	}
	c->time_out = ts[0] * 1000000000 + ts[1] * scale;
}

void
peek_entry(struct tracee *t, struct tcall *c)
{
	c->nsets = 0;
	c->timed = false;
	switch (c->nr) {
	case SYS_pselect6:
		peek_sets(t, c);
		peek_time(t, c, c->args[4], 1);
		break;
#ifdef SYS_poll
	case SYS_select:
		peek_sets(t, c);
		peek_time(t, c, c->args[4], 1000);
		break;
#endif
	case SYS_ppoll:
		peek_time(t, c, c->args[2], 1);
		break;
	case SYS_recvmmsg:
		peek_time(t, c, c->args[4], 1);
		break;
	case SYS_epoll_pwait2:
		peek_time(t, c, c->args[3], 1);
		break;
	}
}

static unsigned
time_out(const struct tcall *c, unsigned arg)
{
	return c->timed
		? add(TRACE_ITEM_TIME, arg, &c->time_out, sizeof(c->time_out))
		: 0;
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
	case SYS_sendmmsg:
		return messages(t, 1, a[1], ret);
	case SYS_recvmmsg:
		return messages(t, 1, a[1], ret) + time_out(c, 4);
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
		return poll_set(t, a[0], a[1], ret > 0) + time_out(c, 2);
	case SYS_pselect6:
		return select_set(t, c, ret) + time_out(c, 4);
#ifdef SYS_poll
	case SYS_poll:
		return poll_set(t, a[0], a[1], ret > 0);
	case SYS_select:
		return select_set(t, c, ret) + time_out(c, 4);
	case SYS_epoll_wait:
		return epoll_many(t, a, ret);
#endif
	case SYS_epoll_pwait:
		return epoll_many(t, a, ret);
	case SYS_epoll_pwait2:
		return epoll_many(t, a, ret) + time_out(c, 3);
	case SYS_epoll_ctl:
		return epoll_one(t, a);
	}
	return 0;
}
