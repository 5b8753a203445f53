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
#include "phys/pool_record.h"
#include "phys/settings.h"
#include "phys/start.h"
#include "phys/usage.h"

#include <inttypes.h>
#include <stdio.h>

static int add_pool(struct contig_pool *pool, void *arg)
{
	struct contig_stats *out = arg;
	struct board_pool now;

	contig_lock(&pool->lock);
	contig_pool_describe(pool, &now);
	out->metadata += contig_pool_metadata(pool);
	contig_unlock(&pool->lock);
	out->held += now.held;
	out->allocated += now.live;
	out->free += now.free;
	if (now.longest > out->largest_free)
		out->largest_free = now.longest;
	out->pinned += now.pinned;
	out->resident += now.resident;
	out->unwired += now.unwired;
	out->superpages_2m += now.superpages_2m;
	out->superpages_1g += now.superpages_1g;
	out->superpages_thp += now.superpages_thp;
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
		contig_records_update();
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
