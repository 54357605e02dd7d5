/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "tracer.h"

#include <elf.h>
#include <libunwind-ptrace.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "eh-frame.h"

/*
 * libunwind's own ptrace accessors read a word, or a register, for each call
 * of ptrace(2). These read registers once, and memory by pages: the stack in
 * one call, and the unwind tables that libunwind's cache does not save.
 */
#define PAGES 64

struct frames {
	struct frames *next;
	dev_t dev;
	ino_t ino;
	uint64_t base; /* minus the address of the file's first byte */
	size_t n;
	struct eh_entry *list;
};

static struct frames *all_frames;

/* Where libunwind believes such a table to lie: no program's address. */
#define OUR_OWN 0xff00000000000000ull

static struct {
	struct tracee *thread;
	struct frames *frames; /* the table at OUR_OWN */
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
	if (addr >= OUR_OWN) {
		addr -= OUR_OWN;
		if (addr + sizeof(*val) >
			now.frames->n * sizeof(*now.frames->list))
			return -UNW_EINVAL;
		memcpy(val, (char *)now.frames->list + addr, sizeof(*val));
		return 0;
	}
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

/* libunwind exports it for those who bring tables of their own. */
extern int
	UNW_OBJ(dwarf_search_unwind_table)(unw_addr_space_t as, unw_word_t ip,
		unw_dyn_info_t *di, unw_proc_info_t *pi, int need, void *arg);

static struct range *range_of(const struct image *im, uint64_t addr);

/* A name by which the file that is mapped there can be opened. */
static bool
mapped_file(const struct image *im, const struct range *r, char *path,
	size_t size, struct stat *st)
{
	char link[64];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/%d/map_files/%jx-%jx", im->pid,
		(uintmax_t)r->start, (uintmax_t)r->end);
	snprintf(path, size, "%s", link);
	if (!stat(path, st))
		return true;
	/* To follow it is for root alone; to read it is not. */
	n = readlink(link, path, size - 1);
	path[n > 0 ? n : 0] = 0;
	if (*path == '/' && !stat(path, st))
		return true;
	snprintf(path, size, "/proc/%d/exe", im->pid);
	return !stat(path, st);
}

/* The table made of a file's .eh_frame; made once for all that map it. */
static struct frames *
get_frames(const struct image *im, struct range *r)
{
	char path[4096], why[64];
	struct trace_elf e;
	struct frames *f;
	struct stat st;

	if (r->frames)
		return r->frames;
	if (!mapped_file(im, r, path, sizeof(path), &st))
		return NULL;
	for (f = all_frames; f; f = f->next)
		if (f->dev == st.st_dev && f->ino == st.st_ino)
			return r->frames = f;
	f = must(calloc(1, sizeof(*f)));
	f->dev = st.st_dev;
	f->ino = st.st_ino;
	f->next = all_frames;
	all_frames = f;
	r->frames = f;
	if (trace_elf_open(&e, path, why, sizeof(why)))
		return f;
	f->n = eh_frame_table(&e, &f->list, &f->base);
	if (e.nloads)
		f->base -= e.loads[0].vaddr - e.loads[0].offset;
	trace_elf_close(&e);
	return f;
}

static int
find_proc_info(unw_addr_space_t as, unw_word_t ip, unw_proc_info_t *pi,
	int need, void *arg)
{
	int rc = _UPT_find_proc_info(as, ip, pi, need, arg);
	unw_dyn_info_t di = {.format = UNW_INFO_FORMAT_REMOTE_TABLE};
	struct range *r;
	struct frames *f;

	if (rc != -UNW_ENOINFO)
		return rc;
	r = range_of(now.thread->image, ip);
	f = r ? get_frames(now.thread->image, r) : NULL;
	if (!f || !f->n)
		return rc;
	now.frames = f;
	di.start_ip = r->start;
	di.end_ip = r->end;
	di.u.rti.segbase = r->file + f->base;
	di.u.rti.table_data = OUR_OWN;
	di.u.rti.table_len = f->n * sizeof(*f->list) / sizeof(unw_word_t);
	return UNW_OBJ(dwarf_search_unwind_table)(as, ip, &di, pi, need, arg);
}

uint64_t
unwind_fde(struct image *im, uint64_t addr)
{
	struct range *r = range_of(im, addr);
	struct frames *f = r ? get_frames(im, r) : NULL;
	size_t low = 0, high = f ? f->n : 0;
	uint64_t base;

	if (!high)
		return 0;
	base = r->file + f->base;
	while (low < high) {
		size_t mid = (low + high) / 2;

		if (base + f->list[mid].start <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low ? base + f->list[low - 1].fde : 0;
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

static struct range *
range_of(const struct image *im, uint64_t addr)
{
	size_t low = 0, high = im->ncode;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (im->code[mid].end <= addr)
			low = mid + 1;
		else if (im->code[mid].start > addr)
			high = mid;
		else
			return &im->code[mid];
	}
	return NULL;
}

static bool
is_recorder(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && !strncmp(slash + 1, RECORDER, strlen(RECORDER));
}

/* A program of another user has the recorder, which cannot open the region.
 * Root can. */
static bool
barred(pid_t pid)
{
	char name[32];
	struct stat st;

	snprintf(name, sizeof(name), "/proc/%d", pid);
	return tracer.region && stat(name, &st) == 0 && st.st_uid &&
		st.st_uid != tracer.region_uid;
}

/* Reads /proc/PID/maps and tells what code there is. */
void
unwind_modules(struct image *im)
{
	struct wire_modules head = {.image = im->id};
	char name[64], *line = NULL, last[4096] = "", vdso[] = "[vdso32]";
	uint64_t file = 0;
	bool first = false, recorder = false, region = false;
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
		unsigned long start, end, off, ino;
		char perms[8], *path;
		int at = 0;

		if (sscanf(line, "%lx-%lx %7s %lx %*s %lu %n", &start, &end,
			    perms, &off, &ino, &at) < 5 ||
			!at)
			continue;
		region |= tracer.region && ino == tracer.region_ino;
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
			im->code = must(
				realloc(im->code, room * sizeof(*im->code)));
		}
		im->code[im->ncode++] = (struct range){start, end, file, NULL};
		recorder |= is_recorder(path);
		if (*path == '[' && strcmp(path, "[vdso]"))
			*path = 0; /* [stack], [heap], [anon:jit] */
		/* "[vdso]" is like our own, with the same names. */
		if (*path == '[' && im->i386)
			path = vdso;
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
	im->recorded |= recorder && (region || !barred(im->pid));
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
	/* Which files there are is asked for on the way. */
	if (!t->image->ncode)
		unwind_modules(t->image);
	if (max > sizeof(c->frames) / sizeof(c->frames[0]))
		max = sizeof(c->frames) / sizeof(c->frames[0]);
	c->frames[c->nframes++] = c->pc;
	if (t->image->i386) {
		c->nframes += unwind_i386(t, c->frames + 1, max - 1);
	} else if (ptrace(PTRACE_GETREGSET, t->tid, NT_PRSTATUS, &iov) == 0 &&
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
		if (!range_of(t->image, c->frames[i] - 1)) {
			/* A library was loaded since, or code was made. */
			unwind_modules(t->image);
			fresh = true;
		}
}
