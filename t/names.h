/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Exported names of the library that no header of libc gives. */
#ifndef KMAP_TEST_NAMES_H
#define KMAP_TEST_NAMES_H

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#include "extra.h"

/* Their types are those of the plain names. */
#define LIKE(name, of) extern __typeof(of) name
LIKE(__connect, connect);
LIKE(__close, close);
LIKE(__dup2, dup2);
LIKE(__fcntl, fcntl);
LIKE(__read, read);
LIKE(__write, write);
LIKE(__send, send);
LIKE(__poll, poll);
LIKE(__select, select);
int __register_atfork(void (*)(void), void (*)(void), void (*)(void), void *);
LIKE(__fork, fork);
LIKE(__vfork, vfork);
LIKE(__clone, clone);
LIKE(__open, open);
LIKE(__open64, open);
LIKE(__open64_2, __open_2);
LIKE(__openat64_2, __openat_2);
LIKE(__pipe, pipe);
LIKE(__sigaction, sigaction);
LIKE(__sysv_signal, sysv_signal);
LIKE(_IO_fopen, fopen);
LIKE(_IO_fdopen, fdopen);
LIKE(_IO_fclose, fclose);

#endif
