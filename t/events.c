/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * events - a made-up source: always the same events into one of the sinks of
 * kmap-trace, for t7020-sinks.
 *
 *	events FORM FILE [EXPRESSION...]
 *
 * FORM is text, json, folded, perfetto or summary; expressions are -e's.
 * "events full FILE" writes a lot of text and says how it ended.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "../trace/out.h"
#include "../trace/sinks.h"

/* Stands for the symbolizer: address 0x1234 is "app!f1234+0x4". */
const char *
trace_symbol(const struct trace_process *p, uint64_t addr)
{
	static char text[64];
	const char *slash = strrchr(p->exe, '/');

	snprintf(text, sizeof(text), "%s!f%llx+%#llx", slash + 1,
		(unsigned long long)addr >> 4, (unsigned long long)addr & 15);
	return text;
}

static struct trace_process client = {
	.id = 1,
	.pid = 100,
	.ppid = 1,
	.t = 1000000,
	.exe = "/usr/bin/client",
	.cmdline = "client \"quoted\" 127.0.0.1:80",
	.recorded = true,
	.status = -1,
};
static struct trace_process server = {
	.id = 2,
	.pid = 200,
	.ppid = 1,
	.t = 1000500,
	.exe = "/usr/bin/server",
	.cmdline = "server \377",
	.recorded = true,
	.status = -1,
};

static const struct trace_frame frames1[] = {{0x1234}, {0x2001}};
static const struct trace_frame frames2[] = {{0x1238}, {0x2001}};
static const struct trace_stack stack1 = {1, 2, frames1};
static const struct trace_stack stack2 = {2, 2, frames2};

static uint32_t tcp, udp, unixes, epolls, listener, accepted;
static uint64_t clock_ns = 5000000000;

static struct trace_item items[4];
static size_t nitems;

static void
item(unsigned int type, unsigned int arg, const void *data, size_t len)
{
	items[nitems++] = (struct trace_item){type, arg, len, data};
}

static void
address(unsigned int arg, const char *text)
{
	item(TRACE_ITEM_ADDR, arg, text, strlen(text));
}

/* What the calls here have in common; the rest is the caller's. */
#define CALL(p, name, nr, about, end, result, ...)                             \
	do {                                                                   \
		uint64_t a[] = {__VA_ARGS__};                                  \
		emit(p, name, nr, about, end, result,                          \
			sizeof(a) / sizeof(a[0]), a);                          \
	} while (0)

static const struct trace_stack *next_stack;
static uint32_t next_made;
static int next_err;
static enum trace_escape next_escape;

static void
emit(const struct trace_process *p, const char *fn, int sys, int fd,
	uint32_t ep, int64_t ret, size_t nargs, const uint64_t *args)
{
	struct trace_call c = {
		.process = p,
		.tid = p->pid,
		.t = clock_ns,
		.dur = 1500,
		.fn = fn,
		.version = fn[0] ? "GLIBC_2.2.5" : "",
		.sys = sys,
		.fd = fd,
		.ep = ep,
		.made = next_made,
		.nargs = nargs,
		.ret = ret,
		.err = next_err,
		.escape = next_escape,
		.stack = next_stack,
		.nitems = nitems,
		.items = items,
	};

	memcpy(c.args, args, nargs * sizeof(*args));
	trace_emit_call(&c);
	clock_ns += 2000;
	nitems = 0;
	next_err = 0;
	next_made = 0;
	next_escape = TRACE_COVERED;
	next_stack = NULL;
}

static uint32_t
endpoint(uint64_t cookie, enum trace_kind kind, int domain, const char *local,
	const char *peer)
{
	struct trace_endpoint e = {
		.id = trace_endpoint_id(cookie),
		.cookie = cookie,
		.kind = kind,
		.origin = TRACE_BY_SOCKET,
		.domain = domain,
		.type = domain ? SOCK_STREAM : 0,
	};

	snprintf(e.local, sizeof(e.local), "%s", local);
	snprintf(e.peer, sizeof(e.peer), "%s", peer);
	trace_emit_endpoint(&e);
	return e.id;
}

static void
connection(void)
{
	static const int one = 1, error = ECONNREFUSED;
	static const int linger[] = {1, 5};
	static const int64_t time_out[] = {1, 5};

	tcp = endpoint(77, TRACE_TCP, AF_INET, "", "");
	CALL(&client, "socket", SYS_socket, 3, tcp, 3, AF_INET,
		SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
	item(TRACE_ITEM_OPT, 3, &one, sizeof(one));
	CALL(&client, "setsockopt", SYS_setsockopt, 3, tcp, 0, 3, IPPROTO_TCP,
		TCP_NODELAY, 0x7000, 4);
	item(TRACE_ITEM_OPT, 3, linger, sizeof(linger));
	CALL(&client, "setsockopt", SYS_setsockopt, 3, tcp, 0, 3, SOL_SOCKET,
		SO_LINGER, 0x7000, 8);
	item(TRACE_ITEM_OPT, 3, time_out, sizeof(time_out));
	CALL(&client, "setsockopt", SYS_setsockopt, 3, tcp, 0, 3, SOL_SOCKET,
		SO_RCVTIMEO, 0x7000, 16);
	endpoint(77, TRACE_TCP, AF_INET, "127.0.0.1:4711", "127.0.0.1:80");
	address(1, "127.0.0.1:80");
	next_err = EINPROGRESS;
	next_stack = &stack1;
	CALL(&client, "connect", SYS_connect, 3, tcp, -1, 3, 0x7000, 16);
	item(TRACE_ITEM_OPT, 3, &error, sizeof(error));
	CALL(&client, "getsockopt", SYS_getsockopt, 3, tcp, 0, 3, SOL_SOCKET,
		SO_ERROR, 0x7000, 0x7004);
	CALL(&client, "fcntl64", SYS_fcntl, 3, tcp, 0x802, 3, F_GETFL, 0);
	CALL(&client, "fcntl64", SYS_fcntl, 3, tcp, 0, 3, F_SETFL,
		O_RDWR | O_NONBLOCK);
	CALL(&client, "fcntl", SYS_fcntl, 3, tcp, 10, 3, F_DUPFD_CLOEXEC, 10);
	address(1, "127.0.0.1:4711");
	CALL(&client, "getsockname", SYS_getsockname, 3, tcp, 0, 3, 0x7000,
		0x7004);
}

static void
bytes(void)
{
	static const char text[] = "GET /\377\0011\r\n\"";
	static const uint64_t lens[] = {4, 100};

	item(TRACE_ITEM_DATA, 1, text, sizeof(text) - 1);
	next_stack = &stack1;
	CALL(&client, "send", SYS_sendto, 3, tcp, 11, 3, 0x7000, 11,
		MSG_NOSIGNAL | MSG_DONTWAIT);
	item(TRACE_ITEM_DATA, 1, "0123456789", 10);
	next_stack = &stack2;
	CALL(&client, "__recv_chk", SYS_recvfrom, 3, tcp, 50, 3, 0x7000, 100,
		0);
	next_err = EAGAIN;
	CALL(&client, "recv", SYS_recvfrom, 3, tcp, -1, 3, 0x7000, 100,
		MSG_PEEK);
	item(TRACE_ITEM_DATA, 1, "", 0);
	CALL(&client, "read", SYS_read, 3, tcp, 0, 3, 0x7000, 100);
	item(TRACE_ITEM_IOV, 1, lens, sizeof(lens));
	item(TRACE_ITEM_DATA, 1, "abcdefgh", 8);
	CALL(&client, "writev", SYS_writev, 3, tcp, 104, 3, 0x7000, 2);
	item(TRACE_ITEM_IOV, 1, lens, sizeof(lens));
	item(TRACE_ITEM_DATA, 1, "abcdefgh", 8);
	CALL(&client, "readv", SYS_readv, 3, tcp, 6, 3, 0x7000, 2);
	/* Another thread's, so that lines say whose they are. */
	CALL(&server, "sendfile64", SYS_sendfile, 8, 0, 4096, 8, 7, 0, 4096);
	CALL(&client, "shutdown", SYS_shutdown, 3, tcp, 0, 3, SHUT_WR);
	CALL(&client, "fclose", SYS_close, 3, tcp, 0, 0x5550);
}

static void
waits(void)
{
	struct trace_poll polls[] = {
		{3, POLLIN | POLLRDHUP, POLLIN, tcp, TRACE_TCP},
		{5, POLLOUT, 0, 0, TRACE_EVENTFD},
	};
	static const int64_t quarter = 250000000;
	struct trace_poll add = {9, EPOLLIN | EPOLLET, 0, accepted, TRACE_TCP};
	struct trace_poll back = {9, 0, EPOLLIN, accepted, TRACE_TCP};

	item(TRACE_ITEM_POLL, 0, polls, sizeof(polls));
	CALL(&client, "poll", SYS_poll, -1, 0, 1, 0x7000, 2, -1);
	item(TRACE_ITEM_POLL, 0, polls, sizeof(polls));
	CALL(&client, "poll", SYS_poll, -1, 0, 0, 0x7000, 2, 10);
	item(TRACE_ITEM_POLL, 1, polls, sizeof(polls));
	item(TRACE_ITEM_TIME, 4, &quarter, sizeof(quarter));
	CALL(&client, "select", SYS_pselect6, -1, 0, 1, 6, 0x7000, 0x7010, 0,
		0x7020);
	epolls = endpoint(0, TRACE_EPOLL, 0, "", "");
	CALL(&server, "epoll_create1", SYS_epoll_create1, 4, epolls, 4,
		EPOLL_CLOEXEC);
	item(TRACE_ITEM_EPOLL, 3, &add, sizeof(add));
	CALL(&server, "epoll_ctl", SYS_epoll_ctl, 4, epolls, 0, 4,
		EPOLL_CTL_ADD, 9, 0x7000);
	item(TRACE_ITEM_EPOLL, 1, &back, sizeof(back));
	CALL(&server, "epoll_wait", SYS_epoll_wait, 4, epolls, 1, 4, 0x7000, 64,
		-1);
}

static void
accepts(void)
{
	struct trace_endpoint e;

	listener = endpoint(80, TRACE_LISTEN, AF_INET6, "[::]:80", "");
	CALL(&server, "listen", SYS_listen, 6, listener, 0, 6, 128);
	accepted = endpoint(
		81, TRACE_TCP, AF_INET6, "127.0.0.1:80", "127.0.0.1:4711");
	e = *trace_endpoint_by_id(accepted);
	e.origin = TRACE_BY_ACCEPT;
	e.listener = listener;
	trace_emit_endpoint(&e);
	address(1, "127.0.0.1:4711");
	next_made = accepted;
	CALL(&server, "accept4", SYS_accept4, 6, listener, 9, 6, 0x7000, 0x7004,
		SOCK_CLOEXEC);
	CALL(&server, "close", SYS_close, 9, accepted, 0, 9);
}

static void
others(void)
{
	static const int fds[] = {3, 10};
	static const uint64_t lens[] = {5}, messages[] = {512, 40};

	udp = endpoint(90, TRACE_UDP, AF_INET, "127.0.0.1:53", "");
	address(4, "[::1]:53");
	item(TRACE_ITEM_DATA, 1, "query", 5);
	CALL(&client, "sendto", SYS_sendto, 7, udp, 5, 7, 0x7000, 5, 0, 0x7010,
		28);
	item(TRACE_ITEM_IOV, 1, messages, sizeof(messages));
	CALL(&client, "recvmmsg", SYS_recvmmsg, 7, udp, 2, 7, 0x7000, 8,
		MSG_WAITFORONE, 0);
	unixes = endpoint(91, TRACE_UNIX, AF_UNIX, "/run/socket", "");
	item(TRACE_ITEM_IOV, 1, lens, sizeof(lens));
	item(TRACE_ITEM_DATA, 1, "hello", 5);
	item(TRACE_ITEM_FDS, 1, fds, sizeof(fds));
	CALL(&client, "sendmsg", SYS_sendmsg, 8, unixes, 5, 8, 0x7000, 0);
	item(TRACE_ITEM_PAIR, 3, fds, sizeof(fds));
	CALL(&client, "socketpair", SYS_socketpair, -1, 0, 0, AF_UNIX,
		SOCK_STREAM, 0, 0x7000);
	next_escape = TRACE_LIBC;
	next_stack = &stack2;
	CALL(&client, "fflush", SYS_sendto, 3, tcp, 5, 3, 0x7000, 5, 0, 0, 0);
	next_escape = TRACE_INLINE;
	CALL(&server, "", SYS_close, 9, accepted, 0, 9);
	CALL(&client, "syscall", SYS_close, 3, tcp, 0, 3);
}

/* More than any buffer, for a disk that is full. */
static int
fill(const char *file)
{
	struct trace_text_conf conf = {
		.out = out_open(file), .data = 32, .live = true};
	int i;

	if (!conf.out)
		return 2;
	trace_sink_add(trace_text_sink(&conf));
	trace_emit_process(&client);
	for (i = 0; i < 2000; i++)
		CALL(&client, "close", SYS_close, 3, 0, 0, 3);
	printf("%s\n", strerrorname_np(-trace_finish()));
	return 0;
}

static const struct trace_sink *
sink(const char *form, struct trace_out *out)
{
	struct trace_text_conf conf = {.out = out, .data = 32};

	if (!strcmp(form, "text"))
		return trace_text_sink(&conf);
	if (!strcmp(form, "json"))
		return trace_json_sink(out, 32);
	if (!strcmp(form, "folded"))
		return trace_folded_sink(out);
	if (!strcmp(form, "perfetto"))
		return trace_perfetto_sink(out, 32);
	if (!strcmp(form, "summary"))
		return trace_summary_sink(out);
	fprintf(stderr, "events: no form %s\n", form);
	exit(2);
}

int
main(int argc, char **argv)
{
	/* Reached until the end, as the filters of a command are. */
	static struct trace_filter *filter;
	struct trace_out *out;
	char why[160];
	int i;

	if (argc < 3)
		return 2;
	filter = trace_filter_new();
	if (!strcmp(argv[1], "full"))
		return fill(argv[2]);
	for (i = 3; i < argc; i++)
		if (trace_filter_add(filter, argv[i], why, sizeof(why)) < 0) {
			fprintf(stderr, "events: %s\n", why);
			return 2;
		}
	out = out_open(argv[2]);
	if (!out) {
		perror(argv[2]);
		return 2;
	}
	trace_sink_add(trace_filter_sink(filter, sink(argv[1], out)));
	trace_emit_process(&client);
	connection();
	trace_emit_process(&server);
	bytes();
	accepts();
	waits();
	others();
	trace_emit_tick();
	client.status = 0;
	trace_emit_process(&client);
	server.status = SIGTERM;
	trace_emit_process(&server);
	return trace_finish() < 0;
}
