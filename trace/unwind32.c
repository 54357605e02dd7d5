/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Stacks of 32-bit x86 programs, which this machine's libunwind cannot walk:
 * by the same tables (DWARF 6.4; LSB Core, "Exception Frames"), read where the
 * program has them mapped.
 */
#include "config.h"

#include "tracer.h"

#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#ifdef __x86_64__

/* Registers as i386's psABI numbers them for DWARF. */
enum {
	EBX = 3,
	ESP,
	EBP,
	ESI,
	EDI,
	EIP,
	REGS
};

/* Where a caller's register, or the frame's address itself, is. */
struct rule {
	enum {
		SAME,
		IN_FRAME, /* at the frame's address + off */
		BY_REG, /* reg + off is its address; of the frame: the value */
		BY_DEREF, /* of the frame: what lies at reg + off */
		UNKNOWN
	} how;
	unsigned reg;
	int64_t off;
};

struct row {
	struct rule frame, regs[REGS];
};

/* The bytes of an entry, or of a part; end as soon as one is missing. */
struct bytes {
	const uint8_t *p, *end;
	bool bad;
};

static uint64_t
number(struct bytes *b, size_t n)
{
	uint64_t v = 0;

	if ((size_t)(b->end - b->p) < n) {
		b->bad = true;
		b->p = b->end;
		return 0;
	}
	memcpy(&v, b->p, n);
	b->p += n;
	return v;
}

static void
skip(struct bytes *b, uint64_t n)
{
	b->bad |= n > (uint64_t)(b->end - b->p);
	b->p = b->bad ? b->end : b->p + n;
}

/* LEB128, unsigned or signed. */
static int64_t
leb(struct bytes *b, bool with_sign)
{
	uint64_t v = 0;
	unsigned shift = 0;
	uint8_t byte;

	do {
		byte = number(b, 1);
		if (shift < 64)
			v |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
	} while (byte & 0x80 && !b->bad);
	if (with_sign && byte & 0x40 && shift < 64)
		v |= ~0ull << shift;
	return v;
}

/* What it has to be: a register and an offset, and at most a load. */
static struct rule
expression(struct bytes *b)
{
	struct rule r = {.how = UNKNOWN};
	uint64_t n = leb(b, false);
	struct bytes e = {b->p, NULL, false};

	skip(b, n);
	e.end = b->p;
	r.reg = number(&e, 1) - 0x70; /* DW_OP_breg0 */
	r.off = leb(&e, true);
	if (e.bad || r.reg >= REGS)
		return r;
	if (e.p == e.end)
		r.how = BY_REG;
	else if (e.p + 1 == e.end && *e.p == 0x06) /* DW_OP_deref */
		r.how = BY_DEREF;
	return r;
}

/* A CIE: what its FDEs have in common. */
struct common {
	uint64_t code;
	int64_t data;
	bool augmented; /* "z": the FDE has a length of its own extras */
	uint8_t encoding; /* of the FDE's addresses; 4 bytes in any case */
	struct row start;
};

static void
set(struct row *row, uint64_t reg, struct rule r)
{
	if (reg < REGS)
		row->regs[reg] = r;
}

/* DWARF 6.4.2: the rows of the table, up to that of the address. */
static bool
run(const struct common *c, struct bytes b, struct row *row, uint64_t at,
	uint64_t want)
{
	struct row saved[8];
	size_t nsaved = 0;

	while (b.p < b.end && !b.bad && at <= want) {
		uint8_t op = number(&b, 1);
		uint64_t low = op & 0x3f, reg;

		switch (op & 0xc0) {
		case 0x40: /* advance_loc */
			at += low * c->code;
			continue;
		case 0x80: /* offset */
			set(row, low,
				(struct rule){
					IN_FRAME, 0, leb(&b, false) * c->data});
			continue;
		case 0xc0: /* restore */
			if (low < REGS)
				row->regs[low] = c->start.regs[low];
			continue;
		}
		switch (op) {
		case 0x00: /* nop */
			break;
		case 0x02: /* advance_loc1, 2, 4 */
		case 0x03:
		case 0x04:
			at += number(&b, 1 << (op - 2)) * c->code;
			break;
		case 0x05: /* offset_extended */
		case 0x11: /* and its signed form */
			reg = leb(&b, false);
			set(row, reg,
				(struct rule){IN_FRAME, 0,
					leb(&b, op == 0x11) * c->data});
			break;
		case 0x06: /* restore_extended */
			reg = leb(&b, false);
			if (reg < REGS)
				row->regs[reg] = c->start.regs[reg];
			break;
		case 0x07: /* undefined */
			set(row, leb(&b, false), (struct rule){.how = UNKNOWN});
			break;
		case 0x08: /* same_value */
			set(row, leb(&b, false), (struct rule){.how = SAME});
			break;
		case 0x0a: /* remember_state */
			if (nsaved == sizeof(saved) / sizeof(saved[0]))
				return false;
			saved[nsaved++] = *row;
			break;
		case 0x0b: /* restore_state */
			if (!nsaved)
				return false;
			*row = saved[--nsaved];
			break;
		case 0x0c: /* def_cfa */
			row->frame.how = BY_REG;
			row->frame.reg = leb(&b, false);
			row->frame.off = leb(&b, false);
			break;
		case 0x0d: /* def_cfa_register */
			row->frame.reg = leb(&b, false);
			break;
		case 0x0e: /* def_cfa_offset */
			row->frame.off = leb(&b, false);
			break;
		case 0x0f: /* def_cfa_expression */
			row->frame = expression(&b);
			break;
		case 0x10: /* expression */
			reg = leb(&b, false);
			set(row, reg, expression(&b));
			break;
		case 0x2e: /* GNU_args_size */
			leb(&b, false);
			break;
		default:
			return false;
		}
	}
	return !b.bad;
}

/* An entry's bytes after its length, in buf. */
static bool
entry(pid_t tid, uint64_t at, uint8_t *buf, size_t room, struct bytes *b)
{
	size_t n = peek(tid, at, buf, room);
	uint32_t len;

	if (n < 4)
		return false;
	memcpy(&len, buf, 4);
	if (len < 8 || len > n - 4)
		return false;
	*b = (struct bytes){buf + 4, buf + 4 + len, false};
	return true;
}

static bool
read_common(pid_t tid, uint64_t at, struct common *c)
{
	uint8_t buf[256];
	struct bytes b, extra;
	const char *aug;
	uint8_t version;

	if (!entry(tid, at, buf, sizeof(buf), &b) || number(&b, 4))
		return false;
	version = number(&b, 1);
	aug = (const char *)b.p;
	while (number(&b, 1))
		;
	c->code = leb(&b, false);
	c->data = leb(&b, true);
	if (version == 1)
		skip(&b, 1); /* the return address is EIP's */
	else
		leb(&b, false);
	c->augmented = *aug == 'z';
	c->encoding = 0;
	if (b.bad || (*aug && *aug != 'z'))
		return false;
	if (c->augmented) {
		uint64_t n = leb(&b, false);

		extra = (struct bytes){b.p, NULL, false};
		skip(&b, n);
		extra.end = b.p;
		for (aug++; *aug; aug++)
			if (*aug == 'R')
				c->encoding = number(&extra, 1);
			else if (*aug == 'P')
				skip(&extra, 5); /* its encoding, itself */
			else if (*aug == 'L')
				skip(&extra, 1);
		if (extra.bad)
			return false;
	}
	memset(&c->start, 0, sizeof(c->start));
	c->start.frame.how = UNKNOWN;
	return run(c, b, &c->start, 0, UINT64_MAX);
}

/* How the caller of the code at ip is found; fde: of the function. */
static bool
read_row(pid_t tid, uint64_t fde, uint64_t ip, struct row *row)
{
	uint8_t buf[2048];
	struct common c;
	struct bytes b;
	uint64_t start, len;
	uint32_t back;

	if (!entry(tid, fde, buf, sizeof(buf), &b))
		return false;
	back = number(&b, 4);
	if (!back || !read_common(tid, fde + 4 - back, &c))
		return false;
	start = number(&b, 4);
	if (c.encoding & 0x10) /* relative to itself */
		start += fde + 8;
	start = (uint32_t)start;
	len = number(&b, 4);
	if (ip < start || ip - start >= len)
		return false;
	if (c.augmented)
		skip(&b, leb(&b, false));
	*row = c.start;
	return !b.bad && run(&c, b, row, start, ip);
}

static bool
word(pid_t tid, uint32_t at, uint32_t *v)
{
	return peek(tid, at, v, sizeof(*v)) == sizeof(*v);
}

/* One frame up. False: the outermost, or nothing is known of it. */
static bool
up(pid_t tid, const struct row *row, uint32_t *regs)
{
	uint32_t old[REGS], frame;

	if ((row->frame.how != BY_REG && row->frame.how != BY_DEREF) ||
		row->frame.reg >= REGS)
		return false;
	frame = regs[row->frame.reg] + (uint32_t)row->frame.off;
	if (row->frame.how == BY_DEREF && !word(tid, frame, &frame))
		return false;
	/* The stack has come to an end, or this is none. */
	if (frame <= regs[ESP] || row->regs[EIP].how == SAME)
		return false;
	memcpy(old, regs, sizeof(old));
	for (int i = 0; i < REGS; i++) {
		const struct rule *r = &row->regs[i];

		if (r->how == IN_FRAME &&
			!word(tid, frame + (uint32_t)r->off, &regs[i]))
			return false;
		if (r->how == BY_REG &&
			!word(tid, old[r->reg] + (uint32_t)r->off, &regs[i]))
			return false;
		if (r->how == UNKNOWN || r->how == BY_DEREF)
			regs[i] = 0;
	}
	regs[ESP] = frame;
	return regs[EIP] != 0;
}

/*
 * Where the kernel's own __kernel_vsyscall comes back to: pop %ebp, pop %edx,
 * pop %ecx, ret.
 */
static bool
out_of_vdso(pid_t tid, uint32_t *regs)
{
	static const uint8_t code[] = {0x5d, 0x5a, 0x59, 0xc3};
	uint8_t there[sizeof(code)];
	uint32_t stack[4];

	if (peek(tid, regs[EIP], there, sizeof(there)) < sizeof(there) ||
		memcmp(there, code, sizeof(code)) ||
		peek(tid, regs[ESP], stack, sizeof(stack)) < sizeof(stack))
		return false;
	regs[EBP] = stack[0];
	regs[EIP] = stack[3];
	regs[ESP] += sizeof(stack);
	return true;
}

size_t
unwind_i386(struct tracee *t, uint64_t *frames, size_t max)
{
	struct user_regs_struct r;
	uint32_t regs[REGS] = {0};
	size_t n = 0;

	if (ptrace(PTRACE_GETREGS, t->tid, 0, &r) < 0)
		return 0;
	regs[EBX] = r.rbx;
	regs[ESP] = r.rsp;
	regs[EBP] = r.rbp;
	regs[ESI] = r.rsi;
	regs[EDI] = r.rdi;
	regs[EIP] = r.rip;
	if (n < max && out_of_vdso(t->tid, regs))
		frames[n++] = regs[EIP];
	while (n < max) {
		/* The call, or system call, is before that address. */
		uint64_t ip = regs[EIP] - 1;
		uint64_t fde = unwind_fde(t->image, ip);
		struct row row;

		if (!fde || !read_row(t->tid, fde, ip, &row) ||
			!up(t->tid, &row, regs))
			break;
		frames[n++] = regs[EIP];
	}
	return n;
}

#else

size_t
unwind_i386(struct tracee *t, uint64_t *frames, size_t max)
{
	(void)t;
	(void)frames;
	(void)max;
	return 0;
}

#endif
