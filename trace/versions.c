/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "versions.h"

#include <stdlib.h>
#include <string.h>

#include "elf-file.h"
#include "must.h"

static const char *const names[KT_NAMES] = {
#define KT_NAME(name, base, sys) [KT_##name] = #name,
#include "recorder/names.def"
};

struct known {
	struct known *next;
	char *path;
	const char *of[KT_NAMES];
};

/* The name of version index ndx among those that the file defines. */
static const char *
defined(const struct trace_elf *e, unsigned int ndx)
{
	for (size_t i = 0; i < e->nsections; i++) {
		uint64_t at = e->sections[i].sh_addr;

		if (e->sections[i].sh_type != SHT_GNU_verdef)
			continue;
		for (unsigned int n = 0; n < e->sections[i].sh_info; n++) {
			size_t left;
			const Elf64_Verdef *d =
				(const void *)trace_elf_at(e, at, &left);
			const Elf64_Verdaux *a;

			if (!d || left < sizeof(*d))
				return "";
			a = (const void *)trace_elf_at(
				e, at + d->vd_aux, &left);
			if ((d->vd_ndx & 0x7fff) == ndx)
				return a && left >= sizeof(*a)
					? trace_elf_string(e->dynstr,
						  e->dynstr_size, a->vda_name)
					: "";
			if (!d->vd_next)
				return "";
			at += d->vd_next;
		}
	}
	return "";
}

static void
fill(struct known *k, const struct trace_elf *e)
{
	for (size_t i = 0; e->versym && i < e->ndynsym; i++) {
		const Elf64_Sym *s = &e->dynsym[i];
		const char *name;

		/* The default one alone is not hidden. */
		if (!s->st_shndx || (e->versym[i] & 0x8000))
			continue;
		name = trace_elf_string(e->dynstr, e->dynstr_size, s->st_name);
		for (int n = 0; n < KT_NAMES; n++)
			if (!strcmp(name, names[n])) {
				const char *v = defined(e, e->versym[i]);

				k->of[n] = must(strdup(v));
			}
	}
}

const char *const *
trace_versions(const char *path)
{
	static struct known *all;
	struct trace_elf e;
	struct known *k;
	char why[128];

	for (k = all; k; k = k->next)
		if (!strcmp(k->path, path))
			return k->of;
	k = must(calloc(1, sizeof(*k)));
	k->path = must(strdup(path));
	for (int n = 0; n < KT_NAMES; n++)
		k->of[n] = "";
	if (!trace_elf_open(&e, path, why, sizeof(why))) {
		fill(k, &e);
		trace_elf_close(&e);
	}
	k->next = all;
	all = k;
	return k->of;
}
