/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The data is one JSON array a line inside <script type="application/json">.
 * A line that begins with a number is a call, one that begins with a letter
 * defines something that later lines name by its index; trace/html/data.js
 * reads them, and has the same list:
 *
 *	["m", {…}]		about the recording
 *	["p", id, pid, ppid, t, name, cmdline, recorded, status]
 *	["t", process, tid]	thread, from 0
 *	["e", id, kind, origin, domain, type, connected, local, peer, listener]
 *	["s", text]		decoded arguments, from 1 (0 is "")
 *	["f", fn, version, syscall, class]	function, from 0
 *	["a", process, "address"]	from 0
 *	["k", address…]		stack, from 1 (0 is none)
 *	["r", errno, name, text]
 *	["n", first, names…]	of addresses, at the end
 *	["z", calls, written]	the last line
 *	[thread, function, dt, dur, fd, endpoint, ret, args, stack, errno,
 *	 escape, bytes, endpoint, revents, endpoint, revents…]
 *
 * dt is the distance from the start of the call on the line before (it may be
 * negative: calls come in order of their return). Zeros at the end of a call
 * are left out. bytes is there only where ret does not say it.
 */
#include "config.h"

#include "html.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

#include "base.h"
#include "html-page.h"
#include "must.h"
#include "version.h"

/* What a call does to its endpoint; the page has a colour for each. */
enum html_class {
	HTML_OPEN,
	HTML_SEND,
	HTML_RECEIVE,
	HTML_WAIT,
	HTML_SETTINGS,
	HTML_CLOSE,
	HTML_OTHER,
};

/* Byte strings that have an index, in order of appearance. */
struct intern {
	uint32_t *slots; /* index + 1, 0 is free; a power of two of them */
	size_t nslots;
	struct entry {
		char *key;
		uint32_t len, hash;
	} * entries;
	size_t n, room;
};

struct html {
	FILE *out;
	char *file;
	int err; /* the first error, -errno; nothing is written after it */
	struct trace_html_text text;
	uint64_t max_calls, calls, written;
	uint64_t last_t; /* of the call before */
	struct intern strings, functions, threads, addresses, stacks, errnos;
	struct trace_process *processes; /* copies, by id - 1 */
	size_t nprocesses;
	char *buf; /* for arguments */
	size_t size;
};

static uint32_t
hash_bytes(const char *p, size_t len)
{
	uint64_t h = 0xcbf29ce484222325;

	for (; len; len--)
		h = (h ^ (unsigned char)*p++) * 0x100000001b3;
	return h ^ h >> 32;
}

static void
intern_grow(struct intern *t)
{
	size_t i, at;

	t->nslots = t->nslots ? t->nslots * 2 : 256;
	free(t->slots);
	t->slots = must(calloc(t->nslots, sizeof(*t->slots)));
	for (i = 0; i < t->n; i++) {
		at = t->entries[i].hash & (t->nslots - 1);
		while (t->slots[at])
			at = (at + 1) & (t->nslots - 1);
		t->slots[at] = i + 1;
	}
}

/* The index of these bytes, from 0; true in *fresh when they are new. */
static uint32_t
intern(struct intern *t, const void *key, size_t len, bool *fresh)
{
	uint32_t hash = hash_bytes(key, len);
	struct entry *e;
	size_t at;

	if (t->n * 2 >= t->nslots)
		intern_grow(t);
	at = hash & (t->nslots - 1);
	for (; t->slots[at]; at = (at + 1) & (t->nslots - 1)) {
		e = &t->entries[t->slots[at] - 1];
		if (e->hash == hash && e->len == len &&
			!memcmp(e->key, key, len)) {
			*fresh = false;
			return t->slots[at] - 1;
		}
	}
	if (t->n == t->room) {
		t->room = t->room ? t->room * 2 : 64;
		t->entries = must(
			reallocarray(t->entries, t->room, sizeof(*t->entries)));
	}
	e = &t->entries[t->n];
	e->key = must(malloc(len + 1));
	memcpy(e->key, key, len);
	e->len = len;
	e->hash = hash;
	t->slots[at] = ++t->n;
	*fresh = true;
	return t->n - 1;
}

static void
intern_free(struct intern *t)
{
	size_t i;

	for (i = 0; i < t->n; i++)
		free(t->entries[i].key);
	free(t->entries);
	free(t->slots);
}

/* The length of the valid UTF-8 sequence at s (RFC 3629), or 0. */
static size_t
utf8_len(const unsigned char *s, const unsigned char *end, uint32_t *c)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t i, n = *s >= 0xf0 ? 4 : *s >= 0xe0 ? 3 : *s >= 0xc2 ? 2 : 0;

	if (!n || *s > 0xf4 || (size_t)(end - s) < n)
		return 0;
	*c = *s & (0x7f >> n);
	for (i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		*c = *c << 6 | (s[i] & 0x3f);
	}
	if (*c < least[n] || *c > 0x10ffff || (*c >= 0xd800 && *c < 0xe000))
		return 0;
	return n;
}

/* Characters that change what stands around them, or that nobody sees. */
static bool
misleads(uint32_t c)
{
	return c < 0xa0 || c == 0xad || c == 0x61c || c == 0xfeff ||
		(c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
		(c >= 0x2060 && c <= 0x206f) || c >= 0xe0000;
}

/*
 * A JSON string. Text comes from the traced program: it must not end the
 * <script> it stands in ("</script", "<!--"), so no '<' is written as such;
 * and what is not visible text is shown as an escape, not obeyed.
 */
static void
put_string(FILE *out, const char *text)
{
	const unsigned char *s = (const unsigned char *)(text ? text : "");
	const unsigned char *end = s + strlen((const char *)s);
	uint32_t c;
	size_t n;

	putc('"', out);
	while (s < end) {
		if (*s == '"' || *s == '\\') {
			fprintf(out, "\\%c", *s++);
		} else if (*s == '<' || *s == '>' || *s == '&') {
			fprintf(out, "\\u%04x", *s++);
		} else if (*s < ' ' || *s == 0x7f) {
			fprintf(out, "\\\\x%02x", *s++);
		} else if (*s < 0x7f) {
			putc(*s++, out);
		} else if (!(n = utf8_len(s, end, &c))) {
			fprintf(out, "\\\\x%02x", *s++);
		} else {
			if (misleads(c))
				fprintf(out, "\\\\u{%x}", c);
			else
				fwrite(s, 1, n, out);
			s += n;
		}
	}
	putc('"', out);
}

/* The same for text between tags. */
static void
put_text(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '<')
			fputs("&lt;", out);
		else if (*text == '>')
			fputs("&gt;", out);
		else if (*text == '&')
			fputs("&amp;", out);
		else if ((unsigned char)*text < ' ' || *text == 0x7f)
			putc('?', out);
		else if ((unsigned char)*text < 0x80)
			putc(*text, out);
		else
			fprintf(out, "&#%u;", 0xfffd);
	}
}

/* Remembers the first failure to write, and says it once. */
static bool
broken(struct html *h)
{
	if (!h->err && ferror(h->out)) {
		h->err = errno ? -errno : -EIO;
		fprintf(stderr, "kmap-trace: %s: %s; the picture ends here\n",
			h->file, strerror(-h->err));
	}
	return h->err;
}

static const char *
system_name(struct html *h, int sys)
{
	static char number[24];
	const char *name = NULL;

	if (sys < 0)
		return "";
	if (h->text.sysname)
		name = h->text.sysname(sys);
	if (name)
		return name;
	snprintf(number, sizeof(number), "syscall_%d", sys);
	return number;
}

/* "__recv_chk" and "recv64" are "recv". */
static void
plain_name(char *to, size_t size, const char *fn)
{
	size_t n;

	while (*fn == '_')
		fn++;
	n = strnlen(fn, size - 1);
	memcpy(to, fn, n);
	to[n] = '\0';
	if (n > 4 && !strcmp(to + n - 4, "_chk"))
		to[n -= 4] = '\0';
	if (n > 2 && !strcmp(to + n - 2, "64"))
		to[n - 2] = '\0';
}

static enum html_class
class_of(const struct trace_call *c, const char *sysname)
{
	static const struct {
		enum html_class class;
		const char *names; /* each between two spaces */
	} table[] = {
		{HTML_OPEN,
			" socket socketpair connect accept accept4 bind "
			"listen epoll_create epoll_create1 eventfd eventfd2 "
			"pipe pipe2 open openat fdopen popen "
			"timerfd_create signalfd signalfd4 "},
		{HTML_SEND,
			" write writev send sendto sendmsg sendmmsg "
			"sendfile pwrite pwritev pwritev2 vmsplice "
			"fwrite fputs fflush dprintf vdprintf "},
		{HTML_RECEIVE,
			" read readv recv recvfrom recvmsg recvmmsg "
			"pread preadv preadv2 fread fgets getline "},
		{HTML_WAIT,
			" poll ppoll select pselect pselect6 epoll_wait "
			"epoll_pwait epoll_pwait2 io_uring_enter "},
		{HTML_SETTINGS,
			" setsockopt getsockopt getsockname "
			"getpeername fcntl ioctl epoll_ctl dup dup2 dup3 "
			"fstat sockatmark isfdtype timerfd_settime "},
		{HTML_CLOSE,
			" close shutdown close_range closefrom fclose "
			"pclose "},
	};
	char name[80], plain[64];
	size_t i;

	/* Which way splice moves bytes depends on its end. */
	if (c->sys == SYS_splice)
		return c->fd == (int)c->args[0] ? HTML_RECEIVE : HTML_SEND;
	if (c->sys == SYS_sendfile && c->nargs > 1 &&
		c->fd == (int)c->args[1] && c->fd != (int)c->args[0])
		return HTML_RECEIVE;
	plain_name(plain, sizeof(plain), *c->fn ? c->fn : sysname);
	snprintf(name, sizeof(name), " %s ", plain);
	for (i = 0; i < kmap_countof(table); i++)
		if (strstr(table[i].names, name))
			return table[i].class;
	snprintf(name, sizeof(name), " %.70s ", sysname);
	for (i = 0; i < kmap_countof(table); i++)
		if (*sysname && strstr(table[i].names, name))
			return table[i].class;
	return HTML_OTHER;
}

/*
 * Bytes that the call moved: what it returned, except that a peek moves
 * nothing and the calls for many messages return a number of messages, whose
 * lengths are in their items.
 */
static int64_t
bytes_of(const struct trace_call *c, enum html_class class)
{
	const struct trace_item *it;
	int64_t n = 0;
	uint64_t len;
	size_t i, k;

	if ((class != HTML_SEND && class != HTML_RECEIVE) || c->ret <= 0)
		return 0;
	switch (c->sys) {
	case SYS_recvfrom:
		if (c->nargs > 3 && c->args[3] & MSG_PEEK)
			return 0;
		return c->ret;
	case SYS_recvmsg:
		if (c->nargs > 2 && c->args[2] & MSG_PEEK)
			return 0;
		return c->ret;
	case SYS_recvmmsg:
		if (c->nargs > 3 && c->args[3] & MSG_PEEK)
			return 0;
		break;
	case SYS_sendmmsg:
		break;
	case -1:
		/* stdio: some return members, and its write comes later */
		return 0;
	default:
		return c->ret;
	}
	for (i = 0; i < c->nitems; i++) {
		it = &c->items[i];
		if (it->type != TRACE_ITEM_IOV)
			continue;
		for (k = 0; k + sizeof(len) <= it->len; k += sizeof(len)) {
			memcpy(&len, (const char *)it->data + k, sizeof(len));
			n += len;
		}
	}
	return n;
}

static uint32_t
function_of(struct html *h, const struct trace_call *c, enum html_class class,
	const char *sysname)
{
	char key[300];
	bool fresh;
	uint32_t id;
	int n;

	n = snprintf(key, sizeof(key), "%.120s%c%.60s%c%.60s%c%d", c->fn, 0,
		c->version ? c->version : "", 0, sysname, 0, class);
	id = intern(&h->functions, key, n, &fresh);
	if (fresh) {
		fputs("[\"f\",", h->out);
		put_string(h->out, c->fn);
		putc(',', h->out);
		put_string(h->out, c->version);
		putc(',', h->out);
		put_string(h->out, sysname);
		fprintf(h->out, ",%d]\n", class);
	}
	return id;
}

static uint32_t
thread_of(struct html *h, const struct trace_call *c)
{
	uint32_t key[2] = {c->process->id, c->tid};
	bool fresh;
	uint32_t id = intern(&h->threads, key, sizeof(key), &fresh);

	if (fresh)
		fprintf(h->out, "[\"t\",%u,%d]\n", c->process->id, c->tid);
	return id;
}

struct address {
	uint64_t process, addr;
};

static uint32_t
stack_of(struct html *h, const struct trace_call *c)
{
	const struct trace_stack *s = c->stack;
	struct address key = {.process = c->process->id};
	uint32_t skey[2], id;
	uint32_t *frames;
	bool fresh;
	size_t i;

	if (!s || !s->n)
		return 0;
	/* The same addresses are other functions in another program. */
	skey[0] = c->process->id;
	skey[1] = s->id;
	id = intern(&h->stacks, skey, sizeof(skey), &fresh);
	if (!fresh)
		return id + 1;
	frames = must(calloc(s->n, sizeof(*frames)));
	for (i = 0; i < s->n; i++) {
		key.addr = s->frames[i].addr;
		frames[i] = intern(&h->addresses, &key, sizeof(key), &fresh);
		if (fresh)
			fprintf(h->out, "[\"a\",%u,\"0x%" PRIx64 "\"]\n",
				c->process->id, key.addr);
	}
	fputs("[\"k\"", h->out);
	for (i = 0; i < s->n; i++)
		fprintf(h->out, ",%u", frames[i]);
	fputs("]\n", h->out);
	free(frames);
	return id + 1;
}

/* Without a decoder: the plain numbers. */
static size_t
plain_args(char *buf, size_t size, const struct trace_call *c)
{
	size_t n = 0;
	int i;

	for (i = 0; i < c->nargs && i < 6; i++)
		n += snprintf(n < size ? buf + n : NULL,
			n < size ? size - n : 0,
			c->args[i] < 65536 || (int64_t)c->args[i] < 0
				? "%s%" PRId64
				: "%s0x%" PRIx64,
			i ? ", " : "", c->args[i]);
	return n;
}

static uint32_t
args_of(struct html *h, const struct trace_call *c)
{
	size_t (*args)(char *, size_t, const struct trace_call *) =
		h->text.args ? h->text.args : plain_args;
	size_t n;
	bool fresh;
	uint32_t id;

	h->buf[0] = '\0';
	n = args(h->buf, h->size, c);
	if (n >= h->size) {
		h->size = n + 1;
		h->buf = must(realloc(h->buf, h->size));
		args(h->buf, h->size, c);
	}
	n = strlen(h->buf);
	if (!n)
		return 0;
	id = intern(&h->strings, h->buf, n, &fresh);
	if (fresh) {
		fputs("[\"s\",", h->out);
		put_string(h->out, h->buf);
		fputs("]\n", h->out);
	}
	return id + 1;
}

static void
define_errno(struct html *h, int err)
{
	const char *name = strerrorname_np(err);
	bool fresh;

	if (!err)
		return;
	intern(&h->errnos, &err, sizeof(err), &fresh);
	if (!fresh)
		return;
	fprintf(h->out, "[\"r\",%d,", err);
	put_string(h->out, name);
	putc(',', h->out);
	put_string(h->out, strerror(err));
	fputs("]\n", h->out);
}

/* Endpoints that the call is about besides its own: what is ready. */
static size_t
also(uint32_t (*to)[2], size_t room, const struct trace_call *c)
{
	struct trace_poll p;
	size_t i, k, n = 0;

	for (i = 0; i < c->nitems; i++) {
		if (c->items[i].type != TRACE_ITEM_POLL &&
			c->items[i].type != TRACE_ITEM_EPOLL)
			continue;
		for (k = 0; k + sizeof(p) <= c->items[i].len; k += sizeof(p)) {
			memcpy(&p, (const char *)c->items[i].data + k,
				sizeof(p));
			if (!p.ep || n == room)
				continue;
			/* epoll_ctl has one, and no revents. */
			if (!p.revents && c->sys != SYS_epoll_ctl)
				continue;
			to[n][0] = p.ep;
			to[n++][1] = p.revents;
		}
	}
	return n;
}

static void
copy_process(struct html *h, const struct trace_process *p)
{
	struct trace_process *to;
	struct trace_module *m;
	size_t i;

	if (!p->id || p->id > 1u << 22)
		return;
	if (p->id > h->nprocesses) {
		h->processes = must(reallocarray(
			h->processes, p->id, sizeof(*h->processes)));
		memset(h->processes + h->nprocesses, 0,
			(p->id - h->nprocesses) * sizeof(*h->processes));
		h->nprocesses = p->id;
	}
	to = &h->processes[p->id - 1];
	/* The symbolizer may hold on to a process by its address: what was
	 * copied stays, and only a longer list of modules replaces it. */
	if (to->id && to->nmodules >= p->nmodules)
		return;
	m = must(calloc(p->nmodules + 1, sizeof(*m)));
	for (i = 0; i < p->nmodules; i++) {
		m[i] = p->modules[i];
		m[i].path = must(strdup(m[i].path ? m[i].path : ""));
	}
	for (i = 0; i < to->nmodules; i++)
		free((char *)to->modules[i].path);
	free((void *)to->modules);
	free((char *)to->exe);
	free((char *)to->cmdline);
	*to = *p;
	to->exe = must(strdup(p->exe ? p->exe : ""));
	to->cmdline = must(strdup(p->cmdline ? p->cmdline : ""));
	to->modules = m;
}

static void
html_process(void *arg, const struct trace_process *p)
{
	struct html *h = arg;

	if (broken(h))
		return;
	copy_process(h, p);
	if (!h->last_t)
		h->last_t = p->t;
	fprintf(h->out, "[\"p\",%u,%d,%d,%" PRId64 ",", p->id, p->pid, p->ppid,
		(int64_t)(p->t - h->last_t));
	put_string(h->out, trace_process_name(p).s);
	putc(',', h->out);
	put_string(h->out, p->cmdline);
	fprintf(h->out, ",%d,%d]\n", p->recorded, p->status);
}

static void
html_endpoint(void *arg, const struct trace_endpoint *e)
{
	struct html *h = arg;

	if (broken(h))
		return;
	fprintf(h->out, "[\"e\",%u,%d,%d,%d,%d,%d,", e->id, e->kind, e->origin,
		e->domain, e->type, e->connected);
	put_string(h->out, e->local);
	putc(',', h->out);
	put_string(h->out, e->peer);
	fprintf(h->out, ",%u]\n", e->listener);
}

static void
html_call(void *arg, const struct trace_call *c)
{
	struct html *h = arg;
	const char *sysname;
	enum html_class class;
	uint32_t thread, fn, args, stack, eps[64][2];
	int64_t bytes, ret;
	int64_t last[5];
	size_t i, n, neps;

	if (!c->process)
		return;
	h->calls++;
	if (h->written >= h->max_calls || broken(h))
		return;
	if (c->process->id > h->nprocesses ||
		h->processes[c->process->id - 1].nmodules <
			c->process->nmodules)
		copy_process(h, c->process);
	sysname = system_name(h, c->sys);
	class = class_of(c, sysname);
	bytes = bytes_of(c, class);
	thread = thread_of(h, c);
	fn = function_of(h, c, class, sysname);
	args = args_of(h, c);
	stack = stack_of(h, c);
	define_errno(h, c->err);
	if (!h->last_t)
		h->last_t = c->t;
	neps = also(eps, kmap_countof(eps), c);
	ret = c->err ? -1 : c->ret;

	fprintf(h->out,
		"[%u,%u,%" PRId64 ",%" PRIu64 ",%d,%u,%" PRId64 ",%u,%u",
		thread, fn, (int64_t)(c->t - h->last_t), c->dur, c->fd, c->ep,
		ret, args, stack);
	last[0] = c->err;
	last[1] = c->escape;
	last[2] = bytes;
	n = 3;
	/* The page takes what was returned when no number of bytes is here;
	 * -1 stands for "none". */
	if ((class == HTML_SEND || class == HTML_RECEIVE) && ret > 0) {
		if (bytes == ret)
			last[2] = 0;
		else if (!bytes)
			last[2] = -1;
	}
	while (n && !last[n - 1] && !neps)
		n--;
	for (i = 0; i < n; i++)
		fprintf(h->out, ",%" PRId64, last[i]);
	for (i = 0; i < neps; i++)
		fprintf(h->out, ",%u,%u", eps[i][0], eps[i][1]);
	fputs("]\n", h->out);
	h->last_t = c->t;
	h->written++;
}

static void
html_tick(void *arg)
{
	struct html *h = arg;

	if (!h->err) {
		fflush(h->out);
		broken(h);
	}
}

/* Names of functions: slow to find, so once for each address, at the end. */
static void
put_names(struct html *h)
{
	struct address a;
	const char *name;
	size_t i;

	if (!h->text.symbol)
		return;
	for (i = 0; i < h->addresses.n; i++) {
		memcpy(&a, h->addresses.entries[i].key, sizeof(a));
		name = NULL;
		if (a.process && a.process <= h->nprocesses &&
			h->processes[a.process - 1].id)
			name = h->text.symbol(
				&h->processes[a.process - 1], a.addr);
		if (i % 256 == 0)
			fprintf(h->out, "%s[\"n\",%zu", i ? "]\n" : "", i);
		putc(',', h->out);
		put_string(h->out, name);
	}
	if (i)
		fputs("]\n", h->out);
}

static void
html_free(struct html *h)
{
	size_t i, k;

	for (i = 0; i < h->nprocesses; i++) {
		for (k = 0; k < h->processes[i].nmodules; k++)
			free((char *)h->processes[i].modules[k].path);
		free((void *)h->processes[i].modules);
		free((char *)h->processes[i].exe);
		free((char *)h->processes[i].cmdline);
	}
	free(h->processes);
	intern_free(&h->strings);
	intern_free(&h->functions);
	intern_free(&h->threads);
	intern_free(&h->addresses);
	intern_free(&h->stacks);
	intern_free(&h->errnos);
	free(h->buf);
	free(h->file);
	free(h);
}

static int
html_finish(void *arg)
{
	struct html *h = arg;
	int rc;

	if (!broken(h)) {
		put_names(h);
		fprintf(h->out, "[\"z\",%" PRIu64 ",%" PRIu64 "]\n", h->calls,
			h->written);
		fputs("</script>\n</body>\n</html>\n", h->out);
		fflush(h->out);
		broken(h);
	}
	if (fclose(h->out) && !h->err) {
		h->err = -errno;
		fprintf(stderr, "kmap-trace: %s: %s\n", h->file,
			strerror(-h->err));
	}
	if (h->written < h->calls && !h->err)
		fprintf(stderr,
			"kmap-trace: %s shows the first %" PRIu64 " of %" PRIu64
			" calls; -e chooses\n",
			h->file, h->written, h->calls);
	rc = h->err;
	html_free(h);
	return rc;
}

static void
put_head(struct html *h, const char *title)
{
	FILE *out = h->out;
	char when[64] = "";
	time_t now = time(NULL);
	struct tm tm;

	if (localtime_r(&now, &tm))
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S %z", &tm);
	fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n"
	      "<meta charset=\"utf-8\"/>\n"
	      /* No address is fetched, whatever stands in the data. */
	      "<meta http-equiv=\"Content-Security-Policy\" "
	      "content=\"default-src 'none'; style-src 'unsafe-inline'; "
	      "script-src 'unsafe-inline'; img-src data:\"/>\n"
	      "<meta name=\"viewport\" "
	      "content=\"width=device-width, initial-scale=1\"/>\n"
	      "<meta name=\"color-scheme\" content=\"light dark\"/>\n"
	      "<title>",
		out);
	put_text(out, title);
	fputs(" \342\200\223 kmap-trace</title>\n<style>\n", out);
	fwrite(html_css, 1, sizeof(html_css), out);
	fputs("</style>\n<script>\n", out);
	fwrite(html_js, 1, sizeof(html_js), out);
	fputs("</script>\n</head>\n", out);
	fwrite(html_body, 1, sizeof(html_body), out);
	fputs("<script type=\"application/json\" id=\"data\">\n[\"m\",{", out);
	fputs("\"title\":", out);
	put_string(out, title);
	fputs(",\"version\":", out);
	put_string(out, kmap_version);
	fputs(",\"when\":", out);
	put_string(out, when);
	fputs("}]\n", out);
}

int
trace_html_open(struct trace_sink *s, const struct trace_html_options *o)
{
	struct html *h = must(calloc(1, sizeof(*h)));
	int rc;

	h->out = fopen(o->file, "we");
	if (!h->out) {
		rc = -errno;
		fprintf(stderr, "kmap-trace: %s: %s\n", o->file, strerror(-rc));
		free(h);
		return rc;
	}
	h->file = must(strdup(o->file));
	h->text = o->text;
	h->max_calls = o->max_calls ? o->max_calls : TRACE_HTML_MAX_CALLS;
	h->size = 1024;
	h->buf = must(malloc(h->size));
	put_head(h, o->title ? o->title : "");
	*s = (struct trace_sink){
		.name = "html",
		.arg = h,
		.process = html_process,
		.endpoint = html_endpoint,
		.call = html_call,
		.tick = html_tick,
		.finish = html_finish,
	};
	return 0;
}
