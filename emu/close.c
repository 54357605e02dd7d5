/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "call.h"
#include "family.h"

#include <limits.h>
#include <linux/close_range.h>

int
kmap_close(int fd)
{
	struct kmap_fdslot *s = kmap_fdslot(fd);

	if (s != NULL && !kmap_vfork_child()) {
		if (kmap_unlikely(a_load(&s->hidden)))
			return -EBADF;
		kmap_fd_leave(fd);
	}
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
	int r = 0;

	if (flags & ~(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC) ||
		first > last)
		return kmap_ret(kmap_real.close_range(first, last, flags));
	if (!(flags & CLOSE_RANGE_CLOEXEC) && !kmap_vfork_child())
		for (unsigned int i = first;
			i <= last && i < KMAP_FD_CHUNK * KMAP_FD_CHUNKS; i++) {
			if (kmap_fdslot(i) == NULL)
				i |= KMAP_FD_CHUNK - 1;
			else if (!kmap_fd_hidden(i))
				kmap_fd_leave(i);
		}
	/* Around the library's own. */
	for (;;) {
		int hidden = first > INT_MAX ? -1 : kmap_fd_next_hidden(first);

		if (hidden < 0 || (unsigned int)hidden > last)
			return kmap_ret(
				kmap_real.close_range(first, last, flags));
		if ((unsigned int)hidden > first)
			r = kmap_ret(kmap_real.close_range(
				first, hidden - 1, flags));
		if (r < 0 || (unsigned int)hidden == last)
			return r;
		first = hidden + 1;
	}
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
	if (kmap_close_range(first < 0 ? 0 : first, ~0U, 0) < 0)
		kmap_real.closefrom(first);
}

KMAP_EXPORT void
closefrom(int first)
{
	kmap_closefrom(first);
}
