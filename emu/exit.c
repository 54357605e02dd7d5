/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "call.h"
#include "family.h"

#include <stdlib.h>
#include <unistd.h>

/* Ends of a process at which no destructor runs. A vfork child's is none. */
static void
end(void)
{
	if (!kmap_vfork_child())
		kmap_end();
}

KMAP_EXPORT void
_exit(int status)
{
	end();
	kmap_real._exit(status);
	__builtin_unreachable();
}
KMAP_SELF(_exit);
KMAP_ALIAS_OF(_Exit, _exit);

KMAP_EXPORT void
quick_exit(int status)
{
	end();
	kmap_real.quick_exit(status);
	__builtin_unreachable();
}
