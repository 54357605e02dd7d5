/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Preloaded behind libkmapemu.so, so that its constructor runs before that
 * library's: every pointer to libc is still unresolved. Its allocator makes
 * system calls of its own, also inside dlsym.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static char pool[1 << 20] __attribute__((aligned(16)));
static size_t used;

/* What jemalloc does at its first allocation. */
void *
calloc(size_t n, size_t size)
{
	int saved = errno;
	char c;
	void *p;

	n = (n * size + 15) & ~15UL;
	if (read(-1, &c, 1) != -1 || errno != EBADF ||
		open("/dev/null/none/x", O_RDONLY) != -1)
		_exit(21);
	p = pool + __atomic_fetch_add(&used, n, __ATOMIC_RELAXED);
	if ((char *)p + n > pool + sizeof(pool))
		_exit(22);
	errno = saved;
	return p;
}

void *
malloc(size_t n)
{
	return calloc(n, 1);
}

void *
realloc(void *old, size_t n)
{
	/* What lay in front of the pool's end was ours to copy from. */
	char *p = malloc(n);
	size_t room = old ? (size_t)(pool + sizeof(pool) - (char *)old) : 0;

	memmove(p, old, n < room ? n : room);
	return p;
}

void
free(void *p)
{
	(void)p;
}

#if defined(__x86_64__)
#define FIRST "GLIBC_2.2.5"
#else
#define FIRST "GLIBC_2.17"
#endif

/* A dlsym that allocates each time, as newer and older ones may. */
void *
dlsym(void *handle, const char *name)
{
	static void *(*real)(void *, const char *);

	if (!real)
		real = dlvsym(RTLD_NEXT, "dlsym", FIRST);
	free(malloc(1));
	return real(handle, name);
}

__attribute__((constructor)) static void
early(void)
{
	int p[2], sv[2];
	char c[8];

	/* A failing look-up makes dlerror allocate. */
	dlsym(RTLD_NEXT, "no such name");
	if (pipe(p) || write(p[1], "pipe", 4) != 4 || read(p[0], c, 8) != 4)
		_exit(23);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sv) ||
		send(sv[0], "sock", 4, 0) != 4 || recv(sv[1], c, 8, 0) != 4 ||
		memcmp(c, "sock", 4))
		_exit(24);
	if (syscall(SYS_read, -1, c, 1) != -1 || errno != EBADF)
		_exit(25);
	if (fcntl(p[0], F_GETFD) != 0 || close(p[0]) || close(p[1]) ||
		close(sv[0]) || close(sv[1]) || close(sv[1]) != -1)
		_exit(26);
	if (write(1, "early\n", 6) != 6)
		_exit(27);
}
