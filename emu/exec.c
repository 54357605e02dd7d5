/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "call.h"
#include "family.h"

#include <alloca.h>
#include <unistd.h>

static int
kmap_execve(const char *path, char *const argv[], char *const envp[])
{
	int r;

	r = kmap_ret(kmap_real.execve(path, argv, kmap_exec_before(envp)));
	kmap_exec_failed();
	return r;
}

static int
kmap_execvpe(const char *file, char *const argv[], char *const envp[])
{
	int r;

	r = kmap_ret(kmap_real.execvpe(file, argv, kmap_exec_before(envp)));
	kmap_exec_failed();
	return r;
}

KMAP_EXPORT int
execve(const char *path, char *const argv[], char *const envp[])
{
	return kmap_errno(kmap_execve(path, argv, envp));
}
KMAP_SELF(execve);

KMAP_EXPORT int
execv(const char *path, char *const argv[])
{
	return kmap_errno(kmap_execve(path, argv, environ));
}

KMAP_EXPORT int
execvpe(const char *file, char *const argv[], char *const envp[])
{
	return kmap_errno(kmap_execvpe(file, argv, envp));
}

KMAP_EXPORT int
execvp(const char *file, char *const argv[])
{
	return kmap_errno(kmap_execvpe(file, argv, environ));
}

/* The list of arguments as an array, on the stack: we may be in a vfork. */
#define GATHER(argv, argc, first, ap)                                          \
	do {                                                                   \
		va_start(ap, first);                                           \
		argc = 1;                                                      \
		while (va_arg(ap, char *))                                     \
			argc++;                                                \
		va_end(ap);                                                    \
		argv = alloca((argc + 1) * sizeof(*argv));                     \
		va_start(ap, first);                                           \
		argv[0] = (char *)first;                                       \
		for (size_t i = 1; i <= argc; i++)                             \
			argv[i] = va_arg(ap, char *);                          \
	} while (0)

KMAP_EXPORT int
execl(const char *path, const char *arg, ...)
{
	char **argv;
	size_t argc;
	va_list ap;

	if (!arg)
		return kmap_errno(kmap_execve(path, (char *[]){NULL}, environ));
	GATHER(argv, argc, arg, ap);
	va_end(ap);
	return kmap_errno(kmap_execve(path, argv, environ));
}

KMAP_EXPORT int
execlp(const char *file, const char *arg, ...)
{
	char **argv;
	size_t argc;
	va_list ap;

	if (!arg)
		return kmap_errno(
			kmap_execvpe(file, (char *[]){NULL}, environ));
	GATHER(argv, argc, arg, ap);
	va_end(ap);
	return kmap_errno(kmap_execvpe(file, argv, environ));
}

KMAP_EXPORT int
execle(const char *path, const char *arg, ...)
{
	char *const *envp;
	char **argv;
	size_t argc;
	va_list ap;

	GATHER(argv, argc, arg, ap);
	envp = va_arg(ap, char *const *);
	va_end(ap);
	return kmap_errno(kmap_execve(path, argv, envp));
}

KMAP_EXPORT int
fexecve(int fd, char *const argv[], char *const envp[])
{
	int r;

	r = kmap_ret(kmap_real.fexecve(
		kmap_fd_seen(fd), argv, kmap_exec_before(envp)));
	kmap_exec_failed();
	return kmap_errno(r);
}

KMAP_EXPORT int
execveat(int dir, const char *path, char *const argv[], char *const envp[],
	int flags)
{
	int r;

	r = kmap_ret(kmap_real.execveat(
		kmap_fd_seen(dir), path, argv, kmap_exec_before(envp), flags));
	kmap_exec_failed();
	return kmap_errno(r);
}
KMAP_SELF(execveat);

/* These return an error number and leave errno alone. */
KMAP_EXPORT int
posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *fa,
	const posix_spawnattr_t *at, char *const argv[], char *const envp[])
{
	kmap_spawn_before();
	return kmap_real.posix_spawn(pid, path, fa, at, argv, envp);
}

KMAP_EXPORT int
posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *fa,
	const posix_spawnattr_t *at, char *const argv[], char *const envp[])
{
	kmap_spawn_before();
	return kmap_real.posix_spawnp(pid, file, fa, at, argv, envp);
}

/*
 * A program that is to be spawned gets an endpoint by name, whatever its flag
 * FD_CLOEXEC says: it is on TCP from here on. What libc notes is private to
 * it, so it is not looked for again when the program is spawned.
 */
KMAP_EXPORT int
posix_spawn_file_actions_adddup2(
	posix_spawn_file_actions_t *fa, int fd, int fd2)
{
	if (kmap_fd_hidden(fd))
		return EBADF;
	if (!kmap_vfork_child())
		kmap_fd_passed_out(fd);
	return kmap_real.posix_spawn_file_actions_adddup2(fa, fd, fd2);
}
