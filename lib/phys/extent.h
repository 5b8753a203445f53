/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Free frames by address, and the search for a run of them under
 * constraints.  Pure code: no system calls beyond memory for its tables, no
 * locks (the caller serialises), no policy.  Unit: frames (pfn).
 *
 * Every search, with any mix of window, alignment and boundary, found or not,
 * takes time logarithmic in the span, and no walk over extents: see
 * extent_find.c, and extent_summary.h for what makes it so.
 */
#ifndef PHYS_EXTENT_H
#define PHYS_EXTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct extent_set;

#define EXTENT_NONE UINT64_MAX

/* What a run must be like.  All in frames. */
struct extent_request {
	uint64_t count;     /* frames wanted, >= 1 */
	uint64_t low, high; /* [low, high) holds the whole run */
	uint64_t align;     /* first frame is a multiple; a power of two */
	uint64_t boundary;  /* power of two >= count, or 0 for none */
};

/*
 * An empty set for frames [0, span), or NULL with errno ENOMEM.  The span may
 * be all that a processor can address: it costs a 16-byte pointer pair a GiB.
 */
struct extent_set *contig_extent_set_create(uint64_t span);
void contig_extent_set_destroy(struct extent_set *set);

/*
 * Make room in the tables for [start, start + count), so that
 * contig_extent_free() of any part of it can't fail.  Whole gigabytes are
 * covered, once and for all; their tables use memory as they are touched.  0,
 * -ENOMEM (what was covered stays so), or -EINVAL outside the span.
 */
int contig_extent_cover(struct extent_set *set, uint64_t start, uint64_t count);

/*
 * Put frames in; they coalesce at once with free neighbours.  The range is
 * covered and none of it is free already (checked in debug builds).
 */
void contig_extent_free(struct extent_set *set, uint64_t start, uint64_t count);

/* Take frames out; all of them are free (checked in debug builds). */
void contig_extent_take(struct extent_set *set, uint64_t start, uint64_t count);

/*
 * First frame of the highest run that meets the request, or EXTENT_NONE: also
 * for a request that nothing can meet, such as one of no frames, or with a
 * boundary below count.
 */
uint64_t contig_extent_find(const struct extent_set *set,
			    const struct extent_request *request);

/* find and take in one. */
uint64_t contig_extent_alloc(struct extent_set *set,
			     const struct extent_request *request);

/* Whether all of [start, start + count) is free; any of it. */
bool contig_extent_all_free(const struct extent_set *set, uint64_t start, uint64_t count);
bool contig_extent_any_free(const struct extent_set *set, uint64_t start, uint64_t count);

/*
 * The first free run that ends above frame at: *start and *count, clipped to
 * nothing.  false when there is none.  Start with at = 0; go on with the
 * end of the run found.
 */
bool contig_extent_next(const struct extent_set *set, uint64_t at,
			uint64_t *start, uint64_t *count);

uint64_t contig_extent_total(const struct extent_set *set);   /* free frames */
uint64_t contig_extent_longest(const struct extent_set *set); /* longest run */
size_t contig_extent_metadata(const struct extent_set *set);  /* bytes mapped: touched at most */

/*
 * Check the whole structure against itself: every summary recomputed.  NULL,
 * or what is wrong.  Slow; for tests.
 */
const char *contig_extent_check(const struct extent_set *set);

#endif
