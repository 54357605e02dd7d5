#include "config.h"

#include "call.h"
#include "family.h"

int
kmap_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	return kmap_ret(kmap_real.connect(fd, addr, len));
}

KMAP_EXPORT int
connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	return kmap_errno(kmap_connect(fd, addr, len));
}
KMAP_SELF(connect);
KMAP_ALIAS_OF(__connect, connect);
