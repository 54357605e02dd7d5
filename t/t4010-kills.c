/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A peer that dies at any instant: at positions drawn uniformly from its
 * stream, and in every named test point of the library (t9010 looks that none
 * is missing here), half of the times while other connections are busy. What the survivor read is a prefix of
 * what was sent, an end without error comes after all of it, and its last
 * results are among those of the same kills on plain TCP.
 *
 * KMAP_KILLS: how many (1,000); KMAP_LONG=1: ten times as many.
 * KMAP_SEED: as the output says, draws the same jobs again. KMAP_GDB: more
 * arguments for the gdb that shows the stacks of who hangs; KMAP_NOSTACKS=1:
 * none are shown.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fault/duel.h"
#include "kid.h"
#include "tap.h"

#define HANG_MS 30000
#define MAX_ENDS 16

static struct duel *d;
static uint64_t seed;
static char program[4096];

static const struct point {
	const char *name;
	int nth; /* at most */
	int listens; /* 0, 1, -1: either */
	int dirs; /* bits */
	int act; /* what the victim does at kill_at */
} points[] = {
	{"offer", 1, -1, 7, ACT_NONE},
	{"rendezvous-bound", 1, 0, 7, ACT_NONE},
	{"rendezvous-sent", 1, 1, 7, ACT_NONE},
	{"paired", 1, -1, 7, ACT_NONE},
	{"consenting", 1, -1, 6, ACT_NONE},
	{"consent", 1, -1, 6, ACT_NONE},
	{"up", 1, -1, 5, ACT_NONE},
	{"up-record", 1, -1, 5, ACT_NONE},
	{"ring-copied", 40, -1, 5, ACT_NONE},
	{"ring-published", 3, -1, 5, ACT_NONE},
	{"sleep", 3, -1, 7, ACT_NONE},
	{"down-record", 1, -1, 5, ACT_LEAVE},
	{"freeze", 1, -1, 6, ACT_LEAVE},
	{"bounce-request", 1, -1, 6, ACT_LEAVE},
	{"fork", 1, -1, 7, ACT_FORK},
	{"kin-judged", 1, -1, 7, ACT_BURY},
	{"kin-locked", 1, -1, 7, ACT_BURY},
	{"let-go", 1, -1, 7, ACT_EXEC},
	{"image", 1, -1, 7, ACT_EXEC},
};
#define POINTS (sizeof(points) / sizeof(points[0]))
static unsigned int drawn, hit[POINTS];

/* The last results seen on plain TCP: by direction, and which one it is. */
static struct ends {
	int n, err[MAX_ENDS];
} twin[DUEL_DIRS][3];
static int strange;

static uint64_t
rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed >> 3;
}

static int
known(const struct ends *e, int err)
{
	for (int i = 0; i < e->n; i++)
		if (e->err[i] == err)
			return 1;
	return 0;
}

static void
ended(int which, int err, int learn)
{
	static const char *const what[] = {
		"receive", "receive after it", "send"};
	struct ends *e = &twin[d->dir][which];

	/* Bytes that can no more go back to TCP: doc/COVERAGE. */
	if (known(e, err) ||
		(d->survivor_leaves && (err == ENOTCONN || err == ECONNRESET)))
		return;
	if (learn && e->n < MAX_ENDS) {
		e->err[e->n++] = err;
		return;
	}
	strange++;
	diag("direction %d: the last %s gave %d (%s), never so on TCP; "
	     "way %d, kill %d at %llu %s %d",
		d->dir, what[which], err, strerror(err), d->way, d->kill,
		(unsigned long long)d->kill_at, d->point, d->nth);
}

static void
draw(int plain)
{
	const struct point *p;
	_Atomic int *keep = &d->port;
	int port = atomic_load(keep), lp = atomic_load(&d->load_port);
	uint64_t r = atomic_load(&d->rounds);
	int lb = atomic_load(&d->load_bad), load = atomic_load(&d->load);

	memset(d, 0, sizeof(*d));
	atomic_store(&d->port, port);
	atomic_store(&d->load_port, lp);
	atomic_store(&d->rounds, r);
	atomic_store(&d->load_bad, lb);
	atomic_store(&d->load, load);
	d->seed = rnd() % 1000000 + 1;
	d->dir = (int)(rnd() % DUEL_DIRS);
	d->way = (int)(rnd() % WAYS);
	d->victim_listens = (int)(rnd() % 2);
	/* Uniform over a stream; one in four is short. */
	d->kill_at = rnd() % (rnd() % 4 ? 4u << 20 : 50000);
	/* Half of them at test points. */
	d->kill = (int)(rnd() % (KILL_KINDS + 1));
	if (d->kill > KILL_POINT)
		d->kill = KILL_POINT;
	d->slow = rnd() % 4 == 0;
	d->act = rnd() % 8 == 0 ? ACT_LEAVE : ACT_NONE;
	d->drained = d->dir == DUEL_OUT && d->kill == KILL_EXACT &&
		d->act == ACT_NONE && rnd() % 3 == 0;
	if (rnd() % 8 == 0 && d->dir != DUEL_OUT)
		d->survivor_leaves = 1 + rnd() % (1u << 20);
	if (d->kill != KILL_POINT)
		return;
	if (plain) {
		d->kill = KILL_ASYNC;
		return;
	}
	p = &points[drawn++ % POINTS];
	strcpy(d->point, p->name);
	d->nth = 1 + (int)(rnd() % (unsigned int)p->nth);
	if (p->listens >= 0)
		d->victim_listens = p->listens;
	while (!(p->dirs & 1 << d->dir))
		d->dir = (int)(rnd() % DUEL_DIRS);
	d->act = p->act;
	d->kill_at = 100000 + rnd() % (1u << 20);
}

static void
stacks(pid_t pid)
{
	char cmd[1000];

	snprintf(cmd, sizeof(cmd),
		"timeout -k 2 20 gdb -nx -batch "
		"-iex 'set debuginfod enabled off' -ex 'thread apply all bt 30' %s "
		"-p %d 2>&1 | grep -Ev '^(warning|\\[New LWP|$)' | sed 's/^/# /'",
		getenv("KMAP_GDB") ? getenv("KMAP_GDB") : "", (int)pid);
	fflush(NULL);
	if (getenv("KMAP_NOSTACKS") == NULL && system(cmd) != 0)
		diag("no stacks");
}

static int
spawn(struct kid *k, const char *role, char *const env[])
{
	char *argv[] = {program, (char *)(uintptr_t)role, NULL};
	int r = kid_exec(k, argv, env);

	if (r != 0)
		bail_out("%s: %s", program, strerror(-r));
	return r;
}

struct result {
	unsigned int kills, bad, early, hangs, spoiled;
	uint64_t bytes;
};

static int
describe(const char *what)
{
	diag("%s: dir %d way %d kill %d at %llu %s %d, victim %s%s, act %d%s; in "
	     "%llu out %llu done %llu, ends %d %d %d",
		what, d->dir, d->way, d->kill, (unsigned long long)d->kill_at,
		d->point, d->nth, d->victim_listens ? "listens" : "connects",
		d->slow ? ", slow" : "", d->act,
		d->survivor_leaves ? ", survivor leaves" : "",
		(unsigned long long)d->in, (unsigned long long)d->out,
		(unsigned long long)d->done, d->in_end, d->in_end2, d->out_end);
	return 0;
}

/* One survivor, `n` victims one after the other. */
static struct result
series(int n, char *const env[], int plain)
{
	struct result res = {0};
	struct kid s, v, l;

	memset(d, 0, sizeof(*d));
	spawn(&s, "survivor", env);
	if (kid_hear(&s, HANG_MS) != 'r')
		bail_out("the survivor does not start");
	spawn(&l, "load", env);
	for (int i = 0; i < n && res.hangs < 3; i++) {
		atomic_store(&d->load, i >= n / 2);
		draw(plain);
		spawn(&v, "victim", env);
		kid_say(&s, 'j');
		if (kid_hear(&s, HANG_MS) != 'd') {
			res.hangs++;
			describe("the survivor hangs or died");
			stacks(s.pid);
			stacks(v.pid);
			kid_kill(&v);
			kid_kill(&s);
			atomic_store(&d->quit, 1);
			kid_kill(&l);
			atomic_store(&d->load_bad, 0);
			atomic_store(&d->quit, 0);
			spawn(&s, "survivor", env);
			if (kid_hear(&s, HANG_MS) != 'r')
				bail_out("the survivor does not start");
			spawn(&l, "load", env);
			continue;
		}
		kid_kill(&v);
		res.kills++;
		res.bytes += d->in + d->out;
		if (d->kill == KILL_POINT && d->hits >= d->nth)
			for (unsigned int p = 0; p < POINTS; p++)
				hit[p] += !strcmp(points[p].name, d->point);
		if (d->bad) {
			res.bad++;
			diag("a wrong byte at %llu",
				(unsigned long long)d->bad_at);
			describe("not a prefix");
		}
		if (d->victim_bad) {
			res.spoiled++;
			describe("the victim read wrong bytes");
		}
		/* After a clean end nothing that was sent is missing. */
		if (d->dir == DUEL_IN && d->in_end == 0 && d->in < d->done) {
			res.early++;
			describe("a clean end before the bytes");
		}
		if (d->dir != DUEL_OUT) {
			ended(0, d->in_end, plain);
			ended(1, d->in_end2, plain);
		}
		if (d->dir != DUEL_IN)
			ended(2, d->out_end, plain);
	}
	atomic_store(&d->quit, 1);
	kid_wait(&l, HANG_MS);
	close(s.fd);
	kid_wait(&s, HANG_MS);
	return res;
}

static uint64_t
stat_of(const char *file, const char *key)
{
	char line[8192], want[64], *at;
	uint64_t sum = 0;
	FILE *f = fopen(file, "re");

	if (f == NULL)
		return 0;
	snprintf(want, sizeof(want), "\"%s\":", key);
	while (fgets(line, sizeof(line), f) != NULL)
		if ((at = strstr(line, want)) != NULL)
			sum += strtoull(at + strlen(want), NULL, 10);
	fclose(f);
	return sum;
}

static void
kmap_series(int n, const char *upgrade, const char *ring)
{
	char file[] = "/tmp/kmap-kills.XXXXXX", preload[4096], stats[100];
	char *env[] = {preload, stats, (char *)(uintptr_t)upgrade,
		(char *)(uintptr_t)ring, NULL};
	struct result r;
	uint64_t in, out;

	snprintf(preload, sizeof(preload), "LD_PRELOAD=%s",
		getenv("KMAP_PRELOAD"));
	close(mkstemp(file));
	snprintf(stats, sizeof(stats), "KMAP_STATS=%s", file);
	strange = 0;
	r = series(n, env, 0);
	in = stat_of(file, "ring_bytes_in");
	out = stat_of(file, "ring_bytes_out");
	diag("%s: %u kills, %llu MB, ring %llu MB in %llu MB out, spills %llu, "
	     "bounces %llu, load %llu rounds",
		upgrade, r.kills, (unsigned long long)r.bytes >> 20,
		(unsigned long long)in >> 20, (unsigned long long)out >> 20,
		(unsigned long long)stat_of(file, "spills"),
		(unsigned long long)stat_of(file, "bounces"),
		(unsigned long long)atomic_load(&d->rounds));
	is_int(r.hangs, 0, "%s: nobody hangs, nobody else dies", upgrade);
	is_int(r.bad, 0, "%s: what was read is a prefix", upgrade);
	is_int(r.spoiled, 0, "%s: so it is for the victim", upgrade);
	is_int(r.early, 0, "%s: a clean end comes last", upgrade);
	is_int(strange, 0, "%s: the last results are TCP's", upgrade);
	ok(atomic_load(&d->rounds) > 0 && !atomic_load(&d->load_bad),
		"%s: the connections beside are unharmed", upgrade);
	ok(in > r.bytes / 10 && out > r.bytes / 10,
		"%s: the bytes went by rings, both ways", upgrade);
	unlink(file);
}

int
main(void)
{
	const char *b = getenv("builddir"), *k = getenv("KMAP_KILLS");
	const char *s = getenv("KMAP_SEED");
	int n = k ? atoi(k) : getenv("KMAP_LONG") ? 10000 : 1000;
	int fd, reached = 0;
	struct result r;

	snprintf(program, sizeof(program), "%s/fault/duel", b ? b : ".");
	if (getenv("KMAP_PRELOAD") == NULL)
		bail_out("KMAP_PRELOAD is not set");
	if (net_private() != 0)
		diag("no network namespace of our own here");
	seed = s && *s ? strtoull(s, NULL, 0)
		       : (uint64_t)now_ms() * 2654435761u + 1;
	diag("KMAP_SEED=%llu", (unsigned long long)seed);
	fd = memfd_create("duel", 0);
	if (fd < 0 || ftruncate(fd, sizeof(*d)) != 0 ||
		dup2(fd, DUEL_FD) != DUEL_FD)
		bail_out("memfd: %s", strerror(errno));
	d = mmap(NULL, sizeof(*d), PROT_READ | PROT_WRITE, MAP_SHARED, DUEL_FD,
		0);
	if (d == MAP_FAILED)
		bail_out("mmap: %s", strerror(errno));

	r = series(n / 4 + 200, (char *[]){NULL}, 1);
	ok(r.hangs + r.bad + r.early == 0 && r.kills > 0,
		"%u kills on plain TCP: prefixes", r.kills);
	kmap_series(n / 2, "KMAP_UPGRADE=now", "KMAP_RING=65536");
	kmap_series(n - n / 2, "KMAP_UPGRADE=earned", "KMAP_RING=1048576");
	for (unsigned int p = 0; p < POINTS; p++) {
		diag("%s: %u kills", points[p].name, hit[p]);
		reached += hit[p] >= (unsigned int)n / 100;
	}
	if (n >= 500)
		is_int(reached, POINTS, "%d kills or more at every test point",
			n / 100);
	return done();
}
