/* SPDX-License-Identifier: BSD-2-Clause */
#include "phys/reclaim.h"

#include "base/page.h"
#include "base/reason.h"
#include "host/hugetlb.h"
#include "host/pagemap.h"
#include "host/syslock.h"
#include "phys/attempt.h"
#include "phys/candidates.h"
#include "phys/counters.h"
#include "phys/growth.h"
#include "phys/limit.h"
#include "phys/physmap.h"
#include "phys/reach.h"
#include "phys/settings.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SYSLOCK_WAIT_MS 10000
#define SYSLOCK_LATER_MS 500
#define NOWAIT_MOST 64 /* superpages M_NOWAIT looks at beyond its need */

struct lock contig_reclaim_lock = LOCK_INITIALIZER(LOCK_RECLAIM);

static size_t take_surplus(struct attempt a)
{
	struct hugetlb_counts counts;
	uint64_t left;

	if (contig_hugetlb_counts(SUPERPAGE_SIZE, HUGETLB_ALL_NODES, &counts) < 0)
		return 0;
	left = counts.overcommit > counts.surplus ? counts.overcommit - counts.surplus : 0;
	if (!left) {
		contig_attempt_because("surplus 2M: nr_overcommit_hugepages allows none");
		return 0;
	}
	a.source = CONTIG_SOURCE_2M;
	a.surplus = true;
	a.name = "surplus 2M";
	a.most = (left + counts.free) << SUPERPAGE_SHIFT;
	if (a.most > contig_attempt_budget())
		a.most = contig_attempt_budget();
	if (!contig_reach_zones(a.request, a.most)) {
		contig_attempt_because("surplus 2M: the kernel gives memory above the window first");
		return 0;
	}
	return contig_attempt_run(a);
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
		got = contig_attempt_run(a);
	}
	if (!got && sources & CONTIG_SOURCE_2M) {
		a.source = CONTIG_SOURCE_2M;
		a.name = contig_machine.level == CONTIG_LEVEL_SIMULATED ? "simulated memory"
									: "2M pool";
		got = contig_attempt_run(a);
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
		a.most = contig_attempt_budget();
		if (contig_reach_zones(a.request, a.most))
			got = contig_attempt_run(a);
		else
			contig_attempt_because("collapse: the kernel gives memory above the window first");
	}
	if (!got && sources & CONTIG_SOURCE_1G) {
		a.source = CONTIG_SOURCE_1G;
		a.name = "1G pool";
		a.most = hugetlb_most();
		got = contig_attempt_run(a);
	}
	return got;
}

/* One way of growth, put back at its end, so that what all ways hold for a
 * moment is within one budget. */
static size_t grow_one_way(struct attempt a, enum growth_way way, uint64_t most, char *last,
			   size_t len, bool *denied)
{
	struct growth *growth = contig_growth_start();
	size_t got = 0;

	if (!growth) {
		snprintf(last, len, "%s", contig_reason_get());
		return 0;
	}
	a.source = contig_growth_source(way);
	a.name = contig_growth_name(way);
	a.most = UINT64_MAX;
	while (!got && contig_growth_step(growth, way, a.request, most))
		got = contig_attempt_run(a);
	snprintf(last, len, "%s", contig_growth_why(growth));
	*denied = contig_growth_denied(growth);
	contig_growth_stop(growth);
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
	uint64_t most = contig_attempt_budget();
	int order[HOST_NODES_MAX], n;
	bool denied = false;
	size_t got = 0;

	if (contig_settings.config.grow < CONTIG_GROW_SYSTEM) {
		contig_attempt_because("growing the kernel's pools is not allowed (CONTIG_GROW=%s)",
			contig_grow_name(contig_settings.config.grow));
		return 0;
	}
	n = growth_nodes(a.pool, whole, order);
	for (int i = 0; i < n && !got && !denied; i++) {
		struct frame_request request = grown_on(whole, order[i]);

		a.request = &request;
		if (order[i] != ALL_NODES && !contig_attempt_node_can(&a, order[i]))
			continue;
		for (enum growth_way way = 0; way < GROWTH_WAYS && !got && !denied; way++)
			if (sources & contig_growth_source(way))
				got = grow_one_way(a, way, most, last, sizeof(last), &denied);
	}
	if (!got)
		contig_attempt_because("grown as far as %s allows: %s",
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
	contig_attempt_because("%s", contig_reason_get());
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
	return pass < RECLAIM_PASSES - 1 && attempt_anywhere(&request->run) &&
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
		locked = machine_lock(&lock, contig_attempt_patience(pass ? SYSLOCK_LATER_MS :
									     SYSLOCK_WAIT_MS));
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
	size_t got = 0, most = attempt_pages(a.request, SUPERPAGE_SIZE) + NOWAIT_MOST;

	a.nowait = true;
	a.most = hugetlb_most();
	if (a.most > most << SUPERPAGE_SHIFT)
		a.most = most << SUPERPAGE_SHIFT;
	a.source = CONTIG_SOURCE_2M;
	a.name = "2M pool";
	if (sources & CONTIG_SOURCE_2M)
		got = contig_attempt_run(a);
	if (!got && collapse && sources & CONTIG_SOURCE_THP &&
	    contig_machine.level != CONTIG_LEVEL_SIMULATED) {
		a.source = CONTIG_SOURCE_THP;
		a.name = "collapse";
		if (a.most > contig_attempt_budget())
			a.most = contig_attempt_budget();
		got = contig_attempt_run(a);
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
		contig_attempt_because("another thread is reclaiming");
		machine_unlock(lock);
		return 0;
	}
	got = small_step(a, false);
	contig_unlock(&contig_reclaim_lock);
	machine_unlock(lock);
	return got;
}

size_t contig_reclaim_near(struct contig_pool *pool, const struct frame_request *request,
			   bool *looked)
{
	struct attempt a = {.pool = pool, .request = request};
	bool free = true;
	size_t got = 0;
	int lock;

	a.unlocked = !machine_lock(&lock, 0);
	if (request->nowait)
		free = contig_trylock(&contig_reclaim_lock);
	else
		contig_lock(&contig_reclaim_lock);
	/* A limit says nothing of what the node has. */
	*looked = free &&
		  contig_attempt_limit(pool) / SUPERPAGE_SIZE >= attempt_pages(request, SUPERPAGE_SIZE);
	if (*looked)
		got = small_step(a, !request->nowait);
	if (free)
		contig_unlock(&contig_reclaim_lock);
	machine_unlock(lock);
	return got;
}

/* As many superpages of one source as there are, up to n; node: an index, -1
 * for any. */
static size_t acquire(struct contig_pool *pool, enum contig_source source, size_t n, int node)
{
	struct candidates c;
	size_t got;

	if (!contig_limit_expect((uint64_t)n << SUPERPAGE_SHIFT)) {
		contig_attempt_because("CONTIG_LIMIT leaves no room for %zu more superpages", n);
		return 0;
	}
	contig_candidates_init(&c, pool, source);
	if (node >= 0)
		c.want.node = contig_machine.nodes[node];
	c.want.enough = n;
	contig_reason_clear();
	if (contig_candidates_take(&c, n) < n)
		contig_attempt_because("%s: %s", source == CONTIG_SOURCE_THP ? "collapse" : "2M pool",
			*contig_reason_get() ? contig_reason_get() : "fewer than needed");
	contig_candidates_keep_all(&c);
	got = contig_candidates_finish(&c);
	contig_limit_came((uint64_t)n << SUPERPAGE_SHIFT);
	return got;
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
	uint64_t room = contig_attempt_limit(pool) >> SUPERPAGE_SHIFT;

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
	uint64_t most = contig_attempt_budget();
	int order[HOST_NODES_MAX], nodes = growth_nodes(pool, &any, order);
	size_t n;

	for (int i = 0; i < nodes && (n = growth_step(pool, frames, most)); i++) {
		struct frame_request request = grown_on(&any, order[i]);
		struct growth *growth = contig_growth_start();

		if (!growth) {
			contig_attempt_because("growth: %s", contig_reason_get());
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
		most = contig_attempt_budget() >> SUPERPAGE_SHIFT;
		acquire(pool, CONTIG_SOURCE_THP, n < most ? n : (size_t)most, pool->node);
	}
	contig_unlock(&contig_reclaim_lock);
	machine_unlock(lock);
	n = superpages_missing(pool, frames);
	if (n && contig_attempt_limit(pool) >> SUPERPAGE_SHIFT < n)
		contig_attempt_because("CONTIG_LIMIT leaves no room for %zu more superpages", n);
	return n ? -ENOMEM : 0;
}
