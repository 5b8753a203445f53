/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The machine whose memory is allocated: its nodes, and the ranges of RAM in
 * which a whole superpage can lie.  The real one (host/topology.h), or the
 * one that CONTIG_SIM describes.
 */
#ifndef PHYS_MACHINE_H
#define PHYS_MACHINE_H

#include "contig/types.h"
#include "host/topology.h"
#include "phys/extent.h"

#include <stdbool.h>
#include <stdint.h>

struct machine_range {
	uint64_t start, end; /* bytes, multiples of the superpage size */
	int node;            /* index into nodes[] */
};

struct machine {
	enum contig_level level;
	int n_nodes;
	int nodes[HOST_NODES_MAX]; /* the kernel's numbers, ascending */
	unsigned int n_ranges;
	struct machine_range ranges[HOST_RAM_MAX];
	uint64_t end; /* bytes; above all memory */
};

extern struct machine contig_machine;

/* 0/-errno with a reason.  simulate: CONTIG_SIM's text or NULL. */
int contig_machine_init(const char *simulate);

/* Forget RAM from end (bytes) on: the address space holds no more of it. */
void contig_machine_clip(uint64_t end);

/* Index of a kernel node number, -1 when it has no memory here. */
int contig_machine_node_index(int node);
/* Node indexes, nearest to index first, into order[n_nodes]. */
void contig_machine_node_order(int index, int *order);
/* Index of the calling thread's node; 0 when unknown. */
int contig_machine_node_here(void);

/* Index of the node on which touched memory of ours lies; 0 when unknown. */
int contig_machine_node_at(const void *va);

/* Whether any RAM of this machine could hold such a run, on node index (-1:
 * any), were all of it superpages. */
bool contig_machine_can_hold(const struct extent_request *request, int index);

/* CONTIG_SIM's grammar, see libcontig(7); 0/-EINVAL with a reason. */
int contig_machine_parse(const char *text, struct machine *out);

/* Simulated level: places of n superpages not handed out yet, from node
 * index (-1: any), in the order a kernel's scattered pool would give them.
 * How many. */
unsigned int contig_machine_sim_take(uint64_t *places, unsigned int n, int index);
void contig_machine_sim_return(uint64_t place);
/* Node index of a described place, -1 outside the description. */
int contig_machine_sim_node(uint64_t place);

#endif
