#include "config.h"

#include "guard.h"

#include <sys/auxv.h>

#include "real.h"

bool kmap_awake;

/*
 * Nothing relies on this having run: see real.h. The lowest priority that
 * is ours to take puts it before the library's other constructors.
 */
__attribute__((constructor(101))) static void
init(void)
{
	kmap_real_init();
	kmap_awake = !getauxval(AT_SECURE);
}
