/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "event.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct trace_name
trace_process_name(const struct trace_process *p)
{
	const char *exe = p->exe ? p->exe : "", *cmd = p->cmdline;
	struct trace_name file, arg;
	struct stat a, b;
	char beside[4096];

	snprintf(file.s, sizeof(file.s), "%s", basename(exe));
	if (!cmd)
		return file;
	snprintf(beside, sizeof(beside), "%.*s", (int)strcspn(cmd, " "), cmd);
	snprintf(arg.s, sizeof(arg.s), "%s", basename(beside));
	if (!*arg.s || !strcmp(arg.s, file.s))
		return file;
	snprintf(beside, sizeof(beside), "%.*s%s", (int)(basename(exe) - exe),
		exe, arg.s);
	return !stat(exe, &a) && !stat(beside, &b) && a.st_dev == b.st_dev &&
			a.st_ino == b.st_ino
		? arg
		: file;
}
