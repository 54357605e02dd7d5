/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * idle - what connections cost that talked a while and now say nothing.
 *
 *	idle [-m read|poll|epoll] [-i connections] [-s bytes] [-d seconds]
 *
 * A server and a client exchange a few thousand messages; then both wait for
 * the other's next word, which never comes, for -d seconds. Prints one line of
 * JSON: the processor time of both in that time, in ns and in ticks.
 */
#include "config.h"

#include "common.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/* Round trips on all connections together, and at least on each. */
#define ROUNDS 3000
#define ROUNDS_EACH 32

#define SETTLE_US 400000

static void
leave(int sig)
{
	(void)sig;
	_exit(0);
}

static void
wait_forever(const struct opts *o, struct chan *c, int n)
{
	struct pollfd *pfd = calloc((size_t)n, sizeof(*pfd));
	struct epoll_event ev = {.events = EPOLLIN};
	int set = epoll_create1(EPOLL_CLOEXEC), i;
	char byte;

	for (i = 0; i < n; i++) {
		pfd[i].fd = c[i].rfd;
		pfd[i].events = POLLIN;
		ev.data.fd = i;
		if (!strcmp(o->how, "epoll"))
			epoll_ctl(set, EPOLL_CTL_ADD, c[i].rfd, &ev);
	}
	if (!strcmp(o->how, "epoll"))
		epoll_wait(set, &ev, 1, -1);
	else if (!strcmp(o->how, "poll"))
		poll(pfd, (nfds_t)n, -1);
	else if (read(c->rfd, &byte, 1) < 0)
		die("read");
	free(pfd);
}

static void
server(const struct opts *o, int rounds)
{
	struct chan none, *c = calloc((size_t)o->idle, sizeof(*c));
	int listener = peer_listen(o, &none), i, j;
	char *buf = malloc(o->size);

	for (i = 0; i < o->idle; i++) {
		peer_accept(o, listener, c + i);
		for (j = 0; j < rounds; j++) {
			if (chan_read_full(c + i, buf, o->size) ||
				chan_write_full(c + i, buf, o->size))
				die("exchange");
		}
	}
	wait_forever(o, c, o->idle);
	free(buf);
	free(c);
}

static void
client(const struct opts *o, const struct peer *p, int rounds, int ready)
{
	struct chan *c = calloc((size_t)o->idle, sizeof(*c));
	char *buf = calloc(1, o->size);
	int i, j;

	for (i = 0; i < o->idle; i++) {
		peer_connect(o, p, c + i);
		for (j = 0; j < rounds; j++) {
			if (chan_write_full(c + i, buf, o->size) ||
				chan_read_full(c + i, buf, o->size))
				die("exchange");
		}
	}
	if (write(ready, "", 1) != 1)
		die("ready");
	wait_forever(o, c, o->idle);
}

/* utime and stime, as everybody reads them. */
static long
ticks_of(pid_t pid)
{
	unsigned long user = 0, sys = 0;
	char path[64], line[1024], *p;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "r");
	if (!f)
		return 0;
	p = fgets(line, sizeof(line), f) ? strrchr(line, ')') : NULL;
	fclose(f);
	if (!p ||
		sscanf(p + 1,
			" %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u"
			" %lu %lu",
			&user, &sys) != 2)
		return 0;
	return (long)(user + sys);
}

static void
measure(const struct opts *o, pid_t client_pid, pid_t server_pid)
{
	uint64_t a, b;
	long ticks;

	usleep(SETTLE_US);
	a = cpu_ns(client_pid);
	b = cpu_ns(server_pid);
	ticks = ticks_of(client_pid) + ticks_of(server_pid);
	usleep((useconds_t)(o->secs * 1e6));
	a = cpu_ns(client_pid) - a;
	b = cpu_ns(server_pid) - b;
	ticks = ticks_of(client_pid) + ticks_of(server_pid) - ticks;
	printf("{\"secs\":%.3f,\"cpu_a\":%llu,\"cpu_b\":%llu,\"ticks\":%ld}\n",
		o->secs, (unsigned long long)a, (unsigned long long)b, ticks);
}

int
main(int argc, char **argv)
{
	int ready[2], rounds;
	struct opts o;
	struct peer p;
	pid_t pid;
	char byte;

	parse_opts(argc, argv, &o);
	if (!o.idle)
		o.idle = 1;
	rounds = ROUNDS / o.idle > ROUNDS_EACH ? ROUNDS / o.idle : ROUNDS_EACH;
	if (peer_role()) {
		server(&o, rounds);
		return 0;
	}
	peer_start(&o, argv, &p);
	if (pipe(ready))
		die("pipe");
	pid = fork();
	if (!pid) {
		signal(SIGTERM, leave);
		client(&o, &p, rounds, ready[1]);
		_exit(0);
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		return 1;
	measure(&o, pid, p.pid);
	kill(pid, SIGTERM);
	peer_end(&p);
	return 0;
}
