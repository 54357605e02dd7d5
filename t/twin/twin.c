/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The subject of a twin test: what it says, and how it waits. See twin.h.
 */
#include <config.h>

#include <assert.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "matrix.h"
#include "twin.h"

struct tw_shm *tw;

/* ---- the cases ---- */

static const struct tw_case *cases[4096];
static size_t ncases;

void
tw_register(const struct tw_case *c)
{
	if (ncases == sizeof cases / sizeof *cases)
		abort();
	cases[ncases++] = c;
}

static bool
fits(const struct tw_column *column, const struct tw_call *x)
{
	unsigned needs = column->flags >> 16 & 0xff, not = column->flags >> 24;

	if ((needs & ~x->what) || (not &x->what))
		return false;
	return !(x->what & MX_ALIAS) || (column->flags & CORE) ||
		getenv("KMAP_LONG");
}

struct cell {
	const struct tw_call *x;
	void (*run)(const struct tw_call *x);
};

static void
run_cell(const void *arg)
{
	const struct cell *k = arg;

	k->run(k->x);
}

void
tw_row(const struct tw_call *x, const struct tw_column *columns, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct tw_case *c;
		struct cell *k;

		if (!fits(&columns[i], x))
			continue;
		c = calloc(1, sizeof *c);
		k = calloc(1, sizeof *k);
		*k = (struct cell){x, columns[i].run};
		*c = (struct tw_case){x->name, columns[i].name, run_cell, k,
			columns[i].flags & FLAGS};
		tw_register(c);
	}
}

static int
by_name(const void *a, const void *b)
{
	const struct tw_case *x = *(const struct tw_case *const *)a;
	const struct tw_case *y = *(const struct tw_case *const *)b;
	int r = strcmp(x->family, y->family);

	return r ? r : strcmp(x->name, y->name);
}

const struct tw_case *
tw_cases(size_t *n)
{
	static struct tw_case flat[4096];

	tw_fortify_rows();
	tw_lfs_cases();

	qsort(cases, ncases, sizeof *cases, by_name);
	for (size_t i = 0; i < ncases; i++)
		flat[i] = *cases[i];
	*n = ncases;
	return flat;
}

/* ---- the test point of the library ---- */

static _Atomic int ups[1024], downs[1024];
static _Atomic pid_t raiser;

/* SIGUSR1 as late as can be before the next sleep; where the library does not
 * sleep, once the kernel does. */
void
tw_signal_at_sleep(struct tw_conn *c)
{
	if (tw->mode == MODE_BEFORE || tw->mode == MODE_MIDDLE)
		atomic_store(&raiser, tw_tid());
	else
		p_when(OP_SIGNAL, c, SIGUSR1, 0, 0);
}

void
tw_signal_done(void)
{
	if (tw->mode == MODE_BEFORE || tw->mode == MODE_MIDDLE)
		T("signal %s",
			atomic_exchange(&raiser, 0) ? "did not come" : "came");
	else {
		p_end();
		T("signal came");
	}
}

static struct {
	const char *name;
	int fd;
	void (*fn)(int fd);
} at;

void
tw_at(const char *name, int fd, void (*fn)(int fd))
{
	at.name = name;
	at.fd = fd;
	at.fn = fn;
}

__attribute__((visibility("default"))) int
kmap_testpoint(const char *name, int fd)
{
	if (!tw)
		return 0;
	if (atomic_load(&tw->hold) &&
		(!strcmp(name, "offer") || !strcmp(name, "consent") ||
			!strcmp(name, "up"))) {
		atomic_fetch_add(&tw->held, 1);
		return 1;
	}
	if (at.fn && fd == at.fd && !strcmp(name, at.name)) {
		void (*fn)(int fd) = at.fn;

		at.fn = NULL;
		fn(fd);
	}
	if (!strcmp(name, "sleep") && tw_tid() == atomic_load(&raiser) &&
		atomic_exchange(&raiser, 0))
		kmap_syscall6(SYS_tgkill, getpid(), tw_tid(), SIGUSR1, 0, 0, 0);
	if (fd < 0 || fd >= 1024)
		return 0;
	if (!strcmp(name, "up-record"))
		atomic_fetch_add(&ups[fd], 1);
	else if (!strcmp(name, "down-record"))
		atomic_fetch_add(&downs[fd], 1);
	return 0;
}

int
tw_tp_up(int fd)
{
	return atomic_load(&ups[fd]) - atomic_load(&downs[fd]);
}

void
tw_tp_reset(int fd)
{
	atomic_store(&ups[fd], 0);
	atomic_store(&downs[fd], 0);
}

/* ---- saying ---- */

void
T(const char *fmt, ...)
{
	char s[4096];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(s, sizeof s - 1, fmt, ap);
	va_end(ap);
	if (n > (int)sizeof s - 2)
		n = sizeof s - 2;
	s[n++] = '\n';
	kmap_syscall6(SYS_write, TW_FD_OUT, (long)s, n, 0, 0, 0);
	if (tw->verbose)
		kmap_syscall6(SYS_write, 2, (long)s, n, 0, 0, 0);
}

void
tw_fault(const char *fmt, ...)
{
	int i = atomic_fetch_add(&tw->nfault, 1);
	va_list ap;

	if (i >= 8)
		return;
	va_start(ap, fmt);
	vsnprintf(tw->fault[i], sizeof tw->fault[i], fmt, ap);
	va_end(ap);
}

const char *
t_err(int e)
{
	const char *s = strerrorname_np(e);

	return s ? s : "?";
}

void
t_ret(const char *what, long r)
{
	int e = errno;

	if (r < 0)
		T("%s = %ld %s", what, r, t_err(e));
	else
		T("%s = %ld", what, r);
	errno = e;
}

static void
say_bytes(struct tw_conn *c, const char *what, long r, const void *buf)
{
	long bad = pat_check(c->rxseed, c->rx, buf, r);

	if (bad < 0)
		T("%s = %ld right", what, r);
	else
		T("%s = %ld WRONG from byte %llu of the stream: %02x", what, r,
			(unsigned long long)c->rx + bad,
			((const unsigned char *)buf)[bad]);
}

void
t_got(struct tw_conn *c, const char *what, long r, const void *buf)
{
	if (r <= 0) {
		t_ret(what, r);
		return;
	}
	if (buf)
		say_bytes(c, what, r, buf);
	else
		T("%s = %ld dropped", what, r);
	c->rx += r;
	if (c->count && c->upped)
		atomic_fetch_add(&tw->need_in, r);
}

void
t_peek(struct tw_conn *c, const char *what, long r, const void *buf)
{
	if (r <= 0)
		t_ret(what, r);
	else
		say_bytes(c, what, r, buf);
}

void
t_sent(struct tw_conn *c, const char *what, long r)
{
	t_ret(what, r);
	if (r <= 0)
		return;
	c->tx += r;
	if (c->count && c->upped)
		atomic_fetch_add(&tw->need_out, r);
}

void
t_pipes(void)
{
	T("SIGPIPE %d", atomic_exchange(&tw_pipes, 0));
}

const char *
t_ev(unsigned ev)
{
	static _Thread_local char s[4][128];
	static _Thread_local unsigned turn;
	static const struct {
		unsigned bit;
		const char *name;
	} n[] = {{POLLIN, "IN"}, {POLLPRI, "PRI"}, {POLLOUT, "OUT"},
		{POLLRDNORM, "RDNORM"}, {POLLRDBAND, "RDBAND"},
		{POLLWRNORM, "WRNORM"}, {POLLWRBAND, "WRBAND"},
		{POLLERR, "ERR"}, {POLLHUP, "HUP"}, {POLLRDHUP, "RDHUP"},
		{POLLNVAL, "NVAL"}};
	char *p = s[turn++ & 3];

	*p = 0;
	for (size_t i = 0; i < sizeof n / sizeof *n; i++) {
		if (!(ev & n[i].bit))
			continue;
		if (*p)
			strcat(p, "|");
		strcat(p, n[i].name);
		ev &= ~n[i].bit;
	}
	if (ev)
		sprintf(p + strlen(p), "%s%#x", *p ? "|" : "", ev);
	if (!*p)
		strcpy(p, "-");
	return p;
}

/* ---- the pattern ---- */

static inline unsigned char
pat(unsigned seed, uint64_t pos)
{
	uint64_t x = (pos >> 3) * 0x9e3779b97f4a7c15ull + seed * 0xff51afd7ull;

	x ^= x >> 29;
	return (unsigned char)(x >> (8 * (pos & 7))) ^ (unsigned char)pos;
}

void
pat_fill(unsigned seed, uint64_t pos, void *buf, size_t n)
{
	unsigned char *p = buf;

	for (size_t i = 0; i < n; i++)
		p[i] = pat(seed, pos + i);
}

long
pat_check(unsigned seed, uint64_t pos, const void *buf, size_t n)
{
	const unsigned char *p = buf;

	for (size_t i = 0; i < n; i++)
		if (p[i] != pat(seed, pos + i))
			return i;
	return -1;
}

void
tw_fill(struct tw_conn *c, void *buf, size_t n)
{
	pat_fill(c->txseed, c->tx, buf, n);
}

/* ---- waiting ---- */

uint64_t
tw_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

void
tw_msleep(int ms)
{
	struct timespec ts = {ms / 1000, ms % 1000 * 1000000L};

	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, &ts) == EINTR)
		;
}

static void
nap(void)
{
	struct timespec ts = {0, 200000};

	kmap_syscall6(SYS_nanosleep, (long)&ts, 0, 0, 0, 0, 0);
}

void
tw_arrived(struct tw_conn *c, long n)
{
	(void)c;
	for (int i = 0, v; i < 500; i++) {
		if (ioctl(c->fd, FIONREAD, &v) < 0 || v >= n)
			return;
		nap();
	}
}

/* The states of the kernel's own socket: FIN and RST go by it always. */
void
tw_state(int fd, unsigned states)
{
	unsigned st = 0;

	for (int i = 0; i < 5000; i++) {
		struct tcp_info ti;
		socklen_t l = sizeof ti;

		memset(&ti, 0, sizeof ti);
		if (kmap_syscall6(SYS_getsockopt, fd, IPPROTO_TCP, TCP_INFO,
			    (long)&ti, (long)&l, 0) < 0)
			return;
		st = ti.tcpi_state;
		if (states & TS_BIT(st))
			return;
		nap();
	}
	T("the carrier is in state %u", st);
}

/* The RST that answers bytes to a closed peer: has come, or never will. */
void
tw_rst_came(int fd)
{
	for (int i = 0; i < 100; i++) {
		struct tcp_info ti;
		socklen_t l = sizeof ti;

		memset(&ti, 0, sizeof ti);
		if (kmap_syscall6(SYS_getsockopt, fd, IPPROTO_TCP, TCP_INFO,
			    (long)&ti, (long)&l, 0) < 0 ||
			ti.tcpi_state == TCP_CLOSE)
			return;
		nap();
	}
}

pid_t
tw_tid(void)
{
	return kmap_syscall6(SYS_gettid, 0, 0, 0, 0, 0, 0);
}

static char
thread_state(pid_t pid, pid_t tid)
{
	char path[64], s[512], *p;
	long fd, n;

	snprintf(path, sizeof path, "/proc/%d/task/%d/stat", pid, tid);
	fd = kmap_syscall6(SYS_openat, AT_FDCWD, (long)path, O_RDONLY, 0, 0, 0);
	if (fd < 0)
		return 0;
	n = kmap_syscall6(SYS_read, fd, (long)s, sizeof s - 1, 0, 0, 0);
	kmap_syscall6(SYS_close, fd, 0, 0, 0, 0, 0);
	if (n <= 0)
		return 0;
	s[n] = 0;
	p = strrchr(s, ')');
	return p && p[1] ? p[2] : 0;
}

/* Asleep at three looks in a row, or two seconds: a library that polls for a
 * while before it sleeps is waited for. */
static bool
sleeps(pid_t pid, pid_t tid)
{
	int in_row = 0;

	for (int i = 0; i < 2000 && in_row < 3; i++) {
		char s = thread_state(pid, tid);

		if (!s)
			return true;
		in_row = s == 'S' ? in_row + 1 : 0;
		tw_msleep(1);
	}
	return in_row == 3;
}

void
tw_asleep(pid_t tid)
{
	sleeps(getpid(), tid);
}

/* ---- orders ---- */

static void
order(int op, struct tw_conn *c, long a, long b, long d, pid_t tid)
{
	struct tw_order o = {.op = op,
		.conn = c ? c->id : -1,
		.a = a,
		.b = b,
		.c = d,
		.pid = tid ? getpid() : 0,
		.tid = tid};

	while (send(TW_FD_CTL, &o, sizeof o, MSG_NOSIGNAL) < 0)
		if (errno != EINTR)
			break;
}

struct tw_answer
p_end(void)
{
	struct tw_answer r = {.r = -1};
	ssize_t n;

	do
		n = recv(TW_FD_CTL, &r, sizeof r, 0);
	while (n < 0 && errno == EINTR);
	if (n == sizeof r && r.awake)
		T("nobody slept");
	return r;
}

void
p_start(int op, struct tw_conn *c, long a, long b, long d)
{
	order(op, c, a, b, d, 0);
}

void
p_when(int op, struct tw_conn *c, long a, long b, long d)
{
	order(op, c, a, b, d, tw_tid());
}

void
p_when_tid(pid_t tid, int op, struct tw_conn *c, long a, long b, long d)
{
	order(op, c, a, b, d, tid);
}

struct tw_answer
p_do(int op, struct tw_conn *c, long a, long b, long d)
{
	order(op, c, a, b, d, 0);
	return p_end();
}

void
p_send(struct tw_conn *c, long n)
{
	int before = 0;

	ioctl(c->fd, FIONREAD, &before);
	p_do(OP_SEND, c, n, 0, 0);
	tw_arrived(c, before + n);
}

void
p_recv(struct tw_conn *c, long n)
{
	struct tw_answer r = p_do(OP_RECV, c, n, 0, 0);

	T("peer got %ld%s%s%s", r.r, r.bad ? " WRONG" : "",
		r.err ? " then " : "", r.err ? t_err(r.err) : "");
}

#define CLOSED_BY_PEER                                                         \
	(TS_BIT(TCP_CLOSE_WAIT) | TS_BIT(TCP_CLOSE) | TS_BIT(TCP_LAST_ACK) |   \
		TS_BIT(TCP_TIME_WAIT) | TS_BIT(TCP_CLOSING))

void
p_close(struct tw_conn *c)
{
	p_do(OP_CLOSE, c, 0, 0, 0);
	tw_state(c->fd, CLOSED_BY_PEER);
}

void
p_shut_wr(struct tw_conn *c)
{
	p_do(OP_SHUT, c, SHUT_WR, 0, 0);
	tw_state(c->fd, CLOSED_BY_PEER);
}

void
p_rst(struct tw_conn *c)
{
	p_do(OP_RST, c, 0, 0, 0);
	tw_state(c->fd, TS_BIT(TCP_CLOSE));
}

void
p_kill(struct tw_conn *c)
{
	p_do(OP_KILL, c, 0, 0, 0);
	tw_state(c->fd, CLOSED_BY_PEER);
}

/* ---- small things for the cases ---- */

static _Thread_local char small[65536];

void
t_recv_fd(struct tw_conn *c, int fd, size_t n)
{
	assert(n <= sizeof small);
	t_got(c, "recv", recv(fd, small, n, MSG_DONTWAIT), small);
}

void
t_recv(struct tw_conn *c, size_t n)
{
	t_recv_fd(c, c->fd, n);
}

void
t_send_fd(struct tw_conn *c, int fd, size_t n)
{
	assert(n <= sizeof small);
	tw_fill(c, small, n);
	t_sent(c, "send", send(fd, small, n, MSG_DONTWAIT | MSG_NOSIGNAL));
}

void
t_send(struct tw_conn *c, size_t n)
{
	t_send_fd(c, c->fd, n);
}

void
t_drain(struct tw_conn *c, long n)
{
	long got = 0, bad = -1;
	ssize_t r = 0;
	int e = 0;

	while (got < n) {
		long want = n - got < (long)sizeof small ? n - got
							 : (long)sizeof small;

		r = recv(c->fd, small, want, 0);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0 && errno == EAGAIN) {
			struct pollfd p = {c->fd, POLLIN, 0};

			if (poll(&p, 1, 3000) == 1)
				continue;
			errno = EAGAIN;
		}
		if (r <= 0) {
			e = r < 0 ? errno : 0;
			break;
		}
		if (bad < 0) {
			bad = pat_check(c->rxseed, c->rx, small, r);
			if (bad >= 0)
				bad += got;
		}
		c->rx += r;
		got += r;
	}
	if (c->count && c->upped)
		atomic_fetch_add(&tw->need_in, got);
	if (bad >= 0)
		T("drained %ld WRONG from byte %ld on", got, bad);
	else
		T("drained %ld right%s%s", got, got < n ? " then " : "",
			got == n	 ? ""
				: r == 0 ? "the end"
					 : t_err(e));
}

/* Until the kernel has nothing under way: what it acknowledges later makes
 * room again. */
void
tw_settle(int fd)
{
	for (int i = 0; i < 2500; i++) {
		struct tcp_info ti;
		socklen_t l = sizeof ti;

		memset(&ti, 0, sizeof ti);
		if (kmap_syscall6(SYS_getsockopt, fd, IPPROTO_TCP, TCP_INFO,
			    (long)&ti, (long)&l, 0) < 0 ||
			ti.tcpi_unacked == 0)
			return;
		nap();
	}
}

/* The kernel's side of "full" must not give way later: the receiver's window
 * may open a little without a read. With a send buffer that is far overdrawn
 * there is room again only when nearly all was read. */
void
tw_squeeze(struct tw_conn *c, bool on)
{
	int v = on ? 1 : 212992;

	if (c->squeezed == on)
		return;
	setsockopt(c->fd, SOL_SOCKET, SO_SNDBUF, &v, sizeof v);
	c->squeezed = on;
}

long
t_fill(struct tw_conn *c)
{
	static char buf[65536];
	long sum = 0;
	ssize_t r;

	tw_squeeze(c, false);
	/* A wait for room is part of it: only then may a ring that stays full
	 * give way to TCP, which takes more. */
	for (int full = 0; full < 2;) {
		struct pollfd p = {c->fd, POLLOUT, 0};

		tw_fill(c, buf, sizeof buf);
		r = send(c->fd, buf, sizeof buf, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (r < 0 && errno == EAGAIN) {
			full++;
			tw_settle(c->fd);
			if (poll(&p, 1, 30) == 1)
				full = 0;
			continue;
		}
		if (r <= 0)
			break;
		full = 0;
		c->tx += r;
		sum += r;
	}
	tw_squeeze(c, true);
	T("filled%s", sum > 0 ? "" : " nothing");
	return sum;
}

void
tw_nonblock(int fd, bool on)
{
	int fl = fcntl(fd, F_GETFL);

	fcntl(fd, F_SETFL, on ? fl | O_NONBLOCK : fl & ~O_NONBLOCK);
}

void
tw_timeo(int fd, int name, int ms)
{
	struct timeval tv = {ms / 1000, ms % 1000 * 1000};

	t_ret("time-out", setsockopt(fd, SOL_SOCKET, name, &tv, sizeof tv));
}

void *
tw_page(size_t bytes)
{
	size_t ps = sysconf(_SC_PAGESIZE);
	size_t len = (bytes + ps - 1) / ps * ps;
	char *p = mmap(NULL, len + ps, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	mprotect(p + len, ps, PROT_NONE);
	return p + len - bytes;
}

_Atomic int tw_sigs;
_Atomic int tw_pipes;

static void
on_signal(int sig)
{
	if (sig == SIGPIPE)
		atomic_fetch_add(&tw_pipes, 1);
	else
		atomic_fetch_add(&tw_sigs, 1);
}

void
tw_catch(int sig, int flags)
{
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = flags};

	sigaction(sig, &sa, NULL);
}

void
tw_catch_pipe(void)
{
	tw_catch(SIGPIPE, SA_RESTART);
}

/* ---- the peer's side of waiting, and main ---- */

bool
tw_asleep_in(pid_t pid, pid_t tid)
{
	return sleeps(pid, tid);
}

static void
map_shm(void)
{
	tw = mmap(NULL, sizeof *tw, PROT_READ | PROT_WRITE, MAP_SHARED,
		TW_FD_SHM, 0);
	if (tw == MAP_FAILED)
		_exit(99);
}

/* A moment for a debugger, and the two numbers it wants. */
static void
introduce(const char *who)
{
	const char *s = getenv("TWIN_WAIT");

	if (!s)
		return;
	fprintf(stderr, "# %s is process %d\n", who, getpid());
	tw_msleep(atoi(s) * 1000);
}

int
main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "--subject")) {
		const struct tw_case *c;
		size_t n;

		map_shm();
		introduce("the subject");
		c = tw_cases(&n);
		for (size_t i = 0; i < n; i++) {
			char name[128];

			snprintf(name, sizeof name, "%s.%s", c[i].family,
				c[i].name);
			if (!strcmp(name, argv[2])) {
				tw_subject(c + i);
				return 0;
			}
		}
		return 98;
	}
	if (argc == 2 && !strcmp(argv[1], "--peer")) {
		map_shm();
		introduce("the peer");
		return tw_peer_main(TW_FD_CTL);
	}
	if (argc == 2 && !strcmp(argv[1], "--taker")) {
		map_shm();
		return tw_taker_main();
	}
	if (argc == 3 && !strcmp(argv[1], "--watcher")) {
		map_shm();
		return tw_watcher_main(atoi(argv[2]));
	}
	return tw_drive(argc, argv);
}
