/* SPDX-License-Identifier: BSD-2-Clause */
#include "phys/machine.h"

#include "base/log.h"
#include "base/page.h"
#include "base/reason.h"
#include "host/nodes.h"
#include "host/pagemap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct machine contig_machine;

static int add_range(struct machine *m, uint64_t start, uint64_t end, int node)
{
	start = align_up(start, SUPERPAGE_SIZE);
	end = align_down(end, SUPERPAGE_SIZE);
	if (start >= end)
		return 0;
	if (m->n_ranges) {
		struct machine_range *last = &m->ranges[m->n_ranges - 1];

		if (last->end == start && last->node == node) {
			last->end = end;
			return 0;
		}
	}
	if (m->n_ranges == HOST_RAM_MAX)
		return -E2BIG;
	m->ranges[m->n_ranges++] = (struct machine_range){start, end, node};
	return 0;
}

static int node_index(const struct machine *m, int node)
{
	for (int i = 0; i < m->n_nodes; i++)
		if (m->nodes[i] == node)
			return i;
	return -1;
}

static int real_machine(struct machine *m)
{
	const struct host_topology *topology = contig_topology();
	int hidden;

	if (!topology) {
		contig_reason_set("/proc/zoneinfo: %s; is /proc mounted?", strerror(errno));
		return -errno;
	}
	hidden = contig_pagemap_hidden();
	if (hidden < 0) {
		contig_reason_set("/proc/self/pagemap: %s", strerror(-hidden));
		return hidden;
	}
	m->level = hidden ? CONTIG_LEVEL_HIDDEN : CONTIG_LEVEL_PHYSICAL;
	m->n_nodes = topology->n_nodes;
	memcpy(m->nodes, topology->nodes, sizeof(m->nodes));
	m->end = topology->end;
	for (unsigned int i = 0; i < topology->n_ram; i++) {
		int node = node_index(m, topology->ram[i].node);

		if (add_range(m, topology->ram[i].start, topology->ram[i].end,
			      node < 0 ? 0 : node) < 0)
			break;
	}
	if (!m->n_nodes) {
		m->n_nodes = 1;
		m->nodes[0] = 0;
	}
	return 0;
}

int contig_machine_init(const char *simulate)
{
	memset(&contig_machine, 0, sizeof(contig_machine));
	if (sysconf(_SC_PAGESIZE) != (long)FRAME_SIZE) {
		contig_reason_set("base page is %ld bytes; libcontig needs 4096",
				  sysconf(_SC_PAGESIZE));
		return -ENOTSUP;
	}
	if (simulate)
		return contig_machine_parse(simulate, &contig_machine);
	return real_machine(&contig_machine);
}

void contig_machine_clip(uint64_t end)
{
	unsigned int n = 0;

	if (end < contig_machine.end)
		contig_warn("address space for %llu GiB of %llu only (ulimit -v?): RAM above is not used",
			    (unsigned long long)(end >> GIGAPAGE_SHIFT),
			    (unsigned long long)(contig_machine.end >> GIGAPAGE_SHIFT));
	for (unsigned int i = 0; i < contig_machine.n_ranges; i++) {
		struct machine_range range = contig_machine.ranges[i];

		if (range.end > end)
			range.end = end;
		if (range.start < range.end)
			contig_machine.ranges[n++] = range;
	}
	contig_machine.n_ranges = n;
	if (end < contig_machine.end)
		contig_machine.end = end;
}

int contig_machine_node_index(int node)
{
	return node_index(&contig_machine, node);
}

static int distance(int from, int to)
{
	int d;

	if (contig_machine.level == CONTIG_LEVEL_SIMULATED)
		return abs(from - to);
	d = contig_topology_distance(contig_machine.nodes[from], contig_machine.nodes[to]);
	return d < 0 ? 255 : d;
}

void contig_machine_node_order(int index, int *order)
{
	int n = contig_machine.n_nodes;

	/* Insertion by distance: few nodes, and equal ones keep their order. */
	for (int i = 0; i < n; i++) {
		int d = distance(index, i), at = i;

		if (i == index)
			d = -1;
		while (at > 0 && d < (order[at - 1] == index ? -1 : distance(index, order[at - 1]))) {
			order[at] = order[at - 1];
			at--;
		}
		order[at] = i;
	}
}

int contig_machine_node_here(void)
{
	int index;

	if (contig_machine.n_nodes == 1 || contig_machine.level == CONTIG_LEVEL_SIMULATED)
		return 0;
	index = contig_machine_node_index(contig_topology_node_here());
	return index < 0 ? 0 : index;
}

int contig_machine_node_at(const void *va)
{
	int index;

	if (contig_machine.n_nodes == 1)
		return 0;
	index = contig_machine_node_index(contig_node_at(va));
	return index < 0 ? 0 : index;
}

bool contig_machine_can_hold(const struct extent_request *rq, int index)
{
	if (rq->boundary && rq->boundary < rq->count)
		return false;
	for (unsigned int i = 0; i < contig_machine.n_ranges; i++) {
		const struct machine_range *range = &contig_machine.ranges[i];
		uint64_t start = range->start >> FRAME_SHIFT, end = range->end >> FRAME_SHIFT;

		if (index >= 0 && range->node != index)
			continue;
		if (start < rq->low)
			start = rq->low;
		if (end > rq->high)
			end = rq->high;
		if (start > UINT64_MAX - rq->align)
			continue;
		start = align_up(start, rq->align);
		/* One step past a boundary is enough: it is >= count. */
		if (rq->boundary && start < end &&
		    ((start ^ (start + rq->count - 1)) & -rq->boundary)) {
			start = align_up(start, rq->boundary);
			start = align_up(start, rq->align);
		}
		if (start < end && end - start >= rq->count)
			return true;
	}
	return false;
}
