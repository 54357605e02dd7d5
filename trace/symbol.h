/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Addresses turned into names, after the fact: (modules of a process,
 * address) → module, function, offset; and the call before a return address
 * → the import it goes to. One file is read once for all processes; answers
 * are cached and stay valid until the program ends. Not thread-safe: the
 * thread that feeds the sinks asks.
 */
#ifndef KMAP_TRACE_SYMBOL_H
#define KMAP_TRACE_SYMBOL_H

#include <stdint.h>

#include "event.h"

struct trace_symbol {
	const char *module; /* the file's last name: "libc.so.6"; "[vdso]";
			     * "[anon]" for code that belongs to no file */
	const char *path; /* as the process has it; "" for no file */
	const char *build_id; /* "" when it has none */
	const char *function; /* NULL: no symbol covers the address */
	uint64_t offset; /* in the function; else in the module (p_vaddr);
			  * else, without a file, the address */
	const char *text; /* "libc.so.6!fflush+0x83", "app+0x1139" */
};

/*
 * Who lies at addr, a return address: the call before it is what is looked
 * up, so that a call at the very end of a function is that function's. A
 * symbol covers its size and no more. Where the file has changed since the
 * process mapped it (its build id is another) there are no names. Never NULL.
 */
const struct trace_symbol *
trace_symbol_at(const struct trace_process *p, uint64_t addr);

/* The same as text. */
const char *trace_symbol(const struct trace_process *p, uint64_t addr);

enum trace_site_kind {
	TRACE_SITE_UNKNOWN, /* no call lies there, or not a known machine */
	TRACE_SITE_PLT, /* call → PLT → GOT slot */
	TRACE_SITE_GOT, /* call *slot(%rip): -fno-plt */
	TRACE_SITE_DIRECT, /* call of a function of the same module */
	TRACE_SITE_TAIL, /* the same, and it jumps on to the import */
	TRACE_SITE_INDIRECT, /* call through a register or a pointer */
};

struct trace_site {
	enum trace_site_kind kind;
	const char *name; /* of the import, "__recv_chk"; for DIRECT of the
			   * function called; "" when unknown */
	const char *version; /* "GLIBC_2.4", or "" */
	const char *via; /* TAIL: the function that is called and jumps on,
			  * "app!helper" or "app+0x1200"; else "" */
	const char *text; /* "__recv_chk@GLIBC_2.4"; with a tail call
			   * "recv@GLIBC_2.2.5 via app!helper"; "" */
};

/*
 * Decodes the call that ends at the return address addr. fn is the function
 * that was reached, when that is known (else NULL): only a tail call to it is
 * reported then. Works on stripped files: relocations are always there.
 * Never NULL.
 */
const struct trace_site *
trace_call_site(const struct trace_process *p, uint64_t addr, const char *fn);

/* The module that addr lies in, or NULL. */
const struct trace_module *
trace_module_at(const struct trace_process *p, uint64_t addr);

#endif
