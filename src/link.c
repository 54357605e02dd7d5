/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "link.h"

#include "addr.h"
#include "fdtab.h"
#include "log.h"
#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/memfd.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/vfs.h>

#ifndef MADV_DONTDUMP
#define MADV_DONTDUMP 16
#endif

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
/* Addresses that one peer may take: 1,024 slots of the largest rings. */
#define SEG_MAX ((UINT64_C(128) << 30) + (UINT64_C(1) << 20))
/* Messages taken at once: who sends them for ever is not listened to. */
#define MESSAGES_MAX 64

_Atomic(struct kmap_link *) kmap_links;
struct kmap_lock kmap_links_lock;

static struct kmap_lock common_lock;
static kmap_a32 common_fd_plus1;

int
kmap_common_fd(void)
{
	int fd = (int)a_load_acq(&common_fd_plus1) - 1;

	if (fd >= 0)
		return fd;
	kmap_lock(&common_lock);
	fd = (int)a_load(&common_fd_plus1) - 1;
	if (fd < 0) {
		fd = kmap_fd_hide(kmap_sys_raise(
			kmap_sys_eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)));
		if (fd >= 0)
			a_store_rel(&common_fd_plus1, (uint32_t)fd + 1);
	}
	kmap_unlock(&common_lock);
	return fd;
}

/*
 * Eventfds are for peers of our own uid. Who shares the description of one
 * can take O_NONBLOCK away and fill the counter, and then whoever writes a
 * doorbell sleeps until it is read: a stranger would hold us, or by our own
 * placeholder those of our peers that trust us. So strangers are rung by a
 * byte on the link socket: its flags are our own, MSG_DONTWAIT is said with
 * each byte, and its queue is that link's alone. The hub is an epoll fd with
 * these sockets and the common placeholder in it, one fd for any sleeper.
 */
static kmap_a32 hub_fd_plus1;

static int
hub_make(void)
{
	static const uint64_t one = 1;
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET};
	int common = kmap_common_fd(), fd, r;

	if (common < 0)
		return common;
	/* A thread that a packet woke asks the hub again before it returns,
	 * and another process of the family may have thrown the packet away
	 * by then. So the hub is readable for ever, by the placeholder, which
	 * nobody empties; each arrival is an edge of it all the same. */
	kmap_sys_write(common, &one, sizeof(one));
	fd = kmap_fd_hide(
		kmap_sys_raise(kmap_sys_epoll_create1(EPOLL_CLOEXEC)));
	if (fd < 0)
		return fd;
	r = kmap_sys_epoll_ctl(fd, EPOLL_CTL_ADD, common, &ev);
	if (r != 0) {
		kmap_fd_hidden_close(fd);
		return r;
	}
	a_store_rel(&hub_fd_plus1, (uint32_t)fd + 1);
	return fd;
}

static struct kmap_lock hub_lock;

int
kmap_link_estrange(struct kmap_link *l)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET};
	int hub, r;

	kmap_lock(&hub_lock);
	hub = (int)a_load(&hub_fd_plus1) - 1;
	if (hub < 0)
		hub = hub_make();
	kmap_unlock(&hub_lock);
	if (hub < 0)
		return hub;
	r = kmap_sys_epoll_ctl(hub, EPOLL_CTL_ADD, l->sock, &ev);
	if (r == 0) {
		l->stranger = true;
		l->my_common = hub;
	}
	return r;
}

int
kmap_sleep_fd(void)
{
	int hub = (int)a_load_acq(&hub_fd_plus1) - 1;

	return hub >= 0 ? hub : kmap_common_fd();
}

/* Everything of a link that only this process sees, in one mapping. */
static struct kmap_link *
link_alloc(uint32_t nslots)
{
	size_t head = KMAP_ROUND(sizeof(struct kmap_link), 64);
	size_t size = head + nslots * (sizeof(void *) + 2 * sizeof(uint32_t));
	struct kmap_link *l;

	size = KMAP_ROUND(size, KMAP_PAGE);
	l = kmap_sys_mmap(
		size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	if (l == NULL)
		return NULL;
	l->priv_size = size;
	l->nslots = nslots;
	l->ents = (void *)((char *)l + head);
	l->gen = (uint32_t *)(l->ents + nslots);
	l->free = l->gen + nslots;
	l->sock = -1;
	for (int i = 0; i < KMAP_PLACES; i++)
		l->peer_fd[i] = -1;
	return l;
}

static int
link_map(struct kmap_link *l, int memfd)
{
	void *p = kmap_sys_mmap(
		l->size, PROT_READ | PROT_WRITE, MAP_SHARED, memfd);

	if (p == NULL)
		return -ENOMEM;
	kmap_syscall(SYS_madvise, p, l->size, MADV_DONTDUMP, 0, 0, 0);
	l->ctl = p;
	l->slots = (void *)((char *)p + kmap_seg_slots_at());
	l->rings = (uint8_t *)p + kmap_seg_rings_at(l->nslots);
	l->my_common = l->own_bell = kmap_common_fd();
	return l->my_common < 0 ? l->my_common : 0;
}

static int
file_may_grow(uint64_t size)
{
	uint64_t limit;

	return kmap_sys_file_limit(&limit) == 0 && limit < size ? -EFBIG : 0;
}

struct kmap_link *
kmap_link_create(int *memfd, uint32_t nslots, uint64_t ring_size, int *err)
{
	uint64_t size = kmap_seg_size(nslots, ring_size);
	struct kmap_link *l = NULL;
	struct stat st;
	int fd = -1, r;

	r = file_may_grow(size);
	if (r < 0)
		goto fail;
	fd = kmap_sys_raise(kmap_syscall(SYS_memfd_create, "kmap",
		MFD_CLOEXEC | MFD_ALLOW_SEALING, 0, 0, 0, 0));
	r = fd < 0 ? fd
		   : (int)kmap_syscall(SYS_ftruncate, fd, size, 0, 0, 0, 0);
	if (r == 0)
		r = kmap_sys_fcntl(fd, F_ADD_SEALS, SEALS);
	if (r < 0)
		goto fail;
	l = link_alloc(nslots);
	if (l == NULL) {
		r = -ENOMEM;
		goto fail;
	}
	if (kmap_syscall(SYS_fstat, fd, &st, 0, 0, 0, 0) == 0)
		l->inode = st.st_ino;
	l->side = KMAP_ACCEPTOR;
	l->size = size;
	l->ring_size = ring_size;
	r = link_map(l, fd);
	if (r < 0)
		goto fail;
	l->ctl->magic = KMAP_MAGIC;
	l->ctl->version = KMAP_WIRE_VERSION;
	l->ctl->nslots = nslots;
	l->ctl->ring_size = ring_size;
	a_store(&l->slots[0].claim, 1u << 2 | KMAP_CLAIM_CLAIMED);
	l->gen[0] = 1;
	/* 0 means none: then it is not joined, only made anew. */
	kmap_syscall(SYS_getrandom, &l->id, sizeof(l->id), 1, 0, 0, 0);
	*memfd = fd;
	return l;
fail:
	if (l != NULL)
		kmap_link_free(l);
	if (fd >= 0)
		kmap_sys_close(fd);
	*err = r;
	return NULL;
}

struct kmap_link *
kmap_link_attach(int memfd, const struct kmap_msg *hello, int *err)
{
	uint64_t size = 0;
	struct kmap_link *l = NULL;
	struct statfs sf;
	struct stat st;
	int r = -EPROTO;

	if (hello->nslots == 0 || hello->nslots > KMAP_SLOTS_MAX ||
		hello->ring_size < KMAP_RING_MIN ||
		hello->ring_size > KMAP_RING_MAX ||
		(hello->ring_size & (hello->ring_size - 1)) != 0 ||
		hello->slot >= hello->nslots)
		goto fail;
	size = kmap_seg_size(hello->nslots, hello->ring_size);
	/* Sealed against shrinking: no SIGBUS by the peer's will. Nor by a
	 * hole in a memfd of huge pages, which may not be had again. */
	if (size > SEG_MAX || kmap_sys_fcntl(memfd, F_GET_SEALS, 0) != SEALS ||
		kmap_syscall(SYS_fstat, memfd, &st, 0, 0, 0, 0) != 0 ||
		(uint64_t)st.st_size != size ||
		kmap_syscall(SYS_fstatfs, memfd, &sf, 0, 0, 0, 0) != 0 ||
		sf.f_type != TMPFS_MAGIC)
		goto fail;
	l = link_alloc(hello->nslots);
	if (l == NULL) {
		r = -ENOMEM;
		goto fail;
	}
	l->inode = st.st_ino;
	l->side = KMAP_CONNECTOR;
	l->size = size;
	l->ring_size = hello->ring_size;
	r = link_map(l, memfd);
	if (r < 0)
		goto fail;
	for (uint32_t i = l->nslots; i-- > 0;)
		if (i != hello->slot)
			l->free[l->nfree++] = i;
	l->gen[hello->slot] = 1;
	/* Without it slots are lost, no more. */
	l->back = kmap_sys_mmap(l->nslots * sizeof(l->back[0]),
		PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1);
	l->id = hello->link;
	return l;
fail:
	if (l != NULL)
		kmap_link_free(l);
	*err = r;
	return NULL;
}

void
kmap_link_publish(struct kmap_link *l)
{
	kmap_lock(&kmap_links_lock);
	atomic_store(&l->next, atomic_load(&kmap_links));
	atomic_store(&kmap_links, l);
	kmap_unlock(&kmap_links_lock);
}

static void
close_fds(struct kmap_link *l)
{
	/* The socket may live on in a child; the hub is the process's. */
	if (l->stranger && !l->inherited)
		kmap_sys_epoll_ctl(l->my_common, EPOLL_CTL_DEL, l->sock, NULL);
	if (l->sock >= 0)
		kmap_fd_hidden_close(l->sock);
	l->sock = -1;
	for (int i = 0; i < KMAP_PLACES; i++) {
		if (l->peer_fd[i] >= 0)
			kmap_fd_hidden_close(l->peer_fd[i]);
		l->peer_fd[i] = -1;
	}
}

void
kmap_link_free(struct kmap_link *l)
{
	close_fds(l);
	if (l->ctl != NULL)
		kmap_sys_munmap(l->ctl, l->size);
	if (l->back != NULL)
		kmap_sys_munmap(l->back, l->nslots * sizeof(l->back[0]));
	kmap_sys_munmap(l, l->priv_size);
}

/* What lies unread on the socket, or was left unread at its other end, says
 * nothing of it, and may hide an end that recv would tell. */
bool
kmap_link_dead(struct kmap_link *l)
{
	return l->sock < 0 || (kmap_sys_poll1(l->sock, 0) & POLLHUP) != 0;
}

bool
kmap_link_leads(const struct kmap_link *l, const struct kmap_addr *to)
{
	uint32_t n = a_load_acq(&l->ndests);

	for (uint32_t i = 0; i < n; i++)
		if (kmap_addr_eq(&l->dests[i], to))
			return true;
	return false;
}

void
kmap_link_lead(struct kmap_link *l, const struct kmap_addr *to)
{
	uint32_t n;

	kmap_lock(&l->lock);
	n = a_load(&l->ndests);
	if (n < KMAP_DESTS && !kmap_link_leads(l, to)) {
		l->dests[n] = *to;
		a_store_rel(&l->ndests, n + 1);
	}
	kmap_unlock(&l->lock);
}

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif
#define PIDFS 0x50494446 /* statfs(2)'s f_type */

/* A pidfd's inode number names a process for ever, in any pid namespace. */
uint64_t
kmap_peer_proc(int sock)
{
	struct ucred c = {0};
	socklen_t len = sizeof(int);
	struct statfs sf;
	struct stat st;
	uint64_t ino = 0;
	int fd = -1;

	if (kmap_sys_getsockopt(sock, SOL_SOCKET, SO_PEERPIDFD, &fd, &len) ==
			0 &&
		fd >= 0) {
		if (kmap_syscall(SYS_fstatfs, fd, &sf, 0, 0, 0, 0) == 0 &&
			sf.f_type == PIDFS &&
			kmap_syscall(SYS_fstat, fd, &st, 0, 0, 0, 0) == 0)
			ino = st.st_ino;
		kmap_sys_close(fd);
	}
	if (ino != 0)
		return ino;
	len = sizeof(c);
	kmap_sys_getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &c, &len);
	return c.pid > 0 ? (uint64_t)c.pid : 0;
}

/*
 * Waiters walk the list of links without a lock, and touch the head of each
 * segment: a link that left the list keeps both for a while, and its own next
 * pointer for good. Its rings go at once; no endpoint is left on them.
 */
#define GRAVE_NS (10u * UINT64_C(1000000000))
#ifndef MADV_REMOVE
#define MADV_REMOVE 9
#endif

static struct kmap_link *graves; /* under kmap_links_lock */

static void
bury(struct kmap_link *l)
{
	uint64_t head = kmap_seg_slots_at(), tail = l->size - head;

	close_fds(l);
	/* The head keeps the memfd, so its other pages go by name. Those of
	 * a link that was ever forked may be somebody's still, and a stranger can hold the
	 * file's lock for as long as it likes. */
	if (!l->forked && !l->stranger)
		kmap_syscall(SYS_madvise, l->slots, tail, MADV_REMOVE, 0, 0, 0);
	kmap_sys_munmap(l->slots, tail);
	l->size = head;
	l->buried_at = kmap_now();
	l->next_grave = graves;
	graves = l;
}

static void
dig(void)
{
	struct kmap_link **at = &graves, *l;
	uint64_t now = kmap_now();

	while ((l = *at) != NULL) {
		if (now - l->buried_at < GRAVE_NS) {
			at = &l->next_grave;
			continue;
		}
		*at = l->next_grave;
		kmap_link_free(l);
	}
}

void
kmap_link_reap(void)
{
	_Atomic(struct kmap_link *) *at;
	struct kmap_link *l;

	kmap_lock(&kmap_links_lock);
	at = &kmap_links;
	while ((l = atomic_load(at)) != NULL) {
		if (a_load_acq(&l->refs) == 0 &&
			(l->inherited || kmap_link_dead(l))) {
			atomic_store(at, atomic_load(&l->next));
			bury(l);
		} else
			at = &l->next;
	}
	dig();
	kmap_unlock(&kmap_links_lock);
}

/* The list is empty: what our children let go of. l->lock is held. */
static void
slots_back(struct kmap_link *l)
{
	for (uint32_t s = 0; s < l->nslots; s++)
		if (l->gen[s] != 0 && a_load_acq(&l->back[s]) == l->gen[s]) {
			a_store(&l->back[s], 0u);
			l->free[l->nfree++] = s;
		}
}

int
kmap_link_slot_get(struct kmap_link *l)
{
	int slot = -1;

	kmap_lock(&l->lock);
	if (l->nfree == 0 && l->back != NULL)
		slots_back(l);
	/* A slot that the peer has not let go stays out for now: it goes to
	 * the bottom, the next one is tried. */
	for (uint32_t tries = 0; tries < 4 && l->nfree > 0; tries++) {
		uint32_t s = l->free[l->nfree - 1];
		struct kmap_slot_shm *sh = &l->slots[s];

		if (l->gen[s] == 0 ||
			(a_load(&sh->claim) & 3) == KMAP_CLAIM_WITHDRAWN ||
			a_load_acq(&sh->released[KMAP_ACCEPTOR]) == l->gen[s]) {
			l->nfree--;
			slot = (int)s;
			break;
		}
		memmove(&l->free[1], &l->free[0],
			(l->nfree - 1) * sizeof(l->free[0]));
		l->free[0] = s;
	}
	if (slot >= 0) {
		struct kmap_slot_shm *sh = &l->slots[slot];
		uint32_t gen = (l->gen[slot] + 1) & 0x3fffffff;

		l->gen[slot] = gen != 0 ? gen : 1;
		memset(sh->dir, 0, sizeof(sh->dir));
	}
	kmap_unlock(&l->lock);
	return slot;
}

void
kmap_link_slot_put(struct kmap_link *l, uint32_t slot)
{
	if (l->inherited) {
		if (l->back != NULL)
			a_store_rel(&l->back[slot], l->gen[slot]);
		return;
	}
	kmap_lock(&l->lock);
	l->free[l->nfree++] = slot;
	kmap_unlock(&l->lock);
}

uint8_t *
kmap_link_ring(const struct kmap_link *l, uint32_t slot, unsigned int dir)
{
	return l->rings + ((uint64_t)slot * 2 + dir) * l->ring_size;
}

/*
 * A stranger's messages are bells, whatever is in them: they woke us, and go.
 * No fd is taken from it: the kernel closes what comes with them. Any process
 * of the family may do it.
 */
static void
bells_drop(struct kmap_link *l)
{
	uint32_t seen = a_load_acq(&l->ctl->side[!l->side].messages);
	uint32_t n = kmap_umin(seen - a_load(&l->messages_read), MESSAGES_MAX);
	char c;

	a_store(&l->messages_read, seen);
	while (n-- > 0 && kmap_sys_recv(l->sock, &c, 1, MSG_DONTWAIT) > 0)
		;
}

void
kmap_link_receive(struct kmap_link *l)
{
	struct kmap_side_shm *peer = &l->ctl->side[!l->side];
	struct kmap_msg m;
	uint32_t seen;
	int fd, n;

	if (l->stranger) {
		bells_drop(l);
		return;
	}
	kmap_lock(&l->lock);
	seen = a_load_acq(&peer->messages);
	for (int i = 0; i < MESSAGES_MAX; i++) {
		n = kmap_msg_recv(
			l->sock, &m, &fd, 1, l->forked_early ? MSG_PEEK : 0);
		if (n < 0) {
			/* No fd was left for it, or nonsense came. */
			if (n != -EAGAIN && l->peer_fd[KMAP_PLACE_COMMON] < 0)
				a_store(&l->mute, 1u);
			break;
		}
		unsigned int place =
			m.kind == KMAP_MSG_WELCOME ? KMAP_PLACE_COMMON : m.arg;

		if (n == 0)
			continue;
		if ((m.kind != KMAP_MSG_WELCOME && m.kind != KMAP_MSG_PLACE) ||
			place >= KMAP_PLACES || l->peer_fd[place] >= 0 ||
			!kmap_link_bell_good(l, fd))
			kmap_sys_close(fd);
		else if ((l->peer_fd[place] = kmap_fd_hide(fd)) >= 0 &&
			m.kind == KMAP_MSG_PLACE)
			a_or(&peer->acked, UINT64_C(1) << place);
		/* It stays for the other process. */
		if (l->forked_early)
			break;
	}
	a_store(&l->messages_read, seen);
	kmap_unlock(&l->lock);
}

int
kmap_link_can_ring(struct kmap_link *l)
{
	if (kmap_likely(l->peer_fd[KMAP_PLACE_COMMON] >= 0))
		return 0;
	if (l->stranger)
		return l->sock >= 0 ? 0 : -EIO;
	if (!a_load(&l->mute) && (!l->inherited || l->forked_early))
		kmap_link_receive(l);
	if (l->peer_fd[KMAP_PLACE_COMMON] >= 0)
		return 0;
	return a_load(&l->mute) || (l->inherited && !l->forked_early) ? -EIO
								      : -EAGAIN;
}

void
kmap_link_poll(struct kmap_link *l)
{
	if (kmap_unlikely(a_load(&l->ctl->side[!l->side].messages) !=
		    a_load(&l->messages_read)) &&
		(l->stranger || (!l->inherited && !l->forked_early)))
		kmap_link_receive(l);
}

unsigned int
kmap_link_place(struct kmap_link *l, int id, int bell)
{
	struct kmap_side_shm *own = &l->ctl->side[l->side];
	struct kmap_msg m;
	uint64_t bit;

	if (id < 0 || l->inherited || l->stranger)
		return KMAP_PLACE_COMMON;
	bit = UINT64_C(1) << id;
	if (kmap_likely(a_load_acq(&own->acked) & bit))
		return (unsigned int)id;
	if ((a_load(&l->told) & bit) || (a_or(&l->told, bit) & bit))
		return KMAP_PLACE_COMMON;
	m = (struct kmap_msg){.magic = KMAP_MAGIC,
		.version = KMAP_WIRE_VERSION,
		.kind = KMAP_MSG_PLACE,
		.size = sizeof(m),
		.arg = (uint32_t)id};
	if (kmap_msg_send(l->sock, &m, &bell, 1) == 0)
		a_add(&own->messages, 1u);
	else
		a_and(&l->told, ~bit);
	return KMAP_PLACE_COMMON;
}

void
kmap_links_fork(void)
{
	struct kmap_link *l;

	for (l = atomic_load(&kmap_links); l != NULL;
		l = atomic_load(&l->next)) {
		l->forked = true;
		if (l->peer_fd[KMAP_PLACE_COMMON] >= 0 || l->inherited ||
			l->stranger)
			continue;
		kmap_link_receive(l);
		if (l->peer_fd[KMAP_PLACE_COMMON] < 0)
			l->forked_early = true;
	}
}

void
kmap_links_forked(void)
{
	struct kmap_link *l, *next, *kept = NULL;
	int old = (int)a_load(&common_fd_plus1) - 1;
	int hub = (int)a_load(&hub_fd_plus1) - 1;
	bool shared = false, hub_shared = false;

	a_store(&common_lock.word, 0u);
	a_store(&hub_lock.word, 0u);
	for (l = atomic_load(&kmap_links); l != NULL; l = next) {
		next = atomic_load(&l->next);
		a_store(&l->lock.word, 0u);
		/* First: the hub is shared with the parent, and stays. */
		l->inherited = true;
		if (a_load(&l->refs) == 0) {
			kmap_link_free(l);
			continue;
		}
		shared |= l->own_bell == old;
		hub_shared |= l->my_common == hub;
		atomic_store(&l->next, kept);
		kept = l;
	}
	atomic_store(&kmap_links, kept);
	/* The placeholder stays the parent's; ours is made when needed. */
	if (old >= 0 && !shared)
		kmap_fd_hidden_close(old);
	if (hub >= 0 && !hub_shared)
		kmap_fd_hidden_close(hub);
	a_store(&common_fd_plus1, 0u);
	a_store(&hub_fd_plus1, 0u);
}

/*
 * An eventfd has the inode of every other anonymous file; a pipe, a socket or
 * a file, which a write may block on, or change, has not.
 */
bool
kmap_link_bell_good(const struct kmap_link *l, int fd)
{
	struct stat own, st;

	return kmap_syscall(SYS_fstat, l->own_bell, &own, 0, 0, 0, 0) == 0 &&
		kmap_syscall(SYS_fstat, fd, &st, 0, 0, 0, 0) == 0 &&
		st.st_dev == own.st_dev && st.st_ino == own.st_ino &&
		(kmap_sys_fcntl(fd, F_GETFL, 0) & O_NONBLOCK);
}

/*
 * M12, M13: the byte behind the bitmap's bit, the number behind the byte. A
 * full queue means that the peer has bells to read, and it looks at its
 * bitmap after the last of them: nothing is lost with this one.
 */
static void
stranger_bell(struct kmap_link *l)
{
	struct iovec v = {"", 1};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};

	if (kmap_sys_sendmsg(l->sock, &m, MSG_DONTWAIT | MSG_NOSIGNAL) == 1)
		a_add(&l->ctl->side[l->side].messages, 1u);
}

void
kmap_link_bell(struct kmap_link *l, unsigned int place)
{
	static const uint64_t one = 1;
	int fd = l->peer_fd[place];

	if (l->stranger) {
		stranger_bell(l);
		return;
	}
	if (fd < 0 && l->peer_fd[KMAP_PLACE_COMMON] < 0)
		kmap_link_receive(l);
	/* Whoever is rung at the common place may have told us of its own. */
	if (place == KMAP_PLACE_COMMON)
		kmap_link_poll(l);
	/* The word that a peer may have forged names no fd: the common one
	 * always wakes. */
	if (fd < 0)
		fd = l->peer_fd[KMAP_PLACE_COMMON];
	if (fd >= 0)
		kmap_sys_write(fd, &one, sizeof(one));
}

void
kmap_link_bell_own(const struct kmap_link *l)
{
	static const uint64_t one = 1;

	kmap_sys_write(l->own_bell, &one, sizeof(one));
}

int
kmap_msg_send(int sock, const struct kmap_msg *m, const int *fds, int nfds)
{
	union {
		struct cmsghdr h;
		char buf[CMSG_SPACE(2 * sizeof(int))];
	} c;
	struct iovec v = {(void *)(uintptr_t)m, sizeof(*m)};
	struct msghdr mh = {
		.msg_iov = &v,
		.msg_iovlen = 1,
	};
	ssize_t r;

	if (nfds > 0) {
		mh.msg_control = c.buf;
		mh.msg_controllen = CMSG_SPACE((size_t)nfds * sizeof(int));
		memset(&c, 0, sizeof(c));
		c.h.cmsg_level = SOL_SOCKET;
		c.h.cmsg_type = SCM_RIGHTS;
		c.h.cmsg_len = CMSG_LEN((size_t)nfds * sizeof(int));
		memcpy(CMSG_DATA(&c.h), fds, (size_t)nfds * sizeof(int));
	}
	r = kmap_sys_sendmsg(sock, &mh, MSG_DONTWAIT | MSG_NOSIGNAL);
	return r == sizeof(*m) ? 0 : r < 0 ? (int)r : -EIO;
}

int
kmap_msg_recv(int sock, struct kmap_msg *m, int *fds, int nfds, int flags)
{
	union {
		struct cmsghdr h;
		char buf[CMSG_SPACE(4 * sizeof(int))];
	} c;
	struct iovec v = {m, sizeof(*m)};
	struct msghdr mh = {
		.msg_iov = &v,
		.msg_iovlen = 1,
		.msg_control = c.buf,
		.msg_controllen = CMSG_SPACE((size_t)nfds * sizeof(int)),
	};
	int got = 0, bad = 0;
	ssize_t r;

	r = kmap_sys_recvmsg(
		sock, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC | flags);
	if (r < 0)
		return (int)r;
	for (struct cmsghdr *h = CMSG_FIRSTHDR(&mh); h != NULL;
		h = CMSG_NXTHDR(&mh, h)) {
		size_t n;

		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(h) + i * sizeof(int), sizeof(fd));
			fd = kmap_sys_raise(fd);
			if (fd < 0)
				bad = fd;
			else if (got < nfds)
				fds[got++] = fd;
			else {
				/* CMSG_SPACE has room to spare. */
				kmap_sys_close(fd);
				bad = -EPROTO;
			}
		}
	}
	if (r == 0)
		bad = -EPIPE;
	else if (r != sizeof(*m) || (mh.msg_flags & (MSG_CTRUNC | MSG_TRUNC)) ||
		m->magic != KMAP_MAGIC || m->version != KMAP_WIRE_VERSION)
		bad = -EPROTO;
	if (bad == 0)
		return got;
	while (got > 0)
		kmap_sys_close(fds[--got]);
	return bad;
}
