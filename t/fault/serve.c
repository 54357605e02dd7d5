/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The plain programs of the fault tests; they know nothing of the library.
 *
 *	serve echo PORTFILE [block]	an echo server: one epoll set, or a
 *					thread for each connection
 *	serve stream PORT CONNS BYTES	checked streams against it, both ways
 *					at once, each BYTES long; CONNS at once
 *	serve many PORT COUNT BYTES	COUNT connections one after the other;
 *					says how much more it holds after the
 *					last than after the first tenth
 *	serve ask PORT ROUNDS MS	ROUNDS small exchanges on one connection,
 *					MS apart; FROM=port in the environment
 *					is the port it comes from
 *	serve hold PORT COUNT		so many connections at once; prints how
 *					many were answered
 *	serve burst PORT COUNT		so many connections at once, before any
 *					of them can move; prints how many
 *					mappings of segments it has, and how
 *					many answers it got
 *	serve poke PORT MS		connections one after the other, for so
 *					long, read and written in many ways,
 *					or until nobody listens any more;
 *					what comes and what fails is nobody's
 *					business
 *
 * A byte that is wrong, missing or late (60 s) is exit status 1, with a line
 * that says why.
 */
#include "config.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "net.h"
#include "../pattern.h"

#define BUF 65536

/* ---- the server ---- */

struct conn {
	int fd;
	size_t from, to;
	char buf[BUF];
};

static void *
echo_thread(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char *buf = malloc(BUF);
	ssize_t n;

	while (buf != NULL && (n = recv(fd, buf, BUF, 0)) > 0)
		for (ssize_t o = 0, m; o < n; o += m)
			if ((m = send(fd, buf + o, (size_t)(n - o), 0)) <= 0)
				goto out;
out:
	free(buf);
	close(fd);
	return NULL;
}

/* Moves what it can. False: the connection is over. */
static int
echo_step(struct conn *c)
{
	for (;;) {
		ssize_t n;

		if (c->from == c->to) {
			n = recv(c->fd, c->buf, BUF, MSG_DONTWAIT);
			if (n <= 0)
				return n < 0 && errno == EAGAIN;
			c->from = 0;
			c->to = (size_t)n;
		}
		n = send(
			c->fd, c->buf + c->from, c->to - c->from, MSG_DONTWAIT);
		if (n < 0)
			return errno == EAGAIN;
		c->from += (size_t)n;
	}
}

static void
echo_sets(int l)
{
	struct epoll_event ev = {.events = EPOLLIN}, evs[64];
	int ep = epoll_create1(EPOLL_CLOEXEC);

	if (ep < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, l, &ev) != 0)
		die("epoll");
	for (;;) {
		int n = epoll_wait(ep, evs, 64, -1);

		if (n < 0 && errno != EINTR)
			die("epoll_wait");
		for (int i = 0; i < n; i++) {
			struct conn *c = evs[i].data.ptr;

			if (c == NULL) {
				int fd = accept(l, NULL, NULL);

				if (fd < 0) {
					/* Out of fds: not a reason to spin. */
					usleep(1000);
					continue;
				}
				c = malloc(sizeof(*c));
				if (c == NULL) {
					close(fd);
					continue;
				}
				c->fd = fd;
				c->from = c->to = 0;
				ev.data.ptr = c;
				ev.events = EPOLLIN;
				epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
				continue;
			}
			if (!echo_step(c)) {
				close(c->fd);
				free(c);
				continue;
			}
			ev.data.ptr = c;
			ev.events = c->from < c->to ? EPOLLOUT : EPOLLIN;
			epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &ev);
		}
	}
}

static void
echo(const char *file, int blocking)
{
	int l = listen_at(file, 512);
	signal(SIGPIPE, SIG_IGN);
	if (!blocking)
		echo_sets(l);
	for (;;) {
		int fd = accept(l, NULL, NULL);
		pthread_t t;

		if (fd < 0) {
			usleep(1000);
			continue;
		}
		if (pthread_create(
			    &t, NULL, echo_thread, (void *)(intptr_t)fd) != 0)
			close(fd);
		else
			pthread_detach(t);
	}
}

/* ---- clients ---- */

static int
dial(int port)
{
	struct sockaddr_in a = address(port), from = address(0);
	const char *want = getenv("FROM");
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	if (fd < 0)
		die("socket");
	if (want != NULL) {
		from.sin_port = htons((uint16_t)atoi(want));
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		if (bind(fd, (void *)&from, sizeof(from)) != 0)
			die("bind");
	}
	if (connect(fd, (void *)&a, sizeof(a)) != 0)
		die("connect");
	return fd;
}

struct stream {
	int port;
	uint64_t bytes, seed;
};

/* Sends and receives at once, so that no buffer may fill for good. */
static void *
stream(void *arg)
{
	struct stream *s = arg;
	unsigned char *out = malloc(BUF), *in = malloc(BUF);
	uint64_t sent = 0, got = 0;
	int fd = dial(s->port);

	if (out == NULL || in == NULL)
		die("malloc");
	while (got < s->bytes) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		ssize_t n;

		if (sent < s->bytes)
			p.events |= POLLOUT;
		n = poll(&p, 1, 60000);
		if (n == 0) {
			errno = ETIMEDOUT;
			die("stream");
		}
		if (n < 0)
			die("poll");
		if (p.revents & POLLOUT) {
			size_t len = BUF - (size_t)(sent % 4097);

			if (len > s->bytes - sent)
				len = (size_t)(s->bytes - sent);
			pattern_fill(out, len, s->seed, sent);
			n = send(fd, out, len, MSG_DONTWAIT | MSG_NOSIGNAL);
			if (n < 0 && errno != EAGAIN)
				die("send");
			sent += n > 0 ? (uint64_t)n : 0;
		}
		if (p.revents & (POLLIN | POLLHUP | POLLERR)) {
			n = recv(fd, in, BUF, MSG_DONTWAIT);
			if (n == 0)
				errno = ECONNABORTED;
			if (n == 0 || (n < 0 && errno != EAGAIN))
				die("recv");
			if (n > 0 &&
				pattern_check(in, (size_t)n, s->seed, got) !=
					(size_t)n) {
				errno = EBADMSG;
				die("stream");
			}
			got += n > 0 ? (uint64_t)n : 0;
		}
	}
	close(fd);
	free(in);
	free(out);
	return NULL;
}

static void
round_trip(int fd, uint64_t seed, size_t n)
{
	static unsigned char buf[BUF];
	size_t got = 0;

	pattern_fill(buf, n, seed, 0);
	if (send(fd, buf, n, MSG_NOSIGNAL) != (ssize_t)n)
		die("send");
	memset(buf, 0, n);
	while (got < n) {
		ssize_t r = recv(fd, buf + got, n - got, 0);

		if (r == 0)
			errno = ECONNABORTED;
		if (r <= 0)
			die("recv");
		got += (size_t)r;
	}
	if (pattern_check(buf, n, seed, 0) != n) {
		errno = EBADMSG;
		die("round trip");
	}
}

/* Descriptors and mappings of this process. */
static int
holdings(void)
{
	DIR *dir = opendir("/proc/self/fd");
	FILE *f = fopen("/proc/self/maps", "r");
	int n = 0, c;

	while (dir != NULL && readdir(dir) != NULL)
		n++;
	while (f != NULL && (c = getc(f)) != EOF)
		n += c == '\n';
	if (dir == NULL || f == NULL)
		die("/proc");
	closedir(dir);
	fclose(f);
	return n;
}

static void
hold(int port, int n)
{
	int fds[1024], yes = 0;
	char c;

	for (int i = 0; i < n && i < 1024; i++) {
		struct timeval tv = {.tv_usec = 200000};

		fds[i] = dial(port);
		setsockopt(fds[i], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
		for (int k = 0; k < 20; k++) {
			if (send(fds[i], "?", 1, MSG_NOSIGNAL) != 1 ||
				recv(fds[i], &c, 1, 0) != 1)
				break;
			yes += k == 19;
		}
		/* Some without an answer: there will be no more. */
		if (yes + 3 < i)
			break;
	}
	printf("%d\n", yes);
}

static void
burst(int port, int n)
{
	int fds[1024], yes = 0, segments = 0;
	char line[512], c;
	FILE *f;

	n = n < 1024 ? n : 1024;
	for (int i = 0; i < n; i++)
		fds[i] = dial(port);
	for (int k = 0; k < 40; k++) {
		for (int i = 0; i < n; i++)
			if (send(fds[i], "?", 1, MSG_NOSIGNAL) != 1)
				die("send");
		for (int i = 0; i < n; i++)
			yes += recv(fds[i], &c, 1, 0) == 1;
	}
	f = fopen("/proc/self/maps", "r");
	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		segments += strstr(line, "memfd:kmap") != NULL;
	printf("%d %d\n", segments, yes);
}

/* ---- a client that takes whatever comes ---- */

/* Whether nothing can come or go any more. */
static bool
poke_once(int fd, int how, char *buf)
{
	struct iovec v[3] = {
		{buf, 100}, {buf + 100, 5000}, {buf + 6000, 50000}};
	struct msghdr m = {.msg_iov = v, .msg_iovlen = 3};
	struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT};
	ssize_t r = 1;
	int n = 0;

	switch (how % 10) {
	case 0:
		r = send(fd, buf, 30000, MSG_DONTWAIT);
		break;
	case 1:
		r = recv(fd, buf, BUF, MSG_DONTWAIT);
		break;
	case 2:
		r = recv(fd, buf, BUF, MSG_DONTWAIT | MSG_PEEK);
		break;
	case 3:
		r = recv(fd, buf, 1, MSG_DONTWAIT);
		break;
	case 4:
		poll(&p, 1, 1);
		break;
	case 5:
		r = recvmsg(fd, &m, MSG_DONTWAIT);
		break;
	case 6:
		r = sendmsg(fd, &m, MSG_DONTWAIT);
		break;
	case 7:
		ioctl(fd, FIONREAD, &n);
		break;
	case 8:
		ioctl(fd, TIOCOUTQ, &n);
		break;
	default:
		r = recv(fd, buf, BUF, MSG_DONTWAIT | MSG_TRUNC);
	}
	return r == 0 || (r < 0 && errno != EAGAIN);
}

static int64_t
clock_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void
poke(int port, int ms)
{
	static char buf[BUF];
	int64_t end = clock_ms() + ms;
	unsigned int s = 12345;

	signal(SIGPIPE, SIG_IGN);
	while (clock_ms() < end) {
		int64_t stop = clock_ms() + 300;
		int over = 0;
		struct sockaddr_in a = address(port);
		struct timeval tv = {.tv_usec = 2000};
		struct epoll_event ev = {
			.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP};
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		int ep = epoll_create1(EPOLL_CLOEXEC);

		if (fd < 0 || ep < 0)
			die("poke");
		if (connect(fd, (void *)&a, sizeof(a)) != 0) {
			/* The server has had enough. */
			close(ep);
			close(fd);
			return;
		}
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
		if (rand_r(&s) % 2)
			epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
		/* The end, too, is poked for a while. */
		while (clock_ms() < stop && over < 20) {
			over += poke_once(fd, rand_r(&s), buf);
			if (rand_r(&s) % 8 == 0)
				epoll_wait(ep, &ev, 1, 1);
			if (rand_r(&s) % 16 == 0)
				recv(fd, buf, BUF, 0);
			if (rand_r(&s) % 64 == 0)
				send(fd, buf, BUF, 0);
		}
		close(ep);
		close(fd);
	}
}

int
main(int argc, char **argv)
{
	int port = argc > 2 ? atoi(argv[2]) : 0;
	int n = argc > 3 ? atoi(argv[3]) : 0;
	uint64_t bytes = argc > 4 ? strtoull(argv[4], NULL, 0) : 0;

	alarm(300);
	if (argc < 3)
		return 2;
	if (strcmp(argv[1], "echo") == 0) {
		alarm(0);
		echo(argv[2], argc > 3);
	} else if (strcmp(argv[1], "stream") == 0 && argc == 5) {
		pthread_t t[64];
		struct stream s[64];

		for (int i = 0; i < n && i < 64; i++) {
			s[i] = (struct stream){port, bytes, (uint64_t)i + 1};
			if (pthread_create(&t[i], NULL, stream, &s[i]) != 0)
				die("pthread_create");
		}
		for (int i = 0; i < n && i < 64; i++)
			pthread_join(t[i], NULL);
	} else if (strcmp(argv[1], "many") == 0 && argc == 5) {
		int at = 0;

		for (int i = 0; i < n; i++) {
			int fd = dial(port);

			for (uint64_t b = 0; b < bytes; b += 1000)
				round_trip(fd, (uint64_t)i, 1000);
			close(fd);
			if (i == n / 10)
				at = holdings();
		}
		printf("grew %d\n", holdings() - at);
	} else if (strcmp(argv[1], "ask") == 0 && argc == 5) {
		int fd = dial(port);

		for (int i = 0; i < n; i++) {
			round_trip(fd, (uint64_t)i, 100 + (size_t)i % 900);
			usleep((useconds_t)bytes * 1000);
		}
		close(fd);
	} else if (strcmp(argv[1], "hold") == 0 && argc == 4)
		hold(port, n);
	else if (strcmp(argv[1], "burst") == 0 && argc == 4)
		burst(port, n);
	else if (strcmp(argv[1], "poke") == 0 && argc == 4)
		poke(port, n);
	else
		return 2;
	return 0;
}
