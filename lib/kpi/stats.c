/* SPDX-License-Identifier: BSD-2-Clause */
/* contig_stats_get(), and the report of CONTIG_STATS=1 at exit. */
#include "base/cancel.h"
#include "base/page.h"
#include "contig/phys.h"
#include "contig/pool.h"
#include "kpi/misuse.h"
#include "kpi/struct_size.h"
#include "phys/counters.h"
#include "phys/magazine.h"
#include "phys/memmap.h"
#include "phys/physmap.h"
#include "phys/pool.h"
#include "phys/settings.h"
#include "phys/start.h"
#include "phys/usage.h"

#include <inttypes.h>
#include <stdio.h>

static void add_segment(const struct segment *s, struct contig_stats *out)
{
	uint64_t bytes = s->n * s->page_size;

	switch (contig_segment_wiring(s)) {
	case CONTIG_WIRING_PINNED:
		out->pinned += bytes;
		break;
	case CONTIG_WIRING_RESIDENT:
		out->resident += bytes;
		break;
	default:
		out->unwired += bytes;
	}
	switch (s->source) {
	case CONTIG_SOURCE_1G:
		out->superpages_1g += s->n;
		break;
	case CONTIG_SOURCE_THP:
		out->superpages_thp += s->n;
		break;
	default:
		out->superpages_2m += s->n;
	}
}

static int add_pool(struct contig_pool *pool, void *arg)
{
	struct contig_stats *out = arg;

	contig_lock(&pool->lock);
	out->held += pool->held;
	out->allocated += pool->live_frames << FRAME_SHIFT;
	out->free += pool->free_frames << FRAME_SHIFT;
	for (int node = 0; node < HOST_NODES_MAX; node++) {
		uint64_t longest;

		if (!pool->free[node])
			continue;
		longest = contig_extent_longest(pool->free[node]) << FRAME_SHIFT;
		if (longest > out->largest_free)
			out->largest_free = longest;
		out->metadata += contig_extent_metadata(pool->free[node]);
	}
	for (const struct segment *s = pool->segments; s; s = s->next) {
		if (s->inherited)
			continue;
		add_segment(s, out);
		out->metadata += sizeof(*s);
	}
	contig_unlock(&pool->lock);
	return 0;
}

void contig_stats_get(struct contig_stats *out)
{
	struct contig_stats stats = {0};
	size_t size = out->struct_size;
	struct usage_total total;
	NO_CANCEL;

	if (size < sizeof(size) || size > STRUCT_SIZE_MAX) {
		misuse("contig_stats_get(%p): struct_size is %zu; set it to sizeof(struct contig_stats)",
		       (void *)out, size);
		return;
	}
	stats.level = contig_level();
	if (contig_is_started()) {
		contig_magazines_fold();
		contig_usage_sum(&total);
		stats.requests = total.allocs;
		stats.cached = contig_magazines_cached() << FRAME_SHIFT;
		contig_pool_each(add_pool, &stats);
		/* Cached blocks count as live in their pool. */
		stats.allocated -= stats.cached < stats.allocated ? stats.cached : stats.allocated;
		stats.metadata += contig_physmap_metadata() +
				  (stats.held >> FRAME_SHIFT) * sizeof(struct vm_page);
	}
	stats.failures = contig_counter_read(&contig_counters.failures);
	stats.reclaims = contig_counter_read(&contig_counters.reclaims);
	stats.taken = contig_counter_read(&contig_counters.taken);
	stats.returned = contig_counter_read(&contig_counters.returned);
	contig_struct_give(out, size, &stats, sizeof(stats));
}

static void report(void)
{
	static const char *const levels[] = {"physical", "hidden", "simulated"};
	struct contig_stats stats = {.struct_size = sizeof(stats)};
	struct contig_type_stats type;

	contig_stats_get(&stats);
	fprintf(stderr, "libcontig: addresses %s\n", levels[stats.level]);
#define X(name, text) fprintf(stderr, "libcontig: %-16s %14" PRIu64 "  %s\n", #name, stats.name, text);
	CONTIG_STATS_COUNTERS(X)
#undef X
	for (unsigned int i = 0; contig_type_stats_get(i, &type) == 0; i++)
		fprintf(stderr,
			"libcontig: type %-16s inuse %" PRIu64 "  memuse %" PRIu64
			"  requests %" PRIu64 "  highwater %" PRIu64 "\n",
			type.name, type.inuse, type.memuse, type.requests, type.highwater);
}

__attribute__((destructor)) static void report_at_exit(void)
{
	if (contig_is_started() && contig_settings.report_at_exit)
		report();
}
