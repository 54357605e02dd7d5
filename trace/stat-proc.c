/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "stat.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/*
 * Everything here was written by somebody else, who may be hostile and may
 * change it meanwhile: it is copied once with pread (a mapping could raise
 * SIGBUS), then checked, then used. A file that merely bears the name could
 * block who opens it (a FIFO, a file system in user space); so it is opened
 * only once its mount is known to be the kernel's own, where memfds live.
 */

/* One socket of a network namespace. */
struct sock {
	uint64_t inode;
	bool v6;
	uint8_t state;
	uint16_t lport, rport;
	uint8_t local[16], peer[16];
};

struct net {
	ino_t ns;
	struct sock *socks;
	size_t nsocks, room;
};

/* What is known of a record beside its words. */
struct found {
	uint32_t seq; /* 0: nothing */
	uint64_t inode; /* of the socket; 0: none */
};

struct reading {
	struct stat_proc *p;
	int fd; /* the memfd */
	long nspid; /* its pid as it sees itself */
	size_t net; /* index */
	struct kmap_pub_head head;
	uint32_t nconns, room;
	struct kmap_pub_conn *conns;
	struct found *found; /* of `room` records */
	bool bad;
};

#define HEAD offsetof(struct kmap_pub, conn)
#define CANDIDATES 16 /* files of that name in one process */
#define ROUNDS 3
#define TORN 150 /* tries to read between two ends of connections */
#define TORN_NAP_NS 200000 /* after each but the first few of them */

/* ---- small files ---- */

/* Up to size - 1 bytes and a NUL; -1 when it cannot be read. */
static ssize_t
slurp(int dir, const char *name, char *buf, size_t size)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	size_t n = 0;
	ssize_t r = -1;

	if (fd < 0)
		return -1;
	while (n < size - 1 && (r = read(fd, buf + n, size - 1 - n)) > 0)
		n += (size_t)r;
	close(fd);
	buf[n] = '\0';
	return r < 0 ? -1 : (ssize_t)n;
}

/* Nothing that a terminal would obey, or that is no UTF-8. */
static void
printable(char *s)
{
	for (; *s != '\0'; s++)
		if (*s < ' ' || *s > '~')
			*s = '?';
}

static ino_t
inode_of(int dir, const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, 0) == 0 ? st.st_ino : 0;
}

static long
mount_of(int fd)
{
	char path[64], buf[1024], *at;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	if (slurp(AT_FDCWD, path, buf, sizeof(buf)) < 0)
		return -1;
	at = strstr(buf, "mnt_id:");
	return at == NULL ? -1 : strtol(at + 7, NULL, 10);
}

/* The mount on which memfds live. */
static long
memfd_mount(void)
{
	static long mount = -2;
	int fd;

	if (mount == -2) {
		fd = memfd_create("kmap-stat-mount", MFD_CLOEXEC);
		mount = fd < 0 ? -1 : mount_of(fd);
		if (fd >= 0)
			close(fd);
	}
	return mount;
}

/* ---- the kernel's table of connections ---- */

static bool
hex_addr(const char *s, uint8_t *out, bool v6)
{
	for (int i = 0; i < (v6 ? 4 : 1); i++) {
		char word[9] = "";
		uint32_t w;

		memcpy(word, s + 8 * i, 8);
		w = (uint32_t)strtoul(word, NULL, 16);
		memcpy(out + 4 * i, &w, 4);
	}
	return true;
}

static void
net_line(struct net *n, const char *line, bool v6)
{
	char l[33], r[33];
	unsigned int lp, rp, st;
	unsigned long inode;
	struct sock *s;

	if (sscanf(line,
		    "%*d: %32[0-9A-F]:%x %32[0-9A-F]:%x %x %*x:%*x "
		    "%*x:%*x %*x %*u %*u %lu",
		    l, &lp, r, &rp, &st, &inode) != 6 ||
		inode == 0 || strlen(l) != (v6 ? 32 : 8) ||
		strlen(r) != strlen(l))
		return;
	if (n->nsocks == n->room) {
		size_t room = n->room == 0 ? 256 : 2 * n->room;

		s = realloc(n->socks, room * sizeof(*s));
		if (s == NULL)
			return;
		n->socks = s;
		n->room = room;
	}
	s = &n->socks[n->nsocks++];
	*s = (struct sock){.inode = inode,
		.v6 = v6,
		.state = (uint8_t)st,
		.lport = (uint16_t)lp,
		.rport = (uint16_t)rp};
	hex_addr(l, s->local, v6);
	hex_addr(r, s->peer, v6);
}

static int
by_inode(const void *a, const void *b)
{
	const struct sock *x = a, *y = b;

	return x->inode < y->inode ? -1 : x->inode > y->inode;
}

static void
net_load(struct net *n, pid_t pid)
{
	static const char *const files[] = {"tcp", "tcp6"};
	char path[64], line[512];

	n->nsocks = 0;
	for (int i = 0; i < 2; i++) {
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%d/net/%s", (int)pid,
			files[i]);
		f = fopen(path, "re");
		if (f == NULL)
			continue;
		while (fgets(line, sizeof(line), f) != NULL)
			net_line(n, line, i == 1);
		fclose(f);
	}
	if (n->nsocks != 0)
		qsort(n->socks, n->nsocks, sizeof(*n->socks), by_inode);
}

static const char *
tcp_state(unsigned int st)
{
	static const char *const names[] = {"-", "ESTAB", "SYN-SENT",
		"SYN-RECV", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT", "UNCONN",
		"CLOSE-WAIT", "LAST-ACK", "LISTEN", "CLOSING", "NEW-SYN"};

	return st < kmap_countof(names) ? names[st] : "-";
}

static void
put_addr(char *out, const uint8_t *ip, uint16_t port, bool v6)
{
	char text[INET6_ADDRSTRLEN];

	if (inet_ntop(v6 ? AF_INET6 : AF_INET, ip, text, sizeof(text)) == NULL)
		strcpy(text, "*");
	snprintf(out, STAT_ADDR, v6 ? "[%s]:%u" : "%s:%u", text, port);
}

static void
conn_addresses(struct stat_conn *c, const struct net *n, uint64_t inode)
{
	struct sock key = {.inode = inode}, *s;

	strcpy(c->local, "*:*");
	strcpy(c->peer, "*:*");
	c->state = "-";
	if (inode == 0 || n->nsocks == 0)
		return;
	s = bsearch(&key, n->socks, n->nsocks, sizeof(*s), by_inode);
	if (s == NULL)
		return;
	c->state = tcp_state(s->state);
	c->lport = s->lport;
	c->rport = s->rport;
	put_addr(c->local, s->local, s->lport, s->v6);
	put_addr(c->peer, s->peer, s->rport, s->v6);
}

/* ---- one process ---- */

static bool
head_good(const struct kmap_pub_head *h, off_t size, long nspid)
{
	uint32_t n = a_load(&h->nconns);

	return a_load(&h->magic) == KMAP_PUB_MAGIC &&
		h->version == KMAP_PUB_VERSION && h->head_size == HEAD &&
		h->conn_size == sizeof(struct kmap_pub_conn) &&
		h->conn_max <= KMAP_PUB_CONNS && n <= h->conn_max &&
		h->nstats <= KMAP_PUB_NAMES && h->nwhy <= KMAP_PUB_NAMES &&
		h->pid == nspid &&
		size >=
		(off_t)(HEAD + (uint64_t)n * sizeof(struct kmap_pub_conn));
}

/* Its pid as it sees itself: a child that was not noticed, or a descriptor
 * that was passed, shows another process's file. */
static long
own_pid(int dir, pid_t pid)
{
	char buf[4096], *at, *end;

	if (slurp(dir, "status", buf, sizeof(buf)) < 0)
		return -1;
	at = strstr(buf, "\nNSpid:");
	if (at == NULL)
		return pid;
	at += 7;
	end = strchr(at, '\n');
	if (end != NULL)
		*end = '\0';
	at = strrchr(at, '\t');
	return at == NULL ? -1 : strtol(at, NULL, 10);
}

/* The memfd under a number of the process, or -1. */
static int
open_memfd(int fds, const char *name)
{
	char path[64];
	int fd = -1, at;

	/* O_PATH opens nothing: no device, no FIFO, no server is asked. */
	at = openat(fds, name, O_PATH | O_CLOEXEC);
	if (at < 0)
		return -1;
	if (memfd_mount() >= 0 && mount_of(at) == memfd_mount()) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", at);
		fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	}
	close(at);
	return fd;
}

static bool
read_head(int fd, struct kmap_pub_head *h)
{
	return pread(fd, h, sizeof(*h), 0) == (ssize_t)sizeof(*h);
}

static int
find_memfd(int dir, long nspid)
{
	static const char want[] = "/memfd:" KMAP_PUB_NAME " (deleted)";
	int fd = -1,
	    fds = openat(dir, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fds < 0 ? NULL : fdopendir(fds);
	struct kmap_pub_head head;
	struct dirent *de;
	int tries = 0;

	if (d == NULL) {
		if (fds >= 0)
			close(fds);
		return -1;
	}
	while (fd < 0 && tries < CANDIDATES && (de = readdir(d)) != NULL) {
		char link[sizeof(want) + 1];
		ssize_t n = readlinkat(fds, de->d_name, link, sizeof(link));
		struct stat st;

		if (n != sizeof(want) - 1 || memcmp(link, want, n) != 0)
			continue;
		tries++;
		fd = open_memfd(fds, de->d_name);
		if (fd >= 0 &&
			(fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) ||
				!read_head(fd, &head) ||
				!head_good(&head, st.st_size, nspid))) {
			close(fd);
			fd = -1;
		}
	}
	closedir(d);
	return fd;
}

static bool
has_library(int dir)
{
	int fd = openat(dir, "maps", O_RDONLY | O_CLOEXEC);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	char *line = NULL;
	size_t room = 0;
	bool has = false;

	while (f != NULL && !has && getline(&line, &room, f) > 0)
		has = strstr(line, "/libkmapemu.so") != NULL;
	free(line);
	if (f != NULL)
		fclose(f);
	else if (fd >= 0)
		close(fd);
	return has;
}

static void
names(struct stat_proc *p, int dir)
{
	char buf[1024], *at;
	struct stat st;
	ssize_t n;

	p->uid = fstat(dir, &st) == 0 ? st.st_uid : (uid_t)-1;
	/* The newline at its end is the kernel's; others are not. */
	n = slurp(dir, "comm", p->comm, sizeof(p->comm));
	if (n > 0 && p->comm[n - 1] == '\n')
		p->comm[n - 1] = '\0';
	printable(p->comm);
	n = readlinkat(dir, "exe", p->exe, sizeof(p->exe) - 1);
	p->exe[n < 0 ? 0 : n] = '\0';
	printable(p->exe);
	/* Behind the command, which may have brackets in it: field 22. */
	if (slurp(dir, "stat", buf, sizeof(buf)) > 0 &&
		(at = strrchr(buf, ')')) != NULL) {
		for (int i = 2; i < 22 && at != NULL; i++)
			at = strchr(at + 1, ' ');
		if (at != NULL)
			p->started = strtoull(at, NULL, 10);
	}
}

/* The records are copied anew anyway; what was found out about them stays. */
static bool
more_room(struct reading *r, uint32_t n)
{
	struct kmap_pub_conn *c =
		aligned_alloc(_Alignof(struct kmap_pub_conn), n * sizeof(*c));
	struct found *f = realloc(r->found, n * sizeof(*f));

	free(r->conns);
	r->conns = c;
	if (f != NULL) {
		memset(f + r->room, 0, (n - r->room) * sizeof(*f));
		r->found = f;
		r->room = n;
	}
	return c != NULL && f != NULL;
}

/* All of it, at one time between two ends of connections if that can be had.
 * False: it is not what it was. */
static bool
snapshot(struct reading *r)
{
	struct kmap_pub_head after;

	for (int i = 0; i < TORN; i++) {
		struct stat st;
		uint32_t n;
		ssize_t got;

		if (!read_head(r->fd, &r->head) || fstat(r->fd, &st) != 0 ||
			!head_good(&r->head, st.st_size, r->nspid))
			return false;
		n = a_load(&r->head.nconns);
		if (n > r->room && !more_room(r, n))
			return false;
		r->nconns = n;
		if (n == 0)
			return true;
		got = pread(r->fd, r->conns, n * sizeof(*r->conns), HEAD);
		if (got != (ssize_t)(n * sizeof(*r->conns)) ||
			!read_head(r->fd, &after))
			return false;
		if (a_load(&r->head.begun) == a_load(&r->head.ended) &&
			a_load(&after.begun) == a_load(&r->head.begun))
			break;
		/* Who is in between may wait for this processor. */
		if (i >= 5)
			nanosleep(&(struct timespec){.tv_nsec = TORN_NAP_NS},
				NULL);
	}
	return true;
}

/* The sockets of connections that are new to us. True: there were some. */
static bool
resolve(struct reading *r)
{
	bool some = false;
	char path[64], link[64];

	for (uint32_t i = 0; i < r->nconns; i++) {
		uint32_t seq = a_load(&r->conns[i].seq);
		unsigned long inode;
		ssize_t n;

		if (!(seq & 1) || r->found[i].seq == seq)
			continue;
		some = true;
		r->found[i] = (struct found){.seq = seq};
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)r->p->pid,
			r->conns[i].fd);
		n = readlink(path, link, sizeof(link) - 1);
		if (n <= 0)
			continue;
		link[n] = '\0';
		if (sscanf(link, "socket:[%lu]", &inode) == 1)
			r->found[i].inode = inode;
	}
	return some;
}

static bool
port_wanted(const struct stat_conn *c, const struct stat_want *w)
{
	return (w->port == 0 || c->lport == w->port || c->rport == w->port) &&
		(w->sport == 0 || c->lport == w->sport) &&
		(w->dport == 0 || c->rport == w->dport);
}

static void
take_conn(struct stat_conn *c, const struct kmap_pub_conn *s, uint32_t index)
{
	uint32_t state = a_load(&s->state);

	*c = (struct stat_conn){.index = index,
		.seq = a_load(&s->seq),
		.fd = s->fd,
		.stage = state & 0xff,
		.role = state >> 8 & 1,
		.why = state >> 16,
		.watch = a_load(&s->watch),
		.rx_records = s->rx_records,
		.tx_records = s->tx_records,
		.segment = s->segment,
		.slot = s->slot,
		.slot_gen = s->slot_gen,
		.ring_size = s->ring_size,
		.head = s->head_base + s->ring_bytes_in,
		.tail = s->tail_base + s->ring_bytes_out,
		.fill_in = STAT_UNKNOWN,
		.fill_out = STAT_UNKNOWN};
	if (c->why > KMAP_NWHY)
		c->why = KMAP_NWHY;
	kmap_stats_of(s, c->n);
}

/* The last snapshot becomes what is shown. */
static bool
take(struct reading *r, const struct net *net)
{
	struct stat_proc *p = r->p;

	p->conns = calloc(r->nconns + 1, sizeof(*p->conns));
	if (p->conns == NULL)
		return false;
	for (uint32_t i = 0; i < KMAP_NSTATS && i < r->head.nstats; i++)
		p->n[i] = a_load(&r->head.stats[i]);
	for (uint32_t i = 0; i < KMAP_NWHY && i < r->head.nwhy; i++)
		p->why[i] = a_load(&r->head.why[i]);
	p->live = a_load(&r->head.live);
	for (uint32_t i = 0; i < r->nconns; i++) {
		const struct kmap_pub_conn *s = &r->conns[i];
		struct stat_conn *c = &p->conns[p->nconns];
		uint32_t seq = a_load(&s->seq);

		if (!(seq & 1))
			continue;
		kmap_stats_of(s, p->n);
		take_conn(c, s, i);
		if (c->rx_records != 0 && c->tx_records != 0)
			p->n[KMAP_STAT_connections_upgraded]++;
		else if (c->why < KMAP_NWHY)
			p->why[c->why]++;
		p->on_ring += (c->rx_records & c->tx_records & 1) != 0;
		p->hot += c->watch == KMAP_PUB_HOT;
		p->armed += c->watch == KMAP_PUB_ARMED;
		if (r->found[i].seq != seq)
			continue;
		conn_addresses(c, net, r->found[i].inode);
		p->nconns++;
	}
	p->unshown = p->live > p->nconns ? p->live - p->nconns : 0;
	return true;
}

/* ---- how full the rings are ---- */

/* An end of a connection, of whichever processes of a family hold it. */
struct end {
	uint64_t segment;
	uint32_t slot, gen;
	unsigned int role;
	uint64_t head, tail;
	bool rx_up, tx_up;
};

static int
by_end(const void *a, const void *b)
{
	const struct end *x = a, *y = b;

#define CMP(f)                                                                 \
	if (x->f != y->f)                                                      \
	return x->f < y->f ? -1 : 1
	CMP(segment);
	CMP(slot);
	CMP(gen);
	CMP(role);
#undef CMP
	return 0;
}

static size_t
join_ends(struct end *e, size_t n)
{
	size_t k = 0;

	if (n == 0)
		return 0;
	qsort(e, n, sizeof(*e), by_end);
	for (size_t i = 1; i < n; i++) {
		if (by_end(&e[k], &e[i]) != 0) {
			e[++k] = e[i];
			continue;
		}
		/* Cursors wrap freely: the later one. */
		if ((int64_t)(e[i].head - e[k].head) > 0)
			e[k].head = e[i].head;
		if ((int64_t)(e[i].tail - e[k].tail) > 0)
			e[k].tail = e[i].tail;
		e[k].rx_up |= e[i].rx_up;
		e[k].tx_up |= e[i].tx_up;
	}
	return k + 1;
}

static uint64_t
fill(const struct end *from, const struct end *to, uint32_t size)
{
	uint64_t n = from->tail - to->head;

	/* A moment apart, or frozen: not known. */
	return n > size || !(from->tx_up || to->rx_up) ? STAT_UNKNOWN : n;
}

/* A ring's tail is known at one end, its head at the other. */
static void
fills(struct stat_all *a)
{
	size_t n = 0, k = 0;
	struct end *ends;

	for (size_t i = 0; i < a->nprocs; i++)
		n += a->procs[i].nconns;
	ends = calloc(n + 1, sizeof(*ends));
	if (ends == NULL)
		return;
	n = 0;
	for (size_t i = 0; i < a->nprocs; i++)
		for (size_t j = 0; j < a->procs[i].nconns; j++) {
			const struct stat_conn *c = &a->procs[i].conns[j];

			if (c->segment == 0)
				continue;
			ends[n++] = (struct end){c->segment, c->slot,
				c->slot_gen, c->role, c->head, c->tail,
				stat_in(c) == STAT_RING &&
					c->why == KMAP_WHY_NONE,
				stat_out(c) == STAT_RING};
		}
	k = join_ends(ends, n);
	for (size_t i = 0; i < a->nprocs && k != 0; i++)
		for (size_t j = 0; j < a->procs[i].nconns; j++) {
			struct stat_conn *c = &a->procs[i].conns[j];
			struct end key = {c->segment, c->slot, c->slot_gen,
				c->role, 0, 0, false, false};
			struct end *own = c->segment == 0
				? NULL
				: bsearch(&key, ends, k, sizeof(key), by_end);
			struct end *peer;

			key.role ^= 1;
			peer = own == NULL
				? NULL
				: bsearch(&key, ends, k, sizeof(key), by_end);
			if (peer == NULL)
				continue;
			c->fill_in = fill(peer, own, c->ring_size);
			c->fill_out = fill(own, peer, c->ring_size);
		}
	free(ends);
}

/* ---- all ---- */

struct all {
	struct reading *r;
	size_t n, room;
	struct net *nets;
	size_t nnets;
};

static bool
pid_wanted(pid_t pid, const struct stat_want *w)
{
	for (size_t i = 0; i < w->npids; i++)
		if (w->pids[i] == pid)
			return true;
	return w->npids == 0;
}

static size_t
net_of(struct all *all, int dir)
{
	ino_t ns = inode_of(dir, "ns/net");
	struct net *n;

	for (size_t i = 0; i < all->nnets; i++)
		if (all->nets[i].ns == ns)
			return i;
	n = realloc(all->nets, (all->nnets + 1) * sizeof(*n));
	if (n == NULL)
		return 0;
	all->nets = n;
	n[all->nnets] = (struct net){.ns = ns};
	return all->nnets++;
}

static bool
look_at(struct all *all, pid_t pid, const struct stat_want *w)
{
	char path[32];
	struct reading *r;
	long nspid;
	int dir, fd;

	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return true;
	nspid = own_pid(dir, pid);
	fd = find_memfd(dir, nspid);
	if (fd < 0 && !(w->all && has_library(dir))) {
		close(dir);
		return true;
	}
	if (all->n == all->room) {
		size_t room = all->room == 0 ? 64 : 2 * all->room;

		r = realloc(all->r, room * sizeof(*r));
		if (r == NULL) {
			close(dir);
			if (fd >= 0)
				close(fd);
			return false;
		}
		all->r = r;
		all->room = room;
	}
	r = &all->r[all->n];
	memset(r, 0, sizeof(*r));
	r->fd = fd;
	r->nspid = nspid;
	r->p = calloc(1, sizeof(*r->p));
	if (r->p != NULL) {
		all->n++;
		r->p->pid = pid;
		r->p->published = fd >= 0;
		names(r->p, dir);
		r->net = net_of(all, dir);
	} else if (fd >= 0)
		close(fd);
	close(dir);
	return r->p != NULL;
}

static bool
find_all(struct all *all, const struct stat_want *w)
{
	DIR *d = opendir("/proc");
	struct dirent *de;
	bool good = true;

	while (d != NULL && good && (de = readdir(d)) != NULL) {
		char *end;
		long pid = strtol(de->d_name, &end, 10);

		if (pid > 0 && *end == '\0' && pid_wanted((pid_t)pid, w))
			good = look_at(all, (pid_t)pid, w);
	}
	if (d != NULL)
		closedir(d);
	return good && d != NULL;
}

/*
 * A connection is shown if its record did not change between a look at its
 * fd, the kernel's table, which was read behind that, and the last copy.
 */
static void
read_all(struct all *all)
{
	for (int round = 0; round < ROUNDS; round++) {
		bool some = false;

		for (size_t i = 0; i < all->n; i++) {
			struct reading *r = &all->r[i];

			if (r->fd < 0 || r->bad)
				continue;
			r->bad = !snapshot(r);
			if (!r->bad && round < ROUNDS - 1 && resolve(r))
				some = true;
		}
		if (!some)
			break;
		for (size_t j = 0; j < all->nnets; j++)
			for (size_t i = 0; i < all->n; i++)
				if (all->r[i].net == j && all->r[i].fd >= 0) {
					net_load(&all->nets[j],
						all->r[i].p->pid);
					break;
				}
	}
}

static bool
shown(const struct stat_proc *p, const struct stat_want *w)
{
	if (w->port != 0 || w->sport != 0 || w->dport != 0)
		return p->nconns != 0;
	return p->live != 0 || w->all || w->npids != 0;
}

static void
only_ports(struct stat_proc *p, const struct stat_want *w)
{
	size_t k = 0;

	for (size_t i = 0; i < p->nconns; i++)
		if (port_wanted(&p->conns[i], w))
			p->conns[k++] = p->conns[i];
	p->nconns = k;
}

bool
stat_collect(struct stat_all *a, const struct stat_want *w)
{
	static const struct net none;
	struct timespec ts;
	struct all all = {0};
	bool good = find_all(&all, w);
	size_t k = 0;

	read_all(&all);
	clock_gettime(CLOCK_REALTIME, &ts);
	*a = (struct stat_all){.time = (double)ts.tv_sec + ts.tv_nsec / 1e9};
	a->procs = calloc(all.n + 1, sizeof(*a->procs));
	good = good && a->procs != NULL;
	for (size_t i = 0; i < all.n; i++) {
		struct reading *r = &all.r[i];
		const struct net *net =
			r->net < all.nnets ? &all.nets[r->net] : &none;

		if (good && !r->bad && (r->fd < 0 || take(r, net)))
			a->procs[a->nprocs++] = *r->p;
		if (r->fd >= 0)
			close(r->fd);
		free(r->p);
		free(r->conns);
		free(r->found);
	}
	for (size_t i = 0; i < all.nnets; i++)
		free(all.nets[i].socks);
	free(all.nets);
	free(all.r);
	if (!good)
		return false;
	fills(a);
	for (size_t i = 0; i < a->nprocs; i++) {
		only_ports(&a->procs[i], w);
		if (shown(&a->procs[i], w))
			a->procs[k++] = a->procs[i];
		else
			free(a->procs[i].conns);
	}
	a->nprocs = k;
	return true;
}

void
stat_free(struct stat_all *a)
{
	for (size_t i = 0; i < a->nprocs; i++)
		free(a->procs[i].conns);
	free(a->procs);
	*a = (struct stat_all){0};
}
