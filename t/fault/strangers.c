/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * strangers UID ROUNDS: a client and its child share connections with a
 * server of UID. The child looks for what came without a pause, so that it
 * has thrown away the server's doorbells before the parent, which is slow to
 * run, is back from its sleep. Exits with 0 after ROUNDS answers to the parent;
 * 1: one of them did not wake it.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define LIMIT_S	20

static struct sockaddr_in sa;

/* The client's processes share the n-th CPU; the server has another. */
static void
only_cpu(int n)
{
	cpu_set_t may, one;

	sched_getaffinity(0, sizeof(may), &may);
	CPU_ZERO(&one);
	for (int i = 0; i < CPU_SETSIZE && n >= 0; i++)
		if (CPU_ISSET(i, &may) && n-- == 0)
			CPU_SET(i, &one);
	if (n < 0)
		sched_setaffinity(0, sizeof(one), &one);
}

static void *
echo(void *arg)
{
	int c = (int)(intptr_t)arg;
	char b[64];
	ssize_t n;

	while ((n = read(c, b, sizeof(b))) > 0) {
		/* Long enough for who waits to sleep. */
		usleep(1500);
		if (write(c, b, (size_t)n) != n)
			break;
	}
	return NULL;
}

static void
serve(int l, uid_t uid)
{
	pthread_t th;

	only_cpu(1);
	if (uid != 0 && setresuid(uid, uid, uid) != 0)
		_exit(2);
	/* (It would be forgotten with the uid.) */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		int c = accept(l, NULL, NULL);

		if (c < 0 || pthread_create(&th, NULL, echo,
		    (void *)(intptr_t)c) != 0)
			_exit(2);
	}
}

static int
open_conn(void)
{
	int c = socket(AF_INET, SOCK_STREAM, 0);

	if (connect(c, (void *)&sa, sizeof(sa)) != 0) {
		perror("connect");
		_exit(2);
	}
	return c;
}

static void
round_trip(int c)
{
	char b = 'x';

	if (write(c, &b, 1) != 1 || read(c, &b, 1) != 1)
		_exit(2);
}

static void
look_on(int c)
{
	/* Time for a look, not for a sleep. */
	struct timespec ns = { 0, 10000 };
	struct pollfd p = { c, POLLIN, 0 };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		for (int k = 0; k < 20; k++)
			poll(&p, 1, 0);
		ppoll(&p, 1, &ns, NULL);
	}
}

static void
stuck(int sig)
{
	(void)sig;
	_exit(1);
}

int
main(int argc, char **argv)
{
	struct sched_param last = { 0 };
	socklen_t len = sizeof(sa);
	int l = socket(AF_INET, SOCK_STREAM, 0), a, b;
	pid_t server, child;

	if (argc != 3)
		return 2;
	sa.sin_family = AF_INET;
	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(l, (void *)&sa, sizeof(sa)) != 0 || listen(l, 8) != 0 ||
	    getsockname(l, (void *)&sa, &len) != 0)
		return 2;
	if ((server = fork()) == 0)
		serve(l, (uid_t)atoi(argv[1]));
	close(l);
	a = open_conn();
	b = open_conn();
	for (int i = 0; i < 50; i++) {
		round_trip(a);
		round_trip(b);
	}
	only_cpu(0);
	if ((child = fork()) == 0)
		look_on(b);
	sched_setscheduler(0, SCHED_IDLE, &last);
	signal(SIGALRM, stuck);
	for (int i = atoi(argv[2]); i > 0; i--) {
		alarm(LIMIT_S);
		round_trip(a);
	}
	kill(child, SIGKILL);
	kill(server, SIGKILL);
	return 0;
}
