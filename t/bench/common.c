/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "common.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* "hello-fd read-fd write-fd directory", set for the peer alone. */
#define PEER_ENV "BENCH_PEER"

static int hello = -1;

void
die(const char *what)
{
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what,
		strerror(errno));
	exit(1);
}

uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/*
 * Time on a processor of all threads of a process, also those that ended.
 * What getrusage says of oneself, of any process, and not rounded to ticks.
 */
uint64_t
cpu_ns(pid_t pid)
{
	struct timespec t;
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &t))
		return 0;
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void
pin(int cpu)
{
	cpu_set_t set;

	if (cpu < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("sched_setaffinity");
}

static enum kind
kind_of(const char *name)
{
	static const char *const names[] = {"tcp", "unix", "pipe", "fifo"};
	unsigned int i;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (!strcmp(name, names[i]))
			return (enum kind)i;
	}
	fprintf(stderr, "%s: no such transport\n", name);
	exit(2);
}

void
parse_opts(int argc, char **argv, struct opts *o)
{
	int opt;

	*o = (struct opts){
		.size = 64,
		.secs = 1,
		.cpu = {-1, -1},
		.window = 1,
		.address = "127.0.0.1",
		.how = "",
	};
	while ((opt = getopt(argc, argv, "t:es:d:c:i:w:a:m:")) != -1) {
		switch (opt) {
		case 't':
			o->kind = kind_of(optarg);
			break;
		case 'e':
			o->epoll = 1;
			break;
		case 's':
			o->size = strtoul(optarg, NULL, 0);
			break;
		case 'd':
			o->secs = atof(optarg);
			break;
		case 'c':
			if (sscanf(optarg, "%d,%d", o->cpu, o->cpu + 1) != 2)
				exit(2);
			break;
		case 'i':
			o->idle = atoi(optarg);
			break;
		case 'w':
			o->window = atoi(optarg);
			break;
		case 'a':
			o->address = optarg;
			break;
		case 'm':
			o->how = optarg;
			break;
		default:
			exit(2);
		}
	}
	if (!o->size || o->window < 1 || o->idle < 0 || optind != argc)
		exit(2);
	signal(SIGPIPE, SIG_IGN);
}

void
put_result(const struct result *r)
{
	printf("{\"n\":%llu,\"all\":%llu,\"secs\":%.6f,\"rate\":%.3f,"
	       "\"cpu_a\":%.1f,\"cpu_b\":%.1f",
		(unsigned long long)r->n,
		(unsigned long long)(r->before + r->n), r->secs,
		(double)r->n / r->secs, (double)r->cpu[0] / (double)r->n,
		(double)r->cpu[1] / (double)r->n);
	if (r->hist)
		printf(",\"p50\":%llu,\"p99\":%llu",
			(unsigned long long)hist_quantile(r->hist, 0.5),
			(unsigned long long)hist_quantile(r->hist, 0.99));
	printf("}\n");
}

static void
fifo_path(const char *dir, const char *name, char path[128])
{
	snprintf(path, 128, "%s/%s", dir, name);
}

static void
make_fifos(struct peer *p)
{
	const char *tmp = getenv("TMPDIR");
	char path[128];

	/* A long TMPDIR gives way. */
	if (!tmp ||
		snprintf(p->dir, sizeof(p->dir), "%s/kmap-bench.XXXXXX", tmp) >=
			(int)sizeof(p->dir))
		snprintf(p->dir, sizeof(p->dir), "/tmp/kmap-bench.XXXXXX");
	if (!mkdtemp(p->dir))
		die("mkdtemp");
	fifo_path(p->dir, "to", path);
	if (mkfifo(path, 0600))
		die("mkfifo");
	fifo_path(p->dir, "from", path);
	if (mkfifo(path, 0600))
		die("mkfifo");
}

/* For pipes `theirs` gets the ends that the peer inherits. */
static void
make_pipes(struct peer *p, struct chan *theirs)
{
	int to[2], from[2];

	if (pipe(to) || pipe(from))
		die("pipe");
	p->pipes.wfd = to[1];
	p->pipes.rfd = from[0];
	theirs->rfd = to[0];
	theirs->wfd = from[1];
	fcntl(to[1], F_SETFD, FD_CLOEXEC);
	fcntl(from[0], F_SETFD, FD_CLOEXEC);
}

static void
become_peer(char **argv, int fd, const struct chan *theirs, const char *dir)
{
	char value[128];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(value, sizeof(value), "%d %d %d %s", fd, theirs->rfd,
		theirs->wfd, *dir ? dir : "-");
	setenv(PEER_ENV, value, 1);
	execv("/proc/self/exe", argv);
	_exit(127);
}

static int
hear(const struct peer *p)
{
	int value;

	if (read(p->hello, &value, sizeof(value)) != sizeof(value)) {
		fprintf(stderr, "%s: the peer died\n",
			program_invocation_short_name);
		exit(1);
	}
	return value;
}

void
peer_start(const struct opts *o, char **argv, struct peer *p)
{
	struct chan theirs = {-1, -1, -1, -1};
	int fds[2];

	*p = (struct peer){.pipes = {-1, -1, -1, -1}};
	if (o->kind == FIFO)
		make_fifos(p);
	if (o->kind == PIPE)
		make_pipes(p, &theirs);
	if (pipe(fds))
		die("pipe");
	fcntl(fds[0], F_SETFD, FD_CLOEXEC);
	p->pid = fork();
	if (p->pid < 0)
		die("fork");
	if (!p->pid)
		become_peer(argv, fds[1], &theirs, p->dir);
	close(fds[1]);
	close(theirs.rfd);
	close(theirs.wfd);
	p->hello = fds[0];
	p->port = hear(p);
	pin(o->cpu[0]);
}

/* The peer ends at the end of its input; one that hangs is not waited for. */
void
peer_end(struct peer *p)
{
	char path[128];
	int i;

	for (i = 0; i < 500 && waitpid(p->pid, NULL, WNOHANG) == 0; i++)
		usleep(2000);
	if (i == 500) {
		kill(p->pid, SIGKILL);
		waitpid(p->pid, NULL, 0);
	}
	close(p->hello);
	if (!*p->dir)
		return;
	fifo_path(p->dir, "to", path);
	unlink(path);
	fifo_path(p->dir, "from", path);
	unlink(path);
	rmdir(p->dir);
}

int
peer_role(void)
{
	return getenv(PEER_ENV) != NULL;
}

void
peer_say(int value)
{
	if (write(hello, &value, sizeof(value)) != sizeof(value))
		die("hello");
}

static void
no_delay(const struct opts *o, int fd)
{
	int one = 1;

	if (o->kind == TCP && !o->nagle)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

/* Abstract, so that nothing is left behind; both sides know the pid. */
static socklen_t
unix_name(struct sockaddr_un *sun, pid_t server)
{
	int n;

	*sun = (struct sockaddr_un){.sun_family = AF_UNIX};
	n = snprintf(sun->sun_path + 1, sizeof(sun->sun_path) - 1,
		"kmap-bench-%d", (int)server);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
		(size_t)n);
}

static int
listen_tcp(const struct opts *o)
{
	struct sockaddr_in sin = {.sin_family = AF_INET};
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || inet_pton(AF_INET, o->address, &sin.sin_addr) != 1 ||
		bind(fd, (struct sockaddr *)&sin, len) || listen(fd, 4096) ||
		getsockname(fd, (struct sockaddr *)&sin, &len))
		die("listen");
	peer_say(ntohs(sin.sin_port));
	return fd;
}

static int
listen_unix(void)
{
	struct sockaddr_un sun;
	socklen_t len = unix_name(&sun, getpid());
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&sun, len) ||
		listen(fd, 4096))
		die("listen");
	peer_say(0);
	return fd;
}

int
peer_listen(const struct opts *o, struct chan *c)
{
	char dir[64], path[128];

	*c = (struct chan){-1, -1, -1, -1};
	if (sscanf(getenv(PEER_ENV), "%d %d %d %63s", &hello, &c->rfd, &c->wfd,
		    dir) != 4)
		exit(2);
	unsetenv(PEER_ENV);
	fcntl(hello, F_SETFD, FD_CLOEXEC);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	pin(o->cpu[1]);
	if (o->kind == TCP)
		return listen_tcp(o);
	if (o->kind == UNIX)
		return listen_unix();
	peer_say(0);
	if (o->kind == FIFO) {
		fifo_path(dir, "to", path);
		c->rfd = open(path, O_RDONLY | O_CLOEXEC);
		fifo_path(dir, "from", path);
		c->wfd = open(path, O_WRONLY | O_CLOEXEC);
		if (c->rfd < 0 || c->wfd < 0)
			die("open");
	}
	chan_set(o, c);
	return -1;
}

void
peer_accept(const struct opts *o, int listener, struct chan *c)
{
	*c = (struct chan){-1, -1, -1, -1};
	c->rfd = c->wfd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (c->rfd < 0)
		die("accept");
	no_delay(o, c->rfd);
	chan_set(o, c);
}

static int
connect_tcp(const struct opts *o, const struct peer *p)
{
	struct sockaddr_in sin = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)p->port),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || inet_pton(AF_INET, o->address, &sin.sin_addr) != 1 ||
		connect(fd, (struct sockaddr *)&sin, sizeof(sin)))
		die("connect");
	no_delay(o, fd);
	return fd;
}

static int
connect_unix(const struct peer *p)
{
	struct sockaddr_un sun;
	socklen_t len = unix_name(&sun, p->pid);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&sun, len))
		die("connect");
	return fd;
}

void
peer_connect(const struct opts *o, const struct peer *p, struct chan *c)
{
	char path[128];

	*c = p->pipes;
	if (o->kind == TCP)
		c->rfd = c->wfd = connect_tcp(o, p);
	else if (o->kind == UNIX)
		c->rfd = c->wfd = connect_unix(p);
	if (o->kind == FIFO) {
		fifo_path(p->dir, "to", path);
		c->wfd = open(path, O_WRONLY | O_CLOEXEC);
		fifo_path(p->dir, "from", path);
		c->rfd = open(path, O_RDONLY | O_CLOEXEC);
		if (c->rfd < 0 || c->wfd < 0)
			die("open");
	}
	chan_set(o, c);
}

static int
set_of(int fd, uint32_t events)
{
	struct epoll_event ev = {.events = events};
	int set = epoll_create1(EPOLL_CLOEXEC);

	if (set < 0 || epoll_ctl(set, EPOLL_CTL_ADD, fd, &ev))
		die("epoll");
	return set;
}

void
chan_set(const struct opts *o, struct chan *c)
{
	if (!o->epoll)
		return;
	fcntl(c->rfd, F_SETFL, fcntl(c->rfd, F_GETFL) | O_NONBLOCK);
	fcntl(c->wfd, F_SETFL, fcntl(c->wfd, F_GETFL) | O_NONBLOCK);
	c->rset = set_of(c->rfd, EPOLLIN);
}

void
chan_close(struct chan *c)
{
	if (c->rset >= 0)
		close(c->rset);
	if (c->wset >= 0)
		close(c->wset);
	close(c->rfd);
	if (c->wfd != c->rfd)
		close(c->wfd);
}

static void
wait_on(int set)
{
	struct epoll_event ev;

	while (epoll_wait(set, &ev, 1, -1) < 0 && errno == EINTR)
		;
}

/* As event loops do it: told first, then one read. */
ssize_t
chan_read(struct chan *c, void *buf, size_t len)
{
	ssize_t n;

	for (;;) {
		if (c->rset >= 0)
			wait_on(c->rset);
		n = read(c->rfd, buf, len);
		if (n >= 0 || (errno != EAGAIN && errno != EINTR))
			return n;
	}
}

int
chan_read_full(struct chan *c, void *buf, size_t len)
{
	char *p = buf;
	ssize_t n;

	while (len) {
		n = chan_read(c, p, len);
		if (n <= 0)
			return -1;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int
chan_write_full(struct chan *c, const void *buf, size_t len)
{
	const char *p = buf;
	ssize_t n;

	while (len) {
		n = write(c->wfd, p, len);
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		} else if (n < 0 && errno == EAGAIN) {
			if (c->wset < 0)
				c->wset = set_of(c->wfd, EPOLLOUT);
			wait_on(c->wset);
		} else if (!(n < 0 && errno == EINTR)) {
			return -1;
		}
	}
	return 0;
}
