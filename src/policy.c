/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "policy.h"

#define US 1000u
#define BUDGET_MAX (50 * US) /* more never paid */
#define BUDGET_MIN (3 * US) /* less is not worth a look */
#define TRIAL (150 * US) /* a wait that polls on trial … */
#define TRIAL_EACH 64u /* … one of so many … */
#define TRIAL_GAP (300 * US) /* … if gaps were below this */
#define SLICE (400 * US) /* a yield that long: preempted */
#define BAR_MIN (1000 * US)
#define BAR_MAX (256 * 1000 * US)

static uint64_t
worth(uint64_t e)
{
	return kmap_umin(3 * e + BUDGET_MIN, BUDGET_MAX);
}

uint64_t
kmap_policy_begin(struct kmap_policy *p, uint64_t now)
{
	if (p->never || now < p->bar_until)
		return 0;
	/* Both ends asleep look idle to each other for ever, each gap
	 * contains the other's wake-up: one success pulls both up. */
	if (++p->waits % TRIAL_EACH == 0 && p->gap != 0 && p->gap < TRIAL_GAP)
		return TRIAL;
	return p->budget;
}

void
kmap_policy_hit(struct kmap_policy *p, uint64_t e)
{
	uint64_t w = worth(e);

	if (w > p->budget)
		p->budget = w;
	else
		p->budget -= (p->budget - w) / 16;
	p->gap = p->gap - p->gap / 8 + e / 8;
	if (p->bar > BAR_MIN)
		p->bar -= p->bar / 256;
}

void
kmap_policy_miss(struct kmap_policy *p)
{
	p->budget /= 2;
	if (p->budget < BUDGET_MIN)
		p->budget = 0;
}

bool
kmap_policy_preempted(struct kmap_policy *p, uint64_t now, uint64_t took)
{
	if (took < SLICE)
		return false;
	p->bar = p->bar == 0 ? BAR_MIN : kmap_umin(2 * p->bar, BAR_MAX);
	p->bar_until = now + p->bar;
	return true;
}

void
kmap_policy_woken(
	struct kmap_policy *p, uint64_t began, uint64_t came, uint64_t now)
{
	uint64_t e;

	/* A hostile stamp, or one of another time namespace. */
	if (came < began || came > now)
		return;
	e = came - began;
	p->gap = p->gap == 0
		? e + 1
		: p->gap - p->gap / 8 + kmap_umin(e, 1000 * 1000 * US) / 8;
	if (e < BUDGET_MAX)
		p->budget = kmap_umax(p->budget, worth(e));
}

void
kmap_policy_timed_out(struct kmap_policy *p)
{
	p->gap = kmap_umin(p->gap * 2, 1000 * 1000 * US);
}
