/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The driver of the twin tests: runs each case on plain TCP and under the
 * preload, compares what was said, looks into the library's own statistics,
 * and prints TAP. A run that does not end is shown with both ends' stacks.
 */
#include <config.h>

#include <fcntl.h>
#include <fnmatch.h>
#include <getopt.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "twin.h"

/* tap.c: why a failed check is a known difference. */
const char *tap_known(const char *name);

static const char *const mode_name[MODE_COUNT] = {
	"plain", "before", "middle", "never", "alone"};
static const char *const peer_name[] = {"exec", "fork", "thread"};

static struct {
	unsigned modes;
	int peer;
	int acceptor;
	int verbose;
	int limit;
	int repeat;
	int wait;
	int jobs;
	const char *log;
	const char *preload;
} opt = {.limit = 20, .repeat = 1, .jobs = 8};

static char tmpdir[] = "/tmp/twin.XXXXXX";

struct result {
	char *said;
	char *err; /* stderr of both */
	char why[4096]; /* "" = as it should be */
};

/* ---- small things ---- */

static void
die(const char *what)
{
	printf("Bail out! twin: %s: %s\n", what, strerror(errno));
	exit(1);
}

static char *
slurp(int fd)
{
	off_t n = lseek(fd, 0, SEEK_END);
	char *s = malloc(n + 1);
	ssize_t r = pread(fd, s, n, 0);

	s[r < 0 ? 0 : r] = 0;
	return s;
}

static void __attribute__((format(printf, 2, 3)))
complain(struct result *r, const char *fmt, ...)
{
	size_t n = strlen(r->why);
	va_list ap;

	if (n + 2 >= sizeof r->why)
		return;
	if (n)
		r->why[n++] = '\n';
	va_start(ap, fmt);
	vsnprintf(r->why + n, sizeof r->why - n, fmt, ap);
	va_end(ap);
}

static void
diag(const char *s)
{
	while (*s) {
		int n = strcspn(s, "\n");

		printf("# %.*s\n", n, s);
		s += n + (s[n] == '\n');
	}
}

/* ---- a network namespace of its own, where that is allowed ---- */

static void
write_file(const char *path, const char *s)
{
	int fd = open(path, O_WRONLY);

	if (fd >= 0) {
		if (write(fd, s, strlen(s)) < 0)
			perror(path);
		close(fd);
	}
}

static void
own_network(void)
{
	struct ifreq ifr = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	unsigned uid = getuid(), gid = getgid();
	char map[64];
	int fd;

	if (getenv("TWIN_SAME_NET"))
		return;
	if (unshare(CLONE_NEWNET) < 0) {
		if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
			return;
		write_file("/proc/self/setgroups", "deny");
		snprintf(map, sizeof map, "%u %u 1", uid, uid);
		write_file("/proc/self/uid_map", map);
		snprintf(map, sizeof map, "%u %u 1", gid, gid);
		write_file("/proc/self/gid_map", map);
	}
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (ioctl(fd, SIOCSIFFLAGS, &ifr) < 0)
		die("lo up");
	close(fd);
	/* A sender that overran a full receiver settles after a time-out: in
	 * this namespace of ours it may be short, where the kernel can. */
	write_file("/proc/sys/net/ipv4/tcp_rto_min_us", "5000");
}

/* ---- one run ---- */

static long
stat_of(const char *line, const char *key)
{
	char k[64];
	const char *p;

	snprintf(k, sizeof k, "\"%s\"", key);
	p = strstr(line, k);
	if (!p || !(p = strchr(p + strlen(k), ':')))
		return -1;
	return strtol(p + 1, NULL, 10);
}

/* Of all lines of a process: an exec that fails has written one, too. */
static long
stat_sum(const char *stats, long pid, const char *key)
{
	char *copy = strdup(stats), *save = NULL;
	long sum = -1;

	for (char *l = strtok_r(copy, "\n", &save); l;
		l = strtok_r(NULL, "\n", &save))
		if (stat_of(l, "pid") == pid)
			sum = (sum < 0 ? 0 : sum) + stat_of(l, key);
	free(copy);
	return sum;
}

static void
check_stats(struct result *r, struct tw_shm *shm, int mode, const char *stats)
{
	long pid = shm->subject_pid;
	long up = stat_sum(stats, pid, "connections_upgraded");
	long in = stat_sum(stats, pid, "ring_bytes_in");
	long out = stat_sum(stats, pid, "ring_bytes_out");

	if (up < 0) {
		complain(r, "no line of statistics of the subject (%ld)", pid);
		return;
	}
	if (mode == MODE_NEVER || mode == MODE_ALONE) {
		if (up != 0 || stat_sum(stats, pid, "directions_up") != 0)
			complain(r, "upgraded where it must not be");
	} else {
		if (!(shm->flags & F_NOUP) && (up < 1 || up < shm->need_up))
			complain(r, "%ld connections upgraded, %ld expected",
				up, shm->need_up > 1 ? shm->need_up : 1);
		if (in < shm->need_in)
			complain(r, "%ld bytes came by ring, not %ld", in,
				shm->need_in);
		if (out < shm->need_out)
			complain(r, "%ld bytes went by ring, not %ld", out,
				shm->need_out);
	}
	if (*r->why)
		complain(r, "%s", stats);
}

static void
stacks(pid_t pid, const char *who)
{
	char cmd[400], line[4096];
	FILE *f;

	printf("# stacks of the %s, process %d\n", who, pid);
	fflush(stdout);
	snprintf(cmd, sizeof cmd,
		"timeout 15 gdb -p %d -batch -nx -ex 'set pagination off' -ex "
		"'thread apply all bt 14' 2>/dev/null </dev/null",
		pid);
	unsetenv("LD_PRELOAD");
	f = popen(cmd, "r");
	while (f && fgets(line, sizeof line, f))
		if (*line == '#' || !strncmp(line, "Thread", 6))
			printf("#   %s", line);
	if (f)
		pclose(f);
	/* What the library knows: which direction is where, what is unread. */
	snprintf(cmd, sizeof cmd,
		"\"$builddir\"/../trace/kmap-stat -j -p %d 2>/dev/null", pid);
	f = popen(cmd, "r");
	while (f && fgets(line, sizeof line, f))
		printf("#   %s%s", line, strchr(line, '\n') ? "" : "\n");
	if (f)
		pclose(f);
	snprintf(cmd, sizeof cmd,
		"for t in /proc/%d/task/*; do echo \"$(cat $t/comm) "
		"$(cat $t/wchan 2>/dev/null) $(cat $t/syscall 2>/dev/null)\"; "
		"done 2>/dev/null",
		pid);
	f = popen(cmd, "r");
	while (f && fgets(line, sizeof line, f))
		printf("#   kernel: %s", line);
	if (f)
		pclose(f);
}

static void
become(int ctl, int shm, int out, int err, int mode, bool preload, char **argv,
	const char *statfile)
{
	char s[512];
	int null = open("/dev/null", O_RDWR);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* Up first, so that no number is overwritten that is still needed. */
	ctl = fcntl(ctl, F_DUPFD, 950);
	shm = fcntl(shm, F_DUPFD, 950);
	out = fcntl(out, F_DUPFD, 950);
	err = fcntl(err, F_DUPFD, 950);
	dup2(null, 0);
	dup2(null, 1);
	dup2(err, 2);
	dup2(ctl, TW_FD_CTL);
	dup2(shm, TW_FD_SHM);
	dup2(out, TW_FD_OUT);
	for (int fd = 3; fd < 1000; fd++)
		if (fd != TW_FD_CTL && fd != TW_FD_SHM && fd != TW_FD_OUT)
			close(fd);
	fcntl(TW_FD_CTL, F_SETFD, FD_CLOEXEC * 0);
	unsetenv("LD_PRELOAD");
	unsetenv("KMAP_RING");
	if (preload && opt.preload) {
		setenv("LD_PRELOAD", opt.preload, 1);
		setenv("KMAP_UPGRADE", mode == MODE_NEVER ? "never" : "now", 1);
		setenv("KMAP_STATS", statfile, 1);
		if (opt.log)
			setenv("KMAP_LOG", opt.log, 1);
	}
	if (opt.wait) {
		snprintf(s, sizeof s, "%d", opt.wait);
		setenv("TWIN_WAIT", s, 1);
	}
	execv("/proc/self/exe", argv);
	_exit(97);
}

static bool
await(pid_t pid, uint64_t until, int *status)
{
	int fd = syscall(SYS_pidfd_open, pid, 0);
	struct pollfd p = {fd, POLLIN, 0};
	int64_t ms = ((int64_t)until - (int64_t)tw_ns()) / 1000000;
	bool ended = poll(&p, 1, ms < 0 ? 0 : (int)ms + 1) == 1;

	close(fd);
	if (ended)
		waitpid(pid, status, 0);
	return ended;
}

static void
how_it_ended(struct result *r, const char *who, int status)
{
	if (WIFSIGNALED(status))
		complain(r, "the %s died of signal %d (%s)", who,
			WTERMSIG(status), strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status))
		complain(r, "the %s ended with %d", who, WEXITSTATUS(status));
}

/* Who of the two has to speak, or has heard nothing. */
static void
say_rounds(struct result *r, struct tw_shm *m)
{
	int e = m->rounds_broke;

	complain(r,
		"round trips: the subject sent %ld and got %ld, the peer got "
		"%ld and sent %ld%s%s",
		m->rounds[0], m->rounds[1], m->rounds[2], m->rounds[3],
		e ? "; it left one: " : "",
		e < 0	    ? "the end"
			: e ? strerrorname_np(e)
			    : "");
}

static void
run_once(const struct tw_case *c, int mode, struct result *r)
{
	char name[128], statfile[64], *stats;
	char *sargv[] = {"twin", "--subject", name, NULL};
	char *pargv[] = {"twin", "--peer", NULL};
	int shm = memfd_create("twin", MFD_CLOEXEC), sv[2];
	int out = memfd_create("said", MFD_CLOEXEC);
	int err = opt.verbose ? dup(2) : memfd_create("stderr", MFD_CLOEXEC);
	int ss = 0, ps = 0, fd;
	struct tw_shm *m;
	pid_t s, p = -1;
	uint64_t until;
	bool s_ended, p_ended = true;

	memset(r, 0, sizeof *r);
	snprintf(name, sizeof name, "%s.%s", c->family, c->name);
	snprintf(statfile, sizeof statfile, "%s/%d", tmpdir, getpid());
	unlink(statfile);
	if (shm < 0 || ftruncate(shm, sizeof *m) < 0 ||
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
		die("set-up");
	fcntl(out, F_SETFL, O_APPEND);
	m = mmap(NULL, sizeof *m, PROT_READ | PROT_WRITE, MAP_SHARED, shm, 0);
	if (m == MAP_FAILED)
		die("mmap");
	m->mode = mode;
	m->hold = mode == MODE_MIDDLE;
	m->peer_kind = opt.peer;
	m->acceptor = opt.acceptor;
	m->flags = c->flags;
	m->verbose = opt.verbose;
	fflush(NULL);
	s = fork();
	if (s == 0) {
		setpgid(0, 0);
		become(sv[0], shm, out, err, mode, mode != MODE_PLAIN, sargv,
			statfile);
	}
	setpgid(s, s);
	if (opt.peer == PEER_EXEC) {
		p = fork();
		if (p == 0) {
			setpgid(0, s);
			become(sv[1], shm, out, err, mode,
				mode != MODE_PLAIN && mode != MODE_ALONE, pargv,
				statfile);
		}
	}
	close(sv[0]);
	close(sv[1]);
	until = tw_ns() + (opt.limit + opt.wait) * 1000000000ull;
	s_ended = await(s, until, &ss);
	if (p > 0 && s_ended)
		p_ended = await(p, tw_ns() + 3000000000ull, &ps);
	else if (p > 0)
		p_ended = waitpid(p, &ps, WNOHANG) == p;
	if (!s_ended || !p_ended) {
		complain(r, "%s did not end",
			s_ended ? "the peer" : "the subject");
		say_rounds(r, m);
		if (!s_ended)
			stacks(s, "subject");
		if (p > 0 && !p_ended)
			stacks(p, "peer");
		kill(-s, SIGKILL);
		if (!s_ended) {
			waitpid(s, &ss, 0);
			ss = 0;
		}
		if (p > 0 && !p_ended) {
			waitpid(p, &ps, 0);
			ps = 0;
		}
	}
	if (s_ended)
		how_it_ended(r, "subject", ss);
	if (!(WIFSIGNALED(ps) && WTERMSIG(ps) == SIGKILL))
		how_it_ended(r, "peer", ps);
	if (!m->done)
		complain(r, "the case did not come to its end");
	for (int i = 0; i < m->nfault && i < 8; i++)
		complain(r, "%s", m->fault[i]);
	r->said = slurp(out);
	r->err = opt.verbose ? strdup("") : slurp(err);
	if (mode != MODE_PLAIN) {
		fd = open(statfile, O_RDONLY | O_CLOEXEC);
		stats = fd >= 0 ? slurp(fd) : strdup("");
		if (fd >= 0)
			close(fd);
		if (m->done)
			check_stats(r, m, mode, stats);
		free(stats);
	}
	munmap(m, sizeof *m);
	close(shm);
	close(out);
	close(err);
}

/* ---- what differs ---- */

static void
show_difference(const char *a, const char *b)
{
	int line = 1, shown = 0;

	while ((*a || *b) && shown < 6) {
		int n = strcspn(a, "\n"), k = strcspn(b, "\n");

		if (n != k || memcmp(a, b, n)) {
			printf("#   line %d on TCP: %.*s\n", line, n,
				*a ? a : "");
			printf("#   line %d here  : %.*s\n", line, k,
				*b ? b : "");
			shown++;
		}
		a += n + (a[n] == '\n');
		b += k + (b[k] == '\n');
		line++;
	}
}

static bool
report(int num, const struct tw_case *c, int mode, struct result *ref,
	struct result *r)
{
	bool same = !strcmp(ref->said, r->said);
	bool ok = same && !*r->why && !*ref->why;
	const char *why = NULL;
	char name[256];

	snprintf(name, sizeof(name), "%s.%s %s%s%s", c->family, c->name,
		mode_name[mode], opt.peer != PEER_EXEC ? " peer=" : "",
		opt.peer != PEER_EXEC ? peer_name[opt.peer] : "");
	if (!ok)
		why = tap_known(name);
	printf("%sok %d - %s%s%s\n", ok ? "" : "not ", num, name,
		why ? " # TODO " : "", why ? why : "");
	if (!ok) {
		if (*ref->why) {
			printf("# on plain TCP already:\n");
			diag(ref->why);
		}
		diag(r->why);
		if (!same)
			show_difference(ref->said, r->said);
		diag(r->err);
	}
	if (opt.verbose) {
		printf("# --- on TCP\n");
		diag(ref->said);
		printf("# --- %s\n", mode_name[mode]);
		diag(r->said);
	}
	fflush(stdout);
	return ok || why;
}

static bool
wanted(const struct tw_case *c, char **pat, int n)
{
	char name[128];

	if (opt.peer == PEER_THREAD && (c->flags & F_PROC))
		return false;
	if (opt.acceptor && (c->flags & F_CON))
		return false;
	if (TW_ASAN && (c->flags & F_NOASAN))
		return false;
	snprintf(name, sizeof name, "%s.%s", c->family, c->name);
	for (int i = 0; i < n; i++)
		if (!fnmatch(pat[i], name, 0) || !strcmp(pat[i], c->family))
			return true;
	return false;
}

static void
free_result(struct result *r)
{
	free(r->said);
	free(r->err);
}

static int
usage(FILE *f)
{
	fprintf(f,
		"usage: run [-m MODE,...] [-p exec|fork|thread] [-a] [-v] [-l]\n"
		"           [-j JOBS] [-n REPEAT] [-t SECONDS] [-w SECONDS] "
		"[-L LOG]\n           CASE...\n"
		"MODE  plain, before, middle, never, alone; all: the second to "
		"fourth\n"
		"-a    the subject accepts, the peer connects\n"
		"-j    so many cases side by side (8; 1 with -v or -w)\n"
		"-v    both ends' stderr and what they said\n"
		"-l    only list the cases\n"
		"-w    both ends wait so long at their start, for a debugger\n"
		"-L    KMAP_LOG for both ends\n"
		"CASE  a family (recv), or a pattern (recv.eof, 'send*.*')\n");
	return f == stderr;
}

static unsigned
parse_modes(char *s)
{
	char *save = NULL;
	unsigned m = 0;

	for (s = strtok_r(s, ",", &save); s; s = strtok_r(NULL, ",", &save)) {
		int i = 0;

		if (!strcmp(s, "all")) {
			m |= 1u << MODE_BEFORE | 1u << MODE_MIDDLE |
				1u << MODE_NEVER;
			continue;
		}
		while (i < MODE_COUNT && strcmp(s, mode_name[i]))
			i++;
		if (i == MODE_COUNT)
			exit(usage(stderr));
		m |= 1u << i;
	}
	return m;
}

static void
parse(int argc, char **argv, bool *list)
{
	int o;

	while ((o = getopt(argc, argv, "m:p:avlj:n:t:w:L:h")) != -1) {
		switch (o) {
		case 'm':
			opt.modes |= parse_modes(optarg);
			break;
		case 'p':
			opt.peer = !strcmp(optarg, "fork")  ? PEER_FORK
				: !strcmp(optarg, "thread") ? PEER_THREAD
							    : PEER_EXEC;
			break;
		case 'a':
			opt.acceptor = 1;
			break;
		case 'v':
			opt.verbose = 1;
			break;
		case 'l':
			*list = true;
			break;
		case 'j':
			opt.jobs = atoi(optarg);
			break;
		case 'n':
			opt.repeat = atoi(optarg);
			break;
		case 't':
			opt.limit = atoi(optarg);
			break;
		case 'w':
			opt.wait = atoi(optarg);
			break;
		case 'L':
			opt.log = optarg;
			break;
		default:
			exit(usage(o == 'h' ? stdout : stderr));
		}
	}
	if (opt.verbose || opt.wait || opt.jobs < 1)
		opt.jobs = 1;
	if (opt.jobs > 16)
		opt.jobs = 16;
	if (!opt.modes)
		opt.modes = 1u << MODE_BEFORE | 1u << MODE_MIDDLE |
			1u << MODE_NEVER;
}

/* ---- cases side by side: most of a case's time is waiting ---- */

static int
one_case(const struct tw_case *c, int num)
{
	struct result ref, r;
	int failed = 0;
	char s[64];

	run_once(c, MODE_PLAIN, &ref);
	for (int k = 0; k < opt.repeat; k++) {
		for (int m = 0; m < MODE_COUNT; m++) {
			if (!(opt.modes & (1u << m)))
				continue;
			run_once(c, m, &r);
			failed += !report(num++, c, m, &ref, &r);
			free_result(&r);
		}
	}
	free_result(&ref);
	snprintf(s, sizeof s, "%s/%d", tmpdir, getpid());
	unlink(s);
	return failed;
}

struct job {
	pid_t pid;
	int out;
};

static int
finish(struct job *j)
{
	int status;
	char *s;

	waitpid(j->pid, &status, 0);
	s = slurp(j->out);
	fputs(s, stdout);
	fflush(stdout);
	free(s);
	close(j->out);
	return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

static int
run_all(const struct tw_case *c, size_t n, char **argv, int argc)
{
	struct job q[16];
	int head = 0, tail = 0, failed = 0, num = 1;

	for (size_t i = 0; i < n; i++) {
		struct job *j = &q[tail % 16];

		if (!wanted(c + i, argv, argc))
			continue;
		if (tail - head == opt.jobs)
			failed += finish(&q[head++ % 16]);
		j->out = memfd_create("tap", MFD_CLOEXEC);
		j->pid = fork();
		if (j->pid < 0)
			die("fork");
		if (j->pid == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			if (!opt.verbose)
				dup2(j->out, 1);
			_exit(one_case(c + i, num) > 0);
		}
		tail++;
		num += __builtin_popcount(opt.modes) * opt.repeat;
	}
	while (head != tail)
		failed += finish(&q[head++ % 16]);
	return failed;
}

int
tw_drive(int argc, char **argv)
{
	int todo = 0, failed;
	const struct tw_case *c;
	bool list = false;
	size_t n;

	parse(argc, argv, &list);
	c = tw_cases(&n);
	if (optind == argc && !list)
		return usage(stderr);
	argv += optind;
	argc -= optind;
	for (size_t i = 0; i < n; i++) {
		if (argc && !wanted(c + i, argv, argc))
			continue;
		if (list)
			printf("%s.%s\n", c[i].family, c[i].name);
		todo += __builtin_popcount(opt.modes) * opt.repeat;
	}
	if (list)
		return 0;
	opt.preload = getenv("TWIN_PRELOAD");
	if (!opt.preload && (opt.modes & ~(1u << MODE_PLAIN))) {
		printf("Bail out! TWIN_PRELOAD names no library\n");
		return 1;
	}
	if (!todo) {
		printf("Bail out! no such case\n");
		return 1;
	}
	if (!mkdtemp(tmpdir))
		die("mkdtemp");
	own_network();
	printf("1..%d\n", todo);
	fflush(stdout);
	failed = run_all(c, n, argv, argc);
	rmdir(tmpdir);
	return failed > 0;
}
