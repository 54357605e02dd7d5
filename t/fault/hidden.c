/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hidden OP PORT: talks to an echo server, does OP to all the numbers that it
 * does not know, and talks on. What it prints must be the same with and
 * without the library.
 */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../pattern.h"

static void
die(const char *what)
{
	printf("hidden: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void
talk(int fd, int rounds)
{
	static unsigned char out[30000], in[30000];

	for (int i = 0; i < rounds; i++) {
		size_t n = 100 + (size_t)i * 331 % 29000, got = 0;

		pattern_fill(out, n, (uint64_t)i, 0);
		if (send(fd, out, n, MSG_NOSIGNAL) != (ssize_t)n)
			die("send");
		while (got < n) {
			struct pollfd p = { .fd = fd, .events = POLLIN };
			ssize_t r;

			if (i % 2 && poll(&p, 1, 20000) != 1)
				die("poll");
			r = recv(fd, in + got, n - got, 0);
			if (r <= 0)
				die("recv");
			got += (size_t)r;
		}
		if (memcmp(in, out, n) != 0)
			die("bytes");
	}
}

/* How often each result came, over all numbers from `first`. */
static void
tally(const char *name, int first, int max, int skip, int (*fn)(int, int),
    int arg)
{
	int good = 0, bad = 0, other = 0;

	for (int i = first; i < max; i++) {
		if (i == skip)
			continue;
		errno = 0;
		if (fn(i, arg) >= 0)
			good++;
		else if (errno == EBADF)
			bad++;
		else
			other++;
	}
	printf("%s: %d good, %d EBADF, %d other\n", name, good, bad, other);
}

static int
do_close(int fd, int arg)
{
	(void)arg;
	return close(fd);
}

static int
do_getfd(int fd, int arg)
{
	(void)arg;
	return fcntl(fd, F_GETFD);
}

static int
do_setfd(int fd, int arg)
{
	(void)arg;
	return fcntl(fd, F_SETFD, 0);
}

static int
do_fstat(int fd, int arg)
{
	struct stat st;

	(void)arg;
	return fstat(fd, &st);
}

static int
do_dup(int fd, int arg)
{
	int r = dup(fd);

	(void)arg;
	if (r >= 0)
		close(r);
	return r;
}

static int
do_dup2(int fd, int arg)
{
	return dup2(arg, fd);
}

static int
do_poll(int fd, int arg)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	(void)arg;
	if (poll(&p, 1, 0) == 1 && (p.revents & POLLNVAL)) {
		errno = EBADF;
		return -1;
	}
	return 0;
}

int
main(int argc, char **argv)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const char *op = argc > 1 ? argv[1] : "";
	int fd, null, max, r;
	struct rlimit rl;

	if (argc != 3)
		return 2;
	alarm(60);
	for (int i = 3; i < 64; i++)
		close(i);
	getrlimit(RLIMIT_NOFILE, &rl);
	max = rl.rlim_cur > 20000 ? 20000 : (int)rl.rlim_cur;
	a.sin_port = htons((uint16_t)atoi(argv[2]));
	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, (void *)&a, sizeof(a)) != 0)
		die("connect");
	null = open("/dev/null", O_RDWR);
	talk(fd, 60);
	printf("numbers %d %d\n", fd, null);

	if (strcmp(op, "close") == 0)
		tally("close", 3, max, fd, do_close, 0);
	else if (strcmp(op, "getfd") == 0)
		tally("F_GETFD", 3, max, fd, do_getfd, 0);
	else if (strcmp(op, "setfd") == 0)
		tally("F_SETFD", 3, max, fd, do_setfd, 0);
	else if (strcmp(op, "fstat") == 0)
		tally("fstat", 3, max, fd, do_fstat, 0);
	else if (strcmp(op, "dup") == 0)
		tally("dup", 3, max, fd, do_dup, 0);
	else if (strcmp(op, "poll") == 0)
		tally("poll", 3, max, fd, do_poll, 0);
	else if (strcmp(op, "dup2") == 0) {
		tally("dup2", 3, max, fd, do_dup2, null);
		tally("F_GETFD", 3, max, fd, do_getfd, 0);
		tally("close", 3, max, fd, do_close, 0);
	} else if (strcmp(op, "close_range") == 0) {
		r = close_range((unsigned int)fd + 1, ~0u, 0);
		printf("close_range %d\n", r);
		tally("F_GETFD", 3, max, fd, do_getfd, 0);
	} else if (strcmp(op, "cloexec_range") == 0) {
		r = close_range((unsigned int)fd + 1, ~0u,
		    4 /* CLOSE_RANGE_CLOEXEC */);
		printf("close_range %d\n", r);
	} else if (strcmp(op, "closefrom") == 0) {
		closefrom(fd + 1);
		tally("F_GETFD", 3, max, fd, do_getfd, 0);
	} else if (strcmp(op, "syscall") == 0) {
		for (int i = fd + 1; i < max; i++)
			syscall(SYS_close, i);
		syscall(SYS_close_range, fd + 1, ~0u, 0);
		tally("F_GETFD", 3, max, fd, do_getfd, 0);
	} else if (strcmp(op, "daemon") == 0) {
		pid_t pid = fork();

		if (pid > 0)
			_exit(0);
		setsid();
		for (int i = 3; i < max; i++)
			if (i != fd)
				close(i);
	} else if (strcmp(op, "second") == 0) {
		/* After all of it, another connection of the same process. */
		close_range((unsigned int)fd + 1, ~0u, 0);
		close(fd);
		fd = socket(AF_INET, SOCK_STREAM, 0);
		printf("number %d\n", fd);
		if (connect(fd, (void *)&a, sizeof(a)) != 0)
			die("connect");
	}
	talk(fd, 60);
	printf("done\n");
	return 0;
}
