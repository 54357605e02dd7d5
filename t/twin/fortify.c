/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The names that a fortified build calls: __read_chk, __recv_chk,
 * __recvfrom_chk, __poll_chk, __ppoll_chk, __fdelt_chk. Compiled with
 * -O2 -D_FORTIFY_SOURCE=2, the sizes unknown to the compiler.
 */
#include <config.h>

#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#include "matrix.h"
#include "twin.h"

/* Its size is known, n is not: gcc calls the checking function. */
static char fixed[1 << 20];

static ssize_t
from(ssize_t r, void *b)
{
	if (r > 0)
		memcpy(b, fixed, r);
	return r;
}

static ssize_t
x_read(int fd, void *b, size_t n, int fl)
{
	(void)fl;
	return from(read(fd, fixed, n), b);
}

static ssize_t
x_recv(int fd, void *b, size_t n, int fl)
{
	return from(recv(fd, fixed, n, fl), b);
}

static ssize_t
x_recvfrom(int fd, void *b, size_t n, int fl)
{
	return from(recvfrom(fd, fixed, n, fl, NULL, NULL), b);
}

static struct pollfd one[4];

static int
x_poll(int fd, unsigned want, int ms, unsigned *got)
{
	static volatile nfds_t n = 1;
	int r;

	one[0] = (struct pollfd){fd, want, 0x7fff};
	r = poll(one, n, ms);
	*got = r < 0 ? 0 : (unsigned short)one[0].revents;
	return r;
}

static int
x_ppoll(int fd, unsigned want, int ms, unsigned *got)
{
	static volatile nfds_t n = 1;
	struct timespec ts = {ms / 1000, ms % 1000 * 1000000L};
	int r;

	one[0] = (struct pollfd){fd, want, 0x7fff};
	r = ppoll(one, n, ms < 0 ? NULL : &ts, NULL);
	*got = r < 0 ? 0 : (unsigned short)one[0].revents;
	return r;
}

static int
x_select(int fd, unsigned want, int ms, unsigned *got)
{
	struct timeval tv = {ms / 1000, ms % 1000 * 1000};
	fd_set in, out;
	int r;

	*got = 0;
	FD_ZERO(&in);
	FD_ZERO(&out);
	if (want & POLLIN)
		FD_SET(fd, &in);
	if (want & POLLOUT)
		FD_SET(fd, &out);
	r = select(fd + 1, &in, &out, NULL, ms < 0 ? NULL : &tv);
	if (r >= 0)
		*got = (FD_ISSET(fd, &in) ? POLLIN : 0) |
			(FD_ISSET(fd, &out) ? POLLOUT : 0);
	return r;
}

static const struct tw_call rx[] = {
	{"__read_chk", MX_ALIAS | MX_COPY, .rx = x_read},
	{"__recv_chk", MX_ALIAS | MX_COPY | MX_FLAGS, .rx = x_recv},
	{"__recvfrom_chk", MX_ALIAS | MX_COPY | MX_FLAGS, .rx = x_recvfrom},
};

static const struct tw_call wait[] = {
	{"__poll_chk", MX_ALIAS, .wait = x_poll},
	{"__ppoll_chk", MX_ALIAS, .wait = x_ppoll},
	{"__fdelt_chk", MX_ALIAS | MX_SELECT | MX_COPY, .wait = x_select},
};

void
tw_fortify_rows(void)
{
	for (size_t i = 0; i < sizeof rx / sizeof *rx; i++)
		tw_rx_row(rx + i);
	for (size_t i = 0; i < sizeof wait / sizeof *wait; i++)
		tw_wait_row(wait + i);
}
