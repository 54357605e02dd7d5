#include "config.h"

#include "call.h"
#include "family.h"

int
kmap_select(int n, fd_set *rd, fd_set *wr, fd_set *ex, struct timeval *timeout)
{
	return kmap_ret(kmap_real.select(n, rd, wr, ex, timeout));
}

KMAP_EXPORT int
select(int n, fd_set *rd, fd_set *wr, fd_set *ex, struct timeval *timeout)
{
	return kmap_errno(kmap_select(n, rd, wr, ex, timeout));
}
KMAP_SELF(select);
KMAP_ALIAS_OF(__select, select);

int
kmap_pselect(int n, fd_set *rd, fd_set *wr, fd_set *ex,
	const struct timespec *timeout, const sigset_t *mask)
{
	return kmap_ret(kmap_real.pselect(n, rd, wr, ex, timeout, mask));
}

KMAP_EXPORT int
pselect(int n, fd_set *rd, fd_set *wr, fd_set *ex,
	const struct timespec *timeout, const sigset_t *mask)
{
	return kmap_errno(kmap_pselect(n, rd, wr, ex, timeout, mask));
}
KMAP_SELF(pselect);
