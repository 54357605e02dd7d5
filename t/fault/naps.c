/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * naps HOW: a signal comes to a thread behind its last look and before it
 * sleeps, at one instruction after the other, up to the system call's own.
 * It is interrupted each time; a second thread, asleep in the same epoll set,
 * is not even woken, and gets what comes in the end.
 *
 * HOW: epoll, pwait (two threads in a set), nested (one, in a set around it),
 * poll, recv. Prints at how many places the signal came.
 *
 * Where a program cannot step through itself, the signal comes at one place.
 */
#include "config.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "net.h"

#define LIMIT_S 30

static const char *how;
static int conn, set, outer;
static __thread int stepper; /* this thread is interrupted */
static int at_step; /* before this instruction */
static int step;
static int last; /* it was the system call's */
static int handled;
static int others_sleeps;
static int other_tid, other_got;

static void
on_usr1(int sig)
{
	(void)sig;
	handled++;
	/* Whoever is woken by mistake has time to run. */
	usleep(1000);
}

static void
stuck(int sig)
{
	static const char why[] = "naps: a thread sleeps on\n";

	(void)sig;
	if (write(2, why, sizeof(why) - 1) < 0)
		_exit(4);
	_exit(3);
}

#if defined(__x86_64__)
#define TRAP_FLAG 0x100

/* The kernel's, whom alone nobody counts as a handler of the program. */
struct kernel_sigaction {
	void (*handler)(int, siginfo_t *, void *);
	unsigned long flags;
	void (*restorer)(void);
	unsigned long mask;
};

static long
kernel(long nr, long a, long b, long c, long d)
{
	register long r10 __asm__("r10") = d;
	long r;

	__asm__ __volatile__("syscall"
			     : "=a"(r)
			     : "0"(nr), "D"(a), "S"(b), "d"(c), "r"(r10)
			     : "rcx", "r11", "memory");
	return r;
}

void back(void);
__asm__("back: mov $15, %eax\n" /* rt_sigreturn */
	"	syscall\n");

static int
sleeps(const greg_t *r)
{
	const unsigned char *pc = (const unsigned char *)r[REG_RIP];

	return pc[0] == 0x0f && pc[1] == 0x05 &&
		(r[REG_RAX] == SYS_epoll_wait ||
			r[REG_RAX] == SYS_epoll_pwait ||
			r[REG_RAX] == SYS_ppoll);
}

static void
on_trap(int sig, siginfo_t *si, void *ctx)
{
	greg_t *r = ((ucontext_t *)ctx)->uc_mcontext.gregs;

	(void)sig;
	(void)si;
	last = sleeps(r);
	if (step++ < at_step && !last)
		return;
	r[REG_EFL] &= ~TRAP_FLAG;
	/* It comes as this one returns. */
	kernel(SYS_tgkill, getpid(), kernel(SYS_gettid, 0, 0, 0, 0), SIGUSR1,
		0);
}

static void
steps_begin(void)
{
	struct kernel_sigaction a = {.handler = on_trap,
		.flags = SA_SIGINFO | SA_RESTART | 0x04000000,
		.restorer = back,
		.mask = 1UL << (SIGUSR1 - 1)};

	if (kernel(SYS_rt_sigaction, SIGTRAP, (long)&a, 0, 8) != 0)
		die("SIGTRAP");
	step = 0;
	__asm__ __volatile__("lea -128(%%rsp), %%rsp\n"
			     "pushf\n"
			     "orl $0x100, (%%rsp)\n"
			     "popf\n"
			     "lea 128(%%rsp), %%rsp\n" ::
				     : "memory", "cc");
}
#else
static void
steps_begin(void)
{
	last = 1;
	raise(SIGUSR1);
}
#endif

int kmap_testpoint(const char *name, int fd);

int
kmap_testpoint(const char *name, int fd)
{
	(void)fd;
	if (strcmp(name, "sleep") != 0)
		return 0;
	if (!stepper)
		__atomic_add_fetch(&others_sleeps, 1, __ATOMIC_SEQ_CST);
	else if (stepper-- == 1)
		steps_begin();
	return 0;
}

static int
waits(void)
{
	struct pollfd p = {conn, POLLIN, 0};
	struct epoll_event ev;
	sigset_t none;
	char c;

	sigemptyset(&none);
	switch (how[1]) {
	case 'p':
		return epoll_wait(set, &ev, 1, -1);
	case 'w':
		return epoll_pwait(set, &ev, 1, -1, &none);
	case 'e':
		return *how == 'n' ? epoll_wait(outer, &ev, 1, -1)
				   : (int)recv(conn, &c, 1, 0);
	default:
		return poll(&p, 1, -1);
	}
}

static void *
other(void *arg)
{
	struct epoll_event ev;

	(void)arg;
	other_tid = gettid();
	other_got = epoll_wait(set, &ev, 1, -1);
	return NULL;
}

/* Until the other thread is in the kernel's epoll_wait. */
static void
other_asleep(void)
{
	char name[64], was[256] = "";
	FILE *f;

	for (;;) {
		snprintf(name, sizeof(name), "/proc/self/task/%d/syscall",
			__atomic_load_n(&other_tid, __ATOMIC_SEQ_CST));
		f = fopen(name, "r");
		if (f != NULL && fgets(was, sizeof(was), f) != NULL &&
			strtol(was, NULL, 10) ==
#ifdef SYS_epoll_wait
				SYS_epoll_wait
#else
				SYS_epoll_pwait
#endif
			&& __atomic_load_n(&others_sleeps, __ATOMIC_SEQ_CST))
			break;
		if (f != NULL)
			fclose(f);
		usleep(1000);
	}
	fclose(f);
}

static void
interrupted(int i)
{
	at_step = i;
	handled = 0;
	stepper = 1;
	if (waits() != -1 || errno != EINTR || handled != 1) {
		fprintf(stderr, "naps: before instruction %d: errno %d, %d\n",
			i, errno, handled);
		exit(1);
	}
	stepper = 0;
}

static void
serve(int l)
{
	int c = accept(l, NULL, NULL);
	char b;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (recv(c, &b, 1, 0) == 1 && send(c, &b, 1, MSG_NOSIGNAL) == 1)
		;
	_exit(0);
}

int
main(int argc, char **argv)
{
	struct sigaction a = {.sa_handler = on_usr1};
	struct epoll_event ev = {.events = EPOLLIN};
	int l = listen_at(NULL, 8), slept, i;
	bool two;
	char b = 'x';
	pthread_t th;

	if (argc != 2)
		return 2;
	how = argv[1];
	two = how[1] == 'p' || how[1] == 'w';
	if (fork() == 0)
		serve(l);
	conn = connected_to(address_of(l), 0);
	sigaction(SIGUSR1, &a, NULL);
	signal(SIGALRM, stuck);
	set = epoll_create1(0);
	outer = epoll_create1(0);
	if (*how == 'e' || *how == 'n' || two)
		epoll_ctl(set, EPOLL_CTL_ADD, conn, &ev);
	if (*how == 'n')
		epoll_ctl(outer, EPOLL_CTL_ADD, set, &ev);
	alarm(LIMIT_S);
	for (i = 0; i < 20; i++)
		if (send(conn, &b, 1, 0) != 1 ||
			((two || *how == 'n') &&
				epoll_wait(set, &ev, 1, -1) != 1) ||
			recv(conn, &b, 1, 0) != 1)
			die("ping");
	if (two) {
		pthread_create(&th, NULL, other, NULL);
		other_asleep();
	}
	slept = others_sleeps;
	for (i = 0, last = 0; !last; i++) {
		alarm(LIMIT_S);
		interrupted(i);
	}
	if (others_sleeps != slept) {
		fprintf(stderr, "naps: the other thread was woken %d times\n",
			others_sleeps - slept);
		return 1;
	}
	/* Nor is what comes now lost. */
	if (send(conn, &b, 1, 0) != 1)
		die("send");
	if (two)
		pthread_join(th, NULL);
	if (two ? other_got != 1 : waits() != 1) {
		fprintf(stderr, "naps: the answer was not told\n");
		return 1;
	}
	printf("%d\n", i);
	return 0;
}
