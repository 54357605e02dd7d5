/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * strict listen PORT	answers one client with what it said, until it ends
 * strict connect PORT	says and hears 200 lines
 * strict filter PORT	the same, under seccomp's strict mode from the 100th
 *			line on: anything but read and write kills
 * strict allow PORT	the same, under a filter that allows everything
 * strict stdio PORT	the same, with stdio from the 100th line on
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static void
die(const char *what)
{
	perror(what);
	exit(1);
}

static void
echo(int fd)
{
	char buf[256];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		if (write(fd, buf, (size_t)n) != n)
			die("write");
	if (n < 0)
		die("read");
}

static void
talk(int fd, int lines)
{
	char buf[64];

	for (int i = 0; i < lines; i++) {
		ssize_t n = snprintf(buf, sizeof(buf), "line %d\n", i), got;

		if (write(fd, buf, (size_t)n) != n)
			die("write");
		for (ssize_t have = 0; have < n; have += got) {
			got = read(fd, buf + have, (size_t)(n - have));
			if (got <= 0)
				die("read");
		}
	}
}

int
main(int argc, char **argv)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	char buf[64];
	FILE *f;

	if (argc != 3 || fd < 0)
		return 2;
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	a.sin_port = htons((uint16_t)atoi(argv[2]));
	if (strcmp(argv[1], "listen") == 0) {
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		if (bind(fd, (void *)&a, sizeof(a)) || listen(fd, 5))
			die("listen");
		fd = accept(fd, NULL, NULL);
		if (fd < 0)
			die("accept");
		echo(fd);
		return 0;
	}
	if (connect(fd, (void *)&a, sizeof(a)))
		die("connect");
	talk(fd, 100);
	if (strcmp(argv[1], "filter") == 0) {
		if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT))
			die("prctl");
		talk(fd, 100);
		/* exit_group would kill. */
		syscall(SYS_exit, 0);
	}
	if (strcmp(argv[1], "allow") == 0) {
		struct sock_filter allow =
			BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
		struct sock_fprog prog = {1, &allow};

		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
			prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
			die("prctl");
	}
	if (strcmp(argv[1], "stdio") == 0) {
		f = fdopen(fd, "r+");
		for (int i = 0; i < 100; i++)
			if (!f || fputs("line\n", f) < 0 || fflush(f) ||
				!fgets(buf, sizeof(buf), f))
				die("stdio");
		return 0;
	}
	talk(fd, 100);
	return 0;
}
