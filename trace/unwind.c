/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include "tracer.h"

#include <elf.h>
#include <libunwind-ptrace.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

/*
 * libunwind's own ptrace accessors read a word, or a register, for each call
 * of ptrace(2). These read registers once, and memory by pages: the stack in
 * one call, and the unwind tables that libunwind's cache does not save.
 */
#define PAGES 64

static struct {
	struct tracee *thread;
	struct user_regs_struct regs;
	struct page {
		uint64_t addr;
		bool full;
		char bytes[4096];
	} pages[PAGES];
} now;

static void
forget_pages(void)
{
	for (size_t i = 0; i < PAGES; i++)
		now.pages[i].full = false;
}

static const struct page *
get_page(uint64_t addr)
{
	struct page *p = &now.pages[addr / 4096 % PAGES];

	addr &= ~4095ull;
	if (p->full && p->addr == addr)
		return p;
	p->full = peek(now.thread->tid, addr, p->bytes, 4096) == 4096;
	p->addr = addr;
	return p->full ? p : NULL;
}

static int
access_mem(unw_addr_space_t as, unw_word_t addr, unw_word_t *val, int write,
	void *arg)
{
	const struct page *p, *q;
	size_t off = addr % 4096, first = 4096 - off;

	(void)as;
	(void)arg;
	if (write)
		return -UNW_EINVAL;
	p = get_page(addr);
	if (!p)
		return -UNW_EINVAL;
	if (first >= sizeof(*val)) {
		memcpy(val, p->bytes + off, sizeof(*val));
		return 0;
	}
	memcpy(val, p->bytes + off, first);
	q = get_page(addr + first);
	if (!q)
		return -UNW_EINVAL;
	memcpy((char *)val + first, q->bytes, sizeof(*val) - first);
	return 0;
}

static int
access_reg(unw_addr_space_t as, unw_regnum_t reg, unw_word_t *val, int write,
	void *arg)
{
	const struct user_regs_struct *r = &now.regs;

	(void)as;
	(void)arg;
	if (write)
		return -UNW_EREADONLYREG;
	switch (reg) {
#ifdef __x86_64__
#define REG(name, field)                                                       \
	case UNW_X86_64_##name:                                                \
		*val = r->field;                                               \
		return 0;
		REG(RAX, rax)
		REG(RDX, rdx)
		REG(RCX, rcx)
		REG(RBX, rbx)
		REG(RSI, rsi)
		REG(RDI, rdi)
		REG(RBP, rbp)
		REG(RSP, rsp)
		REG(R8, r8)
		REG(R9, r9)
		REG(R10, r10)
		REG(R11, r11)
		REG(R12, r12)
		REG(R13, r13)
		REG(R14, r14)
		REG(R15, r15)
		REG(RIP, rip)
#undef REG
#else
	case 0:
		(void)r;
		break;
#endif
	}
	return -UNW_EBADREG;
}

static int
find_proc_info(unw_addr_space_t as, unw_word_t ip, unw_proc_info_t *pi,
	int need, void *arg)
{
	return _UPT_find_proc_info(as, ip, pi, need, arg);
}

static unw_accessors_t accessors = {
	.find_proc_info = find_proc_info,
	.put_unwind_info = _UPT_put_unwind_info,
	.get_dyn_info_list_addr = _UPT_get_dyn_info_list_addr,
	.access_mem = access_mem,
	.access_reg = access_reg,
	.access_fpreg = _UPT_access_fpreg,
	.resume = _UPT_resume,
	.get_proc_name = _UPT_get_proc_name,
};

void
unwind_forget(struct image *im)
{
	if (im->as)
		unw_destroy_addr_space(im->as);
	if (im->upt)
		_UPT_destroy(im->upt);
	free(im->code);
	im->as = im->upt = NULL;
	im->code = NULL;
	im->ncode = 0;
}

static bool
known(const struct image *im, uint64_t addr)
{
	size_t low = 0, high = im->ncode;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (im->code[mid].end <= addr)
			low = mid + 1;
		else if (im->code[mid].start > addr)
			high = mid;
		else
			return true;
	}
	return false;
}

static bool
is_recorder(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && !strncmp(slash + 1, "libkmaptrace.so", 15);
}

/* Reads /proc/PID/maps and tells what code there is. */
void
unwind_modules(struct image *im)
{
	struct wire_modules head = {.image = im->id};
	char name[64], *line = NULL, last[4096] = "";
	uint64_t file = 0;
	bool first = false;
	size_t room = 0, size = 0;
	FILE *f;

	snprintf(name, sizeof(name), "/proc/%d/maps", im->pid);
	f = fopen(name, "re");
	if (!f)
		return;
	im->ncode = 0;
	tracer_begin(WIRE_MODULES);
	tracer_add(&head, sizeof(head));
	while (getline(&line, &size, f) > 0) {
		unsigned long start, end, off;
		char perms[8], *path;
		int at = 0;

		if (sscanf(line, "%lx-%lx %7s %lx %*s %*s %n", &start, &end,
			    perms, &off, &at) < 4 ||
			!at)
			continue;
		path = line + at;
		path[strcspn(path, "\n")] = 0;
		if (strcmp(path, last) || (!off && *path == '/')) {
			/* The first mapping of a file. */
			first = !off;
			file = start - off;
			snprintf(last, sizeof(last), "%s", path);
		}
		if (perms[2] != 'x' || !strcmp(path, "[vsyscall]"))
			continue;
		if (im->ncode == room) {
			room = room ? 2 * room : 64;
			im->code = tracer_must(
				realloc(im->code, room * sizeof(*im->code)));
		}
		im->code[im->ncode++] = (struct range){start, end};
		if (is_recorder(path))
			im->recorded = true;
		if (*path == '[' && strcmp(path, "[vdso]"))
			*path = 0; /* [stack], [heap], [anon:jit] */
		{
			struct wire_module m = {start, end,
				*path == '/' ? file : start, strlen(path) + 1,
				first};

			m.len = (m.len + 7) & ~7u;
			tracer_add(&m, sizeof(m));
			tracer_add(path, strlen(path) + 1);
		}
	}
	tracer_end();
	free(line);
	fclose(f);
}

static bool
prepare(struct tracee *t)
{
	struct image *im = t->image;

	if (!im->upt)
		im->upt = _UPT_create(im->pid);
	if (!im->as) {
		im->as = unw_create_addr_space(&accessors, 0);
		if (im->as)
			unw_set_caching_policy(im->as, UNW_CACHE_GLOBAL);
	}
	return im->as && im->upt;
}

/*
 * The return addresses of a thread that stopped in a call: the first is the
 * address after its syscall instruction.
 */
void
unwind_stack(struct tracee *t, struct tcall *c)
{
	unw_cursor_t cursor;
	struct iovec iov = {&now.regs, sizeof(now.regs)};
	size_t max = tracer.frames;
	bool fresh = false;

	c->nframes = 0;
	if (!max)
		return;
	if (max > sizeof(c->frames) / sizeof(c->frames[0]))
		max = sizeof(c->frames) / sizeof(c->frames[0]);
	c->frames[c->nframes++] = c->pc;
	if (ptrace(PTRACE_GETREGSET, t->tid, NT_PRSTATUS, &iov) == 0 &&
		prepare(t)) {
		now.thread = t;
		forget_pages();
		if (!unw_init_remote(&cursor, t->image->as, t->image->upt))
			while (c->nframes < max && unw_step(&cursor) > 0) {
				unw_word_t ip;

				if (unw_get_reg(&cursor, UNW_REG_IP, &ip) < 0 ||
					!ip)
					break;
				c->frames[c->nframes++] = ip;
			}
	}
	for (size_t i = 0; i < c->nframes && !fresh; i++)
		if (!known(t->image, c->frames[i] - 1)) {
			/* A library was loaded since, or code was made. */
			unwind_modules(t->image);
			fresh = true;
		}
}
