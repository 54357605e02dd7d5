/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A peer that does the rendezvous by hand and then breaks every rule
 * (doc/PROTOCOL.md).
 *
 *	hostile client PORT WRITES	connects, is greeted, and writes into
 *					the segment until it made WRITES writes
 *	hostile server PORTFILE WRITES	accepts, greets, and does the same
 *	hostile greet PORTFILE VARIANT	accepts, echoes by TCP, and greets its
 *					client once with message VARIANT
 *	hostile flood PORT		connects, is greeted, and sends nonsense
 *					on the link's socket
 *	hostile stuck PORT HOW		is greeted, goes up as it should, and
 *					announces bytes that never come; or
 *					records without an end
 *	hostile clog PORT		is greeted, and does all it can to make a
 *					doorbell block whoever rings it
 *	hostile squat FROM TO UID FILE	under that uid: owns a socket from the
 *					port FROM, binds the name of FROM → TO,
 *					and notes in FILE what it was sent
 *	hostile intrude FROM TO UID FILE under that uid: greets whoever binds
 *					that name, and notes whether it was
 *					answered
 *
 * The last two end at SIGTERM. HOSTILE_UID: under that uid.
 */
#include "config.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "net.h"
#include "addr.h"
#include "layout.h"

#define SLOTS 64u
#define RING 65536u
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static uint64_t seed;

static uint64_t
rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static int
dial(int port, int from)
{
	struct sockaddr_in a = address(port), f = address(from);
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	if (fd < 0)
		die("socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if ((from != 0 && bind(fd, (void *)&f, sizeof(f)) != 0) ||
		connect(fd, (void *)&a, sizeof(a)) != 0)
		die("connect");
	return fd;
}

static int
bind_name(const struct kmap_tuple *t)
{
	struct sockaddr_un un;
	socklen_t len = kmap_tuple_name(t, &un);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (void *)&un, len) != 0 || listen(fd, 8) != 0)
		die("name");
	return fd;
}

static int
find_name(const struct kmap_tuple *t)
{
	struct sockaddr_un un;
	socklen_t len = kmap_tuple_name(t, &un);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket");
	if (connect(fd, (void *)&un, len) == 0)
		return fd;
	close(fd);
	return -1;
}

static struct kmap_tuple
tuple_of_ports(int from, int to)
{
	struct sockaddr_in a = address(from), b = address(to);
	struct kmap_tuple t;

	memset(&t, 0, sizeof(t));
	if (kmap_addr_from(&t.from, &a, sizeof(a)) != 0 ||
		kmap_addr_from(&t.to, &b, sizeof(b)) != 0)
		die("address");
	return t;
}

static bool
readable(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, ms) > 0;
}

/* ---- messages ---- */

static ssize_t
send_msg(int sock, const void *m, size_t size, const int *fds, size_t nfds)
{
	union {
		struct cmsghdr h;
		char buf[CMSG_SPACE(64 * sizeof(int))];
	} c;
	struct iovec v = {(void *)(uintptr_t)m, size};
	struct msghdr mh = {.msg_iov = &v, .msg_iovlen = 1};

	memset(&c, 0, sizeof(c));
	if (nfds > 0) {
		mh.msg_control = c.buf;
		mh.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		c.h.cmsg_level = SOL_SOCKET;
		c.h.cmsg_type = SCM_RIGHTS;
		c.h.cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(&c.h), fds, nfds * sizeof(int));
	}
	return sendmsg(sock, &mh, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static ssize_t
recv_msg(int sock, struct kmap_msg *m, int *fds, size_t *nfds)
{
	union {
		struct cmsghdr h;
		char buf[CMSG_SPACE(8 * sizeof(int))];
	} c;
	struct iovec v = {m, sizeof(*m)};
	struct msghdr mh = {.msg_iov = &v,
		.msg_iovlen = 1,
		.msg_control = c.buf,
		.msg_controllen = sizeof(c.buf)};
	ssize_t n = recvmsg(sock, &mh, 0);
	struct cmsghdr *h = n > 0 ? CMSG_FIRSTHDR(&mh) : NULL;

	*nfds = 0;
	if (h != NULL && h->cmsg_type == SCM_RIGHTS) {
		*nfds = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds, CMSG_DATA(h), *nfds * sizeof(int));
	}
	return n;
}

static int
segment(uint64_t size, int seals)
{
	int fd = memfd_create("hostile", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, (off_t)size) != 0 ||
		(seals != 0 && fcntl(fd, F_ADD_SEALS, seals) != 0))
		die("memfd");
	return fd;
}

/* ---- the segment ---- */

struct seg {
	struct kmap_ctl_shm *ctl;
	struct kmap_slot_shm *slots;
	uint8_t *rings;
	uint32_t nslots, slot;
	uint64_t ring, size;
	uint64_t sent;
	int side, fd, theirs, mine, link, tcp;
};

static void
seg_map(struct seg *s)
{
	uint8_t *p;

	s->size = kmap_seg_size(s->nslots, s->ring);
	p = mmap(NULL, s->size, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
	if (p == MAP_FAILED)
		die("mmap");
	s->ctl = (void *)p;
	s->slots = (void *)(p + kmap_seg_slots_at());
	s->rings = p + kmap_seg_rings_at(s->nslots);
}

static uint64_t
value(struct seg *s, uint64_t near)
{
	switch (rnd() % 8) {
	case 0:
		return rnd();
	case 1:
		return near + s->ring;
	case 2:
		return near - 1;
	case 3:
		return near + s->ring + 1;
	case 4:
		return near ^ (UINT64_C(1) << rnd() % 64);
	case 5:
		return UINT64_MAX;
	case 6:
		return 0;
	default:
		return near + rnd() % s->ring;
	}
}

/* Honest enough to be taken along: consents, passes, and goes up. */
static void
play_along(struct seg *s)
{
	struct kmap_slot_shm *sh = &s->slots[s->slot];
	struct kmap_dir_shm *in = &sh->dir[!s->side], *out = &sh->dir[s->side];

	atomic_store(&in->consent, 1);
	atomic_store(&in->passed, atomic_load(&in->nrec));
	atomic_store(&in->head, atomic_load(&in->tail));
	if (atomic_load(&out->consent) != 0) {
		atomic_fetch_or(&out->nrec, 1);
		atomic_store(&out->tail,
			atomic_load(&out->head) + rnd() % (s->ring + 1));
	}
}

static void
write_dir(struct seg *s, struct kmap_dir_shm *d)
{
	switch (rnd() % 14) {
	case 0:
	case 1:
	case 2:
		atomic_store(&d->tail, value(s, atomic_load(&d->head)));
		break;
	case 3:
	case 4:
	case 5:
		atomic_store(&d->head, value(s, atomic_load(&d->tail)));
		break;
	case 6:
		atomic_store(&d->rec_tcp, value(s, atomic_load(&d->rec_tcp)));
		break;
	case 7:
		atomic_store(&d->rec_ring, value(s, atomic_load(&d->head)));
		break;
	case 8:
		atomic_store(&d->nrec,
			rnd() % 2 ? (uint32_t)rnd()
				  : atomic_load(&d->passed) +
					(uint32_t)(rnd() % 4));
		break;
	case 9:
		atomic_store(&d->passed,
			rnd() % 2 ? (uint32_t)rnd() : atomic_load(&d->nrec));
		break;
	case 10:
		atomic_store(&d->consent, (uint32_t)(rnd() % 4));
		break;
	case 11:
		atomic_store(&d->sflags, (uint32_t)(rnd() % 16));
		atomic_store(&d->rflags, (uint32_t)(rnd() % 8 == 0 ? 2 : 0));
		atomic_store(&d->freeze_at, value(s, atomic_load(&d->tail)));
		break;
	case 12:
		atomic_store(&d->data_waiters,
			rnd() % 4 ? rnd() & ~KMAP_BOUNCE : rnd());
		atomic_store(&d->space_waiters, rnd());
		break;
	default:
		atomic_fetch_add(&d->progress, 1);
	}
}

static void
write_ctl(struct seg *s)
{
	struct kmap_side_shm *side = &s->ctl->side[rnd() % 2];
	struct kmap_place_shm *p = &side->place[rnd() % KMAP_PLACES];
	struct kmap_slot_shm *sh = &s->slots[rnd() % s->nslots];

	switch (rnd() % 12) {
	case 0:
		atomic_store(&p->asleep, (uint32_t)rnd());
		break;
	case 1:
		atomic_store(&p->rung_at, rnd());
		break;
	case 2:
		atomic_store(&p->level1, rnd());
		break;
	case 3:
		atomic_store(&p->level2[rnd() % 64], rnd());
		break;
	case 4:
		atomic_store(&side->acked, rnd());
		break;
	case 5:
		atomic_fetch_add(&side->messages, 1);
		break;
	case 6:
		atomic_fetch_add(&side->beat, (uint32_t)rnd());
		break;
	case 7:
		atomic_store(&s->ctl->log_tail, (uint32_t)rnd());
		break;
	case 8:
		atomic_store(&s->ctl->log[rnd() % KMAP_LOG_SIZE],
			rnd() % 2 ? (uint32_t)rnd() : s->slot);
		break;
	case 9:
		atomic_store(&sh->claim, (uint32_t)(rnd() << 2 | rnd() % 4));
		break;
	case 10:
		atomic_store(&sh->released[rnd() % 2], (uint32_t)rnd());
		memcpy(&sh->tuple, &s->slots[s->slot].tuple, 40);
		break;
	default:
		s->ctl->nslots = (uint32_t)rnd();
		s->ctl->ring_size = rnd();
		s->ctl->magic = (uint32_t)rnd();
	}
}

static bool
alive(int fd)
{
	char buf[4096];
	ssize_t n;

	while ((n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0)
		;
	return n < 0 && errno == EAGAIN;
}

/* Writes until the connection is dead, or `max` writes. */
static uint64_t
scribble(struct seg *s, uint64_t max)
{
	struct kmap_slot_shm *sh = &s->slots[s->slot];
	unsigned int nice = (unsigned int)(rnd() % 4);
	static const uint64_t one = 1;
	uint64_t n;

	for (n = 0; n < max; n++) {
		/* In turn: patient with one field, or all of them at once. */
		if (nice != 0 && rnd() % (1u << (nice * 4)) != 0)
			play_along(s);
		else if (rnd() % 4 != 0)
			write_dir(s, &sh->dir[rnd() % 2]);
		else
			write_ctl(s);
		if (n % 64 == 0)
			s->rings[rnd() %
				(s->size -
					(uint64_t)(s->rings -
						(uint8_t *)s->ctl))] =
				(uint8_t)rnd();
		if (n % 512 == 0) {
			if (write(s->theirs, &one, sizeof(one)) < 0)
				break;
			if (send(s->tcp, "hostile", rnd() % 8,
				    MSG_DONTWAIT | MSG_NOSIGNAL) < 0 &&
				errno != EAGAIN)
				break;
			if (!alive(s->tcp))
				break;
			sched_yield();
		}
		if (n % 65536 == 0)
			fallocate(s->fd,
				FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
				(off_t)s->size);
	}
	return n + 1;
}

static uint64_t
attack(struct seg *s, uint64_t max)
{
	uint64_t n;

	seg_map(s);
	n = scribble(s, max);
	munmap(s->ctl, s->size);
	return n;
}

static struct kmap_msg
message(uint32_t kind, const struct kmap_tuple *t)
{
	return (struct kmap_msg){.magic = KMAP_MAGIC,
		.version = KMAP_WIRE_VERSION,
		.kind = kind,
		.size = sizeof(struct kmap_msg),
		.nslots = SLOTS,
		.slot = 0,
		.ring_size = RING,
		.tuple = *t};
}

/* As a client: a name, a few bytes to be worth it, and the greeting. */
static bool
be_greeted(struct seg *s, int port)
{
	struct kmap_tuple t;
	struct kmap_msg m;
	size_t nfds = 0;
	bool nat;
	int name, fds[8], i;
	char buf[2048] = {0};

	memset(s, 0, sizeof(*s));
	s->side = KMAP_CONNECTOR;
	s->tcp = dial(port, 0);
	s->fd = s->theirs = s->mine = s->link = -1;
	if (kmap_tuple_of(&t, s->tcp, KMAP_CONNECTOR, &nat) != 0)
		die("tuple");
	name = bind_name(&t);
	for (i = 0; i < 400 && !readable(name, 0); i++) {
		if (send(s->tcp, buf, sizeof(buf), MSG_NOSIGNAL) <= 0)
			break;
		s->sent += sizeof(buf);
		if (!readable(s->tcp, 1000) || !alive(s->tcp))
			break;
	}
	if (readable(name, 0)) {
		s->link = accept4(name, NULL, NULL, SOCK_CLOEXEC);
		if (readable(s->link, 1000) &&
			recv_msg(s->link, &m, fds, &nfds) == sizeof(m) &&
			m.kind == KMAP_MSG_HELLO && (nfds == 2 || nfds == 1)) {
			s->fd = fds[0];
			if (nfds == 2)
				s->theirs = fds[1];
			s->nslots = m.nslots;
			s->ring = m.ring_size;
			s->slot = m.slot;
		}
	}
	close(name);
	if (s->fd < 0)
		return false;
	s->mine = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	m = message(KMAP_MSG_WELCOME, &t);
	return send_msg(s->link, &m, sizeof(m), &s->mine, 1) == sizeof(m);
}

static void
let_go(struct seg *s)
{
	close(s->tcp);
	close(s->link);
	close(s->fd);
	close(s->theirs);
	close(s->mine);
}

static int
client(int port, uint64_t writes)
{
	uint64_t done = 0, conns = 0, missed = 0;
	struct seg s;

	while (done < writes && missed < 50) {
		if (!be_greeted(&s, port))
			missed++;
		else {
			done += attack(&s, 400000);
			conns++;
		}
		let_go(&s);
	}
	printf("%llu writes, %llu connections\n", (unsigned long long)done,
		(unsigned long long)conns);
	return done < writes;
}

/* As a server: looks for the client's name and greets it. */
static bool
greet(struct seg *s, int fd)
{
	struct kmap_tuple t;
	struct kmap_msg m;
	size_t nfds = 0;
	int fds[8];
	bool nat;

	memset(s, 0, sizeof(*s));
	s->side = KMAP_ACCEPTOR;
	s->tcp = fd;
	s->fd = s->theirs = s->mine = s->link = -1;
	if (kmap_tuple_of(&t, fd, KMAP_ACCEPTOR, &nat) != 0)
		return false;
	for (int i = 0; i < 200 && s->link < 0 && alive(fd); i++) {
		s->link = find_name(&t);
		if (s->link < 0)
			usleep(1000);
	}
	if (s->link < 0)
		return false;
	s->nslots = SLOTS;
	s->ring = RING;
	s->fd = segment(kmap_seg_size(SLOTS, RING), SEALS);
	s->mine = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	m = message(KMAP_MSG_HELLO, &t);
	fds[0] = s->fd;
	fds[1] = s->mine;
	if (send_msg(s->link, &m, sizeof(m), fds, 2) != sizeof(m))
		return false;
	for (int i = 0; i < 200 && !readable(s->link, 1) && alive(fd); i++)
		send(fd, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (!readable(s->link, 0) ||
		recv_msg(s->link, &m, fds, &nfds) != sizeof(m) || nfds != 1)
		return false;
	s->theirs = fds[0];
	return true;
}

static int
server(const char *file, uint64_t writes)
{
	uint64_t done = 0, conns = 0;
	int l = listen_at(file, 64);
	struct seg s;

	while (done < writes) {
		int fd = accept4(l, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			die("accept");
		if (greet(&s, fd)) {
			done += attack(&s, 400000);
			conns++;
		}
		let_go(&s);
	}
	printf("%llu writes, %llu connections\n", (unsigned long long)done,
		(unsigned long long)conns);
	return 0;
}

/* ---- wrong greetings ---- */

static int
pipe_end(bool full)
{
	char buf[4096] = {0};
	int p[2];

	if (pipe2(p, O_CLOEXEC | O_NONBLOCK) != 0)
		die("pipe");
	while (full && write(p[1], buf, sizeof(buf)) > 0)
		;
	fcntl(p[1], F_SETFL, 0);
	return p[1];
}

/* Whether it was sent. */
static bool
greet_wrong(int sock, const struct kmap_tuple *t, const char *v)
{
	uint64_t size = kmap_seg_size(SLOTS, RING);
	struct kmap_msg m = message(KMAP_MSG_HELLO, t);
	char big[4096] = {0};
	size_t len = sizeof(m), nfds = 2;
	int fds[64], seals = SEALS;
	bool sent;
	uint64_t brim = UINT64_MAX - 1;

#define IS(x) (strcmp(v, x) == 0)
	if (IS("magic"))
		m.magic ^= 1;
	else if (IS("version"))
		m.version++;
	else if (IS("kind"))
		m.kind = KMAP_MSG_PLACE;
	else if (IS("tuple"))
		m.tuple.from.port ^= 1;
	else if (IS("ring-odd"))
		m.ring_size = RING - 4096;
	else if (IS("ring-0"))
		m.ring_size = 0;
	else if (IS("ring-huge"))
		m.ring_size = UINT64_C(1) << 62;
	else if (IS("slots-0"))
		m.nslots = 0;
	else if (IS("slots-huge"))
		m.nslots = UINT32_MAX;
	else if (IS("slot"))
		m.slot = SLOTS;
	else if (IS("unsealed"))
		seals = 0;
	else if (IS("shrinkable"))
		seals = F_SEAL_GROW | F_SEAL_SEAL;
	else if (IS("growable"))
		seals = F_SEAL_SHRINK | F_SEAL_SEAL;
	else if (IS("more-seals"))
		seals = F_SEAL_SHRINK | F_SEAL_GROW;
	else if (IS("read-only"))
		seals = SEALS | F_SEAL_WRITE;
	else if (IS("small"))
		size -= 4096;
	else if (IS("large"))
		size += 4096;
	else if (IS("short"))
		len = 64;
	else if (IS("long"))
		len = 256;
	else if (IS("empty"))
		len = 0;
	else if (IS("no-fds"))
		nfds = 0;
	else if (IS("one-fd"))
		nfds = 1;
	else if (IS("three-fds"))
		nfds = 3;
	else if (IS("many-fds"))
		nfds = 60;
	else if (IS("size"))
		m.size = 64;
	fds[0] = segment(size, seals);
	fds[1] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (IS("segment-pipe"))
		fds[0] = pipe_end(false);
	else if (IS("segment-zero"))
		fds[0] = open("/dev/zero", O_RDWR | O_CLOEXEC);
	else if (IS("segment-dir"))
		fds[0] = open("/", O_RDONLY | O_CLOEXEC);
	else if (IS("bell-pipe"))
		fds[1] = pipe_end(true);
	else if (IS("bell-blocks")) {
		fds[1] = eventfd(0, EFD_CLOEXEC);
		if (write(fds[1], &brim, sizeof(brim)) < 0)
			die("eventfd");
	} else if (IS("bell-socket"))
		fds[1] = socket(AF_INET, SOCK_STREAM, 0);
	for (size_t i = 2; i < nfds; i++)
		fds[i] = fds[1];
	memcpy(big, &m, sizeof(m));
	sent = send_msg(sock, big, len, fds, nfds) >= 0;
	close(fds[0]);
	close(fds[1]);
	return sent;
}

static int
count_fds(pid_t pid)
{
	char path[64];
	DIR *dir;
	int n = 0;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	while (dir != NULL && readdir(dir) != NULL)
		n++;
	if (dir != NULL)
		closedir(dir);
	return n;
}

static int
greet_one(const char *file, const char *variant)
{
	int fd = accept(listen_at(file, 64), NULL, NULL), sock = -1, before = 0;
	int after = 0, rounds = 0;
	struct kmap_tuple t;
	struct ucred c = {0};
	socklen_t len = sizeof(c);
	char buf[4096];
	ssize_t n;
	bool nat;

	if (fd < 0 || kmap_tuple_of(&t, fd, KMAP_ACCEPTOR, &nat) != 0)
		die("accept");
	while ((n = recv(fd, buf, sizeof(buf), 0)) > 0) {
		rounds++;
		if (sock < 0 && (sock = find_name(&t)) >= 0) {
			getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &c, &len);
			before = count_fds(c.pid);
			greet_wrong(sock, &t, variant);
			rounds = 0;
		}
		/* Its name stands as long as it is refused. */
		if (sock >= 0 && rounds > 20)
			after = count_fds(c.pid);
		if (send(fd, buf, (size_t)n, MSG_NOSIGNAL) != n)
			break;
	}
	if (sock < 0) {
		printf("never met\n");
		return 1;
	}
	printf("fds %d %d\n", before, after);
	/* The client's own placeholder may have been made meanwhile. */
	return strcmp(variant, "good") != 0 && after > before + 1;
}

static int
flood(int port)
{
	static const uint64_t one = 1;
	struct seg s;
	struct kmap_msg m;
	char buf[1024] = {0};
	int sent = 0;

	if (!be_greeted(&s, port)) {
		printf("never greeted\n");
		return 1;
	}
	seg_map(&s);
	for (int i = 0; i < 20000 && alive(s.tcp); i++) {
		int fds[60];

		for (int k = 0; k < 60; k++)
			fds[k] = rnd() % 2 ? s.mine : s.tcp;
		m = message((uint32_t)(rnd() % 5), &(struct kmap_tuple){0});
		m.arg = rnd() % 2 ? (uint32_t)rnd() : (uint32_t)(rnd() % 64);
		if (rnd() % 16 == 0)
			m.version++;
		if (send_msg(s.link, &m,
			    rnd() % 8 ? sizeof(m) : rnd() % sizeof(m), fds,
			    rnd() % 4 ? rnd() % 4 : 60) > 0)
			sent++;
		atomic_fetch_add(&s.ctl->side[KMAP_CONNECTOR].messages, 1);
		if (write(s.theirs, &one, sizeof(one)) < 0)
			break;
		if (send(s.tcp, buf, sizeof(buf), MSG_DONTWAIT | MSG_NOSIGNAL) <
				0 &&
			errno != EAGAIN)
			break;
	}
	printf("%d messages\n", sent);
	let_go(&s);
	return sent < 100;
}

/* Whether the server still answers others: it has one thread. */
static bool
answers(int port)
{
	int fd = dial(port, 0);
	bool yes = send(fd, "?", 1, MSG_NOSIGNAL) == 1 && readable(fd, 5000);

	close(fd);
	return yes;
}

static int
stuck(int port, int how)
{
	struct kmap_dir_shm *d;
	struct seg s;
	pid_t pid;
	bool fine;

	if (!be_greeted(&s, port)) {
		printf("never greeted\n");
		return 1;
	}
	seg_map(&s);
	d = &s.slots[s.slot].dir[KMAP_CONNECTOR];
	for (int i = 0; i < 500 && atomic_load(&d->consent) == 0; i++) {
		s.sent += send(s.tcp, "x", 1, MSG_NOSIGNAL) == 1;
		usleep(2000);
		alive(s.tcp);
	}
	if (atomic_load(&d->consent) == 0) {
		printf("no consent\n");
		return 1;
	}
	atomic_store(&d->rec_tcp, s.sent);
	if (how == 0) {
		/* Up, and down again behind bytes that are not there. */
		atomic_store(&d->rec_ring, 100);
		atomic_store(&d->nrec, 2);
		send(s.tcp, "x", 1, MSG_NOSIGNAL);
		fine = answers(port);
		for (int i = 0; i < 2000 && alive(s.tcp); i++)
			usleep(1000);
		/* Else the server asks for them again and again. */
		fine = fine && !alive(s.tcp);
		goto out;
	}
	atomic_store(&d->nrec, 1);
	for (int i = 0; i < 500 && atomic_load(&d->passed) != 1; i++) {
		static const uint64_t one = 1;

		atomic_store(&d->data_waiters, 0);
		atomic_fetch_or(&s.ctl->side[KMAP_ACCEPTOR]
					 .place[KMAP_PLACE_COMMON]
					 .level2[s.slot / 64],
			UINT64_C(1) << s.slot % 64);
		atomic_fetch_or(&s.ctl->side[KMAP_ACCEPTOR]
					 .place[KMAP_PLACE_COMMON]
					 .level1,
			UINT64_C(1) << s.slot / 64);
		if (write(s.theirs, &one, sizeof(one)) < 0)
			break;
		usleep(2000);
	}
	if (atomic_load(&d->passed) != 1) {
		printf("the record was not passed\n");
		return 1;
	}
	/* Up and down and up for ever, without a byte between. */
	atomic_store(&d->rec_ring, 0);
	pid = fork();
	if (pid == 0) {
		send(s.tcp, "x", 1, MSG_NOSIGNAL);
		for (int i = 0; i < 400000000; i++) {
			uint32_t k = atomic_load(&d->passed);

			atomic_store(&d->nrec, k + 1);
		}
		_exit(0);
	}
	fine = answers(port);
	kill(pid, SIGKILL);
out:
	printf(fine ? "answers\n" : "hangs, or spins\n");
	let_go(&s);
	return !fine;
}

/* Fills and empties an eventfd that others may write, and makes it block. */
static void *
toggle(void *arg)
{
	int fd = *(int *)arg;
	uint64_t brim = UINT64_MAX - 1, n;

	for (;;) {
		fcntl(fd, F_SETFL, O_NONBLOCK);
		if (read(fd, &n, sizeof(n)) < 0)
			sched_yield();
		n = brim;
		if (write(fd, &n, sizeof(n)) < 0)
			sched_yield();
		fcntl(fd, F_SETFL, 0);
		for (volatile int i = 0; i < 200; i++)
			;
	}
	return NULL;
}

/* A byte each way by the rings, and a doorbell asked for, again and again;
 * what comes on the link's socket is never read. */
static uint64_t
ring_along(struct seg *s, uint64_t rounds)
{
	struct kmap_dir_shm *out = &s->slots[s->slot].dir[KMAP_CONNECTOR];
	struct kmap_dir_shm *in = &s->slots[s->slot].dir[KMAP_ACCEPTOR];
	struct kmap_place_shm *own = s->ctl->side[KMAP_CONNECTOR].place;
	struct kmap_place_shm *p =
		&s->ctl->side[KMAP_ACCEPTOR].place[KMAP_PLACE_COMMON];
	static const uint64_t one = 1;
	uint64_t bells = 0;

	for (uint64_t i = 0; i < rounds; i++) {
		for (int k = 0; k < KMAP_PLACES; k++)
			if (atomic_exchange(&own[k].asleep, 1) == 0)
				bells++;
		atomic_store(&in->passed, atomic_load(&in->nrec));
		atomic_store(&in->head, atomic_load(&in->tail));
		atomic_store(&in->data_waiters, ~KMAP_BOUNCE);
		atomic_store(&out->space_waiters, ~KMAP_BOUNCE);
		if (atomic_load(&out->tail) - atomic_load(&out->head) <
			s->ring / 2)
			atomic_fetch_add(&out->tail, 1);
		atomic_fetch_or(
			&p->level2[s->slot / 64], UINT64_C(1) << s->slot % 64);
		atomic_fetch_or(&p->level1, UINT64_C(1) << s->slot / 64);
		if (atomic_exchange(&p->asleep, 0) != 0) {
			if (s->theirs < 0)
				send(s->link, "", 1, MSG_DONTWAIT);
			else if (write(s->theirs, &one, sizeof(one)) < 0)
				sched_yield();
			atomic_fetch_add(
				&s->ctl->side[KMAP_CONNECTOR].messages, 1);
		}
		sched_yield();
	}
	return bells;
}

static int
clog_bells(int port)
{
	struct kmap_dir_shm *d;
	uint64_t bells = 0;
	pthread_t th;
	struct seg s;
	bool fine = true;

	if (!be_greeted(&s, port)) {
		printf("never greeted\n");
		return 1;
	}
	seg_map(&s);
	d = s.slots[s.slot].dir;
	if (pthread_create(&th, NULL, toggle, &s.mine) != 0 ||
		(s.theirs >= 0 && pthread_create(&th, NULL, toggle, &s.theirs)))
		die("thread");
	atomic_store(&d[KMAP_ACCEPTOR].consent, 1);
	for (int i = 0; i < 500 && atomic_load(&d->consent) == 0; i++) {
		s.sent += send(s.tcp, "x", 1, MSG_NOSIGNAL) == 1;
		usleep(2000);
		alive(s.tcp);
	}
	atomic_store(&d->rec_tcp, s.sent);
	atomic_store(&d->nrec, 1);
	for (int i = 0; i < 20 && fine; i++) {
		bells += ring_along(&s, 1000);
		fine = answers(port);
	}
	printf("%s; %llu doorbells; %s placeholder was passed\n",
		fine ? "answers" : "hangs", (unsigned long long)bells,
		s.theirs < 0 ? "no" : "a");
	/* More than the queue of any socket holds. */
	return !fine || bells < 2000;
}

/* ---- strangers ---- */

static volatile sig_atomic_t over;

static void
stop(int sig)
{
	(void)sig;
	over = 1;
}

static void
note(const char *file, const char *what)
{
	FILE *f = fopen(file, "a");

	if (f == NULL)
		die(file);
	fprintf(f, "%s\n", what);
	fclose(f);
}

static int
squat(int from, int to, uid_t uid, const char *file)
{
	struct kmap_tuple t = tuple_of_ports(from, to);
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	int l, name;

	if (setgid(uid) != 0 || setuid(uid) != 0)
		die("setuid");
	/* A connection of its own from that very port, to elsewhere. */
	l = listen_at(NULL, 64);
	if (getsockname(l, (void *)&a, &len) != 0)
		die("getsockname");
	dial(ntohs(a.sin_port), from);
	name = bind_name(&t);
	note(file, "squats");
	while (!over) {
		struct kmap_msg m;
		size_t nfds;
		int fd, fds[8];

		if (!readable(name, 100))
			continue;
		fd = accept(name, NULL, NULL);
		if (fd < 0)
			continue;
		note(file, "met");
		if (readable(fd, 2000) && recv_msg(fd, &m, fds, &nfds) > 0)
			note(file, "greeted");
		close(fd);
	}
	return 0;
}

static int
intrude(int from, int to, uid_t uid, const char *file)
{
	struct kmap_tuple t = tuple_of_ports(from, to);
	struct kmap_msg m;
	bool met = false;

	if (setgid(uid) != 0 || setuid(uid) != 0)
		die("setuid");
	note(file, "waits");
	while (!over) {
		int sock = find_name(&t), fds[8];
		size_t nfds;

		if (sock < 0) {
			usleep(500);
			continue;
		}
		if (!met)
			note(file, "met");
		met = true;
		if (!greet_wrong(sock, &t, "good"))
			note(file, "left"); /* before it could be read */
		else if (readable(sock, 1000)) {
			ssize_t n = recv_msg(sock, &m, fds, &nfds);

			/* unix(7): a reset says that it was never read. */
			note(file,
				n > 0 ? "answered"
					: n < 0 && errno == ECONNRESET
					? "left"
					: "taken");
		}
		close(sock);
	}
	return 0;
}

int
main(int argc, char **argv)
{
	const char *s = getenv("KMAP_SEED"), *uid = getenv("HOSTILE_UID");
	struct sigaction a = {.sa_handler = stop};

	seed = s && *s
		? strtoull(s, NULL, 0)
		: (uint64_t)time(NULL) * 2654435761u + (uint64_t)getpid();
	signal(SIGPIPE, SIG_IGN);
	sigaction(SIGTERM, &a, NULL);
	if (argc < 3)
		return 2;
	if (uid != NULL &&
		(setgid((gid_t)atoi(uid)) != 0 ||
			setuid((uid_t)atoi(uid)) != 0))
		die("setuid");
	if (strcmp(argv[1], "client") == 0 && argc == 4)
		return client(atoi(argv[2]), strtoull(argv[3], NULL, 0));
	if (strcmp(argv[1], "server") == 0 && argc == 4)
		return server(argv[2], strtoull(argv[3], NULL, 0));
	if (strcmp(argv[1], "greet") == 0 && argc == 4)
		return greet_one(argv[2], argv[3]);
	if (strcmp(argv[1], "flood") == 0)
		return flood(atoi(argv[2]));
	if (strcmp(argv[1], "stuck") == 0 && argc == 4)
		return stuck(atoi(argv[2]), atoi(argv[3]));
	if (strcmp(argv[1], "clog") == 0)
		return clog_bells(atoi(argv[2]));
	if (strcmp(argv[1], "squat") == 0 && argc == 6)
		return squat(atoi(argv[2]), atoi(argv[3]), (uid_t)atoi(argv[4]),
			argv[5]);
	if (strcmp(argv[1], "intrude") == 0 && argc == 6)
		return intrude(atoi(argv[2]), atoi(argv[3]),
			(uid_t)atoi(argv[4]), argv[5]);
	return 2;
}
