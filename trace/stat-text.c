/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "stat.h"

#include <inttypes.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/*
 * Tables whose columns are as wide as what stands in them, numbers to the
 * right. Every cell is short: what others wrote was cut and made printable
 * when it was read.
 */
#define COLUMNS 24
#define CELL 96

struct table {
	size_t rows, room, columns;
	bool left[COLUMNS];
	char (*cell)[COLUMNS][CELL];
	size_t at; /* column of the row that is being filled */
};

static bool
row(struct table *t)
{
	t->at = 0;
	if (t->rows == t->room) {
		size_t room = t->room == 0 ? 64 : 2 * t->room;
		void *p = realloc(t->cell, room * sizeof(*t->cell));

		if (p == NULL)
			return false;
		t->cell = p;
		t->room = room;
	}
	memset(t->cell[t->rows], 0, sizeof(t->cell[0]));
	t->rows++;
	return true;
}

__attribute__((format(printf, 2, 3))) static void
put(struct table *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(t->cell[t->rows - 1][t->at++], CELL, fmt, ap);
	va_end(ap);
}

static void
put_number(struct table *t, uint64_t v, bool human)
{
	static const char units[] = "KMGTPE";
	double d = (double)v;
	int u = -1;

	if (v == STAT_UNKNOWN) {
		put(t, "-");
		return;
	}
	while (human && d >= 1024 && u < 5) {
		d /= 1024;
		u++;
	}
	if (u < 0)
		put(t, "%" PRIu64, v);
	else
		put(t, d < 9.95 ? "%.1f%c" : "%.0f%c", d, units[u]);
}

/* '<' before a heading: the column is text. */
static bool
headings(struct table *t, const char *const *names, size_t n)
{
	t->columns = n;
	if (!row(t))
		return false;
	for (size_t i = 0; i < n; i++) {
		t->left[i] = names[i][0] == '<';
		put(t, "%s", names[i] + t->left[i]);
	}
	return true;
}

static void
print(FILE *out, struct table *t, bool no_header)
{
	int width[COLUMNS] = {0};

	for (size_t r = no_header; r < t->rows; r++)
		for (size_t c = 0; c < t->columns; c++) {
			int n = (int)strlen(t->cell[r][c]);

			if (n > width[c])
				width[c] = n;
		}
	for (size_t r = no_header; r < t->rows; r++) {
		for (size_t c = 0; c < t->columns; c++) {
			const char *end = c + 1 < t->columns ? " " : "";

			if (!t->left[c])
				fprintf(out, "%*s%s", width[c], t->cell[r][c],
					end);
			else if (c + 1 < t->columns)
				fprintf(out, "%-*s%s", width[c], t->cell[r][c],
					end);
			else
				fputs(t->cell[r][c], out);
		}
		putc('\n', out);
	}
	free(t->cell);
}

const char *
stat_stage(const struct stat_conn *c)
{
	static const char *const names[] = {[KMAP_NEW] = "new",
		[KMAP_PLAIN] = "plain",
		[KMAP_OFFERED] = "offered",
		[KMAP_PAIRED] = "paired",
		[KMAP_BARRED] = "barred"};

	if (stat_in(c) == STAT_RING)
		return stat_out(c) == STAT_RING ? "ring" : "ring-in";
	if (stat_out(c) == STAT_RING)
		return "ring-out";
	return c->stage < kmap_countof(names) ? names[c->stage] : "?";
}

const char *
stat_why(const struct stat_conn *c)
{
	if ((stat_in(c) == STAT_RING && stat_out(c) == STAT_RING) ||
		c->why == KMAP_WHY_NONE)
		return NULL;
	return c->why < KMAP_NWHY ? kmap_why_names[c->why] : "?";
}

static const char *
user(uid_t uid)
{
	static uid_t last = (uid_t)-1;
	static char name[33];
	struct passwd *pw;

	if (uid != last || name[0] == '\0') {
		pw = getpwuid(uid);
		last = uid;
		if (pw != NULL)
			snprintf(name, sizeof(name), "%s", pw->pw_name);
		else
			snprintf(name, sizeof(name), "%u", (unsigned)uid);
	}
	return name;
}

/* "no_peer:3,never:1", the most frequent first. */
static void
put_reasons(struct table *t, const struct stat_proc *p)
{
	bool done[KMAP_NWHY] = {false};
	char buf[CELL] = "-";
	size_t n = 0;

	for (;;) {
		int most = 0;

		for (int i = 1; i < KMAP_NWHY; i++)
			if (!done[i] && p->why[i] != 0 &&
				(most == 0 || p->why[i] > p->why[most]))
				most = i;
		if (most == 0 || n >= sizeof(buf))
			break;
		done[most] = true;
		n += (size_t)snprintf(buf + n, sizeof(buf) - n, "%s%s:%" PRIu64,
			n != 0 ? "," : "", kmap_why_names[most], p->why[most]);
	}
	put(t, "%s", buf);
}

static void
processes(FILE *out, const struct stat_all *a, const struct stat_want *w)
{
	static const char *const names[] = {"PID", "<USER", "<COMMAND", "CONNS",
		"RINGS", "RING-IN", "RING-OUT", "TCP-IN", "TCP-OUT", "RCALLS",
		"TCALLS", "RUNG", "SAVED", "SLEEPS", "POLLS", "HOT", "ARMED",
		"SEEN", "UPGR", "<NOT-UPGRADED"};
	struct table t = {0};

	if (!headings(&t, names, kmap_countof(names)))
		return;
	for (size_t i = 0; i < a->nprocs; i++) {
		const struct stat_proc *p = &a->procs[i];
		const uint64_t *n = p->n;

		if (!row(&t))
			break;
		put(&t, "%d", (int)p->pid);
		put(&t, "%s", user(p->uid));
		put(&t, "%s", p->comm);
		put_number(&t, p->live, false);
		put_number(&t, p->on_ring, false);
		put_number(&t, n[KMAP_STAT_ring_bytes_in], w->human);
		put_number(&t, n[KMAP_STAT_ring_bytes_out], w->human);
		put_number(&t, n[KMAP_STAT_tcp_bytes_in], w->human);
		put_number(&t, n[KMAP_STAT_tcp_bytes_out], w->human);
		put_number(&t,
			n[KMAP_STAT_ring_messages_in] +
				n[KMAP_STAT_ring_messages_out],
			w->human);
		put_number(&t,
			n[KMAP_STAT_tcp_messages_in] +
				n[KMAP_STAT_tcp_messages_out],
			w->human);
		put_number(&t, n[KMAP_STAT_doorbells_rung], w->human);
		put_number(&t, n[KMAP_STAT_doorbells_saved], w->human);
		put_number(&t, n[KMAP_STAT_sleeps], w->human);
		put_number(&t, n[KMAP_STAT_polls], w->human);
		put_number(&t, p->hot, false);
		put_number(&t, p->armed, false);
		put_number(&t, n[KMAP_STAT_connections_seen], false);
		put_number(&t, n[KMAP_STAT_connections_upgraded], false);
		if (p->published)
			put_reasons(&t, p);
		else
			put(&t, "(publishes nothing)");
	}
	print(out, &t, w->no_header);
}

static void
connections(FILE *out, const struct stat_all *a, const struct stat_want *w)
{
	static const char *const names[] = {"<STATE", "<KMAP", "RINGQ-IN",
		"RINGQ-OUT", "<LOCAL", "<PEER", "RING-IN", "RING-OUT", "TCP-IN",
		"TCP-OUT", "RCALLS", "TCALLS", "<WATCH", "<WHY", "PID", "FD",
		"<COMMAND"};
	static const char *const watch[] = {"-", "armed", "hot"};
	struct table t = {0};
	uint64_t unshown = 0;

	if (!headings(&t, names, kmap_countof(names)))
		return;
	for (size_t i = 0; i < a->nprocs; i++) {
		const struct stat_proc *p = &a->procs[i];

		unshown += p->unshown;
		for (size_t j = 0; j < p->nconns; j++) {
			const struct stat_conn *c = &p->conns[j];
			const char *why = stat_why(c);

			if (!row(&t))
				break;
			put(&t, "%s", c->state);
			put(&t, "%s", stat_stage(c));
			put_number(&t, c->fill_in, w->human);
			put_number(&t, c->fill_out, w->human);
			put(&t, "%s", c->local);
			put(&t, "%s", c->peer);
			put_number(&t, c->n[KMAP_STAT_ring_bytes_in], w->human);
			put_number(
				&t, c->n[KMAP_STAT_ring_bytes_out], w->human);
			put_number(&t, c->n[KMAP_STAT_tcp_bytes_in], w->human);
			put_number(&t, c->n[KMAP_STAT_tcp_bytes_out], w->human);
			put_number(&t,
				c->n[KMAP_STAT_ring_messages_in] +
					c->n[KMAP_STAT_ring_messages_out],
				w->human);
			put_number(&t,
				c->n[KMAP_STAT_tcp_messages_in] +
					c->n[KMAP_STAT_tcp_messages_out],
				w->human);
			put(&t, "%s",
				c->watch < kmap_countof(watch) ? watch[c->watch]
							       : "?");
			put(&t, "%s", why != NULL ? why : "-");
			put(&t, "%d", (int)p->pid);
			put(&t, "%d", c->fd);
			put(&t, "%s", p->comm);
		}
	}
	print(out, &t, w->no_header);
	if (unshown != 0 && w->port == 0 && w->sport == 0 && w->dport == 0)
		fprintf(out, "and %" PRIu64 " more that have no record\n",
			unshown);
}

/* Every counter by its name, one process after the other. */
static void
wide(FILE *out, const struct stat_all *a)
{
	for (size_t i = 0; i < a->nprocs; i++) {
		const struct stat_proc *p = &a->procs[i];

		fprintf(out, "%s%d %s (%s)%s\n", i != 0 ? "\n" : "",
			(int)p->pid, p->comm, user(p->uid),
			p->published ? "" : " publishes nothing");
		fprintf(out, "  %-24s %" PRIu64 "\n", "connections_now",
			p->live);
		fprintf(out, "  %-24s %u\n", "on_ring", p->on_ring);
		fprintf(out, "  %-24s %u\n", "hot", p->hot);
		fprintf(out, "  %-24s %u\n", "armed", p->armed);
		for (int k = 0; k < KMAP_NSTATS; k++)
			fprintf(out, "  %-24s %" PRIu64 "\n", stat_names[k],
				p->n[k]);
		for (int k = 1; k < KMAP_NWHY; k++)
			if (p->why[k] != 0)
				fprintf(out,
					"  not_upgraded %-11s %" PRIu64 "\n",
					kmap_why_names[k], p->why[k]);
	}
}

void
stat_text(FILE *out, const struct stat_all *a, const struct stat_want *w)
{
	if (w->conns)
		connections(out, a, w);
	else if (w->wide)
		wide(out, a);
	else
		processes(out, a, w);
}
