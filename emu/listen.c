#include "config.h"

#include "call.h"
#include "family.h"

int
kmap_listen(int fd, int backlog)
{
	return kmap_ret(kmap_real.listen(fd, backlog));
}

KMAP_EXPORT int
listen(int fd, int backlog)
{
	return kmap_errno(kmap_listen(fd, backlog));
}
KMAP_SELF(listen);
