/* SPDX-License-Identifier: BSD-2-Clause */
/* On which node memory of this process lies, and where new memory comes from. */
#ifndef HOST_NODES_H
#define HOST_NODES_H

#include "host/topology.h"

#include <stdbool.h>

/* Node of the page at va (touched), -1 when it can't be told.  Exact where
 * zone spans of two nodes interleave, and needs no privilege. */
int contig_node_at(const void *va);

/* The calling thread's memory policy, kept to be put back. */
struct node_policy {
	int mode;
	unsigned long nodes[HOST_NODE_LIMIT / (8 * sizeof(unsigned long))];
};

/* The mask that has this node alone, as the kernel takes masks; -EINVAL: no
 * node has that number. */
int contig_node_mask(int node, unsigned long *nodes);

int contig_node_policy_save(struct node_policy *out); /* 0/-errno */
/* What this thread touches from now on comes from node.  0/-errno. */
int contig_node_policy_bind(int node);
void contig_node_policy_restore(const struct node_policy *policy);
/* Whether the calling thread has one that isn't "local". */
bool contig_node_policy_set(void);

#endif
