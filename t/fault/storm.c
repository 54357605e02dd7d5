/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Everything at once: threads on checked connections that fork, dup and
 * close in the middle of them.
 *
 *	storm server PORTFILE		echoes; ended by SIGTERM
 *	storm client PORT SECONDS SEED	0: every byte came back right
 *
 * Between two exchanges either side may go on by another number (dup, or dup2
 * onto an old one), bear a child that ends at once, or at some time, or is
 * killed, or leave the connection to a child that goes on with it.
 */
#include "config.h"

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "net.h"

#define THREADS 4
#define MOST 20000
#define LIMIT_S 30

struct head {
	uint32_t len; /* 0: the end */
};
struct conn {
	int fd;
	uint32_t rng, id;
	uint64_t done;
	pid_t late; /* a child that ends some time */
};
static int port, l;
static time_t until;
static unsigned int seed;
static unsigned long exchanges, conns;

int kmap_testpoint(const char *name, int fd);

/* Where a hold was given up the others may be quick. */
int
kmap_testpoint(const char *name, int fd)
{
	static __thread uint32_t n;

	(void)fd;
	if (strcmp(name, "let-go") != 0)
		return 0;
	n = n * 1664525u + 1013904223u + (uint32_t)getpid();
	if ((n >> 10) % 3 == 0)
		usleep((n >> 14) % 5000);
	return 0;
}

static uint32_t
dice(struct conn *c, uint32_t n)
{
	c->rng = c->rng * 1664525u + 1013904223u;
	return (c->rng >> 8) % n;
}

static int
all(int fd, char *b, size_t n, int out)
{
	for (size_t done = 0; done < n;) {
		ssize_t r = out ? send(fd, b + done, n - done, MSG_NOSIGNAL)
				: recv(fd, b + done, n - done, 0);

		if (r <= 0)
			return -1;
		done += (size_t)r;
	}
	return 0;
}

/* True: a child goes on with the connection; *pid is 0 in it. */
static int
something(struct conn *c, pid_t *pid)
{
	int fd;

	switch (dice(c, 12)) {
	case 0:
		fd = dup(c->fd);
		close(c->fd);
		c->fd = fd;
		break;
	case 1:
		fd = dup(l >= 0 ? l : 0);
		if (dup2(c->fd, fd) != fd)
			die("dup2");
		close(c->fd);
		c->fd = fd;
		break;
	case 2:
		*pid = child_for(LIMIT_S);
		if (*pid == 0)
			_exit(0);
		waitpid(*pid, NULL, 0);
		break;
	case 3:
		if (c->late > 0)
			waitpid(c->late, NULL, 0);
		c->late = child_for(LIMIT_S);
		if (c->late == 0) {
			close(c->fd);
			usleep(dice(c, 20000));
			_exit(0);
		}
		break;
	case 4:
		*pid = child_for(LIMIT_S);
		if (*pid == 0)
			for (;;)
				pause();
		usleep(dice(c, 1000));
		kill(*pid, SIGKILL);
		waitpid(*pid, NULL, 0);
		break;
	case 5:
		if (dice(c, 4) != 0)
			break;
		*pid = child_for(LIMIT_S);
		return 1;
	default:
		break;
	}
	return 0;
}

static int
echo(struct conn *c, char *b)
{
	struct head h;
	pid_t pid;

	for (;;) {
		if (all(c->fd, (char *)&h, sizeof(h), 0) != 0)
			return -1;
		if (h.len > MOST)
			die("a length that nobody sent");
		if (all(c->fd, b, h.len, 0) != 0 ||
			all(c->fd, (char *)&h, sizeof(h), 1) != 0 ||
			all(c->fd, b, h.len, 1) != 0)
			return -1;
		if (h.len == 0)
			return 0;
		if (something(c, &pid)) {
			if (pid == 0)
				_exit(echo(c, b) != 0);
			return 0;
		}
	}
}

static void *
serves(void *arg)
{
	struct conn c = {.rng = (uint32_t)(uintptr_t)arg};
	char b[MOST];

	for (;;) {
		c.fd = accept(l, NULL, NULL);
		if (c.fd < 0)
			die("accept");
		if (echo(&c, b) != 0)
			fprintf(stderr, "server: a connection ended early\n");
		close(c.fd);
	}
	return NULL;
}

static char
byte_of(const struct conn *c, uint64_t at)
{
	uint64_t x = (at + c->id * 2654435761u) * 0x9E3779B97F4A7C15u;

	return (char)(x >> 56);
}

static int
asks(struct conn *c, uint32_t n, char *b)
{
	pid_t pid;
	int status;

	for (uint32_t i = 0; i <= n; i++) {
		struct head h = {i == n ? 0 : 1 + dice(c, MOST)}, back;

		if (h.len != 0 && dice(c, 2) == 0)
			h.len = 1 + h.len % 100;
		for (uint32_t k = 0; k < h.len; k++)
			b[k] = byte_of(c, c->done + k);
		if (all(c->fd, (char *)&h, sizeof(h), 1) != 0 ||
			all(c->fd, b, h.len, 1) != 0)
			die("send");
		memset(b, 0, h.len);
		if (all(c->fd, (char *)&back, sizeof(back), 0) != 0 ||
			all(c->fd, b, h.len, 0) != 0)
			die("recv");
		if (back.len != h.len)
			die("a wrong length");
		for (uint32_t k = 0; k < h.len; k++)
			if (b[k] != byte_of(c, c->done + k)) {
				fprintf(stderr, "connection %u, byte %llu\n",
					c->id,
					(unsigned long long)(c->done + k));
				exit(1);
			}
		c->done += h.len;
		__atomic_add_fetch(&exchanges, 1, __ATOMIC_RELAXED);
		if (i < n && something(c, &pid)) {
			if (pid == 0)
				_exit(asks(c, n - i - 1, b));
			close(c->fd);
			c->fd = -1;
			if (waitpid(pid, &status, 0) != pid || status != 0)
				die("a child that went on");
			return 0;
		}
	}
	return 0;
}

static void *
is_client(void *arg)
{
	struct sockaddr_in a = address(port);
	struct timeval tv = {.tv_sec = LIMIT_S / 2};
	struct conn c = {.rng = (uint32_t)(uintptr_t)arg * 7919u + seed};
	char b[MOST];

	while (time(NULL) < until) {
		c.fd = socket(AF_INET, SOCK_STREAM, 0);
		setsockopt(c.fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
		setsockopt(c.fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
		if (c.fd < 0 || connect(c.fd, (void *)&a, sizeof(a)) != 0)
			die("connect");
		c.id = c.rng;
		c.done = 0;
		asks(&c, 1 + dice(&c, 60), b);
		if (c.fd >= 0)
			close(c.fd);
		__atomic_add_fetch(&conns, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void
start(pthread_t *t, void *(*fn)(void *))
{
	for (uintptr_t i = 0; i < THREADS; i++)
		if (pthread_create(&t[i], NULL, fn, (void *)(i + 1)) != 0)
			die("pthread_create");
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
}

int
main(int argc, char **argv)
{
	pthread_t t[THREADS];

	l = -1;
	if (argc == 3 && strcmp(argv[1], "server") == 0) {
		signal(SIGCHLD, SIG_IGN);
		l = listen_at(argv[2], 64);
		start(t, serves);
	}
	if (argc != 5 || strcmp(argv[1], "client") != 0)
		return 2;
	port = atoi(argv[2]);
	until = time(NULL) + atoi(argv[3]);
	seed = (unsigned int)atoi(argv[4]);
	start(t, is_client);
	printf("%lu connections, %lu exchanges\n", conns, exchanges);
	return 0;
}
