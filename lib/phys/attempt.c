/* SPDX-License-Identifier: BSD-2-Clause */
#include "phys/attempt.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/reason.h"
#include "base/size.h"
#include "host/available.h"
#include "host/buddy.h"
#include "host/hugetlb.h"
#include "host/nodes.h"
#include "phys/candidates.h"
#include "phys/limit.h"
#include "phys/outlook.h"
#include "phys/reclaim.h"
#include "phys/settings.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A pool grows by an eighth of itself, so that many small requests don't
 * each pay for a memfd and a ring; at most this many superpages. */
#define GROWTH_DIVISOR 8
#define GROWTH_MOST 32
/* A page counted as free may be somebody else's before it is touched. */
#define RACES_LOST 3

static __thread char why[400];
static __thread uint64_t cap, late_at;

void contig_attempt_cap(uint64_t bytes, uint64_t until)
{
	cap = bytes;
	late_at = until;
}

bool contig_attempt_late(void)
{
	return late_at && clock_ns() >= late_at;
}

int contig_attempt_patience(int ms)
{
	uint64_t now = clock_ns(), left = late_at > now ? late_at - now : 0;

	return late_at && left / 1000000 < (uint64_t)ms ? (int)(left / 1000000) : ms;
}

const char *contig_reclaim_why(void)
{
	return why;
}

void contig_reclaim_why_clear(void)
{
	why[0] = '\0';
}

void contig_attempt_because(const char *format, ...)
{
	size_t len = strlen(why);
	va_list ap;

	if (len && len + 2 < sizeof(why)) {
		memcpy(why + len, "; ", 3);
		len += 2;
	}
	va_start(ap, format);
	vsnprintf(why + len, sizeof(why) - len, format, ap);
	va_end(ap);
	contig_debug(RECLAIM, "%s", why + len);
}

uint64_t contig_attempt_budget(void)
{
	uint64_t given = contig_settings.config.reclaim_max;
	uint64_t room = contig_superpage_room_lately();
	uint64_t most = given ? given : contig_available_lately() / 4;

	if (cap && !given && most > cap)
		most = cap;
	return most < room ? most : room;
}

uint64_t contig_attempt_limit(struct contig_pool *pool)
{
	uint64_t room = contig_limit_room(), held, own;

	if (pool->limit) {
		held = contig_pool_held(pool);
		own = pool->limit > held ? pool->limit - held : 0;
		if (own < room)
			room = own;
	}
	return room;
}

static size_t first_step(const struct attempt *a, size_t need, size_t keep_most)
{
	size_t step = need, grow;

	if (a->source != CONTIG_SOURCE_1G) {
		contig_lock(&a->pool->lock);
		grow = (size_t)((a->pool->held >> SUPERPAGE_SHIFT) / GROWTH_DIVISOR);
		contig_unlock(&a->pool->lock);
		if (grow > GROWTH_MOST)
			grow = GROWTH_MOST;
		if (need == 1 && grow > step && grow <= keep_most)
			step = grow;
	}
	return step;
}

/* The first step of a pool tries again: others take beside us. */
static size_t take_step(struct candidates *c, size_t want)
{
	unsigned int tries = c->n || c->source == CONTIG_SOURCE_THP ? 1 : RACES_LOST;
	size_t got = 0;

	while (!got && tries--)
		got = contig_candidates_take(c, want);
	return got;
}

/* Superpages of a size that may be kept of a search, and are spoken for until
 * contig_limit_came(): at least need, or 0 beyond the limit. */
static size_t expect(const struct attempt *a, uint64_t size, size_t need)
{
	uint64_t room = contig_attempt_limit(a->pool) / size;
	size_t most = room < need + GROWTH_MOST ? (size_t)room : need + GROWTH_MOST;

	if (most < need)
		return 0;
	if (contig_limit_expect(most * size))
		return most;
	/* Others grow at once, and may leave enough. */
	return contig_limit_expect(need * size) ? need : 0;
}

/* The first ones of a long run, where the search may not take for ever: what
 * they are like tells whether it is worth the rest.  Those that lie alone come
 * before, and tell nothing; nor does what takes longer than this. */
#define PROBE 32
#define PROBE_ALONE 256
#define PROBE_NS UINT64_C(50000000)

/* The kernel's pool has no such run, nor with what was taken of it already. */
static bool is_hopeless(const struct attempt *a, struct candidates *c)
{
	struct hugetlb_counts counts;

	if (a->source != CONTIG_SOURCE_2M || a->surplus || a->nowait ||
	    contig_hugetlb_counts(SUPERPAGE_SIZE, HUGETLB_ALL_NODES, &counts) < 0)
		return false;
	return !contig_outlook_good(c, a->request, (size_t)counts.free);
}

/* A search whose caller would rather go on without. */
static bool may_give_up(const struct attempt *a, size_t need)
{
	return a->source == CONTIG_SOURCE_THP && late_at && need > 2 * PROBE;
}

enum outcome { FOUND, NONE_LEFT, TOO_LATE, HOPELESS, UNLIKELY };

static const char *const outcome_text[] = {
	[NONE_LEFT] = "",
	[TOO_LATE] = " until it took too long",
	[HOPELESS] = ", no such run among those that are free",
	[UNLIKELY] = ", too scattered to go on",
};

/* In steps that double, up to most superpages. */
static enum outcome search(const struct attempt *a, struct candidates *c, size_t need,
			   size_t most, size_t keep_most)
{
	size_t step = a->unlocked ? need : first_step(a, need, keep_most), alone = 0, got;

	if (may_give_up(a, need)) {
		alone = contig_buddy_lone_superpages(c->want.node);
		if (alone > PROBE_ALONE)
			alone = PROBE_ALONE;
		step = PROBE + alone;
		c->want.until = clock_ns() + PROBE_NS;
	}
	while (c->n < most) {
		size_t want = step < most - c->n ? step : most - c->n;

		if (c->n && contig_attempt_late())
			return TOO_LATE;
		got = take_step(c, want);
		if (!got)
			break;
		c->want.enough = 0;
		if (contig_candidates_choose(c, a->request, keep_most)) {
			if (c->n_batches <= 1 && c->n == want && need == 1 &&
			    c->n <= keep_most && attempt_anywhere(&a->request->run))
				contig_candidates_keep_all(c);
			return FOUND;
		}
		if (got < want)
			return c->want.until && clock_ns() >= c->want.until ? TOO_LATE : NONE_LEFT;
		/* After the first step only: that one meets most requests. */
		if (c->n == want && is_hopeless(a, c))
			return HOPELESS;
		if (may_give_up(a, need) && !contig_outlook_likely(c, alone, need, most))
			return UNLIKELY;
		c->want.until = late_at;
		step = c->n;
	}
	return NONE_LEFT;
}

static void because_of(const struct attempt *a, struct candidates *c, enum outcome outcome)
{
	char run[32];

	if (!c->n)
		contig_attempt_because("%s: %s", a->name,
				       *contig_reason_get() ? contig_reason_get() :
							      "none to be had");
	else
		contig_attempt_because("%s: %zu taken%s, longest run %s, none fits", a->name, c->n,
				       outcome_text[outcome],
				       contig_size_print(contig_candidates_longest(c), run,
							 sizeof(run)));
}

static size_t take_from(const struct attempt *a)
{
	uint64_t size = a->source == CONTIG_SOURCE_1G ? GIGAPAGE_SIZE : SUPERPAGE_SIZE;
	size_t need = attempt_pages(a->request, size), most, keep_most, got;
	enum outcome outcome;
	struct candidates c;
	char held[32];

	/* Two superpages whose frames are hidden are never known to touch. */
	if (contig_machine.level == CONTIG_LEVEL_HIDDEN && need > 1)
		return 0;
	most = a->unlocked ? need : (size_t)(a->most / size);
	if (most < need) {
		contig_attempt_because("%s: %s may be held at once, less than is needed (CONTIG_RECLAIM_MAX, available memory, cgroup or nr_overcommit)",
			a->name, contig_size_print(a->most, held, sizeof(held)));
		return 0;
	}
	keep_most = expect(a, size, need);
	if (!keep_most) {
		contig_attempt_because("%s leaves no room for %zu more superpages",
			a->pool->limit ? "the pool's limit" : "CONTIG_LIMIT", need);
		return 0;
	}
	contig_reason_clear();
	contig_candidates_init(&c, a->pool, a->source);
	c.want.surplus = a->surplus;
	c.want.nowait = a->nowait;
	if (a->request->node >= 0)
		c.want.node = contig_machine.nodes[a->request->node];
	else if (a->pool->node >= 0)
		c.want.node = contig_machine.nodes[a->pool->node];
	c.want.enough = need;
	c.want.until = late_at;
	outcome = search(a, &c, need, most, keep_most);
	if (outcome != FOUND)
		because_of(a, &c, outcome);
	got = contig_candidates_finish(&c);
	contig_limit_came(keep_most * size);
	if (outcome == FOUND && !got)
		contig_attempt_because("%s: a run was found, but could not be taken: %s", a->name,
			contig_reason_get());
	return got;
}

bool contig_attempt_node_can(const struct attempt *a, int node)
{
	return contig_machine.level == CONTIG_LEVEL_HIDDEN ||
	       contig_machine_can_hold(&a->request->run, node);
}

/* One node after another, nearest first, but for the one tried already: pages
 * are touched before they are collapsed, and a touch that isn't bound stays
 * on the caller's node, in base pages, however full that is. */
static size_t try_nodes(struct attempt a)
{
	struct frame_request one = *a.request;
	int order[HOST_NODES_MAX], n = contig_pool_node_order(a.pool, a.request, order);
	size_t got = 0;

	for (int i = 0; i < n && !got; i++) {
		if (order[i] == a.request->node || !contig_attempt_node_can(&a, order[i]))
			continue;
		one.node = order[i];
		got = take_from(&(struct attempt){
			.pool = a.pool, .request = &one, .source = a.source, .most = a.most,
			.name = a.name, .nowait = a.nowait, .unlocked = a.unlocked});
	}
	return got;
}

size_t contig_attempt_run(struct attempt a)
{
	struct frame_request anywhere_else = *a.request;
	size_t got = 0;

	if (a.source == CONTIG_SOURCE_THP && contig_machine.n_nodes > 1 && a.pool->node < 0 &&
	    !a.request->strict && (a.request->node >= 0 || !contig_node_policy_set())) {
		if (a.request->node >= 0 && contig_attempt_node_can(&a, a.request->node))
			got = take_from(&a);
		return got ? got : try_nodes(a);
	}
	if (a.request->node < 0 || contig_attempt_node_can(&a, a.request->node))
		got = take_from(&a);
	if (got || a.request->node < 0 || a.request->strict)
		return got;
	anywhere_else.node = -1;
	a.request = &anywhere_else;
	return take_from(&a);
}
