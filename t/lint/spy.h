/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef KMAP_T_SPY_H
#define KMAP_T_SPY_H

#include "real.h"

struct spy {
	unsigned int calls[KMAP_CALLS];
};

#endif
