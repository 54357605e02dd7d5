/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tiny - a web server as textbooks write it: blocking, read and write only.
 *
 *	tiny [-f | -t] [-1] [-a address] port
 *	tiny -o bytes[/seed]
 *
 * One connection at a time; -f forks a child and -t starts a thread for each.
 * -1 closes after every response. Port 0 takes a free one. GET /N or /N/SEED
 * answers N bytes of the pattern; POST answers the length and a checksum of
 * what came. HTTP/1.1 connections are kept alive unless the client asks
 * otherwise, HTTP/1.0 ones are closed. -o writes such a document to stdout,
 * for those who want to compare. Prints nothing, and ends at SIGTERM.
 */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pattern.h"

#define HEAD_MAX 8192
#define BODY_MAX (256u << 20)
#define ROOM 512 /* before the body: one write sends it all */

struct doc {
	unsigned char *buf; /* ROOM bytes, then the body */
	size_t size;
	uint64_t seed;
};

struct conn {
	int fd;
	char in[HEAD_MAX + 1];
	size_t have;
};

struct request {
	char method[8];
	char path[256];
	size_t length; /* of the body that follows */
	int keep;
	int expects; /* waits for 100 Continue */
};

static int once;

static void
finish(int sig)
{
	(void)sig;
	_exit(0);
}

static int
write_all(int fd, const void *buf, size_t len)
{
	const char *p = buf;
	ssize_t n;

	while (len) {
		n = write(fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/* More bytes into the buffer: 1, 0 at the end, -1 if it broke or is full. */
static int
fill(struct conn *c)
{
	ssize_t n;

	if (c->have == HEAD_MAX)
		return -1;
	do {
		n = read(c->fd, c->in + c->have, HEAD_MAX - c->have);
	} while (n < 0 && errno == EINTR);
	if (n <= 0)
		return (int)n;
	c->have += (size_t)n;
	c->in[c->have] = 0;
	return 1;
}

static void
eat(struct conn *c, size_t n)
{
	c->have -= n;
	memmove(c->in, c->in + n, c->have + 1);
}

static const char *
header(const char *head, const char *name)
{
	size_t n = strlen(name);
	const char *p = head;

	while ((p = strstr(p, "\r\n"))) {
		p += 2;
		if (!strncasecmp(p, name, n) && p[n] == ':')
			return p + n + 1 + strspn(p + n + 1, " \t");
	}
	return NULL;
}

static int
starts(const char *value, const char *word)
{
	return value && !strncasecmp(value, word, strlen(word));
}

static int
parse(const char *head, struct request *rq)
{
	const char *v;
	int minor;

	if (sscanf(head, "%7s %255s HTTP/1.%d", rq->method, rq->path, &minor) !=
		3)
		return -1;
	v = header(head, "Connection");
	rq->keep = minor ? !starts(v, "close") : starts(v, "keep-alive");
	if (once)
		rq->keep = 0;
	v = header(head, "Content-Length");
	rq->length = v ? strtoul(v, NULL, 10) : 0;
	rq->expects = starts(header(head, "Expect"), "100-");
	return 0;
}

static int
parse_path(const char *path, size_t *size, uint64_t *seed)
{
	char *end;

	*size = strtoul(path, &end, 10);
	*seed = 1;
	if (end == path || *size > BODY_MAX)
		return -1;
	if (*end == '/')
		*seed = strtoul(end + 1, &end, 10);
	return *end && *end != '?' ? -1 : 0;
}

static int
make_doc(struct doc *d, size_t size, uint64_t seed)
{
	unsigned char *buf;

	if (d->buf && d->size == size && d->seed == seed)
		return 0;
	buf = realloc(d->buf, ROOM + size);
	if (!buf)
		return -1;
	pattern_fill(buf + ROOM, size, seed, 0);
	*d = (struct doc){.buf = buf, .size = size, .seed = seed};
	return 0;
}

/*
 * Head and body leave in one write: two would meet Nagle and the delayed ACK,
 * and flatter whatever TCP is compared with.
 */
static int
answer(struct conn *c, const struct request *rq, struct doc *d)
{
	char head[ROOM];
	int n;

	n = snprintf(head, sizeof(head),
		"HTTP/1.1 200 OK\r\nServer: tiny\r\n"
		"Content-Type: application/octet-stream\r\n"
		"Content-Length: %zu\r\nConnection: %s\r\n\r\n",
		d->size, rq->keep ? "keep-alive" : "close");
	memcpy(d->buf + ROOM - n, head, (size_t)n);
	return write_all(c->fd, d->buf + ROOM - n,
		(size_t)n + (strcmp(rq->method, "HEAD") ? d->size : 0));
}

static int
answer_text(struct conn *c, int keep, const char *status, const char *text)
{
	char out[ROOM];
	int n;

	n = snprintf(out, sizeof(out),
		"HTTP/1.1 %s\r\nServer: tiny\r\nContent-Type: text/plain"
		"\r\nContent-Length: %zu\r\nConnection: %s\r\n\r\n%s",
		status, strlen(text), keep ? "keep-alive" : "close", text);
	return write_all(c->fd, out, (size_t)n);
}

/* Reads what a POST carries; its sum (FNV-1a) goes back to the client. */
static int
take_body(struct conn *c, const struct request *rq)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	uint64_t sum = 0xcbf29ce484222325u;
	size_t left = rq->length, n, i;
	char text[64];

	if (rq->expects && write_all(c->fd, go_on, sizeof(go_on) - 1))
		return -1;
	while (left) {
		if (!c->have && fill(c) <= 0)
			return -1;
		n = c->have < left ? c->have : left;
		for (i = 0; i < n; i++)
			sum = (sum ^ (unsigned char)c->in[i]) * 0x100000001b3u;
		eat(c, n);
		left -= n;
	}
	snprintf(text, sizeof(text), "%zu %016llx\n", rq->length,
		(unsigned long long)sum);
	return answer_text(c, rq->keep, "200 OK", text);
}

/* One request and its answer: 1 if the connection goes on. */
static int
exchange(struct conn *c, struct doc *d)
{
	struct request rq;
	uint64_t seed;
	size_t size;
	char *end;
	int bad;

	while (!(end = strstr(c->in, "\r\n\r\n"))) {
		if (fill(c) <= 0)
			return 0;
	}
	end[2] = 0;
	bad = parse(c->in, &rq);
	eat(c, (size_t)(end + 4 - c->in));
	if (bad) {
		answer_text(c, 0, "400 Bad Request", "bad request\n");
		return 0;
	}
	if (!strcmp(rq.method, "POST") || !strcmp(rq.method, "PUT"))
		return !take_body(c, &rq) && rq.keep;
	if (rq.path[0] != '/' || parse_path(rq.path + 1, &size, &seed))
		return !answer_text(
			       c, rq.keep, "404 Not Found", "not found\n") &&
			rq.keep;
	if (make_doc(d, size, seed))
		return 0;
	return !answer(c, &rq, d) && rq.keep;
}

static void
serve(int fd, struct doc *d)
{
	struct conn c = {.fd = fd};

	while (exchange(&c, d))
		;
	close(fd);
}

static void *
serve_thread(void *arg)
{
	struct doc d = {0};

	serve((int)(intptr_t)arg, &d);
	free(d.buf);
	return NULL;
}

static void
start_thread(int fd)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, serve_thread, (void *)(intptr_t)fd))
		close(fd);
	else
		pthread_detach(thread);
}

static void
start_child(int listener, int fd, struct doc *d)
{
	if (fork() == 0) {
		close(listener);
		serve(fd, d);
		exit(0);
	}
	close(fd);
}

static int
listen_on(const char *address, const char *port)
{
	struct sockaddr_in sin = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)atoi(port)),
	};
	int one = 1, fd;

	if (inet_pton(AF_INET, address, &sin.sin_addr) != 1)
		return -1;
	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&sin, sizeof(sin)) ||
		listen(fd, 1024)) {
		close(fd);
		return -1;
	}
	return fd;
}

static void
loop(int listener, int how)
{
	struct doc d = {0};
	int fd;

	for (;;) {
		fd = accept(listener, NULL, NULL);
		if (fd < 0) {
			if (errno == EMFILE || errno == ENFILE)
				usleep(1000);
			continue;
		}
		if (how == 'f')
			start_child(listener, fd, &d);
		else if (how == 't')
			start_thread(fd);
		else
			serve(fd, &d);
	}
}

static int
put_doc(const char *path)
{
	struct doc d = {0};
	uint64_t seed;
	size_t size;
	int bad;

	if (parse_path(path, &size, &seed) || make_doc(&d, size, seed))
		return 2;
	bad = write_all(1, d.buf + ROOM, size);
	free(d.buf);
	return bad ? 1 : 0;
}

int
main(int argc, char **argv)
{
	const char *address = "127.0.0.1";
	int how = 0, opt, listener;

	while ((opt = getopt(argc, argv, "ft1a:o:")) != -1) {
		if (opt == 'f' || opt == 't')
			how = opt;
		else if (opt == '1')
			once = 1;
		else if (opt == 'a')
			address = optarg;
		else if (opt == 'o')
			return put_doc(optarg);
		else
			return 2;
	}
	if (optind + 1 != argc)
		return 2;
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_IGN);
	signal(SIGTERM, finish);
	listener = listen_on(address, argv[optind]);
	if (listener < 0)
		return 1;
	loop(listener, how);
}
