/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One struct vm_page per base frame of the direct map, found by subtraction,
 * with memory only where frames exist.
 */
#ifndef PHYS_MEMMAP_H
#define PHYS_MEMMAP_H

#include <stdint.h>

/* What the first frame of a block is; any other frame is VM_PAGE_OTHER. */
enum vm_page_state {
	VM_PAGE_OTHER = 0, /* free, or inside a block */
	VM_PAGE_LIVE,      /* a block in the user's hands */
	VM_PAGE_CACHED     /* a block in a per-thread cache */
};

#define VM_PAGE_ZERO 0x01   /* the whole block is known to be zero */
#define VM_PAGE_COMMON 0x02 /* of the default pool: may go to a magazine */

/*
 * 32 bytes, so that two threads' neighbouring one-page blocks share a cache
 * line at worst in pairs.  Written by whoever owns the block: the user's
 * call, the cache's lock or the pool's lock.
 */
struct vm_page {
	uint32_t npages;     /* of the block; valid in its first frame */
	uint32_t generation; /* fork generation that allocated it */
	uint16_t label;      /* usage label, see usage.h */
	uint8_t state;       /* enum vm_page_state */
	uint8_t flags;
	uint32_t spare[5];
};

_Static_assert(sizeof(struct vm_page) == 32, "DESIGN: small change a frame");

extern struct vm_page *contig_memmap;

int contig_memmap_init(uint64_t frames);
int contig_memmap_cover(uint64_t frame, uint64_t count);

static inline struct vm_page *frame_page(uint64_t frame)
{
	return &contig_memmap[frame];
}

static inline uint64_t page_frame(const struct vm_page *page)
{
	return (uint64_t)(page - contig_memmap);
}

#endif
