/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "tracer.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SYSCALL_STOP (SIGTRAP | 0x80) /* PTRACE_O_TRACESYSGOOD */

struct tracer tracer;

/* Threads by tid: open addressing, a deleted one leaves a mark. */
static struct tracee **threads, gone;
static size_t room, used, live;

static uint32_t images;
static volatile sig_atomic_t asked; /* to leave */

uint64_t
tracer_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

/* The pipe. Messages are gathered and written when there is time or need. */
static char *out;
static size_t out_len, out_room, begun;

void
tracer_flush(void)
{
	size_t at = 0;

	while (at < out_len && !tracer.mute) {
		ssize_t n = write(tracer.out, out + at, out_len - at);

		if (n > 0)
			at += n;
		else if (n < 0 && errno != EINTR)
			tracer.mute = true; /* kmap-trace is gone */
	}
	out_len = 0;
}

void *
tracer_add(const void *data, size_t len)
{
	size_t padded = (len + 7) & ~(size_t)7;
	char *p;

	if (out_len + padded > out_room) {
		out_room = 2 * out_room + padded + 65536;
		out = must(realloc(out, out_room));
	}
	p = out + out_len;
	if (data)
		memcpy(p, data, len);
	else
		memset(p, 0, len);
	memset(p + len, 0, padded - len);
	out_len += padded;
	return p;
}

void
tracer_begin(uint32_t type)
{
	struct wire_head h = {.type = type};

	begun = out_len;
	tracer_add(&h, sizeof(h));
}

void
tracer_end(void)
{
	struct wire_head *h = (struct wire_head *)(out + begun);

	h->len = out_len - begun;
	if (tracer.mute || h->len > WIRE_MAX)
		out_len = begun;
	if (out_len > 32768)
		tracer_flush();
}

void
tracer_send(uint32_t type, const void *body, size_t len)
{
	tracer_begin(type);
	tracer_add(body, len);
	tracer_end();
}

static void
send_counts(void)
{
	if (!tracer.counted)
		return;
	tracer.counted = false;
	for (int nr = 0; nr < TRACER_NRS; nr++) {
		tracer.counts[nr].nr = nr;
		if (tracer.counts[nr].calls)
			tracer_send(WIRE_COUNTS, &tracer.counts[nr],
				sizeof(tracer.counts[nr]));
	}
}

/* Threads and images. */

static size_t
hash(pid_t tid)
{
	return (uint32_t)tid * 2654435761u & (room - 1);
}

struct tracee *
tracer_find(pid_t tid)
{
	if (!room)
		return NULL;
	for (size_t h = hash(tid); threads[h]; h = (h + 1) & (room - 1))
		if (threads[h] != &gone && threads[h]->tid == tid)
			return threads[h];
	return NULL;
}

static void
insert(struct tracee *t)
{
	size_t h = hash(t->tid);

	while (threads[h])
		h = (h + 1) & (room - 1);
	threads[h] = t;
	used++;
}

struct tracee *
tracer_new(pid_t tid)
{
	struct tracee *t = must(calloc(1, sizeof(*t)));

	if (2 * used >= room) {
		struct tracee **old = threads;
		size_t n = room;

		/* What is only marked is left behind. */
		room = 64;
		while (room < 4 * (live + 1))
			room *= 2;
		threads = must(calloc(room, sizeof(*threads)));
		used = 0;
		for (size_t i = 0; i < n; i++)
			if (old[i] && old[i] != &gone)
				insert(old[i]);
		free(old);
	}
	t->tid = t->own_tid = tid;
	t->last = -1;
	insert(t);
	live++;
	return t;
}

size_t
tracer_count(void)
{
	return live;
}

void
tracer_each(void (*fn)(struct tracee *t))
{
	for (size_t i = 0; i < room; i++)
		if (threads[i] && threads[i] != &gone)
			fn(threads[i]);
}

static void
image_free(struct image *im)
{
	fds_forget(im);
	unwind_forget(im);
	free(im);
}

static void
thread_free(struct tracee *t)
{
	size_t h = hash(t->tid);

	while (threads[h] != t)
		h = (h + 1) & (room - 1);
	threads[h] = &gone;
	live--;
	if (t->image && !--t->image->users)
		image_free(t->image);
	free(t->call);
	free(t);
}

/* Numbers of /proc/TID/status; own_tid as its own pid namespace has it. */
void
tracer_status(pid_t tid, pid_t *tgid, pid_t *ppid, pid_t *own_tid)
{
	char path[64], line[256];
	FILE *f;

	*tgid = *own_tid = tid;
	*ppid = 0;
	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	f = fopen(path, "re");
	if (!f)
		return;
	while (fgets(line, sizeof(line), f)) {
		char *last;

		if (!strncmp(line, "Tgid:", 5)) {
			*tgid = atoi(line + 5);
		} else if (!strncmp(line, "PPid:", 5)) {
			*ppid = atoi(line + 5);
		} else if (!strncmp(line, "NSpid:", 6)) {
			last = strrchr(line, '\t');
			*own_tid = last ? atoi(last) : tid;
			break;
		}
	}
	fclose(f);
}

static struct image *
new_image(pid_t pid, pid_t ppid)
{
	struct image *im = must(calloc(1, sizeof(*im)));
	char path[64];
	struct stat st;

	im->id = ++images;
	im->pid = pid;
	im->ppid = ppid;
	snprintf(path, sizeof(path), "/proc/%d/ns/pid", pid);
	if (!stat(path, &st))
		im->pidns = st.st_ino;
	return im;
}

static size_t
read_file(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, size);

	if (fd >= 0)
		close(fd);
	return n < 0 ? 0 : n;
}

/* Tells of the image, once, when there is something to tell of it. */
void
tracer_announce(struct image *im)
{
	struct wire_image w = {.t = tracer_now(),
		.image = im->id,
		.pid = im->pid,
		.ppid = im->ppid};
	char path[64], text[4096];
	ssize_t n;

	if (im->announced || !im->program)
		return;
	im->announced = true;
	unwind_modules(im);
	w.recorded = im->recorded;
	tracer_begin(WIRE_IMAGE);
	tracer_add(&w, sizeof(w));
	snprintf(path, sizeof(path), "/proc/%d/exe", im->pid);
	n = readlink(path, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = 0;
	tracer_add(text, strlen(text) + 1);
	snprintf(path, sizeof(path), "/proc/%d/cmdline", im->pid);
	n = read_file(path, text, sizeof(text) - 1);
	text[n] = 0;
	for (ssize_t i = 0; i + 1 < n; i++)
		if (!text[i])
			text[i] = ' ';
	tracer_add(text, strlen(text) + 1);
	tracer_end();
}

static bool
some_thread_of(pid_t tgid, struct image **im)
{
	struct tracee *t = tracer_find(tgid);

	if (t && t->image) {
		*im = t->image;
		return true;
	}
	/* The leader may have ended, the others run on. */
	for (size_t i = 0; i < room; i++)
		if (threads[i] && threads[i] != &gone && threads[i]->image &&
			threads[i]->image->pid == tgid) {
			*im = threads[i]->image;
			return true;
		}
	return false;
}

/* A thread at its first stop: whose is it? */
static void
adopt(struct tracee *t)
{
	pid_t tgid, ppid;
	struct image *im;
	bool before = false;

	if (t->image)
		return;
	tracer_status(t->tid, &tgid, &ppid, &t->own_tid);
	if (!some_thread_of(tgid, &im)) {
		struct image *parent;

		im = new_image(tgid, ppid);
		/* A child is at work in its parent's program. */
		im->program = !tracer.verify;
		im->i386 = i386_program(t);
		if (some_thread_of(ppid, &parent)) {
			im->program = parent->program;
			im->recorded = parent->recorded;
		} else {
			before = !tracer.verify;
		}
		if (tracer.region)
			im->above = a_load(&tracer.region->processes);
	}
	im->users++;
	t->image = im;
	if (before)
		fds_before(t);
}

static void
resume(struct tracee *t, int sig)
{
	int how = PTRACE_CONT;

	if (!tracer.verify || (t->call && t->call->active))
		how = PTRACE_SYSCALL;
	if (tracer.leave)
		how = PTRACE_DETACH;
	if (ptrace(how, t->tid, 0, sig) < 0 && errno != ESRCH) {
		/* It was killed at the stop: its end is told by wait. */
	}
	if (how == PTRACE_DETACH)
		thread_free(t);
}

/* System calls. */

static void
tell_call(struct tracee *t, struct tcall *c, int64_t ret)
{
	struct wire_call w = {.t = c->t,
		.dur = tracer_now() - c->t,
		.image = t->image->id,
		.tid = t->tid,
		.nr = c->nr,
		.fd = c->fd,
		.ep = c->ep,
		.seen = c->seen,
		.name = c->name,
		.ret = ret,
		.pc = c->pc,
		.nargs = peek_nargs(c->nr),
		.nframes = c->nframes};
	struct wire_call *in;
	size_t at;

	if (ret < 0 && ret >= -4095) {
		/* ERESTARTSYS …: a signal ended it (and may restart it). */
		w.err = ret <= -512 ? EINTR : -ret;
		w.ret = -1;
	}
	if (w.fd < 0 && w.ret >= 0 && c->nr == SYS_socket) {
		w.fd = w.ret;
		w.ep = fds_endpoint(t, w.fd);
	}
	if (w.ret >= 0 && (c->nr == SYS_accept || c->nr == SYS_accept4))
		w.made = fds_endpoint(t, w.ret);
	memcpy(w.args, c->args, sizeof(w.args));
	tracer_announce(t->image);
	tracer_begin(WIRE_CALL);
	at = out_len;
	tracer_add(&w, sizeof(w));
	tracer_add(c->frames, c->nframes * sizeof(c->frames[0]));
	w.nitems = peek_items(t, c, ret);
	in = (struct wire_call *)(out + at);
	in->nitems = w.nitems;
	tracer_end();
}

/*
 * poll's fds become endpoints before the call is told, as a message cannot
 * lie within another.
 */
static void
poll_endpoints(struct tracee *t, const struct tcall *c)
{
	struct {
		int fd;
		short events, revents;
	} p[64];
	size_t n = c->args[1] < 64 ? c->args[1] : 64;

	switch (c->nr) {
	case SYS_ppoll:
#ifdef SYS_poll
	case SYS_poll:
#endif
		n = peek(t->tid, c->args[0], p, n * sizeof(*p)) / sizeof(*p);
		for (size_t i = 0; i < n; i++)
			if (p[i].fd >= 0)
				fds_endpoint(t, p[i].fd);
		break;
	case SYS_epoll_ctl:
		fds_endpoint(t, (int)c->args[2]);
		break;
	}
}

/* Our number for the call, or -1; what it points to is laid out as t->abi
 * says. */
static int
abi_call(struct tracee *t, const struct __ptrace_syscall_info *info,
	uint64_t *args)
{
	t->own_nr = (int)info->entry.nr;
	t->abi = (struct abi){sizeof(long), sizeof(long)};
#ifdef __x86_64__
	if (info->arch == AUDIT_ARCH_I386)
		return i386_call(t, t->own_nr, args);
#endif
#ifdef TRACER_ARCH
	/* --attach: other ABIs have other numbers, and structures. */
	if (info->arch != TRACER_ARCH)
		return -1;
#endif
	return t->own_nr;
}

/* The call and its arguments, which are those of the function of its name. */
static int
call_of(struct tracee *t, const struct __ptrace_syscall_info *info,
	uint64_t *args)
{
	int nr;

	/* entry and seccomp begin alike */
	for (int i = 0; i < 6; i++)
		args[i] = info->entry.args[i];
	nr = abi_call(t, info, args);
	/* The kernel takes an offset in two halves, the upper is unused. */
	if (nr == SYS_preadv2 || nr == SYS_pwritev2)
		args[4] = args[5];
	return nr;
}

static void
enter(struct tracee *t, const struct __ptrace_syscall_info *info, int nr,
	const uint64_t *args, enum wire_seen seen, uint32_t name)
{
	struct tcall *c = t->call;

	if (!c)
		c = t->call = must(calloc(1, sizeof(*c)));
	c->active = true;
	c->quiet = false;
	c->nr = nr;
	c->fd = fds_arg(nr, args);
	memcpy(c->args, args, sizeof(c->args));
	c->pc = info->instruction_pointer;
	c->sp = info->stack_pointer;
	c->seen = seen;
	c->name = name;
	c->nframes = 0;
	unwind_stack(t, c);
	tracer_announce(t->image);
	c->ep = c->fd >= 0 ? fds_endpoint(t, c->fd) : 0;
	poll_endpoints(t, c);
	peek_entry(t, c);
	fds_entry(t, nr, args);
	c->t = tracer_now();
}

static void
leave(struct tracee *t, int64_t ret)
{
	struct tcall *c = t->call;

	t->in_syscall = false;
	t->last = -1;
	if (!c || !c->active)
		return;
	c->active = false;
	fds_exit(t, c->nr, c->args, ret);
	if (!tracer.mute)
		tell_call(t, c, ret);
}

/*
 * The program enters a system call: --verify's filter stopped it, or every
 * call stops it (--attach). How a fortified program, a static one, or one in
 * another language got here makes no difference.
 */
static void
on_entry(struct tracee *t)
{
	struct __ptrace_syscall_info info;
	uint64_t args[6];
	uint32_t inside;
	bool other;
	int nr;

	t->in_syscall = true;
	if (tracer.mute || !t->image->program)
		return;
	if (ptrace(PTRACE_GET_SYSCALL_INFO, t->tid, sizeof(info), &info) <= 0)
		return;
	nr = call_of(t, &info, args);
	if (!verify_watched(nr))
		return;
	other = t->abi.word != sizeof(long);
	inside = tracer.verify && !other ? verify_inside(t) : KT_OUTSIDE;
	if (inside == KT_OWN) {
		t->last = -1;
		return;
	}
	t->last = nr;
	tracer.counts[nr].calls++;
	tracer.counted = true;
	if (inside != KT_OUTSIDE && verify_matches(inside, nr)) {
		/* What closes many is recorded for each that matters. */
		if (nr != SYS_close_range || fds_call_network(t, nr, args)) {
			tracer.counts[nr].recorded++;
			tracer.counts[nr].network++;
		}
		/* What it makes of fds is seen when somebody asks. */
		fds_entry(t, nr, args);
		return;
	}
	if (!fds_call_network(t, nr, args)) {
		fds_entry(t, nr, args);
		return;
	}
	tracer.counts[nr].network++;
	enter(t, &info, nr, args,
		other			       ? WIRE_I386
			: inside != KT_OUTSIDE ? WIRE_WITHIN
			: t->image->recorded   ? WIRE_PASSED_BY
					       : WIRE_NO_RECORDER,
		inside);
}

static void
on_syscall(struct tracee *t)
{
	struct __ptrace_syscall_info info;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, t->tid, sizeof(info), &info) <= 0)
		return;
	if (info.op == PTRACE_SYSCALL_INFO_ENTRY)
		on_entry(t);
	else if (info.op == PTRACE_SYSCALL_INFO_EXIT)
		leave(t, info.exit.rval);
}

/* Other events. */

/* execve(2), ptrace(2): all other threads are gone, the one left is leader. */
static void
on_exec(struct tracee *t)
{
	struct image *old = t->image, *im;
	pid_t tgid, ppid;

	for (size_t i = 0; i < room; i++)
		if (threads[i] && threads[i] != &gone && threads[i] != t &&
			threads[i]->image == old && old)
			thread_free(threads[i]);
	tracer_status(t->tid, &tgid, &ppid, &t->own_tid);
	im = new_image(t->tid, ppid);
	im->users = 1;
	im->program = true;
	im->i386 = i386_program(t);
	if (im->i386 && tracer.verify)
		i386_exec(t);
	tracer.program = true;
	if (tracer.region)
		im->above = a_load(&tracer.region->processes);
	t->image = im;
	t->ring = NULL;
	t->last = -1;
	if (t->call)
		t->call->active = false;
	if (old && !--old->users)
		image_free(old);
}

/*
 * wait tells of a child's first stop and of its maker's in any order, and
 * whose ring a vfork child uses is known from the maker alone: the child
 * waits for it. Not when the maker is killed and tells nothing.
 */
static void
let_run(struct tracee *t)
{
	if (!t->waits)
		return;
	t->waits = false;
	adopt(t);
	resume(t, 0);
}

/* After an end: those whose maker is not there any more to tell of them. */
static void
let_orphan_run(struct tracee *t)
{
	pid_t tgid, ppid, own;
	struct image *im;

	if (!t->waits)
		return;
	tracer_status(t->tid, &tgid, &ppid, &own);
	if (!some_thread_of(tgid, &im) && !some_thread_of(ppid, &im))
		let_run(t);
}

static void
on_birth(struct tracee *t, int event)
{
	unsigned long pid;
	struct tracee *child;

	if (ptrace(PTRACE_GETEVENTMSG, t->tid, 0, &pid) < 0)
		return;
	child = tracer_find(pid);
	if (!child)
		child = tracer_new(pid);
	adopt(child);
	if (event == PTRACE_EVENT_VFORK && child->image != t->image)
		child->image->vfork_of = t->tid;
	if (child->waits)
		let_run(child);
}

/*
 * strace counts a call when it ends, or is ended by a signal. One that the
 * thread was still in when its process was killed, or ended by another
 * thread, is none.
 */
static void
on_exit_event(struct tracee *t)
{
#ifdef __x86_64__
	struct user_regs_struct regs;

	/* In our form, whatever the thread runs. */
	if (t->last >= 0 && !ptrace(PTRACE_GETREGS, t->tid, 0, &regs) &&
		(int)regs.orig_rax == t->own_nr) {
		tracer.counts[t->last].calls--;
		tracer.counted = true;
	}
#endif
	t->last = -1;
	/* When its parent learns of the end, all has been told. */
	tracer_flush();
}

static void
ended(struct tracee *t, int status)
{
	if (t->image && t->tid == t->image->pid && t->image->announced) {
		struct wire_end w = {t->image->id, status};

		send_counts();
		tracer_send(WIRE_END, &w, sizeof(w));
	}
	thread_free(t);
	tracer_each(let_orphan_run);
}

static bool
stops(int sig)
{
	return sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN ||
		sig == SIGTTOU;
}

static void
on_stop(struct tracee *t, int status)
{
	int sig = WSTOPSIG(status), event = status >> 16;

	adopt(t);
	switch (event) {
	case PTRACE_EVENT_SECCOMP:
		on_entry(t);
		break;
	case PTRACE_EVENT_EXEC:
		on_exec(t);
		break;
	case PTRACE_EVENT_FORK:
	case PTRACE_EVENT_VFORK:
	case PTRACE_EVENT_CLONE:
		on_birth(t, event);
		break;
	case PTRACE_EVENT_EXIT:
		on_exit_event(t);
		break;
	case PTRACE_EVENT_STOP:
		/* A group-stop goes on until SIGCONT, as it would untraced. */
		if (stops(sig) && !tracer.leave) {
			ptrace(PTRACE_LISTEN, t->tid, 0, 0);
			return;
		}
		/* PTRACE_DETACH leaves a stopped thread stopped. */
		break;
	case 0:
		if (sig == SYSCALL_STOP) {
			on_syscall(t);
			break;
		}
		/* A signal: its call, if any, has come to its end. */
		t->last = -1;
		resume(t, sig);
		return;
	}
	resume(t, 0);
}

static void
on_asked(int sig)
{
	(void)sig;
	asked = 1;
	/* wait may begin just now: knock again until it has been heard. */
	alarm(1);
}

static void
heard(void)
{
	asked = 0;
	alarm(0);
	if (tracer.verify) {
		/* The filter stays: so do we. */
		send_counts();
		tracer_send(WIRE_LEFT, NULL, 0);
		tracer_flush();
		tracer.mute = true;
		close(tracer.out);
		return;
	}
	tracer.leave = true;
	tracer_each(let_run);
	attach_interrupt_all();
}

void
tracer_main(bool orphan)
{
	struct sigaction sa = {.sa_handler = on_asked};

	asked = orphan;
	sigaction(SIGUSR1, &sa, NULL);
	sigaction(SIGALRM, &sa, NULL);
	while (live) {
		int status;
		pid_t tid = 0;

		if (asked)
			heard();
		if (out_len) {
			tid = waitpid(-1, &status, __WALL | WNOHANG);
			if (!tid)
				tracer_flush();
		}
		if (!tid)
			tid = waitpid(-1, &status, __WALL);
		if (tid < 0 && errno == EINTR)
			continue;
		if (tid < 0)
			break; /* ECHILD: nobody is left */
		{
			struct tracee *t = tracer_find(tid);

			if (!t && WIFSTOPPED(status))
				tracer_new(tid)->waits = true;
			else if (WIFSTOPPED(status))
				on_stop(t, status);
			else if (t)
				ended(t, status);
		}
	}
	send_counts();
	tracer_send(WIRE_LEFT, NULL, 0);
	tracer_flush();
	_exit(0);
}
