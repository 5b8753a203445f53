/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/nodes.h"

#include <errno.h>
#include <numaif.h>
#include <stddef.h>
#include <string.h>

#define WORD_BITS (8 * sizeof(unsigned long))
/* The kernel wants the number of bits plus one. */
#define MASK_BITS (HOST_NODE_LIMIT + 1)

int contig_node_at(const void *va)
{
	int node;

	if (get_mempolicy(&node, NULL, 0, (void *)(size_t)va, MPOL_F_NODE | MPOL_F_ADDR) < 0)
		return -1;
	return node;
}

int contig_node_mask(int node, unsigned long *nodes)
{
	if (node < 0 || node >= HOST_NODE_LIMIT)
		return -EINVAL;
	memset(nodes, 0, HOST_NODE_LIMIT / 8);
	nodes[(size_t)node / WORD_BITS] = 1UL << (size_t)node % WORD_BITS;
	return 0;
}

int contig_node_policy_save(struct node_policy *out)
{
	memset(out, 0, sizeof(*out));
	return get_mempolicy(&out->mode, out->nodes, HOST_NODE_LIMIT, NULL, 0) < 0 ? -errno : 0;
}

int contig_node_policy_bind(int node)
{
	struct node_policy one;
	int err = contig_node_mask(node, one.nodes);

	if (err)
		return err;
	return set_mempolicy(MPOL_BIND, one.nodes, MASK_BITS) < 0 ? -errno : 0;
}

void contig_node_policy_restore(const struct node_policy *policy)
{
	set_mempolicy(policy->mode, policy->nodes, MASK_BITS);
}

bool contig_node_policy_set(void)
{
	struct node_policy policy;

	return !contig_node_policy_save(&policy) && policy.mode != MPOL_DEFAULT &&
	       policy.mode != MPOL_LOCAL;
}
