/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The environment's settings (libkmapemu(7)), read once at start. */
#ifndef KMAP_ENV_H
#define KMAP_ENV_H

#include "base.h"

enum kmap_upgrade {
	KMAP_EARNED,
	KMAP_NOW,
	KMAP_NEVER
};

#define KMAP_PEERS_MAX 16

/* Settings that were made, by whomever: kmap_conf.given. */
#define KMAP_GIVEN_UPGRADE 1u
#define KMAP_GIVEN_RING 2u
#define KMAP_GIVEN_PEERS 4u

struct kmap_conf {
	unsigned int given;
	bool inert; /* a table says: do nothing at all */
	enum kmap_upgrade upgrade;
	uint64_t ring_size;
	bool peers_set; /* KMAP_PEERS narrows who may pair */
	unsigned int npeers;
	uint32_t peers[KMAP_PEERS_MAX];
};
extern struct kmap_conf kmap_conf;

/*
 * Makes one setting by its name in a table (upgrade, ring, peers) from the
 * text that the environment's variable of that name takes. False: it is not
 * understood, and kmap_conf_expects says what would be.
 */
bool kmap_conf_set(struct kmap_conf *c, const char *name, const char *text);
const char *kmap_conf_expects(const char *name);

/* envp: the process's environment. A value that is not understood is said
 * once on stderr and ignored. */
void kmap_env_read(char **envp);

#endif
