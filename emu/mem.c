/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "call.h"
#include "family.h"

#include <sys/mman.h>

/* MCL_FUTURE would pin every ring that is mapped later. */
KMAP_EXPORT int
mlockall(int flags)
{
	int r = kmap_ret(kmap_real.mlockall(flags));

	if (r == 0)
		kmap_pinned(flags);
	return kmap_errno(r);
}
KMAP_SELF(mlockall);
