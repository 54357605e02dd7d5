/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "rec.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>

#define UNW_LOCAL_ONLY
#include <libunwind.h>

/*
 * The caller's stack, as a place in the region's arena.
 *
 * Most calls come by a way that was walked before. The cache, one for each
 * thread, is keyed by the return address and the stack pointer, and keeps
 * where on the stack each further return address lay: when all of them are
 * still there, it is the same stack. Only otherwise libunwind walks.
 *
 * libunwind is loaded into a scope of its own: among the program's global
 * names its _Unwind_* would come before libgcc's, for whatever the program
 * loads later, and the two do not mix. Its calls (pipe2, read, write to
 * validate memory) nevertheless come to our wrappers, which know by
 * kt_unw(): it gets no descriptor at all.
 *
 * One lock for walking and interning. Nobody waits long for it: a handler
 * may have interrupted its owner, or the dynamic linker's lock may be held by
 * a thread that waits for us. Then the record has its caller alone.
 */

static kmap_a32 lock; /* the owner's tid */
/* A fork that went by no function of libc left it to a thread that is gone,
 * and libunwind in an unknown state. */
static bool broken;

static int (*u_getcontext)(unw_context_t *);
static int (*u_init_local)(unw_cursor_t *, unw_context_t *);
static int (*u_step)(unw_cursor_t *);
static int (*u_get_reg)(unw_cursor_t *, int, unw_word_t *);
static int (*u_get_save_loc)(unw_cursor_t *, int, unw_save_loc_t *);
static void (*u_flush_cache)(unw_addr_space_t, unw_word_t, unw_word_t);
static unw_addr_space_t *u_local;

/* Under the lock. */
static unw_context_t context;
static unw_cursor_t cursor;
static uint64_t addrs[KT_MAX_FRAMES];
static uint32_t offs[KT_MAX_FRAMES];

static uint32_t *table; /* of interned stacks: places in the arena */
static uint32_t slots, used;

#define WAYS 2
#define ENTRIES 512

struct entry {
	uint64_t pc;
	uint64_t cfa;
	uint32_t stack;
	uint32_t n;
	uint32_t off[]; /* of return address 1, 2, … above the cfa */
};

/*
 * The cache of the thread that last had this ring. The next one often has the
 * same stack, too, and with it the same ways.
 */
static char *kept[KT_KEPT];

static size_t
entry_size(void)
{
	return sizeof(struct entry) + 4 * (size_t)kt_region->frames;
}

static uint32_t
me(void)
{
	return kt_self.vfork_process ? kt_self.vfork_process | 1u << 31
				     : kt_self.tid;
}

static bool
take(void)
{
	uint32_t self = me();

	for (int i = 0; i < 2000; i++) {
		uint32_t owner = a_load(&lock);

		if (owner == self)
			return false;
		if (!owner && a_cas(&lock, (uint32_t)0, self))
			return true;
		if (i < 200)
			a_pause();
		else if (kt_quiet)
			return false;
		else
			kmap_sys_yield();
	}
	return false;
}

static void
give(void)
{
	a_store_rel(&lock, 0);
}

/* fork's child must not find the lock, nor libunwind's, in use. */
static void
before_fork(void)
{
	struct kt_self *s = &kt_self;

	if (!kt_live)
		return;
	if (!s->tid)
		s->tid = kmap_syscall(SYS_gettid, 0, 0, 0, 0, 0, 0);
	s->ends = take() ? s->ends | 1u << 31 : s->ends & ~(1u << 31);
}

static void
after_fork(void)
{
	if (kt_self.ends & 1u << 31)
		give();
	kt_self.ends &= ~(1u << 31);
}

static void
after_fork_child(void)
{
	if (!(kt_self.ends & 1u << 31) && a_load(&lock))
		broken = true;
	after_fork();
	a_store(&lock, 0);
}

/* Modules */

static unsigned long long adds, subs;

static int
counts(struct dl_phdr_info *i, size_t size, void *arg)
{
	unsigned long long *c = arg;

	(void)size;
	c[0] = i->dlpi_adds;
	c[1] = i->dlpi_subs;
	return 1;
}

static bool
announced(uint64_t start)
{
	/* Where modules that were announced begin; a few may be forgotten,
	 * and are then announced twice. */
	static uint64_t known[1024];
	static unsigned int n;

	for (unsigned int i = 0; i < n && i < kmap_countof(known); i++)
		if (known[i] == start)
			return true;
	known[n++ % kmap_countof(known)] = start;
	return false;
}

static int
module(struct dl_phdr_info *i, size_t size, void *arg)
{
	struct kt_module m = {.base = i->dlpi_addr};
	const char *path = i->dlpi_name;
	char exe[1024];
	struct kt_rec *rec;
	size_t len;

	(void)size;
	(void)arg;
	for (int p = 0; p < i->dlpi_phnum; p++) {
		const ElfW(Phdr) *ph = &i->dlpi_phdr[p];
		uint64_t at = i->dlpi_addr + ph->p_vaddr;

		if (ph->p_type == PT_LOAD && (ph->p_flags & PF_X)) {
			if (!m.start)
				m.start = at;
			m.end = at + ph->p_memsz;
		} else if (ph->p_type == PT_NOTE) {
			const char *n = (const char *)at;
			const char *end = n + ph->p_memsz;

			while (n + sizeof(ElfW(Nhdr)) <= end) {
				const ElfW(Nhdr) *h = (const void *)n;
				const char *name = n + sizeof(*h);
				const char *desc =
					name + ((h->n_namesz + 3) & ~3u);

				if (h->n_type == NT_GNU_BUILD_ID &&
					h->n_namesz == 4 &&
					!memcmp(name, "GNU", 4) &&
					h->n_descsz <= sizeof(m.id)) {
					m.id_len = h->n_descsz;
					memcpy(m.id, desc, m.id_len);
				}
				n = desc + ((h->n_descsz + 3) & ~3u);
			}
		}
	}
	if (!m.start || announced(m.start))
		return 0;
	if (!path[0]) {
		long r = kmap_syscall(SYS_readlinkat, AT_FDCWD,
			"/proc/self/exe", exe, sizeof(exe) - 1, 0, 0);

		exe[r < 0 ? 0 : r] = 0;
		path = exe;
	} else if (!strncmp(path, "linux-vdso", 10)) {
		path = "[vdso]";
	}
	len = strnlen(path, 1023);
	m.path_len = len;
	rec = kt_reserve(sizeof(*rec) + sizeof(m) + ((len + 7) & ~(size_t)7));
	if (!rec)
		return 1;
	memset((char *)rec + 8, 0, sizeof(*rec) - 8);
	rec->process = kt_self.process;
	rec->tid = kt_self.tid;
	rec->t = kmap_now();
	memcpy(rec + 1, &m, sizeof(m));
	memcpy((char *)(rec + 1) + sizeof(m), path, len);
	kt_commit(rec, KT_MODULE);
	return 0;
}

void
kt_modules(void)
{
	unsigned long long c[2] = {0, 0};

	dl_iterate_phdr(counts, c);
	if (c[1] != subs && u_flush_cache)
		u_flush_cache(*u_local, 0, 0);
	if (c[0] == adds && c[1] == subs)
		return;
	adds = c[0];
	subs = c[1];
	dl_iterate_phdr(module, NULL);
}

/* The arena */

static struct kt_stack *
room(size_t len)
{
	struct kt_private *p = kt_private;
	struct kt_stack *s;

	if (p->left < len) {
		uint64_t at = a_count(&kt_region->arena, KT_CHUNK);

		if (at + KT_CHUNK > KT_ARENA_BYTES || kt_quiet)
			return NULL;
		if (kt_back(KT_ARENA_AT + at, KT_CHUNK)) {
			kt_give_up(ENOSPC);
			return NULL;
		}
		p->chunk = at;
		p->left = KT_CHUNK;
	}
	s = (struct kt_stack *)(kt_arena(kt_region) + p->chunk);
	p->chunk += len;
	p->left -= len;
	return s;
}

static bool
grow(void)
{
	uint32_t n = slots ? 2 * slots : 8192;
	uint32_t *t = kt_quiet ? NULL
			       : kt_mmap(n * sizeof(*t), PROT_READ | PROT_WRITE,
					 MAP_PRIVATE | MAP_ANONYMOUS, -1);

	if (!t)
		return false;
	for (uint32_t i = 0; i < slots; i++) {
		const struct kt_stack *s =
			(void *)(kt_arena(kt_region) + 8ul * table[i]);
		uint32_t at = s->hash;

		if (!table[i])
			continue;
		while (t[at & (n - 1)])
			at++;
		t[at & (n - 1)] = table[i];
	}
	if (table)
		kmap_sys_munmap(table, slots * sizeof(*table));
	table = t;
	slots = n;
	return true;
}

static uint32_t
intern(const uint64_t *a, uint32_t n)
{
	struct kt_stack *s;
	uint64_t h = n;
	uint32_t hash, i;

	if (2 * used >= slots && !grow())
		return 0;
	for (i = 0; i < n; i++)
		h = (h ^ a[i]) * 0x9e3779b97f4a7c15u;
	hash = h >> 32;
	for (i = hash;; i++) {
		uint32_t at = table[i & (slots - 1)];

		if (!at)
			break;
		s = (void *)(kt_arena(kt_region) + 8ul * at);
		if (s->hash == hash && s->n == n && !memcmp(s->addr, a, 8 * n))
			return at;
	}
	s = room(sizeof(*s) + 8 * n);
	if (!s)
		return 0;
	s->n = n;
	s->hash = hash;
	memcpy(s->addr, a, 8 * n);
	used++;
	return table[i & (slots - 1)] = ((char *)s - kt_arena(kt_region)) / 8;
}

/* Walking */

/* Frames into addrs and offs; *whole: every return address lay in memory. */
static __attribute__((noinline)) uint32_t
walk(const struct kt_call *c, bool *whole)
{
	uint32_t n = 1, max = kt_region->frames;
	unw_save_loc_t loc;
	unw_word_t v;
	int i;

	addrs[0] = c->caller;
	*whole = false;
	if (!u_step || broken || kt_quiet)
		return n;
	u_getcontext(&context);
	if (u_init_local(&cursor, &context))
		return n;
	/* Our own frames first. */
	for (i = 0; i < 10; i++) {
		if (u_step(&cursor) <= 0 || u_get_reg(&cursor, UNW_REG_SP, &v))
			return n;
		if (v == (unw_word_t)c->cfa)
			break;
	}
	if (i == 10)
		return n;
	*whole = true;
	while (n < max && u_step(&cursor) > 0) {
		if (u_get_reg(&cursor, UNW_REG_IP, &v) || !v)
			break;
		if (u_get_save_loc(&cursor, UNW_REG_IP, &loc) ||
			loc.type != UNW_SLT_MEMORY ||
			loc.u.addr < (uint64_t)c->cfa ||
			loc.u.addr - (uint64_t)c->cfa > 1u << 30)
			*whole = false;
		offs[n] = *whole ? loc.u.addr - (uint64_t)c->cfa : 0;
		addrs[n++] = v;
	}
	return n;
}

static bool
matches(const struct entry *e)
{
	const struct kt_stack *s =
		(void *)(kt_arena(kt_region) + 8ul * e->stack);

	for (uint32_t i = 1; i < e->n; i++)
		if (*(const uint64_t *)(e->cfa + e->off[i - 1]) != s->addr[i])
			return false;
	return true;
}

static KT_COLD uint32_t
slow(const struct kt_call *c, struct entry *e)
{
	uint32_t stack, n;
	bool whole;

	if (!take())
		return 0;
	kt_modules();
	kt_self.walking++;
	n = walk(c, &whole);
	kt_self.walking--;
	stack = intern(addrs, n);
	if (e && stack && whole) {
		e->pc = 0;
		__asm__ __volatile__("" ::: "memory");
		e->cfa = (uint64_t)c->cfa;
		e->stack = stack;
		e->n = n;
		for (uint32_t i = 1; i < n; i++)
			e->off[i - 1] = offs[i];
		__asm__ __volatile__("" ::: "memory");
		e->pc = c->caller;
	}
	give();
	return stack;
}

uint32_t
kt_stack(const struct kt_call *c)
{
	size_t size = entry_size(), i;
	struct kt_self *s = &kt_self;
	struct entry *e;
	uint64_t h;

	if (!kt_region->frames)
		return 0;
	if (kmap_unlikely(!s->cache)) {
		if (s->index < KT_KEPT)
			s->cache = kept[s->index];
		if (!s->cache && !kt_quiet)
			s->cache = kt_mmap(WAYS * ENTRIES * size,
				PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
				-1);
		if (!s->cache)
			return slow(c, NULL);
		if (s->index < KT_KEPT)
			kept[s->index] = s->cache;
	}
	h = (c->caller ^ ((uint64_t)c->cfa << 20)) * 0x9e3779b97f4a7c15u;
	i = (h >> 40) % ENTRIES * WAYS;
	for (int w = 0; w < WAYS; w++) {
		e = (struct entry *)(s->cache + (i + w) * size);
		if (e->pc == c->caller && e->cfa == (uint64_t)c->cfa &&
			matches(e))
			return e->stack;
	}
	/* The way to lose is chosen by a bit that the place does not use. */
	e = (struct entry *)(s->cache + i * size);
	if (e->pc && (c->t & 64))
		e = (struct entry *)(s->cache + (i + 1) * size);
	return slow(c, e);
}

void
kt_stack_end(void)
{
	struct kt_self *s = &kt_self;

	if (s->cache &&
		(!s->ring || s->index >= KT_KEPT || kept[s->index] != s->cache))
		kmap_sys_munmap(s->cache, WAYS * ENTRIES * entry_size());
	s->cache = NULL;
}

/* The child's one thread goes on with its cache under another ring. */
void
kt_stack_forked(void)
{
	struct kt_self *s = &kt_self;

	if (s->index < KT_KEPT && kept[s->index] == s->cache)
		kept[s->index] = NULL;
}

#define STR_(x) #x
#define STR(x) STR_(x)

uint64_t kt_unw_start, kt_unw_size;

/* Where the object lies that *arg, a function, is in. */
static int
extent(struct dl_phdr_info *i, size_t size, void *arg)
{
	uint64_t low = ~0ul, high = 0, at = *(uint64_t *)arg;

	(void)size;
	for (int p = 0; p < i->dlpi_phnum; p++) {
		const ElfW(Phdr) *ph = &i->dlpi_phdr[p];
		uint64_t start = i->dlpi_addr + ph->p_vaddr;

		if (ph->p_type != PT_LOAD)
			continue;
		low = kmap_umin(low, start);
		high = kmap_umax(high, start + ph->p_memsz);
	}
	if (at < low || at >= high)
		return 0;
	kt_unw_start = low;
	kt_unw_size = high - low;
	return 1;
}

/* What pthread_atfork(3) calls. Weak: see kmap_on_glibc. */
int __register_atfork(void (*)(void), void (*)(void), void (*)(void), void *)
	__attribute__((weak));
extern void *__dso_handle __attribute__((visibility("hidden")));

void
kt_stack_init(void)
{
	uint64_t at;
	void *h;

	kt_self.tid = kmap_syscall(SYS_gettid, 0, 0, 0, 0, 0, 0);
	/* Place 0 of the arena means "none". */
	a_cas(&kt_region->arena, (uint64_t)0, (uint64_t)KT_CHUNK);
	__register_atfork(
		before_fork, after_fork, after_fork_child, __dso_handle);
	if (!kt_region->frames)
		return;
	h = dlopen("libunwind.so.8", RTLD_NOW | RTLD_LOCAL);
	if (!h)
		return;
	u_getcontext = dlsym(h, STR(UNW_ARCH_OBJ(getcontext)));
	u_init_local = dlsym(h, STR(UNW_OBJ(init_local)));
	u_get_reg = dlsym(h, STR(UNW_OBJ(get_reg)));
	u_get_save_loc = dlsym(h, STR(UNW_OBJ(get_save_loc)));
	u_flush_cache = dlsym(h, STR(UNW_ARCH_OBJ(flush_cache)));
	u_local = dlsym(h, STR(UNW_OBJ(local_addr_space)));
	if (u_getcontext && u_init_local && u_get_reg && u_get_save_loc &&
		u_flush_cache && u_local)
		u_step = dlsym(h, STR(UNW_OBJ(step)));
	at = (uint64_t)u_step;
	if (!dl_iterate_phdr(extent, &at))
		u_step = NULL;
}
