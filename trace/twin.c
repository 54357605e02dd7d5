/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "twin.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "drain.h"
#include "out.h"
#include "run.h"
#include "sys.h"

#define EMULATION "libkmapemu.so"

/* ns */
#define LISTENS_ONLY 1000000000ull /* it waits where nobody sees it */
#define SETTLED 200000000ull
#define SETTLES 5000000000ull
#define DIES 10000000000ull
#define LOAD_ENDS 5000 /* ms */

enum stage {
	STAGE_START, /* until the program listens */
	STAGE_DRIVE, /* until the load has ended */
	STAGE_SETTLE, /* until the program has seen the end of it */
	STAGE_END, /* SIGTERM was sent */
	STAGE_KILL, /* SIGKILL was sent */
};

struct run {
	const struct trace_opts *o;
	enum twin_arm arm;
	struct trace_drain *drain;
	enum stage stage;
	uint64_t since; /* when the stage began, or it was seen to listen */
	pid_t drive; /* 0: not started, or ended */
	int drive_status; /* wait status; -1: it was never started */
	int status; /* the program's */
	uint64_t alone; /* since when the program has ended, children not */
	bool left; /* what the program left behind got its SIGTERM */
};

/* What LD_PRELOAD and the like were when we were started. */
static char *preload, *emulation;
static char *upgrade, *stats_before;
static char stats[2][4096]; /* of the program, of the load */

/* LD_PRELOAD: what the user has in it, without the emulation or with it. */
static void
set_preload(enum twin_arm arm)
{
	char *words = xstrdup(preload), *word, *rest = words;
	struct trace_buf b = {0};
	bool there = false;

	while ((word = strsep(&rest, ": "))) {
		size_t n = strlen(word), m = strlen(EMULATION);

		if (!n)
			continue;
		if (n >= m && !strcmp(word + n - m, EMULATION)) {
			if (arm != TWIN_KMAP)
				continue;
			there = true;
		}
		buf_fmt(&b, "%s%s", b.len ? ":" : "", word);
	}
	if (arm == TWIN_KMAP && !there)
		buf_fmt(&b, "%s%s", b.len ? ":" : "", emulation);
	if (b.len)
		setenv("LD_PRELOAD", b.s, 1);
	else
		unsetenv("LD_PRELOAD");
	buf_free(&b);
	free(words);
}

static void
set(const char *name, const char *value)
{
	if (value)
		setenv(name, value, 1);
	else
		unsetenv(name);
}

/* The environment of program and load; only the program's numbers count. */
static void
set_environment(enum twin_arm arm)
{
	set_preload(arm);
	set("KMAP_UPGRADE", arm == TWIN_KMAP ? "now" : upgrade);
	set("KMAP_STATS", arm == TWIN_KMAP ? stats[0] : stats_before);
}

static void
start_drive(struct run *r)
{
	sigset_t none;

	r->drive = fork();
	if (r->drive < 0) {
		say("fork: %s", strerror(errno));
		r->drive = 0;
		r->drive_status = 127 << 8;
		return;
	}
	if (r->drive)
		return;
	/* One group: what it starts in the background ends with it. */
	setpgid(0, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	trace_run_restore();
	if (r->arm == TWIN_KMAP)
		setenv("KMAP_STATS", stats[1], 1);
	execl("/bin/sh", "sh", "-c", r->o->drive, (char *)NULL);
	_exit(127);
}

static bool
drive_ended(struct run *r)
{
	if (r->drive &&
		waitpid(r->drive, &r->drive_status, WNOHANG) == r->drive) {
		kill(-r->drive, SIGTERM);
		r->drive = 0;
	}
	return !r->drive;
}

/* By itself, within ms. */
static void
end_drive(struct run *r, int ms)
{
	for (; ms > 0 && !drive_ended(r) && !trace_run_interrupted(); ms -= 10)
		usleep(10000);
	if (drive_ended(r))
		return;
	kill(-r->drive, SIGKILL);
	while (waitpid(r->drive, &r->drive_status, 0) < 0 && errno == EINTR)
		;
	r->drive = 0;
}

static void
enter(struct run *r, enum stage stage)
{
	r->stage = stage;
	r->since = kmap_now();
}

static void
signal_program(pid_t pid, int sig)
{
	if (pid)
		kill(pid, sig);
	else
		trace_run_signal(sig);
}

/* The program listens, and what it has to do before is done. */
static bool
is_up(struct run *r)
{
	if (!twin_listens())
		return false;
	if (!r->since)
		r->since = kmap_now();
	return trace_drain_waiting(r->drain) ||
		kmap_now() - r->since > LISTENS_ONLY;
}

static void
each(void *arg, pid_t pid)
{
	struct run *r = arg;
	uint64_t t = kmap_now();

	if (trace_run_interrupted())
		end_drive(r, 0);
	switch (r->stage) {
	case STAGE_START:
		if (!pid && !r->alone)
			r->alone = t;
		if (r->o->drive && r->alone && t - r->alone > DIES) {
			say("what %s has left does not listen", r->o->argv[0]);
			enter(r, STAGE_END);
			break;
		}
		if (!r->o->drive || !is_up(r))
			break;
		start_drive(r);
		enter(r, STAGE_DRIVE);
		break;
	case STAGE_DRIVE:
		if (drive_ended(r))
			enter(r, STAGE_SETTLE);
		break;
	case STAGE_SETTLE:
		/* It reads the ends of its connections, and closes them. */
		if (t - r->since < SETTLED ||
			(t - twin_last() < SETTLED && t - r->since < SETTLES))
			break;
		signal_program(pid, SIGTERM);
		enter(r, STAGE_END);
		break;
	case STAGE_END:
		if (!pid && !r->left) {
			r->left = true;
			signal_program(0, SIGTERM);
		}
		if (t - r->since < DIES)
			break;
		say("it does not end by SIGTERM: killed");
		signal_program(pid, SIGKILL);
		if (pid)
			trace_run_signal(SIGKILL);
		enter(r, STAGE_KILL);
		break;
	case STAGE_KILL:
		break;
	}
}

/* 0, or an exit status with a message. */
static int
run_arm(struct run *r)
{
	struct trace_drain_options conf = {
		.data = r->o->data, .frames = 64, .hash = true};
	struct trace_run run = {
		.argv = r->o->argv, .quiet = true, .each = each, .arg = r};
	void (*sigpipe)(int) = signal(SIGPIPE, SIG_IGN);

	/* The program of the second run finds what the first one found. */
	signal(SIGPIPE, sigpipe);
	twin_begin(r->arm);
	r->drive_status = -1;
	set_environment(r->arm);
	if (trace_drain_open(&r->drain, &conf) < 0)
		return 2;
	run.drain = r->drain;
	r->status = trace_run(&run);
	/* What asks a program that is gone soon gives up. */
	end_drive(r, LOAD_ENDS);
	trace_drain_close(r->drain);
	signal(SIGPIPE, sigpipe);
	return r->status < 0 ? 2 : 0;
}

static const char *
how(int status)
{
	static char text[2][64];
	static int n;
	char *s = text[n++ & 1];

	if (WIFSIGNALED(status))
		snprintf(s, sizeof(*text), "was killed by SIG%s",
			sigabbrev_np(WTERMSIG(status))
				? sigabbrev_np(WTERMSIG(status))
				: "?");
	else
		snprintf(
			s, sizeof(*text), "ended with %d", WEXITSTATUS(status));
	return s;
}

/* Whether a run is equal to that on TCP; what was compared is in t. */
static bool
equal(const struct run r[TWIN_ARMS], enum twin_arm with, struct twin_totals *t)
{
	return twin_compare(with, t) && r[with].status == r[TWIN_TCP].status &&
		r[with].drive_status == r[TWIN_TCP].drive_status;
}

/* The one that is not. */
static void
tell(const struct run r[TWIN_ARMS], enum twin_arm with, const char *what)
{
	struct twin_totals t;

	if (!twin_compare(with, &t))
		twin_tell(with, what);
	else if (r[with].status != r[TWIN_TCP].status)
		say("%s: %s %s on TCP and %s on %s", what, r->o->argv[0],
			how(r[TWIN_TCP].status), how(r[with].status),
			twin_names[with]);
	else
		say("%s: the load %s on TCP and %s on %s", what,
			how(r[TWIN_TCP].drive_status),
			how(r[with].drive_status), twin_names[with]);
}

/* The sum of a key in the lines of KMAP_STATS. */
static uint64_t
sum_of(const char *text, const char *key)
{
	char word[64];
	uint64_t sum = 0;

	snprintf(word, sizeof(word), "\"%s\":", key);
	for (; (text = strstr(text, word)); text += strlen(word))
		sum += strtoull(text + strlen(word), NULL, 10);
	return sum;
}

static void
read_file(const char *path, struct trace_buf *b)
{
	FILE *f = fopen(path, "re");
	char part[4096];
	size_t n;

	while (f && (n = fread(part, 1, sizeof(part), f)) > 0)
		buf_add(b, part, n);
	if (f)
		fclose(f);
	buf_str(b, "");
}

/* Why connections stayed on TCP: the words of all lines, each once. */
static void
put_reasons(struct trace_buf *b, char *text)
{
	const char *begin = "\"not_upgraded\":{";
	char *p, *end, *word;
	bool first = true;

	while ((p = strstr(text, begin))) {
		p += strlen(begin);
		end = strchr(p, '}');
		if (!end)
			break;
		*end = 0;
		text = end + 1;
		while ((word = strsep(&p, ","))) {
			word = strtok(word, "\":");
			if (!word || (b->s && strstr(b->s, word)))
				continue;
			buf_fmt(b, "%s%s", first ? " (" : ", ", word);
			first = false;
		}
	}
	if (!first)
		buf_char(b, ')');
}

static bool
make_stats(void)
{
	const char *tmp = getenv("TMPDIR");
	int i, fd;

	for (i = 0; i < 2; i++) {
		snprintf(stats[i], sizeof(stats[i]), "%s/kmap-twin.XXXXXX",
			tmp && *tmp ? tmp : "/tmp");
		fd = mkostemp(stats[i], O_CLOEXEC);
		if (fd < 0) {
			say("%s: %s", stats[i], strerror(errno));
			stats[i][0] = 0;
			return false;
		}
		/* Programs that gave up their rights write it, too. */
		if (fchmod(fd, 0622) < 0)
			say("%s: %s", stats[i], strerror(errno));
		close(fd);
	}
	return true;
}

static const char *
s_of(uint64_t n)
{
	return n == 1 ? "" : "s";
}

static void
tell_equal(const struct trace_opts *o, const struct twin_totals *t,
	uint64_t rings, uint64_t tcp)
{
	struct trace_buf b = {0};

	if (o->quiet)
		return;
	buf_fmt(&b,
		"equal: %u connection%s (%u accepted, %u connected), %llu "
		"bytes read and %llu written, ",
		t->accepted + t->connected, s_of(t->accepted + t->connected),
		t->accepted, t->connected, (unsigned long long)t->in,
		(unsigned long long)t->out);
	buf_str(&b, "what was read by its content, too");
	if (t->blind)
		buf_fmt(&b,
			", but for %llu bytes that no call of the program's "
			"shows (splice …)",
			(unsigned long long)t->blind);
	buf_fmt(&b,
		"; %u end%s of stream, %u error%s, the order of readiness of "
		"%u connection%s\n",
		t->ends, s_of(t->ends), t->errors, s_of(t->errors), t->ready,
		s_of(t->ready));
	if (t->reordered)
		buf_fmt(&b,
			"   %u of them came in another order, as clients that "
			"run side by side do\n",
			t->reordered);
	buf_fmt(&b, "   on Kmap %llu bytes moved by shared memory, %llu by TCP",
		(unsigned long long)rings, (unsigned long long)tcp);
	say("%s", b.s);
	buf_free(&b);
}

/*
 * A difference: is it that between TCP and Kmap? A program or a load that
 * does not do the same twice differs on TCP alike.
 */
static int
differ(struct run r[TWIN_ARMS])
{
	struct twin_totals t;

	if (run_arm(&r[TWIN_AGAIN]))
		return 2;
	if (trace_run_interrupted()) {
		say("interrupted: nothing was compared");
		return 2;
	}
	if (equal(r, TWIN_AGAIN, &t)) {
		tell(r, TWIN_KMAP, "different");
		return 1;
	}
	tell(r, TWIN_AGAIN,
		"nothing was compared: two runs on TCP differ, too");
	return 2;
}

/* Both runs are over. */
static int
judge(const struct trace_opts *o, struct run r[TWIN_ARMS])
{
	struct trace_buf text = {0}, why = {0};
	struct twin_totals t;
	uint64_t rings, tcp;
	int i;

	for (i = 0; i <= TWIN_KMAP; i++)
		if (o->drive && r[i].drive_status == -1) {
			say("nothing was compared: on %s %s %s and did not "
			    "listen on TCP before",
				twin_names[i], o->argv[0], how(r[i].status));
			return 2;
		}
	if (!equal(r, TWIN_KMAP, &t))
		return differ(r);
	read_file(stats[0], &text);
	rings = sum_of(text.s, "ring_bytes_in") +
		sum_of(text.s, "ring_bytes_out");
	tcp = sum_of(text.s, "tcp_bytes_in") + sum_of(text.s, "tcp_bytes_out");
	if (!rings) {
		put_reasons(&why, text.s);
		say("nothing was compared: no difference, but on Kmap no byte "
		    "of %s moved by shared memory%s",
			o->argv[0], why.s ? why.s : "");
		buf_free(&why);
	} else {
		tell_equal(o, &t, rings, tcp);
	}
	buf_free(&text);
	return rings ? 0 : 2;
}

int
twin_run(const struct trace_opts *o)
{
	struct run r[TWIN_ARMS] = {{.o = o, .arm = TWIN_TCP},
		{.o = o, .arm = TWIN_KMAP}, {.o = o, .arm = TWIN_AGAIN}};
	const char *old = getenv("LD_PRELOAD");
	int i, null, status = 2;

	preload = xstrdup(old ? old : "");
	old = getenv("KMAP_UPGRADE");
	upgrade = old ? xstrdup(old) : NULL;
	old = getenv("KMAP_STATS");
	stats_before = old ? xstrdup(old) : NULL;
	emulation = trace_library("KMAP_EMU_LIB", "../emu/.libs", EMULATION);
	if (access(emulation, R_OK)) {
		say("%s: %s", emulation, strerror(errno));
		return 2;
	}
	/* The second run could not read what the first one has read. */
	null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	dup2(null, STDIN_FILENO);
	close(null);
	if (make_stats()) {
		for (i = 0; i <= TWIN_KMAP; i++)
			if (run_arm(&r[i]) || trace_run_interrupted())
				break;
		if (i > TWIN_KMAP)
			status = judge(o, r);
		else if (trace_run_interrupted())
			say("interrupted: nothing was compared");
	}
	for (i = 0; i < 2; i++)
		if (stats[i][0])
			unlink(stats[i]);
	for (i = 0; i < TWIN_ARMS; i++)
		if (r[i].drain)
			trace_drain_free(r[i].drain);
	return status;
}
