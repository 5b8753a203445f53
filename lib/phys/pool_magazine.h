/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A thread's magazines of single pages of pools other than the default one:
 * POOL_MAGAZINES of them, each for whichever pool the thread works with.
 * Only pages by themselves (phys/page.h) wait there, no blocks.
 *
 * A page of a quarantined superpage must not be handed out again: whoever
 * quarantines marks the superpage first and drains then, and who puts a page
 * here looks at the mark under the cache's lock.
 */
#ifndef PHYS_POOL_MAGAZINE_H
#define PHYS_POOL_MAGAZINE_H

#include "phys/magazine.h"
#include "phys/pool.h"

/* One for this pool, maybe of a pool that the thread uses less; NULL. */
struct pool_magazine *contig_pool_magazine_make(struct thread_cache *cache,
						struct contig_pool *pool);

/* This thread's; only it gives a magazine to a pool. */
static inline struct pool_magazine *pool_magazine_find(struct thread_cache *cache,
						       const struct contig_pool *pool)
{
	for (int i = 0; i < POOL_MAGAZINES; i++)
		if (__atomic_load_n(&cache->pools[i].pool, __ATOMIC_RELAXED) == pool)
			return &cache->pools[i];
	return NULL;
}

/* A live block of one frame that meets the request, counted under label;
 * EXTENT_NONE. */
static inline uint64_t pool_magazine_get(struct thread_cache *cache,
					 const struct contig_pool *pool,
					 const struct extent_request *run, uint16_t label)
{
	struct pool_magazine *magazine = pool_magazine_find(cache, pool);
	uint64_t frame = EXTENT_NONE;

	if (!magazine || label >= cache->n_usage)
		return EXTENT_NONE;
	cache_lock(cache);
	if (magazine->pool == pool) /* not drained a moment ago */
		frame = magazine_pop(cache, &magazine->pages, run, label);
	cache_unlock(cache);
	return frame;
}

/* Keep a page that nobody has any more, counted under its label; false: the
 * caller gives it to the pool. */
bool contig_pool_magazine_put(struct contig_pool *pool, uint64_t frame, struct vm_page *page);
/* Put a fresh page, already VM_PAGE_CACHED, in; false: no room. */
bool contig_pool_magazine_stock(struct thread_cache *cache, struct contig_pool *pool,
				uint64_t frame);

#endif
