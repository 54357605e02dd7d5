/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "call.h"
#include "family.h"

#include <linux/seccomp.h>
#include <sys/prctl.h>

/*
 * A filter may kill at our extra syscalls: the library hears of it before
 * it stands. seccomp(2) has no libc function, see raw.c.
 */
KMAP_EXPORT int
prctl(int op, ...)
{
	unsigned long a, b, c, d;
	va_list ap;

	va_start(ap, op);
	a = va_arg(ap, unsigned long);
	b = va_arg(ap, unsigned long);
	c = va_arg(ap, unsigned long);
	d = va_arg(ap, unsigned long);
	va_end(ap);
	if (op == PR_SET_SECCOMP)
		kmap_seccomp_filter();
	return kmap_real.prctl(op, a, b, c, d);
}
KMAP_SELF(prctl);
