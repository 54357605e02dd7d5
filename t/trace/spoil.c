/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Stands between the recorder and libkmapemu.so, and makes one thing on Kmap
 * other than it is on TCP, as $SPOIL says:
 *
 *	byte	one byte of what recv returns is another one
 *	count	one byte of it is missing at its end
 *	reset	ECONNRESET in the place of the end of the stream
 *	ready	readable is told before writable
 *	cut	recv returns 1000 bytes at most: nobody may mind
 *	again	every other recv has to be called again: nor that
 */
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static int
spoils(const char *what)
{
	const char *how = getenv("SPOIL"), *libs = getenv("LD_PRELOAD");

	return how && !strcmp(how, what) && libs &&
		strstr(libs, "libkmapemu.so");
}

ssize_t
recv(int fd, void *buf, size_t n, int flags)
{
	static ssize_t (*real)(int, void *, size_t, int);
	static int calls;
	ssize_t r;

	if (!real)
		real = (ssize_t(*)(int, void *, size_t, int))dlsym(
			RTLD_NEXT, "recv");
	calls++;
	if (spoils("again") && calls % 2) {
		errno = EAGAIN;
		return -1;
	}
	if (spoils("cut") && n > 1000)
		n = 1000;
	r = real(fd, buf, n, flags);
	if (spoils("byte") && r > 0 && calls == 2)
		((char *)buf)[r - 1] ^= 1;
	if (spoils("count") && r > 1 && calls == 2)
		r--;
	if (spoils("reset") && r == 0) {
		errno = ECONNRESET;
		return -1;
	}
	return r;
}

int
poll(struct pollfd *fds, nfds_t n, int ms)
{
	static int (*real)(struct pollfd *, nfds_t, int);
	static int calls;
	int r;

	if (!real)
		real = (int (*)(struct pollfd *, nfds_t, int))dlsym(
			RTLD_NEXT, "poll");
	r = real(fds, n, ms);
	if (spoils("ready") && r == 1 && n == 1 && !calls++)
		fds[0].revents = POLLIN;
	return r;
}
