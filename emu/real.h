/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libc's own functions: kmap_real.read(fd, buf, n).
 *
 * Each pointer starts at a small resolver that looks the function up, puts
 * it in its own place and calls it, so that a call costs one indirect call
 * and no test, also before our constructor ran: a constructor of one of the
 * application's libraries can run before ours.
 *
 * Who may call: anybody, from any thread and from signal handlers; two
 * threads that resolve the same name store the same word. The constructor
 * resolves all, so that nothing is looked up in a handler or a vfork child
 * of a program that has reached main().
 *
 * A function that this libc does not have is remembered as absent: it
 * returns -1 (NULL) with ENOSYS.
 */
#ifndef KMAP_EMU_REAL_H
#define KMAP_EMU_REAL_H

#include <stdbool.h>

#include "types.h"

enum kmap_call {
#define KMAP_CALL(ret, name, params, args, family, nr) KMAP_##name,
#include "calls.def"
	KMAP_CALLS
};

struct kmap_real {
#define KMAP_CALL(ret, name, params, args, family, nr) ret(*name) params;
#include "calls.def"
};

extern struct kmap_real kmap_real;

/* The name of a call, for logs. */
const char *kmap_call_name(enum kmap_call call);

/* Whether libc has the function. */
bool kmap_real_has(enum kmap_call call);

/* Look everything up. Called once by the constructor. */
void kmap_real_init(void);

/*
 * Looks one function up and returns what stands in its place then, or NULL
 * inside a look-up of the same thread.
 */
void *kmap_real_resolve(enum kmap_call call);

/* The bare syscall instruction: -errno, touches no errno, no cancellation. */
long kmap_raw(long nr, ...);

/*
 * For functions with the parameters of syscall(2): theirs behind the number
 * become the kernel's. The number's own register is left to the function.
 */
#if defined(__x86_64__)
#define KMAP_ASM_ARGS                                                          \
	"	mov %rsi, %rdi\n"                                                    \
	"	mov %rdx, %rsi\n"                                                    \
	"	mov %rcx, %rdx\n"                                                    \
	"	mov %r8, %r10\n"                                                     \
	"	mov %r9, %r8\n"                                                      \
	"	mov 8(%rsp), %r9\n"
#elif defined(__aarch64__)
#define KMAP_ASM_ARGS                                                          \
	"	mov x0, x1\n"                                                        \
	"	mov x1, x2\n"                                                        \
	"	mov x2, x3\n"                                                        \
	"	mov x3, x4\n"                                                        \
	"	mov x4, x5\n"                                                        \
	"	mov x5, x6\n"
#endif

#endif
