/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "call.h"
#include "family.h"

#include <stdio.h>

/*
 * stdio reads, writes and closes inside libc, where no wrapper sees it: an
 * endpoint under a stream is on TCP, and stays there.
 */

/* fileno without its errno: a stream need not have a descriptor. */
static int
stream_fd(FILE *f)
{
	int saved = errno;
	int fd = f ? fileno(f) : -1;

	errno = saved;
	return fd;
}

KMAP_EXPORT FILE *
fdopen(int fd, const char *mode)
{
	int r = kmap_fd_unseen(fd, KMAP_fdopen);

	if (r) {
		errno = -r;
		return NULL;
	}
	return kmap_real.fdopen(fd, mode);
}
KMAP_ALIAS_OF(_IO_fdopen, fdopen);

KMAP_EXPORT FILE *
fopen(const char *path, const char *mode)
{
	FILE *f = kmap_real.fopen(path, mode);

	kmap_fd_born(stream_fd(f));
	return f;
}
KMAP_ALIAS_OF(fopen64, fopen);
KMAP_ALIAS_OF(_IO_fopen, fopen);

KMAP_EXPORT FILE *
freopen(const char *path, const char *mode, FILE *old)
{
	FILE *f;

	kmap_fd_closing(stream_fd(old));
	f = kmap_real.freopen(path, mode, old);
	kmap_fd_born(stream_fd(f));
	return f;
}
KMAP_ALIAS_OF(freopen64, freopen);

KMAP_EXPORT int
fclose(FILE *f)
{
	kmap_fd_closing(stream_fd(f));
	return kmap_real.fclose(f);
}
KMAP_ALIAS_OF(_IO_fclose, fclose);

static inline int
do_vdprintf(int fd, const char *fmt, va_list ap)
{
	int r = kmap_fd_unseen(fd, KMAP_vdprintf);

	return r ? kmap_errno(r) : kmap_real.vdprintf(fd, fmt, ap);
}

static inline int
do_vdprintf_chk(int fd, int flag, const char *fmt, va_list ap)
{
	int r = kmap_fd_unseen(fd, KMAP___vdprintf_chk);

	return r ? kmap_errno(r) : kmap_real.__vdprintf_chk(fd, flag, fmt, ap);
}

KMAP_EXPORT int
vdprintf(int fd, const char *fmt, va_list ap)
{
	return do_vdprintf(fd, fmt, ap);
}

KMAP_EXPORT int
dprintf(int fd, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = do_vdprintf(fd, fmt, ap);
	va_end(ap);
	return r;
}

KMAP_EXPORT int
__vdprintf_chk(int fd, int flag, const char *fmt, va_list ap)
{
	return do_vdprintf_chk(fd, flag, fmt, ap);
}

KMAP_EXPORT int
__dprintf_chk(int fd, int flag, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = do_vdprintf_chk(fd, flag, fmt, ap);
	va_end(ap);
	return r;
}
