/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "elf-file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__x86_64__)
#define NATIVE_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define NATIVE_MACHINE EM_AARCH64
#else
#define NATIVE_MACHINE EM_NONE
#endif

/* More than any linker makes; a file that says more is lying. */
#define MAX_PHDRS 4096
#define MAX_SECTIONS 65536

struct header {
	uint64_t phoff, shoff;
	unsigned phentsize, phnum, shentsize, shnum, shstrndx;
};

/* len bytes at off lie in the file. */
static bool
inside(const struct trace_elf *e, uint64_t off, uint64_t len)
{
	return off <= e->size && len <= e->size - off;
}

static int
bad(char *why, size_t why_size, const char *clause)
{
	snprintf(why, why_size, "%s", clause);
	return -ENOEXEC;
}

const char *
trace_elf_string(const char *table, size_t size, uint64_t at)
{
	if (!table || at >= size || !memchr(table + at, 0, size - at))
		return "";
	return table + at;
}

const uint8_t *
trace_elf_at(const struct trace_elf *e, uint64_t vaddr, size_t *left)
{
	for (size_t i = 0; i < e->nloads; i++) {
		const struct trace_load *l = &e->loads[i];

		if (vaddr < l->vaddr || vaddr - l->vaddr >= l->filesz)
			continue;
		*left = l->filesz - (vaddr - l->vaddr);
		return e->map + l->offset + (vaddr - l->vaddr);
	}
	*left = 0;
	return NULL;
}

bool
trace_elf_is_code(const struct trace_elf *e, uint64_t vaddr)
{
	for (size_t i = 0; i < e->nloads; i++) {
		const struct trace_load *l = &e->loads[i];

		if (vaddr >= l->vaddr && vaddr - l->vaddr < l->filesz)
			return l->flags & PF_X;
	}
	return false;
}

static void
hex(char *to, const uint8_t *from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sprintf(to + 2 * i, "%02x", from[i]);
}

/* Notes are (name size, contents size, type, name, contents), elf(5). */
static void
read_notes(struct trace_elf *e, uint64_t off, uint64_t len, uint64_t align)
{
	const uint8_t *p;

	if (!inside(e, off, len))
		return;
	if (align != 8)
		align = 4;
	p = e->map + off;
	while (len >= 12) {
		uint32_t namesz, descsz, type;
		uint64_t desc, next;

		memcpy(&namesz, p, 4);
		memcpy(&descsz, p + 4, 4);
		memcpy(&type, p + 8, 4);
		desc = (12 + (uint64_t)namesz + align - 1) & ~(align - 1);
		next = (desc + descsz + align - 1) & ~(align - 1);
		if (desc + descsz > len)
			return;
		if (namesz == 4 && type == NT_GNU_BUILD_ID &&
			!memcmp(p + 12, "GNU", 4) && descsz <= 20 &&
			!e->build_id[0])
			hex(e->build_id, p + desc, descsz);
		if (namesz == 4 && type == 4 && !memcmp(p + 12, "Go\0", 4))
			e->go = true;
		if (next >= len)
			return;
		p += next;
		len -= next;
	}
}

/* The bytes at vaddr as an array of n elements, if all of it is there. */
static const void *
array_at(const struct trace_elf *e, uint64_t vaddr, uint64_t n, size_t element,
	size_t align)
{
	size_t left;
	const uint8_t *p = trace_elf_at(e, vaddr, &left);

	/* No table lies at 0: its tag is absent. */
	if (!vaddr || !p || n > left / element || (uintptr_t)p % align)
		return NULL;
	return p;
}

static size_t
count_by_hash(const struct trace_elf *e, uint64_t vaddr)
{
	const uint32_t *h = array_at(e, vaddr, 2, 4, 4);

	return h ? h[1] : 0; /* nchain: one for each symbol */
}

static size_t
count_by_gnu_hash(const struct trace_elf *e, uint64_t vaddr)
{
	const uint32_t *h = array_at(e, vaddr, 4, 4, 4);
	const uint32_t *buckets;
	uint64_t at, last = 0;

	if (!h)
		return 0;
	at = vaddr + 16 + (uint64_t)h[2] * 8;
	buckets = array_at(e, at, h[0], 4, 4);
	if (!buckets)
		return 0;
	for (uint32_t i = 0; i < h[0]; i++)
		if (buckets[i] > last)
			last = buckets[i];
	if (last < h[1])
		return 0; /* it exports nothing and does not say */
	at += (uint64_t)h[0] * 4;
	for (;; last++) {
		const uint32_t *c =
			array_at(e, at + (last - h[1]) * 4, 1, 4, 4);

		if (!c)
			return 0;
		if (*c & 1) /* the end of the last chain */
			return last + 1;
	}
}

struct tables {
	uint64_t rela, relasz, jmprel, pltrelsz;
	uint64_t strtab, strsz, symtab, hash, gnu_hash;
	uint64_t versym, verneed, verneednum;
};

static int
compare_slots(const void *a, const void *b)
{
	const struct trace_slot *x = a, *y = b;

	return x->vaddr < y->vaddr ? -1 : x->vaddr > y->vaddr;
}

static void
read_tables(
	const struct trace_elf *e, uint64_t off, uint64_t len, struct tables *t)
{
	memset(t, 0, sizeof(*t));
	for (; len >= sizeof(Elf64_Dyn);
		off += sizeof(Elf64_Dyn), len -= sizeof(Elf64_Dyn)) {
		Elf64_Dyn d;

		memcpy(&d, e->map + off, sizeof(d));
		switch (d.d_tag) {
		case DT_NULL:
			return;
		case DT_RELA:
			t->rela = d.d_un.d_ptr;
			break;
		case DT_RELASZ:
			t->relasz = d.d_un.d_val;
			break;
		case DT_JMPREL:
			t->jmprel = d.d_un.d_ptr;
			break;
		case DT_PLTRELSZ:
			t->pltrelsz = d.d_un.d_val;
			break;
		case DT_STRTAB:
			t->strtab = d.d_un.d_ptr;
			break;
		case DT_STRSZ:
			t->strsz = d.d_un.d_val;
			break;
		case DT_SYMTAB:
			t->symtab = d.d_un.d_ptr;
			break;
		case DT_HASH:
			t->hash = d.d_un.d_ptr;
			break;
		case DT_GNU_HASH:
			t->gnu_hash = d.d_un.d_ptr;
			break;
		case DT_VERSYM:
			t->versym = d.d_un.d_ptr;
			break;
		case DT_VERNEED:
			t->verneed = d.d_un.d_ptr;
			break;
		case DT_VERNEEDNUM:
			t->verneednum = d.d_un.d_val;
			break;
		}
	}
}

static int
add_slots(struct trace_elf *e, uint64_t vaddr, uint64_t bytes)
{
	uint64_t n = bytes / sizeof(Elf64_Rela);
	const Elf64_Rela *r = array_at(e, vaddr, n, sizeof(*r), 8);
	struct trace_slot *slots;
	uint64_t count = 0;

	if (!r || !n)
		return 0;
	for (uint64_t i = 0; i < n; i++)
		count += ELF64_R_SYM(r[i].r_info) != 0;
	slots = realloc(e->slots, (e->nslots + count) * sizeof(*slots) + 1);
	if (!slots)
		return -ENOMEM;
	e->slots = slots;
	for (uint64_t i = 0; i < n; i++) {
		if (!ELF64_R_SYM(r[i].r_info))
			continue;
		slots[e->nslots].vaddr = r[i].r_offset;
		slots[e->nslots++].symbol = ELF64_R_SYM(r[i].r_info);
	}
	return 0;
}

/*
 * The versions that symbols ask for, by the number that .gnu.version has for
 * each symbol. The lists are linked by offsets, which a lying file may cross:
 * no more steps than there are numbers.
 */
static int
read_versions(struct trace_elf *e, uint64_t vaddr, uint64_t needs)
{
	const size_t max = 0x8000;
	size_t size, at = 0, steps = 0;
	const uint8_t *p = trace_elf_at(e, vaddr, &size);

	if (!p || !vaddr || !needs || !e->versym)
		return 0;
	e->versions = calloc(max, sizeof(*e->versions));
	if (!e->versions)
		return -ENOMEM;
	for (uint64_t n = 0; n < needs && steps < max; n++) {
		Elf64_Verneed need;
		size_t aux;

		if (at > size || size - at < sizeof(need))
			break;
		memcpy(&need, p + at, sizeof(need));
		aux = at + need.vn_aux;
		for (unsigned k = 0; k < need.vn_cnt && steps++ < max; k++) {
			struct trace_version *v;
			Elf64_Vernaux a;

			if (aux > size || size - aux < sizeof(a))
				break;
			memcpy(&a, p + aux, sizeof(a));
			v = &e->versions[a.vna_other & 0x7fff];
			v->name = a.vna_name;
			v->library = need.vn_file;
			if ((a.vna_other & 0x7fff) >= e->nversions)
				e->nversions = (a.vna_other & 0x7fff) + 1;
			if (!a.vna_next)
				break;
			aux += a.vna_next;
		}
		if (!need.vn_next)
			break;
		at += need.vn_next;
		steps++;
	}
	return 0;
}

static int
read_dynamic(struct trace_elf *e, uint64_t off, uint64_t len)
{
	struct tables t;
	size_t left, n, n2;
	int rc;

	read_tables(e, off, len, &t);
	rc = add_slots(e, t.jmprel, t.pltrelsz);
	if (!rc)
		rc = add_slots(e, t.rela, t.relasz);
	if (rc)
		return rc;
	if (e->nslots)
		qsort(e->slots, e->nslots, sizeof(*e->slots), compare_slots);

	e->dynsym = array_at(e, t.symtab, 1, sizeof(Elf64_Sym), 8);
	e->dynstr = (const char *)trace_elf_at(e, t.strtab, &left);
	e->dynstr_size = t.strsz < left ? t.strsz : left;
	if (!e->dynsym || !e->dynstr || !t.strtab) {
		e->dynsym = NULL;
		e->dynstr = NULL;
		return 0;
	}

	/*
	 * PT_DYNAMIC does not state the number of symbols. The GNU hash
	 * table of a program that exports nothing does not either; then the
	 * relocations name each import, and so does the section header.
	 */
	n = count_by_hash(e, t.hash);
	n2 = count_by_gnu_hash(e, t.gnu_hash);
	n = n > n2 ? n : n2;
	for (size_t i = 0; i < e->nslots; i++)
		if (e->slots[i].symbol >= n)
			n = (size_t)e->slots[i].symbol + 1;
	for (size_t i = 0; i < e->nsections; i++)
		if (e->sections[i].sh_type == SHT_DYNSYM &&
			e->sections[i].sh_size / sizeof(Elf64_Sym) > n)
			n = e->sections[i].sh_size / sizeof(Elf64_Sym);
	trace_elf_at(e, t.symtab, &left);
	e->ndynsym =
		n < left / sizeof(Elf64_Sym) ? n : left / sizeof(Elf64_Sym);

	e->versym = array_at(e, t.versym, e->ndynsym, 2, 2);
	return read_versions(e, t.verneed, t.verneednum);
}

static const Elf64_Shdr *
section_headers(struct trace_elf *e, const struct header *h)
{
	size_t size = e->bits == 64 ? sizeof(Elf64_Shdr) : sizeof(Elf32_Shdr);
	Elf64_Shdr *list;

	if (h->shentsize != size || !h->shnum || h->shnum > MAX_SECTIONS ||
		!inside(e, h->shoff, (uint64_t)h->shnum * size))
		return NULL;
	if (e->bits == 64)
		return h->shoff % 8 ? NULL : (const void *)(e->map + h->shoff);
	list = calloc(h->shnum, sizeof(*list));
	e->wide[TRACE_WIDE_SECTIONS] = list;
	for (size_t i = 0; list && i < h->shnum; i++) {
		Elf32_Shdr s;

		memcpy(&s, e->map + h->shoff + i * size, size);
		list[i] = (Elf64_Shdr){.sh_name = s.sh_name,
			.sh_type = s.sh_type,
			.sh_flags = s.sh_flags,
			.sh_addr = s.sh_addr,
			.sh_offset = s.sh_offset,
			.sh_size = s.sh_size,
			.sh_link = s.sh_link,
			.sh_info = s.sh_info,
			.sh_addralign = s.sh_addralign,
			.sh_entsize = s.sh_entsize};
	}
	return list;
}

/* The symbols of a section that lies in the file; NULL: it cannot be read. */
static const Elf64_Sym *
symbols(struct trace_elf *e, const Elf64_Shdr *h, size_t *n)
{
	Elf64_Sym *list;

	*n = h->sh_size / sizeof(*list);
	if (e->bits == 64)
		return h->sh_offset % 8 ? NULL
					: (const void *)(e->map + h->sh_offset);
	*n = h->sh_size / sizeof(Elf32_Sym);
	list = calloc(*n + 1, sizeof(*list));
	free(e->wide[TRACE_WIDE_SYMBOLS]);
	e->wide[TRACE_WIDE_SYMBOLS] = list;
	for (size_t i = 0; list && i < *n; i++) {
		Elf32_Sym s;

		memcpy(&s, e->map + h->sh_offset + i * sizeof(s), sizeof(s));
		list[i] = (Elf64_Sym){.st_name = s.st_name,
			.st_info = s.st_info,
			.st_other = s.st_other,
			.st_shndx = s.st_shndx,
			.st_value = s.st_value,
			.st_size = s.st_size};
	}
	return list;
}

/* A stripped 32-bit file's only names are the dynamic ones; of a 64-bit file
 * those are read elsewhere. */
static bool
has_symbols(const struct trace_elf *e, const Elf64_Shdr *s)
{
	return s->sh_type == SHT_SYMTAB ||
		(s->sh_type == SHT_DYNSYM && e->bits == 32);
}

/* What a stripped file has no more: damage here is no error. */
static void
read_sections(struct trace_elf *e, const struct header *h)
{
	const Elf64_Shdr *s = section_headers(e, h);
	bool all = false;

	if (!s)
		return;
	e->sections = s;
	e->nsections = h->shnum;
	if (h->shstrndx < h->shnum &&
		inside(e, s[h->shstrndx].sh_offset, s[h->shstrndx].sh_size)) {
		e->shstr = (const char *)e->map + s[h->shstrndx].sh_offset;
		e->shstr_size = s[h->shstrndx].sh_size;
	}
	for (size_t i = 0; i < h->shnum; i++) {
		const Elf64_Shdr *str;

		if (s[i].sh_type == SHT_NOTE)
			read_notes(e, s[i].sh_offset, s[i].sh_size,
				s[i].sh_addralign);
		if (!has_symbols(e, &s[i]) || all || s[i].sh_link >= h->shnum ||
			!inside(e, s[i].sh_offset, s[i].sh_size))
			continue;
		str = &s[s[i].sh_link];
		if (str->sh_type != SHT_STRTAB ||
			!inside(e, str->sh_offset, str->sh_size))
			continue;
		e->symtab = symbols(e, &s[i], &e->nsymtab);
		if (!e->symtab) {
			e->nsymtab = 0;
			continue;
		}
		all = s[i].sh_type == SHT_SYMTAB;
		e->strtab = (const char *)e->map + str->sh_offset;
		e->strtab_size = str->sh_size;
	}
}

/*
 * A Go program without its note (linked with -s by older versions, or
 * externally) still carries the block that `go version` reads, on a 16 byte
 * boundary near the start of its data.
 */
static void
look_for_go(struct trace_elf *e)
{
	static const char magic[] = "\xff Go buildinf:";

	for (size_t i = 0; i < e->nloads && !e->go; i++) {
		const struct trace_load *l = &e->loads[i];
		uint64_t n = l->filesz < 1 << 20 ? l->filesz : 1 << 20;

		if (!(l->flags & PF_W) || l->flags & PF_X)
			continue;
		for (uint64_t at = -l->vaddr & 15; at + 32 <= n; at += 16)
			if (!memcmp(e->map + l->offset + at, magic,
				    sizeof(magic) - 1))
				e->go = true;
	}
}

static int
read_header(struct trace_elf *e, struct header *h, char *why, size_t why_size)
{
	if (e->size < EI_NIDENT || memcmp(e->map, ELFMAG, SELFMAG))
		return bad(why, why_size, "it is no ELF file");
	if (e->map[EI_DATA] != ELFDATA2LSB && e->map[EI_DATA] != ELFDATA2MSB)
		return bad(why, why_size, "its ELF byte order is unknown");
	if (e->map[EI_CLASS] == ELFCLASS64) {
		Elf64_Ehdr x;

		if (e->size < sizeof(x))
			return bad(why, why_size, "its ELF header is cut off");
		memcpy(&x, e->map, sizeof(x));
		e->bits = 64;
		e->type = x.e_type;
		e->machine = x.e_machine;
		e->entry = x.e_entry;
		*h = (struct header){x.e_phoff, x.e_shoff, x.e_phentsize,
			x.e_phnum, x.e_shentsize, x.e_shnum, x.e_shstrndx};
	} else if (e->map[EI_CLASS] == ELFCLASS32) {
		Elf32_Ehdr x;

		if (e->size < sizeof(x))
			return bad(why, why_size, "its ELF header is cut off");
		memcpy(&x, e->map, sizeof(x));
		e->bits = 32;
		e->type = x.e_type;
		e->machine = x.e_machine;
		e->entry = x.e_entry;
		*h = (struct header){x.e_phoff, x.e_shoff, x.e_phentsize,
			x.e_phnum, x.e_shentsize, x.e_shnum, x.e_shstrndx};
	} else {
		return bad(why, why_size, "its ELF class is unknown");
	}
	if (e->map[EI_DATA] == ELFDATA2MSB) {
		/* No machine that we run on: the header is all we tell. */
		e->machine = (e->machine & 0xff) << 8 | e->machine >> 8;
		e->type = (e->type & 0xff) << 8 | e->type >> 8;
		h->phnum = 0;
	}
	return 0;
}

static int
read_phdr(const struct trace_elf *e, const struct header *h, size_t i,
	Elf64_Phdr *p)
{
	const uint8_t *at = e->map + h->phoff + i * h->phentsize;

	if (e->bits == 64) {
		memcpy(p, at, sizeof(*p));
	} else {
		Elf32_Phdr x;

		memcpy(&x, at, sizeof(x));
		*p = (Elf64_Phdr){.p_type = x.p_type,
			.p_flags = x.p_flags,
			.p_offset = x.p_offset,
			.p_vaddr = x.p_vaddr,
			.p_filesz = x.p_filesz,
			.p_memsz = x.p_memsz,
			.p_align = x.p_align};
	}
	return inside(e, p->p_offset, p->p_filesz) ? 0 : -ENOEXEC;
}

static int
parse(struct trace_elf *e, char *why, size_t why_size)
{
	uint64_t dyn_off = 0, dyn_len = 0;
	struct header h;
	int rc = read_header(e, &h, why, why_size);

	if (rc)
		return rc;
	e->interp = "";
	e->native = e->bits == 64 && e->machine == NATIVE_MACHINE &&
		e->map[EI_DATA] == ELFDATA2LSB;
	e->i386 = e->bits == 32 && e->machine == EM_386 &&
		NATIVE_MACHINE == EM_X86_64 && e->map[EI_DATA] == ELFDATA2LSB;
	if (!h.phnum)
		return e->type == ET_REL || e->map[EI_DATA] == ELFDATA2MSB
			? 0
			: bad(why, why_size, "it has no program headers");
	if (h.phnum > MAX_PHDRS ||
		h.phentsize !=
			(e->bits == 64 ? sizeof(Elf64_Phdr)
				       : sizeof(Elf32_Phdr)) ||
		!inside(e, h.phoff, (uint64_t)h.phnum * h.phentsize))
		return bad(why, why_size,
			"its program headers lie outside the file");
	e->loads = calloc(h.phnum, sizeof(*e->loads));
	if (!e->loads)
		return -ENOMEM;
	for (size_t i = 0; i < h.phnum; i++) {
		Elf64_Phdr p;

		if (read_phdr(e, &h, i, &p) &&
			(p.p_type == PT_LOAD || p.p_type == PT_INTERP ||
				p.p_type == PT_DYNAMIC))
			return bad(why, why_size,
				"a segment lies outside the file");
		switch (p.p_type) {
		case PT_LOAD:
			if (p.p_vaddr + p.p_memsz < p.p_vaddr ||
				p.p_filesz > p.p_memsz)
				return bad(why, why_size,
					"a segment's size is impossible");
			e->loads[e->nloads++] = (struct trace_load){p.p_vaddr,
				p.p_memsz, p.p_offset, p.p_filesz, p.p_flags};
			break;
		case PT_INTERP:
			if (!p.p_filesz ||
				!memchr(e->map + p.p_offset, 0, p.p_filesz))
				return bad(why, why_size,
					"its interpreter's name has no end");
			e->interp = (const char *)e->map + p.p_offset;
			break;
		case PT_DYNAMIC:
			e->dynamic = true;
			dyn_off = p.p_offset;
			dyn_len = p.p_filesz;
			break;
		case PT_NOTE:
			read_notes(e, p.p_offset, p.p_filesz, p.p_align);
			break;
		}
	}
	look_for_go(e);
	if (!e->native && !e->i386)
		return 0;
	read_sections(e, &h);
	if (!e->native)
		return 0;
	return e->dynamic ? read_dynamic(e, dyn_off, dyn_len) : 0;
}

int
trace_elf_memory(struct trace_elf *e, const void *image, size_t size, char *why,
	size_t why_size)
{
	int rc;

	memset(e, 0, sizeof(*e));
	e->map = image;
	e->size = size;
	rc = parse(e, why, why_size);
	if (rc == -ENOMEM)
		snprintf(why, why_size, "%s", strerror(ENOMEM));
	if (rc)
		trace_elf_close(e);
	return rc;
}

int
trace_elf_open(
	struct trace_elf *e, const char *path, char *why, size_t why_size)
{
	struct stat st;
	void *map;
	int fd, rc;

	memset(e, 0, sizeof(*e));
	/* A fifo must not make us wait for its other end. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &st) < 0) {
		rc = -errno;
		goto out;
	}
	if (!S_ISREG(st.st_mode)) {
		rc = S_ISDIR(st.st_mode) ? -EISDIR : -EACCES;
		goto out;
	}
	if (!st.st_size) {
		close(fd);
		return bad(why, why_size, "it is empty");
	}
	map = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED) {
		rc = -errno;
		goto out;
	}
	close(fd);
	rc = trace_elf_memory(e, map, st.st_size, why, why_size);
	if (rc)
		munmap(map, st.st_size);
	else
		e->owned = true;
	return rc;
out:
	snprintf(why, why_size, "%s", strerror(-rc));
	if (fd >= 0)
		close(fd);
	return rc;
}

void
trace_elf_close(struct trace_elf *e)
{
	for (int i = 0; i < TRACE_WIDE; i++)
		free(e->wide[i]);
	free(e->loads);
	free(e->slots);
	free(e->versions);
	if (e->owned)
		munmap((void *)e->map, e->size);
	memset(e, 0, sizeof(*e));
}

static void
make_version(const struct trace_elf *e, size_t i, struct trace_import *import)
{
	unsigned want = e->versym ? e->versym[i] & 0x7fff : 0;

	import->version = import->library = "";
	if (want >= e->nversions)
		return;
	import->version = trace_elf_string(
		e->dynstr, e->dynstr_size, e->versions[want].name);
	import->library = trace_elf_string(
		e->dynstr, e->dynstr_size, e->versions[want].library);
}

static void
make_import(const struct trace_elf *e, size_t i, struct trace_import *import)
{
	import->name = trace_elf_string(
		e->dynstr, e->dynstr_size, e->dynsym[i].st_name);
	make_version(e, i, import);
}

static int
compare_imports(const void *a, const void *b)
{
	const struct trace_import *x = a, *y = b;
	int c = strcmp(x->name, y->name);

	return c ? c : strcmp(x->version, y->version);
}

int
trace_elf_imports(const struct trace_elf *e, struct trace_import **list)
{
	struct trace_import *l = malloc((e->ndynsym + 1) * sizeof(*l));
	int n = 0;

	*list = NULL;
	if (!l)
		return -ENOMEM;
	for (size_t i = 1; i < e->ndynsym; i++) {
		const Elf64_Sym *s = &e->dynsym[i];
		unsigned type = ELF64_ST_TYPE(s->st_info);

		/*
		 * Without PIE an import whose address is taken has a value
		 * and still no section. Some linkers leave an import's type
		 * open.
		 */
		if (s->st_shndx != SHN_UNDEF ||
			(type != STT_FUNC && type != STT_NOTYPE &&
				type != STT_GNU_IFUNC))
			continue;
		make_import(e, i, &l[n]);
		if (*l[n].name)
			n++;
	}
	qsort(l, n, sizeof(*l), compare_imports);
	*list = l;
	return n;
}

bool
trace_elf_slot(struct trace_elf *e, uint64_t vaddr, struct trace_import *import)
{
	struct trace_slot key = {vaddr, 0};
	const struct trace_slot *s;

	if (!e->nslots || !e->dynsym)
		return false;
	s = bsearch(&key, e->slots, e->nslots, sizeof(key), compare_slots);
	if (!s || s->symbol >= e->ndynsym)
		return false;
	make_import(e, s->symbol, import);
	return *import->name;
}
