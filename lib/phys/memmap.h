/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One struct vm_page (contig/vm_page.h) per base frame of the direct map,
 * found by subtraction, with memory only where frames exist.
 *
 * Written by whoever owns the block or page: the user's call, the cache's
 * lock or the pool's lock.  32 bytes, so that two threads' neighbouring
 * one-page blocks share a cache line at worst in pairs.
 */
#ifndef PHYS_MEMMAP_H
#define PHYS_MEMMAP_H

#include "contig/vm_page.h"

#include <stdbool.h>
#include <stdint.h>

/* What the first frame of a block is; any other frame is VM_PAGE_OTHER. */
enum vm_page_state {
	VM_PAGE_OTHER = 0, /* free, or inside a block */
	VM_PAGE_LIVE,      /* a block in the user's hands */
	VM_PAGE_CACHED,    /* a block in a per-thread cache */
	VM_PAGE_LET_GO,    /* a block that was freed, but is mapped somewhere */
	VM_PAGE_SINGLE,    /* a page by itself, of an object or of none */
	VM_PAGE_HELD       /* such a page, free but for a superpage's mapping */
};

#define VM_PAGE_ZERO PG_ZERO /* the whole block is known to be zero */
#define VM_PAGE_COMMON 0x02  /* of the default pool: may go to a magazine */
#define VM_PAGE_MAPPED 0x04  /* a block whose ref_count counts */

_Static_assert(sizeof(struct vm_page) == 32, "DESIGN: small change a frame");

/*
 * ref_count, of a page by itself or of a block that is or was mapped: the
 * owner (its object, or who allocated it), wirings and mappings.  In use
 * while it isn't 0.  A block is never wired, but mapped page by page: all bits
 * but the owner's count its mappings.
 */
#define REF_OWNER UINT32_C(0x80000000)
#define REF_MAPPING UINT32_C(1)
#define REF_MAPPINGS UINT32_C(0x0003ffff) /* 262143 */
#define REF_WIRING (REF_MAPPINGS + 1)
#define REF_WIRINGS UINT32_C(0x7ffc0000) /* 8191 */
#define REF_BLOCK_MAPPINGS (~REF_OWNER)  /* 2147483647 */

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

/*
 * Frames of a block; page is its first, and is no page by itself.  They are
 * where a page has its busy lock, with a bit that no page has there: one who
 * looked at the page just before it was freed must not take them for that.
 */
#define PAGE_IS_BLOCK UINT32_C(0x80000000)

static inline uint32_t page_npages(const struct vm_page *page)
{
	return __atomic_load_n(&page->busy_lock, __ATOMIC_RELAXED) & ~PAGE_IS_BLOCK;
}

static inline void page_npages_set(struct vm_page *page, uint32_t npages)
{
	__atomic_store_n(&page->busy_lock, npages | PAGE_IS_BLOCK, __ATOMIC_RELAXED);
}

/* The next of a chain of blocks or pages that nobody uses. */
static inline uint64_t page_chain(const struct vm_page *page)
{
	return page->pindex;
}

static inline void page_chain_set(struct vm_page *page, uint64_t next)
{
	page->pindex = next;
}

static inline enum vm_page_state page_state(const struct vm_page *page)
{
	return (enum vm_page_state)__atomic_load_n(&page->state, __ATOMIC_ACQUIRE);
}

static inline void page_state_set(struct vm_page *page, enum vm_page_state state)
{
	__atomic_store_n(&page->state, (uint8_t)state, __ATOMIC_RELEASE);
}

static inline uint32_t page_refs(const struct vm_page *page)
{
	return __atomic_load_n(&page->ref_count, __ATOMIC_ACQUIRE);
}

#endif
