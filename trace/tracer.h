/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The inside of the tracing process; see ptrace.h for what it does. One
 * thread, no locks.
 *
 *	ptrace.c	stops, threads, images, the pipe to kmap-trace
 *	verify.c	the filter; was a recorded function at work?
 *	attach.c	taking a running program, letting it go
 *	fds.c		what the fds of the program are
 *	peek.c		what stands behind the arguments of a call
 *	i386.c		the calls of 32-bit code
 *	unwind.c	stacks, modules
 *	unwind32.c	stacks of 32-bit programs
 */
#ifndef KMAP_TRACE_TRACER_H
#define KMAP_TRACE_TRACER_H

#include <linux/audit.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

#include "event.h"
#include "must.h"
#include "ptrace.h"
#include "region.h"
#include "wire.h"

#if defined(__x86_64__)
#define TRACER_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define TRACER_ARCH AUDIT_ARCH_AARCH64
#endif

#define RECORDER "libkmaptrace.so"
/* Numbers that a filter stops at: its jumps go 255 instructions far. */
#define WATCHED_MOST 250
#define TRACER_NRS 512 /* system calls that are counted; all of x86-64's */

/* A file descriptor of the program, as far as it was looked at. */
struct tfd {
	uint8_t kind; /* enum trace_kind + 1; 0: not looked at */
	bool stale; /* its endpoint may have changed */
	bool connected;
	uint8_t origin; /* for the endpoint, if it is not announced yet */
	uint32_t ep; /* the tracer's number, 0: none yet */
	uint32_t listener;
};

struct range {
	uint64_t start, end;
	uint64_t file; /* where the file's first byte lies */
	struct frames *frames; /* of a file without an index to them */
};

/* One image of one process; the threads share it. */
struct image {
	uint32_t id;
	pid_t pid, ppid;
	unsigned users; /* threads that run it */
	bool program; /* an exec was seen, or it was attached to */
	bool recorded; /* libkmaptrace.so is mapped, and may record */
	bool i386; /* 32-bit code */
	bool announced;
	uint32_t above; /* its rings have numbers of images above this */
	uint64_t pidns;
	pid_t vfork_of; /* until exec it uses this thread's ring */
	struct tfd *fds;
	size_t nfds;
	struct range *code; /* what has been told, by start */
	size_t ncode;
	void *as, *upt; /* libunwind's */
};

/* How the call that a thread is in lays out its memory: bytes. */
struct abi {
	uint8_t word; /* of a pointer, a long, a size_t */
	uint8_t time; /* of each half of a timespec or timeval */
};

/* A system call under way. */
struct tcall {
	bool active;
	bool quiet; /* nothing is told of it */
	uint64_t t;
	int nr, fd;
	uint64_t args[6], pc, sp;
	uint16_t seen, name;
	uint32_t ep;
	size_t nsets; /* select: what was asked for */
	struct trace_poll sets[64];
	bool timed; /* its time-out could be read: ns, -1 for ever */
	int64_t time_out;
	size_t nframes;
	uint64_t frames[128];
};

struct tracee {
	pid_t tid;
	pid_t own_tid; /* as it sees itself, in its pid namespace */
	struct image *image;
	struct kt_ring *ring;
	bool waits; /* stopped at birth, its maker has not told of it yet */
	bool in_syscall; /* --attach: between entry and exit */
	struct abi abi;
	int last; /* the call it entered last and may be in, or -1 */
	int own_nr; /* that call's number in the program's own ABI */
	struct tcall *call; /* NULL until the first */
};

struct tracer {
	bool verify;
	bool mute; /* nobody listens any more */
	bool leave; /* --attach: let all go */
	bool program; /* the program's exec has been seen */
	pid_t pid; /* the program's */
	unsigned int data, frames;
	int out;
	struct kt_region *region;
	ino_t region_ino;
	uid_t region_uid;
	struct wire_counts counts[TRACER_NRS];
	bool counted; /* since counts were last told */
	uint32_t endpoints; /* numbers given out */
};

extern struct tracer tracer;

/* ptrace.c */
uint64_t tracer_now(void);
void tracer_send(uint32_t type, const void *body, size_t len);
/* A message in parts: begin, add, end. */
void tracer_begin(uint32_t type);
void *tracer_add(const void *data, size_t len); /* padded to 8 */
void tracer_end(void);
void tracer_announce(struct image *im);
struct tracee *tracer_find(pid_t tid);
struct tracee *tracer_new(pid_t tid);
size_t tracer_count(void);
void tracer_each(void (*fn)(struct tracee *t));
/* Of /proc/TID/status; own_tid is the tid in its own pid namespace. */
void tracer_status(pid_t tid, pid_t *tgid, pid_t *ppid, pid_t *own_tid);
void tracer_flush(void);
/* The tracer's life. orphan: kmap-trace has ended already. */
void tracer_main(bool orphan) __attribute__((noreturn));

/* verify.c */
int verify_map(const char *region);
int verify_filter(void);
bool verify_watched(int nr);
/* KT_OUTSIDE, KT_OWN, or the recorded function + 1. */
uint32_t verify_inside(struct tracee *t);
/* Does a recorded function of that name record this very call? */
bool verify_matches(uint32_t inside, int nr);
/* The function of that number + 1, "" for none; and back, KT_OUTSIDE. */
const char *verify_name_of(uint32_t inside);
uint32_t verify_name(const char *fn);

/* attach.c */
int attach_seize(pid_t pid, pid_t *failed);
void attach_interrupt_all(void);

/* fds.c */
int fds_arg(int nr, const uint64_t *args); /* the fd it is about, or -1 */
struct tfd *fds_get(struct image *im, int fd); /* looked at; NULL: none */
bool fds_network(const struct tfd *f);
uint32_t fds_endpoint(struct tracee *t, int fd); /* announced; 0: none */
void fds_entry(struct tracee *t, int nr, const uint64_t *args);
void fds_exit(struct tracee *t, int nr, const uint64_t *args, int64_t ret);
void fds_forget(struct image *im);
void fds_before(struct tracee *t); /* what it listens on becomes known */
/* Is the call about something that is, or may become, a network fd? */
bool fds_call_network(struct tracee *t, int nr, const uint64_t *args);

/* peek.c */
/* How many bytes could be read, from the start. */
size_t peek(pid_t tid, uint64_t addr, void *to, size_t n);
/* The same of words of the call's ABI; how many words. */
size_t peek_words(struct tracee *t, uint64_t addr, uint64_t *to, size_t n);
/* What the kernel writes over, before it does: sets, a time-out. */
void peek_entry(struct tracee *t, struct tcall *c);
/* The descriptors that a message (struct msghdr) brought: their number. */
#define PEEK_FDS 253 /* SCM_MAX_FD */
size_t peek_passed(struct tracee *t, uint64_t msg, int *fds);
/* Adds the items of a finished call to the message; their number. */
unsigned peek_items(struct tracee *t, struct tcall *c, int64_t ret);
unsigned peek_nargs(int nr);
/* "127.0.0.1:80" … as in struct trace_endpoint; size 112. */
void peek_address(char *text, const void *sa, size_t len);

/* i386.c */
/* The n numbers that the filter stops at. */
const int *i386_watched(size_t *n);
/* Our number for that call, and the arguments as ours has them; sets t->abi.
 * -1: it is not watched. */
int i386_call(struct tracee *t, int nr, uint64_t *args);
bool i386_program(const struct tracee *t);
/* At the stop after exec: the loader does not see the recorder. */
void i386_exec(struct tracee *t);

/* unwind.c */
void unwind_stack(struct tracee *t, struct tcall *c);
void unwind_modules(struct image *im);
void unwind_forget(struct image *im);
/* Where the unwind table's entry for the function at that address lies; 0:
 * there is none. */
uint64_t unwind_fde(struct image *im, uint64_t addr);

/* unwind32.c */
/* The callers of a thread of a 32-bit program: their number. */
size_t unwind_i386(struct tracee *t, uint64_t *frames, size_t max);

#endif
