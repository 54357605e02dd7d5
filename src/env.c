/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "env.h"

#include "layout.h"
#include "log.h"
#include "obey.h"
#include "stats.h"

#include <string.h>

#define DEFAULT_RING (128u << 10)

struct kmap_conf kmap_conf = {
	.upgrade = KMAP_EARNED,
	.ring_size = DEFAULT_RING,
};

/* Decimal with an optional K or M; false: not a number. */
static bool
number(const char *s, uint64_t *out)
{
	uint64_t n = 0;

	if (*s < '0' || *s > '9')
		return false;
	for (; *s >= '0' && *s <= '9'; s++) {
		if (n > UINT32_MAX)
			return false;
		n = n * 10 + (uint64_t)(*s - '0');
	}
	if ((*s | 32) == 'k') {
		n <<= 10;
		s++;
	} else if ((*s | 32) == 'm') {
		n <<= 20;
		s++;
	}
	*out = n;
	return *s == '\0';
}

static bool
set_upgrade(struct kmap_conf *c, const char *v)
{
	static const char *const names[] = {"earned", "now", "never"};

	for (unsigned int i = 0; i < kmap_countof(names); i++)
		if (strcmp(v, names[i]) == 0) {
			c->upgrade = (enum kmap_upgrade)i;
			c->given |= KMAP_GIVEN_UPGRADE;
			return true;
		}
	return false;
}

static bool
set_ring(struct kmap_conf *c, const char *v)
{
	uint64_t n, p = KMAP_RING_MIN;

	if (!number(v, &n) || n < KMAP_RING_MIN || n > KMAP_RING_MAX)
		return false;
	while (p < n)
		p <<= 1;
	c->ring_size = p;
	c->given |= KMAP_GIVEN_RING;
	return true;
}

static bool
set_peers(struct kmap_conf *c, const char *v)
{
	uint32_t list[KMAP_PEERS_MAX];
	unsigned int n = 0;

	if (strcmp(v, "same-uid") != 0) {
		while (*v != '\0') {
			uint64_t uid = 0;

			if (*v < '0' || *v > '9' || n == KMAP_PEERS_MAX)
				return false;
			while (*v >= '0' && *v <= '9' && uid < UINT32_MAX)
				uid = uid * 10 + (uint64_t)(*v++ - '0');
			if (uid >= UINT32_MAX || (*v != ',' && *v != '\0'))
				return false;
			if (*v == ',' && *++v == '\0')
				return false;
			list[n++] = (uint32_t)uid;
		}
		if (n == 0)
			return false;
	}
	memcpy(c->peers, list, n * sizeof(list[0]));
	c->npeers = n;
	c->peers_set = true;
	c->given |= KMAP_GIVEN_PEERS;
	return true;
}

static bool
set_log(struct kmap_conf *c, const char *v)
{
	(void)c;
	return kmap_log_open(v);
}

static bool
set_stats(struct kmap_conf *c, const char *v)
{
	(void)c;
	kmap_stats_open(v);
	return true;
}

static bool
set_table(struct kmap_conf *c, const char *v)
{
	(void)c;
	kmap_obey_load(v);
	return true;
}

static const struct {
	const char *name;
	bool (*set)(struct kmap_conf *c, const char *value);
	const char *expects;
} settings[] = {
	/* First, so that the others can be logged. */
	{"KMAP_LOG", set_log, "error, warn, info or debug[:file]"},
	{"KMAP_UPGRADE", set_upgrade, "now, earned or never"},
	{"KMAP_RING", set_ring, "bytes from 4096 to 64M"},
	{"KMAP_PEERS", set_peers, "same-uid or uid,uid..."},
	{"KMAP_STATS", set_stats, "a file"},
	/* Last: what the environment gave wins over a table. */
	{"KMAP_TABLE", set_table, "a file"},
};

/* "KMAP_RING" is "ring" in a table. */
static bool
is_called(const char *env, const char *name)
{
	for (env += strlen("KMAP_"); *env != '\0'; env++, name++)
		if ((*env | 32) != *name)
			return false;
	return *name == '\0';
}

bool
kmap_conf_set(struct kmap_conf *c, const char *name, const char *text)
{
	for (unsigned int i = 0; i < kmap_countof(settings); i++)
		if (is_called(settings[i].name, name))
			return settings[i].set(c, text);
	return false;
}

const char *
kmap_conf_expects(const char *name)
{
	for (unsigned int i = 0; i < kmap_countof(settings); i++)
		if (is_called(settings[i].name, name))
			return settings[i].expects;
	return "";
}

void
kmap_env_read(char **envp)
{
	for (unsigned int i = 0; i < kmap_countof(settings); i++) {
		size_t len = strlen(settings[i].name);

		for (char **e = envp; e != NULL && *e != NULL; e++) {
			const char *v = *e + len + 1;

			if (strncmp(*e, settings[i].name, len) != 0 ||
				(*e)[len] != '=')
				continue;
			if (*v != '\0' && !settings[i].set(&kmap_conf, v))
				kmap_log_always("%s=%s is ignored: expected %s",
					settings[i].name, v,
					settings[i].expects);
			break;
		}
	}
}
