/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "stat.h"

#include <inttypes.h>

/* What is written was made printable ASCII when it was read. */
static void
string(FILE *out, const char *name, const char *s)
{
	fprintf(out, "\"%s\":\"", name);
	for (; *s != '\0'; s++) {
		if (*s == '"' || *s == '\\')
			putc('\\', out);
		putc(*s, out);
	}
	putc('"', out);
}

static void
number(FILE *out, const char *name, uint64_t v)
{
	if (v == STAT_UNKNOWN)
		fprintf(out, ",\"%s\":null", name);
	else
		fprintf(out, ",\"%s\":%" PRIu64, name, v);
}

static void
connection(FILE *out, const struct stat_conn *c)
{
	static const char *const watch[] = {"null", "\"armed\"", "\"hot\""};
	static const enum kmap_stat each[] = {KMAP_STAT_ring_bytes_in,
		KMAP_STAT_ring_bytes_out, KMAP_STAT_tcp_bytes_in,
		KMAP_STAT_tcp_bytes_out, KMAP_STAT_ring_messages_in,
		KMAP_STAT_ring_messages_out, KMAP_STAT_tcp_messages_in,
		KMAP_STAT_tcp_messages_out};
	const char *why = stat_why(c);

	fprintf(out, "{\"fd\":%d,", c->fd);
	string(out, "state", c->state);
	putc(',', out);
	string(out, "kmap", stat_stage(c));
	putc(',', out);
	string(out, "role",
		c->role == KMAP_CONNECTOR ? "connector" : "acceptor");
	putc(',', out);
	string(out, "in", stat_in(c) == STAT_RING ? "ring" : "tcp");
	putc(',', out);
	string(out, "out", stat_out(c) == STAT_RING ? "ring" : "tcp");
	putc(',', out);
	if (why == NULL)
		fputs("\"why\":null", out);
	else
		string(out, "why", why);
	putc(',', out);
	string(out, "local", c->local);
	putc(',', out);
	string(out, "peer", c->peer);
	for (size_t i = 0; i < kmap_countof(each); i++)
		number(out, stat_names[each[i]], c->n[each[i]]);
	number(out, "ring_size", c->segment != 0 ? c->ring_size : STAT_UNKNOWN);
	number(out, "ring_fill_in", c->fill_in);
	number(out, "ring_fill_out", c->fill_out);
	fprintf(out, ",\"watch\":%s}",
		c->watch < kmap_countof(watch) ? watch[c->watch] : "null");
}

static void
process(FILE *out, const struct stat_proc *p)
{
	bool first = true;

	fprintf(out, "{\"pid\":%d,\"uid\":%u,", (int)p->pid, (unsigned)p->uid);
	string(out, "command", p->comm);
	putc(',', out);
	string(out, "exe", p->exe);
	fprintf(out, ",\"published\":%s", p->published ? "true" : "false");
	number(out, "connections_now", p->live);
	number(out, "connections_unshown", p->unshown);
	number(out, "on_ring", p->on_ring);
	number(out, "hot", p->hot);
	number(out, "armed", p->armed);
	for (int i = 0; i < KMAP_NSTATS; i++)
		number(out, stat_names[i], p->n[i]);
	fputs(",\"not_upgraded\":{", out);
	for (int i = 1; i < KMAP_NWHY; i++)
		if (p->why[i] != 0) {
			fprintf(out, "%s\"%s\":%" PRIu64, first ? "" : ",",
				kmap_why_names[i], p->why[i]);
			first = false;
		}
	fputs("},\"connections\":[", out);
	for (size_t i = 0; i < p->nconns; i++) {
		if (i != 0)
			putc(',', out);
		connection(out, &p->conns[i]);
	}
	fputs("]}", out);
}

void
stat_json(FILE *out, const struct stat_all *a, const struct stat_want *w)
{
	(void)w;
	fprintf(out, "{\"time\":%.3f,\"interval\":", a->time);
	if (a->interval > 0)
		fprintf(out, "%.3f", a->interval);
	else
		fputs("null", out);
	fputs(",\"processes\":[", out);
	for (size_t i = 0; i < a->nprocs; i++) {
		if (i != 0)
			putc(',', out);
		process(out, &a->procs[i]);
	}
	fputs("]}\n", out);
}
