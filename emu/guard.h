/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef KMAP_EMU_GUARD_H
#define KMAP_EMU_GUARD_H
#include <stdbool.h>

/*
 * False where the library must do nothing at all: in a program that runs
 * with another's rights (AT_SECURE). The loader drops the preload there
 * already unless the library itself is trusted; this is the second bolt.
 */
extern bool kmap_awake;

/* handler.c */
void kmap_handlers_init(void);
/* In the child of a fork. */
void kmap_handlers_forked(void);

#endif
