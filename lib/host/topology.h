/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Nodes, zones and ranges of RAM.  Read once and cached; refresh after
 * memory hotplug.  Distances and node of a CPU through libnuma on the real
 * root.
 */
#ifndef HOST_TOPOLOGY_H
#define HOST_TOPOLOGY_H

#include <stdbool.h>
#include <stdint.h>

#define HOST_NODES_MAX 64
#define HOST_NODE_LIMIT 1024 /* the kernel's largest MAX_NUMNODES */
#define HOST_ZONES_MAX 256
#define HOST_RAM_MAX 512

struct host_zone {
	int node;
	char name[16];                 /* DMA, DMA32, Normal, Movable */
	uint64_t start_frame, spanned, present, managed; /* frames */
	uint64_t free, wmark_min, wmark_low, wmark_high; /* frames */
};

struct host_ram {
	uint64_t start, end; /* bytes, end exclusive */
	int node;            /* -1 unknown */
};

struct host_topology {
	int n_nodes;                   /* nodes with memory */
	int nodes[HOST_NODES_MAX];     /* their numbers, ascending */
	unsigned int n_zones;
	struct host_zone zones[HOST_ZONES_MAX]; /* populated zones only */
	unsigned int n_ram;
	/* Ascending, disjoint.  "System RAM" of /proc/iomem when it shows
	 * addresses, cut by zones for the node; else zone spans. */
	struct host_ram ram[HOST_RAM_MAX];
	bool ram_exact;                /* from iomem */
	uint64_t end;                  /* first byte above all memory */
};

/* The cached topology, NULL with errno when /proc/zoneinfo can't be read. */
const struct host_topology *contig_topology(void);
int contig_topology_refresh(void); /* 0/-errno; old pointers stay valid */

/* Node of a frame by zone spans (libnuma does not know), and by memory blocks
 * where the spans of two nodes overlap; -1 unknown. */
int contig_topology_node_of(uint64_t frame);
int contig_topology_distance(int from, int to); /* 10 = itself; -1 unknown */
int contig_topology_node_here(void);            /* node of the calling CPU */

#endif
