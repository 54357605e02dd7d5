/* SPDX-License-Identifier: LGPL-2.1-or-later */
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
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
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
			struct pollfd p = {.fd = fd, .events = POLLIN};
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
	struct pollfd p = {.fd = fd, .events = POLLIN};

	(void)arg;
	if (poll(&p, 1, 0) == 1 && (p.revents & POLLNVAL)) {
		errno = EBADF;
		return -1;
	}
	return 0;
}

/* Every call of the library's that takes a number, with harmless arguments. */
#define CALLS                                                                  \
	X(read, read(fd, b, 1))                                                \
	X(readv, readv(fd, &v, 1))                                             \
	X(preadv2, preadv2(fd, &v, 1, -1, 0))                                  \
	X(preadv2_at, preadv2(fd, &v, 1, 0, 0))                                \
	X(recv, recv(fd, b, 1, MSG_DONTWAIT))                                  \
	X(recvfrom, recvfrom(fd, b, 1, MSG_DONTWAIT, NULL, NULL))              \
	X(recvmsg, recvmsg(fd, &m.msg_hdr, MSG_DONTWAIT))                      \
	X(recvmmsg, recvmmsg(fd, &m, 1, MSG_DONTWAIT, NULL))                   \
	X(write, write(fd, b, 8))                                              \
	X(writev, writev(fd, &v, 1))                                           \
	X(pwritev2, pwritev2(fd, &v, 1, -1, 0))                                \
	X(pwritev2_at, pwritev2(fd, &v, 1, 0, 0))                              \
	X(send, send(fd, b, 8, MSG_DONTWAIT | MSG_NOSIGNAL))                   \
	X(sendto, sendto(fd, b, 8, MSG_NOSIGNAL, NULL, 0))                     \
	X(sendmsg, sendmsg(fd, &m.msg_hdr, MSG_NOSIGNAL))                      \
	X(sendmmsg, sendmmsg(fd, &m, 1, MSG_NOSIGNAL))                         \
	X(sendfile_out, sendfile(fd, null, NULL, 1))                           \
	X(sendfile_in, sendfile(null, fd, NULL, 1))                            \
	X(splice_in, splice(fd, NULL, pipes[1], NULL, 1, 2))                   \
	X(splice_out, splice(pipes[0], NULL, fd, NULL, 1, 2))                  \
	X(tee_in, tee(fd, pipes[1], 1, 2))                                     \
	X(tee_out, tee(pipes[0], fd, 1, 2))                                    \
	X(vmsplice, vmsplice(fd, &v, 1, 2))                                    \
	X(copy_in, copy_file_range(fd, NULL, null, NULL, 1, 0))                \
	X(copy_out, copy_file_range(null, NULL, fd, NULL, 1, 0))               \
	X(bind, bind(fd, (void *)&a, len))                                     \
	X(listen, listen(fd, 1))                                               \
	X(connect, connect(fd, (void *)&a, len))                               \
	X(accept, accept(fd, NULL, NULL))                                      \
	X(accept4, accept4(fd, NULL, NULL, 0))                                 \
	X(shutdown, shutdown(fd, SHUT_RDWR))                                   \
	X(getsockname, getsockname(fd, (void *)&a, &len))                      \
	X(getpeername, getpeername(fd, (void *)&a, &len))                      \
	X(getsockopt, getsockopt(fd, SOL_SOCKET, SO_TYPE, &n, &len))           \
	X(setsockopt, setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &n, 4))         \
	X(fcntl, fcntl(fd, F_GETFL))                                           \
	X(ioctl, ioctl(fd, FIONREAD, &n))                                      \
	X(sockatmark, sockatmark(fd))                                          \
	X(epoll_wait, epoll_wait(fd, ev, 1, 0))                                \
	X(epoll_pwait, epoll_pwait(fd, ev, 1, 0, NULL))                        \
	X(epoll_ctl_set, epoll_ctl(fd, EPOLL_CTL_ADD, pipes[0], ev))           \
	X(epoll_ctl_add, epoll_ctl(ep, EPOLL_CTL_ADD, fd, ev))                 \
	X(epoll_ctl_del, epoll_ctl(ep, EPOLL_CTL_DEL, fd, ev))                 \
	X(fstatat, fstatat(fd, "", &st, AT_EMPTY_PATH))                        \
	X(fstatat_in, fstatat(fd, "x", &st, 0))                                \
	X(statx, statx(fd, "", AT_EMPTY_PATH, 0, &stx))                        \
	X(openat, openat(fd, "x", O_RDONLY))                                   \
	X(signalfd, signalfd(fd, &set, 0))                                     \
	X(fdopen, fdopen(fd, "r") ? 0 : -1)                                    \
	X(dprintf, dprintf(fd, "x"))                                           \
	X(sys_read, syscall(SYS_read, fd, b, 1))                               \
	X(sys_write, syscall(SYS_write, fd, b, 8))

static char b[8] = {1};
static struct iovec v = {b, 8};
static struct mmsghdr m = {.msg_hdr = {.msg_iov = &v, .msg_iovlen = 1}};
static struct sockaddr_in a;
static socklen_t len = sizeof(a);
static struct epoll_event ev[1];
static struct stat st;
static struct statx stx;
static sigset_t set;
static int null, n, pipes[2], ep;

#define X(name, call)                                                          \
	static int do_##name(int fd, int arg)                                  \
	{                                                                      \
		(void)arg;                                                     \
		return (int)(call);                                            \
	}
CALLS
#undef X

static void
calls(int max, int skip)
{
	if (pipe(pipes) != 0)
		die("pipe");
	ep = epoll_create1(0);
	a.sin_family = AF_INET;
	sigemptyset(&set);
#define X(name, call) tally(#name, ep + 1, max, skip, do_##name, 0);
	CALLS
#undef X
	close(ep);
	close(pipes[0]);
	close(pipes[1]);
}

int
main(int argc, char **argv)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const char *op = argc > 1 ? argv[1] : "";
	int fd, max, r;
	struct rlimit rl;

	if (argc != 3)
		return 2;
	alarm(60);
	getrlimit(RLIMIT_NOFILE, &rl);
	max = rl.rlim_cur > 20000 ? 20000 : (int)rl.rlim_cur;
	/* What whoever started us left open would answer, too. */
	for (int i = 3; i < max; i++)
		close(i);
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
	else if (strcmp(op, "calls") == 0)
		calls(max, fd);
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
		r = close_range(
			(unsigned int)fd + 1, ~0u, 4 /* CLOSE_RANGE_CLOEXEC */);
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
