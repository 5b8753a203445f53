/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the nodes of the extent tree are.
 *
 * The tree is implicit: the node of a level over a frame is found by shifting
 * the frame's number.  Chunks of 1 GiB hold the leaves and all levels up to
 * their own.  Above them come pointers, level by level, up to regions of
 * 4 TiB, which are the roots: there are at most 16 in 64 TiB, and these are
 * walked.  What was never covered has no memory and reads as zeros.
 */
#ifndef PHYS_EXTENT_TREE_H
#define PHYS_EXTENT_TREE_H

#include "phys/extent.h"
#include "phys/extent_leaf.h"
#include "phys/extent_summary.h"

/* Tests make both smaller, so that a small span has many chunks and regions. */
#ifndef EXTENT_CHUNK_SHIFT
#define EXTENT_CHUNK_SHIFT 18
#endif
#ifndef EXTENT_REGION_SHIFT
#define EXTENT_REGION_SHIFT 30
#endif

_Static_assert(EXTENT_CHUNK_SHIFT > LEAF_SHIFT, "a chunk has more than one leaf");
_Static_assert(EXTENT_REGION_SHIFT > EXTENT_CHUNK_SHIFT, "a region is made of chunks");
_Static_assert(EXTENT_REGION_SHIFT <= 30, "lengths are signed 32-bit lanes");

#define CHUNK_FRAMES (UINT64_C(1) << EXTENT_CHUNK_SHIFT)
#define CHUNK_LEAVES (1u << (EXTENT_CHUNK_SHIFT - LEAF_SHIFT))

struct extent_set {
	uint64_t span;
	uint64_t total; /* free frames */
	size_t metadata;

	unsigned int region_shift; /* a small span's single region is smaller */
	uint64_t regions;

	/*
	 * A chunk is its leaves' bitmaps, its nodes level by level, and then
	 * the nodes above it for which it was the first to be covered: these
	 * come into being together, so that nothing else needs memory.
	 */
	size_t node_offset[EXTENT_REGION_SHIFT + 1]; /* in the chunk, of a level's first */
	size_t node_bytes[EXTENT_REGION_SHIFT + 1];
	size_t chunk_bytes;
	unsigned char **chunk;
	struct summary **above[EXTENT_REGION_SHIFT + 1];
	size_t bytes; /* of this mapping: the set, then the pointers */
};

extern const struct summary *const contig_summary_zero;

static inline struct summary *extent_node(const struct extent_set *set, unsigned int level,
					  uint64_t index)
{
	unsigned char *chunk;
	uint64_t within;

	if (level > EXTENT_CHUNK_SHIFT)
		return set->above[level][index];
	chunk = set->chunk[index >> (EXTENT_CHUNK_SHIFT - level)];
	if (!chunk)
		return NULL;
	within = index & ((UINT64_C(1) << (EXTENT_CHUNK_SHIFT - level)) - 1);
	return (struct summary *)(void *)(chunk + set->node_offset[level] +
					  within * set->node_bytes[level]);
}

/* The same for reading. */
static inline const struct summary *extent_summary(const struct extent_set *set,
						   unsigned int level, uint64_t index)
{
	const struct summary *summary = extent_node(set, level, index);

	return summary ? summary : contig_summary_zero;
}

/* NULL where nothing was covered. */
static inline struct leaf *extent_leaf(const struct extent_set *set, uint64_t index)
{
	unsigned char *chunk = set->chunk[index / CHUNK_LEAVES];

	return chunk ? (struct leaf *)(void *)chunk + index % CHUNK_LEAVES : NULL;
}

static inline uint64_t extent_region_frames(const struct extent_set *set)
{
	return UINT64_C(1) << set->region_shift;
}

#endif
