#include "config.h"

#include "call.h"
#include "family.h"

/*
 * The app fd is the kernel's socket, so every answer is the kernel's own.
 * Only the library's hidden fds look closed.
 */

static inline bool
hidden_at(int fd, const char *path, int flags)
{
	return kmap_fd_hidden(fd) && (flags & AT_EMPTY_PATH) &&
		kmap_readable(path) && !*path;
}

KMAP_EXPORT int
fstat(int fd, struct stat *st)
{
	if (kmap_fd_hidden(fd))
		return kmap_errno(-EBADF);
	/* Before glibc 2.33 fstat lived in the program, __fxstat in libc. */
	if (__builtin_expect(!kmap_real_has(KMAP_fstat), 0))
		return kmap_real.__fxstat(1, fd, st);
	return kmap_real.fstat(fd, st);
}
KMAP_SELF(fstat);
KMAP_ALIAS_64(fstat64, fstat);

KMAP_EXPORT int
__fxstat(int ver, int fd, struct stat *st)
{
	if (kmap_fd_hidden(fd))
		return kmap_errno(-EBADF);
	return kmap_real.__fxstat(ver, fd, st);
}
KMAP_ALIAS_64(__fxstat64, __fxstat);

KMAP_EXPORT int
fstatat(int dir, const char *path, struct stat *st, int flags)
{
	if (hidden_at(dir, path, flags))
		return kmap_errno(-EBADF);
	if (__builtin_expect(!kmap_real_has(KMAP_fstatat), 0))
		return kmap_real.__fxstatat(1, dir, path, st, flags);
	return kmap_real.fstatat(dir, path, st, flags);
}
KMAP_SELF(fstatat);
KMAP_ALIAS_64(fstatat64, fstatat);

KMAP_EXPORT int
__fxstatat(int ver, int dir, const char *path, struct stat *st, int flags)
{
	if (hidden_at(dir, path, flags))
		return kmap_errno(-EBADF);
	return kmap_real.__fxstatat(ver, dir, path, st, flags);
}
KMAP_ALIAS_64(__fxstatat64, __fxstatat);

KMAP_EXPORT int
statx(int dir, const char *path, int flags, unsigned int mask,
	struct statx *stx)
{
	if (hidden_at(dir, path, flags))
		return kmap_errno(-EBADF);
	return kmap_real.statx(dir, path, flags, mask, stx);
}
KMAP_SELF(statx);
