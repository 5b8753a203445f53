/* SPDX-License-Identifier: BSD-2-Clause */
#include "phys/candidates.h"

#include "base/log.h"
#include "base/page.h"
#include "base/reason.h"
#include "host/pagemap.h"
#include "phys/attempt.h"
#include "phys/backing.h"
#include "phys/counters.h"
#include "phys/physmap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void contig_candidates_init(struct candidates *c, struct contig_pool *pool,
			    enum contig_source source)
{
	memset(c, 0, sizeof(*c));
	c->pool = pool;
	c->source = source;
	c->want.kind = source == CONTIG_SOURCE_THP ? SUPERPAGE_COLLAPSED : SUPERPAGE_HUGETLB;
	c->want.page_size = source == CONTIG_SOURCE_1G ? GIGAPAGE_SIZE : SUPERPAGE_SIZE;
	c->want.shared = pool->kind != CONTIG_POOL_PRIVATE;
	c->want.node = -1;
	/* A batch is a file: see backing.h. */
	if (pool->kind == CONTIG_POOL_SHAREABLE) {
		c->want.sealable = true;
		c->file_pages = pool->mode == CONTIG_SHARE_REVOCABLE ? BACKING_FILE_PAGES : 1;
	}
}

static struct superpage_batch *next_batch(struct candidates *c)
{
	struct superpage_batch *more;

	if (c->n_batches == c->room_batches) {
		more = realloc(c->batches, (c->room_batches + 16) * sizeof(*more));
		if (!more)
			return NULL;
		c->batches = more;
		c->room_batches += 16;
	}
	return &c->batches[c->n_batches];
}

static bool make_room(struct candidates *c, size_t more)
{
	struct candidate *bigger;

	if (c->n + more <= c->room)
		return true;
	bigger = realloc(c->list, (c->n + more) * sizeof(*bigger));
	if (!bigger)
		return false;
	c->list = bigger;
	c->room = c->n + more;
	return true;
}

static size_t take_simulated(struct candidates *c, size_t count)
{
	uint64_t *places = malloc(count * sizeof(*places));
	int index = c->want.node < 0 ? -1 : contig_machine_node_index(c->want.node);
	unsigned int n = 0;

	if (places && make_room(c, count))
		n = contig_machine_sim_take(places, (unsigned int)count, index);
	for (unsigned int i = 0; i < n; i++) {
		struct candidate *one = &c->list[c->n++];

		*one = (struct candidate){.place = places[i],
					  .node = contig_machine_sim_node(places[i])};
	}
	free(places);
	return n;
}

static size_t take_batch(struct candidates *c, size_t count)
{
	struct superpage_batch *batch = next_batch(c);
	int err;

	if (!batch)
		return 0;
	c->want.count = count;
	err = contig_superpage_take(&c->want, batch);
	if (err < 0) {
		contig_debug(TAKE, "%zu superpages: %s (%s)", count, strerror(-err),
			     contig_reason_get());
		return 0;
	}
	if (!make_room(c, batch->n)) {
		contig_superpage_drop(batch);
		return 0;
	}
	for (size_t i = 0; i < batch->n; i++) {
		struct candidate *one = &c->list[c->n++];

		one->place = batch->pages[i].frame == FRAME_HIDDEN
				     ? EXTENT_NONE
				     : batch->pages[i].frame << FRAME_SHIFT;
		one->node = contig_machine_node_at(batch->pages[i].staging);
		one->batch = c->n_batches;
		one->page = i;
		one->keep = false;
	}
	c->n_batches++;
	contig_debug(TAKE, "took %zu of %zu superpages from source %d", batch->n, count,
		     (int)c->source);
	return batch->n;
}

size_t contig_candidates_take(struct candidates *c, size_t count)
{
	size_t most = c->file_pages ? c->file_pages : count, got = 0, step;

	if (contig_machine.level == CONTIG_LEVEL_SIMULATED)
		return count ? take_simulated(c, count) : 0;
	while (got < count) {
		size_t want = count - got < most ? count - got : most;

		step = take_batch(c, want);
		got += step;
		if (step < want)
			break;
	}
	return got;
}

/* Put [start, start + count) into a scratch set, unless it is there. */
static bool put(struct extent_set *set, uint64_t start, uint64_t count)
{
	if (start >= contig_physmap.frames || count > contig_physmap.frames - start)
		return false;
	if (contig_extent_cover(set, start, count) < 0)
		return false;
	if (!contig_extent_any_free(set, start, count))
		contig_extent_free(set, start, count);
	return true;
}

/* Free frames of the pool that touch [start, end). */
static void put_neighbours(struct extent_set *scratch, const struct extent_set *held,
			   uint64_t start, uint64_t end)
{
	uint64_t s, n;

	if (!held)
		return;
	if (start && contig_extent_next(held, start - 1, &s, &n) && s < start)
		put(scratch, s, n);
	if (contig_extent_next(held, end, &s, &n) && s == end)
		put(scratch, s, n);
}

/* All candidates of one node, with what the pool has beside them. */
static struct extent_set *gather(struct candidates *c, int node, bool with_held)
{
	struct extent_set *scratch = contig_extent_set_create(contig_physmap.frames);
	uint64_t frames = c->want.page_size >> FRAME_SHIFT;

	if (!scratch)
		return NULL;
	contig_lock(&c->pool->lock);
	for (size_t i = 0; i < c->n; i++) {
		uint64_t frame = c->list[i].place >> FRAME_SHIFT;

		if (c->list[i].node != node || c->list[i].place == EXTENT_NONE)
			continue;
		if (put(scratch, frame, frames) && with_held)
			put_neighbours(scratch, c->pool->free[node], frame, frame + frames);
	}
	contig_unlock(&c->pool->lock);
	return scratch;
}

static size_t keep_overlapping(struct candidates *c, int node, uint64_t first, uint64_t count,
			       bool mark)
{
	uint64_t frames = c->want.page_size >> FRAME_SHIFT;
	size_t kept = 0;

	for (size_t i = 0; i < c->n; i++) {
		uint64_t frame = c->list[i].place >> FRAME_SHIFT;

		if (c->list[i].node != node || c->list[i].place == EXTENT_NONE ||
		    frame + frames <= first || frame >= first + count)
			continue;
		if (mark)
			c->list[i].keep = true;
		kept++;
	}
	return kept;
}

/* A superpage is a run by itself, which is all we know of hidden frames. */
static bool choose_single(struct candidates *c, const struct frame_request *request)
{
	uint64_t frames = c->want.page_size >> FRAME_SHIFT;
	int order[HOST_NODES_MAX];
	int n = contig_pool_node_order(c->pool, request, order);

	if (request->run.count > frames)
		return false;
	for (int k = 0; k < n; k++) {
		for (size_t i = 0; i < c->n; i++) {
			if (c->list[i].node == order[k]) {
				c->list[i].keep = true;
				return true;
			}
		}
	}
	return false;
}

/* The only one there is, and it fits. */
static bool only_choice(const struct candidates *c, const struct extent_request *run)
{
	return c->n == 1 && attempt_anywhere(run) &&
	       run->count <= c->want.page_size >> FRAME_SHIFT &&
	       c->list[0].place < contig_physmap.frames << FRAME_SHIFT;
}

/* The first frame of a run on one node, or EXTENT_NONE. */
static uint64_t find_on(struct candidates *c, const struct frame_request *request, int node)
{
	struct extent_set *scratch = gather(c, node, true);
	uint64_t first = scratch ? contig_extent_find(scratch, &request->run) : EXTENT_NONE;

	contig_extent_set_destroy(scratch);
	return first;
}

bool contig_candidates_can(struct candidates *c, const struct frame_request *request)
{
	int order[HOST_NODES_MAX];
	int n = contig_pool_node_order(c->pool, request, order);

	for (int k = 0; k < n; k++)
		if (find_on(c, request, order[k]) != EXTENT_NONE)
			return true;
	return false;
}

bool contig_candidates_choose(struct candidates *c, const struct frame_request *request,
			      size_t most)
{
	int order[HOST_NODES_MAX];
	int n = contig_pool_node_order(c->pool, request, order);

	if (contig_machine.level == CONTIG_LEVEL_HIDDEN || only_choice(c, &request->run))
		return most >= 1 && choose_single(c, request);
	for (int k = 0; k < n; k++) {
		uint64_t first = find_on(c, request, order[k]);

		if (first == EXTENT_NONE ||
		    keep_overlapping(c, order[k], first, request->run.count, false) > most)
			continue;
		keep_overlapping(c, order[k], first, request->run.count, true);
		return true;
	}
	return false;
}

void contig_candidates_keep_all(struct candidates *c)
{
	for (size_t i = 0; i < c->n; i++)
		c->list[i].keep = true;
}

uint64_t contig_candidates_longest(struct candidates *c)
{
	uint64_t longest = 0;

	if (contig_machine.level == CONTIG_LEVEL_HIDDEN)
		return c->n ? c->want.page_size : 0;
	for (int node = 0; node < contig_machine.n_nodes; node++) {
		struct extent_set *scratch = gather(c, node, false);
		uint64_t run = scratch ? contig_extent_longest(scratch) : 0;

		contig_extent_set_destroy(scratch);
		if (run > longest)
			longest = run;
	}
	return longest << FRAME_SHIFT;
}

/* Descending by place, so that the kernel's free list ends up ascending. */
static int place_compare(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	return x->place > y->place ? -1 : x->place < y->place;
}

size_t contig_candidates_finish(struct candidates *c)
{
	size_t installed = 0, returned = 0;
	bool simulated = contig_machine.level == CONTIG_LEVEL_SIMULATED;

	if (c->n)
		qsort(c->list, c->n, sizeof(*c->list), place_compare);
	for (size_t i = 0; i < c->n; i++) {
		struct candidate *one = &c->list[i];

		if (one->keep) {
			if (simulated)
				installed += contig_segments_simulate(c->pool, &one->place, 1);
			continue;
		}
		returned++;
		if (simulated)
			contig_machine_sim_return(one->place);
		else
			contig_superpage_give_back(&c->batches[one->batch], one->page);
	}
	for (unsigned int b = 0; b < c->n_batches; b++)
		installed += contig_segments_install(c->pool, &c->batches[b], c->source);
	contig_counter_add(&contig_counters.taken, returned);
	contig_counter_add(&contig_counters.returned, returned);
	free(c->batches);
	free(c->list);
	c->batches = NULL;
	c->list = NULL;
	c->n = 0;
	return installed;
}
