/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "log.h"

#include "fdtab.h"
#include "sys.h"

#include <fcntl.h>
#include <stdarg.h>
#include <string.h>

int kmap_log_level = -1;
static int log_fd = 2;

bool
kmap_log_open(const char *value)
{
	static const char *const names[] = {"error", "warn", "info", "debug"};
	const char *colon = strchr(value, ':');
	size_t n = colon != NULL ? (size_t)(colon - value) : strlen(value);

	for (unsigned int i = 0; i < kmap_countof(names); i++) {
		if (strlen(names[i]) != n || strncmp(value, names[i], n) != 0)
			continue;
		if (colon != NULL) {
			int fd = kmap_syscall(SYS_openat, AT_FDCWD, colon + 1,
				O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644,
				0, 0);

			fd = kmap_fd_hide(kmap_sys_raise(fd));
			if (fd < 0)
				return false;
			log_fd = fd;
		}
		kmap_log_level = (int)i;
		return true;
	}
	return false;
}

static size_t
put_number(char *buf, size_t size, size_t at, uint64_t v, unsigned int base)
{
	char tmp[24];
	int n = 0;

	do {
		tmp[n++] = "0123456789abcdef"[v % base];
		v /= base;
	} while (v != 0);
	while (n > 0 && at < size)
		buf[at++] = tmp[--n];
	return at;
}

size_t
kmap_format(char *buf, size_t size, const char *fmt, va_list ap)
{
	size_t at = 0;

	for (; *fmt != '\0' && at < size; fmt++) {
		bool wide = false;

		if (*fmt != '%') {
			buf[at++] = *fmt;
			continue;
		}
		for (fmt++; *fmt == 'l' || *fmt == 'z'; fmt++)
			wide = true;
		if (*fmt == 's') {
			const char *s = va_arg(ap, const char *);

			for (; *s != '\0' && at < size; s++)
				buf[at++] = *s;
		} else if (*fmt == 'd') {
			int64_t v = wide ? va_arg(ap, long) : va_arg(ap, int);

			if (v < 0) {
				buf[at++] = '-';
				v = -v;
			}
			at = put_number(buf, size, at, (uint64_t)v, 10);
		} else if (*fmt == 'u' || *fmt == 'x') {
			uint64_t v = wide ? va_arg(ap, unsigned long)
					  : va_arg(ap, unsigned int);

			at = put_number(
				buf, size, at, v, *fmt == 'u' ? 10 : 16);
		} else
			buf[at++] = *fmt;
	}
	return at;
}

static void
line(int fd, const char *fmt, va_list ap)
{
	char buf[512];
	size_t n;

	memcpy(buf, "kmap[", 5);
	n = put_number(buf, sizeof(buf), 5, (uint64_t)kmap_sys_getpid(), 10);
	memcpy(buf + n, "]: ", 3);
	n += 3;
	n += kmap_format(buf + n, sizeof(buf) - 1 - n, fmt, ap);
	buf[n++] = '\n';
	kmap_sys_append(fd, buf, n);
}

void
kmap_log_write(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	line(log_fd, fmt, ap);
	va_end(ap);
}

void
kmap_log_always(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	line(2, fmt, ap);
	va_end(ap);
}
