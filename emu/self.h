/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The code behind the exported names, for callers inside the library: a
 * call of the name itself would go to whoever interposes it before us.
 */
#ifndef KMAP_EMU_SELF_H
#define KMAP_EMU_SELF_H

#include <unistd.h>

#include "call.h"

#define KMAP_SELF_DECL(name)                                                   \
	extern __typeof(name) kmap_self_##name                                 \
		__attribute__((visibility("hidden")))

KMAP_SELF_DECL(_exit);
KMAP_SELF_DECL(accept);
KMAP_SELF_DECL(accept4);
KMAP_SELF_DECL(bind);
KMAP_SELF_DECL(close);
KMAP_SELF_DECL(close_range);
KMAP_SELF_DECL(connect);
KMAP_SELF_DECL(copy_file_range);
KMAP_SELF_DECL(dup);
KMAP_SELF_DECL(dup2);
KMAP_SELF_DECL(dup3);
KMAP_SELF_DECL(epoll_create);
KMAP_SELF_DECL(epoll_create1);
KMAP_SELF_DECL(epoll_ctl);
KMAP_SELF_DECL(epoll_pwait);
KMAP_SELF_DECL(epoll_pwait2);
KMAP_SELF_DECL(epoll_wait);
KMAP_SELF_DECL(execve);
KMAP_SELF_DECL(execveat);
KMAP_SELF_DECL(fcntl);
KMAP_SELF_DECL(fstat);
KMAP_SELF_DECL(fstatat);
KMAP_SELF_DECL(getpeername);
KMAP_SELF_DECL(getsockname);
KMAP_SELF_DECL(getsockopt);
KMAP_SELF_DECL(ioctl);
KMAP_SELF_DECL(listen);
KMAP_SELF_DECL(mlockall);
KMAP_SELF_DECL(pidfd_getfd);
KMAP_SELF_DECL(pipe);
KMAP_SELF_DECL(pipe2);
KMAP_SELF_DECL(poll);
KMAP_SELF_DECL(ppoll);
KMAP_SELF_DECL(prctl);
KMAP_SELF_DECL(preadv2);
KMAP_SELF_DECL(pselect);
KMAP_SELF_DECL(pwritev2);
KMAP_SELF_DECL(read);
KMAP_SELF_DECL(readv);
KMAP_SELF_DECL(recvfrom);
KMAP_SELF_DECL(recvmmsg);
KMAP_SELF_DECL(recvmsg);
KMAP_SELF_DECL(select);
KMAP_SELF_DECL(sendfile);
KMAP_SELF_DECL(sendmmsg);
KMAP_SELF_DECL(sendmsg);
KMAP_SELF_DECL(sendto);
KMAP_SELF_DECL(setsockopt);
KMAP_SELF_DECL(shutdown);
KMAP_SELF_DECL(socket);
KMAP_SELF_DECL(socketpair);
KMAP_SELF_DECL(splice);
KMAP_SELF_DECL(statx);
KMAP_SELF_DECL(tee);
KMAP_SELF_DECL(vmsplice);
KMAP_SELF_DECL(write);
KMAP_SELF_DECL(writev);

#endif
