/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "table.h"

#include "log.h"
#include "sys.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>

/* ---- what a table may hold ---- */

#define STR KMAP_TYPE(KMAP_STRING)
#define INT KMAP_TYPE(KMAP_INTEGER)
#define BOOL KMAP_TYPE(KMAP_BOOLEAN)
#define ARRAY KMAP_TYPE(KMAP_ARRAY)
#define INLINE KMAP_TYPE(KMAP_INLINE)

#define COUNT(n)                                                               \
	{                                                                      \
		.name = n, .types = INT, .evidence = true,                     \
		.join = KMAP_JOIN_SUM                                          \
	}
#define SET(n)                                                                 \
	{                                                                      \
		.name = n, .types = ARRAY, .items = STR, .join = KMAP_JOIN_SET \
	}
#define TEXT(n)                                                                \
	{                                                                      \
		.name = n, .types = STR, .join = KMAP_JOIN_NEWEST              \
	}
#define SAME(n)                                                                \
	{                                                                      \
		.name = n, .types = STR, .required = true,                     \
		.join = KMAP_JOIN_SAME                                         \
	}
#define WORD(n, w, j)                                                          \
	{                                                                      \
		.name = n, .types = STR, .required = true, .words = w,         \
		.join = j                                                      \
	}

static const char *const roles[] = {
	"connect", "accept", "listen", "pair", "open", NULL};
static const char *const socket_kinds[] = {"tcp", "udp", "unix", "other", NULL};
static const char *const decisions[] = {"emulate", "tcp", NULL};
static const char *const verdicts[] = {"harmless", "tcp", NULL};
static const char *const upgrades[] = {"earned", "now", "never", NULL};
static const char *const causes[] = {
	"libc", "raw", "inline", "io_uring", "early", NULL};

static const struct kmap_field f_root[] = {
	{.name = "kmap-table", .types = INT, .required = true},
};
static const struct kmap_field f_program[] = {
	{.name = "build-id", .types = STR, .join = KMAP_JOIN_SAME},
	COUNT("calls"),
	TEXT("command"),
	SAME("exe"),
	TEXT("libc"),
	COUNT("processes"),
	COUNT("runs"),
};
static const struct kmap_field f_settings[] = {
	{.name = "inert", .types = BOOL, .join = KMAP_JOIN_OR},
	{.name = "peers",
		.types = STR | ARRAY,
		.items = INT,
		.join = KMAP_JOIN_NEWEST},
	{.name = "ring", .types = STR | INT, .join = KMAP_JOIN_NEWEST},
	{.name = "upgrade",
		.types = STR,
		.words = upgrades,
		.join = KMAP_JOIN_NEWEST},
};
static const struct kmap_field f_child[] = {
	{.name = "build-id", .types = STR, .join = KMAP_JOIN_NEWEST},
	COUNT("calls"),
};
static const struct kmap_field f_endpoint[] = {
	SAME("address"),
	COUNT("count"),
	WORD("decision", decisions, KMAP_JOIN_WORSE),
	{.name = "kind",
		.types = STR,
		.words = socket_kinds,
		.join = KMAP_JOIN_SAME},
	{.name = "reason", .types = STR, .join = KMAP_JOIN_WITH_WORSE},
	WORD("role", roles, KMAP_JOIN_SAME),
};
static const struct kmap_field f_call[] = {
	{.name = "count",
		.types = INT,
		.required = true,
		.evidence = true,
		.join = KMAP_JOIN_SUM},
	SET("endpoints"),
	SET("flags"),
	SET("modules"),
	SET("options"),
};
static const struct kmap_field f_path[] = {
	SAME("call"),
	COUNT("count"),
	{.name = "frames",
		.types = ARRAY,
		.items = STR,
		.required = true,
		.join = KMAP_JOIN_SAME},
};
static const struct kmap_field f_pollset[] = {
	COUNT("count"),
	SET("endpoints"),
	SET("kernel"),
	{.name = "mixed",
		.types = BOOL,
		.required = true,
		.join = KMAP_JOIN_OR},
};
static const struct kmap_field f_passing[] = {
	COUNT("count"),
};
static const struct kmap_field f_escape[] = {
	WORD("cause", causes, KMAP_JOIN_SAME),
	COUNT("count"),
	SET("endpoints"),
	SAME("sys"),
	WORD("verdict", verdicts, KMAP_JOIN_WORSE),
};

#define KIND(n, f, ...)                                                        \
	{                                                                      \
		.name = n, .fields = f, .nfields = kmap_countof(f),            \
		__VA_ARGS__                                                    \
	}

const struct kmap_kind kmap_kinds[] = {
	KIND("", f_root),
	KIND("program", f_program, .about = "What was traced."),
	KIND("settings", f_settings,
		.about =
			"As in libkmapemu(7), whose environment variables win."),
	KIND("child", f_child, .open = true,
		.about =
			"Other programs that ran under it; the table is theirs, too."),
	KIND("endpoint", f_endpoint, .many = true,
		.about =
			"What may move (emulate), what stays with the kernel, and why."),
	KIND("call", f_call, .open = true, .evidence = true,
		.about =
			"Functions; count 0: imported, but not called in these runs."),
	KIND("path", f_path, .open = true, .evidence = true,
		.about = "How they are called, innermost frame first."),
	KIND("pollset", f_pollset, .open = true, .evidence = true,
		.about = "What is waited for together."),
	KIND("passing", f_passing, .open = true, .evidence = true,
		.about =
			"Descriptors that went to, or came from, another process."),
	KIND("escape", f_escape, .open = true, .evidence = true,
		.about = "System calls that no wrapper sees."),
};
const unsigned int kmap_nkinds = kmap_countof(kmap_kinds);

static const char *const type_names[] = {
	[KMAP_STRING] = "a string",
	[KMAP_INTEGER] = "an integer",
	[KMAP_BOOLEAN] = "a boolean",
	[KMAP_ARRAY] = "an array",
	[KMAP_INLINE] = "an inline table",
};

/* ---- the text ---- */

#define DEPTH_MAX 4

struct parser {
	struct kmap_table *t;
	struct kmap_table_error *e;
	char *p, *end; /* *end is '\0' */
	const char *bol; /* where the line begins */
	unsigned int line;
	bool rules_only; /* evidence is checked, and not kept */
	int err;
};

__attribute__((format(printf, 4, 5))) static bool
fail_at(struct parser *ps, unsigned int line, unsigned int column,
	const char *fmt, ...)
{
	va_list ap;
	size_t n;

	if (ps->err != 0)
		return false;
	ps->err = -EINVAL;
	ps->e->line = line;
	ps->e->column = column;
	va_start(ap, fmt);
	n = kmap_format(ps->e->text, sizeof(ps->e->text) - 1, fmt, ap);
	va_end(ap);
	ps->e->text[n] = '\0';
	/* What was escaped in the file must not reach a terminal. */
	for (char *c = ps->e->text; *c != '\0'; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	return false;
}

static unsigned int
column(const struct parser *ps, const char *at)
{
	return (unsigned int)(at - ps->bol) + 1;
}

#define fail(ps, at, ...)                                                      \
	fail_at((ps), (ps)->line, column((ps), (at)), __VA_ARGS__)

static void *
take(struct parser *ps, size_t n)
{
	struct kmap_table *t = ps->t;
	void *p = (char *)t->arena + t->arena_used;

	n = (n + 15) & ~(size_t)15;
	if (n > t->arena_size - t->arena_used) {
		fail_at(ps, 0, 0, "more than a table of this size can hold");
		ps->err = -ENOMEM;
		return NULL;
	}
	t->arena_used += n;
	return p;
}

/* The length of the UTF-8 character at s, 0 if it is none (RFC 3629). */
static unsigned int
utf8(const unsigned char *s, const unsigned char *end)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	unsigned int n = *s < 0x80 ? 1
		: *s < 0xc2	   ? 0
		: *s < 0xe0	   ? 2
		: *s < 0xf0	   ? 3
		: *s < 0xf5	   ? 4
				   : 0;
	uint32_t c;

	if (n == 0 || (size_t)(end - s) < n)
		return 0;
	if (n == 1)
		return 1;
	c = *s & (0x7fu >> n);
	for (unsigned int i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	return c < least[n] || (c >= 0xd800 && c < 0xe000) || c > 0x10ffff ? 0
									   : n;
}

/* TOML is UTF-8 and has no control characters, comments included. */
static bool
characters(struct parser *ps)
{
	const unsigned char *s = (const unsigned char *)ps->p;
	const unsigned char *end = (const unsigned char *)ps->end;

	while (s < end) {
		uint64_t w, low;
		unsigned int n;

		/* Eight at a time while all are plain: no byte is below a
		 * space, DEL, or above 0x7f. */
		if (end - s >= 8) {
			memcpy(&w, s, 8);
			low = (w - UINT64_C(0x2020202020202020)) | w |
				(w + UINT64_C(0x0101010101010101));
			if ((low & UINT64_C(0x8080808080808080)) == 0) {
				s += 8;
				continue;
			}
		}
		if (*s == '\n') {
			ps->line++;
			ps->bol = (const char *)++s;
			continue;
		}
		if ((*s < ' ' && *s != '\t') || *s == 0x7f)
			return *s == '\r'
				? fail(ps, (const char *)s,
					  "a carriage return: lines end in a line feed "
					  "alone")
				: fail(ps, (const char *)s,
					  "the control character 0x%x", *s);
		n = utf8(s, end);
		if (n == 0)
			return fail(ps, (const char *)s,
				"the byte 0x%x is not UTF-8", *s);
		s += n;
	}
	ps->line = 1;
	ps->bol = ps->p;
	return true;
}

static void
blanks(struct parser *ps)
{
	while (*ps->p == ' ' || *ps->p == '\t')
		ps->p++;
}

static void
newline(struct parser *ps)
{
	ps->p++;
	ps->line++;
	ps->bol = ps->p;
}

/* Blanks and a comment; stops at the line's end. */
static void
comment(struct parser *ps)
{
	blanks(ps);
	if (*ps->p == '#')
		while (ps->p < ps->end && *ps->p != '\n')
			ps->p++;
}

/* The same over any number of lines. */
static void
lines(struct parser *ps)
{
	for (comment(ps); *ps->p == '\n'; comment(ps))
		newline(ps);
}

static bool
line_end(struct parser *ps, const char *after)
{
	blanks(ps);
	if (*ps->p != '#' && *ps->p != '\n' && ps->p < ps->end)
		return fail(ps, ps->p, "more on the line, after %s", after);
	comment(ps);
	if (*ps->p == '\n')
		newline(ps);
	return true;
}

static bool
is_bare(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
		(c >= '0' && c <= '9') || c == '_' || c == '-';
}

/* \uXXXX or \UXXXXXXXX, behind the backslash; *to moves on. */
static bool
escaped_char(struct parser *ps, char **to)
{
	unsigned int n = *ps->p == 'u' ? 4 : 8;
	const char *at = ps->p - 1;
	uint32_t c = 0;
	char *w = *to;

	for (ps->p++; n > 0; n--, ps->p++) {
		char d = *ps->p;

		if (d >= '0' && d <= '9')
			d = (char)(d - '0');
		else if ((d | 32) >= 'a' && (d | 32) <= 'f')
			d = (char)((d | 32) - 'a' + 10);
		else
			return fail(ps, at,
				"an escape takes 4 (\\u) or 8 (\\U)"
				" hexadecimal digits");
		c = c << 4 | (uint32_t)d;
	}
	if (c == 0)
		return fail(ps, at, "a NUL in a string");
	if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return fail(ps, at, "the escape names no character");
	if (c < 0x80)
		*w++ = (char)c;
	else {
		if (c < 0x800)
			*w++ = (char)(0xc0 | c >> 6);
		else {
			if (c < 0x10000)
				*w++ = (char)(0xe0 | c >> 12);
			else {
				*w++ = (char)(0xf0 | c >> 18);
				*w++ = (char)(0x80 | (c >> 12 & 0x3f));
			}
			*w++ = (char)(0x80 | (c >> 6 & 0x3f));
		}
		*w++ = (char)(0x80 | (c & 0x3f));
	}
	*to = w;
	return true;
}

static bool
escape(struct parser *ps, char **to)
{
	static const char from[] = "btnfr\"\\", is[] = "\b\t\n\f\r\"\\";
	const char *i;

	ps->p++;
	if (*ps->p == 'u' || *ps->p == 'U')
		return escaped_char(ps, to);
	i = *ps->p != '\0' ? strchr(from, *ps->p) : NULL;
	if (i == NULL)
		return fail(ps, ps->p - 1,
			"an unknown escape: known are "
			"\\b \\t \\n \\f \\r \\\" \\\\ \\u \\U");
	*(*to)++ = is[i - from];
	ps->p++;
	return true;
}

/* "…": decoded where it stands, for no escape is shorter than what it means.
 * The NUL goes where the closing quote was, at the latest. */
static const char *
basic(struct parser *ps)
{
	char *s = ps->p + 1, *to = s;

	if (strncmp(ps->p, "\"\"\"", 3) == 0) {
		fail(ps, ps->p,
			"a multi-line string (\"\"\"): a table's "
			"strings stand on one line");
		return NULL;
	}
	for (ps->p++;;) {
		char *p = ps->p;
		size_t n;

		while (*p != '"' && *p != '\\' && *p != '\n' && *p != '\0')
			p++;
		n = (size_t)(p - ps->p);
		if (to != ps->p)
			memmove(to, ps->p, n);
		to += n;
		ps->p = p;
		if (*p == '"')
			break;
		if (*p != '\\') {
			fail(ps, p, "the line ends within a string");
			return NULL;
		}
		if (!escape(ps, &to))
			return NULL;
	}
	ps->p++;
	*to = '\0';
	return s;
}

static bool
literal_refused(struct parser *ps)
{
	return strncmp(ps->p, "'''", 3) == 0
		? fail(ps, ps->p,
			  "a multi-line literal string ('''): write it in "
			  "double quotes, on one line")
		: fail(ps, ps->p,
			  "a literal string ('...'): write it in double "
			  "quotes");
}

/*
 * key =. A bare key is ended only when the '=' is behind us: its NUL goes to
 * where the blank or the '=' stood.
 */
static bool
key(struct parser *ps, struct kmap_value *v)
{
	char *end = NULL;

	v->line = ps->line;
	v->column = (uint16_t)kmap_umin(column(ps, ps->p), UINT16_MAX);
	if (*ps->p == '\'')
		return literal_refused(ps);
	if (*ps->p == '"') {
		v->key = basic(ps);
		if (v->key == NULL)
			return false;
	} else {
		v->key = ps->p;
		while (is_bare(*ps->p))
			ps->p++;
		end = ps->p;
		if (end == v->key)
			return *ps->p == '='
				? fail(ps, ps->p, "no key before the =")
				: fail(ps, ps->p,
					  "no key: a name, digits, _ and -, "
					  "or a string");
	}
	blanks(ps);
	if (*ps->p == '.')
		return fail(ps, ps->p,
			"a dotted key: write the section in "
			"[brackets], or quote a name that has a dot");
	if (*ps->p != '=')
		return fail(ps, ps->p, "no = after the key");
	ps->p++;
	blanks(ps);
	if (end != NULL)
		*end = '\0';
	return true;
}

static bool value(struct parser *ps, struct kmap_value *v, int depth);

static struct kmap_value *
value_new(struct parser *ps)
{
	struct kmap_value *v = take(ps, sizeof(*v));

	if (v != NULL)
		memset(v, 0, sizeof(*v));
	return v;
}

static bool
array(struct parser *ps, struct kmap_value *v, int depth)
{
	struct kmap_value **last = &v->first;

	v->type = KMAP_ARRAY;
	v->first = NULL;
	ps->p++;
	for (;;) {
		struct kmap_value *item;

		lines(ps);
		if (*ps->p == ']')
			break;
		if (ps->p >= ps->end)
			return fail(ps, ps->p, "the file ends within an array");
		item = value_new(ps);
		if (item == NULL)
			return false;
		item->line = ps->line;
		item->column =
			(uint16_t)kmap_umin(column(ps, ps->p), UINT16_MAX);
		if (!value(ps, item, depth + 1))
			return false;
		*last = item;
		last = &item->next;
		lines(ps);
		if (*ps->p == ',')
			ps->p++;
		else if (*ps->p != ']')
			return fail(ps, ps->p,
				"neither , nor ] after an "
				"element of an array");
	}
	ps->p++;
	return true;
}

static bool
inline_table(struct parser *ps, struct kmap_value *v, int depth)
{
	struct kmap_value **last = &v->first;

	v->type = KMAP_INLINE;
	v->first = NULL;
	ps->p++;
	blanks(ps);
	if (*ps->p == '}') {
		ps->p++;
		return true;
	}
	for (;;) {
		struct kmap_value *m = value_new(ps);

		if (m == NULL)
			return false;
		if (*ps->p == '\n' || *ps->p == '#' || ps->p >= ps->end)
			return fail(ps, ps->p,
				"the line ends within an inline "
				"table");
		if (*ps->p == '}')
			return fail(ps, ps->p,
				"a comma before the } of an "
				"inline table");
		if (!key(ps, m) || !value(ps, m, depth + 1))
			return false;
		*last = m;
		last = &m->next;
		blanks(ps);
		if (*ps->p == '}')
			break;
		if (*ps->p == '\n' || *ps->p == '#' || ps->p >= ps->end)
			return fail(ps, ps->p,
				"the line ends within an inline "
				"table");
		if (*ps->p != ',')
			return fail(ps, ps->p,
				"neither , nor } after a value "
				"of an inline table");
		ps->p++;
		blanks(ps);
	}
	ps->p++;
	return true;
}

/* What TOML has and a table has not, by name. */
static bool
number_refused(struct parser *ps, const char *s)
{
	const char *p = s + (*s == '-' || *s == '+');
	size_t n = 0;

	while (p[n] >= '0' && p[n] <= '9')
		n++;
	if (*s == '+')
		return fail(ps, s, "a plus sign: write the number alone");
	if (strncmp(p, "inf", 3) == 0 || strncmp(p, "nan", 3) == 0)
		return fail(ps, s, "a float: numbers are whole");
	if (n == 0)
		return fail(ps, s,
			"no value: a string, an integer, true, "
			"false, an array or an inline table");
	if (p[n] == '.' || (p[n] | 32) == 'e')
		return fail(ps, s, "a float: numbers are whole");
	if (p[n] == '_')
		return fail(ps, s, "an underscore in a number");
	if (n == 1 && *p == '0' && (p[n] == 'x' || p[n] == 'o' || p[n] == 'b'))
		return fail(ps, s, "a number that is not decimal");
	if ((n == 4 && p[n] == '-') || (n == 2 && p[n] == ':'))
		return fail(ps, s, "a date or time");
	if (n > 1 && *p == '0')
		return fail(ps, s, "a number that begins with 0");
	return fail(ps, s, "a number that does not end where its digits end");
}

static bool
integer(struct parser *ps, struct kmap_value *v)
{
	const char *s = ps->p, *p = s + (*s == '-');
	uint64_t n = 0, max = INT64_MAX + (uint64_t)(*s == '-');

	if (*p < '0' || *p > '9')
		return number_refused(ps, s);
	for (; *p >= '0' && *p <= '9'; p++) {
		unsigned int d = (unsigned int)(*p - '0');

		if (n > (max - d) / 10)
			return fail(ps, s, "a number beyond 64 bits");
		n = n * 10 + d;
	}
	if ((s[*s == '-'] == '0' && p - s > 1 + (*s == '-')) || is_bare(*p) ||
		*p == '.' || *p == ':' || *p == '+')
		return number_refused(ps, s);
	v->type = KMAP_INTEGER;
	v->integer = *s == '-' ? (int64_t)(0 - n) : (int64_t)n;
	ps->p += p - s;
	return true;
}

static bool
word(struct parser *ps, const char *w)
{
	size_t n = strlen(w);

	if (strncmp(ps->p, w, n) != 0 || is_bare(ps->p[n]))
		return false;
	ps->p += n;
	return true;
}

static bool
value(struct parser *ps, struct kmap_value *v, int depth)
{
	if (depth > DEPTH_MAX)
		return fail(ps, ps->p, "nested too deep");
	switch (*ps->p) {
	case '"':
		v->type = KMAP_STRING;
		v->string = basic(ps);
		return v->string != NULL;
	case '\'':
		return literal_refused(ps);
	case '[':
		return array(ps, v, depth);
	case '{':
		return inline_table(ps, v, depth);
	case 't':
	case 'f':
		v->type = KMAP_BOOLEAN;
		v->boolean = *ps->p == 't';
		if (word(ps, v->boolean ? "true" : "false"))
			return true;
		/* fallthrough */
	default:
		return integer(ps, v);
	}
}

/* ---- the rules of a table ---- */

const struct kmap_field *
kmap_field(const struct kmap_kind *k, const char *name)
{
	for (unsigned int i = 0; i < k->nfields; i++)
		if (strcmp(k->fields[i].name, name) == 0)
			return &k->fields[i];
	return NULL;
}

const struct kmap_value *
kmap_value(const struct kmap_value *v, const char *name)
{
	for (; v != NULL; v = v->next)
		if (strcmp(v->key, name) == 0)
			return v;
	return NULL;
}

const char *
kmap_value_text(const struct kmap_value *first, const char *name)
{
	const struct kmap_value *v = kmap_value(first, name);

	return v != NULL && v->type == KMAP_STRING ? v->string : "";
}

static const char *
open_bracket(const struct kmap_kind *k)
{
	return k->many ? "[[" : k->name[0] != '\0' ? "[" : "the top";
}

static const char *
close_bracket(const struct kmap_kind *k)
{
	return k->many ? "]]" : k->name[0] != '\0' ? "]" : "";
}

/* "a string or an array" */
static void
types_text(char *buf, size_t size, unsigned int types)
{
	buf[0] = '\0';
	for (unsigned int i = 0; i < kmap_countof(type_names); i++) {
		if (!(types & KMAP_TYPE(i)))
			continue;
		if (buf[0] != '\0')
			strncat(buf, " or ", size - 1 - strlen(buf));
		strncat(buf, type_names[i], size - 1 - strlen(buf));
	}
}

static bool
word_known(struct parser *ps, const struct kmap_field *f,
	const struct kmap_value *v)
{
	char list[100];

	list[0] = '\0';
	for (const char *const *w = f->words; *w != NULL; w++) {
		if (strcmp(*w, v->string) == 0)
			return true;
		if (w != f->words)
			strncat(list, w[1] == NULL ? " or " : ", ",
				sizeof(list) - 1 - strlen(list));
		strncat(list, *w, sizeof(list) - 1 - strlen(list));
	}
	return fail_at(ps, v->line, v->column, "\"%s\" is %s, not \"%s\"",
		f->name, list, v->string);
}

static bool
field_good(struct parser *ps, const struct kmap_field *f,
	const struct kmap_value *v)
{
	char types[80];

	if (!(f->types & KMAP_TYPE(v->type))) {
		types_text(types, sizeof(types), f->types);
		return fail_at(ps, v->line, v->column,
			"\"%s\" takes %s, not %s", f->name, types,
			type_names[v->type]);
	}
	if (v->type == KMAP_ARRAY)
		for (const struct kmap_value *i = v->first; i != NULL;
			i = i->next)
			if (!(f->items & KMAP_TYPE(i->type))) {
				types_text(types, sizeof(types), f->items);
				return fail_at(ps, i->line, i->column,
					"an element of \"%s\" is %s, not %s",
					f->name, types, type_names[i->type]);
			}
	if (f->evidence && v->integer < 0)
		return fail_at(ps, v->line, v->column,
			"\"%s\" is a count: not below 0", f->name);
	return f->words == NULL || word_known(ps, f, v);
}

/* A list of fields: all known, none twice, all that are required. */
static bool
fields_good(struct parser *ps, const struct kmap_kind *k,
	const struct kmap_value *first, unsigned int line, unsigned int col)
{
	uint32_t seen = 0;

	for (const struct kmap_value *v = first; v != NULL; v = v->next) {
		const struct kmap_field *f = kmap_field(k, v->key);
		uint32_t bit;

		if (f == NULL)
			return fail_at(ps, v->line, v->column,
				"\"%s\" is not a key of %s%s%s", v->key,
				open_bracket(k), k->name, close_bracket(k));
		bit = 1u << (f - k->fields);
		if (seen & bit)
			return fail_at(ps, v->line, v->column,
				"\"%s\" stands twice", v->key);
		seen |= bit;
		if (!field_good(ps, f, v))
			return false;
	}
	for (unsigned int i = 0; i < k->nfields; i++)
		if (k->fields[i].required && !(seen & 1u << i))
			return fail_at(ps, line, col, "%s%s%s lacks \"%s\"",
				open_bracket(k), k->name, close_bracket(k),
				k->fields[i].name);
	return true;
}

static uint64_t
hash(uint64_t h, const char *s)
{
	for (; *s != '\0'; s++)
		h = (h ^ (uint8_t)*s) * UINT64_C(0x100000001b3);
	return h;
}

#define HASH_START UINT64_C(0xcbf29ce484222325)

/* The keys of an open section: none twice. */
static bool
names_differ(struct parser *ps, const struct kmap_value *first)
{
	size_t n = 0, size = 4, used = ps->t->arena_used;
	const struct kmap_value **seen;

	for (const struct kmap_value *v = first; v != NULL; v = v->next)
		n++;
	while (size < 2 * n)
		size *= 2;
	seen = take(ps, size * sizeof(*seen));
	if (seen == NULL)
		return false;
	memset(seen, 0, size * sizeof(*seen));
	for (const struct kmap_value *v = first; v != NULL; v = v->next) {
		size_t i = hash(HASH_START, v->key) & (size - 1);

		for (; seen[i] != NULL; i = (i + 1) & (size - 1))
			if (strcmp(seen[i]->key, v->key) == 0)
				return fail_at(ps, v->line, v->column,
					"\"%s\" stands twice, first in line %u",
					v->key, seen[i]->line);
		seen[i] = v;
	}
	ps->t->arena_used = used;
	return true;
}

bool
kmap_pattern_parse(struct kmap_pattern *p, const char *s)
{
	const char *colon = strrchr(s, ':'), *port = colon + 1;
	char host[INET6_ADDRSTRLEN];
	size_t n = colon != NULL ? (size_t)(colon - s) : 0;
	unsigned int v = 0;

	memset(p, 0, sizeof(*p));
	if (n == 0)
		return false;
	if (strcmp(port, "*") == 0)
		p->any_port = true;
	else {
		if (*port < '1' || *port > '9')
			return false;
		for (; *port >= '0' && *port <= '9' && v < 65536; port++)
			v = v * 10 + (unsigned int)(*port - '0');
		if (*port != '\0' || v > 65535)
			return false;
		p->addr.port = htons((uint16_t)v);
	}
	if (n == 1 && *s == '*') {
		p->any_host = true;
		return true;
	}
	if (*s == '[') {
		struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
		uint16_t keep = p->addr.port;

		if (s[n - 1] != ']' || n - 2 >= sizeof(host))
			return false;
		memcpy(host, s + 1, n - 2);
		host[n - 2] = '\0';
		if (inet_pton(AF_INET6, host, &in6.sin6_addr) != 1)
			return false;
		kmap_addr_from(&p->addr, &in6, sizeof(in6));
		p->addr.port = keep;
	} else {
		struct sockaddr_in in = {.sin_family = AF_INET};
		uint16_t keep = p->addr.port;

		if (n >= sizeof(host))
			return false;
		memcpy(host, s, n);
		host[n] = '\0';
		if (inet_pton(AF_INET, host, &in.sin_addr) != 1)
			return false;
		kmap_addr_from(&p->addr, &in, sizeof(in));
		p->addr.port = keep;
	}
	return true;
}

static bool
endpoint_good(struct parser *ps, const struct kmap_section *s)
{
	const struct kmap_value *a = kmap_value(s->first, "address");
	const struct kmap_value *d = kmap_value(s->first, "decision");
	const struct kmap_value *r = kmap_value(s->first, "role");
	const char *kind = kmap_value_text(s->first, "kind");
	bool tcp = kind[0] == '\0' || strcmp(kind, "tcp") == 0;
	struct kmap_pattern at;

	if (tcp &&
		(strcmp(r->string, "pair") == 0 ||
			strcmp(r->string, "open") == 0))
		return fail_at(ps, r->line, r->column,
			"an endpoint of TCP is "
			"connect, accept or listen, not \"%s\"",
			r->string);
	if (tcp && !kmap_pattern_parse(&at, a->string))
		return fail_at(ps, a->line, a->column,
			"\"%s\" is not an "
			"address: 127.0.0.1:80, [::1]:80, with * for any host or "
			"port",
			a->string);
	if (!tcp && strcmp(d->string, "emulate") == 0)
		return fail_at(ps, d->line, d->column,
			"\"emulate\" is for "
			"TCP, and this is %s",
			kind);
	return true;
}

/* The file's value of a setting as its environment variable has it. */
static void
setting_text(const struct kmap_value *v, char *buf, size_t size)
{
	size_t at = 0;

	buf[0] = '\0';
	if (v->type == KMAP_STRING) {
		strncat(buf, v->string, size - 1);
		return;
	}
	for (const struct kmap_value *i = v->type == KMAP_ARRAY ? v->first : v;
		i != NULL; i = v->type == KMAP_ARRAY ? i->next : NULL) {
		int64_t n = i->integer;
		char tmp[24];
		int len = 0;

		if (at != 0 && at < size - 1)
			buf[at++] = ',';
		if (n < 0 && at < size - 1)
			buf[at++] = '-'; /* refused, whatever follows */
		do
			tmp[len++] = (char)('0' + (n < 0 ? 0 : n % 10));
		while ((n = n < 0 ? 0 : n / 10) != 0);
		while (len > 0 && at < size - 1)
			buf[at++] = tmp[--len];
	}
	buf[at] = '\0';
}

static bool
settings_good(struct parser *ps, const struct kmap_section *s)
{
	struct kmap_table *t = ps->t;
	char text[KMAP_PEERS_MAX * 11 + 32];

	for (const struct kmap_value *v = s->first; v != NULL; v = v->next) {
		if (v->type == KMAP_BOOLEAN) {
			t->inert = v->boolean;
			continue;
		}
		setting_text(v, text, sizeof(text));
		if (!kmap_conf_set(&t->conf, v->key, text))
			return fail_at(ps, v->line, v->column, "\"%s\" is %s",
				v->key, kmap_conf_expects(v->key));
	}
	return true;
}

static bool
program_good(struct parser *ps, const struct kmap_section *s)
{
	const struct kmap_value *id = kmap_value(s->first, "build-id");
	const struct kmap_value *exe = kmap_value(s->first, "exe");

	if (exe->string[0] == '\0')
		return fail_at(ps, exe->line, exe->column, "\"exe\" is empty");
	if (id != NULL &&
		strspn(id->string, "0123456789abcdef") != strlen(id->string))
		return fail_at(ps, id->line, id->column,
			"\"build-id\" is hexadecimal, in lower case");
	ps->t->exe = exe->string;
	ps->t->build_id = id != NULL ? id->string : "";
	return true;
}

/* One thing of an open section. */
static bool
entry_good(struct parser *ps, const struct kmap_kind *k,
	const struct kmap_value *v)
{
	if (v->type != KMAP_INLINE)
		return fail_at(ps, v->line, v->column,
			"\"%s\" takes an inline table, not %s", v->key,
			type_names[v->type]);
	return fields_good(ps, k, v->first, v->line, v->column);
}

/* All pairs of a section are read. */
static bool
section_good(struct parser *ps, const struct kmap_section *s)
{
	const struct kmap_kind *k = s->kind;

	if (k->open)
		return names_differ(ps, s->first);
	if (!fields_good(ps, k, s->first, s->line, 1))
		return false;
	if (k->fields == f_endpoint)
		return endpoint_good(ps, s);
	if (k->fields == f_settings)
		return settings_good(ps, s);
	if (k->fields == f_program)
		return program_good(ps, s);
	if (k->fields == f_root && s->first->integer != KMAP_TABLE_VERSION)
		return fail_at(ps, s->first->line, s->first->column,
			"version %ld of tables: version %d is known",
			(long)s->first->integer, KMAP_TABLE_VERSION);
	return true;
}

/* ---- sections ---- */

static const struct kmap_section *
section_find(const struct kmap_table *t, const struct kmap_kind *k)
{
	const struct kmap_section *s;

	for (s = t->sections; s != NULL && s->kind != k; s = s->next)
		;
	return s;
}

static const struct kmap_kind *
header(struct parser *ps)
{
	bool many = ps->p[1] == '[';
	char *at = ps->p, *s = at + 1 + many, *end = s;
	const struct kmap_kind *k = NULL;
	const struct kmap_section *before;

	while (is_bare(*end))
		end++;
	ps->p = end;
	if (end == s || *end != ']' || (many && end[1] != ']')) {
		fail(ps, end,
			*end == '.' ? "a dotted section: sections have "
				      "one name"
				    : "a section is [name] or [[name]]");
		return NULL;
	}
	ps->p += 1 + many;
	*end = '\0';
	for (unsigned int i = 1; i < kmap_nkinds; i++)
		if (strcmp(kmap_kinds[i].name, s) == 0)
			k = &kmap_kinds[i];
	if (k == NULL) {
		fail(ps, at, "\"%s\" is not a section of a table", s);
		return NULL;
	}
	if (k->many != many) {
		fail(ps, at, "the section is %s%s%s", open_bracket(k), k->name,
			close_bracket(k));
		return NULL;
	}
	before = section_find(ps->t, k);
	if (!many && before != NULL) {
		fail(ps, at, "[%s] stands twice, first in line %u", s,
			before->line);
		return NULL;
	}
	return line_end(ps, "a section's name") ? k : NULL;
}

static struct kmap_section *
section_new(struct parser *ps, const struct kmap_kind *k)
{
	struct kmap_section *s = take(ps, sizeof(*s));

	if (s == NULL)
		return NULL;
	*s = (struct kmap_section){.kind = k, .line = ps->line};
	return s;
}

static bool
pairs(struct parser *ps, struct kmap_section *s)
{
	struct kmap_value **last = &s->first;

	for (;;) {
		struct kmap_value *v;
		size_t used;

		lines(ps);
		if (*ps->p == '[' || ps->p >= ps->end)
			return section_good(ps, s);
		v = value_new(ps);
		used = ps->t->arena_used;
		if (v == NULL || !key(ps, v) || !value(ps, v, 0) ||
			!line_end(ps, "a value"))
			return false;
		if (s->kind->open && !entry_good(ps, s->kind, v))
			return false;
		if (ps->rules_only && s->kind->evidence) {
			v->first = NULL;
			ps->t->arena_used = used;
		}
		*last = v;
		last = &v->next;
	}
}

static bool
sections(struct parser *ps)
{
	struct kmap_section *s, **last = &ps->t->sections;

	lines(ps);
	/* Also for a file that is no table at all: say what it should be. */
	if (strncmp(ps->p, "kmap-table", 10) != 0 || is_bare(ps->p[10]))
		return fail(ps, ps->p,
			"a table begins with \"kmap-table = "
			"%d\"",
			KMAP_TABLE_VERSION);
	s = section_new(ps, &kmap_kinds[0]);
	while (s != NULL) {
		const struct kmap_kind *k;
		unsigned int line;

		*last = s;
		last = &s->next;
		if (!pairs(ps, s))
			return false;
		if (ps->p >= ps->end)
			break;
		line = ps->line;
		k = header(ps);
		s = k == NULL ? NULL : section_new(ps, k);
		if (s != NULL)
			s->line = line;
	}
	if (s == NULL)
		return false;
	if (ps->t->exe == NULL)
		return fail(ps, ps->p, "a table has a section [program]");
	return true;
}

/* ---- rules ---- */

static uint8_t
role_of(const char *s)
{
	return s[0] == 'c'    ? KMAP_CONNECTS
		: s[0] == 'a' ? KMAP_ACCEPTS
			      : KMAP_LISTENS;
}

/* Endpoints are told apart by kind, role and address; those of TCP by what
 * the address means, whatever way it is written. */
static bool
endpoint_is(const struct kmap_section *a, const struct kmap_section *b,
	const struct kmap_rule *ra, const struct kmap_rule *rb)
{
	if ((ra != NULL) != (rb != NULL))
		return false;
	if (ra != NULL)
		return ra->role == rb->role &&
			memcmp(&ra->at, &rb->at, sizeof(ra->at)) == 0;
	return strcmp(kmap_value_text(a->first, "role"),
		       kmap_value_text(b->first, "role")) == 0 &&
		strcmp(kmap_value_text(a->first, "kind"),
			kmap_value_text(b->first, "kind")) == 0 &&
		strcmp(kmap_value_text(a->first, "address"),
			kmap_value_text(b->first, "address")) == 0;
}

struct seen {
	const struct kmap_section *s;
	const struct kmap_rule *r;
};

/* NULL: it is not of TCP. */
static struct kmap_rule *
rule_new(struct kmap_table *t, const struct kmap_section *s)
{
	const char *kind = kmap_value_text(s->first, "kind");
	struct kmap_rule *r = &t->rules[t->nrules];

	if (kind[0] != '\0' && strcmp(kind, "tcp") != 0)
		return NULL;
	memset(r, 0, sizeof(*r));
	kmap_pattern_parse(&r->at, kmap_value_text(s->first, "address"));
	r->role = role_of(kmap_value_text(s->first, "role"));
	r->emulate = kmap_value_text(s->first, "decision")[0] == 'e';
	r->line = s->line;
	t->nrules++;
	return r;
}

static bool
rules(struct parser *ps)
{
	struct kmap_table *t = ps->t;
	struct kmap_section *s;
	size_t n = 0, size = 4, used;
	struct seen *seen;

	for (s = t->sections; s != NULL; s = s->next)
		n += s->kind->fields == f_endpoint;
	t->rules = take(ps, n * sizeof(*t->rules));
	used = t->arena_used;
	while (size < 2 * n)
		size *= 2;
	seen = t->rules != NULL ? take(ps, size * sizeof(*seen)) : NULL;
	if (seen == NULL)
		return false;
	memset(seen, 0, size * sizeof(*seen));
	for (s = t->sections; s != NULL; s = s->next) {
		uint64_t h = HASH_START;
		struct kmap_rule *r;
		size_t i;

		if (s->kind->fields != f_endpoint)
			continue;
		r = rule_new(t, s);
		if (r != NULL)
			for (i = 0; i < sizeof(r->at); i++)
				h = (h ^ ((uint8_t *)&r->at)[i]) *
					UINT64_C(0x100000001b3);
		else
			h = hash(h, kmap_value_text(s->first, "address"));
		for (i = h & (size - 1); seen[i].s != NULL;
			i = (i + 1) & (size - 1))
			if (endpoint_is(s, seen[i].s, r, seen[i].r))
				return fail_at(ps, s->line, 1,
					"the endpoint %s %s stands twice, first "
					"in line %u",
					kmap_value_text(s->first, "role"),
					kmap_value_text(s->first, "address"),
					seen[i].s->line);
		seen[i].s = s;
		seen[i].r = r;
	}
	t->arena_used = used;
	return true;
}

static bool
is_any_address(const struct kmap_addr *a)
{
	static const uint8_t zero[16];

	return memcmp(a->ip + (kmap_addr_is_v4(a) ? 12 : 0), zero,
		       kmap_addr_is_v4(a) ? 4 : 16) == 0;
}

/* How much a rule says of an address; 0: it is not about it. */
static unsigned int
says(const struct kmap_rule *r, const struct kmap_addr *a, bool listener)
{
	const struct kmap_addr *b = &r->at.addr;
	unsigned int n = 1;

	if (!r->at.any_port) {
		if (b->port != a->port)
			return 0;
		n += 4;
	}
	if (r->at.any_host)
		return n;
	if (memcmp(b->ip, a->ip, sizeof(b->ip)) == 0)
		return n + 3;
	if (!listener || !is_any_address(b))
		return 0;
	/* [::] takes both families, 0.0.0.0 its own. */
	if (kmap_addr_is_v4(b))
		return kmap_addr_is_v4(a) ? n + 2 : 0;
	return n + 1;
}

static const struct kmap_rule *
best(const struct kmap_table *t, enum kmap_role role, const struct kmap_addr *a,
	bool listener)
{
	const struct kmap_rule *found = NULL;
	unsigned int most = 0;

	for (unsigned int i = 0; i < t->nrules; i++) {
		const struct kmap_rule *r = &t->rules[i];
		unsigned int n = r->role == role ? says(r, a, listener) : 0;

		if (n > most) {
			most = n;
			found = r;
		}
	}
	return found;
}

const struct kmap_rule *
kmap_table_match(const struct kmap_table *t, enum kmap_role role,
	const struct kmap_addr *a)
{
	const struct kmap_rule *r = best(t, role, a, role == KMAP_LISTENS);

	if (r == NULL && role == KMAP_ACCEPTS)
		r = best(t, KMAP_LISTENS, a, true);
	return r;
}

/* ---- in and out ---- */

static int
no(struct kmap_table_error *e, int err, const char *fmt, ...)
{
	va_list ap;
	size_t n;

	e->line = e->column = 0;
	va_start(ap, fmt);
	n = kmap_format(e->text, sizeof(e->text) - 1, fmt, ap);
	va_end(ap);
	e->text[n] = '\0';
	return err;
}

/* Room for n bytes of text and all that they can mean. */
static int
arena(struct kmap_table *t, size_t n, struct kmap_table_error *e)
{
	*t = (struct kmap_table){.build_id = "",
		.arena_size = KMAP_ROUND(24 * n + (64 << 10), KMAP_PAGE)};
	/* What is not touched costs nothing. */
	t->arena = kmap_sys_mmap(t->arena_size, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
	if (t->arena == NULL)
		return no(e, -ENOMEM, "no memory for it");
	t->arena_used = (n + 1 + 15) & ~(size_t)15;
	return 0;
}

/* The text lies at the arena's start. */
static int
parse(struct kmap_table *t, size_t n, bool rules_only,
	struct kmap_table_error *e)
{
	struct parser ps = {.t = t,
		.e = e,
		.p = t->arena,
		.end = (char *)t->arena + n,
		.bol = t->arena,
		.line = 1,
		.rules_only = rules_only};

	*ps.end = '\0';
	if (characters(&ps) && sections(&ps) && rules(&ps))
		return 0;
	kmap_table_free(t);
	return ps.err;
}

int
kmap_table_parse(struct kmap_table *t, const void *text, size_t n,
	struct kmap_table_error *e)
{
	int r;

	if (n > KMAP_TABLE_MAX)
		return no(e, -EFBIG, "larger than %u bytes", KMAP_TABLE_MAX);
	r = arena(t, n, e);
	if (r != 0)
		return r;
	memcpy(t->arena, text, n);
	return parse(t, n, false, e);
}

static int
load(struct kmap_table *t, const char *path, bool rules_only,
	struct kmap_table_error *e)
{
	int fd = (int)kmap_syscall(SYS_openat, AT_FDCWD, path,
		    O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0, 0, 0),
	    r;
	struct stat st;
	size_t got = 0;
	ssize_t n = 1;

	if (fd < 0)
		return fd == -ENOENT ? no(e, fd, "there is no such file")
			: fd == -EACCES
			? no(e, fd, "it may not be read")
			: no(e, fd, "it cannot be opened (errno %d)", -fd);
	r = (int)kmap_syscall(SYS_fstat, fd, &st, 0, 0, 0, 0);
	if (r != 0)
		r = no(e, r, "it cannot be looked at (errno %d)", -r);
	else if (!S_ISREG(st.st_mode))
		r = no(e, -EINVAL, "it is not a regular file");
	else if (st.st_size > KMAP_TABLE_MAX)
		r = no(e, -EFBIG, "larger than %u bytes", KMAP_TABLE_MAX);
	else
		r = arena(t, (size_t)st.st_size, e);
	if (r != 0) {
		kmap_sys_close(fd);
		return r;
	}
	/* Read, not mapped: a file that shrinks would raise SIGBUS. */
	while (got < (size_t)st.st_size && n > 0) {
		n = kmap_sys_read(
			fd, (char *)t->arena + got, (size_t)st.st_size - got);
		got += n > 0 ? (size_t)n : 0;
	}
	kmap_sys_close(fd);
	if (n < 0) {
		kmap_table_free(t);
		return no(e, (int)n, "it cannot be read (errno %d)", -(int)n);
	}
	return parse(t, got, rules_only, e);
}

int
kmap_table_load(
	struct kmap_table *t, const char *path, struct kmap_table_error *e)
{
	return load(t, path, false, e);
}

int
kmap_table_load_rules(
	struct kmap_table *t, const char *path, struct kmap_table_error *e)
{
	return load(t, path, true, e);
}

void
kmap_table_free(struct kmap_table *t)
{
	if (t->arena != NULL)
		kmap_sys_munmap(t->arena, t->arena_size);
	*t = (struct kmap_table){.build_id = ""};
}

__attribute__((format(printf, 3, 4))) static void
text(char *buf, size_t size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf[kmap_format(buf, size - 1, fmt, ap)] = '\0';
	va_end(ap);
}

void
kmap_table_error_text(const struct kmap_table_error *e, const char *path,
	char *buf, size_t size)
{
	if (e->line == 0)
		text(buf, size, "%s: %s", path, e->text);
	else
		text(buf, size, "%s:%u:%u: %s", path, e->line, e->column,
			e->text);
}
