/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The direct map: one reservation the size of physical memory, in which a
 * superpage at physical address pa is mapped at base + pa.  Beside it, one
 * record per 2 MiB block, and a presence byte that the inline translation
 * reads (include/contig/phys.h).
 *
 * Levels.  physical: places are physical addresses.  simulated: places are
 * addresses of the described machine.  hidden: the kernel withholds frames;
 * each superpage gets a made-up place, aligned to its size, with a gap
 * behind it, so that two superpages never look adjacent; such places are
 * never told to the user as addresses.
 */
#ifndef PHYS_PHYSMAP_H
#define PHYS_PHYSMAP_H

#include "base/page.h"
#include "contig/phys.h"
#include "contig/types.h"

#include <stdbool.h>
#include <stdint.h>

struct segment;

/* One 2 MiB block of the direct map. */
struct block {
	struct segment *segment; /* NULL: nothing of ours is mapped here */
	bool keep;               /* a forked child may use it: never trim */
	bool lived;              /* was published before */
	bool quarantined;        /* what comes free stays out of the pool */
	uint32_t supers;         /* mappings of the superpage as a whole, see
				  * phys/page.h */
	uint64_t dirty[SUPERPAGE_FRAMES / 64]; /* frame may be non-zero;
						* under the pool's lock */
};

struct physmap {
	uintptr_t base;
	uint64_t span;   /* bytes reserved */
	uint64_t frames; /* span in frames */
	enum contig_level level;
	struct block *blocks;
	unsigned char *present;
};

extern struct physmap contig_physmap;

/* Reserve for memory that ends at end (bytes).  Halves what it asks for when
 * address space is short.  0/-errno. */
int contig_physmap_init(uint64_t end, enum contig_level level);

/* Make records for [start, start + bytes).  0, -ERANGE beyond the span,
 * -ENOMEM. */
int contig_physmap_cover(uint64_t start, uint64_t bytes);

/* A place for a superpage whose frame is hidden; EXTENT_NONE on failure. */
uint64_t contig_physmap_invent(uint64_t page_size);
void contig_physmap_forget(uint64_t place, uint64_t page_size);

static inline void *place_address(uint64_t place)
{
	return (void *)(contig_physmap.base + (uintptr_t)place);
}

static inline void *frame_address(uint64_t frame)
{
	return place_address(frame << FRAME_SHIFT);
}

/* The place of va, or UINT64_MAX when it isn't in the direct map. */
static inline uint64_t address_place(const void *va)
{
	uint64_t off = (uint64_t)((uintptr_t)va - contig_physmap.base);

	return off < contig_physmap.span ? off : UINT64_MAX;
}

static inline struct block *place_block(uint64_t place)
{
	return &contig_physmap.blocks[place >> SUPERPAGE_SHIFT];
}

static inline struct block *frame_block(uint64_t frame)
{
	return place_block(frame << FRAME_SHIFT);
}

/* The record's segment, without touching a record that doesn't exist. */
struct segment *contig_physmap_segment(uint64_t place);

/* Publish or withdraw [place, place + bytes). */
void contig_physmap_publish(uint64_t place, uint64_t bytes, struct segment *segment);
void contig_physmap_withdraw(uint64_t place, uint64_t bytes);
/* Inherited private memory: mapped, but not at its physical address. */
void contig_physmap_hide(uint64_t place, uint64_t bytes);

/* Which frames of a range are not known to be zero.  The pool's lock held. */
bool contig_dirty_any(uint64_t frame, uint64_t count);
void contig_dirty_set(uint64_t frame, uint64_t count);
bool contig_dirty_test(uint64_t frame);

/* Address space and bytes of the tables, for statistics. */
uint64_t contig_physmap_metadata(void);

#endif
