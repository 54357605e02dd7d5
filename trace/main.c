#include "config.h"

#include <argp.h>
#include <stdio.h>
#include <stdlib.h>

#include "version.h"

static const char doc[] =
	"Follow a program and write its interception table.\v"
	"Tracing is not in this version: kmap-trace answers --help and "
	"--version, and refuses to run a program.";

static void
print_version(FILE *out, struct argp_state *state)
{
	(void)state;
	fprintf(out, "kmap-trace (Kmap) %s\n", kmap_version);
}

void (*argp_program_version_hook)(FILE *, struct argp_state *) = print_version;

static error_t
parse_opt(int key, char *arg, struct argp_state *state)
{
	(void)arg;
	switch (key) {
	case ARGP_KEY_ARG:
		/* Everything from the first operand on is the program. */
		state->next = state->argc;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "no program named");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int
main(int argc, char **argv)
{
	static const struct argp argp = {
		.parser = parse_opt,
		.args_doc = "-- PROGRAM [ARGUMENT...]",
		.doc = doc,
	};

	argp_err_exit_status = EXIT_FAILURE;
	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, NULL);
	fputs("kmap-trace: tracing is not in this version\n", stderr);
	return EXIT_FAILURE;
}
