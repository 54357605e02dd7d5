#include "config.h"

#include "version.h"

__attribute__((constructor)) static void
init(void)
{
	(void)kmap_version;
}
