/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Free pages of a hugetlb pool, held for a moment to see where they lie.
 * Given back in descending order, so that the kernel, whose list is LIFO,
 * hands them out ascending.
 */
#ifndef TOOLS_POOL_HOLD_H
#define TOOLS_POOL_HOLD_H

#include "emitter.h"
#include "host/superpage.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Physically adjacent pages: batch.pages[first .. first + n). */
struct pool_run {
	size_t first, n;
};

struct pool_hold {
	struct superpage_batch batch; /* ascending by frame; n may be 0 */
	struct pool_run *runs;	      /* longest first */
	size_t n_runs;
};

/* Whether b follows a: no allocation goes from one node's memory into another's. */
bool pool_hold_adjacent(const struct superpage *a, const struct superpage *b, uint64_t size);

/*
 * Take all free, unpromised pages of size on node (HUGETLB_ALL_NODES: any).
 * 0, also when there are none; -errno with a reason (-EPERM: frames hidden).
 */
int pool_hold_take(struct pool_hold *hold, uint64_t size, int node);
void pool_hold_drop(struct pool_hold *hold);

/* Runs as a table, the longest first, at most limit of them for people. */
void pool_hold_emit(struct emitter *e, const char *key, const struct pool_hold *hold,
		    size_t limit);

#endif
