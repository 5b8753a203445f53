/* SPDX-License-Identifier: BSD-2-Clause */
/* contig pool keep-contiguous: N pages more, in one piece. */
#include "pool_shape.h"

#include "base/reason.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

/* Plain growth hands out scattered pages: look at many to find neighbours
 * (512 pages held a run of 64). */
#define GENEROUS_FACTOR 8
#define GENEROUS_MIN 512

/* In how many runs the n pages of the longest runs come. */
static size_t runs_needed(const struct pool_hold *hold, uint64_t n)
{
	size_t runs = 0;

	while (n && runs < hold->n_runs) {
		n -= hold->runs[runs].n < n ? hold->runs[runs].n : n;
		runs++;
	}
	return n ? SIZE_MAX : runs;
}

/* Look for the pages in what the pool has now. */
static int look(struct pool_hold *hold, const struct pool_input *input, bool *found)
{
	int error = pool_hold_take(hold, input->size, input->node);

	*found = !error && runs_needed(hold, input->n) <= input->most_runs;
	return error;
}

/* The ways to get neighbours, the cheapest first.  Each makes the pool
 * larger under guard; 0 also when the kernel gave little. */
static int grow_plainly(struct hugetlb_guard *guard, const struct pool_input *input)
{
	struct hugetlb_counts now;
	uint64_t more = input->n * GENEROUS_FACTOR;
	int error = contig_hugetlb_counts(input->size, input->node, &now);

	if (more < GENEROUS_MIN)
		more = GENEROUS_MIN;
	if (more > pool_shape_budget(input->size))
		more = pool_shape_budget(input->size);
	if (more < input->n)
		more = input->n;
	if (!error)
		error = contig_hugetlb_guard_raise(guard, input->size, input->node,
						   now.total + more, NULL);
	return error;
}

static int grow_by_demotion(struct hugetlb_guard *guard, const struct pool_input *input)
{
	struct hugetlb_counts now, after;
	uint64_t more = (input->n + SMALL_PER_LARGE - 1) / SMALL_PER_LARGE;
	int error = contig_hugetlb_counts(GIGAPAGE_SIZE, input->node, &now);

	if (error || more > pool_shape_budget(GIGAPAGE_SIZE))
		return 0; /* not this way */
	error = contig_hugetlb_guard_raise(guard, GIGAPAGE_SIZE, input->node,
					   now.total + more, NULL);
	if (!error)
		error = contig_hugetlb_counts(GIGAPAGE_SIZE, input->node, &after);
	if (error || after.total <= now.total)
		return error;
	return contig_hugetlb_guard_demote(guard, GIGAPAGE_SIZE, input->node,
					   after.total - now.total);
}

static int grow_after_compaction(struct hugetlb_guard *guard, const struct pool_input *input)
{
	struct hugetlb_counts now;
	int error = contig_hugetlb_compact(input->node);

	if (!error)
		error = contig_hugetlb_counts(input->size, input->node, &now);
	if (!error)
		error = contig_hugetlb_guard_raise(guard, input->size, input->node,
						   now.total + pool_shape_budget(input->size), NULL);
	return error;
}

static int find_contiguous(struct hugetlb_guard *guard, struct pool_hold *hold,
			   const struct pool_input *input)
{
	static int (*const ways[])(struct hugetlb_guard *, const struct pool_input *) = {
		grow_plainly, grow_by_demotion, grow_after_compaction};
	bool found = false;
	size_t best = 0;

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		int error = ways[i](guard, input);

		if (!error)
			error = look(hold, input, &found);
		if (error)
			return error;
		if (found)
			return 0;
		if (hold->n_runs && hold->runs[0].n > best)
			best = hold->runs[0].n;
		pool_hold_drop(hold);
	}
	contig_reason_set("the longest run found has %zu of %" PRIu64
			  " pages; the pool is as before", best, input->n);
	return -ENOMEM;
}

/* The longest runs, until as many pages as were free before and n more. */
static void mark_longest(const struct pool_hold *hold, bool *keep, uint64_t n)
{
	for (size_t run = 0; run < hold->n_runs && n; run++)
		for (size_t i = 0; i < hold->runs[run].n && n; i++, n--)
			keep[hold->runs[run].first + i] = true;
}

static int keep_contiguous_locked(struct emitter *e, const struct pool_input *input)
{
	struct hugetlb_counts before, all, after;
	struct hugetlb_guard *guard;
	struct pool_hold hold = {.batch = {.fd = -1}};
	uint64_t held_before;
	bool *keep = NULL;
	int error = contig_hugetlb_counts(input->size, input->node, &before);

	if (!error)
		error = contig_hugetlb_counts(input->size, HUGETLB_ALL_NODES, &all);
	if (error)
		return pool_failed(e, "pool", error);
	/* Pages that could be taken before: as many stay free besides the new. */
	held_before = all.free > all.reserved ? all.free - all.reserved : 0;
	if (held_before > before.free)
		held_before = before.free;
	guard = contig_hugetlb_guard_start();
	if (!guard)
		return pool_failed(e, "guard", -errno);
	error = find_contiguous(guard, &hold, input);
	if (error)
		goto drop;
	keep = calloc(hold.batch.n, sizeof(*keep));
	if (!keep) {
		error = -ENOMEM;
		goto drop;
	}
	mark_longest(&hold, keep, held_before + input->n);
	error = pool_shape_keep(&guard, &hold, keep, input, &before);
	if (!error)
		pool_shape_emit(e, &hold, keep);
drop:
	pool_hold_drop(&hold);
	free(keep);
	if (guard)
		contig_hugetlb_guard_stop(guard);
	if (!error)
		error = contig_hugetlb_counts(input->size, input->node, &after);
	if (error)
		return pool_failed(e, "keep-contiguous", error);
	pool_emit_change(e, input->size, &before, &after);
	return 0;
}

/* What can't be done in a shell is said in a comment. */
static int keep_contiguous_dry(struct emitter *e, const struct pool_input *input,
			       const struct hugetlb_counts *before)
{
	uint64_t more = input->n * GENEROUS_FACTOR;

	if (more < GENEROUS_MIN)
		more = GENEROUS_MIN;
	pool_say_echo(e, input->size, input->node, "nr_hugepages",
		      pool_persistent(before) + more, "grow generously");
	emitter_command(e, NULL,
			"contig takes all free pages and gives back all but the longest runs");
	pool_say_echo(e, input->size, input->node, "nr_hugepages",
		      pool_persistent(before) + input->n,
		      "the free pages, which are not wanted, go away");
	return 0;
}

int pool_keep_contiguous(struct emitter *e, const struct pool_input *input)
{
	return pool_shape(e, input, keep_contiguous_dry, keep_contiguous_locked);
}
