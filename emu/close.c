#include "config.h"

#include "call.h"
#include "family.h"

int
kmap_close(int fd)
{
	return kmap_ret(kmap_real.close(fd));
}

KMAP_EXPORT int
close(int fd)
{
	return kmap_errno(kmap_close(fd));
}
KMAP_SELF(close);
KMAP_ALIAS_OF(__close, close);

int
kmap_close_range(unsigned int first, unsigned int last, int flags)
{
	return kmap_ret(kmap_real.close_range(first, last, flags));
}

KMAP_EXPORT int
close_range(unsigned int first, unsigned int last, int flags)
{
	return kmap_errno(kmap_close_range(first, last, flags));
}
KMAP_SELF(close_range);

void
kmap_closefrom(int first)
{
	kmap_real.closefrom(first);
}

KMAP_EXPORT void
closefrom(int first)
{
	kmap_closefrom(first);
}
