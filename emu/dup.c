/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "call.h"
#include "family.h"

#include "wait.h"

/* fd2 stands for what fd stands for, from here on. */
int
kmap_duplicated(int fd, int fd2)
{
	struct kmap_fdslot *s = fd2 < 0 ? NULL : kmap_fdslot(fd);
	struct kmap_ent *e;

	if (fd2 < 0)
		return fd2;
	if (kmap_vfork_child()) {
		/* For the program that it becomes: on TCP before that reads or
		 * writes, also for the parent, whose memory this is. */
		kmap_fd_passed_out(fd);
		return fd2;
	}
	kmap_fd_born(fd2);
	if (s == NULL)
		return fd2;
	e = atomic_load(&s->ent);
	if (e != NULL)
		kmap_ent_dup(e, fd2);
	if (atomic_load(&s->set) != NULL)
		kmap_set_dup(fd, fd2);
	return fd2;
}

/* dup2 closes fd2 first, if fd is open at all. */
static void
over(int fd, int fd2)
{
	if (kmap_raw(SYS_fcntl, fd, F_GETFD) >= 0)
		kmap_fd_closing(fd2);
}

int
kmap_dup(int fd)
{
	if (kmap_fd_hidden(fd))
		return -EBADF;
	return kmap_duplicated(fd, kmap_ret(kmap_real.dup(fd)));
}

KMAP_EXPORT int
dup(int fd)
{
	return kmap_errno(kmap_dup(fd));
}
KMAP_SELF(dup);

int
kmap_dup2(int fd, int fd2)
{
	if (kmap_fd_hidden(fd) || kmap_fd_hidden(fd2))
		return -EBADF;
	if (fd == fd2)
		return kmap_ret(kmap_real.dup2(fd, fd2));
	over(fd, fd2);
	return kmap_duplicated(fd, kmap_ret(kmap_real.dup2(fd, fd2)));
}

KMAP_EXPORT int
dup2(int fd, int fd2)
{
	return kmap_errno(kmap_dup2(fd, fd2));
}
KMAP_SELF(dup2);
KMAP_ALIAS_OF(__dup2, dup2);

int
kmap_dup3(int fd, int fd2, int flags)
{
	if (kmap_fd_hidden(fd) || kmap_fd_hidden(fd2))
		return -EBADF;
	if (fd == fd2 || flags & ~O_CLOEXEC)
		return kmap_ret(kmap_real.dup3(fd, fd2, flags));
	over(fd, fd2);
	return kmap_duplicated(fd, kmap_ret(kmap_real.dup3(fd, fd2, flags)));
}

KMAP_EXPORT int
dup3(int fd, int fd2, int flags)
{
	return kmap_errno(kmap_dup3(fd, fd2, flags));
}
KMAP_SELF(dup3);
