/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The children of C tests, and the network namespace. */
#include "config.h"

#include "kid.h"
#include "tap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int
answer(struct kid *kid, void *arg)
{
	int word = kid_hear(kid, 5000);

	kid_say(kid, (char)(word + 1));
	kid_meet(kid, 'm', 5000);
	return *(int *)arg;
}

static int
sleep_for_ever(struct kid *kid, void *arg)
{
	(void)arg;
	kid_say(kid, 'r');
	pause();
	return 0;
}

static void
test_kids(void)
{
	char *argv[] = {"sh", "-c", "exit $KID_STATUS", NULL};
	char *none[] = {"/nowhere/program", NULL};
	char *env[] = {"KID_STATUS=5", NULL};
	int status, want = 3;
	struct kid kid;
	int64_t begin;

	is_int(kid_start(&kid, answer, &want), 0, "start");
	is_int(kid_say(&kid, 'a'), 0, "say");
	is_int(kid_hear(&kid, 5000), 'b', "hear the answer");
	is_int(kid_meet(&kid, 'm', 5000), 0, "meet");
	status = kid_wait(&kid, 5000);
	ok(WIFEXITED(status) && WEXITSTATUS(status) == 3, "its result");

	is_int(kid_start(&kid, sleep_for_ever, NULL), 0, "start a sleeper");
	is_int(kid_hear(&kid, 5000), 'r', "it runs");
	begin = now_ms();
	is_int(kid_hear(&kid, 50), -ETIMEDOUT, "it says nothing more");
	is_int(kid_wait(&kid, 50), -ETIMEDOUT, "it does not end");
	ok(now_ms() - begin < 5000, "and we did not wait for it");

	is_int(kid_start(&kid, sleep_for_ever, NULL), 0, "start another");
	is_int(kid_hear(&kid, 5000), 'r', "it runs");
	status = kid_kill(&kid);
	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "kill it");

	is_int(kid_start(&kid, answer, &want), 0, "start one");
	kid_say(&kid, 'a');
	kid_hear(&kid, 5000);
	poll(&(struct pollfd){.fd = kid.fd, .events = POLLIN}, 1, 5000);
	kill(kid.pid, SIGKILL);
	is_int(kid_hear(&kid, 5000), 'm', "what it said before its death");
	is_int(kid_hear(&kid, 5000), -EPIPE, "its death is heard");
	kid_wait(&kid, 5000);

	is_int(kid_exec(&kid, argv, env), 0, "start a program");
	status = kid_wait(&kid, 5000);
	ok(WIFEXITED(status) && WEXITSTATUS(status) == 5,
		"it saw its environment");
	is_int(kid_exec(&kid, none, NULL), -ENOENT, "no such program");
}

static void
test_net(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t len = sizeof(a);
	static char block[100000];
	int64_t before;
	int l, c, s, err;

	err = net_private();
	if (err) {
		skip(3, "no network namespace: %s", strerror(-err));
		return;
	}
	before = lo_bytes();
	is_int(before, 0, "lo of a new namespace carried nothing");
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	l = socket(AF_INET, SOCK_STREAM, 0);
	c = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(l, (struct sockaddr *)&a, len) || listen(l, 1) ||
		getsockname(l, (struct sockaddr *)&a, &len) ||
		connect(c, (struct sockaddr *)&a, len) ||
		(s = accept(l, NULL, NULL)) < 0)
		bail_out("no connection over lo: %s", strerror(errno));
	is_int(write(c, block, sizeof(block)), sizeof(block), "write");
	for (size_t n = 0; n < sizeof(block);)
		n += (size_t)read(s, block, sizeof(block));
	ok(lo_bytes() >= (int64_t)sizeof(block) &&
			lo_bytes() < 2 * (int64_t)sizeof(block),
		"lo counted it");
	close(s);
	close(c);
	close(l);
}

int
main(void)
{
	plan(22);
	test_kids();
	test_net();
	return done();
}
