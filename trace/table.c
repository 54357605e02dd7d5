/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Gathers what was traced and writes the interception table. While the
 * program runs only numbers are counted; names are made at the end, because
 * whether a port is the program's choice or the kernel's shows late.
 */
#include "config.h"

#include "table.h"

#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "decode.h"
#include "elf-file.h"
#include "out.h"
#include "region.h"
#include "sinks.h"
#include "symbol.h"
#include "table-file.h"

#ifndef TCP_ULP
#define TCP_ULP 31
#endif
#ifndef FIOASYNC
#define FIOASYNC 0x5452
#endif

/* ---- numbers: (a, b) -> n ---- */

struct tally {
	struct pair {
		uint64_t a, b, n;
	} * p;
	size_t room, used;
};

static uint64_t
mix(uint64_t a, uint64_t b)
{
	uint64_t h = (a + 0x9e3779b97f4a7c15u) * 0xbf58476d1ce4e5b9u ^ b;

	h *= 0x94d049bb133111ebu;
	return h ^ h >> 29;
}

static struct pair *
place(struct pair *p, size_t room, uint64_t a, uint64_t b)
{
	size_t i = mix(a, b) & (room - 1);

	while (p[i].n && (p[i].a != a || p[i].b != b))
		i = (i + 1) & (room - 1);
	return &p[i];
}

/* The number of a pair, 0 the first time: it must not stay 0. */
static uint64_t *
tally(struct tally *t, uint64_t a, uint64_t b)
{
	struct pair *p;

	if (2 * t->used >= t->room) {
		size_t room = t->room ? 2 * t->room : 256;
		struct pair *old = t->p;

		t->p = xcalloc(room, sizeof(*t->p));
		for (size_t i = 0; i < t->room; i++)
			if (old[i].n)
				*place(t->p, room, old[i].a, old[i].b) = old[i];
		free(old);
		t->room = room;
	}
	p = place(t->p, t->room, a, b);
	if (!p->n) {
		p->a = a;
		p->b = b;
		t->used++;
	}
	return &p->n;
}

/* The same without leaving a trace of the question. */
static uint64_t
told(const struct tally *t, uint64_t a, uint64_t b)
{
	return t->room ? place(t->p, t->room, a, b)->n : 0;
}

/* ---- sets of strings ---- */

struct words {
	char **w;
	size_t n;
};

static void
word_add(struct words *s, const char *w)
{
	for (size_t i = 0; i < s->n; i++)
		if (!strcmp(s->w[i], w))
			return;
	s->w = xrealloc(s->w, (s->n + 1) * sizeof(*s->w));
	s->w[s->n++] = xstrdup(w);
}

/* ---- what is gathered ---- */

enum reason {
	URING,
	RAW_WAIT,
	RAW_IO,
	STDIO,
	PASSED,
	ORIGIN,
	URGENT,
	ASYNC,
	ULP,
	REMOTE,
	REASONS,
};

static const struct {
	const char *word, *sentence;
} reasons[REASONS] = {
	[URING] = {"io-uring",
		"io_uring reads and writes it where no wrapper "
		"sees it"},
	[RAW_WAIT] = {"raw-wait",
		"the program waits for it by system calls "
		"of its own"},
	[RAW_IO] = {"raw-io",
		"system calls of the program's own read or "
		"write it"},
	[STDIO] = {"stdio",
		"it is under stdio or aio, which read and write "
		"inside libc"},
	[PASSED] = {"passed", "it is handed to another process or program"},
	[ORIGIN] = {"origin", "no call says where it comes from"},
	[URGENT] = {"urgent",
		"it sends or looks for urgent data, or lets the "
		"kernel send from the program's memory"},
	[ASYNC] = {"async", "it asks for signals (O_ASYNC)"},
	[ULP] = {"ulp", "the kernel works on its bytes (TCP_ULP)"},
	[REMOTE] = {"remote", "the other end is on another machine"},
};

/* What of a function's calls is looked at: known once for its name. */
enum is {
	IS_STDIO = 1,
	IS_FLAGS2 = 2, /* MSG_… in its third argument … */
	IS_FLAGS3 = 4, /* … or in its fourth */
	IS_MARK = 8,
	IS_IOCTL = 16,
	IS_FCNTL = 32,
	IS_SETSOCKOPT = 64,
	IS_EPOLL_CTL = 128,
	IS_EPOLL_WAIT = 256,
	IS_SELECT = 512,
	IS_SENDM = 1024,
	IS_BIND = 2048,
	IS_CONNECT = 4096,
	IS_LISTEN = 8192,
	IS_SECCOMP = 16384, /* or may be */
};

struct function {
	char *name, *version;
	const char *plain;
	unsigned int is; /* bits of enum is */
	uint8_t shape; /* see shape_of */
	uint64_t count;
	struct words flags, options, modules;
	uint32_t *eps;
	size_t neps, eps_room;
};

struct path {
	uint32_t fn;
	size_t n;
	const char *const *frames;
	uint64_t count;
};

/* What an endpoint was seen to do. */
struct seen {
	bool used;
	bool listens;
	uint32_t reasons; /* bits of enum reason */
	uint32_t by; /* the first image that used it */
	char bound[112]; /* what bind() was given */
	char dest[112]; /* what connect() was given */
	uint64_t polls; /* an epoll set's waits */
	uint32_t kinds; /* … and what it had in it: bits of trace_kind */
};

struct image {
	const struct trace_process *p;
	char *exe, *cmdline, build_id[41];
	uint64_t calls;
};

struct escape {
	enum trace_escape cause;
	int sys;
	char *via;
	bool matters; /* for an endpoint of TCP */
	uint64_t count;
	struct words endpoints;
	uint32_t *eps;
	size_t neps;
};

static struct trace_table_conf conf;
static struct trace_table_result result;

static struct function *fns;
static size_t nfns;
static struct path *paths;
static size_t npaths;
static struct seen *seen;
static size_t nseen;
static struct image *images;
static size_t nimages;
static struct escape *escapes;
static size_t nescapes;
static struct tally t_callers, t_eps, t_sites, t_paths, t_shapes, t_fds,
	t_members, t_polls, t_polled, t_pids, t_passed;
static uint64_t ncalls;
static bool inert, uring;
static long own_filters;
static pid_t parent; /* of the program: kmap-trace */

static struct seen *
seen_of(uint32_t ep)
{
	if (ep >= nseen) {
		size_t n = ep + 64 + nseen;

		seen = xrealloc(seen, n * sizeof(*seen));
		memset(seen + nseen, 0, (n - nseen) * sizeof(*seen));
		nseen = n;
	}
	return &seen[ep];
}

static bool
is_tcp(const struct trace_endpoint *e)
{
	return e && (e->kind == TRACE_TCP || e->kind == TRACE_LISTEN);
}

/* ---- functions ---- */

/* Which of a function's arguments say how it is called, in bits; EVENTS: and
 * the events it waits for. Decoding is for the first of each kind. */
enum {
	EVENTS = 128
};

static uint8_t
shape_of(const char *plain)
{
	static const struct {
		const char *name;
		uint8_t args;
	} what[] = {
		{"recv", 8},
		{"recvfrom", 8},
		{"recvmsg", 4},
		{"recvmmsg", 8},
		{"send", 8},
		{"sendto", 8},
		{"sendmsg", 4},
		{"sendmmsg", 8},
		{"accept4", 8},
		{"epoll_create1", 1},
		{"eventfd", 2},
		{"pipe2", 2},
		{"dup3", 4},
		{"splice", 32},
		{"tee", 8},
		{"preadv2", 16},
		{"pwritev2", 16},
		{"socket", 3},
		{"socketpair", 3},
		{"shutdown", 2},
		{"epoll_ctl", 2 | EVENTS},
		{"fcntl", 6},
		{"ioctl", 2},
		{"setsockopt", 6},
		{"getsockopt", 6},
		{"poll", EVENTS},
		{"ppoll", EVENTS},
	};

	for (size_t i = 0; i < sizeof(what) / sizeof(what[0]); i++)
		if (!strcmp(what[i].name, plain))
			return what[i].args;
	return 0;
}

static uint64_t
shape(const struct function *f, const struct trace_call *c)
{
	struct trace_poll p;
	uint64_t h = 1;

	for (int a = 0; a < c->nargs && a < 6; a++)
		if (f->shape & 1 << a)
			h = mix(h, c->args[a] & 0xffffffff);
	for (size_t k = 0; (f->shape & EVENTS) && k < c->nitems; k++) {
		const struct trace_item *it = &c->items[k];
		uint64_t events = 0;

		if (it->type != TRACE_ITEM_POLL && it->type != TRACE_ITEM_EPOLL)
			continue;
		for (size_t at = 0; at + sizeof(p) <= it->len;
			at += sizeof(p)) {
			memcpy(&p, (const char *)it->data + at, sizeof(p));
			events |= p.events;
		}
		h = mix(h, events);
	}
	return h;
}

static bool
any_of(const char *name, const char *const *list)
{
	for (; *list; list++)
		if (!strcmp(name, *list))
			return true;
	return false;
}

static const char *const stdio_names[] = {"fdopen", "freopen", "fread",
	"fwrite", "fgets", "fputs", "getline", "vfprintf", "fprintf",
	"vdprintf", "dprintf", "fflush", "fclose", "aio_read", "aio_write",
	NULL};

static unsigned int
what_is(const char *n)
{
	static const struct {
		const char *name;
		unsigned int is;
	} what[] = {
		{"send", IS_FLAGS3},
		{"sendto", IS_FLAGS3},
		{"recv", IS_FLAGS3},
		{"recvfrom", IS_FLAGS3},
		{"sendmsg", IS_FLAGS2 | IS_SENDM},
		{"sendmmsg", IS_SENDM},
		{"recvmsg", IS_FLAGS2},
		{"sockatmark", IS_MARK},
		{"ioctl", IS_IOCTL},
		{"fcntl", IS_FCNTL},
		{"setsockopt", IS_SETSOCKOPT},
		{"epoll_ctl", IS_EPOLL_CTL},
		{"epoll_wait", IS_EPOLL_WAIT},
		{"epoll_pwait", IS_EPOLL_WAIT},
		{"epoll_pwait2", IS_EPOLL_WAIT},
		{"select", IS_SELECT},
		{"pselect", IS_SELECT},
		{"pselect6", IS_SELECT},
		{"bind", IS_BIND},
		{"connect", IS_CONNECT},
		{"listen", IS_LISTEN},
		{"prctl", IS_SECCOMP},
		{"syscall", IS_SECCOMP},
		{"seccomp", IS_SECCOMP},
	};

	if (any_of(n, stdio_names))
		return IS_STDIO;
	for (size_t i = 0; i < sizeof(what) / sizeof(what[0]); i++)
		if (!strcmp(what[i].name, n))
			return what[i].is;
	return 0;
}

static uint32_t
function(const char *name, const char *version)
{
	/* Names come by the same pointer, mostly. */
	static struct {
		const char *name, *version;
		uint32_t fn;
	} last[256];
	size_t h = ((uintptr_t)name >> 3 ^ (uintptr_t)version >> 4) % 256;
	struct function *f;
	uint32_t i;

	if (last[h].name == name && last[h].version == version &&
		!strcmp(fns[last[h].fn].name, name) &&
		!strcmp(fns[last[h].fn].version, version))
		return last[h].fn;
	for (i = 0; i < nfns; i++)
		if (!strcmp(fns[i].name, name) &&
			!strcmp(fns[i].version, version))
			break;
	if (i == nfns) {
		if (!(nfns & (nfns - 1)))
			fns = xrealloc(
				fns, (nfns ? 2 * nfns : 1) * sizeof(*fns));
		f = &fns[nfns++];
		*f = (struct function){
			.name = xstrdup(name),
			.version = xstrdup(version),
			.plain = trace_plain_name(name),
		};
		f->plain = xstrdup(f->plain);
		f->is = what_is(f->plain);
		f->shape = shape_of(f->plain);
	}
	last[h].name = name;
	last[h].version = version;
	last[h].fn = i;
	return i;
}

/* The version that the caller's module asks for, where the recorder does not
 * say. */
static uint32_t
function_of(const struct trace_call *c)
{
	uint32_t i = function(c->fn, c->version);
	uint64_t *n;

	if (c->version[0] || !c->caller)
		return i;
	n = tally(&t_sites, (uint64_t)i << 32 | c->process->id, c->caller);
	if (!*n) {
		const struct trace_site *s =
			trace_call_site(c->process, c->caller, c->fn);

		*n = 1 +
			(!strcmp(s->name, c->fn) && s->version[0]
					? function(c->fn, s->version)
					: i);
	}
	return (uint32_t)(*n - 1);
}

static void
strings_in(const char *s, const char *end, struct words *to)
{
	char w[64];

	for (; s < end && (s = memchr(s, '"', (size_t)(end - s))); s++) {
		const char *q = memchr(s + 1, '"', (size_t)(end - s - 1));

		if (!q)
			return;
		snprintf(w, sizeof(w), "%.*s", (int)(q - s - 1), s + 1);
		word_add(to, w);
		s = q;
	}
}

/* The names that decode gave to flags and options: "key":"X", "key":["X"]. */
static void
names_of(const char *json, const char *key, struct words *to)
{
	char want[32];
	size_t n = (size_t)snprintf(want, sizeof(want), "\"%s\":", key);

	for (; (json = strstr(json, want)); json++) {
		const char *v = json + n, *end = v;

		if (*v == '[')
			end = strchr(v, ']');
		else if (*v == '"')
			end = strchr(v + 1, '"') ? strchr(v + 1, '"') + 1 : v;
		if (end)
			strings_in(v, end, to);
	}
}

static void
learn_shape(struct function *f, const struct trace_call *c)
{
	struct trace_buf b = {0};

	trace_decode_json(&b, c, 0);
	if (b.s) {
		names_of(b.s, "flags", &f->flags);
		names_of(b.s, "type", &f->flags);
		names_of(b.s, "domain", &f->flags);
		names_of(b.s, "events", &f->flags);
		names_of(b.s, "optname", &f->options);
		names_of(b.s, "cmd", &f->options);
		names_of(b.s, "request", &f->options);
		names_of(b.s, "op", &f->options);
		names_of(b.s, "how", &f->options);
		if (!strcmp(f->plain, "fcntl") &&
			(c->args[1] == F_SETFL || c->args[1] == F_SETFD))
			names_of(b.s, "arg", &f->flags);
	}
	buf_free(&b);
}

static void
add_ep(struct function *f, uint32_t ep)
{
	if (f->neps == f->eps_room) {
		f->eps_room = f->eps_room ? 2 * f->eps_room : 8;
		f->eps = xrealloc(f->eps, f->eps_room * sizeof(*f->eps));
	}
	f->eps[f->neps++] = ep;
}

/* ---- what stands against an endpoint ---- */

static void
against(uint32_t ep, enum reason r)
{
	if (ep)
		seen_of(ep)->reasons |= 1u << r;
}

static void
look_at(const struct function *f, const struct trace_call *c)
{
	uint64_t a1 = c->nargs > 1 ? c->args[1] & 0xffffffff : 0;
	uint64_t a2 = c->nargs > 2 ? c->args[2] : 0, flags = 0;

	if (!f->is)
		return;
	if (f->is & IS_STDIO)
		against(c->ep, STDIO);
	else if (f->is & IS_FLAGS3)
		flags = c->nargs > 3 ? c->args[3] : 0;
	else if (f->is & IS_FLAGS2)
		flags = a2;
	else if ((f->is & IS_MARK) || (f->is & IS_IOCTL && a1 == SIOCATMARK))
		against(c->ep, URGENT);
	else if ((f->is & IS_IOCTL && a1 == FIOASYNC) ||
		(f->is & IS_FCNTL && a1 == F_SETFL && (a2 & O_ASYNC)))
		against(c->ep, ASYNC);
	else if (f->is & IS_SETSOCKOPT && a1 == IPPROTO_TCP && a2 == TCP_ULP)
		against(c->ep, ULP);
	if (flags & (MSG_OOB | MSG_ZEROCOPY | MSG_FASTOPEN))
		against(c->ep, URGENT);
}

/* An image that has not opened it and is not a fork of one that has. */
static void
used_by(uint32_t ep, const struct trace_process *p)
{
	struct seen *s = seen_of(ep);

	s->used = true;
	if (!s->by)
		s->by = p->id;
	else if (s->by != p->id && s->by <= nimages && p->id <= nimages &&
		images[s->by - 1].exe && images[p->id - 1].exe &&
		strcmp(images[s->by - 1].exe, images[p->id - 1].exe))
		against(ep, PASSED);
}

/* The text of an address that a call was given, or "". */
static const char *
address(const struct trace_call *c)
{
	for (size_t i = 0; i < c->nitems; i++)
		if (c->items[i].type == TRACE_ITEM_ADDR)
			return c->items[i].data;
	return NULL;
}

static void
take_address(char *to, size_t size, const struct trace_call *c)
{
	const char *a = address(c);

	for (size_t i = 0; a && i < c->nitems; i++)
		if (c->items[i].type == TRACE_ITEM_ADDR) {
			size_t n = strnlen(a, c->items[i].len);

			snprintf(to, size, "%.*s", (int)n, a);
			return;
		}
}

/* ---- sets of fds ---- */

static void
in_set(uint32_t set, uint32_t ep, uint32_t kind)
{
	struct seen *s = seen_of(set);

	s->kinds |= 1u << kind;
	if (ep)
		++*tally(&t_members, set, ep);
}

static void
waits(const struct function *f, const struct trace_call *c)
{
	bool epoll = f->is & IS_EPOLL_CTL, sel = f->is & IS_SELECT;
	struct trace_poll p;
	uint32_t kinds = 0;

	if (f->is & IS_EPOLL_WAIT) {
		if (c->ep)
			seen_of(c->ep)->polls++;
		return;
	}
	for (size_t i = 0; i < c->nitems; i++) {
		const struct trace_item *it = &c->items[i];

		if (it->type != (epoll ? TRACE_ITEM_EPOLL : TRACE_ITEM_POLL))
			continue;
		for (size_t at = 0; at + sizeof(p) <= it->len;
			at += sizeof(p)) {
			memcpy(&p, (const char *)it->data + at, sizeof(p));
			if (p.fd < 0 || p.kind > TRACE_FILE)
				continue;
			if (epoll)
				in_set(c->ep, p.ep, p.kind);
			else
				kinds |= 1u << p.kind;
		}
		if (epoll || !kinds)
			continue;
		++*tally(&t_polls, sel, kinds);
		for (size_t at = 0; at + sizeof(p) <= it->len;
			at += sizeof(p)) {
			memcpy(&p, (const char *)it->data + at, sizeof(p));
			if (p.fd >= 0 && p.ep)
				++*tally(&t_polled, (uint64_t)sel << 32 | kinds,
					p.ep);
		}
	}
}

/* ---- descriptors that leave ---- */

static void
passes(const struct function *f, const struct trace_call *c)
{
	if (!(f->is & IS_SENDM))
		return;
	for (size_t i = 0; i < c->nitems; i++) {
		const struct trace_item *it = &c->items[i];
		int fd;

		if (it->type != TRACE_ITEM_FDS)
			continue;
		for (size_t at = 0; at + sizeof(fd) <= it->len;
			at += sizeof(fd)) {
			memcpy(&fd, (const char *)it->data + at, sizeof(fd));
			uint64_t ep = told(&t_fds, (uint64_t)c->process->pid,
				(uint32_t)fd);
			const struct trace_endpoint *e =
				trace_endpoint_by_id((uint32_t)ep);

			if (!e)
				continue;
			++*tally(&t_passed, ep, 0);
			/* A listener may be passed: whoever gets it accepts
			 * by itself. */
			if (e->kind == TRACE_TCP)
				against((uint32_t)ep, PASSED);
		}
	}
}

/* ---- escapes ---- */

static bool
moves_bytes(int sys)
{
	static const char *const names[] = {"read", "readv", "preadv2",
		"recvfrom", "recvmsg", "recvmmsg", "write", "writev",
		"pwritev2", "sendto", "sendmsg", "sendmmsg", "sendfile",
		"splice", "tee", "vmsplice", "copy_file_range", NULL};

	return any_of(trace_sys_name(sys), names);
}

static bool
is_wait(int sys)
{
	static const char *const names[] = {"poll", "ppoll", "select",
		"pselect6", "epoll_wait", "epoll_pwait", "epoll_pwait2",
		"epoll_ctl", NULL};

	return any_of(trace_sys_name(sys), names);
}

/* The libc function that the program called: the last frame of libc before
 * the first that is not, counted from the inside. */
static void
libc_function(const struct trace_call *c, char *buf, size_t size)
{
	const char *const *names;

	buf[0] = '\0';
	if (!c->stack || !c->stack->n)
		return;
	names = trace_stack_names(c->process, c->stack);
	for (size_t i = 0; i < c->stack->n; i++) {
		const char *bang = strchr(names[i], '!');

		if (strncmp(names[i], "libc.so", 7) &&
			strncmp(names[i], "libc-", 5))
			return;
		if (bang)
			snprintf(buf, size, "%.*s", (int)strcspn(bang + 1, "+"),
				bang + 1);
	}
}

/*
 * What it means for TCP endpoints that move; DESIGN: closes inside libc show
 * when the number comes back. The library covers syscall(2) as the recorder
 * does: a call that passed the one by passes the other by.
 */
static bool
escape_matters(const struct trace_call *c)
{
	bool bytes = moves_bytes(c->sys), wait = is_wait(c->sys);

	switch (c->escape) {
	case TRACE_LIBC:
		return bytes || wait;
	case TRACE_RAW:
	case TRACE_INLINE:
	case TRACE_URING:
		return true;
	default:
		return false;
	}
}

static void
escaped(const struct trace_call *c)
{
	const struct trace_endpoint *e = trace_endpoint_by_id(c->ep);
	struct trace_poll p;
	struct escape *x;
	char via[128] = "";
	bool matters = escape_matters(c);
	size_t i;

	/* Many programs only ask whether there is such a thing. */
	if (c->escape == TRACE_URING && c->ret >= 0)
		uring = true;
	if (c->fn[0])
		snprintf(via, sizeof(via), "%s", c->fn);
	else if (c->escape == TRACE_LIBC)
		libc_function(c, via, sizeof(via));
	for (i = 0; i < nescapes; i++)
		if (escapes[i].cause == c->escape && escapes[i].sys == c->sys &&
			!strcmp(escapes[i].via, via))
			break;
	if (i == nescapes) {
		escapes = xrealloc(escapes, (nescapes + 1) * sizeof(*escapes));
		escapes[nescapes++] = (struct escape){
			.cause = c->escape,
			.sys = c->sys,
			.via = xstrdup(via),
		};
	}
	x = &escapes[i];
	x->count++;
	if (c->ep && !*tally(&t_eps, ((uint64_t)1 << 40) + i, c->ep)) {
		*tally(&t_eps, ((uint64_t)1 << 40) + i, c->ep) = 1;
		x->eps = xrealloc(x->eps, (x->neps + 1) * sizeof(*x->eps));
		x->eps[x->neps++] = c->ep;
	}
	if (!matters)
		return;
	if (is_tcp(e)) {
		x->matters = true;
		against(c->ep,
			c->escape == TRACE_LIBC		   ? STDIO
				: c->escape == TRACE_URING ? URING
				: is_wait(c->sys)	   ? RAW_WAIT
							   : RAW_IO);
	}
	/* A set's members are known at the end. */
	if (e && e->kind == TRACE_EPOLL)
		against(c->ep, RAW_WAIT);
	for (size_t k = 0; k < c->nitems; k++) {
		const struct trace_item *it = &c->items[k];

		if (it->type != TRACE_ITEM_POLL && it->type != TRACE_ITEM_EPOLL)
			continue;
		for (size_t at = 0; at + sizeof(p) <= it->len;
			at += sizeof(p)) {
			memcpy(&p, (const char *)it->data + at, sizeof(p));
			if (!is_tcp(trace_endpoint_by_id(p.ep)))
				continue;
			x->matters = true;
			against(p.ep, RAW_WAIT);
		}
	}
}

/* ---- seccomp ---- */

/* How many filters a process has; our own have been inherited by it. */
static long
filters_of(pid_t pid)
{
	char path[64], line[256];
	long n = -1;
	FILE *f;

	if (pid)
		snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	else
		strcpy(path, "/proc/self/status");
	f = fopen(path, "re");
	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "Seccomp_filters: %ld", &n) == 1)
			break;
	fclose(f);
	return n;
}

static void
look_for_filters(const struct trace_process *p)
{
	if (!inert && filters_of(p->pid) > own_filters)
		inert = true;
}

/* prctl(2), seccomp(2): 0 and 1 are the strict mode and a filter. */
static bool
installs_filter(const struct trace_call *c)
{
	const char *sys = c->sys >= 0 ? trace_sys_name(c->sys) : "";

	if (c->nargs < 1)
		return false;
	if (!strcmp(sys, "seccomp"))
		return c->args[0] < 2;
	return (!strcmp(sys, "prctl") || !strcmp(c->fn, "prctl")) &&
		c->args[0] == PR_SET_SECCOMP;
}

/* ---- the sink ---- */

static void
table_process(void *arg, const struct trace_process *p)
{
	struct image *i;

	(void)arg;
	if (p->id > nimages) {
		images = xrealloc(images, p->id * sizeof(*images));
		memset(images + nimages, 0,
			(p->id - nimages) * sizeof(*images));
		nimages = p->id;
	}
	i = &images[p->id - 1];
	i->p = p;
	if (!i->exe || strcmp(i->exe, p->exe)) {
		free(i->exe);
		i->exe = tv_clean(p->exe);
	}
	if (!i->cmdline)
		i->cmdline = xstrdup(p->cmdline ? p->cmdline : "");
	*tally(&t_pids, 0, (uint64_t)p->pid) = 1;
	for (size_t k = 0; k < p->nmodules && !i->build_id[0]; k++)
		if (!strcmp(p->modules[k].path, p->exe))
			snprintf(i->build_id, sizeof(i->build_id), "%s",
				p->modules[k].build_id);
}

static void
path_count(uint32_t fn, const struct trace_call *c)
{
	uint64_t *n = tally(
		&t_paths, (uint64_t)fn << 32 | c->process->id, c->stack->id);

	if (!*n) {
		if (!(npaths & (npaths - 1)))
			paths = xrealloc(paths,
				(npaths ? 2 * npaths : 1) * sizeof(*paths));
		paths[npaths] = (struct path){
			.fn = fn,
			.n = c->stack->n,
			.frames = trace_stack_names(c->process, c->stack),
		};
		*n = ++npaths;
	}
	paths[*n - 1].count++;
}

static void
table_call(void *arg, const struct trace_call *c)
{
	struct function *f;
	uint32_t fn;
	uint64_t *n;

	(void)arg;
	ncalls++;
	/* Ever more rarely, beside the ticks: a short program shows, too. */
	if (c->process->id <= nimages) {
		n = &images[c->process->id - 1].calls;
		++*n;
		if (!(*n & (*n - 1)))
			look_for_filters(c->process);
	}
	if (c->ep)
		used_by(c->ep, c->process);
	if (c->ep && c->fd >= 0) {
		n = tally(&t_fds, (uint64_t)c->process->pid, (uint32_t)c->fd);
		*n = c->ep;
	}
	if (c->escape != TRACE_COVERED) {
		escaped(c);
		/* What was called is the system call, where no function was. */
		if (c->stack && c->stack->n)
			path_count(function(c->fn[0] ? c->fn
						     : trace_sys_name(c->sys),
					   ""),
				c);
		return;
	}
	fn = function_of(c);
	f = &fns[fn];
	if (f->is & IS_SECCOMP)
		inert |= installs_filter(c);
	f->count++;
	n = tally(&t_eps, fn, c->ep);
	if (!(*n)++ && c->ep)
		add_ep(f, c->ep);
	n = tally(&t_callers, (uint64_t)fn << 32 | c->process->id, c->caller);
	if (!(*n)++ && c->caller) {
		const struct trace_module *m =
			trace_module_at(c->process, c->caller);

		word_add(&f->modules,
			m && m->path[0] ? basename(m->path) : "[anon]");
	}
	if (f->shape && !(*tally(&t_shapes, fn, shape(f, c)))++)
		learn_shape(f, c);
	if (c->stack && c->stack->n)
		path_count(fn, c);
	look_at(f, c);
	waits(f, c);
	passes(f, c);
	if (c->ep && f->is & IS_BIND && c->ret == 0)
		take_address(seen_of(c->ep)->bound, 112, c);
	if (c->ep && f->is & IS_LISTEN && c->ret == 0)
		seen_of(c->ep)->listens = true;
	if (c->ep && f->is & IS_CONNECT)
		take_address(seen_of(c->ep)->dest, 112, c);
}

static void
table_tick(void *arg)
{
	(void)arg;
	for (size_t i = 0; i < nimages; i++)
		if (images[i].p && images[i].p->status < 0)
			look_for_filters(images[i].p);
}

/* ---- names at last ---- */

struct class
{
	char kind[8], role[8], address[160], name[180];
	unsigned int count;
	uint32_t reasons;
};

static struct class *classes;
static size_t nclasses;
static struct words free_ports; /* of listeners, by the kernel's choice */
static uint32_t *listeners; /* endpoints */
static size_t nlisteners;

static const char *
port_of(const char *addr)
{
	const char *colon = strrchr(addr, ':');

	return colon ? colon + 1 : "";
}

/* What accepted it. Of a connection older than the trace no call says so: what
 * listens on its port has. */
static const struct trace_endpoint *
listener_of(const struct trace_endpoint *e)
{
	if (e->origin != TRACE_BY_BEFORE || e->connected || !e->peer[0])
		return trace_endpoint_by_id(e->listener);
	for (size_t i = 0; i < nlisteners; i++) {
		const struct trace_endpoint *l =
			trace_endpoint_by_id(listeners[i]);

		if (!strcmp(port_of(l->local), port_of(e->local)))
			return l;
	}
	return NULL;
}

static bool
is_accepted(
	const struct trace_endpoint *e, const struct trace_endpoint *listener)
{
	switch (e->origin) {
	case TRACE_BY_ACCEPT:
		return true;
	case TRACE_BY_SOCKET:
		return false;
	case TRACE_BY_BEFORE:
		return listener;
	default:
		return !e->connected && e->peer[0];
	}
}

/* Did the kernel choose the port? */
static bool
port_is_free(const struct trace_endpoint *e)
{
	const struct seen *s = seen_of(e->id);

	if (s->bound[0])
		return !strcmp(port_of(s->bound), "0");
	return e->origin == TRACE_BY_SOCKET;
}

/* An address as a table writes it; what is none becomes a wildcard. */
static void
pattern(char *to, size_t size, const char *addr, bool any_port)
{
	struct kmap_pattern p;
	char host[120];
	const char *port = port_of(addr);
	int n = (int)(port > addr ? port - addr - 1 : 0);
	char *scope;

	snprintf(host, sizeof(host), "%.*s", n, addr);
	scope = strchr(host, '%');
	if (scope)
		strcpy(scope, host[0] == '[' ? "]" : "");
	snprintf(to, size, "%s:%s", host, any_port ? "*" : port);
	if (kmap_pattern_parse(&p, to))
		return;
	snprintf(to, size, "%s:*", host);
	if (!kmap_pattern_parse(&p, to))
		snprintf(to, size, "*:*");
}

/* The number of a traced process in a path is another one tomorrow, and so
 * is a name that the kernel gave (autobind: five hexadecimal digits). */
static void
unix_path(char *to, size_t size, const char *path)
{
	size_t n = 0;

	if (path[0] == '@' && strlen(path) == 6 &&
		strspn(path + 1, "0123456789abcdef") == 5) {
		snprintf(to, size, "@*");
		return;
	}
	while (*path && n + 1 < size) {
		size_t d = strspn(path, "0123456789");

		if (d && told(&t_pids, 0, strtoull(path, NULL, 10))) {
			to[n++] = '*';
			path += d;
			continue;
		}
		for (d += !d; d && n + 1 < size; d--)
			to[n++] = *path++;
	}
	/* Abstract names that are bound with their padding of NULs. */
	while (to[0] == '@' && n > 1 && to[n - 1] == '@')
		n--;
	to[n] = '\0';
}

static bool
is_remote(const struct trace_endpoint *e)
{
	int n = (int)(strrchr(e->peer, ':') ? strrchr(e->peer, ':') - e->peer
					    : 0);

	if (n == 0 || !e->local[0] || !strncmp(e->peer, "127.", 4) ||
		!strncmp(e->peer, "[::1]", 5))
		return false;
	return strncmp(e->local, e->peer, (size_t)n) || e->local[n] != ':';
}

static bool
tcp_class(struct class *k, const struct trace_endpoint *e)
{
	const struct seen *s = seen_of(e->id);
	const struct trace_endpoint *l = listener_of(e);

	strcpy(k->kind, "tcp");
	if (e->kind == TRACE_LISTEN) {
		strcpy(k->role, "listen");
		pattern(k->address, sizeof(k->address), e->local,
			port_is_free(e));
	} else if (is_accepted(e, l)) {
		const char *own = e->local[0] || !l ? e->local : l->local;
		bool any = l && port_is_free(l);

		for (size_t i = 0; i < free_ports.n && !any; i++)
			any = !strcmp(free_ports.w[i], port_of(own));
		strcpy(k->role, "accept");
		pattern(k->address, sizeof(k->address), own, any);
	} else if (e->connected || s->dest[0] ||
		(e->origin == TRACE_BY_BEFORE && e->peer[0])) {
		const char *to = e->peer[0] ? e->peer : s->dest;
		bool any = false;

		for (size_t i = 0; i < free_ports.n; i++)
			any |= !strcmp(free_ports.w[i], port_of(to));
		strcpy(k->role, "connect");
		pattern(k->address, sizeof(k->address), to, any);
		if (is_remote(e))
			k->reasons |= 1u << REMOTE;
	} else
		return false;
	if (e->origin == TRACE_BY_ESCAPE)
		k->reasons |= 1u << ORIGIN;
	else if (e->kind == TRACE_TCP &&
		(e->origin == TRACE_BY_INHERIT ||
			e->origin == TRACE_BY_PASSING))
		k->reasons |= 1u << PASSED;
	if (uring)
		k->reasons |= 1u << URING;
	return true;
}

static void
other_class(struct class *k, const struct trace_endpoint *e)
{
	const struct seen *s = seen_of(e->id);
	const struct trace_endpoint *l = trace_endpoint_by_id(e->listener);
	const char *to = e->peer[0] ? e->peer : s->dest;

	if (e->kind == TRACE_UDP) {
		strcpy(k->kind, "udp");
		strcpy(k->role, to[0] ? "connect" : "open");
		if (to[0])
			pattern(k->address, sizeof(k->address), to, false);
		else
			pattern(k->address, sizeof(k->address),
				e->local[0] ? e->local : s->bound,
				port_is_free(e));
	} else if (e->kind == TRACE_UNIX) {
		bool accepted = e->origin == TRACE_BY_ACCEPT;

		strcpy(k->kind, "unix");
		strcpy(k->role,
			accepted	      ? "accept"
				: s->dest[0]  ? "connect"
				: s->listens  ? "listen"
				: e->local[0] ? "open"
					      : "pair");
		unix_path(k->address, sizeof(k->address),
			accepted && l	     ? l->local
				: s->dest[0] ? to
					     : e->local);
	} else {
		strcpy(k->kind, "other");
		strcpy(k->role, "open");
		if (e->domain == AF_NETLINK)
			strcpy(k->address, "netlink");
		else if (e->domain == AF_PACKET)
			strcpy(k->address, "packet");
		else
			snprintf(k->address, sizeof(k->address), "family %d",
				e->domain);
	}
}

/* False: it is no endpoint of the table, and k->name says what it is. */
static bool
class_of(struct class *k, const struct trace_endpoint *e)
{
	memset(k, 0, sizeof(*k));
	switch (e->kind) {
	case TRACE_TCP:
	case TRACE_LISTEN:
		if (!tcp_class(k, e)) {
			strcpy(k->name, "tcp");
			return false;
		}
		break;
	case TRACE_UDP:
	case TRACE_UNIX:
	case TRACE_SOCKET:
		other_class(k, e);
		break;
	default:
		snprintf(k->name, sizeof(k->name), "%s",
			trace_kind_name(e->kind));
		return false;
	}
	snprintf(k->name, sizeof(k->name), "%s%s%s%s%s",
		strcmp(k->kind, "tcp") ? k->kind : "",
		strcmp(k->kind, "tcp") ? " " : "", k->role,
		k->address[0] ? " " : "", k->address);
	k->reasons |= seen_of(e->id)->reasons;
	return true;
}

static void
class_add(const struct class *k)
{
	size_t i;

	for (i = 0; i < nclasses; i++)
		if (!strcmp(classes[i].name, k->name))
			break;
	if (i == nclasses) {
		classes = xrealloc(classes, (nclasses + 1) * sizeof(*classes));
		classes[nclasses++] = *k;
		classes[i].count = 0;
	}
	classes[i].count++;
	classes[i].reasons |= k->reasons;
}

static void
classify(void)
{
	const struct trace_endpoint *e;
	struct class k;

	for (uint32_t id = 1; (e = trace_endpoint_by_id(id)); id++) {
		if (e->kind == TRACE_LISTEN) {
			listeners = xrealloc(listeners,
				(nlisteners + 1) * sizeof(*listeners));
			listeners[nlisteners++] = id;
			if (port_is_free(e))
				word_add(&free_ports, port_of(e->local));
		}
		/* Whoever waits by raw calls on a set waits for all in it. */
		if (e->kind != TRACE_EPOLL ||
			!(seen_of(id)->reasons & 1u << RAW_WAIT))
			continue;
		for (size_t i = 0; i < t_members.room; i++)
			if (t_members.p[i].n && t_members.p[i].a == id)
				against((uint32_t)t_members.p[i].b, RAW_WAIT);
	}
	for (uint32_t id = 1; (e = trace_endpoint_by_id(id)); id++) {
		const struct trace_endpoint *l = listener_of(e);

		if (e->kind == TRACE_LISTEN || !seen_of(id)->used ||
			!class_of(&k, e))
			continue;
		class_add(&k);
		/* What holds for the accepted holds for those to come. */
		if (e->kind == TRACE_TCP && l)
			seen_of(l->id)->reasons |= k.reasons;
	}
	for (uint32_t id = 1; (e = trace_endpoint_by_id(id)); id++)
		if (e->kind == TRACE_LISTEN && class_of(&k, e))
			class_add(&k);
}

static const char *
ep_name(uint32_t id)
{
	static struct class k;
	const struct trace_endpoint *e = trace_endpoint_by_id(id);

	if (!e)
		return "unknown";
	class_of(&k, e);
	return k.name;
}

/* ---- the table ---- */

static void
put_words(struct kmap_value **to, const char *key, const struct words *w)
{
	struct kmap_value *v;

	if (!w->n)
		return;
	v = tv_list(to, key, KMAP_ARRAY);
	for (size_t i = 0; i < w->n; i++)
		tv_string(&v->first, NULL, w->w[i]);
}

static const char *
reason_of(uint32_t bits)
{
	for (int i = 0; i < REASONS; i++)
		if (bits & 1u << i)
			return reasons[i].word;
	return "";
}

static const char *
sentence_of(const struct class *k)
{
	for (int i = 0; i < REASONS; i++)
		if (!strcmp(k->kind, "tcp") && (k->reasons & 1u << i))
			return reasons[i].sentence;
	return "only TCP moves";
}

static int
by_name(const void *a, const void *b)
{
	const struct class *x = a, *y = b;
	int r = !strcmp(y->kind, "tcp") - !strcmp(x->kind, "tcp");

	return r ? r : strcmp(x->name, y->name);
}

static void
put_endpoints(struct kmap_section **list)
{
	const char **kept = xcalloc(nclasses + 1, sizeof(*kept));
	const char **why = xcalloc(nclasses + 1, sizeof(*why));

	if (nclasses)
		qsort(classes, nclasses, sizeof(*classes), by_name);
	for (size_t i = 0; i < nclasses; i++) {
		const struct class *k = &classes[i];
		struct kmap_section *s = tv_section(list, "endpoint");
		bool tcp = !strcmp(k->kind, "tcp");
		bool emulate = tcp && !k->reasons;

		tv_string(&s->first, "address", k->address);
		tv_integer(&s->first, "count", k->count);
		tv_string(&s->first, "decision", emulate ? "emulate" : "tcp");
		if (!tcp)
			tv_string(&s->first, "kind", k->kind);
		if (!emulate)
			tv_string(&s->first, "reason",
				tcp ? reason_of(k->reasons) : k->kind);
		tv_string(&s->first, "role", k->role);
		result.endpoints++;
		result.emulate += emulate;
		if (emulate)
			continue;
		kept[result.nkept] = k->name;
		why[result.nkept++] = sentence_of(k);
	}
	result.kept = kept;
	result.why = why;
}

static void
fn_name(const struct function *f, char *buf, size_t size)
{
	snprintf(buf, size, "%s%s%s", f->name, f->version[0] ? "@" : "",
		f->version);
}

static void
put_functions(struct kmap_section **list)
{
	struct kmap_section *s = tv_section(list, "call");
	char name[160];

	for (size_t i = 0; i < nfns; i++) {
		const struct function *f = &fns[i];
		struct words eps = {0};
		struct kmap_value *v;

		/* Where its callers told the version, the rest is empty. */
		if (!f->count && !f->modules.n)
			continue;
		fn_name(f, name, sizeof(name));
		v = tv_list(&s->first, name, KMAP_INLINE);
		tv_integer(&v->first, "count", (int64_t)f->count);
		for (size_t k = 0; k < f->neps; k++)
			word_add(&eps, ep_name(f->eps[k]));
		put_words(&v->first, "endpoints", &eps);
		put_words(&v->first, "flags", &f->flags);
		put_words(&v->first, "modules", &f->modules);
		put_words(&v->first, "options", &f->options);
	}
}

/* "app!function+0x12" is the function, and "app+0x1139" stays. */
static void
frame_text(const char *frame, char *buf, size_t size)
{
	const char *bang = strchr(frame, '!');
	/* Code of no file (a JIT's) lies elsewhere the next time. */
	const char *plus = bang || !strncmp(frame, "[anon]", 6)
		? strrchr(bang ? bang : frame, '+')
		: NULL;

	snprintf(buf, size, "%.*s",
		(int)(plus ? plus - frame : (ptrdiff_t)strlen(frame)), frame);
}

static uint64_t
hash(uint64_t h, const char *s)
{
	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 0x100000001b3u;
	return (h ^ 1) * 0x100000001b3u;
}

/* Frames up to a signal's arrival: what it interrupted is chance. */
static size_t
path_length(const struct path *p)
{
	for (size_t k = 0; k < p->n; k++)
		if (strstr(p->frames[k], "!__restore_rt"))
			return k + 1;
	return p->n;
}

static int
by_count(const void *a, const void *b)
{
	const struct path *x = a, *y = b;

	return x->count > y->count ? -1 : x->count < y->count;
}

/* What all paths may take of a file that is limited: the frequent ones. */
#define PATHS_MAX (KMAP_TABLE_MAX / 4 * 3)

static void
put_paths(struct kmap_section **list)
{
	struct kmap_section *s = tv_section(list, "path");
	struct kmap_value *v, *frames, **last = &s->first;
	struct tally ids = {0};
	char name[160], frame[300], id[20];
	size_t size = 0;

	if (npaths)
		qsort(paths, npaths, sizeof(*paths), by_count);
	for (size_t i = 0; i < npaths; i++) {
		const struct path *p = &paths[i];
		uint64_t h = 0xcbf29ce484222325u, *known;
		size_t n = path_length(p);

		fn_name(&fns[p->fn], name, sizeof(name));
		h = hash(h, name);
		for (size_t k = 0; k < n; k++) {
			frame_text(p->frames[k], frame, sizeof(frame));
			h = hash(h, frame);
			/* Quotes, a comma, and what has to be escaped. */
			size += 2 * strlen(frame) + 8;
		}
		known = tally(&ids, h, 0);
		if (*known) {
			v = (struct kmap_value *)(uintptr_t)*known;
			v->first->next->integer += (int64_t)p->count;
			continue;
		}
		if (size > PATHS_MAX) {
			say("the table has the %zu most frequent of %zu call "
			    "paths",
				i, npaths);
			break;
		}
		snprintf(id, sizeof(id), "%016llx", (unsigned long long)h);
		v = tv_list(last, id, KMAP_INLINE);
		last = &v->next;
		*known = (uintptr_t)v;
		tv_string(&v->first, "call", name);
		tv_integer(&v->first, "count", (int64_t)p->count);
		frames = tv_list(&v->first, "frames", KMAP_ARRAY);
		for (size_t k = 0; k < n; k++) {
			frame_text(p->frames[k], frame, sizeof(frame));
			tv_string(&frames->first, NULL, frame);
		}
	}
	free(ids.p);
}

static void
kinds_text(uint32_t kinds, struct words *kernel, char *buf, size_t size)
{
	size_t n = 0;

	for (int k = 0; k <= TRACE_FILE; k++) {
		const char *name = trace_kind_name((enum trace_kind)k);

		if (!(kinds & 1u << k))
			continue;
		n += (size_t)snprintf(
			buf + n, size - n, "%s%s", n ? "+" : "", name);
		if (k != TRACE_TCP)
			word_add(kernel, name);
	}
}

static struct kmap_value *
pollset(struct kmap_section *s, const char *by, uint32_t kinds, uint64_t count)
{
	struct words kernel = {0};
	struct kmap_value *v;
	char kind[120] = "", name[140];

	kinds_text(kinds, &kernel, kind, sizeof(kind));
	snprintf(name, sizeof(name), "%s %s", by, kind);
	for (v = s->first; v; v = v->next)
		if (!strcmp(v->key, name)) {
			v->first->integer += (int64_t)count;
			return v;
		}
	v = tv_list(&s->first, name, KMAP_INLINE);
	tv_integer(&v->first, "count", (int64_t)count);
	tv_list(&v->first, "endpoints", KMAP_ARRAY);
	put_words(&v->first, "kernel", &kernel);
	tv_boolean(&v->first, "mixed",
		(kinds & 1u << TRACE_TCP) && (kinds & ~(1u << TRACE_TCP)));
	return v;
}

static void
pollset_member(struct kmap_value *v, uint32_t ep)
{
	struct kmap_value *list = v->first->next;
	const char *name = ep_name(ep);

	for (v = list->first; v; v = v->next)
		if (!strcmp(v->string, name))
			return;
	tv_string(&list->first, NULL, name);
}

static void
put_pollsets(struct kmap_section **list)
{
	struct kmap_section *s = tv_section(list, "pollset");
	const struct trace_endpoint *e;
	struct kmap_value *v;

	for (uint32_t id = 1; (e = trace_endpoint_by_id(id)); id++) {
		if (e->kind != TRACE_EPOLL || !seen_of(id)->kinds)
			continue;
		v = pollset(s, "epoll", seen_of(id)->kinds, seen_of(id)->polls);
		for (size_t i = 0; i < t_members.room; i++)
			if (t_members.p[i].n && t_members.p[i].a == id)
				pollset_member(v, (uint32_t)t_members.p[i].b);
	}
	for (size_t i = 0; i < t_polls.room; i++) {
		const struct pair *p = &t_polls.p[i];

		if (!p->n)
			continue;
		v = pollset(s, p->a ? "select" : "poll", (uint32_t)p->b, p->n);
		for (size_t k = 0; k < t_polled.room; k++)
			if (t_polled.p[k].n &&
				t_polled.p[k].a == (p->a << 32 | p->b))
				pollset_member(v, (uint32_t)t_polled.p[k].b);
	}
}

static void
count_under(struct kmap_section *s, const char *key, uint64_t n)
{
	struct kmap_value *v;

	for (v = s->first; v; v = v->next)
		if (!strcmp(v->key, key)) {
			v->first->integer += (int64_t)n;
			return;
		}
	v = tv_list(&s->first, key, KMAP_INLINE);
	tv_integer(&v->first, "count", (int64_t)n);
}

static void
put_passing(struct kmap_section **list)
{
	struct kmap_section *s = tv_section(list, "passing");
	const struct trace_endpoint *e;
	char name[200];

	for (uint32_t id = 1; (e = trace_endpoint_by_id(id)); id++) {
		uint64_t n = told(&t_passed, id, 0);

		if (n) {
			snprintf(name, sizeof(name), "out %s", ep_name(id));
			count_under(s, name, n);
		}
		if (e->origin == TRACE_BY_PASSING) {
			snprintf(name, sizeof(name), "in %s", ep_name(id));
			count_under(s, name, 1);
		}
	}
}

static bool
any_tcp(void)
{
	for (size_t i = 0; i < nclasses; i++)
		if (!strcmp(classes[i].kind, "tcp"))
			return true;
	return false;
}

static void
put_escapes(struct kmap_section **list)
{
	struct kmap_section *s = tv_section(list, "escape");
	char name[200];

	for (size_t i = 0; i < nescapes; i++) {
		const struct escape *x = &escapes[i];
		struct words eps = {0};
		struct kmap_value *v;
		const char *cause = trace_escape_name(x->cause);
		/* What goes through a ring is not told: it may be any. */
		bool matters = x->matters ||
			(x->cause == TRACE_URING && uring && any_tcp());

		for (size_t k = 0; k < x->neps; k++) {
			const struct trace_endpoint *e =
				trace_endpoint_by_id(x->eps[k]);

			word_add(&eps, ep_name(x->eps[k]));
			/* An epoll set: does it hold what could move? */
			if (e && e->kind == TRACE_EPOLL &&
				seen_of(e->id)->reasons &&
				seen_of(e->id)->kinds & 1u << TRACE_TCP)
				matters = true;
		}
		snprintf(name, sizeof(name), "%s %s%s%s", cause,
			trace_sys_name(x->sys), x->via[0] ? " via " : "",
			x->via);
		v = tv_list(&s->first, name, KMAP_INLINE);
		tv_string(&v->first, "cause", cause);
		tv_integer(&v->first, "count", (int64_t)x->count);
		put_words(&v->first, "endpoints", &eps);
		tv_string(&v->first, "sys", trace_sys_name(x->sys));
		tv_string(&v->first, "verdict", matters ? "tcp" : "harmless");
	}
}

/* ---- what is imported and was not called ---- */

static const struct {
	const char *name;
	int sys;
} names[] = {
#define KT_NAME(name, base, sys) {#name, sys},
#include "recorder/names.def"
#undef KT_NAME
};

/* Of a name that the recorder takes because of an fd of the network. */
static bool
is_network(const char *name)
{
	static const char *const others[] = {
		"fstat", "fclose", "close_range", "closefrom", NULL};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(names[i].name, name))
			return names[i].sys >= 0 &&
				!any_of(trace_plain_name(name), others);
	return false;
}

static bool
is_libc(const char *module)
{
	static const char *const prefixes[] = {"libc.", "libc-", "ld-",
		"libpthread", "libdl.", "librt.", "libm.", "libresolv",
		"libnss_", "libkmap", "libunwind", "liblzma.", "libgcc_s.",
		"libasan.", "libubsan.", "libtsan.", NULL};

	for (size_t i = 0; prefixes[i]; i++)
		if (!strncmp(module, prefixes[i], strlen(prefixes[i])))
			return true;
	return false;
}

static void
imports_of(const char *path)
{
	struct trace_import *list;
	struct trace_elf e;
	char why[200];
	int n;

	if (trace_elf_open(&e, path, why, sizeof(why)) != 0)
		return;
	n = trace_elf_imports(&e, &list);
	for (int i = 0; i < n; i++) {
		size_t k;

		if (!is_network(list[i].name))
			continue;
		for (k = 0; k < nfns; k++)
			if (fns[k].count && !strcmp(fns[k].name, list[i].name))
				break;
		if (k < nfns)
			continue;
		/* It may move them all. */
		k = function(list[i].name, list[i].version);
		word_add(&fns[k].modules, basename(path));
	}
	if (n >= 0)
		free(list);
	trace_elf_close(&e);
}

static void
look_at_imports(void)
{
	struct words done = {0};

	for (size_t i = 0; i < nimages; i++)
		for (size_t k = 0; images[i].p && k < images[i].p->nmodules;
			k++) {
			const char *path = images[i].p->modules[k].path;
			size_t before = done.n;

			if (path[0] != '/' || is_libc(basename(path)))
				continue;
			word_add(&done, path);
			if (done.n != before)
				imports_of(path);
		}
}

/* ---- the whole ---- */

static const char *
libc_of(const struct trace_process *p)
{
	static char text[64];
	Dl_info d;
	char own[4096], its[4096];

	for (size_t i = 0; p && i < p->nmodules; i++) {
		if (strncmp(basename(p->modules[i].path), "libc.so.6", 9))
			continue;
		/* Its version is known where it is this program's own. */
		if (dladdr((void *)gnu_get_libc_version, &d) &&
			realpath(d.dli_fname, own) &&
			realpath(p->modules[i].path, its) && !strcmp(own, its))
			snprintf(text, sizeof(text), "glibc %s",
				gnu_get_libc_version());
		else
			strcpy(text, "glibc");
		return text;
	}
	return "";
}

/* Of the process that was started, or attached to. */
static bool
is_own(const struct image *i)
{
	return conf.pid ? i->p->pid == conf.pid : i->p->ppid == parent;
}

/*
 * The program: what the command became itself, if that called anything. Which
 * of its children calls first is chance: then the first by name.
 */
static const struct image *
program(void)
{
	const struct image *best = NULL;

	for (size_t k = 0; k < nimages; k++) {
		const struct image *i = &images[k];
		int better;

		if (!i->p)
			continue;
		better = !best ? 1 : !!i->calls - !!best->calls;
		if (!better)
			better = is_own(i) - is_own(best);
		if (better > 0 || (!better && strcmp(i->exe, best->exe) < 0))
			best = i;
	}
	return best;
}

static void
command_text(struct trace_buf *b, const struct image *i)
{
	if (!conf.argv) {
		buf_str(b, i ? i->cmdline : "");
		/* Programs that write their state there leave blanks. */
		while (b->len && b->s[b->len - 1] == ' ')
			b->s[--b->len] = '\0';
		return;
	}
	for (char *const *a = conf.argv; *a; a++) {
		bool plain = **a &&
			(*a)[strcspn(*a,
				" \t\n\"'\\$`*?[]{}()|&;"
				"<>~#!")] == '\0';

		if (a != conf.argv)
			buf_char(b, ' ');
		if (plain) {
			buf_str(b, *a);
			continue;
		}
		buf_char(b, '\'');
		for (const char *c = *a; *c; c++)
			if (*c == '\'')
				buf_str(b, "'\\''");
			else
				buf_char(b, *c);
		buf_char(b, '\'');
	}
}

static void
put_program(struct kmap_section **list, const struct image *main)
{
	struct kmap_section *s = tv_section(list, "program"), *children;
	struct trace_buf command = {0};
	int64_t processes = 0, calls = 0;

	for (size_t i = 0; i < t_pids.room; i++)
		processes += t_pids.p[i].n && t_pids.p[i].a == 0;
	for (size_t i = 0; i < nimages; i++)
		if (images[i].p && !strcmp(images[i].exe, main->exe))
			calls += (int64_t)images[i].calls;
	command_text(&command, main);
	tv_string(&s->first, "build-id", main->build_id);
	tv_integer(&s->first, "calls", calls);
	tv_string(&s->first, "command", command.s ? command.s : "");
	tv_string(&s->first, "exe", main->exe[0] ? main->exe : "unknown");
	tv_string(&s->first, "libc", libc_of(main->p));
	tv_integer(&s->first, "processes", processes);
	tv_integer(&s->first, "runs", 1);
	buf_free(&command);

	s = tv_section(list, "settings");
	tv_boolean(&s->first, "inert", inert);

	children = tv_section(list, "child");
	for (size_t i = 0; i < nimages; i++) {
		struct kmap_value *v;

		if (!images[i].p || !images[i].exe[0] ||
			!strcmp(images[i].exe, main->exe))
			continue;
		for (v = children->first; v; v = v->next)
			if (!strcmp(v->key, images[i].exe))
				break;
		if (!v) {
			v = tv_list(
				&children->first, images[i].exe, KMAP_INLINE);
			tv_string(&v->first, "build-id", images[i].build_id);
			tv_integer(&v->first, "calls", 0);
		}
		v->first->next->integer += (int64_t)images[i].calls;
	}
}

static const char *
program_name(const struct image *main)
{
	return basename(conf.argv ? conf.argv[0] : main->exe);
}

/* What cannot be written to *name, because the disk is full, goes to a
 * directory of its own and *name with it: the run may not come again. */
static int
write_table(struct trace_buf *name, const char *text, size_t n,
	const struct image *main)
{
	const char *tmp = getenv("TMPDIR");
	struct trace_buf dir = {0};
	int r = tv_write(name->s, text, n, &result.unchanged);

	if (r == 0 || !conf.spare)
		return r;
	buf_fmt(&dir, "%s/kmap-trace.XXXXXX", tmp && *tmp ? tmp : P_tmpdir);
	if (!mkdtemp(dir.s))
		goto out;
	if (strcmp(name->s, "-"))
		buf_fmt(&dir, "/%s", basename(name->s));
	else
		buf_fmt(&dir, "/%s.kmap", program_name(main));
	if (tv_write(dir.s, text, n, &result.unchanged) < 0) {
		*strrchr(dir.s, '/') = '\0';
		rmdir(dir.s);
		goto out;
	}
	fprintf(stderr, "kmap-trace: the table is in %s instead\n", dir.s);
	name->len = 0;
	buf_str(name, dir.s);
	r = 0;
out:
	buf_free(&dir);
	return r;
}

static int
table_finish(void *arg)
{
	const struct image *main = program();
	struct kmap_section *list = NULL, *s;
	struct trace_buf name = {0};
	char *text;
	size_t n;
	int r;

	(void)arg;
	/* A program that could not be followed leaves no table. */
	if (!main)
		return 0;
	classify();
	look_at_imports();
	s = tv_section(&list, "");
	tv_integer(&s->first, "kmap-table", KMAP_TABLE_VERSION);
	put_program(&list, main);
	put_endpoints(&list);
	put_functions(&list);
	put_paths(&list);
	put_pollsets(&list);
	put_passing(&list);
	put_escapes(&list);
	tv_sort(list);
	text = tv_text(list, &n);
	if (conf.path)
		buf_str(&name, conf.path);
	else
		buf_fmt(&name, "%s.kmap", program_name(main));
	r = write_table(&name, text, n, main);
	free(text);
	if (r == 0)
		result.path = name.s;
	result.inert = inert;
	return r;
}

const struct trace_sink *
trace_table_sink(const struct trace_table_conf *c)
{
	static struct trace_sink sink = {
		.name = "table",
		.process = table_process,
		.call = table_call,
		.tick = table_tick,
		.finish = table_finish,
	};

	char *const *argv = conf.argv;
	pid_t pid = conf.pid;

	conf = *c;
	/* Asked again, for a table of what is known so far. */
	if (!conf.argv) {
		conf.argv = argv;
		conf.pid = pid;
	}
	own_filters = filters_of(0) + conf.filters;
	if (!parent)
		parent = getpid();
	return &sink;
}

const struct trace_table_result *
trace_table_result(void)
{
	return &result;
}
