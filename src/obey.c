/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "obey.h"

#include "atom.h"
#include "log.h"
#include "sys.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>

bool kmap_obeying;

/* What outlives the file: rules alone, in memory of their own. */
static struct kmap_table table;
static bool refused;
static kmap_a32 said; /* bits of enum kmap_why */

/* ---- whom is it for? ---- */

static const char *
base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

/* The program of a process by its link in /proc; "" if that is not there.
 * A program that was replaced meanwhile is still that program. */
static const char *
exe_of(const char *link, char *buf, size_t size)
{
	static const char deleted[] = " (deleted)";
	long n = kmap_syscall(
		SYS_readlinkat, AT_FDCWD, link, buf, size - 1, 0, 0);

	buf[n > 0 ? n : 0] = '\0';
	if (n >= (long)sizeof(deleted) &&
		strcmp(buf + n - (sizeof(deleted) - 1), deleted) == 0)
		buf[n - (long)(sizeof(deleted) - 1)] = '\0';
	return base_name(buf);
}

/* The build id among the notes of a segment, in hexadecimal. */
static bool
note_build_id(const char *p, size_t n, char *buf, size_t size)
{
	const Elf64_Nhdr *h;
	size_t at = 0;

	while (n - at >= sizeof(*h)) {
		const uint8_t *desc;
		size_t name, len;

		h = (const void *)(p + at);
		name = KMAP_ROUND((size_t)h->n_namesz, 4);
		len = KMAP_ROUND((size_t)h->n_descsz, 4);
		at += sizeof(*h);
		if (name > n - at || len > n - at - name)
			return false;
		desc = (const uint8_t *)p + at + name;
		if (h->n_type == NT_GNU_BUILD_ID && h->n_namesz == 4 &&
			memcmp(p + at, "GNU", 4) == 0) {
			size_t k = 0;

			for (; k < h->n_descsz && 2 * k + 2 < size; k++) {
				buf[2 * k] = "0123456789abcdef"[desc[k] >> 4];
				buf[2 * k + 1] =
					"0123456789abcdef"[desc[k] & 15];
			}
			buf[2 * k] = '\0';
			return true;
		}
		at += name + len;
	}
	return false;
}

/* Of the program, as it lies in memory; "" when it has none. */
static void
own_build_id(char *buf, size_t size)
{
	const Elf64_Phdr *ph = (const void *)getauxval(AT_PHDR);
	size_t n = getauxval(AT_PHNUM);
	uintptr_t base = 0;

	buf[0] = '\0';
	if (ph == NULL || getauxval(AT_PHENT) != sizeof(*ph))
		return;
	for (size_t i = 0; i < n; i++)
		if (ph[i].p_type == PT_PHDR)
			base = (uintptr_t)ph - ph[i].p_vaddr;
	for (size_t i = 0; i < n; i++)
		if (ph[i].p_type == PT_NOTE &&
			note_build_id((const char *)(base + ph[i].p_vaddr),
				ph[i].p_filesz, buf, size))
			return;
}

static bool
same_program(const char *exe, const char *id, const char *own_exe,
	const char *own_id)
{
	if (own_exe[0] != '\0' && strcmp(base_name(exe), own_exe) != 0)
		return false;
	return id[0] == '\0' || own_id[0] == '\0' || strcmp(id, own_id) == 0;
}

/* Is it for a program of that name and build? Children's sections count. */
static bool
names(const struct kmap_table *t, const char *exe, const char *id)
{
	if (same_program(t->exe, t->build_id, exe, id))
		return true;
	for (const struct kmap_section *s = t->sections; s != NULL;
		s = s->next) {
		if (strcmp(s->kind->name, "child") != 0)
			continue;
		for (const struct kmap_value *v = s->first; v != NULL;
			v = v->next)
			if (same_program(v->key,
				    kmap_value_text(v->first, "build-id"), exe,
				    id))
				return true;
	}
	return false;
}

/* A program that the table's own program runs, and that was not traced,
 * inherits KMAP_TABLE: nobody has to hear of that. */
static bool
is_a_childs(const struct kmap_table *t)
{
	char link[32], exe[512];
	unsigned int n = (unsigned int)kmap_syscall(
			     SYS_getppid, 0, 0, 0, 0, 0, 0),
		     digits = 1;
	const char *parent;

	for (unsigned int k = n; k >= 10; k /= 10)
		digits++;
	memcpy(link, "/proc/", 6);
	for (unsigned int i = digits; i-- > 0; n /= 10)
		link[6 + i] = (char)('0' + n % 10);
	memcpy(link + 6 + digits, "/exe", 5);
	parent = exe_of(link, exe, sizeof(exe));
	return parent[0] != '\0' && names(t, parent, "");
}

/* What the project's own commands inherit is meant for what they run. */
static bool
is_tool(const char *exe)
{
	return strcmp(exe, "kmap-trace") == 0 || strcmp(exe, "kmap-stat") == 0;
}

static bool
is_ours(const struct kmap_table *t, const char *path)
{
	char exe[512], id[65];
	const char *own = exe_of("/proc/self/exe", exe, sizeof(exe));

	own_build_id(id, sizeof(id));
	if (names(t, own, id))
		return true;
	if (is_a_childs(t) || is_tool(own))
		kmap_log(KMAP_INFO,
			"KMAP_TABLE=%s is ignored: it is not for "
			"%s",
			path, own);
	else if (strcmp(base_name(t->exe), own) != 0)
		kmap_log_always("KMAP_TABLE=%s is ignored: it is for %s, and "
				"this is %s",
			path, base_name(t->exe), own);
	else
		kmap_log_always(
			"KMAP_TABLE=%s is ignored: it is for another "
			"build of %s (build id %s, not %s): trace it again",
			path, own, t->build_id, id);
	return false;
}

/* ---- loading ---- */

static void
apply_settings(const struct kmap_table *t)
{
	unsigned int new = t->conf.given & ~kmap_conf.given;

	kmap_conf.inert = t->inert;
	if (new &KMAP_GIVEN_UPGRADE)
		kmap_conf.upgrade = t->conf.upgrade;
	if (new &KMAP_GIVEN_RING)
		kmap_conf.ring_size = t->conf.ring_size;
	kmap_conf.given |= new &KMAP_GIVEN_RING;
	if (new &KMAP_GIVEN_PEERS) {
		memcpy(kmap_conf.peers, t->conf.peers, sizeof(kmap_conf.peers));
		kmap_conf.npeers = t->conf.npeers;
		kmap_conf.peers_set = true;
	}
}

/* The rules, where they cannot be written to any more. */
static bool
keep(const struct kmap_table *t)
{
	size_t n = t->nrules * sizeof(*t->rules);
	void *p;

	table = (struct kmap_table){.build_id = ""};
	if (n == 0)
		return true;
	p = kmap_sys_mmap(
		n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	if (p == NULL)
		return false;
	memcpy(p, t->rules, n);
	kmap_syscall(SYS_mprotect, p, n, PROT_READ, 0, 0, 0);
	table.rules = p;
	table.nrules = t->nrules;
	return true;
}

void
kmap_obey_load(const char *path)
{
	struct kmap_table_error e;
	struct kmap_table t;
	char why[400];

	if (kmap_table_load_rules(&t, path, &e) != 0) {
		kmap_table_error_text(&e, path, why, sizeof(why));
		kmap_log_always("KMAP_TABLE is refused, connections stay on "
				"TCP: %s",
			why);
		refused = kmap_obeying = true;
		return;
	}
	if (is_ours(&t, path)) {
		apply_settings(&t);
		refused = !keep(&t);
		kmap_obeying = true;
		if (t.inert)
			kmap_log(KMAP_INFO, "%s says inert: nothing moves",
				path);
	}
	kmap_table_free(&t);
}

/* ---- what it says ---- */

static bool
first_time(enum kmap_why why)
{
	uint32_t bit = 1u << why;

	return !(a_load(&said) & bit) && !(a_or(&said, bit) & bit);
}

__attribute__((format(printf, 3, 4))) static size_t
put(char *buf, size_t size, const char *fmt, ...)
{
	va_list ap;
	size_t n;

	va_start(ap, fmt);
	n = kmap_format(buf, size - 1, fmt, ap);
	va_end(ap);
	buf[n] = '\0';
	return n;
}

static void
address_text(const struct kmap_addr *a, char *buf, size_t size)
{
	const uint8_t *ip = a->ip;
	unsigned int port = ntohs(a->port);
	size_t n = 0;

	if (kmap_addr_is_v4(a)) {
		put(buf, size, "%u.%u.%u.%u:%u", ip[12], ip[13], ip[14], ip[15],
			port);
		return;
	}
	for (int i = 0; i < 16; i += 2)
		n += put(buf + n, size - n, "%s%x", i == 0 ? "[" : ":",
			(unsigned int)ip[i] << 8 | ip[i + 1]);
	put(buf + n, size - n, "]:%u", port);
}

static enum kmap_why
unknown(enum kmap_role role, const struct kmap_addr *a)
{
	static const char *const does[] = {
		[KMAP_CONNECTS] = "connects to",
		[KMAP_ACCEPTS] = "accepts at",
		[KMAP_LISTENS] = "listens at",
	};
	char text[80];

	if (kmap_log_level >= KMAP_WARN && first_time(KMAP_WHY_UNKNOWN)) {
		address_text(a, text, sizeof(text));
		kmap_log(KMAP_WARN,
			"the program %s %s, which its table does "
			"not know%s",
			does[role], text,
			role == KMAP_LISTENS ? "" : ": that stays on TCP");
	}
	return KMAP_WHY_UNKNOWN;
}

/* Who connects to no address at all means this host (ip(7)). */
static void
here(struct kmap_addr *a)
{
	bool v4 = kmap_addr_is_v4(a);

	for (int i = v4 ? 12 : 0; i < 16; i++)
		if (a->ip[i] != 0)
			return;
	if (v4)
		a->ip[12] = 127;
	a->ip[15] = 1;
}

enum kmap_why
kmap_obey(enum kmap_role role, int fd, const void *sa, socklen_t len)
{
	struct sockaddr_storage own;
	const struct kmap_rule *r;
	struct kmap_addr a;

	if (refused)
		return KMAP_WHY_TABLE;
	if (sa == NULL) {
		sa = &own;
		len = sizeof(own);
		if (kmap_sys_getsockname(fd, &own, &len) != 0)
			return KMAP_WHY_UNKNOWN;
	}
	if (kmap_addr_from(&a, sa, len) != 0)
		return KMAP_WHY_UNKNOWN;
	if (role == KMAP_CONNECTS)
		here(&a);
	r = kmap_table_match(&table, role, &a);
	if (r == NULL)
		return unknown(role, &a);
	return r->emulate ? KMAP_WHY_NONE : KMAP_WHY_TABLE;
}

void
kmap_obey_left(enum kmap_why why)
{
	static const char *const what[KMAP_NWHY] = {
		[KMAP_WHY_NO_CONSENT] = "io_uring, or closes one number of a "
					"connection and waits for another",
		[KMAP_WHY_STDIO] = "stdio or aio on a connection",
		[KMAP_WHY_PASSED] = "a connection that is handed to another "
				    "program",
		[KMAP_WHY_URGENT] = "urgent data",
		[KMAP_WHY_ASYNC] = "O_ASYNC",
		[KMAP_WHY_SECCOMP] = "a seccomp filter",
		[KMAP_WHY_MLOCK] = "mlockall of what is to come",
	};

	if (what[why] == NULL || kmap_log_level < KMAP_WARN || !first_time(why))
		return;
	kmap_log(KMAP_WARN, "the table does not know of this: %s", what[why]);
}
