/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Per-thread caches of blocks of the default pool: a stack ("magazine") for
 * each common size.  Each cache has a spin lock that only its thread and,
 * rarely, a drain take.  Cached blocks are VM_PAGE_CACHED, so that freeing
 * one again is seen.  Beside them a few magazines of single pages of other
 * pools: see pool_magazine.h.
 */
#ifndef PHYS_MAGAZINE_H
#define PHYS_MAGAZINE_H

#include "base/lock.h"
#include "base/page.h"
#include "phys/extent.h"
#include "phys/memmap.h"
#include "phys/usage.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAGAZINE_EXACT 16     /* 1..16 frames: a magazine each */
#define MAGAZINE_CLASSES 21   /* then 32, 64, 128, 256, 512 frames */
#define MAGAZINE_FRAMES_MAX 512
#define MAGAZINE_SLOTS 64
#define MAGAZINE_BYTES (UINT64_C(1) << 20) /* cached per class, at most,
					    * but always two blocks */
#define MAGAZINE_LOOK 8 /* blocks tried against constraints */
#define POOL_MAGAZINES 4 /* pools besides the default one that a thread caches of */

struct contig_pool;

struct magazine {
	unsigned int n, capacity;
	uint64_t frames[MAGAZINE_SLOTS];
};

/* Pages of one pool, which changes only under the cache's lock. */
struct pool_magazine {
	struct contig_pool *pool; /* NULL: in nobody's use, and empty */
	struct magazine pages;
};

struct thread_cache {
	unsigned char locked; /* spin lock */
	unsigned int n_usage; /* labels with a counter */
	struct usage *usage;
	uint64_t cached;      /* frames of the default pool */
	struct thread_cache *next, **link; /* of all caches, LOCK_CACHES */
	struct magazine magazines[MAGAZINE_CLASSES];
	struct pool_magazine pools[POOL_MAGAZINES];
	unsigned int pool_misses; /* see contig_pool_magazine_make() */
};

/* NULL until the first use and after thread exit. */
extern __thread struct thread_cache *contig_thread_cache
	__attribute__((tls_model("initial-exec")));
extern uint32_t contig_fork_generation;

/* Make this thread's cache; NULL when it can't have one (any more). */
struct thread_cache *contig_thread_cache_make(void);

/* A drain holds the lock for microseconds at most; yield after a while in
 * case it was preempted. */
void contig_cache_lock_slow(struct thread_cache *cache);

static inline void cache_lock(struct thread_cache *cache)
{
	contig_lock_enter(LOCK_CACHE);
	if (__atomic_exchange_n(&cache->locked, 1, __ATOMIC_ACQUIRE))
		contig_cache_lock_slow(cache);
}

static inline void cache_unlock(struct thread_cache *cache)
{
	__atomic_store_n(&cache->locked, 0, __ATOMIC_RELEASE);
	contig_lock_leave(LOCK_CACHE);
}

/* The magazine for blocks of npages, -1 when that size isn't cached. */
static inline int magazine_class(uint64_t npages)
{
	if (npages <= MAGAZINE_EXACT)
		return (int)npages - 1;
	if (npages <= MAGAZINE_FRAMES_MAX && is_pow2(npages))
		return MAGAZINE_EXACT - 5 + (int)floor_log2(npages);
	return -1;
}

static inline bool run_meets(uint64_t frame, const struct extent_request *run)
{
	return frame >= run->low && frame + run->count <= run->high &&
	       !(frame & (run->align - 1)) &&
	       !(run->boundary &&
		 (frame ^ (frame + run->count - 1)) & -run->boundary);
}

/* Room for the label's counter; false when there is no memory. */
bool contig_usage_room(struct thread_cache *cache, uint16_t label);

/* Locked; false: full. */
static inline bool magazine_push(struct magazine *magazine, uint64_t frame)
{
	if (magazine->n == magazine->capacity)
		return false;
	magazine->frames[magazine->n++] = frame;
	return true;
}

/* Take out a block that meets the request, live under label from now on.
 * Locked. */
static inline uint64_t magazine_pop(struct thread_cache *cache, struct magazine *magazine,
				    const struct extent_request *run, uint16_t label)
{
	for (unsigned int i = magazine->n, last = i > MAGAZINE_LOOK ? i - MAGAZINE_LOOK : 0;
	     i > last; i--) {
		uint64_t frame = magazine->frames[i - 1];

		if (!run_meets(frame, run))
			continue;
		magazine->frames[i - 1] = magazine->frames[--magazine->n];
		frame_page(frame)->state = VM_PAGE_LIVE;
		frame_page(frame)->label = label;
		usage_alloc(&cache->usage[label], label, run->count << FRAME_SHIFT);
		return frame;
	}
	return EXTENT_NONE;
}

/*
 * A cached block that meets the request, whatever its node, counted as
 * allocated under label; EXTENT_NONE when there is none.
 */
static inline uint64_t magazine_get(struct thread_cache *cache, const struct extent_request *run,
				    uint16_t label)
{
	int class = magazine_class(run->count);
	struct magazine *magazine;
	uint64_t frame;

	if (class < 0 || label >= cache->n_usage)
		return EXTENT_NONE;
	magazine = &cache->magazines[class];
	cache_lock(cache);
	frame = magazine_pop(cache, magazine, run, label);
	if (frame != EXTENT_NONE)
		cache->cached -= run->count;
	cache_unlock(cache);
	return frame;
}

/* Keep a live block for reuse; false: the caller gives it to the pool. */
static inline bool magazine_put(struct thread_cache *cache, uint64_t frame, struct vm_page *page)
{
	int class = magazine_class(page_npages(page));
	uint16_t label = page->label;
	struct magazine *magazine;
	bool kept = false;

	if (class < 0 || label >= cache->n_usage)
		return false;
	magazine = &cache->magazines[class];
	cache_lock(cache);
	if (magazine_push(magazine, frame)) {
		page_state_set(page, VM_PAGE_CACHED);
		page->flags = VM_PAGE_COMMON;
		cache->cached += page_npages(page);
		usage_free(&cache->usage[label], label, (uint64_t)page_npages(page) << FRAME_SHIFT);
		kept = true;
	}
	cache_unlock(cache);
	return kept;
}

/* How many more blocks of this size to fetch with one; 0 when not cached. */
unsigned int contig_magazine_refill(uint64_t npages);
/* Put a fresh block, already VM_PAGE_CACHED, in; false when full. */
bool contig_magazine_stock(struct thread_cache *cache, uint64_t frame);

/* Count for a block that did not go through a magazine. */
void contig_usage_count(uint16_t label, uint64_t bytes, bool alloc);

/* Give the cached blocks of all threads back to their pools: of all pools, or
 * of one, which then has none of its frames in any magazine that isn't put
 * there anew.  Frames drained. */
uint64_t contig_magazines_drain(void);
uint64_t contig_magazines_drain_pool(struct contig_pool *pool);
/* Empty a thread's own magazine of some other pool. */
void contig_magazine_drain_own(struct thread_cache *cache, struct pool_magazine *magazine);
/* Frames, all threads. */
uint64_t contig_magazines_cached(void);
uint64_t contig_magazines_cached_of(const struct contig_pool *pool);
void contig_magazines_fold(void);       /* all usage into the totals */

/* fork(2): hold every cache; in the child empty them and drop the others'. */
void contig_magazines_fork_prepare(void);
void contig_magazines_fork_parent(void);
void contig_magazines_fork_child(void);

#endif
