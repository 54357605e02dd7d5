/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "nap.h"

#include <errno.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include "real.h"

/*
 * long kmap_nap_call(nr, a, b, c, d, e, f, const unsigned int *word,
 * unsigned int was): the system call, unless the word has changed.
 *
 * A handler that changes the word between the look at it and the kernel would
 * come too early to end the sleep. So it sends whom it found there, from
 * kmap_nap_from up to but not including kmap_nap_to, back to the look. Behind
 * the system call's instruction the kernel has answered EINTR by itself; where
 * it goes back to the instruction, to restart the call, the look is right as
 * well. Nothing that the call needs is changed by the look, and what the look
 * needs lies where no system call changes it.
 */
#if defined(__x86_64__)
__asm__(".pushsection .text\n"
	".p2align 4\n"
	".globl kmap_nap_call\n"
	".hidden kmap_nap_call\n"
	".type kmap_nap_call, @function\n"
	"kmap_nap_call:\n"
	"	.cfi_startproc\n"
	"	endbr64\n"
	"	mov %rdi, %rax\n" KMAP_ASM_ARGS ".globl kmap_nap_from\n"
	".hidden kmap_nap_from\n"
	"kmap_nap_from:\n"
	"	mov 16(%rsp), %r11\n"
	"	mov 24(%rsp), %ecx\n"
	"	cmp %ecx, (%r11)\n"
	"	jne 1f\n"
	"	syscall\n"
	".globl kmap_nap_to\n"
	".hidden kmap_nap_to\n"
	"kmap_nap_to:\n"
	"	ret\n"
	"1:	mov $-4, %rax\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".size kmap_nap_call, . - kmap_nap_call\n"
	".popsection\n");
#elif defined(__aarch64__)
__asm__(".pushsection .text\n"
	".p2align 4\n"
	".globl kmap_nap_call\n"
	".hidden kmap_nap_call\n"
	".type kmap_nap_call, %function\n"
	"kmap_nap_call:\n"
	"	.cfi_startproc\n"
	"	mov x8, x0\n" KMAP_ASM_ARGS "	ldr w9, [sp]\n"
	".globl kmap_nap_from\n"
	".hidden kmap_nap_from\n"
	"kmap_nap_from:\n"
	"	ldr w10, [x7]\n"
	"	cmp w10, w9\n"
	"	b.ne 1f\n"
	"	svc #0\n"
	".globl kmap_nap_to\n"
	".hidden kmap_nap_to\n"
	"kmap_nap_to:\n"
	"	ret\n"
	"1:	mov x0, #-4\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".size kmap_nap_call, . - kmap_nap_call\n"
	".popsection\n");
#else
#error "this architecture needs its system call with a look before it here"
#endif
_Static_assert(EINTR == 4, "as the code above has it");

long kmap_nap_call(long nr, long a, long b, long c, long d, long e, long f,
	const unsigned int *word, unsigned int was)
	__attribute__((visibility("hidden")));
extern const char kmap_nap_from[] __attribute__((visibility("hidden")));
extern const char kmap_nap_to[] __attribute__((visibility("hidden")));

void
kmap_nap_caught(void *ctx)
{
	ucontext_t *uc = ctx;
#if defined(__x86_64__)
	greg_t *pc = &uc->uc_mcontext.gregs[REG_RIP];
	greg_t from = (greg_t)kmap_nap_from, to = (greg_t)kmap_nap_to;
#else
	unsigned long long *pc = &uc->uc_mcontext.pc;
	unsigned long long from = (uintptr_t)kmap_nap_from,
			   to = (uintptr_t)kmap_nap_to;
#endif

	if (*pc >= from && *pc < to)
		*pc = from;
}

/*
 * A cancellation point: as libc's own are, asynchronous for as long as the
 * call lasts, in which nothing is held.
 */
static int
nap(struct kmap_ran r, bool timeo, long nr, long a, const void *b, long c,
	long d, const void *e, long f)
{
	const unsigned int *word = timeo || r.some ? &kmap_self.handlers
						   : &kmap_self.handlers_intr;
	unsigned int was = timeo || r.some ? r.all : r.intr;
	int type;
	long n;

	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &type);
	n = kmap_nap_call(nr, a, (long)b, c, d, (long)e, f, word, was);
	pthread_setcanceltype(type, NULL);
	return (int)n;
}

/* The kernel's sigset_t. */
#define SIGSET (_NSIG / 8)

int
kmap_nap_epoll(int ep, struct epoll_event *evs, int max, int ms,
	const sigset_t *mask, struct kmap_ran r, bool timeo)
{
#ifdef SYS_epoll_wait
	if (mask == NULL)
		return nap(r, timeo, SYS_epoll_wait, ep, evs, max, ms, NULL, 0);
#endif
	return nap(r, timeo, SYS_epoll_pwait, ep, evs, max, ms, mask, SIGSET);
}

int
kmap_nap_epoll2(int ep, struct epoll_event *evs, int max,
	const struct timespec *ts, const sigset_t *mask, struct kmap_ran r)
{
	return nap(r, true, SYS_epoll_pwait2, ep, evs, max, (long)ts, mask,
		SIGSET);
}

int
kmap_nap_poll(struct pollfd *fds, nfds_t n, const struct timespec *ts,
	const sigset_t *mask, struct kmap_ran r)
{
	struct timespec left; /* the kernel writes there */

	if (ts != NULL)
		left = *ts;
	return nap(r, true, SYS_ppoll, (long)fds, (void *)n,
		ts != NULL ? (long)&left : 0, (long)mask, (void *)SIGSET, 0);
}
