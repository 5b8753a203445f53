/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which zone each frame of RAM is in.  The spans of zones don't tell where
 * they overlap: nodes that firmware interleaves, or Normal and Movable of
 * memory that was plugged or is mirrored.
 */
#ifndef TOOLS_PHYS_ZONES_H
#define TOOLS_PHYS_ZONES_H

#include "host/topology.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct phys_zone_set {
	uint64_t bits[HOST_ZONES_MAX / 64]; /* by index of the topology's zones */
};

struct phys_piece {
	uint64_t first, end; /* frames of the machine's base page */
	unsigned int zone;   /* index of the topology's */
	bool guessed;	     /* nothing tells which of several zones it is */
	struct phys_zone_set may_be;
};

struct phys_pieces {
	size_t n;
	struct phys_piece *pieces; /* ascending, disjoint */
};

/*
 * Cut all RAM into pieces of one zone each.  Where the spans of several zones
 * lie over each other, memory blocks tell (their node, valid_zones); where
 * these don't, the zones' counts of present frames do if only one of them has
 * room for the piece.  What is left is guessed and marked so.  page: bytes of
 * a base page.  0/-errno.
 */
int phys_pieces_find(const struct host_topology *topology, uint64_t page,
		     struct phys_pieces *out);
void phys_pieces_free(struct phys_pieces *pieces);

#endif
