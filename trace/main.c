/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "decode.h"
#include "drain.h"
#include "html.h"
#include "opts.h"
#include "out.h"
#include "program.h"
#include "run.h"
#include "sinks.h"
#include "symbol.h"
#include "table.h"

/* Built before the recorder's reader and the table are: asked for. */
#pragma weak trace_drain_open
#pragma weak trace_drain_close
#pragma weak trace_drain_free
#pragma weak trace_drain_lost
#pragma weak trace_table_sink
#pragma weak trace_table_result
#pragma weak trace_table_merge
#pragma weak trace_table_check
#pragma weak trace_table_diff

/* What the report at the end counts. */
static struct tally {
	uint64_t calls, escapes, waits[TRACE_EARLY + 1];
	uint32_t processes, unrecorded;
	uint64_t begun;
} tally;

static uint64_t
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

static void
tally_call(void *arg, const struct trace_call *c)
{
	(void)arg;
	tally.calls++;
	if (c->escape != TRACE_COVERED) {
		tally.escapes++;
		tally.waits[c->escape]++;
	}
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
		tally.unrecorded += !p->recorded;
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
		if (**argv && !(*argv)[strspn(*argv,
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

/* Opens all files: what cannot be written is said before anything runs. */
static void
add_sinks(const struct trace_opts *o)
{
	static const struct trace_sink count = {
		.name = "tally",
		.process = tally_process,
		.call = tally_call,
	};

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
		add_shown(o,
			trace_perfetto_sink(open_out(o->perfetto), o->data));
	if (o->html)
		add_html(o);
	if (o->summary)
		add_shown(o, trace_summary_sink(open_out(o->summary_file)));
}

/* The last name of a path. */
static const char *
base(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

/* The table is made at the end; whether it can be is seen now. */
static void
add_table(const struct trace_opts *o)
{
	struct trace_table_conf conf = {
		.path = o->table,
		.argv = o->argc ? o->argv : NULL,
	};
	struct trace_buf b = {0};
	bool was;
	int fd;

	if (o->table)
		buf_str(&b, o->table);
	else if (o->argc)
		buf_fmt(&b, "%s.kmap", base(o->argv[0]));
	if (b.len && strcmp(b.s, "-")) {
		was = access(b.s, F_OK) == 0;
		fd = open(b.s, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
		if (fd < 0)
			fatal("%s: %s", b.s, strerror(errno));
		close(fd);
		if (!was)
			unlink(b.s);
	}
	buf_free(&b);
	if (trace_table_sink)
		trace_sink_add(trace_table_sink(&conf));
}

static const char *
plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

static void
report_escapes(const struct trace_opts *o)
{
	size_t i;

	if (!o->verify && o->mode != TRACE_ATTACH)
		return;
	if (!tally.escapes)
		say("every call was seen by the recorder");
	for (i = TRACE_COVERED + 1; i <= TRACE_EARLY; i++)
		if (tally.waits[i])
			say("%llu call%s %s: no preloaded library sees %s",
				(unsigned long long)tally.waits[i],
				plural(tally.waits[i]), trace_escape_text(i),
				tally.waits[i] == 1 ? "it" : "them");
}

#define SHOWN_KEPT 6

static void
report_table(const struct trace_opts *o)
{
	const struct trace_table_result *r =
		trace_table_result ? trace_table_result() : NULL;
	char *command;
	unsigned int i;

	if (!r || !r->path)
		return;
	if (r->inert)
		say("it installs a seccomp filter that kills: libkmapemu does "
		    "nothing in it");
	say("%u of %u endpoint%s can move to shared memory", r->emulate,
		r->endpoints, plural(r->endpoints));
	for (i = 0; i < r->nkept && i < SHOWN_KEPT; i++)
		say("  not %s: %s", r->kept[i], r->why[i]);
	if (i < r->nkept)
		say("  and %u more, see the table", r->nkept - i);
	say("table: %s%s", r->path,
		r->unchanged ? " (says the same as before)" : "");
	if (!r->emulate || r->inert || !o->argc)
		return;
	command = command_line(o->argv);
	say("next: KMAP_TABLE=%s LD_PRELOAD=libkmapemu.so %s%s", r->path,
		strlen(command) > 400 ? o->argv[0] : command,
		strlen(command) > 400 ? " …" : "");
	free(command);
}

static void
report(const struct trace_opts *o, struct trace_drain *d, int status)
{
	const char *name = o->argc ? base(o->argv[0]) : "attached";
	char how[64] = "";

	if (d && trace_drain_lost(d))
		say("%llu calls were seen and could not be recorded",
			(unsigned long long)trace_drain_lost(d));
	if (o->quiet)
		return;
	if (WIFSIGNALED(status))
		snprintf(how, sizeof(how), ", killed by SIG%s",
			sigabbrev_np(WTERMSIG(status))
				? sigabbrev_np(WTERMSIG(status))
				: "?");
	else if (WEXITSTATUS(status))
		snprintf(how, sizeof(how), ", exit status %d",
			WEXITSTATUS(status));
	say("%s: %llu call%s of %u program%s in %.1f s%s", name,
		(unsigned long long)tally.calls, plural(tally.calls),
		tally.processes, plural(tally.processes),
		(now() - tally.begun) / 1e9, how);
	report_escapes(o);
	report_table(o);
}

/* Looks at the program before it is started: one that is not there, and one
 * that no library can be preloaded into. */
static void
look(const struct trace_opts *o, struct trace_program *p)
{
	char why[256];
	int rc;

	rc = trace_program_look(
		p, o->argv[0], getenv("PATH"), why, sizeof(why));
	if (rc < 0) {
		say("%s: %s", o->argv[0], why);
		exit(rc == -ENOENT ? 127 : 126);
	}
	if (p->obstacle != TRACE_PRELOADS)
		say("%s", p->sentence);
}

static int
trace(const struct trace_opts *o)
{
	struct trace_drain_options conf = {.data = o->data, .frames = 64};
	struct trace_program p;
	struct trace_drain *d;
	int status;

	look(o, &p);
	add_sinks(o);
	add_table(o);
	if (!trace_drain_open || trace_drain_open(&d, &conf) < 0)
		return EXIT_FAILURE;
	tally.begun = now();
	status = trace_run(d, o->argv, o->quiet);
	trace_drain_close(d);
	if (status < 0) {
		trace_drain_free(d);
		return status == -ENOENT ? 127 : 126;
	}
	/* What could not be written was said; the exit status stays the
	 * program's, whatever became of the trace. */
	(void)trace_finish();
	if (!tally.processes && !o->quiet &&
		p.obstacle == TRACE_PRELOADS)
		say("the recorder was not loaded into %s: nothing was seen",
			o->argv[0]);
	report(o, d, status);
	trace_drain_free(d);
	trace_program_free(&p);
	trace_end_like(status);
}

int
main(int argc, char **argv)
{
	struct trace_opts o;

	trace_opts_parse(&o, argc, argv);
	switch (o.mode) {
	case TRACE_MERGE:
		return trace_table_merge(o.argc, o.argv, o.table);
	case TRACE_CHECK:
		return trace_table_check(o.argc, o.argv);
	case TRACE_DIFF:
		return trace_table_diff(o.argv[0], o.argv[1]);
	case TRACE_RUN:
		return trace(&o);
	case TRACE_ATTACH:
		break;
	}
	return EXIT_FAILURE;
}
