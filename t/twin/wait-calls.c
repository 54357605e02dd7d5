/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The calls that wait, in one form: rows of the matrix of wait.c.
 */
#include <config.h>

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "matrix.h"
#include "twin.h"

static struct timespec *
ts_of(int ms, struct timespec *ts)
{
	if (ms < 0)
		return NULL;
	*ts = (struct timespec){ms / 1000, ms % 1000 * 1000000L};
	return ts;
}

/* ---- poll ---- */

static int
x_poll(int fd, unsigned want, int ms, unsigned *got)
{
	struct pollfd p = {fd, want, 0x7fff};
	int r = poll(&p, 1, ms);

	*got = r < 0 ? 0 : (unsigned short)p.revents;
	return r;
}

static int
x_ppoll(int fd, unsigned want, int ms, unsigned *got)
{
	struct pollfd p = {fd, want, 0x7fff};
	struct timespec ts;
	int r = ppoll(&p, 1, ts_of(ms, &ts), NULL);

	*got = r < 0 ? 0 : (unsigned short)p.revents;
	return r;
}

int __poll(struct pollfd *, nfds_t, int);

static int
x___poll(int fd, unsigned want, int ms, unsigned *got)
{
	struct pollfd p = {fd, want, 0x7fff};
	int r = __poll(&p, 1, ms);

	*got = r < 0 ? 0 : (unsigned short)p.revents;
	return r;
}

static int
x_sys_ppoll(int fd, unsigned want, int ms, unsigned *got)
{
	struct pollfd p = {fd, want, 0x7fff};
	struct timespec ts;
	int r = syscall(SYS_ppoll, &p, 1L, ts_of(ms, &ts), NULL, 8L);

	*got = r < 0 ? 0 : (unsigned short)p.revents;
	return r;
}

#ifdef SYS_poll
static int
x_sys_poll(int fd, unsigned want, int ms, unsigned *got)
{
	struct pollfd p = {fd, want, 0x7fff};
	int r = syscall(SYS_poll, &p, 1L, (long)ms);

	*got = r < 0 ? 0 : (unsigned short)p.revents;
	return r;
}
#endif

/* ---- select ---- */

struct sets {
	fd_set in, out, ex;
};

static void
set_up(struct sets *s, int fd, unsigned want)
{
	memset(s, 0, sizeof *s);
	if (fd < 0 || fd >= FD_SETSIZE)
		return;
	if (want & POLLIN)
		FD_SET(fd, &s->in);
	if (want & POLLOUT)
		FD_SET(fd, &s->out);
	if (want & POLLPRI)
		FD_SET(fd, &s->ex);
}

static int
read_off(struct sets *s, int fd, int r, unsigned *got)
{
	*got = 0;
	if (r < 0 || fd < 0 || fd >= FD_SETSIZE)
		return r;
	if (FD_ISSET(fd, &s->in))
		*got |= POLLIN;
	if (FD_ISSET(fd, &s->out))
		*got |= POLLOUT;
	if (FD_ISSET(fd, &s->ex))
		*got |= POLLPRI;
	return r;
}

static int
x_select(int fd, unsigned want, int ms, unsigned *got)
{
	struct timeval tv = {ms / 1000, ms % 1000 * 1000};
	struct sets s;

	set_up(&s, fd, want);
	return read_off(&s, fd,
		select(fd + 1, &s.in, &s.out, &s.ex, ms < 0 ? NULL : &tv), got);
}

int __select(int, fd_set *, fd_set *, fd_set *, struct timeval *);

static int
x___select(int fd, unsigned want, int ms, unsigned *got)
{
	struct timeval tv = {ms / 1000, ms % 1000 * 1000};
	struct sets s;

	set_up(&s, fd, want);
	return read_off(&s, fd,
		__select(fd + 1, &s.in, &s.out, &s.ex, ms < 0 ? NULL : &tv),
		got);
}

static int
x_pselect(int fd, unsigned want, int ms, unsigned *got)
{
	struct timespec ts;
	struct sets s;

	set_up(&s, fd, want);
	return read_off(&s, fd,
		pselect(fd + 1, &s.in, &s.out, want & POLLPRI ? &s.ex : NULL,
			ts_of(ms, &ts), NULL),
		got);
}

static int
x_sys_pselect6(int fd, unsigned want, int ms, unsigned *got)
{
	struct timespec ts;
	struct sets s;

	set_up(&s, fd, want);
	return read_off(&s, fd,
		syscall(SYS_pselect6, fd + 1L, &s.in, &s.out, &s.ex,
			ts_of(ms, &ts), NULL),
		got);
}

#ifdef SYS_select
static int
x_sys_select(int fd, unsigned want, int ms, unsigned *got)
{
	struct timeval tv = {ms / 1000, ms % 1000 * 1000};
	struct sets s;

	set_up(&s, fd, want);
	return read_off(&s, fd,
		syscall(SYS_select, fd + 1L, &s.in, &s.out, &s.ex,
			ms < 0 ? NULL : &tv),
		got);
}
#endif

/* ---- epoll ---- */

#define DATA 0x8123456789abcdefull

enum how {
	WAIT,
	PWAIT,
	PWAIT2,
	SYS_WAIT,
	SYS_PWAIT,
	SYS_PWAIT2,
	NESTED,
	POLLED,
	NHOW
};

/* A set for each way, kept over calls as programs do, MODed when the wish
 * changes. */
static struct kept {
	int ep, fd;
	int outer; /* holds ep */
	unsigned want;
} kept[NHOW];

static int
enlist(struct kept *k, int fd, unsigned want)
{
	struct epoll_event ev = {.events = want, .data.u64 = DATA};

	if (k->ep && k->fd == fd && k->want == want)
		return 0;
	if (k->ep && k->fd == fd) {
		if (epoll_ctl(k->ep, EPOLL_CTL_MOD, fd, &ev) < 0)
			return -1;
		k->want = want;
		return 0;
	}
	if (k->ep)
		close(k->ep);
	if (k->outer)
		close(k->outer);
	k->outer = 0;
	k->ep = epoll_create1(EPOLL_CLOEXEC);
	k->fd = fd;
	k->want = want;
	if (epoll_ctl(k->ep, EPOLL_CTL_ADD, fd, &ev) < 0) {
		int e = errno;

		close(k->ep);
		k->ep = 0;
		errno = e;
		return -1;
	}
	return 0;
}

static int
nested_wait(struct kept *k, struct epoll_event *ev, int ms)
{
	struct epoll_event o = {.events = EPOLLIN, .data.u64 = ~DATA};
	int r;

	if (!k->outer) {
		k->outer = epoll_create1(EPOLL_CLOEXEC);
		if (epoll_ctl(k->outer, EPOLL_CTL_ADD, k->ep, &o) < 0)
			return -1;
	}
	r = epoll_wait(k->outer, &o, 1, ms);
	if (r <= 0)
		return r;
	if (o.events != EPOLLIN || o.data.u64 != ~DATA)
		T("the outer set gave %s", t_ev(o.events));
	return epoll_wait(k->ep, ev, 2, 0);
}

static int
do_wait(enum how how, struct kept *k, struct epoll_event *ev, int ms)
{
	int ep = k->ep;
	struct pollfd p = {ep, POLLIN | POLLOUT, 0};
	struct timespec ts;
	int r;

	switch (how) {
	case PWAIT:
		return epoll_pwait(ep, ev, 2, ms, NULL);
	case PWAIT2:
		return epoll_pwait2(ep, ev, 2, ts_of(ms, &ts), NULL);
#ifdef SYS_epoll_wait
	case SYS_WAIT:
		return syscall(SYS_epoll_wait, ep, ev, 2, ms);
#endif
	case SYS_PWAIT:
		return syscall(SYS_epoll_pwait, ep, ev, 2, ms, NULL, 8);
	case SYS_PWAIT2:
		return syscall(
			SYS_epoll_pwait2, ep, ev, 2, ts_of(ms, &ts), NULL, 8);
	case NESTED:
		return nested_wait(k, ev, ms);
	case POLLED:
		r = poll(&p, 1, ms);
		if (r <= 0)
			return r;
		if (p.revents != POLLIN)
			T("poll of the set gave %s", t_ev(p.revents));
		return epoll_wait(ep, ev, 2, 0);
	default:
		return epoll_wait(ep, ev, 2, ms);
	}
}

static int
epolls(enum how how, int fd, unsigned want, int ms, unsigned *got)
{
	struct epoll_event ev[2];
	struct kept *k = &kept[how];
	int r;

	*got = 0;
	if (enlist(k, fd, want) < 0)
		return -1;
	memset(ev, 0x55, sizeof ev);
	r = do_wait(how, k, ev, ms);
	if (r > 0) {
		*got = ev[0].events;
		if (ev[0].data.u64 != DATA)
			T("data came back as %#llx",
				(unsigned long long)ev[0].data.u64);
	}
	return r;
}

#define EPOLLS(name, how)                                                      \
	static int x_##name(int fd, unsigned want, int ms, unsigned *got)      \
	{                                                                      \
		return epolls(how, fd, want, ms, got);                         \
	}

EPOLLS(epoll_wait, WAIT)
EPOLLS(epoll_pwait, PWAIT)
EPOLLS(epoll_pwait2, PWAIT2)
EPOLLS(sys_epoll_wait, SYS_WAIT)
EPOLLS(sys_epoll_pwait, SYS_PWAIT)
EPOLLS(sys_epoll_pwait2, SYS_PWAIT2)
EPOLLS(epoll_nested, NESTED)
EPOLLS(epoll_polled, POLLED)

/* A set for each single wait. */
static int
x_epoll_fresh(int fd, unsigned want, int ms, unsigned *got)
{
	struct epoll_event ev = {.events = want, .data.u64 = DATA};
	int ep = epoll_create1(EPOLL_CLOEXEC), r, e;

	*got = 0;
	r = epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
	if (r == 0)
		r = epoll_wait(ep, &ev, 1, ms);
	e = errno;
	if (r > 0)
		*got = ev.events;
	close(ep);
	errno = e;
	return r;
}

static const struct tw_call calls[] = {
	{"poll", 0, .wait = x_poll},
	{"ppoll", 0, .wait = x_ppoll},
	{"__poll", MX_ALIAS, .wait = x___poll},
	{"sys_ppoll", MX_ALIAS, .wait = x_sys_ppoll},
#ifdef SYS_poll
	{"sys_poll", MX_ALIAS, .wait = x_sys_poll},
#endif
	{"select", MX_SELECT, .wait = x_select},
	{"__select", MX_SELECT | MX_ALIAS, .wait = x___select},
	{"pselect", MX_SELECT, .wait = x_pselect},
	{"sys_pselect6", MX_SELECT | MX_ALIAS, .wait = x_sys_pselect6},
#ifdef SYS_select
	{"sys_select", MX_SELECT | MX_ALIAS, .wait = x_sys_select},
#endif
	{"epoll_wait", MX_EPOLL, .wait = x_epoll_wait},
	{"epoll_pwait", MX_EPOLL, .wait = x_epoll_pwait},
	{"epoll_pwait2", MX_EPOLL, .wait = x_epoll_pwait2},
	{"epoll_nested", MX_EPOLL, .wait = x_epoll_nested},
	{"epoll_polled", MX_EPOLL, .wait = x_epoll_polled},
	{"epoll_fresh", MX_EPOLL, .wait = x_epoll_fresh},
#ifdef SYS_epoll_wait
	{"sys_epoll_wait", MX_EPOLL | MX_ALIAS, .wait = x_sys_epoll_wait},
#endif
	{"sys_epoll_pwait", MX_EPOLL | MX_ALIAS, .wait = x_sys_epoll_pwait},
	{"sys_epoll_pwait2", MX_EPOLL | MX_ALIAS, .wait = x_sys_epoll_pwait2},
};

__attribute__((constructor)) static void
all_rows(void)
{
	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
		tw_wait_row(calls + i);
}
