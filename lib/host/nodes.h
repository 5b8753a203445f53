/* SPDX-License-Identifier: BSD-2-Clause */
/* On which node memory of this process lies. */
#ifndef HOST_NODES_H
#define HOST_NODES_H

/* Node of the page at va (touched), -1 when it can't be told.  Exact where
 * zone spans of two nodes interleave, and needs no privilege. */
int contig_node_at(const void *va);

#endif
