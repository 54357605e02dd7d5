/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "rec.h"

#include <dlfcn.h>
#include <unwind.h>

/*
 * Calls that end with their thread.
 *
 * "When a cancellation request is acted on ... cancellation clean-up handlers
 * are popped" (pthread_cancel(3)): glibc unwinds the stack by libgcc_s, which
 * it loads for that. The compiler's cleanups need two functions of libgcc_s;
 * these here stand for them, as in libc itself, so that the recorder needs
 * libc alone. Exceptions of C++, which may come by another unwinder that was
 * linked into the program, pass without being looked at: a handler of a
 * signal may throw one, but nobody knows the other's structures.
 */

#define HIDDEN __attribute__((visibility("hidden")))

static void *
libgcc(const char *name)
{
	void *h = dlopen("libgcc_s.so.1", RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
	void *f;

	if (!h)
		return NULL;
	f = dlsym(h, name);
	dlclose(h);
	return f;
}

HIDDEN _Unwind_Reason_Code __gcc_personality_v0(int version,
	_Unwind_Action actions, _Unwind_Exception_Class class,
	struct _Unwind_Exception *e, struct _Unwind_Context *context);

_Unwind_Reason_Code
__gcc_personality_v0(int version, _Unwind_Action actions,
	_Unwind_Exception_Class class, struct _Unwind_Exception *e,
	struct _Unwind_Context *context)
{
	_Unwind_Personality_Fn f = NULL;

	if (actions & _UA_FORCE_UNWIND)
		f = (_Unwind_Personality_Fn)libgcc("__gcc_personality_v0");
	return f ? f(version, actions, class, e, context)
		 : _URC_CONTINUE_UNWIND;
}

/* The end of each cleanup: it was begun by libgcc_s, so that is there. */
HIDDEN void kt_resume(struct _Unwind_Exception *e) __asm__("_Unwind_Resume");
void
kt_resume(struct _Unwind_Exception *e)
{
	void (*f)(struct _Unwind_Exception *) =
		(void (*)(struct _Unwind_Exception *))libgcc("_Unwind_Resume");

	if (f)
		f(e);
	__builtin_trap();
}

void
kt_cut(const struct kt_cut *cut)
{
	struct kt_call *c = cut->c;

	kt_done(c, -1);
	c->err = KT_CUT;
	if (cut->s)
		kt_after_select(
			c, cut->fn, cut->sys, cut->nargs, cut->a, cut->s);
	else
		kt_after(c, cut->fn, cut->sys, cut->op, cut->nargs, cut->a);
}
