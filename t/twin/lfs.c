/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The names that a build with -D_FILE_OFFSET_BITS=64 calls: fcntl64,
 * sendfile64, preadv64v2, pwritev64v2, fstat64 by its plain name.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "matrix.h"
#include "twin.h"

static char buf[4096];

static void
all(const void *arg)
{
	struct tw_conn *c = tw_open();

	(void)arg;
	for (int half = 0; half < 2; half++) {
		struct iovec v = {buf, 10};
		struct stat st;
		int f = memfd_create("file", 0), d;
		off_t off = 5;

		t_ret("F_SETFL", fcntl(c->fd, F_SETFL, O_NONBLOCK));
		t_got(c, "preadv2", preadv2(c->fd, &v, 1, -1, 0), buf);
		T("F_GETFL %#x", fcntl(c->fd, F_GETFL));
		t_ret("F_SETFL", fcntl(c->fd, F_SETFL, 0));
		p_send(c, 10);
		t_got(c, "preadv2", preadv2(c->fd, &v, 1, -1, 0), buf);
		tw_fill(c, buf, 10);
		t_sent(c, "pwritev2", pwritev2(c->fd, &v, 1, -1, 0));
		p_recv(c, 10);
		tw_fill(c, buf, 100);
		t_ret("pwrite", pwrite(f, buf, 100, 5));
		t_sent(c, "sendfile", sendfile(c->fd, f, &off, 1000));
		T("offset %lld", (long long)off);
		p_recv(c, 100);
		d = fcntl(c->fd, F_DUPFD_CLOEXEC, 100);
		t_ret("fstat", fstat(d, &st));
		T("socket %d", S_ISSOCK(st.st_mode));
		p_send(c, 10);
		t_got(c, "read", read(d, buf, 20), buf);
		t_ret("lseek", lseek(d, 0, SEEK_SET));
		close(d);
		close(f);
		tw_mid(c);
	}
}

static const struct tw_case the_case = {"large_file", "all", all, NULL, 0};

void
tw_lfs_cases(void)
{
	tw_register(&the_case);
}
