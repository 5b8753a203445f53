/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One pass over /proc/kpageflags: what each zone is used for, how its free
 * memory lies, and how many superpages it has room for.
 */
#ifndef TOOLS_PHYS_SCAN_H
#define TOOLS_PHYS_SCAN_H

#include "host/topology.h"
#include "phys_use.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Blocks of one superpage size in a zone. */
struct phys_blocks {
	uint64_t whole;   /* all frames are RAM of the zone */
	uint64_t free;    /* all frames are free */
	uint64_t taken;   /* a superpage already, hugetlb or transparent */
	uint64_t movable; /* nothing that stays where it is; free ones count */
	/* Of the others: what most of their frames that stay are used for. */
	uint64_t in_the_way[PHYS_USES_N];
};

struct phys_zone {
	const struct host_zone *zone;
	uint64_t frames[PHYS_USES_N];
	uint64_t ram;          /* frames looked at */
	uint64_t guessed;      /* of these, what may be another zone's */
	uint64_t longest_free; /* frames */
	uint64_t longest_at;   /* its first frame */
	struct phys_blocks super, giga;
};

/* A piece of the map. */
struct phys_cell {
	int node;
	const struct host_zone *zone; /* of its last frames */
	uint64_t index; /* address / bytes of a cell */
	uint32_t frames[PHYS_USES_N]; /* in base pages; a cell has fewer than 2^32 */
	uint32_t blocks, blocks_free; /* places of superpages */
	uint32_t blocks_spoiled; /* something there stays where it is */
};

struct phys_scan {
	uint64_t page;      /* bytes of a base page */
	uint64_t superpage; /* bytes */
	uint64_t gigapage;  /* bytes; 0: not counted */
	uint64_t cell;      /* bytes of a cell */
	bool holes;         /* RAM is not known: what zones span was looked at */
	size_t n_zones, n_cells;
	struct phys_zone zones[HOST_ZONES_MAX];
	struct phys_cell *cells; /* by node and address */
	uint64_t nanoseconds; /* that it took */
};

/*
 * Look at the zones of node (-1: all), with at most about cells pieces of the
 * map.  A bar is shown while it takes long.
 * 0, or -errno with object set to the file.
 */
int phys_scan(const struct host_topology *topology, int node, size_t cells,
	      struct phys_scan *out, const char **object);
void phys_scan_free(struct phys_scan *scan);

/* Superpages that there could be if all that can be moved were moved: no more
 * than what is free holds.  An estimate: flags don't tell what is pinned. */
uint64_t phys_blocks_most(const struct phys_zone *zone, const struct phys_blocks *blocks,
			  uint64_t bytes, uint64_t page);

#endif
