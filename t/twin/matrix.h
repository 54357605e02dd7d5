/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rows of the two matrices, which other files (fortified, large-file) add. */
#ifndef MATRIX_H
#define MATRIX_H

#include <stdbool.h>
#include <sys/types.h>

#define MX_FLAGS 1u /* takes MSG_ flags */
#define MX_IOV 2u /* scattered */
#define MX_MM 4u /* counts messages */
#define MX_PIPE 8u /* by way of a pipe or a file */
#define MX_ALIAS                                                               \
	16u /* another name: the core of the columns, if not KMAP_LONG */
#define MX_SELECT 32u /* knows IN, OUT and PRI only */
#define MX_EPOLL 64u
#define MX_COPY 128u /* bad pointers and numbers never reach the call */

/* What a column is, beside the flags of its cases: what another name for the
 * same call goes through, and what it asks of its calls. */
#define FLAGS 0x7fffu
#define CORE 0x8000u
#define NEEDS(w) ((unsigned)(w) << 16)
#define NOT(w) ((unsigned)(w) << 24)

/* Instead of MSG_ flags, to calls of MX_PIPE: an offset that cannot be read,
 * of the pipe or file, or of the socket. */
#define MX_OFF_BAD 0x10000000
#define MX_SOCK_OFF_BAD 0x20000000

/* A row: a call in the form of its matrix. */
struct tw_call {
	const char *name;
	unsigned what;
	union {
		ssize_t (*rx)(int fd, void *buf, size_t n, int flags);
		ssize_t (*tx)(int fd, const void *buf, size_t n, int flags);
		/* Returns as poll does; *got as poll's revents. */
		int (*wait)(int fd, unsigned want, int ms, unsigned *got);
	};
};

struct tw_column {
	const char *name;
	void (*run)(const struct tw_call *x);
	unsigned flags;
};

/* Makes a case of each of the columns that fit. */
void tw_row(const struct tw_call *x, const struct tw_column *columns, size_t n);

void tw_rx_row(const struct tw_call *x);
void tw_tx_row(const struct tw_call *x);
void tw_wait_row(const struct tw_call *x);

/* Of files that are compiled in another way. */
void tw_fortify_rows(void);
void tw_lfs_cases(void);

#endif
