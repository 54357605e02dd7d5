/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * takeover HOW: a process of a fork family is killed while others hold its
 * connection, and one finds it dead just as another forks.
 *
 *	judged	the table of the family is full, so that the new child gets
 *		the dead one's place: between the judgement and what follows
 *		from it
 *	locked	the same, while the one that found it has the family's word
 *	killed	who has the word is killed, too; the last one goes on alone
 *
 * 0: the one that is left answers on the connection.
 */
#include "config.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net.h"

#define IDLERS 60 /* more than the table has places */
#define PINGS 6
#define LIMIT_MS 20000

enum {
	TO_MAIN,
	TO_A,
	TO_B,
	LIFE_OF_A,
	PIPES
};
static int pipes[PIPES][2];
static const char *how;
static int conn;
static volatile int armed, moved;

static void
say(int to)
{
	if (write(pipes[to][1], "x", 1) != 1)
		die("say");
}

static void
hear(int at)
{
	struct pollfd p = {pipes[at][0], POLLIN, 0};
	char c;

	if (poll(&p, 1, LIMIT_MS) != 1 || read(p.fd, &c, 1) != 1)
		die("hear");
}

/* A found a dead one: it goes on when B has got its child. */
int kmap_testpoint(const char *name, int fd);

int
kmap_testpoint(const char *name, int fd)
{
	(void)fd;
	if (strcmp(name, "up-record") == 0)
		moved = 1;
	if (!armed ||
		strcmp(name, *how == 'j' ? "kin-judged" : "kin-locked") != 0)
		return 0;
	armed = 0;
	if (*how == 'k') {
		kill(getpid(), SIGKILL);
		pause();
	}
	say(TO_B);
	hear(TO_A);
	return 0;
}

static int
answer(void)
{
	char c;

	return recv(conn, &c, 1, 0) == 1 && c == 'p' &&
		send(conn, &c, 1, MSG_NOSIGNAL) == 1;
}

static pid_t
born(void)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid == 0) {
		armed = 0;
		alarm(LIMIT_MS / 500);
		/* B outlives A where A is killed. */
		if (*how != 'k')
			prctl(PR_SET_PDEATHSIG, SIGKILL);
	}
	return pid;
}

static void
b(void)
{
	char c;

	close(pipes[LIFE_OF_A][1]);
	if (*how == 'k') {
		if (read(pipes[LIFE_OF_A][0], &c, 1) != 0)
			die("A lives");
		say(TO_MAIN);
		while (answer())
			;
		_exit(0);
	}
	hear(TO_B);
	if (born() == 0) {
		say(TO_A);
		while (answer())
			;
		_exit(0);
	}
	hear(TO_B);
	close(conn);
	say(TO_A);
	pause();
}

static void
a(int l)
{
	pid_t x;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	conn = accept(l, NULL, NULL);
	for (int i = 0; *how != 'k' && i < PINGS; i++)
		if (!answer())
			die("ping");
	x = born();
	if (x == 0) {
		close(pipes[LIFE_OF_A][1]);
		for (;;)
			pause();
	}
	if (born() == 0)
		b();
	for (int i = 0; *how != 'k' && i < IDLERS; i++)
		if (born() == 0) {
			close(conn);
			say(TO_A);
			for (;;)
				pause();
		}
	for (int i = 0; *how != 'k' && i < IDLERS; i++)
		hear(TO_A);
	kill(x, SIGKILL);
	if (waitpid(x, NULL, 0) != x)
		die("waitpid");
	armed = 1;
	while (*how == 'k' && answer())
		;
	close(conn);
	if (armed)
		die("no dead one was found");
	/* Now B closes, and only its child has the connection. */
	say(TO_B);
	hear(TO_A);
	say(TO_MAIN);
	pause();
}

static void
ping(int c)
{
	char b = 'p';

	if (send(c, &b, 1, MSG_NOSIGNAL) != 1 || recv(c, &b, 1, 0) != 1 ||
		b != 'p')
		die("no answer");
}

int
main(int argc, char **argv)
{
	struct pollfd told;
	int l, c;

	if (argc != 2)
		return 2;
	how = argv[1];
	l = listen_at(NULL, 8);
	for (int i = 0; i < PIPES; i++)
		if (pipe(pipes[i]) != 0)
			die("pipe");
	if (fork() == 0)
		a(l);
	close(pipes[LIFE_OF_A][1]);
	c = connected_to(address_of(l), 10);
	told = (struct pollfd){pipes[TO_MAIN][0], POLLIN, 0};
	if (*how == 'k') {
		/* Until A looks. What it does not answer B does. */
		for (int i = 0; i < 2000 && poll(&told, 1, 5) == 0; i++)
			if (send(c, "p", 1, MSG_NOSIGNAL) != 1)
				die("send");
		hear(TO_MAIN);
		for (char s[256];
			poll(&(struct pollfd){c, POLLIN, 0}, 1, 1000) == 1;)
			if (recv(c, s, sizeof(s), 0) <= 0)
				die("recv");
		/* The survivor looks for the dead ten times a second. */
		for (int i = 0; !moved && i < LIMIT_MS / 2; i++, usleep(2000))
			ping(c);
	} else {
		for (int i = 0; i < PINGS; i++)
			ping(c);
		hear(TO_MAIN);
	}
	for (int i = 0; i < PINGS; i++)
		ping(c);
	return 0;
}
