/* SPDX-License-Identifier: BSD-2-Clause */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "phys/extent.h"

#include "base/page.h"
#include "phys/extent_tree.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

/* At least as long as the largest summary. */
static const _Alignas(lanes) unsigned char zeros[sizeof(struct summary) +
	(EXTENT_REGION_SHIFT + LANES) * ROW_VECTORS(EXTENT_REGION_SHIFT) * sizeof(lanes)];
const struct summary *const contig_summary_zero = (const struct summary *)(const void *)zeros;

static void *table_map(size_t bytes)
{
	void *table = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return table == MAP_FAILED ? NULL : table;
}

/* The same in every set; here because it's only needed with one. */
static void geometry_set(struct extent_set *set, uint64_t span)
{
	size_t offset = CHUNK_LEAVES * sizeof(struct leaf);
	unsigned int shift = ceil_log2(span);

	if (shift < EXTENT_CHUNK_SHIFT)
		shift = EXTENT_CHUNK_SHIFT;
	if (shift > EXTENT_REGION_SHIFT)
		shift = EXTENT_REGION_SHIFT;
	set->span = span;
	set->region_shift = shift;
	set->regions = span ? ((span - 1) >> shift) + 1 : 0;
	for (unsigned int level = LEAF_SHIFT; level <= shift; level++) {
		set->node_bytes[level] = summary_bytes(level);
		set->node_offset[level] = offset;
		/* Above the chunk: one of each level, in case it's the first there. */
		if (level < EXTENT_CHUNK_SHIFT)
			offset += set->node_bytes[level] << (EXTENT_CHUNK_SHIFT - level);
		else
			offset += set->node_bytes[level];
	}
	set->chunk_bytes = align_up(offset, FRAME_SIZE);
}

struct extent_set *contig_extent_set_create(uint64_t span)
{
	struct extent_set geometry = { 0 }, *set;
	uint64_t chunks, pointers = 0;
	void **pointer;

	geometry_set(&geometry, span);
	chunks = geometry.regions << (geometry.region_shift - EXTENT_CHUNK_SHIFT);
	for (unsigned int level = EXTENT_CHUNK_SHIFT; level <= geometry.region_shift; level++)
		pointers += chunks >> (level - EXTENT_CHUNK_SHIFT);
	geometry.bytes = align_up(sizeof(*set) + pointers * sizeof(void *), FRAME_SIZE);
	geometry.metadata = geometry.bytes;

	set = table_map(geometry.bytes);
	if (!set) {
		errno = ENOMEM;
		return NULL;
	}
	*set = geometry;
	pointer = (void **)(set + 1);
	set->chunk = (unsigned char **)pointer;
	pointer += chunks;
	for (unsigned int level = EXTENT_CHUNK_SHIFT + 1; level <= set->region_shift; level++) {
		set->above[level] = (struct summary **)pointer;
		pointer += chunks >> (level - EXTENT_CHUNK_SHIFT);
	}
	return set;
}

void contig_extent_set_destroy(struct extent_set *set)
{
	uint64_t chunks;

	if (!set)
		return;
	chunks = set->regions << (set->region_shift - EXTENT_CHUNK_SHIFT);
	for (uint64_t i = 0; i < chunks; i++) {
		if (set->chunk[i])
			munmap(set->chunk[i], set->chunk_bytes);
	}
	munmap(set, set->bytes);
}

static int chunk_cover(struct extent_set *set, uint64_t index)
{
	unsigned char *chunk;

	if (set->chunk[index])
		return 0;
	chunk = table_map(set->chunk_bytes);
	if (!chunk)
		return -ENOMEM;
	set->chunk[index] = chunk;
	set->metadata += set->chunk_bytes;
	for (unsigned int level = EXTENT_CHUNK_SHIFT + 1; level <= set->region_shift; level++) {
		struct summary **above =
			&set->above[level][index >> (level - EXTENT_CHUNK_SHIFT)];

		if (!*above)
			*above = (struct summary *)(void *)(chunk + set->node_offset[level]);
	}
	return 0;
}

int contig_extent_cover(struct extent_set *set, uint64_t start, uint64_t count)
{
	if (!count)
		return 0;
	if (start >= set->span || count > set->span - start)
		return -EINVAL;
	for (uint64_t i = start / CHUNK_FRAMES; i <= (start + count - 1) / CHUNK_FRAMES; i++) {
		int error = chunk_cover(set, i);

		if (error)
			return error;
	}
	return 0;
}

/*
 * Bring all nodes above the leaves [first, last] up to date, which hold the
 * changed frames [start, end), level by level: each node once.
 */
static void nodes_update(struct extent_set *set, uint64_t start, uint64_t end, bool free,
			 row_set changed)
{
	uint64_t first = start >> LEAF_SHIFT, last = (end - 1) >> LEAF_SHIFT;

	for (unsigned int level = LEAF_SHIFT + 1; changed && level <= set->region_shift; level++) {
		/* Nodes in [inner, inner_end) changed throughout. */
		uint64_t inner = align_up(start, UINT64_C(1) << level) >> level;
		uint64_t inner_end = end >> level;
		row_set above = 0;

		first >>= 1;
		last >>= 1;
		for (uint64_t i = first; i <= last; i++) {
			struct summary *summary = extent_node(set, level, i);

			if (i >= inner && i < inner_end)
				above |= contig_summary_fill(level, summary, free);
			else
				above |= contig_summary_merge(level, summary,
					extent_summary(set, level - 1, 2 * i),
					extent_summary(set, level - 1, 2 * i + 1), changed);
		}
		changed = above;
	}
}

static void frames_mark(struct extent_set *set, uint64_t start, uint64_t count, bool free)
{
	uint64_t end = start + count, stop;
	row_set changed = 0;

	for (uint64_t at = start; at < end; at = stop) {
		uint64_t index = at >> LEAF_SHIFT, base = index << LEAF_SHIFT;
		struct leaf *leaf = extent_leaf(set, index);

		stop = base + LEAF_FRAMES < end ? base + LEAF_FRAMES : end;
		contig_leaf_mark(leaf, (unsigned int)(at - base), (unsigned int)(stop - base), free);
		changed |= contig_leaf_summarise(leaf, extent_node(set, LEAF_SHIFT, index));
	}
	nodes_update(set, start, end, free, changed);
}

#ifdef CONTIG_DEBUG_CHECK
/* Not contig_panic(): that one may return, and the caller holds a lock. */
static void frames_require(const struct extent_set *set, uint64_t start, uint64_t count,
			   bool right, const char *verb, const char *wrong)
{
	if (right)
		return;
	fprintf(stderr, "libcontig: contig_extent_%s(start %#llx, count %#llx) in a set of %#llx frames: %s\n",
		verb, (unsigned long long)start, (unsigned long long)count,
		(unsigned long long)set->span, wrong);
	abort();
}

static bool range_covered(const struct extent_set *set, uint64_t start, uint64_t count)
{
	if (start >= set->span || count > set->span - start)
		return false;
	for (uint64_t i = start / CHUNK_FRAMES; i <= (start + count - 1) / CHUNK_FRAMES; i++) {
		if (!set->chunk[i])
			return false;
	}
	return true;
}
#endif

void contig_extent_free(struct extent_set *set, uint64_t start, uint64_t count)
{
	if (!count)
		return;
#ifdef CONTIG_DEBUG_CHECK
	frames_require(set, start, count, range_covered(set, start, count),
		       "free", "not covered");
	frames_require(set, start, count, !contig_extent_any_free(set, start, count),
		       "free", "some of it is free already");
#endif
	frames_mark(set, start, count, true);
	set->total += count;
}

void contig_extent_take(struct extent_set *set, uint64_t start, uint64_t count)
{
	if (!count)
		return;
#ifdef CONTIG_DEBUG_CHECK
	frames_require(set, start, count, contig_extent_all_free(set, start, count),
		       "take", "not all of it is free");
#endif
	frames_mark(set, start, count, false);
	set->total -= count;
}

uint64_t contig_extent_alloc(struct extent_set *set, const struct extent_request *request)
{
	uint64_t start = contig_extent_find(set, request);

	if (start != EXTENT_NONE) {
		frames_mark(set, start, request->count, false);
		set->total -= request->count;
	}
	return start;
}

/* The highest level at which a node starts at this frame. */
static unsigned int level_at(const struct extent_set *set, uint64_t frame)
{
	unsigned int level = frame ? (unsigned int)__builtin_ctzll(frame) : set->region_shift;

	return level < set->region_shift ? level : set->region_shift;
}

/*
 * The end of the free run that has this frame; the frame itself if it isn't
 * free.  Nodes only get larger on the way, region after region at worst.
 */
static uint64_t run_end(const struct extent_set *set, uint64_t frame)
{
	uint64_t end = set->regions << set->region_shift, within = frame % LEAF_FRAMES;

	if (within) {
		const struct leaf *leaf = extent_leaf(set, frame >> LEAF_SHIFT);
		unsigned int used;

		if (!leaf)
			return frame;
		used = contig_leaf_first(leaf, (unsigned int)within, false);
		frame += used - within;
		if (used < LEAF_FRAMES)
			return frame;
	}
	while (frame < end) {
		unsigned int level = level_at(set, frame);
		uint64_t prefix = (uint64_t)extent_summary(set, level, frame >> level)->prefix;

		frame += prefix;
		if (prefix >> level == 0)
			break;
	}
	return frame;
}

/* Likewise: the start of the run whose end is at or after this frame. */
static uint64_t run_start(const struct extent_set *set, uint64_t frame)
{
	uint64_t within = frame % LEAF_FRAMES;

	if (within) {
		const struct leaf *leaf = extent_leaf(set, frame >> LEAF_SHIFT);
		unsigned int before;

		if (!leaf)
			return frame;
		before = contig_leaf_free_before(leaf, (unsigned int)within);
		frame -= before;
		if (before < within)
			return frame;
	}
	while (frame) {
		unsigned int level = level_at(set, frame);
		uint64_t suffix = (uint64_t)extent_summary(set, level, (frame >> level) - 1)->suffix;

		frame -= suffix;
		if (suffix >> level == 0)
			break;
	}
	return frame;
}

/* The first free frame at or after this one, or EXTENT_NONE. */
static uint64_t first_free(const struct extent_set *set, uint64_t frame)
{
	uint64_t end = set->regions << set->region_shift, within = frame % LEAF_FRAMES;
	const struct leaf *leaf;
	unsigned int level;

	if (frame >= end)
		return EXTENT_NONE;
	if (within) {
		unsigned int found = LEAF_FRAMES;

		leaf = extent_leaf(set, frame >> LEAF_SHIFT);
		if (leaf)
			found = contig_leaf_first(leaf, (unsigned int)within, true);
		frame += found - within;
		if (found < LEAF_FRAMES)
			return frame;
	}

	/* Lane 0 of a node's own row is its longest run. */
	for (;; frame += UINT64_C(1) << level) {
		if (frame >= end)
			return EXTENT_NONE;
		level = level_at(set, frame);
		if (summary_lane(extent_summary(set, level, frame >> level), level, 0))
			break;
	}
	while (level > LEAF_SHIFT) {
		level--;
		if (!summary_lane(extent_summary(set, level, frame >> level), level, 0))
			frame += UINT64_C(1) << level;
	}
	leaf = extent_leaf(set, frame >> LEAF_SHIFT);
	return frame + contig_leaf_first(leaf, 0, true);
}

bool contig_extent_all_free(const struct extent_set *set, uint64_t start, uint64_t count)
{
	if (!count)
		return true;
	if (start >= set->span || count > set->span - start)
		return false;
	return run_end(set, start) - start >= count;
}

bool contig_extent_any_free(const struct extent_set *set, uint64_t start, uint64_t count)
{
	uint64_t found = first_free(set, start);

	return found != EXTENT_NONE && found - start < count;
}

bool contig_extent_next(const struct extent_set *set, uint64_t at,
			uint64_t *start, uint64_t *count)
{
	uint64_t found = first_free(set, at);

	if (found == EXTENT_NONE)
		return false;
	*start = found == at ? run_start(set, at) : found;
	*count = run_end(set, found) - *start;
	return true;
}

uint64_t contig_extent_total(const struct extent_set *set)
{
	return set->total;
}

uint64_t contig_extent_longest(const struct extent_set *set)
{
	uint64_t longest = 0, tail = 0; /* tail: the run up to this region */

	for (uint64_t i = 0; i < set->regions; i++) {
		const struct summary *region = extent_summary(set, set->region_shift, i);
		uint64_t inside = (uint64_t)summary_lane(region, set->region_shift, 0);
		uint64_t across = tail + (uint64_t)region->prefix;

		longest = longest > inside ? longest : inside;
		longest = longest > across ? longest : across;
		tail = (uint64_t)region->suffix >> set->region_shift ?
			across : (uint64_t)region->suffix;
	}
	return longest;
}

size_t contig_extent_metadata(const struct extent_set *set)
{
	return set->metadata;
}
