/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Superpages taken from one source for a moment, and the choice among them:
 * those that, alone or with free frames the pool already holds, make a run
 * that meets a request.  The others go back at once.
 */
#ifndef PHYS_CANDIDATES_H
#define PHYS_CANDIDATES_H

#include "contig/types.h"
#include "host/superpage.h"
#include "phys/pool.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct candidate {
	uint64_t place; /* bytes; EXTENT_NONE at the hidden level */
	int node;
	unsigned int batch;
	size_t page;
	bool keep;
};

struct candidates {
	struct contig_pool *pool;
	enum contig_source source;
	struct superpage_request want; /* count is set by each step */
	struct superpage_batch *batches;
	unsigned int n_batches, room_batches;
	size_t file_pages; /* at most so many of a batch; 0: any */
	struct candidate *list;
	size_t n, room;
};

void contig_candidates_init(struct candidates *c, struct contig_pool *pool,
			    enum contig_source source);

/* Take up to count more.  How many came; 0 with a reason when none. */
size_t contig_candidates_take(struct candidates *c, size_t count);

/*
 * Mark those to keep.  most: superpages that may be kept.  true when a run
 * was found.
 */
bool contig_candidates_choose(struct candidates *c, const struct frame_request *request,
			      size_t most);
/* Whether there is a run, however many superpages it takes. */
bool contig_candidates_can(struct candidates *c, const struct frame_request *request);
void contig_candidates_keep_all(struct candidates *c);

/* Longest run among the candidates, bytes (for reasons). */
uint64_t contig_candidates_longest(struct candidates *c);

/* Give back what isn't kept and install the rest.  Superpages installed. */
size_t contig_candidates_finish(struct candidates *c);

#endif
