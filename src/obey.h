/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * KMAP_TABLE: this process's interception table, and what it says of each
 * endpoint when that begins. Nothing is looked up after that.
 */
#ifndef KMAP_OBEY_H
#define KMAP_OBEY_H

#include "ep.h"
#include "table.h"

/* A table is obeyed, or was refused: then nothing moves. */
extern bool kmap_obeying;

/*
 * Once, before main, after the environment's other settings, which win over
 * the table's. A table for another program is said and ignored; a bad one is
 * said, and everything stays on TCP.
 */
void kmap_obey_load(const char *path);

/*
 * What the table says of an endpoint that begins: KMAP_WHY_NONE lets it move,
 * KMAP_WHY_TABLE keeps it on TCP, and so does KMAP_WHY_UNKNOWN, which is
 * logged the first time. sa: where a connecting socket goes; NULL: the
 * socket's own name is asked for.
 */
enum kmap_why
kmap_obey(enum kmap_role role, int fd, const void *sa, socklen_t len);

/* An endpoint leaves Kmap: said once for each reason that a trace would have
 * shown. */
void kmap_obey_left(enum kmap_why why);

#endif
