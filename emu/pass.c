/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "call.h"
#include "family.h"

#include <string.h>

#include "wait.h"

/*
 * Whether the byte at p can be read. The kernel copies a new mask from
 * where it is told before it looks at what to do with it: EFAULT or EINVAL,
 * no side effect, and no seccomp filter forbids this call.
 */
bool
kmap_readable(const void *p)
{
	return p && kmap_raw(SYS_rt_sigprocmask, -1L, p, NULL, 8L) != -EFAULT;
}

/* The fds of one SCM_RIGHTS message, or 0. */
static size_t
rights(const struct cmsghdr *cm, const unsigned char **data)
{
	if (cm->cmsg_level != SOL_SOCKET || cm->cmsg_type != SCM_RIGHTS ||
		cm->cmsg_len < CMSG_LEN(0))
		return 0;
	*data = CMSG_DATA(cm);
	return (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int);
}

static int
fd_at(const unsigned char *data, size_t i)
{
	int fd;

	memcpy(&fd, data + i * sizeof(fd), sizeof(fd));
	return fd;
}

/* CMSG_NXTHDR of newer libcs; this one trusts neither length. */
static const struct cmsghdr *
next(const struct msghdr *msg, const struct cmsghdr *cm)
{
	const char *end = (const char *)msg->msg_control + msg->msg_controllen;
	size_t left = end - (const char *)cm;

	if (cm->cmsg_len < sizeof(*cm) ||
		CMSG_ALIGN(cm->cmsg_len) + sizeof(*cm) > left)
		return NULL;
	return (const void *)((const char *)cm + CMSG_ALIGN(cm->cmsg_len));
}

int
kmap_pass_out(const struct msghdr *msg)
{
	const struct cmsghdr *cm;
	struct msghdr m;

	if ((!kmap_any_upgraded() && !a_load(&kmap_any_set)) ||
		kmap_copy(&m, msg, sizeof(m)) != 0 ||
		m.msg_controllen < sizeof(*cm) || !kmap_readable(m.msg_control))
		return 0;
	for (cm = m.msg_control; cm; cm = next(&m, cm)) {
		const char *end =
			(const char *)m.msg_control + m.msg_controllen;
		const unsigned char *data;
		size_t n = rights(cm, &data);

		if (cm->cmsg_len > (size_t)(end - (const char *)cm))
			break;
		for (size_t i = 0; i < n; i++) {
			int r = kmap_fd_passed_out(fd_at(data, i));

			if (r)
				return r;
		}
	}
	return 0;
}

void
kmap_pass_in(const struct msghdr *msg)
{
	const struct cmsghdr *cm;

	if (msg->msg_controllen < sizeof(*cm))
		return;
	for (cm = msg->msg_control; cm; cm = next(msg, cm)) {
		const unsigned char *data;
		size_t n = rights(cm, &data);

		for (size_t i = 0; i < n; i++)
			kmap_fd_passed_in(fd_at(data, i));
	}
}
