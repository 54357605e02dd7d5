#include "config.h"

#include "call.h"
#include "family.h"

int
kmap_shutdown(int fd, int how)
{
	return kmap_ret(kmap_real.shutdown(fd, how));
}

KMAP_EXPORT int
shutdown(int fd, int how)
{
	return kmap_errno(kmap_shutdown(fd, how));
}
KMAP_SELF(shutdown);
