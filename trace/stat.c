/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "stat.h"

#include <argp.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "version.h"

const char *const stat_names[KMAP_NSTATS] = {
#define NAME(n) #n,
	KMAP_STATS(NAME)
#undef NAME
};

/* ---- options ---- */

#define PIDS_MAX 256

static struct options {
	struct stat_want want;
	pid_t pids[PIDS_MAX];
	double interval; /* seconds; 0: once */
	unsigned long count; /* 0: for ever */
	bool delta, json, batch;
} opt;

enum {
	OPT_SPORT = 256,
	OPT_DPORT
};

static const struct argp_option options[] = {
	{NULL, 0, NULL, 0, "What is shown:", 1},
	{"all", 'a', NULL, 0, "Processes without connections, too", 0},
	{"connections", 'c', NULL, 0, "A line for each connection", 0},
	{"long", 'l', NULL, 0, "Every counter of each process by its name", 0},
	{"pid", 'p', "PID[,PID...]", 0, "These processes only", 0},
	{"port", 'P', "PORT", 0,
		"Connections with this port at either end only", 0},
	{"sport", OPT_SPORT, "PORT", 0, "With this port of their own", 0},
	{"dport", OPT_DPORT, "PORT", 0, "With this port at the peer", 0},
	{NULL, 0, NULL, 0, "How, and how often:", 2},
	{"delta", 'd', NULL, 0, "What came since the last look, not in all", 0},
	{"interval", 'i', "SECONDS", 0, "Look again and again", 0},
	{"count", 'n', "TIMES", 0, "Look so often, then end", 0},
	{"sort", 's', "KEY", 0,
		"Sort by a counter, ring_bytes, tcp_bytes, ring_fill, "
		"connections, pid, command, local or peer",
		0},
	{"batch", 'b', NULL, 0, "Never clear the screen", 0},
	{"human", 'h', NULL, 0, "Numbers with K, M, G", 0},
	{"no-header", 'H', NULL, 0, "No headings", 0},
	{"json", 'j', NULL, 0, "JSON, one object a line for each look", 0},
	{0},
};

static int
port(const char *s, struct argp_state *state)
{
	char *end;
	long n = strtol(s, &end, 10);

	if (*s == '\0' || *end != '\0' || n < 1 || n > 65535)
		argp_error(state, "%s is no port", s);
	return (int)n;
}

static void
pids(char *s, struct argp_state *state)
{
	struct stat_want *w = &opt.want;

	for (char *save = NULL, *p = strtok_r(s, ",", &save); p != NULL;
		p = strtok_r(NULL, ",", &save)) {
		char *end;
		long n = strtol(p, &end, 10);

		if (*end != '\0' || n < 1 || n > 1 << 30)
			argp_error(state, "%s is no process id", p);
		if (w->npids == PIDS_MAX)
			argp_error(state, "more than %d processes", PIDS_MAX);
		opt.pids[w->npids++] = (pid_t)n;
	}
	if (w->npids == 0)
		argp_error(state, "no process id");
}

static bool
sort_key_known(const char *key)
{
	static const char *const others[] = {"pid", "command", "connections",
		"local", "peer", "ring_bytes", "tcp_bytes", "ring_fill"};

	for (size_t i = 0; i < kmap_countof(others); i++)
		if (strcmp(key, others[i]) == 0)
			return true;
	for (int i = 0; i < KMAP_NSTATS; i++)
		if (strcmp(key, stat_names[i]) == 0)
			return true;
	return false;
}

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	struct stat_want *w = &opt.want;
	char *end;

	switch (key) {
	case 'a':
		w->all = true;
		break;
	case 'c':
		w->conns = true;
		break;
	case 'l':
		w->wide = true;
		break;
	case 'p':
		pids(arg, state);
		break;
	case 'P':
		w->port = port(arg, state);
		break;
	case OPT_SPORT:
		w->sport = port(arg, state);
		break;
	case OPT_DPORT:
		w->dport = port(arg, state);
		break;
	case 'd':
		opt.delta = true;
		break;
	case 'i':
		opt.interval = strtod(arg, &end);
		if (*arg == '\0' || *end != '\0' ||
			!(opt.interval >= 0.01 && opt.interval <= 1e6))
			argp_error(state,
				"%s is no number of seconds from "
				"0.01 on",
				arg);
		break;
	case 'n':
		opt.count = strtoul(arg, &end, 10);
		if (*arg < '0' || *arg > '9' || *end != '\0' || opt.count == 0)
			argp_error(state, "%s is no count", arg);
		break;
	case 's':
		if (!sort_key_known(arg))
			argp_error(state, "nothing is sorted by %s", arg);
		w->sort = arg;
		break;
	case 'b':
		opt.batch = true;
		break;
	case 'h':
		w->human = true;
		break;
	case 'H':
		w->no_header = true;
		break;
	case 'j':
		opt.json = true;
		break;
	case ARGP_KEY_ARG:
		argp_error(state, "%s is not understood", arg);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static void
print_version(FILE *out, struct argp_state *state)
{
	(void)state;
	fprintf(out, "kmap-stat (Kmap) %s\n", kmap_version);
}

void (*argp_program_version_hook)(FILE *, struct argp_state *) = print_version;

/* ---- order ---- */

static int
key_of(const char *key)
{
	for (int i = 0; i < KMAP_NSTATS; i++)
		if (strcmp(key, stat_names[i]) == 0)
			return i;
	return -1;
}

/* A sum that ends at the largest number: counters of a liar may wrap. */
static uint64_t
sum(uint64_t a, uint64_t b)
{
	return a + b < a ? UINT64_MAX : a + b;
}

static uint64_t
weight(const char *key, const uint64_t *n)
{
	int k = key_of(key);

	if (k >= 0)
		return n[k];
	if (strcmp(key, "tcp_bytes") == 0)
		return sum(
			n[KMAP_STAT_tcp_bytes_in], n[KMAP_STAT_tcp_bytes_out]);
	return sum(n[KMAP_STAT_ring_bytes_in], n[KMAP_STAT_ring_bytes_out]);
}

static int
more_first(uint64_t a, uint64_t b)
{
	return a > b ? -1 : a < b;
}

static int
by_proc(const void *a, const void *b)
{
	const struct stat_proc *x = a, *y = b;
	const char *key = opt.want.sort;
	int r = 0;

	if (strcmp(key, "command") == 0)
		r = strcmp(x->comm, y->comm);
	else if (strcmp(key, "connections") == 0)
		r = more_first(x->live, y->live);
	else if (strcmp(key, "pid") != 0) {
		r = more_first(weight(key, x->n), weight(key, y->n));
		if (r == 0)
			r = more_first(weight("tcp_bytes", x->n),
				weight("tcp_bytes", y->n));
	}
	return r != 0 ? r : x->pid < y->pid ? -1 : x->pid > y->pid;
}

static uint64_t
filled(const struct stat_conn *c)
{
	return (c->fill_in == STAT_UNKNOWN ? 0 : c->fill_in) +
		(c->fill_out == STAT_UNKNOWN ? 0 : c->fill_out);
}

static int
by_conn(const void *a, const void *b)
{
	const struct stat_conn *x = a, *y = b;
	const char *key = opt.want.sort;
	int r = 0;

	if (strcmp(key, "local") == 0)
		r = x->lport < y->lport ? -1 : x->lport > y->lport;
	else if (strcmp(key, "peer") == 0)
		r = x->rport < y->rport ? -1 : x->rport > y->rport;
	else if (strcmp(key, "ring_fill") == 0)
		r = more_first(filled(x), filled(y));
	else if (strcmp(key, "pid") != 0 && strcmp(key, "command") != 0)
		r = more_first(weight(key, x->n), weight(key, y->n));
	return r != 0 ? r : x->fd < y->fd ? -1 : x->fd > y->fd;
}

static void
sort(struct stat_all *a)
{
	for (size_t i = 0; i < a->nprocs; i++)
		if (a->procs[i].nconns != 0)
			qsort(a->procs[i].conns, a->procs[i].nconns,
				sizeof(*a->procs[i].conns), by_conn);
	qsort(a->procs, a->nprocs, sizeof(*a->procs), by_proc);
}

/* ---- what came since the last look ---- */

/* A counter that went back (an exec that failed begins anew): nothing. */
static uint64_t
since(uint64_t now, uint64_t then)
{
	return now > then ? now - then : 0;
}

static const struct stat_proc *
same_proc(const struct stat_all *a, const struct stat_proc *p)
{
	for (size_t i = 0; i < a->nprocs; i++)
		if (a->procs[i].pid == p->pid &&
			a->procs[i].started == p->started)
			return &a->procs[i];
	return NULL;
}

/* Both are in the order of records. */
static void
conns_since(struct stat_proc *p, const struct stat_proc *then)
{
	size_t k = 0;

	for (size_t i = 0; i < p->nconns; i++) {
		struct stat_conn *c = &p->conns[i];

		while (k < then->nconns && then->conns[k].index < c->index)
			k++;
		if (k == then->nconns || then->conns[k].index != c->index ||
			then->conns[k].seq != c->seq)
			continue;
		for (int j = 0; j < KMAP_NSTATS; j++)
			c->n[j] = since(c->n[j], then->conns[k].n[j]);
	}
}

static void
all_since(struct stat_all *now, const struct stat_all *then)
{
	now->interval = now->time - then->time;
	if (now->interval <= 0)
		now->interval = 1e-3;
	for (size_t i = 0; i < now->nprocs; i++) {
		struct stat_proc *p = &now->procs[i];
		const struct stat_proc *was = same_proc(then, p);

		if (was == NULL)
			continue;
		for (int j = 0; j < KMAP_NSTATS; j++)
			p->n[j] = since(p->n[j], was->n[j]);
		for (int j = 0; j < KMAP_NWHY; j++)
			p->why[j] = since(p->why[j], was->why[j]);
		conns_since(p, was);
	}
}

static bool
copy(struct stat_all *to, const struct stat_all *from)
{
	*to = *from;
	to->procs = calloc(from->nprocs + 1, sizeof(*to->procs));
	if (to->procs == NULL)
		return false;
	for (size_t i = 0; i < from->nprocs; i++) {
		struct stat_proc *p = &to->procs[i];

		*p = from->procs[i];
		p->conns = calloc(p->nconns + 1, sizeof(*p->conns));
		if (p->conns == NULL) {
			to->nprocs = i;
			return false;
		}
		if (p->nconns != 0)
			memcpy(p->conns, from->procs[i].conns,
				p->nconns * sizeof(*p->conns));
	}
	return true;
}

/* ---- the screen ---- */

static struct termios tty_was;
static bool tty_changed;
static volatile sig_atomic_t stopped;

static void
stop(int sig)
{
	stopped = sig;
}

static void
tty_back(void)
{
	if (tty_changed)
		tcsetattr(STDIN_FILENO, TCSANOW, &tty_was);
	tty_changed = false;
}

/* Keys come at once; ^C still ends, by its signal. */
static void
tty_keys(void)
{
	struct sigaction sa = {.sa_handler = stop};
	struct termios t;

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	if (!isatty(STDIN_FILENO) || tcgetpgrp(STDIN_FILENO) != getpgrp() ||
		tcgetattr(STDIN_FILENO, &tty_was) != 0)
		return;
	t = tty_was;
	t.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	t.c_cc[VMIN] = 0;
	t.c_cc[VTIME] = 0;
	tty_changed = tcsetattr(STDIN_FILENO, TCSANOW, &t) == 0;
}

/* As much as fits, from the top left; the rest of the screen is cleared. */
static void
show_screen(const char *text)
{
	struct winsize ws = {0};
	int rows = 24, columns = 80, at = 0;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_row > 1 &&
		ws.ws_col > 1) {
		rows = ws.ws_row;
		columns = ws.ws_col;
	}
	fputs("\033[H", stdout);
	for (int r = 0; r < rows - 1 && *text != '\0'; r++) {
		for (at = 0; *text != '\0' && *text != '\n'; text++)
			if (at++ < columns)
				putchar(*text);
		if (*text == '\n')
			text++;
		fputs("\033[K\n", stdout);
	}
	fputs("\033[J", stdout);
}

static void
summary(FILE *out, const struct stat_all *a)
{
	uint64_t live = 0, ring = 0, tcp = 0, on_ring = 0;
	char clock[16] = "";
	time_t t = (time_t)a->time;
	struct tm tm;

	for (size_t i = 0; i < a->nprocs; i++) {
		live = sum(live, a->procs[i].live);
		on_ring += a->procs[i].on_ring;
		ring = sum(ring, weight("ring_bytes", a->procs[i].n));
		tcp = sum(tcp, weight("tcp_bytes", a->procs[i].n));
	}
	if (localtime_r(&t, &tm) != NULL)
		strftime(clock, sizeof(clock), "%T", &tm);
	fprintf(out,
		"kmap-stat %s: %zu processes, %llu connections, %llu on "
		"rings",
		clock, a->nprocs, (unsigned long long)live,
		(unsigned long long)on_ring);
	if (a->interval > 0)
		fprintf(out, "; bytes/s by ring %.0f, by TCP %.0f",
			(double)ring / a->interval, (double)tcp / a->interval);
	fprintf(out, "   (c: connections, d: deltas, q: quit)\n\n");
}

/* Until the time of the next look; a key may bring it at once. */
static void
pause_for(double seconds)
{
	struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
	struct timespec now, end;
	char c;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += (time_t)seconds;
	end.tv_nsec += (long)((seconds - (double)(time_t)seconds) * 1e9);
	while (stopped == 0) {
		struct timespec left;
		int n;

		clock_gettime(CLOCK_MONOTONIC, &now);
		left.tv_sec = end.tv_sec - now.tv_sec;
		left.tv_nsec = end.tv_nsec - now.tv_nsec;
		while (left.tv_nsec < 0) {
			left.tv_nsec += 1000000000;
			left.tv_sec--;
		}
		while (left.tv_nsec >= 1000000000) {
			left.tv_nsec -= 1000000000;
			left.tv_sec++;
		}
		if (left.tv_sec < 0 || (left.tv_sec == 0 && left.tv_nsec == 0))
			return;
		n = ppoll(&p, tty_changed ? 1 : 0, &left, NULL);
		if (n <= 0)
			continue;
		if (read(STDIN_FILENO, &c, 1) != 1) {
			/* Its terminal is gone. */
			tty_changed = false;
			continue;
		}
		if (c == 'q')
			stopped = -1;
		else if (c == 'c')
			opt.want.conns = !opt.want.conns;
		else if (c == 'd')
			opt.delta = !opt.delta;
		else
			continue;
		return;
	}
}

/* ---- one look ---- */

static bool
show(struct stat_all *a, bool screen)
{
	char *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);

	if (out == NULL)
		return false;
	sort(a);
	if (screen)
		summary(out, a);
	if (opt.json)
		stat_json(out, a, &opt.want);
	else
		stat_text(out, a, &opt.want);
	if (fclose(out) != 0)
		return false;
	if (screen)
		show_screen(text);
	else
		fputs(text, stdout);
	free(text);
	return fflush(stdout) == 0;
}

static int
look(void)
{
	bool screen = opt.interval > 0 && !opt.batch && !opt.json &&
		isatty(STDOUT_FILENO);
	struct stat_all now = {0}, then = {0}, kept = {0};
	double interval = opt.interval > 0 ? opt.interval : 1;
	unsigned long count = opt.count;
	bool found = false, first = true;
	int rc = EXIT_FAILURE;

	if (opt.interval <= 0 && count == 0)
		count = 1;
	if (screen) {
		tty_keys();
		fputs("\033[H\033[2J", stdout);
	}
	/* What deltas begin with. */
	if (opt.delta && !screen) {
		if (!stat_collect(&then, &opt.want))
			goto memory;
		pause_for(interval);
	}
	while (stopped == 0) {
		if (!stat_collect(&now, &opt.want) || !copy(&kept, &now))
			goto memory;
		found |= now.nprocs != 0;
		if (opt.delta && then.procs != NULL)
			all_since(&now, &then);
		if (!first && !screen && !opt.json)
			putchar('\n');
		first = false;
		if (!show(&now, screen)) {
			fprintf(stderr, "kmap-stat: cannot write: %s\n",
				strerror(errno));
			goto out;
		}
		stat_free(&now);
		stat_free(&then);
		then = kept;
		kept = (struct stat_all){0};
		if (count != 0 && --count == 0)
			break;
		pause_for(interval);
	}
	rc = EXIT_SUCCESS;
	if (opt.want.npids != 0 && !found) {
		tty_back();
		fputs("kmap-stat: no such process publishes anything: it has "
		      "no connection yet, runs without the library, or is "
		      "another user's\n",
			stderr);
		rc = EXIT_FAILURE;
	}
	goto out;
memory:
	tty_back();
	fputs("kmap-stat: cannot read /proc, or memory is short\n", stderr);
out:
	tty_back();
	stat_free(&now);
	stat_free(&then);
	stat_free(&kept);
	return rc;
}

int
main(int argc, char **argv)
{
	static const struct argp argp = {
		.options = options,
		.parser = parse,
		.doc = "Show the processes and connections that use Kmap.",
	};
	struct rlimit rl;
	int rc;

	argp_err_exit_status = EXIT_FAILURE;
	argp_parse(&argp, argc, argv, 0, NULL, NULL);
	opt.want.pids = opt.pids;
	if (opt.want.sort == NULL)
		opt.want.sort = "ring_bytes";
	/* One descriptor for each process while it is read. */
	if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
		rl.rlim_cur = rl.rlim_max;
		setrlimit(RLIMIT_NOFILE, &rl);
	}
	rc = look();
	if (fclose(stdout) != 0)
		rc = EXIT_FAILURE;
	/* As if the signal had not been caught. */
	if (stopped > 0) {
		signal(stopped, SIG_DFL);
		raise(stopped);
	}
	return rc;
}
