/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "guard.h"

#include <dlfcn.h>
#include <errno.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "env.h"
#include "pair.h"
#include "preload.h"
#include "real.h"
#include "sys.h"
#include "testpoint.h"
#include "wait.h"

bool kmap_awake;

static void
init(void)
{
	kmap_real_init();
	if (getauxval(AT_SECURE))
		return;
	if (!kmap_on_glibc()) {
		kmap_conf.inert = true;
		return;
	}
	kmap_env_read(environ);
	/* A table may say so: then as if we were not there. */
	if (kmap_conf.inert)
		return;
	kmap_testpoint_hook = dlsym(RTLD_DEFAULT, "kmap_testpoint");
	kmap_consent_hook = kmap_items_tag;
	kmap_seen_hook = kmap_items_seen;
	kmap_sys_getpid();
	kmap_awake = true;
	kmap_handlers_init();
	kmap_atfork_init();
}

/*
 * Nothing relies on this having run: see real.h. The lowest priority that
 * is ours to take puts it before the library's other constructors. A program
 * begins with the errno that it has without us.
 */
__attribute__((constructor(101))) static void
start(void)
{
	int saved = errno;

	init();
	errno = saved;
}
