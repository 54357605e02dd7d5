/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What kmap-trace reads of a program run wild: a region whose records are of
 * every name and every kind of item, some of them damaged, some of the words
 * around them, too. All forms of output are made of what comes out.
 *
 *	region [-n RUNS] [-s SEED] DIRECTORY	TAP; the outputs are left there
 */
#include "config.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../trace/drain.h"
#include "../trace/region.h"
#include "../trace/sinks.h"
#include "../trace/table.h"

static uint64_t state = 1;

static uint32_t
rnd(uint32_t below)
{
	state = state * UINT64_C(6364136223846793005) +
		UINT64_C(1442695040888963407);
	return (uint32_t)((state >> 33) % below);
}

/* Mostly small; sometimes what overflows. */
static uint64_t
word(void)
{
	static const uint64_t odd[] = {0, 1, 7, 0x7f, 0xff, 0x7fff, 0xffff,
		0x7fffffff, 0x80000000, 0xffffffff, 1ull << 63, -1ull, -8ull};

	return rnd(8) ? rnd(64) : odd[rnd(sizeof(odd) / sizeof(odd[0]))];
}

struct body {
	struct kt_rec r;
	uint8_t b[KT_MAX_RECORD - sizeof(struct kt_rec)];
};

static size_t
put(struct body *o, size_t n, const void *p, size_t len)
{
	memcpy(o->b + n, p, len);
	return n + len;
}

static size_t
put_noise(struct body *o, size_t n, size_t len)
{
	while (len-- > 0)
		o->b[n++] = (uint8_t)(rnd(3) ? rnd(4) : rnd(256));
	return n;
}

static size_t
put_addr(struct body *o, size_t n)
{
	struct sockaddr_in in = {.sin_family = AF_INET,
		.sin_port = (uint16_t)rnd(65536),
		.sin_addr.s_addr = 0x0100007f};

	return put(o, n, &in, sizeof(in));
}

static size_t
call(struct body *o)
{
	size_t n = 0;

	o->r.fn = (uint16_t)rnd(KT_NAMES);
	o->r.sys = (int16_t)(rnd(440) - 1);
	o->r.ret = (int64_t)(word() - 1);
	o->r.err = rnd(2) ? (int16_t)rnd(140) : 0;
	o->r.nargs = (uint8_t)rnd(7);
	o->r.stack = (uint32_t)(rnd(2) ? 8192 + rnd(64) : word());
	o->r.caller = 0x400000 + rnd(200000);
	for (int i = 0; i < o->r.nargs; i++) {
		uint64_t w = word();

		n = put(o, n, &w, sizeof(w));
	}
	o->r.nitems = (uint8_t)rnd(5);
	for (int i = 0; i < o->r.nitems; i++) {
		struct kt_item k = {.type = (uint8_t)rnd(12),
			.arg = (uint8_t)rnd(7),
			.len = (uint16_t)rnd(rnd(4) ? 40 : 700)};
		size_t end = n + sizeof(k) + ((k.len + 7u) & ~7u);

		n = put(o, n, &k, sizeof(k));
		if (k.type == 0 && k.len >= sizeof(struct sockaddr_in))
			n = put_addr(o, n);
		n = put_noise(o, n, end - n);
	}
	return n;
}

/* A record's body by its type, and the body's length. */
static size_t
body(struct body *o, const char *exe)
{
	static const char wild[] = "/tmp/\x1b[31m\"\\\n\xff/libc.so.6";
	const char *path = rnd(4) ? exe : wild;
	struct kt_process p = {.pid = 7 + rnd(4),
		.ppid = 1,
		.parent = rnd(4),
		.exe_len = (uint16_t)strlen(path),
		.cmd_len = sizeof(wild)};
	struct kt_module m = {.start = 0x400000 + 4096 * rnd(64),
		.base = 0x400000 - word(),
		.id_len = (uint8_t)rnd(24),
		.path_len = (uint16_t)strlen(path)};
	struct kt_endpoint e = {.cookie = rnd(12),
		.kind = (uint8_t)rnd(12),
		.origin = (uint8_t)rnd(8),
		.connected = (uint8_t)rnd(2),
		.local_len = sizeof(struct sockaddr_in),
		.peer_len = (uint8_t)(rnd(2) ? 16 : rnd(256)),
		.domain = AF_INET,
		.type = 1,
		.listener = (uint32_t)word()};
	size_t n;

	switch (o->r.type) {
	case KT_PROCESS:
		n = put(o, 0, &p, sizeof(p));
		n = put(o, n, path, p.exe_len);
		return put(o, n, wild, sizeof(wild));
	case KT_MODULE:
		m.end = m.start + 4096 * (1 + rnd(64));
		return put(o, put(o, 0, &m, sizeof(m)), path, m.path_len);
	case KT_ENDPOINT:
		n = put_addr(o, put(o, 0, &e, sizeof(e)));
		return put_noise(o, n, e.peer_len);
	default:
		return call(o);
	}
}

static void
fill(struct kt_region *r, const char *exe)
{
	uint32_t rings = 1 + rnd(3);

	for (uint32_t i = 0; i < rings; i++) {
		struct kt_ring *ring = kt_ring(r, i);
		char *data = kt_ring_data(r, i);
		size_t at = 0;

		for (int k = 0; k < 40; k++) {
			struct body o = {.r = {.t = 1000 + rnd(1000)}};
			size_t n;

			o.r.type = (uint8_t)(k < 4
					? KT_PROCESS + (unsigned int)k % 3
					: 1 + rnd(5));
			o.r.process = rnd(16) ? 1 + rnd(3) : (uint32_t)word();
			o.r.ep = rnd(8) ? rnd(12) : (uint32_t)word();
			o.r.tid = 7 + i;
			o.r.fd = (int32_t)(word() - 1);
			n = (sizeof(o.r) + body(&o, exe) + 7) & ~(size_t)7;
			o.r.len = (uint16_t)(n / 8);
			memcpy(data + at, &o, n);
			/* A damaged one in four. */
			for (int d = rnd(4) ? 0 : 1 + (int)rnd(4); d > 0; d--)
				data[at + rnd((uint32_t)n)] ^=
					(char)(1 << rnd(8));
			at += n;
		}
		a_store(&ring->state, (uint32_t)rnd(4));
		ring->pid = 0;
		a_store_rel(&ring->published, rnd(8) ? at : at + word());
	}
	for (int i = 0; i < 64; i++) {
		struct kt_stack s = {.n = (uint32_t)(rnd(8) ? 8 : word())};

		/* They overlap: so much the better. */
		memcpy(kt_arena(r) + 8 * (8192 + i), &s, sizeof(s));
	}
	a_store(&r->processes, rnd(4) ? 3 : (uint32_t)word());
	a_store(&r->endpoints, rnd(4) ? 64 : UINT32_MAX);
	a_store(&r->top, rnd(4) ? rings : (uint32_t)word());
	a_store(&r->lost, word());
}

static struct trace_out *
out(const char *name)
{
	struct trace_out *o = out_open(name);

	if (!o) {
		printf("Bail out! %s\n", name);
		exit(1);
	}
	return o;
}

int
main(int argc, char **argv)
{
	struct trace_table_conf table = {.path = "table.kmap"};
	struct trace_text_conf text = {.data = 32};
	unsigned long runs = 300;
	char exe[1024] = "";
	long calls = 0;
	int c;

	while ((c = getopt(argc, argv, "n:s:")) != -1)
		if (c == 'n')
			runs = strtoul(optarg, NULL, 10);
		else if (c == 's')
			state = strtoull(optarg, NULL, 10);
		else
			return 2;
	if (optind + 1 != argc || chdir(argv[optind]) ||
		readlink("/proc/self/exe", exe, sizeof(exe) - 1) < 0)
		return 2;
	setenv("KMAP_TRACE_DIR", argv[optind], 1);
	text.out = out("text");
	trace_sink_add(trace_text_sink(&text));
	trace_sink_add(trace_json_sink(out("json"), 32));
	trace_sink_add(trace_folded_sink(out("folded")));
	trace_sink_add(trace_perfetto_sink(out("perfetto"), 32));
	trace_sink_add(trace_summary_sink(out("summary")));
	trace_sink_add(trace_table_sink(&table));
	puts("1..2");
	for (unsigned long i = 0; i < runs; i++) {
		struct trace_drain *d;
		struct kt_region *r;
		int fd;

		/* What it reads next must end. */
		alarm(20);
		if (trace_drain_open(&d, NULL))
			return 1;
		fd = open(trace_drain_path(d), O_RDWR | O_CLOEXEC);
		r = mmap(NULL, KT_REGION_BYTES, PROT_READ | PROT_WRITE,
			MAP_SHARED, fd, 0);
		if (fd < 0 || r == MAP_FAILED)
			return 1;
		close(fd);
		fill(r, exe);
		calls += trace_drain_poll(d, 0);
		trace_drain_exited(d, 7, 0);
		trace_drain_waiting(d);
		trace_drain_close(d);
		munmap(r, KT_REGION_BYTES);
		/* Events point to what it holds: it is freed at the end of the
		 * process only, as the command does after trace_finish. */
	}
	alarm(60);
	printf("ok 1 - %lu regions\n", runs);
	trace_finish();
	/* Else the damage is such that nothing is read at all. */
	printf("%s 2 - calls came out of them\n",
		calls > (long)runs * 5 ? "ok" : "not ok");
	printf("# %ld calls\n", calls);
	return 0;
}
