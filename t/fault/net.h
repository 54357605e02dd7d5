/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the servers of the faults have in common. */
#ifndef KMAP_T_FAULT_NET_H
#define KMAP_T_FAULT_NET_H

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static inline void
die(const char *what)
{
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what,
		strerror(errno));
	exit(1);
}

static inline struct sockaddr_in
address(int port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* A listener on a free port, whose number the file tells, whole or not at
 * all; NULL: nobody. */
static inline int
listen_at(const char *file, int backlog)
{
	struct sockaddr_in a = address(0);
	socklen_t len = sizeof(a);
	int l = socket(AF_INET, SOCK_STREAM, 0);
	char tmp[4096];
	FILE *f;

	if (l < 0 || bind(l, (void *)&a, len) != 0 || listen(l, backlog) != 0 ||
		getsockname(l, (void *)&a, &len) != 0)
		die("listen");
	if (file == NULL)
		return l;
	snprintf(tmp, sizeof(tmp), "%s.new", file);
	f = fopen(tmp, "w");
	if (f == NULL)
		die(tmp);
	fprintf(f, "%d\n", ntohs(a.sin_port));
	if (fclose(f) != 0 || rename(tmp, file) != 0)
		die(file);
	return l;
}

static inline struct sockaddr_in
address_of(int l)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);

	if (getsockname(l, (void *)&a, &len) != 0)
		die("getsockname");
	return address(ntohs(a.sin_port));
}

/* Waits for an answer for at most so long; 0: for ever. */
static inline int
connected_to(struct sockaddr_in a, int limit_s)
{
	struct timeval tv = {.tv_sec = limit_s};
	int c = socket(AF_INET, SOCK_STREAM, 0);

	if (limit_s != 0)
		setsockopt(c, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	if (connect(c, (void *)&a, sizeof(a)) != 0)
		die("connect");
	return c;
}

/* fork(2); the child has so long. It may be a thread's, which does not end
 * before the program: so it does not end with its parent. */
static inline pid_t
child_for(unsigned int limit_s)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid == 0)
		alarm(limit_s);
	return pid;
}

#endif
