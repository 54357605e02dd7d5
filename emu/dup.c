#include "config.h"

#include "call.h"
#include "family.h"

int
kmap_dup(int fd)
{
	return kmap_fd_born(kmap_ret(kmap_real.dup(fd)));
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
	return kmap_fd_born(kmap_ret(kmap_real.dup2(fd, fd2)));
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
	return kmap_fd_born(kmap_ret(kmap_real.dup3(fd, fd2, flags)));
}

KMAP_EXPORT int
dup3(int fd, int fd2, int flags)
{
	return kmap_errno(kmap_dup3(fd, fd2, flags));
}
KMAP_SELF(dup3);
