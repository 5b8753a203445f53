/* SPDX-License-Identifier: BSD-2-Clause */
#include "phys/pool.h"

#include "base/log.h"
#include "base/page.h"
#include "phys/backing.h"
#include "phys/memmap.h"
#include "phys/physmap.h"
#include "phys/settings.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct contig_pool contig_default_pool;
struct contig_pool *contig_pools;
struct lock contig_pools_lock = LOCK_INITIALIZER(LOCK_POOLS);

void contig_pool_setup(struct contig_pool *pool, const char *name)
{
	memset(pool, 0, sizeof(*pool));
	contig_lock_init(&pool->lock, LOCK_POOL);
	snprintf(pool->name, sizeof(pool->name), "%s", name);
	pool->node = -1;
}

unsigned int contig_pool_sources(const struct contig_pool *pool)
{
	/* Simulated superpages all count as of one source. */
	if (contig_machine.level == CONTIG_LEVEL_SIMULATED && pool->kind == CONTIG_POOL_SHAREABLE)
		return CONTIG_SOURCE_ALL;
	if (pool->sources)
		return pool->sources;
	/* Hugetlb can't be mapped page by page, nor, twice, by mremap(2). */
	if (pool->kind == CONTIG_POOL_SHAREABLE)
		return CONTIG_SOURCE_THP;
	return contig_settings.config.sources;
}

void contig_pool_list_add(struct contig_pool *pool)
{
	contig_lock(&contig_pools_lock);
	pool->next = contig_pools;
	contig_pools = pool;
	contig_unlock(&contig_pools_lock);
}

void contig_pool_list_remove(struct contig_pool *pool)
{
	contig_lock(&contig_pools_lock);
	for (struct contig_pool **p = &contig_pools; *p; p = &(*p)->next) {
		if (*p == pool) {
			*p = pool->next;
			break;
		}
	}
	contig_unlock(&contig_pools_lock);
}

int contig_pool_each(int (*fn)(struct contig_pool *pool, void *arg), void *arg)
{
	int result = 0;

	contig_lock(&contig_pools_lock);
	for (struct contig_pool *p = contig_pools; p && !result; p = p->next)
		result = fn(p, arg);
	contig_unlock(&contig_pools_lock);
	return result;
}

int contig_pool_node_order(const struct contig_pool *pool, const struct frame_request *request,
			   int *order)
{
	int first = request->node;

	/* A pool's own node comes before a preference, not before a must. */
	if (pool->node >= 0) {
		if (request->strict && first != pool->node)
			return 0;
		order[0] = pool->node;
		return 1;
	}
	if (first >= 0 && request->strict) {
		order[0] = first;
		return 1;
	}
	if (contig_machine.n_nodes == 1) {
		order[0] = 0;
		return 1;
	}
	contig_machine_node_order(first >= 0 ? first : contig_machine_node_here(), order);
	return contig_machine.n_nodes;
}

uint64_t contig_pool_take(struct contig_pool *pool, const struct frame_request *request,
			  bool mark, bool *zero)
{
	int order[HOST_NODES_MAX];
	int n = contig_pool_node_order(pool, request, order);
	uint64_t frame = EXTENT_NONE, spare = 0;

	if (!request->use_reserve)
		spare = POOL_RESERVE_FRAMES;
	spare += request->floor;
	contig_lock(&pool->lock);
	if (pool->free_frames >= request->run.count + spare) {
		for (int i = 0; i < n && frame == EXTENT_NONE; i++)
			if (pool->free[order[i]])
				frame = contig_extent_alloc(pool->free[order[i]], &request->run);
	}
	if (frame != EXTENT_NONE) {
		pool_free_sub(pool, request->run.count);
		pool->live_frames += request->run.count;
		pool_seen_by_others(pool);
		*zero = !contig_dirty_any(frame, request->run.count);
		if (mark)
			contig_dirty_set(frame, request->run.count);
	}
	contig_unlock(&pool->lock);
	return frame;
}

bool contig_pool_can(struct contig_pool *pool, const struct frame_request *request)
{
	int order[HOST_NODES_MAX];
	int n = contig_pool_node_order(pool, request, order);
	bool can = false;

	contig_lock(&pool->lock);
	if (pool->free_frames >= request->run.count + request->floor)
		for (int i = 0; i < n && !can; i++)
			can = pool->free[order[i]] &&
			      contig_extent_find(pool->free[order[i]], &request->run) != EXTENT_NONE;
	contig_unlock(&pool->lock);
	return can;
}

static void put_run(struct contig_pool *pool, int node, uint64_t frame, uint64_t count)
{
	contig_extent_free(pool->free[node], frame, count);
	pool_free_add(pool, count);
}

/* Superpage by superpage: some may have to be withheld. */
static void put_quarantined(struct contig_pool *pool, uint64_t frame, uint64_t count)
{
	for (uint64_t end = frame + count, next; frame < end; frame = next) {
		struct block *block = frame_block(frame);

		next = align_down(frame, SUPERPAGE_FRAMES) + SUPERPAGE_FRAMES;
		if (next > end)
			next = end;
		if (block->quarantined) {
			pool->withheld_frames += next - frame;
			contig_backing_withhold(next - frame);
		} else {
			put_run(pool, block->segment->node, frame, next - frame);
		}
	}
}

void contig_pool_put(struct contig_pool *pool, uint64_t frame, uint64_t count)
{
	struct segment *segment = frame_block(frame)->segment;

	/* What a child inherited is its parent's to give out. */
	if (segment->inherited)
		return;
	contig_lock(&pool->lock);
	pool->live_frames -= count;
	if (__builtin_expect(!!pool->quarantined, 0))
		put_quarantined(pool, frame, count);
	else
		put_run(pool, segment->node, frame, count);
	pool_seen_by_others(pool);
	contig_unlock(&pool->lock);
}

void contig_pool_zero(struct contig_pool *pool, uint64_t frame, uint64_t count)
{
	uint64_t run = 0;

	/* The bits of a run that we own change only through us. */
	for (uint64_t f = frame; f <= frame + count; f++) {
		if (f < frame + count && contig_dirty_test(f)) {
			run++;
			continue;
		}
		if (run)
			memset(frame_address(f - run), 0, run << FRAME_SHIFT);
		run = 0;
	}
	contig_lock(&pool->lock);
	contig_dirty_set(frame, count);
	contig_unlock(&pool->lock);
}

uint64_t contig_pool_held(struct contig_pool *pool)
{
	uint64_t held;

	contig_lock(&pool->lock);
	held = pool->held;
	contig_unlock(&pool->lock);
	return held;
}

/* Tables for all of a segment, so that nothing can fail after. */
static int cover(struct contig_pool *pool, const struct segment *segment)
{
	struct extent_set **set = &pool->free[segment->node];
	int err = 0;

	if (!*set)
		*set = contig_extent_set_create(contig_physmap.frames);
	if (!*set)
		return -ENOMEM;
	for (unsigned int i = 0; i < segment->n && !err; i++)
		err = contig_extent_cover(*set, segment->places[i] >> FRAME_SHIFT,
					  segment->page_size >> FRAME_SHIFT);
	return err;
}

int contig_pool_add(struct contig_pool *pool, struct segment *segment)
{
	uint64_t size = segment->page_size;
	int err;

	contig_lock(&pool->lock);
	err = cover(pool, segment);
	for (unsigned int i = 0, run; !err && i < segment->n; i += run) {
		uint64_t place = segment->places[i];

		for (run = 1; i + run < segment->n && segment->places[i + run] == place + run * size;)
			run++;
		/* Published under the lock: a block is found only with its
		 * record.  A run in one go: one way up the tree, not many. */
		contig_physmap_publish(place, run * size, segment);
		contig_extent_free(pool->free[segment->node], place >> FRAME_SHIFT,
				   run * size >> FRAME_SHIFT);
		pool_free_add(pool, run * size >> FRAME_SHIFT);
		pool_held_set(pool, pool->held + run * size);
	}
	if (!err) {
		segment->next = pool->segments;
		pool->segments = segment;
	}
	contig_unlock(&pool->lock);
	return err;
}

const char *contig_pool_check(struct contig_pool *pool)
{
	const char *wrong = NULL;
	uint64_t total = 0, held = 0;

	contig_lock(&pool->lock);
	for (int i = 0; i < HOST_NODES_MAX && !wrong; i++) {
		if (!pool->free[i])
			continue;
		wrong = contig_extent_check(pool->free[i]);
		total += contig_extent_total(pool->free[i]);
	}
	for (struct segment *s = pool->segments; s; s = s->next)
		if (!s->inherited)
			held += s->n * s->page_size;
	if (!wrong && total != pool->free_frames)
		wrong = "free_frames differs from the extents' total";
	if (!wrong && held != pool->held)
		wrong = "held differs from the segments' sizes";
	if (!wrong && (held >> FRAME_SHIFT) < total)
		wrong = "more frames free than held";
	contig_unlock(&pool->lock);
	return wrong;
}
