/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "publish.h"

#include "fdtab.h"
#include "link.h"
#include "pair.h"
#include "sys.h"

#include <fcntl.h>
#include <linux/memfd.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

_Static_assert(KMAP_NSTATS <= KMAP_PUB_NAMES, "published");
_Static_assert(KMAP_NWHY <= KMAP_PUB_NAMES, "published");

struct kmap_pub kmap_published;
kmap_a32 kmap_publish_tried;

static struct kmap_lock lock;
static int pub_fd = -1;
static uint32_t nconns; /* survives the change of memory at a fork */
static bool stopped;

static uint64_t
room_for(uint32_t conns)
{
	return offsetof(struct kmap_pub, conn) +
		(uint64_t)conns * sizeof(struct kmap_pub_conn);
}

static int
put_under(int flags, int fd)
{
	long r = kmap_syscall(SYS_mmap, &kmap_published, sizeof(kmap_published),
		PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd, 0);

	return r < 0 && r > -4096 ? (int)r : 0;
}

/*
 * A memfd with room for the records in use. Sealed, so that nobody who may
 * open it makes us meet SIGBUS, or writes. Its pages exist before use: an
 * empty machine says so here, not by a signal later.
 */
static int
make_file(void)
{
	uint64_t limit;
	int fd, r;

	if (kmap_sys_file_limit(&limit) != 0 || limit < sizeof(kmap_published))
		return -1;
	fd = kmap_sys_raise(kmap_syscall(SYS_memfd_create, KMAP_PUB_NAME,
		MFD_CLOEXEC | MFD_ALLOW_SEALING, 0, 0, 0, 0));
	if (fd < 0)
		return fd;
	r = kmap_syscall(SYS_ftruncate, fd, sizeof(kmap_published), 0, 0, 0, 0);
	if (r == 0)
		r = kmap_syscall(
			SYS_fallocate, fd, 0, 0, room_for(nconns), 0, 0);
	if (r == 0)
		r = put_under(MAP_SHARED, fd);
	if (r != 0) {
		kmap_sys_close(fd);
		return -1;
	}
	/* Before Linux 5.1 nothing forbids writers alone. */
	if (kmap_sys_fcntl(fd, F_ADD_SEALS,
		    F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE |
			    F_SEAL_SEAL) != 0)
		kmap_sys_fcntl(fd, F_ADD_SEALS,
			F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	return kmap_fd_hide(fd);
}

/*
 * The memory changes under the counters. None was counted yet: this runs
 * before the process's first connection, or alone in the child of a fork.
 */
void
kmap_publish_begin_slow(void)
{
	struct kmap_pub_head *p = &kmap_published.head;

	kmap_lock(&lock);
	if (a_load(&kmap_publish_tried) == 0) {
		if (!stopped && getauxval(AT_PAGESZ) <= KMAP_PUB_ALIGN)
			pub_fd = make_file();
		if (pub_fd >= 0) {
			p->version = KMAP_PUB_VERSION;
			p->head_size = offsetof(struct kmap_pub, conn);
			p->conn_size = sizeof(struct kmap_pub_conn);
			p->conn_max = KMAP_PUB_CONNS;
			p->nstats = KMAP_NSTATS;
			p->nwhy = KMAP_NWHY;
			p->pid = kmap_sys_getpid();
			a_store(&p->nconns, nconns);
			a_store_rel(&p->magic, KMAP_PUB_MAGIC);
		}
		a_store_rel(&kmap_publish_tried, 1u);
	}
	kmap_unlock(&lock);
}

void
kmap_publish_stop(void)
{
	stopped = true;
}

bool
kmap_publish_room(unsigned int first, unsigned int n)
{
	bool room = first + n <= KMAP_PUB_CONNS;

	kmap_lock(&lock);
	/* A file without these pages could raise SIGBUS. */
	if (room && pub_fd >= 0)
		room = !stopped &&
			kmap_syscall(SYS_fallocate, pub_fd, 0, room_for(first),
				n * sizeof(struct kmap_pub_conn), 0, 0) == 0;
	if (room && first + n > nconns) {
		nconns = first + n;
		a_store_rel(&kmap_published.head.nconns, nconns);
	}
	kmap_unlock(&lock);
	return room;
}

static void
live_one(struct kmap_ent *e, void *arg)
{
	(void)e;
	*(bool *)arg = true;
}

static void
open_anew(struct kmap_ent *e, void *arg)
{
	(void)arg;
	kmap_publish_open(e);
}

bool
kmap_publish_forked(void)
{
	int old = pub_fd;
	bool live = false;

	a_store(&lock.word, 0u);
	if (old < 0)
		return true;
	if (put_under(MAP_PRIVATE | MAP_ANONYMOUS, -1) != 0)
		return false;
	pub_fd = -1;
	kmap_fd_hidden_close(old);
	a_store(&kmap_publish_tried, 0u);
	kmap_ent_each(live_one, &live);
	if (live)
		kmap_publish_begin();
	kmap_ent_each(open_anew, NULL);
	return true;
}

void
kmap_publish_open(struct kmap_ent *e)
{
	struct kmap_pub_conn *p = e->pub;

	memset(&p->rx_records, 0,
		sizeof(*p) - offsetof(struct kmap_pub_conn, rx_records));
	p->fd = e->fd;
	p->rx_records = e->ep->rx.passed;
	p->tx_records = e->ep->tx.nrec;
	p->head_base = e->ep->rx.ring.head;
	p->tail_base = e->ep->tx.ring.tail;
	kmap_publish_state(e);
	a_count(&kmap_published.head.live, 1u);
	/* The reader pairs it with the fields above. */
	a_store_rel(&p->seq, a_load(&p->seq) | 1u);
}

void
kmap_publish_close(struct kmap_ent *e, int why)
{
	struct kmap_pub_conn *p = e->pub;
	uint64_t n[KMAP_NSTATS] = {0};
	uint32_t seq = a_load(&p->seq);

	kmap_stats_of(p, n);
	a_add(&kmap_published.head.begun, 1u);
	for (int i = 0; i < KMAP_NSTATS; i++)
		if (n[i] != 0)
			kmap_stats_add((enum kmap_stat)i, n[i]);
	if (why == KMAP_WHY_NONE)
		kmap_stats_count(KMAP_STAT_connections_upgraded);
	else
		a_count(&kmap_stats_why[why], UINT64_C(1));
	a_store_rel(&p->seq, (seq | 1u) + 1);
	a_sub(&kmap_published.head.live, 1u);
	a_add(&kmap_published.head.ended, 1u);
}

void
kmap_publish_state(struct kmap_ent *e)
{
	struct kmap_pub_conn *p = e->pub;
	const struct kmap_ep *ep = e->ep;
	uint32_t why = a_load(&ep->why);

	if (why == KMAP_WHY_NONE)
		why = kmap_pair_verdict(e);
	a_store(&p->state,
		a_load(&ep->stage) | a_load(&ep->role) << 8 | why << 16);
	if (ep->link == NULL || p->segment != 0)
		return;
	p->slot = ep->slot;
	p->slot_gen = ep->slot_gen;
	p->ring_size = (uint32_t)ep->link->ring_size;
	p->segment = ep->link->inode;
}
