/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * late ROUNDS: a client and a server of which the server, for so many round
 * trips, is one without the library, and then has it. Prints the milliseconds
 * that these took, and whether the client was paired soon after.
 */
#include "config.h"

#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "net.h"

#define LIMIT_S 100
#define MORE 100000 /* round trips that the pairing may take */

static bool server, held = true, paired;

int
kmap_testpoint(const char *name, int fd)
{
	(void)fd;
	if (strcmp(name, "paired") == 0)
		paired = true;
	return server && held && strcmp(name, "offer") == 0;
}

static void
serve(int l)
{
	char b;
	int c;

	server = true;
	c = accept(l, NULL, NULL);
	if (c < 0)
		die("accept");
	while (recv(c, &b, 1, 0) == 1) {
		held = b == 'x';
		if (send(c, &b, 1, 0) != 1)
			die("send");
	}
	_exit(0);
}

static void
round_trip(int c, char b)
{
	if (send(c, &b, 1, 0) != 1 || recv(c, &b, 1, 0) != 1)
		die("a round trip");
}

static long
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000L + ts.tv_nsec / 1000000;
}

int
main(int argc, char **argv)
{
	int rounds = argc == 2 ? atoi(argv[1]) : 0, l, c;
	long began;
	pid_t pid;

	if (rounds <= 0)
		return 2;
	l = listen_at(NULL, 1);
	pid = child_for(LIMIT_S);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		serve(l);
	}
	c = connected_to(address_of(l), LIMIT_S);
	began = now_ms();
	for (int i = 0; i < rounds; i++)
		round_trip(c, 'x');
	printf("%ld ", now_ms() - began);
	if (paired)
		printf("too early, ");
	for (int i = 0; i < MORE && !paired; i++)
		round_trip(c, 'y');
	printf("%s\n", paired ? "paired" : "alone");
	close(c);
	waitpid(pid, NULL, 0);
	return 0;
}
