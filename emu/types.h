/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The types that calls.def speaks of. */
#ifndef KMAP_EMU_TYPES_H
#define KMAP_EMU_TYPES_H

#include <aio.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <termios.h>
#include <time.h>

/* The "64" names are further names of one function only where this holds. */
_Static_assert(sizeof(off_t) == 8 && sizeof(long) == 8,
	"the emulation is written for 64-bit ABIs");

/* Syscalls that newer architectures (arm64) do not have. */
#ifdef SYS_dup2
#define KMAP_NR_dup2 SYS_dup2
#define KMAP_NR_poll SYS_poll
#define KMAP_NR_select SYS_select
#define KMAP_NR_epoll_create SYS_epoll_create
#define KMAP_NR_epoll_wait SYS_epoll_wait
#define KMAP_NR_open SYS_open
#define KMAP_NR_creat SYS_creat
#define KMAP_NR_pipe SYS_pipe
#else
#define KMAP_NR_dup2 -1
#define KMAP_NR_poll -1
#define KMAP_NR_select -1
#define KMAP_NR_epoll_create -1
#define KMAP_NR_epoll_wait -1
#define KMAP_NR_open -1
#define KMAP_NR_creat -1
#define KMAP_NR_pipe -1
#endif

#endif
