/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * unseen WAY: a connection to itself that a preloaded library sees a part of.
 *
 *	raw		send by libc's syscall(2), found in libc itself
 *	resolve NAME	what getaddrinfo(3) asks for a name
 *	uring		accept by io_uring; 77: there is none here
 *	mapped PORT	connect to ::ffff:127.0.0.1, and wait for the end
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <linux/io_uring.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct sockaddr_in here = {.sin_family = AF_INET};

static int
check(long r, const char *what)
{
	if (r < 0) {
		perror(what);
		exit(1);
	}
	return (int)r;
}

/* A listener and a connection that waits to be accepted. */
static int
pair(int *l)
{
	socklen_t len = sizeof(here);
	int c;

	here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	*l = check(socket(AF_INET, SOCK_STREAM, 0), "socket");
	check(bind(*l, (void *)&here, len), "bind");
	check(listen(*l, 1), "listen");
	check(getsockname(*l, (void *)&here, &len), "getsockname");
	c = check(socket(AF_INET, SOCK_STREAM, 0), "socket");
	check(connect(c, (void *)&here, len), "connect");
	return c;
}

static void
finish(int c, int a)
{
	char buf[5];

	check(recv(a, buf, sizeof(buf), MSG_WAITALL), "recv");
	printf("%.5s\n", buf);
	close(c);
	close(a);
}

static int
raw(void)
{
	long (*call)(long, ...) =
		dlsym(dlopen("libc.so.6", RTLD_LAZY), "syscall");
	int l, c = pair(&l), a = check(accept(l, NULL, NULL), "accept");

	check(call(SYS_sendto, c, "hello", 5, 0, NULL, 0), "sendto");
	finish(c, a);
	return 0;
}

static int
resolve(const char *name)
{
	struct addrinfo *list = NULL;

	puts(getaddrinfo(name, "80", NULL, &list) ? "no" : "yes");
	return 0;
}

static void *
map(int ring, size_t size, off_t what)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_POPULATE, ring, what);

	check(p == MAP_FAILED ? -1 : 0, "mmap");
	return p;
}

static int
uring(void)
{
	struct io_uring_params p = {0};
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
	char *sq, *cq;
	int ring = (int)syscall(SYS_io_uring_setup, 1, &p), l, c;

	if (ring < 0)
		return 77;
	sq = map(ring, p.sq_off.array + p.sq_entries * sizeof(unsigned),
		IORING_OFF_SQ_RING);
	cq = map(ring, p.cq_off.cqes + p.cq_entries * sizeof(*cqe),
		IORING_OFF_CQ_RING);
	sqe = map(ring, p.sq_entries * sizeof(*sqe), IORING_OFF_SQES);
	c = pair(&l);
	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = IORING_OP_ACCEPT;
	sqe->fd = l;
	*(unsigned *)(sq + p.sq_off.array) = 0;
	__atomic_store_n((unsigned *)(sq + p.sq_off.tail), 1, __ATOMIC_RELEASE);
	check(syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS,
		      NULL, 0),
		"io_uring_enter");
	cqe = (void *)(cq + p.cq_off.cqes);
	check(cqe->res, "accept");
	check(send(c, "hello", 5, 0), "send");
	finish(c, cqe->res);
	return 0;
}

static int
mapped(const char *port)
{
	struct sockaddr_in6 to = {
		.sin6_family = AF_INET6, .sin6_port = htons(atoi(port))};
	int c = check(socket(AF_INET6, SOCK_STREAM, 0), "socket");
	static const char ask[] = "GET /1000000 HTTP/1.0\r\n\r\n";
	char buf[4096];

	inet_pton(AF_INET6, "::ffff:127.0.0.1", &to.sin6_addr);
	check(connect(c, (void *)&to, sizeof(to)), "connect");
	check(send(c, ask, sizeof(ask) - 1, 0), "send");
	while (check(recv(c, buf, sizeof(buf), 0), "recv") > 0)
		;
	close(c);
	return 0;
}

int
main(int argc, char **argv)
{
	const char *way = argc > 1 ? argv[1] : "";

	if (!strcmp(way, "raw"))
		return raw();
	if (!strcmp(way, "uring"))
		return uring();
	if (!strcmp(way, "resolve") && argc > 2)
		return resolve(argv[2]);
	if (!strcmp(way, "mapped") && argc > 2)
		return mapped(argv[2]);
	fprintf(stderr, "usage: unseen raw|uring|resolve NAME|mapped PORT\n");
	return 2;
}
