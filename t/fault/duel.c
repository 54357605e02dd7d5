/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The processes of t4010-kills, run with and without the preload:
 *
 *	duel survivor	one job after the other, each with a new peer
 *	duel victim	one connection, in which it is killed
 *	duel load	connections beside, with checked bytes
 */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../kid.h"
#include "../pattern.h"
#include "duel.h"

#define PIECE (96u << 10)
#define LOADS 3

static struct duel *d;
static bool victim;

static void
die(const char *what)
{
	fprintf(stderr, "duel: %s: %s\n", what, strerror(errno));
	_exit(97);
}

/* The library's test points: the victim may die in one. */
int kmap_testpoint(const char *name, int fd);

int
kmap_testpoint(const char *name, int fd)
{
	(void)fd;
	if (victim && d->kill == KILL_POINT && strcmp(name, d->point) == 0 &&
		atomic_fetch_add(&d->hits, 1) + 1 == d->nth) {
		kill(getpid(), SIGKILL);
		pause();
	}
	return 0;
}

static uint64_t
rnd(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

static size_t
piece(uint64_t *s)
{
	uint64_t r = rnd(s);

	return 1 +
		(size_t)(r >> 8) %
		(r % 8 == 0		? PIECE
				: r % 2 ? 16384
					: 700);
}

/* ---- sockets ---- */

static int
listen_any(_Atomic int *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || bind(fd, (void *)&a, len) != 0 || listen(fd, 64) != 0 ||
		getsockname(fd, (void *)&a, &len) != 0)
		die("listen");
	atomic_store(port, ntohs(a.sin_port));
	return fd;
}

static int
connect_to(int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0)
		die("socket");
	if (connect(fd, (void *)&a, sizeof(a)) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/*
 * A stream under stdio leaves the rings for good, and asks the sender for
 * what it has not read. The FILE is leaked: closing it would close fd.
 */
static void
leave_rings(int fd)
{
	if (fdopen(fd, "r+") == NULL)
		die("fdopen");
}

/* ---- the victim ---- */

static void *
watch(void *arg)
{
	(void)arg;
	while (atomic_load(&d->done) < d->kill_at)
		sched_yield();
	kill(getpid(), SIGKILL);
	return NULL;
}

static void
act(int fd)
{
	char *argv[] = {(char *)(uintptr_t) "true", NULL};
	pid_t pid;

	switch (d->act) {
	case ACT_LEAVE:
		leave_rings(fd);
		break;
	case ACT_FORK:
	case ACT_BURY:
		pid = fork();
		if (pid < 0)
			die("fork");
		if (pid == 0)
			for (;;)
				pause();
		kill(pid, SIGKILL);
		if (waitpid(pid, NULL, 0) != pid)
			die("waitpid");
		if (d->act == ACT_BURY)
			close(fd);
		break;
	case ACT_EXEC:
		execv("/bin/true", argv);
		die("/bin/true");
	}
}

/* Called between calls, after `done` bytes. */
static void
victim_step(int fd, bool *acted)
{
	uint64_t done = atomic_load(&d->done);

	if (done < d->kill_at)
		return;
	if (!*acted) {
		*acted = true;
		act(fd);
	}
	if (d->kill == KILL_EXACT &&
		done >= d->kill_at + (d->act == ACT_LEAVE ? 300000 : 0))
		kill(getpid(), SIGKILL);
}

/* Not beyond the position at which it has to die. */
static size_t
victim_piece(uint64_t *s)
{
	size_t n = piece(s);
	uint64_t done = atomic_load(&d->done);

	if (d->kill == KILL_EXACT && done < d->kill_at && d->kill_at - done < n)
		n = (size_t)(d->kill_at - done);
	return n;
}

static void
victim_run(int fd)
{
	static unsigned char buf[PIECE];
	uint64_t s = d->seed ^ 0x9e3779b97f4a7c15u, limit = 12u << 20;
	bool acted = false;
	ssize_t n;

	for (;;) {
		uint64_t done = atomic_load(&d->done);

		victim_step(fd, &acted);
		if (done >= limit)
			break;
		if (d->slow && done > 100000 && rnd(&s) % 64 == 0 &&
			d->dir != DUEL_IN)
			usleep(25000);
		if (d->dir == DUEL_IN) {
			size_t len = victim_piece(&s);

			pattern_fill(buf, len, d->seed, done);
			n = send(fd, buf, len, MSG_NOSIGNAL);
			if (n <= 0)
				return;
			atomic_fetch_add(&d->done, (uint64_t)n);
			continue;
		}
		n = recv(fd, buf, victim_piece(&s), 0);
		if (n <= 0)
			return;
		if (pattern_check(buf, (size_t)n, d->seed, done) != (size_t)n)
			d->victim_bad = 1;
		if (d->dir == DUEL_BOTH) {
			for (ssize_t o = 0, m; o < n; o += m) {
				m = send(fd, buf + o, (size_t)(n - o),
					MSG_NOSIGNAL);
				if (m <= 0)
					return;
			}
		}
		atomic_fetch_add(&d->done, (uint64_t)n);
	}
}

static int
victim_main(void)
{
	pthread_t t;
	int fd;

	victim = true;
	if (d->victim_listens) {
		int l = listen_any(&d->victim_port);

		fd = accept(l, NULL, NULL);
	} else
		fd = connect_to(atomic_load(&d->port));
	if (fd < 0)
		die("victim");
	if (d->kill == KILL_ASYNC && pthread_create(&t, NULL, watch, NULL))
		die("pthread_create");
	victim_run(fd);
	/* The test point was never reached: a clean end. */
	return 0;
}

/* ---- the survivor ---- */

struct job {
	int fd, ep;
	uint64_t s;
	bool nb, in_done, out_done, left;
	unsigned char buf[PIECE], obuf[PIECE];
};

static int
flags_of(const struct job *j)
{
	return MSG_NOSIGNAL | (j->nb ? MSG_DONTWAIT : 0);
}

/* One call to receive; false: it would block, or it is over. */
static bool
take(struct job *j)
{
	uint64_t at = atomic_load(&d->in);
	ssize_t n;

	if (d->slow && d->dir == DUEL_IN && at > 100000 && rnd(&j->s) % 64 == 0)
		usleep(25000);
	if (d->survivor_leaves && at >= d->survivor_leaves && !j->left) {
		j->left = true;
		leave_rings(j->fd);
	}
	n = recv(j->fd, j->buf, piece(&j->s), flags_of(j));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) {
		d->in_end = n < 0 ? errno : 0;
		n = recv(j->fd, j->buf, 100, flags_of(j));
		d->in_end2 = n < 0 ? errno : n > 0 ? -1 : 0;
		j->in_done = true;
		return false;
	}
	if (!d->bad) {
		size_t good = pattern_check(j->buf, (size_t)n, d->seed, at);

		if (good != (size_t)n) {
			d->bad_at = at + good;
			d->bad = 1;
		}
	}
	atomic_fetch_add(&d->in, (uint64_t)n);
	return true;
}

static bool
give(struct job *j, uint64_t *s)
{
	uint64_t at = atomic_load(&d->out);
	size_t len = piece(s);
	ssize_t n;

	if (d->drained && at < d->kill_at && len > d->kill_at - at)
		len = (size_t)(d->kill_at - at);
	for (int i = 0; d->drained && at == d->kill_at && i < 2000 &&
		atomic_load(&d->done) < at;
		i++)
		usleep(1000);
	if (d->drained && at == d->kill_at)
		usleep(3000);
	pattern_fill(j->obuf, len, d->seed, at);
	n = send(j->fd, j->obuf, len, flags_of(j));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) {
		d->out_end = n < 0 ? errno : 0;
		j->out_done = true;
		return false;
	}
	atomic_fetch_add(&d->out, (uint64_t)n);
	return true;
}

static void *
giver(void *arg)
{
	struct job *j = arg;
	uint64_t s = d->seed ^ 0xbf58476d1ce4e5b9u;

	while (!j->out_done)
		give(j, &s);
	return NULL;
}

static void
block(struct job *j)
{
	pthread_t t;

	if (d->dir != DUEL_IN && pthread_create(&t, NULL, giver, j) != 0)
		die("pthread_create");
	while (!j->in_done)
		take(j);
	if (d->dir != DUEL_IN)
		pthread_join(t, NULL);
}

/* Waits; returns what may be tried. */
static uint32_t
wait_for(struct job *j, uint32_t want)
{
	if (d->way == WAY_POLL) {
		struct pollfd p = {.fd = j->fd, .events = (short)want};

		if (poll(&p, 1, -1) < 0 && errno != EINTR)
			die("poll");
		return (uint32_t)p.revents;
	} else {
		struct epoll_event ev = {.events = want};

		if (d->way == WAY_EPOLL)
			epoll_ctl(j->ep, EPOLL_CTL_MOD, j->fd, &ev);
		if (epoll_wait(j->ep, &ev, 1, -1) < 0) {
			if (errno != EINTR)
				die("epoll_wait");
			return 0;
		}
		return ev.events;
	}
}

static void
ready(struct job *j)
{
	uint32_t all = (j->in_done ? 0 : EPOLLIN) |
		(j->out_done ? 0 : EPOLLOUT),
		 ev = all;
	struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP |
			(d->way == WAY_EDGE ? EPOLLET : 0)};

	j->nb = true;
	if (d->way != WAY_POLL) {
		j->ep = epoll_create1(EPOLL_CLOEXEC);
		if (j->ep < 0 || epoll_ctl(j->ep, EPOLL_CTL_ADD, j->fd, &e))
			die("epoll");
	}
	while (!j->in_done || !j->out_done) {
		bool more = d->way == WAY_EDGE;

		if (ev & (EPOLLERR | EPOLLHUP | EPOLLRDHUP))
			ev |= all;
		do {
			bool a = !j->in_done && (ev & EPOLLIN) && take(j);
			bool b = !j->out_done && (ev & EPOLLOUT) &&
				give(j, &j->s);

			if (!a && !b)
				break;
		} while (more);
		if (j->in_done && j->out_done)
			break;
		all = (j->in_done ? 0 : EPOLLIN) | (j->out_done ? 0 : EPOLLOUT);
		ev = wait_for(j, all);
	}
	if (d->way != WAY_POLL)
		close(j->ep);
}

static int
meet_victim(int l)
{
	if (!d->victim_listens)
		return accept(l, NULL, NULL);
	for (int i = 0; i < 10000; i++) {
		if (atomic_load(&d->victim_port) != 0)
			return connect_to(atomic_load(&d->victim_port));
		usleep(1000);
	}
	return -1;
}

static void *
echo(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char buf[32768];
	ssize_t n;

	while ((n = recv(fd, buf, sizeof(buf), 0)) > 0)
		if (send(fd, buf, (size_t)n, MSG_NOSIGNAL) != n)
			break;
	close(fd);
	return NULL;
}

static void *
echoes(void *arg)
{
	int l = (int)(intptr_t)arg, fd;
	pthread_t t;

	while ((fd = accept(l, NULL, NULL)) >= 0)
		if (pthread_create(&t, NULL, echo, (void *)(intptr_t)fd) == 0)
			pthread_detach(t);
	return NULL;
}

static int
survivor_main(void)
{
	static struct job j;
	struct kid k;
	pthread_t t;
	int l;

	kid_inherit(&k);
	l = listen_any(&d->load_port);
	if (pthread_create(&t, NULL, echoes, (void *)(intptr_t)l) != 0)
		die("pthread_create");
	l = listen_any(&d->port);
	kid_say(&k, 'r');
	while (kid_hear(&k, 1000000) == 'j') {
		memset(&j, 0, offsetof(struct job, buf));
		j.s = d->seed | 1;
		j.fd = meet_victim(l);
		if (j.fd < 0)
			die("survivor");
		/* Who only sends, or only receives, does nothing else. */
		j.in_done = d->dir == DUEL_OUT && d->way != WAY_BLOCK;
		j.out_done = d->dir == DUEL_IN;
		if (d->way != WAY_BLOCK)
			ready(&j);
		else if (d->dir == DUEL_OUT)
			giver(&j);
		else
			block(&j);
		close(j.fd);
		kid_say(&k, 'd');
	}
	return 0;
}

/* ---- the load ---- */

static void *
rounds(void *arg)
{
	uint64_t seed = (uint64_t)(intptr_t)arg, s = seed * 77 + 1, at = 0;
	static __thread unsigned char buf[32768];
	int fd = connect_to(atomic_load(&d->load_port));

	if (fd < 0)
		die("load");
	while (!atomic_load(&d->quit)) {
		size_t n = 1 + (size_t)rnd(&s) % 20000, got = 0;
		ssize_t r;

		if (!atomic_load(&d->load)) {
			usleep(2000);
			continue;
		}
		pattern_fill(buf, n, seed, at);
		if (send(fd, buf, n, MSG_NOSIGNAL) != (ssize_t)n)
			break;
		while (got < n && (r = recv(fd, buf + got, n - got, 0)) > 0)
			got += (size_t)r;
		if (got < n || pattern_check(buf, n, seed, at) != n)
			break;
		at += n;
		atomic_fetch_add(&d->rounds, 1);
		usleep(300);
	}
	if (!atomic_load(&d->quit))
		atomic_store(&d->load_bad, 1);
	close(fd);
	return NULL;
}

static int
load_main(void)
{
	pthread_t t[LOADS];

	for (int i = 0; i < LOADS; i++)
		if (pthread_create(&t[i], NULL, rounds,
			    (void *)(intptr_t)(i + 1)) != 0)
			die("pthread_create");
	for (int i = 0; i < LOADS; i++)
		pthread_join(t[i], NULL);
	return 0;
}

int
main(int argc, char **argv)
{
	d = mmap(NULL, sizeof(*d), PROT_READ | PROT_WRITE, MAP_SHARED, DUEL_FD,
		0);
	if (d == MAP_FAILED || argc < 2)
		die("usage: duel survivor|victim|load, under t4010-kills");
	if (strcmp(argv[1], "survivor") == 0)
		return survivor_main();
	if (strcmp(argv[1], "victim") == 0)
		return victim_main();
	return load_main();
}
