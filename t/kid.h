/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Children of a C test: start one, meet it at agreed points, kill it, wait
 * for it with a limit. Parent and child speak over a socket pair of their
 * own, one byte a word; a wait that is not answered in time fails, so that no
 * test hangs on a peer that died.
 */
#ifndef KMAP_KID_H
#define KMAP_KID_H

#include <stdint.h>
#include <sys/types.h>

struct kid {
	pid_t pid; /* 0 inside the child */
	int fd; /* to the other one */
};

/* Fork a child that runs fn(kid, arg) and _exits with its result. It dies
 * with its parent. Returns 0 or -errno. */
int
kid_start(struct kid *kid, int (*fn)(struct kid *kid, void *arg), void *arg);

/* Start a program. env: NAME=value strings set beside the environment, ended
 * by NULL, or NULL. The child's end of the pair is its descriptor
 * KID_FD. Returns 0 or -errno, also if the program cannot be executed. */
#define KID_FD 198
int kid_exec(struct kid *kid, char *const argv[], char *const env[]);

/* The kid of a program that was started by kid_exec. */
void kid_inherit(struct kid *kid);

/* Say a word; hear one within ms. kid_hear returns the word, -ETIMEDOUT,
 * or -EPIPE if the other one is gone; kid_meet says it and hears it back. */
int kid_say(struct kid *kid, char word);
int kid_hear(struct kid *kid, int ms);
int kid_meet(struct kid *kid, char word, int ms);

/* The status as from waitpid; -ETIMEDOUT after ms, and the child is killed. */
int kid_wait(struct kid *kid, int ms);

/* SIGKILL, and wait. Returns the status. */
int kid_kill(struct kid *kid);

/* A network namespace of our own, with lo up: 0, or -errno where that is not
 * allowed. Without root it makes a user namespace in which we are root. */
int net_private(void);

/* Bytes that lo has received in this network namespace; -1 if unknown. */
int64_t lo_bytes(void);

/* Milliseconds of a clock that only goes forward. */
int64_t now_ms(void);

#endif
