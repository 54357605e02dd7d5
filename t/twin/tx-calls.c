/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The calls that send, in one form: rows of the matrix of tx.c.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "matrix.h"
#include "twin.h"

static ssize_t
x_write(int fd, const void *b, size_t n, int fl)
{
	(void)fl;
	return write(fd, b, n);
}

static int
split(struct iovec *v, const void *b, size_t n)
{
	char *p = (char *)b;
	size_t x = n / 3;

	v[0] = (struct iovec){p, x};
	v[1] = (struct iovec){NULL, 0};
	v[2] = (struct iovec){p + x, n - x};
	return 3;
}

static ssize_t
x_writev(int fd, const void *b, size_t n, int fl)
{
	struct iovec v[3];

	(void)fl;
	return writev(fd, v, split(v, b, n));
}

static ssize_t
x_send(int fd, const void *b, size_t n, int fl)
{
	return send(fd, b, n, fl);
}

static ssize_t
x_sendto(int fd, const void *b, size_t n, int fl)
{
	return sendto(fd, b, n, fl, NULL, 0);
}

static ssize_t
x_sendmsg(int fd, const void *b, size_t n, int fl)
{
	struct iovec v[3];
	struct msghdr m = {.msg_iov = v, .msg_flags = 0x7777};

	m.msg_iovlen = split(v, b, n);
	return sendmsg(fd, &m, fl);
}

static ssize_t
x_sendmmsg(int fd, const void *b, size_t n, int fl)
{
	struct iovec v[3];
	struct mmsghdr m = {.msg_hdr = {.msg_iov = v}};
	int r;

	m.msg_hdr.msg_iovlen = split(v, b, n);
	r = sendmmsg(fd, &m, 1, fl);
	return r == 1 ? (ssize_t)m.msg_len : r;
}

static ssize_t
x_pwritev2(int fd, const void *b, size_t n, int fl)
{
	struct iovec v[3];

	(void)fl;
	return pwritev2(fd, v, split(v, b, n), -1, 0);
}

static ssize_t
x_pwritev64v2(int fd, const void *b, size_t n, int fl)
{
	struct iovec v[3];

	(void)fl;
	return pwritev64v2(fd, v, split(v, b, n), -1, 0);
}

ssize_t __write(int, const void *, size_t);
ssize_t __send(int, const void *, size_t, int);

static ssize_t
x___write(int fd, const void *b, size_t n, int fl)
{
	(void)fl;
	return __write(fd, b, n);
}

static ssize_t
x___send(int fd, const void *b, size_t n, int fl)
{
	return __send(fd, b, n, fl);
}

static ssize_t
x_sys_write(int fd, const void *b, size_t n, int fl)
{
	(void)fl;
	return syscall(SYS_write, fd, b, n);
}

static ssize_t
x_sys_writev(int fd, const void *b, size_t n, int fl)
{
	struct iovec v[3];
	int k = split(v, b, n);

	(void)fl;
	return syscall(SYS_writev, fd, v, k);
}

static ssize_t
x_sys_sendto(int fd, const void *b, size_t n, int fl)
{
	return syscall(SYS_sendto, fd, b, n, fl, NULL, 0);
}

static ssize_t
x_sys_sendmsg(int fd, const void *b, size_t n, int fl)
{
	struct iovec v[3];
	struct msghdr m = {.msg_iov = v};

	m.msg_iovlen = split(v, b, n);
	return syscall(SYS_sendmsg, fd, &m, fl);
}

static ssize_t
x_sys_sendmmsg(int fd, const void *b, size_t n, int fl)
{
	struct iovec v[3];
	struct mmsghdr m = {.msg_hdr = {.msg_iov = v}};
	int r;

	m.msg_hdr.msg_iovlen = split(v, b, n);
	r = syscall(SYS_sendmmsg, fd, &m, 1, fl);
	return r == 1 ? (ssize_t)m.msg_len : r;
}

static ssize_t
x_sys_pwritev2(int fd, const void *b, size_t n, int fl)
{
	struct iovec v[3];
	int k = split(v, b, n);

	(void)fl;
	return syscall(SYS_pwritev2, fd, v, (long)k, -1L, -1L, 0L);
}

/* A file of the bytes. */
static int
file_of(const void *b, size_t n)
{
	int f = memfd_create("file", MFD_CLOEXEC);
	size_t k = 0;

	while (k < n) {
		ssize_t r = kmap_syscall6(
			SYS_write, f, (long)b + k, n - k, 0, 0, 0);

		if (r <= 0)
			break;
		k += r;
	}
	return f;
}

/* sendfile has one offset. */
static bool
bad(int fl)
{
	return fl & (MX_OFF_BAD | MX_SOCK_OFF_BAD);
}

static ssize_t
x_sendfile(int fd, const void *b, size_t n, int fl)
{
	int f = file_of(b, n), e;
	off_t off = 0;
	ssize_t r;

	r = sendfile(fd, f, bad(fl) ? TW_NOWHERE : &off, n);
	e = errno;
	if (off != (r > 0 ? r : 0))
		T("sendfile moved the offset to %lld", (long long)off);
	close(f);
	errno = e;
	return r;
}

static ssize_t
x_sendfile64(int fd, const void *b, size_t n, int fl)
{
	int f = file_of(b, n), e;
	off64_t at;
	ssize_t r;

	lseek(f, 0, SEEK_SET);
	r = sendfile64(fd, f, bad(fl) ? TW_NOWHERE : NULL, n);
	e = errno;
	at = lseek64(f, 0, SEEK_CUR);
	if (at != (r > 0 ? r : 0))
		T("sendfile64 moved the file to %lld", (long long)at);
	close(f);
	errno = e;
	return r;
}

static ssize_t
x_sys_sendfile(int fd, const void *b, size_t n, int fl)
{
	int f = file_of(b, n), e;
	off64_t off = 0;
	ssize_t r;

	r = syscall(SYS_sendfile, fd, f, bad(fl) ? TW_NOWHERE : &off, n);
	e = errno;
	close(f);
	errno = e;
	return r;
}

static ssize_t
piped(int fd, const void *b, size_t n, int fl, bool raw)
{
	off64_t *in = fl & MX_OFF_BAD ? TW_NOWHERE : NULL;
	off64_t *out = fl & MX_SOCK_OFF_BAD ? TW_NOWHERE : NULL;
	int p[2], e;
	ssize_t r;

	if (pipe2(p, O_CLOEXEC) < 0)
		return -1;
	if (n > 65536) {
		fcntl(p[1], F_SETPIPE_SZ, 1 << 20);
		if (n > 1 << 20)
			n = 1 << 20;
	}
	if (n > 0)
		kmap_syscall6(SYS_write, p[1], (long)b, n, 0, 0, 0);
	close(p[1]);
	r = raw ? syscall(SYS_splice, p[0], in, fd, out, n, 0)
		: splice(p[0], in, fd, out, n, 0);
	e = errno;
	close(p[0]);
	errno = e;
	return r;
}

static ssize_t
x_splice(int fd, const void *b, size_t n, int fl)
{
	return piped(fd, b, n, fl, false);
}

static ssize_t
x_sys_splice(int fd, const void *b, size_t n, int fl)
{
	return piped(fd, b, n, fl, true);
}

static const struct tw_call txcalls[] = {
	{"write", 0, .tx = x_write},
	{"writev", MX_IOV, .tx = x_writev},
	{"send", MX_FLAGS, .tx = x_send},
	{"sendto", MX_FLAGS, .tx = x_sendto},
	{"sendmsg", MX_FLAGS | MX_IOV, .tx = x_sendmsg},
	{"sendmmsg", MX_FLAGS | MX_IOV | MX_MM, .tx = x_sendmmsg},
	{"pwritev2", MX_IOV, .tx = x_pwritev2},
	{"pwritev64v2", MX_IOV | MX_ALIAS, .tx = x_pwritev64v2},
	{"__write", MX_ALIAS, .tx = x___write},
	{"__send", MX_FLAGS | MX_ALIAS, .tx = x___send},
	{"sys_write", MX_ALIAS, .tx = x_sys_write},
	{"sys_writev", MX_IOV | MX_ALIAS, .tx = x_sys_writev},
	{"sys_sendto", MX_FLAGS | MX_ALIAS, .tx = x_sys_sendto},
	{"sys_sendmsg", MX_FLAGS | MX_IOV | MX_ALIAS, .tx = x_sys_sendmsg},
	{"sys_sendmmsg", MX_FLAGS | MX_IOV | MX_MM | MX_ALIAS,
		.tx = x_sys_sendmmsg},
	{"sys_pwritev2", MX_IOV | MX_ALIAS, .tx = x_sys_pwritev2},
	{"sendfile", MX_PIPE, .tx = x_sendfile},
	{"sendfile64", MX_PIPE, .tx = x_sendfile64},
	{"sys_sendfile", MX_PIPE | MX_ALIAS, .tx = x_sys_sendfile},
	{"splice", MX_PIPE, .tx = x_splice},
	{"sys_splice", MX_PIPE | MX_ALIAS, .tx = x_sys_splice},
};

__attribute__((constructor)) static void
all_rows(void)
{
	for (size_t i = 0; i < sizeof txcalls / sizeof *txcalls; i++)
		tw_tx_row(txcalls + i);
}
