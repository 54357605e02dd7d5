/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The functions that an ELF file's .eh_frame section describes, in order.
 * Static programs have the section and not the index to it (.eh_frame_hdr)
 * that unwinders look for.
 *
 * Format: LSB Core, "Exception Frames"; DWARF 6.4.
 */
#ifndef KMAP_TRACE_EH_FRAME_H
#define KMAP_TRACE_EH_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "elf-file.h"

/* As a row of .eh_frame_hdr's table: both are vaddr minus the base below. */
struct eh_entry {
	int32_t start, fde;
};

/*
 * The table, sorted by start, in *list (the caller frees it); offsets are
 * from *base, a p_vaddr of e. The number of entries; 0 if there is no such
 * section, or none in a form that is known.
 */
size_t eh_frame_table(
	const struct trace_elf *e, struct eh_entry **list, uint64_t *base);

#endif
