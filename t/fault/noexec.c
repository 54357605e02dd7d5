/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * noexec: a child lets go of a connection to execute a program. Meanwhile its
 * parent closes it and opens another one to another server, and there is no
 * such program. The child's connection may be lost, visibly; its parent's new
 * one is not the child's, and goes on.
 */
#include "config.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net.h"

#define PINGS 20

static int to_parent[2], to_child[2];

int kmap_testpoint(const char *name, int fd);

int
kmap_testpoint(const char *name, int fd)
{
	char c;

	(void)fd;
	if (strcmp(name, "image") == 0 &&
		(write(to_parent[1], "x", 1) != 1 ||
			read(to_child[0], &c, 1) != 1))
		die("image");
	return 0;
}

/* Answers with its name. */
static void
serve(int l, char name)
{
	char c;
	int s;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while ((s = accept(l, NULL, NULL)) >= 0) {
		while (recv(s, &c, 1, 0) == 1 &&
			send(s, &name, 1, MSG_NOSIGNAL) == 1)
			;
		close(s);
	}
	_exit(0);
}

static int
connected(char name)
{
	int l = listen_at(NULL, 8);
	struct sockaddr_in a = address_of(l);

	if (fork() == 0)
		serve(l, name);
	close(l);
	return connected_to(a, 10);
}

/* Who answers; 0: nobody any more. */
static char
ping(int c)
{
	char b = 'p';

	return send(c, &b, 1, MSG_NOSIGNAL) == 1 && recv(c, &b, 1, 0) == 1 ? b
									   : 0;
}

int
main(void)
{
	char *argv[] = {(char *)"none", NULL}, c;
	int a, b, status;
	pid_t pid;

	if (pipe(to_parent) != 0 || pipe(to_child) != 0)
		die("pipe");
	a = connected('a');
	for (int i = 0; i < PINGS; i++)
		if (ping(a) != 'a')
			die("a");
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execv("/nonexistent/program", argv);
		for (int i = 0; i < PINGS; i++) {
			c = ping(a);
			if (c != 'a' && c != 0)
				die("another's connection");
		}
		exit(0);
	}
	if (read(to_parent[0], &c, 1) != 1)
		die("child");
	close(a);
	b = connected('b');
	for (int i = 0; i < PINGS; i++)
		if (ping(b) != 'b')
			die("b");
	if (write(to_child[1], "x", 1) != 1 || waitpid(pid, &status, 0) != pid)
		die("the child");
	if (status != 0) {
		fprintf(stderr, "noexec: the child ended by %#x\n", status);
		return 1;
	}
	for (int i = 0; i < PINGS; i++)
		if (ping(b) != 'b')
			die("b, when the child has gone");
	return 0;
}
