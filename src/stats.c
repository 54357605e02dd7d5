/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "stats.h"

#include "env.h"
#include "fdtab.h"
#include "log.h"
#include "pair.h"
#include "sys.h"

#include <fcntl.h>
#include <stdarg.h>

static int stats_fd = -1;
static kmap_a32 written;

static const char *const stat_names[] = {
#define KMAP_STAT_NAME(n) #n,
	KMAP_STATS(KMAP_STAT_NAME)};

const char *const kmap_why_names[KMAP_NWHY] = {
	[KMAP_WHY_NONE] = "none",
	[KMAP_WHY_NOT_EARNED] = "not_earned",
	[KMAP_WHY_NO_PEER] = "no_peer",
	[KMAP_WHY_NEVER] = "never",
	[KMAP_WHY_NO_CONSENT] = "no_consent",
	[KMAP_WHY_UID] = "uid",
	[KMAP_WHY_NAME_TAKEN] = "name_taken",
	[KMAP_WHY_SHARED] = "shared",
	[KMAP_WHY_STDIO] = "stdio",
	[KMAP_WHY_PASSED] = "passed",
	[KMAP_WHY_URGENT] = "urgent",
	[KMAP_WHY_ASYNC] = "async",
	[KMAP_WHY_SECCOMP] = "seccomp",
	[KMAP_WHY_MLOCK] = "mlock",
	[KMAP_WHY_LIMIT] = "limit",
	[KMAP_WHY_KERNEL] = "kernel",
	[KMAP_WHY_CLOSED] = "closed",
	[KMAP_WHY_PROTOCOL] = "protocol",
	[KMAP_WHY_TABLE] = "table",
	[KMAP_WHY_UNKNOWN] = "unknown",
};

static char exe[512];

/* Asked at the start: at the end there may be no /proc (chroot), and a filter
 * that kills who looks. */
static void
find_exe(void)
{
	long n = kmap_syscall(SYS_readlinkat, AT_FDCWD, "/proc/self/exe", exe,
		sizeof(exe) - 1, 0, 0);

	if (n < 0)
		n = 0;
	for (long i = 0; i < n; i++)
		if (exe[i] == '"' || exe[i] == '\\' ||
			(unsigned char)exe[i] < ' ')
			exe[i] = '?';
	exe[n] = '\0';
}

void
kmap_stats_open(const char *path)
{
	stats_fd = kmap_fd_hide(kmap_sys_raise((int)kmap_syscall(SYS_openat,
		AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666,
		0, 0)));
	if (stats_fd < 0)
		kmap_log_always("KMAP_STATS=%s is ignored: cannot be opened "
				"for appending (errno %d)",
			path, -stats_fd);
	else
		find_exe();
}

bool
kmap_stats_wanted(void)
{
	return stats_fd >= 0;
}

struct out {
	char buf[4096];
	size_t n;
};

__attribute__((format(printf, 2, 3))) static void
put(struct out *o, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	o->n += kmap_format(o->buf + o->n, sizeof(o->buf) - o->n, fmt, ap);
	va_end(ap);
}

static uint64_t sums[KMAP_NSTATS];
static uint64_t whys[KMAP_NWHY];

static void
add_live(struct kmap_ent *e, void *arg)
{
	enum kmap_why why;

	(void)arg;
	kmap_stats_of(e->pub, sums);
	why = kmap_pair_verdict(e);
	if (why == KMAP_WHY_NONE)
		sums[KMAP_STAT_connections_upgraded]++;
	else
		whys[why]++;
}

void
kmap_stats_write(void)
{
	static struct out o;
	bool first = true;

	/* The filter of an inert program may kill at a write. */
	if (stats_fd < 0 || kmap_conf.inert || a_xchg(&written, 1u) != 0)
		return;
	for (int i = 0; i < KMAP_NSTATS; i++)
		sums[i] = a_load(&kmap_stats[i]);
	for (int i = 0; i < KMAP_NWHY; i++)
		whys[i] = a_load(&kmap_stats_why[i]);
	kmap_ent_each(add_live, NULL);
	o.n = 0;
	put(&o, "{\"pid\":%d,", kmap_sys_getpid());
	put(&o, "\"exe\":\"%s\"", exe);
	for (int i = 0; i < KMAP_NSTATS; i++)
		put(&o, ",\"%s\":%lu", stat_names[i], (unsigned long)sums[i]);
	put(&o, ",\"not_upgraded\":{");
	for (int i = 1; i < KMAP_NWHY; i++)
		if (whys[i] != 0) {
			put(&o, "%s\"%s\":%lu", first ? "" : ",",
				kmap_why_names[i], (unsigned long)whys[i]);
			first = false;
		}
	put(&o, "}}\n");
	kmap_sys_append(stats_fd, o.buf, o.n);
}

static void
clear_live(struct kmap_ent *e, void *arg)
{
	struct kmap_pub_conn *p = e->pub;

	(void)arg;
	p->head_base += p->ring_bytes_in;
	p->tail_base += p->ring_bytes_out;
	p->ring_bytes_in = p->ring_messages_in = 0;
	p->ring_bytes_out = p->ring_messages_out = 0;
	p->tcp_bytes_in = p->tcp_messages_in = 0;
	p->tcp_bytes_out = p->tcp_messages_out = 0;
}

void
kmap_stats_reset(void)
{
	for (int i = 0; i < KMAP_NSTATS; i++)
		a_store(&kmap_stats[i], UINT64_C(0));
	for (int i = 0; i < KMAP_NWHY; i++)
		a_store(&kmap_stats_why[i], UINT64_C(0));
	kmap_ent_each(clear_live, NULL);
	a_store(&written, 0u);
}
