#include "config.h"

#include "call.h"
#include "family.h"

int
kmap_ioctl(int fd, unsigned long req, void *arg)
{
	return kmap_ret(kmap_real.ioctl(fd, req, arg));
}

KMAP_EXPORT int
ioctl(int fd, unsigned long req, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, req);
	arg = va_arg(ap, void *);
	va_end(ap);
	return kmap_errno(kmap_ioctl(fd, req, arg));
}
KMAP_SELF(ioctl);
