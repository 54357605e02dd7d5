/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "rec.h"

#include <alloca.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "wrap.h"

/* Start, and what becomes of processes. */

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

bool kt_live;
bool kt_quiet;
static uid_t owner; /* of the region */
struct kt_region *kt_region;
struct kt_private *kt_private;
uint32_t kt_last_process;
char kt_path[256];

/* "LD_PRELOAD=…" and "KMAP_TRACE=…" as this image was given them. */
static char preload[1024], region_var[280];
/* Our own name among the words of LD_PRELOAD. */
static const char *self_word = "libkmaptrace";

static char cmdline[1024];
static size_t cmd_len;

/* A process for the reader: the image that starts, or a fork's child. */
void
kt_announce(uint32_t process, uint32_t parent, unsigned int flags)
{
	struct kt_process *p;
	struct kt_rec *rec;
	char exe[1024];
	long n;

	n = kmap_syscall(SYS_readlinkat, AT_FDCWD, "/proc/self/exe", exe,
		sizeof(exe), 0, 0);
	if (n < 0)
		n = 0;
	rec = kt_reserve(
		(sizeof(*rec) + sizeof(*p) + n + cmd_len + 7) & ~(size_t)7);
	if (!rec)
		return;
	memset((char *)rec + 8, 0, sizeof(*rec) - 8);
	rec->process = process;
	rec->flags = flags;
	rec->tid = kt_self.tid;
	rec->t = kmap_now();
	p = (struct kt_process *)(rec + 1);
	p->pidns = kt_pidns;
	p->pid = kmap_syscall(SYS_getpid, 0, 0, 0, 0, 0, 0);
	p->ppid = kmap_syscall(SYS_getppid, 0, 0, 0, 0, 0, 0);
	p->parent = parent;
	p->exe_len = n;
	p->cmd_len = cmd_len;
	memcpy(p + 1, exe, n);
	memcpy((char *)(p + 1) + n, cmdline, cmd_len);
	kt_commit(rec, KT_PROCESS);
	if (!parent)
		kt_modules();
}

static bool
map_region(const char *path)
{
	struct kt_region head;
	struct kt_region *r;
	struct stat st;
	int fd;

	fd = kmap_syscall(SYS_openat, AT_FDCWD, path,
		O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0, 0, 0);
	if (fd < 0)
		return false;
	if (kmap_syscall(SYS_newfstatat, fd, "", &st, AT_EMPTY_PATH, 0, 0) ||
		!S_ISREG(st.st_mode) || (size_t)st.st_size < KT_REGION_BYTES ||
		kmap_sys_read(fd, &head, sizeof(head)) != sizeof(head) ||
		head.magic != KT_MAGIC || head.version != KT_VERSION ||
		head.names != KT_NAMES || head.size != KT_REGION_BYTES ||
		head.frames > KT_MAX_FRAMES || head.data > 1024)
		r = NULL;
	else
		/* Without access: mlockall(2) shall not make it all real. */
		r = kt_mmap(KT_REGION_BYTES, PROT_NONE, MAP_SHARED, fd);
	kmap_sys_close(fd);
	if (!r)
		return false;
	kt_region = r;
	owner = st.st_uid;
	kmap_syscall(SYS_madvise, r, KT_REGION_BYTES, MADV_DONTDUMP, 0, 0, 0);
	if (kt_back(0, KT_DATA_AT)) {
		/* The header's own page the reader has made. */
		if (!kmap_syscall(SYS_mprotect, r, 4096, PROT_READ | PROT_WRITE,
			    0, 0, 0))
			a_cas(&r->error, (uint32_t)0, (uint32_t)ENOSPC);
		kmap_sys_munmap(r, KT_REGION_BYTES);
		return false;
	}
	return kt_alive(r);
}

static const char *
find(char *const *envp, const char *name)
{
	size_t n = strlen(name);

	for (; envp && *envp; envp++)
		if (!strncmp(*envp, name, n) && (*envp)[n] == '=')
			return *envp;
	return NULL;
}

__attribute__((constructor)) static void
start(int argc, char **argv, char **envp)
{
	const char *path, *v;
	int saved = errno;

	kt_resolve_all();
	if (!kmap_on_glibc())
		return;
	path = find(envp, KT_ENV);
	v = find(envp, "LD_PRELOAD");
	if (!path || strlen(path) >= sizeof(region_var))
		return;
	strcpy(region_var, path);
	strncpy(kt_path, path + sizeof(KT_ENV), sizeof(kt_path) - 1);
	if (v && strlen(v) < sizeof(preload))
		strcpy(preload, v);
	kt_private = kt_mmap(
		4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	if (!kt_private || !map_region(kt_path))
		goto out;
	kmap_syscall(SYS_madvise, kt_private, 4096, MADV_WIPEONFORK, 0, 0, 0);
	for (int i = 0; i < argc && argv[i]; i++) {
		size_t n = strlen(argv[i]) + 1;

		if (cmd_len + n > sizeof(cmdline))
			break;
		memcpy(cmdline + cmd_len, argv[i], n);
		cmd_len += n;
	}
	kt_self.off++;
	kt_ring_init();
	kt_fd_init();
	kt_stack_init();
	kt_self.off--;
	if (!kt_fds)
		goto out;
	kt_private->pid = kmap_syscall(SYS_getpid, 0, 0, 0, 0, 0, 0);
	kt_private->process = a_count(&kt_region->processes, 1) + 1;
	kt_last_process = kt_private->process;
	kt_live = true;
	if (kt_ready())
		kt_announce(kt_private->process, 0, 0);
out:
	errno = saved;
}

/* fork itself: pthread_atfork in stack.c, and the page of zeroes. */

__attribute__((used, visibility("hidden"))) void *
kt_vfork_before(void)
{
	struct kt_self *s = &kt_self;

	/* The child of a vfork child goes on with its grandparent's memory. */
	if (kt_live && !kt_quiet && !kt_vfork_child()) {
		s->vfork_process = 0;
		s->vfork_parent = kmap_syscall(SYS_getpid, 0, 0, 0, 0, 0, 0);
	}
	return kt_real(KT_vfork);
}

#if defined(__x86_64__)
KMAP_VFORK(kt_vfork_before);
#else
/* vfork(2) may be a fork. */
KT_EXPORT pid_t kt_w_vfork(void) __asm__("vfork");
KT_EXPORT pid_t
kt_w_vfork(void)
{
	return fork();
}
#endif

#define CLONE(name)                                                            \
	KT_EXPORT int kt_w_##name(void *, void *, int, void *, void *, void *, \
		void *) __asm__(#name);                                        \
	KT_EXPORT int kt_w_##name(void *fn, void *stack, int flags, void *arg, \
		void *ptid, void *tls, void *ctid)                             \
	{                                                                      \
		int (*real)(void *, void *, int, void *, void *, void *,       \
			void *) = kt_real(KT_##name);                          \
                                                                               \
		if ((flags & CLONE_VM) && (flags & CLONE_VFORK) &&             \
			!(flags & CLONE_SETTLS))                               \
			kt_vfork_before();                                     \
		return real(fn, stack, flags, arg, ptid, tls, ctid);           \
	}
CLONE(clone)
CLONE(__clone)

/*
 * A filter may kill for any syscall that the program itself does not make:
 * from then on none is made. Strict mode takes even the time-stamp counter
 * away.
 */
void
kt_sealed(bool strict)
{
	if (strict)
		kt_live = false;
	kt_quiet = true;
}

/* prctl's five words travel as they are. */
KT_EXPORT int
kt_w_prctl(int, uint64_t, uint64_t, uint64_t, uint64_t) __asm__("prctl");
KT_EXPORT int
kt_w_prctl(int op, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	int (*real)(int, uint64_t, uint64_t, uint64_t, uint64_t) =
		kt_real(KT_prctl);

	if (op == PR_SET_SECCOMP) {
		/* Recorded before it is made: the table has to tell of it,
		 * and afterwards nothing may be. */
		struct kt_call call;
		int saved = errno;

		if (kt_before_any(&call, KT_prctl)) {
			kt_done(&call, 0);
			kt_after(&call, KT_prctl, -1, OP_NONE, 5,
				(uint64_t[]){(uint64_t)op, a, b, c, d});
		}
		errno = saved;
		kt_sealed(a == SECCOMP_MODE_STRICT);
	}
	return real(op, a, b, c, d);
}

/*
 * exec: a program that cleans the environment of its children would lose them
 * for the trace. What is missing is put back, on the stack: we may be in a
 * vfork child.
 */

static size_t
count(char *const *v)
{
	size_t n = 0;

	while (v && v[n])
		n++;
	return n;
}

struct patch {
	const char *var, *pre; /* the entries as they are, or NULL */
	size_t n, pre_len;
	bool needed;
};

static struct patch
plan(char *const *envp)
{
	struct patch p = {.n = count(envp)};

	if (!kt_live || !preload[0])
		return p;
	p.var = find(envp, KT_ENV);
	p.pre = find(envp, "LD_PRELOAD");
	if (p.pre && strstr(p.pre, self_word))
		p.pre_len = 0;
	else
		p.pre_len = strlen(preload) + (p.pre ? strlen(p.pre) : 0) + 2;
	p.needed = !p.var || p.pre_len;
	return p;
}

/* to has room for p->n + 3, text for p->pre_len. */
static char *const *
patched(const struct patch *p, char *const *envp, char **to, char *text)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n; i++)
		if (!p->pre_len || envp[i] != p->pre)
			to[n++] = envp[i];
	if (!p->var)
		to[n++] = region_var;
	if (p->pre_len) {
		strcpy(text, preload);
		/* What the program itself preloads goes behind us. */
		if (p->pre && p->pre[11]) {
			strcat(text, ":");
			strcat(text, p->pre + 11);
		}
		to[n++] = text;
	}
	to[n] = NULL;
	return to;
}

/* The region is its user's and root's: who became another one (su, setpriv)
 * gets no recorder into what it executes. */
static bool
barred(void)
{
	uid_t uid = kmap_syscall(SYS_geteuid, 0, 0, 0, 0, 0, 0);

	return uid && uid != owner;
}

/*
 * What is executed, because it may take no recorder, and then nothing else is
 * known of it. It is written where no ring is needed: most children do nothing
 * but this.
 */
static void
program(const char *path)
{
	char *list = (char *)kt_region + KT_PROGRAMS_AT, name[2049];
	uint32_t at, n = strlen(path) + 1, end = a_load(&kt_region->programs);
	bool marked = barred();

	if (end > KT_PROGRAMS_BYTES || n + marked > sizeof(name))
		return;
	name[0] = KT_BARRED;
	memcpy(name + marked, path, n);
	n += marked;
	for (at = 0; at < end; at += strnlen(list + at, end - at) + 1)
		if (n <= end - at && !memcmp(list + at, name, n))
			return;
	at = a_count(&kt_region->programs, n);
	if (at < KT_PROGRAMS_BYTES && n <= KT_PROGRAMS_BYTES - at)
		memcpy(list + at, name, n);
}

/* As execveat(2) takes it; the reader is in another directory. */
static void
executes(int dir, const char *path)
{
	static const char fds[] = "/proc/self/fd/";
	char name[2048], link[32], *digit = link + sizeof(link);
	size_t len;
	long n;

	if (!kt_live || kt_quiet || !kt_readable(path))
		return;
	if (*path == '/') {
		program(path);
		return;
	}
	if (dir == AT_FDCWD) {
		/* Its length is told with the NUL. */
		n = kmap_syscall(SYS_getcwd, name, sizeof(name), 0, 0, 0, 0);
		n--;
	} else {
		*--digit = 0;
		for (unsigned int d = dir; d || !*digit; d /= 10)
			*--digit = '0' + d % 10;
		digit -= sizeof(fds) - 1;
		memcpy(digit, fds, sizeof(fds) - 1);
		n = kmap_syscall(SYS_readlinkat, AT_FDCWD, digit, name,
			sizeof(name), 0, 0);
	}
	len = strlen(path);
	if (n < 0 || n + len + 2 > sizeof(name))
		return;
	if (len)
		name[n++] = '/';
	memcpy(name + n, path, len + 1);
	program(name);
}

static void
executes_file(const char *file)
{
	if (!kt_live || kt_quiet || !kt_readable(file))
		return;
	if (strchr(file, '/'))
		executes(AT_FDCWD, file);
	else
		program(file);
}

#define PATCH(envp)                                                            \
	({                                                                     \
		struct patch p_ = plan(envp);                                  \
		!p_.needed ? envp                                              \
			   : patched(&p_, envp,                                \
				     alloca((p_.n + 3) * sizeof(char *)),      \
				     alloca(p_.pre_len + 1));                  \
	})

KT_EXPORT int
kt_w_execve(const char *, char *const *, char *const *) __asm__("execve");
KT_EXPORT int
kt_w_execve(const char *path, char *const *argv, char *const *envp)
{
	int (*real)(const char *, char *const *, char *const *) =
		kt_real(KT_execve);

	executes(AT_FDCWD, path);
	return real(path, argv, PATCH(envp));
}

KT_EXPORT int
kt_w_execvpe(const char *, char *const *, char *const *) __asm__("execvpe");
KT_EXPORT int
kt_w_execvpe(const char *file, char *const *argv, char *const *envp)
{
	int (*real)(const char *, char *const *, char *const *) =
		kt_real(KT_execvpe);

	executes_file(file);
	return real(file, argv, PATCH(envp));
}

/* These take the environment as it stands. */
KT_EXPORT int kt_w_execv(const char *, char *const *) __asm__("execv");
KT_EXPORT int
kt_w_execv(const char *path, char *const *argv)
{
	return kt_w_execve(path, argv, environ);
}

KT_EXPORT int kt_w_execvp(const char *, char *const *) __asm__("execvp");
KT_EXPORT int
kt_w_execvp(const char *file, char *const *argv)
{
	return kt_w_execvpe(file, argv, environ);
}

/* The list of arguments as an array, on the stack. */
#define GATHER(argv, first, ap)                                                \
	do {                                                                   \
		size_t n_ = 0;                                                 \
                                                                               \
		va_start(ap, first);                                           \
		for (const char *s_ = first; s_; s_ = va_arg(ap, char *))      \
			n_++;                                                  \
		va_end(ap);                                                    \
		argv = alloca((n_ + 1) * sizeof(*argv));                       \
		va_start(ap, first);                                           \
		argv[0] = (char *)first;                                       \
		for (size_t i_ = 1; i_ <= n_; i_++)                            \
			argv[i_] = va_arg(ap, char *);                         \
	} while (0)

KT_EXPORT int kt_w_execl(const char *, const char *, ...) __asm__("execl");
KT_EXPORT int
kt_w_execl(const char *path, const char *arg, ...)
{
	char **argv;
	va_list ap;

	GATHER(argv, arg, ap);
	va_end(ap);
	return kt_w_execve(path, argv, environ);
}

KT_EXPORT int kt_w_execlp(const char *, const char *, ...) __asm__("execlp");
KT_EXPORT int
kt_w_execlp(const char *file, const char *arg, ...)
{
	char **argv;
	va_list ap;

	GATHER(argv, arg, ap);
	va_end(ap);
	return kt_w_execvpe(file, argv, environ);
}

KT_EXPORT int kt_w_execle(const char *, const char *, ...) __asm__("execle");
KT_EXPORT int
kt_w_execle(const char *path, const char *arg, ...)
{
	char *const *envp;
	char **argv;
	va_list ap;

	GATHER(argv, arg, ap);
	envp = va_arg(ap, char *const *);
	va_end(ap);
	return kt_w_execve(path, argv, envp);
}

KT_EXPORT int
kt_w_fexecve(int, char *const *, char *const *) __asm__("fexecve");
KT_EXPORT int
kt_w_fexecve(int fd, char *const *argv, char *const *envp)
{
	int (*real)(int, char *const *, char *const *) = kt_real(KT_fexecve);

	executes(fd, "");
	return real(fd, argv, PATCH(envp));
}

KT_EXPORT int kt_w_execveat(int, const char *, char *const *, char *const *,
	int) __asm__("execveat");
KT_EXPORT int
kt_w_execveat(int dir, const char *path, char *const *argv, char *const *envp,
	int flags)
{
	int (*real)(int, const char *, char *const *, char *const *, int) =
		kt_real(KT_execveat);

	executes(dir, path);
	return real(dir, path, argv, PATCH(envp), flags);
}

#define SPAWN(name, told)                                                      \
	KT_EXPORT int kt_w_##name(pid_t *, const char *, const void *,         \
		const void *, char *const *, char *const *) __asm__(#name);    \
	KT_EXPORT int kt_w_##name(pid_t *pid, const char *path,                \
		const void *fa, const void *at, char *const *argv,             \
		char *const *envp)                                             \
	{                                                                      \
		int (*real)(pid_t *, const char *, const void *, const void *, \
			char *const *, char *const *) = kt_real(KT_##name);    \
                                                                               \
		told;                                                          \
		return real(pid, path, fa, at, argv, PATCH(envp));             \
	}
SPAWN(posix_spawn, executes(AT_FDCWD, path))
SPAWN(posix_spawnp, executes_file(path))

/* text in single quotes at to, which has room; returns the end. */
static char *
quoted(char *to, const char *text)
{
	*to++ = '\'';
	for (; *text; text++)
		if (*text == '\'')
			to = stpcpy(to, "'\\''");
		else
			*to++ = *text;
	*to++ = '\'';
	*to = '\0';
	return to;
}

/*
 * system(3) and popen(3) start their shell inside of libc, with the environment
 * as it stands. When a program has cleaned that, the command says what is
 * missing, and the same process becomes the same shell. Returns the longer
 * command, to be freed, or NULL when the command is good as it is.
 */
char *
kt_command(const char *command)
{
	struct patch p = plan(environ);
	char **envp, *text, *to, *whole;
	size_t n;

	if (!command || !p.needed)
		return NULL;
	envp = alloca((p.n + 3) * sizeof(*envp));
	text = alloca(p.pre_len + 1);
	patched(&p, environ, envp, text);
	n = 64 + 4 * (strlen(command) + p.pre_len + sizeof(region_var));
	whole = malloc(n);
	if (!whole)
		return NULL;
	to = stpcpy(whole, "export ");
	if (!p.var)
		to = stpcpy(quoted(to, region_var), " ");
	if (p.pre_len)
		to = quoted(to, text);
	/* $0 is what libc makes it. */
	to = stpcpy(quoted(stpcpy(to, "; exec /bin/sh -c "), command), " sh");
	/* Linux, MAX_ARG_STRLEN: execve(2), E2BIG. */
	if (to - whole < 32 * 4096)
		return whole;
	free(whole);
	return NULL;
}

KT_EXPORT int kt_w_system(const char *) __asm__("system");
KT_EXPORT int
kt_w_system(const char *command)
{
	int (*real)(const char *) = kt_real(KT_system);
	char *whole = kt_command(command);
	int r = real(whole ? whole : command);

	/* free(3) preserves errno since glibc 2.33. */
	free(whole);
	return r;
}
