/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * plain - read and write on what is no socket, as fast as it goes.
 *
 *	plain [-m pipe|file|null] [-s bytes] [-d seconds]
 *
 * `n` are pairs of one write and one read. Prints one line of JSON.
 */
#include "config.h"

#include "common.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_SIZE (1 << 20)
#define BATCH 512

static void
open_pair(const char *how, int fds[2])
{
	char path[64] = "/tmp/kmap-bench.XXXXXX";

	if (!strcmp(how, "file")) {
		fds[1] = mkstemp(path);
		fds[0] = open(path, O_RDONLY);
		unlink(path);
	} else if (!strcmp(how, "null")) {
		fds[1] = open("/dev/null", O_WRONLY);
		fds[0] = open("/dev/zero", O_RDONLY);
	} else if (pipe(fds)) {
		fds[0] = -1;
	}
	if (fds[0] < 0 || fds[1] < 0)
		die("open");
}

static void
pairs(const struct opts *o, const int fds[2], char *buf)
{
	ssize_t want = (ssize_t)o->size;
	off_t at = lseek(fds[1], 0, SEEK_CUR);
	int i;

	if (at >= FILE_SIZE) {
		lseek(fds[0], 0, SEEK_SET);
		lseek(fds[1], 0, SEEK_SET);
	}
	for (i = 0; i < BATCH; i++) {
		if (write(fds[1], buf, o->size) != want ||
			read(fds[0], buf, o->size) != want)
			die("pair");
	}
}

int
main(int argc, char **argv)
{
	struct result r = {0};
	uint64_t start, end;
	struct opts o;
	int fds[2];
	char *buf;

	parse_opts(argc, argv, &o);
	open_pair(o.how, fds);
	buf = calloc(1, o.size);
	pairs(&o, fds, buf);
	r.cpu[0] = cpu_ns(getpid());
	start = now_ns();
	end = start + (uint64_t)(o.secs * 1e9);
	while (now_ns() < end) {
		pairs(&o, fds, buf);
		r.n += BATCH;
	}
	r.secs = (double)(now_ns() - start) / 1e9;
	r.cpu[0] = cpu_ns(getpid()) - r.cpu[0];
	put_result(&r);
	free(buf);
	return 0;
}
