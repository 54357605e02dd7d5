/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Programs to be followed, the same calls each time:
 *
 * busy all		threads, fork, exec, vfork, posix_spawn, system, signals
 *			that interrupt and that do not, stops; ends with 42
 * busy escapes		calls that no preloaded library sees, each in its way
 * busy plain N		N sends and receives in each of two threads
 * busy loop MS		calls for so long; says how many failed at the end,
 *			and whether the last ones did
 * busy wait N		"ready", then waits for a byte of standard input and
 *			goes on as plain N
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static void
check(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "busy: %s: %s\n", what, strerror(errno));
	_exit(1);
}

static void
pair(int *sv)
{
	check(!socketpair(AF_UNIX, SOCK_STREAM, 0, sv), "socketpair");
}

static void *
thread(void *arg)
{
	struct iovec v;
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
	char b[100] = "";
	int sv[2], d;

	(void)arg;
	pair(sv);
	for (int i = 0; i < 200; i++) {
		v = (struct iovec){b, 10};
		check(send(sv[0], b, 10, 0) == 10, "send");
		check(readv(sv[1], &v, 1) == 10, "readv");
	}
	for (int i = 0; i < 50; i++) {
		v = (struct iovec){b, 5};
		check(sendmsg(sv[0], &m, 0) == 5, "sendmsg");
		check(recvmsg(sv[1], &m, 0) == 5, "recvmsg");
	}
	d = dup(sv[0]);
	fcntl(d, F_SETFD, FD_CLOEXEC);
	close(d);
	shutdown(sv[0], SHUT_WR);
	close(sv[0]);
	close(sv[1]);
	return NULL;
}

/* It is still in recv when the process ends: that is no call. */
static sem_t opened;

static void *
blocked(void *arg)
{
	int sv[2];
	char c;

	(void)arg;
	pair(sv);
	sem_post(&opened);
	recv(sv[0], &c, 1, 0);
	return NULL;
}

static int
status_of(pid_t pid)
{
	int status;

	check(waitpid(pid, &status, 0) == pid, "waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

static void
nothing(int sig)
{
	(void)sig;
}

static void
processes(char *self)
{
	char *argv[] = {self, "kid", NULL}, command[4200];
	pid_t pid;

	for (int i = 0; i < 3; i++) {
		pid = fork();
		if (!pid) {
			thread(NULL);
			_exit(i);
		}
		check(status_of(pid) == i, "fork");
	}
	check(!posix_spawn(&pid, self, NULL, NULL, argv, environ), "spawn");
	check(status_of(pid) == 5, "posix_spawn");
	pid = vfork();
	if (!pid) {
		execv(self, argv);
		_exit(9);
	}
	check(status_of(pid) == 5, "vfork");
	snprintf(command, sizeof(command), "'%s' kid", self);
	check(WEXITSTATUS(system(command)) == 5, "system");
	pid = fork();
	if (!pid)
		abort();
	check(status_of(pid) == 256 + SIGABRT, "abort");
}

static void
signals(void)
{
	struct itimerval soon = {.it_value = {0, 50000}};
	struct sigaction sa = {.sa_handler = nothing};
	int sv[2], status;
	pid_t pid;
	char b;

	pair(sv);
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &soon, NULL);
	check(recv(sv[0], &b, 1, 0) < 0 && errno == EINTR, "EINTR");
	sa.sa_flags = SA_RESTART;
	sigaction(SIGALRM, &sa, NULL);
	pid = fork();
	if (!pid) {
		usleep(200000);
		check(write(sv[1], "y", 1) == 1, "y");
		/* Its end must not interrupt the same recv: to what is
		 * ptraced an ignored SIGCHLD is sent, too. */
		usleep(100000);
		_exit(0);
	}
	setitimer(ITIMER_REAL, &soon, NULL);
	check(recv(sv[0], &b, 1, 0) == 1, "SA_RESTART");
	check(status_of(pid) == 0, "writer");
	pid = fork();
	if (!pid) {
		raise(SIGSTOP);
		_exit(write(sv[1], "z", 1) != 1);
	}
	check(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status),
		"stop");
	/* It is stopped indeed. */
	check(poll(&(struct pollfd){sv[0], POLLIN, 0}, 1, 100) == 0, "stopped");
	kill(pid, SIGCONT);
	check(waitpid(pid, &status, WCONTINUED) == pid, "continued");
	if (!WIFEXITED(status))
		check(status_of(pid) == 0, "after the stop");
	check(poll(&(struct pollfd){sv[0], POLLIN, 0}, 1, 10000) == 1, "poll");
	close(sv[0]);
	close(sv[1]);
}

static void
sets(void)
{
	struct epoll_event ev = {.events = EPOLLIN};
	int sv[2], e;
	fd_set f;

	pair(sv);
	check(write(sv[1], "x", 1) == 1, "write");
	FD_ZERO(&f);
	FD_SET(sv[0], &f);
	check(select(sv[0] + 1, &f, NULL, NULL, NULL) == 1, "select");
	e = epoll_create1(0);
	check(!epoll_ctl(e, EPOLL_CTL_ADD, sv[0], &ev), "epoll_ctl");
	check(epoll_wait(e, &ev, 1, 0) == 1, "epoll_wait");
	close(e);
}

static int
all(char *self)
{
	pthread_t t[4];

	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, thread, NULL);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	processes(self);
	signals();
	sets();
	pthread_create(&t[0], NULL, blocked, NULL);
	sem_wait(&opened);
	usleep(50000);
	puts("fine");
	return 42;
}

static int
kid(void)
{
	int sv[2];
	char b;

	check(!socketpair(AF_UNIX, SOCK_DGRAM, 0, sv), "socketpair");
	check(write(sv[0], "x", 1) == 1 && read(sv[1], &b, 1) == 1, "x");
	return 5;
}

#ifdef __x86_64__
__attribute__((noinline)) static long
by_itself(long nr, long a, long b, long c)
{
	long r;

	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "0"(nr), "D"(a), "S"(b), "d"(c)
			 : "rcx", "r11", "memory");
	return r;
}
#else
#define by_itself syscall
#endif

static int
escapes(void)
{
	char params[256] = "", b[8];
	int sv[2];
	FILE *f;

	pair(sv);
	check(write(sv[1], "seen", 4) == 4, "write");
	check(by_itself(SYS_write, sv[1], (long)"own", 3) == 3, "own write");
	f = fdopen(sv[1], "w");
	fputs("file", f);
	fflush(f);
	fputs("last", f);
	fclose(f);
	check(recv(sv[0], b, 8, 0) == 8, "recv");
	/* It may be forbidden: it was tried. */
	syscall(SYS_io_uring_setup, 1, params);
	puts("fine");
	return 0;
}

static int rounds;

static void *
plain_thread(void *arg)
{
	char b[16] = "";
	int sv[2];

	(void)arg;
	pair(sv);
	for (int i = 0; i < rounds; i++) {
		check(send(sv[0], b, 16, 0) == 16, "send");
		check(recv(sv[1], b, 16, 0) == 16, "recv");
	}
	return NULL;
}

static int
plain(int n)
{
	pthread_t t;

	rounds = n;
	pthread_create(&t, NULL, plain_thread, NULL);
	plain_thread(NULL);
	pthread_join(t, NULL);
	puts("fine");
	return 0;
}

static long
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int
loop(long ms)
{
	long end = now_ms() + ms, failed = 0, last = 0;
	int sv[2];

	pair(sv);
	puts("ready");
	fflush(stdout);
	while (now_ms() < end) {
		socklen_t len = sizeof(int);
		int v;

		last = getsockopt(sv[0], SOL_SOCKET, SO_TYPE, &v, &len);
		failed += last != 0;
		usleep(200);
	}
	printf("failed %ld, last %ld\n", failed, last);
	return failed != 0;
}

static pthread_barrier_t both;

static void *
early_thread(void *arg)
{
	pthread_barrier_wait(&both);
	return plain_thread(arg);
}

/* Both threads are there before anybody attaches. */
static int
wait_first(int n)
{
	pthread_t t;
	char b;

	rounds = n;
	pthread_barrier_init(&both, NULL, 2);
	pthread_create(&t, NULL, early_thread, NULL);
	puts("ready");
	fflush(stdout);
	check(read(0, &b, 1) == 1, "standard input");
	pthread_barrier_wait(&both);
	plain_thread(NULL);
	pthread_join(t, NULL);
	puts("done");
	fflush(stdout);
	check(read(0, &b, 1) == 1, "standard input");
	return 7;
}

int
main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	int n = argc > 2 ? atoi(argv[2]) : 100;

	if (!strcmp(what, "all"))
		return all(argv[0]);
	if (!strcmp(what, "kid"))
		return kid();
	if (!strcmp(what, "escapes"))
		return escapes();
	if (!strcmp(what, "plain"))
		return plain(n);
	if (!strcmp(what, "loop"))
		return loop(n);
	if (!strcmp(what, "wait"))
		return wait_first(n);
	return 2;
}
