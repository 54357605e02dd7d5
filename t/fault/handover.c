/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * handover HOW: a connection changes hands within a family.
 *
 *	closer	a parent lets go of it in the very moment in which its child
 *		pairs it: it touches nothing that is the child's
 *	grave	a child reads late what the peer sent before it ended; its
 *		parent has given up the link meanwhile
 *	atfork	handlers of pthread_atfork(3) open, use and close connections
 *		and epoll sets, before and after the fork, on both sides
 *	pairer	a thread pairs another one's connection, which sleeps in poll
 *	poller	a thread sleeps in poll, or select, while another one sends, and
 *		so pairs the connection
 *	cancel	a thread is cancelled in a blocking call, then the connection
 *		is closed: the peer sees the end
 */
#include "config.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net.h"

#define LIMIT_S 20
#define MANY 50000

static int l;
static struct sockaddr_in at;
static useconds_t linger; /* at the point where a hold was given up */

int kmap_testpoint(const char *name, int fd);

int
kmap_testpoint(const char *name, int fd)
{
	(void)fd;
	if (linger != 0 && strcmp(name, "let-go") == 0)
		usleep(linger);
	return 0;
}

static void
ends_well(pid_t pid, const char *what)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		die("waitpid");
	if (status != 0) {
		fprintf(stderr, "handover: %s ended by %#x\n", what, status);
		exit(1);
	}
}

static void
asks(int fd, int n)
{
	char b[100] = "";

	while (n-- > 0)
		if (send(fd, b, sizeof(b), MSG_NOSIGNAL) != sizeof(b) ||
			recv(fd, b, sizeof(b), MSG_WAITALL) != sizeof(b))
			die("asks");
}

static void
answers(int fd, int n)
{
	char b[100];

	while (n-- > 0)
		if (recv(fd, b, sizeof(b), MSG_WAITALL) != sizeof(b) ||
			send(fd, b, sizeof(b), MSG_NOSIGNAL) != sizeof(b))
			die("answers");
}

/* A process that connects, asks so often and ends. */
static pid_t
client(int n, int late_ms)
{
	pid_t pid = child_for(LIMIT_S);
	int c;

	if (pid != 0)
		return pid;
	close(l);
	c = connected_to(at, LIMIT_S);
	usleep((useconds_t)late_ms * 1000);
	asks(c, n);
	_exit(0);
}

static void
closer(void)
{
	for (int i = 0; i < 20; i++) {
		pid_t from = client(100, 5), to;
		int s = accept(l, NULL, NULL);

		to = child_for(LIMIT_S);
		if (to == 0) {
			close(l);
			answers(s, 100);
			_exit(0);
		}
		linger = 50000;
		close(s);
		linger = 0;
		ends_well(to, "the child");
		ends_well(from, "the client");
	}
}

static void
grave(void)
{
	char b[MANY];
	pid_t from, to;
	int s, c, p[2];

	if (pipe(p) != 0)
		die("pipe");
	from = child_for(LIMIT_S);
	if (from == 0) {
		close(l);
		c = connected_to(at, LIMIT_S);
		asks(c, 200);
		memset(b, 7, sizeof(b));
		if (send(c, b, sizeof(b), MSG_NOSIGNAL) != sizeof(b))
			die("send");
		_exit(0);
	}
	s = accept(l, NULL, NULL);
	answers(s, 200);
	to = child_for(LIMIT_S);
	if (to == 0) {
		close(l);
		close(p[1]);
		if (read(p[0], b, 1) != 0)
			die("pipe");
		if (recv(s, b, sizeof(b), MSG_WAITALL) != sizeof(b))
			die("the bytes");
		for (int i = 0; i < MANY; i++)
			if (b[i] != 7)
				die("a byte");
		if (recv(s, b, sizeof(b), 0) != 0)
			die("the end");
		_exit(0);
	}
	close(s);
	ends_well(from, "the client");
	/* The next one that pairs looks for links that are dead. */
	from = client(200, 0);
	s = accept(l, NULL, NULL);
	answers(s, 200);
	close(s);
	ends_well(from, "the next client");
	close(p[1]);
	ends_well(to, "the child");
}

/* ---- atfork ---- */

static int shared = -1, doomed = -1, own = -1, set = -1;
static int sides; /* how often a handler was called */

static void
waits(void)
{
	struct epoll_event ev;

	if (epoll_wait(set, &ev, 1, 0) != 0)
		die("epoll_wait");
}

static void
prepares(void)
{
	if (set < 0)
		return;
	sides++;
	waits();
	/* Open before, closed in the child; and one that both are to have. */
	doomed = connected_to(at, LIMIT_S);
	asks(doomed, 40);
	asks(shared, 40);
}

static void
in_parent(void)
{
	if (set < 0)
		return;
	sides++;
	waits();
	asks(doomed, 40);
	close(doomed);
	own = connected_to(at, LIMIT_S);
	asks(own, 40);
}

static void
in_child(void)
{
	if (set < 0)
		return;
	sides++;
	close(doomed);
	close(shared);
	own = connected_to(at, LIMIT_S);
	asks(own, 40);
	close(set);
	set = epoll_create1(0);
	waits();
}

__attribute__((constructor)) static void
registers(void)
{
	pthread_atfork(prepares, in_parent, in_child);
}

static void *
serves_one(void *arg)
{
	int s = (int)(intptr_t)arg;
	char b[100];
	ssize_t n;

	while ((n = recv(s, b, sizeof(b), 0)) > 0)
		if (send(s, b, (size_t)n, MSG_NOSIGNAL) != n)
			break;
	close(s);
	return NULL;
}

static void
serves(void)
{
	pthread_t t;
	int s;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while ((s = accept(l, NULL, NULL)) >= 0) {
		pthread_create(&t, NULL, serves_one, (void *)(intptr_t)s);
		pthread_detach(t);
	}
	_exit(0);
}

static void
atfork(void)
{
	struct epoll_event ev = {.events = EPOLLIN};
	pid_t pid;

	close(l);
	shared = connected_to(at, LIMIT_S);
	asks(shared, 100);
	set = epoll_create1(0);
	if (epoll_ctl(set, EPOLL_CTL_ADD, shared, &ev) != 0)
		die("epoll_ctl");
	waits();
	for (int i = 0; i < 20; i++) {
		sides = 0;
		pid = child_for(LIMIT_S);
		if (sides != 2)
			die("handlers");
		asks(own, 40);
		close(own);
		if (pid == 0)
			_exit(0);
		asks(shared, 40);
		ends_well(pid, "the child");
	}
}

/* ---- pairer ---- */

static void *
waits_in_poll(void *arg)
{
	struct pollfd f = {*(int *)arg, POLLIN, 0};
	char c;

	if (poll(&f, 1, LIMIT_S / 2 * 1000) != 1 || recv(f.fd, &c, 1, 0) != 1)
		die("nobody woke the poll");
	asks(f.fd, 40);
	return NULL;
}

static void
pairer(void)
{
	pid_t to = child_for(LIMIT_S);
	pthread_t t;
	char c = 'p';
	int a, b;

	if (to == 0) {
		a = accept(l, NULL, NULL);
		if (recv(a, &c, 1, 0) != 1)
			die("recv");
		b = accept(l, NULL, NULL);
		answers(b, 40);
		if (send(a, &c, 1, MSG_NOSIGNAL) != 1)
			die("send");
		answers(a, 40);
		_exit(0);
	}
	close(l);
	a = connected_to(at, LIMIT_S);
	if (send(a, &c, 1, 0) != 1 ||
		pthread_create(&t, NULL, waits_in_poll, &a) != 0)
		die("a");
	/* The server has greeted it, and nobody has looked. */
	usleep(50000);
	b = connected_to(at, LIMIT_S);
	asks(b, 40);
	pthread_join(t, NULL);
	ends_well(to, "the server");
}

/* ---- poller ---- */

#define WORDS 100

static bool selects;

static void *
polls(void *arg)
{
	int fd = *(int *)arg, got = 0, r;
	char b[WORDS];

	while (got < WORDS) {
		struct pollfd f = {fd, POLLIN, 0};
		struct timeval tv = {LIMIT_S / 4, 0};
		fd_set s;

		FD_ZERO(&s);
		FD_SET(fd, &s);
		r = selects ? select(fd + 1, &s, NULL, NULL, &tv)
			    : poll(&f, 1, LIMIT_S / 4 * 1000);
		if (r != 1)
			die("nobody woke it");
		r = (int)recv(fd, b, sizeof(b), 0);
		if (r <= 0)
			die("recv");
		got += r;
	}
	return NULL;
}

static void
poller(void)
{
	pid_t to = child_for(LIMIT_S);
	pthread_t t;
	char b[WORDS];
	ssize_t n;
	int c;

	if (to == 0) {
		for (int i = 0; i < 2; i++) {
			c = accept(l, NULL, NULL);
			while ((n = recv(c, b, sizeof(b), 0)) > 0)
				if (send(c, b, (size_t)n, MSG_NOSIGNAL) != n)
					die("send");
			close(c);
		}
		_exit(0);
	}
	close(l);
	for (int i = 0; i < 2; i++) {
		selects = i == 1;
		c = connected_to(at, LIMIT_S);
		if (pthread_create(&t, NULL, polls, &c) != 0)
			die("pthread_create");
		usleep(20000);
		for (int k = 0; k < WORDS; k++) {
			if (send(c, "w", 1, MSG_NOSIGNAL) != 1)
				die("send");
			usleep(1000);
		}
		pthread_join(t, NULL);
		close(c);
	}
	ends_well(to, "the server");
}

/* ---- cancel ---- */

static void *
receives(void *arg)
{
	char b[100];

	recv(*(int *)arg, b, sizeof(b), 0);
	return NULL;
}

static void
cancel(void)
{
	struct pollfd f = {.events = POLLIN};
	pthread_t t;
	pid_t to = child_for(LIMIT_S);
	char c;
	int s;

	if (to == 0) {
		s = accept(l, NULL, NULL);
		answers(s, 200);
		if (pthread_create(&t, NULL, receives, &s) != 0)
			die("pthread_create");
		usleep(50000);
		pthread_cancel(t);
		pthread_join(t, NULL);
		close(s);
		/* It goes on: its end is not what ends the connection. */
		pause();
	}
	close(l);
	f.fd = connected_to(at, LIMIT_S);
	asks(f.fd, 200);
	if (poll(&f, 1, LIMIT_S / 2 * 1000) != 1 || recv(f.fd, &c, 1, 0) != 0)
		die("the end was not seen");
	kill(to, SIGKILL);
}

int
main(int argc, char **argv)
{
	const char *how = argc == 2 ? argv[1] : "";
	pid_t server;

	alarm(2 * LIMIT_S);
	l = listen_at(NULL, 16);
	at = address_of(l);
	if (strcmp(how, "atfork") == 0) {
		/* No handler is ready yet. */
		server = _Fork();
		if (server == 0)
			serves();
		atfork();
		kill(server, SIGKILL);
		return 0;
	}
	if (strcmp(how, "closer") == 0)
		closer();
	else if (strcmp(how, "grave") == 0)
		grave();
	else if (strcmp(how, "pairer") == 0)
		pairer();
	else if (strcmp(how, "poller") == 0)
		poller();
	else if (strcmp(how, "cancel") == 0)
		cancel();
	else
		return 2;
	return 0;
}
