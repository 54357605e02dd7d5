/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "version.h"

const char kmap_version[] = PACKAGE_VERSION;
