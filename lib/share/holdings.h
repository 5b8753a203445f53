/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What importers have mapped in an exported range: runs of pages that don't
 * overlap, found by their place and by who holds them.  Neighbours that the
 * kernel merges are one run, so that there are as many of them as mappings, or
 * more.  Every look costs a walk down a tree, whatever the range's size and the
 * number of importers.  Guarded by the vma's lock.
 */
#ifndef SHARE_HOLDINGS_H
#define SHARE_HOLDINGS_H

#include "base/radix.h"

#include <stdbool.h>
#include <stdint.h>

struct holder {
	struct radix runs;     /* its own, first -> holding, but for those given */
	struct holding *list;
	uint64_t n;
};

struct holding {
	struct holding *next, *previous; /* of one holder */
	struct holder *holder;
	uint64_t first, count; /* pages of the range */
	uint64_t file, page;   /* what is there: a file's number, and which page of it */
	bool read_only;        /* less than the range's protection */
};

struct holdings {
	struct radix runs; /* first -> holding */
};

/* The first run that has a page in [first, end), of all or of one holder; NULL:
 * none. */
struct holding *contig_holdings_find(const struct radix *runs, uint64_t first, uint64_t end);

/* One more run where there is none; NULL: no memory.  Not merged yet. */
struct holding *contig_holdings_add(struct holdings *holdings, struct holder *holder,
				    const struct holding *what);
/* Merge it with its holder's neighbours that it continues; never fails. */
void contig_holdings_join(struct holdings *holdings, struct holding *holding);
void contig_holdings_remove(struct holdings *holdings, struct holding *holding);

/*
 * Take [first, end), which is within the run, out of it, in two steps, between
 * which the pages are unmapped: the first makes a run of what is behind end
 * (*rest; NULL: nothing is) and is all that can fail (-ENOMEM, nothing done);
 * the second ends holding at first, or is told that it was for nothing.
 */
int contig_holdings_split(struct holdings *holdings, struct holding *holding, uint64_t end,
			  struct holding **rest);
void contig_holdings_cut(struct holdings *holdings, struct holding *holding, uint64_t first);

/* The run is another's from here on; it's not found among its own. */
void contig_holdings_give(struct holding *holding, struct holder *to);
/* The holder has nothing any more, and goes. */
void contig_holdings_leave(struct holder *holder);

/* NULL, or what is wrong. */
const char *contig_holdings_check(const struct holdings *holdings);

static inline uint64_t holding_end(const struct holding *holding)
{
	return holding->first + holding->count;
}

#endif
