#include "config.h"
#include "version.h"

const char kmap_version[] = PACKAGE_VERSION;
