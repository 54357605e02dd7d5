/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is asked of a connection that comes to its end: each state with each
 * call that moves no bytes. "state.peer_fin" is one state and one case.
 */
#include <config.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "twin.h"

static char buf[1000];

/* ---- the calls ---- */

static void
a_copy(struct tw_conn *c, const char *how, int fd)
{
	struct pollfd p = {fd, POLLIN | POLLOUT | POLLRDHUP, 0};

	if (fd < 0) {
		t_ret(how, fd);
		return;
	}
	T("%s: FD %d FL %#x", how, fcntl(fd, F_GETFD), fcntl(fd, F_GETFL));
	poll(&p, 1, 0);
	T("it polls %s", t_ev(p.revents));
	t_peek(c, "peek", recv(fd, buf, 10, MSG_PEEK | MSG_DONTWAIT), buf);
	t_ret("close", close(fd));
}

static void
q_copies(struct tw_conn *c)
{
	a_copy(c, "dup", dup(c->fd));
	a_copy(c, "dup2", dup2(c->fd, 40));
	a_copy(c, "dup3", dup3(c->fd, 41, O_CLOEXEC));
	a_copy(c, "F_DUPFD", fcntl(c->fd, F_DUPFD, 50));
	a_copy(c, "F_DUPFD_CLOEXEC", fcntl(c->fd, F_DUPFD_CLOEXEC, 60));
	a_copy(c, "syscall", syscall(SYS_dup, c->fd));
}

static void
q_fcntl(struct tw_conn *c)
{
	T("FD %d FL %#x", fcntl(c->fd, F_GETFD), fcntl(c->fd, F_GETFL));
	tw_nonblock(c->fd, true);
	T("FL %#x", fcntl(c->fd, F_GETFL));
	tw_nonblock(c->fd, false);
	t_ret("F_SETFD", fcntl(c->fd, F_SETFD, FD_CLOEXEC));
	T("FD %d", fcntl(c->fd, F_GETFD));
	t_ret("F_SETFD", fcntl(c->fd, F_SETFD, 0));
}

static void
number(struct tw_conn *c, const char *what, unsigned long req)
{
	int v = -1;

	t_ret(what, ioctl(c->fd, req, &v));
	T("%d", v);
}

static void
q_ioctl(struct tw_conn *c)
{
	number(c, "FIONREAD", FIONREAD);
	number(c, "SIOCOUTQ", SIOCOUTQ);
	number(c, "SIOCOUTQNSD", SIOCOUTQNSD);
}

static void
q_fstat(struct tw_conn *c)
{
	struct stat st = {0};

	t_ret("fstat", fstat(c->fd, &st));
	T("%#o size %ld", st.st_mode, (long)st.st_size);
}

static void
a_name(const char *what, int r, const struct sockaddr_in *a, socklen_t l)
{
	char s[64] = "";

	t_ret(what, r);
	if (r == 0)
		T("%s port %s length %u",
			inet_ntop(AF_INET, &a->sin_addr, s, sizeof s),
			a->sin_port ? "yes" : "none", l);
}

static void
q_names(struct tw_conn *c)
{
	struct sockaddr_in a;
	socklen_t l = sizeof a;

	a_name("getsockname", getsockname(c->fd, (void *)&a, &l), &a, l);
	l = sizeof a;
	a_name("getpeername", getpeername(c->fd, (void *)&a, &l), &a, l);
}

static void
q_state(struct tw_conn *c)
{
	struct tcp_info ti = {.tcpi_state = 0xff};
	socklen_t l = sizeof ti;

	t_ret("TCP_INFO", getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, &ti, &l));
	T("state %d", ti.tcpi_state);
}

/* Whoever asks takes the error away: it is seen once. */
static void
q_error(struct tw_conn *c)
{
	for (int i = 0; i < 2; i++) {
		int v = -1;
		socklen_t l = sizeof v;

		t_ret("SO_ERROR",
			getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &v, &l));
		T("%s", v > 0 ? t_err(v) : v ? "nothing" : "none");
	}
}

static void (*const calls[])(struct tw_conn *) = {
	q_copies, q_fcntl, q_ioctl, q_fstat, q_names, q_state, q_error};
#define NCALLS (sizeof calls / sizeof *calls)

/* ---- the states ---- */

static void
s_peer_fin(struct tw_conn *c)
{
	p_shut_wr(c);
}

static void
s_peer_fin_unread(struct tw_conn *c)
{
	p_send(c, 20);
	p_shut_wr(c);
}

static void
s_peer_closed(struct tw_conn *c)
{
	p_close(c);
}

static void
s_rst(struct tw_conn *c)
{
	p_rst(c);
}

static void
s_rst_unread(struct tw_conn *c)
{
	p_send(c, 20);
	p_rst(c);
}

static void
shut(struct tw_conn *c, int how)
{
	p_send(c, 20);
	t_ret("shutdown", shutdown(c->fd, how));
}

static void
s_shut_rd(struct tw_conn *c)
{
	shut(c, SHUT_RD);
}

/* The FIN is acknowledged: until then the state is a matter of time. */
static void
s_shut_wr(struct tw_conn *c)
{
	shut(c, SHUT_WR);
	tw_state(c->fd, TS_BIT(TCP_FIN_WAIT2));
}

static void
s_shut_rdwr(struct tw_conn *c)
{
	shut(c, SHUT_RDWR);
	tw_state(c->fd, TS_BIT(TCP_FIN_WAIT2));
}

static void
s_both_fins(struct tw_conn *c)
{
	p_shut_wr(c);
	t_ret("shutdown", shutdown(c->fd, SHUT_WR));
	tw_state(c->fd, TS_BIT(TCP_CLOSE) | TS_BIT(TCP_TIME_WAIT));
}

static void
s_dup_closed(struct tw_conn *c)
{
	int d = dup(c->fd);

	p_send(c, 20);
	t_ret("close", close(d));
}

/* The copy stays, the number that was first is gone. */
static void
s_first_closed(struct tw_conn *c)
{
	int d = dup(c->fd);

	p_send(c, 20);
	t_ret("close", close(c->fd));
	c->fd = d;
}

static void
s_closed(struct tw_conn *c)
{
	tw_close(c);
}

static const struct state {
	const char *name;
	void (*f)(struct tw_conn *);
} states[] = {
	{"peer_fin", s_peer_fin},
	{"peer_fin_unread", s_peer_fin_unread},
	{"peer_closed", s_peer_closed},
	{"rst", s_rst},
	{"rst_unread", s_rst_unread},
	{"shut_rd", s_shut_rd},
	{"shut_wr", s_shut_wr},
	{"shut_rdwr", s_shut_rdwr},
	{"both_fins", s_both_fins},
	{"dup_closed", s_dup_closed},
	{"first_closed", s_first_closed},
	{"closed", s_closed},
};

/* In each order once, because a call may change what the next one sees: a
 * connection for each. Then all that is left. */
static void
run(const void *arg)
{
	const struct state *s = arg;

	for (size_t i = 0; i < NCALLS; i++) {
		struct tw_conn *c = tw_open();

		tw_mid(c);
		tw_settle(c->fd);
		s->f(c);
		for (size_t k = 0; k < NCALLS; k++)
			calls[(i + k) % NCALLS](c);
		t_got(c, "recv", recv(c->fd, buf, 100, MSG_DONTWAIT), buf);
		t_ret("recv", recv(c->fd, buf, 100, MSG_DONTWAIT));
		calls[i](c);
		close(c->fd);
	}
}

__attribute__((constructor)) static void
all_states(void)
{
	static struct tw_case cases[sizeof states / sizeof *states];

	for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
		cases[i] = (struct tw_case){
			"state", states[i].name, run, states + i, 0};
		tw_register(cases + i);
	}
}
