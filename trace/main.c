/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <argz.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "decode.h"
#include "drain.h"
#include "html.h"
#include "opts.h"
#include "out.h"
#include "program.h"
#include "region.h"
#include "run.h"
#include "sinks.h"
#include "symbol.h"
#include "sys.h"
#include "table.h"
#include "twin.h"

/* What the report at the end counts. */
static struct tally {
	uint64_t calls, escapes[TRACE_EARLY + 1]; /* by cause */
	uint32_t processes; /* images, one more for each exec */
	uint64_t begun;
	char *exe; /* of the first */
	bool unseen; /* by ptrace neither */
} tally;

static void
tally_call(void *arg, const struct trace_call *c)
{
	(void)arg;
	tally.calls++;
	tally.escapes[c->escape]++;
}

static void
tally_process(void *arg, const struct trace_process *p)
{
	static uint32_t last;

	(void)arg;
	/* An image is announced again when it changes. */
	if (p->id > last) {
		last = p->id;
		tally.processes++;
		if (!tally.exe && p->exe)
			tally.exe = xstrdup(p->exe);
	}
}

static struct trace_out *
open_out(const char *path)
{
	struct trace_out *out = out_open(path);

	if (!out)
		fatal("%s: %s", path ? path : "standard error",
			strerror(errno));
	return out;
}

/* What -e lets through reaches the sinks that show. */
static void
add_shown(const struct trace_opts *o, const struct trace_sink *s)
{
	trace_sink_add(o->filter ? trace_filter_sink(o->filter, s) : s);
}

/* The arguments for the picture, without their parentheses. */
static size_t
html_args(char *buf, size_t size, const struct trace_call *c)
{
	struct trace_buf b = {0};
	size_t n;

	trace_decode_args(&b, c, 64, NULL, NULL);
	n = b.len - 2;
	if (size) {
		size_t kept = n < size ? n : size - 1;

		memcpy(buf, b.s + 1, kept);
		buf[kept] = 0;
	}
	buf_free(&b);
	return n;
}

static const char *
html_sysname(int sys)
{
	const char *name = trace_sys_name(sys);

	return name[0] ? name : NULL;
}

/* The words of a command as a shell takes them. */
static char *
command_line(char *const *argv)
{
	struct trace_buf b = {0};
	const char *s;

	for (; *argv; argv++) {
		if (b.len)
			buf_char(&b, ' ');
		if (**argv &&
			!(*argv)[strspn(*argv,
				"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				"abcdefghijklmnopqrstuvwxyz"
				"0123456789%+,-./:=@_")]) {
			buf_str(&b, *argv);
			continue;
		}
		buf_char(&b, '\'');
		for (s = *argv; *s; s++)
			if (*s == '\'')
				buf_str(&b, "'\\''");
			else
				buf_char(&b, *s);
		buf_char(&b, '\'');
	}
	return b.s ? b.s : xstrdup("");
}

static void
add_html(const struct trace_opts *o)
{
	char *title = o->argc ? command_line(o->argv) : xstrdup("kmap-trace");
	struct trace_html_options html = {
		.file = o->html,
		.title = title,
		.text = {html_args, html_sysname, trace_symbol},
	};
	static struct trace_sink sink;

	if (trace_html_open(&sink, &html) < 0)
		exit(EXIT_FAILURE);
	add_shown(o, &sink);
	free(title);
}

/* The last name of a path. */
static const char *
base(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

static char *
dir_of(const char *path)
{
	const char *name = base(path);
	struct trace_buf b = {0};

	if (name == path)
		return xstrdup(".");
	buf_add(&b, path, name - path);
	return b.s;
}

static bool
same_file(const char *a, const char *b)
{
	struct stat x, y;
	bool there = !stat(a, &x), both = there && !stat(b, &y);
	char *dir_a, *dir_b;
	bool same;

	if (both)
		return S_ISREG(x.st_mode) && x.st_dev == y.st_dev &&
			x.st_ino == y.st_ino;
	if (there || !stat(b, &y) || strcmp(base(a), base(b)))
		return false;
	dir_a = dir_of(a);
	dir_b = dir_of(b);
	same = !stat(dir_a, &x) && !stat(dir_b, &y) && x.st_dev == y.st_dev &&
		x.st_ino == y.st_ino;
	free(dir_a);
	free(dir_b);
	return same;
}

/* Where the table goes, malloc'ed; NULL: nowhere, or the first program that
 * --attach sees will name it. */
static char *
table_name(const struct trace_opts *o)
{
	struct trace_buf b = {0};

	/* Asked for by those who want no table. */
	if (o->mode == TRACE_TWIN ||
		(o->table && !strcmp(o->table, "/dev/null")))
		return NULL;
	if (o->table)
		buf_str(&b, o->table);
	else if (o->argc)
		buf_fmt(&b, "%s.kmap", base(o->argv[0]));
	return b.s;
}

/* Two forms in one file would write over each other. */
static void
check_files(const struct trace_opts *o)
{
	char *table = table_name(o);
	const char *const files[] = {table, o->text_file, o->json, o->folded,
		o->perfetto, o->html, o->summary_file};
	size_t n = sizeof(files) / sizeof(files[0]);

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; files[i] && k < i; k++)
			if (files[k] && strcmp(files[i], "-") &&
				same_file(files[k], files[i]))
				fatal("%s: two outputs cannot be one file",
					files[i]);
	free(table);
}

/* Opens all files: what cannot be written is said before anything runs. */
static void
add_sinks(const struct trace_opts *o)
{
	static const struct trace_sink count = {
		.name = "tally",
		.process = tally_process,
		.call = tally_call,
	};

	check_files(o);
	trace_sink_add(&count);
	trace_sink_add(trace_run_sink());
	if (o->text) {
		struct trace_text_conf conf = {
			.out = open_out(o->text_file),
			.data = o->data,
			.live = !o->text_file || !strcmp(o->text_file, "-"),
		};

		add_shown(o, trace_text_sink(&conf));
	}
	if (o->json)
		add_shown(o, trace_json_sink(open_out(o->json), o->data));
	if (o->folded)
		add_shown(o, trace_folded_sink(open_out(o->folded)));
	if (o->perfetto)
		add_shown(
			o, trace_perfetto_sink(open_out(o->perfetto), o->data));
	if (o->html)
		add_html(o);
	if (o->summary)
		add_shown(o, trace_summary_sink(open_out(o->summary_file)));
}

/*
 * The table is made at the end. Should kmap-trace be killed before, then what
 * it knew a while ago is in TABLE.part: a fork makes it, from the memory as
 * it was at that moment, and the recording goes on meanwhile.
 */
static struct snapshot {
	struct trace_buf table; /* where the table goes; empty: not known */
	pid_t pid; /* that makes one, or 0 */
	uint64_t begun, next; /* ns */
	uint64_t calls; /* that the last one was made of */
	unsigned int filters; /* of --verify */
	bool made;
} snapshot;

static void
make_snapshot(void)
{
	struct trace_table_conf conf = {0};
	struct trace_buf tmp = {0}, part = {0};
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	/* What cannot be written now will be said at the end. */
	dup2(null, STDERR_FILENO);
	buf_fmt(&part, "%s.part", snapshot.table.s);
	buf_fmt(&tmp, "%s.%d", part.s, getpid());
	conf.path = tmp.s;
	conf.filters = snapshot.filters;
	if (trace_table_sink(&conf)->finish(NULL) < 0 ||
		rename(tmp.s, part.s) < 0)
		unlink(tmp.s);
	_exit(0);
}

/* Whether the one that was being made is there; `wait` until it is. */
static bool
snapshot_done(bool wait)
{
	uint64_t took;

	if (!snapshot.pid)
		return true;
	if (waitpid(snapshot.pid, NULL, wait ? 0 : WNOHANG) == 0)
		return false;
	snapshot.pid = 0;
	/* Never more than a twentieth of one processor. */
	took = kmap_now() - snapshot.begun;
	snapshot.next = kmap_now() + 20 * took;
	return true;
}

static void
snapshot_tick(void *arg)
{
	(void)arg;
	if (!snapshot_done(false) || !snapshot.table.len ||
		snapshot.calls == tally.calls || kmap_now() < snapshot.next)
		return;
	snapshot.calls = tally.calls;
	snapshot.begun = kmap_now();
	snapshot.made = true;
	snapshot.pid = fork();
	if (!snapshot.pid)
		make_snapshot();
	if (snapshot.pid < 0)
		snapshot.pid = 0;
}

/* --attach without -o: the first program that is seen names the table. */
static void
snapshot_process(void *arg, const struct trace_process *p)
{
	(void)arg;
	if (!snapshot.table.len && p->exe && p->exe[0])
		buf_fmt(&snapshot.table, "%s.kmap", base(p->exe));
}

static int
snapshot_finish(void *arg)
{
	struct trace_buf part = {0};

	(void)arg;
	snapshot_done(true);
	if (snapshot.made) {
		buf_fmt(&part, "%s.part", snapshot.table.s);
		unlink(part.s);
		buf_free(&part);
	}
	return 0;
}

/* A table is written beside its place and renamed: can it be? */
static void
try_table(const char *path, bool named)
{
	struct trace_buf tmp = {0};
	struct stat st;
	int fd;

	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
		fatal("%s: not a file that a table can replace", path);
	buf_fmt(&tmp, "%s.%d", path, getpid());
	fd = open(tmp.s, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0)
		fatal("%s: %s%s", path, strerror(errno),
			named ? ""
			      : " (-o FILE writes the table elsewhere, "
				"-o /dev/null writes none)");
	close(fd);
	unlink(tmp.s);
	buf_free(&tmp);
}

static void
add_table(const struct trace_opts *o, bool verify)
{
	static const struct trace_sink parts = {
		.name = "snapshot",
		.process = snapshot_process,
		.tick = snapshot_tick,
		.finish = snapshot_finish,
	};
	struct trace_table_conf conf = {
		.path = o->table,
		.argv = o->argc ? o->argv : NULL,
		.pid = o->pid,
		.spare = true,
		.filters = verify,
	};
	char *path = table_name(o);

	snapshot.filters = verify;
	if (!path && o->table)
		return;
	if (path && strcmp(path, "-"))
		try_table(path, o->table);
	trace_sink_add(trace_table_sink(&conf));
	if (path && !strcmp(path, "-"))
		goto out;
	if (path)
		buf_str(&snapshot.table, path);
	trace_sink_add(&parts);
out:
	free(path);
}

static const char *
plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

/* How much of what went to the kernel about network fds the recorder saw. */
static void
report_coverage(const struct trace_opts *o, const struct trace_ptrace *x)
{
	const struct trace_coverage *list;
	uint64_t network = 0, recorded = 0;
	size_t n = trace_ptrace_coverage(x, &list), i;

	for (i = 0; i < n; i++) {
		network += list[i].network;
		recorded += list[i].recorded;
	}
	if (!network)
		return;
	say("coverage: %llu of %llu network system calls (%.1f %%)",
		(unsigned long long)recorded, (unsigned long long)network,
		100.0 * recorded / network);
	for (i = 0; i < n && o->summary; i++)
		say("  %s: %llu of %llu, %llu calls in all",
			trace_sys_name(list[i].sys),
			(unsigned long long)list[i].recorded,
			(unsigned long long)list[i].network,
			(unsigned long long)list[i].calls);
}

static void
report_escapes(void)
{
	size_t i;

	for (i = TRACE_COVERED + 1; i <= TRACE_EARLY; i++)
		if (tally.escapes[i])
			say("%llu call%s %s: no preloaded library sees %s",
				(unsigned long long)tally.escapes[i],
				plural(tally.escapes[i]), trace_escape_text(i),
				tally.escapes[i] == 1 ? "it" : "them");
}

static bool
is_new(char **files, size_t *size, const char *file)
{
	const char *f = NULL;

	while ((f = argz_next(*files, *size, f)))
		if (!strcmp(f, file))
			return false;
	return argz_add(files, size, file) == 0;
}

/* Executed by somebody who cannot open the recorder's memory. */
static bool
say_barred(const struct trace_run *r, const char *name)
{
	if (r->ptrace)
		return false;
	say("%s was executed as another user, who cannot open the recorder's "
	    "memory: nothing of it was seen, use --verify",
		name);
	return true;
}

/* Programs that were executed under the one that was started and that took no
 * recorder: how many. */
static unsigned int
report_unseen(const struct trace_run *r)
{
	struct trace_program p;
	const char *list, *name = NULL;
	char why[256], *file, *said = NULL;
	size_t len, said_len = 0;
	unsigned int n = 0;

	if (!r->drain)
		return 0;
	list = trace_drain_programs(r->drain, &len);
	while ((name = argz_next(list, len, name))) {
		if (*name == KT_BARRED) {
			n += say_barred(r, name + 1);
			continue;
		}
		if (!*name ||
			trace_program_look(
				&p, name, getenv("PATH"), why, sizeof(why)) < 0)
			continue;
		/* Most are followed by ptrace, where that is at work. */
		file = p.obstacle == TRACE_PRELOADS || (r->ptrace && !p.unseen)
			? NULL
			: realpath(p.file, NULL);
		if (file && is_new(&said, &said_len, file)) {
			say("%s: nothing of it was seen%s", p.trouble,
				p.unseen ? ""
					: p.obstacle < TRACE_SETUID
					? ", use --verify"
					: ", run kmap-trace as root");
			n++;
		}
		free(file);
		trace_program_free(&p);
	}
	free(said);
	return n;
}

#define SHOWN_KEPT 6

/* Nothing of the program moves, whatever its endpoints are: why. Or NULL. */
static const char *
stays(const struct trace_program *p)
{
	if (trace_table_result()->inert)
		return "it installs a seccomp filter that kills, and "
		       "libkmapemu does nothing in it";
	if (p && p->obstacle != TRACE_PRELOADS)
		return "no library can be preloaded into it";
	return NULL;
}

static void
report_endpoints(const struct trace_program *p, unsigned int unseen)
{
	const struct trace_table_result *r = trace_table_result();
	const char *why = stays(p);
	unsigned int i;

	if (r->endpoints)
		say("%u of %u endpoint%s can move to shared memory%s%s",
			why ? 0 : r->emulate, r->endpoints,
			plural(r->endpoints), why ? ": " : "", why ? why : "");
	else if (tally.calls)
		say("no connection came about, and nothing listened");
	else
		say("it used no network endpoint%s",
			unseen ? " that was seen" : "");
	for (i = 0; i < r->nkept && i < SHOWN_KEPT; i++)
		say("  not %s: %s", r->kept[i], r->why[i]);
	if (i < r->nkept)
		say("  and %u more, see the table", r->nkept - i);
}

/* What to do with the table. */
static void
report_next(const struct trace_opts *o, const struct trace_program *p)
{
	static const char *const removes[] = {[TRACE_SETUID] = "chmod u-s",
		[TRACE_SETGID] = "chmod g-s",
		[TRACE_CAPS] = "setcap -r"};
	const struct trace_table_result *r = trace_table_result();
	char *table, *command;

	if (!r->emulate || r->inert || !p)
		return;
	if (p->obstacle != TRACE_PRELOADS) {
		if (p->obstacle < TRACE_SETUID)
			return; /* the first sentence said what would help */
		command = command_line((char *[]){(char *)p->file, NULL});
		say("next: %s %s, and trace it again", removes[p->obstacle],
			command);
		free(command);
		return;
	}
	/* On standard output it is no file to run by. */
	if (!strcmp(r->path, "-"))
		return;
	table = command_line((char *[]){(char *)r->path, NULL});
	command = command_line(o->argv);
	/* The library looks for it in the directory of each program. */
	say("next: KMAP_TABLE=%s%s LD_PRELOAD=libkmapemu.so %s%s",
		*r->path == '/' ? "" : "$PWD/", table,
		strlen(command) > 400 ? o->argv[0] : command,
		strlen(command) > 400 ? " …" : "");
	free(command);
	free(table);
}

static void
report_table(const struct trace_opts *o, const struct trace_program *p,
	unsigned int unseen)
{
	const struct trace_table_result *r = trace_table_result();

	if (!r || !r->path)
		return;
	report_endpoints(p, unseen);
	if (strcmp(r->path, "-"))
		say("table: %s%s", r->path,
			r->unchanged ? " (says the same as before)" : "");
	report_next(o, p);
}

static void
report(const struct trace_opts *o, const struct trace_run *r,
	const struct trace_program *p, int status)
{
	/* What ptrace follows is announced by its first network call. */
	bool silent = r->ptrace && !tally.unseen && !tally.processes;
	uint32_t programs = silent ? 1 : tally.processes;
	unsigned int unseen;
	char name[256], how[64] = "";

	if (r->drain && trace_drain_lost(r->drain))
		say("%llu calls were seen and could not be recorded",
			(unsigned long long)trace_drain_lost(r->drain));
	if (o->quiet)
		return;
	if (o->argc || tally.exe)
		snprintf(name, sizeof(name), "%s",
			base(o->argc ? o->argv[0] : tally.exe));
	else
		snprintf(name, sizeof(name), "process %d", o->pid);
	if (WIFSIGNALED(status))
		snprintf(how, sizeof(how), ", killed by SIG%s",
			sigabbrev_np(WTERMSIG(status))
				? sigabbrev_np(WTERMSIG(status))
				: "?");
	else if (WEXITSTATUS(status))
		snprintf(how, sizeof(how), ", exit status %d",
			WEXITSTATUS(status));
	say("%s: %llu call%s of %u program%s in %.1f s%s", name,
		(unsigned long long)tally.calls, plural(tally.calls), programs,
		plural(programs), (kmap_now() - tally.begun) / 1e9, how);
	if (r->ptrace && r->drain)
		report_coverage(o, r->ptrace);
	report_escapes();
	unseen = report_unseen(r);
	if (silent)
		say("it used no network endpoint%s, so there is no table",
			unseen ? " that was seen" : "");
	report_table(o, p, unseen);
}

/* FILE of an optional argument, which must stand right behind the option, was
 * taken for the program. */
static void
hint_file(const struct trace_opts *o)
{
	const char *before = o->argv[-1];

	if (!strcmp(before, "-t") || !strcmp(before, "--trace"))
		say("a file for -t follows without a blank: -t%s", o->argv[0]);
	else if (!strcmp(before, "--summary"))
		say("a file for --summary follows with a \"=\": --summary=%s",
			o->argv[0]);
}

/* Looks at the program before it is started: is it there, and of a kind that
 * a library can be preloaded into? */
static void
look(const struct trace_opts *o, struct trace_program *p)
{
	char why[256];
	int rc;

	rc = trace_program_look(
		p, o->argv[0], getenv("PATH"), why, sizeof(why));
	if (rc < 0) {
		say("%s: %s", o->argv[0], why);
		if (o->argc > 1)
			hint_file(o);
		exit(rc == -ENOENT ? 127 : 126);
	}
	tally.unseen = p->unseen;
}

/*
 * What could not be written was said; the exit status is the program's,
 * whatever became of the trace.
 */
static void
finish(const struct trace_opts *o, const struct trace_run *r,
	const struct trace_program *p, int status)
{
	(void)trace_finish();
	if (o->mode == TRACE_RUN && (!r->ptrace || tally.unseen) &&
		!tally.processes && !o->quiet)
		say("the recorder was not loaded into %s: nothing was seen",
			o->argv[0]);
	report(o, r, p, status);
	if (r->ptrace)
		trace_ptrace_free(r->ptrace);
	if (r->drain)
		trace_drain_free(r->drain);
}

static int
trace(const struct trace_opts *o)
{
	struct trace_drain_options conf = {.data = o->data, .frames = 64};
	struct trace_ptrace_options pconf = {.data = o->data, .frames = 64};
	struct trace_run r = {.argv = o->argv, .quiet = o->quiet};
	struct trace_program p;
	bool verify;
	int status;

	look(o, &p);
	if (p.obstacle != TRACE_PRELOADS)
		say("%s", p.sentence);
	verify = o->verify || p.obstacle != TRACE_PRELOADS;
	add_sinks(o);
	add_table(o, verify);
	if (trace_drain_open(&r.drain, &conf) < 0)
		return EXIT_FAILURE;
	if (verify) {
		r.ptrace = trace_verify_new(trace_drain_path(r.drain), &pconf);
		if (!r.ptrace)
			say("--verify: %s", strerror(errno));
	}
	tally.begun = kmap_now();
	status = verify && !r.ptrace ? -EAGAIN : trace_run(&r);
	if (status >= 0 && r.ptrace)
		trace_ptrace_close(r.ptrace, r.drain);
	trace_drain_close(r.drain);
	if (status < 0)
		return status == -ENOENT ? 127
			: status == -EACCES || status == -ENOEXEC
			? 126
			: EXIT_FAILURE;
	finish(o, &r, &p, status);
	trace_program_free(&p);
	trace_end_like(status);
}

/* A process whose calls cannot be told: said, and followed for its children. */
static void
look_at_process(pid_t pid)
{
	char link[32], file[4096], why[256];
	struct trace_program p;
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/%d/exe", pid);
	n = readlink(link, file, sizeof(file) - 1);
	file[n > 0 ? n : 0] = 0;
	if (trace_program_look(&p, file, NULL, why, sizeof(why)) < 0)
		return;
	tally.unseen = p.unseen;
	if (p.unseen)
		say("%s", p.sentence);
	trace_program_free(&p);
}

static int
attach(const struct trace_opts *o)
{
	struct trace_ptrace_options pconf = {.data = o->data, .frames = 64};
	struct trace_run r = {.quiet = o->quiet};

	look_at_process(o->pid);
	add_sinks(o);
	add_table(o, false);
	r.ptrace = trace_attach_new(&pconf);
	if (!r.ptrace)
		fatal("--attach: %s", strerror(errno));
	tally.begun = kmap_now();
	if (trace_follow(&r, o->pid) < 0)
		return EXIT_FAILURE;
	trace_ptrace_close(r.ptrace, NULL);
	finish(o, &r, NULL, 0);
	return EXIT_SUCCESS;
}

static int
twin(const struct trace_opts *o)
{
	struct trace_program p;
	int status;

	look(o, &p);
	if (p.obstacle != TRACE_PRELOADS) {
		say("%s: --twin cannot run it on Kmap", p.trouble);
		return 2;
	}
	add_sinks(o);
	trace_sink_add(twin_sink());
	status = twin_run(o);
	trace_program_free(&p);
	(void)trace_finish();
	return status;
}

int
main(int argc, char **argv)
{
	struct trace_opts o;

	trace_opts_parse(&o, argc, argv);
	trace_run_prepare();
	switch (o.mode) {
	case TRACE_RUN:
		return trace(&o);
	case TRACE_ATTACH:
		return attach(&o);
	case TRACE_TWIN:
		return twin(&o);
	case TRACE_MERGE:
		return trace_table_merge(o.argc, o.argv, o.table);
	case TRACE_CHECK:
		return trace_table_check(o.argc, o.argv);
	case TRACE_DIFF:
		return trace_table_diff(o.argv[0], o.argv[1]);
	}
	return EXIT_FAILURE;
}
