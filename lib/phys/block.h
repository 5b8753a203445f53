/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Blocks: what contigmalloc hands out.  The hot pair is inline: a pop from
 * and a push to the thread's magazine.
 */
#ifndef PHYS_BLOCK_H
#define PHYS_BLOCK_H

#include "phys/magazine.h"
#include "phys/physmap.h"
#include "phys/pool.h"

#include <stdbool.h>
#include <stdint.h>

/* As many as the four attempts of SEMANTICS 1: three reclaims between. */
#define BLOCK_ATTEMPTS 4

struct block_request {
	struct contig_pool *pool;
	struct frame_request frames;
	bool zero;
	bool nodump;
	bool page; /* one frame that will be a page by itself: neighbours may
		    * wait in a magazine of whatever pool it is */
	uint16_t label;
};

/*
 * A block, or NULL with *err: ENOMEM (contig_reclaim_why() tells) or ERANGE.
 */
void *contig_block_alloc(const struct block_request *request, int *err);

/* A live block of what the pool has now; not counted yet.  EXTENT_NONE. */
uint64_t contig_block_take(const struct block_request *request);
/*
 * Memory below 4 GiB goes back to the pool where there is other memory: the
 * next plain request must not eat what only low addresses can serve.
 */
bool contig_frame_scarce(uint64_t frame);
/* VM_PAGE_COMMON or 0: whether a block there may wait in a magazine. */
uint8_t contig_block_common(const struct contig_pool *pool, uint64_t frame);
/* Leave frames out of core dumps: all of their superpages. */
void contig_block_nodump(uint64_t frame, uint64_t npages);

/* The live block that starts at va; NULL when there is none. */
struct vm_page *contig_block_find(const void *va);

/* The live block that va lies inside of, NULL when there is none: slow. */
struct vm_page *contig_block_around(const void *va);

/* Give a live block back, past the magazine; at once, or with the last
 * mapping (kpi/page_ref.h). */
void contig_block_free_slow(struct vm_page *page);
/* Nobody has the block any more. */
void contig_block_release(struct vm_page *page);

static inline void block_free(struct vm_page *page)
{
	struct thread_cache *cache = contig_thread_cache;

	if (__builtin_expect(cache && page->flags & VM_PAGE_COMMON &&
				     page->generation == contig_fork_generation &&
				     magazine_put(cache, page_frame(page), page),
			     1))
		return;
	contig_block_free_slow(page);
}

/* The page of a block's first frame, when va is in memory of ours: the cheap
 * part of contig_block_find(). */
static inline struct vm_page *block_page(const void *va)
{
	uint64_t place = address_place(va);

	if (place == UINT64_MAX || place & (FRAME_SIZE - 1) ||
	    !__atomic_load_n(&contig_physmap.present[place >> SUPERPAGE_SHIFT], __ATOMIC_ACQUIRE))
		return NULL;
	return frame_page(place >> FRAME_SHIFT);
}

#endif
