/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * References that mappings hold on pages: a page is free when its object,
 * its wirings and its mappings have all let go of it.  Blocks of
 * contigmalloc() count as well: contigfree() of one that is mapped somewhere
 * lets go of it, and the last unmapping frees it.
 */
#ifndef KPI_PAGE_REF_H
#define KPI_PAGE_REF_H

#include "phys/memmap.h"

/* One mapping more of a page in use, alone or in a block.  0; -EINVAL: the page
 * is free, or being freed, or is a forked parent's; -ENOMEM: no more can be
 * counted.  Lock-free but for a block's first. */
int contig_page_map_ref(struct vm_page *page);
/* After that: the same at once for those behind it in the same block and
 * superpage, up to most.  How many; 0 for a page by itself, or if not all can
 * be counted. */
uint32_t contig_page_map_ref_next(struct vm_page *page, uint64_t most);
/* One less; may free the page (and with it its block). */
void contig_page_map_unref(struct vm_page *page);
/* The same for the 512 pages of a superpage at once (page: its first). */
int contig_page_map_ref_super(struct vm_page *page);
void contig_page_map_unref_super(struct vm_page *page);

static inline int page_map_ref(struct vm_page *page)
{
	return contig_page_map_ref(page);
}

static inline void page_map_unref(struct vm_page *page)
{
	contig_page_map_unref(page);
}

static inline int page_map_ref_super(struct vm_page *page)
{
	return contig_page_map_ref_super(page);
}

static inline void page_map_unref_super(struct vm_page *page)
{
	contig_page_map_unref_super(page);
}

#endif
