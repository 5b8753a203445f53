/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/nodes.h"

#include <numaif.h>
#include <stddef.h>

int contig_node_at(const void *va)
{
	int node;

	if (get_mempolicy(&node, NULL, 0, (void *)(size_t)va, MPOL_F_NODE | MPOL_F_ADDR) < 0)
		return -1;
	return node;
}
