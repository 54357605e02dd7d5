/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Endpoints are used again: also those that another process of the family let
 * go last, as in a server that forks for each connection, and those with
 * which a thread sat in the kernel at the last close.
 */
#include "config.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fdtab.h"
#include "sys.h"
#include "tap.h"

#define ROUNDS 3000
#define FEW 256 /* some chunks; those that leak would be ROUNDS */

static struct kmap_ep *seen[ROUNDS];
static int nseen;

static int
different(struct kmap_ep *ep)
{
	for (int i = 0; i < nseen; i++)
		if (seen[i] == ep)
			return nseen;
	seen[nseen++] = ep;
	return nseen;
}

int
main(void)
{
	struct kmap_ep *ep, *live[100];
	int n = 0, left, status;

	for (int i = 0; i < ROUNDS; i++) {
		ep = kmap_ep_alloc();
		if (ep == NULL || !(a_load(&ep->gen) & 1))
			bail_out("no endpoint");
		n = different(ep);
		kmap_ep_free(ep);
	}
	ok(n <= 1, "one after the other: %d", n);

	ep = kmap_ep_alloc();
	a_store(&ep->pending, (uint32_t)ECONNRESET);
	is_int(kmap_ep_tell(ep, -EAGAIN), -EAGAIN, "no reset is told");
	is_int(kmap_ep_tell(ep, -ECONNRESET), -ECONNRESET,
		"the kernel tells of a reset");
	is_int(kmap_ep_error(ep), 0, "the library knew of the same one");
	is_int(kmap_ep_tell(ep, -ECONNRESET), 0, "it is not told again");
	kmap_ep_untell(ep, -ECONNRESET);
	is_int(kmap_ep_tell(ep, kmap_ep_error(ep)), -ECONNRESET,
		"nobody was told after all");
	kmap_ep_free(ep);
	ep = kmap_ep_alloc();
	is_int(a_load(&ep->reset), 0, "the next one starts anew");
	kmap_ep_free(ep);

	nseen = 0;
	for (int i = 0; i < ROUNDS; i++) {
		ep = kmap_ep_alloc();
		n = different(ep);
		if (i % 2)
			kmap_gate_enter(&ep->rx.gate);
		else
			kmap_gate_enter(&ep->tx.gate);
		kmap_ep_free(ep);
		if (i % 2)
			kmap_gate_leave(&ep->rx.gate);
		else
			kmap_gate_leave(&ep->tx.gate);
	}
	ok(n <= FEW, "with a thread in the kernel at the last close: %d", n);

	/* One that is still counted in is nobody else's. */
	ep = kmap_ep_alloc();
	kmap_gate_enter(&ep->rx.gate);
	kmap_ep_free(ep);
	for (n = left = 0; n < ROUNDS; n++)
		left += kmap_ep_alloc() == ep;
	is_int(left, 0, "but not while it sits there");

	/* A child lets go last. */
	nseen = 0;
	for (int i = 0; i < 30; i++) {
		pid_t pid;

		for (int k = 0; k < 100; k++) {
			live[k] = kmap_ep_alloc();
			n = different(live[k]);
		}
		pid = fork();
		if (pid == 0) {
			kmap_sys_forked();
			kmap_fdtab_forked();
			for (int k = 0; k < 100; k++)
				kmap_ep_free(live[k]);
			/* And it has its own. */
			ep = kmap_ep_alloc();
			for (int k = 0; k < 100; k++)
				if (ep == live[k])
					_exit(1);
			_exit(0);
		}
		if (pid < 0 || waitpid(pid, &status, 0) != pid)
			bail_out("fork");
		if (status != 0)
			break;
	}
	ok(n <= FEW, "a child lets go last: %d", n);
	is_int(status, 0, "a child hands out its own alone");
	return done();
}
