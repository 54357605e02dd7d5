/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The calls of 32-bit x86 code, made by 32-bit programs and by int $0x80 in
 * others: each becomes the call that a 64-bit program would have made. What
 * the arguments point to is laid out in words, of which t->abi has the size.
 */
#include "config.h"

#include "tracer.h"

#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#ifdef __x86_64__

#define SOCKETCALL 102
#define OLD_SELECT 82

/* clang-format off */
/* Their numbers (asm/unistd_32.h) and ours for the same, and the size of a
 * time's halves. */
#define OURS(nr, name) {nr, SYS_##name, 8}
#define OLD_TIME(nr, name) {nr, SYS_##name, 4}
static const struct {
	short nr, ours;
	unsigned char time;
} calls[] = {
	OURS(3, read),
	OURS(4, write),
	OURS(6, close),
	OURS(41, dup),
	OURS(42, pipe),
	OURS(54, ioctl),
	OURS(55, fcntl),
	OURS(63, dup2),
	OLD_TIME(OLD_SELECT, select),
	{SOCKETCALL, -1, 4}, /* its recvmmsg is the old one */
	OLD_TIME(142, select), /* _newselect */
	OURS(145, readv),
	OURS(146, writev),
	OURS(168, poll),
	OURS(187, sendfile),
	OURS(221, fcntl), /* fcntl64 */
	OURS(239, sendfile), /* sendfile64 */
	OURS(254, epoll_create),
	OURS(255, epoll_ctl),
	OURS(256, epoll_wait),
	OLD_TIME(308, pselect6),
	OLD_TIME(309, ppoll),
	OURS(313, splice),
	OURS(315, tee),
	OURS(316, vmsplice),
	OURS(319, epoll_pwait),
	OURS(321, signalfd),
	OURS(322, timerfd_create),
	OURS(323, eventfd),
	OURS(327, signalfd4),
	OURS(328, eventfd2),
	OURS(329, epoll_create1),
	OURS(330, dup3),
	OURS(331, pipe2),
	OLD_TIME(337, recvmmsg),
	OURS(345, sendmmsg),
	OURS(359, socket),
	OURS(360, socketpair),
	OURS(361, bind),
	OURS(362, connect),
	OURS(363, listen),
	OURS(364, accept4),
	OURS(365, getsockopt),
	OURS(366, setsockopt),
	OURS(367, getsockname),
	OURS(368, getpeername),
	OURS(369, sendto),
	OURS(370, sendmsg),
	OURS(371, recvfrom),
	OURS(372, recvmsg),
	OURS(373, shutdown),
	OURS(377, copy_file_range),
	OURS(378, preadv2),
	OURS(379, pwritev2),
	OURS(413, pselect6), /* pselect6_time64 */
	OURS(414, ppoll), /* ppoll_time64 */
	OURS(417, recvmmsg), /* recvmmsg_time64 */
	OURS(425, io_uring_setup),
	OURS(426, io_uring_enter),
	OURS(427, io_uring_register),
	OURS(436, close_range),
	OURS(438, pidfd_getfd),
	OURS(441, epoll_pwait2),
};
#undef OURS
#undef OLD_TIME
/* clang-format on */

/* socketcall(2): the first argument (linux/net.h), and how many words the
 * second points to. */
static const struct {
	short ours;
	unsigned char n;
} socketcalls[] = {
	[1] = {SYS_socket, 3},
	[2] = {SYS_bind, 3},
	[3] = {SYS_connect, 3},
	[4] = {SYS_listen, 2},
	[5] = {SYS_accept, 3},
	[6] = {SYS_getsockname, 3},
	[7] = {SYS_getpeername, 3},
	[8] = {SYS_socketpair, 4},
	[9] = {SYS_sendto, 4}, /* send */
	[10] = {SYS_recvfrom, 4}, /* recv */
	[11] = {SYS_sendto, 6},
	[12] = {SYS_recvfrom, 6},
	[13] = {SYS_shutdown, 2},
	[14] = {SYS_setsockopt, 5},
	[15] = {SYS_getsockopt, 5},
	[16] = {SYS_sendmsg, 3},
	[17] = {SYS_recvmsg, 3},
	[18] = {SYS_accept4, 4},
	[19] = {SYS_recvmmsg, 5},
	[20] = {SYS_sendmmsg, 4},
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

const int *
i386_watched(size_t *n)
{
	static int list[COUNT(calls)];

	_Static_assert(COUNT(calls) <= WATCHED_MOST, "jumps are too long");
	for (size_t i = 0; i < COUNT(calls); i++)
		list[i] = calls[i].nr;
	*n = COUNT(calls);
	return list;
}

/* The arguments lie in memory, n of them. */
static void
fetch(struct tracee *t, uint64_t at, uint64_t *args, size_t n)
{
	memset(args, 0, 6 * sizeof(*args));
	peek_words(t, at, args, n);
}

static int
socketcall(struct tracee *t, uint64_t *args)
{
	uint64_t which = (uint32_t)args[0];

	if (!which || which >= COUNT(socketcalls))
		return -1;
	fetch(t, args[1], args, socketcalls[which].n);
	return socketcalls[which].ours;
}

int
i386_call(struct tracee *t, int nr, uint64_t *args)
{
	size_t i;

	for (i = 0; i < COUNT(calls) && calls[i].nr != nr; i++)
		;
	if (i == COUNT(calls))
		return -1;
	t->abi = (struct abi){4, calls[i].time};
	if (nr == SOCKETCALL)
		return socketcall(t, args);
	if (nr == OLD_SELECT)
		fetch(t, args[0], args, 5);
	/* An offset is two words here. */
	if (calls[i].ours == SYS_preadv2 || calls[i].ours == SYS_pwritev2)
		args[3] |= args[4] << 32;
	return calls[i].ours;
}

/* ptrace(2): the registers come in the form of what the thread runs. */
bool
i386_program(const struct tracee *t)
{
	struct user_regs_struct regs;
	struct iovec iov = {&regs, sizeof(regs)};

	return !ptrace(PTRACE_GETREGSET, t->tid, 1 /* NT_PRSTATUS */, &iov) &&
		iov.iov_len < sizeof(regs);
}

/* In the text, colons for each path of the recorder. */
static bool
blank(char *text)
{
	char *name, *end;
	bool any = false;

	while ((name = strstr(text, RECORDER))) {
		end = name + strcspn(name, ": ");
		while (name > text && name[-1] != ':' && name[-1] != ' ' &&
			name[-1] != '=')
			name--;
		memset(name, ':', end - name);
		any = true;
	}
	return any;
}

/*
 * ld.so(8): an object of LD_PRELOAD that cannot be loaded is told on stderr,
 * and empty ones are passed over. On the stack: argc, argv, NULL, environ,
 * NULL.
 */
void
i386_exec(struct tracee *t)
{
	static const char key[] = "LD_PRELOAD=";
	struct user_regs_struct regs;
	uint64_t at, argc, string;
	char text[4096];

	if (ptrace(PTRACE_GETREGS, t->tid, 0, &regs) < 0)
		return;
	t->abi = (struct abi){4, 4};
	at = regs.rsp;
	if (peek_words(t, at, &argc, 1) < 1)
		return;
	for (at += (argc + 2) * 4; peek_words(t, at, &string, 1) == 1 && string;
		at += 4) {
		size_t n = peek(t->tid, string, text, sizeof(text) - 1);
		struct iovec from, to;

		text[n] = 0;
		if (strncmp(text, key, strlen(key)) || !blank(text))
			continue;
		from = (struct iovec){text, strlen(text)};
		to = (struct iovec){(void *)(uintptr_t)string, from.iov_len};
		if (process_vm_writev(t->tid, &from, 1, &to, 1, 0) < 0)
			return; /* then ld.so complains */
	}
}

#else

const int *
i386_watched(size_t *n)
{
	*n = 0;
	return NULL;
}

int
i386_call(struct tracee *t, int nr, uint64_t *args)
{
	(void)t;
	(void)nr;
	(void)args;
	return -1;
}

bool
i386_program(const struct tracee *t)
{
	(void)t;
	return false;
}

void
i386_exec(struct tracee *t)
{
	(void)t;
}

#endif
