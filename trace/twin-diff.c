/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a program saw of its TCP connections, once on TCP and once on Kmap,
 * and where the two differ. Streams may be cut as they like: they are
 * compared at the places where both have a cut, by counts and by the hash of
 * all bytes before.
 */
#include "config.h"

#include "twin.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "drain.h"
#include "out.h"
#include "region.h"
#include "sinks.h"

const char *const twin_names[TWIN_ARMS] = {"TCP", "Kmap", "TCP again"};

enum step_kind {
	STEP_BEGIN, /* accept or connect */
	STEP_IN, /* bytes */
	STEP_OUT,
	STEP_EOF,
	STEP_ERROR, /* but those that say "not now" */
	STEP_READY, /* a wait told something that it had not told yet */
	STEP_LAST, /* any other call; only the last one is kept */
};

struct step {
	enum step_kind kind;
	int err;
	uint32_t bits; /* STEP_READY: what is new */
	bool blind; /* no hash of these bytes, or of some before */
	int64_t ret;
	uint64_t t;
	uint64_t at, hash; /* STEP_IN, STEP_OUT: bytes so far, their hash */
	const char *fn, *group; /* group: what an error is counted under */
	const struct trace_process *process;
	const struct trace_stack *stack;
};

struct stream {
	uint64_t bytes, hash, blind;
	bool is_blind;
};

struct conn {
	uint32_t ep;
	bool accepted;
	bool matched;
	unsigned int number; /* in its run, from 1 */
	char *key; /* how it came to be, without ephemeral ports */
	struct stream in, out;
	uint32_t ready;
	unsigned int ends, errors;
	struct step *steps;
	size_t n, room;
	struct step last;
};

static struct arm {
	struct conn **conns;
	size_t n, room;
	uint32_t *by_ep; /* endpoint's id → place in conns, plus 1 */
	size_t neps;
	bool listens;
	uint64_t last, begin;
} arms[TWIN_ARMS], *arm = &arms[TWIN_TCP];

void
twin_begin(enum twin_arm a)
{
	arm = &arms[a];
}

bool
twin_listens(void)
{
	return arm->listens;
}

uint64_t
twin_last(void)
{
	return arm->last;
}

/* Taking down */

static struct conn *
conn_of(uint32_t ep)
{
	if (!ep || ep >= arm->neps || !arm->by_ep[ep])
		return NULL;
	return arm->conns[arm->by_ep[ep] - 1];
}

static void
add_conn(const struct trace_endpoint *e)
{
	struct conn *c;
	size_t room;

	if (e->id >= arm->neps) {
		room = 2 * e->id + 64;
		arm->by_ep = xrealloc(arm->by_ep, room * sizeof(*arm->by_ep));
		memset(arm->by_ep + arm->neps, 0,
			(room - arm->neps) * sizeof(*arm->by_ep));
		arm->neps = room;
	}
	if (arm->by_ep[e->id])
		return;
	if (arm->n == arm->room) {
		arm->room = arm->room ? 2 * arm->room : 64;
		arm->conns =
			xrealloc(arm->conns, arm->room * sizeof(*arm->conns));
	}
	c = xcalloc(1, sizeof(*c));
	c->ep = e->id;
	c->accepted = e->origin == TRACE_BY_ACCEPT;
	arm->conns[arm->n++] = c;
	c->number = arm->by_ep[e->id] = arm->n;
}

static void
twin_endpoint(void *arg, const struct trace_endpoint *e)
{
	(void)arg;
	if (e->kind == TRACE_LISTEN && e->type == SOCK_STREAM)
		arm->listens = true;
	if (e->kind == TRACE_TCP &&
		(e->origin == TRACE_BY_ACCEPT || e->connected ||
			(e->origin != TRACE_BY_SOCKET && e->peer[0])))
		add_conn(e);
}

static struct step *
add_step(struct conn *c, enum step_kind kind, const struct trace_call *call)
{
	struct step *s;

	if (kind == STEP_LAST) {
		s = &c->last;
	} else {
		if (c->n == c->room) {
			c->room = c->room ? 2 * c->room : 16;
			c->steps =
				xrealloc(c->steps, c->room * sizeof(*c->steps));
		}
		s = &c->steps[c->n++];
	}
	*s = (struct step){
		.kind = kind,
		.err = call->err,
		.ret = call->ret,
		.t = call->t + call->dur,
		.fn = call->fn,
		.process = call->process,
		.stack = call->stack,
	};
	if (kind != STEP_LAST)
		c->last = *s;
	return s;
}

static const struct trace_item *
find_item(const struct trace_call *c, enum trace_item_type type)
{
	size_t i;

	for (i = 0; i < c->nitems; i++)
		if (c->items[i].type == type)
			return &c->items[i];
	return NULL;
}

static uint64_t
power(uint64_t base, uint64_t n)
{
	uint64_t r = 1;

	for (; n; n >>= 1, base *= base)
		if (n & 1)
			r *= base;
	return r;
}

static void
take_bytes(struct conn *c, const struct trace_call *call, uint64_t n, bool in)
{
	const struct trace_item *it = find_item(call, TRACE_ITEM_HASH);
	struct stream *st = in ? &c->in : &c->out;
	struct step *s = add_step(c, in ? STEP_IN : STEP_OUT, call);
	uint64_t hash;

	/* What it wrote is its own, and often has the time in it. */
	if (!in) {
		st->is_blind = true;
	} else if (it && it->len == sizeof(hash)) {
		memcpy(&hash, it->data, sizeof(hash));
		st->hash = st->hash * power(KT_HASH_BASE, n) + hash;
	} else {
		st->is_blind = true;
		st->blind += n;
	}
	st->bytes += n;
	s->at = st->bytes;
	s->hash = st->hash;
	s->blind = st->is_blind;
}

static uint64_t
sum_of_lengths(const struct trace_call *call)
{
	const struct trace_item *it = find_item(call, TRACE_ITEM_IOV);
	uint64_t v, n = 0;
	size_t i;

	for (i = 0; it && i < it->len / sizeof(v); i++) {
		memcpy(&v, (const char *)it->data + i * sizeof(v), sizeof(v));
		n += v;
	}
	return n;
}

/* What a call does to a stream. */
struct effect {
	bool in, out;
	int flags; /* argument with MSG_PEEK, or -1 */
	int size; /* argument that says how much was wanted, or -1: the sum of
		   * the slices */
};

static struct effect
effect_of(const struct trace_call *call)
{
	struct effect e = {.flags = -1, .size = -1};

	switch (call->sys) {
	case SYS_read:
		e.in = true;
		e.size = 2;
		break;
	case SYS_recvfrom:
		e.in = true;
		e.size = 2;
		e.flags = 3;
		break;
	case SYS_readv:
	case SYS_preadv2:
		e.in = true;
		break;
	case SYS_recvmsg:
		e.in = true;
		e.flags = 2;
		break;
	case SYS_recvmmsg:
		e.in = true;
		e.flags = 3;
		break;
	case SYS_write:
	case SYS_sendto:
	case SYS_writev:
	case SYS_pwritev2:
	case SYS_sendmsg:
	case SYS_sendmmsg:
		e.out = true;
		break;
	case SYS_sendfile:
		/* The socket is what it is about; is it the target? */
		e.out = call->nargs > 0 && (int)call->args[0] == call->fd;
		e.in = !e.out;
		break;
	case SYS_splice:
		e.in = call->nargs > 0 && (int)call->args[0] == call->fd;
		e.out = !e.in;
		e.size = 4;
		break;
	}
	return e;
}

static void
take_error(struct conn *c, const struct trace_call *call, const char *group,
	int err)
{
	struct step *s;
	size_t i;

	/* How often a call came too early does not count. */
	if (err == EAGAIN || err == EINTR || err == EINPROGRESS ||
		err == EALREADY)
		return;
	for (i = 0; i < c->n; i++)
		if (c->steps[i].kind == STEP_ERROR && c->steps[i].err == err &&
			!strcmp(c->steps[i].group, group))
			return;
	s = add_step(c, STEP_ERROR, call);
	s->err = err;
	s->group = group;
	c->errors++;
}

static void
take_moved(struct conn *c, const struct trace_call *call, struct effect e)
{
	bool peek = e.flags >= 0 && call->nargs > e.flags &&
		(call->args[e.flags] & MSG_PEEK);
	bool many = call->sys == SYS_recvmmsg || call->sys == SYS_sendmmsg;
	uint64_t n = many ? sum_of_lengths(call) : (uint64_t)call->ret;
	uint64_t wanted;

	if (call->ret > 0 && n && !peek) {
		take_bytes(c, call, n, e.in);
		return;
	}
	wanted = e.size >= 0 ? call->args[e.size] : sum_of_lengths(call);
	if (e.in && call->ret == 0 && wanted && !peek && !many && !c->ends) {
		add_step(c, STEP_EOF, call);
		c->ends = 1;
		return;
	}
	add_step(c, STEP_LAST, call);
}

/* A pending error that was asked for. */
static int
so_error(const struct trace_call *call)
{
	const struct trace_item *it;
	int err = 0;

	if (call->sys != SYS_getsockopt || call->ret != 0 || call->nargs < 3 ||
		(int)call->args[1] != SOL_SOCKET ||
		(int)call->args[2] != SO_ERROR)
		return 0;
	it = find_item(call, TRACE_ITEM_OPT);
	if (it && it->len == sizeof(err))
		memcpy(&err, it->data, sizeof(err));
	return err;
}

static void
take_ready(const struct trace_call *call)
{
	const struct trace_item *it;
	struct trace_poll p;
	struct conn *c;
	uint32_t fresh;
	size_t i, k;

	if (call->sys == SYS_epoll_ctl)
		return;
	for (i = 0; i < call->nitems; i++) {
		it = &call->items[i];
		if (it->type != TRACE_ITEM_POLL && it->type != TRACE_ITEM_EPOLL)
			continue;
		for (k = 0; k < it->len / sizeof(p); k++) {
			memcpy(&p, (const char *)it->data + k * sizeof(p),
				sizeof(p));
			c = p.revents ? conn_of(p.ep) : NULL;
			if (!c)
				continue;
			fresh = p.revents & ~c->ready &
				(EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP |
					EPOLLERR);
			c->ready |= fresh;
			if (fresh)
				add_step(c, STEP_READY, call)->bits = fresh;
		}
	}
}

static void
twin_call(void *arg, const struct trace_call *call)
{
	struct conn *c = conn_of(call->ep);
	struct effect e;
	size_t i;
	int err;

	(void)arg;
	if (!arm->begin)
		arm->begin = call->t;
	take_ready(call);
	/* accept is about the listener; the connection is the newest that
	 * has no beginning. */
	if ((call->sys == SYS_accept || call->sys == SYS_accept4) &&
		call->ret >= 0) {
		arm->last = call->t + call->dur;
		for (i = arm->n; i > 0 && !c; i--)
			if (arm->conns[i - 1]->accepted &&
				!arm->conns[i - 1]->n)
				c = arm->conns[i - 1];
		if (c)
			add_step(c, STEP_BEGIN, call);
		return;
	}
	if (!c)
		return;
	arm->last = call->t + call->dur;
	e = effect_of(call);
	if (call->err) {
		take_error(c, call,
			e.in		? "in"
				: e.out ? "out"
					: trace_fn_base(call->fn),
			call->err);
		return;
	}
	err = so_error(call);
	if (err)
		take_error(c, call, "SO_ERROR", err);
	else if (call->sys == SYS_connect)
		add_step(c, STEP_BEGIN, call);
	else if (e.in || e.out)
		take_moved(c, call, e);
	else if (call->sys < 0)
		/* A stream of stdio: nobody saw what it moved. */
		c->in.is_blind = c->out.is_blind = true;
	else
		add_step(c, STEP_LAST, call);
}

const struct trace_sink *
twin_sink(void)
{
	static const struct trace_sink sink = {
		.name = "twin",
		.endpoint = twin_endpoint,
		.call = twin_call,
	};

	return &sink;
}

/* Comparing */

struct diff {
	const struct conn *c[2]; /* NULL: it has no such connection */
	const struct step *s[2]; /* NULL: it never came to that */
	char what[160];
	uint64_t t; /* since the beginning of its run; the first one counts */
};

static struct diff diffs[TWIN_ARMS];

/* The two arms that are compared, and their names. */
static struct arm *one, *two;
static const char *one_name, *two_name;

/* Keeps the difference that came first. s[0] or s[1] is not NULL. */
static void
note(struct diff *d, const struct conn *a, const struct conn *b,
	const struct step *sa, const struct step *sb, const char *what)
{
	uint64_t t = sa ? sa->t - one->begin : sb->t - two->begin;

	if (d->what[0] && d->t <= t)
		return;
	d->c[0] = a;
	d->c[1] = b;
	d->s[0] = sa;
	d->s[1] = sb;
	d->t = t;
	snprintf(d->what, sizeof(d->what), "%s", what);
}

static const struct step *
next_of(const struct conn *c, const struct step *s, enum step_kind kind)
{
	for (s = s ? s + 1 : c->steps; s < c->steps + c->n; s++)
		if (s->kind == kind)
			return s;
	return NULL;
}

/* The step that brought byte number at + 1. */
static const struct step *
step_at(const struct conn *c, enum step_kind kind, uint64_t at)
{
	const struct step *s = NULL;

	while ((s = next_of(c, s, kind)))
		if (s->at > at)
			return s;
	return NULL;
}

static void
compare_stream(struct diff *d, const struct conn *a, const struct conn *b,
	enum step_kind kind)
{
	const char *way = kind == STEP_IN ? "read" : "written";
	const struct step *x = next_of(a, NULL, kind);
	const struct step *y = next_of(b, NULL, kind);
	uint64_t common = 0, na, nb;
	char what[160];

	while (x && y) {
		if (x->at < y->at) {
			x = next_of(a, x, kind);
		} else if (y->at < x->at) {
			y = next_of(b, y, kind);
		} else if (!x->blind && !y->blind && x->hash != y->hash) {
			snprintf(what, sizeof(what),
				"other bytes were %s, somewhere from byte "
				"%llu to %llu",
				way, (unsigned long long)common + 1,
				(unsigned long long)x->at);
			note(d, a, b, step_at(a, kind, common),
				step_at(b, kind, common), what);
			return;
		} else {
			common = x->at;
			x = next_of(a, x, kind);
			y = next_of(b, y, kind);
		}
	}
	na = kind == STEP_IN ? a->in.bytes : a->out.bytes;
	nb = kind == STEP_IN ? b->in.bytes : b->out.bytes;
	if (na == nb)
		return;
	snprintf(what, sizeof(what),
		"%llu bytes were %s on %s, %llu on %s; the last place that "
		"is equal is byte %llu",
		(unsigned long long)na, way, one_name, (unsigned long long)nb,
		two_name, (unsigned long long)common);
	note(d, a, b, step_at(a, kind, common), step_at(b, kind, common), what);
}

static void
compare_ends(struct diff *d, const struct conn *a, const struct conn *b)
{
	const struct step *x = next_of(a, NULL, STEP_EOF);
	const struct step *y = next_of(b, NULL, STEP_EOF);
	char what[160];

	if (!x == !y)
		return;
	snprintf(what, sizeof(what),
		"the end of the stream was read on %s alone",
		x ? one_name : two_name);
	/* An error may stand in its place. */
	if (!x)
		x = next_of(a, NULL, STEP_ERROR);
	if (!y)
		y = next_of(b, NULL, STEP_ERROR);
	note(d, a, b, x, y, what);
}

static void
compare_errors(struct diff *d, const struct conn *a, const struct conn *b)
{
	const struct step *x = next_of(a, NULL, STEP_ERROR);
	const struct step *y = next_of(b, NULL, STEP_ERROR);
	char what[160] = "another error";

	while (x && y && x->err == y->err && !strcmp(x->group, y->group)) {
		x = next_of(a, x, STEP_ERROR);
		y = next_of(b, y, STEP_ERROR);
	}
	/* In the place of an end of the stream: compare_ends has told it. */
	if (!x != !y &&
		!next_of(a, NULL, STEP_EOF) != !next_of(b, NULL, STEP_EOF))
		return;
	if (!x != !y)
		snprintf(what, sizeof(what), "an error on %s alone",
			x ? one_name : two_name);
	if (x || y)
		note(d, a, b, x, y, what);
}

/*
 * What is ready depends on when one looks, but when both runs have seen two
 * things one after the other, they have seen them in the same order.
 */
static void
compare_ready(struct diff *d, const struct conn *a, const struct conn *b)
{
	const struct step *when[TWIN_ARMS][32] = {{0}}, *s;
	int i, k;

	for (s = NULL; (s = next_of(a, s, STEP_READY));)
		for (i = 0; i < 32; i++)
			if (s->bits & (1u << i))
				when[0][i] = s;
	for (s = NULL; (s = next_of(b, s, STEP_READY));)
		for (i = 0; i < 32; i++)
			if (s->bits & (1u << i))
				when[1][i] = s;
	for (i = 0; i < 32; i++)
		for (k = 0; k < 32; k++)
			if (when[0][i] && when[0][k] && when[1][i] &&
				when[1][k] && when[0][i] < when[0][k] &&
				when[1][k] < when[1][i])
				note(d, a, b, when[0][i], when[1][k],
					"it became ready in another order");
}

static bool
equal(struct diff *d, const struct conn *a, const struct conn *b)
{
	struct diff none = {.what = ""};

	if (!d)
		d = &none;
	compare_stream(d, a, b, STEP_IN);
	compare_stream(d, a, b, STEP_OUT);
	compare_ends(d, a, b);
	compare_errors(d, a, b);
	compare_ready(d, a, b);
	return !d->what[0];
}

/* Ports that the kernel gives out are other ones in each run. */
static void
put_address(struct trace_buf *b, const char *addr)
{
	static unsigned int low, high;
	const char *colon = strrchr(addr, ':');
	unsigned long port = colon ? strtoul(colon + 1, NULL, 10) : 0;

	if (!high) {
		FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");

		if (!f || fscanf(f, "%u %u", &low, &high) != 2) {
			low = 32768;
			high = 60999;
		}
		if (f)
			fclose(f);
	}
	if (!colon || port < low || port > high)
		buf_str(b, addr);
	else
		buf_fmt(b, "%.*s:*", (int)(colon - addr), addr);
}

static void
name_conns(struct arm *m)
{
	const struct trace_endpoint *e;
	struct trace_buf b;
	size_t i;

	for (i = 0; i < m->n; i++) {
		m->conns[i]->matched = false;
		if (m->conns[i]->key)
			continue;
		e = trace_endpoint_by_id(m->conns[i]->ep);
		b = (struct trace_buf){0};
		buf_str(&b,
			m->conns[i]->accepted ? "accepted on "
					      : "connected to ");
		put_address(&b, m->conns[i]->accepted ? e->local : e->peer);
		m->conns[i]->key = b.s;
	}
}

/* The next one of that name that has no twin yet, from *at on. */
static struct conn *
unmatched(const struct arm *m, const char *key, size_t *at)
{
	for (; *at < m->n; (*at)++)
		if (!m->conns[*at]->matched &&
			(!key || !strcmp(m->conns[*at]->key, key)))
			return m->conns[(*at)++];
	return NULL;
}

static void
match(struct conn *a, struct conn *b)
{
	a->matched = b->matched = true;
}

/* Those that are equal and came in the same order. */
static void
match_in_order(void)
{
	struct conn *a, *b;
	size_t i = 0, k, first;

	while ((a = unmatched(one, NULL, &i))) {
		/* The same place among those of its name. */
		size_t place = 0;

		for (k = 0; one->conns[k] != a; k++)
			if (!strcmp(one->conns[k]->key, a->key))
				place++;
		b = NULL;
		for (first = 0; first < two->n; first++) {
			struct conn *c = two->conns[first];

			if (strcmp(c->key, a->key))
				continue;
			if (!place--) {
				b = c;
				break;
			}
		}
		if (b && equal(NULL, a, b))
			match(a, b);
	}
}

/* Clients that run side by side do not agree on who comes first. */
static unsigned int
match_in_any_order(void)
{
	unsigned int found = 0;
	struct conn *a, *b;
	size_t i = 0, k;

	while ((a = unmatched(one, NULL, &i))) {
		k = 0;
		while ((b = unmatched(two, a->key, &k)))
			if (equal(NULL, a, b)) {
				match(a, b);
				found++;
				break;
			}
	}
	return found;
}

static const struct step *
first_step(const struct conn *c)
{
	return c->n ? c->steps : &c->last;
}

static void
match_rest(struct diff *d)
{
	struct conn *a, *b;
	char what[160];
	size_t i = 0, k;

	while ((a = unmatched(one, NULL, &i))) {
		k = 0;
		b = unmatched(two, a->key, &k);
		if (b) {
			equal(d, a, b);
			match(a, b);
		} else if (first_step(a)->t) {
			snprintf(what, sizeof(what), "a connection on %s alone",
				one_name);
			note(d, a, NULL, first_step(a), NULL, what);
		}
	}
	i = 0;
	while ((b = unmatched(two, NULL, &i)))
		if (first_step(b)->t) {
			snprintf(what, sizeof(what), "a connection on %s alone",
				two_name);
			note(d, NULL, b, NULL, first_step(b), what);
		}
}

/* Telling */

static void
put_bits(struct trace_buf *b, uint32_t bits)
{
	static const struct {
		uint32_t bit;
		const char *name;
	} names[] = {{EPOLLIN, "IN"}, {EPOLLOUT, "OUT"}, {EPOLLRDHUP, "RDHUP"},
		{EPOLLHUP, "HUP"}, {EPOLLERR, "ERR"}};
	const char *sep = "";
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (bits & names[i].bit) {
			buf_fmt(b, "%s%s", sep, names[i].name);
			sep = "|";
		}
}

static void
put_step(struct trace_buf *b, const struct step *s)
{
	const char *name = strerrorname_np(s->err);

	buf_fmt(b, "%s = %lld", s->fn, (long long)s->ret);
	if (s->err)
		buf_fmt(b, "%s%s (%s)", s->ret < 0 ? " " : ", SO_ERROR ",
			name ? name : "?", strerror(s->err));
	if (s->kind == STEP_READY) {
		buf_str(b, ", ready: ");
		put_bits(b, s->bits);
	}
	if (s->kind == STEP_IN || s->kind == STEP_OUT)
		buf_fmt(b, ", bytes %llu to %llu",
			(unsigned long long)(s->at - s->ret + 1),
			(unsigned long long)s->at);
}

static void
put_stack(struct trace_buf *b, const struct step *s)
{
	const char *const *names;
	size_t i;

	if (!s->stack)
		return;
	names = trace_stack_names(s->process, s->stack);
	for (i = 0; i < s->stack->n; i++)
		buf_fmt(b, "     > %s\n", names[i]);
}

void
twin_tell(enum twin_arm with, const char *what)
{
	const struct diff *d = &diffs[with];
	const struct conn *c = d->c[0] ? d->c[0] : d->c[1];
	struct trace_buf b = {0};
	int i;

	buf_fmt(&b, "%s: connection %u, %s: %s\n", what, c->number, c->key,
		d->what);
	for (i = 0; i < 2; i++) {
		const struct step *s = d->s[i];

		buf_fmt(&b, "   on %s: ", twin_names[i ? with : TWIN_TCP]);
		if (!d->c[i]) {
			buf_str(&b, "no such connection\n");
			continue;
		}
		if (!s && d->c[i]->last.fn) {
			s = &d->c[i]->last;
			buf_str(&b, "nothing of that; its last call: ");
		}
		if (!s) {
			buf_str(&b, "nothing\n");
			continue;
		}
		put_step(&b, s);
		buf_char(&b, '\n');
		put_stack(&b, s);
	}
	/* Longer than what say() takes. */
	fprintf(stderr, "kmap-trace: %s", b.s);
	buf_free(&b);
}

static void
add_up(struct twin_totals *t)
{
	const struct arm *m = &arms[TWIN_TCP];
	size_t i;

	for (i = 0; i < m->n; i++) {
		const struct conn *c = m->conns[i];

		if (c->accepted)
			t->accepted++;
		else
			t->connected++;
		t->in += c->in.bytes;
		t->out += c->out.bytes;
		t->blind += c->in.blind;
		t->ends += c->ends;
		t->errors += c->errors;
		t->ready += c->ready != 0;
	}
}

bool
twin_compare(enum twin_arm with, struct twin_totals *t)
{
	struct diff *d = &diffs[with];

	*t = (struct twin_totals){0};
	*d = (struct diff){.what = ""};
	one = &arms[TWIN_TCP];
	two = &arms[with];
	one_name = twin_names[TWIN_TCP];
	two_name = twin_names[with];
	add_up(t);
	name_conns(one);
	name_conns(two);
	match_in_order();
	t->reordered = match_in_any_order();
	match_rest(d);
	return !d->what[0];
}
