/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "pair.h"

#include "addr.h"
#include "dir.h"
#include "env.h"
#include "keep.h"
#include "kin.h"
#include "link.h"
#include "log.h"
#include "obey.h"
#include "sys.h"
#include "testpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>

/* What a connection shows before it may cost a rendezvous. The connector
 * asks for less, so that its name stands when the acceptor looks. */
#define EARN_CALLS 4u
#define TRY_BYTES (256u << 10)
#define TRY_BYTES_MAX (8u << 20)
#define EARN_BYTES (8u << 10)
/* Connections of a link; the memory of a ring is taken when it is used. */
#define LINK_SLOTS 1024u
/* Names that may pend in one process; one that stood so long may be taken by
 * another connection. */
#define NAMES_MAX 64u
#define NAME_NS UINT64_C(1000000000)
/* Ticks that an announcement may stay unclaimed before a name is bound. */
#define CLAIM_TICKS 4u
/* A peer with the library greets soon. What looks for one that gets it late
 * costs nothing: one of so many ticks asks the clock, and looks if so long has
 * gone by. */
#define LOOK_TICKS 256u
#define LOOK_EACH 16u
#define LOOK_NS UINT64_C(10000000)
/* Ticks that the connector has to announce what it was told to. */
#define JOIN_TICKS 8u
/* Connections in which a process that is not known yet is looked for. */
#define MISSED_FOR 16u

bool (*kmap_consent_hook)(struct kmap_ent *e);
bool (*kmap_seen_hook)(struct kmap_ent *e);

static kmap_a32 names_pending;
/* Who has them: a hint for who is to give one up, checked under its lock. */
static struct kmap_ent *_Atomic names[NAMES_MAX];
static kmap_a32 stopped; /* enum kmap_why */

void
kmap_pair_stop(enum kmap_why why)
{
	a_store(&stopped, (uint32_t)why);
	if (kmap_obeying)
		kmap_obey_left(why);
	/* Pinned, it would take all its memory at once. */
	if (why == KMAP_WHY_SECCOMP || why == KMAP_WHY_MLOCK)
		kmap_publish_stop();
}

static uint64_t
by_tcp(const struct kmap_ent *e)
{
	return e->pub->tcp_bytes_in + e->pub->tcp_bytes_out;
}

bool
kmap_pair_hopes(const struct kmap_ent *e)
{
	return by_tcp(e) < TRY_BYTES_MAX;
}

static uint32_t
own_uid(void)
{
	return (uint32_t)kmap_syscall(SYS_geteuid, 0, 0, 0, 0, 0, 0);
}

/* Every uid that is not mapped shows as the overflow uid: it names nobody,
 * unless the map is the identity. */
static bool
uid_names_somebody(uint32_t uid)
{
	char buf[64];
	long fd, n;

	if (uid != 65534)
		return true;
	fd = kmap_syscall(SYS_openat, AT_FDCWD, "/proc/self/uid_map",
		O_RDONLY | O_CLOEXEC, 0, 0, 0);
	if (fd < 0)
		return false;
	n = kmap_sys_read((int)fd, buf, sizeof(buf) - 1);
	kmap_sys_close((int)fd);
	if (n <= 0)
		return false;
	buf[n] = '\0';
	return strstr(buf, "4294967295") != NULL;
}

/* `named`: the kernel itself named uid as the owner of the other end. */
static bool
uid_may_pair(uint32_t uid, bool named)
{
	if (!uid_names_somebody(uid))
		return false;
	if (uid == own_uid())
		return true;
	for (unsigned int i = 0; i < kmap_conf.npeers; i++)
		if (kmap_conf.peers[i] == uid)
			return true;
	if (named)
		return !kmap_conf.peers_set;
	return uid == 0 && !(kmap_conf.peers_set && kmap_conf.npeers == 0);
}

static int
cred_uid(int sock, uint32_t *uid)
{
	struct ucred c;
	socklen_t len = sizeof(c);
	int r = kmap_sys_getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &c, &len);

	*uid = c.uid;
	return r;
}

/*
 * The connector's question: may the process with `uid` be the other end?
 * *translated: nobody has the mirrored addresses, or it cannot be known.
 */
static bool
acceptor_may_pair(const struct kmap_tuple *t, uint32_t uid, bool *translated)
{
	int64_t named = kmap_owner_uid(&t->to, &t->from);

	*translated = named < 0;
	if (named >= 0)
		return (uint32_t)named == uid && uid_may_pair(uid, true);
	/* Behind a REDIRECT no socket has the mirrored addresses. */
	return uid_may_pair(uid, false);
}

/* The acceptor's: it knows both addresses as the connector sees them. *gone:
 * no, but because nobody has the connection any more. */
static bool
connector_may_pair(const struct kmap_tuple *t, uint32_t uid, bool *gone)
{
	int64_t named = kmap_owner_uid(&t->from, &t->to);

	*gone = named == -ENOENT;
	return named >= 0 && (uint32_t)named == uid && uid_may_pair(uid, true);
}

/*
 * Whether every connection to `to` that the peer of `l` claims is the peer's,
 * so that nothing has to be asked when it does. The kernel names the owner of
 * a connection only while it is open, and a server may have answered and
 * closed before we look; but whoever was seen to accept from the socket that
 * listens there now, while our connection is established, may accept from it
 * still. Behind a REDIRECT only the uid counts, and that was looked at.
 */
static bool
vouched(const struct kmap_link *l, uint32_t listener)
{
	return l->peer_uid == own_uid() ||
		(l->translated && uid_may_pair(l->peer_uid, false)) ||
		(l->listener != 0 && l->listener == listener);
}

/* ---- names ---- */

static void
name_drop(struct kmap_ent *e)
{
	if (e->rdv_conn >= 0) {
		kmap_fd_hidden_close(e->rdv_conn);
		e->rdv_conn = -1;
	}
	if (e->rdv_fd >= 0) {
		kmap_fd_hidden_close(e->rdv_fd);
		e->rdv_fd = -1;
		a_sub(&names_pending, 1u);
		for (unsigned int i = 0; i < NAMES_MAX; i++)
			if (atomic_load(&names[i]) == e)
				atomic_store(&names[i], NULL);
	}
}

static void
name_note(struct kmap_ent *e)
{
	for (unsigned int i = 0; i < NAMES_MAX; i++) {
		struct kmap_ent *none = NULL;

		if (a_cas(&names[i], none, e))
			return;
	}
}

/* Peers without the library never answer: the oldest name goes first. */
static void
name_make_room(void)
{
	uint64_t now = kmap_now(), oldest = now - NAME_NS;
	struct kmap_ent *old = NULL;

	for (unsigned int i = 0; i < NAMES_MAX; i++) {
		struct kmap_ent *e = atomic_load(&names[i]);

		if (e != NULL && e->rdv_at < oldest) {
			oldest = e->rdv_at;
			old = e;
		}
	}
	/* Another endpoint's lock, beside our own: tried, never waited for. */
	if (old == NULL || !kmap_trylock(&old->ep->lock))
		return;
	if (old->rdv_fd >= 0 && old->rdv_at == oldest) {
		name_drop(old);
		kmap_ent_bar(old, KMAP_WHY_NO_PEER);
	}
	kmap_unlock(&old->ep->lock);
}

/* Every entry is whole: those that were about to pair had done it. */
static void
refers(struct kmap_ent *e, void *arg)
{
	(void)arg;
	if (e->link == NULL)
		return;
	a_add(&e->link->refs, 1u);
	if (!e->closing)
		atomic_store(&e->link->ents[e->link_slot], e);
}

void
kmap_pair_forked(void)
{
	struct kmap_link *l;

	a_store(&names_pending, 0u);
	for (unsigned int i = 0; i < NAMES_MAX; i++)
		atomic_store(&names[i], NULL);
	/* What other threads of the parent had in hand stays theirs. */
	for (l = atomic_load(&kmap_links); l != NULL;
		l = atomic_load(&l->next)) {
		a_store(&l->refs, 0u);
		for (uint32_t i = 0; i < l->nslots; i++)
			if (atomic_load(&l->ents[i]) != NULL)
				atomic_store(&l->ents[i], NULL);
	}
	kmap_ent_each(refers, NULL);
}

static void
name_bind(struct kmap_ent *e)
{
	struct sockaddr_un un;
	socklen_t len = kmap_tuple_name(&e->ep->tuple, &un);
	int fd, r;

	if (a_load(&names_pending) >= NAMES_MAX)
		name_make_room();
	if (a_load(&names_pending) >= NAMES_MAX)
		return;
	fd = kmap_fd_hide(kmap_sys_raise(kmap_sys_socket(
		AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)));
	if (fd < 0) {
		kmap_ent_bar(e, KMAP_WHY_LIMIT);
		return;
	}
	r = kmap_sys_bind(fd, &un, len);
	if (r == 0)
		r = kmap_sys_listen(fd, 1);
	if (r != 0) {
		kmap_fd_hidden_close(fd);
		kmap_ent_bar(e,
			r == -EADDRINUSE ? KMAP_WHY_NAME_TAKEN
					 : KMAP_WHY_LIMIT);
		return;
	}
	e->rdv_fd = fd;
	e->rdv_at = kmap_now();
	name_note(e);
	a_add(&names_pending, 1u);
	KMAP_TESTPOINT("rendezvous-bound", e->fd);
}

static uint64_t
timeo(int fd, int name)
{
	struct timeval tv = {0, 0};
	socklen_t len = sizeof(tv);

	kmap_sys_getsockopt(fd, SOL_SOCKET, name, &tv, &len);
	return (uint64_t)tv.tv_sec * 1000000000u + (uint64_t)tv.tv_usec * 1000u;
}

void
kmap_ent_options(struct kmap_ent *e, int fd)
{
	struct kmap_ep *ep = e->ep;
	int fl = kmap_sys_fcntl(fd, F_GETFL, 0), lowat = 1, inq = 0;
	socklen_t len = sizeof(lowat), ilen = sizeof(inq);

	a_store(&ep->nonblock, fl >= 0 && (fl & O_NONBLOCK) ? 1u : 0u);
	ep->rcvtimeo = timeo(fd, SO_RCVTIMEO);
	ep->sndtimeo = timeo(fd, SO_SNDTIMEO);
	if (!ep->rx.lowat_bent) {
		kmap_sys_getsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &lowat, &len);
		ep->rcvlowat = lowat > 0 ? (uint32_t)lowat : 1;
	}
	kmap_sys_getsockopt(fd, IPPROTO_TCP, TCP_INQ, &inq, &ilen);
	a_store(&ep->inq, inq > 0 ? 1u : 0u);
}

/* ---- both sides: from a slot to a paired endpoint ---- */

static void
finish(struct kmap_ent *e, int fd, struct kmap_link *l, uint32_t slot,
	uint32_t gen)
{
	struct kmap_ep *ep = e->ep;
	unsigned int rx = l->side == KMAP_CONNECTOR, tx = !rx;
	struct kmap_slot_shm *sh = &l->slots[slot];
	bool unarmed;

	kmap_lock(&ep->rx.lock);
	kmap_lock(&ep->tx.lock);
	ep->link = l;
	ep->link_id = l->id;
	ep->slot = slot;
	ep->slot_gen = gen;
	ep->shm = sh;
	ep->rx.ring = (struct kmap_ring_rx){.shm = &sh->dir[rx],
		.data = kmap_link_ring(l, slot, rx),
		.size = l->ring_size};
	ep->tx.ring = (struct kmap_ring_tx){.shm = &sh->dir[tx],
		.data = kmap_link_ring(l, slot, tx),
		.size = l->ring_size};
	kmap_ent_options(e, fd);
	if (ep->translated)
		kmap_keep_begin(ep, fd);
	a_add(&l->refs, 1u);
	e->link = l;
	e->link_slot = slot;
	atomic_store(&l->ents[slot], e);
	/* Not asked of the segment, where the peer could have changed it. */
	if (e->preconsent)
		a_store(&ep->rx.consented, 1u);
	/* Behind a gate that was closed for consent given ahead, which came
	 * to nothing, somebody may sleep who has armed nothing here. */
	unarmed = a_load(&ep->rx.gate.closed) && !e->preconsent;
	kmap_gate_close(&ep->tx.gate);
	a_store_rel(&ep->stage, (uint32_t)KMAP_PAIRED);
	kmap_unlock(&ep->tx.lock);
	kmap_unlock(&ep->rx.lock);
	if (unarmed)
		kmap_link_bell_own(l);
	kmap_stats_count(KMAP_STAT_connections_paired);
	kmap_publish_state(e);
	kmap_log(KMAP_DEBUG, "fd %d paired as %s, slot %u", fd,
		l->side == KMAP_CONNECTOR ? "connector" : "acceptor", slot);
	KMAP_TESTPOINT("paired", fd);
	/* Calls that block come through the wrappers, as this one did. */
	if (a_load(&l->wait_seen) || !a_load(&ep->nonblock))
		a_store(&e->wait_seen, 1u);
	if (a_load(&e->wait_seen))
		a_store(&l->wait_seen, 1u);
}

void
kmap_consent_try(struct kmap_ent *e, int fd)
{
	struct kmap_ep *ep = e->ep;
	int r;

	if (a_load_acq(&ep->stage) != KMAP_PAIRED ||
		a_load(&ep->rx.consented) || ep->rx.frozen ||
		a_load(&ep->why) != KMAP_WHY_NONE)
		return;
	if (!a_load(&e->wait_seen)) {
		if (kmap_seen_hook == NULL || !kmap_seen_hook(e))
			return;
		a_store(&e->wait_seen, 1u);
		a_store(&ep->link->wait_seen, 1u);
	}
	if (!kmap_kin_alone(ep))
		return;
	r = kmap_link_can_ring(ep->link);
	if (r != 0) {
		if (r != -EAGAIN)
			kmap_ent_bar(e, KMAP_WHY_LIMIT);
		return;
	}
	if (kmap_consent_hook != NULL && !kmap_consent_hook(e))
		return;
	KMAP_TESTPOINT("consenting", fd);
	kmap_gate_close(&ep->rx.gate);
	kmap_lock(&ep->rx.lock);
	/* Whoever goes down for good says why, then takes this lock: without
	 * consent there was nothing to freeze. */
	if (a_load(&ep->why) != KMAP_WHY_NONE) {
		kmap_gate_open(&ep->rx.gate);
		r = -EAGAIN;
	} else
		r = kmap_dir_consent(ep, fd);
	kmap_unlock(&ep->rx.lock);
	if (r != 0 && r != -EAGAIN)
		kmap_ent_bar(
			e, r == -EPIPE ? KMAP_WHY_CLOSED : KMAP_WHY_KERNEL);
}

void
kmap_pair_wait_seen(struct kmap_ent *e, int fd)
{
	if (a_load(&e->wait_seen))
		return;
	a_store(&e->wait_seen, 1u);
	if (a_load_acq(&e->ep->stage) != KMAP_PAIRED)
		return;
	a_store(&e->ep->link->wait_seen, 1u);
	kmap_consent_try(e, fd);
}

/* ---- the connector ---- */

/* A link on which we may announce connections to `to`. */
static bool
leads_to(const struct kmap_link *l, const struct kmap_addr *to)
{
	return l->side == KMAP_CONNECTOR && !l->inherited &&
		kmap_link_leads(l, to);
}

static bool
offer_withdraw(struct kmap_offer *o)
{
	struct kmap_slot_shm *sh = &o->link->slots[o->slot];
	bool mine = a_cas(&sh->claim, o->gen << 2 | KMAP_CLAIM_ANNOUNCED,
		o->gen << 2 | KMAP_CLAIM_WITHDRAWN);

	atomic_store(&o->link->ents[o->slot], NULL);
	a_store_rel(&sh->released[KMAP_CONNECTOR], o->gen);
	kmap_link_slot_put(o->link, o->slot);
	a_sub(&o->link->refs, 1u);
	return mine;
}

static bool
offer_take_back(struct kmap_offer *o)
{
	return a_cas(&o->link->slots[o->slot].claim,
		       o->gen << 2 | KMAP_CLAIM_ANNOUNCED,
		       o->gen << 2 | KMAP_CLAIM_WITHDRAWN) ||
		(a_load(&o->link->slots[o->slot].claim) & 3) ==
		KMAP_CLAIM_WITHDRAWN;
}

static void
offers_withdraw(struct kmap_ent *e, int except)
{
	for (unsigned int i = 0; i < e->noffers; i++)
		if ((int)i != except)
			offer_withdraw(&e->offers[i]);
	e->noffers = 0;
}

/*
 * Consent that stands before anybody claimed the connection, so that even
 * the first response can use the ring: a new connection to a destination
 * where waiting was seen before, and where nobody can claim it whose it is
 * not.
 */
static bool
preconsent(struct kmap_ent *e, int fd)
{
	struct kmap_ep *ep = e->ep;
	struct kmap_link *l;
	uint32_t listener = 0;
	bool asked = false;

	if (e->pub->tcp_bytes_in != 0 || ep->rx.frozen)
		return false;
	for (l = atomic_load(&kmap_links); l != NULL;
		l = atomic_load(&l->next)) {
		if (!leads_to(l, &ep->tuple.to))
			continue;
		if (!a_load(&l->wait_seen))
			return false;
		if (!asked && l->peer_uid != own_uid()) {
			listener = kmap_listener(&ep->tuple.to);
			asked = true;
		}
		if (!vouched(l, listener))
			return false;
	}
	a_store(&e->wait_seen, 1u);
	if (kmap_consent_hook != NULL && !kmap_consent_hook(e))
		return false;
	/* Behind the gate, reads are ours before anybody claims it. */
	kmap_ent_options(e, fd);
	kmap_gate_close(&ep->rx.gate);
	return kmap_dir_count(ep, fd) == 0;
}

bool
kmap_pair_claimed(const struct kmap_ent *e)
{
	for (unsigned int i = 0; i < e->noffers; i++) {
		const struct kmap_offer *o = &e->offers[i];

		if (a_load_acq(&o->link->slots[o->slot].claim) ==
			(o->gen << 2 | KMAP_CLAIM_CLAIMED))
			return true;
	}
	return false;
}

/*
 * Several processes answer at one destination (prefork, SO_REUSEPORT), and
 * one that we do not know yet accepted a connection: in the next ones the name
 * stands from the start beside the announcements. In more than one, as the
 * processes may take turns.
 */
static bool
missed_before(struct kmap_ent *e)
{
	bool missed = false;

	for (unsigned int i = 0; i < e->noffers; i++) {
		kmap_a32 *left = &e->offers[i].link->missed;
		uint32_t n = a_load(left);

		/* Two at once may count for one. */
		if (n != 0)
			a_store(left, n - 1);
		missed |= n != 0;
	}
	return missed;
}

/* Nobody claimed it. */
static void
offers_missed(struct kmap_ent *e)
{
	for (unsigned int i = 0; i < e->noffers; i++)
		a_store(&e->offers[i].link->missed, MISSED_FOR);
}

/* kmap_links_lock is held: the link stays. */
static bool
offer_on(struct kmap_ent *e, struct kmap_link *l)
{
	struct kmap_offer *o = &e->offers[e->noffers];
	struct kmap_slot_shm *sh;
	uint32_t tail;
	int slot;

	if (e->noffers == KMAP_OFFERS || kmap_link_dead(l))
		return false;
	slot = kmap_link_slot_get(l);
	if (slot < 0)
		return false;
	o->link = l;
	o->slot = (uint32_t)slot;
	o->gen = l->gen[slot];
	a_add(&l->refs, 1u);
	sh = &l->slots[slot];
	sh->tuple = e->ep->tuple;
	atomic_store(&l->ents[slot], e);
	if (e->preconsent) {
		/* Armed once for all: whoever claims it rings. */
		a_or(&sh->dir[1].data_waiters,
			UINT64_C(1) << KMAP_PLACE_COMMON);
		a_store(&sh->dir[1].consent, 1u);
	}
	a_store_rel(&sh->claim, o->gen << 2 | KMAP_CLAIM_ANNOUNCED);
	kmap_lock(&l->lock);
	tail = a_load(&l->ctl->log_tail);
	a_store(&l->ctl->log[tail % KMAP_LOG_SIZE], o->slot);
	a_store_rel(&l->ctl->log_tail, tail + 1);
	kmap_unlock(&l->lock);
	e->noffers++;
	return true;
}

static void
announce(struct kmap_ent *e, int fd)
{
	struct kmap_link *l;

	for (l = atomic_load(&kmap_links); l != NULL; l = atomic_load(&l->next))
		if (leads_to(l, &e->ep->tuple.to))
			break;
	if (l == NULL)
		return;
	e->preconsent = preconsent(e, fd);
	kmap_lock(&kmap_links_lock);
	for (l = atomic_load(&kmap_links);
		l != NULL && e->noffers < KMAP_OFFERS;
		l = atomic_load(&l->next))
		if (leads_to(l, &e->ep->tuple.to))
			offer_on(e, l);
	kmap_unlock(&kmap_links_lock);
}

static bool
claimed(struct kmap_ent *e, int fd)
{
	for (unsigned int i = 0; i < e->noffers; i++) {
		struct kmap_offer o = e->offers[i];
		bool translated = o.link->translated;

		if (a_load_acq(&o.link->slots[o.slot].claim) !=
			(o.gen << 2 | KMAP_CLAIM_CLAIMED))
			continue;
		/* A stranger's link must own this connection, too; one of our
		 * own uid could trace us anyway. */
		if (!e->preconsent && o.link->peer_uid != own_uid() &&
			!acceptor_may_pair(
				&e->ep->tuple, o.link->peer_uid, &translated)) {
			offers_withdraw(e, -1);
			kmap_ent_bar(e, KMAP_WHY_UID);
			return true;
		}
		if (!e->preconsent && o.link->peer_uid != own_uid())
			o.link->listener = kmap_listener(&e->ep->tuple.to);
		offers_withdraw(e, (int)i);
		name_drop(e);
		e->ep->translated = translated;
		finish(e, fd, o.link, o.slot, o.gen);
		kmap_consent_try(e, fd);
		a_sub(&o.link->refs, 1u);
		return true;
	}
	return false;
}

static void greeted(struct kmap_ent *e, int fd, bool called);

static struct kmap_link *
link_to_join(const struct kmap_ent *e)
{
	struct kmap_link *l;

	for (l = atomic_load(&kmap_links); l != NULL; l = atomic_load(&l->next))
		if (l->side == KMAP_CONNECTOR && !l->inherited &&
			l->id == e->join && l->peer_uid == e->rdv_uid)
			break;
	return l;
}

/* Greetings at the names of our other connections; their locks are tried,
 * never waited for, beside our own. */
static void
others_greeted(const struct kmap_ent *e)
{
	for (unsigned int i = 0; i < NAMES_MAX; i++) {
		struct kmap_ent *o = atomic_load(&names[i]);

		if (o == NULL || o == e || !kmap_trylock(&o->ep->lock))
			continue;
		if (atomic_load(&names[i]) == o && !o->closing &&
			o->join == 0 && o->rdv_fd >= 0 &&
			a_load(&o->ep->stage) == KMAP_OFFERED &&
			kmap_kin_alone(o->ep))
			greeted(o, o->fd, false);
		kmap_unlock(&o->ep->lock);
	}
}

/*
 * The acceptor knows our process by a link: the connection is announced
 * there. The greeting that made the link may lie unread yet, at another
 * connection's name, whose thread sleeps: we look there. If it has not come,
 * e->join stays, and is looked at again. The name stands on: an acceptor that
 * found no announcement in time greets there.
 */
static void
join(struct kmap_ent *e)
{
	struct kmap_link *l;
	bool offered = false;

	kmap_lock(&kmap_links_lock);
	l = link_to_join(e);
	if (l == NULL) {
		kmap_unlock(&kmap_links_lock);
		others_greeted(e);
		kmap_lock(&kmap_links_lock);
		l = link_to_join(e);
	}
	if (l != NULL) {
		e->join = 0;
		l->translated |= e->ep->translated;
		kmap_link_lead(l, &e->ep->tuple.to);
		for (unsigned int i = 0; i < e->noffers; i++)
			offered |= e->offers[i].link == l;
		/* Its bell may be one that those who wait do not know. */
		if (!offered && !(e->preconsent && l->stranger))
			offer_on(e, l);
	}
	kmap_unlock(&kmap_links_lock);
}

/* An acceptor connected to our name: its greeting makes the link. called: by a
 * call on this very connection; else its thread may sleep in poll, where the
 * kernel alone can wake it, and consents by its next call. */
static void
greeted(struct kmap_ent *e, int fd, bool called)
{
	struct kmap_msg m;
	struct kmap_link *l = NULL;
	int fds[2] = {-1, -1}, err = 0, n = 0;
	uint32_t uid, slot;

	if (e->rdv_conn < 0) {
		e->rdv_conn = kmap_fd_hide(kmap_sys_raise(kmap_sys_accept4(
			e->rdv_fd, SOCK_CLOEXEC | SOCK_NONBLOCK)));
		if (e->rdv_conn < 0) {
			e->rdv_conn = -1;
			return;
		}
		/* Before a fd of its is taken: to close one may mean to wait
		 * for whoever serves its file system. */
		if (cred_uid(e->rdv_conn, &e->rdv_uid) != 0 ||
			!acceptor_may_pair(
				&e->ep->tuple, e->rdv_uid, &e->ep->translated))
			goto refuse;
	}
	uid = e->rdv_uid;
	n = kmap_msg_recv(e->rdv_conn, &m, fds, 2, 0);
	if (n == -EAGAIN)
		return;
	if (n < 0 || (m.kind != KMAP_MSG_HELLO && m.kind != KMAP_MSG_JOIN) ||
		memcmp(&m.tuple, &e->ep->tuple, sizeof(m.tuple)) != 0 ||
		/* A stranger's placeholder is none of ours to write. */
		n !=
			(m.kind == KMAP_MSG_JOIN	   ? 0
					: uid == own_uid() ? 2
							   : 1))
		goto refuse;
	if (m.kind == KMAP_MSG_JOIN) {
		e->join = m.link;
		kmap_fd_hidden_close(e->rdv_conn);
		e->rdv_conn = -1;
		join(e);
		return;
	}
	l = kmap_link_attach(fds[0], &m, &err);
	if (l == NULL)
		goto refuse;
	if (n == 2 && !kmap_link_bell_good(l, fds[1])) {
		kmap_link_free(l);
		err = -EPROTO;
		goto refuse;
	}
	l->sock = e->rdv_conn;
	e->rdv_conn = -1;
	l->peer_uid = uid;
	kmap_link_lead(l, &e->ep->tuple.to);
	l->translated = e->ep->translated;
	if (uid != own_uid())
		l->listener = kmap_listener(&e->ep->tuple.to);
	if (n == 2)
		l->peer_fd[KMAP_PLACE_COMMON] = kmap_fd_hide(fds[1]);
	kmap_sys_close(fds[0]);
	if (n == 1 && kmap_link_estrange(l) != 0) {
		kmap_link_free(l);
		kmap_ent_bar(e, KMAP_WHY_LIMIT);
		return;
	}
	slot = m.slot;
	m = (struct kmap_msg){.magic = KMAP_MAGIC,
		.version = KMAP_WIRE_VERSION,
		.kind = KMAP_MSG_WELCOME,
		.size = sizeof(m),
		.tuple = e->ep->tuple};
	if (kmap_msg_send(l->sock, &m, &l->own_bell, n - 1) != 0) {
		kmap_link_free(l);
		return;
	}
	name_drop(e);
	offers_withdraw(e, -1);
	e->preconsent = false;
	kmap_link_publish(l);
	finish(e, fd, l, slot, 1);
	if (called)
		kmap_consent_try(e, fd);
	return;
refuse:
	kmap_log(KMAP_WARN, "fd %d: a greeting of uid %u is refused", fd,
		e->rdv_uid);
	for (int i = 0; i < n; i++)
		if (fds[i] >= 0)
			kmap_sys_close(fds[i]);
	kmap_fd_hidden_close(e->rdv_conn);
	e->rdv_conn = -1;
	if (err != 0)
		kmap_ent_bar(
			e, err == -EPROTO ? KMAP_WHY_PROTOCOL : KMAP_WHY_LIMIT);
}

/* Whether it is time to look at the name again. */
static bool
look_due(struct kmap_ent *e, uint32_t tick)
{
	uint64_t now;

	if (tick < e->next_try + LOOK_TICKS)
		return true;
	if (tick % LOOK_EACH != 0)
		return false;
	now = kmap_now();
	if (now - e->rdv_looked < LOOK_NS)
		return false;
	e->rdv_looked = now;
	return true;
}

static void
connector_step(struct kmap_ent *e, int fd, uint32_t tick)
{
	struct kmap_ep *ep = e->ep;
	bool translated;

	if (a_load(&ep->stage) == KMAP_PLAIN) {
		/* All names are taken: ever more rarely. */
		if (tick < e->next_try || KMAP_TESTPOINT("offer", fd))
			return;
		if (kmap_tuple_of(
			    &ep->tuple, fd, KMAP_CONNECTOR, &translated) != 0)
			return;
		if (kmap_addr_eq(&ep->tuple.from, &ep->tuple.to)) {
			/* A socket connected to itself is one endpoint. */
			kmap_ent_bar(e, KMAP_WHY_NO_PEER);
			return;
		}
		announce(e, fd);
		if (e->noffers == 0 || missed_before(e)) {
			if (e->noffers == 0)
				kmap_link_reap();
			name_bind(e);
			if (e->noffers == 0 && e->rdv_fd < 0) {
				e->next_try = 2 * tick;
				return;
			}
		}
		a_cas(&ep->stage, (uint32_t)KMAP_PLAIN, (uint32_t)KMAP_OFFERED);
		e->next_try = tick + CLAIM_TICKS;
		return;
	}
	if (e->noffers > 0 && claimed(e, fd))
		return;
	if (e->rdv_fd < 0) {
		/* Another process than those we know answers here. */
		if (tick < e->next_try)
			return;
		for (unsigned int i = e->noffers; i-- > 0;)
			if (!offer_take_back(&e->offers[i]))
				return; /* claimed just now */
		offers_withdraw(e, -1);
		e->preconsent = false;
		name_bind(e);
		return;
	}
	if (kmap_unlikely(e->join != 0))
		join(e);
	if (e->rdv_fd >= 0 && look_due(e, tick))
		greeted(e, fd, true);
}

/* ---- the acceptor ---- */

static bool
claim_in(struct kmap_link *l, struct kmap_ent *e, uint32_t *slot, uint32_t *gen)
{
	uint32_t tail = a_load_acq(&l->ctl->log_tail);
	bool front = true;

	if (tail - l->log_seen > KMAP_LOG_SIZE)
		l->log_seen = tail - KMAP_LOG_SIZE;
	for (uint32_t i = l->log_seen; i != tail; i++) {
		uint32_t s = a_load(&l->ctl->log[i % KMAP_LOG_SIZE]);
		struct kmap_slot_shm *sh;
		struct kmap_tuple t;
		bool may, gone = false;
		uint32_t w;

		if (s >= l->nslots)
			continue;
		sh = &l->slots[s];
		w = a_load_acq(&sh->claim);
		if ((w & 3) != KMAP_CLAIM_ANNOUNCED) {
			if (front)
				l->log_seen = i + 1;
			continue;
		}
		front = false;
		t = sh->tuple;
		if (memcmp(&t, &e->ep->tuple, sizeof(t)) != 0)
			continue;
		/* Another's connection, or a slot that is in use: a peer that
		 * announces these gets nothing more, and keeps nobody from
		 * pairing. */
		may = l->peer_uid == own_uid() ||
			connector_may_pair(&e->ep->tuple, l->peer_uid, &gone);
		if (!may && gone)
			continue;
		if (!may || atomic_load(&l->ents[s]) != NULL) {
			kmap_log(KMAP_WARN,
				"uid %u announced what is not its "
				"own",
				l->peer_uid);
			l->distrusted = true;
			return false;
		}
		if (!a_cas(&sh->claim, w, (w & ~3u) | KMAP_CLAIM_CLAIMED))
			continue;
		*slot = s;
		*gen = w >> 2;
		return true;
	}
	return false;
}

static bool
claim(struct kmap_ent *e, int fd)
{
	struct kmap_link *l;
	uint32_t slot, gen;

	kmap_lock(&kmap_links_lock);
	for (l = atomic_load(&kmap_links); l != NULL; l = atomic_load(&l->next))
		if (l->side == KMAP_ACCEPTOR && !l->inherited &&
			!l->distrusted &&
			a_load(&l->ctl->log_tail) != l->log_seen &&
			claim_in(l, e, &slot, &gen))
			break;
	if (l != NULL)
		a_add(&l->refs, 1u);
	kmap_unlock(&kmap_links_lock);
	if (l == NULL)
		return false;
	finish(e, fd, l, slot, gen);
	kmap_consent_try(e, fd);
	a_sub(&l->refs, 1u);
	return true;
}

#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72 /* since Linux 5.14 */
#endif
#define RING_ASKED_MAX (UINT64_C(1) << 20)

/*
 * The rings that the accepting program asks for: what somebody has said, else
 * what it has made of the kernel's buffers (socket(7), SO_SNDBUF and SO_RCVBUF:
 * an accepted socket has its listener's, and they are told doubled).
 */
static uint64_t
ring_wanted(int fd)
{
	static const struct {
		int lock, name;
	} of[] = {{1, SO_SNDBUF}, {2, SO_RCVBUF}};
	uint64_t asked = 0, size = KMAP_RING_MIN;
	int locks = 0, v;
	socklen_t len = sizeof(locks);

	if ((kmap_conf.given & KMAP_GIVEN_RING) ||
		kmap_sys_getsockopt(
			fd, SOL_SOCKET, SO_BUF_LOCK, &locks, &len) != 0)
		return kmap_conf.ring_size;
	for (size_t i = 0; i < kmap_countof(of); i++) {
		len = sizeof(v);
		if (!(locks & of[i].lock) ||
			kmap_sys_getsockopt(
				fd, SOL_SOCKET, of[i].name, &v, &len) != 0)
			v = (int)kmap_conf.ring_size * 2;
		asked = kmap_umax(asked, (uint64_t)v / 2);
	}
	while (size < asked && size < RING_ASKED_MAX)
		size <<= 1;
	return size;
}

/* A process that we share a link with: it is asked to announce the connection
 * there, once; what it cannot, gets a link of its own. */
static bool
ask_to_join(struct kmap_ent *e, int sock, uint32_t uid, uint64_t proc,
	uint64_t ring)
{
	struct kmap_msg m;
	struct kmap_link *l;
	uint64_t id = 0;

	if (e->asked_join || proc == 0)
		return false;
	kmap_lock(&kmap_links_lock);
	for (l = atomic_load(&kmap_links); l != NULL && id == 0;
		l = atomic_load(&l->next))
		if (l->side == KMAP_ACCEPTOR && !l->inherited &&
			!l->distrusted && l->peer_proc == proc &&
			l->peer_uid == uid && l->ring_size == ring &&
			!kmap_link_dead(l))
			id = l->id;
	kmap_unlock(&kmap_links_lock);
	if (id == 0)
		return false;
	m = (struct kmap_msg){.magic = KMAP_MAGIC,
		.version = KMAP_WIRE_VERSION,
		.kind = KMAP_MSG_JOIN,
		.size = sizeof(m),
		.link = id,
		.tuple = e->ep->tuple};
	e->asked_join = true;
	return kmap_msg_send(sock, &m, NULL, 0) == 0;
}

static void
greet(struct kmap_ent *e, int fd)
{
	struct kmap_msg m;
	struct kmap_link *l = NULL;
	struct sockaddr_un un;
	socklen_t len = kmap_tuple_name(&e->ep->tuple, &un);
	int sock, memfd = -1, r, fds[2];
	uint64_t proc, ring;
	uint32_t uid;
	bool gone;

	sock = kmap_sys_socket(
		AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (sock < 0) {
		kmap_ent_bar(e, KMAP_WHY_LIMIT);
		return;
	}
	r = kmap_sys_connect(sock, &un, len);
	if (r != 0) {
		/* The one failed look-up that a peer without Kmap costs. */
		kmap_sys_close(sock);
		return;
	}
	if (cred_uid(sock, &uid) != 0 ||
		!connector_may_pair(&e->ep->tuple, uid, &gone)) {
		kmap_sys_close(sock);
		kmap_log(KMAP_WARN, "fd %d: uid %u does not own the other end",
			fd, uid);
		kmap_ent_bar(e, KMAP_WHY_UID);
		return;
	}
	proc = kmap_peer_proc(sock);
	ring = ring_wanted(fd);
	if (ask_to_join(e, sock, uid, proc, ring)) {
		kmap_sys_close(sock);
		return;
	}
	kmap_link_reap();
	l = kmap_link_create(&memfd, LINK_SLOTS, ring, &r);
	if (l == NULL) {
		kmap_sys_close(sock);
		kmap_ent_bar(e, KMAP_WHY_LIMIT);
		return;
	}
	l->peer_uid = uid;
	l->peer_proc = proc;
	l->sock = kmap_fd_hide(kmap_sys_raise(sock));
	if (uid != own_uid() && (l->sock < 0 || kmap_link_estrange(l) != 0)) {
		kmap_sys_close(memfd);
		kmap_link_free(l);
		kmap_ent_bar(e, KMAP_WHY_LIMIT);
		return;
	}
	m = (struct kmap_msg){.magic = KMAP_MAGIC,
		.version = KMAP_WIRE_VERSION,
		.kind = KMAP_MSG_HELLO,
		.size = sizeof(m),
		.nslots = l->nslots,
		.slot = 0,
		.ring_size = l->ring_size,
		.tuple = e->ep->tuple,
		.link = l->id};
	fds[0] = memfd;
	fds[1] = l->own_bell;
	r = l->sock < 0 ? l->sock
			: kmap_msg_send(l->sock, &m, fds, l->stranger ? 1 : 2);
	kmap_sys_close(memfd);
	if (r != 0) {
		kmap_link_free(l);
		return;
	}
	KMAP_TESTPOINT("rendezvous-sent", fd);
	kmap_link_publish(l);
	finish(e, fd, l, 0, 1);
	kmap_consent_try(e, fd);
}

static void
acceptor_step(struct kmap_ent *e, int fd, uint32_t tick)
{
	bool asked, due;

	if (e->next_try == 0) {
		if (KMAP_TESTPOINT("offer", fd))
			return;
		if (kmap_tuple_of(&e->ep->tuple, fd, KMAP_ACCEPTOR,
			    &e->ep->translated) != 0)
			return;
		e->next_try = tick;
	}
	due = tick >= e->next_try;
	if (claim(e, fd) ||
		(!due &&
			(!kmap_pair_hopes(e) ||
				by_tcp(e) - e->tried_at < TRY_BYTES)))
		return;
	e->tried_at = by_tcp(e);
	asked = e->asked_join;
	greet(e, fd);
	if (asked != e->asked_join) {
		e->next_try = tick + JOIN_TICKS;
		return;
	}
	/* At once, then after 1, 2, 4, 16, 64, … more calls, and after each
	 * quarter of a megabyte: one long answer is a handful of calls. */
	if (!due)
		return;
	e->tries++;
	e->next_try = tick +
		(e->tries < 3			? e->tries
				: e->tries > 12 ? 1u << 20
						: 1u << 2 * (e->tries - 2));
}

/* ---- both ---- */

static void
settle(struct kmap_ent *e, int fd)
{
	for (unsigned int i = e->noffers; i-- > 0;)
		offer_take_back(&e->offers[i]);
	if (!claimed(e, fd)) {
		offers_missed(e);
		offers_withdraw(e, -1);
		e->preconsent = false;
	}
}

void
kmap_pair_take_claimed(struct kmap_ent *e, int fd)
{
	kmap_lock(&e->ep->lock);
	settle(e, fd);
	kmap_unlock(&e->ep->lock);
}

void
kmap_pair_tick(struct kmap_ent *e, int fd)
{
	struct kmap_ep *ep = e->ep;
	uint32_t tick, stage;

	stage = a_load(&ep->stage);
	if (stage != KMAP_PLAIN && stage != KMAP_OFFERED) {
		if (stage == KMAP_PAIRED) {
			kmap_consent_try(e, fd);
		}
		return;
	}
	/* What was claimed with consent is paired, whatever came since: its
	 * bytes may be on the ring. */
	if (kmap_unlikely(e->preconsent) && kmap_pair_claimed(e)) {
		kmap_pair_take_claimed(e, fd);
		return;
	}
	if (kmap_conf.upgrade == KMAP_NEVER) {
		kmap_ent_bar(e, KMAP_WHY_NEVER);
		return;
	}
	if (a_load(&stopped) != KMAP_WHY_NONE) {
		kmap_ent_bar(e, (enum kmap_why)a_load(&stopped));
		return;
	}
	if (kmap_conf.upgrade == KMAP_EARNED && by_tcp(e) < EARN_BYTES &&
		kmap_umin(e->pub->tcp_messages_in, e->pub->tcp_messages_out) <
			EARN_CALLS)
		return;
	if (!kmap_trylock(&ep->lock))
		return;
	/* Under the lock: a fork gives the child its hold, then waits for
	 * those who pair. */
	if (e->closing || !kmap_kin_alone(ep)) {
		kmap_unlock(&ep->lock);
		return;
	}
	stage = a_load(&ep->stage);
	tick = a_add(&e->ticks, 1u) + 1;
	if (stage == KMAP_PLAIN || stage == KMAP_OFFERED) {
		if (a_load(&ep->role) == KMAP_CONNECTOR)
			connector_step(e, fd, tick);
		else
			acceptor_step(e, fd, tick);
		kmap_publish_state(e);
	}
	kmap_unlock(&ep->lock);
}

void
kmap_pair_settle(struct kmap_ent *e, int fd)
{
	kmap_lock(&e->ep->lock);
	if (e->noffers != 0)
		settle(e, fd);
	kmap_unlock(&e->ep->lock);
}

/* The endpoint's lock is held. */
static void
look_for_greeting(struct kmap_ent *e, int fd, bool called)
{
	if (a_load(&e->ep->stage) == KMAP_OFFERED && !e->closing &&
		kmap_kin_alone(e->ep) && !(e->noffers > 0 && claimed(e, fd)) &&
		e->rdv_fd >= 0)
		greeted(e, fd, called);
}

void
kmap_pair_look(struct kmap_ent *e, int fd)
{
	struct kmap_ep *ep = e->ep;

	if (a_load(&ep->role) != KMAP_CONNECTOR ||
		a_load(&ep->stage) != KMAP_OFFERED) {
		/* The connector earns by what it reads of this very send. */
		if (a_load(&e->ticks) < 64 &&
			e->next_try > a_load(&e->ticks) + 4)
			e->next_try = a_load(&e->ticks) + 4;
		kmap_pair_tick(e, fd);
		return;
	}
	if (!kmap_trylock(&ep->lock))
		return;
	look_for_greeting(e, fd, true);
	kmap_unlock(&ep->lock);
}

void
kmap_pair_look_last(struct kmap_ent *e, int fd)
{
	if (!kmap_trylock(&e->ep->lock))
		return;
	look_for_greeting(e, fd, false);
	kmap_unlock(&e->ep->lock);
}

void
kmap_pair_close(struct kmap_ent *e)
{
	struct kmap_ent *self = e;

	kmap_lock(&e->ep->lock);
	e->closing = true;
	name_drop(e);
	offers_missed(e);
	offers_withdraw(e, -1);
	if (e->link != NULL)
		a_cas(&e->link->ents[e->link_slot], self,
			(struct kmap_ent *)NULL);
	kmap_unlock(&e->ep->lock);
}

void
kmap_pair_end(struct kmap_ent *e)
{
	struct kmap_ep *ep = e->ep;
	struct kmap_link *l = e->link;

	if (l == NULL)
		return;
	kmap_lock(&ep->lock);
	a_or(&ep->rx.ring.shm->rflags, KMAP_BYE);
	a_or(&ep->tx.ring.shm->sflags, KMAP_BYE);
	a_store_rel(&ep->shm->released[l->side], ep->slot_gen);
	if (l->side == KMAP_CONNECTOR)
		kmap_link_slot_put(l, ep->slot);
	/* Whoever is still in a call finds TCP only. */
	kmap_lock(&ep->rx.lock);
	kmap_lock(&ep->tx.lock);
	ep->link = NULL;
	ep->shm = NULL;
	ep->rx.ring.shm = NULL;
	ep->tx.ring.shm = NULL;
	kmap_unlock(&ep->tx.lock);
	kmap_unlock(&ep->rx.lock);
	kmap_unlock(&ep->lock);
}

void
kmap_pair_unlink(struct kmap_ent *e)
{
	struct kmap_link *l = e->link;

	e->link = NULL;
	if (l != NULL)
		a_sub(&l->refs, 1u);
}

void
kmap_pair_orphan(struct kmap_ep *ep)
{
	struct kmap_link *l;

	if (a_load_acq(&ep->stage) != KMAP_PAIRED || ep->link_id == 0)
		return;
	/* The pointer is of the process that paired it: ours, or one that we
	 * forked, which may have links that we never saw. */
	kmap_lock(&kmap_links_lock);
	for (l = atomic_load(&kmap_links); l != NULL; l = atomic_load(&l->next))
		if (l == ep->link && l->id == ep->link_id)
			break;
	if (l != NULL) {
		struct kmap_slot_shm *sh = &l->slots[ep->slot];

		a_or(&sh->dir[!l->side].rflags, KMAP_BYE);
		a_or(&sh->dir[l->side].sflags, KMAP_BYE);
		a_store_rel(&sh->released[l->side], ep->slot_gen);
		if (l->side == KMAP_CONNECTOR)
			kmap_link_slot_put(l, ep->slot);
	}
	kmap_unlock(&kmap_links_lock);
}

enum kmap_why
kmap_pair_verdict(const struct kmap_ent *e)
{
	struct kmap_ep *ep = e->ep;
	uint32_t why = a_load(&ep->why);

	if (ep->was_up[0] && ep->was_up[1])
		return KMAP_WHY_NONE;
	if (why != KMAP_WHY_NONE)
		return (enum kmap_why)why;
	switch (a_load(&ep->stage)) {
	case KMAP_PAIRED:
		return KMAP_WHY_NO_CONSENT;
	case KMAP_OFFERED:
		return KMAP_WHY_NO_PEER;
	default:
		if (!kmap_kin_alone(ep))
			return KMAP_WHY_SHARED;
		return e->next_try != 0 ? KMAP_WHY_NO_PEER
					: KMAP_WHY_NOT_EARNED;
	}
}
