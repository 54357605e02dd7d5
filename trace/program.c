/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "elf-file.h"

/* As much of a script as the kernel looks at (BINPRM_BUF_SIZE). */
#define SCRIPT_HEAD 256

static int
can_run(const char *file)
{
	struct stat st;

	if (stat(file, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EACCES;
	return faccessat(AT_FDCWD, file, X_OK, AT_EACCESS) < 0 ? -errno : 0;
}

/* The file that execvp(name) finds, malloc'ed; NULL with *rc set. */
static char *
find_file(const char *name, const char *path, int *rc)
{
	*rc = -ENOENT;
	if (!*name)
		return NULL;
	if (strchr(name, '/')) {
		*rc = can_run(name);
		return *rc ? NULL : strdup(name);
	}
	for (const char *p = path ? path : "/bin:/usr/bin";;) {
		size_t n = strcspn(p, ":");
		char *file;
		int r;

		/* An empty part is the current directory. */
		if (asprintf(&file, "%.*s%s%s", (int)n, p, n ? "/" : "", name) <
			0) {
			*rc = -ENOMEM;
			return NULL;
		}
		r = can_run(file);
		if (!r) {
			*rc = 0;
			return file;
		}
		free(file);
		/* What cannot be run is told if nothing else is found. */
		if (r == -EACCES)
			*rc = r;
		if (!p[n])
			return NULL;
		p += n + 1;
	}
}

/* The first line after "#!": the interpreter, and its one argument. */
static bool
read_shebang(const char *file, char *head, char **interp, char **arg)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	ssize_t n = fd < 0 ? -1 : read(fd, head, SCRIPT_HEAD);
	char *end;

	if (fd >= 0)
		close(fd);
	if (n < 2 || head[0] != '#' || head[1] != '!')
		return false;
	head[n] = 0;
	head[strcspn(head, "\n")] = 0;
	*interp = head + 2 + strspn(head + 2, " \t");
	end = *interp + strcspn(*interp, " \t");
	*arg = end + strspn(end, " \t");
	*end = 0;
	for (end = *arg + strlen(*arg); end > *arg &&
		(end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r');)
		*--end = 0;
	return **interp != 0;
}

static int
push(struct trace_program *p, char *file)
{
	if (!file)
		return -ENOMEM;
	if (p->nchain == TRACE_CHAIN) {
		free(file);
		return -ELOOP;
	}
	p->chain[p->nchain++] = file;
	p->file = file;
	return 0;
}

/*
 * "#!/usr/bin/env python3" loads env, which executes python3 at once: what
 * the user has in mind is the latter.
 */
static int
through_env(struct trace_program *p, char *arg, const char *path)
{
	char *word, *save = NULL, *file;
	int rc;

	if (strcmp(basename(p->file), "env"))
		return 0;
	for (word = strtok_r(arg, " \t", &save); word;
		word = strtok_r(NULL, " \t", &save))
		if (*word != '-' && !strchr(word, '='))
			break;
	if (!word)
		return 0;
	file = find_file(word, path, &rc);
	return file ? push(p, file) : 0;
}

/* execvp gives what execve refuses with ENOEXEC to the shell. */
static int
through_shell(struct trace_program *p)
{
	char magic[4] = "";
	int fd = open(p->file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	ssize_t n = fd < 0 ? -1 : read(fd, magic, sizeof(magic));

	if (fd >= 0)
		close(fd);
	if (n < 0 || !memcmp(magic, "\177ELF", 4))
		return 0;
	return push(p, strdup("/bin/sh"));
}

static int
follow_scripts(struct trace_program *p, const char *path)
{
	char head[SCRIPT_HEAD + 1], *interp, *arg;
	int rc;

	while (read_shebang(p->file, head, &interp, &arg)) {
		rc = can_run(interp);
		if (rc)
			return rc;
		rc = push(p, strdup(interp));
		if (!rc)
			rc = through_env(p, arg, path);
		if (rc)
			return rc;
	}
	return through_shell(p);
}

static void
read_marks(struct trace_program *p, const struct stat *st)
{
	p->setuid = st->st_mode & S_ISUID;
	/* Without group execution the bit means mandatory locking. */
	p->setgid = (st->st_mode & S_ISGID) && (st->st_mode & S_IXGRP);
	p->caps = getxattr(p->file, "security.capability", NULL, 0) > 0;
}

/*
 * The loader ignores LD_PRELOAD (of names with a slash) when execve changed
 * the ids or gave capabilities; not where the marks have no effect: for the
 * owner, for root's capabilities, on a nosuid mount, after no_new_privs.
 */
static enum trace_obstacle
privilege(const struct trace_program *p, const struct stat *st)
{
	struct statvfs fs;

	if (statvfs(p->file, &fs) == 0 && fs.f_flag & ST_NOSUID)
		return TRACE_PRELOADS;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
		return TRACE_PRELOADS;
	if (p->setuid && st->st_uid != getuid())
		return TRACE_SETUID;
	if (p->setgid && st->st_gid != getgid())
		return TRACE_SETGID;
	if (p->caps && getuid() != 0)
		return TRACE_CAPS;
	return TRACE_PRELOADS;
}

static enum trace_libc
which_libc(const char *interp)
{
	const char *name = basename(interp);

	if (!*interp)
		return TRACE_LIBC_NONE;
	if (!strncmp(name, "ld-musl-", 8))
		return TRACE_LIBC_MUSL;
	if (!strncmp(name, "ld-linux", 8) || !strncmp(name, "ld64.so", 7) ||
		!strncmp(name, "ld.so", 5) || !strncmp(name, "ld-2.", 5))
		return TRACE_LIBC_GLIBC;
	return TRACE_LIBC_OTHER;
}

static enum trace_obstacle
judge(const struct trace_program *p, const struct trace_elf *e,
	const struct stat *st)
{
	enum trace_obstacle o;

	if (!e->native)
		return TRACE_OTHER_CLASS;
	if (e->go)
		return TRACE_GO;
	if (p->is_static)
		return TRACE_STATIC;
	if (p->libc == TRACE_LIBC_MUSL)
		return TRACE_MUSL;
	if (p->libc == TRACE_LIBC_OTHER)
		return TRACE_OTHER_LIBC;
	o = privilege(p, st);
	return o;
}

static const char *
machine_name(unsigned machine)
{
	switch (machine) {
	case EM_386:
		return "i386";
	case EM_X86_64:
		return "x86-64";
	case EM_ARM:
		return "ARM";
	case EM_AARCH64:
		return "AArch64";
	case EM_RISCV:
		return "RISC-V";
	case EM_S390:
		return "s390";
	case EM_PPC64:
		return "PowerPC";
	}
	return "another machine";
}

/*
 * It runs here, and not by an emulator, which makes the machine's own calls;
 * and those that it makes are not known, as i386's are: x32.
 */
static bool
other_abi(unsigned machine)
{
#if defined(__x86_64__)
	return machine == EM_X86_64;
#elif defined(__aarch64__)
	return machine == EM_ARM;
#else
	return machine != EM_NONE;
#endif
}

/* Why it cannot be preloaded. */
static void
explain_trouble(struct trace_program *p)
{
	const char *name = basename(p->file);
	size_t size = sizeof(p->trouble);

	switch (p->obstacle) {
	case TRACE_PRELOADS:
		return;
	case TRACE_STATIC:
		snprintf(p->trouble, size,
			"%s is linked statically, so no library can be "
			"preloaded into it",
			name);
		return;
	case TRACE_GO:
		snprintf(p->trouble, size,
			"%s is a Go program, which makes its system calls "
			"itself and not through libc",
			name);
		return;
	case TRACE_MUSL:
		snprintf(p->trouble, size,
			"%s uses musl (%s), and the library to preload is "
			"for glibc",
			name, p->interp);
		return;
	case TRACE_OTHER_LIBC:
		snprintf(p->trouble, size,
			"%s uses the loader %s, and the library to preload is "
			"for glibc",
			name, p->interp);
		return;
	case TRACE_OTHER_CLASS:
		snprintf(p->trouble, size,
			"%s is a %d-bit program for %s, and the library to "
			"preload is another",
			name, p->bits, machine_name(p->machine));
		return;
	case TRACE_SETUID:
	case TRACE_SETGID:
		snprintf(p->trouble, size,
			"%s is set%cid, and the loader preloads nothing "
			"into a program that gains privileges",
			name, p->obstacle == TRACE_SETUID ? 'u' : 'g');
		return;
	case TRACE_CAPS:
		snprintf(p->trouble, size,
			"%s has file capabilities, and the loader preloads "
			"nothing into a program that gains privileges",
			name);
		return;
	}
}

/* One sentence: what is the matter; what happens now; what would help. */
static void
explain(struct trace_program *p)
{
	static const char instead[] =
		"it is traced by ptrace instead, more slowly, and under Kmap "
		"its connections stay on TCP";
	const char *now = instead, *help = "";

	explain_trouble(p);
	switch (p->obstacle) {
	case TRACE_PRELOADS:
		return;
	case TRACE_STATIC:
		help = "; link it dynamically against glibc to change that";
		break;
	case TRACE_MUSL:
		help = "; build it against glibc to change that";
		break;
	case TRACE_OTHER_CLASS:
		if (p->unseen)
			now = "its calls are not seen, by ptrace neither, and "
			      "under Kmap its connections stay on TCP; build "
			      "it for 64 bits to change that";
		else if (p->machine == EM_386)
			help = "; build it for 64 bits to change that";
		break;
	case TRACE_SETUID:
	case TRACE_SETGID:
	case TRACE_CAPS:
		/* Only a tracer with CAP_SYS_PTRACE leaves execve's effect
		 * whole. */
		if (geteuid() != 0)
			now = "while you trace it the kernel gives it none; "
			      "trace it as root, or start it by itself and, as "
			      "root, use kmap-trace --attach PID";
		break;
	default:
		break;
	}
	snprintf(p->sentence, sizeof(p->sentence), "%s: %s%s", p->trouble, now,
		help);
}

int
trace_program_look(struct trace_program *p, const char *name, const char *path,
	char *why, size_t why_size)
{
	struct trace_elf e;
	struct stat st;
	char *file;
	int rc;

	memset(p, 0, sizeof(*p));
	file = find_file(name, path, &rc);
	rc = file ? push(p, file) : rc;
	if (!rc)
		rc = follow_scripts(p, path);
	if (!rc && stat(p->file, &st) < 0)
		rc = -errno;
	if (rc) {
		snprintf(why, why_size, "%s", strerror(-rc));
		goto fail;
	}
	rc = trace_elf_open(&e, p->file, why, why_size);
	if (rc == -EACCES) {
		/* It may be run and not be read: we know no more of it. */
		rc = 0;
		goto out;
	}
	if (rc)
		goto fail;
	p->bits = e.bits;
	p->machine = e.machine;
	p->go = e.go;
	p->libc = which_libc(e.interp);
	/* The loader itself, run as a program, has no interpreter either. */
	p->is_static = !*e.interp && strncmp(basename(p->file), "ld", 2);
	if (!*e.interp && !p->is_static)
		p->libc = which_libc(basename(p->file));
	snprintf(p->interp, sizeof(p->interp), "%s", e.interp);
	memcpy(p->build_id, e.build_id, sizeof(p->build_id));
	read_marks(p, &st);
	p->obstacle = judge(p, &e, &st);
	p->unseen = p->obstacle == TRACE_OTHER_CLASS && other_abi(p->machine);
	explain(p);
	trace_elf_close(&e);
out:
	return 0;
fail:
	trace_program_free(p);
	return rc;
}

void
trace_program_free(struct trace_program *p)
{
	for (size_t i = 0; i < p->nchain; i++)
		free(p->chain[i]);
	memset(p, 0, sizeof(*p));
}
