/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>

#include "atom.h"

__thread struct kmap_thread kmap_self
	__attribute__((tls_model("initial-exec")));

void *
kmap_sys_mmap(size_t len, int prot, int flags, int fd)
{
	long r = kmap_syscall(SYS_mmap, 0, len, prot, flags, fd, 0);

	return r < 0 && r > -4096 ? NULL : (void *)r;
}

static int pid;

int
kmap_sys_getpid(void)
{
	if (kmap_unlikely(pid == 0))
		pid = kmap_syscall(SYS_getpid, 0, 0, 0, 0, 0, 0);
	return pid;
}

void
kmap_sys_forked(void)
{
	pid = 0;
	kmap_sys_getpid();
}

int
kmap_sys_gettid(void)
{
	return kmap_syscall(SYS_gettid, 0, 0, 0, 0, 0, 0);
}

int
kmap_sys_poll1(int fd, int want)
{
	struct pollfd p = {.fd = fd, .events = (short)want};
	struct timespec zero = {0, 0};
	long r;

	r = kmap_syscall(SYS_ppoll, &p, 1, &zero, NULL, 8, 0);
	return r < 0 ? (int)r : r == 0 ? 0 : p.revents;
}

int
kmap_sys_file_limit(uint64_t *bytes)
{
	struct rlimit rl;
	long r = kmap_syscall(SYS_prlimit64, 0, RLIMIT_FSIZE, NULL, &rl, 0, 0);

	*bytes = r == 0 ? rl.rlim_cur : 0;
	return (int)r;
}

/* What a thread under a filter may ask no more, asked before. */
static kmap_a32 confined;
static uint64_t confined_limit;

void
kmap_sys_confined(void)
{
	if (kmap_sys_file_limit(&confined_limit) != 0)
		confined_limit = RLIM_INFINITY;
	a_store_rel(&confined, 1u);
}

bool
kmap_sys_is_confined(void)
{
	return a_load_acq(&confined) != 0;
}

ssize_t
kmap_sys_append(int fd, const void *buf, size_t n)
{
	struct stat st;
	uint64_t limit;

	if (kmap_sys_is_confined())
		return confined_limit != RLIM_INFINITY
			? -EFBIG
			: kmap_sys_write(fd, buf, n);
	if (kmap_sys_file_limit(&limit) == 0 && limit != RLIM_INFINITY &&
		kmap_syscall(SYS_fstat, fd, &st, 0, 0, 0, 0) == 0 &&
		S_ISREG(st.st_mode) && (uint64_t)st.st_size + n > limit)
		return -EFBIG;
	return kmap_sys_write(fd, buf, n);
}

int
kmap_sys_raise(int fd)
{
	struct rlimit rl;
	long base = 1024, soft = 1024;
	int high;

	if (fd < 0)
		return fd;
	if (kmap_syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &rl, 0, 0) == 0)
		soft = rl.rlim_cur > 4096 ? 4096 : (long)rl.rlim_cur;
	base = soft - soft / 8;
	high = kmap_sys_fcntl(fd, F_DUPFD_CLOEXEC, base);
	if (high < 0)
		high = kmap_sys_fcntl(fd, F_DUPFD_CLOEXEC, soft / 2);
	kmap_sys_close(fd);
	return high;
}
