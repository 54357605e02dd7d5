/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Blocking calls are cancellation points, cleanup handlers run, and the same
 * call through syscall(2) is none.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static int sv[2], ep;
static volatile int cleaned;
static char c;

static void
clean(void *arg)
{
	(void)arg;
	cleaned = 1;
}

static void
do_read(void)
{
	read(sv[0], &c, 1);
}
static void
do_recv(void)
{
	recv(sv[0], &c, 1, 0);
}
static void
do_recvmsg(void)
{
	struct iovec iov = {&c, 1};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	recvmsg(sv[0], &msg, 0);
}
static void
do_poll(void)
{
	struct pollfd p = {.fd = sv[0], .events = POLLIN};

	poll(&p, 1, -1);
}
static void
do_select(void)
{
	fd_set s;

	FD_ZERO(&s);
	FD_SET(sv[0], &s);
	select(sv[0] + 1, &s, NULL, NULL, NULL);
}
static void
do_epoll(void)
{
	struct epoll_event ev;

	epoll_wait(ep, &ev, 1, -1);
}
static void
do_raw(void)
{
	syscall(SYS_read, sv[0], &c, 1);
}

static const struct {
	const char *name;
	void (*fn)(void);
} calls[] = {
	{"read", do_read},
	{"recv", do_recv},
	{"recvmsg", do_recvmsg},
	{"poll", do_poll},
	{"select", do_select},
	{"epoll_wait", do_epoll},
	{"syscall read", do_raw},
};

static void *
thread(void *arg)
{
	int off;

	pthread_cleanup_push(clean, NULL);
	((void (*)(void))arg)();
	/* The result counts, not a cancellation on the way out. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &off);
	pthread_cleanup_pop(0);
	return NULL;
}

int
main(void)
{
	struct epoll_event ev = {.events = EPOLLIN};

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sv) < 0)
		return 1;
	ep = epoll_create1(0);
	epoll_ctl(ep, EPOLL_CTL_ADD, sv[0], &ev);
	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
		pthread_t t;
		void *r;

		cleaned = 0;
		pthread_create(&t, NULL, thread, (void *)calls[i].fn);
		usleep(50000);
		pthread_cancel(t);
		usleep(20000);
		/* Ends what was not cancelled. */
		send(sv[1], "x", 1, 0);
		pthread_join(t, &r);
		recv(sv[0], &c, 1, MSG_DONTWAIT);
		printf("%s: cancelled %d, cleaned %d\n", calls[i].name,
			r == PTHREAD_CANCELED, cleaned);
	}
	return 0;
}
