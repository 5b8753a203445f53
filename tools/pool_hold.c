/* SPDX-License-Identifier: BSD-2-Clause */
#include "pool_hold.h"

#include "base/page.h"
#include "base/reason.h"
#include "host/hugetlb.h"
#include "host/pagemap.h"
#include "host/topology.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int longer_first(const void *a, const void *b)
{
	const struct pool_run *x = a, *y = b;

	if (x->n != y->n)
		return x->n < y->n ? 1 : -1;
	return x->first < y->first ? -1 : x->first > y->first;
}

bool pool_hold_adjacent(const struct superpage *a, const struct superpage *b, uint64_t size)
{
	return b->frame == a->frame + size / FRAME_SIZE &&
	       contig_topology_node_of(a->frame) == contig_topology_node_of(b->frame);
}

static int find_runs(struct pool_hold *hold)
{
	const struct superpage *pages = hold->batch.pages;
	uint64_t size = hold->batch.request.page_size;

	hold->runs = calloc(hold->batch.n, sizeof(*hold->runs));
	if (!hold->runs)
		return -ENOMEM;
	for (size_t i = 0; i < hold->batch.n; i++) {
		struct pool_run *last = &hold->runs[hold->n_runs ? hold->n_runs - 1 : 0];

		if (hold->n_runs && pool_hold_adjacent(&pages[i - 1], &pages[i], size))
			last->n++;
		else
			hold->runs[hold->n_runs++] = (struct pool_run){i, 1};
	}
	qsort(hold->runs, hold->n_runs, sizeof(*hold->runs), longer_first);
	return 0;
}

int pool_hold_take(struct pool_hold *hold, uint64_t size, int node)
{
	struct superpage_request request = {
		.kind = SUPERPAGE_HUGETLB,
		.page_size = size,
		.shared = true,
		.node = node,
	};
	struct hugetlb_counts all, counts;
	uint64_t unpromised;
	int error;

	memset(hold, 0, sizeof(*hold));
	hold->batch.fd = -1;
	error = contig_hugetlb_counts(size, HUGETLB_ALL_NODES, &all);
	if (!error)
		error = contig_hugetlb_counts(size, node, &counts);
	if (error)
		return error;
	unpromised = all.free > all.reserved ? all.free - all.reserved : 0;
	request.count = counts.free < unpromised ? counts.free : unpromised;
	if (!request.count)
		return 0;
	error = contig_superpage_take(&request, &hold->batch);
	if (error)
		return error;
	if (!frame_is_known(hold->batch.pages[0].frame)) {
		pool_hold_drop(hold);
		contig_reason_set("frame numbers are hidden from this process; run it as "
				  "root");
		return -EPERM;
	}
	contig_superpage_sort(&hold->batch);
	error = find_runs(hold);
	if (error)
		pool_hold_drop(hold);
	return error;
}

void pool_hold_drop(struct pool_hold *hold)
{
	if (hold->batch.pages)
		contig_superpage_drop(&hold->batch);
	free(hold->runs);
	memset(hold, 0, sizeof(*hold));
	hold->batch.fd = -1;
}

void pool_hold_emit(struct emitter *e, const char *key, const struct pool_hold *hold,
		    size_t limit)
{
	static const struct column columns[] = {
		{"pages", "PAGES", COLUMN_RIGHT},
		{"length", "LENGTH", COLUMN_RIGHT},
		{"start", "START", COLUMN_RIGHT},
		{"end", "END", COLUMN_RIGHT},
		{"node", "NODE", COLUMN_RIGHT},
	};
	uint64_t size = hold->batch.request.page_size;

	emitter_table_begin(e, key, columns, sizeof(columns) / sizeof(columns[0]), false);
	for (size_t i = 0; i < hold->n_runs; i++) {
		const struct pool_run *run = &hold->runs[i];
		uint64_t frame = hold->batch.pages[run->first].frame;
		uint64_t start = frame << FRAME_SHIFT;
		int node = contig_topology_node_of(frame);

		if (i == limit)
			emitter_table_rest_hidden(e);
		emitter_row(e, (const struct value[]){
				       value_count(run->n),
				       value_bytes(run->n * size),
				       value_address(start),
				       value_address(start + run->n * size),
				       node < 0 ? value_unknown() : value_count((uint64_t)node),
			       });
	}
	emitter_table_end(e);
	if (hold->n_runs > limit)
		emitter_line(e, "and %zu shorter runs (--json lists all)",
			     hold->n_runs - limit);
}
