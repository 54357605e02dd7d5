/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "rec.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/un.h>

/*
 * What the program's numbers are. One word each, written and read whole; a
 * fork's child has its own copy, a vfork's child only looks.
 */
kt_entry *kt_fds;
unsigned int kt_nfds;
/* No number above it was ever entered. */
static unsigned int top;

bool
kt_readable(const void *p)
{
	/* Reads 8 bytes before it finds that there is no such `how`. */
	return kmap_syscall(SYS_rt_sigprocmask, ~0, p, NULL, 8, 0, 0) !=
		-EFAULT;
}

/* Whether this thread runs a vfork child, on its parent's memory. */
bool
kt_vfork_child(void)
{
	struct kt_self *s = &kt_self;

	if (!s->vfork_parent)
		return false;
	if (!kt_quiet &&
		kmap_syscall(SYS_getpid, 0, 0, 0, 0, 0, 0) != s->vfork_parent)
		return true;
	s->vfork_parent = 0;
	s->vfork_process = 0;
	return false;
}

void
kt_fd_put(int fd, kt_entry e)
{
	if ((unsigned int)fd >= kt_nfds || kt_vfork_child())
		return;
	if (e && (unsigned int)fd >= top)
		top = fd + 1;
	__atomic_store_n(&kt_fds[fd], e, __ATOMIC_RELAXED);
}

void
kt_fd_range(unsigned int first, unsigned int last)
{
	if (kt_vfork_child())
		return;
	for (unsigned int i = first; i <= last && i < top; i++)
		__atomic_store_n(&kt_fds[i], 0, __ATOMIC_RELAXED);
}

static int
option(int fd, int name, int none)
{
	socklen_t len = sizeof(int);
	int v;

	if (kmap_sys_getsockopt(fd, SOL_SOCKET, name, &v, &len))
		return none;
	return v;
}

static uint64_t
cookie(int fd)
{
	socklen_t len = sizeof(uint64_t);
	uint64_t v;

	if (kt_quiet ||
		kmap_sys_getsockopt(fd, SOL_SOCKET, SO_COOKIE, &v, &len))
		return 0;
	return v;
}

static enum trace_kind
socket_kind(int domain, int type)
{
	if (domain == AF_UNIX)
		return TRACE_UNIX;
	if (domain != AF_INET && domain != AF_INET6)
		return TRACE_SOCKET;
	return type == SOCK_STREAM   ? TRACE_TCP
		: type == SOCK_DGRAM ? TRACE_UDP
				     : TRACE_SOCKET;
}

/* One announcement. What is 0 (-1 for domain, type, protocol) is unchanged. */
struct news {
	uint32_t ep;
	enum trace_kind kind;
	enum trace_origin origin;
	bool connected;
	uint64_t cookie;
	int domain, type, protocol;
	uint32_t listener;
	const void *local, *peer;
	size_t local_len, peer_len;
};

#define PADDED(n) (((n) + 7) & ~(size_t)7)

static void
announce(const struct news *n)
{
	size_t ll = n->local_len <= 128 ? n->local_len : 0;
	size_t pl = n->peer_len <= 128 ? n->peer_len : 0;
	struct kt_endpoint *e;
	struct kt_rec *rec;

	if (!kt_ready())
		return;
	rec = kt_reserve(sizeof(*rec) + sizeof(*e) + PADDED(ll + pl));
	if (!rec)
		return;
	memset((char *)rec + 8, 0, sizeof(*rec) - 8);
	rec->process = kt_self.process;
	rec->tid = kt_self.tid;
	rec->t = kmap_now();
	rec->ep = n->ep;
	e = (struct kt_endpoint *)(rec + 1);
	e->cookie = n->cookie;
	e->kind = n->kind;
	e->origin = n->origin;
	e->connected = n->connected;
	e->pad = 0;
	e->local_len = ll;
	e->peer_len = pl;
	e->pad2 = 0;
	e->domain = n->domain;
	e->type = n->type;
	e->protocol = n->protocol;
	e->listener = n->listener;
	/* Without a name there is no pointer either. */
	if (ll)
		memcpy(e + 1, n->local, ll);
	if (pl)
		memcpy((char *)(e + 1) + ll, n->peer, pl);
	kt_commit(rec, KT_ENDPOINT);
}

static uint32_t
number(void)
{
	return a_count(&kt_region->endpoints, 1) + 1;
}

/* The names the kernel gives a socket; len 0 where it has none. */
static void
names(int fd, struct news *n, struct sockaddr_storage *local,
	struct sockaddr_storage *peer)
{
	socklen_t len = sizeof(*local);

	n->local = local;
	n->peer = peer;
	if (kt_quiet)
		return;
	if (kmap_sys_getsockname(fd, local, &len) == 0)
		n->local_len = len;
	len = sizeof(*peer);
	if (kmap_sys_getpeername(fd, peer, &len) == 0)
		n->peer_len = len;
}

/* After bind, listen, connect: what the endpoint is called now. */
void
kt_endpoint_names(int fd, uint32_t ep, enum trace_kind kind, bool connected,
	const void *to, size_t len)
{
	struct sockaddr_storage local, peer;
	struct news n = {.ep = ep,
		.kind = kind,
		.connected = connected,
		.domain = -1,
		.type = -1,
		.protocol = -1};

	if (!ep)
		return;
	names(fd, &n, &local, &peer);
	if (!n.peer_len && to && len <= sizeof(peer)) {
		n.peer = to;
		n.peer_len = len;
	}
	announce(&n);
}

static kt_entry
look_socket(int fd, enum trace_origin origin)
{
	struct sockaddr_storage local, peer;
	struct news n = {.ep = number(), .origin = origin};

	n.domain = option(fd, SO_DOMAIN, 0);
	n.type = option(fd, SO_TYPE, 0);
	n.protocol = option(fd, SO_PROTOCOL, 0);
	n.cookie = cookie(fd);
	n.kind = socket_kind(n.domain, n.type);
	if (n.kind == TRACE_TCP && option(fd, SO_ACCEPTCONN, 0))
		n.kind = TRACE_LISTEN;
	names(fd, &n, &local, &peer);
	announce(&n);
	return kt_entry_make(n.ep, n.kind, KT_KNOWN | KT_REC);
}

static enum trace_kind
file_kind(int fd)
{
	static const struct {
		const char *name;
		enum trace_kind kind;
	} anon[] = {
		{"anon_inode:[eventpoll]", TRACE_EPOLL},
		{"anon_inode:[eventfd]", TRACE_EVENTFD},
		{"anon_inode:[timerfd]", TRACE_TIMERFD},
		{"anon_inode:[signalfd]", TRACE_SIGNALFD},
	};
	char link[32] = "/proc/self/fd/", to[32], digits[12];
	size_t n = 0, at = strlen(link);
	long len;

	do
		digits[n++] = '0' + fd % 10;
	while (fd /= 10);
	while (n)
		link[at++] = digits[--n];
	len = kmap_syscall(
		SYS_readlinkat, AT_FDCWD, link, to, sizeof(to) - 1, 0, 0);
	if (len < 0)
		return TRACE_FILE;
	to[len] = 0;
	for (size_t i = 0; i < kmap_countof(anon); i++)
		if (!strcmp(to, anon[i].name))
			return anon[i].kind;
	return TRACE_FILE;
}

static kt_entry
new_file(enum trace_kind kind, enum trace_origin origin)
{
	struct news n = {.ep = number(), .kind = kind, .origin = origin};

	announce(&n);
	return kt_entry_make(n.ep, kind, KT_KNOWN | KT_REC);
}

/*
 * A number that no call has explained, or (origin 0) one that was open when
 * the image started. Its flag goes away with the first close, so that what
 * takes the number unseen later is told from it.
 */
kt_entry
kt_look(int fd, enum trace_origin origin)
{
	int saved = errno;
	uint32_t inside = KT_OWN;
	kt_entry e = 0;
	struct stat st;
	long r;

	if (kt_quiet || !kt_ready())
		return 0;
	inside = a_xchg(&kt_self.ring->inside, KT_OWN);
	if (!origin) {
		unsigned int flags = (unsigned int)fd < kt_nfds
			? kt_entry_flags(kt_fds[fd])
			: 0;

		origin = flags & KT_HAD ? TRACE_BY_INHERIT : TRACE_BY_ESCAPE;
	}
#ifdef SYS_newfstatat
	r = kmap_syscall(SYS_newfstatat, fd, "", &st, AT_EMPTY_PATH, 0, 0);
#else
	r = kmap_syscall(SYS_fstat, fd, &st, 0, 0, 0, 0);
#endif
	if (r)
		goto out;
	if (S_ISSOCK(st.st_mode)) {
		e = look_socket(fd, origin);
	} else {
		enum trace_kind kind = S_ISFIFO(st.st_mode) ? TRACE_PIPE
			: st.st_mode & S_IFMT		    ? TRACE_FILE
							    : file_kind(fd);

		if (kind == TRACE_EPOLL)
			e = new_file(kind, origin);
		else
			e = kt_entry_make(0, kind,
				KT_KNOWN |
					(origin == TRACE_BY_INHERIT ? KT_HAD
								    : 0));
	}
	kt_fd_put(fd, e);
out:
	if (kt_self.ring)
		a_store(&kt_self.ring->inside, inside);
	errno = saved;
	return e;
}

void
kt_born(int fd, enum trace_kind kind)
{
	if (fd < 0 || !kt_live)
		return;
	kt_fd_put(fd,
		kind == TRACE_EPOLL
			? new_file(kind, TRACE_BY_SOCKET)
			: kt_entry_make(0, kind, KT_KNOWN | KT_BORN));
}

kt_entry
kt_born_socket(int fd, int domain, int type, int protocol)
{
	struct news n = {.ep = number(),
		.origin = TRACE_BY_SOCKET,
		.domain = domain,
		.type = type & 0xf,
		.protocol = protocol};

	n.kind = socket_kind(domain, n.type);
	n.cookie = cookie(fd);
	announce(&n);
	kt_fd_put(fd, kt_entry_make(n.ep, n.kind, KT_KNOWN | KT_REC));
	return kt_entry_make(n.ep, n.kind, KT_KNOWN | KT_REC);
}

kt_entry
kt_born_accepted(int fd, const struct kt_call *c)
{
	struct sockaddr_storage local, peer;
	struct news n = {.ep = number(),
		.origin = TRACE_BY_ACCEPT,
		.listener = kt_entry_ep(c->e)};
	kt_entry e;

	if (!kt_quiet) {
		n.domain = option(fd, SO_DOMAIN, 0);
		n.type = option(fd, SO_TYPE, 0);
		n.protocol = option(fd, SO_PROTOCOL, 0);
	}
	n.kind = kt_quiet && kt_entry_kind(c->e) == TRACE_LISTEN
		? TRACE_TCP
		: socket_kind(n.domain, n.type);
	n.cookie = cookie(fd);
	names(fd, &n, &local, &peer);
	announce(&n);
	e = kt_entry_make(n.ep, n.kind, KT_KNOWN | KT_REC);
	kt_fd_put(fd, e);
	return e;
}

kt_entry
kt_watch(int fd)
{
	kt_entry e = kt_fd(fd);

	if (!e || kt_entry_ep(e))
		return e;
	e = new_file(kt_entry_kind(e),
		kt_entry_flags(e) & KT_BORN	     ? TRACE_BY_SOCKET
			: kt_entry_flags(e) & KT_HAD ? TRACE_BY_INHERIT
						     : TRACE_BY_ESCAPE);
	kt_fd_put(fd, e);
	return e;
}

/* Which numbers the image began with. Before main, so nobody else counts. */
static void
inherited(void)
{
	struct {
		uint64_t ino;
		int64_t off;
		uint16_t len;
		uint8_t type;
		char name[];
	} * d;
	char buf[2048] __attribute__((aligned(8)));
	long n, at;
	int dir;

	dir = kmap_syscall(SYS_openat, AT_FDCWD, "/proc/self/fd",
		O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, 0, 0);
	if (dir < 0) {
		/* Nobody can say: what is met is taken for inherited. */
		for (unsigned int i = 0; i < 64 && i < kt_nfds; i++)
			kt_fds[i] = KT_HAD;
		return;
	}
	while ((n = kmap_syscall(
			SYS_getdents64, dir, buf, sizeof(buf), 0, 0, 0)) > 0) {
		for (at = 0; at < n; at += d->len) {
			int fd;

			d = (void *)(buf + at);
			if (d->name[0] < '0' || d->name[0] > '9')
				continue;
			fd = atoi(d->name);
			if (fd != dir && (unsigned int)fd < kt_nfds)
				kt_fds[fd] = KT_HAD;
		}
	}
	kmap_sys_close(dir);
}

void
kt_fd_init(void)
{
	struct rlimit lim = {1024, 1024};
	size_t n;

	kmap_syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &lim, 0, 0);
	n = lim.rlim_max < 4096		    ? 4096
		: lim.rlim_max > (1u << 20) ? 1u << 20
					    : lim.rlim_max;
	kt_fds = kt_mmap(n * sizeof(*kt_fds), PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
	if (!kt_fds)
		return;
	kt_nfds = n;
	inherited();
}
