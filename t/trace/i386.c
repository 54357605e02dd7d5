/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * i386 WAY [PROGRAM...]: the calls of 32-bit x86, by number, with what they
 * point to as 32-bit programs have it.
 *
 *	all PROGRAM...	every call that is known of, a few times, with TCP
 *			connections to itself, and at last in a child the
 *			program
 *	wait		reads a line, connects to itself, and so on, to the end
 *	int80		for 64 bits: int $0x80
 *
 * What it says is the same traced or not; the exit status is 42.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __i386__

static struct sockaddr_in here = {.sin_family = AF_INET};

static long
check(long r, const char *what)
{
	if (r < 0) {
		perror(what);
		exit(1);
	}
	return r;
}

#define CALL(name, ...) ((int)check(syscall(__VA_ARGS__), name))

struct old_time {
	int32_t sec, part;
};

struct new_time {
	int64_t sec, part;
};

/* The kernel writes over them. */
#define SHORT_TIME (&(struct old_time){0, 5000000})
#define LONG_TIME (&(struct new_time){0, 6000000})

/* socketcall(2) by number. */
static int
sub(const char *name, int which, ...)
{
	unsigned long args[6];
	va_list list;
	int i;

	va_start(list, which);
	for (i = 0; i < 6; i++)
		args[i] = va_arg(list, unsigned long);
	va_end(list);
	return check(syscall(102, which, args), name);
}

static int
listener(void)
{
	socklen_t len = sizeof(here);
	int l = sub("socket", 1, AF_INET, SOCK_STREAM, 0, 0, 0, 0);

	here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	here.sin_port = 0;
	sub("bind", 2, l, &here, len, 0, 0, 0);
	sub("listen", 4, l, 5, 0, 0, 0, 0);
	sub("getsockname", 6, l, &here, &len, 0, 0, 0);
	return l;
}

/* By the sub-calls of socketcall(2), which is all there was until Linux 4.3. */
static void
old_sockets(int l)
{
	int c = sub("socket", 1, AF_INET, SOCK_STREAM, 0, 0, 0, 0), a, one = 1;
	struct old_time limit = {7, 8000};
	struct iovec iov[2] = {{(char *)"mes", 3}, {(char *)"sage", 4}}, in;
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};
	struct sockaddr_in peer;
	socklen_t len = sizeof(peer), optlen = sizeof(limit);
	char buf[64];

	sub("connect", 3, c, &here, sizeof(here), 0, 0, 0);
	a = sub("accept", 5, l, &peer, &len, 0, 0, 0);
	sub("getpeername", 7, c, &peer, &len, 0, 0, 0);
	sub("send", 9, c, "old send", 8, 0, 0, 0);
	sub("recv", 10, a, buf, 60, 0, 0, 0);
	sub("sendto", 11, a, "old sendto", 10, MSG_NOSIGNAL, 0, 0);
	sub("recvfrom", 12, c, buf, 60, 0, 0, 0);
	sub("setsockopt", 14, c, SOL_SOCKET, 20, &limit, 8, 0);
	sub("getsockopt", 15, c, SOL_SOCKET, 20, &limit, &optlen, 0);
	sub("setsockopt", 14, c, IPPROTO_TCP, 1, &one, 4, 0);
	sub("sendmsg", 16, c, &m, 0, 0, 0, 0);
	in = (struct iovec){buf, 60};
	m.msg_iov = &in;
	m.msg_iovlen = 1;
	sub("recvmsg", 17, a, &m, 0, 0, 0, 0);
	sub("shutdown", 13, c, SHUT_WR, 0, 0, 0, 0);
	/* An end, and an error. */
	sub("recv", 10, a, buf, 60, 0, 0, 0);
	printf("%ld %d\n",
		syscall(102, 10,
			(unsigned long[]){
				c, (unsigned long)buf, 60, MSG_DONTWAIT}),
		errno);
	printf("%ld %d\n", syscall(102, 77, NULL), errno);
	CALL("close", 6, c);
	CALL("close", 6, a);
}

/* Those that have a number of their own now; *other is the end of *conn. */
static void
new_sockets(int l, int *conn, int *other)
{
	int c = CALL("socket", 359, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), a;
	struct new_time limit = {9, 10000};
	struct sockaddr_in peer;
	socklen_t len = sizeof(peer), optlen = 4;
	int value = 1;
	char buf[64];

	CALL("setsockopt", 366, c, SOL_SOCKET, SO_REUSEADDR, &value, 4);
	CALL("getsockopt", 365, c, SOL_SOCKET, SO_TYPE, &value, &optlen);
	CALL("setsockopt", 366, c, SOL_SOCKET, 66, &limit, sizeof(limit));
	CALL("connect", 362, c, &here, sizeof(here));
	a = CALL("accept4", 364, l, &peer, &len, SOCK_NONBLOCK);
	CALL("getpeername", 368, c, &peer, &len);
	CALL("getsockname", 367, c, &peer, &len);
	CALL("sendto", 369, c, "new sendto", 10, 0, NULL, 0);
	CALL("recvfrom", 371, a, buf, 60, 0, &peer, &len);
	*conn = c;
	*other = a;
}

static void
messages(int c, int a)
{
	struct iovec iov[2] = {{(char *)"one", 3}, {(char *)"three", 5}};
	struct mmsghdr m[2] = {
		{.msg_hdr = {.msg_iov = &iov[0], .msg_iovlen = 1}},
		{.msg_hdr = {.msg_iov = &iov[1], .msg_iovlen = 1}}};
	char buf[2][64], control[CMSG_SPACE(sizeof(int))] = "";
	struct msghdr h = {.msg_iov = iov, .msg_iovlen = 1};
	struct cmsghdr *head;
	int u[2], got;

	CALL("sendmmsg", 345, c, m, 2, 0);
	iov[0] = (struct iovec){buf[0], 3};
	iov[1] = (struct iovec){buf[1], 60};
	CALL("recvmmsg", 337, a, m, 2, 0, SHORT_TIME);
	CALL("sendto", 369, c, "four", 4, 0, NULL, 0);
	CALL("recvmmsg_time64", 417, a, m, 1, 0, LONG_TIME);
	CALL("recvfrom", 371, a, buf[1], 60, 0, NULL, NULL);

	/* A descriptor goes through, */
	CALL("socketpair", 360, AF_UNIX, SOCK_STREAM, 0, u);
	h.msg_control = control;
	h.msg_controllen = sizeof(control);
	head = CMSG_FIRSTHDR(&h);
	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(head), &c, sizeof(int));
	iov[0] = (struct iovec){(char *)"fd", 2};
	CALL("sendmsg", 370, u[0], &h, 0);
	iov[0].iov_base = buf[0];
	CALL("recvmsg", 372, u[1], &h, MSG_CMSG_CLOEXEC);
	memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&h)), sizeof(int));
	/* and is what was sent. */
	CALL("write", 4, got, "through it", 10);
	CALL("read", 3, a, buf[0], 60);
	CALL("shutdown", 373, u[0], SHUT_RDWR);
	CALL("close", 6, got);
	CALL("close", 6, u[0]);
	CALL("close", 6, u[1]);
}

static void
bytes(int c, int a)
{
	int f = check(memfd_create("i386", MFD_CLOEXEC), "memfd_create"), p[2];
	struct iovec iov[2] = {{(char *)"vec", 3}, {(char *)"tors", 4}}, in;
	char buf[64];
	long off = 2;
	int64_t off64 = 4;

	CALL("writev", 146, c, iov, 2);
	in = (struct iovec){buf, 60};
	CALL("readv", 145, a, &in, 1);
	CALL("pwritev2", 379, c, iov, 2, -1, -1, RWF_NOWAIT);
	CALL("preadv2", 378, a, &in, 1, -1, -1, RWF_NOWAIT);
	check(pwrite(f, "0123456789", 10, 0), "pwrite");
	CALL("sendfile", 187, c, f, &off, 3);
	CALL("sendfile64", 239, c, f, &off64, 3);
	CALL("pipe2", 331, p, O_CLOEXEC);
	CALL("splice", 313, a, NULL, p[1], NULL, 6, 0);
	CALL("splice", 313, p[0], NULL, c, NULL, 6, 0);
	CALL("read", 3, a, buf, 60);
	printf("%.6s\n", buf);
	close(p[0]);
	close(p[1]);
	close(f);
}

static void
copies(int c)
{
	int d = CALL("dup", 41, c), value;

	CALL("dup2", 63, c, 40);
	CALL("dup3", 330, c, 41, O_CLOEXEC);
	CALL("fcntl", 55, c, F_DUPFD, 42);
	CALL("fcntl64", 221, c, F_DUPFD_CLOEXEC, 43);
	CALL("fcntl64", 221, c, F_GETFL, 0);
	CALL("ioctl", 54, c, FIONREAD, &value);
	CALL("close", 6, d);
	CALL("close_range", 436, 40, 43, 0);
}

static void
waits(int c, int a)
{
	struct pollfd p[2] = {{a, POLLIN, 0}, {c, POLLOUT, 0}};
	struct epoll_event ev = {.events = EPOLLIN, .data.fd = a}, got[4];
	struct old_time none = {0, 3000};
	unsigned long old[5];
	fd_set in, out;
	int e, size = a > c ? a + 1 : c + 1;

	CALL("poll", 168, p, 2, -1);
	CALL("ppoll", 309, p, 2, SHORT_TIME, NULL, 8);
	CALL("ppoll_time64", 414, p, 1, LONG_TIME, NULL, 8);
	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_SET(a, &in);
	FD_SET(c, &out);
	old[0] = size;
	old[1] = (unsigned long)&in;
	old[2] = (unsigned long)&out;
	old[3] = 0;
	old[4] = (unsigned long)&none;
	CALL("select", 82, old);
	FD_SET(a, &in);
	FD_SET(c, &out);
	none = (struct old_time){1, 4000};
	CALL("_newselect", 142, size, &in, &out, NULL, &none);
	FD_SET(a, &in);
	CALL("pselect6", 308, size, &in, NULL, NULL, SHORT_TIME, NULL);
	FD_SET(a, &in);
	CALL("pselect6_time64", 413, size, &in, NULL, NULL, LONG_TIME, NULL);
	e = CALL("epoll_create1", 329, EPOLL_CLOEXEC);
	close(CALL("epoll_create", 254, 3));
	CALL("epoll_ctl", 255, e, EPOLL_CTL_ADD, a, &ev);
	CALL("epoll_wait", 256, e, got, 4, 1);
	CALL("sendto", 369, c, "ready", 5, 0, NULL, 0);
	CALL("epoll_wait", 256, e, got, 4, -1);
	CALL("epoll_pwait", 319, e, got, 4, -1, NULL, 8);
	CALL("epoll_pwait2", 441, e, got, 4, LONG_TIME, NULL, 8);
	CALL("close", 6, e);
}

/* A child of the same program, and one that executes another. */
static void
children(int c, int a, char **argv)
{
	char buf[64];
	int status;
	pid_t pid;

	fflush(stdout);
	pid = check(fork(), "fork");
	if (!pid) {
		CALL("recvfrom", 371, a, buf, 60, 0, NULL, NULL);
		CALL("write", 4, c, "kid", 3);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	CALL("read", 3, a, buf, 60);
	pid = check(vfork(), "vfork");
	if (!pid) {
		execvp(argv[0], argv);
		_exit(1);
	}
	waitpid(pid, &status, 0);
	printf("%d\n", WEXITSTATUS(status));
}

static void
all(char **argv)
{
	int l, c, a;

	/* So that numbers are those of a terminal's program. */
	CALL("close_range", 436, 3, ~0u, 0);
	l = listener();
	old_sockets(l);
	new_sockets(l, &c, &a);
	messages(c, a);
	bytes(c, a);
	copies(c);
	waits(c, a);
	children(c, a, argv);
	close(c);
	close(a);
	close(l);
}

/* As libc makes them, for each line of stdin. */
static void
each_line(void)
{
	char line[64], buf[64];

	printf("ready\n");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		socklen_t len = sizeof(here);
		int l = listener(), c, a;

		c = check(socket(AF_INET, SOCK_STREAM, 0), "socket");
		check(connect(c, (void *)&here, len), "connect");
		a = check(accept(l, NULL, NULL), "accept");
		check(send(c, line, strlen(line), 0), "send");
		check(recv(a, buf, sizeof(buf), 0), "recv");
		close(a);
		close(c);
		close(l);
		printf("done\n");
		fflush(stdout);
	}
}

#else

static void
all(char **argv)
{
	(void)argv;
}

static void
each_line(void)
{
}

#endif

#ifdef __x86_64__

static long
int80(long nr, long a, long b, long c)
{
	long r;

	__asm__ volatile("int $0x80"
			 : "=a"(r)
			 : "a"(nr), "b"(a), "c"(b), "d"(c)
			 : "memory", "r8", "r9", "r10", "r11");
	return r;
}

/* What it points to must lie where 32 bits reach. */
static void
by_int80(void)
{
	uint32_t *args = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	int fd;

	args[0] = AF_INET;
	args[1] = SOCK_STREAM;
	fd = int80(102, 1, (long)(uintptr_t)args, 0);
	fd = fd < 0 ? fd : int80(41, fd, 0, 0);
	printf("%ld\n", int80(6, fd, 0, 0));
}

#else

static void
by_int80(void)
{
}

#endif

int
main(int argc, char **argv)
{
	if (argc > 2 && !strcmp(argv[1], "all"))
		all(argv + 2);
	else if (argc > 1 && !strcmp(argv[1], "wait"))
		each_line();
	else if (argc > 1 && !strcmp(argv[1], "int80"))
		by_int80();
	else
		return 2;
	return 42;
}
