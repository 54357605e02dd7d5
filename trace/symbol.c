/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "symbol.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#include "elf-file.h"
#include "must.h"

/* How far into a function a jump to an import is looked for. */
#define TAIL_REACH 512

struct function {
	uint64_t start, end; /* end: one past the last byte */
	uint64_t reach; /* the largest end up to this one, in order */
	const char *name;
	uint32_t rank; /* the smaller is shown, of two at one place */
};

/* A file, as one of the processes mapped it. */
struct module {
	struct module *next;
	char *path, *build_id;
	const char *name;
	bool readable;
	struct trace_elf elf;
	struct function *functions;
	size_t nfunctions;
};

/* (module, address) → the answers for it. */
struct entry {
	const struct module *module;
	uint64_t vaddr;
	const char *fn; /* of call sites; NULL for symbols */
	struct trace_symbol *symbol;
	struct trace_site *site;
};

static struct module *modules;
static struct entry *table;
static size_t table_size, table_used;

/* Modules of one process do not overlap; the list is in no order. */
const struct trace_module *
trace_module_at(const struct trace_process *p, uint64_t addr)
{
	static const struct trace_process *last_process;
	static size_t last;

	if (p == last_process && last < p->nmodules &&
		addr >= p->modules[last].start && addr < p->modules[last].end)
		return &p->modules[last];
	for (size_t i = 0; i < p->nmodules; i++) {
		if (addr < p->modules[i].start || addr >= p->modules[i].end)
			continue;
		last_process = p;
		last = i;
		return &p->modules[i];
	}
	return NULL;
}

/*
 * Of several names of one function the plain one is shown: "recv", not
 * "__recv" or a local label.
 */
static uint32_t
rank(const Elf64_Sym *s, const char *name)
{
	uint32_t r = ELF64_ST_BIND(s->st_info) == STB_LOCAL ? 0x10000 : 0;

	while (*name == '_') {
		name++;
		r += 0x100;
	}
	if (strchr(name, '@') || strchr(name, '.'))
		r += 0x80;
	r += strnlen(name, 0x7f);
	return r;
}

static int
compare_functions(const void *a, const void *b)
{
	const struct function *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	/* The larger first, so that what lies inside comes later. */
	if (x->end != y->end)
		return x->end > y->end ? -1 : 1;
	if (x->rank != y->rank)
		return x->rank > y->rank ? -1 : 1;
	return -strcmp(x->name, y->name);
}

/* The end of the section that a symbol without a size lies in. */
static uint64_t
section_end(const struct trace_elf *e, const Elf64_Sym *s)
{
	const Elf64_Shdr *h;

	if (s->st_shndx >= e->nsections)
		return s->st_value + 1;
	h = &e->sections[s->st_shndx];
	if (s->st_value < h->sh_addr || s->st_value - h->sh_addr >= h->sh_size)
		return s->st_value + 1;
	return h->sh_addr + h->sh_size;
}

static void
add_functions(struct module *m, const Elf64_Sym *syms, size_t n,
	const char *strings, size_t strings_size)
{
	if (!n)
		return;
	m->functions = must(realloc(
		m->functions, (m->nfunctions + n) * sizeof(*m->functions)));
	for (size_t i = 0; i < n; i++) {
		const Elf64_Sym *s = &syms[i];
		unsigned type = ELF64_ST_TYPE(s->st_info);
		struct function *f = &m->functions[m->nfunctions];

		if ((type != STT_FUNC && type != STT_GNU_IFUNC) ||
			s->st_shndx == SHN_UNDEF ||
			s->st_value + s->st_size < s->st_value)
			continue;
		f->name = trace_elf_string(strings, strings_size, s->st_name);
		if (!*f->name)
			continue;
		f->start = s->st_value;
		f->end = s->st_size ? s->st_value + s->st_size
				    : section_end(&m->elf, s);
		f->rank = rank(s, f->name);
		/* Hand-written code without a size ends at the next one. */
		if (!s->st_size)
			f->rank |= 0x80000000;
		m->nfunctions++;
	}
}

static void
sort_functions(struct module *m)
{
	uint64_t reach = 0;

	if (!m->nfunctions)
		return;
	qsort(m->functions, m->nfunctions, sizeof(*m->functions),
		compare_functions);
	for (size_t i = 0; i < m->nfunctions; i++) {
		struct function *f = &m->functions[i];
		size_t next = i + 1;

		if (f->rank & 0x80000000) {
			while (next < m->nfunctions &&
				m->functions[next].start == f->start)
				next++;
			if (next < m->nfunctions &&
				m->functions[next].start < f->end)
				f->end = m->functions[next].start;
		}
		if (f->end > reach)
			reach = f->end;
		f->reach = reach;
	}
}

static const struct function *
find_function(const struct module *m, uint64_t vaddr)
{
	size_t low = 0, high = m->nfunctions;

	/* The first that starts after vaddr. */
	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (m->functions[mid].start <= vaddr)
			low = mid + 1;
		else
			high = mid;
	}
	/* Backwards from it, the innermost that covers vaddr. */
	while (low-- > 0 && m->functions[low].reach > vaddr)
		if (m->functions[low].end > vaddr)
			return &m->functions[low];
	return NULL;
}

/* The kernel maps whole pages, as many as the program headers ask for. */
static size_t
vdso_size(const Elf64_Ehdr *h)
{
	const Elf64_Phdr *p = (const void *)((const char *)h + h->e_phoff);
	size_t size = 0;

	for (size_t i = 0; i < h->e_phnum; i++)
		if (p[i].p_type == PT_LOAD &&
			p[i].p_offset + p[i].p_filesz > size)
			size = p[i].p_offset + p[i].p_filesz;
	return (size + 4095) & ~(size_t)4095;
}

static void
open_module(struct module *m)
{
	const struct trace_elf *e = &m->elf;
	char why[128];

	if (!strcmp(m->path, "[vdso]")) {
		/* Ours is the one that the kernel gives to everybody. */
		const void *vdso = (void *)getauxval(AT_SYSINFO_EHDR);

		if (!vdso ||
			trace_elf_memory(&m->elf, vdso, vdso_size(vdso), why,
				sizeof(why)))
			return;
	} else if (*m->path != '/' ||
		trace_elf_open(&m->elf, m->path, why, sizeof(why))) {
		return;
	}
	if (*m->build_id && strcmp(m->build_id, e->build_id)) {
		/* Replaced since: its names would be wrong. */
		trace_elf_close(&m->elf);
		return;
	}
	m->readable = true;
	add_functions(m, e->symtab, e->nsymtab, e->strtab, e->strtab_size);
	if (!m->nfunctions)
		add_functions(
			m, e->dynsym, e->ndynsym, e->dynstr, e->dynstr_size);
	sort_functions(m);
}

static struct module *
get_module(const struct trace_module *t)
{
	static struct module *last;
	struct module *m;

	if (last && !strcmp(last->path, t->path) &&
		!strcmp(last->build_id, t->build_id))
		return last;
	for (m = modules; m; m = m->next)
		if (!strcmp(m->path, t->path) &&
			!strcmp(m->build_id, t->build_id))
			return last = m;
	m = must(calloc(1, sizeof(*m)));
	m->path = must(strdup(t->path));
	m->build_id = must(strdup(t->build_id));
	m->name = strrchr(m->path, '/') ? strrchr(m->path, '/') + 1 : m->path;
	m->next = modules;
	modules = m;
	open_module(m);
	return last = m;
}

static size_t
hash(const struct module *m, uint64_t vaddr, const char *fn)
{
	uint64_t h = vaddr * 0x9e3779b97f4a7c15;

	h ^= ((uintptr_t)m >> 4) * 0xc2b2ae3d27d4eb4f;
	for (; fn && *fn; fn++)
		h = (h ^ (unsigned char)*fn) * 0x100000001b3;
	h ^= h >> 29;
	return h & (table_size - 1);
}

static bool
same(const struct entry *e, const struct module *m, uint64_t vaddr,
	const char *fn)
{
	if (e->module != m || e->vaddr != vaddr || !e->fn != !fn)
		return false;
	return !fn || !strcmp(e->fn, fn);
}

static void
grow(void)
{
	struct entry *old = table;
	size_t n = table_size;

	table_size = n ? 2 * n : 1024;
	table = must(calloc(table_size, sizeof(*table)));
	for (size_t i = 0; i < n; i++) {
		size_t h;

		if (!old[i].symbol && !old[i].site)
			continue;
		h = hash(old[i].module, old[i].vaddr, old[i].fn);
		while (table[h].symbol || table[h].site)
			h = (h + 1) & (table_size - 1);
		table[h] = old[i];
	}
	free(old);
}

/* The entry with this key, or the empty one to fill with it. */
static struct entry *
lookup(const struct module *m, uint64_t vaddr, const char *fn)
{
	size_t h;

	if (table_used * 4 >= table_size * 3)
		grow();
	for (h = hash(m, vaddr, fn); table[h].symbol || table[h].site;
		h = (h + 1) & (table_size - 1))
		if (same(&table[h], m, vaddr, fn))
			return &table[h];
	table_used++;
	table[h].module = m;
	table[h].vaddr = vaddr;
	table[h].fn = fn ? must(strdup(fn)) : NULL;
	return &table[h];
}

/*
 * What a signal's handler returns to has no symbol in a stripped libc, but
 * always these bytes, by which unwinders know it: mov $15 (rt_sigreturn),
 * %rax; syscall.
 */
static bool
is_signal_return(const struct module *m, uint64_t vaddr)
{
	static const uint8_t code[] = {
		0x48, 0xc7, 0xc0, 0x0f, 0x00, 0x00, 0x00, 0x0f, 0x05};
	const uint8_t *p;
	size_t left;

	if (!m || !m->readable || m->elf.machine != EM_X86_64)
		return false;
	p = trace_elf_at(&m->elf, vaddr, &left);
	return p && left >= sizeof(code) && !memcmp(p, code, sizeof(code));
}

static struct trace_symbol *
make_symbol(const struct module *m, uint64_t vaddr)
{
	struct trace_symbol *s = must(calloc(1, sizeof(*s)));
	const struct function *f;

	s->path = m ? m->path : "";
	s->module = m && *m->name ? m->name : "[anon]";
	s->build_id = m ? m->build_id : "";
	if (m && !*s->build_id)
		s->build_id = m->elf.build_id;
	s->offset = vaddr;
	/* vaddr - 1: inside the call, not after it. */
	f = m && m->readable ? find_function(m, vaddr - 1) : NULL;
	if (is_signal_return(m, vaddr)) {
		s->function = "__restore_rt";
		s->offset = 0;
		s->text = must_printf("%s!%s+0x0", s->module, s->function);
	} else if (f) {
		s->function = f->name;
		s->offset = vaddr - f->start;
		s->text = must_printf(
			"%s!%s+0x%" PRIx64, s->module, f->name, s->offset);
	} else {
		s->text = must_printf("%s+0x%" PRIx64, s->module, vaddr);
	}
	return s;
}

const struct trace_symbol *
trace_symbol_at(const struct trace_process *p, uint64_t addr)
{
	const struct trace_module *t = trace_module_at(p, addr);
	const struct module *m = t ? get_module(t) : NULL;
	uint64_t vaddr = t && *t->path ? addr - t->base : addr;
	struct entry *e = lookup(m, vaddr, NULL);

	if (!e->symbol)
		e->symbol = make_symbol(m, vaddr);
	return e->symbol;
}

const char *
trace_symbol(const struct trace_process *p, uint64_t addr)
{
	return trace_symbol_at(p, addr)->text;
}

/*
 * Call sites, x86-64 (Intel SDM 2A, CALL and JMP):
 *	e8 rel32		call; with 67 before it when the linker made
 *				it of a call through the GOT
 *	ff 15 rel32		call *rel32(%rip)
 *	ff 14 25 abs32		call *abs32, -fno-plt without PIE
 *	e9 rel32, ff 25 rel32	the same as jumps
 * What a PLT entry is shows in its code, not in section names, which a
 * stripped file need not have: [endbr64] [bnd] jmp *slot(%rip), where an
 * import fills the slot.
 */
static int32_t
rel32(const uint8_t *p)
{
	int32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static const uint8_t endbr64[] = {0xf3, 0x0f, 0x1e, 0xfa};

/* Is the code at vaddr an entry of a PLT, and for which import? */
static bool
plt_import(struct module *m, uint64_t vaddr, struct trace_import *import)
{
	size_t left;
	const uint8_t *p = trace_elf_at(&m->elf, vaddr, &left);

	if (!p || !trace_elf_is_code(&m->elf, vaddr))
		return false;
	if (left >= 4 && !memcmp(p, endbr64, 4)) {
		p += 4;
		left -= 4;
		vaddr += 4;
	}
	if (left && *p == 0xf2) { /* bnd */
		p++;
		left--;
		vaddr++;
	}
	if (left < 6 || p[0] != 0xff || p[1] != 0x25)
		return false;
	return trace_elf_slot(&m->elf, vaddr + 6 + rel32(p + 2), import);
}

/*
 * The import that the function at vaddr ends in a jump to. Code is searched
 * byte by byte, as nothing tells where instructions begin; bytes that look
 * like a jump *and* lead to an import's slot are one. With fn it must be
 * that one.
 */
static bool
tail_import(struct module *m, uint64_t vaddr, const char *fn,
	struct trace_import *import)
{
	const struct function *f = find_function(m, vaddr);
	size_t left;
	const uint8_t *p = trace_elf_at(&m->elf, vaddr, &left);

	if (!p)
		return false;
	if (left > TAIL_REACH)
		left = TAIL_REACH;
	if (f && f->end - vaddr < left)
		left = f->end - vaddr;
	for (size_t i = 0; i + 5 <= left; i++) {
		uint64_t at = vaddr + i;

		if (p[i] == 0xe9 &&
			plt_import(m, at + 5 + rel32(p + i + 1), import) &&
			(!fn || !strcmp(fn, import->name)))
			return true;
		if (i + 6 <= left && p[i] == 0xff && p[i + 1] == 0x25 &&
			trace_elf_slot(
				&m->elf, at + 6 + rel32(p + i + 2), import) &&
			(!fn || !strcmp(fn, import->name)))
			return true;
	}
	return false;
}

/* Do the n bytes before a return address end in a call through a pointer? */
static bool
indirect_call(const uint8_t *end, size_t n)
{
	/* ff /2: two bytes, and what the ModRM byte asks for behind it. */
	for (size_t len = 2; len <= 7 && len <= n; len++) {
		const uint8_t *p = end - len;
		unsigned mod = p[1] >> 6, rm = p[1] & 7;
		size_t want = 2;

		if (p[0] != 0xff || ((p[1] >> 3) & 7) != 2)
			continue;
		if (mod != 3 && rm == 4) {
			want++; /* SIB */
			if (mod == 0 && len > 2 && (p[2] & 7) == 5)
				want += 4;
		}
		if (mod == 1)
			want += 1;
		if (mod == 2 || (mod == 0 && rm == 5))
			want += 4;
		if (want == len)
			return true;
	}
	return false;
}

static void
imported(struct trace_site *s, enum trace_site_kind kind,
	const struct trace_import *import)
{
	s->kind = kind;
	s->name = import->name;
	s->version = import->version;
	s->text = *import->version
		? must_printf("%s@%s", import->name, import->version)
		: import->name;
}

static void
called_directly(
	struct trace_site *s, struct module *m, uint64_t target, const char *fn)
{
	const struct function *f = find_function(m, target);
	struct trace_import import;

	if (plt_import(m, target, &import)) {
		imported(s, TRACE_SITE_PLT, &import);
		return;
	}
	/* An address names the function that begins there and no other. */
	if (f && f->start != target)
		f = NULL;
	if (!(f && fn && !strcmp(f->name, fn)) &&
		tail_import(m, target, fn, &import)) {
		imported(s, TRACE_SITE_TAIL, &import);
		s->via = f ? must_printf("%s!%s", m->name, f->name)
			   : must_printf("%s+0x%" PRIx64, m->name, target);
		s->text = must_printf("%s via %s", s->text, s->via);
		return;
	}
	s->kind = TRACE_SITE_DIRECT;
	s->name = f ? f->name : "";
	s->text = f ? must_printf("%s!%s", m->name, f->name)
		    : must_printf("%s+0x%" PRIx64, m->name, target);
}

static void
decode_site(
	struct trace_site *s, struct module *m, uint64_t vaddr, const char *fn)
{
	struct trace_elf *e = &m->elf;
	struct trace_import import;
	const uint8_t *end;
	size_t left, before = 0;

	if (e->machine != EM_X86_64 || !trace_elf_is_code(e, vaddr - 1))
		return;
	/* As far back as the segment goes, at most the longest call. */
	for (; before < 8; before++)
		if (!trace_elf_at(e, vaddr - before - 1, &left) ||
			left < before + 1)
			break;
	end = trace_elf_at(e, vaddr - before, &left) + before;

	/* The strongest evidence first: a slot that an import fills. */
	if (before >= 6 && end[-6] == 0xff && end[-5] == 0x15 &&
		trace_elf_slot(e, vaddr + rel32(end - 4), &import)) {
		imported(s, TRACE_SITE_GOT, &import);
		return;
	}
	if (before >= 7 && end[-7] == 0xff && end[-6] == 0x14 &&
		end[-5] == 0x25 &&
		trace_elf_slot(e, (uint32_t)rel32(end - 4), &import)) {
		imported(s, TRACE_SITE_GOT, &import);
		return;
	}
	if (before >= 5 && end[-5] == 0xe8 &&
		trace_elf_is_code(e, vaddr + rel32(end - 4))) {
		called_directly(s, m, vaddr + rel32(end - 4), fn);
		return;
	}
	if (indirect_call(end, before))
		s->kind = TRACE_SITE_INDIRECT;
}

const struct trace_site *
trace_call_site(const struct trace_process *p, uint64_t addr, const char *fn)
{
	static const struct trace_site unknown = {
		.name = "", .version = "", .via = "", .text = ""};
	const struct trace_module *t = trace_module_at(p, addr - 1);
	struct module *m = t ? get_module(t) : NULL;
	struct entry *e;

	if (!m || !m->readable)
		return &unknown;
	e = lookup(m, addr - t->base, fn ? fn : "");
	if (!e->site) {
		e->site = must(malloc(sizeof(*e->site)));
		*e->site = unknown;
		decode_site(e->site, m, addr - t->base, fn);
	}
	return e->site;
}
