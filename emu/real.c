/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "real.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>

#include "preload.h"

/*
 * dlsym may come back to us: it takes locks and may allocate, and an
 * allocator that is preloaded, too, maps memory and reads files. A look-up
 * within a look-up of the same thread goes to the kernel instead.
 * Initial-exec (our whole build is), because the general model calls
 * __tls_get_addr, which may allocate at a thread's first touch: the very
 * recursion that this word is there to stop. Volatile, because the header
 * says that dlsym never calls back into this file ("leaf"), and the compiler
 * would drop the first of the two stores.
 */
static __thread volatile bool busy;

static const char *const names[KMAP_CALLS] = {
#define KMAP_CALL(ret, name, params, args, family, nr) [KMAP_##name] = #name,
#include "calls.def"
};

#if defined(__x86_64__)
__asm__(".pushsection .text\n"
	".p2align 4\n"
	".globl kmap_raw\n"
	".hidden kmap_raw\n"
	".type kmap_raw, @function\n"
	"kmap_raw:\n"
	"	.cfi_startproc\n"
	"	endbr64\n"
	"	mov %rdi, %rax\n" KMAP_ASM_ARGS "	syscall\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".size kmap_raw, . - kmap_raw\n"
	".popsection\n");
#elif defined(__aarch64__)
__asm__(".pushsection .text\n"
	".p2align 4\n"
	".globl kmap_raw\n"
	".hidden kmap_raw\n"
	".type kmap_raw, %function\n"
	"kmap_raw:\n"
	"	.cfi_startproc\n"
	"	mov x8, x0\n" KMAP_ASM_ARGS "	svc #0\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".size kmap_raw, . - kmap_raw\n"
	".popsection\n");
#else
#error "this architecture needs its syscall instruction here"
#endif

/* A resolver's way out when it finds itself inside dlsym. */
#define FALL(nr, ...)                                                          \
	kmap_errno((nr) == -1 ? -ENOSYS : kmap_raw(nr, ##__VA_ARGS__))
#define UNWRAP(...) __VA_ARGS__

/* The two functions that stand in a place before, and instead of, libc's. */
#define KMAP_CALL(ret, name, params, args, family, nr)                         \
	static ret absent_##name params;                                       \
	static ret stub_##name params;
#include "calls.def"

struct kmap_real kmap_real = {
#define KMAP_CALL(ret, name, params, args, family, nr) .name = stub_##name,
#include "calls.def"
};

_Static_assert(sizeof(kmap_real) == KMAP_CALLS * sizeof(void *),
	"kmap_real is used as an array of pointers");

static void *const absent[KMAP_CALLS] = {
#define KMAP_CALL(ret, name, params, args, family, nr)                         \
	[KMAP_##name] = (void *)absent_##name,
#include "calls.def"
};

#pragma GCC diagnostic ignored "-Wunused-parameter"

#define KMAP_CALL(ret, name, params, args, family, nr)                         \
	static ret absent_##name params                                        \
	{                                                                      \
		errno = ENOSYS;                                                \
		return (ret)-1;                                                \
	}                                                                      \
	static ret stub_##name params                                          \
	{                                                                      \
		if (kmap_real_resolve(KMAP_##name))                            \
			return kmap_real.name args;                            \
		return (ret)FALL(nr, UNWRAP args);                             \
	}
#define KMAP_CALL0(ret, name, family, nr)                                      \
	static ret absent_##name(void)                                         \
	{                                                                      \
		errno = ENOSYS;                                                \
		return (ret)-1;                                                \
	}                                                                      \
	static ret stub_##name(void)                                           \
	{                                                                      \
		if (kmap_real_resolve(KMAP_##name))                            \
			return kmap_real.name();                               \
		return (ret)FALL(nr);                                          \
	}
#define KMAP_CALLP(ret, name, params, args, family, nr)                        \
	static ret absent_##name params                                        \
	{                                                                      \
		errno = ENOSYS;                                                \
		return NULL;                                                   \
	}                                                                      \
	static ret stub_##name params                                          \
	{                                                                      \
		if (kmap_real_resolve(KMAP_##name))                            \
			return kmap_real.name args;                            \
		errno = ENOSYS;                                                \
		return NULL;                                                   \
	}
#define KMAP_VOID(name, params, args, family, nr)                              \
	static void absent_##name params                                       \
	{                                                                      \
		errno = ENOSYS;                                                \
	}                                                                      \
	static void stub_##name params                                         \
	{                                                                      \
		if (kmap_real_resolve(KMAP_##name))                            \
			kmap_real.name args;                                   \
		else                                                           \
			(void)FALL(nr, UNWRAP args);                           \
	}
#include "calls.def"

void *
kmap_real_resolve(enum kmap_call call)
{
	void **slot = (void **)&kmap_real + call;
	int saved = errno;
	void *p;

	if (busy)
		return NULL;
	busy = true;
	p = dlsym(RTLD_NEXT, names[call]);
	busy = false;
	if (!p)
		p = absent[call];
	__atomic_store_n(slot, p, __ATOMIC_RELAXED);
	errno = saved;
	return p;
}

void
kmap_real_init(void)
{
	for (int i = 0; i < KMAP_CALLS; i++)
		kmap_real_resolve(i);
}

bool
kmap_real_has(enum kmap_call call)
{
	void **slot = (void **)&kmap_real + call;

	return *slot != absent[call];
}

const char *
kmap_call_name(enum kmap_call call)
{
	return call < KMAP_CALLS ? names[call] : "?";
}
