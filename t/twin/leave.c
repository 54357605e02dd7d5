/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What takes an endpoint out of the library's sight: another process, stdio,
 * aio, io_uring. Each case begins with unread bytes in both rings.
 */
#include <config.h>

#include <aio.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "twin.h"

#define OUT 64 /* what the one who took it over sends */
#define MUCH 100000 /* less than a ring holds */

static char buf[4096];

/*
 * Unread at each side: TW_FLIGHT bytes. In the middle of a move what lies in
 * the ring stands behind bytes of TCP: it leaves before it came so far, and
 * is not counted as upgraded. So another one is.
 */
static struct tw_conn *
flying(void)
{
	struct tw_conn *c = tw_open();

	tw_flight(c);
	tw_tcp_ok(c);
	if (tw->mode == MODE_MIDDLE && c->upped) {
		static struct tw_conn *other;

		if (other == NULL)
			other = tw_open();
		atomic_fetch_sub(&tw->need_up, 1);
	}
	return c;
}

/* From here on the peer is in a call, until it has all and n more. */
static void
peer_takes(struct tw_conn *c, long n)
{
	p_start(OP_RECV, c, TW_FLIGHT + n, 0, 0);
}

static void
peer_took(void)
{
	struct tw_answer a = p_end();

	T("peer took %ld%s%s%s", a.r, a.bad ? " WRONG" : "",
		a.err ? " then " : "", a.err ? t_err(a.err) : "");
}

/* It goes on as a socket, and ends cleanly. */
static void
goes_on(struct tw_conn *c)
{
	p_send(c, 30);
	t_drain(c, 30);
	tw_fill(c, buf, 20);
	t_sent(c, "send", send(c->fd, buf, 20, MSG_NOSIGNAL));
	p_recv(c, 20);
	tw_rounds(c, false);
}

static void
ends(struct tw_conn *c)
{
	struct tw_answer a;

	tw_close(c);
	a = p_do(OP_RECV, c, -1, 0, 0);
	T("peer got %ld%s then %s", a.r, a.bad ? " WRONG" : "",
		a.err ? t_err(a.err) : "the end");
}

/* ---- SCM_RIGHTS ---- */

union control {
	struct cmsghdr h;
	char b[CMSG_SPACE(sizeof(int))];
};

enum how {
	BY_SENDMSG,
	BY_SENDMMSG,
	BY_SYSCALL,
	BY_SYSCALLS,
	HOWS
};

/* What stands in c says where in the stream its taker begins. */
static void
pass(int to, int fd, struct tw_conn *c, enum how how)
{
	union control u;
	struct iovec v = {c, sizeof *c};
	struct mmsghdr mm = {.msg_hdr = {.msg_iov = &v,
				     .msg_iovlen = 1,
				     .msg_control = &u,
				     .msg_controllen = sizeof u}};
	long r;

	memset(&u, 0, sizeof u);
	u.h = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)),
		.cmsg_level = SOL_SOCKET,
		.cmsg_type = SCM_RIGHTS};
	memcpy(CMSG_DATA(&u.h), &fd, sizeof fd);
	switch (how) {
	case BY_SENDMSG:
		r = sendmsg(to, &mm.msg_hdr, 0) == sizeof *c;
		break;
	case BY_SENDMMSG:
		r = sendmmsg(to, &mm, 1, 0);
		break;
	case BY_SYSCALL:
		r = syscall(SYS_sendmsg, to, &mm.msg_hdr, 0) == sizeof *c;
		break;
	default:
		r = syscall(SYS_sendmmsg, to, &mm, 1, 0);
	}
	/* Whoever takes it may speak first. */
	if (r != 1)
		t_ret("passed", r);
}

static bool
taken(int from, struct tw_conn *c)
{
	union control u;
	struct iovec v = {c, sizeof *c};
	struct msghdr m = {.msg_iov = &v,
		.msg_iovlen = 1,
		.msg_control = &u,
		.msg_controllen = sizeof u};

	if (recvmsg(from, &m, MSG_CMSG_CLOEXEC) != sizeof *c ||
		m.msg_controllen < sizeof u)
		return false;
	memcpy(&c->fd, CMSG_DATA(&u.h), sizeof c->fd);
	c->count = c->upped = false;
	return true;
}

/* Whoever took it over reads what is left, and writes. */
static void
takes_over(struct tw_conn *c)
{
	t_drain(c, TW_FLIGHT);
	tw_fill(c, buf, OUT);
	t_sent(c, "write", write(c->fd, buf, OUT));
	t_ret("close", close(c->fd));
}

/* A process that knew nothing of the connection: twin --taker. */
int
tw_taker_main(void)
{
	struct tw_conn c;

	if (!taken(0, &c))
		return 1;
	takes_over(&c);
	return 0;
}

/* Another program, with what it is to be and an argument (or NULL). */
static pid_t
other(const char *as, const char *arg, int *to, bool with_library)
{
	int sv[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0)
		abort();
	pid = fork();
	if (pid == 0) {
		dup2(sv[1], 0);
		if (!with_library)
			unsetenv("LD_PRELOAD");
		execl("/proc/self/exe", "twin", as, arg, (char *)NULL);
		_exit(9);
	}
	close(sv[1]);
	*to = sv[0];
	return pid;
}

static pid_t
taker(int *to, bool with_library)
{
	return other("--taker", NULL, to, with_library);
}

static void
taker_done(struct tw_conn *c, pid_t pid)
{
	int st = -1;

	waitpid(pid, &st, 0);
	t_ret("taker", st);
	c->rx += TW_FLIGHT;
	c->tx += OUT;
	peer_took();
}

static void
to_a_stranger(bool with_library, enum how how)
{
	int to;
	pid_t pid = taker(&to, with_library);
	struct tw_conn *c = flying();

	pass(to, c->fd, c, how);
	peer_takes(c, OUT);
	taker_done(c, pid);
	close(to);
	goes_on(c);
	ends(c);
}

CASE(leave, rights, F_TCP)
{
	for (int how = 0; how < HOWS; how++)
		to_a_stranger(true, how);
}

CASE(leave, rights_to_no_library, F_TCP)
{
	to_a_stranger(false, BY_SENDMSG);
}

/* The sender has closed its own before the other one looks. */
CASE(leave, rights_and_closed, F_TCP)
{
	int to;
	pid_t pid = taker(&to, true);
	struct tw_conn *c = flying();
	struct tw_answer a;
	int st = -1;

	peer_takes(c, OUT);
	pass(to, c->fd, c, BY_SENDMSG);
	/* Whoever took it may speak first. */
	if (close(c->fd) != 0)
		T("not closed: %s", t_err(errno));
	waitpid(pid, &st, 0);
	t_ret("taker", st);
	peer_took();
	a = p_do(OP_RECV, c, -1, 0, 0);
	T("peer got %ld then %s", a.r, a.err ? t_err(a.err) : "the end");
	close(to);
}

/* A child that had it by fork takes it once more, by another number. */
CASE(leave, rights_to_child, F_TCP)
{
	struct tw_conn *c = flying();
	int sv[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sv) < 0)
		abort();
	pid = fork();
	if (pid == 0) {
		struct tw_conn its;

		close(sv[0]);
		close(c->fd);
		if (!taken(sv[1], &its))
			_exit(1);
		takes_over(&its);
		_exit(0);
	}
	close(sv[1]);
	pass(sv[0], c->fd, c, BY_SENDMSG);
	peer_takes(c, OUT);
	taker_done(c, pid);
	close(sv[0]);
	goes_on(c);
	ends(c);
}

/* Passed, and used by the sender alone: by a dup, too. */
CASE(leave, rights_of_a_dup, F_TCP)
{
	struct tw_conn *c = flying();
	int sv[2], d = dup(c->fd);

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sv) < 0)
		abort();
	pass(sv[0], d, c, BY_SENDMSG);
	close(d);
	/* Nobody ever takes it. */
	close(sv[1]);
	close(sv[0]);
	peer_takes(c, 0);
	t_drain(c, TW_FLIGHT);
	peer_took();
	goes_on(c);
	ends(c);
}

/* To itself: the number that comes is another one of the same socket. */
CASE(leave, rights_to_itself, F_TCP)
{
	struct tw_conn *c = flying(), d;
	int sv[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sv) < 0)
		abort();
	pass(sv[0], c->fd, c, BY_SENDMSG);
	peer_takes(c, 2 * OUT);
	T("taken %d", taken(sv[1], &d));
	t_got(c, "recv", recv(c->fd, buf, 100, MSG_WAITALL), buf);
	d.rx = c->rx;
	t_got(&d, "recv", recv(d.fd, buf, 100, MSG_WAITALL), buf);
	c->rx = d.rx;
	tw_fill(c, buf, OUT);
	t_sent(c, "send", send(c->fd, buf, OUT, 0));
	d.tx = c->tx;
	tw_fill(&d, buf, OUT);
	t_sent(&d, "send", send(d.fd, buf, OUT, 0));
	c->tx = d.tx;
	t_ret("close", close(d.fd));
	t_drain(c, TW_FLIGHT - 200);
	peer_took();
	goes_on(c);
	ends(c);
}

/* ---- an epoll set ---- */

static int
by_data(const void *a, const void *b)
{
	const struct epoll_event *x = a, *y = b;

	return x->data.u64 < y->data.u64 ? -1 : x->data.u64 > y->data.u64;
}

/* A wait may bring some of what is there before the rest. */
static void
see(const char *who, int ep, int n)
{
	struct epoll_event ev[8];
	char s[256] = "";
	int r = epoll_wait(ep, ev, 8, 0);

	for (int i = 0; i < 50 && r < n; i++)
		r = epoll_wait(ep, ev, 8, 100);
	qsort(ev, r < 0 ? 0 : (size_t)r, sizeof *ev, by_data);
	for (int i = 0; i < r; i++)
		sprintf(s + strlen(s), " %llx:%s",
			(unsigned long long)ev[i].data.u64, t_ev(ev[i].events));
	T("%s sees %d%s", who, r, s);
}

/*
 * A process that only waits on a set: twin --watcher. For each byte that comes,
 * it says how many events it is to see, it looks and answers. from: the set's
 * number in a process that became this one, or -1: it comes first.
 */
int
tw_watcher_main(int ep)
{
	struct tw_conn c;
	char n;

	if (ep < 0) {
		if (!taken(0, &c))
			return 1;
		ep = c.fd;
	}
	while (read(0, &n, 1) == 1) {
		see("watcher", ep, n);
		if (write(0, &n, 1) != 1)
			return 2;
	}
	return 0;
}

static pid_t
watcher(int *to, bool with_library)
{
	return other("--watcher", "-1", to, with_library);
}

/* It is told to look, and has looked. */
static void
watches(int to, char n)
{
	if (write(to, &n, 1) != 1 || read(to, &n, 1) != 1)
		T("no watcher");
}

/* Both look: who has the set, and who got it. */
static void
look(int to, int ep, char n)
{
	see("we", ep, n);
	watches(to, n);
}

static void
watched(int to, pid_t pid)
{
	int st = -1;

	close(to);
	waitpid(pid, &st, 0);
	t_ret("watcher", st);
}

static void
add(int ep, int fd, unsigned events, uint64_t data)
{
	struct epoll_event ev = {.events = events, .data.u64 = data};

	t_ret("add", epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
}

/* What lay in the ring comes when the peer calls. */
static void
back_by_tcp(struct tw_conn *c, int n)
{
	int v = 0;

	p_do(OP_POLL, c, POLLIN, 0, 0);
	for (int i = 0; i < 1000 && v < n; i++) {
		if (kmap_syscall(SYS_ioctl, c->fd, FIONREAD, &v, 0, 0, 0) < 0)
			return;
		if (v < n)
			tw_msleep(1);
	}
}

/* What is asked for when it is passed, spent or not. */
static void
pass_set(bool with_library, enum how how)
{
	static const unsigned kinds[] = {EPOLLIN, EPOLLIN | EPOLLOUT,
		EPOLLIN | EPOLLEXCLUSIVE, EPOLLIN | EPOLLET,
		EPOLLIN | EPOLLONESHOT};
	int to, ep = epoll_create1(EPOLL_CLOEXEC), e = eventfd(0, 0);
	pid_t pid = watcher(&to, with_library);
	struct tw_conn none = {0}, *c[5], *spent = tw_open(), *gone;

	tw_mid(spent);
	gone = tw_open();
	add(ep, spent->fd, EPOLLIN | EPOLLONESHOT, 0x90);
	add(ep, gone->fd, EPOLLIN, 0x91);
	add(ep, e, EPOLLIN, 0x92);
	p_send(spent, 10);
	see("we", ep, 1);
	for (int i = 0; i < 5; i++) {
		c[i] = tw_open();
		add(ep, c[i]->fd, kinds[i], 0x10 + i);
	}
	see("we", ep, 1);
	t_ret("del", epoll_ctl(ep, EPOLL_CTL_DEL, gone->fd, NULL));
	p_send(gone, 10);
	for (int i = 0; i < 5; i++)
		p_send(c[i], 10);
	for (int i = 0; i < 5; i++)
		tw_tcp_ok(c[i]);
	tw_tcp_ok(spent);
	tw_tcp_ok(gone);
	pass(to, ep, &none, how);
	for (int i = 0; i < 5; i++)
		back_by_tcp(c[i], 10);
	back_by_tcp(spent, 10);
	watches(to, 5);
	see("we", ep, 3);
	for (int i = 0; i < 5; i++)
		t_drain(c[i], 10);
	look(to, ep, 1);
	/* It goes on, for both. */
	p_send(c[0], 10);
	t_ret("write", eventfd_write(e, 1));
	look(to, ep, 3);
	t_drain(c[0], 10);
	t_drain(spent, 10);
	t_drain(gone, 10);
	watched(to, pid);
	for (int i = 0; i < 5; i++)
		goes_on(c[i]);
	close(ep);
	close(e);
}

CASE(leave, rights_of_a_set, F_TCP)
{
	pass_set(true, BY_SENDMSG);
}

CASE(leave, rights_of_a_set_to_no_library, F_TCP)
{
	pass_set(false, BY_SYSCALLS);
}

/* Somebody has looked at the set from outside: what is told once is kept. */
CASE(leave, rights_of_a_set_looked_at, F_TCP)
{
	int to, ep = epoll_create1(EPOLL_CLOEXEC), e = eventfd(1, 0);
	pid_t pid = watcher(&to, true);
	struct tw_conn none = {0}, *c = tw_open();
	struct pollfd p = {ep, POLLIN, 0};

	tw_mid(c);
	tw_tcp_ok(c);
	add(ep, c->fd, EPOLLIN, 0x10);
	add(ep, e, EPOLLIN | EPOLLET, 0x20);
	t_ret("poll", poll(&p, 1, 1000));
	t_ret("poll", poll(&p, 1, 1000));
	pass(to, ep, &none, BY_SENDMSG);
	watches(to, 1);
	look(to, ep, 0);
	watched(to, pid);
	goes_on(c);
	ends(c);
	close(ep);
	close(e);
}

/* The set is passed while it is empty; what is added has moved. */
CASE(leave, rights_of_a_set_first, F_TCP)
{
	int to, ep = epoll_create1(EPOLL_CLOEXEC);
	pid_t pid = watcher(&to, true);
	struct tw_conn none = {0}, *c;

	pass(to, ep, &none, BY_SENDMSG);
	see("we", ep, 0);
	c = flying();
	add(ep, c->fd, EPOLLIN, 0x10);
	peer_takes(c, 0);
	look(to, ep, 1);
	t_drain(c, TW_FLIGHT);
	peer_took();
	look(to, ep, 0);
	p_send(c, 10);
	look(to, ep, 1);
	t_drain(c, 10);
	watched(to, pid);
	goes_on(c);
	ends(c);
	close(ep);
}

/* Of a set inside the one that is passed: what it has shows. */
CASE(leave, rights_of_an_outer_set, F_TCP)
{
	int to, in = epoll_create1(EPOLL_CLOEXEC);
	int ep = epoll_create1(EPOLL_CLOEXEC);
	pid_t pid = watcher(&to, true);
	struct tw_conn none = {0}, *c = flying();

	add(in, c->fd, EPOLLIN, 0x10);
	see("we inside", in, 1);
	add(ep, in, EPOLLIN, 0x20);
	pass(to, ep, &none, BY_SENDMSG);
	peer_takes(c, 0);
	look(to, ep, 1);
	t_drain(c, TW_FLIGHT);
	peer_took();
	look(to, ep, 0);
	p_send(c, 10);
	look(to, ep, 1);
	see("we inside", in, 1);
	t_drain(c, 10);
	/* What is taken before anybody looked is not seen any more. */
	p_send(c, 10);
	t_drain(c, 10);
	watches(to, 0);
	watched(to, pid);
	goes_on(c);
	ends(c);
	close(in);
	close(ep);
}

/* The other way round: it came, and what moves is added here. */
CASE(leave, rights_of_a_set_back, F_TCP)
{
	int to, ep = epoll_create1(EPOLL_CLOEXEC), sv[2];
	pid_t pid = watcher(&to, true);
	struct tw_conn none = {0}, *c = flying();

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sv) < 0)
		abort();
	pass(to, ep, &none, BY_SENDMSG);
	pass(sv[0], ep, &none, BY_SENDMSG);
	close(ep);
	T("taken %d", taken(sv[1], &none));
	add(none.fd, c->fd, EPOLLIN, 0x10);
	peer_takes(c, 0);
	look(to, none.fd, 1);
	t_drain(c, TW_FLIGHT);
	peer_took();
	look(to, none.fd, 0);
	watched(to, pid);
	goes_on(c);
	ends(c);
	close(none.fd);
	close(sv[0]);
	close(sv[1]);
}

/* A program that takes this one's place has the set, and the connection. */
CASE(leave, set_in_exec, F_TCP)
{
	struct tw_conn *c = flying();
	struct tw_answer a;
	int sv[2];
	char n = 1;
	pid_t pid;

	peer_takes(c, 0);
	t_drain(c, TW_FLIGHT);
	peer_took();
	p_send(c, 10);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0)
		abort();
	pid = fork();
	if (pid == 0) {
		int ep = epoll_create1(0);
		char s[16];

		add(ep, c->fd, EPOLLIN, 0x10);
		see("child", ep, 1);
		/* Until it alone has the connection. */
		if (read(sv[1], &n, 1) != 1)
			_exit(8);
		dup2(sv[1], 0);
		sprintf(s, "%d", ep);
		execl("/proc/self/exe", "twin", "--watcher", s, (char *)NULL);
		_exit(9);
	}
	close(sv[1]);
	p_start(OP_RECV, c, -1, 0, 0);
	close(c->fd);
	if (write(sv[0], &n, 1) != 1)
		T("no child");
	watches(sv[0], 1);
	watched(sv[0], pid);
	a = p_end();
	T("peer got %ld then %s", a.r, a.err ? t_err(a.err) : "the end");
}

/* ---- pidfd_getfd ---- */

/* Whoever takes a copy from outside, and leaves its bytes alone, does no
 * harm. */
CASE(leave, pidfd_getfd, F_TCP)
{
	struct tw_conn *c = flying();
	pid_t parent = getpid(), pid = fork();
	int st = -1;

	if (pid == 0) {
		struct sockaddr_storage ss;
		socklen_t l = sizeof ss;
		int at = (int)syscall(SYS_pidfd_open, parent, 0), fd;

		close(c->fd);
		fd = (int)syscall(SYS_pidfd_getfd, at, c->fd, 0);
		if (fd < 0)
			T("taken %s", t_err(errno));
		else
			t_ret("getpeername",
				getpeername(fd, (struct sockaddr *)&ss, &l));
		close(fd);
		_exit(0);
	}
	waitpid(pid, &st, 0);
	t_ret("child", st);
	t_drain(c, TW_FLIGHT);
	peer_takes(c, 0);
	peer_took();
	goes_on(c);
	ends(c);
}

/* ---- stdio ---- */

static void
prints(struct tw_conn *c, int (*print)(int fd, const char *fmt, ...))
{
	static const char fmt[] = "%c%c%c%c%c%c%c%c";

	tw_fill(c, buf, 8);
	t_sent(c, "printed",
		print(c->fd, fmt, buf[0], buf[1], buf[2], buf[3], buf[4],
			buf[5], buf[6], buf[7]));
}

static int
by_vdprintf(int fd, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = vdprintf(fd, fmt, ap);
	va_end(ap);
	return r;
}

int __dprintf_chk(int fd, int flag, const char *fmt, ...);
int __vdprintf_chk(int fd, int flag, const char *fmt, va_list ap);

static int
by_vdprintf_chk(int fd, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = __vdprintf_chk(fd, 1, fmt, ap);
	va_end(ap);
	return r;
}

static void
printed(int (*print)(int fd, const char *fmt, ...))
{
	struct tw_conn *c = flying();

	peer_takes(c, 16);
	prints(c, print);
	prints(c, print);
	t_drain(c, TW_FLIGHT);
	peer_took();
	goes_on(c);
	ends(c);
}

CASE(leave, dprintf, F_TCP)
{
	printed(dprintf);
	printed(by_vdprintf);
	printed(by_vdprintf_chk);
}

/* A whole stream of its own, read and written. */
static void
streamed(struct tw_conn *c, FILE *in, FILE *out)
{
	/* Byte by byte: what fgets calls a line need not be one. */
	for (int i = 0; i < 100; i++)
		if (fgets(buf + i, 2, in) == NULL)
			T("fgets %d", i);
	t_got(c, "fgets", 100, buf);
	t_got(c, "fread", (long)fread(buf, 1, TW_FLIGHT - 100, in), buf);
	tw_fill(c, buf, OUT);
	buf[OUT] = '\0';
	for (int i = 0; i < OUT; i++) {
		char s[2] = {buf[i], '\0'};
		int r = s[0] ? fputs(s, out) : fputc(0, out);

		if (r < 0)
			T("fputs %d", i);
	}
	t_ret("fflush", fflush(out));
	c->tx += OUT;
}

CASE(leave, fdopen, F_TCP)
{
	struct tw_conn *c = flying();
	FILE *f = fdopen(c->fd, "r+");

	peer_takes(c, OUT);
	streamed(c, f, f);
	peer_took();
	goes_on(c);
	t_ret("fclose", fclose(f));
	t_ret("fcntl", fcntl(c->fd, F_GETFD));
	T("peer sees %ld", p_do(OP_RECV, c, -1, 0, 0).r);
}

/*
 * More than TCP takes at once, from a peer that waits for an answer: it goes
 * on to pay while it sleeps.
 */
static void
much(int op, long a, long b)
{
	struct tw_conn *c = tw_open();
	int small = 4096;
	FILE *f;

	tw_mid(c);
	tw_tcp_ok(c);
	p_send(c, MUCH);
	t_ret("SO_RCVBUF",
		setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small));
	p_do(OP_SETOPT, c, SOL_SOCKET, SO_SNDBUF, small);
	p_start(op, c, a, b, 0);
	f = fdopen(dup(c->fd), "w");
	t_drain(c, MUCH);
	tw_fill(c, buf, OUT);
	t_sent(c, "fwrite", (long)fwrite(buf, 1, OUT, f));
	t_ret("fclose", fclose(f));
	T("peer %ld", p_end().r);
	if (op == OP_POLL)
		p_recv(c, OUT);
	tw_rounds(c, false);
	ends(c);
}

CASE(leave, much_to_recv, F_TCP)
{
	much(OP_RECV, OUT, 0);
}

/* It only polls, and then has its bytes. */
CASE(leave, much_to_poll, F_TCP)
{
	much(OP_POLL, POLLIN, 5000);
}

/*
 * What this end sends is on TCP: no record wakes the peer, which sleeps for
 * an answer to what it sent.
 */
CASE(leave, one_way, F_TCP)
{
	struct tw_conn *c = tw_open();
	FILE *f;

	tw_mid(c);
	tw_tcp_ok(c);
	/* It sleeps a few times, and has a place of its own by then. */
	for (int i = 0; i < 4; i++) {
		p_start(OP_RECV, c, 1, 0, 0);
		tw_msleep(5);
		tw_fill(c, buf, 1);
		t_sent(c, "send",
			send(c->fd, buf, 1, i < 3 ? 0 : MSG_ZEROCOPY));
		p_end();
		p_when(OP_SEND, c, 1, 0, 0);
		t_got(c, "recv", recv(c->fd, buf, 1, 0), buf);
		p_end();
	}
	p_send(c, 100);
	p_start(OP_RECV, c, OUT, 0, 0);
	tw_msleep(20);
	f = fdopen(c->fd, "r+");
	t_got(c, "fread", (long)fread(buf, 1, 100, f), buf);
	tw_fill(c, buf, OUT);
	t_sent(c, "fwrite", (long)fwrite(buf, 1, OUT, f));
	t_ret("fflush", fflush(f));
	T("peer got %ld", p_end().r);
	goes_on(c);
	ends(c);
}

/* ---- the other end leaves ---- */

enum way {
	IN_RECV,
	IN_POLL,
	IN_SELECT,
	IN_EPOLL
};

static void
waits(struct tw_conn *c, enum way way)
{
	struct pollfd p = {c->fd, POLLIN, 0};
	struct epoll_event ev = {.events = EPOLLIN};
	fd_set in;
	int ep;

	switch (way) {
	case IN_RECV:
		break;
	case IN_POLL:
		t_ret("poll", poll(&p, 1, -1));
		break;
	case IN_SELECT:
		FD_ZERO(&in);
		FD_SET(c->fd, &in);
		t_ret("select", select(c->fd + 1, &in, NULL, NULL, NULL));
		break;
	case IN_EPOLL:
		ep = epoll_create1(EPOLL_CLOEXEC);
		t_ret("add", epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &ev));
		t_ret("epoll_wait", epoll_wait(ep, &ev, 1, -1));
		close(ep);
	}
	t_got(c, "recv", recv(c->fd, buf, 10, 0), buf);
}

/* Its unread bytes are more than TCP takes at once, and this end sleeps. */
static void
other_leaves(enum way way)
{
	static char bytes[MUCH];
	struct tw_conn *c = tw_open();
	struct tw_answer a;
	int small = 4096;

	tw_mid(c);
	tw_tcp_ok(c);
	tw_fill(c, bytes, MUCH);
	t_sent(c, "send", send(c->fd, bytes, MUCH, 0));
	p_do(OP_SETOPT, c, SOL_SOCKET, SO_RCVBUF, small);
	t_ret("SO_SNDBUF",
		setsockopt(c->fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small));
	p_when(OP_LEAVE, c, MUCH, 10, 0);
	waits(c, way);
	a = p_end();
	T("peer got %ld%s %s", a.r, a.bad ? " WRONG" : "", t_err(a.err));
	goes_on(c);
	ends(c);
}

CASE(leave, other_in_recv, F_TCP)
{
	other_leaves(IN_RECV);
}

CASE(leave, other_in_poll, F_TCP)
{
	other_leaves(IN_POLL);
}

CASE(leave, other_in_select, F_TCP)
{
	other_leaves(IN_SELECT);
}

CASE(leave, other_in_epoll, F_TCP)
{
	other_leaves(IN_EPOLL);
}

/* As a server that has a stream for each way. */
CASE(leave, fdopen_twice, F_TCP)
{
	struct tw_conn *c = flying();
	FILE *in = fdopen(c->fd, "r"), *out = fdopen(dup(c->fd), "w");

	peer_takes(c, OUT);
	streamed(c, in, out);
	peer_took();
	t_ret("fclose", fclose(out));
	goes_on(c);
	t_ret("fclose", fclose(in));
	T("peer sees %ld", p_do(OP_RECV, c, -1, 0, 0).r);
}

static FILE *stream;
static pthread_t streamer;
static _Atomic pid_t streamer_tid;

static void *
streams_there(void *fd)
{
	atomic_store(&streamer_tid, tw_tid());
	stream = fdopen((int)(intptr_t)fd, "r+");
	return NULL;
}

/* It is done, or waits for us. */
static void
streams_beside(int fd)
{
	if (pthread_create(
		    &streamer, NULL, streams_there, (void *)(intptr_t)fd) != 0)
		abort();
	while (atomic_load(&streamer_tid) == 0)
		tw_msleep(1);
	tw_asleep(atomic_load(&streamer_tid));
}

/* A connection that becomes a stream as another thread comes to the point;
 * where it does not come there, and need not, after some rounds. */
static struct tw_conn *
streams_at(const char *point, bool must)
{
	struct tw_conn *c = tw_open_raw();

	tw_at(point, c->fd, streams_beside);
	tw_now();
	for (int i = 0; i < 3; i++)
		tw_rounds(c, false);
	if (atomic_load(&streamer_tid) != 0)
		pthread_join(streamer, NULL);
	else if (must)
		tw_fault("it never came to %s", point);
	else
		streams_there((void *)(intptr_t)c->fd);
	return c;
}

/* As one thread makes it a stream, another one is about to consent. */
CASE(leave, fdopen_at_consent, F_NOUP)
{
	struct tw_conn *c = streams_at("consenting", tw->mode == MODE_MIDDLE);

	for (int i = 0; i < 3; i++) {
		p_send(c, 10);
		t_got(c, "read", (long)fread(buf, 1, 10, stream), buf);
	}
	tw_rounds(c, false);
	t_ret("fclose", fclose(stream));
}

/* The same as the other thread is about to pair. (Who accepts does it where
 * the test can say when.) */
CASE(leave, fdopen_at_pairing, F_NOUP)
{
	struct tw_conn *c = streams_at(
		"rendezvous-sent", tw->acceptor && tw->mode == MODE_MIDDLE);

	for (int i = 0; i < 3; i++) {
		p_send(c, 10);
		t_got(c, "read", (long)fread(buf, 1, 10, stream), buf);
		tw_fill(c, buf, 10);
		t_sent(c, "write", (long)fwrite(buf, 1, 10, stream));
		t_ret("fflush", fflush(stream));
		p_recv(c, 10);
		tw_rounds(c, false);
	}
	t_ret("fclose", fclose(stream));
}

/* Unread bytes are there when it is closed: the peer gets a RST. */
CASE(leave, fclose_unread, F_TCP)
{
	struct tw_conn *c = flying();
	FILE *f = fdopen(c->fd, "r");
	struct tw_answer a;

	peer_takes(c, 0);
	t_got(c, "fgetc", fgets(buf, 2, f) != NULL, buf);
	peer_took();
	p_send(c, 10);
	t_ret("fclose", fclose(f));
	a = p_do(OP_RECV, c, -1, 0, 0);
	T("peer got %ld then %s", a.r, a.err ? t_err(a.err) : "the end");
}

/* ---- aio ---- */

static long
aio_end(struct aiocb *cb)
{
	const struct aiocb *list[] = {cb};
	struct timespec ts = {.tv_sec = 5};
	int e;

	while ((e = aio_error(cb)) == EINPROGRESS)
		if (aio_suspend(list, 1, &ts) < 0 && errno == EAGAIN)
			return -1;
	errno = e;
	return aio_return(cb);
}

/* n bytes in as many calls as it takes. */
static void
aio_all(struct tw_conn *c, const char *what, size_t n,
	int (*start)(struct aiocb *))
{
	size_t sum = 0;

	while (sum < n) {
		struct aiocb cb = {.aio_fildes = c->fd,
			.aio_buf = buf + sum,
			.aio_nbytes = n - sum};
		long r = start(&cb) < 0 ? -1 : aio_end(&cb);

		if (r <= 0) {
			t_ret(what, r);
			return;
		}
		sum += (size_t)r;
	}
	if (start == aio_write)
		t_sent(c, what, (long)sum);
	else
		t_got(c, what, (long)sum, buf);
}

static int
listed_read(struct aiocb *cb)
{
	cb->aio_lio_opcode = LIO_READ;
	return lio_listio(LIO_WAIT, &cb, 1, NULL);
}

CASE(leave, aio, F_TCP)
{
	struct tw_conn *c = flying();

	peer_takes(c, 2 * OUT);
	aio_all(c, "aio_read", 100, aio_read);
	tw_fill(c, buf, OUT);
	aio_all(c, "aio_write", OUT, aio_write);
	aio_all(c, "aio_read", TW_FLIGHT - 100, aio_read);
	tw_fill(c, buf, OUT);
	t_sent(c, "send", send(c->fd, buf, OUT, 0));
	peer_took();
	goes_on(c);
	ends(c);
}

CASE(leave, aio_write_first, F_TCP)
{
	struct tw_conn *c = flying();

	peer_takes(c, OUT);
	tw_fill(c, buf, OUT);
	aio_all(c, "aio_write", OUT, aio_write);
	t_drain(c, TW_FLIGHT);
	peer_took();
	goes_on(c);
	ends(c);
}

/* Both ways in one list, and a list of one. */
CASE(leave, lio_listio, F_TCP)
{
	struct tw_conn *c = flying();
	char out[OUT];
	struct aiocb in = {.aio_fildes = c->fd,
		.aio_buf = buf,
		.aio_nbytes = 1,
		.aio_lio_opcode = LIO_READ};
	struct aiocb wr = {.aio_fildes = c->fd,
		.aio_buf = out,
		.aio_nbytes = OUT,
		.aio_lio_opcode = LIO_WRITE};
	struct aiocb *list[] = {&in, NULL, &wr};

	peer_takes(c, OUT);
	tw_fill(c, out, OUT);
	t_ret("lio_listio", lio_listio(LIO_WAIT, list, 3, NULL));
	t_got(c, "read", aio_return(&in), buf);
	t_sent(c, "write", aio_return(&wr));
	aio_all(c, "lio_listio", TW_FLIGHT - 1, listed_read);
	peer_took();
	goes_on(c);
	ends(c);
}

/* ---- the process as a whole ---- */

#ifndef __SANITIZE_ADDRESS__ /* its own mlockall does nothing */
/* What lives on the ring goes on there; what comes later does not go there. */
CASE(leave, mlockall, 0)
{
	struct tw_conn *c = tw_open(), *d;

	tw_flight(c);
	t_ret("mlockall", mlockall(MCL_FUTURE));
	peer_takes(c, 0);
	t_drain(c, TW_FLIGHT);
	peer_took();
	goes_on(c);
	d = tw_open_raw();
	for (int i = 0; i < 4; i++)
		tw_rounds(d, false);
	if (tw_tp_up(d->fd) > 0)
		tw_fault("moved although all memory to come is pinned");
	goes_on(d);
	ends(d);
	t_ret("munlockall", munlockall());
	goes_on(c);
	ends(c);
}
#endif

/* ---- io_uring ---- */

struct uring {
	int fd;
	struct io_uring_params p;
	char *ring;
	struct io_uring_sqe *sqe;
};

static bool
uring(struct uring *u)
{
	memset(u, 0, sizeof *u);
	u->fd = (int)syscall(SYS_io_uring_setup, 1, &u->p);
	if (u->fd < 0)
		return false;
	u->ring = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, u->fd,
		IORING_OFF_SQ_RING);
	u->sqe = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, u->fd,
		IORING_OFF_SQES);
	return u->ring != MAP_FAILED && u->sqe != MAP_FAILED;
}

static unsigned *
word(struct uring *u, unsigned off)
{
	return (unsigned *)(u->ring + off);
}

/* One operation, and its result; below 0 as the kernel says it. */
static long
uring_one(struct uring *u, int op, int fd, void *p, size_t n)
{
	unsigned tail = *word(u, u->p.sq_off.tail);
	unsigned head = *word(u, u->p.cq_off.head);
	struct io_uring_cqe *cqe = (void *)(u->ring + u->p.cq_off.cqes);
	long r;

	*u->sqe = (struct io_uring_sqe){.opcode = (uint8_t)op,
		.fd = fd,
		.addr = (uint64_t)(uintptr_t)p,
		.len = (uint32_t)n};
	word(u, u->p.sq_off.array)[tail & *word(u, u->p.sq_off.ring_mask)] = 0;
	__atomic_store_n(word(u, u->p.sq_off.tail), tail + 1, __ATOMIC_RELEASE);
	do
		r = syscall(SYS_io_uring_enter, u->fd, 1, 1,
			IORING_ENTER_GETEVENTS, NULL, 8);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	r = cqe[head & *word(u, u->p.cq_off.ring_mask)].res;
	__atomic_store_n(word(u, u->p.cq_off.head), head + 1, __ATOMIC_RELEASE);
	return r;
}

CASE(leave, io_uring, F_TCP)
{
	struct tw_conn *c = flying();
	struct uring u;
	long sum = 0, r;

	peer_takes(c, OUT);
	if (!uring(&u))
		T("no io_uring: %s", t_err(errno));
	else {
		while (sum < TW_FLIGHT &&
			(r = uring_one(&u, IORING_OP_RECV, c->fd, buf + sum,
				 (size_t)(TW_FLIGHT - sum))) > 0)
			sum += r;
		t_got(c, "received", sum, buf);
		tw_fill(c, buf, OUT / 2);
		t_sent(c, "sent",
			uring_one(&u, IORING_OP_SEND, c->fd, buf, OUT / 2));
	}
	t_drain(c, TW_FLIGHT - sum);
	tw_fill(c, buf, OUT);
	t_sent(c, "send", send(c->fd, buf, sum ? OUT / 2 : OUT, 0));
	peer_took();
	goes_on(c);
	ends(c);
	close(u.fd);
}
