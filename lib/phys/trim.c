/* SPDX-License-Identifier: BSD-2-Clause */
#include "phys/trim.h"

#include "base/page.h"
#include "phys/backing.h"
#include "phys/magazine.h"
#include "phys/physmap.h"
#include "phys/pool_record.h"
#include "phys/reclaim.h"

/* Take the superpage's frames out of the pool if all are free and no forked
 * child may be using them (FACTS 21). */
static bool claim_free(const struct segment *segment, uint64_t place, void *arg)
{
	uint64_t frame = place >> FRAME_SHIFT;
	uint64_t count = segment->page_size >> FRAME_SHIFT, *bytes = arg;
	struct contig_pool *pool = segment->pool;
	bool free;

	contig_lock(&pool->lock);
	free = !place_block(place)->keep &&
	       contig_extent_all_free(pool->free[segment->node], frame, count);
	if (free) {
		contig_extent_take(pool->free[segment->node], frame, count);
		pool_free_sub(pool, count);
		*bytes += segment->page_size;
	}
	contig_unlock(&pool->lock);
	return free;
}

static void unclaim(const struct segment *segment, uint64_t place, void *arg)
{
	uint64_t count = segment->page_size >> FRAME_SHIFT, *bytes = arg;
	struct contig_pool *pool = segment->pool;

	contig_lock(&pool->lock);
	contig_extent_free(pool->free[segment->node], place >> FRAME_SHIFT, count);
	pool_free_add(pool, count);
	*bytes -= segment->page_size;
	contig_unlock(&pool->lock);
}

static void trim_pool(struct contig_pool *pool, uint64_t *bytes)
{
	struct segment *next;

	for (struct segment *s = pool->segments; s; s = next) {
		next = s->next;
		if (!s->inherited)
			contig_segment_release(s, claim_free, unclaim, bytes);
	}
	contig_pool_record(pool);
}

uint64_t contig_trim_pools(void)
{
	struct contig_pool *pool;
	uint64_t bytes = 0;

	/* Pools and segments go only under this lock. */
	contig_lock(&contig_reclaim_lock);
	contig_magazines_drain();
	contig_lock(&contig_pools_lock);
	pool = contig_pools;
	contig_unlock(&contig_pools_lock);
	for (; pool; pool = pool->next)
		trim_pool(pool, &bytes);
	contig_unlock(&contig_reclaim_lock);
	return bytes;
}

struct some {
	uint64_t keep, bytes; /* bytes that stay free; given back */
};

static bool claim_some(const struct segment *segment, uint64_t place, void *arg)
{
	struct some *some = arg;

	if (pool_free_seen(segment->pool) << FRAME_SHIFT < some->keep + segment->page_size)
		return false;
	return claim_free(segment, place, &some->bytes);
}

static void unclaim_some(const struct segment *segment, uint64_t place, void *arg)
{
	unclaim(segment, place, &((struct some *)arg)->bytes);
}

uint64_t contig_trim_pool(struct contig_pool *pool, uint64_t keep, bool wait)
{
	struct some some = {.keep = keep};

	if (wait)
		contig_lock(&contig_reclaim_lock);
	else if (!contig_trylock(&contig_reclaim_lock))
		return 0;
	for (struct segment *s = pool->segments, *next; s; s = next) {
		next = s->next;
		if (!s->inherited)
			contig_segment_release(s, claim_some, unclaim_some, &some);
	}
	contig_unlock(&contig_reclaim_lock);
	return some.bytes;
}

/* Blocks that vanish with their pool are no longer in use. */
static void forget_blocks(uint64_t frame, uint64_t count)
{
	for (struct vm_page *page = frame_page(frame); count; page++, count--) {
		uint64_t npages = 0;

		if (page->state == VM_PAGE_LIVE || page->state == VM_PAGE_LET_GO)
			npages = page_npages(page);
		else if (page->state == VM_PAGE_SINGLE || page->state == VM_PAGE_HELD)
			npages = 1;
		if (npages)
			contig_usage_count(page->label, npages << FRAME_SHIFT, false);
		page_state_set(page, VM_PAGE_OTHER);
		page->ref_count = 0;
	}
}

static bool claim_any(const struct segment *segment, uint64_t place, void *arg)
{
	uint64_t start, count, at = place >> FRAME_SHIFT;
	uint64_t end = at + (segment->page_size >> FRAME_SHIFT), *used = arg;
	struct contig_pool *pool = segment->pool;
	struct extent_set *set = pool->free[segment->node];

	forget_blocks(at, end - at);
	contig_lock(&pool->lock);
	*used += end - at;
	while (contig_extent_next(set, at, &start, &count) && start < end) {
		uint64_t from = start < at ? at : start;
		uint64_t to = start + count > end ? end : start + count;

		contig_extent_take(set, from, to - from);
		pool_free_sub(pool, to - from);
		*used -= to - from;
		at = to;
	}
	contig_unlock(&pool->lock);
	return true;
}

uint64_t contig_trim_destroy(struct contig_pool *pool)
{
	uint64_t used = 0;

	contig_lock(&contig_reclaim_lock);
	/* First: from here on nobody who walks the pools sees it. */
	contig_pool_list_remove(pool);
	contig_pool_record_end(pool);
	contig_magazines_drain_pool(pool);
	for (struct segment *s = pool->segments, *next; s; s = next) {
		next = s->next;
		if (s->inherited)
			continue;
		contig_segment_release(s, claim_any, NULL, &used);
	}
	/* These were free, but for the peers that may have them mapped. */
	used -= pool->withheld_frames < used ? pool->withheld_frames : used;
	contig_backing_unwithhold(pool->withheld_frames);
	pool->withheld_frames = 0;
	for (int i = 0; i < HOST_NODES_MAX; i++) {
		contig_extent_set_destroy(pool->free[i]);
		pool->free[i] = NULL;
	}
	contig_unlock(&contig_reclaim_lock);
	return used;
}
