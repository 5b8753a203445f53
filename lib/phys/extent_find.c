/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The search for the highest run that meets a request.
 *
 * A node that lies in [low, high) throughout has an exact answer in one lane
 * of one row, whatever the alignment and the boundary are, and even for both
 * together: a search that enters it does not come back empty.  Only nodes that
 * low or high cuts can disappoint, and there are at most two of them a level.
 * So every search, a failing one included, takes a number of steps
 * proportional to the levels; there is no walk over extents.  What is walked:
 * the regions (16 in 64 TiB), and the windows of a boundary that is larger
 * than a region.
 *
 * Order: in a node, whatever starts in the right half starts above the run
 * that crosses the middle, and this one starts above all others of the left
 * half.
 */
#include "base/page.h"
#include "phys/extent_tree.h"

struct search {
	const struct extent_set *set;
	uint64_t count, low, high, align;
	unsigned int align_shift;
	unsigned int window_shift; /* WINDOW_NONE: no boundary matters */
};

#define WINDOW_NONE 64u

/* The highest place in the free run [start, end). */
static uint64_t place_in_run(const struct search *search, uint64_t start, uint64_t end)
{
	uint64_t place;

	if (start < search->low)
		start = search->low;
	if (end > search->high)
		end = search->high;
	if (end < start || end - start < search->count)
		return EXTENT_NONE;
	place = align_down(end - search->count, search->align);
	return place >= start ? place : EXTENT_NONE;
}

static uint64_t find_in_leaf(const struct search *search, uint64_t index)
{
	uint64_t base = index << LEAF_SHIFT;
	unsigned int from = 0, to = LEAF_FRAMES, found;

	if (search->low > base)
		from = (unsigned int)(search->low - base);
	if (search->high < base + LEAF_FRAMES)
		to = (unsigned int)(search->high - base);
	found = contig_leaf_find(extent_leaf(search->set, index), from, to,
				 (unsigned int)search->count, search->align_shift,
				 search->window_shift);
	return found < LEAF_FRAMES ? base + found : EXTENT_NONE;
}

/* In a node that [low, high) meets; the run begins and ends in it. */
static uint64_t find_in_node(const struct search *search, unsigned int level, uint64_t index)
{
	const struct summary *summary = extent_summary(search->set, level, index);
	uint64_t base = index << level, middle = base + (UINT64_C(1) << (level - 1)), found;
	unsigned int row = level < search->window_shift ? level : search->window_shift;

	/* Only the first frame can be aligned. */
	if (search->align_shift >= level)
		return place_in_run(search, base, base + (uint64_t)summary->prefix);

	if ((uint64_t)summary_lane(summary, row, search->align_shift) < search->count)
		return EXTENT_NONE;
	if (level == LEAF_SHIFT)
		return find_in_leaf(search, index);

	if (search->high > middle) {
		found = find_in_node(search, level - 1, 2 * index + 1);
		if (found != EXTENT_NONE)
			return found;
	}
	if (level <= search->window_shift) {
		const struct summary *left = extent_summary(search->set, level - 1, 2 * index);
		const struct summary *right = extent_summary(search->set, level - 1, 2 * index + 1);

		found = place_in_run(search, middle - (uint64_t)left->suffix,
				     middle + (uint64_t)right->prefix);
		if (found != EXTENT_NONE)
			return found;
	}
	return search->low < middle ? find_in_node(search, level - 1, 2 * index) : EXTENT_NONE;
}

static uint64_t find_in_regions(const struct search *search)
{
	unsigned int shift = search->set->region_shift;
	uint64_t head = 0; /* free frames on from the end of this region */
	uint64_t found;

	for (uint64_t i = search->set->regions; i-- > 0;) {
		const struct summary *region = extent_summary(search->set, shift, i);
		uint64_t base = i << shift, end = base + (UINT64_C(1) << shift);

		if (end <= search->low)
			break;
		if (search->window_shift == WINDOW_NONE) {
			found = place_in_run(search, end - (uint64_t)region->suffix, end + head);
			if (found != EXTENT_NONE)
				return found;
		}
		if (base < search->high) {
			found = find_in_node(search, shift, i);
			if (found != EXTENT_NONE)
				return found;
		}
		head = (uint64_t)region->prefix + ((uint64_t)region->prefix >> shift ? head : 0);
	}
	return EXTENT_NONE;
}

/* A boundary larger than a region: each window is a search without one. */
static uint64_t find_in_windows(const struct search *search)
{
	struct search within = *search;
	unsigned int shift = search->window_shift;

	within.window_shift = WINDOW_NONE;
	for (uint64_t i = (search->high - 1) >> shift;; i--) {
		uint64_t base = i << shift, found;

		within.low = base > search->low ? base : search->low;
		if (search->high - base > UINT64_C(1) << shift)
			within.high = base + (UINT64_C(1) << shift);
		else
			within.high = search->high;
		found = find_in_regions(&within);
		if (found != EXTENT_NONE || within.low == search->low)
			return found;
	}
}

uint64_t contig_extent_find(const struct extent_set *set, const struct extent_request *request)
{
	struct search search = {
		.set = set,
		.count = request->count,
		.low = request->low,
		.high = request->high < set->span ? request->high : set->span,
		.align = request->align,
		.window_shift = WINDOW_NONE,
	};
	uint64_t boundary = request->boundary;

	if (!is_pow2(search.align) || !search.count || search.low >= search.high ||
	    search.count > search.high - search.low)
		return EXTENT_NONE;
	search.align_shift = floor_log2(search.align);

	if (boundary && (!is_pow2(boundary) || boundary < search.count))
		return EXTENT_NONE;
	/*
	 * Neither a run that is no longer than its alignment nor the whole
	 * span crosses a boundary.  What is left has align < count <=
	 * boundary, so that row and lane exist.
	 */
	if (boundary && search.count > search.align && boundary < set->span) {
		search.window_shift = floor_log2(boundary);
		if (search.window_shift > set->region_shift)
			return find_in_windows(&search);
	}
	return find_in_regions(&search);
}
