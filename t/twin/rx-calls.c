/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The calls that receive, in one form: rows of the matrix of rx.c.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "matrix.h"
#include "twin.h"

static ssize_t
x_read(int fd, void *b, size_t n, int fl)
{
	(void)fl;
	return read(fd, b, n);
}

static int
split(struct iovec *v, void *b, size_t n)
{
	size_t x = n / 3;

	v[0] = (struct iovec){b, x};
	v[1] = (struct iovec){(char *)b + x, 0};
	v[2] = (struct iovec){(char *)b + x, n - x};
	return 3;
}

static ssize_t
x_readv(int fd, void *b, size_t n, int fl)
{
	struct iovec v[3];

	(void)fl;
	return readv(fd, v, split(v, b, n));
}

static ssize_t
x_recv(int fd, void *b, size_t n, int fl)
{
	return recv(fd, b, n, fl);
}

static ssize_t
x_recvfrom(int fd, void *b, size_t n, int fl)
{
	struct sockaddr_storage ss;
	socklen_t l = sizeof ss;
	ssize_t r;

	memset(&ss, 0x5a, sizeof ss);
	r = recvfrom(fd, b, n, fl, (void *)&ss, &l);
	if (r >= 0 && l != 0)
		T("recvfrom gave an address of %u bytes", l);
	return r;
}

static ssize_t
x_recvmsg(int fd, void *b, size_t n, int fl)
{
	char ctl[128];
	struct iovec v[3];
	struct msghdr m = {.msg_iov = v,
		.msg_control = ctl,
		.msg_controllen = sizeof ctl,
		.msg_flags = 0x7777};
	ssize_t r;

	m.msg_iovlen = split(v, b, n);
	r = recvmsg(fd, &m, fl);
	if (r >= 0 && (m.msg_flags || m.msg_controllen || m.msg_namelen))
		T("recvmsg gave flags %#x control %zu name %u", m.msg_flags,
			m.msg_controllen, m.msg_namelen);
	return r;
}

static ssize_t
x_recvmmsg(int fd, void *b, size_t n, int fl)
{
	struct iovec v[3];
	struct mmsghdr m = {.msg_hdr = {.msg_iov = v}};
	int r;

	m.msg_hdr.msg_iovlen = split(v, b, n);
	r = recvmmsg(fd, &m, 1, fl, NULL);
	return r == 1 ? (ssize_t)m.msg_len : r;
}

static ssize_t
x_preadv2(int fd, void *b, size_t n, int fl)
{
	struct iovec v[3];

	(void)fl;
	return preadv2(fd, v, split(v, b, n), -1, 0);
}

static ssize_t
x_preadv64v2(int fd, void *b, size_t n, int fl)
{
	struct iovec v[3];

	(void)fl;
	return preadv64v2(fd, v, split(v, b, n), -1, 0);
}

ssize_t __read(int, void *, size_t);

static ssize_t
x___read(int fd, void *b, size_t n, int fl)
{
	(void)fl;
	return __read(fd, b, n);
}

static ssize_t
x_sys_read(int fd, void *b, size_t n, int fl)
{
	(void)fl;
	return syscall(SYS_read, fd, b, n);
}

static ssize_t
x_sys_readv(int fd, void *b, size_t n, int fl)
{
	struct iovec v[3];
	int k = split(v, b, n);

	(void)fl;
	return syscall(SYS_readv, fd, v, k);
}

static ssize_t
x_sys_recvfrom(int fd, void *b, size_t n, int fl)
{
	return syscall(SYS_recvfrom, fd, b, n, fl, NULL, NULL);
}

static ssize_t
x_sys_recvmsg(int fd, void *b, size_t n, int fl)
{
	struct iovec v[3];
	struct msghdr m = {.msg_iov = v};

	m.msg_iovlen = split(v, b, n);
	return syscall(SYS_recvmsg, fd, &m, fl);
}

static ssize_t
x_sys_recvmmsg(int fd, void *b, size_t n, int fl)
{
	struct iovec v[3];
	struct mmsghdr m = {.msg_hdr = {.msg_iov = v}};
	int r;

	m.msg_hdr.msg_iovlen = split(v, b, n);
	r = syscall(SYS_recvmmsg, fd, &m, 1, fl, NULL);
	return r == 1 ? (ssize_t)m.msg_len : r;
}

static ssize_t
x_sys_preadv2(int fd, void *b, size_t n, int fl)
{
	struct iovec v[3];
	int k = split(v, b, n);

	(void)fl;
	return syscall(SYS_preadv2, fd, v, (long)k, -1L, -1L, 0L);
}

/* From the socket into a pipe, and from there to where we look. */
static ssize_t
piped(int fd, void *b, size_t n, int fl, bool raw)
{
	off64_t *in = fl & MX_SOCK_OFF_BAD ? TW_NOWHERE : NULL;
	off64_t *out = fl & MX_OFF_BAD ? TW_NOWHERE : NULL;
	size_t got = 0;
	int p[2], e;
	ssize_t r;

	if (pipe2(p, O_CLOEXEC) < 0)
		return -1;
	fcntl(p[1], F_SETPIPE_SZ, 1 << 20);
	r = raw ? syscall(SYS_splice, fd, in, p[1], out, n, 0)
		: splice(fd, in, p[1], out, n, 0);
	e = errno;
	while (r > 0 && got < (size_t)r) {
		long k = kmap_syscall6(
			SYS_read, p[0], (long)b + got, r - got, 0, 0, 0);

		if (k <= 0)
			break;
		got += k;
	}
	close(p[0]);
	close(p[1]);
	errno = e;
	return r;
}

static ssize_t
x_splice_in(int fd, void *b, size_t n, int fl)
{
	return piped(fd, b, n, fl, false);
}

static ssize_t
x_sys_splice_in(int fd, void *b, size_t n, int fl)
{
	return piped(fd, b, n, fl, true);
}

static const struct tw_call rxcalls[] = {
	{"read", 0, .rx = x_read},
	{"readv", MX_IOV, .rx = x_readv},
	{"recv", MX_FLAGS, .rx = x_recv},
	{"recvfrom", MX_FLAGS, .rx = x_recvfrom},
	{"recvmsg", MX_FLAGS | MX_IOV, .rx = x_recvmsg},
	{"recvmmsg", MX_FLAGS | MX_IOV | MX_MM, .rx = x_recvmmsg},
	{"preadv2", MX_IOV, .rx = x_preadv2},
	{"preadv64v2", MX_IOV | MX_ALIAS, .rx = x_preadv64v2},
	{"__read", MX_ALIAS, .rx = x___read},
	{"sys_read", MX_ALIAS, .rx = x_sys_read},
	{"sys_readv", MX_IOV | MX_ALIAS, .rx = x_sys_readv},
	{"sys_recvfrom", MX_FLAGS | MX_ALIAS, .rx = x_sys_recvfrom},
	{"sys_recvmsg", MX_FLAGS | MX_IOV | MX_ALIAS, .rx = x_sys_recvmsg},
	{"sys_recvmmsg", MX_FLAGS | MX_IOV | MX_MM | MX_ALIAS,
		.rx = x_sys_recvmmsg},
	{"sys_preadv2", MX_IOV | MX_ALIAS, .rx = x_sys_preadv2},
	{"splice_in", MX_PIPE, .rx = x_splice_in},
	{"sys_splice_in", MX_PIPE | MX_ALIAS, .rx = x_sys_splice_in},
};

__attribute__((constructor)) static void
all_rows(void)
{
	for (size_t i = 0; i < sizeof rxcalls / sizeof *rxcalls; i++)
		tw_rx_row(rxcalls + i);
}
