/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * stream - one process writes as fast as the other reads.
 *
 *	stream [-t tcp|unix|pipe|fifo] [-e] [-s bytes] [-d seconds]
 *	       [-c cpu,cpu] [-a address]
 *
 * The reader counts: what lies in a buffer has not arrived. `n` are messages
 * of -s bytes, processor time is per message. Prints one line of JSON.
 */
#include "config.h"

#include "common.h"

#include <stdlib.h>
#include <unistd.h>

#define READ_MIN 65536

static void
send_all_the_time(const struct opts *o, struct chan *c, int listener)
{
	char *buf = calloc(1, o->size);

	if (listener >= 0)
		peer_accept(o, listener, c);
	while (!chan_write_full(c, buf, o->size))
		;
	chan_close(c);
	free(buf);
}

static uint64_t
receive(struct chan *c, char *buf, size_t len, double secs)
{
	uint64_t end = now_ns() + (uint64_t)(secs * 1e9), sum = 0;
	ssize_t n;

	do {
		n = chan_read(c, buf, len);
		if (n <= 0)
			die("read");
		sum += (uint64_t)n;
	} while (now_ns() < end);
	return sum;
}

static void
measure(const struct opts *o, const struct peer *p, struct chan *c)
{
	size_t len = o->size > READ_MIN ? o->size : READ_MIN;
	struct result r = {0};
	char *buf = malloc(len);
	uint64_t start;

	r.before =
		receive(c, buf, len, o->secs / 3 > 0.03 ? o->secs / 3 : 0.03) /
		o->size;
	r.cpu[0] = cpu_ns(getpid());
	r.cpu[1] = cpu_ns(p->pid);
	start = now_ns();
	r.n = receive(c, buf, len, o->secs) / o->size;
	r.secs = (double)(now_ns() - start) / 1e9;
	r.cpu[0] = cpu_ns(getpid()) - r.cpu[0];
	r.cpu[1] = cpu_ns(p->pid) - r.cpu[1];
	put_result(&r);
	free(buf);
}

int
main(int argc, char **argv)
{
	struct chan c;
	struct opts o;
	struct peer p;
	int listener;

	parse_opts(argc, argv, &o);
	/* TCP may put small writes together, as it does for everybody. */
	o.nagle = 1;
	if (peer_role()) {
		listener = peer_listen(&o, &c);
		send_all_the_time(&o, &c, listener);
		return 0;
	}
	peer_start(&o, argv, &p);
	peer_connect(&o, &p, &c);
	measure(&o, &p, &c);
	chan_close(&c);
	peer_end(&p);
	return 0;
}
