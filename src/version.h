/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which Kmap this is. */
#ifndef KMAP_VERSION_H
#define KMAP_VERSION_H

extern const char kmap_version[];

#endif
