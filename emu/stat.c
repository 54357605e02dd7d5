/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "call.h"
#include "family.h"

/*
 * The app fd is the kernel's socket, so every answer is the kernel's own.
 * Only the library's hidden fds look closed.
 */

KMAP_EXPORT int
fstat(int fd, struct stat *st)
{
	/* Before glibc 2.33 fstat lived in the program, __fxstat in libc. */
	if (__builtin_expect(!kmap_real_has(KMAP_fstat), 0))
		return kmap_real.__fxstat(1, kmap_fd_seen(fd), st);
	return kmap_real.fstat(kmap_fd_seen(fd), st);
}
KMAP_SELF(fstat);
KMAP_ALIAS_64(fstat64, fstat);

KMAP_EXPORT int
__fxstat(int ver, int fd, struct stat *st)
{
	return kmap_real.__fxstat(ver, kmap_fd_seen(fd), st);
}
KMAP_ALIAS_64(__fxstat64, __fxstat);

KMAP_EXPORT int
fstatat(int dir, const char *path, struct stat *st, int flags)
{
	if (__builtin_expect(!kmap_real_has(KMAP_fstatat), 0))
		return kmap_real.__fxstatat(
			1, kmap_fd_seen(dir), path, st, flags);
	return kmap_real.fstatat(kmap_fd_seen(dir), path, st, flags);
}
KMAP_SELF(fstatat);
KMAP_ALIAS_64(fstatat64, fstatat);

KMAP_EXPORT int
__fxstatat(int ver, int dir, const char *path, struct stat *st, int flags)
{
	return kmap_real.__fxstatat(ver, kmap_fd_seen(dir), path, st, flags);
}
KMAP_ALIAS_64(__fxstatat64, __fxstatat);

KMAP_EXPORT int
statx(int dir, const char *path, int flags, unsigned int mask,
	struct statx *stx)
{
	return kmap_real.statx(kmap_fd_seen(dir), path, flags, mask, stx);
}
KMAP_SELF(statx);
