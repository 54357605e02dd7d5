/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an ELF file says of itself: class, interpreter, notes, symbols, what
 * it imports and which slots of its GOT an import fills. Every
 * offset that the file states is checked against its size before use, so
 * that a truncated or lying file gives an error and never a fault. (A file
 * that is truncated by somebody *while* it is mapped still raises SIGBUS, as
 * it does in everything that maps files.)
 *
 * Format: elf(5), the System V gABI, the x86-64 psABI.
 */
#ifndef KMAP_TRACE_ELF_FILE_H
#define KMAP_TRACE_ELF_FILE_H

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A function that the file takes from a library. */
struct trace_import {
	const char *name; /* in the mapping */
	const char *version; /* "GLIBC_2.4"; "" when it asks for none */
	const char *library; /* "libc.so.6", with a version only; else "" */
};

/* A relocation that a symbol fills: a slot of the GOT, mostly. */
struct trace_slot {
	uint64_t vaddr;
	uint32_t symbol; /* index in .dynsym */
};

/* Offsets in .dynstr; 0 where nothing is needed. */
struct trace_version {
	uint32_t name, library;
};

struct trace_load {
	uint64_t vaddr, memsz, offset, filesz;
	uint32_t flags; /* PF_R, PF_W, PF_X */
};

/* What is made of a 32-bit file. */
enum {
	TRACE_WIDE_SECTIONS,
	TRACE_WIDE_SYMBOLS,
	TRACE_WIDE
};

struct trace_elf {
	const uint8_t *map;
	size_t size;
	bool owned; /* the mapping is ours to unmap */

	int bits; /* 32 or 64 */
	unsigned type, machine; /* ET_…, EM_… */
	uint64_t entry;
	bool native; /* the class, byte order and machine of this kmap-trace:
		      * only then is anything below but interp read */
	bool i386; /* 32 bits of this machine: sections and symbols are read,
		    * the latter are the dynamic ones where there are no others */
	const char *interp; /* of PT_INTERP; "" when there is none */
	bool dynamic; /* has PT_DYNAMIC */
	bool go; /* compiled by Go's own compiler */
	char build_id[41]; /* hex, at most 20 bytes; "" when it has none */

	size_t nloads;
	struct trace_load *loads;

	/* Of PT_DYNAMIC; counts are 0 where it does not say. */
	const Elf64_Sym *dynsym;
	size_t ndynsym;
	const char *dynstr;
	size_t dynstr_size;
	const uint16_t *versym;
	struct trace_version *versions; /* by the number in versym */
	size_t nversions;

	/* Of the section headers, if there are any. */
	const Elf64_Shdr *sections;
	size_t nsections;
	const char *shstr; /* their names; NULL: none */
	size_t shstr_size;
	const Elf64_Sym *symtab;
	size_t nsymtab;
	const char *strtab;
	size_t strtab_size;

	void *wide[TRACE_WIDE]; /* what is not as wide in the file */

	struct trace_slot *slots; /* by vaddr */
	size_t nslots;
};

/*
 * Maps and reads a file. 0, or -errno with a clause for the user in why
 * ("the program headers lie outside the file"): -ENOEXEC when it is no ELF
 * file or a damaged one. Nothing is left to close after an error.
 */
int trace_elf_open(
	struct trace_elf *e, const char *path, char *why, size_t why_size);

/* The same for an image in memory that stays there and whole (the vDSO). */
int trace_elf_memory(struct trace_elf *e, const void *image, size_t size,
	char *why, size_t why_size);

void trace_elf_close(struct trace_elf *e);

/* The file's bytes at a virtual address, and how many follow; NULL outside. */
const uint8_t *
trace_elf_at(const struct trace_elf *e, uint64_t vaddr, size_t *left);

/* Is there code at this virtual address? */
bool trace_elf_is_code(const struct trace_elf *e, uint64_t vaddr);

/*
 * The functions imported, by name, in *list (the caller frees it; the strings
 * belong to e). Their number, or -ENOMEM.
 */
int trace_elf_imports(const struct trace_elf *e, struct trace_import **list);

/* The import that fills the GOT slot at vaddr; false when none does. */
bool trace_elf_slot(
	struct trace_elf *e, uint64_t vaddr, struct trace_import *import);

/* A string of .dynstr or .strtab that is known to end; "" otherwise. */
const char *trace_elf_string(const char *table, size_t size, uint64_t at);

#endif
