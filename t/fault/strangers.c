/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * strangers UID ROUNDS: a client and its child share connections with a
 * server of UID. The child looks for what came without a pause, so that it
 * has thrown away the server's doorbells before the parent, which is slow to
 * run, is back from its sleep. Exits with 0 after ROUNDS answers to the parent;
 * 1: one of them did not wake it.
 *
 * strangers UID nap: a signal comes between the last look and the sleep, in a
 * thread that got no waiting place of its own. 0: it ended the sleep.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define LIMIT_S 20

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

		if (c < 0 ||
			pthread_create(&th, NULL, echo, (void *)(intptr_t)c) !=
				0)
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
	struct timespec ns = {0, 10000};
	struct pollfd p = {c, POLLIN, 0};

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

/* More than the waiting places of a process. */
#define SLEEPERS 70

static int quiet;
static int asleep;
static __thread int interrupt_me;
static __thread int counted;

int kmap_testpoint(const char *name, int fd);

int
kmap_testpoint(const char *name, int fd)
{
	(void)fd;
	if (strcmp(name, "sleep") != 0)
		return 0;
	if (!interrupt_me && !counted++)
		__atomic_add_fetch(&asleep, 1, __ATOMIC_SEQ_CST);
	else if (interrupt_me && --interrupt_me == 0)
		raise(SIGUSR1);
	return 0;
}

static void *
sleeper(void *arg)
{
	struct pollfd p = {quiet, POLLIN, 0};

	(void)arg;
	poll(&p, 1, -1);
	return NULL;
}

static void
on_usr1(int sig)
{
	(void)sig;
}

static int
nap(int c)
{
	struct sigaction a = {.sa_handler = on_usr1};
	pthread_attr_t at;
	pthread_t th;
	char b;

	quiet = c;
	sigaction(SIGUSR1, &a, NULL);
	pthread_attr_init(&at);
	pthread_attr_setstacksize(&at, 128 << 10);
	asleep = 0;
	for (int i = 0; i < SLEEPERS; i++)
		pthread_create(&th, &at, sleeper, NULL);
	while (__atomic_load_n(&asleep, __ATOMIC_SEQ_CST) < SLEEPERS)
		usleep(1000);
	alarm(LIMIT_S);
	/* Of a new thread's first sleep nothing comes. */
	interrupt_me = 2;
	return read(c, &b, 1) == -1 && errno == EINTR ? 0 : 2;
}

static void *
napper(void *arg)
{
	return (void *)(intptr_t)nap((int)(intptr_t)arg);
}

int
main(int argc, char **argv)
{
	struct sched_param last = {0};
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
	if (strcmp(argv[2], "nap") == 0) {
		pthread_t th;
		void *r;

		signal(SIGALRM, stuck);
		/* A thread that did not wait before. */
		pthread_create(&th, NULL, napper, (void *)(intptr_t)a);
		pthread_join(th, &r);
		kill(server, SIGKILL);
		return (int)(intptr_t)r;
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
