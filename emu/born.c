/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "call.h"
#include "family.h"

#include <fcntl.h>
#include <pty.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

/*
 * Calls that give a number which the fd table may still know from a socket
 * that libc, or somebody by a bare syscall, has closed unseen.
 */

KMAP_EXPORT int
open(const char *path, int flags, ...)
{
	mode_t mode = 0;

	if (__OPEN_NEEDS_MODE(flags)) {
		va_list ap;

		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	return kmap_fd_born(kmap_real.open(path, flags, mode));
}
KMAP_ALIAS_OF(open64, open);
KMAP_ALIAS_OF(__open, open);
KMAP_ALIAS_OF(__open64, open);

KMAP_EXPORT int
openat(int dir, const char *path, int flags, ...)
{
	mode_t mode = 0;

	if (__OPEN_NEEDS_MODE(flags)) {
		va_list ap;

		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	return kmap_fd_born(
		kmap_real.openat(kmap_fd_seen(dir), path, flags, mode));
}
KMAP_ALIAS_OF(openat64, openat);

#define BORN(name, params, args)                                               \
	KMAP_EXPORT int name params                                            \
	{                                                                      \
		return kmap_fd_born(kmap_real.name args);                      \
	}                                                                      \
	_Static_assert(1, "")

BORN(__open_2, (const char *path, int flags), (path, flags));
KMAP_ALIAS_OF(__open64_2, __open_2);
BORN(__openat_2, (int dir, const char *path, int flags),
	(kmap_fd_seen(dir), path, flags));
KMAP_ALIAS_OF(__openat64_2, __openat_2);
BORN(creat, (const char *path, mode_t mode), (path, mode));
KMAP_ALIAS_OF(creat64, creat);
BORN(eventfd, (unsigned int count, int flags), (count, flags));
BORN(timerfd_create, (int clock, int flags), (clock, flags));
BORN(inotify_init, (void), ());
BORN(inotify_init1, (int flags), (flags));
BORN(memfd_create, (const char *name, unsigned int flags), (name, flags));
BORN(mkstemp, (char *tmpl), (tmpl));
KMAP_ALIAS_OF(mkstemp64, mkstemp);
BORN(mkostemp, (char *tmpl, int flags), (tmpl, flags));
KMAP_ALIAS_OF(mkostemp64, mkostemp);
BORN(mkstemps, (char *tmpl, int len), (tmpl, len));
KMAP_ALIAS_OF(mkstemps64, mkstemps);
BORN(mkostemps, (char *tmpl, int len, int flags), (tmpl, len, flags));
KMAP_ALIAS_OF(mkostemps64, mkostemps);
BORN(shm_open, (const char *name, int flags, mode_t mode), (name, flags, mode));
BORN(posix_openpt, (int flags), (flags));
BORN(getpt, (void), ());
BORN(pidfd_open, (pid_t pid, unsigned int flags), (pid, flags));
BORN(fanotify_init, (unsigned int flags, unsigned int evflags),
	(flags, evflags));
BORN(open_by_handle_at, (int mnt, struct file_handle *h, int flags),
	(kmap_fd_seen(mnt), h, flags));

/* -1 asks for a new one. */
KMAP_EXPORT int
signalfd(int fd, const sigset_t *mask, int flags)
{
	if (kmap_fd_hidden(fd))
		return kmap_errno(-EBADF);
	return kmap_fd_born(kmap_real.signalfd(fd, mask, flags));
}

static int
pair_born(int r, const int fds[2])
{
	if (r == 0) {
		kmap_fd_born(fds[0]);
		kmap_fd_born(fds[1]);
	}
	return r;
}

KMAP_EXPORT int
pipe(int fds[2])
{
	return pair_born(kmap_real.pipe(fds), fds);
}
KMAP_SELF(pipe);
KMAP_ALIAS_OF(__pipe, pipe);

KMAP_EXPORT int
pipe2(int fds[2], int flags)
{
	return pair_born(kmap_real.pipe2(fds, flags), fds);
}
KMAP_SELF(pipe2);

KMAP_EXPORT int
openpty(int *master, int *slave, char *name, const struct termios *tio,
	const struct winsize *ws)
{
	int r = kmap_real.openpty(master, slave, name, tio, ws);

	if (r == 0) {
		kmap_fd_born(*master);
		kmap_fd_born(*slave);
	}
	return r;
}

KMAP_EXPORT DIR *
opendir(const char *path)
{
	DIR *d = kmap_real.opendir(path);

	if (d)
		kmap_fd_born(dirfd(d));
	return d;
}
