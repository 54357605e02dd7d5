/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "rec.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/select.h>

#include "wrap.h"

/*
 * stdio on a socket. What libc does to the fd inside is seen by nobody who
 * stands in front of it: the outer call is recorded instead.
 */

/* fileno() may set errno; the field is part of glibc's ABI. */
static inline int
of(const FILE *f)
{
	return f ? f->_fileno : -1;
}

static inline void
closing(int fd)
{
	if ((unsigned int)fd < kt_nfds && kt_fds[fd])
		kt_fd_put(fd, 0);
}

#define ON(f) kt_before(&c, of(f), self)
#define FD kt_before(&c, fd, self)

W(FILE *, fdopen, (int fd, const char *mode), (fd, mode), FD, OP_NONE, 2, fd,
	U(mode))
W(FILE *, _IO_fdopen, (int fd, const char *mode), (fd, mode), FD, OP_NONE, 2,
	fd, U(mode))
#define CLOSES (ON(f) ? (closing(of(f)), true) : (closing(of(f)), false))
W(int, fclose, (FILE * f), (f), CLOSES, OP_NONE, 1, U(f))
W(int, _IO_fclose, (FILE * f), (f), CLOSES, OP_NONE, 1, U(f))
W(int, fflush, (FILE * f), (f), ON(f), OP_NONE, 1, U(f))
W(int, _IO_fflush, (FILE * f), (f), ON(f), OP_NONE, 1, U(f))
W(size_t, fread, (void *p, size_t size, size_t n, FILE *f), (p, size, n, f),
	ON(f), OP_NONE, 4, U(p), size, n, U(f))
W(size_t, __fread_chk, (void *p, size_t room, size_t size, size_t n, FILE *f),
	(p, room, size, n, f), ON(f), OP_NONE, 4, U(p), size, n, U(f))
W(size_t, fwrite, (const void *p, size_t size, size_t n, FILE *f),
	(p, size, n, f), ON(f), OP_NONE, 4, U(p), size, n, U(f))
W(char *, fgets, (char *p, int n, FILE *f), (p, n, f), ON(f), OP_NONE, 3, U(p),
	n, U(f))
W(char *, __fgets_chk, (char *p, size_t room, int n, FILE *f), (p, room, n, f),
	ON(f), OP_NONE, 3, U(p), n, U(f))
W(int, fputs, (const char *p, FILE *f), (p, f), ON(f), OP_NONE, 2, U(p), U(f))
W(ssize_t, getline, (char **p, size_t *n, FILE *f), (p, n, f), ON(f), OP_NONE,
	3, U(p), U(n), U(f))

W(int, vfprintf, (FILE * f, const char *fmt, va_list ap), (f, fmt, ap), ON(f),
	OP_NONE, 2, U(f), U(fmt))
W(int, __vfprintf_chk, (FILE * f, int flag, const char *fmt, va_list ap),
	(f, flag, fmt, ap), ON(f), OP_NONE, 2, U(f), U(fmt))
W(int, vdprintf, (int fd, const char *fmt, va_list ap), (fd, fmt, ap), FD,
	OP_NONE, 2, fd, U(fmt))
W(int, __vdprintf_chk, (int fd, int flag, const char *fmt, va_list ap),
	(fd, flag, fmt, ap), FD, OP_NONE, 2, fd, U(fmt))

/* These go on by the function that takes a va_list. */
#define VA(name, vname, params, vparams, last, vargs, before, ...)             \
	KT_EXPORT int kt_w_##name params __asm__(#name);                       \
	KT_EXPORT int kt_w_##name params                                       \
	{                                                                      \
		int(*real) vparams = kt_real(KT_##vname);                      \
		const enum kt_name self = KT_##name;                           \
		struct kt_call c;                                              \
		va_list ap;                                                    \
		bool on = before;                                              \
		int r;                                                         \
                                                                               \
		va_start(ap, last);                                            \
		r = real vargs;                                                \
		va_end(ap);                                                    \
		if (!on)                                                       \
			return r;                                              \
		kt_done(&c, r);                                                \
		kt_after(&c, KT_##name, -1, OP_NONE, 2,                        \
			(uint64_t[]){__VA_ARGS__});                            \
		return r;                                                      \
	}
VA(fprintf, vfprintf, (FILE * f, const char *fmt, ...),
	(FILE *, const char *, va_list), fmt, (f, fmt, ap), ON(f), U(f), U(fmt))
VA(__fprintf_chk, __vfprintf_chk, (FILE * f, int flag, const char *fmt, ...),
	(FILE *, int, const char *, va_list), fmt, (f, flag, fmt, ap), ON(f),
	U(f), U(fmt))
VA(dprintf, vdprintf, (int fd, const char *fmt, ...),
	(int, const char *, va_list), fmt, (fd, fmt, ap), FD, fd, U(fmt))
VA(__dprintf_chk, __vdprintf_chk, (int fd, int flag, const char *fmt, ...),
	(int, int, const char *, va_list), fmt, (fd, flag, fmt, ap), FD, fd,
	U(fmt))

#define FREOPEN(name)                                                          \
	KT_EXPORT FILE *kt_w_##name(                                           \
		const char *, const char *, FILE *) __asm__(#name);            \
	KT_EXPORT FILE *kt_w_##name(                                           \
		const char *path, const char *mode, FILE *f)                   \
	{                                                                      \
		FILE *(*real)(const char *, const char *, FILE *) =            \
			kt_real(KT_##name);                                    \
		const enum kt_name self = KT_##name;                           \
		struct kt_call c;                                              \
		bool on = ON(f);                                               \
		FILE *r;                                                       \
                                                                               \
		closing(of(f));                                                \
		r = real(path, mode, f);                                       \
		kt_born(of(r), TRACE_FILE);                                    \
		if (!on)                                                       \
			return r;                                              \
		kt_done(&c, U(r));                                             \
		kt_after(&c, KT_##name, -1, OP_NONE, 3,                        \
			(uint64_t[]){U(path), U(mode), U(f)});                 \
		return r;                                                      \
	}
FREOPEN(freopen)
FREOPEN(freopen64)

#define FOPEN(name)                                                            \
	KT_EXPORT FILE *kt_w_##name(const char *, const char *) __asm__(       \
		#name);                                                        \
	KT_EXPORT FILE *kt_w_##name(const char *path, const char *mode)        \
	{                                                                      \
		FILE *(*real)(const char *, const char *) =                    \
			kt_real(KT_##name);                                    \
		FILE *f = real(path, mode);                                    \
                                                                               \
		kt_born(of(f), TRACE_FILE);                                    \
		return f;                                                      \
	}
FOPEN(fopen)
FOPEN(fopen64)
FOPEN(_IO_fopen)

KT_EXPORT FILE *kt_w_popen(const char *, const char *) __asm__("popen");
KT_EXPORT FILE *
kt_w_popen(const char *command, const char *mode)
{
	FILE *(*real)(const char *, const char *) = kt_real(KT_popen);
	char *whole = kt_command(command);
	FILE *f = real(whole ? whole : command, mode);

	free(whole);
	kt_born(of(f), TRACE_PIPE);
	return f;
}

KT_EXPORT DIR *kt_w_opendir(const char *) __asm__("opendir");
KT_EXPORT DIR *
kt_w_opendir(const char *path)
{
	DIR *(*real)(const char *) = kt_real(KT_opendir);
	DIR *d = real(path);

	if (d)
		kt_born(dirfd(d), TRACE_FILE);
	return d;
}
