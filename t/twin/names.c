/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The names that the families' own cases have no row for: further names of a
 * call, and calls of which there are many of one kind. t9010-names wants each
 * name of emu/calls.def to be called by a case.
 */
#include <config.h>

#include <aio.h>
#include <dirent.h>
#include <netinet/in.h>
#include <pty.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

#include "../names.h"
#include "twin.h"

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

static char buf[4096];

/* Bytes that are not of the pattern came to the peer. */
static void
peer_got(struct tw_conn *c, long n)
{
	struct tw_answer a = p_do(OP_RECV, c, n, 0, 0);

	T("peer got %ld%s%s", a.r, a.err ? " then " : "",
		a.err ? t_err(a.err) : "");
}

static void
ended(pid_t pid)
{
	int st = -1;

	if (pid < 0) {
		t_ret("no child", pid);
		return;
	}
	while (waitpid(pid, &st, 0) < 0 && errno == EINTR)
		;
	T("child %#x", st);
}

/* ---- numbers that are given again ---- */

static FILE *stream;
static DIR *dir;
static int other; /* of a pair */
static char path[64];

static const char *template(const char *suffix)
{
	snprintf(path, sizeof path, "/tmp/twin.XXXXXX%s", suffix);
	return path;
}

static int
of_stream(FILE *f)
{
	stream = f;
	return f ? fileno(f) : -1;
}

static int
of_dir(DIR *d)
{
	dir = d;
	return d ? dirfd(d) : -1;
}

static int
of_pair(int r, const int fds[2])
{
	if (r < 0)
		return r;
	other = fds[1];
	return fds[0];
}

static int
by_handle(void)
{
	char b[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	struct file_handle *h = (void *)b;
	int mount;

	h->handle_bytes = MAX_HANDLE_SZ;
	if (name_to_handle_at(AT_FDCWD, "/", h, &mount, 0) < 0)
		h->handle_bytes = h->handle_type = 0;
	return open_by_handle_at(AT_FDCWD, h, O_RDONLY);
}

#define NONE "/dev/null"
#define TMP(f, suffix, ...) f((char *)template(suffix), ##__VA_ARGS__)

#define BIRTHS                                                                 \
	B(open, open(NONE, O_RDWR))                                            \
	B(open64, open64(NONE, O_RDWR))                                        \
	B(__open, __open(NONE, O_RDWR))                                        \
	B(__open64, __open64(NONE, O_RDWR))                                    \
	B(__open_2, __open_2(NONE, O_RDWR))                                    \
	B(__open64_2, __open64_2(NONE, O_RDWR))                                \
	B(openat, openat(AT_FDCWD, NONE, O_RDWR))                              \
	B(openat64, openat64(AT_FDCWD, NONE, O_RDWR))                          \
	B(__openat_2, __openat_2(AT_FDCWD, NONE, O_RDWR))                      \
	B(__openat64_2, __openat64_2(AT_FDCWD, NONE, O_RDWR))                  \
	B(creat, creat(NONE, 0600))                                            \
	B(creat64, creat64(NONE, 0600))                                        \
	B(pipe, of_pair(pipe(fds), fds))                                       \
	B(__pipe, of_pair(__pipe(fds), fds))                                   \
	B(pipe2, of_pair(pipe2(fds, O_CLOEXEC), fds))                          \
	B(openpty, of_pair(openpty(fds, fds + 1, NULL, NULL, NULL), fds))      \
	B(posix_openpt, posix_openpt(O_RDWR | O_NOCTTY))                       \
	B(getpt, getpt())                                                      \
	B(eventfd, eventfd(0, 0))                                              \
	B(signalfd, signalfd(-1, &none, 0))                                    \
	B(timerfd_create, timerfd_create(CLOCK_MONOTONIC, 0))                  \
	B(inotify_init, inotify_init())                                        \
	B(inotify_init1, inotify_init1(IN_CLOEXEC))                            \
	B(fanotify_init, fanotify_init(FAN_CLASS_NOTIF, O_RDONLY))             \
	B(pidfd_open, pidfd_open(getpid(), 0))                                 \
	B(memfd_create, memfd_create("x", 0))                                  \
	B(shm_open, shm_open("/twin.born", O_RDWR | O_CREAT, 0600))            \
	B(mkstemp, TMP(mkstemp, ""))                                           \
	B(mkstemp64, TMP(mkstemp64, ""))                                       \
	B(mkostemp, TMP(mkostemp, "", O_CLOEXEC))                              \
	B(mkostemp64, TMP(mkostemp64, "", O_CLOEXEC))                          \
	B(mkstemps, TMP(mkstemps, ".c", 2))                                    \
	B(mkstemps64, TMP(mkstemps64, ".c", 2))                                \
	B(mkostemps, TMP(mkostemps, ".c", 2, O_CLOEXEC))                       \
	B(mkostemps64, TMP(mkostemps64, ".c", 2, O_CLOEXEC))                   \
	B(open_by_handle_at, by_handle())                                      \
	B(opendir, of_dir(opendir("/")))                                       \
	B(fopen, of_stream(fopen(NONE, "r+")))                                 \
	B(fopen64, of_stream(fopen64(NONE, "r+")))                             \
	B(_IO_fopen, of_stream(_IO_fopen(NONE, "r+")))                         \
	B(epoll_create, epoll_create(1))                                       \
	B(epoll_create1, epoll_create1(0))                                     \
	B(socket, socket(AF_INET, SOCK_STREAM, 0))                             \
	B(socketpair, of_pair(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), fds))

#define B(name, expr)                                                          \
	static int born_##name(void)                                           \
	{                                                                      \
		static int fds[2];                                             \
		static sigset_t none;                                          \
                                                                               \
		(void)fds, (void)none;                                         \
		return expr;                                                   \
	}
BIRTHS
#undef B

static const struct {
	const char *name;
	int (*f)(void);
} births[] = {
#define B(name, expr) {#name, born_##name},
	BIRTHS
#undef B
};

static void
look(const char *what, int fd)
{
	struct pollfd p = {fd, POLLIN, 0};
	struct stat st = {0};

	t_ret("fstat", fstat(fd, &st));
	T("%s is %#o", what, st.st_mode & S_IFMT);
	T("poll %d %s", poll(&p, 1, 0), t_ev(p.revents));
	t_ret("recv", recv(fd, buf, 5, MSG_PEEK | MSG_DONTWAIT));
	tw_nonblock(fd, true);
	t_ret("read", read(fd, buf, 8));
	t_ret("write", write(fd, "1234567", 8));
}

/* A number that the library knows as the connection's is closed where it does
 * not see it, and given to something else. */
CASE(born, all, F_TCP)
{
	struct tw_conn *c = tw_open();

	for (int half = 0; half < 2; half++) {
		p_send(c, 20);
		for (size_t i = 0; i < sizeof births / sizeof *births; i++) {
			int d = dup(c->fd), fd;

			kmap_syscall6(SYS_close, d, 0, 0, 0, 0, 0);
			other = -1;
			stream = NULL;
			dir = NULL;
			*path = 0;
			fd = births[i].f();
			if (fd < 0) {
				t_ret(births[i].name, fd);
				continue;
			}
			T("%s %s", births[i].name,
				fd == d ? "got the number" : "got another");
			look("it", fd);
			if (other >= 0) {
				look("its other", other);
				close(other);
			}
			if (*path)
				unlink(path);
			t_ret("end",
				stream	      ? fclose(stream)
					: dir ? closedir(dir)
					      : close(fd));
		}
		shm_unlink("/twin.born");
		t_recv(c, 100);
		t_send(c, 20);
		p_recv(c, 20);
		tw_mid(c);
	}
}

/* ---- further names ---- */

CASE(connect, other_name, F_CON)
{
	struct tw_conn c;
	struct sockaddr_in a = {.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	a.sin_port = htons(p_do(OP_LISTEN, NULL, AF_INET, 0, 0).r);
	t_ret("connect", __connect(fd, (void *)&a, sizeof a));
	tw_tp_reset(fd);
	tw_wrap(&c, fd, p_do(OP_ACCEPT, NULL, 0, 0, 0).r);
	tw_preamble(&c);
	tw_mid(&c);
	p_send(&c, 10);
	t_recv(&c, 20);
	t_ret("again", __connect(fd, (void *)&a, sizeof a));
}

CASE(dup, other_names, 0)
{
	struct tw_conn *c = tw_open();

	for (int half = 0; half < 2; half++) {
		int d = __fcntl(c->fd, F_DUPFD, 30);

		T("__fcntl gave %d", d);
		t_ret("__dup2", __dup2(c->fd, 31));
		T("F_GETFL %#x", __fcntl(31, F_GETFL));
		p_send(c, 20);
		t_recv_fd(c, d, 10);
		t_recv_fd(c, 31, 10);
		t_ret("__close", __close(d));
		t_ret("closed", recv(d, buf, 1, MSG_DONTWAIT));
		t_ret("__close", __close(31));
		t_ret("again", __close(31));
		t_send(c, 10);
		p_recv(c, 10);
		tw_mid(c);
	}
	t_ret("__close", __close(c->fd));
	peer_got(c, -1);
}

CASE(fstat, other_names, 0)
{
	struct tw_conn *c = tw_open();

	for (int half = 0; half < 2; half++) {
		struct stat st = {0}, at = {0};
		struct stat64 st64 = {0}, at64 = {0};

		t_ret("__fxstat", __fxstat(1, c->fd, &st));
		t_ret("__fxstat64", __fxstat64(1, c->fd, &st64));
		T("%#o, %s", st.st_mode & S_IFMT,
			st.st_ino == st64.st_ino ? "the same" : "another");
		t_ret("__fxstatat",
			__fxstatat(1, c->fd, "", &at, AT_EMPTY_PATH));
		t_ret("__fxstatat64",
			__fxstatat64(1, c->fd, "", &at64, AT_EMPTY_PATH));
		T("%s",
			at.st_ino == st.st_ino && at64.st_ino == st.st_ino
				? "the same"
				: "another");
		t_ret("fstatat64", fstatat64(c->fd, "", &at64, AT_EMPTY_PATH));
		T("%s", at64.st_ino == st.st_ino ? "the same" : "another");
		t_ret("version", __fxstat(99, c->fd, &st));
		tw_mid(c);
	}
}

/* Eight bytes, of whatever it is. */
CASE(eventfd, on_a_socket, 0)
{
	struct tw_conn *c = tw_open();

	for (int half = 0; half < 2; half++) {
		eventfd_t v = 0;
		int r;

		p_send(c, 8);
		r = eventfd_read(c->fd, &v);
		T("eventfd_read = %d", r);
		t_got(c, "it read", sizeof v, &v);
		p_send(c, 5);
		t_ret("too few", eventfd_read(c->fd, &v));
		c->rx += 5;
		tw_fill(c, &v, sizeof v);
		r = eventfd_write(c->fd, v);
		T("eventfd_write = %d", r);
		t_sent(c, "it wrote", sizeof v);
		p_recv(c, 8);
		tw_mid(c);
	}
}

/* ---- streams, and what else reads and writes inside libc ---- */

static int
va(bool chk, int fd, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = chk ? __vdprintf_chk(fd, 1, fmt, ap) : vdprintf(fd, fmt, ap);
	va_end(ap);
	return r;
}

CASE(stdio, prints, F_TCP)
{
	struct tw_conn *c = tw_open();

	tw_mid(c);
	t_send(c, 10);
	t_ret("dprintf", dprintf(c->fd, "%d!", 1234));
	t_ret("__dprintf_chk", __dprintf_chk(c->fd, 1, "%d!", 12));
	t_ret("vdprintf", va(false, c->fd, "%d!", 1));
	t_ret("__vdprintf_chk", va(true, c->fd, "%d!", 123));
	peer_got(c, 24);
	p_send(c, 10);
	t_recv(c, 20);
	t_ret("closed", dprintf(777, "x"));
	t_ret("shutdown", shutdown(c->fd, SHUT_WR));
	t_ret("after shutdown", dprintf(c->fd, "x"));
	t_pipes();
}

/* Unread bytes come back to TCP from a peer that is in the library then. */
static void
peer_listens(struct tw_conn *c, long n)
{
	p_start(OP_RECV, c, n, 0, 0);
}

static void
peer_heard(void)
{
	struct tw_answer a = p_end();

	T("peer got %ld%s%s%s", a.r, a.bad ? " WRONG" : "",
		a.err ? " then " : "", a.err ? t_err(a.err) : "");
}

static void
streamed(FILE *(*open)(int, const char *), int (*end)(FILE *))
{
	struct tw_conn *c = tw_open();
	FILE *f;

	tw_mid(c);
	p_send(c, 50);
	t_recv(c, 10);
	peer_listens(c, 30);
	f = open(c->fd, "r+");
	T("stream %s", f ? "made" : t_err(errno));
	if (!f)
		return;
	setvbuf(f, NULL, _IOFBF, 64);
	t_got(c, "fread", fread(buf, 1, 40, f), buf);
	tw_fill(c, buf, 30);
	t_sent(c, "fwrite", fwrite(buf, 1, 30, f));
	t_ret("fflush", fflush(f));
	peer_heard();
	tw_fill(c, buf, 10);
	t_sent(c, "fwrite", fwrite(buf, 1, 10, f));
	t_ret("end", end(f));
	t_ret("recv", recv(c->fd, buf, 1, MSG_DONTWAIT));
	p_recv(c, -1);
}

CASE(stdio, streams, F_TCP)
{
	streamed(fdopen, fclose);
	streamed(_IO_fdopen, _IO_fclose);
}

/* Another file under the stream: the connection ends. */
CASE(stdio, reopened, F_TCP)
{
	static FILE *(*const again[])(const char *, const char *, FILE *) = {
		freopen, freopen64};

	for (int i = 0; i < 2; i++) {
		struct tw_conn *c = tw_open();
		FILE *f;

		tw_mid(c);
		t_send(c, 10);
		f = fdopen(c->fd, "r+");
		f = f ? again[i]("/dev/null", "r", f) : NULL;
		T("%s",
			!f			     ? t_err(errno)
				: fileno(f) == c->fd ? "the same number"
						     : "another number");
		t_ret("recv", recv(c->fd, buf, 1, MSG_DONTWAIT));
		p_recv(c, -1);
		if (f)
			t_ret("fclose", fclose(f));
	}
}

/* A bad fd has no stream; a number that was a connection's is not one. */
CASE(stdio, errors, F_TCP)
{
	struct tw_conn *c = tw_open();
	FILE *f;

	tw_mid(c);
	T("mode: %s", fdopen(c->fd, "?") ? "made" : t_err(errno));
	T("closed: %s", fdopen(777, "r") ? "made" : t_err(errno));
	p_send(c, 10);
	t_recv(c, 20);
	f = fdopen(c->fd, "r");
	tw_close(c);
	T("fclose %s", f && fclose(f) < 0 ? t_err(errno) : "works");
	T("freopen %s",
		freopen("/dev/null/none", "r", fopen("/dev/null", "r"))
			? "works"
			: t_err(errno));
}

static int
aio_end(struct aiocb *cb)
{
	const struct aiocb *const list[] = {cb};

	while (aio_error(cb) == EINPROGRESS)
		aio_suspend(list, 1, NULL);
	errno = aio_error(cb);
	return aio_return(cb);
}

static int
aio_end64(struct aiocb64 *cb)
{
	return aio_end((struct aiocb *)cb);
}

static void
written(struct tw_conn *c, int r)
{
	t_sent(c, "written", r);
	peer_heard();
}

CASE(aio, read_write, F_TCP)
{
	struct tw_conn *c = tw_open();
	struct aiocb k = {
		.aio_fildes = c->fd, .aio_buf = buf, .aio_nbytes = 10};

	tw_mid(c);
	p_send(c, 15);
	peer_listens(c, 10);
	t_ret("aio_read", aio_read(&k));
	t_got(c, "read", aio_end(&k), buf);
	tw_fill(c, buf, 10);
	t_ret("aio_write", aio_write(&k));
	written(c, aio_end(&k));
	t_recv(c, 20);
	k.aio_fildes = 777;
	t_ret("closed", aio_read(&k));
	t_ret("its end", aio_end(&k));
}

CASE(aio, read_write64, F_TCP)
{
	struct tw_conn *c = tw_open();
	struct aiocb64 k = {
		.aio_fildes = c->fd, .aio_buf = buf, .aio_nbytes = 10};

	tw_mid(c);
	p_send(c, 15);
	peer_listens(c, 10);
	t_ret("aio_read64", aio_read64(&k));
	t_got(c, "read", aio_end64(&k), buf);
	tw_fill(c, buf, 10);
	t_ret("aio_write64", aio_write64(&k));
	written(c, aio_end64(&k));
	t_recv(c, 20);
}

CASE(aio, list, F_TCP)
{
	struct tw_conn *c = tw_open();
	struct aiocb k = {.aio_fildes = c->fd,
		.aio_buf = buf,
		.aio_nbytes = 10,
		.aio_lio_opcode = LIO_WRITE};
	struct aiocb *list[] = {NULL, &k};

	tw_mid(c);
	peer_listens(c, 10);
	tw_fill(c, buf, 10);
	t_ret("lio_listio", lio_listio(LIO_WAIT, list, 2, NULL));
	written(c, aio_end(&k));
	p_send(c, 10);
	t_recv(c, 20);
}

CASE(aio, list64, F_TCP)
{
	struct tw_conn *c = tw_open();
	struct aiocb64 k = {.aio_fildes = c->fd,
		.aio_buf = buf,
		.aio_nbytes = 10,
		.aio_lio_opcode = LIO_WRITE};
	struct aiocb64 *list[] = {NULL, &k};

	tw_mid(c);
	peer_listens(c, 10);
	tw_fill(c, buf, 10);
	t_ret("lio_listio64", lio_listio64(LIO_WAIT, list, 2, NULL));
	written(c, aio_end64(&k));
	p_send(c, 10);
	t_recv(c, 20);
}

CASE(pidfd, getfd, F_TCP)
{
	struct tw_conn *c = tw_open();
	int self = pidfd_open(getpid(), 0);

	for (int half = 0; half < 2; half++) {
		int d = dup(c->fd), fd;

		t_ret("closed", pidfd_getfd(self, 777, 0));
		t_ret("flags", pidfd_getfd(self, c->fd, 1));
		t_ret("no pidfd", pidfd_getfd(c->fd, c->fd, 0));
		/* A pipe by a number that was the connection's. */
		kmap_syscall6(SYS_close, d, 0, 0, 0, 0, 0);
		p_send(c, 10);
		fd = pidfd_getfd(self, 2, 0);
		T("%s",
			fd < 0		  ? t_err(errno)
				: fd == d ? "got the number"
					  : "got another");
		t_ret("recv", recv(fd, buf, 5, MSG_PEEK | MSG_DONTWAIT));
		close(fd);
		t_recv(c, 20);
		tw_mid(c);
	}
}

/* ---- dispositions ---- */

static _Atomic int came;

static void
on(int sig)
{
	(void)sig;
	came++;
}

static void
by_sigaction(void)
{
	struct sigaction sa = {.sa_handler = on, .sa_flags = SA_RESTART}, old;

	t_ret("sigaction", sigaction(SIGUSR1, &sa, &old));
	T("%s", old.sa_handler == SIG_DFL ? "default" : "a handler");
}

static void
by___sigaction(void)
{
	struct sigaction sa = {.sa_handler = on};

	t_ret("__sigaction", __sigaction(SIGUSR1, &sa, NULL));
}

static void
old_was(const char *name, sighandler_t h)
{
	T("%s: %s was", name,
		h == SIG_ERR		? t_err(errno)
			: h == SIG_DFL	? "the default"
			: h == SIG_HOLD ? "a hold"
			: h == on	? "on"
					: "another");
}

#define SETS(name)                                                             \
	static void by_##name(void)                                            \
	{                                                                      \
		old_was(#name, name(SIGUSR1, on));                             \
	}
SETS(signal)
SETS(bsd_signal)
SETS(ssignal)
SETS(sysv_signal)
SETS(__sysv_signal)
SETS(sigset)

static void
by_siginterrupt(void)
{
	old_was("signal", signal(SIGUSR1, on));
	t_ret("siginterrupt", siginterrupt(SIGUSR1, 1));
	old_was("signal", signal(SIGUSR1, on));
}

static void
by_siginterrupt_off(void)
{
	by_siginterrupt();
	t_ret("siginterrupt", siginterrupt(SIGUSR1, 0));
}

static void
by_sigignore(void)
{
	t_ret("sigignore", sigignore(SIGUSR1));
	t_ret("sigignore", sigignore(SIGKILL));
}

static void
by_hold(void)
{
	by_sigset();
	old_was("sigset", sigset(SIGUSR1, SIG_HOLD));
	old_was("sigset", sigset(SIGUSR1, SIG_HOLD));
}

static void
released(void)
{
	old_was("sigset", sigset(SIGUSR1, on));
}

/* A reader sleeps when the signal comes: it goes on, or is interrupted. */
CASE(signal, set, 0)
{
	static void (*const by[])(void) = {by_sigaction, by___sigaction,
		by_signal, by_bsd_signal, by_ssignal, by_sysv_signal,
		by___sysv_signal, by_sigset, by_siginterrupt,
		by_siginterrupt_off, by_sigignore, by_hold};
	struct tw_conn *c = tw_open();

	for (int half = 0; half < 2; half++) {
		for (size_t i = 0; i < sizeof by / sizeof *by; i++) {
			struct sigaction now;
			ssize_t r;

			signal(SIGUSR1, SIG_DFL);
			by[i]();
			came = 0;
			p_when(OP_SIGNAL, c, SIGUSR1, 0, 0);
			p_when(OP_SEND, c, 10, 0, 0);
			r = recv(c->fd, buf, 20, 0);
			t_got(c, "recv", r, buf);
			p_end();
			p_end();
			if (r < 0)
				t_got(c, "recv", recv(c->fd, buf, 20, 0), buf);
			T("came %d", came);
			if (by[i] == by_hold) {
				released();
				T("came %d", came);
			}
			sigaction(SIGUSR1, NULL, &now);
			T("then %s, flags %#x",
				now.sa_handler == on ? "on"
					: now.sa_handler == SIG_DFL
					? "the default"
					: now.sa_handler == SIG_IGN ? "ignored"
								    : "another",
				now.sa_flags);
		}
		tw_mid(c);
	}
	old_was("signal", signal(SIGKILL, on));
	old_was("signal", signal(999, on));
	old_was("sigset", sigset(999, on));
	t_ret("siginterrupt", siginterrupt(999, 1));
}

/* ---- processes ---- */

static void
child_reads(struct tw_conn *c)
{
	t_recv(c, 20);
	t_send(c, 20);
}

static struct tw_conn *of_clone;

static int
child_of_clone(void *arg)
{
	(void)arg;
	child_reads(of_clone);
	return 0;
}

static pid_t
cloned(__typeof(clone) *f)
{
	static char stack[1 << 18] __attribute__((aligned(16)));

	return f(child_of_clone, stack + sizeof stack, SIGCHLD, NULL);
}

static pid_t
by_clone(void)
{
	return cloned(clone);
}

static pid_t
by___clone(void)
{
	return cloned(__clone);
}

static pid_t
by_forkpty(void)
{
	int master;
	pid_t pid = forkpty(&master, NULL, NULL, NULL);

	/* Open until the subject ends: a hang-up is not the point. */
	return pid;
}

/* The child goes on with an upgraded connection, and the parent after. */
CASE(fork, ways, 0)
{
	static pid_t (*const by[])(void) = {
		fork, __fork, _Fork, by_forkpty, by_clone, by___clone};

	for (size_t i = 0; i < sizeof by / sizeof *by; i++) {
		struct tw_conn *c = tw_open();
		pid_t pid;

		tw_mid(c);
		c->count = false;
		p_send(c, 50);
		of_clone = c;
		pid = by[i]();
		if (pid == 0) {
			child_reads(c);
			_exit(0);
		}
		ended(pid);
		c->rx += 20;
		c->tx += 20;
		t_recv(c, 100);
		t_send(c, 20);
		p_recv(c, 40);
		p_send(c, 10);
		t_recv(c, 10);
		tw_rounds(c, false);
	}
}

/* The child of a child, which nobody waits for, has the connection alone. */
/* What pthread_atfork(3) is made of; the handlers use the connection. */
static void
before_fork(void)
{
	if (of_clone != NULL)
		t_send(of_clone, 7);
}

static void
after_fork(void)
{
	if (of_clone != NULL)
		t_recv(of_clone, 7);
}

CASE(fork, handlers, 0)
{
	struct tw_conn *c = tw_open();
	pid_t pid;

	t_ret("__register_atfork",
		__register_atfork(before_fork, after_fork, NULL, NULL));
	tw_mid(c);
	c->count = false;
	p_send(c, 57);
	of_clone = c;
	p_start(OP_RECV, c, 7, 0, 0);
	pid = fork();
	if (pid == 0)
		_exit(0);
	of_clone = NULL;
	T("peer got %ld", p_end().r);
	ended(pid);
	t_recv(c, 50);
	tw_rounds(c, false);
}
CASE(fork, daemon, 0)
{
	struct tw_conn *c = tw_open();
	int pp[2];
	pid_t pid;

	tw_mid(c);
	c->count = false;
	p_send(c, 20);
	if (pipe(pp) < 0)
		return;
	pid = fork();
	if (pid == 0) {
		if (daemon(1, 1) < 0)
			_exit(1);
		child_reads(c);
		_exit(0);
	}
	close(pp[1]);
	tw_close(c);
	/* Its end, which nobody waits for, closes the pipe. */
	t_ret("read", read(pp[0], buf, 1));
	ended(pid);
	p_recv(c, -1);
}

CASE(fork, other_vfork, 0)
{
	struct tw_conn *c = tw_open();
	int fd = c->fd;
	pid_t pid;

	tw_mid(c);
	pid = __vfork();
	if (pid == 0) {
		close(fd);
		_exit(0);
	}
	ended(pid);
	p_send(c, 10);
	t_recv(c, 10);
	t_send(c, 10);
	p_recv(c, 10);
}

/* ---- programs ---- */

static const char *prog; /* with its directory */
static char *echo[] = {(char *)"echo", (char *)"hello", NULL};

#define EXECS                                                                  \
	E(execl, prog, "echo", "hello", (char *)NULL)                          \
	E(execle, prog, "echo", "hello", (char *)NULL, environ)                \
	E(execlp, prog + 5, "echo", "hello", (char *)NULL)                     \
	E(execv, prog, echo)                                                   \
	E(execve, prog, echo, environ)                                         \
	E(execvp, prog + 5, echo)                                              \
	E(execvpe, prog + 5, echo, environ)                                    \
	E(fexecve, open(prog, O_RDONLY | O_CLOEXEC), echo, environ)            \
	E(execveat, AT_FDCWD, prog, echo, environ, 0)

#define E(name, ...)                                                           \
	static int by_##name(void)                                             \
	{                                                                      \
		return name(__VA_ARGS__);                                      \
	}
EXECS
#undef E

static const struct {
	const char *name;
	int (*f)(void);
} execs[] = {
#define E(name, ...) {#name, by_##name},
	EXECS
#undef E
};
#define NEXECS (sizeof execs / sizeof *execs)

/* The program that follows writes where the stream is, and we go on there. */
static void
goes_on(struct tw_conn *c)
{
	peer_got(c, 6);
	p_send(c, 10);
	t_recv(c, 20);
	tw_close(c);
	peer_got(c, -1);
}

CASE(exec, all, F_TCP)
{
	prog = "/bin/echo";
	for (size_t i = 0; i < NEXECS; i++) {
		struct tw_conn *c = tw_open();
		pid_t pid;

		tw_mid(c);
		T("%s", execs[i].name);
		pid = fork();
		if (pid == 0) {
			dup2(c->fd, 1);
			close(c->fd);
			execs[i].f();
			_exit(9);
		}
		ended(pid);
		goes_on(c);
	}
}

/* What fails leaves the connection in the hands of the same process. */
CASE(exec, fails, F_TCP)
{
	prog = "/bin/no-such-program";
	for (size_t i = 0; i < NEXECS; i++) {
		struct tw_conn *c = tw_open();

		tw_mid(c);
		t_ret(execs[i].name, execs[i].f());
		p_send(c, 10);
		t_recv(c, 20);
		t_send(c, 10);
		p_recv(c, 10);
		tw_close(c);
	}
}

static void
spawned(__typeof(posix_spawn) *f, const char *file, struct tw_conn *c)
{
	posix_spawn_file_actions_t fa;
	pid_t pid = -1;

	posix_spawn_file_actions_init(&fa);
	T("adddup2 %s", t_err(posix_spawn_file_actions_adddup2(&fa, c->fd, 1)));
	T("spawn %s", t_err(f(&pid, file, &fa, NULL, echo, environ)));
	posix_spawn_file_actions_destroy(&fa);
	ended(pid);
}

static void
by_spawn(struct tw_conn *c)
{
	spawned(posix_spawn, "/bin/echo", c);
}

static void
by_spawnp(struct tw_conn *c)
{
	spawned(posix_spawnp, "echo", c);
}

static void
by_system(struct tw_conn *c)
{
	dup2(c->fd, 1);
	T("system = %#x", system("echo hello"));
	close(1);
}

static void
by_popen(struct tw_conn *c)
{
	FILE *f;

	dup2(c->fd, 1);
	f = popen("cat", "w");
	close(1);
	if (f) {
		fputs("hello\n", f);
		T("pclose = %#x", pclose(f));
	}
}

/* What is inherited as fd 0, 1 or 2 is meant for the program. */
CASE(exec, inside_libc, F_TCP)
{
	static void (*const by[])(struct tw_conn *) = {
		by_spawn, by_spawnp, by_system, by_popen};

	for (size_t i = 0; i < sizeof by / sizeof *by; i++) {
		struct tw_conn *c = tw_open();

		tw_mid(c);
		by[i](c);
		goes_on(c);
	}
}

/* ---- the process itself ---- */

CASE(process, prctl, F_TCP)
{
	struct tw_conn *c = tw_open();

	for (int half = 0; half < 2; half++) {
		t_ret("name", prctl(PR_SET_NAME, "twin-subject"));
		memset(buf, 0, 16);
		t_ret("name", prctl(PR_GET_NAME, buf));
		T("%s", buf);
		t_ret("not dumpable", prctl(PR_SET_DUMPABLE, 0));
		t_ret("dumpable", prctl(PR_GET_DUMPABLE));
		t_ret("dumpable", prctl(PR_SET_DUMPABLE, 1));
		t_ret("unknown", prctl(-1, 0, 0, 0, 0));
		p_send(c, 10);
		t_recv(c, 20);
		t_send(c, 10);
		p_recv(c, 10);
		tw_mid(c);
	}
	t_ret("seccomp, none", prctl(PR_SET_SECCOMP, 99, NULL));
	p_send(c, 10);
	t_recv(c, 20);
	t_send(c, 10);
	p_recv(c, 10);
}

CASE(process, mlockall, F_TCP)
{
	struct tw_conn *c = tw_open();

	for (int half = 0; half < 2; half++) {
		t_ret("flags", mlockall(0x100));
		t_ret("none", mlockall(0));
		tw_mid(c);
		t_ret("future", mlockall(MCL_FUTURE));
		p_send(c, 10);
		t_recv(c, 20);
		t_send(c, 10);
		p_recv(c, 10);
		t_ret("munlockall", munlockall());
	}
}
