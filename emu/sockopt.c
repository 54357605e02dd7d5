#include "config.h"

#include "call.h"
#include "family.h"

int
kmap_getsockopt(int fd, int level, int name, void *val, socklen_t *len)
{
	return kmap_ret(kmap_real.getsockopt(fd, level, name, val, len));
}

KMAP_EXPORT int
getsockopt(int fd, int level, int name, void *val, socklen_t *len)
{
	return kmap_errno(kmap_getsockopt(fd, level, name, val, len));
}
KMAP_SELF(getsockopt);

int
kmap_setsockopt(int fd, int level, int name, const void *val, socklen_t len)
{
	return kmap_ret(kmap_real.setsockopt(fd, level, name, val, len));
}

KMAP_EXPORT int
setsockopt(int fd, int level, int name, const void *val, socklen_t len)
{
	return kmap_errno(kmap_setsockopt(fd, level, name, val, len));
}
KMAP_SELF(setsockopt);
