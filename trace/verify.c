/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "tracer.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * The calls that may be about a network fd. What reads and writes at an
 * offset (pread …) cannot: ESPIPE.
 */
static const int watched[] = {
	SYS_socket,
	SYS_socketpair,
	SYS_bind,
	SYS_listen,
	SYS_connect,
	SYS_accept,
	SYS_accept4,
	SYS_shutdown,
	SYS_getsockname,
	SYS_getpeername,
	SYS_getsockopt,
	SYS_setsockopt,
	SYS_sendto,
	SYS_recvfrom,
	SYS_sendmsg,
	SYS_recvmsg,
	SYS_sendmmsg,
	SYS_recvmmsg,
	SYS_read,
	SYS_write,
	SYS_readv,
	SYS_writev,
	SYS_preadv2,
	SYS_pwritev2,
	SYS_sendfile,
	SYS_splice,
	SYS_tee,
	SYS_vmsplice,
	SYS_copy_file_range,
	SYS_close,
	SYS_close_range,
	SYS_dup,
	SYS_dup3,
	SYS_fcntl,
	SYS_ioctl,
	SYS_ppoll,
	SYS_pselect6,
	SYS_epoll_create1,
	SYS_epoll_ctl,
	SYS_epoll_pwait,
	SYS_epoll_pwait2,
	SYS_eventfd2,
	SYS_signalfd4,
	SYS_timerfd_create,
	SYS_pipe2,
	SYS_pidfd_getfd,
	SYS_io_uring_setup,
	SYS_io_uring_enter,
	SYS_io_uring_register,
#ifdef SYS_poll
	SYS_dup2,
	SYS_poll,
	SYS_select,
	SYS_epoll_create,
	SYS_epoll_wait,
	SYS_pipe,
	SYS_eventfd,
	SYS_signalfd,
#endif
};

#define WATCHED (sizeof(watched) / sizeof(watched[0]))

bool
verify_watched(int nr)
{
	static bool made, yes[TRACER_NRS];

	if (!made) {
		for (size_t i = 0; i < WATCHED; i++)
			yes[watched[i]] = true;
		made = true;
	}
	return nr >= 0 && nr < TRACER_NRS && yes[nr];
}

#ifdef TRACER_ARCH
static struct sock_filter
load(size_t at)
{
	return (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, at);
}

/* The calls of one ABI: those in the list stop, the others do not. */
static struct sock_filter *
stop_at(struct sock_filter *c, unsigned arch, const int *list, size_t n)
{
	*c++ = load(offsetof(struct seccomp_data, arch));
	*c++ = (struct sock_filter)BPF_JUMP(
		BPF_JMP | BPF_JEQ | BPF_K, arch, 0, n + 3);
	*c++ = load(offsetof(struct seccomp_data, nr));
	for (size_t i = 0; i < n; i++)
		*c++ = (struct sock_filter)BPF_JUMP(
			BPF_JMP | BPF_JEQ | BPF_K, (unsigned)list[i], n - i, 0);
	*c++ = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	*c++ = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
	return c;
}
#endif

/*
 * seccomp(2): without CAP_SYS_ADMIN it wants no_new_privs. Calls of other
 * ABIs (x32) pass unseen.
 */
int
verify_filter(void)
{
#ifdef TRACER_ARCH
	struct sock_filter code[2 * 256], *c = code;
	struct sock_fprog prog = {.filter = code};
	size_t n;
	const int *i386 = i386_watched(&n);

	_Static_assert(WATCHED <= WATCHED_MOST, "jumps are too long");
	c = stop_at(c, TRACER_ARCH, watched, WATCHED);
	if (n)
		c = stop_at(c, AUDIT_ARCH_I386, i386, n);
	*c++ = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	prog.len = c - code;
	if (!syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog))
		return 0;
	if (errno != EACCES || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0)
		return -errno;
	return 0;
#else
	return -ENOSYS;
#endif
}

/* The recorder's region, to be read only. */
int
verify_map(const char *region)
{
	struct kt_region *r;
	int fd = open(region, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || (size_t)st.st_size < KT_DATA_AT) {
		close(fd);
		return -EINVAL;
	}
	/* The head and the rings' heads are all that is looked at. */
	r = mmap(NULL, KT_DATA_AT, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (r == MAP_FAILED)
		return -errno;
	if (r->magic != KT_MAGIC || r->version != KT_VERSION ||
		r->names != KT_NAMES) {
		munmap(r, KT_DATA_AT);
		return -EINVAL;
	}
	tracer.region = r;
	tracer.region_ino = st.st_ino;
	tracer.region_uid = st.st_uid;
	return 0;
}

static bool
its_ring(const struct tracee *t, struct kt_ring *r, pid_t tid)
{
	return a_load(&r->state) == KT_USED && r->tid == (uint32_t)tid &&
		r->process > t->image->above &&
		(!r->pidns || !t->image->pidns || r->pidns == t->image->pidns);
}

/*
 * A thread takes its ring in its first recorded call, before the real
 * function runs. A vfork child borrows its parent's, memory and all.
 */
uint32_t
verify_inside(struct tracee *t)
{
	pid_t tid = t->own_tid;
	struct tracee *p;
	uint32_t top;

	if (!tracer.region)
		return KT_OUTSIDE;
	if (t->image->vfork_of) {
		p = tracer_find(t->image->vfork_of);
		if (p && p != t && p->image->users)
			return verify_inside(p);
	}
	if (t->ring && its_ring(t, t->ring, tid))
		return a_load(&t->ring->inside);
	t->ring = NULL;
	top = a_load(&tracer.region->top);
	for (uint32_t i = 0; i < top && i < KT_RINGS; i++) {
		struct kt_ring *r = kt_ring(tracer.region, i);

		if (its_ring(t, r, tid)) {
			t->ring = r;
			return a_load(&r->inside);
		}
	}
	return KT_OUTSIDE;
}

static const struct {
	const char *name, *base;
	int sys;
} names[] = {
#define KT_NAME(name, base, sys) {#name, #base, sys},
#include "recorder/names.def"
};

/*
 * fclose is recorded as the close that it is; the write that it does first
 * is nobody's. syscall is recorded as the call that it makes. The rest is
 * recorded under its own name, whichever of the kernel's calls libc takes for
 * it (accept: accept or accept4, poll: poll or ppoll).
 */
bool
verify_matches(uint32_t inside, int nr)
{
	size_t i = inside - 1;

	if (i >= sizeof(names) / sizeof(names[0]))
		return false;
	if (!strcmp(names[i].base, "syscall"))
		return true;
	if (!strcmp(names[i].base, "fclose"))
		return nr == SYS_close;
	return names[i].sys >= 0;
}

uint32_t
verify_name(const char *fn)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(names[i].name, fn))
			return i + 1;
	return KT_OUTSIDE;
}

const char *
verify_name_of(uint32_t inside)
{
	size_t i = inside - 1;

	return i < sizeof(names) / sizeof(names[0]) ? names[i].name : "";
}
