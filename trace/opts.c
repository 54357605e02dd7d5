/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "opts.h"

#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sinks.h"
#include "version.h"

/* What the recorder can keep of one buffer (drain.h). */
#define MAX_DATA 1024
#define DEFAULT_DATA 32

enum {
	KEY_JSON = 256,
	KEY_FOLDED,
	KEY_PERFETTO,
	KEY_HTML,
	KEY_SUMMARY,
	KEY_VERIFY,
	KEY_MERGE,
	KEY_CHECK,
	KEY_DIFF,
	KEY_TWIN,
	KEY_DRIVE,
};

static const char doc[] =
	"Run PROGRAM, record every call that it makes on network fds, and "
	"write its interception table, PROGRAM.kmap.\n"
	"Options come before the program.\v"
	"FILE may be - for standard output. The exit status is the program's; "
	"a program that a signal ends ends kmap-trace by the same signal.\n"
	"\n"
	"Examples:\n"
	"  kmap-trace ./server -p 8080     run it, leave server.kmap\n"
	"  kmap-trace -t curl http://127.0.0.1:8080/    watch its calls\n"
	"  kmap-trace -t -e '!close' -e endpoint=:8080 ./client\n"
	"  kmap-trace --verify -tlog ./app; grep '^!' log    what a preloaded\n"
	"                                  library would not see\n"
	"  kmap-trace --html app.html --folded app.folded ./app\n"
	"  kmap-trace --summary sh -c './server & ./client'\n"
	"  kmap-trace -p 4711              until ^C, a program that runs\n"
	"  kmap-trace --twin --drive 'load -c 4 :80' ./server    the same on\n"
	"                                  TCP and on Kmap?\n"
	"  kmap-trace --merge -o app.kmap monday.kmap tuesday.kmap\n"
	"  kmap-trace --check app.kmap     is the table in order?\n"
	"\n"
	"Then: KMAP_TABLE=app.kmap LD_PRELOAD=libkmapemu.so ./app";

static const struct argp_option options[] = {
	{NULL, 0, NULL, 0, "The table:", 1},
	{"output", 'o', "TABLE", 0,
		"Where it is written (default: the program's name, .kmap)", 1},
	{"merge", KEY_MERGE, NULL, 0,
		"Join the tables named instead of a program into -o TABLE", 1},
	{"check", KEY_CHECK, NULL, 0, "Say what is wrong with the tables named",
		1},
	{"diff", KEY_DIFF, NULL, 0, "Compare the two tables named", 1},
	{NULL, 0, NULL, 0, "What to trace:", 2},
	{"attach", 'p', "PID", 0, "A program that runs, until ^C", 2},
	{"verify", KEY_VERIFY, NULL, 0,
		"Follow it by ptrace, too, and name each call that no "
		"preloaded library can see",
		2},
	{"twin", KEY_TWIN, NULL, 0,
		"Run it on TCP, then on Kmap, and compare what it saw", 2},
	{"drive", KEY_DRIVE, "COMMAND", 0,
		"The load of --twin: a shell command, started when the program "
		"listens; when it has ended the program gets SIGTERM",
		2},
	{NULL, 0, NULL, 0, "What to show:", 3},
	{"trace", 't', "FILE", OPTION_ARG_OPTIONAL,
		"Each call as strace writes it, on stderr or in FILE", 3},
	{"json", KEY_JSON, "FILE", 0, "JSON Lines", 3},
	{"folded", KEY_FOLDED, "FILE", 0, "Stacks for flame graphs", 3},
	{"perfetto", KEY_PERFETTO, "FILE", 0,
		"Chrome trace JSON, which Perfetto opens", 3},
	{"html", KEY_HTML, "FILE", 0, "A picture for the browser", 3},
	{"summary", KEY_SUMMARY, "FILE", OPTION_ARG_OPTIONAL,
		"Functions and programs, and what libkmapemu covers, on "
		"stderr or in FILE",
		3},
	{"expr", 'e', "EXPR", 0,
		"Show only these calls (recv,send,%network), all but these "
		"(!close), or those on endpoint=127.0.0.1:80; the table stays "
		"complete",
		3},
	{"string-limit", 's', "BYTES", 0,
		"How much of a buffer is shown (default 32, at most 1024)", 3},
	{"quiet", 'q', NULL, 0, "No report at the end", 3},
	/* strace's, which people type: it is always so. */
	{"follow-forks", 'f', NULL, OPTION_HIDDEN, NULL, 3},
	{0},
};

static void
print_version(FILE *out, struct argp_state *state)
{
	(void)state;
	fprintf(out, "kmap-trace (Kmap) %s\n", kmap_version);
}

void (*argp_program_version_hook)(FILE *, struct argp_state *) = print_version;

static long
number(struct argp_state *state, const char *arg, const char *what, long min,
	long max)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(arg, &end, 10);
	if (errno || end == arg || *end || n < min || n > max)
		argp_error(state, "'%s' is no %s", arg, what);
	return n;
}

static void
set_mode(struct argp_state *state, enum trace_mode mode)
{
	struct trace_opts *o = state->input;

	if (o->mode != TRACE_RUN && o->mode != mode)
		argp_error(state,
			"--attach, --twin, --merge, --check and --diff do "
			"not go together");
	o->mode = mode;
}

static void
add_filter(struct argp_state *state, const char *arg)
{
	struct trace_opts *o = state->input;
	char why[160];

	if (!o->filter)
		o->filter = trace_filter_new();
	if (trace_filter_add(o->filter, arg, why, sizeof(why)) < 0)
		argp_error(state, "-e: %s", why);
}

/* A file, which is written once. -t=FILE and -o=FILE are --trace=FILE's and
 * --output=FILE's confused with it. */
static void
set_file(struct argp_state *state, const char **file, bool again,
	const char *option, const char *arg)
{
	if (again || *file)
		argp_error(state, "%s was given twice", option);
	if (arg && arg[*arg == '='] == '\0')
		argp_error(state, "%s: the file has no name", option);
	if (arg && *arg == '=' && option[1] != '-')
		argp_error(state, "%s: write %s%s", option, option, arg + 1);
	*file = arg;
}

/* All that is left are operands: argp hands out the first. */
static void
take_program(struct argp_state *state)
{
	struct trace_opts *o = state->input;

	o->argv = state->argv + state->next - 1;
	o->argc = state->argc - state->next + 1;
	state->next = state->argc;
}

static void
take_operand(struct argp_state *state, char *arg)
{
	struct trace_opts *o = state->input;

	switch (o->mode) {
	case TRACE_RUN:
	case TRACE_TWIN:
		take_program(state);
		break;
	case TRACE_ATTACH:
		argp_error(state, "--attach takes no program");
		break;
	default:
		/* Tables: options may follow. */
		o->argv = xrealloc(o->argv, (o->argc + 2) * sizeof(*o->argv));
		o->argv[o->argc++] = arg;
		o->argv[o->argc] = NULL;
	}
}

/* Whether anything was asked for that only a run can show. */
static bool
shows(const struct trace_opts *o)
{
	return o->text || o->json || o->folded || o->perfetto || o->html ||
		o->summary || o->filter || o->data != DEFAULT_DATA;
}

static void
check(struct argp_state *state)
{
	const struct trace_opts *o = state->input;
	bool tables = o->mode == TRACE_MERGE || o->mode == TRACE_CHECK ||
		o->mode == TRACE_DIFF;

	if (o->drive && o->mode != TRACE_TWIN)
		argp_error(state, "--drive is the load of --twin");
	if (tables && (shows(o) || o->verify))
		argp_error(state,
			"--merge, --check and --diff run nothing that could "
			"be shown");
	if (o->table && (o->mode == TRACE_CHECK || o->mode == TRACE_DIFF))
		argp_error(state, "--check and --diff write no table");
	switch (o->mode) {
	case TRACE_TWIN:
		if (o->table || o->verify)
			argp_error(state,
				"--twin writes no table, and takes no "
				"--verify");
		/* fall through */
	case TRACE_RUN:
		if (!o->argc)
			argp_error(state, "no program named");
		break;
	case TRACE_ATTACH:
		if (o->verify)
			argp_error(state,
				"--attach puts no recorder in: --verify has "
				"nothing to compare");
		break;
	case TRACE_MERGE:
		if (!o->argc || !o->table)
			argp_error(state,
				"--merge takes -o TABLE (-o - is standard "
				"output) and the tables to join");
		break;
	case TRACE_CHECK:
		if (!o->argc)
			argp_error(state, "--check takes tables");
		break;
	case TRACE_DIFF:
		if (o->argc != 2)
			argp_error(state, "--diff takes two tables");
		break;
	}
}

static error_t
parse_opt(int key, char *arg, struct argp_state *state)
{
	struct trace_opts *o = state->input;

	switch (key) {
	case 'o':
		set_file(state, &o->table, false, "-o", arg);
		break;
	case 't':
		set_file(state, &o->text_file, o->text, "-t", arg);
		o->text = true;
		break;
	case 'p':
		if (o->pid)
			argp_error(state, "one process is attached to");
		set_mode(state, TRACE_ATTACH);
		o->pid = number(state, arg, "process id", 1, 1 << 22);
		break;
	case 'e':
		add_filter(state, arg);
		break;
	case 's':
		o->data = number(state, arg, "number of bytes from 0 to 1024",
			0, MAX_DATA);
		break;
	case 'q':
		o->quiet = true;
		break;
	case 'f':
		break;
	case KEY_JSON:
		set_file(state, &o->json, false, "--json", arg);
		break;
	case KEY_FOLDED:
		set_file(state, &o->folded, false, "--folded", arg);
		break;
	case KEY_PERFETTO:
		set_file(state, &o->perfetto, false, "--perfetto", arg);
		break;
	case KEY_HTML:
		set_file(state, &o->html, false, "--html", arg);
		break;
	case KEY_SUMMARY:
		set_file(state, &o->summary_file, o->summary, "--summary", arg);
		o->summary = true;
		break;
	case KEY_VERIFY:
		o->verify = true;
		break;
	case KEY_MERGE:
		set_mode(state, TRACE_MERGE);
		break;
	case KEY_CHECK:
		set_mode(state, TRACE_CHECK);
		break;
	case KEY_DIFF:
		set_mode(state, TRACE_DIFF);
		break;
	case KEY_TWIN:
		set_mode(state, TRACE_TWIN);
		break;
	case KEY_DRIVE:
		o->drive = arg;
		break;
	case ARGP_KEY_ARG:
		take_operand(state, arg);
		break;
	case ARGP_KEY_END:
		check(state);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

void
trace_opts_parse(struct trace_opts *o, int argc, char **argv)
{
	static const struct argp argp = {
		.options = options,
		.parser = parse_opt,
		.args_doc = "PROGRAM [ARGUMENT...]\n"
			    "-p PID\n"
			    "--twin [--drive COMMAND] PROGRAM [ARGUMENT...]\n"
			    "--merge -o TABLE TABLE...\n"
			    "--check TABLE...\n"
			    "--diff TABLE TABLE",
		.doc = doc,
	};

	*o = (struct trace_opts){.data = DEFAULT_DATA};
	argp_err_exit_status = EXIT_FAILURE;
	/* In order: what follows the program is the program's. */
	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, o);
}
