/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Vectors, several messages, addresses and control data, and what sendfile
 * and splice have of their own.
 */
#include <config.h>

#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "twin.h"

#ifndef TCP_INQ
#define TCP_INQ 36
#define TCP_CM_INQ TCP_INQ
#endif

/* Bad arguments are the point. */
#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wnonnull"
#pragma GCC diagnostic ignored "-Wstringop-overflow"
#pragma GCC diagnostic ignored "-Wstringop-overread"

static char buf[1 << 20];
static struct iovec many[1025];

static void
ones(void)
{
	for (int i = 0; i < 1025; i++)
		many[i] = (struct iovec){buf + i, 1};
}

CASE(iov, readv, 0)
{
	struct tw_conn *c = tw_open();
	char *wall = tw_page(50);
	struct iovec v[4];

	for (int half = 0; half < 2; half++) {
		tw_nonblock(c->fd, true);
		t_ret("0 of none", readv(c->fd, v, 0));
		p_send(c, 5000);
		ones();
		t_ret("0", readv(c->fd, v, 0));
		t_ret("-1", readv(c->fd, v, -1));
		t_ret("1025", readv(c->fd, many, 1025));
		t_got(c, "1024", readv(c->fd, many, 1024), buf);
		t_ret("null", readv(c->fd, NULL, 1));
		t_ret("nowhere", readv(c->fd, TW_NOWHERE, 1));
		t_ret("null, 0", readv(c->fd, NULL, 0));
		v[0] = (struct iovec){buf, 10};
		v[1] = (struct iovec){buf + 10, SIZE_MAX};
		t_ret("negative", readv(c->fd, v, 2));
		v[1].iov_len = SSIZE_MAX;
		t_got(c, "too much", readv(c->fd, v, 1), buf);
		v[1] = (struct iovec){NULL, 0};
		v[2] = (struct iovec){buf + 10, 10};
		t_got(c, "hole", readv(c->fd, v, 3), buf);
		v[0] = (struct iovec){NULL, 0};
		t_ret("all empty", readv(c->fd, v, 2));
		v[0] = (struct iovec){buf, 10};
		v[1] = (struct iovec){TW_NOWHERE, 10};
		t_ret("second bad", readv(c->fd, v, 2));
		v[0] = (struct iovec){wall, 60};
		v[1] = (struct iovec){buf, 10};
		t_ret("first half bad", readv(c->fd, v, 2));
		t_recv(c, 100);
		t_drain(c, 5000 - 1024 - 10 - 20 - 100);
		tw_nonblock(c->fd, false);
		tw_mid(c);
	}
}

CASE(iov, writev, 0)
{
	struct tw_conn *c = tw_open();
	char *wall = tw_page(50);
	struct iovec v[4];

	for (int half = 0; half < 2; half++) {
		ones();
		tw_fill(c, buf, 1025);
		t_ret("0", writev(c->fd, v, 0));
		t_ret("-1", writev(c->fd, v, -1));
		t_ret("1025", writev(c->fd, many, 1025));
		t_sent(c, "1024", writev(c->fd, many, 1024));
		p_recv(c, 1024);
		t_ret("null", writev(c->fd, NULL, 1));
		t_ret("nowhere", writev(c->fd, TW_NOWHERE, 1));
		v[0] = (struct iovec){buf, 10};
		v[1] = (struct iovec){buf + 10, SIZE_MAX};
		t_ret("negative", writev(c->fd, v, 2));
		tw_fill(c, buf, 20);
		v[1] = (struct iovec){NULL, 0};
		v[2] = (struct iovec){buf + 10, 10};
		t_sent(c, "hole", writev(c->fd, v, 3));
		p_recv(c, 20);
		t_ret("all empty", writev(c->fd, v + 1, 1));
		v[1] = (struct iovec){TW_NOWHERE, 10};
		tw_fill(c, buf, 20);
		t_ret("second bad", writev(c->fd, v, 2));
		v[1] = (struct iovec){wall, 60};
		t_ret("second half bad", writev(c->fd, v, 2));
		T("peer sees %ld", p_do(OP_POLL, c, POLLIN, 5, 0).r);
		t_send(c, 10);
		p_recv(c, 10);
		tw_mid(c);
	}
}

CASE(iov, recvmsg, 0)
{
	struct tw_conn *c = tw_open();
	struct sockaddr_in6 name;
	struct iovec v = {buf, 100};
	struct msghdr m;

	for (int half = 0; half < 2; half++) {
		tw_nonblock(c->fd, true);
		p_send(c, 100);
		ones();
		t_ret("null", recvmsg(c->fd, NULL, 0));
		t_ret("nowhere", recvmsg(c->fd, TW_NOWHERE, 0));
		m = (struct msghdr){.msg_iov = many, .msg_iovlen = 1025};
		t_ret("1025", recvmsg(c->fd, &m, 0));
		m.msg_iovlen = SIZE_MAX;
		t_ret("SIZE_MAX", recvmsg(c->fd, &m, 0));
		m = (struct msghdr){.msg_iov = TW_NOWHERE, .msg_iovlen = 1};
		t_ret("iov nowhere", recvmsg(c->fd, &m, 0));
		m = (struct msghdr){.msg_iov = NULL, .msg_iovlen = 0};
		t_ret("no iov", recvmsg(c->fd, &m, 0));
		m = (struct msghdr){.msg_iov = &v,
			.msg_iovlen = 1,
			.msg_name = &name,
			.msg_namelen = sizeof name,
			.msg_control = buf + 1000,
			.msg_controllen = 200,
			.msg_flags = -1};
		v.iov_len = 10;
		t_got(c, "name", recvmsg(c->fd, &m, 0), buf);
		T("name %u control %zu flags %#x", m.msg_namelen,
			m.msg_controllen, m.msg_flags);
		m.msg_namelen = -1;
		t_ret("negative name", recvmsg(c->fd, &m, 0));
		m = (struct msghdr){.msg_iov = &v,
			.msg_iovlen = 1,
			.msg_name = NULL,
			.msg_namelen = 33};
		t_got(c, "null name", recvmsg(c->fd, &m, 0), buf);
		T("name %u", m.msg_namelen);
		m = (struct msghdr){
			.msg_iov = &v, .msg_iovlen = 1, .msg_flags = -1};
		t_got(c, "CMSG_CLOEXEC", recvmsg(c->fd, &m, MSG_CMSG_CLOEXEC),
			buf);
		T("flags %#x", m.msg_flags);
		t_got(c, "TRUNC", recvmsg(c->fd, &m, MSG_TRUNC), NULL);
		T("flags %#x", m.msg_flags);
		t_drain(c, 60);
		tw_nonblock(c->fd, false);
		tw_mid(c);
	}
}

CASE(iov, sendmsg, 0)
{
	struct tw_conn *c = tw_open();
	struct sockaddr_in a = {.sin_family = AF_INET,
		.sin_port = 7,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct iovec v = {buf, 10};
	struct msghdr m;

	for (int half = 0; half < 2; half++) {
		ones();
		tw_fill(c, buf, 1025);
		t_ret("null", sendmsg(c->fd, NULL, 0));
		t_ret("nowhere", sendmsg(c->fd, TW_NOWHERE, 0));
		m = (struct msghdr){.msg_iov = many, .msg_iovlen = 1025};
		t_ret("1025", sendmsg(c->fd, &m, 0));
		m.msg_iovlen = 1024;
		t_sent(c, "1024", sendmsg(c->fd, &m, 0));
		p_recv(c, 1024);
		m = (struct msghdr){.msg_iov = NULL, .msg_iovlen = 0};
		t_ret("no iov", sendmsg(c->fd, &m, 0));
		/* A connected TCP socket ignores the address. */
		m = (struct msghdr){.msg_iov = &v,
			.msg_iovlen = 1,
			.msg_name = &a,
			.msg_namelen = sizeof a};
		tw_fill(c, buf, 10);
		t_sent(c, "name", sendmsg(c->fd, &m, 0));
		m.msg_name = TW_NOWHERE;
		t_ret("name nowhere", sendmsg(c->fd, &m, 0));
		m.msg_namelen = -1;
		t_ret("negative name", sendmsg(c->fd, &m, 0));
		tw_fill(c, buf, 10);
		t_sent(c, "sendto",
			sendto(c->fd, buf, 10, 0, (void *)&a, sizeof a));
		t_ret("sendto nowhere",
			sendto(c->fd, buf, 10, 0, TW_NOWHERE, sizeof a));
		t_ret("sendto too long",
			sendto(c->fd, buf, 10, 0, (void *)&a, 4096));
		p_recv(c, 20);
		tw_mid(c);
	}
}

/* Control data: what TCP takes, what it refuses. */
CASE(iov, control, 0)
{
	struct tw_conn *c = tw_open();
	union {
		struct cmsghdr h;
		char b[CMSG_SPACE(sizeof(int))];
	} u;
	struct iovec v = {buf, 10};
	struct msghdr m;

	for (int half = 0; half < 2; half++) {
		static const int types[][2] = {{SOL_SOCKET, SCM_RIGHTS},
			{SOL_SOCKET, 0x7777}, {IPPROTO_TCP, 1},
			{IPPROTO_IP, 1}};

		for (int i = 0; i < 4; i++) {
			memset(&u, 0, sizeof u);
			u.h.cmsg_len = CMSG_LEN(sizeof(int));
			u.h.cmsg_level = types[i][0];
			u.h.cmsg_type = types[i][1];
			*(int *)CMSG_DATA(&u.h) = 2;
			m = (struct msghdr){.msg_iov = &v,
				.msg_iovlen = 1,
				.msg_control = &u,
				.msg_controllen = sizeof u};
			tw_fill(c, buf, 10);
			ssize_t r = sendmsg(c->fd, &m, 0);

			t_sent(c, "control", r);
			if (r > 0)
				p_recv(c, 10);
		}
		m.msg_control = TW_NOWHERE;
		t_ret("control nowhere", sendmsg(c->fd, &m, 0));
		m.msg_control = &u;
		m.msg_controllen = SIZE_MAX;
		t_ret("control huge", sendmsg(c->fd, &m, 0));
		tw_mid(c);
	}
}

/* ---- recvfrom's address ---- */

CASE(recvfrom_addr, all, 0)
{
	struct tw_conn *c = tw_open();
	struct sockaddr_in a;
	socklen_t l;

	for (int half = 0; half < 2; half++) {
		tw_nonblock(c->fd, true);
		p_send(c, 50);
		l = sizeof a;
		t_got(c, "address", recvfrom(c->fd, buf, 10, 0, (void *)&a, &l),
			buf);
		T("length %u", l);
		l = 0;
		t_got(c, "length 0",
			recvfrom(c->fd, buf, 10, 0, (void *)&a, &l), buf);
		T("length %u", l);
		l = 5;
		t_got(c, "null", recvfrom(c->fd, buf, 10, 0, NULL, &l), buf);
		T("length %u", l);
		/* What an address that cannot be written costs: */
		int r = recvfrom(c->fd, buf, 10, 0, (void *)&a, NULL);

		t_ret("no length", r);
		/* those bytes. */
		c->rx += 10;
		t_recv(c, 100);
		tw_nonblock(c->fd, false);
		tw_mid(c);
	}
}

/* ---- several messages ---- */

#define NM 4
static struct mmsghdr mm[NM];
static struct iovec mv[NM];

static void
messages(size_t each)
{
	memset(mm, 0, sizeof mm);
	for (int i = 0; i < NM; i++) {
		mv[i] = (struct iovec){buf + i * each, each};
		mm[i].msg_hdr.msg_iov = mv + i;
		mm[i].msg_hdr.msg_iovlen = 1;
		mm[i].msg_len = 4711;
	}
}

static void
say_messages(struct tw_conn *c, const char *what, int r, bool in)
{
	t_ret(what, r);
	for (int i = 0; i < r; i++)
		if (in)
			t_got(c, " message", mm[i].msg_len,
				mm[i].msg_hdr.msg_iov->iov_base);
		else
			t_sent(c, " message", mm[i].msg_len);
}

CASE(mmsg, recv, 0)
{
	struct tw_conn *c = tw_open();
	struct timespec ts;

	for (int half = 0; half < 2; half++) {
		tw_nonblock(c->fd, true);
		messages(10);
		say_messages(c, "none", recvmmsg(c->fd, mm, NM, 0, NULL), true);
		p_send(c, 25);
		say_messages(
			c, "three", recvmmsg(c->fd, mm, NM, 0, NULL), true);
		tw_nonblock(c->fd, false);
		p_send(c, 25);
		messages(10);
		say_messages(c, "WAITFORONE",
			recvmmsg(c->fd, mm, NM, MSG_WAITFORONE, NULL), true);
		p_send(c, 40);
		messages(10);
		say_messages(c, "four", recvmmsg(c->fd, mm, NM, 0, NULL), true);
		p_send(c, 30);
		messages(10);
		ts = (struct timespec){0, 0};
		say_messages(
			c, "no time", recvmmsg(c->fd, mm, NM, 0, &ts), true);
		t_drain(c, 20);
		ts = (struct timespec){-1, 0};
		t_ret("bad time", recvmmsg(c->fd, mm, NM, 0, &ts));
		t_ret("time nowhere", recvmmsg(c->fd, mm, NM, 0, TW_NOWHERE));
		t_ret("0", recvmmsg(c->fd, mm, 0, MSG_DONTWAIT, NULL));
		t_ret("nowhere",
			recvmmsg(c->fd, TW_NOWHERE, 1, MSG_DONTWAIT, NULL));
		tw_mid(c);
	}
	p_send(c, 15);
	p_shut_wr(c);
	messages(10);
	say_messages(c, "end", recvmmsg(c->fd, mm, NM, 0, NULL), true);
}

/* The error after the first message is the next call's. */
CASE(mmsg, recv_fault, 0)
{
	struct tw_conn *c = tw_open();
	int v = -1;
	socklen_t l = sizeof v;

	for (int half = 0; half < 2; half++) {
		tw_nonblock(c->fd, true);
		p_send(c, 40);
		messages(10);
		mv[1].iov_base = TW_NOWHERE;
		say_messages(c, "second bad", recvmmsg(c->fd, mm, NM, 0, NULL),
			true);
		t_ret("SO_ERROR",
			getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &v, &l));
		T("%d", v);
		messages(10);
		say_messages(
			c, "again", recvmmsg(c->fd, mm, NM, 0, NULL), true);
		t_recv(c, 100);
		tw_nonblock(c->fd, false);
		tw_mid(c);
	}
}

CASE(mmsg, send, 0)
{
	struct tw_conn *c = tw_open();

	for (int half = 0; half < 2; half++) {
		tw_fill(c, buf, 40);
		messages(10);
		say_messages(c, "four", sendmmsg(c->fd, mm, NM, 0), false);
		p_recv(c, 40);
		tw_fill(c, buf, 40);
		messages(10);
		mv[2].iov_base = TW_NOWHERE;
		say_messages(c, "third bad", sendmmsg(c->fd, mm, NM, 0), false);
		p_recv(c, 20);
		t_ret("0", sendmmsg(c->fd, mm, 0, 0));
		t_ret("nowhere", sendmmsg(c->fd, TW_NOWHERE, 1, 0));
		t_ret("null", sendmmsg(c->fd, NULL, 1, 0));
		mv[0].iov_base = TW_NOWHERE;
		t_ret("first bad", sendmmsg(c->fd, mm, NM, 0));
		t_send(c, 10);
		p_recv(c, 10);
		tw_mid(c);
	}
	shutdown(c->fd, SHUT_WR);
	messages(10);
	t_ret("shut", sendmmsg(c->fd, mm, NM, MSG_NOSIGNAL));
	t_pipes();
}

CASE(mmsg, send_full, F_TCP)
{
	struct tw_conn *c = tw_open();

	for (int half = 0; half < 2; half++) {
		struct tw_answer a;
		long n = t_fill(c);

		messages(1000);
		t_ret("full", sendmmsg(c->fd, mm, NM, MSG_DONTWAIT));
		a = p_do(OP_RECV, c, n, 0, 0);
		T("peer took %s", a.r == n ? "all" : "less");
		tw_mid(c);
	}
}

/* ---- preadv2, pwritev2: what is theirs ---- */

CASE(pv2, all, 0)
{
	struct tw_conn *c = tw_open();
	struct iovec v = {buf, 10};

	for (int half = 0; half < 2; half++) {
		t_ret("NOWAIT none", preadv2(c->fd, &v, 1, -1, RWF_NOWAIT));
		p_send(c, 20);
		t_ret("offset 0", preadv2(c->fd, &v, 1, 0, 0));
		t_ret("offset 5", preadv2(c->fd, &v, 1, 5, 0));
		t_ret("offset -2", preadv2(c->fd, &v, 1, -2, 0));
		t_ret("flag", preadv2(c->fd, &v, 1, -1, 0x4000000));
		t_got(c, "NOWAIT", preadv2(c->fd, &v, 1, -1, RWF_NOWAIT), buf);
		t_got(c, "HIPRI", preadv2(c->fd, &v, 1, -1, RWF_HIPRI), buf);
		tw_fill(c, buf, 10);
		t_ret("offset 0", pwritev2(c->fd, &v, 1, 0, 0));
		t_ret("flag", pwritev2(c->fd, &v, 1, -1, 0x4000000));
		t_sent(c, "APPEND", pwritev2(c->fd, &v, 1, -1, RWF_APPEND));
		p_recv(c, 10);
		tw_mid(c);
	}
}

CASE(pv2, nowait_full, F_TCP)
{
	struct tw_conn *c = tw_open();
	struct iovec v = {buf, 1000};

	for (int half = 0; half < 2; half++) {
		struct tw_answer a;
		long n = t_fill(c);

		t_ret("NOWAIT full", pwritev2(c->fd, &v, 1, -1, RWF_NOWAIT));
		a = p_do(OP_RECV, c, n, 0, 0);
		T("peer took %s", a.r == n ? "all" : "less");
		v.iov_len = 10;
		tw_fill(c, buf, 10);
		t_sent(c, "NOWAIT", pwritev2(c->fd, &v, 1, -1, RWF_NOWAIT));
		p_recv(c, 10);
		v.iov_len = 1000;
		tw_mid(c);
	}
}

/* ---- what a socket does not do ---- */

CASE(refused, all, 0)
{
	struct tw_conn *c = tw_open();
	struct iovec v = {buf, 10};
	int pp[2], f = memfd_create("file", 0);

	if (pipe(pp) < 0 || ftruncate(f, 100) < 0)
		return;
	for (int half = 0; half < 2; half++) {
		off64_t off = 0;

		p_send(c, 10);
		t_ret("pread", pread(c->fd, buf, 10, 0));
		t_ret("pwrite", pwrite(c->fd, buf, 10, 0));
		t_ret("preadv", preadv(c->fd, &v, 1, 0));
		t_ret("pwritev", pwritev(c->fd, &v, 1, 0));
		t_ret("lseek", lseek(c->fd, 0, SEEK_CUR));
		t_ret("ftruncate", ftruncate(c->fd, 0));
		t_ret("fsync", fsync(c->fd));
		t_ret("fdatasync", fdatasync(c->fd));
		t_ret("fallocate", fallocate(c->fd, 0, 0, 10));
		t_ret("posix_fadvise", posix_fadvise(c->fd, 0, 10, 0));
		t_ret("readahead", readahead(c->fd, 0, 10));
		T("mmap %s",
			mmap(NULL, 4096, PROT_READ, MAP_SHARED, c->fd, 0) ==
					MAP_FAILED
				? t_err(errno)
				: "works");
		t_ret("copy in", copy_file_range(c->fd, NULL, f, NULL, 10, 0));
		t_ret("copy out", copy_file_range(f, NULL, c->fd, NULL, 10, 0));
		t_ret("tee in", tee(c->fd, pp[1], 10, 0));
		t_ret("tee out", tee(pp[0], c->fd, 10, 0));
		t_ret("vmsplice", vmsplice(c->fd, &v, 1, 0));
		t_ret("sendfile from it", sendfile(pp[1], c->fd, NULL, 10));
		t_ret("isatty", isatty(c->fd));
		t_ret("fchdir", fchdir(c->fd));
		t_ret("splice to file", splice(c->fd, NULL, f, NULL, 10, 0));
		t_ret("splice offset", splice(c->fd, &off, pp[1], NULL, 10, 0));
		t_ret("listen", listen(c->fd, 5));
		t_ret("accept", accept(c->fd, NULL, NULL));
		t_recv(c, 100);
		tw_mid(c);
	}
}

/* ---- sendfile ---- */

static int
file(struct tw_conn *c, size_t n)
{
	int f = memfd_create("file", 0);

	tw_fill(c, buf, n);
	if (write(f, buf, n) != (ssize_t)n)
		tw_fault("no file");
	return f;
}

CASE(sendfile_own, offsets, 0)
{
	struct tw_conn *c = tw_open();

	for (int half = 0; half < 2; half++) {
		int f = file(c, 1000), pp[2];
		off_t off = 0;

		t_sent(c, "100", sendfile(c->fd, f, &off, 100));
		T("offset %ld, file at %ld", (long)off,
			(long)lseek(f, 0, SEEK_CUR));
		t_sent(c, "to the end", sendfile(c->fd, f, &off, 5000));
		T("offset %ld", (long)off);
		t_ret("at the end", sendfile(c->fd, f, &off, 10));
		off = 5000;
		t_ret("behind", sendfile(c->fd, f, &off, 10));
		off = -1;
		t_ret("negative", sendfile(c->fd, f, &off, 10));
		t_ret("nowhere", sendfile(c->fd, f, TW_NOWHERE, 10));
		t_ret("at its own end", sendfile(c->fd, f, NULL, 10));
		lseek(f, 0, SEEK_SET);
		t_ret("nothing", sendfile(c->fd, f, NULL, 0));
		p_recv(c, 1000);
		close(f);
		t_ret("closed", sendfile(c->fd, f, NULL, 10));
		t_ret("-1", sendfile(c->fd, -1, NULL, 10));
		if (pipe(pp) == 0)
			t_ret("pipe", sendfile(c->fd, pp[0], &off, 10));
		f = open("/dev/null", O_WRONLY);
		t_ret("write-only", sendfile(c->fd, f, NULL, 10));
		close(f);
		f = open("/proc/self/exe", O_RDONLY);
		off = 0;
		ssize_t r = sendfile(c->fd, f, &off, 4096);

		t_ret("a real file", r);
		c->count = false;
		struct tw_answer a = p_do(OP_RECV, c, r, 0, 0);

		T("peer took %ld", a.r);
		c->tx += r;
		close(f);
		f = open("/proc/self/maps", O_RDONLY);
		t_ret("a file of /proc", sendfile(c->fd, f, NULL, 16));
		close(f);
		tw_mid(c);
	}
}

/* ---- splice ---- */

CASE(splice_own, flags, 0)
{
	struct tw_conn *c = tw_open();

	for (int half = 0; half < 2; half++) {
		int pp[2], r;

		if (pipe(pp) < 0)
			return;
		/* Linux takes this flag for the pipe only. */
		p_when(OP_SEND, c, 10, 0, 0);
		r = splice(c->fd, NULL, pp[1], NULL, 100, SPLICE_F_NONBLOCK);
		p_end();
		if (r > 0 && read(pp[0], buf, r) != r)
			T("the pipe holds less");
		t_got(c, "NONBLOCK, none", r, buf);
		tw_nonblock(c->fd, true);
		t_ret("O_NONBLOCK, none",
			splice(c->fd, NULL, pp[1], NULL, 100, 0));
		tw_nonblock(c->fd, false);
		t_ret("empty pipe",
			splice(pp[0], NULL, c->fd, NULL, 100,
				SPLICE_F_NONBLOCK));
		p_send(c, 100);
		t_ret("flag", splice(c->fd, NULL, pp[1], NULL, 100, 0x100));
		t_ret("wrong end", splice(c->fd, NULL, pp[0], NULL, 100, 0));
		t_ret("wrong end", splice(pp[1], NULL, c->fd, NULL, 100, 0));
		t_ret("no pipe", splice(c->fd, NULL, c->fd, NULL, 100, 0));
		r = splice(c->fd, NULL, pp[1], NULL, 60,
			SPLICE_F_MOVE | SPLICE_F_MORE);
		if (r > 0 && read(pp[0], buf, r) != r)
			T("the pipe holds less");
		t_got(c, "MOVE|MORE", r, buf);
		r = splice(c->fd, NULL, pp[1], NULL, 100, 0);
		if (r > 0 && read(pp[0], buf, r) != r)
			T("the pipe holds less");
		t_got(c, "the rest", r, buf);
		tw_fill(c, buf, 50);
		t_ret("into the pipe", write(pp[1], buf, 50));
		t_sent(c, "a part",
			splice(pp[0], NULL, c->fd, NULL, 20, SPLICE_F_MORE));
		t_sent(c, "the rest",
			splice(pp[0], NULL, c->fd, NULL, 1000, 0));
		p_recv(c, 50);
		close(pp[1]);
		t_ret("no writer", splice(pp[0], NULL, c->fd, NULL, 10, 0));
		close(pp[0]);
		tw_mid(c);
	}
	int pp[2];

	if (pipe(pp) < 0)
		return;
	p_send(c, 10);
	p_shut_wr(c);
	t_got(c, "before the end", splice(c->fd, NULL, pp[1], NULL, 100, 0),
		NULL);
	t_ret("the end", splice(c->fd, NULL, pp[1], NULL, 100, 0));
}

/* A full pipe: what does not fit stays in the stream. */
CASE(splice_own, full_pipe, 0)
{
	struct tw_conn *c = tw_open();

	for (int half = 0; half < 2; half++) {
		int pp[2], r;

		if (pipe(pp) < 0)
			return;
		fcntl(pp[1], F_SETFL, O_NONBLOCK);
		memset(buf, 0, 65536);
		t_ret("filled", write(pp[1], buf, 65536));
		p_send(c, 100);
		t_ret("full",
			splice(c->fd, NULL, pp[1], NULL, 100,
				SPLICE_F_NONBLOCK));
		r = read(pp[0], buf, 65536);
		T("read %d", r);
		t_ret("room", splice(c->fd, NULL, pp[1], NULL, 40, 0));
		t_got(c, "of the pipe", read(pp[0], buf, 100), buf);
		t_recv(c, 100);
		close(pp[0]);
		t_ret("no reader",
			splice(c->fd, NULL, pp[1], NULL, 100,
				SPLICE_F_NONBLOCK));
		t_pipes();
		close(pp[1]);
		tw_mid(c);
	}
}

/* As haproxy: socket to pipe to socket, a megabyte. */
CASE(splice_own, proxy, 0)
{
	struct tw_conn *a = tw_open(), *b = tw_open();
	long sum = 0, out = 0;
	int pp[2];

	tw_mid(a);
	tw_mid(b);
	a->count = b->count = false;
	if (pipe(pp) < 0)
		return;
	p_do(OP_SETOPT, b, SOL_SOCKET, SO_RCVBUF, 1 << 20);
	p_start(OP_SEND, a, 200000, 0, 0);
	while (sum < 200000) {
		ssize_t r = splice(
			a->fd, NULL, pp[1], NULL, 65536, SPLICE_F_NONBLOCK);

		if (r < 0 && errno == EAGAIN) {
			struct pollfd p = {a->fd, POLLIN, 0};

			poll(&p, 1, 2000);
			continue;
		}
		if (r <= 0)
			break;
		sum += r;
		for (long left = r; left > 0;) {
			r = splice(pp[0], NULL, b->fd, NULL, left, 0);
			if (r <= 0)
				break;
			left -= r;
			out += r;
		}
	}
	p_end();
	T("in %ld out %ld", sum, out);
	T("peer took %ld", p_do(OP_RECV, b, out, 0, 0).r);
	tw_some_ring(a, true);
	tw_some_ring(b, false);
}

/* ---- TCP_INQ ---- */

CASE(inq, all, 0)
{
	struct tw_conn *c = tw_open();
	int one = 1, v = -1;
	socklen_t l = sizeof v;

	t_ret("TCP_INQ",
		setsockopt(c->fd, IPPROTO_TCP, TCP_INQ, &one, sizeof one));
	t_ret("get", getsockopt(c->fd, IPPROTO_TCP, TCP_INQ, &v, &l));
	T("%d", v);
	for (int half = 0; half < 2; half++) {
		p_send(c, 100);
		for (int i = 0; i < 3; i++) {
			char ctl[CMSG_SPACE(sizeof(int)) + 16];
			struct iovec iv = {buf, 40};
			struct msghdr m = {.msg_iov = &iv,
				.msg_iovlen = 1,
				.msg_control = ctl,
				.msg_controllen = i == 1 ? 4 : sizeof ctl};
			struct cmsghdr *h;

			t_got(c, "recvmsg", recvmsg(c->fd, &m, MSG_DONTWAIT),
				buf);
			T("flags %#x control %zu", m.msg_flags,
				m.msg_controllen);
			h = m.msg_controllen ? CMSG_FIRSTHDR(&m) : NULL;
			if (h)
				T("level %d type %d: %d", h->cmsg_level,
					h->cmsg_type, *(int *)CMSG_DATA(h));
		}
		tw_mid(c);
	}
	p_shut_wr(c);
	struct iovec iv = {buf, 40};
	char ctl[64];
	struct msghdr m = {.msg_iov = &iv,
		.msg_iovlen = 1,
		.msg_control = ctl,
		.msg_controllen = sizeof ctl};

	t_got(c, "at the end", recvmsg(c->fd, &m, 0), buf);
	T("control %zu", m.msg_controllen);
	if (m.msg_controllen)
		T("%d", *(int *)CMSG_DATA(CMSG_FIRSTHDR(&m)));
}
