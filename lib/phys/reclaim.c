/* SPDX-License-Identifier: BSD-2-Clause */
#include "phys/reclaim.h"

#include "base/log.h"
#include "base/page.h"
#include "base/reason.h"
#include "base/size.h"
#include "host/available.h"
#include "host/hugetlb.h"
#include "host/nodes.h"
#include "host/pagemap.h"
#include "host/syslock.h"
#include "phys/candidates.h"
#include "phys/counters.h"
#include "phys/growth.h"
#include "phys/physmap.h"
#include "phys/reach.h"
#include "phys/settings.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SYSLOCK_WAIT_MS 10000
#define SYSLOCK_LATER_MS 500
/* A pool grows by an eighth of itself, so that many small requests don't
 * each pay for a memfd and a ring; at most this many superpages. */
#define GROWTH_DIVISOR 8
#define GROWTH_MOST 32
/* A page counted as free may be somebody else's before it is touched. */
#define RACES_LOST 3
#define NOWAIT_MOST 64 /* superpages M_NOWAIT looks at beyond its need */

struct lock contig_reclaim_lock = LOCK_INITIALIZER(LOCK_RECLAIM);

static __thread char why[400];

const char *contig_reclaim_why(void)
{
	return why;
}

void contig_reclaim_why_clear(void)
{
	why[0] = '\0';
}

__attribute__((format(printf, 1, 2))) static void because(const char *format, ...)
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

/* Superpages of a size that hold a request if they lie well. */
static size_t pages_needed(const struct frame_request *request, uint64_t page_size)
{
	uint64_t frames = page_size >> FRAME_SHIFT;

	return (size_t)((request->run.count + frames - 1) / frames);
}

/* Bytes of memory not set aside for superpages that may be held at once: the
 * user may go beyond a quarter, not into what keeps the machine alive. */
static uint64_t budget(void)
{
	uint64_t given = contig_settings.config.reclaim_max;
	uint64_t room = contig_superpage_room(true);
	uint64_t most = given ? given : contig_available() / 4;

	return most < room ? most : room;
}

static int add_held(struct contig_pool *pool, void *arg)
{
	contig_lock(&pool->lock);
	*(uint64_t *)arg += pool->held;
	contig_unlock(&pool->lock);
	return 0;
}

/* Bytes the pool may still grow by: its own limit, and the library's. */
static uint64_t limit_room(struct contig_pool *pool)
{
	uint64_t limit = contig_settings.config.limit, room = UINT64_MAX, held = 0;

	if (limit) {
		contig_pool_each(add_held, &held);
		room = limit > held ? limit - held : 0;
	}
	if (pool->limit) {
		held = 0;
		add_held(pool, &held);
		limit = pool->limit > held ? pool->limit - held : 0;
		if (limit < room)
			room = limit;
	}
	return room;
}

/* One source, in steps that double until the request is met. */
struct attempt {
	struct contig_pool *pool;
	const struct frame_request *request;
	enum contig_source source;
	bool surplus;
	uint64_t most;   /* bytes held for a moment, at most */
	const char *name;
	bool nowait;     /* no waiting for pages that come back late */
	bool unlocked;   /* others may be taking too: no more than is needed */
};

static bool anywhere(const struct extent_request *run)
{
	return !run->low && run->high >= contig_machine.end >> FRAME_SHIFT &&
	       run->align <= SUPERPAGE_FRAMES;
}

static size_t first_step(const struct attempt *a, size_t need, size_t keep_most)
{
	size_t step = need, grow;

	/* A run of several scattered pages takes luck or many: start higher. */
	if (need > 1 && contig_machine.level != CONTIG_LEVEL_HIDDEN)
		step = need * 2;
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

static size_t take_from(const struct attempt *a)
{
	uint64_t size = a->source == CONTIG_SOURCE_1G ? GIGAPAGE_SIZE : SUPERPAGE_SIZE;
	size_t need = pages_needed(a->request, size), most, keep_most, step, got;
	char held[32], run[32];
	struct candidates c;
	bool found = false;

	/* Two superpages whose frames are hidden are never known to touch. */
	if (contig_machine.level == CONTIG_LEVEL_HIDDEN && need > 1)
		return 0;
	if (limit_room(a->pool) / size < need) {
		because("%s leaves no room for %zu more superpages",
			a->pool->limit ? "the pool's limit" : "CONTIG_LIMIT", need);
		return 0;
	}
	keep_most = (size_t)(limit_room(a->pool) / size);
	most = a->unlocked ? need : (size_t)(a->most / size);
	if (most < need) {
		because("%s: %s may be held at once, less than is needed (CONTIG_RECLAIM_MAX, available memory, cgroup or nr_overcommit)",
			a->name, contig_size_print(a->most, held, sizeof(held)));
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
	step = a->unlocked ? need : first_step(a, need, keep_most);
	while (!found && c.n < most) {
		size_t want = step < most - c.n ? step : most - c.n;

		got = take_step(&c, want);
		if (!got)
			break;
		c.want.enough = 0;
		found = contig_candidates_choose(&c, a->request, keep_most);
		if (found && c.n_batches <= 1 && c.n == want && need == 1 && c.n <= keep_most &&
		    anywhere(&a->request->run))
			contig_candidates_keep_all(&c);
		if (got < want)
			break;
		step = c.n;
	}
	if (!found) {
		if (!c.n)
			because("%s: %s", a->name,
				*contig_reason_get() ? contig_reason_get() : "none to be had");
		else
			because("%s: %zu taken, longest run %s, none fits", a->name, c.n,
				contig_size_print(contig_candidates_longest(&c), run, sizeof(run)));
	}
	got = contig_candidates_finish(&c);
	if (found && !got)
		because("%s: a run was found, but could not be mapped: %s", a->name,
			contig_reason_get());
	return got;
}

/* A node none of whose memory lies right isn't worth a search. */
static bool node_can_hold(const struct attempt *a, int node)
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
		if (order[i] == a.request->node || !node_can_hold(&a, order[i]))
			continue;
		one.node = order[i];
		got = take_from(&(struct attempt){
			.pool = a.pool, .request = &one, .source = a.source, .most = a.most,
			.name = a.name, .nowait = a.nowait, .unlocked = a.unlocked});
	}
	return got;
}

/* A preferred node first, then any: unless the request is strict. */
static size_t try_source(struct attempt a)
{
	struct frame_request anywhere_else = *a.request;
	size_t got = 0;

	if (a.source == CONTIG_SOURCE_THP && contig_machine.n_nodes > 1 && a.pool->node < 0 &&
	    !a.request->strict && (a.request->node >= 0 || !contig_node_policy_set())) {
		if (a.request->node >= 0 && node_can_hold(&a, a.request->node))
			got = take_from(&a);
		return got ? got : try_nodes(a);
	}
	if (a.request->node < 0 || node_can_hold(&a, a.request->node))
		got = take_from(&a);
	if (got || a.request->node < 0 || a.request->strict)
		return got;
	anywhere_else.node = -1;
	a.request = &anywhere_else;
	return take_from(&a);
}

static size_t take_surplus(struct attempt a)
{
	struct hugetlb_counts counts;
	uint64_t left;

	if (contig_hugetlb_counts(SUPERPAGE_SIZE, HUGETLB_ALL_NODES, &counts) < 0)
		return 0;
	left = counts.overcommit > counts.surplus ? counts.overcommit - counts.surplus : 0;
	if (!left) {
		because("surplus 2M: nr_overcommit_hugepages allows none");
		return 0;
	}
	a.source = CONTIG_SOURCE_2M;
	a.surplus = true;
	a.name = "surplus 2M";
	a.most = (left + counts.free) << SUPERPAGE_SHIFT;
	if (a.most > budget())
		a.most = budget();
	if (!contig_reach_zones(a.request, a.most)) {
		because("surplus 2M: the kernel gives memory above the window first");
		return 0;
	}
	return try_source(a);
}

/* Hugetlb pages are set aside already: only a limit that the user gave
 * counts, not what the machine has besides. */
static uint64_t hugetlb_most(void)
{
	uint64_t given = contig_settings.config.reclaim_max;

	return given ? given : UINT64_MAX;
}

static size_t pass_free(struct attempt a, unsigned int sources)
{
	bool giga = a.request->run.count >= GIGAPAGE_SIZE >> FRAME_SHIFT ||
		    (contig_machine.level == CONTIG_LEVEL_HIDDEN &&
		     a.request->run.count > SUPERPAGE_FRAMES);
	size_t got = 0;

	a.most = hugetlb_most();
	if (giga && sources & CONTIG_SOURCE_1G &&
	    contig_machine.level != CONTIG_LEVEL_SIMULATED) {
		a.source = CONTIG_SOURCE_1G;
		a.name = "1G pool";
		got = try_source(a);
	}
	if (!got && sources & CONTIG_SOURCE_2M) {
		a.source = CONTIG_SOURCE_2M;
		a.name = contig_machine.level == CONTIG_LEVEL_SIMULATED ? "simulated memory"
									: "2M pool";
		got = try_source(a);
	}
	return got;
}

static size_t pass_collapse(struct attempt a, unsigned int sources)
{
	size_t got = 0;

	if (contig_settings.config.grow >= CONTIG_GROW_OVERCOMMIT && sources & CONTIG_SOURCE_2M)
		got = take_surplus(a);
	if (!got && sources & CONTIG_SOURCE_THP) {
		a.source = CONTIG_SOURCE_THP;
		a.name = "collapse";
		a.most = budget();
		if (contig_reach_zones(a.request, a.most))
			got = try_source(a);
		else
			because("collapse: the kernel gives memory above the window first");
	}
	if (!got && sources & CONTIG_SOURCE_1G) {
		a.source = CONTIG_SOURCE_1G;
		a.name = "1G pool";
		a.most = hugetlb_most();
		got = try_source(a);
	}
	return got;
}

static size_t grow_all_ways(struct attempt a, struct growth *growth, unsigned int sources,
			    uint64_t most)
{
	size_t got = 0;

	for (enum growth_way way = 0; way < GROWTH_WAYS && !got; way++) {
		a.source = contig_growth_source(way);
		if (!(sources & a.source))
			continue;
		while (!got && contig_growth_step(growth, way, a.request, most)) {
			a.name = contig_growth_name(way);
			a.most = UINT64_MAX;
			got = try_source(a);
		}
	}
	return got;
}

#define ALL_NODES (-1)

/*
 * Whose pool is to be raised, one after another, each put back before the
 * next: with a node asked for, that one and then the others, because putting
 * the number of all back would take free pages from any.  Else the kernel
 * deals pages out to all: before Linux 6.14 a node's number can't be put back
 * quite right while other nodes have surplus pages, which growth leaves.
 */
static int growth_nodes(const struct contig_pool *pool, const struct frame_request *request,
			int *order)
{
	if (contig_machine.n_nodes > 1 && (request->node >= 0 || pool->node >= 0))
		return contig_pool_node_order(pool, request, order);
	order[0] = ALL_NODES;
	return 1;
}

/* The request on a node of growth_nodes(). */
static struct frame_request grown_on(const struct frame_request *request, int node)
{
	struct frame_request one = *request;

	if (node != ALL_NODES) {
		one.node = node;
		one.strict = true;
	}
	return one;
}

static size_t pass_system(struct attempt a, unsigned int sources)
{
	const struct frame_request *whole = a.request;
	char last[128] = "";
	uint64_t most = budget();
	int order[HOST_NODES_MAX], n;
	size_t got = 0;

	if (contig_settings.config.grow < CONTIG_GROW_SYSTEM) {
		because("growing the kernel's pools is not allowed (CONTIG_GROW=%s)",
			contig_grow_name(contig_settings.config.grow));
		return 0;
	}
	n = growth_nodes(a.pool, whole, order);
	for (int i = 0; i < n && !got; i++) {
		struct frame_request request = grown_on(whole, order[i]);
		struct growth *growth;

		a.request = &request;
		if (order[i] != ALL_NODES && !node_can_hold(&a, order[i]))
			continue;
		growth = contig_growth_start();
		if (!growth) {
			because("growth: %s", contig_reason_get());
			return 0;
		}
		got = grow_all_ways(a, growth, sources, most);
		snprintf(last, sizeof(last), "%s", contig_growth_why(growth));
		contig_growth_stop(growth);
	}
	if (!got)
		because("grown as far as %s allows: %s",
			contig_settings.config.reclaim_max ? "CONTIG_RECLAIM_MAX" : "a quarter of available memory (CONTIG_RECLAIM_MAX)",
			last);
	return got;
}

/*
 * The lock of the whole machine; false when someone else keeps it.  Any user
 * can keep it for ever, so it is a courtesy between honest processes, whose
 * reclaims end: callers that waited go on without, but for growing the pools.
 * Taken before the process's own lock: fork(2) waits for that one.
 */
static bool machine_lock(int *lock, int wait_ms)
{
	*lock = -1;
	if (contig_machine.level == CONTIG_LEVEL_SIMULATED)
		return true;
	*lock = contig_syslock_take(wait_ms);
	return *lock != -ETIMEDOUT;
}

static void because_locked(void)
{
	because("another process has been reclaiming superpages for %d s",
		SYSLOCK_WAIT_MS / 1000);
}

static void machine_unlock(int lock)
{
	if (lock >= 0)
		contig_syslock_drop(lock);
}

bool contig_reclaim_blinded(void)
{
	return contig_machine.level == CONTIG_LEVEL_PHYSICAL && contig_pagemap_hidden() == 1;
}

static size_t run_pass(struct attempt a, unsigned int pass)
{
	unsigned int sources = contig_pool_sources(a.pool);

	if (pass == 0)
		return pass_free(a, sources);
	if (contig_machine.level == CONTIG_LEVEL_SIMULATED)
		return 0;
	return pass == 1 ? pass_collapse(a, sources) : pass_system(a, sources);
}

/* One superpage, wherever it lies: takes nothing that anyone could miss. */
static bool modest(const struct frame_request *request, unsigned int pass)
{
	return pass < RECLAIM_PASSES - 1 && anywhere(&request->run) &&
	       request->run.count <= SUPERPAGE_FRAMES;
}

static size_t run_locked(struct attempt a, unsigned int pass)
{
	size_t got;

	contig_lock(&contig_reclaim_lock);
	got = run_pass(a, pass);
	contig_unlock(&contig_reclaim_lock);
	return got;
}

size_t contig_reclaim(struct contig_pool *pool, const struct frame_request *request,
		      unsigned int pass)
{
	struct attempt a = {.pool = pool, .request = request};
	bool locked;
	size_t got;
	int lock;

	contig_counter_add(&contig_counters.reclaims, 1);
	locked = machine_lock(&lock, 0);
	if (!locked && modest(request, pass)) {
		/* Someone else is at it, perhaps for seconds: don't wait for
		 * what a small request can have beside them. */
		a.unlocked = true;
		got = run_locked(a, pass);
		if (got)
			return got;
		a.unlocked = false;
	}
	/* One long wait a request; the later passes give it a last chance. */
	if (!locked)
		locked = machine_lock(&lock, pass ? SYSLOCK_LATER_MS : SYSLOCK_WAIT_MS);
	if (!locked)
		because_locked();
	got = locked || pass < RECLAIM_PASSES - 1 ? run_locked(a, pass) : 0;
	machine_unlock(lock);
	return got;
}

/* A small step of pass 0, with collapse also of pass 1. */
static size_t small_step(struct attempt a, bool collapse)
{
	unsigned int sources = contig_pool_sources(a.pool);
	size_t got = 0, most = pages_needed(a.request, SUPERPAGE_SIZE) + NOWAIT_MOST;

	a.nowait = true;
	a.most = hugetlb_most();
	if (a.most > most << SUPERPAGE_SHIFT)
		a.most = most << SUPERPAGE_SHIFT;
	a.source = CONTIG_SOURCE_2M;
	a.name = "2M pool";
	if (sources & CONTIG_SOURCE_2M)
		got = try_source(a);
	if (!got && collapse && sources & CONTIG_SOURCE_THP &&
	    contig_machine.level != CONTIG_LEVEL_SIMULATED) {
		a.source = CONTIG_SOURCE_THP;
		a.name = "collapse";
		if (a.most > budget())
			a.most = budget();
		got = try_source(a);
	}
	return got;
}

size_t contig_reclaim_nowait(struct contig_pool *pool, const struct frame_request *request)
{
	struct attempt a = {.pool = pool, .request = request};
	size_t got;
	int lock;

	a.unlocked = !machine_lock(&lock, 0);
	if (!contig_trylock(&contig_reclaim_lock)) {
		because("another thread is reclaiming");
		machine_unlock(lock);
		return 0;
	}
	got = small_step(a, false);
	contig_unlock(&contig_reclaim_lock);
	machine_unlock(lock);
	return got;
}

size_t contig_reclaim_near(struct contig_pool *pool, const struct frame_request *request)
{
	struct attempt a = {.pool = pool, .request = request};
	size_t got;
	int lock;

	a.unlocked = !machine_lock(&lock, 0);
	contig_lock(&contig_reclaim_lock);
	got = small_step(a, true);
	contig_unlock(&contig_reclaim_lock);
	machine_unlock(lock);
	return got;
}

/* As many superpages of one source as there are, up to n; node: an index, -1
 * for any. */
static size_t acquire(struct contig_pool *pool, enum contig_source source, size_t n, int node)
{
	struct candidates c;

	contig_candidates_init(&c, pool, source);
	if (node >= 0)
		c.want.node = contig_machine.nodes[node];
	c.want.enough = n;
	contig_reason_clear();
	if (contig_candidates_take(&c, n) < n)
		because("%s: %s", source == CONTIG_SOURCE_THP ? "collapse" : "2M pool",
			*contig_reason_get() ? contig_reason_get() : "fewer than needed");
	contig_candidates_keep_all(&c);
	return contig_candidates_finish(&c);
}

/* Superpages until so many frames are free ... */
static size_t superpages_missing(struct contig_pool *pool, uint64_t frames)
{
	uint64_t have;

	contig_lock(&pool->lock);
	have = pool->free_frames;
	contig_unlock(&pool->lock);
	return have >= frames ? 0
			      : (size_t)((frames - have + SUPERPAGE_FRAMES - 1) / SUPERPAGE_FRAMES);
}

/* ... of which so many may be taken. */
static size_t superpages_short(struct contig_pool *pool, uint64_t frames)
{
	size_t missing = superpages_missing(pool, frames);
	uint64_t room = limit_room(pool) >> SUPERPAGE_SHIFT;

	return missing < room ? missing : (size_t)room;
}

/* All that is missing at once, if the budget has it. */
static size_t growth_step(struct contig_pool *pool, uint64_t frames, uint64_t most)
{
	size_t n = superpages_short(pool, frames);

	return n > most >> SUPERPAGE_SHIFT ? (size_t)(most >> SUPERPAGE_SHIFT) : n;
}

static void reserve_grown(struct contig_pool *pool, uint64_t frames)
{
	struct frame_request any = {
		.run = {.high = contig_physmap.frames, .align = 1},
		.node = pool->node,
	};
	uint64_t most = budget();
	int order[HOST_NODES_MAX], nodes = growth_nodes(pool, &any, order);
	size_t n;

	for (int i = 0; i < nodes && (n = growth_step(pool, frames, most)); i++) {
		struct frame_request request = grown_on(&any, order[i]);
		struct growth *growth = contig_growth_start();

		if (!growth) {
			because("growth: %s", contig_reason_get());
			return;
		}
		request.run.count = (uint64_t)n * SUPERPAGE_FRAMES;
		while (n && contig_growth_step(growth, GROWTH_2M, &request, most)) {
			if (!acquire(pool, CONTIG_SOURCE_2M, n, request.node))
				break;
			n = superpages_short(pool, frames);
		}
		contig_growth_stop(growth);
	}
}

int contig_reclaim_reserve(struct contig_pool *pool, uint64_t frames)
{
	unsigned int sources = contig_pool_sources(pool);
	bool locked, real = contig_machine.level != CONTIG_LEVEL_SIMULATED;
	uint64_t most;
	size_t n;
	int lock;

	if (contig_reclaim_blinded())
		return -EPERM;
	locked = machine_lock(&lock, SYSLOCK_WAIT_MS);
	if (!locked)
		because_locked();
	contig_lock(&contig_reclaim_lock);
	if (sources & CONTIG_SOURCE_2M && (n = superpages_short(pool, frames)))
		acquire(pool, CONTIG_SOURCE_2M, n, pool->node);
	if (contig_settings.config.grow == CONTIG_GROW_SYSTEM && real && locked &&
	    sources & CONTIG_SOURCE_2M && superpages_short(pool, frames))
		reserve_grown(pool, frames);
	if (sources & CONTIG_SOURCE_THP && real && (n = superpages_short(pool, frames))) {
		most = budget() >> SUPERPAGE_SHIFT;
		acquire(pool, CONTIG_SOURCE_THP, n < most ? n : (size_t)most, pool->node);
	}
	contig_unlock(&contig_reclaim_lock);
	machine_unlock(lock);
	n = superpages_missing(pool, frames);
	if (n && limit_room(pool) >> SUPERPAGE_SHIFT < n)
		because("CONTIG_LIMIT leaves no room for %zu more superpages", n);
	return n ? -ENOMEM : 0;
}
