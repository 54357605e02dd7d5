/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What t7010-recorder.t traces: each word of the command line is one program.
 * What it prints is the same in every run, traced or not.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))

static void
die(const char *what)
{
	fprintf(stderr, "rec: %s: %s\n", what, strerror(errno));
	exit(99);
}

static void
want(int ok, const char *what)
{
	if (!ok)
		die(what);
}

static void
both(int sv[2])
{
	want(!socketpair(AF_UNIX, SOCK_STREAM, 0, sv), "socketpair");
}

/* names: what a build with -D_FORTIFY_SOURCE and 64-bit offsets calls. */

static volatile size_t some = 4;
static volatile nfds_t one = 1;

/* Returns by a jump: the caller of send() is not on the stack. */
static NOINLINE ssize_t
tail(int fd, const void *buf, size_t n)
{
	return send(fd, buf, n, MSG_NOSIGNAL);
}

static int
names(void)
{
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	struct pollfd p[1];
	char buf[16] = "abcdefgh";
	int sv[2], copy;
	FILE *f;

	both(sv);
	want(write(sv[0], buf, 16) == 16, "write");
	want(read(sv[1], buf, some) == 4, "read");
	want(recv(sv[1], buf, some, 0) == 4, "recv");
	want(recvfrom(sv[1], buf, some, 0, (void *)&from, &len) == 4,
		"recvfrom");
	p[0] = (struct pollfd){sv[1], POLLIN, 0};
	want(poll(p, one, 0) == 1, "poll");
	copy = fcntl(sv[0], F_DUPFD, 20);
	want(copy == 20, "fcntl");
	want(tail(copy, "tail", some) == 4, "tail");
	want(syscall(SYS_sendto, copy, "raw", 3, 0, NULL, 0) == 3, "syscall");
	want(syscall(SYS_close, copy) == 0, "syscall close");
	f = fdopen(sv[0], "w");
	want(f && fprintf(f, "%d\n", 5) == 2, "fprintf");
	want(fclose(f) == 0, "fclose");
	want(dprintf(sv[1], "x") == -1 && errno == EPIPE, "dprintf");
	/* The numbers are free, and what takes them is no socket. */
	want(open("/dev/null", O_RDWR) == sv[0], "open");
	want(write(sv[0], "x", 1) == 1, "write null");
	/* libc takes this one without a call that anybody could see. */
	both(sv);
	want(syscall(SYS_close, sv[0]) == 0, "syscall close");
	f = tmpfile();
	want(f && fileno(f) == sv[0], "tmpfile");
	want(write(sv[0], "x", 1) == 1, "write file");
	return 0;
}

/* closes: everything that it does not know, and then takes the numbers. */

/* Frames about which the unwinder knows nothing: it has to guess, and to ask
 * whether memory is there, on pages that it has not asked about before. */
#if defined(__x86_64__)
ssize_t unknown(ssize_t (*fn)(int, const void *, size_t, int), int fd,
	const void *p, size_t n, long room);
__asm__(".text\n"
	".globl unknown\n"
	"unknown:\n"
	"	push %rbp\n"
	"	mov %rsp, %rbp\n"
	"	sub %r8, %rsp\n"
	"	and $-16, %rsp\n"
	"	mov %rdi, %rax\n"
	"	mov %esi, %edi\n"
	"	mov %rdx, %rsi\n"
	"	mov %rcx, %rdx\n"
	"	mov $0x4000, %ecx\n"
	"	call *%rax\n"
	"	mov %rbp, %rsp\n"
	"	pop %rbp\n"
	"	ret\n");
#else
static NOINLINE ssize_t
unknown(ssize_t (*fn)(int, const void *, size_t, int), int fd, const void *p,
	size_t n, long room)
{
	volatile char pad[room];

	pad[0] = 0;
	return fn(fd, p, n, MSG_NOSIGNAL);
}
#endif

static NOINLINE ssize_t
deeper(int depth, int fd, const char *p, long room)
{
	char pad[64];
	ssize_t r;

	r = depth ? deeper(depth - 1, fd, p, room)
		  : unknown(send, fd, p, 1, room);
	/* Not a tail call, and a frame of its own. */
	__asm__ __volatile__("" : : "r"(pad) : "memory");
	return r;
}

static int
closes(void)
{
	enum {
		PAIRS = 40
	};
	int fds[PAIRS][2], before, sv[2];
	char c;

	/* Some calls first, so that all that there is to open is open. */
	both(sv);
	for (int i = 0; i < 10; i++)
		want(deeper(i, sv[0], "x", 64) == 1, "send");
	before = fcntl(sv[0], F_GETFD);
	want(before >= 0, "fcntl");
	for (int fd = 3; fd < 1024; fd++)
		close(fd);
	want(close_range(3, ~0u, 0) == 0, "close_range");
	closefrom(3);
	for (int i = 0; i < PAIRS; i++) {
		want(!pipe2(fds[i], O_NONBLOCK), "pipe2");
		printf("%d %d\n", fds[i][0], fds[i][1]);
	}
	both(sv);
	printf("%d %d\n", sv[0], sv[1]);
	for (int i = 0; i < PAIRS; i++) {
		/* Nothing came out of it that nobody put in... */
		want(read(fds[i][0], &c, 1) == -1 && errno == EAGAIN, "empty");
		want(write(fds[i][1], "y", 1) == 1, "write");
		for (int k = 0; k < 5; k++)
			want(deeper(i + k, sv[0], "z",
				     8192L * (i * 5 + k) + 64) == 1,
				"send");
		/* ... and all that somebody did. */
		want(read(fds[i][0], &c, 1) == 1 && c == 'y', "stolen");
		want(read(fds[i][0], &c, 1) == -1 && errno == EAGAIN,
			"injected");
	}
	for (int i = 0; i < 5 * PAIRS; i++)
		want(recv(sv[1], &c, 1, MSG_DONTWAIT) == 1 && c == 'z', "recv");
	want(recv(sv[1], &c, 1, MSG_DONTWAIT) == -1, "more");
	return 0;
}

/* calls: a little of everything, made by libc's functions and by number. */

static int
connected(int *server)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t len = sizeof(a);
	int l, c, on = 1;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	l = socket(AF_INET, SOCK_STREAM, 0);
	want(!setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), "opt");
	want(!bind(l, (void *)&a, sizeof(a)) && !listen(l, 5), "listen");
	want(!getsockname(l, (void *)&a, &len), "getsockname");
	c = socket(AF_INET, SOCK_STREAM, 0);
	want(!connect(c, (void *)&a, sizeof(a)), "connect");
	len = sizeof(a);
	*server = accept4(l, (void *)&a, &len, SOCK_CLOEXEC);
	want(*server >= 0, "accept");
	close(l);
	return c;
}

static int
calls(void)
{
	struct iovec v[2] = {{"ab", 2}, {"cd", 2}};
	struct msghdr m = {.msg_iov = v, .msg_iovlen = 2};
	struct mmsghdr mm[2] = {{.msg_hdr = m}, {.msg_hdr = m}};
	struct epoll_event ev = {.events = EPOLLIN};
	struct timespec zero = {0, 0};
	struct timeval tv = {0, 0};
	char in[64];
	/* Behind a volatile: the compiler shall not know. */
	void *volatile bad = (void *)8;
	struct iovec first = {in, 1}, w = {in, 12};
	struct msghdr r = {.msg_iov = &w, .msg_iovlen = 1};
	int c, s, ep, n, copy, sv[2];
	struct pollfd p;
	fd_set set;

	c = connected(&s);
	for (int i = 0; i < 7; i++) {
		want(send(c, "1", 1, 0) == 1, "send");
		want(sendto(c, "2", 1, 0, NULL, 0) == 1, "sendto");
		want(write(c, "3", 1) == 1, "write");
		want(writev(c, v, 2) == 4, "writev");
		want(sendmsg(c, &m, 0) == 4, "sendmsg");
		want(sendmmsg(c, mm, 2, 0) == 2, "sendmmsg");
		want(syscall(SYS_write, c, "x", 1) == 1, "raw write");
		want(syscall(SYS_sendto, c, "x", 1, 0, NULL, 0) == 1, "raw");
		want(recv(s, in, 3, MSG_WAITALL) == 3, "recv");
		want(recvfrom(s, in, 4, MSG_WAITALL, NULL, NULL) == 4, "rfrom");
		want(read(s, in, 1) == 1, "read");
		want(readv(s, &first, 1) == 1, "readv");
		want(recvmsg(s, &r, MSG_WAITALL) == 12, "recvmsg");
	}
	want(send(-1, "x", 1, 0) < 0 && errno == EBADF, "EBADF");
	want(recvmsg(s, &r, MSG_DONTWAIT) < 0 && errno == EAGAIN, "EAGAIN");
	want(send(c, bad, 1, 0) < 0 && errno == EFAULT, "EFAULT");
	want(connect(c, bad, 16) < 0 && errno == EFAULT, "EFAULT");
	want(setsockopt(c, SOL_SOCKET, SO_SNDBUF, bad, 4) < 0, "EFAULT");
	want(sendmsg(c, bad, 0) < 0 && errno == EFAULT, "EFAULT");
	want(readv(c, bad, 1) < 0 && errno == EFAULT, "EFAULT");
	want(syscall(SYS_bind, c, 8l, 16l) < 0 && errno == EFAULT, "EFAULT");
	p = (struct pollfd){s, POLLOUT, 0};
	want(poll(&p, 1, 0) == 1, "poll");
	want(poll(bad, 1, 0) < 0 && errno == EFAULT, "poll EFAULT");
	want(ppoll(&p, 1, &zero, NULL) == 1, "ppoll");
	FD_ZERO(&set);
	FD_SET(s, &set);
	want(select(s + 1, NULL, &set, NULL, &tv) == 1, "select");
	want(select(s + 1, NULL, bad, NULL, &tv) < 0, "select EFAULT");
	ep = epoll_create1(EPOLL_CLOEXEC);
	want(!epoll_ctl(ep, EPOLL_CTL_ADD, s, &ev), "epoll_ctl");
	want(epoll_ctl(ep, EPOLL_CTL_ADD, s, &ev) < 0 && errno == EEXIST,
		"EEXIST");
	want(epoll_wait(ep, &ev, 1, 0) == 0, "epoll_wait");
	want(syscall(SYS_epoll_pwait, ep, &ev, 1, 0, NULL, 8) == 0, "pwait");
	want(!ioctl(s, FIONREAD, &n) && n == 0, "ioctl");
	copy = dup(c);
	want(copy > 2 && dup2(copy, 50) == 50 && !close(50), "dup2");
	want(send(copy, "5", 1, 0) == 1 && read(s, in, 9) == 1, "copy");
	want(!shutdown(copy, SHUT_WR) && read(s, in, 1) == 0, "shutdown");
	both(sv);
	want(!syscall(SYS_close, sv[0]) && !close(sv[1]), "close");
	want(!close(copy) && !close(c) && !close(s) && !close(ep), "close");
	return 0;
}

/* kids: what forks, vforks, execs and threads do to the numbers. */

static void *
thread(void *arg)
{
	int *sv = arg;
	char c;

	for (int i = 0; i < 100; i++)
		want(send(sv[0], "t", 1, 0) == 1 && read(sv[1], &c, 1) == 1,
			"thread");
	return NULL;
}

static int
kids(const char *self)
{
	char *const argv[] = {(char *)self, "one", "22", NULL};
	/* An environment that knows nothing of the trace. */
	char *const envp[] = {"A=b", NULL};
	pthread_t t[4];
	int sv[4][2], pair[2], status;
	pid_t pid;

	for (int i = 0; i < 4; i++) {
		both(sv[i]);
		want(!pthread_create(&t[i], NULL, thread, sv[i]), "thread");
	}
	for (int i = 0; i < 4; i++) {
		want(!pthread_join(t[i], NULL), "join");
		close(sv[i][0]);
		close(sv[i][1]);
	}
	both(pair);
	pid = fork();
	if (!pid) {
		want(send(pair[0], "f", 1, 0) == 1, "child");
		close(pair[0]);
		close(pair[1]);
		_exit(3);
	}
	want(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 3,
		"fork");
	/* What a vfork child closes stays open here. */
	pid = vfork();
	if (!pid) {
		close(pair[0]);
		close(pair[1]);
		dup2(2, 22);
		execve(self, argv, envp);
		_exit(98);
	}
	want(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 7,
		"vfork");
	want(send(pair[0], "v", 1, 0) == 1, "after vfork");
	/* A fork that goes by no function of libc. */
	pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (!pid) {
		want(send(pair[0], "c", 1, 0) == 1, "clone's child");
		_exit(4);
	}
	want(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 4,
		"clone");
	want(send(pair[0], "p", 1, 0) == 1, "parent");
	return 0;
}

static int
one_socket(void)
{
	int sv[2];

	both(sv);
	want(send(sv[0], "e", 1, 0) == 1, "exec'd");
	return 7;
}

/*
 * shell: what a program that cleaned its environment starts by a shell, with
 * all that a command can have in it.
 */
static int
shell(const char *self)
{
	static const char format[] =
		"%s one; e=$?; echo \"$0\" 'q' \\$HOME \"$#\" `echo b`\n exit $e";
	char command[512], line[64];
	FILE *f;

	snprintf(command, sizeof(command), format, self);
	want(!clearenv(), "clearenv");
	fflush(stdout);
	want(WEXITSTATUS(system(command)) == 7, "system");
	want(system(NULL) == 1, "a shell");
	/* The program's own words, with nothing of the recorder's. */
	want(!setenv("LD_PRELOAD", "", 1), "setenv");
	f = popen(command, "r");
	want(f && fgets(line, sizeof(line), f), "popen");
	want(!strcmp(line, "sh q $HOME 0 b\n"), line);
	want(WEXITSTATUS(pclose(f)) == 7, "pclose");
	return 0;
}

/*
 * handlers: signals in the midst of recorded calls, each by another way, so
 * that the unwinder is at work. It writes, too; what the handler writes must
 * not be taken for that.
 */

static int pair[2];
static volatile sig_atomic_t handled;

static void
handler(int sig)
{
	int saved = errno;

	(void)sig;
	if (write(pair[0], "h", 1) == 1)
		handled++;
	errno = saved;
}

static int
handlers(void)
{
	struct itimerval every = {{0, 200}, {0, 200}};
	struct sigaction sa = {.sa_handler = handler, .sa_flags = SA_RESTART};
	long sent = 0, got = 0;
	ssize_t n;
	int sv[2];
	char c[64];

	both(sv);
	both(pair);
	want(!sigaction(SIGALRM, &sa, NULL), "sigaction");
	want(!setitimer(ITIMER_REAL, &every, NULL), "setitimer");
	while (handled < 300) {
		want(deeper(sent % 20, sv[0], "s", 16 * (sent % 4096) + 64) ==
				1,
			"send");
		want(recv(sv[1], c, 1, 0) == 1, "recv");
		sent++;
		while ((n = recv(pair[1], c, sizeof(c), MSG_DONTWAIT)) > 0)
			got += n;
	}
	memset(&every, 0, sizeof(every));
	setitimer(ITIMER_REAL, &every, NULL);
	while ((n = recv(pair[1], c, sizeof(c), MSG_DONTWAIT)) > 0)
		got += n;
	fprintf(stderr, "%ld %ld\n", sent, (long)handled);
	return got != (long)handled;
}

/* cancelled in a recorded call, and a call after it */

static void *
blocked(void *arg)
{
	char c;

	recv(*(int *)arg, &c, 1, 0);
	return NULL;
}

static int
cancel(void)
{
	void *how = NULL;
	pthread_t t;
	int sv[2];

	both(sv);
	for (int i = 0; i < 20; i++) {
		want(!pthread_create(&t, NULL, blocked, &sv[1]), "thread");
		usleep(1000);
		want(!pthread_cancel(t) && !pthread_join(t, &how), "cancel");
		want(how == PTHREAD_CANCELED, "not cancelled");
		want(send(sv[0], "x", 1, 0) == 1, "send");
		want(recv(sv[1], &(char){0}, 1, 0) == 1, "recv");
	}
	return 0;
}

/* cuts: each kind of call that a thread may never come back from, by
 * cancellation, the last one by pthread_exit in a handler. */

static int cut_sv[2], cut_listener, cut_set;

static void
last_word(void *arg)
{
	want(send(*(int *)arg, "y", 1, MSG_DONTWAIT) == 1, "last word");
}

static void *
cut_recv(void *arg)
{
	pthread_cleanup_push(last_word, &cut_sv[0]);
	blocked(&cut_sv[1]);
	pthread_cleanup_pop(0);
	return arg;
}

static void *
cut_accept(void *arg)
{
	accept(cut_listener, NULL, NULL);
	return arg;
}

static void *
cut_poll(void *arg)
{
	struct pollfd p = {cut_listener, POLLIN, 0};

	poll(&p, 1, -1);
	return arg;
}

static void *
cut_select(void *arg)
{
	fd_set in;

	FD_ZERO(&in);
	FD_SET(cut_listener, &in);
	select(cut_listener + 1, &in, NULL, NULL, NULL);
	return arg;
}

static void *
cut_wait(void *arg)
{
	struct epoll_event ev;

	epoll_wait(cut_set, &ev, 1, -1);
	return arg;
}

static void *
cut_message(void *arg)
{
	char c[4];
	struct iovec v = {c, sizeof(c)};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};

	recvmsg(cut_sv[0], &m, 0);
	return arg;
}

static void *
cut_handler(void *arg)
{
	blocked(&cut_sv[0]);
	return arg;
}

static void
leave(int sig)
{
	pthread_exit(NULL);
}

static int
cuts(void)
{
	static void *(*const way[])(void *) = {cut_recv, cut_accept, cut_poll,
		cut_select, cut_wait, cut_message, cut_handler};
	struct sockaddr_in in = {.sin_family = AF_INET};
	struct epoll_event ev = {.events = EPOLLIN};
	const int n = sizeof(way) / sizeof(*way);
	void *how;
	pthread_t t;

	both(cut_sv);
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	cut_listener = socket(AF_INET, SOCK_STREAM, 0);
	want(!bind(cut_listener, (struct sockaddr *)&in, sizeof(in)), "bind");
	want(!listen(cut_listener, 1), "listen");
	cut_set = epoll_create1(0);
	want(!epoll_ctl(cut_set, EPOLL_CTL_ADD, cut_listener, &ev), "ctl");
	signal(SIGUSR1, leave);
	for (int i = 0; i < n; i++) {
		want(!pthread_create(&t, NULL, way[i], NULL), "thread");
		usleep(100000);
		if (i < n - 1)
			pthread_cancel(t);
		else
			pthread_kill(t, SIGUSR1);
		want(!pthread_join(t, &how), "join");
		want(how == (i < n - 1 ? PTHREAD_CANCELED : NULL), "how");
	}
	return 0;
}

/* many N: N calls, then killed (0) or an exit status */

static int
many(long n, int status)
{
	int sv[2];
	char c;

	both(sv);
	for (long i = 0; i < n; i++)
		want(send(sv[0], "m", 1, 0) == 1 && read(sv[1], &c, 1) == 1,
			"many");
	if (!status)
		kill(getpid(), SIGKILL);
	return status;
}

/* strict, filter: from here on only read, write and exit do not kill */
static int
sealed(bool filter)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_read, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {6, code};
	int sv[2];
	char c;

	both(sv);
	want(write(sv[0], "a", 1) == 1 && read(sv[1], &c, 1) == 1, "before");
	want(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl");
	want(!(filter ? prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog)
		      : prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT)),
		"seccomp");
	for (int i = 0; i < 100; i++)
		if (write(sv[0], "b", 1) != 1 || read(sv[1], &c, 1) != 1)
			syscall(SYS_exit, 1);
	/* exit(3) would be killed, too. */
	return syscall(SYS_exit, 8);
}

/* pass: a socket by SCM_RIGHTS */
static int
pass(void)
{
	union {
		struct cmsghdr h;
		char room[CMSG_SPACE(sizeof(int))];
	} u = {.h = {.cmsg_len = CMSG_LEN(sizeof(int)),
		       .cmsg_level = SOL_SOCKET,
		       .cmsg_type = SCM_RIGHTS}};
	char c = 'p';
	struct iovec v = {&c, 1};
	struct msghdr m = {.msg_iov = &v,
		.msg_iovlen = 1,
		.msg_control = &u,
		.msg_controllen = sizeof(u)};
	int a[2], b[2], got;

	both(a);
	both(b);
	memcpy(CMSG_DATA(&u.h), &b[0], sizeof(int));
	want(sendmsg(a[0], &m, 0) == 1, "sendmsg");
	want(recvmsg(a[1], &m, 0) == 1, "recvmsg");
	memcpy(&got, CMSG_DATA(&u.h), sizeof(int));
	want(send(got, "x", 1, 0) == 1, "send");
	printf("%d\n", got);
	return 0;
}

int
main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	signal(SIGPIPE, SIG_IGN);
	if (!strcmp(what, "names"))
		return names();
	if (!strcmp(what, "closes"))
		return closes();
	if (!strcmp(what, "calls"))
		return calls();
	if (!strcmp(what, "kids"))
		return kids(argv[0]);
	if (!strcmp(what, "shell"))
		return shell(argv[0]);
	if (!strcmp(what, "one"))
		return one_socket();
	if (!strcmp(what, "handlers"))
		return handlers();
	if (!strcmp(what, "cancel"))
		return cancel();
	if (!strcmp(what, "cuts"))
		return cuts();
	if (!strcmp(what, "many") && argc == 4)
		return many(atol(argv[2]), atoi(argv[3]));
	if (!strcmp(what, "strict") || !strcmp(what, "filter"))
		return sealed(*what == 'f');
	if (!strcmp(what, "pass"))
		return pass();
	fprintf(stderr, "usage: rec WHAT\n");
	return 99;
}
