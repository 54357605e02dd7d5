/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * made-up SCENE FILE [CALLS]: events that nobody recorded, for the picture.
 *	small	a client, a proxy and a server: two hops, one request
 *	large	a load generator and a server, CALLS calls on 16 connections
 *	hostile	names and arguments that try to leave their place in the page
 *	cut	as small, but the recording ends as if the tracer was killed
 */
#include "config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../trace/html.h"

static struct trace_sink sink;
static char text[4096]; /* the arguments of the call being emitted */
static uint64_t now = 5000000000ull;
static uint64_t seed = 88172645463325252ull;

static uint64_t
chance(uint64_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % n;
}

static size_t
args_of(char *buf, size_t size, const struct trace_call *c)
{
	(void)c;
	return snprintf(buf, size, "%s", text);
}

static const char *
sys_of(int sys)
{
	static const struct {
		int sys;
		const char *name;
	} names[] = {
		{SYS_socket, "socket"},
		{SYS_connect, "connect"},
		{SYS_accept4, "accept4"},
		{SYS_recvfrom, "recvfrom"},
		{SYS_sendto, "sendto"},
		{SYS_read, "read"},
		{SYS_write, "write"},
		{SYS_writev, "writev"},
		{SYS_readv, "readv"},
		{SYS_close, "close"},
		{SYS_shutdown, "shutdown"},
		{SYS_poll, "poll"},
		{SYS_epoll_wait, "epoll_wait"},
		{SYS_epoll_ctl, "epoll_ctl"},
		{SYS_setsockopt, "setsockopt"},
		{SYS_listen, "listen"},
		{SYS_getsockopt, "getsockopt"},
		{SYS_bind, "bind"},
	};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].sys == sys)
			return names[i].name;
	return NULL;
}

static const char *const frames[] = {
	"libcurl.so.4!Curl_socket+0x1a3",
	"libcurl.so.4!Curl_cf_socket_send+0x66",
	"libcurl.so.4!multi_runsingle+0x8d1",
	"libcurl.so.4!curl_easy_perform+0xe0",
	"curl!operate+0x1c40",
	"curl!main+0x11f",
	"envoy!0x1d20c44+0x12",
	"envoy!event_base_loop+0x4d2",
	"envoy!Envoy::Network::ConnectionImpl::onReadReady()+0x98",
	"envoy!Envoy::Network::IoSocketHandleImpl::readv(unsigned long, "
	"Envoy::Buffer::RawSlice*, unsigned long)+0x7b",
	"envoy!Envoy::Server::WorkerImpl::threadRoutine()+0x51",
	"libc.so.6!start_thread+0x2d4",
	"server!serve_one+0x5c",
	"server!worker+0x31",
	"server!main+0x2a0",
	"wrk!socket_readable+0x4e",
	"wrk!aeProcessEvents+0x210",
	"wrk!thread_main+0x2f1",
};

static const char *
symbol_of(const struct trace_process *p, uint64_t addr)
{
	static char hostile[200];

	if (addr >= 0x1000 &&
		addr < 0x1000 + 16 * (sizeof(frames) / sizeof(frames[0])))
		return frames[(addr - 0x1000) / 16];
	snprintf(hostile, sizeof(hostile),
		"%s!</script><img src=x "
		"onerror=alert(1)>+0x1",
		p->exe);
	return hostile;
}

static uint64_t
frame(const char *part)
{
	size_t i;

	for (i = 0; i < sizeof(frames) / sizeof(frames[0]); i++)
		if (strstr(frames[i], part))
			return 0x1000 + 16 * i;
	return 0x666000;
}

/* Stacks of up to 6 frames, innermost first, named by parts of them. */
static const struct trace_stack *
stack(uint32_t id, ...)
{
	static struct trace_frame f[6];
	static struct trace_stack s;
	const char *part;
	va_list ap;

	s = (struct trace_stack){.id = id, .frames = f};
	va_start(ap, id);
	while (s.n < 6 && (part = va_arg(ap, const char *)))
		f[s.n++].addr = frame(part);
	va_end(ap);
	return &s;
}

static const struct trace_process *
process(uint32_t id, pid_t pid, const char *exe, const char *cmd)
{
	static struct trace_process all[8];

	all[id] = (struct trace_process){.id = id,
		.pid = pid,
		.ppid = 1000,
		.t = now,
		.exe = exe,
		.cmdline = cmd,
		.recorded = true,
		.status = -1};
	sink.process(sink.arg, &all[id]);
	return &all[id];
}

static void
endpoint(uint32_t id, enum trace_kind kind, enum trace_origin origin,
	const char *local, const char *peer, uint32_t listener)
{
	struct trace_endpoint e = {.id = id,
		.cookie = id * 7,
		.kind = kind,
		.origin = origin,
		.domain = AF_INET,
		.type = SOCK_STREAM,
		.listener = listener};

	e.connected = kind == TRACE_TCP && origin == TRACE_BY_SOCKET && *peer;
	snprintf(e.local, sizeof(e.local), "%s", local);
	snprintf(e.peer, sizeof(e.peer), "%s", peer);
	sink.endpoint(sink.arg, &e);
}

struct what {
	const struct trace_process *p;
	pid_t tid;
	const char *fn;
	int sys, fd;
	uint32_t ep;
	int64_t ret; /* or -errno */
	uint64_t t, dur;
	const struct trace_stack *stack;
	enum trace_escape escape;
	uint32_t ready; /* an endpoint that a wait reports */
};

__attribute__((format(printf, 2, 3))) static void
call(struct what w, const char *format, ...)
{
	struct trace_poll p = {.fd = w.fd,
		.ep = w.ready,
		.events = EPOLLIN,
		.revents = w.sys == SYS_epoll_ctl ? 0 : EPOLLIN,
		.kind = TRACE_TCP};
	struct trace_item item = {.type = TRACE_ITEM_EPOLL,
		.arg = 1,
		.len = sizeof(p),
		.data = &p};
	struct trace_call c = {.process = w.p,
		.tid = w.tid ? w.tid : w.p->pid,
		.t = w.t ? w.t : now,
		.dur = w.dur,
		.fn = w.fn,
		.version = *w.fn ? "GLIBC_2.2.5" : "",
		.sys = w.sys,
		.fd = w.fd,
		.ep = w.ep,
		.nargs = 4,
		.ret = w.ret < 0 ? -1 : w.ret,
		.err = w.ret < 0 ? -w.ret : 0,
		.escape = w.escape,
		.stack = w.stack,
		.nitems = w.ready ? 1 : 0,
		.items = &item};
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	sink.call(sink.arg, &c);
	if (!w.t)
		now += w.dur + 300 + chance(2500);
}

#define CALL(proc, name, nr, ...)                                              \
	.p = (proc), .fn = (name), .sys = SYS_##nr, __VA_ARGS__

static void
small(void)
{
	const struct trace_process *curl, *envoy, *server;
	const char *addr = "127.0.0.1:45120", *front = "127.0.0.1:10000";
	const char *up = "127.0.0.1:39412", *back = "127.0.0.1:8080";
	const char *get = "GET /hello HTTP/1.1\\r\\nHost: 127.0.0.1:10000"
			  "\\r\\nUser-Agent: curl/7.88.1\\r\\n";

	envoy = process(1, 4210, "/usr/bin/envoy",
		"envoy -c sidecar.yaml --concurrency 1 -l error");
	server = process(2, 4215, "/srv/server", "./server 8080");
	curl = process(
		3, 4223, "/usr/bin/curl", "curl http://127.0.0.1:10000/hello");
#define CURL                                                                   \
	stack(1, "Curl_socket", "multi_runsingle", "easy_perform", "operate",  \
		"curl!main", NULL)
#define SEND                                                                   \
	stack(2, "socket_send", "multi_runsingle", "easy_perform", "operate",  \
		"curl!main", NULL)
#define ENVOY                                                                  \
	stack(3, "IoSocketHandle", "onReadReady", "event_base",                \
		"threadRoutine", "start_thread", NULL)
#define SERVE stack(4, "serve_one", "worker", "server!main", NULL)
#define WORKER .tid = 4212
	endpoint(1, TRACE_LISTEN, TRACE_BY_SOCKET, front, "", 0);
	endpoint(2, TRACE_EPOLL, TRACE_BY_SOCKET, "", "", 0);
	endpoint(3, TRACE_LISTEN, TRACE_BY_SOCKET, back, "", 0);
	call((struct what){CALL(server, "socket", socket, .fd = 3, .ep = 3,
		     .ret = 3, .dur = 6100, .stack = SERVE)},
		"AF_INET, SOCK_STREAM, IPPROTO_IP");
	call((struct what){CALL(server, "bind", bind, .fd = 3, .ep = 3,
		     .dur = 2100, .stack = SERVE)},
		"3, {sa_family=AF_INET, sin_port=htons(8080), "
		"sin_addr=inet_addr(\"127.0.0.1\")}, 16");
	call((struct what){CALL(server, "listen", listen, .fd = 3, .ep = 3,
		     .dur = 3900, .stack = SERVE)},
		"3, 128");
	now += 6000000;
	endpoint(4, TRACE_TCP, TRACE_BY_SOCKET, "", "", 0);
	call((struct what){CALL(curl, "socket", socket, .fd = 5, .ep = 4,
		     .ret = 5, .dur = 7300, .stack = CURL)},
		"AF_INET, SOCK_STREAM, IPPROTO_TCP");
	call((struct what){CALL(curl, "setsockopt", setsockopt, .fd = 5,
		     .ep = 4, .dur = 420, .stack = CURL)},
		"5, SOL_TCP, TCP_NODELAY, [1], 4");
	endpoint(4, TRACE_TCP, TRACE_BY_SOCKET, addr, front, 0);
	call((struct what){CALL(curl, "connect", connect, .fd = 5, .ep = 4,
		     .ret = -EINPROGRESS, .dur = 41200, .stack = CURL)},
		"5, {sa_family=AF_INET, sin_port=htons(10000), "
		"sin_addr=inet_addr(\"127.0.0.1\")}, 16");
	call((struct what){CALL(envoy, "epoll_wait", epoll_wait, .fd = 12,
		     .ep = 2, .ret = 1, .t = now - 5900000, .dur = 5880000,
		     WORKER, .stack = ENVOY, .ready = 1)},
		"12, [{events=EPOLLIN, data={u32=27}}], 32, -1");
	endpoint(5, TRACE_TCP, TRACE_BY_ACCEPT, front, addr, 1);
	call((struct what){CALL(envoy, "accept4", accept4, .fd = 27, .ep = 1,
		     .ret = 31, .dur = 9800, WORKER, .stack = ENVOY)},
		"27, {sa_family=AF_INET, sin_port=htons(45120), "
		"sin_addr=inet_addr(\"127.0.0.1\")}, [16], SOCK_NONBLOCK");
	call((struct what){CALL(envoy, "epoll_ctl", epoll_ctl, .fd = 12,
		     .ep = 2, .dur = 1300, WORKER, .stack = ENVOY, .ready = 5)},
		"12, EPOLL_CTL_ADD, 31, {events=EPOLLIN|EPOLLOUT|EPOLLRDHUP|"
		"EPOLLET}");
	call((struct what){CALL(curl, "poll", poll, .fd = 5, .ep = 4, .ret = 1,
		     .dur = 2100, .stack = CURL, .ready = 4)},
		"[{fd=5, events=POLLOUT}], 1, 200");
	call((struct what){CALL(curl, "getsockopt", getsockopt, .fd = 5,
		     .ep = 4, .dur = 310, .stack = CURL)},
		"5, SOL_SOCKET, SO_ERROR, [0], [4]");
	call((struct what){CALL(curl, "send", sendto, .fd = 5, .ep = 4,
		     .ret = 83, .dur = 21600, .stack = SEND)},
		"5, \"%s\", 83, MSG_NOSIGNAL", get);
	call((struct what){CALL(envoy, "readv", readv, .fd = 31, .ep = 5,
		     .ret = 83, .dur = 3300, WORKER, .stack = ENVOY)},
		"31, [{iov_base=\"%s\", iov_len=16384}], 2", get);
	call((struct what){CALL(envoy, "readv", readv, .fd = 31, .ep = 5,
		     .ret = -EAGAIN, .dur = 600, WORKER, .stack = ENVOY)},
		"31, [{iov_len=16384}], 2");
	endpoint(6, TRACE_TCP, TRACE_BY_SOCKET, up, back, 0);
	call((struct what){CALL(envoy, "socket", socket, .fd = 33, .ep = 6,
		     .ret = 33, .dur = 5300, WORKER, .stack = ENVOY)},
		"AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_IP");
	call((struct what){CALL(envoy, "connect", connect, .fd = 33, .ep = 6,
		     .ret = -EINPROGRESS, .dur = 30100, WORKER,
		     .stack = ENVOY)},
		"33, {sa_family=AF_INET, sin_port=htons(8080), "
		"sin_addr=inet_addr(\"127.0.0.1\")}, 16");
	endpoint(7, TRACE_TCP, TRACE_BY_ACCEPT, back, up, 3);
	call((struct what){CALL(server, "accept4", accept4, .fd = 3, .ep = 3,
		     .ret = 4, .t = now - 6200000, .dur = 6199000,
		     .stack = SERVE)},
		"3, NULL, NULL, 0");
	call((struct what){CALL(envoy, "epoll_wait", epoll_wait, .fd = 12,
		     .ep = 2, .ret = 1, .dur = 4100, WORKER, .stack = ENVOY,
		     .ready = 6)},
		"12, [{events=EPOLLOUT, data={u32=33}}], 32, -1");
	call((struct what){CALL(envoy, "writev", writev, .fd = 33, .ep = 6,
		     .ret = 211, .dur = 24000, WORKER, .stack = ENVOY)},
		"33, [{iov_base=\"GET /hello HTTP/1.1\\r\\nhost: 127.0\"..., "
		"iov_len=211}], 1");
	call((struct what){CALL(server, "__read_chk", read, .fd = 4, .ep = 7,
		     .ret = 211, .t = now - 29000, .dur = 29400,
		     .stack = SERVE)},
		"4, \"GET /hello HTTP/1.1\\r\\nhost: 127.0\"..., 4096");
	now += 18000;
	call((struct what){CALL(server, "write", write, .fd = 4, .ep = 7,
		     .ret = 96, .dur = 12400, .stack = SERVE)},
		"4, \"HTTP/1.1 200 OK\\r\\nContent-Length: \"..., 96");
	call((struct what){CALL(server, "", write, .fd = 4, .ep = 7,
		     .ret = 1450, .dur = 13900, .stack = SERVE,
		     .escape = TRACE_LIBC)},
		"4, \"{\\\"hello\\\": \\\"world\\\"...}"
		"\", 1450");
	call((struct what){CALL(envoy, "readv", readv, .fd = 33, .ep = 6,
		     .ret = 1546, .dur = 4300, WORKER, .stack = ENVOY)},
		"33, [{iov_base=\"HTTP/1.1 200 OK\\r\\nContent-Length: \"..., "
		"iov_len=16384}], 2");
	call((struct what){CALL(envoy, "writev", writev, .fd = 31, .ep = 5,
		     .ret = 1602, .dur = 19800, WORKER, .stack = ENVOY)},
		"31, [{iov_base=\"HTTP/1.1 200 OK\\r\\nserver: envoy\\r\\n\"..., "
		"iov_len=152}, {iov_base=\"{\\\"hello\\\"...\", iov_len=1450}], 2");
	call((struct what){CALL(curl, "recv", recvfrom, .fd = 5, .ep = 4,
		     .ret = 1602, .dur = 3900, .stack = SEND)},
		"5, \"HTTP/1.1 200 OK\\r\\nserver: envoy\\r\\n\"..., 102400, 0");
	call((struct what){CALL(server, "read", read, .fd = 4, .ep = 7,
		     .ret = -ECONNRESET, .dur = 2900, .stack = SERVE)},
		"4, 0x7ffd3a40, 4096");
	call((struct what){CALL(curl, "close", close, .fd = 5, .ep = 4,
		     .dur = 14100, .stack = CURL)},
		"5");
	call((struct what){CALL(envoy, "readv", readv, .fd = 31, .ep = 5,
		     .ret = 0, .dur = 900, WORKER, .stack = ENVOY)},
		"31, [{iov_len=16384}], 2");
	call((struct what){CALL(envoy, "close", close, .fd = 31, .ep = 5,
		     .dur = 8800, WORKER, .stack = ENVOY)},
		"31");
	call((struct what){CALL(server, "close", close, .fd = 4, .ep = 7,
		     .dur = 7800, .stack = SERVE)},
		"4");
}

static void
large(uint64_t calls)
{
	const struct trace_process *wrk, *server;
	char here[112], there[112];
	uint64_t n = 0;
	uint32_t k, c, s;
	pid_t tid;

#define WRK                                                                    \
	stack(11, "socket_readable", "wrk!ae", "wrk!thread", "start_th", NULL)
#define SRV stack(12, "serve_one", "worker", "start_thread", NULL)
	wrk = process(
		1, 900, "/usr/bin/wrk", "wrk -c16 -t2 http://127.0.0.1:80");
	server = process(2, 901, "/srv/server", "./server 80");
	endpoint(1, TRACE_LISTEN, TRACE_BY_SOCKET, "127.0.0.1:80", "", 0);
	endpoint(2, TRACE_EPOLL, TRACE_BY_SOCKET, "", "", 0);
	endpoint(3, TRACE_EPOLL, TRACE_BY_SOCKET, "", "", 0);
	for (k = 0; k < 16; k++) {
		snprintf(here, sizeof(here), "127.0.0.1:%u", 40000 + k * 2);
		snprintf(there, sizeof(there), "127.0.0.1:80");
		endpoint(10 + k, TRACE_TCP, TRACE_BY_SOCKET, here, there, 0);
		call((struct what){CALL(wrk, "connect", connect, .fd = 10 + k,
			     .ep = 10 + k, .ret = -EINPROGRESS, .dur = 30000)},
			"%u, {sa_family=AF_INET, sin_port=htons(80)}, 16",
			10 + k);
		endpoint(30 + k, TRACE_TCP, TRACE_BY_ACCEPT, there, here, 1);
		call((struct what){CALL(server, "accept4", accept4, .fd = 3,
			     .ep = 1, .ret = 10 + k, .dur = 9000)},
			"3, NULL, NULL, SOCK_NONBLOCK");
		n += 2;
	}
	while (n + 7 <= calls) {
		k = chance(16);
		c = 10 + k;
		s = 30 + k;
		tid = 910 + k % 2;
		if (chance(400) == 0)
			now += 3000000 + chance(9000000);
		call((struct what){CALL(wrk, "write", write, .tid = tid,
			     .fd = c, .ep = c, .ret = 44,
			     .dur = 8000 + chance(4000), .stack = WRK)},
			"%u, \"GET /%llu HTTP/1.1\\r\\nHost: 127.0.\"..., 44",
			c, (unsigned long long)chance(50000));
		call((struct what){CALL(server, "epoll_wait", epoll_wait,
			     .fd = 5, .ep = 2, .ret = 1,
			     .dur = 1500 + chance(30000), .stack = SRV,
			     .ready = s)},
			"5, [{events=EPOLLIN, data={u32=%u}}], 64, -1", c);
		call((struct what){CALL(server, "read", read, .fd = c, .ep = s,
			     .ret = 44, .dur = 2000 + chance(800),
			     .stack = SRV)},
			"%u, \"GET / HTTP/1.1\"..., 4096", c);
		if (chance(3000) == 0) {
			call((struct what){CALL(server, "read", read, .fd = c,
				     .ep = s, .ret = -ECONNRESET, .dur = 1900,
				     .stack = SRV)},
				"%u, 0x7fff, 4096", c);
		} else {
			call((struct what){CALL(server, "read", read, .fd = c,
				     .ep = s, .ret = -EAGAIN, .dur = 500,
				     .stack = SRV)},
				"%u, 0x7fff, 4096", c);
		}
		call((struct what){CALL(server, chance(2000) ? "writev" : "",
			     writev, .fd = c, .ep = s, .ret = 1024,
			     .dur = 9000 + chance(9000) * (chance(50) ? 1 : 40),
			     .stack = SRV, .escape = TRACE_COVERED)},
			"%u, [{iov_base=\"HTTP/1.1 200 OK\"..., iov_len=128}, "
			"{iov_len=896}], 2",
			c);
		call((struct what){CALL(wrk, "epoll_wait", epoll_wait,
			     .tid = tid, .fd = 4, .ep = 3, .ret = 1,
			     .dur = 1000 + chance(90000), .stack = WRK,
			     .ready = c)},
			"4, [{events=EPOLLIN, data={u32=%u}}], 64, 100", c);
		call((struct what){CALL(wrk, "read", read, .tid = tid, .fd = c,
			     .ep = c, .ret = 1024, .dur = 2500 + chance(900),
			     .stack = WRK,
			     .escape =
				     chance(5000) ? TRACE_COVERED : TRACE_RAW)},
			"%u, \"HTTP/1.1 200 OK\\r\\nServer: server\"..., 8192",
			c);
		n += 7;
	}
}

static void
hostile(void)
{
	static const char bad[] =
		"</script><script>window.hacked=1</script><!-- \x1b[31m\x01"
		"\x7f \xff\xfe \xe2\x80\xae \xe2\x80\xa8 ]]> \" \\ \n & '";
	const struct trace_process *p;

	p = process(1, 7, bad, bad);
	endpoint(1, TRACE_UNIX, TRACE_BY_SOCKET, bad, bad, 0);
	call((struct what){CALL(p, bad, write, .fd = 1, .ep = 1, .ret = 5,
		     .stack = stack(1, "no such", NULL))},
		"%s", bad);
	/* A process that never was announced, ids that are not dense. */
	endpoint(4000000000u, TRACE_TCP, 99, "a", "b", 77);
	call((struct what){CALL(p, "recv", recvfrom, .fd = -1,
		     .ep = 4000000000u, .ret = -4095, .dur = 1ull << 60,
		     .stack = stack(0xffffffff, "no such", "none", NULL))},
		" ");
	call((struct what){.p = p,
		     .fn = "",
		     .sys = 100000,
		     .fd = 9,
		     .ep = 12345,
		     .ret = INT64_MAX,
		     .escape = TRACE_EARLY},
		"?");
}

int
main(int argc, char **argv)
{
	struct trace_html_options o = {
		.title = "made-up",
		.text = {args_of, sys_of, symbol_of},
	};
	uint64_t calls = 100000;

	if (argc < 3) {
		fputs("usage: made-up SCENE FILE [CALLS]\n", stderr);
		return 2;
	}
	o.file = argv[2];
	if (argc > 3)
		calls = strtoull(argv[3], NULL, 0);
	if (!strcmp(argv[1], "hostile"))
		o.title = "</title><script>window.hacked=2</script>\x1b\xff";
	if (!strcmp(argv[1], "large"))
		o.title = "wrk -c16 -t2 http://127.0.0.1:80";
	if (!strcmp(argv[1], "small"))
		o.title = "curl http://127.0.0.1:10000/hello";
	if (getenv("MADE_UP_MAX"))
		o.max_calls = strtoull(getenv("MADE_UP_MAX"), NULL, 0);
	if (trace_html_open(&sink, &o))
		return 1;
	if (!strcmp(argv[1], "large"))
		large(calls);
	else if (!strcmp(argv[1], "hostile"))
		hostile();
	else
		small();
	if (!strcmp(argv[1], "cut")) {
		sink.tick(sink.arg);
		_exit(0);
	}
	return sink.finish(sink.arg) ? 1 : 0;
}
