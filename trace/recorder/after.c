/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "rec.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>

/*
 * After the real call: what it did to the fd table, then its record with what
 * stood behind its pointers. The record's room is reserved before it is
 * filled, so each kind says first how many bytes of items it may need.
 */

#define PADDED(n) (((size_t)(n) + 7) & ~(size_t)7)
#define ITEM(n) (sizeof(struct kt_item) + PADDED(n))
#define MAX_ADDR 112
#define MAX_IOV 16
#define MAX_POLL 64
#define MAX_FDS 64
#define MAX_OPT 64

struct out {
	struct kt_rec *rec;
	char *p, *end;
};

/*
 * The program's memory. After success the kernel has just been there; after
 * most failures nobody knows.
 */
static bool
peek(const struct kt_call *c, void *to, const void *from, size_t n)
{
	struct iovec l = {to, n}, r = {(void *)from, n};

	if (!from)
		return false;
	if (kmap_likely(c->r >= 0) || c->err == EINPROGRESS ||
		c->err == EAGAIN || c->err == EINTR) {
		memcpy(to, from, n);
		return true;
	}
	if (c->err == EFAULT || kt_quiet)
		return false;
	return kmap_syscall(SYS_process_vm_readv,
		       kmap_syscall(SYS_getpid, 0, 0, 0, 0, 0, 0), &l, 1, &r, 1,
		       0) == (long)n;
}

static bool
begin(struct out *o, const struct kt_call *c, enum kt_name fn, int sys,
	unsigned int nargs, const uint64_t *a, size_t items)
{
	struct kt_self *s = &kt_self;
	struct kt_rec *rec;
	uint32_t stack, process;
	size_t len = sizeof(*rec) + 8 * nargs + items;

	o->rec = NULL;
	if (!kt_ready()) {
		kt_lost();
		return false;
	}
	stack = kt_stack(c);
	process = kt_process_now();
	rec = kt_reserve(len);
	if (!rec)
		return false;
	rec->process = process;
	rec->t = c->t;
	rec->dur = c->end - c->t;
	rec->tid = s->tid;
	if (kmap_unlikely(s->vfork_process)) {
		rec->flags = KT_VFORKED;
		rec->tid = kmap_syscall(SYS_getpid, 0, 0, 0, 0, 0, 0);
	}
	rec->fn = fn;
	rec->sys = sys;
	rec->fd = c->fd;
	rec->ep = kt_entry_ep(c->e);
	rec->ret = c->r;
	rec->err = c->r == -1 ? c->err : 0;
	rec->nargs = nargs;
	rec->nitems = 0;
	rec->stack = stack;
	rec->caller = c->caller;
	for (unsigned int i = 0; i < nargs; i++)
		((uint64_t *)(rec + 1))[i] = a[i];
	o->rec = rec;
	o->p = (char *)(rec + 1) + 8 * nargs;
	o->end = (char *)rec + len;
	return true;
}

static void
finish(struct out *o)
{
	if (o->rec)
		kt_commit(o->rec, KT_CALL);
}

/* Room for an item of n bytes; NULL when it was not reserved. */
static void *
item(struct out *o, int type, int arg, size_t n)
{
	struct kt_item *i = (struct kt_item *)o->p;

	if (!o->rec || ITEM(n) > (size_t)(o->end - o->p))
		return NULL;
	i->type = type;
	i->arg = arg;
	i->len = n;
	i->pad = 0;
	o->p += ITEM(n);
	o->rec->nitems++;
	return i + 1;
}

/* The last item could not be filled. */
static void
drop(struct out *o, size_t n)
{
	o->p -= ITEM(n);
	o->rec->nitems--;
}

static void
put(struct out *o, const struct kt_call *c, int type, int arg, const void *from,
	size_t n)
{
	void *to;

	if (!from || !n)
		return;
	to = item(o, type, arg, n);
	if (to && !peek(c, to, from, n))
		drop(o, n);
}

static void
put_ns(struct out *o, int arg, int64_t ns)
{
	void *to = item(o, TRACE_ITEM_TIME, arg, sizeof(ns));

	if (to)
		memcpy(to, &ns, sizeof(ns));
}

static void
put_time(struct out *o, const struct kt_call *c, int arg, uint64_t at)
{
	struct timespec ts;

	if (!at)
		put_ns(o, arg, -1);
	else if (peek(c, &ts, (void *)at, sizeof(ts)))
		put_ns(o, arg, (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec);
}

static size_t
addr_len(uint64_t len)
{
	return len > MAX_ADDR ? 0 : len;
}

/* An address that came back: how long it is stands at a[len]. */
static size_t
addr_back(const struct kt_call *c, uint64_t addr, uint64_t at)
{
	socklen_t len;

	if (!addr || !at || c->r < 0)
		return 0;
	len = *(socklen_t *)at;
	return len > MAX_ADDR ? MAX_ADDR : len;
}

static size_t
data_len(int64_t n)
{
	return n <= 0				? 0
		: (uint64_t)n > kt_region->data ? kt_region->data
						: (uint64_t)n;
}

/* Slices */

struct slices {
	struct iovec v[MAX_IOV];
	unsigned int n;
};

static void
slices(struct slices *s, const struct kt_call *c, const void *iov, uint64_t n)
{
	s->n = n > MAX_IOV ? MAX_IOV : n;
	if (!iov || !peek(c, s->v, iov, s->n * sizeof(*s->v)))
		s->n = 0;
}

/* Hashes (region.h), where they are wanted. */

static size_t
hash_room(const struct kt_call *c)
{
	return kmap_unlikely(kt_region->hash) && c->r > 0 &&
			kt_entry_kind(c->e) == TRACE_TCP
		? ITEM(8)
		: 0;
}

/* None, when not all slices are known. */
static void
put_hash(struct out *o, const struct kt_call *c, int arg, const struct iovec *v,
	unsigned int n, int64_t bytes)
{
	uint64_t left = bytes, h = 0;
	void *to;

	if (!hash_room(c))
		return;
	for (unsigned int i = 0; left && i < n; i++) {
		size_t k = kmap_umin(left, v[i].iov_len);

		/* MSG_TRUNC throws away what it reads. */
		if (!v[i].iov_base)
			break;
		h = kt_hash(h, v[i].iov_base, k);
		left -= k;
	}
	to = left ? NULL : item(o, TRACE_ITEM_HASH, arg, sizeof(h));
	if (to)
		memcpy(to, &h, sizeof(h));
}

static size_t
slices_room(const struct kt_call *c, const struct slices *s)
{
	return (s->n ? ITEM(8 * s->n) : 0) + ITEM(data_len(c->r)) +
		hash_room(c);
}

/* The lengths, and the first bytes, which may lie in several. */
static void
put_slices(struct out *o, const struct kt_call *c, int arg,
	const struct slices *s, int64_t bytes)
{
	uint64_t *len = s->n ? item(o, TRACE_ITEM_IOV, arg, 8 * s->n) : NULL;
	size_t want = data_len(bytes);
	char *to;

	if (!len)
		return;
	for (unsigned int i = 0; i < s->n; i++)
		len[i] = s->v[i].iov_len;
	to = want && c->r >= 0 ? item(o, TRACE_ITEM_DATA, arg, want) : NULL;
	for (unsigned int i = 0; to && want && i < s->n; i++) {
		size_t n = kmap_umin(want, s->v[i].iov_len);

		memcpy(to, s->v[i].iov_base, n);
		to += n;
		want -= n;
	}
	if (to && want)
		memset(to, 0, want);
	put_hash(o, c, arg, s->v, s->n, bytes);
}

/* Messages */

static unsigned int
passed(const struct msghdr *m, int *fds, unsigned int max)
{
	unsigned int n = 0;

	for (struct cmsghdr *cm = m->msg_controllen ? CMSG_FIRSTHDR(m) : NULL;
		cm; cm = CMSG_NXTHDR((struct msghdr *)m, cm)) {
		const char *p = (const char *)CMSG_DATA(cm);
		size_t k;

		if (cm->cmsg_level != SOL_SOCKET || cm->cmsg_type != SCM_RIGHTS)
			continue;
		k = (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < k && n < max; i++)
			memcpy(&fds[n++], p + i * sizeof(int), sizeof(int));
	}
	return n;
}

static void
message(struct kt_call *c, enum kt_name fn, int sys, unsigned int nargs,
	const uint64_t *a, bool in)
{
	int fds[MAX_FDS];
	unsigned int nfds = 0;
	struct slices s = {.n = 0};
	struct msghdr m;
	bool have = peek(c, &m, (void *)a[1], sizeof(m));
	struct out o;
	size_t al = 0;

	if (have) {
		slices(&s, c, m.msg_iov, m.msg_iovlen);
		if (c->r >= 0)
			nfds = passed(&m, fds, MAX_FDS);
		al = in && c->r < 0 ? 0 : addr_len(m.msg_namelen);
		if (!m.msg_name)
			al = 0;
	}
	if (in) {
		for (unsigned int i = 0; i < nfds; i++) {
			kt_fd_put(fds[i], 0);
			kt_look(fds[i], TRACE_BY_PASSING);
		}
	}
	if (!begin(&o, c, fn, sys, nargs, a,
		    slices_room(c, &s) + ITEM(al) + ITEM(nfds * sizeof(int))))
		return;
	if (al)
		put(&o, c, TRACE_ITEM_ADDR, 1, m.msg_name, al);
	put_slices(&o, c, 1, &s, c->r);
	if (nfds) {
		void *to = item(&o, TRACE_ITEM_FDS, 1, nfds * sizeof(int));

		if (to)
			memcpy(to, fds, nfds * sizeof(int));
	}
	finish(&o);
}

/* Of many messages: the first's address and slices, all messages' lengths. */
static void
messages(struct kt_call *c, enum kt_name fn, int sys, unsigned int nargs,
	const uint64_t *a, bool in)
{
	const struct mmsghdr *v = (const void *)a[1];
	unsigned int n = c->r > 0 ? c->r : 0;
	struct out o;
	uint64_t *len;

	for (unsigned int i = 0; in && i < n; i++) {
		int fds[MAX_FDS];
		unsigned int k = passed(&v[i].msg_hdr, fds, MAX_FDS);

		for (unsigned int j = 0; j < k; j++) {
			kt_fd_put(fds[j], 0);
			kt_look(fds[j], TRACE_BY_PASSING);
		}
	}
	if (n > MAX_IOV)
		n = MAX_IOV;
	if (!begin(&o, c, fn, sys, nargs, a, ITEM(8 * n) + ITEM(8)))
		return;
	len = n ? item(&o, TRACE_ITEM_IOV, 1, 8 * n) : NULL;
	for (unsigned int i = 0; len && i < n; i++)
		len[i] = v[i].msg_len;
	if (nargs == 5)
		put_time(&o, c, 4, a[4]);
	finish(&o);
}

/* Poll sets */

static void
fill_poll(struct kt_poll *p, int fd, uint32_t events, uint32_t revents)
{
	kt_entry e = fd < 0 ? 0 : kt_watch(fd);

	p->fd = fd;
	p->events = events;
	p->revents = revents;
	p->ep = kt_entry_ep(e);
	p->kind = kt_entry_kind(e);
}

static void
polled(struct kt_call *c, enum kt_name fn, int sys, enum kt_op op,
	unsigned int nargs, const uint64_t *a)
{
	struct pollfd in[MAX_POLL];
	struct kt_poll set[MAX_POLL];
	unsigned int n = a[1] > MAX_POLL ? MAX_POLL : a[1];
	bool net = false;
	struct out o;
	void *to;

	/* It is looked at only now: before the call nobody knew that the
	 * pointer is good. */
	if (!peek(c, in, (void *)a[0], n * sizeof(*in)))
		return;
	for (unsigned int i = 0; !net && i < n; i++)
		net = in[i].fd >= 0 && (kt_fd(in[i].fd) & KT_REC);
	if (!net)
		return;
	/* Endpoints are announced by records of their own, before this one. */
	for (unsigned int i = 0; i < n; i++)
		fill_poll(&set[i], in[i].fd, (uint16_t)in[i].events,
			c->r > 0 ? (uint16_t)in[i].revents : 0);
	if (!begin(&o, c, fn, sys, nargs, a, ITEM(n * sizeof(*set)) + ITEM(8)))
		return;
	to = n ? item(&o, TRACE_ITEM_POLL, 0, n * sizeof(*set)) : NULL;
	if (to)
		memcpy(to, set, n * sizeof(*set));
	if (op == OP_PPOLL)
		put_time(&o, c, 2, a[2]);
	finish(&o);
}

void
kt_after_select(struct kt_call *c, enum kt_name fn, int sys, unsigned int nargs,
	const uint64_t *a, const struct kt_select *s)
{
	static const uint32_t bit[3] = {POLLIN, POLLOUT, POLLPRI};
	struct kt_poll set[MAX_POLL];
	unsigned int n = 0;
	int saved = errno;
	struct out o;
	void *to;

	for (int fd = 0; fd < s->n && n < MAX_POLL; fd++) {
		uint32_t events = 0, revents = 0;

		for (int k = 0; k < 3; k++) {
			const fd_set *now = (const void *)a[1 + k];

			if (!FD_ISSET(fd, &s->in[k]))
				continue;
			events |= bit[k];
			if (c->r > 0 && now && FD_ISSET(fd, now))
				revents |= bit[k];
		}
		if (events)
			fill_poll(&set[n++], fd, events, revents);
	}
	if (begin(&o, c, fn, sys, nargs, a, ITEM(n * sizeof(*set)) + ITEM(8))) {
		to = n ? item(&o, TRACE_ITEM_POLL, 1, n * sizeof(*set)) : NULL;
		if (to)
			memcpy(to, set, n * sizeof(*set));
		put_ns(&o, 4, s->ns);
		finish(&o);
	}
	kt_over(c);
	errno = saved;
}

static void
waited(struct kt_call *c, enum kt_name fn, int sys, enum kt_op op,
	unsigned int nargs, const uint64_t *a)
{
	const struct epoll_event *ev = (const void *)a[1];
	unsigned int n = c->r > MAX_POLL ? MAX_POLL : c->r > 0 ? c->r : 0;
	struct kt_epoll *to;
	struct out o;

	if (!begin(&o, c, fn, sys, nargs, a,
		    (n ? ITEM(n * sizeof(*to)) : 0) +
			    (op == OP_EPOLL_PWAIT2 ? ITEM(8) : 0)))
		return;
	to = n ? item(&o, TRACE_ITEM_EPOLL, 1, n * sizeof(*to)) : NULL;
	for (unsigned int i = 0; to && i < n; i++) {
		to[i].data = ev[i].data.u64;
		to[i].fd = -1;
		to[i].events = ev[i].events;
		to[i].ep = 0;
		to[i].kind = 0;
	}
	if (op == OP_EPOLL_PWAIT2)
		put_time(&o, c, 3, a[3]);
	finish(&o);
}

static void
controlled(struct kt_call *c, enum kt_name fn, int sys, unsigned int nargs,
	const uint64_t *a)
{
	kt_entry e = c->r == 0 ? kt_watch(a[2]) : kt_fd(a[2]);
	struct epoll_event ev = {0};
	struct kt_epoll *to;
	struct out o;

	if ((int)a[1] != EPOLL_CTL_DEL)
		peek(c, &ev, (void *)a[3], sizeof(ev));
	if (!begin(&o, c, fn, sys, nargs, a, ITEM(sizeof(*to))))
		return;
	to = item(&o, TRACE_ITEM_EPOLL, 3, sizeof(*to));
	to->data = ev.data.u64;
	to->fd = a[2];
	to->events = ev.events;
	to->ep = kt_entry_ep(e);
	to->kind = kt_entry_kind(e);
	finish(&o);
}

/* Which recorded numbers went: c->fd and c->e are none's. */
static void
ranged(struct kt_call *c, enum kt_name fn, int sys, unsigned int nargs,
	const uint64_t *a)
{
	struct kt_poll set[MAX_POLL];
	unsigned int n = 0;
	struct out o;
	void *to;
	bool closes = nargs < 3 || !(a[2] & 4); /* CLOSE_RANGE_CLOEXEC */

	for (unsigned int fd = a[0]; fd < kt_nfds && fd <= (unsigned int)a[1];
		fd++) {
		kt_entry e = kt_fds[fd];

		if (!(e & KT_REC) || n == MAX_POLL)
			continue;
		set[n++] = (struct kt_poll){.fd = fd,
			.ep = kt_entry_ep(e),
			.kind = kt_entry_kind(e)};
	}
	if (closes && c->r == 0)
		kt_fd_range(a[0], a[1]);
	if (!n || !begin(&o, c, fn, sys, nargs, a, ITEM(n * sizeof(*set))))
		return;
	to = item(&o, TRACE_ITEM_POLL, 0, n * sizeof(*set));
	if (to)
		memcpy(to, set, n * sizeof(*set));
	finish(&o);
}

/* One argument with an item behind it, or none: the rest. */
static void
plain(struct kt_call *c, enum kt_name fn, int sys, unsigned int nargs,
	const uint64_t *a, int type, int arg, const void *from, size_t n)
{
	struct out o;

	if (!begin(&o, c, fn, sys, nargs, a, n ? ITEM(n) : 0))
		return;
	put(&o, c, type, arg, from, n);
	finish(&o);
}

/* The bytes at a[1]. */
static void
moved(struct kt_call *c, enum kt_name fn, int sys, unsigned int nargs,
	const uint64_t *a)
{
	struct iovec v = {(void *)a[1], a[2]};
	size_t n = data_len(c->r);
	struct out o;

	if (!begin(&o, c, fn, sys, nargs, a, (n ? ITEM(n) : 0) + hash_room(c)))
		return;
	put(&o, c, TRACE_ITEM_DATA, 1, v.iov_base, n);
	put_hash(&o, c, 1, &v, 1, c->r);
	finish(&o);
}

static void
plain_addr(struct kt_call *c, enum kt_name fn, int sys, unsigned int nargs,
	const uint64_t *a, int data, size_t bytes, int arg, size_t len)
{
	struct out o;

	if (!begin(&o, c, fn, sys, nargs, a,
		    (bytes ? ITEM(bytes) : 0) + (len ? ITEM(len) : 0) +
			    hash_room(c)))
		return;
	put(&o, c, TRACE_ITEM_DATA, data, (void *)a[data], bytes);
	put_hash(&o, c, data, &(struct iovec){(void *)a[data], a[2]}, 1, c->r);
	put(&o, c, TRACE_ITEM_ADDR, arg, (void *)a[arg], len);
	finish(&o);
}

static void
pair(struct kt_call *c, enum kt_name fn, int sys, unsigned int nargs,
	const uint64_t *a)
{
	const int *sv = (const int *)a[3];

	if (c->r == 0) {
		kt_entry e = kt_born_socket(sv[0], a[0], a[1], a[2]);

		kt_born_socket(sv[1], a[0], a[1], a[2]);
		c->fd = sv[0];
		c->e = e;
	}
	plain(c, fn, sys, nargs, a, TRACE_ITEM_PAIR, 3, sv,
		c->r == 0 ? 2 * sizeof(int) : 0);
}

/* A further number of one open file. */
static void
copied(const struct kt_call *c, int fd)
{
	if (fd >= 0 && fd != c->fd)
		kt_fd_put(fd, c->e & ~(kt_entry)KT_HAD);
}

static void
fcntl_arg(struct kt_call *c, enum kt_name fn, int sys, unsigned int nargs,
	const uint64_t *a)
{
	int cmd = a[1];

	if (cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC)
		copied(c, c->r);
	plain(c, fn, sys, nargs, a, 0, 0, NULL, 0);
}

static void
ioctl_arg(struct kt_call *c, enum kt_name fn, int sys, unsigned int nargs,
	const uint64_t *a)
{
	/* An int stands behind the argument: FIONBIO, FIONREAD (SIOCINQ),
	 * FIOASYNC, SIOCOUTQ, SIOCATMARK. */
	bool is_int = a[1] == 0x5421 || a[1] == 0x541b || a[1] == 0x5452 ||
		a[1] == 0x5411 || a[1] == 0x8905;

	plain(c, fn, sys, nargs, a, TRACE_ITEM_OPT, 2, (void *)a[2],
		is_int ? sizeof(int) : 0);
}

void
kt_after(struct kt_call *c, enum kt_name fn, int sys, enum kt_op op,
	unsigned int nargs, const uint64_t *a)
{
	int saved = errno;
	struct slices s;
	struct out o;

	switch (op) {
	case OP_READ:
	case OP_WRITE:
		moved(c, fn, sys, nargs, a);
		break;
	case OP_RECVFROM:
		plain_addr(c, fn, sys, nargs, a, 1, data_len(c->r), 4,
			addr_back(c, a[4], a[5]));
		break;
	case OP_SENDTO:
		plain_addr(c, fn, sys, nargs, a, 1, data_len(c->r), 4,
			a[4] ? addr_len((socklen_t)a[5]) : 0);
		break;
	case OP_READV:
	case OP_WRITEV:
		slices(&s, c, (void *)a[1], (unsigned int)a[2]);
		if (!begin(&o, c, fn, sys, nargs, a, slices_room(c, &s)))
			break;
		put_slices(&o, c, 1, &s, c->r);
		finish(&o);
		break;
	case OP_RECVMSG:
		message(c, fn, sys, nargs, a, true);
		break;
	case OP_SENDMSG:
		message(c, fn, sys, nargs, a, false);
		break;
	case OP_RECVMMSG:
		messages(c, fn, sys, nargs, a, true);
		break;
	case OP_SENDMMSG:
		messages(c, fn, sys, nargs, a, false);
		break;
	case OP_POLL:
	case OP_PPOLL:
		polled(c, fn, sys, op, nargs, a);
		break;
	case OP_EPOLL_WAIT:
	case OP_EPOLL_PWAIT2:
		waited(c, fn, sys, op, nargs, a);
		break;
	case OP_EPOLL_CTL:
		controlled(c, fn, sys, nargs, a);
		break;
	case OP_EPOLL_CREATE:
		if (c->r >= 0) {
			kt_born(c->r, TRACE_EPOLL);
			c->fd = c->r;
			c->e = kt_fd(c->r);
		}
		plain(c, fn, sys, nargs, a, 0, 0, NULL, 0);
		break;
	case OP_SOCKET:
		if (c->r >= 0) {
			c->fd = c->r;
			c->e = kt_born_socket(c->r, a[0], a[1], a[2]);
		}
		plain(c, fn, sys, nargs, a, 0, 0, NULL, 0);
		break;
	case OP_PAIR:
		pair(c, fn, sys, nargs, a);
		break;
	case OP_BIND:
		if (c->r == 0)
			kt_endpoint_names(
				c->fd, kt_entry_ep(c->e), 0, false, NULL, 0);
		plain(c, fn, sys, nargs, a, TRACE_ITEM_ADDR, 1, (void *)a[1],
			addr_len((socklen_t)a[2]));
		break;
	case OP_LISTEN:
		if (c->r == 0 && kt_entry_kind(c->e) == TRACE_TCP) {
			kt_fd_put(c->fd,
				kt_entry_make(kt_entry_ep(c->e), TRACE_LISTEN,
					KT_KNOWN | KT_REC));
			kt_endpoint_names(c->fd, kt_entry_ep(c->e),
				TRACE_LISTEN, false, NULL, 0);
		}
		plain(c, fn, sys, nargs, a, 0, 0, NULL, 0);
		break;
	case OP_CONNECT:
		if (c->r == 0 || c->err == EINPROGRESS || c->err == EINTR)
			kt_endpoint_names(c->fd, kt_entry_ep(c->e), 0, true,
				(void *)a[1], addr_len((socklen_t)a[2]));
		plain(c, fn, sys, nargs, a, TRACE_ITEM_ADDR, 1, (void *)a[1],
			addr_len((socklen_t)a[2]));
		break;
	case OP_ACCEPT:
		if (c->r >= 0)
			kt_born_accepted(c->r, c);
		plain(c, fn, sys, nargs, a, TRACE_ITEM_ADDR, 1, (void *)a[1],
			addr_back(c, a[1], a[2]));
		break;
	case OP_NAME:
		plain(c, fn, sys, nargs, a, TRACE_ITEM_ADDR, 1, (void *)a[1],
			addr_back(c, a[1], a[2]));
		break;
	case OP_GETOPT:
		plain(c, fn, sys, nargs, a, TRACE_ITEM_OPT, 3, (void *)a[3],
			c->r == 0 && a[3] && a[4]
				? kmap_umin(*(socklen_t *)a[4], MAX_OPT)
				: 0);
		break;
	case OP_SETOPT:
		plain(c, fn, sys, nargs, a, TRACE_ITEM_OPT, 3, (void *)a[3],
			kmap_umin((socklen_t)a[4], MAX_OPT));
		break;
	case OP_FCNTL:
		fcntl_arg(c, fn, sys, nargs, a);
		break;
	case OP_IOCTL:
		ioctl_arg(c, fn, sys, nargs, a);
		break;
	case OP_DUP:
		copied(c, c->r);
		plain(c, fn, sys, nargs, a, 0, 0, NULL, 0);
		break;
	case OP_CLOSE_RANGE:
		ranged(c, fn, sys, nargs, a);
		break;
	case OP_URING:
		kt_born(c->r, TRACE_FILE);
		plain(c, fn, sys, nargs, a, 0, 0, NULL, 0);
		break;
	case OP_GETFD:
		if (c->r >= 0) {
			kt_fd_put(c->r, 0);
			c->e = kt_look(c->r, TRACE_BY_PASSING);
			if (!(c->e & KT_REC))
				break;
			c->fd = c->r;
		}
		plain(c, fn, sys, nargs, a, 0, 0, NULL, 0);
		break;
	default:
		plain(c, fn, sys, nargs, a, 0, 0, NULL, 0);
	}
	kt_over(c);
	errno = saved;
}
