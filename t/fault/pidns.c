/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pidns HOW: a process and its child, which is in a pid namespace of its own,
 * send on one connection. One of them has the lock of the sending side when
 * the other one wants it.
 *
 *	slow	the parent, for half a second; nobody takes it from it
 *	child	the child, and is killed
 *	parent	the parent, and is killed
 *
 * 0: whole messages came, of everybody that lives. 77: no such namespace here.
 */
#include "config.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "net.h"

#define PINGS 6
#define SIZE 64
#define LIMIT_MS 20000

enum {
	TO_MAIN,
	TO_PARENT,
	TO_CHILD,
	PIPES
};
static int pipes[PIPES][2];
static const char *how;
static pid_t first, parent, child;
static int conn;
static volatile int armed;

static void
say(int to, int what)
{
	if (write(pipes[to][1], &what, sizeof(what)) != sizeof(what))
		die("say");
}

static int
hear(int at)
{
	struct pollfd p = {pipes[at][0], POLLIN, 0};
	int what;

	if (poll(&p, 1, LIMIT_MS) != 1 ||
		read(p.fd, &what, sizeof(what)) != sizeof(what))
		die("hear");
	return what;
}

int kmap_testpoint(const char *name, int fd);

/* The bytes are in the ring, and nobody was told of them. */
int
kmap_testpoint(const char *name, int fd)
{
	(void)fd;
	if (!armed || strcmp(name, "ring-copied") != 0)
		return 0;
	armed = 0;
	say(*how == 's' ? TO_CHILD : *how == 'c' ? TO_PARENT : TO_MAIN, 0);
	if (*how == 's')
		usleep(500000);
	else
		for (;;)
			pause();
	return 0;
}

static void
message(char of)
{
	char m[SIZE];

	memset(m, of, sizeof(m));
	if (send(conn, m, sizeof(m), MSG_NOSIGNAL) != sizeof(m))
		die("send");
}

static void
is_child(void)
{
	if (*how != 'p')
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	armed = *how == 'c';
	if (!armed)
		hear(TO_CHILD);
	message('c');
	for (;;)
		pause();
}

static void
is_parent(int l)
{
	char c;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	conn = accept(l, NULL, NULL);
	for (int i = 0; i < PINGS; i++)
		if (recv(conn, &c, 1, 0) != 1 || send(conn, &c, 1, 0) != 1)
			die("ping");
	if (unshare(CLONE_NEWPID) != 0 &&
		unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0) {
		say(TO_MAIN, -1);
		pause();
	}
	child = fork();
	if (child < 0)
		die("fork");
	if (child == 0)
		is_child();
	say(TO_MAIN, child);
	if (*how == 'c') {
		hear(TO_PARENT);
		/* It stays a zombie. */
		kill(child, SIGKILL);
	} else
		armed = 1;
	message('p');
	for (;;)
		pause();
}

static void
end(void)
{
	if (getpid() != first)
		return;
	if (child > 0)
		kill(child, SIGKILL);
	kill(parent, SIGKILL);
}

static void
expect(int c, const char *whom)
{
	char m[SIZE];

	for (; *whom != 0; whom++) {
		if (recv(c, m, sizeof(m), MSG_WAITALL) != sizeof(m))
			die("no message");
		for (int i = 0; i < SIZE; i++)
			if (m[i] != *whom) {
				fprintf(stderr, "%#x instead of %c at %d\n",
					(unsigned char)m[i], *whom, i);
				exit(1);
			}
	}
	if (recv(c, m, 1, MSG_DONTWAIT) >= 0)
		die("more than was sent");
}

int
main(int argc, char **argv)
{
	int l, c;

	if (argc != 2)
		return 2;
	how = argv[1];
	first = getpid();
	l = listen_at(NULL, 8);
	for (int i = 0; i < PIPES; i++)
		if (pipe(pipes[i]) != 0)
			die("pipe");
	parent = fork();
	if (parent == 0)
		is_parent(l);
	atexit(end);
	c = connected_to(address_of(l), 10);
	for (int i = 0; i < PINGS; i++) {
		char b = 'b';

		if (send(c, &b, 1, MSG_NOSIGNAL) != 1 ||
			recv(c, &b, 1, 0) != 1 || b != 'b')
			die("ping");
	}
	child = hear(TO_MAIN);
	if (child < 0)
		return 77;
	if (*how == 'p') {
		hear(TO_MAIN);
		kill(parent, SIGKILL);
		say(TO_CHILD, 0);
	}
	expect(c, *how == 's' ? "pc" : *how == 'c' ? "p" : "c");
	return 0;
}
