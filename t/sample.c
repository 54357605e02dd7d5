/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A test in C that ends as it is told to: what the harness must see. */
#include "config.h"

#include "kid.h"
#include "tap.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Their names are looked for in the stacks that `limit` shows. */
__attribute__((noinline)) static void
sample_waits_for_peer(int fd)
{
	char c;

	while (read(fd, &c, 1) != 0)
		;
}

static int
sample_peer(struct kid *kid, void *arg)
{
	(void)arg;
	sample_waits_for_peer(kid->fd);
	return 0;
}

static int
hang(void)
{
	struct kid kid;

	plan(1);
	if (kid_start(&kid, sample_peer, NULL) != 0)
		bail_out("no child");
	sample_waits_for_peer(kid.fd);
	return done();
}

/* A daemon that detached itself as far as one can. */
static int
leave_daemon(void)
{
	if (fork() == 0) {
		setsid();
		if (fork() == 0)
			for (;;)
				pause();
		_exit(0);
	}
	ok(true, "left a daemon");
	return done();
}

int
main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";

	if (strcmp(mode, "pass") == 0) {
		plan(3);
		ok(true, "true");
		is_int(-1, -1, "numbers %s", "equal");
		is_str("a", "a", "words equal");
		return done();
	}
	if (strcmp(mode, "fail-int") == 0)
		return is_int(1, 2, "numbers"), done();
	if (strcmp(mode, "fail-str") == 0)
		return is_str(NULL, "", "words"), done();
	if (strcmp(mode, "fail-ok") == 0)
		return ok(false, "false"), done();
	if (strcmp(mode, "short") == 0) {
		plan(2);
		ok(true, "one of two");
		return done();
	}
	if (strcmp(mode, "skip") == 0)
		return skip(2, "no %s", "moon"), done();
	if (strcmp(mode, "skip-all") == 0)
		skip_all("no moon");
	if (strcmp(mode, "need") == 0)
		need_failed("no moon");
	if (strcmp(mode, "bail") == 0)
		bail_out("no moon");
	if (strcmp(mode, "crash") == 0) {
		plan(1);
		ok(true, "before the crash");
		abort();
	}
	if (strcmp(mode, "hang") == 0)
		return hang();
	if (strcmp(mode, "daemon") == 0)
		return leave_daemon();
	return 2;
}
