/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * crossed ROUNDS: a server one of whose threads closes each connection while
 * another one, in a call, pairs it. Prints how many segments of dead clients
 * the server still has at the end.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static pthread_t closer;
static volatile int closing = -1;

static void *
close_it(void *arg)
{
	int fd = *(int *)arg;

	closing = fd;
	close(fd);
	return NULL;
}

/* The library calls this where it has greeted and not paired yet. */
int kmap_testpoint(const char *name, int fd);

int
kmap_testpoint(const char *name, int fd)
{
	static int its;

	if (strcmp(name, "rendezvous-sent") != 0 || closing != -2)
		return 0;
	its = fd;
	pthread_create(&closer, NULL, close_it, &its);
	/* Until it waits for whoever pairs. */
	while (closing != fd)
		usleep(1000);
	usleep(20000);
	return 0;
}

static void
client(struct sockaddr_in *sa)
{
	int c = socket(AF_INET, SOCK_STREAM, 0);
	char b;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (connect(c, (void *)sa, sizeof(*sa)) != 0)
		_exit(2);
	while (read(c, &b, 1) > 0)
		;
	_exit(0);
}

int
main(int argc, char **argv)
{
	struct sockaddr_in sa = {.sin_family = AF_INET};
	int l = socket(AF_INET, SOCK_STREAM, 0), n = 0, raced = 0;
	struct pollfd there = {l, POLLIN, 0};
	socklen_t len = sizeof(sa);
	unsigned long from, to;
	char line[512];
	FILE *f;

	if (argc != 2)
		return 2;
	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(l, (void *)&sa, sizeof(sa)) != 0 || listen(l, 8) != 0 ||
		getsockname(l, (void *)&sa, &len) != 0)
		return 2;
	for (int i = atoi(argv[1]); i >= 0; i--) {
		pid_t p = fork();
		int c;

		if (p == 0)
			client(&sa);
		/* The last one is there for the others to be swept. */
		closing = i > 0 ? -2 : -1;
		/* Its name stands by then. */
		poll(&there, 1, 10000);
		usleep(30000);
		c = accept(l, NULL, NULL);
		if (closing >= 0) {
			pthread_join(closer, NULL);
			raced++;
		} else
			close(c);
		waitpid(p, NULL, 0);
	}
	f = fopen("/proc/self/maps", "r");
	/* Of one that was let go of, the control page stays for a while. */
	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		n += sscanf(line, "%lx-%lx", &from, &to) == 2 &&
			strstr(line, "memfd:kmap ") != NULL &&
			to - from > 1 << 20;
	printf("%d %d\n", raced, n);
	return 0;
}
