/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "call.h"
#include "family.h"

#include <fcntl.h>

#include "sys.h"

/* What a pipe holds is no long send, however much may be spliced. */
#define PIPE_HOLDS (64u << 10)

/* fd is an end of a pipe, and not the wrong one; its flags. */
static bool
pipe_end(int fd, int wrong, int *fl)
{
	struct stat st;

	if (kmap_real.fstat(fd, &st) != 0 || !S_ISFIFO(st.st_mode))
		return false;
	*fl = kmap_sys_fcntl(fd, F_GETFL, 0);
	return *fl >= 0 && (*fl & O_ACCMODE) != wrong;
}

/* sendfile(2) from an endpoint: to a pipe it is a splice; elsewhere, and from
 * what has no position, the kernel refuses. */
static ssize_t
from_endpoint(int out, int in, size_t n)
{
	KMAP_IOCALL(c);
	int fl;

	if (!pipe_end(out, O_RDONLY, &fl) || kmap_rx_kernel(&c, in))
		return kmap_rx_leave(&c, kmap_real.sendfile(out, in, NULL, n));
	return kmap_errno(kmap_splice_in(
		&c, out, n, fl & O_NONBLOCK ? SPLICE_F_NONBLOCK : 0));
}

ssize_t
kmap_sendfile(int out, int in, off_t *off, size_t n)
{
	in = kmap_fd_seen(in);
	out = kmap_fd_seen(out);
	if (kmap_unlikely(off == NULL && kmap_fd_ent(in) != NULL))
		return kmap_ret(from_endpoint(out, in, n));
	if (kmap_unlikely(kmap_fd_ent(out) != NULL))
		return kmap_ret(kmap_sendfile_ring(out, in, off, n));
	return kmap_ret(kmap_real.sendfile(out, in, off, n));
}

KMAP_EXPORT ssize_t
sendfile(int out, int in, off_t *off, size_t n)
{
	return kmap_errno(kmap_sendfile(out, in, off, n));
}
KMAP_SELF(sendfile);
KMAP_ALIAS_OF(sendfile64, sendfile);

/* Counts the real call out of whichever direction it entered. */
static ssize_t
kmap_spliced(struct kmap_iocall *c, ssize_t r)
{
	return kmap_ret(c->tx ? kmap_tx_leave(c, r) : kmap_rx_leave(c, r));
}

ssize_t
kmap_splice(int in, off64_t *inoff, int out, off64_t *outoff, size_t n,
	unsigned int flags)
{
	KMAP_IOCALL(c);
	int fl;

	/* One end is a pipe: offsets are for the others, sockets have none. */
	if (inoff == NULL && outoff == NULL &&
		!(flags &
			~(SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE |
				SPLICE_F_GIFT))) {
		if (kmap_fd_ent(in) != NULL && pipe_end(out, O_RDONLY, &fl) &&
			!kmap_rx_kernel(&c, in))
			return kmap_splice_in(&c, out, n,
				flags |
					(fl & O_NONBLOCK ? SPLICE_F_NONBLOCK
							 : 0));
		if (kmap_fd_ent(out) != NULL && pipe_end(in, O_WRONLY, &fl) &&
			!kmap_tx_kernel(&c, out, kmap_umin(n, PIPE_HOLDS)))
			return kmap_splice_out(&c, in, n, flags);
	}
	return kmap_spliced(&c,
		kmap_real.splice(kmap_fd_seen(in), inoff, kmap_fd_seen(out),
			outoff, n, flags));
}

KMAP_EXPORT ssize_t
splice(int in, off64_t *inoff, int out, off64_t *outoff, size_t n,
	unsigned int flags)
{
	return kmap_errno(kmap_splice(in, inoff, out, outoff, n, flags));
}
KMAP_SELF(splice);

ssize_t
kmap_tee(int in, int out, size_t n, unsigned int flags)
{
	return kmap_ret(
		kmap_real.tee(kmap_fd_seen(in), kmap_fd_seen(out), n, flags));
}

KMAP_EXPORT ssize_t
tee(int in, int out, size_t n, unsigned int flags)
{
	return kmap_errno(kmap_tee(in, out, n, flags));
}
KMAP_SELF(tee);

ssize_t
kmap_vmsplice(int fd, const struct iovec *iov, size_t n, unsigned int flags)
{
	return kmap_ret(kmap_real.vmsplice(kmap_fd_seen(fd), iov, n, flags));
}

KMAP_EXPORT ssize_t
vmsplice(int fd, const struct iovec *iov, size_t n, unsigned int flags)
{
	return kmap_errno(kmap_vmsplice(fd, iov, n, flags));
}
KMAP_SELF(vmsplice);

ssize_t
kmap_copy_file_range(int in, off64_t *inoff, int out, off64_t *outoff, size_t n,
	unsigned int flags)
{
	return kmap_ret(kmap_real.copy_file_range(
		kmap_fd_seen(in), inoff, kmap_fd_seen(out), outoff, n, flags));
}

KMAP_EXPORT ssize_t
copy_file_range(int in, off64_t *inoff, int out, off64_t *outoff, size_t n,
	unsigned int flags)
{
	return kmap_errno(
		kmap_copy_file_range(in, inoff, out, outoff, n, flags));
}
KMAP_SELF(copy_file_range);
