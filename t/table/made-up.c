/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * made-up RUN TABLE: events that nobody recorded, into the table's sink. RUN
 * is 1 or 2: what may differ between two runs of one program (pids, fds,
 * ports of the kernel's choice, counts, order, addresses) does.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "../../trace/symbol.h"
#include "../../trace/table.h"

static int run;

/* ---- stands for the symbolizer ---- */

const struct trace_module *
trace_module_at(const struct trace_process *p, uint64_t addr)
{
	for (size_t i = 0; i < p->nmodules; i++)
		if (addr >= p->modules[i].start && addr < p->modules[i].end)
			return &p->modules[i];
	return NULL;
}

/* 0x…10 to 0x…1f of the program are its function f1, and so on; nothing is
 * known of what lies behind 0x…f00. */
const char *
trace_symbol(const struct trace_process *p, uint64_t addr)
{
	const struct trace_module *m = trace_module_at(p, addr);
	static char text[200];
	const char *name = m ? strrchr(m->path, '/') + 1 : "[anon]";
	uint64_t at = m ? addr - m->start : addr;

	if (at >= 0xf00)
		snprintf(text, sizeof(text), "%s+%#llx", name,
			(unsigned long long)at);
	else
		snprintf(text, sizeof(text), "%s!%s%llx+%#llx", name,
			strncmp(name, "libc", 4) ? "f" : "inner",
			(unsigned long long)at >> 4,
			(unsigned long long)at & 15);
	return text;
}

const struct trace_site *
trace_call_site(const struct trace_process *p, uint64_t addr, const char *fn)
{
	static struct trace_site s = {
		.name = "write",
		.version = "GLIBC_2.2.5",
		.via = "",
		.text = "",
	};

	(void)p;
	(void)addr;
	(void)fn;
	return &s;
}

/* ---- the program ---- */

static struct trace_module modules[] = {
	{"/nowhere/bin/app", 0, 0, 0, "00112233445566778899"},
	{"/nowhere/lib/libc.so.6", 0, 0, 0, "aa"},
};
static struct trace_process app = {
	.id = 1,
	.exe = "/nowhere/bin/app",
	.cmdline = "app --serve",
	.recorded = true,
	.status = -1,
	.nmodules = 2,
	.modules = modules,
};
static struct trace_process worker = {
	.id = 2,
	.exe = "/nowhere/bin/app",
	.cmdline = "app --serve",
	.recorded = true,
	.status = -1,
	.nmodules = 2,
	.modules = modules,
};
static struct trace_process tool = {
	.id = 3,
	.exe = "/nowhere/bin/tool",
	.cmdline = "tool",
	.recorded = true,
	.status = -1,
};

static struct trace_item items[4];
static size_t nitems;
static enum trace_escape escape;
static const struct trace_process *who;
static uint64_t cookies = 100;
static struct trace_frame frames[3];
static struct trace_stack stack = {0, 3, frames};

static void
item(unsigned int type, const void *data, size_t len)
{
	int arg = type == TRACE_ITEM_EPOLL ? 3 : type != TRACE_ITEM_POLL;

	items[nitems++] = (struct trace_item){
		(uint8_t)type, (uint8_t)arg, (uint16_t)len, data};
}

/* The calls of one function come from its own place in the program. */
#define CALL(name, nr, fd_, ep_, ret_, ...)                                    \
	do {                                                                   \
		uint64_t a_[] = {__VA_ARGS__};                                 \
		call(name, nr, fd_, ep_, ret_, sizeof(a_) / sizeof(a_[0]),     \
			a_);                                                   \
	} while (0)

static void
call(const char *fn, int sys, int fd, uint32_t ep, int64_t ret, size_t nargs,
	const uint64_t *args)
{
	struct trace_call c = {
		.process = who,
		.tid = who->pid,
		.fn = escape ? "" : fn,
		.version = escape || !strcmp(fn, "write") ? ""
			: !strcmp(fn, "__recv_chk")	  ? "GLIBC_2.4"
							  : "GLIBC_2.2.5",
		.sys = sys,
		.fd = fd,
		.ep = ep,
		.nargs = (uint8_t)nargs,
		.ret = ret,
		.escape = escape,
		.caller = modules[0].start + 0x15,
		.nitems = nitems,
		.items = items,
	};

	memcpy(c.args, args, nargs * sizeof(*args));
	if (!strcmp(fn, "read") || !strcmp(fn, "fflush")) {
		/* Two places of one function are one path. */
		static uint32_t ids;

		stack.id = ++ids;
		frames[0].addr = modules[!!escape].start + 0x20 + ids % 3;
		frames[1].addr = modules[0].start + 0x35;
		frames[2].addr = modules[0].start + 0xf42;
		c.stack = &stack;
	}
	trace_emit_call(&c);
	nitems = 0;
	escape = TRACE_COVERED;
}

static struct trace_endpoint
endpoint(enum trace_kind kind, enum trace_origin origin, const char *local,
	const char *peer)
{
	struct trace_endpoint e = {
		.id = trace_endpoint_id(
			kind == TRACE_EPOLL || kind == TRACE_EVENTFD
				? 0
				: ++cookies * (uint64_t)run),
		.cookie = cookies,
		.kind = kind,
		.origin = origin,
		.domain = kind == TRACE_UNIX ? AF_UNIX : AF_INET,
		.type = SOCK_STREAM,
	};

	snprintf(e.local, sizeof(e.local), "%s", local);
	snprintf(e.peer, sizeof(e.peer), "%s", peer);
	return e;
}

static void
tell(const struct trace_endpoint *e)
{
	/* The list of event.c is not const. */
	*(struct trace_endpoint *)trace_endpoint_by_id(e->id) = *e;
	trace_emit_endpoint(trace_endpoint_by_id(e->id));
}

static int fds = 5;

/* A listener; bound says what the program asked for. */
static struct trace_endpoint
listener(const char *bound, const char *local)
{
	struct trace_endpoint e = endpoint(TRACE_TCP, TRACE_BY_SOCKET, "", "");
	int fd = fds++;

	tell(&e);
	CALL("socket", SYS_socket, fd, e.id, fd, AF_INET,
		SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (bound) {
		item(TRACE_ITEM_ADDR, bound, strlen(bound));
		CALL("bind", SYS_bind, fd, e.id, 0, (uint64_t)fd, 1, 16);
	}
	snprintf(e.local, sizeof(e.local), "%s", local);
	e.kind = TRACE_LISTEN;
	tell(&e);
	CALL("listen", SYS_listen, fd, e.id, 0, (uint64_t)fd, 5);
	return e;
}

static struct trace_endpoint
accepted(const struct trace_endpoint *l, const char *local, int *fd)
{
	struct trace_endpoint e =
		endpoint(TRACE_TCP, TRACE_BY_ACCEPT, local, "127.0.0.1:5");

	*fd = fds++;
	snprintf(e.peer, sizeof(e.peer), "127.0.0.1:%d", 40000 + fds * run);
	e.listener = l->id;
	tell(&e);
	CALL("accept4", SYS_accept4, *fd, l->id, *fd, 4, 0, 0, SOCK_NONBLOCK);
	return e;
}

static struct trace_endpoint
connected(const char *to, int *fd, bool answered)
{
	struct trace_endpoint e = endpoint(TRACE_TCP, TRACE_BY_SOCKET, "", "");

	*fd = fds++;
	tell(&e);
	item(TRACE_ITEM_ADDR, to, strlen(to));
	CALL("connect", SYS_connect, *fd, e.id, answered ? 0 : -1,
		(uint64_t)*fd, 1, 16);
	e.connected = true;
	if (answered) {
		bool far = !strncmp(to, "10.", 3);

		snprintf(e.local, sizeof(e.local), "%s:%d",
			far ? "192.168.7.7" : "127.0.0.1", 50000 + fds * run);
		snprintf(e.peer, sizeof(e.peer), "%s", to);
	}
	tell(&e);
	return e;
}

/* A connection to a port of its own, on which one thing happens. */
static struct trace_endpoint
peculiar(int port, int *fd)
{
	char to[32];

	snprintf(to, sizeof(to), "127.0.0.1:%d", port);
	return connected(to, fd, true);
}

static void
talk(const struct trace_endpoint *e, int fd)
{
	for (int i = 0; i < 3 * run; i++) {
		CALL("read", SYS_read, fd, e->id, 10, (uint64_t)fd, 1, 10);
		CALL("write", SYS_write, fd, e->id, 10, (uint64_t)fd, 1, 10);
	}
}

static void
strange(void)
{
	struct trace_endpoint e, s;
	struct trace_poll p[2];
	int fd, passed;

	e = peculiar(9001, &fd);
	escape = TRACE_INLINE;
	CALL("", SYS_write, fd, e.id, 5, (uint64_t)fd, 1, 5);
	/* A set that is waited for behind everybody's back. */
	e = peculiar(9002, &fd);
	s = endpoint(TRACE_EPOLL, TRACE_BY_SOCKET, "", "");
	tell(&s);
	p[0] = (struct trace_poll){fd, EPOLLIN, 0, e.id, TRACE_TCP};
	item(TRACE_ITEM_EPOLL, p, sizeof(p[0]));
	CALL("epoll_ctl", SYS_epoll_ctl, 90, s.id, 0, 90, EPOLL_CTL_ADD,
		(uint64_t)fd, 1);
	escape = TRACE_INLINE;
	CALL("", SYS_epoll_wait, 90, s.id, 1, 90, 1, 10, 0);
	e = peculiar(9003, &fd);
	CALL("send", SYS_sendto, fd, e.id, 1, (uint64_t)fd, 1, 1,
		MSG_OOB | MSG_NOSIGNAL);
	e = peculiar(9004, &fd);
	CALL("fcntl", SYS_fcntl, fd, e.id, 0, (uint64_t)fd, F_SETFL,
		O_ASYNC | O_NONBLOCK);
	e = peculiar(9005, &fd);
	CALL("fdopen", -1, fd, e.id, 1, (uint64_t)fd, 1);
	escape = TRACE_LIBC;
	CALL("fflush", SYS_write, fd, e.id, 5, (uint64_t)fd, 1, 5);
	e = peculiar(9006, &passed);
	CALL("setsockopt", SYS_setsockopt, passed, e.id, 0, (uint64_t)passed,
		IPPROTO_TCP, TCP_NODELAY, 1, 4);
	s = endpoint(TRACE_UNIX, TRACE_BY_SOCKET, "", "");
	tell(&s);
	item(TRACE_ITEM_FDS, &passed, sizeof(passed));
	CALL("sendmsg", SYS_sendmsg, 91, s.id, 1, 91, 1, 0);
	/* Harmless: the library covers syscall(2), or it is not TCP. */
	e = peculiar(9007, &fd);
	escape = TRACE_RAW;
	CALL("", SYS_write, fd, e.id, 5, (uint64_t)fd, 1, 5);
	/* A program that was started with one open. */
	e = peculiar(9008, &fd);
	who = &tool;
	CALL("read", SYS_read, 0, e.id, 5, 0, 1, 5);
	who = &app;
	/* One that no call explains. */
	e = endpoint(TRACE_TCP, TRACE_BY_ESCAPE, "127.0.0.1:9009",
		"127.0.0.1:61000");
	tell(&e);
	talk(&e, 60);
	e = connected("10.1.2.3:5432", &fd, true);
	talk(&e, fd);
}

static void
others(void)
{
	struct trace_endpoint e;
	char path[64];

	e = endpoint(
		TRACE_UDP, TRACE_BY_SOCKET, "127.0.0.1:41000", "127.0.0.53:53");
	e.connected = true;
	tell(&e);
	escape = TRACE_LIBC;
	CALL("", SYS_sendto, 80, e.id, 30, 80, 1, 30, 0);
	e = endpoint(TRACE_UDP, TRACE_BY_SOCKET, "", "");
	snprintf(e.local, sizeof(e.local), "0.0.0.0:%d", 42000 + run);
	tell(&e);
	CALL("sendto", SYS_sendto, 81, e.id, 30, 81, 1, 30, 0, 1, 16);
	snprintf(path, sizeof(path), "/run/app.%d/sock2", app.pid);
	e = endpoint(TRACE_UNIX, TRACE_BY_SOCKET, path, "");
	tell(&e);
	CALL("listen", SYS_listen, 82, e.id, 0, 82, 5);
	e = endpoint(TRACE_UNIX, TRACE_BY_SOCKET,
		run == 1 ? "@00001" : "@0a2f1", "");
	tell(&e);
	CALL("recvmsg", SYS_recvmsg, 83, e.id, 1, 83, 1, MSG_CMSG_CLOEXEC);
	e = endpoint(TRACE_UNIX, TRACE_BY_SOCKET, "@padded@@@@@@@@", "");
	tell(&e);
	CALL("recvmsg", SYS_recvmsg, 86, e.id, 1, 86, 1, MSG_CMSG_CLOEXEC);
	e = endpoint(TRACE_SOCKET, TRACE_BY_SOCKET, "", "");
	e.domain = AF_NETLINK;
	tell(&e);
	CALL("recvmsg", SYS_recvmsg, 84, e.id, 1, 84, 1, 0);
	/* Made and thrown away: none of the table's business. */
	e = endpoint(TRACE_TCP, TRACE_BY_SOCKET, "", "");
	tell(&e);
	CALL("close", SYS_close, 85, e.id, 0, 85);
}

static void
service(void)
{
	struct trace_endpoint web, rpc, v6, a, set, bell;
	struct trace_poll p[2];
	char port[32];
	int fd;

	web = listener("0.0.0.0:8080", "0.0.0.0:8080");
	snprintf(port, sizeof(port), "127.0.0.1:%d", 33000 + 7 * run);
	rpc = listener("127.0.0.1:0", port);
	v6 = listener("[::1]:7", "[::1]:7");
	(void)v6;
	set = endpoint(TRACE_EPOLL, TRACE_BY_SOCKET, "", "");
	tell(&set);
	bell = endpoint(TRACE_EVENTFD, TRACE_BY_SOCKET, "", "");
	tell(&bell);
	for (int i = 0; i < 2 * run; i++) {
		a = accepted(&web, "127.0.0.1:8080", &fd);
		p[0] = (struct trace_poll){
			fd, EPOLLIN | EPOLLET, 0, a.id, TRACE_TCP};
		item(TRACE_ITEM_EPOLL, p, sizeof(p[0]));
		CALL("epoll_ctl", SYS_epoll_ctl, 20, set.id, 0, 20,
			EPOLL_CTL_ADD, (uint64_t)fd, 1);
		CALL("epoll_wait", SYS_epoll_wait, 20, set.id, 1, 20, 1, 9, 5);
		/* A fork of the program itself may use it. */
		who = i % 2 ? &worker : &app;
		talk(&a, fd);
		who = &app;
		CALL("__recv_chk", SYS_recvfrom, fd, a.id, 5, (uint64_t)fd, 1,
			5, i ? MSG_PEEK : MSG_DONTWAIT);
	}
	p[0] = (struct trace_poll){21, EPOLLIN, 0, bell.id, TRACE_EVENTFD};
	item(TRACE_ITEM_EPOLL, p, sizeof(p[0]));
	CALL("epoll_ctl", SYS_epoll_ctl, 20, set.id, 0, 20, EPOLL_CTL_ADD, 21,
		1);
	/* It calls its own service by the port that it got. */
	a = connected(port, &fd, true);
	p[0] = (struct trace_poll){fd, POLLIN, 0, a.id, TRACE_TCP};
	p[1] = (struct trace_poll){7, POLLIN, 0, rpc.id, TRACE_LISTEN};
	item(TRACE_ITEM_POLL, p, sizeof(p));
	CALL("poll", SYS_poll, -1, 0, 1, 1, 2, 100);
	talk(&a, fd);
	a = accepted(&rpc, port, &fd);
	talk(&a, fd);
	a = connected("127.0.0.1:6379", &fd, true);
	talk(&a, fd);
	a = connected("127.0.0.1:6380", &fd, false);
	a = endpoint(TRACE_TCP, TRACE_BY_INHERIT, "127.0.0.1:2222",
		"127.0.0.1:60000");
	tell(&a);
	talk(&a, 0);
}

int
main(int argc, char **argv)
{
	char *const command[] = {"app", "--name", "it's", NULL};
	struct trace_table_conf conf = {.argv = command};
	const struct trace_table_result *r;

	if (argc != 3)
		return 2;
	run = atoi(argv[1]);
	conf.path = argv[2];
	app.pid = 1000 * run + 11;
	worker.pid = app.pid + 1;
	tool.pid = app.pid + 2;
	for (int i = 0; i < 2; i++) {
		modules[i].start = 0x550000000000u * (uint64_t)run +
			0x100000u * (uint64_t)i;
		modules[i].end = modules[i].start + 0x10000;
	}
	fds += 10 * run;
	trace_sink_add(trace_table_sink(&conf));
	trace_emit_process(&app);
	trace_emit_process(&worker);
	trace_emit_process(&tool);
	who = &app;
	if (run == 1)
		service();
	strange();
	others();
	if (run == 2)
		service();
	if (trace_finish() != 0)
		return 1;
	r = trace_table_result();
	printf("%s%s: %u of %u\n", r->path ? r->path : "nothing",
		r->unchanged ? " (unchanged)" : "", r->emulate, r->endpoints);
	for (unsigned int i = 0; i < r->nkept; i++)
		printf("%s: %s\n", r->kept[i], r->why[i]);
	return 0;
}
