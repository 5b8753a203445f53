/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames as pages by themselves: what is behind vm_page_alloc().  A page is a
 * block of one frame in state VM_PAGE_SINGLE, free when its ref_count is 0.
 *
 * Mapping a superpage must not touch 512 counts: its block record counts such
 * mappings, and a page of it that would become free meanwhile is only
 * VM_PAGE_HELD until the last of them has gone.
 */
#ifndef PHYS_PAGE_H
#define PHYS_PAGE_H

#include "phys/block.h"
#include "phys/memmap.h"

#include <stdbool.h>
#include <stdint.h>

/* The page's ref_count has just become 0: it is free, or held. */
void contig_page_release_slow(struct vm_page *page);
bool contig_page_hold(struct vm_page *page);

static inline void page_release(struct vm_page *page)
{
	struct thread_cache *cache = contig_thread_cache;
	uint64_t frame = page_frame(page);

	if (__builtin_expect(__atomic_load_n(&frame_block(frame)->supers, __ATOMIC_SEQ_CST), 0) &&
	    contig_page_hold(page))
		return;
	if (__builtin_expect(cache && page->flags & VM_PAGE_COMMON &&
				     page->generation == contig_fork_generation,
			     1)) {
		page_npages_set(page, 1);
		if (magazine_put(cache, frame, page))
			return;
	}
	contig_page_release_slow(page);
}

/* Whether something that a block or a page holds is there: the first frame of
 * the block in use that has this frame (freed but mapped ones included). */
struct vm_page *contig_block_of_frame(uint64_t frame);

/* One mapping more, or less, of the superpage that starts at frame as far as
 * it is made of pages by themselves: so many, and the rest are in blocks that
 * can't go.  false: one of the pages is free. */
bool contig_page_super_ref(uint64_t frame, unsigned int pages);
void contig_page_super_unref(uint64_t frame);

#endif
