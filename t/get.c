/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * get - a blocking HTTP client that knows what tiny must answer.
 *
 *	get [-1w] [-c connections] [-n requests] [-u post-bytes] address port
 *	    bytes...
 *
 * Opens the connections at once, and sends on each of them in turn, -n times,
 * a GET for each of the sizes, with a seed of its own, so that a byte of
 * another connection or of an earlier answer is seen. -1 takes a new
 * connection for each request; -u posts so many bytes after each GET and
 * compares the checksum; -w waits up to 10 s for a server that is not there
 * yet. Says on stdout how many bytes were right, or on
 * stderr where the first wrong one was.
 */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pattern.h"

#define CONNECTIONS_MAX 1024

static struct sockaddr_in server;
static unsigned char buf[65536];
static unsigned long long right;
static int patience; /* in steps of 20 ms */

static int
complain(const char *what, int fd)
{
	struct sockaddr_in own = {0};
	socklen_t len = sizeof(own);

	getsockname(fd, (struct sockaddr *)&own, &len);
	fprintf(stderr, "get: port %d: %s: %s\n", ntohs(own.sin_port), what,
		errno ? strerror(errno) : "end of stream");
	return -1;
}

static int
dial(void)
{
	int fd;

	for (;;) {
		fd = socket(AF_INET, SOCK_STREAM, 0);
		if (fd >= 0 &&
			connect(fd, (struct sockaddr *)&server,
				sizeof(server)) == 0)
			return fd;
		if (errno != ECONNREFUSED || patience-- <= 0)
			break;
		close(fd);
		usleep(20000);
	}
	complain("connect", fd);
	exit(1);
}

static int
write_all(int fd, const void *from, size_t len)
{
	const char *p = from;
	ssize_t n;

	while (len) {
		n = write(fd, p, len);
		if (n <= 0)
			return complain("write", fd);
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/*
 * The head of an answer into buf, with a terminating 0; how many bytes of the
 * body came with it, and where they lie.
 */
static ssize_t
read_head(int fd, size_t *have, size_t *body)
{
	char *end, *p;
	ssize_t n;

	*have = 0;
	do {
		errno = 0;
		n = read(fd, buf + *have, 4095 - *have);
		if (n <= 0)
			return complain("read of a head", fd);
		*have += (size_t)n;
		buf[*have] = 0;
		end = strstr((char *)buf, "\r\n\r\n");
	} while (!end && *have < 4095);
	if (!end || strncmp((char *)buf, "HTTP/1.1 200", 12)) {
		fprintf(stderr, "get: answered: %.60s\n", buf);
		return -1;
	}
	*body = (size_t)(end + 4 - (char *)buf);
	*end = 0;
	p = strcasestr((char *)buf, "\r\ncontent-length:");
	return p ? strtol(p + 17, NULL, 10) : -1;
}

static int
check(const unsigned char *p, size_t len, uint64_t seed, size_t pos)
{
	size_t good = pattern_check(p, len, seed, pos);

	right += good;
	if (good == len)
		return 0;
	fprintf(stderr, "get: document %llu: wrong at byte %zu\n",
		(unsigned long long)seed, pos + good);
	return -1;
}

static int
get(int fd, size_t size, uint64_t seed, int last)
{
	size_t have, body, pos;
	char rq[256];
	ssize_t n;
	int len;

	len = snprintf(rq, sizeof(rq),
		"GET /%zu/%llu HTTP/1.1\r\nHost: tiny"
		"\r\n%s\r\n",
		size, (unsigned long long)seed,
		last ? "Connection: close\r\n" : "");
	if (write_all(fd, rq, (size_t)len))
		return -1;
	n = read_head(fd, &have, &body);
	if (n != (ssize_t)size) {
		fprintf(stderr, "get: length %zd instead of %zu\n", n, size);
		return -1;
	}
	pos = have - body;
	if (pos > size || check(buf + body, pos, seed, 0))
		return -1;
	while (pos < size) {
		len = size - pos < sizeof(buf) ? (int)(size - pos)
					       : (int)sizeof(buf);
		errno = 0;
		n = read(fd, buf, (size_t)len);
		if (n <= 0)
			return complain("read of a body", fd);
		if (check(buf, (size_t)n, seed, pos))
			return -1;
		pos += (size_t)n;
	}
	return 0;
}

static int
post(int fd, size_t size, uint64_t seed)
{
	uint64_t sum = 0xcbf29ce484222325u;
	size_t pos, n, i, have, body;
	char text[256];
	ssize_t length;

	n = (size_t)snprintf(text, sizeof(text),
		"POST / HTTP/1.1\r\nHost: "
		"tiny\r\nContent-Length: %zu\r\n\r\n",
		size);
	if (write_all(fd, text, n))
		return -1;
	for (pos = 0; pos < size; pos += n) {
		n = size - pos < sizeof(buf) ? size - pos : sizeof(buf);
		pattern_fill(buf, n, seed, pos);
		for (i = 0; i < n; i++)
			sum = (sum ^ buf[i]) * 0x100000001b3u;
		if (write_all(fd, buf, n))
			return -1;
	}
	length = read_head(fd, &have, &body);
	while (length > 0 && have < body + (size_t)length && have < 4095) {
		ssize_t more = read(fd, buf + have, 4095 - have);

		if (more <= 0)
			return complain("read of a sum", fd);
		have += (size_t)more;
	}
	buf[have] = 0;
	snprintf(text, sizeof(text), "%zu %016llx\n", size,
		(unsigned long long)sum);
	if (length < 0 || strcmp((char *)buf + body, text)) {
		fprintf(stderr, "get: posted %s: the server had %s", text,
			(char *)buf + body);
		return -1;
	}
	right += size;
	return 0;
}

int
main(int argc, char **argv)
{
	int connections = 1, requests = 1, once = 0, opt, i, c, a;
	int fd[CONNECTIONS_MAX];
	uint64_t seed = 1;
	size_t posts = 0;

	while ((opt = getopt(argc, argv, "1wc:n:u:")) != -1) {
		if (opt == '1')
			once = 1;
		else if (opt == 'w')
			patience = 500;
		else if (opt == 'c')
			connections = atoi(optarg);
		else if (opt == 'n')
			requests = atoi(optarg);
		else if (opt == 'u')
			posts = strtoul(optarg, NULL, 10);
		else
			return 2;
	}
	server.sin_family = AF_INET;
	if (argc - optind < 3 || connections < 1 ||
		connections > CONNECTIONS_MAX ||
		inet_pton(AF_INET, argv[optind], &server.sin_addr) != 1)
		return 2;
	server.sin_port = htons((uint16_t)atoi(argv[optind + 1]));
	for (c = 0; c < connections && !once; c++)
		fd[c] = dial();
	for (i = 0; i < requests; i++) {
		for (c = 0; c < connections; c++) {
			for (a = optind + 2; a < argc; a++) {
				size_t size = strtoul(argv[a], NULL, 10);

				if (once)
					fd[c] = dial();
				if (get(fd[c], size, seed++, once))
					return 1;
				if (!once && posts && post(fd[c], posts, seed))
					return 1;
				if (once)
					close(fd[c]);
			}
		}
	}
	for (c = 0; c < connections && !once; c++)
		close(fd[c]);
	printf("%llu\n", right);
	return 0;
}
