/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "call.h"
#include "family.h"
#include "guard.h"

#include "dir.h"
#include "env.h"
#include "kin.h"
#include "log.h"
#include "obey.h"
#include "pair.h"
#include "stream.h"
#include "sys.h"
#include "testpoint.h"
#include "wait.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/auxv.h>

/* How endpoints begin and end in this process: numbers, forks, new images. */

/* ---- birth ---- */

/* sa: where a connecting socket goes; NULL: it was accepted. */
static void
opened(int fd, int role, const struct sockaddr *sa, socklen_t len)
{
	enum kmap_why why = KMAP_WHY_NONE;
	struct kmap_ent *e;

	/* Inert in a program that gained privileges; the constructor said so
	 * by leaving us asleep, unless it has not run yet. */
	if (kmap_unlikely(!kmap_awake) && getauxval(AT_SECURE))
		return;
	e = kmap_ent_open(fd, role);
	if (e == NULL)
		return;
	if (kmap_unlikely(kmap_obeying))
		why = kmap_obey((enum kmap_role)role, fd, sa, len);
	if (why != KMAP_WHY_NONE)
		kmap_ent_bar(e, why);
	else if (kmap_conf.upgrade == KMAP_NOW)
		kmap_pair_tick(e, fd);
}

void
kmap_connected(int fd, const struct sockaddr *addr, socklen_t addrlen)
{
	int proto = 0;
	socklen_t len = sizeof(proto);

	if (kmap_fd_ent(fd) != NULL || kmap_conf.inert)
		return;
	if (kmap_sys_getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &proto, &len) ==
			0 &&
		proto == IPPROTO_TCP)
		opened(fd, KMAP_CONNECTOR, addr, addrlen);
}

/* Only to hear of it: what is accepted there is decided one by one. */
void
kmap_listening(int fd)
{
	int proto = 0;
	socklen_t len = sizeof(proto);

	if (kmap_likely(!kmap_obeying) || kmap_conf.inert)
		return;
	if (kmap_sys_getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &proto, &len) ==
			0 &&
		proto == IPPROTO_TCP)
		kmap_obey(KMAP_LISTENS, fd, NULL, 0);
}

/* A listener's protocol is asked once and kept with its number. */
enum {
	LISTENS_UNKNOWN,
	LISTENS_TCP,
	LISTENS_OTHER
};

void
kmap_accepted(int listener, int fd)
{
	struct kmap_fdslot *s = kmap_fdslot_make(listener);
	uint32_t kind = s != NULL ? a_load(&s->kind) : LISTENS_UNKNOWN;

	if (kmap_unlikely(kmap_conf.inert))
		return;
	if (kind == LISTENS_UNKNOWN) {
		int proto = 0;
		socklen_t len = sizeof(proto);

		if (kmap_sys_getsockopt(
			    fd, SOL_SOCKET, SO_PROTOCOL, &proto, &len) != 0)
			return;
		kind = proto == IPPROTO_TCP ? LISTENS_TCP : LISTENS_OTHER;
		if (s != NULL)
			a_store(&s->kind, kind);
	}
	if (kind == LISTENS_TCP)
		opened(fd, KMAP_ACCEPTOR, NULL, 0);
}

/* ---- death ---- */

/* Unread ring bytes make the kernel's close a reset, as unread TCP bytes do. */
static void
reset_if_unread(struct kmap_ent *e, int fd)
{
	struct kmap_ep *ep = e->ep;
	struct linger lg = {.l_onoff = 1};

	if (ep->link == NULL || !kmap_kin_alone(ep) || ep->rx.frozen ||
		!kmap_rx_on_ring(ep) || kmap_ring_avail(&ep->rx.ring, 1) <= 0)
		return;
	kmap_sys_setsockopt(fd, SOL_SOCKET, SO_LINGER, &lg, sizeof(lg));
}

/* The kernel's FIN, or reset, follows. */
static void
ends(struct kmap_ent *e, int fd)
{
	reset_if_unread(e, fd);
	if (e->ep->link != NULL && kmap_kin_alone(e->ep) &&
		kmap_tx_on_ring(e->ep))
		kmap_tx_finish(e);
	if (kmap_kin_alone(e->ep))
		kmap_tx_last(e, fd);
}

/*
 * The number is about to be closed or overwritten (by us or by libc). With
 * threads asleep on the endpoint a hidden dup keeps the carrier for them.
 */
void
kmap_fd_leave(int fd)
{
	struct kmap_fdslot *s = kmap_fdslot(fd);
	struct kmap_ent *e;
	struct kmap_set *set, *none = NULL;

	if (s == NULL)
		return;
	a_store(&s->kind, 0u);
	set = atomic_load(&s->set);
	if (set != NULL && a_cas(&s->set, set, none))
		kmap_set_close(set, fd);
	e = atomic_load(&s->ent);
	if (s->items != NULL)
		kmap_items_close(fd,
			e != NULL &&
				(a_load(&e->fds) > 1 ||
					!kmap_kin_alone(e->ep)));
	if (e == NULL)
		return;
	if (!kmap_ent_unlink(e, fd))
		return;
	if (a_load(&e->sleepers) != 0) {
		int high = kmap_fd_hide(
			kmap_sys_fcntl(fd, F_DUPFD_CLOEXEC, fd + 1));

		if (high >= 0) {
			e->carrier = high;
			/* Whoever leaves last closes; it may have left, and
			 * may have closed. */
			if (a_load_sc(&e->sleepers) != 0 ||
				atomic_exchange(&e->carrier, -1) < 0)
				return;
			kmap_fd_hidden_close(high);
		}
	}
	if (e->rdv_fd >= 0)
		kmap_pair_look_last(e, fd);
	if (e->noffers != 0)
		kmap_pair_settle(e, fd);
	ends(e, fd);
	kmap_ent_close(e);
}

void
kmap_fd_closing(int fd)
{
	if (fd >= 0 && !kmap_vfork_child())
		kmap_fd_leave(fd);
}

/* The number came back although we never saw it closed. */
void
kmap_fd_forget(int fd)
{
	struct kmap_fdslot *s = kmap_fdslot(fd);
	struct kmap_set *set = atomic_load(&s->set), *none = NULL;
	struct kmap_ent *e = atomic_load(&s->ent);

	if (kmap_vfork_child())
		return;
	a_store(&s->kind, 0u);
	if (set != NULL && a_cas(&s->set, set, none))
		kmap_set_close(set, fd);
	if (s->items != NULL)
		kmap_items_close(fd, false);
	if (e != NULL && kmap_ent_unlink(e, fd))
		kmap_ent_close(e);
}

int
kmap_fd_unseen(int fd, int why)
{
	struct kmap_ent *e = fd < 0 ? NULL : kmap_fd_ent(fd);

	(void)why;
	if (kmap_fd_hidden(fd))
		return -EBADF;
	if (e != NULL && !kmap_vfork_child())
		kmap_go_down(e, fd, KMAP_WHY_STDIO);
	return 0;
}

int
kmap_fd_passed_out(int fd)
{
	struct kmap_ent *e = fd < 0 ? NULL : kmap_fd_ent(fd);

	if (kmap_fd_hidden(fd))
		return -EBADF;
	if (e != NULL)
		kmap_go_down(e, fd, KMAP_WHY_PASSED);
	return kmap_set_passed_out(fd);
}

/* ---- fork ---- */

static void
held_once_more(struct kmap_ent *e, void *arg)
{
	(void)arg;
	if (e->let_go)
		return;
	kmap_kin_child_more(e->ep);
	kmap_publish_state(e);
}

static void
left_by_parent(struct kmap_ent *e, void *arg)
{
	(void)arg;
	if (e->let_go)
		return;
	kmap_kin_parent_less(e->ep);
	kmap_publish_state(e);
}

static bool
cloexec(int fd)
{
	int fl = kmap_sys_fcntl(fd, F_GETFD, 0);

	return fl < 0 || (fl & FD_CLOEXEC);
}

/* The lowest of the endpoint's numbers that a new image gets, or -1. */
static int
survives(const struct kmap_ent *e)
{
	int left = (int)a_load(&e->fds);

	for (int fd = left == 1 ? e->fd : 0;
		left > 0 && fd < KMAP_FD_CHUNK * KMAP_FD_CHUNKS; fd++) {
		struct kmap_fdslot *s = kmap_fdslot(fd);

		if (s == NULL) {
			fd |= KMAP_FD_CHUNK - 1;
			continue;
		}
		if (atomic_load(&s->ent) != e)
			continue;
		if (!cloexec(fd))
			return fd;
		left--;
	}
	return -1;
}

/* libc spawns a program; this process lives on and keeps its endpoints. */
static void
before_spawn(struct kmap_ent *e, void *arg)
{
	int fd = survives(e);

	(void)arg;
	if (fd >= 0 && fd <= 2)
		kmap_go_down(e, fd, KMAP_WHY_PASSED);
}

/*
 * What an acceptor claims after the fork would reach one of the two only; and
 * what a thread pairs here while the child is made would be on a link that the
 * child never saw. Shared, it is not paired anew.
 */
static void
settled(struct kmap_ent *e, void *arg)
{
	(void)arg;
	kmap_pair_settle(e, e->fd);
}

void
kmap_spawn_before(void)
{
	if (!kmap_vfork_child())
		kmap_ent_each(before_spawn, NULL);
}

bool
kmap_fork_before(void)
{
	if (kmap_vfork_child())
		return false;
	if (kmap_kin_full())
		kmap_ep_sweep();
	/* The child's copies of the tables must be whole. */
	kmap_ents_lock();
	kmap_kin_child();
	kmap_ent_each(held_once_more, NULL);
	KMAP_TESTPOINT("fork", -1);
	kmap_ent_each(settled, NULL);
	kmap_lock(&kmap_fdtab_lock);
	kmap_sets_fork();
	kmap_lock(&kmap_links_lock);
	kmap_links_fork();
	return true;
}

void
kmap_fork_parent(void)
{
	kmap_unlock(&kmap_links_lock);
	kmap_unlock(&kmap_fdtab_lock);
	kmap_ents_unlock();
}

void
kmap_fork_over(pid_t pid)
{
	kmap_kin_forked(pid);
}

/* Bytes lay in rings that are gone: that must show. */
static void
lost(struct kmap_ent *e)
{
	int fd = e->fd;

	kmap_items_lost(e);
	if (e->let_up) {
		kmap_log(KMAP_WARN,
			"fd %d: exec failed, and others have ended the "
			"connection meanwhile",
			fd);
		kmap_sys_shutdown(fd, SHUT_RDWR);
	}
	kmap_ent_lost(e);
}

static void
held_again(struct kmap_ent *e, void *arg)
{
	(void)arg;
	if (e->let_go && !kmap_kin_again(e->ep, e->let_gen)) {
		lost(e);
		return;
	}
	/* The others have paired it, on a link that is not here. */
	if (e->let_go && (e->link == NULL) != (e->ep->link == NULL)) {
		kmap_kin_leave(e->ep);
		lost(e);
		return;
	}
	e->let_go = false;
	kmap_publish_state(e);
}

static void
names_are_the_parents(struct kmap_ent *e, void *arg)
{
	(void)arg;
	/* Only our copies of the numbers: the parent's stay. */
	if (e->rdv_fd >= 0)
		kmap_fd_hidden_close(e->rdv_fd);
	if (e->rdv_conn >= 0)
		kmap_fd_hidden_close(e->rdv_conn);
	e->rdv_fd = e->rdv_conn = -1;
	e->noffers = 0;
	e->preconsent = false;
	a_store(&e->sleepers, 0u);
}

/* What another thread of the parent was closing, or leaving for a new image,
 * when the child was made. */
static void
another_threads(struct kmap_ent *e, void *arg)
{
	int carrier;

	if (a_load(&e->fds) != 0) {
		if (e->let_go)
			held_again(e, arg);
		return;
	}
	/* It sleeps on the number; here nobody does. */
	carrier = atomic_exchange(&e->carrier, -1);
	if (carrier >= 0)
		kmap_fd_hidden_close(carrier);
	kmap_ent_close(e);
}

void
kmap_fork_child(void)
{
	kmap_sys_forked();
	kmap_self.holder = 0;
	a_store(&kmap_fdtab_lock.word, 0u);
	a_store(&kmap_links_lock.word, 0u);
	kmap_handlers_forked();
	kmap_fdtab_forked();
	kmap_kin_born();
	kmap_place_forget();
	kmap_ent_each(names_are_the_parents, NULL);
	kmap_pair_forked();
	kmap_links_forked();
	kmap_sets_forked();
	if (kmap_publish_forked())
		kmap_stats_reset();
	kmap_ent_each(another_threads, NULL);
	/* The three that the parent gives back. */
	kmap_crit_leave();
	kmap_crit_leave();
	kmap_crit_leave();
}

void
kmap_fork_orphaned(void)
{
	kmap_ent_each(left_by_parent, NULL);
}

/* ---- a new image ---- */

static void
before_image(struct kmap_ent *e, void *arg)
{
	int fd = survives(e);

	(void)arg;
	if (fd < 0) {
		ends(e, e->fd);
		return;
	}
	/* It lives on in a program that knows nothing of the rings. While
	 * another process of the family holds it, too, that one goes on,
	 * unless it is handed over as standard input or output. */
	if (kmap_kin_alone(e->ep) || fd == 0)
		kmap_go_down(e, fd, KMAP_WHY_PASSED);
	else if (fd <= 2)
		/* It only writes: the unread bytes stay the others'. */
		kmap_tx_finish(e);
}

/*
 * What others of the family hold, too, is theirs from now on: without this a
 * child that merely ends would keep its parent's connections from ever
 * moving, and their slots from being used again. What nobody else holds stays
 * ours until this process is dead: then it is found.
 */
static void
held_by_others(struct kmap_ent *e, void *arg)
{
	(void)arg;
	e->let_gen = a_load(&e->ep->gen);
	e->let_up = kmap_rx_on_ring(e->ep) || kmap_tx_on_ring(e->ep);
	kmap_publish_state(e);
	kmap_ents_lock();
	if (!e->let_go)
		e->let_go = kmap_kin_leave(e->ep);
	kmap_ents_unlock();
	KMAP_TESTPOINT("let-go", e->fd);
}

static bool image_tried;

char *const *
kmap_exec_before(char *const envp[])
{
	if (kmap_vfork_child())
		return envp;
	kmap_ent_each(before_image, NULL);
	kmap_sets_image();
	kmap_stats_write();
	kmap_ent_each(held_by_others, NULL);
	kmap_kin_image(true);
	image_tried = true;
	KMAP_TESTPOINT("image", -1);
	return envp;
}

void
kmap_exec_failed(void)
{
	if (!image_tried || kmap_vfork_child())
		return;
	image_tried = false;
	kmap_kin_image(false);
	kmap_ent_each(held_again, NULL);
	/* The line is out: what follows is counted anew. */
	kmap_stats_reset();
}

/* ---- the end ---- */

static void
at_end(struct kmap_ent *e, void *arg)
{
	ends(e, e->fd);
	held_by_others(e, arg);
}

void
kmap_end(void)
{
	kmap_stats_write();
	kmap_ent_each(at_end, NULL);
}

__attribute__((destructor)) static void
fini(void)
{
	kmap_end();
}

/* ---- things that end pairing ---- */

/* What others of the family hold, too, stays as it is: theirs is no filter
 * and no queue. */
static void
leave_ring(struct kmap_ent *e, void *why)
{
	if (kmap_kin_alone(e->ep) && (e->ep->link != NULL || e->noffers != 0))
		kmap_go_down(e, e->fd, (enum kmap_why)(uintptr_t)why);
}

void
kmap_seccomp_filter(void)
{
	if (kmap_vfork_child())
		return;
	kmap_log(KMAP_INFO,
		"the program installs a seccomp filter: no more "
		"connections are moved");
	kmap_pair_stop(KMAP_WHY_SECCOMP);
	kmap_ent_each(leave_ring, (void *)(uintptr_t)KMAP_WHY_SECCOMP);
	kmap_sys_confined();
}

void
kmap_uring(void)
{
	if (kmap_vfork_child())
		return;
	kmap_log(KMAP_WARN,
		"the program uses io_uring, which reads and "
		"writes behind the wrappers: no more connections are moved");
	kmap_pair_stop(KMAP_WHY_NO_CONSENT);
	kmap_ent_each(leave_ring, (void *)(uintptr_t)KMAP_WHY_NO_CONSENT);
}

void
kmap_pinned(int flags)
{
	if (flags & 2 /* MCL_FUTURE */)
		kmap_pair_stop(KMAP_WHY_MLOCK);
}
