/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The environment's settings (libkmapemu(7)), read once at start. */
#ifndef KMAP_ENV_H
#define KMAP_ENV_H

#include "base.h"

enum kmap_upgrade { KMAP_EARNED, KMAP_NOW, KMAP_NEVER };

#define KMAP_PEERS_MAX 16

struct kmap_conf {
	enum kmap_upgrade upgrade;
	uint64_t ring_size;
	bool peers_set;		/* KMAP_PEERS narrows who may pair */
	unsigned int npeers;
	uint32_t peers[KMAP_PEERS_MAX];
};
extern struct kmap_conf kmap_conf;

/* envp: the process's environment. A value that is not understood is said
 * once on stderr and ignored. */
void kmap_env_read(char **envp);

#endif
