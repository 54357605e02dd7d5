/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "drain.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <dirent.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

#include "must.h"
#include "region.h"
#include "sys.h"
#include "versions.h"

#define PREFIX "kmap-trace."
#define MAX_IMAGES (1u << 22)

/* One image, by the recorder's number. */
struct image {
	struct trace_process p;
	struct trace_module *modules; /* p.modules, and room for more */
	size_t room;
	char *exe, *cmdline;
	uint64_t pidns; /* 0: unknown */
	uint32_t number;
	bool told; /* to the sinks */
	bool child; /* of a fork: it has its parent's modules */
	const char *const *versions;
};

struct ep {
	uint32_t id; /* 0: never announced */
	struct trace_endpoint e;
};

/* A hash table of 64-bit keys: open addressing, never more than half full. */
struct slot {
	uint64_t key; /* 0: free */
	uint64_t value; /* 0: nothing was put there yet */
};

struct map {
	struct slot *slots;
	size_t size, used;
};

struct cursor {
	uint64_t tail, told, sure, seen;
	uint64_t key; /* the time of the next record */
	uint32_t born; /* the endpoint that its thread told of last */
};

struct trace_drain {
	struct kt_region *r;
	char *path;
	int fd;
	bool open;
	struct image **images;
	size_t nimages;
	struct map eps; /* the recorder's number → struct ep * */
	struct map stacks; /* place in the arena → struct trace_stack * */
	struct map sets; /* epoll set and data → fd and endpoint */
	struct cursor *rings;
	uint32_t *heap;
	size_t nheap;
	uint64_t lost, last_tick, last_look, pidns;
	char programs[KT_PROGRAMS_BYTES + 1]; /* copied at the end */
	bool said;
	long calls;
	uint8_t rec[KT_MAX_RECORD] __attribute__((aligned(8)));
};

static void
say(const char *what, int err)
{
	fprintf(stderr, "kmap-trace: %s%s%s\n", what, err ? ": " : "",
		err ? strerror(err) : "");
}

/* Maps */

static struct slot *
map_at(const struct map *m, uint64_t key)
{
	size_t i = (key * 0x9e3779b97f4a7c15u) >> 20;

	for (;; i++) {
		struct slot *s = &m->slots[i & (m->size - 1)];

		if (!s->key || s->key == key)
			return s;
	}
}

static uint64_t *
map_value(struct map *m, uint64_t key)
{
	struct slot *s;

	if (2 * m->used >= m->size) {
		struct map n = {.size = m->size ? 2 * m->size : 1024};

		n.slots = must(calloc(n.size, sizeof(*n.slots)));
		n.used = m->used;
		for (size_t i = 0; i < m->size; i++)
			if (m->slots[i].key)
				*map_at(&n, m->slots[i].key) = m->slots[i];
		free(m->slots);
		*m = n;
	}
	s = map_at(m, key);
	if (!s->key) {
		s->key = key;
		m->used++;
	}
	return &s->value;
}

/* The region's file */

/* What a kmap-trace that was killed has left: its lock is gone. */
static void
sweep(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		int fd;

		if (strncmp(e->d_name, PREFIX, strlen(PREFIX)))
			continue;
		fd = openat(
			dirfd(d), e->d_name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
		if (fd < 0)
			continue;
		if (!flock(fd, LOCK_EX | LOCK_NB)) {
			uint64_t magic = 0;

			if (pread(fd, &magic, sizeof(magic), 0) ==
					sizeof(magic) &&
				magic == KT_MAGIC)
				unlinkat(dirfd(d), e->d_name, 0);
		}
		close(fd);
	}
	if (d)
		closedir(d);
}

/* 0 or -errno. */
static int
make_file(struct trace_drain *d, const char *dir)
{
	int err;

	if (!dir || dir[0] != '/')
		return -ENOENT;
	sweep(dir);
	d->path = must_printf("%s/" PREFIX "%d.XXXXXX", dir, (int)getpid());
	/* A recorder keeps the path in 256 bytes. */
	d->fd = strlen(d->path) < 250 ? mkostemp(d->path, O_CLOEXEC) : -1;
	if (d->fd < 0) {
		err = strlen(d->path) < 250 ? -errno : -ENAMETOOLONG;
		free(d->path);
		d->path = NULL;
		return err;
	}
	if (flock(d->fd, LOCK_EX | LOCK_NB) ||
		ftruncate(d->fd, KT_REGION_BYTES)) {
		err = -errno;
		goto out;
	}
	err = -posix_fallocate(d->fd, 0, 4096);
	if (err)
		goto out;
	d->r = mmap(NULL, KT_REGION_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
		d->fd, 0);
	if (d->r != MAP_FAILED)
		return 0;
	err = -errno;
out:
	unlink(d->path);
	free(d->path);
	d->path = NULL;
	close(d->fd);
	d->fd = -1;
	return err;
}

static int
begin(struct kt_region *r, const struct trace_drain_options *o)
{
	pthread_mutexattr_t a;
	int err;

	r->version = KT_VERSION;
	r->names = KT_NAMES;
	r->size = KT_REGION_BYTES;
	r->data = !o ? 32 : o->data < 1024 ? o->data : 1024;
	r->frames = !o			    ? 64
		: o->frames < KT_MAX_FRAMES ? o->frames
					    : KT_MAX_FRAMES;
	r->hash = o && o->hash;
	/* Place 0 of the arena means "none". */
	a_store(&r->arena, KT_CHUNK);
	pthread_mutexattr_init(&a);
	pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
	err = pthread_mutex_init(&r->alive, &a);
	pthread_mutexattr_destroy(&a);
	if (!err)
		err = pthread_mutex_lock(&r->alive);
	r->magic = KT_MAGIC;
	return -err;
}

int
trace_drain_open(struct trace_drain **out, const struct trace_drain_options *o)
{
	const char *own = getenv("KMAP_TRACE_DIR"), *tmp = getenv("TMPDIR");
	const char *dirs[] = {
		getenv("XDG_RUNTIME_DIR"), "/dev/shm", tmp ? tmp : "/tmp"};
	struct trace_drain *d = must(calloc(1, sizeof(*d)));
	struct stat st;
	int err = -ENOENT;

	if (own) {
		err = make_file(d, own);
	} else {
		for (size_t i = 0; err && i < kmap_countof(dirs); i++)
			err = make_file(d, dirs[i]);
	}
	if (!err)
		err = begin(d->r, o);
	if (err) {
		fprintf(stderr,
			"kmap-trace: no place for the recording in %s: %s\n",
			own ? own : "$XDG_RUNTIME_DIR, /dev/shm or $TMPDIR",
			strerror(-err));
		if (d->path)
			unlink(d->path);
		free(d->path);
		free(d);
		return err;
	}
	d->rings = must(calloc(KT_RINGS, sizeof(*d->rings)));
	d->heap = must(calloc(KT_RINGS, sizeof(*d->heap)));
	if (!stat("/proc/self/ns/pid", &st))
		d->pidns = st.st_ino;
	d->open = true;
	*out = d;
	return 0;
}

const char *
trace_drain_path(const struct trace_drain *d)
{
	return d->path;
}

char *
trace_library(const char *variable, const char *built, const char *name)
{
	const char *own = getenv(variable);
	char exe[2048], *p, *found;
	ssize_t n;

	if (own)
		return must(strdup(own));
	n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	exe[n < 0 ? 0 : n] = 0;
	/* dir/trace/kmap-trace, or libtool's dir/trace/.libs/kmap-trace */
	p = strrchr(exe, '/');
	if (p)
		*p = 0;
	n = strlen(exe);
	if (n > 6 && !strcmp(exe + n - 6, "/.libs"))
		exe[n - 6] = 0;
	found = must_printf("%s/%s/%s", exe, built, name);
	if (!access(found, R_OK))
		return found;
	free(found);
	/* Installed, but the whole of it was moved: prefix/bin, prefix/lib */
	p = strrchr(exe, '/');
	if (p && !strcmp(p, "/bin")) {
		*p = 0;
		found = must_printf("%s/lib/%s", exe, name);
		if (!access(found, R_OK))
			return found;
		free(found);
	}
	return must_printf(KMAP_LIBDIR "/%s", name);
}

static char *
recorder(void)
{
	char *found =
		trace_library("KMAP_TRACE_LIB", ".libs", "libkmaptrace.so");

	if (!access(found, R_OK))
		return found;
	say(found, errno);
	free(found);
	return NULL;
}

char *
trace_drain_preload(const char *old)
{
	char *lib = recorder(), *v = NULL;

	if (!lib)
		return NULL;
	/* In LD_PRELOAD both end a name, and nothing quotes them. */
	if (strpbrk(lib, ": ")) {
		say("the recorder's path must be without blanks and colons", 0);
	} else {
		v = must_printf(
			"%s%s%s", lib, old && *old ? ":" : "", old ? old : "");
	}
	free(lib);
	return v;
}

/* Addresses */

static void
format(char out[112], const void *addr, size_t len)
{
	const struct sockaddr_in6 *in6 = addr;
	const struct sockaddr_in *in = addr;
	const struct sockaddr_un *un = addr;
	char host[INET6_ADDRSTRLEN];
	sa_family_t family = AF_UNSPEC;
	size_t n, i;

	out[0] = 0;
	if (len >= sizeof(family))
		memcpy(&family, addr, sizeof(family));
	if (family == AF_INET && len >= sizeof(*in)) {
		inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
		snprintf(out, 112, "%s:%u", host, ntohs(in->sin_port));
	} else if (family == AF_INET6 && len >= sizeof(*in6)) {
		if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
			inet_ntop(AF_INET, in6->sin6_addr.s6_addr + 12, host,
				sizeof(host));
			snprintf(
				out, 112, "%s:%u", host, ntohs(in6->sin6_port));
			return;
		}
		inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
		snprintf(out, 112, "[%s]:%u", host, ntohs(in6->sin6_port));
	} else if (family == AF_UNIX &&
		len > offsetof(struct sockaddr_un, sun_path)) {
		n = len - offsetof(struct sockaddr_un, sun_path);
		if (n > sizeof(un->sun_path))
			n = sizeof(un->sun_path);
		if (un->sun_path[0])
			n = strnlen(un->sun_path, n);
		/* Many give the whole field as an abstract name. */
		while (n > 1 && !un->sun_path[n - 1])
			n--;
		memcpy(out, un->sun_path, n);
		out[n] = 0;
		for (i = 0; i < n; i++)
			if (!out[i])
				out[i] = '@';
	}
}

/* What getsockname(2) says of a socket without an address is none. */
static void
format_name(char out[112], const void *addr, size_t len)
{
	format(out, addr, len);
	if (!strcmp(out, "0.0.0.0:0") || !strcmp(out, "[::]:0"))
		out[0] = 0;
}

/* Processes */

static struct image *
image(struct trace_drain *d, uint32_t number)
{
	/* Numbers are given out one by one; a wild one is nobody's, and the
	 * count itself may have run wild. */
	if (!number || number > a_load(&d->r->processes) || number > MAX_IMAGES)
		return NULL;
	if (number > d->nimages) {
		d->images =
			must(realloc(d->images, number * sizeof(*d->images)));
		while (d->nimages < number)
			d->images[d->nimages++] = NULL;
	}
	if (!d->images[number - 1]) {
		struct image *i = must(calloc(1, sizeof(*i)));

		i->number = number;
		i->p.status = -1;
		i->p.recorded = true;
		i->p.exe = i->p.cmdline = "";
		d->images[number - 1] = i;
	}
	return d->images[number - 1];
}

static void
tell(struct image *i)
{
	if (i->told)
		return;
	i->told = true;
	i->p.id = trace_process_id();
	trace_emit_process(&i->p);
}

static char *
copy(const char *s, size_t n)
{
	char *p = must(malloc(n + 1));

	memcpy(p, s, n);
	p[n] = 0;
	return p;
}

/* An exec has ended all threads of the image that was there. */
static void
replaced(struct trace_drain *d, const struct image *by)
{
	uint32_t top = a_load(&d->r->top);

	for (uint32_t i = 0; i < top && i < KT_RINGS; i++) {
		struct kt_ring *ring = kt_ring(d->r, i);

		if (a_load(&ring->state) == KT_USED &&
			ring->pid == (uint32_t)by->p.pid &&
			ring->process < by->number &&
			(!ring->pidns || !by->pidns ||
				ring->pidns == by->pidns))
			a_cas(&ring->state, (uint32_t)KT_USED,
				(uint32_t)KT_ENDED);
	}
}

static void
module_put(struct image *i, const struct trace_module *m)
{
	for (size_t k = 0; k < i->p.nmodules; k++)
		/* What lay there was unloaded. */
		if (m->start < i->modules[k].end &&
			i->modules[k].start < m->end) {
			i->modules[k] = *m;
			return;
		}
	if (i->p.nmodules == i->room) {
		i->room = i->room ? 2 * i->room : 32;
		i->modules = must(
			realloc(i->modules, i->room * sizeof(*i->modules)));
		i->p.modules = i->modules;
	}
	i->modules[i->p.nmodules++] = *m;
}

static void
take_process(struct trace_drain *d, const struct kt_rec *rec, size_t left)
{
	const struct kt_process *p = (const void *)(rec + 1);
	struct image *i = image(d, rec->process), *from;
	const char *s = (const char *)(p + 1);

	if (!i || i->exe || left < sizeof(*p) ||
		left - sizeof(*p) < (size_t)p->exe_len + p->cmd_len)
		return;
	i->p.pid = p->pid;
	i->p.elsewhere = p->pidns && p->pidns != d->pidns;
	i->pidns = p->pidns;
	i->p.ppid = p->ppid;
	i->p.t = rec->t;
	i->p.exe = i->exe = copy(s, p->exe_len);
	i->p.cmdline = i->cmdline = copy(s + p->exe_len, p->cmd_len);
	for (char *c = i->cmdline; c < i->cmdline + p->cmd_len; c++)
		if (!*c && c + 1 < i->cmdline + p->cmd_len)
			*c = ' ';
	from = p->parent ? image(d, p->parent) : NULL;
	if (from == i)
		return;
	if (from) {
		i->child = true;
		for (size_t k = 0; k < from->p.nmodules; k++)
			module_put(i, &from->modules[k]);
		i->versions = from->versions;
	} else if (!(rec->flags & KT_VFORKED)) {
		replaced(d, i);
	}
}

static void
take_module(struct trace_drain *d, const struct kt_rec *rec, size_t left)
{
	const struct kt_module *k = (const void *)(rec + 1);
	struct image *i = image(d, rec->process);
	struct trace_module m = {0};
	const char *name;

	if (!i || left < sizeof(*k) || left - sizeof(*k) < k->path_len ||
		k->id_len > sizeof(k->id) || k->start >= k->end)
		return;
	m.start = k->start;
	m.end = k->end;
	m.base = k->base;
	m.path = copy((const char *)(k + 1), k->path_len);
	for (unsigned int b = 0; b < k->id_len; b++)
		sprintf(m.build_id + 2 * b, "%02x", k->id[b]);
	module_put(i, &m);
	name = strrchr(m.path, '/');
	if (name && !strcmp(name, "/libc.so.6"))
		i->versions = trace_versions(m.path);
}

/* Endpoints */

static uint32_t
endpoint_id(const struct trace_drain *d, uint32_t number)
{
	const struct slot *s =
		number && d->eps.size ? map_at(&d->eps, number) : NULL;

	return s && s->key ? ((const struct ep *)s->value)->id : 0;
}

static struct ep *
endpoint(struct trace_drain *d, uint32_t number)
{
	uint64_t *v;

	if (!number || number > a_load(&d->r->endpoints))
		return NULL;
	v = map_value(&d->eps, number);
	if (!*v)
		*v = (uint64_t)must(calloc(1, sizeof(struct ep)));
	return (struct ep *)*v;
}

static void
take_endpoint(struct trace_drain *d, const struct kt_rec *rec, size_t left)
{
	const struct kt_endpoint *k = (const void *)(rec + 1);
	const char *addr = (const char *)(k + 1);
	const struct trace_endpoint *known;
	struct trace_endpoint *t;
	struct ep *e;

	if (left < sizeof(*k) ||
		left - sizeof(*k) < (size_t)k->local_len + k->peer_len ||
		k->kind > TRACE_FILE || k->origin > TRACE_BY_ESCAPE)
		return;
	e = endpoint(d, rec->ep);
	if (!e)
		return;
	if (!e->id) {
		e->id = trace_endpoint_id(k->cookie);
		/* Another process, or image, may have told of it. */
		known = trace_endpoint_by_id(e->id);
		if (known)
			e->e = *known;
		e->e.id = e->id;
		e->e.cookie = k->cookie;
	} else {
		known = trace_endpoint_by_id(e->id);
		if (known)
			e->e = *known;
	}
	t = &e->e;
	/* It is a listener for good, and as it first came to be. */
	if (k->kind && !(t->kind == TRACE_LISTEN && k->kind == TRACE_TCP))
		t->kind = k->kind;
	/* ptrace may have met it before, and not known the call that made it. */
	if (k->origin &&
		(!t->origin ||
			(t->origin == TRACE_BY_ESCAPE &&
				k->origin <= TRACE_BY_ACCEPT)))
		t->origin = k->origin;
	if (k->domain >= 0 && !t->domain) {
		t->domain = k->domain;
		t->type = k->type;
		t->protocol = k->protocol;
	}
	t->connected = t->connected || k->connected;
	if (k->listener)
		t->listener = endpoint_id(d, k->listener);
	if (k->local_len)
		format_name(t->local, addr, k->local_len);
	if (k->peer_len)
		format_name(t->peer, addr + k->local_len, k->peer_len);
	trace_emit_endpoint(t);
}

/* Calls */

static const struct trace_stack *
stack_of(struct trace_drain *d, uint32_t place)
{
	const struct kt_stack *k;
	struct trace_stack *s;
	uint64_t *v;
	uint32_t n;

	if (!place || place > KT_ARENA_BYTES / 8 - 1)
		return NULL;
	v = map_value(&d->stacks, place);
	if (*v)
		return (const struct trace_stack *)*v;
	k = (const void *)(kt_arena(d->r) + 8ul * place);
	n = k->n;
	if (n > KT_MAX_FRAMES || place + 1 + n > KT_ARENA_BYTES / 8)
		return NULL;
	s = must(malloc(sizeof(*s) + n * sizeof(struct trace_frame)));
	s->id = trace_stack_id();
	s->n = n;
	s->frames = (struct trace_frame *)(s + 1);
	memcpy(s + 1, k->addr, n * sizeof(struct trace_frame));
	*v = (uint64_t)s;
	return s;
}

static const struct {
	const char *name, *base;
} names[KT_NAMES] = {
#define KT_NAME(name, base, sys) [KT_##name] = {#name, #base},
#include "recorder/names.def"
};

/* Items in event.h's form; their data may stay where they are. */
struct items {
	struct trace_item v[8];
	size_t n;
	char text[2][112];
	unsigned int ntext;
	struct trace_poll poll[128];
	unsigned int npoll;
};

static uint64_t
set_key(uint32_t set, uint64_t data)
{
	uint64_t h = data * 0xff51afd7ed558ccdu ^ set;

	h ^= h >> 32;
	return (h * 0xc4ceb9fe1a85ec53u) | 1;
}

static void
take_item(struct trace_drain *d, const struct kt_rec *rec, struct items *it,
	const struct kt_item *k)
{
	struct trace_item *t = &it->v[it->n];
	const void *data = k + 1;
	size_t n;

	t->type = k->type;
	t->arg = k->arg;
	t->len = k->len;
	t->data = data;
	switch (k->type) {
	case TRACE_ITEM_ADDR:
		if (it->ntext == 2)
			return;
		format(it->text[it->ntext], data, k->len);
		t->data = it->text[it->ntext++];
		t->len = strlen(t->data);
		break;
	case TRACE_ITEM_POLL:
		n = k->len / sizeof(struct kt_poll);
		if (it->npoll + n > kmap_countof(it->poll))
			return;
		t->data = &it->poll[it->npoll];
		t->len = n * sizeof(struct trace_poll);
		for (size_t i = 0; i < n; i++) {
			const struct kt_poll *p = (const void *)data;

			it->poll[it->npoll++] = (struct trace_poll){p[i].fd,
				p[i].events, p[i].revents,
				endpoint_id(d, p[i].ep), p[i].kind};
		}
		break;
	case TRACE_ITEM_EPOLL:
		n = k->len / sizeof(struct kt_epoll);
		if (it->npoll + n > kmap_countof(it->poll))
			return;
		t->data = &it->poll[it->npoll];
		t->len = n * sizeof(struct trace_poll);
		for (size_t i = 0; i < n; i++) {
			const struct kt_epoll *p = (const void *)data;
			struct trace_poll *o = &it->poll[it->npoll++];
			uint64_t *v = map_value(
				&d->sets, set_key(rec->ep, p[i].data));

			if (p[i].fd >= 0) {
				/* epoll_ctl; DEL names no data. */
				*o = (struct trace_poll){p[i].fd, p[i].events,
					0, endpoint_id(d, p[i].ep), p[i].kind};
				if (rec->nargs > 1 &&
					((const uint64_t *)(rec + 1))[1] !=
						EPOLL_CTL_DEL)
					*v = (uint64_t)p[i].ep << 32 |
						(uint32_t)p[i].fd;
				continue;
			}
			*o = (struct trace_poll){*v ? (int32_t)*v : -1, 0,
				p[i].events, endpoint_id(d, *v >> 32), 0};
			if (o->ep)
				o->kind = trace_endpoint_by_id(o->ep)->kind;
		}
		break;
	default:
		break;
	}
	it->n++;
}

/* What accept returned, which its thread has told of just before; or 0. */
static uint32_t
accepted(struct trace_drain *d, const struct kt_rec *rec, uint32_t born)
{
	uint32_t id = endpoint_id(d, born);
	const struct trace_endpoint *e = trace_endpoint_by_id(id);

	if (rec->ret < 0 || (rec->sys != SYS_accept && rec->sys != SYS_accept4))
		return 0;
	return e && e->origin == TRACE_BY_ACCEPT &&
			e->listener == endpoint_id(d, rec->ep)
		? id
		: 0;
}

static void
take_call(struct trace_drain *d, const struct kt_rec *rec, size_t left,
	uint32_t born)
{
	const uint64_t *args = (const uint64_t *)(rec + 1);
	struct image *i = image(d, rec->process);
	struct items it = {.n = 0};
	struct trace_call c = {0};
	const char *p;

	if (!i || rec->fn >= KT_NAMES || rec->nargs > 6 ||
		left < 8u * rec->nargs)
		return;
	tell(i);
	p = (const char *)(args + rec->nargs);
	left -= 8 * rec->nargs;
	for (unsigned int k = 0; k < rec->nitems && it.n < 8; k++) {
		const struct kt_item *item = (const void *)p;
		size_t len;

		if (left < sizeof(*item))
			return;
		len = sizeof(*item) + ((item->len + 7u) & ~7u);
		if (left < len)
			return;
		take_item(d, rec, &it, item);
		p += len;
		left -= len;
	}
	c.process = &i->p;
	c.tid = rec->tid;
	c.t = rec->t;
	c.dur = rec->dur;
	c.fn = names[rec->fn].name;
	c.version = i->versions ? i->versions[rec->fn] : "";
	c.sys = rec->sys;
	c.fd = rec->fd;
	c.ep = endpoint_id(d, rec->ep);
	c.made = accepted(d, rec, born);
	c.nargs = rec->nargs;
	memcpy(c.args, args, 8 * rec->nargs);
	c.ret = rec->ret;
	c.cut = rec->err == KT_CUT;
	c.err = c.cut ? 0 : rec->err;
	c.escape = TRACE_COVERED;
	/* Seen is that there is a ring, not what the kernel does for it. */
	if (c.sys >= SYS_io_uring_setup && c.sys <= SYS_io_uring_register) {
		c.escape = TRACE_URING;
		c.fn = c.version = "";
	}
	c.stack = stack_of(d, rec->stack);
	c.caller = rec->caller;
	c.nitems = it.n;
	c.items = it.v;
	trace_emit_call(&c);
	d->calls++;
}

/* Rings */

static void
futex(kmap_a32 *word, int op, uint32_t val, const struct timespec *t)
{
	kmap_syscall(SYS_futex, word, op, val, t, NULL, 0);
}

/* Lets the writer have what was read. */
static void
release(struct trace_drain *d, uint32_t i)
{
	struct kt_ring *ring = kt_ring(d->r, i);
	struct cursor *c = &d->rings[i];

	if (c->told == c->tail)
		return;
	c->told = c->tail;
	a_store_rel(&ring->tail, c->tail);
	/* The writer says that it waits, then looks at tail again. */
	a_fence();
	if (a_load(&ring->waiting)) {
		a_store(&ring->waiting, 0);
		a_count(&ring->moved, 1);
		futex(&ring->moved, FUTEX_WAKE, 1, NULL);
	}
}

/* Once: it may be another one the next time. */
static uint16_t
read_len(const struct kt_rec *rec)
{
	return __atomic_load_n(&rec->len, __ATOMIC_RELAXED);
}

/* What lies behind the record that is looked at is none of its. */
static void
beyond(struct trace_drain *d, size_t len)
{
#ifdef __SANITIZE_ADDRESS__
	ASAN_UNPOISON_MEMORY_REGION(d->rec, len);
	ASAN_POISON_MEMORY_REGION(d->rec + len, sizeof(d->rec) - len);
#else
	(void)d;
	(void)len;
#endif
}

/*
 * Goes to the next record that is one, up to c->seen. False: there is none.
 * What cannot be a record makes all that is there unreadable.
 */
static bool
next(struct trace_drain *d, uint32_t i)
{
	const char *data = kt_ring_data(d->r, i);
	struct cursor *c = &d->rings[i];

	while (c->tail != c->seen) {
		uint64_t off = c->tail & (KT_RING_BYTES - 1);
		const struct kt_rec *rec = (const void *)(data + off);
		size_t len = 8 * (size_t)read_len(rec);
		bool pad = rec->type == KT_PAD;

		if (!len || len > c->seen - c->tail ||
			off + len > KT_RING_BYTES ||
			(!pad && (len < sizeof(*rec) || len > KT_MAX_RECORD))) {
			d->lost++;
			c->tail = c->seen;
			return false;
		}
		if (pad) {
			c->tail += len;
			continue;
		}
		c->key = rec->t + rec->dur;
		return true;
	}
	return false;
}

static void
down(struct trace_drain *d, size_t at)
{
	uint32_t me = d->heap[at];

	for (;;) {
		size_t kid = 2 * at + 1;

		if (kid >= d->nheap)
			break;
		if (kid + 1 < d->nheap &&
			d->rings[d->heap[kid + 1]].key <
				d->rings[d->heap[kid]].key)
			kid++;
		if (d->rings[me].key <= d->rings[d->heap[kid]].key)
			break;
		d->heap[at] = d->heap[kid];
		at = kid;
	}
	d->heap[at] = me;
}

static void
take(struct trace_drain *d, uint32_t i)
{
	struct cursor *c = &d->rings[i];
	const char *at =
		kt_ring_data(d->r, i) + (c->tail & (KT_RING_BYTES - 1));
	struct kt_rec *rec = (struct kt_rec *)d->rec;
	size_t len = 8 * (size_t)read_len((const void *)at);

	/* A copy, because a program run wild may still be writing there: the
	 * length is not what `next` saw, and must not lead past the end. */
	if (len < sizeof(*rec) || len > sizeof(d->rec) ||
		len > c->seen - c->tail)
		len = sizeof(*rec);
	beyond(d, len);
	memcpy(rec, at, len);
	c->tail += len;
	if (c->tail - c->told >= KT_RING_BYTES / 8)
		release(d, i);
	len -= sizeof(*rec);
	switch (rec->type) {
	case KT_CALL:
		take_call(d, rec, len, c->born);
		c->born = 0;
		break;
	case KT_PROCESS:
		take_process(d, rec, len);
		break;
	case KT_MODULE:
		take_module(d, rec, len);
		break;
	case KT_ENDPOINT:
		take_endpoint(d, rec, len);
		c->born = rec->ep;
		break;
	default:
		break;
	}
}

/*
 * One pass over all rings; false when there was nothing at all.
 *
 * A record may speak of what another thread's record has told before it (an
 * fd that was accepted there). So the rings are looked at twice: what a
 * record from before the first look speaks of lies before the second, and
 * has the earlier time. Records are taken by time until one comes that only
 * the second look saw.
 */
static bool
pass(struct trace_drain *d)
{
	uint32_t top = a_load_acq(&d->r->top);

	if (top > KT_RINGS)
		top = KT_RINGS;
	for (uint32_t i = 0; i < top; i++)
		d->rings[i].sure = a_load_acq(&kt_ring(d->r, i)->published);
	atomic_thread_fence(memory_order_seq_cst);
	top = a_load_acq(&d->r->top);
	if (top > KT_RINGS)
		top = KT_RINGS;
	d->nheap = 0;
	for (uint32_t i = 0; i < top; i++) {
		struct cursor *c = &d->rings[i];
		uint64_t seen = a_load_acq(&kt_ring(d->r, i)->published);

		/* A handler may have taken it back for a moment. */
		if (seen - c->tail > KT_RING_BYTES)
			continue;
		/* Records begin at multiples of 8; who says otherwise lies. */
		c->seen = seen & ~UINT64_C(7);
		if (next(d, i))
			d->heap[d->nheap++] = i;
		else
			release(d, i);
	}
	if (!d->nheap)
		return false;
	for (size_t i = d->nheap / 2; i-- > 0;)
		down(d, i);
	while (d->nheap) {
		uint32_t i = d->heap[0];
		struct cursor *c = &d->rings[i];

		if ((int64_t)(c->sure - c->tail) <= 0)
			break;
		take(d, i);
		if (!next(d, i)) {
			release(d, i);
			d->heap[0] = d->heap[--d->nheap];
		}
		if (d->nheap)
			down(d, 0);
	}
	for (size_t i = 0; i < d->nheap; i++)
		release(d, d->heap[i]);
	return true;
}

/* Rings whose thread or process is gone, and that were read: for others. */
static void
reap(struct trace_drain *d)
{
	uint32_t top = a_load(&d->r->top);

	for (uint32_t i = 0; i < top && i < KT_RINGS; i++) {
		struct kt_ring *ring = kt_ring(d->r, i);
		struct cursor *c = &d->rings[i];
		uint32_t state = a_load_acq(&ring->state);

		if (state == KT_USED && ring->pid && ring->pidns &&
			ring->pidns == d->pidns && kill(ring->pid, 0) < 0 &&
			errno == ESRCH) {
			a_cas(&ring->state, (uint32_t)KT_USED,
				(uint32_t)KT_ENDED);
			state = KT_ENDED;
		}
		if (state != KT_ENDED ||
			a_load_acq(&ring->published) != c->tail)
			continue;
		/* Memory beyond what a few threads use goes back. */
		if (i >= KT_KEPT)
			madvise(kt_ring_data(d->r, i), KT_RING_BYTES,
				MADV_REMOVE);
		memset(c, 0, sizeof(*c));
		a_store(&ring->head, 0);
		a_store(&ring->published, 0);
		a_store(&ring->tail, 0);
		a_store(&ring->waiting, 0);
		a_store(&ring->inside, KT_OUTSIDE);
		ring->pid = ring->tid = 0;
		a_store_rel(&ring->state, (uint32_t)KT_FREE);
	}
}

static void
chores(struct trace_drain *d)
{
	uint64_t now = kmap_now();

	if (now - d->last_look > 100000000) {
		d->last_look = now;
		reap(d);
	}
	if (!d->said && a_load(&d->r->error)) {
		d->said = true;
		fprintf(stderr,
			"kmap-trace: recording stopped: no room in %s (%s); "
			"the program runs on, what was recorded is kept\n",
			d->path, strerror(a_load(&d->r->error)));
	}
	if (now - d->last_tick > 1000000000) {
		d->last_tick = now;
		trace_emit_tick();
	}
}

long
trace_drain_poll(struct trace_drain *d, int timeout_ms)
{
	struct timespec ts;
	long before = d->calls;
	uint32_t v;
	int tries;

	if (!d->open)
		return 0;
	for (tries = 0; tries < 64 && pass(d); tries++)
		;
	chores(d);
	if (tries || timeout_ms <= 0)
		return d->calls - before;
	/*
	 * The writer wakes us when a good part of its ring is full. What is
	 * less is fetched a little later: a wake-up costs the program more
	 * than a record does.
	 */
	v = a_load(&d->r->wake);
	a_xchg(&d->r->asleep, 1);
	if (timeout_ms > 20)
		timeout_ms = 20;
	ts.tv_sec = 0;
	ts.tv_nsec = timeout_ms * 1000000l;
	futex(&d->r->wake, FUTEX_WAIT, v, &ts);
	a_store(&d->r->asleep, 0);
	while (pass(d) && tries++ < 64)
		;
	chores(d);
	return d->calls - before;
}

/* All that has been written by now. */
static void
drain_all(struct trace_drain *d)
{
	/* A program that never stops writing is not waited for. */
	for (int i = 0; i < 4096 && pass(d); i++)
		;
}

void
trace_drain_exited(struct trace_drain *d, pid_t pid, int status)
{
	struct image *last = NULL;

	if (!d->open)
		return;
	drain_all(d);
	for (size_t i = 0; i < d->nimages; i++)
		if (d->images[i] && d->images[i]->p.pid == pid &&
			d->images[i]->p.status < 0)
			last = d->images[i];
	if (!last)
		return;
	tell(last);
	last->p.status = status;
	trace_emit_process(&last->p);
}

const struct trace_process *
trace_drain_process(struct trace_drain *d, pid_t pid)
{
	for (size_t i = d->nimages; i-- > 0;)
		if (d->images[i] && d->images[i]->exe &&
			d->images[i]->p.pid == pid &&
			d->images[i]->p.status < 0) {
			tell(d->images[i]);
			return &d->images[i]->p;
		}
	return NULL;
}

bool
trace_drain_waiting(const struct trace_drain *d)
{
	uint32_t top = a_load(&d->r->top), i;

	for (i = 0; i < top && i < KT_RINGS; i++) {
		const struct kt_ring *ring = kt_ring(d->r, i);

		if (a_load(&ring->state) != KT_USED)
			continue;
		switch (a_load(&ring->inside)) {
		case KT_accept + 1:
		case KT_accept4 + 1:
		case KT_poll + 1:
		case KT___poll + 1:
		case KT___poll_chk + 1:
		case KT_ppoll + 1:
		case KT___ppoll_chk + 1:
		case KT_select + 1:
		case KT___select + 1:
		case KT_pselect + 1:
		case KT_epoll_wait + 1:
		case KT_epoll_pwait + 1:
		case KT_epoll_pwait2 + 1:
			return true;
		}
	}
	return false;
}

const char *
trace_drain_programs(const struct trace_drain *d, size_t *len)
{
	/* What nobody has written, or not to its end, is empty. */
	for (*len = sizeof(d->programs) - 1; *len && !d->programs[*len - 1];)
		--*len;
	++*len;
	return d->programs;
}

uint64_t
trace_drain_lost(const struct trace_drain *d)
{
	return d->lost + (d->open ? a_load(&d->r->lost) : 0);
}

void
trace_drain_close(struct trace_drain *d)
{
	if (!d->open)
		return;
	a_xchg(&d->r->stop, 1);
	/* Those that wait for room go on by themselves. */
	drain_all(d);
	chores(d);
	for (size_t i = 0; i < d->nimages; i++)
		if (d->images[i] && d->images[i]->exe)
			tell(d->images[i]);
	d->lost += a_load(&d->r->lost);
	/* Not from the mapping: to look at a page that nobody has written
	 * takes room on the disk. */
	if (pread(d->fd, d->programs, KT_PROGRAMS_BYTES, KT_PROGRAMS_AT) < 0)
		d->programs[0] = 0;
	d->open = false;
	unlink(d->path);
	pthread_mutex_unlock(&d->r->alive);
	munmap(d->r, KT_REGION_BYTES);
	close(d->fd);
}

void
trace_drain_free(struct trace_drain *d)
{
	if (!d)
		return;
	trace_drain_close(d);
	for (size_t i = 0; i < d->nimages; i++) {
		struct image *im = d->images[i];

		if (!im)
			continue;
		/* Paths of modules stay: children share them. */
		free(im->modules);
		free(im->exe);
		free(im->cmdline);
		free(im);
	}
	free(d->images);
	for (size_t i = 0; i < d->eps.size; i++)
		free((void *)d->eps.slots[i].value);
	free(d->eps.slots);
	for (size_t i = 0; i < d->stacks.size; i++)
		free((void *)d->stacks.slots[i].value);
	free(d->stacks.slots);
	free(d->sets.slots);
	free(d->rings);
	free(d->heap);
	free(d->path);
	free(d);
}

const char *
trace_fn_base(const char *fn)
{
	for (size_t i = 0; i < KT_NAMES; i++)
		if (!strcmp(fn, names[i].name))
			return names[i].base;
	return fn;
}
