/* SPDX-License-Identifier: BSD-2-Clause */
/* domainset(9): which nodes an allocation may come from, and in what order. */
#include "kpi/domainset.h"

#include "base/reason.h"
#include "phys/machine.h"
#include "phys/start.h"

#include <errno.h>

enum policy { POLICY_FIXED, POLICY_PREF, POLICY_RR };

struct domainset {
	enum policy policy;
	int index;
};

static struct domainset fixed[HOST_NODES_MAX], preferred[HOST_NODES_MAX];
static const struct domainset round_robin = {POLICY_RR, 0};
static unsigned int cursor;

static const struct domainset *of_node(int node, struct domainset *sets, enum policy policy)
{
	int index, err = contig_start();

	if (err) {
		errno = -err;
		return NULL;
	}
	index = contig_machine_node_index(node);
	if (index < 0) {
		contig_reason_set("node %d has no memory on this machine", node);
		errno = EINVAL;
		return NULL;
	}
	/* The same values each time: threads may race here. */
	__atomic_store_n(&sets[index].index, index, __ATOMIC_RELAXED);
	__atomic_store_n(&sets[index].policy, policy, __ATOMIC_RELAXED);
	return &sets[index];
}

const struct domainset *contig_domainset_fixed(int node)
{
	return of_node(node, fixed, POLICY_FIXED);
}

const struct domainset *contig_domainset_pref(int node)
{
	return of_node(node, preferred, POLICY_PREF);
}

const struct domainset *contig_domainset_rr(void)
{
	return &round_robin;
}

void contig_domainset_next(const struct domainset *ds, int *index, bool *strict)
{
	enum policy policy = __atomic_load_n(&ds->policy, __ATOMIC_RELAXED);

	*strict = policy == POLICY_FIXED;
	if (policy == POLICY_RR)
		*index = (int)(__atomic_fetch_add(&cursor, 1, __ATOMIC_RELAXED) %
			       (unsigned int)contig_machine.n_nodes);
	else
		*index = __atomic_load_n(&ds->index, __ATOMIC_RELAXED);
}
