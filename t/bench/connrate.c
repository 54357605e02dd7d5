/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * connrate - connections per second: connect, one exchange, close.
 *
 *	connrate [-e] [-w window] [-s bytes] [-d seconds] [-c cpu,cpu]
 *		 [-a address]
 *
 * The server is blocking, one connection at a time, or (-e) an event loop;
 * -w many connections are opened before the first of them is used. Requests
 * of -s bytes, responses as long. Prints one line of JSON.
 */
#include "config.h"

#include "common.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS 64

static void
serve_blocking(const struct opts *o, int listener)
{
	char *buf = malloc(o->size);
	struct chan c;

	for (;;) {
		peer_accept(o, listener, &c);
		while (!chan_read_full(&c, buf, o->size) &&
			!chan_write_full(&c, buf, o->size))
			;
		chan_close(&c);
	}
}

static void
serve_epoll(const struct opts *o, int listener)
{
	struct epoll_event ev[EVENTS], one = {.events = EPOLLIN};
	int set = epoll_create1(EPOLL_CLOEXEC), i, n, fd;
	char *buf = malloc(o->size);

	one.data.fd = listener;
	epoll_ctl(set, EPOLL_CTL_ADD, listener, &one);
	for (;;) {
		n = epoll_wait(set, ev, EVENTS, -1);
		for (i = 0; i < n; i++) {
			fd = ev[i].data.fd;
			if (fd == listener) {
				fd = accept4(fd, NULL, NULL, SOCK_NONBLOCK);
				one.data.fd = fd;
				epoll_ctl(set, EPOLL_CTL_ADD, fd, &one);
			} else if (read(fd, buf, o->size) <= 0 ||
				write(fd, buf, o->size) < 0) {
				close(fd);
			}
		}
	}
}

/* A window of connections: all opened, all asked, all answered. */
static void
round_of(const struct opts *o, const struct peer *p, struct chan *c, char *buf)
{
	int i;

	for (i = 0; i < o->window; i++) {
		peer_connect(o, p, c + i);
		if (chan_write_full(c + i, buf, o->size))
			die("write");
	}
	for (i = 0; i < o->window; i++) {
		if (chan_read_full(c + i, buf, o->size))
			die("read");
		chan_close(c + i);
	}
}

static uint64_t
run(const struct opts *o, const struct peer *p, double secs, struct hist *h)
{
	struct chan *c = calloc((size_t)o->window, sizeof(*c));
	uint64_t now = now_ns(), last = now, n = 0;
	uint64_t end = now + (uint64_t)(secs * 1e9);
	char *buf = calloc(1, o->size);

	do {
		round_of(o, p, c, buf);
		now = now_ns();
		hist_add(h, (now - last) / (uint64_t)o->window);
		last = now;
		n += (uint64_t)o->window;
	} while (now < end);
	free(buf);
	free(c);
	return n;
}

static void
measure(const struct opts *o, const struct peer *p)
{
	static struct hist warm, hist;
	struct result r = {.hist = &hist};
	uint64_t start;

	r.before = run(o, p, 0.02, &warm);
	r.cpu[0] = cpu_ns(getpid());
	r.cpu[1] = cpu_ns(p->pid);
	start = now_ns();
	r.n = run(o, p, o->secs, &hist);
	r.secs = (double)(now_ns() - start) / 1e9;
	r.cpu[0] = cpu_ns(getpid()) - r.cpu[0];
	r.cpu[1] = cpu_ns(p->pid) - r.cpu[1];
	put_result(&r);
}

int
main(int argc, char **argv)
{
	struct opts o, client;
	struct chan c;
	struct peer p;
	int listener;

	parse_opts(argc, argv, &o);
	if (peer_role()) {
		listener = peer_listen(&o, &c);
		if (listener < 0)
			return 2;
		if (o.epoll)
			serve_epoll(&o, listener);
		else
			serve_blocking(&o, listener);
		return 0;
	}
	/* The client's calls block either way: -e is about the server. */
	client = o;
	client.epoll = 0;
	peer_start(&o, argv, &p);
	measure(&client, &p);
	/* The server has no end of its own: peer_end() would wait for one. */
	return 0;
}
