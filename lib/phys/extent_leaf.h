/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A leaf of the extent tree: 512 frames as a bitmap, a set bit for a free
 * frame, the lowest bit of word 0 for the first.  Offsets are frames from the
 * leaf's first.
 */
#ifndef PHYS_EXTENT_LEAF_H
#define PHYS_EXTENT_LEAF_H

#include "phys/extent_summary.h"

#define WORD_BITS 64u
#define LEAF_WORDS (LEAF_FRAMES / WORD_BITS)

struct leaf {
	uint64_t word[LEAF_WORDS];
};

/* Bits [from, to) of one word, from < to <= 64. */
static inline uint64_t word_mask(unsigned int from, unsigned int to)
{
	return UINT64_MAX >> (WORD_BITS - (to - from)) << from;
}

/* Mark the frames [from, to) free, or not; from < to. */
void contig_leaf_mark(struct leaf *leaf, unsigned int from, unsigned int to, bool free);

/* The first frame at or after from that is free, or isn't; LEAF_FRAMES if none. */
unsigned int contig_leaf_first(const struct leaf *leaf, unsigned int from, bool free);

/* How many frames just before to are free. */
unsigned int contig_leaf_free_before(const struct leaf *leaf, unsigned int to);

/* The summary of level LEAF_SHIFT brought up to date; its changed rows. */
row_set contig_leaf_summarise(const struct leaf *leaf, struct summary *summary);

/*
 * The highest start of count free frames within [from, to), at a multiple of
 * 2^align_shift, within one window of 2^window_shift frames when that is less
 * than the leaf.  LEAF_FRAMES if there is none.
 */
unsigned int contig_leaf_find(const struct leaf *leaf, unsigned int from, unsigned int to,
			      unsigned int count, unsigned int align_shift,
			      unsigned int window_shift);

#endif
