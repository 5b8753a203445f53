/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a node of the extent tree says about the free frames below it, and how
 * two halves make a whole.
 *
 * A node of level n stands for 2^n frames at a multiple of 2^n.  It keeps:
 *
 *	prefix, suffix	free frames at its two ends
 *	row k, 1 <= k <= n, lane a < k
 *			the longest free run that starts at a multiple of 2^a
 *			and lies within one 2^k-aligned window of 2^k frames
 *
 * Row n, the node's own, has the node itself for its window.  So lane a of
 * row n answers "is there room for this many frames aligned to 2^a?", and
 * lane a of row k "... without crossing a multiple of 2^k?", both at once and
 * both exactly.  Two separate tables, one by alignment and one by boundary,
 * wouldn't do: a heap whose every extent meets either demand, but none both,
 * would be searched extent by extent.
 *
 * Lanes a >= k aren't kept: a start so aligned is the window's first frame.
 *
 * All zeros says that nothing is free, so that tables come untouched from the
 * kernel.
 */
#ifndef PHYS_EXTENT_SUMMARY_H
#define PHYS_EXTENT_SUMMARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LEAF_SHIFT 9 /* a leaf is a superpage of frames: 512 bits, a cache line */
#define LEAF_FRAMES (1u << LEAF_SHIFT)

/*
 * Lengths are signed 32-bit lanes, since those are what every vector unit,
 * SSE2 included, can compare.  They end at level 30, 4 TiB.
 */
#define LANES 4
typedef int32_t lanes __attribute__((vector_size(LANES * sizeof(int32_t)), may_alias));

struct summary {
	int32_t prefix, suffix;
	int32_t unused[2]; /* lanes start on a vector's boundary */
	int32_t lane[];    /* rows 1, 2, ..., each rounded up to whole vectors */
};

#define ROW_VECTORS(k) (((k) + LANES - 1) / LANES)

/* Vectors before row k: the sum of ROW_VECTORS() below it. */
static inline unsigned int row_offset(unsigned int k)
{
	unsigned int whole = (k - 1) / LANES, rest = (k - 1) % LANES;

	return (whole + 1) * (LANES / 2 * whole + rest);
}

static inline lanes *summary_row(const struct summary *summary, unsigned int k)
{
	return (lanes *)(uintptr_t)summary->lane + row_offset(k);
}

static inline int32_t summary_lane(const struct summary *summary, unsigned int k, unsigned int a)
{
	return summary->lane[row_offset(k) * LANES + a];
}

static inline size_t summary_bytes(unsigned int level)
{
	return sizeof(struct summary) + row_offset(level + 1) * sizeof(lanes);
}

static inline lanes lanes_splat(int32_t x)
{
	return (lanes){ x, x, x, x };
}

static inline lanes lanes_max(lanes x, lanes y)
{
	lanes more = x > y;

	return (x & more) | (y & ~more);
}

/* All ones in lanes below n, n <= LANES; zeros in the others. */
static inline lanes lanes_below(unsigned int n)
{
	return lanes_splat((int32_t)n) > (lanes){ 0, 1, 2, 3 };
}

/* Lane a rounds a length down to a multiple of 2^a. */
#define ROUND(a)	((int32_t)(UINT32_MAX << (a)))
#define ROUND_FROM(a)	{ ROUND(a), ROUND((a) + 1), ROUND((a) + 2), ROUND((a) + 3) }
static const lanes lanes_round[] = {
	ROUND_FROM(0), ROUND_FROM(4), ROUND_FROM(8), ROUND_FROM(12),
	ROUND_FROM(16), ROUND_FROM(20), ROUND_FROM(24), ROUND_FROM(28),
};

static inline bool lanes_any(lanes x)
{
	union {
		lanes all;
		uint64_t half[2];
	} bits = { .all = x };

	return bits.half[0] | bits.half[1];
}

/* Store x; the bits that this changes. */
static inline lanes lanes_store(lanes *to, lanes x)
{
	lanes old = *to;

	*to = x;
	return old ^ x;
}

/*
 * A set of rows: bit k is row k.  The bit of a node's own row also stands for
 * its prefix and suffix.
 */
typedef uint32_t row_set;

/*
 * Bring a node of this level up to date with its halves, of which only the
 * rows in changed have changed.  The node's own changed rows: with none of
 * them, all nodes above are still right.
 */
row_set contig_summary_merge(unsigned int level, struct summary *summary,
			     const struct summary *left, const struct summary *right,
			     row_set changed);

/* The same for a node that is free, or not, throughout. */
row_set contig_summary_fill(unsigned int level, struct summary *summary, bool free);

#endif
