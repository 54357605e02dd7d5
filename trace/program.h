/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A command looked at before it runs: which file is loaded in the end, and
 * can a library be preloaded into it.
 *
 * Scripts and setuid programs: execve(2), ld.so(8) "Secure-execution mode",
 * capabilities(7).
 */
#ifndef KMAP_TRACE_PROGRAM_H
#define KMAP_TRACE_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>

enum trace_libc {
	TRACE_LIBC_NONE, /* static, or no program at all */
	TRACE_LIBC_GLIBC,
	TRACE_LIBC_MUSL,
	TRACE_LIBC_OTHER, /* bionic, uclibc … */
};

/* What stands between a program and the preloaded recorder. */
enum trace_obstacle {
	TRACE_PRELOADS, /* nothing */
	TRACE_STATIC,
	TRACE_GO, /* static or not, its system calls are its own */
	TRACE_MUSL,
	TRACE_OTHER_LIBC,
	TRACE_OTHER_CLASS, /* 32 bits, x32, or another machine */
	TRACE_SETUID,
	TRACE_SETGID,
	TRACE_CAPS,
};

#define TRACE_CHAIN 6 /* a script, its interpreters, and the program at last */

/* A command looked at the way execve(2) would. */
struct trace_program {
	char *chain[TRACE_CHAIN]; /* the file, then each "#!" interpreter */
	size_t nchain;
	const char *file; /* the last of the chain: what is loaded */
	enum trace_libc libc;
	bool setuid, setgid, caps; /* what the file is marked with */
	bool is_static;
	bool go;
	char build_id[41];
	char interp[128];
	int bits;
	unsigned machine;
	enum trace_obstacle obstacle;
	bool unseen; /* its system calls have other numbers: ptrace looks at
		      * none of them either */
	/* For the user, "" with TRACE_PRELOADS: why it cannot be preloaded; the
	 * same, and what is done, and what would help. */
	char trouble[256], sentence[640];
};

/*
 * Looks at the program that execvp(name) would run by this process with
 * `path` as its $PATH (NULL: execvp's default). 0, or -errno as execve would
 * have it (ENOENT, EACCES, ENOEXEC, ELOOP) with a clause in why. "#!" lines
 * are followed as the kernel does, and through "/usr/bin/env NAME", too.
 * A script without "#!" is what execvp gives to /bin/sh.
 */
int trace_program_look(struct trace_program *p, const char *name,
	const char *path, char *why, size_t why_size);
void trace_program_free(struct trace_program *p);

#endif
