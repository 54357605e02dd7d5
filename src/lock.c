/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "lock.h"

#include "sys.h"

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>

#define CONTENDED 0x80000000u

int (*kmap_testpoint_hook)(const char *name, int fd);
void (*kmap_deferred_hook)(void);

int
kmap_tid_slow(void)
{
	return kmap_self.tid = kmap_sys_gettid();
}

/* A thread that no longer exists holds nothing. */
static bool
holder_is_dead(uint32_t word)
{
	return kmap_syscall(SYS_tkill, word & ~CONTENDED, 0, 0, 0, 0, 0) ==
		-ESRCH;
}

void
kmap_lock_slow(struct kmap_lock *l)
{
	struct timespec limit = {0, 50 * 1000 * 1000};

	for (int i = 0; i < 100; i++) {
		if (a_load(&l->word) == 0 && a_cas(&l->word, 0u, kmap_tid()))
			return;
		a_pause();
	}
	for (;;) {
		uint32_t w = a_load(&l->word);
		long r;

		if (w == 0) {
			/* Others may sleep: keep the mark. */
			if (a_cas(&l->word, 0u, kmap_tid() | CONTENDED))
				return;
			continue;
		}
		if (!(w & CONTENDED) && !a_cas(&l->word, w, w | CONTENDED))
			continue;
		r = kmap_syscall(SYS_futex, &l->word, FUTEX_WAIT, w | CONTENDED,
			&limit, NULL, 0);
		if (r == -ETIMEDOUT && holder_is_dead(w) &&
			a_cas(&l->word, w | CONTENDED, kmap_tid() | CONTENDED))
			return;
	}
}

void
kmap_unlock_slow(struct kmap_lock *l)
{
	a_xchg(&l->word, 0u);
	kmap_syscall(SYS_futex, &l->word, FUTEX_WAKE, 1, NULL, NULL, 0);
}
