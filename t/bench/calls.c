/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * calls - what one send and one recv of 64 bytes cost, on TCP within one
 * process: nobody waits, nobody is woken.
 *
 *	calls [-f frames] [-d seconds | -n times] [-c cpu]
 *
 * -f: the stack under each call is so deep. -n: so many sends and recvs, 50 at
 * least, without those that warm up. Prints one line of JSON: n calls,
 * secs, and for each call ns of time and ns of processor time of this thread.
 */
#include "config.h"

#include <netinet/in.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* _start, two of libc's, main, and the two that call. */
#define FRAMES_HERE 6

struct pair {
	int tx, rx;
	double secs;
	uint64_t times;
	uint64_t n, wall, cpu;
};

static void
die(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t
ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void
join(struct pair *p)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int l = socket(AF_INET, SOCK_STREAM, 0);

	p->tx = socket(AF_INET, SOCK_STREAM, 0);
	if (l < 0 || p->tx < 0 || bind(l, (void *)&a, len) || listen(l, 1) ||
		getsockname(l, (void *)&a, &len) ||
		connect(p->tx, (void *)&a, len))
		die("connect");
	p->rx = accept(l, NULL, NULL);
	if (p->rx < 0)
		die("accept");
	close(l);
}

static __attribute__((noinline)) void
loop(struct pair *p, double secs)
{
	uint64_t wall = ns(CLOCK_MONOTONIC), end = wall + secs * 1e9;
	uint64_t cpu = ns(CLOCK_THREAD_CPUTIME_ID);
	char buf[64] = {0};

	p->n = 0;
	do {
		for (int i = 0; i < 50; i++) {
			if (send(p->tx, buf, sizeof(buf), 0) != sizeof(buf) ||
				recv(p->rx, buf, sizeof(buf), 0) != sizeof(buf))
				die("send, recv");
			p->n += 2;
		}
	} while (p->times ? p->n < 2 * p->times : ns(CLOCK_MONOTONIC) < end);
	p->cpu = ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
	p->wall = ns(CLOCK_MONOTONIC) - wall;
}

static __attribute__((noinline)) void
deep(struct pair *p, int frames)
{
	volatile char keep = 0;

	if (frames > FRAMES_HERE) {
		deep(p, frames - 1);
	} else {
		/* Once to warm up. */
		if (!p->times)
			loop(p, p->secs / 4);
		loop(p, p->secs);
	}
	/* No tail call. */
	(void)keep;
}

int
main(int argc, char **argv)
{
	struct pair p = {.secs = 0.1};
	int frames = FRAMES_HERE, opt;
	cpu_set_t set;

	while ((opt = getopt(argc, argv, "f:d:n:c:")) != -1)
		switch (opt) {
		case 'f':
			frames = atoi(optarg);
			break;
		case 'd':
			p.secs = atof(optarg);
			break;
		case 'n':
			p.times = strtoull(optarg, NULL, 10);
			break;
		case 'c':
			CPU_ZERO(&set);
			CPU_SET(atoi(optarg), &set);
			if (sched_setaffinity(0, sizeof(set), &set))
				die("sched_setaffinity");
			break;
		default:
			return 2;
		}
	join(&p);
	deep(&p, frames);
	printf("{\"n\":%llu,\"secs\":%.6f,\"ns\":%.1f,\"cpu\":%.1f}\n",
		(unsigned long long)p.n, p.wall / 1e9, (double)p.wall / p.n,
		(double)p.cpu / p.n);
	return 0;
}
