/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The versions under which a libc exports what the recorder wraps.
 */
#ifndef KMAP_TRACE_VERSIONS_H
#define KMAP_TRACE_VERSIONS_H

#include "region.h"

/*
 * For each name the default version ("GLIBC_2.4") in the file at path, ""
 * where it has none. A file is read once; the answer stays for good. Never
 * NULL: a file that cannot be read has no versions.
 */
const char *const *trace_versions(const char *path);

#endif
