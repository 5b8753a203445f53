/* SPDX-License-Identifier: BSD-2-Clause */
#include "kpi/vm_watermark.h"

#include "kpi/misuse.h"
#include "phys/magazine.h"
#include "phys/start.h"

#include <string.h>

uint64_t contig_pool_free_pages(struct contig_pool *pool)
{
	return pool_free_seen(pool) + contig_magazines_cached_of(pool);
}

void contig_watermarks_get(contig_pool_t *pool, struct contig_watermarks *out)
{
	memset(out, 0, sizeof(*out));
	out->interrupt_free_min = INTERRUPT_FREE_MIN;
	out->pageout_free_min = PAGEOUT_FREE_MIN;
	if (contig_start()) {
		out->free_reserved = PAGE_COUNT_PARAM_SMALL + PAGEOUT_FREE_MIN;
		return;
	}
	if (!pool)
		pool = &contig_default_pool;
	out->page_count = pool_pages(pool);
	out->free_count = contig_pool_free_pages(pool);
	out->free_reserved = pool_free_reserved(pool);
}
