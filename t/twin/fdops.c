/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dup, fork, close: what shares an endpoint, and how it ends.
 */
#include <config.h>

#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "twin.h"

static char buf[1 << 16];

static void
peer_sees(struct tw_conn *c)
{
	struct tw_answer a = p_do(OP_RECV, c, -1, 0, 0);

	T("peer got %ld%s then %s", a.r, a.bad ? " WRONG" : "",
		a.err ? t_err(a.err) : "the end");
}

/* ---- dup ---- */

static void
both_ways(struct tw_conn *c, int d)
{
	p_send(c, 30);
	t_recv(c, 10);
	t_recv_fd(c, d, 10);
	t_recv(c, 10);
	t_send(c, 10);
	t_send_fd(c, d, 10);
	p_recv(c, 20);
	tw_nonblock(d, true);
	T("shared O_NONBLOCK %d", !!(fcntl(c->fd, F_GETFL) & O_NONBLOCK));
	t_ret("read", read(c->fd, buf, 10));
	tw_nonblock(c->fd, false);
}

static int
copy(int how, int fd)
{
	switch (how) {
	case 0:
		return dup(fd);
	case 1:
		return dup2(fd, 40);
	case 2:
		return dup3(fd, 41, O_CLOEXEC);
	case 3:
		return fcntl(fd, F_DUPFD, 50);
	case 4:
		return fcntl(fd, F_DUPFD_CLOEXEC, 60);
	case 5:
		return syscall(SYS_dup, fd);
	case 6:
		return syscall(SYS_dup3, fd, 42, 0);
	default:
		return syscall(SYS_fcntl, fd, F_DUPFD, 70);
	}
}

/* Before it moved, and after: a copy is the same endpoint. */
static void
dups(int from, int upto)
{
	for (int how = from; how < upto; how++) {
		struct tw_conn *c = tw_open();
		int d = copy(how, c->fd), e;

		T("copy %s CLOEXEC %d", d >= 0 ? "made" : t_err(errno),
			fcntl(d, F_GETFD));
		both_ways(c, d);
		tw_mid(c);
		both_ways(c, d);
		e = copy(0, d);
		both_ways(c, e);
		t_ret("close", close(c->fd));
		c->fd = d;
		both_ways(c, e);
		t_ret("close", close(d));
		c->fd = e;
		p_send(c, 10);
		t_recv(c, 20);
		t_send(c, 10);
		t_ret("close", close(e));
		peer_sees(c);
	}
}

CASE(dup, functions, 0)
{
	dups(0, 5);
}

CASE(dup, syscalls, 0)
{
	dups(5, 8);
}

CASE(dup, errors, 0)
{
	struct tw_conn *c = tw_open();

	for (int half = 0; half < 2; half++) {
		t_ret("dup closed", dup(777));
		t_ret("dup2 same", dup2(c->fd, c->fd) == c->fd ? 0 : -1);
		t_ret("dup2 closed", dup2(777, 40));
		t_ret("dup2 -1", dup2(c->fd, -1));
		t_ret("dup2 too high", dup2(c->fd, INT_MAX));
		t_ret("dup3 same", dup3(c->fd, c->fd, 0));
		t_ret("dup3 flags", dup3(c->fd, 40, 0x77));
		p_send(c, 10);
		t_recv(c, 10);
		tw_mid(c);
	}
}

/* dup2 over an upgraded fd closes it. */
CASE(dup, over, 0)
{
	struct tw_conn *c = tw_open(), *d = tw_open();
	int pp[2];

	tw_mid(c);
	tw_mid(d);
	t_send(c, 10);
	t_ret("over", dup2(d->fd, c->fd) == c->fd ? 0 : -1);
	peer_sees(c);
	both_ways(d, c->fd);
	/* An ordinary fd over it. */
	if (pipe(pp) < 0)
		return;
	t_ret("over", dup2(pp[0], c->fd) == c->fd ? 0 : -1);
	t_ret("write", write(pp[1], "abc", 3));
	t_ret("read", read(c->fd, buf, 10));
	p_send(d, 10);
	t_recv(d, 10);
	/* And it over an ordinary one. */
	t_ret("over", dup2(d->fd, pp[0]) == pp[0] ? 0 : -1);
	p_send(d, 10);
	t_recv_fd(d, pp[0], 10);
}

/* ---- close ---- */

CASE(close, clean, 0)
{
	struct tw_conn *c = tw_open();

	tw_flight(c);
	t_drain(c, TW_FLIGHT);
	tw_close(c);
	tw_close(c);
	peer_sees(c);
}

/* Unread bytes: the peer gets a RST. */
CASE(close, unread, 0)
{
	struct tw_conn *c = tw_open();

	tw_mid(c);
	p_send(c, 50);
	t_send(c, 10);
	p_recv(c, 10);
	tw_close(c);
	peer_sees(c);

	c = tw_open();
	tw_mid(c);
	t_send(c, 10);
	p_send(c, 50);
	t_recv(c, 20);
	p_do(OP_POLL, c, POLLIN, 2000, 0);
	tw_close(c);
	peer_sees(c);
	struct tw_answer a = p_do(OP_SEND, c, 10, 0, 0);

	T("peer sends %ld %s", a.r, a.err ? t_err(a.err) : "");
}

CASE(close, after_shutdown, 0)
{
	struct tw_conn *c = tw_open();

	tw_mid(c);
	t_send(c, 100);
	t_ret("WR", shutdown(c->fd, SHUT_WR));
	tw_close(c);
	peer_sees(c);
}

CASE(close, ways, 0)
{
	for (int how = 0; how < 4; how++) {
		struct tw_conn *c = tw_open();
		int fd = c->fd;

		tw_mid(c);
		if (how > 1)
			fd = dup2(c->fd, 850), close(c->fd);
		c->fd = fd;
		t_send(c, 10);
		switch (how) {
		case 0:
			t_ret("close_range", close_range(fd, fd, 0));
			break;
		case 1:
			t_ret("syscall", syscall(SYS_close, fd));
			break;
		case 2:
			t_ret("close_range", close_range(840, 870, 0));
			break;
		default:
			t_ret("syscall", syscall(SYS_close_range, 840, 870, 0));
		}
		t_ret("fcntl", fcntl(fd, F_GETFD));
		peer_sees(c);
	}
}

/* As a daemon that closes all it does not know. The library's own fds live. */
CASE(close, all_others, 0)
{
	struct tw_conn *c = tw_open();

	tw_mid(c);
	for (int fd = 3; fd < 20000; fd++)
		if (fd != c->fd && (fd < TW_FD_CTL || fd > TW_FD_OUT + 1))
			close(fd);
	p_send(c, 10);
	t_recv(c, 10);
	t_send(c, 10);
	p_recv(c, 10);
	t_ret("close_range", close_range(TW_FD_OUT + 2, UINT_MAX, 0));
	p_send(c, 10);
	t_recv(c, 10);
	p_when(OP_SEND, c, 10, 0, 0);
	t_got(c, "recv", recv(c->fd, buf, 10, 0), buf);
	p_end();
	closefrom(TW_FD_OUT + 2);
	p_when(OP_SEND, c, 10, 0, 0);
	t_got(c, "recv", recv(c->fd, buf, 10, 0), buf);
	p_end();
	tw_rounds(c, false);
}

/* A program that ends with open connections. */
static void
by__exit(void)
{
	_exit(3);
}

static void
by__Exit(void)
{
	_Exit(3);
}

static void
by_quick_exit(void)
{
	quick_exit(3);
}

static void
by_exit(void)
{
	exit(3);
}

static void
by_signal(void)
{
	raise(SIGKILL);
}

static void
by_exec(void)
{
	execl("/bin/true", "true", (char *)NULL);
}

static void (*const ends[])(void) = {
	by__exit, by__Exit, by_quick_exit, by_exit, by_signal, abort, by_exec};
#define NENDS (int)(sizeof ends / sizeof *ends)

static void
child_ends(int how, bool unread)
{
	struct tw_conn *c;
	pid_t pid;
	int st;

	/* The child makes its own connection: nobody else holds it. */
	pid = fork();
	if (pid == 0) {
		c = tw_open();
		tw_mid(c);
		t_send(c, 100);
		if (unread)
			p_send(c, 10);
		ends[how]();
		_exit(9);
	}
	waitpid(pid, &st, 0);
	T("status %#x", st & 0xff7f);
}

CASE(close, by_exit, F_NOUP)
{
	/* The peer's connections have numbers from 0 on. */
	for (int how = 0; how < 2 * NENDS; how++) {
		struct tw_conn c = {.id = how};

		tw_now();
		child_ends(how % NENDS, how >= NENDS);
		peer_sees(&c);
	}
}

/* Closed under a sleeping reader: it sleeps on, and no FIN goes. */
struct sleeper {
	struct tw_conn *c;
	int fd;
	_Atomic int tid;
	ssize_t r;
	int err;
	char b[100];
};

static void *
sleeping(void *arg)
{
	struct sleeper *s = arg;

	s->tid = tw_tid();
	s->r = recv(s->fd, s->b, sizeof s->b, 0);
	s->err = errno;
	return NULL;
}

static pthread_t
sleeper(struct sleeper *s, struct tw_conn *c, int fd)
{
	pthread_t t;

	memset(s, 0, sizeof *s);
	s->c = c;
	s->fd = fd;
	pthread_create(&t, NULL, sleeping, s);
	while (!s->tid)
		tw_msleep(1);
	tw_asleep(s->tid);
	return t;
}

static void
woken(struct sleeper *s, pthread_t t)
{
	pthread_join(t, NULL);
	errno = s->err;
	t_got(s->c, "sleeper", s->r, s->b);
}

CASE(close, under_reader, 0)
{
	struct tw_conn *c = tw_open();
	struct sleeper s;
	pthread_t t;

	tw_mid(c);
	t = sleeper(&s, c, c->fd);
	tw_close(c);
	T("peer sees %ld", p_do(OP_POLL, c, POLLIN, 30, 0).r);
	p_do(OP_SEND, c, 10, 0, 0);
	woken(&s, t);
	peer_sees(c);
}

CASE(close, under_reader_fin, 0)
{
	struct tw_conn *c = tw_open();
	struct sleeper s;
	pthread_t t;

	tw_mid(c);
	t = sleeper(&s, c, c->fd);
	tw_close(c);
	p_do(OP_SHUT, c, SHUT_WR, 0, 0);
	woken(&s, t);
	peer_sees(c);
}

/* As Java: dup2 of a dead socket over the number wakes nobody by itself. */
CASE(close, dup2_under_reader, 0)
{
	struct tw_conn *c = tw_open();
	struct sleeper s;
	int fd = c->fd, dead = socket(AF_INET, SOCK_STREAM, 0);
	pthread_t t;

	tw_mid(c);
	t = sleeper(&s, c, fd);
	t_ret("dup2", dup2(dead, fd) == fd ? 0 : -1);
	t_ret("recv", recv(fd, buf, 10, 0));
	p_do(OP_SEND, c, 10, 0, 0);
	woken(&s, t);
	peer_sees(c);
}

/* ---- fork ---- */

static int
child(struct tw_conn *c, void (*f)(struct tw_conn *))
{
	pid_t pid = fork();
	int st;

	if (pid == 0) {
		f(c);
		_exit(0);
	}
	waitpid(pid, &st, 0);
	t_ret("child", st);
	return st;
}

static void
reads_some(struct tw_conn *c)
{
	t_recv(c, 20);
	t_send(c, 20);
}

/* The child of an upgraded endpoint goes on with it, and the parent after. */
CASE(fork, upgraded, 0)
{
	struct tw_conn *c = tw_open();

	tw_mid(c);
	c->count = false;
	p_send(c, 50);
	child(c, reads_some);
	c->rx += 20;
	c->tx += 20;
	t_recv(c, 100);
	t_send(c, 20);
	p_recv(c, 40);
	p_send(c, 10);
	t_recv(c, 10);
	tw_rounds(c, false);
}

/* Forked first: may stay on TCP while two hold it. */
CASE(fork, before, F_NOUP)
{
	struct tw_conn *c = tw_open();
	pid_t pid = fork();
	int st;

	if (pid == 0) {
		p_send(c, 10);
		t_recv(c, 10);
		tw_mid(c);
		t_send(c, 20);
		_exit(0);
	}
	waitpid(pid, &st, 0);
	t_ret("child", st);
	c->rx += 10;
	c->tx += 20;
	p_recv(c, 20);
	tw_now();
	tw_rounds(c, false);
	p_send(c, 10);
	t_recv(c, 10);
}

/* The parent closes: the child alone holds it, and ends it. */
/* A program gets the connection by a file action, as its fd 0 or 5. */
CASE(fork, spawned, F_TCP)
{
	static const char *const script[] = {
		"[ $(head -c 10 | wc -c) = 10 ] && cat >&0 <&9",
		"[ $(head -c 10 <&5 | wc -c) = 10 ] && cat >&5 <&9",
	};
	static const int as[] = {0, 5};

	for (int i = 0; i < 2; i++) {
		struct tw_conn *c = tw_open();
		char *argv[] = {"sh", "-c", (char *)script[i], NULL};
		int st = -1, file = memfd_create("bytes", MFD_CLOEXEC);
		posix_spawn_file_actions_t fa;
		char b[10];
		pid_t pid;

		tw_mid(c);
		fcntl(c->fd, F_SETFD, FD_CLOEXEC);
		tw_fill(c, b, sizeof b);
		if (pwrite(file, b, sizeof b, 0) != sizeof b)
			tw_fault("memfd");
		posix_spawn_file_actions_init(&fa);
		posix_spawn_file_actions_adddup2(&fa, file, 9);
		T("adddup2 %s",
			t_err(posix_spawn_file_actions_adddup2(
				&fa, c->fd, as[i])));
		if (c->fd != as[i])
			posix_spawn_file_actions_addclose(&fa, c->fd);
		T("spawn %s",
			t_err(posix_spawn(
				&pid, "/bin/sh", &fa, NULL, argv, environ)));
		posix_spawn_file_actions_destroy(&fa);
		tw_tcp_ok(c);
		p_do(OP_SEND, c, 10, 0, 0);
		p_recv(c, 10);
		waitpid(pid, &st, 0);
		t_ret("child", st);
		c->rx += 10;
		c->tx += 10;
		close(file);
		t_ret("send", send(c->fd, "x", 0, 0));
		p_send(c, 10);
		t_drain(c, 10);
	}
}

CASE(fork, parent_closes, 0)
{
	struct tw_conn *c = tw_open();
	pid_t pid;
	int go[2], st;

	tw_mid(c);
	c->count = false;
	if (pipe(go) < 0)
		return;
	p_send(c, 50);
	pid = fork();
	if (pid == 0) {
		close(go[1]);
		if (read(go[0], buf, 1) < 0)
			_exit(1);
		t_recv(c, 20);
		t_recv(c, 20);
		t_send(c, 100);
		p_when(OP_SEND, c, 10, 0, 0);
		t_recv(c, 10);
		t_got(c, "recv", recv(c->fd, buf, 100, 0), buf);
		p_end();
		_exit(0);
	}
	tw_close(c);
	T("peer sees %ld", p_do(OP_POLL, c, POLLIN, 10, 0).r);
	close(go[1]);
	waitpid(pid, &st, 0);
	t_ret("child", st);
	peer_sees(c);
}

/* A child that closes and ends leaves the parent's connection alone. */
static void
closes(struct tw_conn *c)
{
	tw_close(c);
	t_ret("recv", recv(c->fd, buf, 1, 0));
}

static void
nothing(struct tw_conn *c)
{
	(void)c;
}

CASE(fork, child_closes, 0)
{
	struct tw_conn *c = tw_open();

	tw_mid(c);
	c->count = false;
	child(c, closes);
	child(c, nothing);
	T("peer sees %ld", p_do(OP_POLL, c, POLLIN, 10, 0).r);
	p_send(c, 10);
	t_recv(c, 10);
	t_send(c, 10);
	p_recv(c, 10);
	tw_close(c);
	peer_sees(c);
}

/* Both write; no byte is lost, none doubled. */
CASE(fork, both_write, 0)
{
	struct tw_conn *c = tw_open();
	struct tw_answer a;
	pid_t pid;
	int st;

	tw_mid(c);
	c->count = false;
	memset(buf, 'x', 10);
	p_start(OP_RECV, c, 4000, 0, 0);
	pid = fork();
	for (int i = 0; i < 200; i++)
		if (send(c->fd, buf, 10, 0) != 10)
			_exit(1);
	if (pid == 0)
		_exit(0);
	waitpid(pid, &st, 0);
	t_ret("child", st);
	a = p_end();
	T("peer got %ld", a.r);
	t_send(c, 0);
}

/* Both read: each byte comes to one of them. */
CASE(fork, both_read, 0)
{
	struct tw_conn *c = tw_open();
	int pp[2], st;
	long mine = 0, its = 0;
	pid_t pid;

	tw_mid(c);
	c->count = false;
	if (pipe(pp) < 0)
		return;
	pid = fork();
	if (pid == 0) {
		long n = 0;
		ssize_t r;

		while ((r = recv(c->fd, buf, 1000, 0)) > 0)
			n += r;
		_exit(write(pp[1], &n, sizeof n) != sizeof n);
	}
	p_start(OP_FLIGHT, c, 500, 200, 0);
	p_start(OP_SHUT, c, SHUT_WR, 0, 0);
	for (ssize_t r; (r = recv(c->fd, buf, 1000, 0)) > 0;)
		mine += r;
	p_end();
	p_end();
	if (read(pp[0], &its, sizeof its) != sizeof its)
		T("nothing from the child");
	waitpid(pid, &st, 0);
	t_ret("child", st);
	T("in all %ld", mine + its);
}

/* A blocked child is woken though the parent also holds the endpoint. */
CASE(fork, child_blocks, 0)
{
	struct tw_conn *c = tw_open();
	pid_t pid;
	int st;

	tw_mid(c);
	c->count = false;
	pid = fork();
	if (pid == 0) {
		struct pollfd p = {c->fd, POLLIN, 0};

		p_when(OP_SEND, c, 10, 0, 0);
		T("poll %d %s", poll(&p, 1, 5000), t_ev(p.revents));
		t_recv(c, 10);
		p_end();
		p_when(OP_SEND, c, 10, 0, 0);
		t_got(c, "recv", recv(c->fd, buf, 10, 0), buf);
		p_end();
		_exit(0);
	}
	waitpid(pid, &st, 0);
	t_ret("child", st);
	c->rx += 20;
	p_when(OP_SEND, c, 10, 0, 0);
	t_got(c, "recv", recv(c->fd, buf, 10, 0), buf);
	p_end();
}

/* vfork: what the child closes stays open in the parent. */
CASE(fork, vfork, 0)
{
	struct tw_conn *c = tw_open();
	int fd = c->fd, st;
	pid_t pid;

	tw_mid(c);
	c->count = false;
	pid = vfork();
	if (pid == 0) {
		close(fd);
		_exit(0);
	}
	waitpid(pid, &st, 0);
	t_ret("child", st);
	p_send(c, 10);
	t_recv(c, 10);
	t_send(c, 10);
	p_recv(c, 10);
	pid = vfork();
	if (pid == 0) {
		dup2(fd, 0);
		close(fd);
		execl("/bin/true", "true", (char *)NULL);
		_exit(9);
	}
	waitpid(pid, &st, 0);
	t_ret("child", st);
	p_send(c, 10);
	t_recv(c, 10);
	tw_rounds(c, false);
}

/*
 * The program that a vfork child becomes has it as standard input and output:
 * it gets the bytes that wait, without blocking, and its own arrive.
 */
CASE(fork, vfork_stdio, F_TCP)
{
	struct tw_conn *c = tw_open();
	int fd = c->fd, st;
	pid_t pid;

	tw_mid(c);
	c->count = false;
	p_send(c, 16);
	t_got(c, "peek", recv(fd, buf, 16, MSG_PEEK | MSG_WAITALL), buf);
	fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK);
	/* Asleep in a call, as servers are. */
	p_start(OP_RECV, c, 6, 0, 0);
	pid = vfork();
	if (pid == 0) {
		dup2(fd, 0);
		dup2(fd, 1);
		execl("/usr/bin/head", "head", "-c", "6", (char *)NULL);
		_exit(9);
	}
	waitpid(pid, &st, 0);
	t_ret("child", st);
	T("peer got %ld", p_end().r);
	fcntl(fd, F_SETFL, O_RDWR);
	c->rx += 6;
	t_recv(c, 10);
	p_send(c, 10);
	t_recv(c, 10);
}

/* A server that forks for each connection. */
CASE(fork, server, F_NOUP)
{
	int s = tw_listen(AF_INET);

	tw_now();
	for (int i = 0; i < 3; i++) {
		struct tw_conn c;
		pid_t pid;
		int st, fd;

		p_start(OP_CONNECT, NULL, tw_port(s), 0, 0);
		fd = accept(s, NULL, NULL);
		tw_wrap(&c, fd, p_end().r);
		pid = fork();
		if (pid == 0) {
			close(s);
			tw_rounds(&c, false);
			p_send(&c, 100);
			t_recv(&c, 50);
			t_recv(&c, 100);
			t_send(&c, 100);
			p_recv(&c, 100);
			_exit(0);
		}
		close(fd);
		waitpid(pid, &st, 0);
		t_ret("child", st);
		peer_sees(&c);
	}
}

/* Grandchildren. */
static void
forks_again(struct tw_conn *c)
{
	child(c, reads_some);
}

CASE(fork, twice, 0)
{
	struct tw_conn *c = tw_open();

	tw_mid(c);
	c->count = false;
	p_send(c, 50);
	child(c, forks_again);
	c->rx += 20;
	c->tx += 20;
	p_recv(c, 20);
	t_recv(c, 100);
}

/* Across exec the descriptor is the socket, and the stream goes on. */
CASE(fork, exec, F_TCP)
{
	struct tw_conn *c = tw_open();
	pid_t pid;
	int st;

	tw_mid(c);
	c->count = false;
	p_send(c, 6);
	pid = fork();
	if (pid == 0) {
		dup2(c->fd, 1);
		close(c->fd);
		execl("/bin/echo", "echo", "hello", (char *)NULL);
		_exit(9);
	}
	waitpid(pid, &st, 0);
	t_ret("child", st);
	T("peer got %ld", p_do(OP_RECV, c, 6, 0, 0).r);
	t_recv(c, 10);
	p_send(c, 10);
	t_recv(c, 10);
}
