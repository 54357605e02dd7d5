/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "sinks.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "decode.h"

struct rule {
	bool not ;
	char **words;
	size_t n;
	struct rule *next;
};

struct trace_filter {
	struct rule *calls, *endpoints;
};

struct trace_filter *
trace_filter_new(void)
{
	return xcalloc(1, sizeof(struct trace_filter));
}

/* After the rules there are, in order. */
static void
append(struct rule **at, struct rule *r)
{
	while (*at)
		at = &(*at)->next;
	*at = r;
}

static void
add_word(struct rule *r, const char *word)
{
	r->words = xrealloc(r->words, (r->n + 1) * sizeof(*r->words));
	r->words[r->n++] = xstrdup(word);
}

/* strace's class of that name. */
static bool
is_class(const char *word)
{
	return !strcmp(word, "%network") || !strcmp(word, "%net");
}

static bool
in_class(int sys)
{
	static const int network[] = {SYS_socket, SYS_socketpair, SYS_bind,
		SYS_listen, SYS_connect, SYS_accept, SYS_accept4,
		SYS_getsockname, SYS_getpeername, SYS_getsockopt,
		SYS_setsockopt, SYS_shutdown, SYS_sendto, SYS_recvfrom,
		SYS_sendmsg, SYS_recvmsg, SYS_sendmmsg, SYS_recvmmsg};

	for (size_t i = 0; i < sizeof(network) / sizeof(network[0]); i++)
		if (network[i] == sys)
			return true;
	return false;
}

static bool
all_digits(const char *s)
{
	return *s && !s[strspn(s, "0123456789")];
}

/* What is no name: a kind, the number of an endpoint, an AF_UNIX name, the
 * port alone. */
static bool
add_plain(struct rule *r, const char *word)
{
	bool known = strchr(word, '/') || word[0] == '@' ||
		(word[0] == ':' && all_digits(word + 1)) ||
		(word[0] == 'c' && all_digits(word + 1)) ||
		(word[0] == '#' && word[1] == 'c' && all_digits(word + 2));

	for (int k = TRACE_UNKNOWN; k <= TRACE_FILE; k++)
		known |= !strcmp(word, trace_kind_name(k));
	if (known)
		add_word(r, word);
	return known;
}

/* "host", "host:port", "[v6]", "[v6]:port", "v6", as the trace has them. */
static bool
add_host(struct rule *r, const char *word)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list, *a;
	char text[NI_MAXHOST], host[NI_MAXHOST + 16], *name, *port = NULL;
	bool found = false;

	name = xstrdup(word + (word[0] == '['));
	if (word[0] == '[') {
		port = name + strcspn(name, "]");
		if (*port)
			*port++ = '\0';
		if (*port)
			found = *port++ != ':';
		else
			port = NULL;
	} else if (strchr(name, ':') == strrchr(name, ':')) {
		port = strchr(name, ':');
		if (port)
			*port++ = '\0';
	}
	/* A number is a port or nothing; inet_aton takes it for an address. */
	if (found || !*name || all_digits(name) ||
		getaddrinfo(name, port, &hints, &list)) {
		free(name);
		return false;
	}
	for (a = list; a; a = a->ai_next) {
		const struct sockaddr_in *in = (const void *)a->ai_addr;

		if (getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof(text),
			    NULL, 0, NI_NUMERICHOST))
			continue;
		snprintf(host, sizeof(host),
			a->ai_family == AF_INET6 ? "[%s]" : "%s", text);
		/* Both families have the port at one place. */
		if (port)
			snprintf(host + strlen(host), 16, ":%u",
				ntohs(in->sin_port));
		add_word(r, host);
		found = true;
	}
	freeaddrinfo(list);
	free(name);
	return found;
}

int
trace_filter_add(struct trace_filter *f, const char *expression, char *why,
	size_t why_size)
{
	struct rule *r = xcalloc(1, sizeof(*r));
	bool endpoints = false;
	char *text, *s, *word;
	int rc = 0;

	text = s = xstrdup(expression);
	if (*s == '!') {
		r->not = true;
		s++;
	}
	if (!strncmp(s, "endpoint=", 9)) {
		endpoints = true;
		s += 9;
	} else if (!strncmp(s, "trace=", 6)) {
		s += 6;
	}
	if (*s == '!') {
		r->not = !r->not ;
		s++;
	}
	while (!rc && (word = strsep(&s, ","))) {
		rc = -EINVAL;
		if (!*word)
			snprintf(why, why_size, "'%s': a name is empty",
				expression);
		else if (!endpoints && !is_class(word) && !trace_is_call(word))
			snprintf(why, why_size, "no call is named '%s'", word);
		else if (endpoints && !add_plain(r, word) && !add_host(r, word))
			snprintf(why, why_size,
				"'%s' is no endpoint: an address, a port as "
				":80, a kind as tcp, or a number as c3",
				word);
		else
			rc = 0;
		if (!rc && !endpoints)
			add_word(r, word);
	}
	free(text);
	append(endpoints ? &f->endpoints : &f->calls, r);
	return rc;
}

static bool
is_call(const char *word, const struct trace_call *c)
{
	const char *fn = c->fn ? c->fn : "";

	return (is_class(word) && in_class(c->sys)) || !strcmp(word, fn) ||
		!strcmp(word, trace_plain_name(fn)) ||
		!strcmp(word, trace_sys_name(c->sys));
}

/* One address of an endpoint: whole, the host alone, or ":port". */
static bool
is_address(const char *word, const char *address)
{
	const char *port = strrchr(address, ':');

	if (!address[0])
		return false;
	if (!strcmp(word, address))
		return true;
	if (!port)
		return false;
	return !strcmp(word, port) ||
		(strlen(word) == (size_t)(port - address) &&
			!strncmp(word, address, port - address));
}

static bool
is_endpoint(const char *word, uint32_t ep)
{
	const struct trace_endpoint *e = trace_endpoint_by_id(ep);
	const char *id = word + (word[0] == '#');
	char text[16];

	if (!e)
		return false;
	snprintf(text, sizeof(text), "c%u", e->id);
	return !strcmp(id, text) || !strcmp(word, trace_kind_name(e->kind)) ||
		is_address(word, e->local) || is_address(word, e->peer);
}

/* Its own endpoint, or one of those in the poll set it is about. */
static bool
has_endpoint(const char *word, const struct trace_call *c)
{
	struct trace_poll p;
	size_t i, at;

	if (is_endpoint(word, c->ep))
		return true;
	for (i = 0; i < c->nitems; i++) {
		const struct trace_item *it = &c->items[i];

		if (it->type != TRACE_ITEM_POLL && it->type != TRACE_ITEM_EPOLL)
			continue;
		for (at = 0; at + sizeof(p) <= it->len; at += sizeof(p)) {
			memcpy(&p, (const char *)it->data + at, sizeof(p));
			if (is_endpoint(word, p.ep))
				return true;
		}
	}
	return false;
}

/*
 * The rules of one kind: what the first names (or all, when it begins with
 * "!"), then each adds or takes away.
 */
static bool
holds(const struct rule *r, const struct trace_call *c,
	bool (*is)(const char *, const struct trace_call *))
{
	bool shown = !r || r->not ;
	size_t i;

	for (; r; r = r->next)
		for (i = 0; i < r->n; i++)
			if (is(r->words[i], c))
				shown = !r->not ;
	return shown;
}

bool
trace_filter_holds(const struct trace_filter *f, const struct trace_call *c)
{
	return holds(f->calls, c, is_call) &&
		holds(f->endpoints, c, has_endpoint);
}

struct filtered {
	const struct trace_filter *filter;
	struct trace_sink to, *self;
};

static void
filtered_process(void *arg, const struct trace_process *p)
{
	struct filtered *f = arg;

	if (f->to.process)
		f->to.process(f->to.arg, p);
}

static void
filtered_endpoint(void *arg, const struct trace_endpoint *e)
{
	struct filtered *f = arg;

	if (f->to.endpoint)
		f->to.endpoint(f->to.arg, e);
}

static void
filtered_call(void *arg, const struct trace_call *c)
{
	struct filtered *f = arg;

	if (f->to.call && trace_filter_holds(f->filter, c))
		f->to.call(f->to.arg, c);
}

static void
filtered_tick(void *arg)
{
	struct filtered *f = arg;

	if (f->to.tick)
		f->to.tick(f->to.arg);
}

static int
filtered_finish(void *arg)
{
	struct filtered *f = arg;
	int rc = f->to.finish ? f->to.finish(f->to.arg) : 0;

	free(f->self);
	free(f);
	return rc;
}

const struct trace_sink *
trace_filter_sink(const struct trace_filter *f, const struct trace_sink *to)
{
	struct filtered *in = xcalloc(1, sizeof(*in));
	struct trace_sink *sink = xcalloc(1, sizeof(*sink));

	in->filter = f;
	in->to = *to;
	in->self = sink;
	*sink = (struct trace_sink){
		.name = to->name,
		.arg = in,
		.process = filtered_process,
		.endpoint = filtered_endpoint,
		.call = filtered_call,
		.tick = filtered_tick,
		.finish = filtered_finish,
	};
	return sink;
}
