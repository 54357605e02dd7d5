/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * restart PORT HOW [UID]: a server is killed, and another process (of UID)
 * answers at its address. A client that had a link to the first one waits on
 * its first connection to the second one (HOW: epoll, poll or recv) before the
 * two are paired, and is answered after that. Prints what it was answered.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT_MS 10000
#define ROUNDS 100

static struct sockaddr_in sa;
static int word[2], back[2]; /* between the client and the second server */
static const char *how;
static int conn, epfd;
static int answer;

static void
die(const char *what)
{
	perror(what);
	_exit(2);
}

static void
hear(int fd)
{
	struct pollfd p = {fd, POLLIN, 0};
	char c;

	if (poll(&p, 1, LIMIT_MS) != 1 || read(fd, &c, 1) != 1)
		die("a word");
}

static void
say(int fd)
{
	if (write(fd, "x", 1) != 1)
		die("say");
}

/* Echoes; the second one says when it has read, and answers only to q. */
static void
serve(int l, int second)
{
	char b[64];
	ssize_t n;
	int c;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (second) {
		hear(word[0]);
		if (listen(l, 8) != 0)
			die("listen");
		say(back[1]);
		hear(word[0]);
	}
	c = accept(l, NULL, NULL);
	if (second)
		say(back[1]);
	while ((n = read(c, b, sizeof(b))) > 0) {
		if (!second && write(c, b, (size_t)n) != n)
			die("echo");
		if (second && b[0] == 'q' && write(c, "a", 1) != 1)
			die("answer");
		if (second)
			say(back[1]);
	}
	_exit(0);
}

static int
listener(void)
{
	int l = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(l, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	if (bind(l, (void *)&sa, sizeof(sa)) != 0)
		die("bind");
	return l;
}

static void
open_conn(void)
{
	struct epoll_event ev = {.events = EPOLLIN};

	conn = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(conn, (void *)&sa, sizeof(sa)) != 0)
		die("connect");
	epoll_ctl(epfd, EPOLL_CTL_ADD, conn, &ev);
}

/* 1: readable within ms. */
static int
wait_for_it(int ms)
{
	struct epoll_event ev;
	struct pollfd p = {conn, POLLIN, 0};

	return *how == 'p' ? poll(&p, 1, ms) : epoll_wait(epfd, &ev, 1, ms);
}

static void *
reader(void *arg)
{
	char c = 0;

	(void)arg;
	if (*how != 'r' && wait_for_it(LIMIT_MS) != 1)
		return NULL;
	if (recv(conn, &c, 1, 0) == 1)
		__atomic_store_n(&answer, c, __ATOMIC_SEQ_CST);
	return NULL;
}

int
main(int argc, char **argv)
{
	char b[64] = "p";
	pthread_t th;
	pid_t first, second;
	int l;

	if (argc < 3 || pipe(word) != 0 || pipe(back) != 0)
		return 2;
	how = argv[2];
	sa.sin_family = AF_INET;
	sa.sin_port = htons((uint16_t)atoi(argv[1]));
	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	l = listener();
	if ((second = fork()) == 0) {
		uid_t uid = argc > 3 ? (uid_t)atoi(argv[3]) : 0;

		close(l);
		l = listener();
		if (uid != 0 && setresuid(uid, uid, uid) != 0)
			die("setresuid");
		serve(l, 1);
	}
	listen(l, 8);
	if ((first = fork()) == 0)
		serve(l, 0);
	close(l);
	epfd = epoll_create1(0);
	open_conn();
	for (int i = 0; i < 50; i++) {
		if (write(conn, b, sizeof(b)) != sizeof(b))
			die("write");
		if (*how != 'r')
			wait_for_it(LIMIT_MS);
		for (ssize_t got = 0; got < (ssize_t)sizeof(b);)
			got += read(conn, b + got, sizeof(b) - (size_t)got);
	}
	/* It is not to see this end, and to end by itself. */
	kill(first, SIGSTOP);
	close(conn);
	kill(first, SIGKILL);
	waitpid(first, NULL, 0);
	say(word[1]);
	hear(back[0]);

	/* It waits; then they are paired; then the answer comes. */
	open_conn();
	if (*how == 'e') {
		wait_for_it(200);
	} else {
		pthread_create(&th, NULL, reader, NULL);
		usleep(200000);
	}
	say(word[1]);
	hear(back[0]);
	/* The acceptor looks for a name ever more rarely. */
	for (int i = 0; i < ROUNDS; i++) {
		if (write(conn, i < ROUNDS - 1 ? "n" : "q", 1) != 1)
			die("write");
		hear(back[0]);
	}
	if (*how == 'e')
		reader(NULL);
	for (int i = 0; i < LIMIT_MS / 10 && !answer; i++)
		usleep(10000);
	printf("%c\n", answer ? answer : '-');
	kill(second, SIGKILL);
	return 0;
}
