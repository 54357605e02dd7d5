/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "tap.h"

#include <regex.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int planned = -1;
static int run;
static int failed;

/*
 * One write for a line: what a forked child or a stack dump prints cannot
 * fall into its middle, and nothing lies in a buffer when a process is killed.
 */
static void
line(const char *head, const char *text, va_list ap)
{
	char buf[4096];
	size_t n;

	n = (size_t)snprintf(buf, sizeof(buf) - 2, "%s", head);
	vsnprintf(buf + n, sizeof(buf) - 1 - n, text, ap);
	for (char *p = buf; *p; p++)
		if (*p == '\n' && p[1])
			*p = ' ';
	n = strlen(buf);
	if (n == 0 || buf[n - 1] != '\n')
		buf[n++] = '\n';
	for (char *p = buf; n > 0;) {
		ssize_t w = write(1, p, n);

		if (w <= 0)
			_exit(99);
		p += w;
		n -= (size_t)w;
	}
}

static void
linef(const char *head, const char *text, ...)
{
	va_list ap;

	va_start(ap, text);
	line(head, text, ap);
	va_end(ap);
}

void
plan(int checks)
{
	planned = checks;
	linef("", "1..%d", checks);
}

void
skip_all(const char *why, ...)
{
	va_list ap;

	va_start(ap, why);
	line("1..0 # SKIP ", why, ap);
	va_end(ap);
	exit(0);
}

void
need_failed(const char *why, ...)
{
	const char *ci = getenv("CI");
	va_list ap;

	va_start(ap, why);
	if (ci && strcmp(ci, "true") == 0) {
		line("Bail out! ", why, ap);
		exit(1);
	}
	line("1..0 # SKIP ", why, ap);
	va_end(ap);
	exit(0);
}

void
bail_out(const char *why, ...)
{
	va_list ap;

	va_start(ap, why);
	line("Bail out! ", why, ap);
	va_end(ap);
	exit(1);
}

/*
 * A failure that t/known names is a known difference: TAP's TODO, which
 * reports it and does not fail the run. The file says why, and what is fixed
 * leaves it.
 */
const char *
tap_known(const char *name)
{
	static char entry[512];
	const char *dir = getenv("srcdir");
	char path[4096], *why;
	const char *found = NULL;
	regex_t re;
	FILE *f;

	snprintf(path, sizeof(path), "%s/known", dir ? dir : ".");
	f = fopen(path, "r");
	while (f && !found && fgets(entry, sizeof(entry), f)) {
		entry[strcspn(entry, "\n")] = '\0';
		why = strchr(entry, '\t');
		if (entry[0] == '#' || !why)
			continue;
		*why++ = '\0';
		if (regcomp(&re, entry, REG_EXTENDED | REG_NOSUB))
			continue;
		if (!regexec(&re, name, 0, NULL, 0))
			found = why;
		regfree(&re);
	}
	if (f)
		fclose(f);
	return found;
}

static bool
check(bool held, const char *name, va_list ap)
{
	char head[32], text[2048];
	const char *why = NULL;

	run++;
	vsnprintf(text, sizeof(text), name, ap);
	if (!held)
		why = tap_known(text);
	failed += !held && !why;
	snprintf(head, sizeof(head), "%s %d - ", held ? "ok" : "not ok", run);
	linef(head, "%s%s%s", text, why ? " # TODO " : "", why ? why : "");
	return held;
}

bool
ok(bool held, const char *name, ...)
{
	va_list ap;

	va_start(ap, name);
	check(held, name, ap);
	va_end(ap);
	return held;
}

bool
is_int(long long got, long long want, const char *name, ...)
{
	va_list ap;

	va_start(ap, name);
	check(got == want, name, ap);
	va_end(ap);
	if (got != want)
		diag("got %lld, want %lld", got, want);
	return got == want;
}

bool
is_str(const char *got, const char *want, const char *name, ...)
{
	bool same = got && want ? strcmp(got, want) == 0 : got == want;
	va_list ap;

	va_start(ap, name);
	check(same, name, ap);
	va_end(ap);
	if (!same)
		diag("got \"%s\", want \"%s\"", got ? got : "(null)",
			want ? want : "(null)");
	return same;
}

void
skip(int checks, const char *why, ...)
{
	char head[48];
	va_list ap;

	for (; checks > 0; checks--) {
		run++;
		snprintf(head, sizeof(head), "ok %d # SKIP ", run);
		va_start(ap, why);
		line(head, why, ap);
		va_end(ap);
	}
}

void
diag(const char *text, ...)
{
	va_list ap;

	va_start(ap, text);
	line("# ", text, ap);
	va_end(ap);
}

int
done(void)
{
	if (planned < 0)
		plan(run);
	if (run != planned)
		diag("planned %d checks, made %d", planned, run);
	return failed || run != planned;
}
