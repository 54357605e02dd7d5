/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What happened, in the one form that every source delivers (the recorder's
 * rings, ptrace) and every sink takes (text, JSON, folded stacks, Perfetto,
 * HTML, summary, table). Events of one thread come in order; those of
 * different threads are merged by their time of return as far as that is
 * known (trace_flush). All memory an event points to is valid only during
 * the call of the sink.
 */
#ifndef KMAP_TRACE_EVENT_H
#define KMAP_TRACE_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What an fd is, as far as the tracer needs to know. */
enum trace_kind {
	TRACE_UNKNOWN,
	TRACE_TCP, /* AF_INET, AF_INET6, SOCK_STREAM */
	TRACE_LISTEN, /* the same after listen() */
	TRACE_UDP,
	TRACE_UNIX, /* stream, datagram or seqpacket */
	TRACE_SOCKET, /* any other socket */
	TRACE_EPOLL,
	TRACE_EVENTFD,
	TRACE_PIPE,
	TRACE_TIMERFD,
	TRACE_SIGNALFD,
	TRACE_FILE, /* anything else */
};

/* How an endpoint came to be. */
enum trace_origin {
	TRACE_BY_SOCKET = 1, /* socket, socketpair, epoll_create, eventfd … */
	TRACE_BY_ACCEPT,
	TRACE_BY_INHERIT, /* was open when the recorder first looked */
	TRACE_BY_PASSING, /* SCM_RIGHTS */
	TRACE_BY_ESCAPE, /* no call explains it (io_uring, raw syscalls) */
	TRACE_BY_BEFORE, /* was open when kmap-trace attached */
};

/*
 * One open file that the traced programs share by dup, fork and passing.
 * cookie (SO_COOKIE) joins what two processes, or two images, see of one
 * socket. Addresses are canonical: v4-mapped ones are AF_INET. An endpoint is
 * announced when it is first seen and again whenever a field changed.
 */
struct trace_endpoint {
	uint32_t id; /* from 1, in order of appearance; one for each cookie */
	uint64_t cookie; /* 0: not a socket, or the kernel does not say */
	enum trace_kind kind;
	enum trace_origin origin;
	int domain, type, protocol; /* as made; 0 for what is no socket */
	bool connected; /* connect() was called on it (not accepted) */
	char local[112], peer[112]; /* "127.0.0.1:80", "[::1]:80", "/path",
				     * "@abstract", "" when there is none */
	uint32_t listener; /* the endpoint accept was called on, or 0 */
};

struct trace_module {
	const char *path; /* of the file; "[vdso]"; "" for anonymous code */
	uint64_t start, end; /* where its text lies */
	uint64_t base; /* address minus base is the file's p_vaddr */
	char build_id[41]; /* hex; "" when it has none */
};

/* One image of one process: a new one after each exec. */
struct trace_process {
	uint32_t id; /* from 1 */
	pid_t pid, ppid;
	uint64_t t; /* when it was first seen */
	const char *exe, *cmdline;
	bool recorded; /* the recorder is loaded in it */
	bool elsewhere; /* pid is of another pid namespace than ours */
	int status; /* wait status once ended, -1 before */
	size_t nmodules;
	const struct trace_module *modules;
};

/*
 * What people call it: the last part of its file's name, or of argv[0] where
 * that is a link beside the file (Debian's redis-server is one to
 * redis-check-rdb; busybox(1) has hundreds). "" when nothing is known.
 */
struct trace_name {
	char s[256];
};
struct trace_name trace_process_name(const struct trace_process *p);

/* Frame 0 is the caller of the recorded function (or of the syscall). */
struct trace_frame {
	uint64_t addr; /* a return address: the call is before it */
};

struct trace_stack {
	uint32_t id; /* from 1; the same id is always the same stack */
	size_t n;
	const struct trace_frame *frames;
};

/* Why a syscall passed the recorder by (--verify, --attach). */
enum trace_escape {
	TRACE_COVERED,
	TRACE_LIBC, /* inside another libc function: fflush, getaddrinfo … */
	TRACE_RAW, /* syscall(2), through libc's function of that name */
	TRACE_INLINE, /* the syscall instruction is in the program's own text */
	TRACE_URING, /* io_uring */
	TRACE_EARLY, /* before the recorder's constructor, or after its end */
};

/* What stood behind the pointers of a call, in call order. */
enum trace_item_type {
	TRACE_ITEM_ADDR, /* text: an address, as in trace_endpoint, and a
			  * wildcard, too; "" of another family, or unnamed */
	TRACE_ITEM_DATA, /* the first bytes of a buffer */
	TRACE_ITEM_IOV, /* uint64_t lengths, one for each slice (16 at most) */
	TRACE_ITEM_POLL, /* struct trace_poll[], 64 at most */
	TRACE_ITEM_EPOLL, /* struct trace_poll[]: epoll_ctl's one, wait's many */
	TRACE_ITEM_OPT, /* the option's value, as bytes */
	TRACE_ITEM_FDS, /* int[]: SCM_RIGHTS */
	TRACE_ITEM_PAIR, /* int[2]: socketpair, pipe */
	TRACE_ITEM_TIME, /* int64_t ns; -1 for ever */
	TRACE_ITEM_HASH, /* uint64_t: of all bytes moved, see region.h; only
			  * when the drain was asked for it */
};

struct trace_poll {
	int32_t fd;
	uint32_t events, revents;
	uint32_t ep; /* endpoint of fd, or 0 */
	uint32_t kind; /* enum trace_kind of fd */
};

struct trace_item {
	uint8_t type; /* enum trace_item_type */
	uint8_t arg; /* which argument it belongs to, from 0 */
	uint16_t len; /* bytes */
	const void *data;
};

struct trace_call {
	const struct trace_process *process;
	pid_t tid;
	uint64_t t,
		dur; /* ns of CLOCK_MONOTONIC; the call's start, its length */
	const char *fn; /* the symbol called: "__recv_chk"; for an escape the
			 * libc function it came from: "fflush", or "" */
	const char *version; /* "GLIBC_2.4", or "" */
	int sys; /* the syscall it stands for (SYS_recvfrom), or -1 */
	int fd; /* the fd it is about, or -1 */
	uint32_t ep; /* its endpoint, or 0 */
	uint32_t made; /* the endpoint that accept returned, or 0 */
	uint8_t nargs;
	uint64_t args[6];
	int64_t ret;
	int err; /* errno's number when the call failed, else 0 */
	bool cut; /* its thread ended inside of it: ret is -1, err 0 */
	enum trace_escape escape;
	const struct trace_stack *stack; /* NULL: none */
	uint64_t caller; /* return address into the calling module */
	size_t nitems;
	const struct trace_item *items;
};

/*
 * What takes events. Every function may be NULL. finish runs once, at the
 * end, and returns 0 or -errno with a message already on stderr.
 */
struct trace_sink {
	const char *name;
	void *arg;
	void (*process)(void *arg, const struct trace_process *p);
	void (*endpoint)(void *arg, const struct trace_endpoint *e);
	void (*call)(void *arg, const struct trace_call *c);
	void (*tick)(void *arg); /* about once a second: flush what is live */
	int (*finish)(void *arg);
};

/* event.c: fans out to the sinks that the options asked for. */
void trace_sink_add(const struct trace_sink *s);
void trace_emit_process(const struct trace_process *p);
void trace_emit_endpoint(const struct trace_endpoint *e);
void trace_emit_call(const struct trace_call *c);
void trace_emit_tick(void);
int trace_finish(void); /* the first error of any sink, after all finished */
const struct trace_endpoint *trace_endpoint_by_id(uint32_t id);
/* The next id of a process, and of a stack: from 1, one count for all
 * sources. */
uint32_t trace_process_id(void);
uint32_t trace_stack_id(void);
/* Finds e's cookie among those known; gives it an id if it is new. */
uint32_t trace_endpoint_id(uint64_t cookie);

#endif
