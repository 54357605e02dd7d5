/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "gate.h"

bool
kmap_gate_enter(struct kmap_gate *g)
{
	/* Sequentially consistent, partner: kmap_gate_close (M8). */
	a_add(&g->in_kernel, 1u);
	if (kmap_likely(a_load_sc(&g->closed) == 0))
		return true;
	a_sub(&g->in_kernel, 1u);
	return false;
}

bool
kmap_gate_leave(struct kmap_gate *g)
{
	return a_sub(&g->in_kernel, 1u) == 1 && a_load_sc(&g->closed) != 0;
}

bool
kmap_gate_close(struct kmap_gate *g)
{
	a_xchg(&g->closed, 1u);
	return a_load_sc(&g->in_kernel) == 0;
}

bool
kmap_gate_consent(struct kmap_gate *g)
{
	return a_load_sc(&g->closed) != 0 && a_load_sc(&g->in_kernel) == 0;
}

void
kmap_gate_open(struct kmap_gate *g)
{
	a_store_rel(&g->closed, 0u);
}
