/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who owns the other end of a connection: asked of sock_diag, and, where a
 * seccomp filter refuses that as a container's may, of proc(5)'s tables. Both
 * answer alike: IPv4, IPv6, IPv4 by a socket of IPv6, another uid's socket;
 * and nobody owns what was not accepted yet, or is closed, or listens.
 */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "addr.h"
#include "kid.h"
#include "tap.h"

#define OTHERS 3000 /* connections in the tables beside those asked for */

/* A listener and what connects to it. */
struct pair {
	const char *name;
	int family[2]; /* of the listener, of the connector */
	int listener, from, to;
	struct kmap_addr a, b; /* the connector's address, the acceptor's */
};

static socklen_t
any(struct sockaddr_storage *ss, int family, bool mapped)
{
	struct sockaddr_in *in = (void *)ss;
	struct sockaddr_in6 *in6 = (void *)ss;

	memset(ss, 0, sizeof(*ss));
	ss->ss_family = (sa_family_t)family;
	if (family == AF_INET) {
		in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		return sizeof(*in);
	}
	inet_pton(
		AF_INET6, mapped ? "::ffff:127.0.0.1" : "::1", &in6->sin6_addr);
	return sizeof(*in6);
}

static bool
open_pair(struct pair *p, bool accepted)
{
	bool mapped = p->family[0] != p->family[1];
	struct sockaddr_storage ss, own, peer;
	socklen_t len = any(&ss, p->family[0], mapped), len2, plen;
	in_port_t *port = &((struct sockaddr_in *)&ss)->sin_port, is;

	p->to = -1;
	p->listener = socket(p->family[0], SOCK_STREAM, 0);
	if (p->listener < 0 || bind(p->listener, (void *)&ss, len) != 0 ||
		listen(p->listener, 8) != 0 ||
		getsockname(p->listener, (void *)&ss, &len) != 0)
		return false;
	is = *port;
	len = any(&ss, p->family[1], mapped);
	*port = is;
	p->from = socket(p->family[1], SOCK_STREAM, 0);
	if (p->from < 0 || connect(p->from, (void *)&ss, len) != 0)
		return false;
	if (accepted)
		p->to = accept(p->listener, NULL, NULL);
	len2 = plen = sizeof(own);
	return getsockname(p->from, (void *)&own, &len2) == 0 &&
		getpeername(p->from, (void *)&peer, &plen) == 0 &&
		kmap_addr_from(&p->a, &own, len2) == 0 &&
		kmap_addr_from(&p->b, &peer, plen) == 0;
}

static struct pair pairs[] = {
	{.name = "IPv4", .family = {AF_INET, AF_INET}},
	{.name = "IPv6", .family = {AF_INET6, AF_INET6}},
	{.name = "IPv4 to a listener of IPv6", .family = {AF_INET6, AF_INET}},
};
static struct pair theirs = {.family = {AF_INET, AF_INET}};
static struct pair pends = {.family = {AF_INET, AF_INET}};
static struct pair closed = {.family = {AF_INET, AF_INET}};
static long long them;
static struct pair others[OTHERS];
static int nothers;

static void
ask(const char *how)
{
	struct kmap_addr listening = pairs[0].b, nobody = pairs[0].a;
	int asked = 0, good = 0;

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		struct pair *p = &pairs[i];

		is_int(kmap_owner_uid(&p->a, &p->b), geteuid(),
			"%s: %s: the connector's", how, p->name);
		is_int(kmap_owner_uid(&p->b, &p->a), geteuid(),
			"%s: %s: the acceptor's", how, p->name);
	}
	is_int(kmap_owner_uid(&theirs.a, &theirs.b), them, "%s: another uid's",
		how);
	is_int(kmap_owner_uid(&pends.b, &pends.a), -ENOENT,
		"%s: not accepted: nobody's", how);
	is_int(kmap_owner_uid(&closed.a, &closed.b), -ENOENT,
		"%s: closed: nobody's", how);
	nobody.port ^= htons(0x4000);
	is_int(kmap_owner_uid(&listening, &nobody), -ENOENT,
		"%s: a listener's is not a connection's", how);
	/* Wherever a line of the table is cut in two. */
	for (int i = 0; i + 1 < nothers; i += 16) {
		asked++;
		good += kmap_owner_uid(&others[i].a, &others[i].b) ==
			(int64_t)geteuid();
	}
	is_int(good, asked, "%s: and of %d others", how, asked);
}

/* As a container's filter: no NETLINK_SOCK_DIAG, all else as before. */
static bool
forbid_diag(void)
{
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 5),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_NETLINK, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			offsetof(struct seccomp_data, args[2])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NETLINK_SOCK_DIAG, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EACCES),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {sizeof(f) / sizeof(f[0]), f};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0 &&
		socket(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG) < 0 &&
		errno == EACCES;
}

int
main(void)
{
	if (net_private() != 0)
		diag("in the machine's own network namespace");
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		if (!open_pair(&pairs[i], true))
			bail_out("%s: %s", pairs[i].name, strerror(errno));
	/* A socket is his who made it. */
	them = geteuid();
	if (seteuid(12345) == 0)
		them = 12345;
	if (!open_pair(&theirs, true))
		bail_out("another uid: %s", strerror(errno));
	if (them == 12345 && seteuid(0) != 0)
		bail_out("seteuid: %s", strerror(errno));
	if (!open_pair(&pends, false) || !open_pair(&closed, true))
		bail_out("pairs: %s", strerror(errno));
	close(closed.from);
	/* The tables are long, and are read in pieces. */
	while (nothers < OTHERS) {
		struct pair *p = &others[nothers++];

		p->family[0] = p->family[1] = nothers % 2 ? AF_INET : AF_INET6;
		if (!open_pair(p, true))
			break;
	}
	/* Where numbers were all that ended it, some have to be free. */
	for (int i = 0; nothers < OTHERS && nothers > 1 && i < 3; i++) {
		struct pair *p = &others[--nothers];

		close(p->listener);
		close(p->from);
		close(p->to);
	}
	diag("%d connections beside", nothers);
	ask("sock_diag");
	if (!forbid_diag())
		skip(11, "no seccomp filter can be set here");
	else
		ask("proc");
	return done();
}
