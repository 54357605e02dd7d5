/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "wait.h"

#include "sys.h"

#include <sys/eventfd.h>

/*
 * The process's own placeholders. A number stands for one eventfd for ever,
 * because peers keep it: a waiting place that ends gives both back, and the
 * next one takes them. Beyond KMAP_BELLS places share the common one.
 */
#define KMAP_BELLS 62

static struct {
	int bell_plus1;
	bool used;
} bells[KMAP_BELLS];
static struct kmap_lock bells_lock;

static int
bell_make(void)
{
	return kmap_fd_hide(kmap_sys_raise(
		kmap_sys_eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)));
}

int
kmap_bell_get(int *bell)
{
	int id = -1;

	kmap_lock(&bells_lock);
	for (int i = 0; i < KMAP_BELLS && id < 0; i++)
		if (!bells[i].used)
			id = i;
	if (id >= 0) {
		if (bells[id].bell_plus1 == 0) {
			int fd = bell_make();

			bells[id].bell_plus1 = fd < 0 ? 0 : fd + 1;
		}
		*bell = bells[id].bell_plus1 - 1;
		if (*bell < 0)
			id = -1;
		else
			bells[id].used = true;
	} else
		*bell = bell_make();
	kmap_unlock(&bells_lock);
	return id;
}

void
kmap_bell_put(int id, int bell)
{
	if (id < 0) {
		if (bell >= 0)
			kmap_fd_hidden_close(bell);
		return;
	}
	kmap_lock(&bells_lock);
	bells[id].used = false;
	kmap_unlock(&bells_lock);
}

void
kmap_bells_forked(void)
{
	a_store(&bells_lock.word, 0u);
	for (int i = 0; i < KMAP_BELLS; i++) {
		/* An inherited epoll set keeps its own. */
		if (bells[i].bell_plus1 != 0 && !bells[i].used)
			kmap_fd_hidden_close(bells[i].bell_plus1 - 1);
		bells[i].bell_plus1 = 0;
		bells[i].used = false;
	}
}
