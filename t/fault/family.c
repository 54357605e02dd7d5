/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Processes of a fork family that share connections and are killed.
 *
 *	family server PORTFILE		one connection at a time; what the client
 *					asks for is below
 *	family client PORT COUNT HOW	COUNT connections, one after the other;
 *					prints how many mappings of segments it
 *					has in the end
 *
 * HOW: c  the server forks, closes its own copy, and kills the child
 *	k  it forks, keeps its copy, kills the child, and goes on
 *	l  as k, but before the first byte, and the child does nothing
 */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net.h"

#define PINGS 6

static char
answer(int fd)
{
	char c;

	if (recv(fd, &c, 1, 0) != 1)
		return 0;
	if (send(fd, &c, 1, MSG_NOSIGNAL) != 1)
		return 0;
	return c;
}

/* A child that holds fd, and is dead when this returns. */
static void
bear_and_kill(int fd, char how)
{
	int p[2];
	pid_t pid;
	char c;

	if (pipe(p) != 0)
		die("pipe");
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		close(p[0]);
		if (how != 'l' && send(fd, "F", 1, MSG_NOSIGNAL) != 1)
			_exit(1);
		if (write(p[1], "!", 1) != 1)
			_exit(1);
		for (;;)
			if (how != 'c' || answer(fd) == 0)
				pause();
	}
	close(p[1]);
	if (how == 'c')
		close(fd);
	if (read(p[0], &c, 1) != 1)
		die("child");
	close(p[0]);
	kill(pid, SIGKILL);
	if (waitpid(pid, NULL, 0) != pid)
		die("waitpid");
}

static void
serve(int fd)
{
	char c = 0;

	/* The client's first byte is how: nothing was read before a fork. */
	while (recv(fd, &c, 1, MSG_PEEK) == 1) {
		if (c == 'l' || c == 'f') {
			if (recv(fd, &c, 1, 0) != 1)
				break;
			if (c == 'l')
				bear_and_kill(fd, 'l');
			else if (recv(fd, &c, 1, 0) == 1) {
				bear_and_kill(fd, c);
				if (c == 'c')
					return;
			}
		} else if (answer(fd) == 0)
			break;
	}
	close(fd);
}

static void
server(const char *file)
{
	int l = listen_at(file, 64);

	for (;;) {
		int fd = accept(l, NULL, NULL);

		if (fd >= 0)
			serve(fd);
	}
}

static void
pings(int fd, int n, unsigned int us)
{
	char c;

	while (n-- > 0) {
		if (send(fd, "p", 1, MSG_NOSIGNAL) != 1 ||
			recv(fd, &c, 1, 0) != 1 || c != 'p')
			die("ping");
		if (us != 0)
			usleep(us);
	}
}

static void
once(int port, char how)
{
	struct sockaddr_in a = address(port);
	struct timeval tv = {.tv_sec = 20};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char f[2] = {'f', how}, c;
	ssize_t n;

	if (fd < 0 || connect(fd, (void *)&a, sizeof(a)) != 0)
		die("connect");
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	if (how == 'l') {
		if (send(fd, "l", 1, MSG_NOSIGNAL) != 1)
			die("send");
		/* The survivor looks for the dead ten times a second. */
		pings(fd, 300, 2000);
		close(fd);
		return;
	}
	pings(fd, PINGS, 0);
	if (send(fd, f, 2, MSG_NOSIGNAL) != 2 || recv(fd, &c, 1, 0) != 1 ||
		c != 'F')
		die("fork");
	if (how == 'k')
		pings(fd, PINGS, 0);
	else {
		n = recv(fd, &c, 1, 0);
		if (n > 0 || (n < 0 && errno != ECONNRESET))
			die("the end");
	}
	close(fd);
}

int
main(int argc, char **argv)
{
	int segments = 0;
	char line[512];
	FILE *f;

	if (argc == 3 && strcmp(argv[1], "server") == 0)
		server(argv[2]);
	if (argc != 5 || strcmp(argv[1], "client") != 0)
		return 2;
	for (int i = 0; i < atoi(argv[3]); i++)
		once(atoi(argv[2]), argv[4][0]);
	f = fopen("/proc/self/maps", "r");
	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		segments += strstr(line, "memfd:kmap") != NULL;
	printf("%d\n", segments);
	return 0;
}
