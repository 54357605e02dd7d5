/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libkmaptrace.so: records the calls of the program it is preloaded into.
 *
 * Rules of the house:
 *  1. The program's fd numbers, errno, environment and timing of readiness
 *     stay as they were. No fd is kept open; own syscalls are raw.
 *  2. No allocation, no stdio, no lock that a signal handler could find held
 *     by its own thread and wait for.
 *  3. Nothing here is a reason to fail a call: what cannot be recorded is
 *     counted (kt_region.lost).
 */
#ifndef KMAP_TRACE_REC_H
#define KMAP_TRACE_REC_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "../event.h"
#include "../region.h"
#include "atom.h"
#include "base.h"
#include "preload.h"
#include "sys.h"

#define KT_EXPORT __attribute__((visibility("default")))
#define KT_COLD __attribute__((cold, noinline))

/* What the recorder does about a call: wraps.c says which name is which. */
enum kt_op {
	OP_NONE, /* record the words alone */
	OP_SOCKET,
	OP_PAIR,
	OP_BIND,
	OP_LISTEN,
	OP_CONNECT,
	OP_ACCEPT, /* a[3] are accept4's flags */
	OP_NAME, /* an address comes back in a[1], its length in *a[2] */
	OP_GETOPT,
	OP_SETOPT,
	OP_FCNTL,
	OP_IOCTL,
	OP_READ, /* ret bytes at a[1] */
	OP_WRITE, /* of the a[2] bytes at a[1] */
	OP_RECVFROM,
	OP_SENDTO,
	OP_READV, /* a[2] slices at a[1] */
	OP_WRITEV,
	OP_RECVMSG,
	OP_SENDMSG,
	OP_RECVMMSG,
	OP_SENDMMSG,
	OP_DUP, /* dup, dup2, dup3: ret is another number of a[0] */
	OP_POLL,
	OP_PPOLL,
	OP_SELECT,
	OP_EPOLL_CREATE,
	OP_EPOLL_CTL,
	OP_EPOLL_WAIT,
	OP_EPOLL_PWAIT2,
	OP_CLOSE_RANGE,
	OP_GETFD,
	OP_URING, /* ret is a new number */
};

/* One number of the program's, one word. */
typedef uint64_t kt_entry;
#define KT_KNOWN 1u /* it was looked at */
#define KT_REC 2u /* its calls are recorded */
#define KT_BORN 4u /* a call made it */
#define KT_HAD 8u /* it was open when the image started */

static inline uint32_t
kt_entry_ep(kt_entry e)
{
	return e >> 32;
}

static inline enum trace_kind
kt_entry_kind(kt_entry e)
{
	return (e >> 8) & 0xff;
}

static inline unsigned int
kt_entry_flags(kt_entry e)
{
	return e & 0xff;
}

static inline kt_entry
kt_entry_make(uint32_t ep, enum trace_kind kind, unsigned int flags)
{
	return (kt_entry)ep << 32 | (kt_entry)kind << 8 | flags;
}

/* One call on its way through, on the caller's stack. */
struct kt_call {
	uint64_t t, end;
	kt_entry e; /* what the fd was when the call began */
	int fd;
	int err; /* errno after the call */
	long r;
	void *cfa; /* the caller's stack pointer after its return */
	uint64_t caller; /* the return address */
	uint32_t outer; /* what the thread was inside of before */
	bool on; /* the ring says that it is inside of this */
};

/* A thread's own. */
struct kt_self {
	uint32_t off; /* we load libunwind: what that calls is not recorded */
	uint32_t walking; /* libunwind is at work: see kt_unw */
	uint32_t depth; /* records that are being written */
	uint32_t nested; /* those written by handlers meanwhile */
	uint32_t process; /* the image that ring was taken for */
	uint32_t tid;
	uint32_t index; /* of ring */
	struct kt_ring *ring;
	char *data;
	char *cache; /* of stacks, stack.c */
	pid_t vfork_parent; /* 0: this thread has no child on its stack */
	uint32_t vfork_process;
	unsigned int ends;
};

extern __thread struct kt_self kt_self
	__attribute__((tls_model("initial-exec")));

/* A page that a fork's child, however made, finds full of zeroes. */
struct kt_private {
	uint32_t process; /* number of this image */
	uint32_t pid;
	uint64_t chunk, left; /* of the arena: place and bytes */
};

extern struct kt_private *kt_private;
extern bool kt_live; /* false: nothing is recorded */
extern struct kt_region *kt_region; /* valid for good once kt_live was true */
extern uint64_t kt_pidns; /* inode of the pid namespace, 0: unknown */
extern uint32_t kt_last_process; /* number of the image or of its parent */
extern bool kt_quiet; /* a seccomp filter may kill: no syscalls of our own */
extern char kt_path[];

/* real.c: libc's function, or that of the library preloaded behind us. */
extern void *kt_reals[KT_NAMES];
void *kt_resolve(enum kt_name n);
void kt_resolve_all(void);

static inline void *
kt_real(enum kt_name n)
{
	void *p = __atomic_load_n(&kt_reals[n], __ATOMIC_RELAXED);

	return kmap_likely(p) ? p : kt_resolve(n);
}

#define REAL(name) ((__typeof__(&name))kt_real(KT_##name))

/* Whether memory can be read, by asking the kernel. */
bool kt_readable(const void *p);

/* ring.c */
void *kt_mmap(size_t len, int prot, int flags, int fd); /* or NULL */
bool kt_attach(void);
struct kt_rec *kt_reserve(size_t len); /* NULL: lost, and counted */
void kt_commit(struct kt_rec *rec, enum kt_type type);
void kt_lost(void);
void kt_thread_end(void *arg);
void kt_give_up(int err); /* no record can be written any more */
/* Makes [at, at + len) of the region usable. 0 or -errno. */
int kt_back(size_t at, size_t len);
uint32_t kt_process_now(void); /* number of the image, a vfork child's too */
void kt_ring_init(void);

/* fd.c */
extern kt_entry *kt_fds;
extern unsigned int kt_nfds;
void kt_fd_init(void);
bool kt_vfork_child(void);
kt_entry kt_look(int fd, enum trace_origin origin);
void kt_fd_put(int fd, kt_entry e);
void kt_fd_range(unsigned int first, unsigned int last);
/* A number that a call has just given out. */
void kt_born(int fd, enum trace_kind kind);
kt_entry kt_born_socket(int fd, int domain, int type, int protocol);
kt_entry kt_born_accepted(int fd, const struct kt_call *c);
/* The fd takes part in what is recorded: it gets an endpoint itself. */
kt_entry kt_watch(int fd);
void kt_endpoint_names(int fd, uint32_t ep, enum trace_kind kind,
	bool connected, const void *peer, size_t len);

static inline kt_entry
kt_fd(int fd)
{
	kt_entry e;

	if ((unsigned int)fd >= kt_nfds)
		return fd < 0 ? 0 : kt_look(fd, 0);
	e = __atomic_load_n(&kt_fds[fd], __ATOMIC_RELAXED);
	return kmap_likely(e & KT_KNOWN) ? e : kt_look(fd, 0);
}

/* stack.c */
uint32_t kt_stack(const struct kt_call *c);
void kt_stack_init(void);
void kt_stack_end(void);
void kt_stack_forked(void);
void kt_modules(void);

/*
 * libunwind asks whether memory is there by writing it into a pipe. It gets
 * no pipe (a program may close all it does not know, and take the numbers)
 * but these two numbers, and the answer from the kernel by another way. It is
 * told from a handler that interrupts it by where the call comes from.
 */
#define KT_UNW_RD (-0x6b74)
#define KT_UNW_WR (-0x6b75)

extern uint64_t kt_unw_start, kt_unw_size;

static inline __attribute__((always_inline)) bool
kt_from_unw(void)
{
	return kmap_unlikely(kt_self.walking) &&
		(uint64_t)__builtin_return_address(0) - kt_unw_start <
		kt_unw_size;
}

static inline __attribute__((always_inline)) bool
kt_unw(int fd)
{
	return kt_from_unw() || fd == KT_UNW_RD || fd == KT_UNW_WR;
}

/* proc.c */
void *kt_vfork_before(void);
void kt_sealed(bool strict); /* a seccomp mode is about to be set */
void kt_announce(uint32_t process, uint32_t parent, unsigned int flags);
char *kt_command(const char *command);

/* after.c: the record, and what the call did to the fd table. */
void kt_after(struct kt_call *c, enum kt_name fn, int sys, enum kt_op op,
	unsigned int nargs, const uint64_t *a);
struct kt_select {
	int n;
	int64_t ns;
	fd_set in[3];
};
void kt_after_select(struct kt_call *c, enum kt_name fn, int sys,
	unsigned int nargs, const uint64_t *a, const struct kt_select *s);

/*
 * The thread may be cancelled inside the real call, or ended by a handler
 * that calls pthread_exit. Then its stack is unwound, and what has this as
 * its cleanup gets a record without a result; see cut.c. A call that returns
 * pays nothing: that it did is known to the compiler.
 */
struct kt_cut {
	struct kt_call *c;
	const uint64_t *a;
	const struct kt_select *s; /* select's */
	enum kt_name fn;
	enum kt_op op;
	int sys;
	unsigned int nargs;
	bool live;
};

KT_COLD void kt_cut(const struct kt_cut *cut);

static inline __attribute__((always_inline)) void
kt_cut_end(struct kt_cut *cut)
{
	if (cut->live)
		kt_cut(cut);
}

#define KT_CUTS __attribute__((cleanup(kt_cut_end)))

/* The two ends of every wrapper. */

/* This thread has a ring; if not, it may get one. */
static inline bool
kt_ready(void)
{
	const struct kt_self *s = &kt_self;

	return (kmap_likely(s->ring != NULL) &&
		       kmap_likely(s->process == kt_private->process)) ||
		kt_attach();
}

static inline bool
kt_on(void)
{
	return kmap_likely(kt_live) && !kt_self.off;
}

static inline __attribute__((always_inline)) void
kt_start(struct kt_call *c, enum kt_name fn)
{
	c->cfa = __builtin_dwarf_cfa();
	c->caller = (uint64_t)__builtin_return_address(0);
	c->on = kt_ready();
	if (kmap_likely(c->on)) {
		kmap_a32 *inside = &kt_self.ring->inside;

		c->outer = a_load(inside);
		a_store(inside, (uint32_t)fn + 1);
	}
	c->t = kmap_now();
}

/* Calls of any fd: only those on recorded ones are. */
static inline __attribute__((always_inline)) bool
kt_before(struct kt_call *c, int fd, enum kt_name fn)
{
	if (!kt_on())
		return false;
	c->e = kt_fd(fd);
	if (!(c->e & KT_REC))
		return false;
	c->fd = fd;
	kt_start(c, fn);
	return true;
}

/* Calls that are a socket's by their nature, on whatever number. */
static inline __attribute__((always_inline)) bool
kt_before_net(struct kt_call *c, int fd, enum kt_name fn)
{
	if (!kt_on())
		return false;
	c->e = kt_fd(fd);
	c->fd = fd;
	kt_start(c, fn);
	return true;
}

/* Calls that are about no fd yet. */
static inline __attribute__((always_inline)) bool
kt_before_any(struct kt_call *c, enum kt_name fn)
{
	if (!kt_on())
		return false;
	c->e = 0;
	c->fd = -1;
	kt_start(c, fn);
	return true;
}

/* After the real call; then kt_after, which ends it. */
static inline void
kt_done(struct kt_call *c, long r)
{
	c->end = kmap_now();
	c->r = r;
	c->err = errno;
	if (kmap_likely(c->on) && kmap_likely(kt_self.ring != NULL))
		a_store(&kt_self.ring->inside, KT_OWN);
}

static inline void
kt_over(const struct kt_call *c)
{
	if (kmap_likely(c->on) && kmap_likely(kt_self.ring != NULL))
		a_store(&kt_self.ring->inside, c->outer);
}

#endif
