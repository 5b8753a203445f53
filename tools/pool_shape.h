/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Giving a pool pages of our choice.
 *
 * The kernel lets nobody say which pages join or leave a pool.  But it only
 * removes free pages, so: raise the pool under guard, hold the pages, let go
 * of those that are not wanted, have the guard take our growth back (only
 * the unwanted pages are free to go; the ones we hold become surplus), and
 * then write the new number, which makes the surplus permanent.  When this
 * process dies on the way, the guard restores the pool, and surplus pages
 * vanish with their holder.
 */
#ifndef TOOLS_POOL_SHAPE_H
#define TOOLS_POOL_SHAPE_H

#include "base/page.h"
#include "pool_command.h"
#include "pool_hold.h"

#define SMALL_PER_LARGE (GIGAPAGE_SIZE / SUPERPAGE_SIZE)

/* Pages that may be held: no more than half of what is available. */
uint64_t pool_shape_budget(uint64_t page_size);

/*
 * Let go of all pages but those marked, take the growth back, and make the
 * marked ones permanent: the pool is then input->n pages larger than before.
 * *guard is used up.  0/-errno.
 */
int pool_shape_keep(struct hugetlb_guard **guard, struct pool_hold *hold, const bool *keep,
		    const struct pool_input *input, const struct hugetlb_counts *before);

/* The pages kept, as runs. */
void pool_shape_emit(struct emitter *e, const struct pool_hold *hold, const bool *keep);

typedef int (*pool_shape_dry)(struct emitter *e, const struct pool_input *input,
			      const struct hugetlb_counts *before);
typedef int (*pool_shape_locked)(struct emitter *e, const struct pool_input *input);

/* The frame of both actions: dry run, budget, system-wide lock. */
int pool_shape(struct emitter *e, const struct pool_input *input, pool_shape_dry dry,
	       pool_shape_locked locked);

#endif
