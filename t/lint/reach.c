/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Calls every exported name of libkmapemu.so once, and every syscall whose
 * libc function is wrapped through syscall(2). Most are called in a way that
 * the kernel refuses: what counts is which function is reached, and that
 * result and errno are those without the library.
 *
 *	reach names	the names it calls, one a line
 *	reach run	"name result errno" for each
 *	reach count	with spy.so behind the library: "name count" for each
 *			whose function in libc was not reached exactly once
 *	reach where FILE	the exported names that the loader bound to
 *			another object than FILE
 */
#include "config.h"

#include <aio.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pty.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../names.h"
#include "spy.h"

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
#pragma GCC diagnostic ignored "-Wnonnull"
#pragma GCC diagnostic ignored "-Wunused-result"

static char buf[16];
static struct iovec iov = {buf, 1};
static struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
static struct mmsghdr mmsg;
static struct sockaddr sa;
static socklen_t salen = sizeof(sa);
static struct pollfd pfd = {.fd = -1};
static struct timespec zero;
static struct timeval tzero;
static struct epoll_event ev;
static struct stat st;
static struct stat64 st64;
static struct statx stx;
static struct sigaction act;
static struct aiocb aio = {.aio_fildes = -1, .aio_reqprio = -1};
static struct aiocb64 aio64 = {.aio_fildes = -1, .aio_reqprio = -1};
static int fds[2];
static int pid;
static int master, slave;
static char *args[] = {"x", NULL};
static const char *none = "/dev/null/none/x";

/* A result that is a new fd says only that it is one. */
static long
fd(int r)
{
	int saved = errno;

	if (r < 0)
		return r;
	close(r);
	errno = saved;
	return 0;
}

static long
file(FILE *f)
{
	return f ? fclose(f) : -1;
}

/* What runs in a child: its exit status, or 256 and the signal. */
static long
status(void)
{
	int s;

	while (waitpid(-1, &s, 0) < 0)
		if (errno != EINTR)
			return -2;
	return WIFEXITED(s) ? WEXITSTATUS(s) : 256 + WTERMSIG(s);
}

static long
child(void (*fn)(void))
{
	pid_t p = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

	if (p == 0) {
		fn();
		syscall(SYS_exit_group, 99);
	}
	return p < 0 ? p : status();
}

/* In the two processes of a fork: the child ends, the parent looks. */
static long
forked(pid_t p)
{
	if (p == 0)
		syscall(SYS_exit_group, 7);
	return p < 0 ? p : status();
}

static int
seven(void *arg)
{
	(void)arg;
	return 7;
}

static long
cloned(__typeof(clone) *fn, int flags)
{
	static char stack[65536] __attribute__((aligned(16)));
	int p = fn(seven, stack + sizeof(stack), flags | SIGCHLD, NULL);

	return p < 0 ? p : status();
}

/*
 * A vfork child must return to our frame and end without touching it; the
 * calls in between are what programs do there.
 */
static __attribute__((noinline)) long
vforked(pid_t (*fn)(void))
{
	volatile int mark = 1;
	pid_t p = fn();

	if (p == 0) {
		mark++;
		close(-1);
		_exit(7);
	}
	return p < 0 ? p : status() * 10 + mark;
}

static void
do_exit(void)
{
	_exit(3);
}
static void
do_Exit(void)
{
	_Exit(3);
}
static void
do_quick_exit(void)
{
	quick_exit(3);
}
static void
do_daemon(void)
{
	daemon(1, 1);
	syscall(SYS_exit_group, 5);
}
static void
do_exit_group(void)
{
	syscall(SYS_exit_group, 3);
}
static void
do_closefrom(void)
{
	closefrom(200);
	syscall(SYS_exit_group, fcntl(200, F_GETFD) < 0 ? 4 : 5);
}
static void
do_read_chk(void)
{
	__read_chk(-1, buf, 9, 8);
}
static void
do_recv_chk(void)
{
	__recv_chk(-1, buf, 9, 8, 0);
}
static void
do_poll_chk(void)
{
	__poll_chk(&pfd, 2, 0, sizeof(pfd));
}

static long
pty(void)
{
	pid_t p = forkpty(&master, NULL, NULL, NULL);

	if (p == 0)
		syscall(SYS_exit_group, 7);
	if (p < 0)
		return p;
	long r = status();

	close(master);
	return r;
}

static long
vdp(int chk)
{
	return chk ? __dprintf_chk(-1, 1, "x") : dprintf(-1, "x");
}

static long
va(int chk, const char *fmt, ...)
{
	va_list ap;
	long r;

	va_start(ap, fmt);
	r = chk ? __vdprintf_chk(-1, 1, fmt, ap) : vdprintf(-1, fmt, ap);
	va_end(ap);
	return r;
}

static char *
tmpl(const char *suffix)
{
	static char name[64];

	snprintf(name, sizeof(name), "/dev/null/none/XXXXXX%s", suffix);
	return name;
}

static posix_spawn_file_actions_t actions;

static long
spawned(int r)
{
	return r ? r : status();
}

static long
pairs(int r)
{
	int saved = errno;

	if (r == 0) {
		close(fds[0]);
		close(fds[1]);
	}
	errno = saved;
	return r;
}

static long
dir(DIR *d)
{
	return d ? closedir(d) : -1;
}

struct reach {
	const char *name; /* exported name, or SYS_… */
	enum kmap_call reaches; /* the one function of libc behind it */
	long (*fn)(void);
};

/* Bodies. R(name of the exported function, what is reached, expression). */
#define BODIES                                                                 \
	R(socket, socket, socket(-1, 0, 0))                                    \
	R(socketpair, socketpair, socketpair(-1, 0, 0, fds))                   \
	R(bind, bind, bind(-1, &sa, salen))                                    \
	R(listen, listen, listen(-1, 1))                                       \
	R(connect, connect, connect(-1, &sa, salen))                           \
	R(__connect, connect, __connect(-1, &sa, salen))                       \
	R(accept, accept, accept(-1, NULL, NULL))                              \
	R(accept4, accept4, accept4(-1, NULL, NULL, 0))                        \
	R(shutdown, shutdown, shutdown(-1, 0))                                 \
	R(close, close, close(-1))                                             \
	R(__close, close, __close(-1))                                         \
	R(close_range, close_range, close_range(9, 8, 0))                      \
	R(closefrom, closefrom, child(do_closefrom))                           \
	R(dup, dup, dup(-1))                                                   \
	R(dup2, dup2, dup2(-1, 5))                                             \
	R(__dup2, dup2, __dup2(-1, 5))                                         \
	R(dup3, dup3, dup3(-1, 5, 0))                                          \
	R(getsockname, getsockname, getsockname(-1, &sa, &salen))              \
	R(getpeername, getpeername, getpeername(-1, &sa, &salen))              \
	R(getsockopt, getsockopt, getsockopt(-1, 1, 1, buf, &salen))           \
	R(setsockopt, setsockopt, setsockopt(-1, 1, 1, buf, 4))                \
	R(fcntl, fcntl, fcntl(-1, F_GETFD))                                    \
	R(fcntl64, fcntl, fcntl64(-1, F_GETFD))                                \
	R(__fcntl, fcntl, __fcntl(-1, F_GETFD))                                \
	R(ioctl, ioctl, ioctl(-1, FIONREAD, fds))                              \
	R(read, read, read(-1, buf, 1))                                        \
	R(__read, read, __read(-1, buf, 1))                                    \
	R(__read_chk, read, __read_chk(-1, buf, 1, 8))                         \
	R(eventfd_read, read, eventfd_read(-1, (eventfd_t *)buf))              \
	R(readv, readv, readv(-1, &iov, 1))                                    \
	R(preadv2, preadv2, preadv2(-1, &iov, 1, -1, 0))                       \
	R(preadv64v2, preadv2, preadv64v2(0, &iov, 1, -5, 0))                  \
	R(recv, recv, recv(-1, buf, 1, 0))                                     \
	R(__recv_chk, recv, __recv_chk(-1, buf, 1, 8, 0))                      \
	R(recvfrom, recvfrom, recvfrom(-1, buf, 1, 0, NULL, NULL))             \
	R(__recvfrom_chk, recvfrom,                                            \
		__recvfrom_chk(-1, buf, 1, 8, 0, NULL, NULL))                  \
	R(recvmsg, recvmsg, recvmsg(-1, &msg, 0))                              \
	R(recvmmsg, recvmmsg, recvmmsg(-1, &mmsg, 1, 0, NULL))                 \
	R(write, write, write(-1, buf, 1))                                     \
	R(__write, write, __write(-1, buf, 1))                                 \
	R(eventfd_write, write, eventfd_write(-1, 1))                          \
	R(writev, writev, writev(-1, &iov, 1))                                 \
	R(pwritev2, pwritev2, pwritev2(-1, &iov, 1, -1, 0))                    \
	R(pwritev64v2, pwritev2, pwritev64v2(0, &iov, 1, -5, 0))               \
	R(send, send, send(-1, buf, 1, 0))                                     \
	R(__send, send, __send(-1, buf, 1, 0))                                 \
	R(sendto, sendto, sendto(-1, buf, 1, 0, NULL, 0))                      \
	R(sendmsg, sendmsg, sendmsg(-1, &msg, 0))                              \
	R(sendmmsg, sendmmsg, sendmmsg(-1, &mmsg, 1, 0))                       \
	R(sendfile, sendfile, sendfile(-1, -1, NULL, 1))                       \
	R(sendfile64, sendfile, sendfile64(-1, -1, NULL, 1))                   \
	R(splice, splice, splice(-1, NULL, -1, NULL, 1, 0))                    \
	R(tee, tee, tee(-1, -1, 1, 0))                                         \
	R(vmsplice, vmsplice, vmsplice(-1, &iov, 1, 0))                        \
	R(copy_file_range, copy_file_range,                                    \
		copy_file_range(-1, NULL, -1, NULL, 1, 0))                     \
	R(poll, poll, poll(&pfd, 1, 0))                                        \
	R(__poll, poll, __poll(&pfd, 1, 0))                                    \
	R(__poll_chk, poll, __poll_chk(&pfd, 1, 0, sizeof(pfd)))               \
	R(ppoll, ppoll, ppoll(&pfd, 1, &zero, NULL))                           \
	R(__ppoll_chk, ppoll, __ppoll_chk(&pfd, 1, &zero, NULL, sizeof(pfd)))  \
	R(select, select, select(0, NULL, NULL, NULL, &tzero))                 \
	R(__select, select, __select(0, NULL, NULL, NULL, &tzero))             \
	R(pselect, pselect, pselect(0, NULL, NULL, NULL, &zero, NULL))         \
	R(epoll_create, epoll_create, epoll_create(0))                         \
	R(epoll_create1, epoll_create1, epoll_create1(-1))                     \
	R(epoll_ctl, epoll_ctl, epoll_ctl(-1, EPOLL_CTL_ADD, 0, &ev))          \
	R(epoll_wait, epoll_wait, epoll_wait(-1, &ev, 1, 0))                   \
	R(epoll_pwait, epoll_pwait, epoll_pwait(-1, &ev, 1, 0, NULL))          \
	R(epoll_pwait2, epoll_pwait2, epoll_pwait2(-1, &ev, 1, &zero, NULL))   \
	R(fork, fork, forked(fork()))                                          \
	R(__fork, fork, forked(__fork()))                                      \
	R(_Fork, _Fork, forked(_Fork()))                                       \
	R(vfork, KMAP_CALLS, vforked(vfork))                                   \
	R(__vfork, KMAP_CALLS, vforked(__vfork))                               \
	R(clone, clone, cloned(clone, 0))                                      \
	R(__clone, clone, cloned(__clone, CLONE_VM | CLONE_VFORK))             \
	R(__register_atfork, __register_atfork,                                \
		__register_atfork(NULL, NULL, NULL, NULL))                     \
	R(daemon, daemon, child(do_daemon))                                    \
	R(forkpty, forkpty, pty())                                             \
	R(system, system, system("exit 5"))                                    \
	R(popen, popen, pclose(popen("exit 5", "r")))                          \
	R(execve, execve, execve(none, args, environ))                         \
	R(execv, execve, execv(none, args))                                    \
	R(execl, execve, execl(none, "x", "y", NULL))                          \
	R(execle, execve, execle(none, "x", "y", NULL, environ))               \
	R(execvpe, execvpe, execvpe(none, args, environ))                      \
	R(execvp, execvpe, execvp(none, args))                                 \
	R(execlp, execvpe, execlp(none, "x", "y", NULL))                       \
	R(fexecve, fexecve, fexecve(-1, args, environ))                        \
	R(execveat, execveat, execveat(-1, none, args, environ, 0))            \
	R(posix_spawn, posix_spawn,                                            \
		spawned(posix_spawn(&pid, none, NULL, NULL, args, environ)))   \
	R(posix_spawn_file_actions_adddup2, posix_spawn_file_actions_adddup2,  \
		posix_spawn_file_actions_adddup2(&actions, 0, 9))              \
	R(posix_spawnp, posix_spawnp,                                          \
		spawned(posix_spawnp(                                          \
			&pid, "true", NULL, NULL, args, environ)))             \
	R(fdopen, fdopen, file(fdopen(-1, "r")))                               \
	R(_IO_fdopen, fdopen, file(_IO_fdopen(-1, "r")))                       \
	R(fopen, fopen, file(fopen(none, "r")))                                \
	R(fopen64, fopen, file(fopen64(none, "r")))                            \
	R(_IO_fopen, fopen, file(_IO_fopen(none, "r")))                        \
	R(freopen, freopen, file(freopen(none, "r", fdopen(dup(0), "r"))))     \
	R(freopen64, freopen, file(freopen64(none, "r", fdopen(dup(0), "r")))) \
	R(fclose, fclose, fclose(fdopen(dup(0), "r")))                         \
	R(_IO_fclose, fclose, _IO_fclose(fdopen(dup(0), "r")))                 \
	R(vdprintf, vdprintf, va(0, "x"))                                      \
	R(dprintf, vdprintf, vdp(0))                                           \
	R(__vdprintf_chk, __vdprintf_chk, va(1, "x"))                          \
	R(__dprintf_chk, __vdprintf_chk, vdp(1))                               \
	R(fstat, fstat, fstat(-1, &st))                                        \
	R(fstat64, fstat, fstat64(-1, &st64))                                  \
	R(__fxstat, __fxstat, __fxstat(1, -1, &st))                            \
	R(__fxstat64, __fxstat, __fxstat64(1, -1, &st64))                      \
	R(fstatat, fstatat, fstatat(-1, "x", &st, 0))                          \
	R(fstatat64, fstatat, fstatat64(-1, "x", &st64, 0))                    \
	R(__fxstatat, __fxstatat, __fxstatat(1, -1, "x", &st, 0))              \
	R(__fxstatat64, __fxstatat, __fxstatat64(1, -1, "x", &st64, 0))        \
	R(statx, statx, statx(-1, "x", 0, 0, &stx))                            \
	R(sigaction, sigaction, sigaction(SIGKILL, &act, NULL))                \
	R(__sigaction, sigaction, __sigaction(SIGKILL, &act, NULL))            \
	R(signal, sigaction, (long)signal(SIGKILL, SIG_IGN))                   \
	R(bsd_signal, sigaction, (long)bsd_signal(SIGKILL, SIG_IGN))           \
	R(ssignal, sigaction, (long)ssignal(SIGKILL, SIG_IGN))                 \
	R(sysv_signal, sigaction, (long)sysv_signal(SIGKILL, SIG_IGN))         \
	R(__sysv_signal, sigaction, (long)__sysv_signal(SIGKILL, SIG_IGN))     \
	R(sigset, sigaction, (long)sigset(SIGKILL, SIG_IGN))                   \
	R(sigignore, sigaction, sigignore(SIGKILL))                            \
	R(siginterrupt, sigaction, siginterrupt(0, 1))                         \
	R(prctl, prctl, prctl(-1, 0, 0, 0, 0))                                 \
	R(mlockall, mlockall, mlockall(-1))                                    \
	R(_exit, _exit, child(do_exit))                                        \
	R(_Exit, _exit, child(do_Exit))                                        \
	R(quick_exit, quick_exit, child(do_quick_exit))                        \
	R(syscall, syscall, syscall(-1))                                       \
	R(sockatmark, sockatmark, sockatmark(-1))                              \
	R(aio_read, aio_read, aio_read(&aio))                                  \
	R(aio_read64, aio_read, aio_read64(&aio64))                            \
	R(aio_write, aio_write, aio_write(&aio))                               \
	R(aio_write64, aio_write, aio_write64(&aio64))                         \
	R(lio_listio, lio_listio, lio_listio(-1, NULL, 0, NULL))               \
	R(lio_listio64, lio_listio, lio_listio64(-1, NULL, 0, NULL))           \
	R(pidfd_getfd, pidfd_getfd, pidfd_getfd(-1, 0, 0))                     \
	R(open, open, open(none, 0))                                           \
	R(open64, open, open64(none, O_CREAT, 0600))                           \
	R(__open, open, __open(none, 0))                                       \
	R(__open64, open, __open64(none, 0))                                   \
	R(__open_2, __open_2, __open_2(none, 0))                               \
	R(__open64_2, __open_2, __open64_2(none, 0))                           \
	R(openat, openat, openat(-1, "x", 0))                                  \
	R(openat64, openat, openat64(-1, "x", O_CREAT, 0600))                  \
	R(__openat_2, __openat_2, __openat_2(-1, "x", 0))                      \
	R(__openat64_2, __openat_2, __openat64_2(-1, "x", 0))                  \
	R(creat, creat, creat(none, 0600))                                     \
	R(creat64, creat, creat64(none, 0600))                                 \
	R(pipe, pipe, pairs(pipe(fds)))                                        \
	R(__pipe, pipe, pairs(__pipe(fds)))                                    \
	R(pipe2, pipe2, pairs(pipe2(fds, -1)))                                 \
	R(eventfd, eventfd, eventfd(0, -1))                                    \
	R(signalfd, signalfd, signalfd(-2, &act.sa_mask, 0))                   \
	R(timerfd_create, timerfd_create, timerfd_create(-1, 0))               \
	R(inotify_init, inotify_init, fd(inotify_init()))                      \
	R(inotify_init1, inotify_init1, inotify_init1(-1))                     \
	R(memfd_create, memfd_create, memfd_create("x", -1))                   \
	R(mkstemp, mkstemp, mkstemp(tmpl("")))                                 \
	R(mkstemp64, mkstemp, mkstemp64(tmpl("")))                             \
	R(mkostemp, mkostemp, mkostemp(tmpl(""), 0))                           \
	R(mkostemp64, mkostemp, mkostemp64(tmpl(""), 0))                       \
	R(mkstemps, mkstemps, mkstemps(tmpl(".c"), 2))                         \
	R(mkstemps64, mkstemps, mkstemps64(tmpl(".c"), 2))                     \
	R(mkostemps, mkostemps, mkostemps(tmpl(".c"), 2, 0))                   \
	R(mkostemps64, mkostemps, mkostemps64(tmpl(".c"), 2, 0))               \
	R(shm_open, shm_open, shm_open("/kmap/none", 0, 0))                    \
	R(posix_openpt, posix_openpt, fd(posix_openpt(O_RDWR | O_NOCTTY)))     \
	R(getpt, getpt, fd(getpt()))                                           \
	R(openpty, openpty,                                                    \
		openpty(&master, &slave, NULL, NULL, NULL) || close(master) || \
			close(slave))                                          \
	R(pidfd_open, pidfd_open, pidfd_open(-1, 0))                           \
	R(fanotify_init, fanotify_init, fanotify_init(-1, 0))                  \
	R(open_by_handle_at, open_by_handle_at,                                \
		open_by_handle_at(-1, NULL, 0))                                \
	R(opendir, opendir, dir(opendir(none)))

/* Syscalls, by what they reach; those that pass the kernel's own structures
 * reach syscall as long as nothing is upgraded. */
#define SYSCALLS                                                               \
	S(socket, socket, -1, 0, 0)                                            \
	S(socketpair, socketpair, -1, 0, 0, fds)                               \
	S(bind, bind, -1, &sa, salen)                                          \
	S(listen, listen, -1, 1)                                               \
	S(connect, connect, -1, &sa, salen)                                    \
	S(accept, accept, -1, 0, 0)                                            \
	S(accept4, accept4, -1, 0, 0, 0)                                       \
	S(shutdown, shutdown, -1, 0)                                           \
	S(close, close, -1)                                                    \
	S(close_range, close_range, 9, 8, 0)                                   \
	S(dup, dup, -1)                                                        \
	S(dup2, dup2, -1, 5)                                                   \
	S(dup3, dup3, -1, 5, 0)                                                \
	S(getsockname, getsockname, -1, &sa, &salen)                           \
	S(getpeername, getpeername, -1, &sa, &salen)                           \
	S(getsockopt, getsockopt, -1, 1, 1, buf, &salen)                       \
	S(setsockopt, setsockopt, -1, 1, 1, buf, 4)                            \
	S(fcntl, fcntl, -1, F_GETFD)                                           \
	S(ioctl, ioctl, -1, FIONREAD, fds)                                     \
	S(read, read, -1, buf, 1)                                              \
	S(readv, readv, -1, &iov, 1)                                           \
	S(preadv2, preadv2, -1, &iov, 1, -1, -1, 0)                            \
	S(recvfrom, recvfrom, -1, buf, 1, 0, 0, 0)                             \
	S(recvmsg, recvmsg, -1, &msg, 0)                                       \
	S(recvmmsg, recvmmsg, -1, &mmsg, 1, 0, 0)                              \
	S(write, write, -1, buf, 1)                                            \
	S(writev, writev, -1, &iov, 1)                                         \
	S(pwritev2, pwritev2, -1, &iov, 1, -1, -1, 0)                          \
	S(sendto, sendto, -1, buf, 1, 0, 0, 0)                                 \
	S(sendmsg, sendmsg, -1, &msg, 0)                                       \
	S(sendmmsg, sendmmsg, -1, &mmsg, 1, 0)                                 \
	S(sendfile, sendfile, -1, -1, 0, 1)                                    \
	S(splice, splice, -1, 0, -1, 0, 1, 0)                                  \
	S(tee, tee, -1, -1, 1, 0)                                              \
	S(vmsplice, vmsplice, -1, &iov, 1, 0)                                  \
	S(copy_file_range, copy_file_range, -1, 0, -1, 0, 1, 0)                \
	S(poll, poll, &pfd, 1, 0)                                              \
	S(ppoll, syscall, &pfd, 1, &zero, 0, 8)                                \
	S(select, select, 0, 0, 0, 0, &tzero)                                  \
	S(pselect6, syscall, 0, 0, 0, 0, &zero, 0)                             \
	S(epoll_create, epoll_create, 0)                                       \
	S(epoll_create1, epoll_create1, -1)                                    \
	S(epoll_ctl, epoll_ctl, -1, EPOLL_CTL_ADD, 0, &ev)                     \
	S(epoll_wait, epoll_wait, -1, &ev, 1, 0)                               \
	S(epoll_pwait, syscall, -1, &ev, 1, 0, 0, 8)                           \
	S(epoll_pwait2, syscall, -1, &ev, 1, &zero, 0, 8)                      \
	S(execve, execve, none, args, environ)                                 \
	S(execveat, execveat, -1, none, args, environ, 0)                      \
	S(fstat, fstat, -1, &st)                                               \
	S(newfstatat, fstatat, -1, "x", &st, 0)                                \
	S(statx, statx, -1, "x", 0, 0, &stx)                                   \
	S(rt_sigaction, syscall, SIGKILL, &act, 0, 8)                          \
	S(prctl, prctl, -1, 0, 0, 0, 0)                                        \
	S(seccomp, syscall, -1, 0, 0)                                          \
	S(mlockall, mlockall, -1)                                              \
	S(pidfd_getfd, pidfd_getfd, -1, 0, 0)                                  \
	S(open, syscall, none, 0)                                              \
	S(openat, syscall, -1, "x", 0)                                         \
	S(creat, syscall, none, 0600)                                          \
	S(pipe2, syscall, fds, -1)                                             \
	S(eventfd2, syscall, 0, -1)                                            \
	S(signalfd4, syscall, -2, &act.sa_mask, 8, 0)                          \
	S(timerfd_create, syscall, -1, 0)                                      \
	S(inotify_init1, syscall, -1)                                          \
	S(memfd_create, syscall, "x", -1)                                      \
	S(pidfd_open, syscall, -1, 0)                                          \
	S(fanotify_init, syscall, -1, 0)                                       \
	S(open_by_handle_at, syscall, -1, 0, 0)                                \
	S(io_uring_setup, syscall, 0, 0)                                       \
	S(getuid, syscall, 0)

#define R(name, of, expr)                                                      \
	static long do__##name(void)                                           \
	{                                                                      \
		return expr;                                                   \
	}
BODIES
#undef R
#define S(name, of, ...)                                                       \
	static long sys__##name(void)                                          \
	{                                                                      \
		return syscall(SYS_##name, __VA_ARGS__);                       \
	}
SYSCALLS
#undef S

static long
sys_fork(void)
{
	return forked(syscall(SYS_fork));
}
static long
sys_clone(void)
{
	return forked(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
}
static long
sys_clone_bad(void)
{
	return syscall(SYS_clone, CLONE_THREAD, 0, 0, 0, 0);
}
static long
sys_exit_group(void)
{
	return child(do_exit_group);
}
static long
chk_read(void)
{
	return child(do_read_chk);
}
static long
chk_recv(void)
{
	return child(do_recv_chk);
}
static long
chk_poll(void)
{
	return child(do_poll_chk);
}

#define KMAP_KMAP_CALLS KMAP_CALLS

static const struct reach table[] = {
#define R(name, of, expr) {#name, KMAP_##of, do__##name},
	BODIES
#undef R
#define S(name, of, ...) {"SYS_" #name, KMAP_##of, sys__##name},
		SYSCALLS
#undef S
	{"SYS_fork", KMAP_syscall, sys_fork},
	{"SYS_clone", KMAP_CALLS, sys_clone},
	{"SYS_clone (refused)", KMAP_CALLS, sys_clone_bad},
	{"SYS_exit_group", KMAP__exit, sys_exit_group},
	{"__read_chk (overflow)", KMAP_CALLS, chk_read},
	{"__recv_chk (overflow)", KMAP_CALLS, chk_recv},
	{"__poll_chk (overflow)", KMAP_CALLS, chk_poll},
};

#define N (sizeof(table) / sizeof(*table))

static int
run(void)
{
	/* __chk_fail speaks to the terminal, else to stderr. */
	int null = open("/dev/null", O_RDWR);

	dup2(null, 2);
	setenv("LIBC_FATAL_STDERR_", "1", 1);
	for (size_t i = 0; i < N; i++) {
		long r;

		fflush(stdout);
		errno = 0;
		r = table[i].fn();
		printf("%s %ld %d\n", table[i].name, r, errno);
	}
	return 0;
}

static int
count(void)
{
	struct spy *(*get)(void) = dlsym(RTLD_DEFAULT, "kmap_spy");
	struct spy *spy = get ? get() : NULL;

	if (!spy) {
		fprintf(stderr, "no spy is loaded\n");
		return 1;
	}
	for (size_t i = 0; i < N; i++) {
		unsigned int before;

		if (table[i].reaches == KMAP_CALLS)
			continue;
		before = spy->calls[table[i].reaches];
		table[i].fn();
		printf("%s %u\n", table[i].name,
			spy->calls[table[i].reaches] - before);
	}
	return 0;
}

static int
where(const char *lib)
{
	for (size_t i = 0; i < N; i++) {
		void *p = dlsym(RTLD_DEFAULT, table[i].name);
		Dl_info info;

		if (!strncmp(table[i].name, "SYS_", 4) ||
			strchr(table[i].name, ' '))
			continue;
		if (!p || !dladdr(p, &info) ||
			strcmp(realpath(info.dli_fname, NULL),
				realpath(lib, NULL)))
			printf("%s: %s\n", table[i].name,
				p ? info.dli_fname : "nowhere");
	}
	return 0;
}

int
main(int argc, char **argv)
{
	mmsg.msg_hdr = msg;
	if (argc == 2 && !strcmp(argv[1], "names")) {
		for (size_t i = 0; i < N; i++)
			puts(table[i].name);
		return 0;
	}
	if (argc == 2 && !strcmp(argv[1], "run"))
		return run();
	if (argc == 2 && !strcmp(argv[1], "count"))
		return count();
	if (argc == 3 && !strcmp(argv[1], "where"))
		return where(argv[2]);
	fprintf(stderr, "usage: reach names|run|count|where LIBRARY\n");
	return 2;
}
