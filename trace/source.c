/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kmap-trace's end of the pipe from the tracer: messages become events. */
#include "config.h"

#include "ptrace.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "elf-file.h"
#include "must.h"
#include "symbol.h"
#include "tracer.h"

struct held {
	struct held *next;
	struct wire_head head; /* the message follows */
};

/* What the tracer calls an image. */
struct seen {
	struct wire_image w;
	struct trace_process p; /* as events of it name it */
	struct trace_module *modules;
	size_t nmodules;
	char *strings; /* exe and cmdline */
	bool told; /* our own p was emitted */
	bool ended;
	struct held *held, **last; /* calls of a recorded process that the
				    * recorder has not announced yet */
};

struct trace_ptrace {
	bool verify;
	struct trace_ptrace_options o;
	char *region;
	int in, out; /* the pipe */
	int go[2]; /* the child waits for a byte */
	pid_t tracer, pid;
	bool ready, left, failed;
	struct wire_failed failure;
	char *buf;
	size_t len, room;
	struct seen **images; /* by id - 1 */
	size_t nimages;
	uint32_t *eps; /* by the tracer's number - 1 */
	size_t neps;
	struct istack {
		uint64_t hash;
		uint32_t id, image;
		size_t n;
		uint64_t *frames;
	} * stacks; /* open addressing */
	size_t nstacks, stacks_room;
	struct trace_coverage counts[TRACER_NRS];
	size_t ncounts;
	long calls;
	struct trace_drain *d;
};

static struct trace_ptrace *
new_source(
	bool verify, const char *region, const struct trace_ptrace_options *o)
{
	static const struct trace_ptrace_options usual = {32, 64};
	struct trace_ptrace *x = calloc(1, sizeof(*x));
	int fds[2];

	if (!x)
		return NULL;
	x->verify = verify;
	x->o = o ? *o : usual;
	x->go[0] = x->go[1] = -1;
	if (region && *region)
		x->region = must(strdup(region));
	if (pipe2(fds, O_CLOEXEC) < 0)
		goto fail;
	x->in = fds[0];
	x->out = fds[1];
	fcntl(x->in, F_SETFL, O_NONBLOCK);
	/* As large as an ordinary user may have it. */
	fcntl(x->out, F_SETPIPE_SZ, 1 << 20);
	if (verify && pipe2(x->go, O_CLOEXEC) < 0) {
		close(x->in);
		close(x->out);
		goto fail;
	}
	return x;
fail:
	free(x->region);
	free(x);
	return NULL;
}

struct trace_ptrace *
trace_verify_new(const char *region, const struct trace_ptrace_options *o)
{
	return new_source(true, region, o);
}

struct trace_ptrace *
trace_attach_new(const struct trace_ptrace_options *o)
{
	return new_source(false, NULL, o);
}

int
trace_verify_child(struct trace_ptrace *x)
{
	char byte;
	ssize_t n;

	/* Where Yama lets only parents trace: our tracer is a sibling. */
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
	close(x->go[1]);
	do
		n = read(x->go[0], &byte, 1);
	while (n < 0 && errno == EINTR);
	prctl(PR_SET_PTRACER, 0, 0, 0, 0);
	if (n != 1)
		return -ECANCELED;
	return verify_filter();
}

/* The tracer: nothing of the terminal's, none of kmap-trace's files. */
static void
set_apart(struct trace_ptrace *x, int *go)
{
	static const int ignored[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE,
		SIGUSR1, SIGUSR2, SIGTSTP, SIGTTIN, SIGTTOU};
	sigset_t none;
	int top;

	setsid();
	prctl(PR_SET_NAME, "kmap-ptrace");
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* Descriptors of others, held here, would hold up their ends. */
	tracer.out = x->out < 0 ? -1 : fcntl(x->out, F_DUPFD_CLOEXEC, 64);
	*go = x->go[1] < 0 ? -1 : fcntl(x->go[1], F_DUPFD_CLOEXEC, 64);
	syscall(SYS_close_range, 0, 63, 0);
	top = tracer.out > *go ? tracer.out : *go;
	for (int fd = 64; fd < top; fd++)
		if (fd != tracer.out && fd != *go)
			close(fd);
	syscall(SYS_close_range, top < 64 ? 64 : top + 1, ~0u, 0);

	tracer.verify = x->verify;
	tracer.pid = x->pid;
	tracer.data = x->o.data;
	tracer.frames = x->o.frames;
}

static void
become_tracer(struct trace_ptrace *x, pid_t parent)
{
	struct wire_failed f = {.pid = x->pid};
	int go;

	set_apart(x, &go);
	f.error = x->region ? -verify_map(x->region) : 0;
	if (!f.error)
		f.error = -attach_seize(x->pid, &f.pid);
	if (f.error) {
		tracer_send(WIRE_FAILED, &f, sizeof(f));
		tracer_send(WIRE_LEFT, NULL, 0);
		/* small enough to lie in the pipe's buffer */
		tracer_flush();
		_exit(1);
	}
	tracer_send(WIRE_READY, NULL, 0);
	tracer_flush();
	/* kmap-trace's end is a reason to leave. */
	prctl(PR_SET_PDEATHSIG, SIGUSR1);
	if (go >= 0) {
		if (write(go, "", 1) < 0) {
			/* then the program is gone, which wait tells */
		}
		close(go);
	}
	tracer_main(getppid() != parent);
}

/* A number that a line of /proc/PID/status begins with, or -1. */
static long
status_number(pid_t pid, const char *key)
{
	char path[64], line[256];
	long v = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "re");
	if (!f)
		return -1;
	while (v < 0 && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)))
			v = atol(line + strlen(key));
	fclose(f);
	return v;
}

static char
yama_scope(void)
{
	int fd = open(
		"/proc/sys/kernel/yama/ptrace_scope", O_RDONLY | O_CLOEXEC);
	char scope = '0';

	if (fd >= 0) {
		if (read(fd, &scope, 1) != 1)
			scope = '0';
		close(fd);
	}
	return scope;
}

static void
say_failure(const struct trace_ptrace *x)
{
	long tracer = status_number(x->pid, "TracerPid:");
	long uid = status_number(x->pid, "Uid:");
	char scope = yama_scope();

	fprintf(stderr, "kmap-trace: cannot trace process %d: ", x->pid);
	if (x->failure.error != EPERM)
		fprintf(stderr, "%s\n", strerror(x->failure.error));
	else if (tracer > 0)
		fprintf(stderr,
			"process %ld (a debugger, strace?) traces it already, "
			"and there can be one only: end that first\n",
			tracer);
	else if (geteuid() && uid >= 0 && uid != geteuid())
		fprintf(stderr,
			"it is another user's (uid %ld): run "
			"kmap-trace as root or as that user\n",
			uid);
	else if (scope == '3')
		fprintf(stderr,
			"this system forbids ptrace until it is "
			"booted again (kernel.yama.ptrace_scope is "
			"3)\n");
	else if (geteuid() && scope == '2')
		fprintf(stderr,
			"only root may trace here "
			"(kernel.yama.ptrace_scope is 2): run "
			"kmap-trace as root\n");
	else if (geteuid() && scope == '1' && !x->verify)
		fprintf(stderr,
			"a program may be traced by its parent only "
			"(kernel.yama.ptrace_scope is 1): start it "
			"with kmap-trace, or run kmap-trace as root\n");
	else
		fprintf(stderr,
			"the kernel does not permit it (it has "
			"privileges that you lack, or a container "
			"forbids ptrace): run kmap-trace as root, "
			"where CAP_SYS_PTRACE is granted\n");
}

static void
close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static long take(struct trace_ptrace *x);

int
trace_ptrace_begin(struct trace_ptrace *x, pid_t pid)
{
	pid_t self = getpid();

	x->pid = pid;
	if (pid <= 0 || kill(pid, 0) < 0) {
		x->failure.error = pid <= 0 ? ESRCH : errno;
		say_failure(x);
		return -x->failure.error;
	}
	x->tracer = fork();
	if (!x->tracer)
		become_tracer(x, self);
	if (x->tracer < 0) {
		x->tracer = 0;
		return -errno;
	}
	close_fd(&x->out);
	close_fd(&x->go[0]);
	close_fd(&x->go[1]);
	/* It is traced, or it is not: the first message says. */
	while (!x->ready && !x->failed && !x->left) {
		struct pollfd p = {x->in, POLLIN, 0};

		poll(&p, 1, -1);
		take(x);
	}
	if (x->ready)
		return 0;
	if (!x->failed)
		x->failure.error = ESRCH;
	waitpid(x->tracer, NULL, 0);
	x->tracer = 0;
	say_failure(x);
	return -x->failure.error;
}

pid_t
trace_ptrace_tracer(const struct trace_ptrace *x)
{
	return x->tracer;
}

int
trace_ptrace_fd(const struct trace_ptrace *x)
{
	return x->in;
}

bool
trace_ptrace_ended(const struct trace_ptrace *x)
{
	return x->left;
}

/* Messages. Both ends are ours; a length is checked all the same. */

static struct seen *
image(struct trace_ptrace *x, uint32_t id)
{
	return id && id <= x->nimages ? x->images[id - 1] : NULL;
}

static void
take_image(struct trace_ptrace *x, const char *body, size_t len)
{
	struct wire_image w;
	struct seen *s;
	size_t n;

	memcpy(&w, body, sizeof(w));
	if (!w.image || w.image > 1 << 24 || len < sizeof(w) + 2)
		return;
	if (w.image > x->nimages) {
		n = w.image + 64;
		x->images = must(realloc(x->images, n * sizeof(*x->images)));
		memset(x->images + x->nimages, 0,
			(n - x->nimages) * sizeof(*x->images));
		x->nimages = n;
	}
	s = x->images[w.image - 1];
	if (!s) {
		s = x->images[w.image - 1] = must(calloc(1, sizeof(*s)));
		s->last = &s->held;
	}
	s->w = w;
	n = len - sizeof(w);
	s->strings = must(malloc(n + 1));
	memcpy(s->strings, body + sizeof(w), n);
	s->strings[n] = 0;
	s->p.pid = w.pid;
	s->p.ppid = w.ppid;
	s->p.t = w.t;
	s->p.exe = s->strings;
	/* The strings are padded to 8 each. */
	n = (strlen(s->strings) + 8) & ~(size_t)7;
	s->p.cmdline = n < len - sizeof(w) ? s->strings + n : "";
	s->p.recorded = false;
	s->p.status = -1;
	s->p.modules = s->modules;
	s->p.nmodules = s->nmodules;
}

/*
 * Where the file's first byte lies, minus its p_vaddr, is what an address
 * has to be lessened by.
 */
static void
complete_module(struct trace_module *m, uint64_t file)
{
	struct trace_elf e;
	char why[64];

	m->base = file;
	if (*m->path != '/' || trace_elf_open(&e, m->path, why, sizeof(why)))
		return;
	if (e.nloads)
		m->base = file - (e.loads[0].vaddr - e.loads[0].offset);
	memcpy(m->build_id, e.build_id, sizeof(m->build_id));
	trace_elf_close(&e);
}

static void
take_modules(struct trace_ptrace *x, const char *body, size_t len)
{
	struct wire_modules head;
	struct trace_module *l = NULL;
	size_t n = 0, at = sizeof(head);
	struct seen *s;

	memcpy(&head, body, sizeof(head));
	s = image(x, head.image);
	if (!s) {
		/* It is announced right after. */
		struct wire_image w = {.image = head.image};
		char none[sizeof(w) + 16] = "";

		memcpy(none, &w, sizeof(w));
		take_image(x, none, sizeof(none));
		s = image(x, head.image);
		if (!s)
			return;
	}
	while (len - at >= sizeof(struct wire_module)) {
		struct wire_module m;
		struct trace_module *t;

		memcpy(&m, body + at, sizeof(m));
		at += sizeof(m);
		if (m.len > len - at || !m.len || body[at + m.len - 1])
			break;
		l = must(realloc(l, (n + 1) * sizeof(*l)));
		t = &l[n++];
		memset(t, 0, sizeof(*t));
		t->start = m.start;
		t->end = m.end;
		t->path = NULL;
		for (size_t i = 0; i < s->nmodules; i++)
			if (!strcmp(s->modules[i].path, body + at) &&
				s->modules[i].start == m.start) {
				*t = s->modules[i];
				t->end = m.end;
			}
		if (!t->path) {
			t->path = must(strdup(body + at));
			complete_module(t, m.file);
		}
		at += m.len;
	}
	/* Events that were emitted may still be asked about by their list:
	 * it is kept. */
	s->modules = l;
	s->nmodules = n;
	s->p.modules = l;
	s->p.nmodules = n;
}

static uint32_t
endpoint_id(const struct trace_ptrace *x, uint32_t ep)
{
	return ep && ep <= x->neps ? x->eps[ep - 1] : 0;
}

static void
take_endpoint(struct trace_ptrace *x, const char *body, size_t len)
{
	struct trace_endpoint e = {0};
	const struct trace_endpoint *old;
	struct wire_endpoint w;
	uint32_t id;

	if (len < sizeof(w))
		return;
	memcpy(&w, body, sizeof(w));
	if (!w.ep || w.ep > 1 << 24)
		return;
	if (w.ep > x->neps) {
		size_t n = 2 * (size_t)w.ep + 64;

		x->eps = must(realloc(x->eps, n * sizeof(*x->eps)));
		memset(x->eps + x->neps, 0, (n - x->neps) * sizeof(*x->eps));
		x->neps = n;
	}
	id = x->eps[w.ep - 1];
	if (!id)
		id = x->eps[w.ep - 1] = trace_endpoint_id(w.cookie);
	old = trace_endpoint_by_id(id);
	e.id = id;
	e.cookie = w.cookie;
	e.kind = w.kind;
	e.origin = w.origin;
	e.domain = w.domain;
	e.type = w.type;
	e.protocol = w.protocol;
	e.connected = w.connected;
	memcpy(e.local, w.local, sizeof(e.local) - 1);
	memcpy(e.peer, w.peer, sizeof(e.peer) - 1);
	e.listener = endpoint_id(x, w.listener);
	/* As it first came to be; the recorder saw it made, perhaps. */
	if (old && old->origin) {
		if (e.origin != TRACE_BY_SOCKET && e.origin != TRACE_BY_ACCEPT)
			e.origin = old->origin;
		e.connected |= old->connected;
		if (!e.listener)
			e.listener = old->listener;
		if (!*e.peer)
			memcpy(e.peer, old->peer, sizeof(e.peer));
	} else if (x->verify && e.origin == TRACE_BY_INHERIT && w.cookie) {
		/* Nothing that was recorded explains it, so far. */
		e.origin = TRACE_BY_ESCAPE;
	}
	trace_emit_endpoint(&e);
}

static const struct trace_stack *
intern(struct trace_ptrace *x, uint32_t img, const uint64_t *frames, size_t n)
{
	static struct trace_stack s;
	uint64_t h = 14695981039346656037u ^ img;
	struct istack *e;

	if (!n)
		return NULL;
	for (size_t i = 0; i < n; i++)
		h = (h ^ frames[i]) * 1099511628211u;
	if (2 * x->nstacks >= x->stacks_room) {
		struct istack *old = x->stacks;
		size_t room = x->stacks_room;

		x->stacks_room = room ? 2 * room : 256;
		x->stacks = must(calloc(x->stacks_room, sizeof(*x->stacks)));
		for (size_t i = 0; i < room; i++) {
			size_t k = old[i].hash;

			if (!old[i].id)
				continue;
			while (x->stacks[k & (x->stacks_room - 1)].id)
				k++;
			x->stacks[k & (x->stacks_room - 1)] = old[i];
		}
		free(old);
	}
	for (size_t k = h;; k++) {
		e = &x->stacks[k & (x->stacks_room - 1)];
		if (!e->id)
			break;
		if (e->hash == h && e->image == img && e->n == n &&
			!memcmp(e->frames, frames, n * sizeof(*frames)))
			goto out;
	}
	e->hash = h;
	e->image = img;
	e->n = n;
	e->frames = must(malloc(n * sizeof(*frames)));
	memcpy(e->frames, frames, n * sizeof(*frames));
	e->id = trace_stack_id();
	x->nstacks++;
out:
	s.id = e->id;
	s.n = e->n;
	s.frames = (const struct trace_frame *)e->frames;
	return &s;
}

/* libc, and what it is made of: what a program calls as "the C library". */
static bool
is_libc(const char *module)
{
	static const char *const names[] = {"libc.so", "libc-2.", "libpthread",
		"libresolv", "libnss_", "libanl", "libmvec", "librt",
		"ld-linux", "ld-2.", "libkmaptrace.so"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strncmp(module, names[i], strlen(names[i])))
			return true;
	return false;
}

/* No recorder can be in front of it, so it is as good as the program's own. */
static bool
is_musl(const char *module)
{
	return !strcmp(module, "libc.so") || !strncmp(module, "ld-musl", 7) ||
		!strncmp(module, "libc.musl", 9);
}

static bool
is_loader(const char *module)
{
	return !strncmp(module, "ld-linux", 8) || !strncmp(module, "ld-2.", 5);
}

/*
 * Who made the call: the outermost of the libc functions that lie on top of
 * the stack without a gap. Deeper ones are main's callers.
 */
static void
explain(const struct trace_process *p, const struct wire_call *w,
	const uint64_t *frames, struct trace_call *c, size_t *skip)
{
	const struct trace_symbol *top = NULL;
	bool loader = false;
	size_t k = 0;

	c->fn = c->version = "";
	*skip = 0;
	if (w->nr == SYS_io_uring_setup || w->nr == SYS_io_uring_enter ||
		w->nr == SYS_io_uring_register) {
		c->escape = TRACE_URING;
		return;
	}
	for (; k < w->nframes && w->seen != WIRE_I386; k++) {
		const struct trace_symbol *s = trace_symbol_at(p, frames[k]);

		if (!is_libc(s->module) || is_musl(s->module))
			break;
		top = s;
		loader |= is_loader(s->module);
	}
	if (!k) {
		c->escape = TRACE_INLINE;
		return;
	}
	c->caller = k < w->nframes ? frames[k] : 0;
	if (top->function)
		c->fn = top->function;
	for (size_t i = k; i < w->nframes && !loader; i++)
		loader = is_loader(trace_symbol_at(p, frames[i])->module);
	if (w->seen == WIRE_WITHIN) {
		c->escape = TRACE_LIBC;
		c->fn = verify_name_of(w->name);
	} else if (!strcmp(c->fn, "syscall")) {
		c->escape = TRACE_RAW;
	} else if (w->seen == WIRE_PASSED_BY && loader) {
		c->escape = TRACE_EARLY;
	} else {
		c->escape = TRACE_LIBC;
	}
	if (w->seen != WIRE_NO_RECORDER)
		return;
	/* A preloaded recorder would have seen it: which name was called? */
	if (c->caller) {
		const struct trace_site *site =
			trace_call_site(p, c->caller, NULL);

		if (site->kind == TRACE_SITE_PLT ||
			site->kind == TRACE_SITE_GOT ||
			site->kind == TRACE_SITE_TAIL) {
			c->fn = site->name;
			c->version = site->version;
		}
	}
	if (verify_matches(verify_name(c->fn), w->nr)) {
		c->escape =
			strcmp(c->fn, "syscall") ? TRACE_COVERED : TRACE_RAW;
		*skip = k;
	}
}

static const struct trace_process *
recorded(const struct trace_ptrace *x, const struct seen *s)
{
	if (!s->w.recorded || !x->d)
		return NULL;
	return trace_drain_process(x->d, s->w.pid);
}

static const struct trace_process *
whose(struct trace_ptrace *x, struct seen *s, struct trace_process *copy)
{
	const struct trace_process *p = recorded(x, s);

	if (!p) {
		if (!s->told) {
			s->told = true;
			s->p.id = trace_process_id();
			trace_emit_process(&s->p);
		}
		return &s->p;
	}
	/* The recorder's process, with all modules that we know. */
	*copy = *p;
	copy->modules = s->modules;
	copy->nmodules = s->nmodules;
	return copy;
}

static void
emit(struct trace_ptrace *x, struct seen *s, const char *body, size_t len)
{
	struct trace_process copy;
	struct trace_call c = {0};
	struct trace_item items[8];
	struct wire_call w;
	const uint64_t *frames;
	size_t at = sizeof(w), skip;

	memcpy(&w, body, sizeof(w));
	if (w.nframes > 128 || w.nframes * 8 > len - at)
		return;
	frames = (const uint64_t *)(body + at);
	at += w.nframes * 8;
	for (unsigned i = 0; i < w.nitems && c.nitems < 8; i++) {
		struct trace_item *t = &items[c.nitems];
		struct wire_item it;

		if (len - at < sizeof(it))
			return;
		memcpy(&it, body + at, sizeof(it));
		at += sizeof(it);
		if (it.len > len - at)
			return;
		t->type = it.type;
		t->arg = it.arg;
		t->len = it.len;
		t->data = body + at;
		if (it.type == TRACE_ITEM_POLL || it.type == TRACE_ITEM_EPOLL) {
			struct trace_poll *p = (void *)(body + at);

			for (size_t k = 0; k < it.len / sizeof(*p); k++)
				p[k].ep = endpoint_id(x, p[k].ep);
		}
		at += (it.len + 7u) & ~7u;
		c.nitems++;
	}
	c.process = whose(x, s, &copy);
	c.tid = w.tid;
	c.t = w.t;
	c.dur = w.dur;
	c.sys = w.nr;
	c.fd = w.fd;
	c.ep = endpoint_id(x, w.ep);
	c.made = endpoint_id(x, w.made);
	c.nargs = w.nargs;
	memcpy(c.args, w.args, sizeof(c.args));
	c.ret = w.ret;
	c.err = w.err;
	c.items = items;
	explain(c.process, &w, frames, &c, &skip);
	c.stack = intern(x, w.image, frames + skip, w.nframes - skip);
	trace_emit_call(&c);
	x->calls++;
}

/* Calls that wait for the recorder to announce their process; or not. */
static void
release(struct trace_ptrace *x, struct seen *s, bool now)
{
	if (!s->held)
		return;
	if (!now && !recorded(x, s))
		return;
	while (s->held) {
		struct held *h = s->held;

		s->held = h->next;
		emit(x, s, (char *)(h + 1), h->head.len - sizeof(h->head));
		free(h);
	}
	s->last = &s->held;
}

static void
take_call(struct trace_ptrace *x, const struct wire_head *head, char *body,
	size_t len)
{
	struct wire_call w;
	struct held *h;
	struct seen *s;

	if (len < sizeof(w))
		return;
	memcpy(&w, body, sizeof(w));
	s = image(x, w.image);
	if (!s || !s->strings)
		return;
	/* What the recorder wrote before this call lies in its ring. */
	if (s->w.recorded && x->d && !recorded(x, s))
		trace_drain_poll(x->d, 0);
	release(x, s, false);
	if (!s->held && (!s->w.recorded || !x->d || recorded(x, s))) {
		emit(x, s, body, len);
		return;
	}
	h = must(malloc(sizeof(*h) + len));
	h->next = NULL;
	h->head = *head;
	memcpy(h + 1, body, len);
	*s->last = h;
	s->last = &h->next;
}

static void
take_end(struct trace_ptrace *x, const char *body)
{
	struct wire_end w;
	struct seen *s;

	memcpy(&w, body, sizeof(w));
	s = image(x, w.image);
	if (!s)
		return;
	release(x, s, true);
	s->ended = true;
	s->p.status = w.status;
	if (s->told)
		trace_emit_process(&s->p);
}

static void
take_counts(struct trace_ptrace *x, const char *body)
{
	struct wire_counts w;
	size_t i;

	memcpy(&w, body, sizeof(w));
	for (i = 0; i < x->ncounts && x->counts[i].sys != w.nr; i++)
		;
	if (i == TRACER_NRS)
		return;
	if (i == x->ncounts)
		x->ncounts++;
	x->counts[i] =
		(struct trace_coverage){w.nr, w.calls, w.network, w.recorded};
}

static void
dispatch(struct trace_ptrace *x, const struct wire_head *h, char *body)
{
	static const size_t least[] = {
		[WIRE_FAILED] = sizeof(struct wire_failed),
		[WIRE_IMAGE] = sizeof(struct wire_image) + 2,
		[WIRE_MODULES] = sizeof(struct wire_modules),
		[WIRE_ENDPOINT] = sizeof(struct wire_endpoint),
		[WIRE_CALL] = sizeof(struct wire_call),
		[WIRE_END] = sizeof(struct wire_end),
		[WIRE_COUNTS] = sizeof(struct wire_counts),
		[WIRE_LEFT] = 0};
	size_t len = h->len - sizeof(*h);

	if (h->type > WIRE_LEFT || len < least[h->type])
		return;
	switch ((enum wire_type)h->type) {
	case WIRE_FAILED:
		memcpy(&x->failure, body, sizeof(x->failure));
		x->failed = true;
		break;
	case WIRE_READY:
		x->ready = true;
		break;
	case WIRE_IMAGE:
		take_image(x, body, len);
		break;
	case WIRE_MODULES:
		take_modules(x, body, len);
		break;
	case WIRE_ENDPOINT:
		take_endpoint(x, body, len);
		break;
	case WIRE_CALL:
		take_call(x, h, body, len);
		break;
	case WIRE_END:
		take_end(x, body);
		break;
	case WIRE_COUNTS:
		take_counts(x, body);
		break;
	case WIRE_LEFT:
		x->left = true;
		break;
	}
}

static bool
listed(const pid_t *pids, size_t n, pid_t pid)
{
	for (size_t i = 0; i < n; i++)
		if (pids[i] == pid)
			return true;
	return false;
}

/* Adds the processes that those in the list have made. */
static size_t
add_children(pid_t *pids, size_t n, size_t max)
{
	size_t before;

	do {
		DIR *dir = opendir("/proc");
		struct dirent *e;

		before = n;
		while (dir && (e = readdir(dir))) {
			pid_t pid = atoi(e->d_name), tgid, ppid, own;

			if (pid <= 0 || n == max || listed(pids, n, pid))
				continue;
			tracer_status(pid, &tgid, &ppid, &own);
			if (listed(pids, n, ppid))
				pids[n++] = pid;
		}
		if (dir)
			closedir(dir);
	} while (n > before);
	return n;
}

/*
 * The tracer was killed. What it traced has the filter still, and each call
 * that meets it fails for want of a tracer: another, mute one is needed, and
 * at once.
 */
static void
replace_tracer(struct trace_ptrace *x)
{
	enum {
		MAX = 4096
	};
	pid_t *pids, failed;
	size_t n = 0;
	int go;

	x->tracer = fork();
	if (x->tracer) {
		fprintf(stderr,
			"kmap-trace: the process that traces was "
			"killed: the program runs on unwatched\n");
		return;
	}
	/* Those that are known, before all else: time counts. */
	tracer.verify = tracer.mute = true;
	attach_seize(x->pid, &failed);
	pids = must(calloc(MAX, sizeof(*pids)));
	pids[n++] = x->pid;
	for (size_t i = 0; i < x->nimages && n < MAX; i++)
		if (x->images[i] && !x->images[i]->ended &&
			!listed(pids, n, x->images[i]->w.pid))
			pids[n++] = x->images[i]->w.pid;
	for (size_t i = 1; i < n; i++)
		attach_seize(pids[i], &failed);
	for (size_t i = n, k = add_children(pids, n, MAX); i < k; i++)
		attach_seize(pids[i], &failed);
	set_apart(x, &go);
	tracer_main(false);
}

/* Reads what is there and acts on it. */
static long
take(struct trace_ptrace *x)
{
	long before = x->calls;
	size_t at = 0;

	while (x->in >= 0) {
		ssize_t n;

		if (x->room - x->len < 65536) {
			x->room += 1 << 18;
			x->buf = must(realloc(x->buf, x->room));
		}
		n = read(x->in, x->buf + x->len, x->room - x->len);
		if (n < 0 && errno == EINTR)
			continue;
		if (!n && !x->left) {
			x->left = true;
			if (x->verify && x->ready)
				replace_tracer(x);
		}
		if (!n)
			close_fd(&x->in); /* at its end it is always readable */
		if (n <= 0)
			break;
		x->len += n;
		for (at = 0; x->len - at >= sizeof(struct wire_head);) {
			struct wire_head h;

			memcpy(&h, x->buf + at, sizeof(h));
			if (h.len < sizeof(h) || h.len > WIRE_MAX) {
				x->left = true;
				return x->calls - before;
			}
			if (h.len > x->len - at)
				break;
			dispatch(x, &h, x->buf + at + sizeof(h));
			at += h.len;
		}
		memmove(x->buf, x->buf + at, x->len - at);
		x->len -= at;
	}
	return x->calls - before;
}

long
trace_ptrace_poll(struct trace_ptrace *x, struct trace_drain *d)
{
	long n;

	x->d = d;
	n = take(x);
	for (size_t i = 0; i < x->nimages; i++)
		if (x->images[i])
			release(x, x->images[i], false);
	return n;
}

void
trace_ptrace_leave(struct trace_ptrace *x, struct trace_drain *d)
{
	x->d = d;
	while (!x->left && x->tracer) {
		struct pollfd p = {x->in, POLLIN, 0};

		kill(x->tracer, SIGUSR1);
		poll(&p, 1, 100);
		take(x);
	}
}

void
trace_ptrace_close(struct trace_ptrace *x, struct trace_drain *d)
{
	trace_ptrace_leave(x, d);
	for (size_t i = 0; i < x->nimages; i++)
		if (x->images[i])
			release(x, x->images[i], true);
	close_fd(&x->in);
	/* With --verify it stays as long as there is somebody to let pass. */
	if (x->tracer && !x->verify)
		waitpid(x->tracer, NULL, 0);
}

static int
compare_counts(const void *a, const void *b)
{
	const struct trace_coverage *x = a, *y = b;

	return x->sys - y->sys;
}

size_t
trace_ptrace_coverage(
	const struct trace_ptrace *x, const struct trace_coverage **list)
{
	struct trace_ptrace *w = (struct trace_ptrace *)x;

	qsort(w->counts, w->ncounts, sizeof(w->counts[0]), compare_counts);
	*list = x->counts;
	return x->ncounts;
}

void
trace_ptrace_free(struct trace_ptrace *x)
{
	for (size_t i = 0; i < x->nimages; i++) {
		struct seen *s = x->images[i];

		if (!s)
			continue;
		free(s->strings);
		free(s);
	}
	for (size_t i = 0; i < x->stacks_room; i++)
		free(x->stacks[i].frames);
	close_fd(&x->in);
	close_fd(&x->out);
	close_fd(&x->go[0]);
	close_fd(&x->go[1]);
	free(x->images);
	free(x->eps);
	free(x->stacks);
	free(x->buf);
	free(x->region);
	free(x);
}
