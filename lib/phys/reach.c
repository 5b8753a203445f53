/* SPDX-License-Identifier: BSD-2-Clause */
#include "phys/reach.h"

#include "base/page.h"
#include "host/topology.h"
#include "phys/machine.h"

#define GIGA_FRAMES (GIGAPAGE_SIZE >> FRAME_SHIFT)

/* Whether memory of that node, the kernel's number, would do at all. */
static bool node_suits(const struct frame_request *request, int node)
{
	return !request->strict || request->node < 0 ||
	       contig_machine.nodes[request->node] == node;
}

static bool zone_in_window(const struct host_zone *zone, const struct extent_request *run)
{
	return zone->present && zone->start_frame < run->high &&
	       zone->start_frame + zone->spanned > run->low;
}

bool contig_reach_zones(const struct frame_request *request, uint64_t most)
{
	const struct extent_request *run = &request->run;
	const struct host_topology *topology;

	/* Free counts change all the time; without them nothing is known. */
	if (run->high >= contig_machine.end >> FRAME_SHIFT || contig_topology_refresh() < 0)
		return true;
	topology = contig_topology();
	if (!topology)
		return true;
	for (unsigned int i = 0; i < topology->n_zones; i++) {
		const struct host_zone *zone = &topology->zones[i];
		uint64_t above = 0;

		if (!zone_in_window(zone, run) || !node_suits(request, zone->node))
			continue;
		for (unsigned int j = 0; j < topology->n_zones; j++) {
			const struct host_zone *other = &topology->zones[j];

			if (other->node == zone->node && other->start_frame > zone->start_frame &&
			    other->free > other->wmark_high)
				above += other->free - other->wmark_high;
		}
		if (above <= most >> FRAME_SHIFT)
			return true;
	}
	return false;
}

bool contig_reach_in_giga(const struct frame_request *request, uint64_t frame)
{
	struct extent_request run = request->run;
	uint64_t start = run.low > frame ? run.low : frame;
	uint64_t end = run.high < frame + GIGA_FRAMES ? run.high : frame + GIGA_FRAMES;

	/* What is longer than a page needs several: each whole one counts. */
	if (run.count > GIGA_FRAMES)
		run.count = GIGA_FRAMES;
	if (start >= end)
		return false;
	if (run.align < GIGA_FRAMES)
		start = align_up(start, run.align);
	else
		start = frame;
	return start < end && end - start >= run.count;
}

bool contig_reach_giga(const struct frame_request *request)
{
	for (unsigned int i = 0; i < contig_machine.n_ranges; i++) {
		uint64_t frame = align_up(contig_machine.ranges[i].start, GIGAPAGE_SIZE) >> FRAME_SHIFT;
		uint64_t end = contig_machine.ranges[i].end >> FRAME_SHIFT;

		if (!node_suits(request, contig_machine.nodes[contig_machine.ranges[i].node]))
			continue;
		for (; frame + GIGA_FRAMES <= end; frame += GIGA_FRAMES)
			if (contig_reach_in_giga(request, frame))
				return true;
	}
	return false;
}
