/* SPDX-License-Identifier: BSD-2-Clause */
#include "phys/pool_magazine.h"

#include "phys/block.h"
#include "phys/physmap.h"

/* A thread that goes round more pools than it has magazines must not empty
 * one for every page. */
#define MISSES_BEFORE_TAKING 16

static bool claim(struct thread_cache *cache, struct pool_magazine *magazine,
		  struct contig_pool *pool)
{
	bool claimed;

	cache_lock(cache);
	claimed = !magazine->pool;
	if (claimed)
		__atomic_store_n(&magazine->pool, pool, __ATOMIC_RELAXED);
	cache_unlock(cache);
	return claimed;
}

struct pool_magazine *contig_pool_magazine_make(struct thread_cache *cache,
						struct contig_pool *pool)
{
	struct pool_magazine *magazine = pool_magazine_find(cache, pool);

	if (!magazine) {
		magazine = pool_magazine_find(cache, NULL);
		if (!magazine && ++cache->pool_misses % MISSES_BEFORE_TAKING == 0) {
			magazine = &cache->pools[cache->pool_misses / MISSES_BEFORE_TAKING %
						 POOL_MAGAZINES];
			contig_magazine_drain_own(cache, magazine);
		}
		if (magazine && !claim(cache, magazine, pool))
			magazine = NULL;
	}
	return magazine;
}

static bool push(struct pool_magazine *magazine, const struct contig_pool *pool, uint64_t frame)
{
	/* Drained meanwhile, it is nobody's and would lose the page. */
	return magazine->pool == pool &&
	       !__atomic_load_n(&frame_block(frame)->quarantined, __ATOMIC_RELAXED) &&
	       magazine_push(&magazine->pages, frame);
}

bool contig_pool_magazine_put(struct contig_pool *pool, uint64_t frame, struct vm_page *page)
{
	struct thread_cache *cache = contig_thread_cache_make();
	struct pool_magazine *magazine;
	uint16_t label = page->label;
	bool kept;

	/* Memory that was the parent's stays with it. */
	if (!cache || page->generation != contig_fork_generation ||
	    contig_frame_scarce(frame) || !contig_usage_room(cache, label))
		return false;
	magazine = contig_pool_magazine_make(cache, pool);
	if (!magazine)
		return false;
	cache_lock(cache);
	page_npages_set(page, 1);
	page->flags = 0;
	kept = push(magazine, pool, frame);
	if (kept) {
		page_state_set(page, VM_PAGE_CACHED);
		usage_free(&cache->usage[label], label, FRAME_SIZE);
	}
	cache_unlock(cache);
	return kept;
}

bool contig_pool_magazine_stock(struct thread_cache *cache, struct contig_pool *pool,
				uint64_t frame)
{
	struct pool_magazine *magazine = contig_pool_magazine_make(cache, pool);
	bool kept = false;

	if (!magazine)
		return false;
	cache_lock(cache);
	kept = push(magazine, pool, frame);
	cache_unlock(cache);
	return kept;
}
