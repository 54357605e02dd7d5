/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "kid.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Fork with a socket pair. Returns 0 on both sides or -errno. */
static int
fork_pair(struct kid *kid)
{
	pid_t parent = getpid();
	int sv[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) != 0)
		return -errno;
	kid->pid = fork();
	if (kid->pid < 0) {
		int err = errno;

		close(sv[0]);
		close(sv[1]);
		return -err;
	}
	kid->fd = sv[kid->pid == 0];
	close(sv[kid->pid != 0]);
	if (kid->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(98);
	}
	return 0;
}

int
kid_start(struct kid *kid, int (*fn)(struct kid *kid, void *arg), void *arg)
{
	int err;

	fflush(NULL);
	err = fork_pair(kid);
	if (err || kid->pid > 0)
		return err;
	_exit(fn(kid, arg));
}

int
kid_exec(struct kid *kid, char *const argv[], char *const env[])
{
	int report[2], err;

	if (pipe2(report, O_CLOEXEC) != 0)
		return -errno;
	fflush(NULL);
	err = fork_pair(kid);
	if (err == 0 && kid->pid == 0) {
		close(report[0]);
		while (env && *env)
			putenv(*env++);
		if (dup2(kid->fd, KID_FD) == KID_FD)
			execvp(argv[0], argv);
		err = errno;
		_exit(write(report[1], &err, sizeof(err)) != sizeof(err));
	}
	close(report[1]);
	/* The write end closes at exec: then nothing is to be read. */
	if (err == 0 && read(report[0], &err, sizeof(err)) == sizeof(err)) {
		err = -err;
		kid_kill(kid);
	}
	close(report[0]);
	return err;
}

void
kid_inherit(struct kid *kid)
{
	kid->pid = 0;
	kid->fd = KID_FD;
	fcntl(KID_FD, F_SETFD, FD_CLOEXEC);
}

int
kid_say(struct kid *kid, char word)
{
	ssize_t n = send(kid->fd, &word, 1, MSG_NOSIGNAL);

	return n == 1 ? 0 : -errno;
}

int
kid_hear(struct kid *kid, int ms)
{
	int64_t end = now_ms() + ms;
	struct pollfd p = {.fd = kid->fd, .events = POLLIN};
	char word;

	for (;;) {
		int64_t left = end - now_ms();
		int n = poll(&p, 1, left > 0 ? (int)left : 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ETIMEDOUT;
		if (recv(kid->fd, &word, 1, MSG_DONTWAIT) == 1)
			return (unsigned char)word;
		return -EPIPE;
	}
}

int
kid_meet(struct kid *kid, char word, int ms)
{
	int got = kid_say(kid, word);

	if (got == 0)
		got = kid_hear(kid, ms);
	if (got < 0)
		return got;
	return got == (unsigned char)word ? 0 : -EPROTO;
}

int
kid_wait(struct kid *kid, int ms)
{
	int64_t end = now_ms() + ms;
	useconds_t nap = 200;
	int status;

	for (;;) {
		pid_t pid = waitpid(kid->pid, &status, WNOHANG);

		if (pid == kid->pid)
			break;
		if (pid < 0 && errno != EINTR)
			return -errno;
		if (now_ms() >= end) {
			kid_kill(kid);
			return -ETIMEDOUT;
		}
		usleep(nap);
		if (nap < 10000)
			nap *= 2;
	}
	close(kid->fd);
	kid->fd = -1;
	kid->pid = -1;
	return status;
}

int
kid_kill(struct kid *kid)
{
	int status = 0;

	if (kid->pid <= 0)
		return -ESRCH;
	kill(kid->pid, SIGKILL);
	while (waitpid(kid->pid, &status, 0) < 0 && errno == EINTR)
		;
	close(kid->fd);
	kid->fd = -1;
	kid->pid = -1;
	return status;
}

static int
put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		err = -errno;
	close(fd);
	return err;
}

int
net_private(void)
{
	struct ifreq ifr = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int fd, err = 0;

	if (geteuid() == 0 && unshare(CLONE_NEWNET) == 0) {
		/* Root needs no user namespace, and keeps other uids. */
	} else {
		uid_t uid = geteuid();
		gid_t gid = getegid();
		char map[64];

		if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
			return -errno;
		snprintf(map, sizeof(map), "0 %u 1", uid);
		if ((err = put("/proc/self/uid_map", map)))
			return err;
		put("/proc/self/setgroups", "deny");
		snprintf(map, sizeof(map), "0 %u 1", gid);
		if ((err = put("/proc/self/gid_map", map)))
			return err;
	}
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (ioctl(fd, SIOCSIFFLAGS, &ifr) != 0)
		err = -errno;
	close(fd);
	return err;
}

int64_t
lo_bytes(void)
{
	char buf[4096], *p;
	ssize_t n;
	int fd;

	/* Not /sys: it shows the namespace in which it was mounted. */
	fd = open("/proc/thread-self/net/dev", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	if (n <= 0)
		return -1;
	buf[n] = '\0';
	p = strstr(buf, " lo:");
	return p ? strtoll(p + 4, NULL, 10) : -1;
}
