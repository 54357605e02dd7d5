/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What every library needs that stands in front of libc: the one that
 * emulates and the one that records. Nothing of src itself uses it.
 */
#ifndef KMAP_PRELOAD_H
#define KMAP_PRELOAD_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/syscall.h>

/*
 * musl's loader takes a library that was built for glibc, and starts no
 * program when a symbol is missing: so what glibc alone has is weak. There we
 * pass everything on and do nothing: constructors get no arguments, and a
 * FILE is another one.
 */
const char *gnu_get_libc_version(void) __attribute__((weak));

static inline bool
kmap_on_glibc(void)
{
	return gnu_get_libc_version != NULL;
}

/* What the kernel or a layer below said, as libc's functions say it. Only
 * functions with exported names may write errno. */
static inline long
kmap_errno(long r)
{
	if (__builtin_expect((unsigned long)r > -4096UL, 0)) {
		errno = (int)-r;
		return -1;
	}
	return r;
}

#if defined(__x86_64__)
/*
 * vfork and __vfork. The child returns first and uses the stack: no frame of
 * ours stays. `before`, a hidden function, gives libc's.
 */
/* clang-format off */
#define KMAP_VFORK(before)                                                     \
	__asm__(".pushsection .text\n"                                         \
		".p2align 4\n"                                                 \
		".globl vfork\n"                                               \
		".type vfork, @function\n"                                     \
		".globl __vfork\n"                                             \
		".type __vfork, @function\n"                                   \
		"vfork:\n"                                                     \
		"__vfork:\n"                                                   \
		"	.cfi_startproc\n"                                      \
		"	endbr64\n"                                             \
		"	sub $8, %rsp\n"                                        \
		"	.cfi_adjust_cfa_offset 8\n"                            \
		"	call " #before "\n"                                    \
		"	add $8, %rsp\n"                                        \
		"	.cfi_adjust_cfa_offset -8\n"                           \
		"	jmp *%rax\n"                                           \
		"	.cfi_endproc\n"                                        \
		".size vfork, . - vfork\n"                                     \
		".size __vfork, . - __vfork\n"                                 \
		".popsection\n")

/*
 * syscall(2). clone, clone3 and vfork may return twice, on another stack or on
 * ours after the child has used it: they are the bare instruction, as in libc,
 * with no frame of ours around it. `before`, a hidden function, is called ahead
 * of them; `then` follows, with the arguments as they came and what `before`
 * returned in %r11. All others are `others`, a hidden function.
 */
#define KMAP_STR_(x) #x
#define KMAP_STR(x) KMAP_STR_(x)
#define KMAP_SYSCALL_ENTRY(others, before, then)                               \
	__asm__(".pushsection .text\n"                                         \
		".p2align 4\n"                                                 \
		".globl syscall\n"                                             \
		".type syscall, @function\n"                                   \
		"syscall:\n"                                                   \
		"	.cfi_startproc\n"                                      \
		"	endbr64\n"                                             \
		"	cmp $" KMAP_STR(__NR_clone) ", %rdi\n"                 \
		"	je 1f\n"                                               \
		"	cmp $" KMAP_STR(__NR_vfork) ", %rdi\n"                 \
		"	je 1f\n"                                               \
		"	cmp $" KMAP_STR(__NR_clone3) ", %rdi\n"                \
		"	je 1f\n"                                               \
		"	jmp " #others "\n"                                     \
		"1:	push %rdi\n"                                           \
		"	push %rsi\n"                                           \
		"	push %rdx\n"                                           \
		"	push %rcx\n"                                           \
		"	push %r8\n"                                            \
		"	push %r9\n"                                            \
		"	sub $8, %rsp\n"                                        \
		"	.cfi_adjust_cfa_offset 56\n"                           \
		"	call " #before "\n"                                    \
		"	mov %rax, %r11\n"                                      \
		"	add $8, %rsp\n"                                        \
		"	pop %r9\n"                                             \
		"	pop %r8\n"                                             \
		"	pop %rcx\n"                                            \
		"	pop %rdx\n"                                            \
		"	pop %rsi\n"                                            \
		"	pop %rdi\n"                                            \
		"	.cfi_adjust_cfa_offset -56\n"                          \
		then                                                           \
		"	.cfi_endproc\n"                                        \
		".size syscall, . - syscall\n"                                 \
		".popsection\n")
/* clang-format on */
#endif

#endif
