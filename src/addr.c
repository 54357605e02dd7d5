/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "addr.h"

#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <string.h>

#ifndef SO_ORIGINAL_DST
#define SO_ORIGINAL_DST 80
#endif
#define IP6T_SO_ORIGINAL_DST 80

static const uint8_t v4_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

int
kmap_addr_from(struct kmap_addr *a, const void *sa, socklen_t len)
{
	const struct sockaddr_in *in = sa;
	const struct sockaddr_in6 *in6 = sa;

	memset(a, 0, sizeof(*a));
	if (len >= sizeof(*in) && in->sin_family == AF_INET) {
		memcpy(a->ip, v4_prefix, sizeof(v4_prefix));
		memcpy(a->ip + 12, &in->sin_addr, 4);
		a->port = in->sin_port;
		return 0;
	}
	if (len >= sizeof(*in6) && in6->sin6_family == AF_INET6) {
		memcpy(a->ip, &in6->sin6_addr, 16);
		a->port = in6->sin6_port;
		return 0;
	}
	return -EAFNOSUPPORT;
}

bool
kmap_addr_is_v4(const struct kmap_addr *a)
{
	return memcmp(a->ip, v4_prefix, sizeof(v4_prefix)) == 0;
}

int
kmap_tuple_of(struct kmap_tuple *t, int fd, int role, bool *translated)
{
	struct sockaddr_storage own, peer, orig;
	socklen_t ownlen = sizeof(own), peerlen = sizeof(peer);
	socklen_t len = sizeof(orig);
	struct kmap_addr a, o;
	int r;

	*translated = false;
	r = kmap_sys_getsockname(fd, &own, &ownlen);
	if (r == 0)
		r = kmap_sys_getpeername(fd, &peer, &peerlen);
	if (r != 0)
		return r;
	if (role == KMAP_CONNECTOR) {
		r = kmap_addr_from(&t->from, &own, ownlen);
		return r != 0 ? r : kmap_addr_from(&t->to, &peer, peerlen);
	}
	r = kmap_addr_from(&t->from, &peer, peerlen);
	if (r == 0)
		r = kmap_addr_from(&a, &own, ownlen);
	if (r != 0)
		return r;
	t->to = a;
	if (kmap_addr_is_v4(&a))
		r = kmap_sys_getsockopt(
			fd, IPPROTO_IP, SO_ORIGINAL_DST, &orig, &len);
	else
		r = kmap_sys_getsockopt(
			fd, IPPROTO_IPV6, IP6T_SO_ORIGINAL_DST, &orig, &len);
	if (r == 0 && kmap_addr_from(&o, &orig, len) == 0 &&
		!kmap_addr_eq(&o, &a)) {
		t->to = o;
		*translated = true;
	}
	return 0;
}

static char *
hex(char *to, const void *from, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *b = from;

	for (size_t i = 0; i < n; i++) {
		*to++ = digits[b[i] >> 4];
		*to++ = digits[b[i] & 15];
	}
	return to;
}

static char *
hex_addr(char *to, const struct kmap_addr *a)
{
	if (kmap_addr_is_v4(a))
		to = hex(to, a->ip + 12, 4);
	else
		to = hex(to, a->ip, 16);
	*to++ = ':';
	return hex(to, &a->port, 2);
}

socklen_t
kmap_tuple_name(const struct kmap_tuple *t, struct sockaddr_un *un)
{
	static const char head[] = "kmap/1/";
	char *p = un->sun_path;

	memset(un, 0, sizeof(*un));
	un->sun_family = AF_UNIX;
	*p++ = '\0';
	memcpy(p, head, sizeof(head) - 1);
	p = hex_addr(p + sizeof(head) - 1, &t->from);
	*p++ = '>';
	p = hex_addr(p, &t->to);
	return (socklen_t)(p - (char *)un);
}

/* ---- the owner of a socket ---- */

/* "%08X:%04X" or the same with four words, as the kernel prints it. */
static char *
proc_addr(char *to, const struct kmap_addr *a, bool v4)
{
	static const char digits[] = "0123456789ABCDEF";
	uint16_t port = (uint16_t)(a->port >> 8 | a->port << 8);

	for (unsigned int i = v4 ? 12 : 0; i < 16; i += 4) {
		uint32_t w;

		memcpy(&w, a->ip + i, sizeof(w));
		for (int k = 28; k >= 0; k -= 4)
			*to++ = digits[w >> k & 15];
	}
	*to++ = ':';
	for (int k = 12; k >= 0; k -= 4)
		*to++ = digits[port >> k & 15];
	return to;
}

/* The n-th word from p on, n from 0; NULL: the line ends before it. */
static const char *
word(const char *p, unsigned int n)
{
	for (;; n--) {
		while (*p == ' ')
			p++;
		if (*p == '\0' || n == 0)
			return *p == '\0' ? NULL : p;
		while (*p != ' ' && *p != '\0')
			p++;
	}
}

static uint64_t
number(const char *p)
{
	uint64_t n = 0;

	for (; p != NULL && *p >= '0' && *p <= '9'; p++)
		n = n * 10 + (uint64_t)(*p - '0');
	return n;
}

/* proc(5): "sl: local remote st tx:rx tr:when retrnsmt uid timeout inode".
 * -ENOENT: another socket's line, or one that has no owner. */
static int64_t
line_uid(const char *line, const char *key, size_t len)
{
	const char *p = word(line, 1);

	if (p == NULL || strncmp(p, key, len) != 0 || number(word(p, 8)) == 0)
		return -ENOENT;
	return (int64_t)number(word(p, 6));
}

static int64_t
proc_uid(const char *file, const struct kmap_addr *local,
	const struct kmap_addr *remote, bool v4)
{
	char key[2 * 37 + 2], buf[2048], *end;
	size_t len, have = 0;
	int64_t r = -ENOENT;
	long fd, n;

	end = proc_addr(key, local, v4);
	*end++ = ' ';
	end = proc_addr(end, remote, v4);
	*end++ = ' ';
	len = (size_t)(end - key);
	fd = kmap_syscall(
		SYS_openat, AT_FDCWD, file, O_RDONLY | O_CLOEXEC, 0, 0, 0);
	if (fd < 0)
		return fd;
	while (r == -ENOENT &&
		(n = kmap_sys_read((int)fd, buf + have, sizeof(buf) - have)) >
			0) {
		char *line = buf, *nl;

		have += (size_t)n;
		while (r == -ENOENT &&
			(nl = memchr(line, '\n',
				 have - (size_t)(line - buf))) != NULL) {
			*nl = '\0';
			r = line_uid(line, key, len);
			line = nl + 1;
		}
		have -= (size_t)(line - buf);
		memmove(buf, line, have);
	}
	kmap_sys_close((int)fd);
	return r;
}

/* Where sock_diag is forbidden: the same out of tables for people, at a cost
 * that grows with the connections of the machine. */
static int64_t
proc_owner(const struct kmap_addr *local, const struct kmap_addr *remote)
{
	int64_t r = -ENOENT;

	if (kmap_addr_is_v4(local) && kmap_addr_is_v4(remote))
		r = proc_uid("/proc/thread-self/net/tcp", local, remote, true);
	/* A socket of IPv6 may carry IPv4. */
	if (r == -ENOENT)
		r = proc_uid(
			"/proc/thread-self/net/tcp6", local, remote, false);
	return r;
}

/* One socket as sock_diag(7) tells of it, found as a segment from `remote` to
 * `local` would find it: a connection, or else a listener. */
static int64_t
diag(const struct kmap_addr *local, const struct kmap_addr *remote,
	struct inet_diag_msg *found)
{
	struct {
		struct nlmsghdr h;
		struct inet_diag_req_v2 r;
	} q;
	union {
		struct nlmsghdr h;
		char buf[1024];
	} a;
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	bool v4 = kmap_addr_is_v4(local) && kmap_addr_is_v4(remote);
	struct iovec v = {&q, sizeof(q)};
	struct msghdr m = {
		.msg_name = &kernel,
		.msg_namelen = sizeof(kernel),
		.msg_iov = &v,
		.msg_iovlen = 1,
	};
	int64_t r;
	int fd;

	fd = kmap_sys_socket(
		AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (fd < 0)
		return fd;
	memset(&q, 0, sizeof(q));
	q.h.nlmsg_len = sizeof(q);
	q.h.nlmsg_type = SOCK_DIAG_BY_FAMILY;
	q.h.nlmsg_flags = NLM_F_REQUEST;
	q.r.sdiag_family = v4 ? AF_INET : AF_INET6;
	q.r.sdiag_protocol = IPPROTO_TCP;
	q.r.idiag_states = ~0u;
	q.r.id.idiag_sport = local->port;
	q.r.id.idiag_dport = remote->port;
	memcpy(q.r.id.idiag_src, local->ip + (v4 ? 12 : 0), v4 ? 4 : 16);
	memcpy(q.r.id.idiag_dst, remote->ip + (v4 ? 12 : 0), v4 ? 4 : 16);
	q.r.id.idiag_cookie[0] = INET_DIAG_NOCOOKIE;
	q.r.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
	r = kmap_sys_sendmsg(fd, &m, MSG_DONTWAIT);
	if (r >= 0)
		r = kmap_sys_recv(fd, a.buf, sizeof(a.buf), MSG_DONTWAIT);
	if (r >= (int64_t)sizeof(a.h)) {
		const struct nlmsgerr *e = NLMSG_DATA(&a.h);

		r = 0;
		if (a.h.nlmsg_type == NLMSG_ERROR)
			r = e->error < 0 ? e->error : -EIO;
		else if (a.h.nlmsg_len < NLMSG_LENGTH(sizeof(*found)))
			r = -EIO;
		else
			memcpy(found, NLMSG_DATA(&a.h), sizeof(*found));
	} else if (r >= 0)
		r = -EIO;
	kmap_sys_close(fd);
	return r;
}

static int64_t
diag_owner(const struct kmap_addr *local, const struct kmap_addr *remote)
{
	struct inet_diag_msg d;
	int64_t r = diag(local, remote, &d);

	if (r < 0)
		return r;
	/* A lookup falls back to a listening socket: not the one. And what it
	 * says of one that is not accepted yet, or closed, is nobody's. */
	if (d.id.idiag_dport != remote->port || d.idiag_inode == 0)
		return -ENOENT;
	return d.idiag_uid;
}

int64_t
kmap_unread_at(const struct kmap_addr *local, const struct kmap_addr *remote)
{
	struct inet_diag_msg d;
	int64_t r = diag(local, remote, &d);

	if (r < 0)
		return r;
	if (d.id.idiag_dport != remote->port)
		return -ENOENT;
	return d.idiag_rqueue;
}

uint32_t
kmap_listener(const struct kmap_addr *at)
{
	/* Nobody's address: no connection is found. */
	struct kmap_addr none = *at;
	struct inet_diag_msg d;

	memset(none.ip + 12, 0, 4);
	if (!kmap_addr_is_v4(at))
		memset(none.ip, 0, sizeof(none.ip));
	none.port = 0;
	if (diag(at, &none, &d) < 0 || d.idiag_state != TCP_LISTEN ||
		d.id.idiag_sport != at->port)
		return 0;
	return d.idiag_inode;
}

int64_t
kmap_owner_uid(const struct kmap_addr *local, const struct kmap_addr *remote)
{
	int64_t r = diag_owner(local, remote);

	return r >= 0 || r == -ENOENT ? r : proc_owner(local, remote);
}
