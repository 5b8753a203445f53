/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How far a pool's free pages may go down, by class of request.  The numbers
 * are those of FreeBSD 13's vm_pageout_init(), sys/vm/vm_pageout.c, with the
 * pool in the place of a domain.
 */
#ifndef KPI_VM_WATERMARK_H
#define KPI_VM_WATERMARK_H

#include "base/page.h"
#include "contig/vm_page.h"
#include "phys/pool.h"

#include <stdbool.h>
#include <stdint.h>

#define INTERRUPT_FREE_MIN UINT64_C(2)
/* 2 * MAXBSIZE / PAGE_SIZE + interrupt_free_min */
#define PAGEOUT_FREE_MIN (2 * UINT64_C(65536) / FRAME_SIZE + INTERRUPT_FREE_MIN)
/* vm_pageout_page_count */
#define PAGE_COUNT_PARAM UINT64_C(32)
#define PAGE_COUNT_PARAM_SMALL UINT64_C(8)
#define PAGE_COUNT_SMALL 2000

static inline uint64_t pool_pages(const struct contig_pool *pool)
{
	return pool_held_seen(pool) >> FRAME_SHIFT;
}

static inline uint64_t pool_free_reserved(const struct contig_pool *pool)
{
	uint64_t pages = pool_pages(pool);

	return (pages < PAGE_COUNT_SMALL ? PAGE_COUNT_PARAM_SMALL : PAGE_COUNT_PARAM) +
	       PAGEOUT_FREE_MIN + pages / 768;
}

/* Pages that a request of this class leaves free. */
static inline uint64_t class_floor(const struct contig_pool *pool, int class)
{
	if (class == VM_ALLOC_INTERRUPT)
		return 0;
	return class == VM_ALLOC_SYSTEM ? INTERRUPT_FREE_MIN : pool_free_reserved(pool);
}

/* Free pages of a pool, those in threads' caches included. */
uint64_t contig_pool_free_pages(struct contig_pool *pool);

/* Make the pool able to serve the request: the passes of reclaim, then, when
 * wait, up to a second for others to free.  true when it is. */
bool contig_pool_make_room(struct contig_pool *pool, const struct frame_request *request,
			   int class, bool wait);

#endif
