/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "rec.h"

#include <dlfcn.h>
#include <fcntl.h>

#pragma GCC diagnostic ignored "-Wunused-parameter"

/*
 * dlsym may come back to us: it takes locks and may allocate, and an
 * allocator that is preloaded, too, maps memory and reads files. Such a call
 * goes to the kernel by itself. Volatile: see emu's resolver.
 */
static __thread volatile bool busy __attribute__((tls_model("initial-exec")));

void *kt_reals[KT_NAMES];

static const char *const names[KT_NAMES] = {
#define KT_NAME(name, base, sys) [KT_##name] = #name,
#include "names.def"
};

static long
absent(void)
{
	errno = ENOSYS;
	return -1;
}

#define STUB(name, nr)                                                         \
	static long stub_##name(                                               \
		long a, long b, long c, long d, long e, long f)                \
	{                                                                      \
		return kmap_errno(kmap_syscall6(nr, a, b, c, d, e, f));        \
	}
STUB(read, SYS_read)
STUB(write, SYS_write)
STUB(close, SYS_close)
STUB(openat, SYS_openat)
STUB(ioctl, SYS_ioctl)
STUB(fcntl, SYS_fcntl)
STUB(prctl, SYS_prctl)

static long
stub_open(const char *path, int flags, int mode)
{
	return kmap_errno(
		kmap_syscall(SYS_openat, AT_FDCWD, path, flags, mode, 0, 0));
}

static long
stub_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	return kmap_errno(kmap_syscall6(nr, a, b, c, d, e, f));
}

static void *
stub(enum kt_name n)
{
	switch (n) {
	case KT_read:
	case KT___read:
	case KT___read_chk:
		return stub_read;
	case KT_write:
	case KT___write:
		return stub_write;
	case KT_close:
	case KT___close:
		return stub_close;
	case KT_open:
	case KT_open64:
	case KT___open:
	case KT___open64:
	case KT___open_2:
	case KT___open64_2:
		return stub_open;
	case KT_openat:
	case KT_openat64:
		return stub_openat;
	case KT_ioctl:
		return stub_ioctl;
	case KT_fcntl:
	case KT_fcntl64:
	case KT___fcntl:
		return stub_fcntl;
	case KT_prctl:
		return stub_prctl;
	case KT_syscall:
		return stub_syscall;
	default:
		return absent;
	}
}

void *
kt_resolve(enum kt_name n)
{
	int saved = errno;
	void *p;

	if (busy)
		return stub(n);
	busy = true;
	p = dlsym(RTLD_NEXT, names[n]);
	busy = false;
	if (!p)
		p = absent;
	__atomic_store_n(&kt_reals[n], p, __ATOMIC_RELAXED);
	errno = saved;
	return p;
}

void
kt_resolve_all(void)
{
	for (int i = 0; i < KT_NAMES; i++)
		if (!kt_reals[i])
			kt_resolve(i);
}
