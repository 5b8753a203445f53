/* SPDX-License-Identifier: BSD-2-Clause */
/* Which node a frame is of, for a run at a time. */
#ifndef TOOLS_MAP_NODE_H
#define TOOLS_MAP_NODE_H

#include "host/topology.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define MAP_NODES HOST_NODES_MAX

struct map_nodes {
	int n;		       /* 0: unknown */
	int number[MAP_NODES]; /* index to node */
	unsigned int n_spans, last;
	struct {
		uint64_t start, end; /* frames */
		int index;
	} spans[HOST_ZONES_MAX];
};

void map_nodes_load(struct map_nodes *nodes);

/* Index of the frame's node, -1 unknown; *end: all frames before it are of
 * the same. */
int map_nodes_of(struct map_nodes *nodes, uint64_t frame, uint64_t *end);

/* What numa_maps says of each mapping: pages by node, no privilege needed.
 * pages is of the mapping's own page size, in bytes page_size.  0/-errno. */
int map_nodes_each(pid_t pid,
		   void (*fn)(uint64_t start, int node, uint64_t pages, uint64_t page_size,
			      void *arg),
		   void *arg);

#endif
