/* SPDX-License-Identifier: BSD-2-Clause */
/* contig pool below: N pages more, all of them below an address. */
#include "pool_shape.h"

#include "base/reason.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

/* How many superpages of the 1 GiB page at frame lie below address. */
static uint64_t superpages_below(uint64_t frame, uint64_t address)
{
	uint64_t start = frame << FRAME_SHIFT, n;

	if (start >= address)
		return 0;
	n = (address - start) / SUPERPAGE_SIZE;
	return n < SMALL_PER_LARGE ? n : SMALL_PER_LARGE;
}

/*
 * Grow the 1 GiB pool page by page until those new ones that reach below the
 * address have n superpages there, then demote these.  Other 1 GiB pages,
 * the ones that were there before too, are held meanwhile, so that no other
 * can be demoted.
 */
struct below_search {
	struct pool_hold old;	   /* 1 GiB pages that were free before */
	struct pool_hold *fresh;   /* one hold for each page grown */
	size_t n_fresh;
	uint64_t found;		   /* superpages below the address */
	size_t useful;		   /* 1 GiB pages that hold them */
};

static void below_drop(struct below_search *search)
{
	for (size_t i = search->n_fresh; i-- > 0;)
		pool_hold_drop(&search->fresh[i]);
	pool_hold_drop(&search->old);
	free(search->fresh);
	search->fresh = NULL;
	search->n_fresh = 0;
}

static int below_grow(struct below_search *search, struct hugetlb_guard *guard,
		      const struct pool_input *input)
{
	uint64_t most = pool_shape_budget(GIGAPAGE_SIZE);
	struct hugetlb_counts counts;
	int error = contig_hugetlb_counts(GIGAPAGE_SIZE, input->node, &counts);

	if (error) {
		contig_reason_set("this machine has no pages of 1 GiB");
		return error;
	}
	if (!most) {
		contig_reason_set("a page of 1 GiB is more than half of the memory available");
		return -ENOMEM;
	}
	search->fresh = calloc(most, sizeof(*search->fresh));
	if (!search->fresh)
		return -ENOMEM;
	error = pool_hold_take(&search->old, GIGAPAGE_SIZE, input->node);
	for (uint64_t i = 1; !error && i <= most && search->found < input->n; i++) {
		struct pool_hold *hold = &search->fresh[search->n_fresh];

		error = contig_hugetlb_guard_raise(guard, GIGAPAGE_SIZE, input->node,
						   counts.total + i, NULL);
		if (!error)
			error = pool_hold_take(hold, GIGAPAGE_SIZE, input->node);
		if (error || !hold->batch.n)
			break;
		search->n_fresh++;
		for (size_t j = 0; j < hold->batch.n; j++) {
			uint64_t n = superpages_below(hold->batch.pages[j].frame,
						      input->address);

			search->found += n;
			search->useful += n > 0;
		}
	}
	if (!error && search->found < input->n) {
		contig_reason_set("%zu pages of 1 GiB could be made, and only %" PRIu64
				  " of %" PRIu64 " superpages in them lie below 0x%" PRIx64
				  "; the pools are as before",
				  search->n_fresh, search->found, input->n, input->address);
		error = -ENOMEM;
	}
	return error;
}

static int below_demote(struct below_search *search, struct hugetlb_guard *guard,
			const struct pool_input *input)
{
	for (size_t i = search->n_fresh; i-- > 0;) {
		struct pool_hold *hold = &search->fresh[i];

		for (size_t j = hold->batch.n; j-- > 0;)
			if (superpages_below(hold->batch.pages[j].frame, input->address))
				contig_superpage_give_back(&hold->batch, j);
	}
	return contig_hugetlb_guard_demote(guard, GIGAPAGE_SIZE, input->node, search->useful);
}

/* The highest n superpages below the address: the lowest stay for those who
 * need them more. */
static uint64_t mark_below(const struct pool_hold *hold, bool *keep, uint64_t address,
			   uint64_t n)
{
	uint64_t marked = 0;

	for (size_t i = hold->batch.n; i-- > 0 && marked < n;) {
		uint64_t end = (hold->batch.pages[i].frame << FRAME_SHIFT) + SUPERPAGE_SIZE;

		if (end > address)
			continue;
		keep[i] = true;
		marked++;
	}
	return marked;
}

static int below_locked(struct emitter *e, const struct pool_input *input)
{
	struct hugetlb_counts before, after;
	struct hugetlb_guard *guard;
	struct below_search search = {.old = {.batch = {.fd = -1}}};
	struct pool_hold old = {.batch = {.fd = -1}}, hold = {.batch = {.fd = -1}};
	bool *keep = NULL;
	int error = contig_hugetlb_counts(input->size, input->node, &before);

	if (error)
		return pool_failed(e, "pool", error);
	guard = contig_hugetlb_guard_start();
	if (!guard)
		return pool_failed(e, "guard", -errno);
	error = below_grow(&search, guard, input);
	/* The superpages that were free before must not be mistaken for ours. */
	if (!error)
		error = pool_hold_take(&old, input->size, input->node);
	if (!error)
		error = below_demote(&search, guard, input);
	if (!error)
		error = pool_hold_take(&hold, input->size, input->node);
	if (error)
		goto drop;
	keep = calloc(hold.batch.n + 1, sizeof(*keep));
	if (!keep) {
		error = -ENOMEM;
		goto drop;
	}
	if (mark_below(&hold, keep, input->address, input->n) < input->n) {
		contig_reason_set("the pages did not come out where they should; the pools "
				  "are as before");
		error = -EAGAIN;
		goto drop;
	}
	/* New 1 GiB pages that are of no use must be free to go. */
	for (size_t i = search.n_fresh; i-- > 0;)
		pool_hold_drop(&search.fresh[i]);
	error = pool_shape_keep(&guard, &hold, keep, input, &before);
	if (!error)
		pool_shape_emit(e, &hold, keep);
drop:
	pool_hold_drop(&hold);
	for (size_t i = search.n_fresh; i-- > 0;)
		pool_hold_drop(&search.fresh[i]);
	if (guard) /* before the old pages are let go, so that ours are the free ones */
		contig_hugetlb_guard_stop(guard);
	pool_hold_drop(&old);
	below_drop(&search);
	free(keep);
	if (!error)
		error = contig_hugetlb_counts(input->size, input->node, &after);
	if (error)
		return pool_failed(e, "below", error);
	pool_emit_change(e, input->size, &before, &after);
	return 0;
}

static int below_dry(struct emitter *e, const struct pool_input *input,
		     const struct hugetlb_counts *before)
{
	uint64_t large = (input->n + SMALL_PER_LARGE - 1) / SMALL_PER_LARGE;
	struct hugetlb_counts counts;
	int error = contig_hugetlb_counts(GIGAPAGE_SIZE, input->node, &counts);

	if (error)
		return pool_failed(e, "pages of 1 GiB", error);
	pool_say_echo(e, GIGAPAGE_SIZE, input->node, "nr_hugepages",
		      pool_persistent(&counts) + large,
		      "contig adds pages of 1 GiB until enough of them lie low");
	pool_say_echo(e, GIGAPAGE_SIZE, input->node, "demote", large, NULL);
	emitter_command(e, NULL, "contig holds the pages that lie low enough");
	pool_say_echo(e, input->size, input->node, "nr_hugepages",
		      pool_persistent(before) + input->n,
		      "the free pages, which are not wanted, go away");
	return 0;
}

int pool_below(struct emitter *e, const struct pool_input *input)
{
	return pool_shape(e, input, below_dry, below_locked);
}
