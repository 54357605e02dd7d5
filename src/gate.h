/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who may be inside the kernel with one direction of an endpoint.
 *
 * A call on the kernel path counts itself in, then reads the gate; with the
 * gate closed it leaves again and takes the ring's way. Whoever closes the
 * gate, or counts the last one out of a closed gate, finds the direction
 * quiet: nobody sits in the kernel, and nobody will (doc/model/consent.pml).
 * A gate is closed for good, except by a bounce, which opens it again.
 */
#ifndef KMAP_GATE_H
#define KMAP_GATE_H

#include "atom.h"
#include "base.h"

struct kmap_gate {
	kmap_a32 in_kernel;
	kmap_a32 closed;
};

/* True: the caller is counted in and goes to the kernel. */
bool kmap_gate_enter(struct kmap_gate *g);
/* True: the gate is closed and the caller was the last. */
bool kmap_gate_leave(struct kmap_gate *g);
/* True: nobody is in the kernel. */
bool kmap_gate_close(struct kmap_gate *g);
/* True: closed and quiet, so that the direction may be moved. */
bool kmap_gate_consent(struct kmap_gate *g);
void kmap_gate_open(struct kmap_gate *g);

#endif
