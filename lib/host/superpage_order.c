/* SPDX-License-Identifier: BSD-2-Clause */
/* Putting a batch in order: sorting it, and making the kernel deal it anew. */
#include "host/superpage_stage.h"
#include "host/superpage_touch.h"

#include "base/log.h"
#include "base/reason.h"
#include "host/hugetlb.h"
#include "host/nodes.h"
#include "host/pagemap.h"
#include "host/topology.h"

#include <errno.h>
#include <sys/mman.h>

typedef bool (*before_fn)(const struct superpage *a, const struct superpage *b);

static bool before_by_index(const struct superpage *a, const struct superpage *b)
{
	return a->index < b->index;
}

static bool before_by_frame(const struct superpage *a, const struct superpage *b)
{
	if (!a->staging != !b->staging)
		return a->staging;
	return a->frame != b->frame ? a->frame < b->frame : before_by_index(a, b);
}

static void sift_down(struct superpage *pages, size_t root, size_t n,
		      before_fn before)
{
	struct superpage moving = pages[root];
	size_t child;

	while ((child = 2 * root + 1) < n) {
		if (child + 1 < n && before(&pages[child], &pages[child + 1]))
			child++;
		if (!before(&moving, &pages[child]))
			break;
		pages[root] = pages[child];
		root = child;
	}
	pages[root] = moving;
}

/* A heap sort, because qsort(3) calls malloc for large arrays. */
static void sort(struct superpage *pages, size_t n, before_fn before)
{
	for (size_t i = n / 2; i-- > 0;)
		sift_down(pages, i, n, before);
	for (size_t last = n; last-- > 1;) {
		struct superpage largest = pages[0];

		pages[0] = pages[last];
		pages[last] = largest;
		sift_down(pages, 0, last, before);
	}
}

void contig_superpage_sort(struct superpage_batch *batch)
{
	sort(batch->pages, batch->n, before_by_frame);
}

void contig_superpage_sort_index(struct superpage_batch *batch)
{
	sort(batch->pages, batch->n, before_by_index);
}

/* Back to the pool, but the place in the staging mapping stays ours. */
static void put_back(struct superpage_batch *batch, size_t i)
{
	if (batch->request.shared)
		contig_superpage_unstage(batch, i);
	else
		contig_superpage_advise(batch->pages[i].staging,
					batch->request.page_size, MADV_DONTNEED);
}

static void lose_absent(struct superpage_batch *batch)
{
	for (size_t i = 0; i < batch->n; i++) {
		if (batch->pages[i].frame != FRAME_ABSENT)
			continue;
		if (!batch->request.shared)
			contig_superpage_unstage(batch, i);
		batch->pages[i].staging = NULL;
	}
	contig_superpage_squeeze(batch);
}

/* Pages whose frames are of one node, in frame order. */
struct node_run {
	int node; /* -1: whichever */
	size_t n;
};

#define NODE_RUNS_MAX (2 * HOST_NODES_MAX)

/*
 * The free lists are per node, and a touch takes from the list of the CPU's
 * node first: without binding, a batch of two nodes comes back rotated, and one
 * of a distant node doesn't come back at all.  0: too many runs.
 */
static size_t node_runs(const struct superpage_batch *batch, struct node_run *runs)
{
	const struct host_topology *topology = contig_topology();
	size_t n = 0;

	if (batch->request.node >= 0 || !topology || topology->n_nodes <= 1 || !batch->n ||
	    !frame_is_known(batch->pages[0].frame)) {
		runs[0] = (struct node_run){-1, batch->n};
		return 1;
	}
	for (size_t i = 0; i < batch->n; i++) {
		int node = contig_topology_node_of(batch->pages[i].frame);

		if (node < 0)
			return 0;
		if (n && runs[n - 1].node == node) {
			runs[n - 1].n++;
			continue;
		}
		if (n == NODE_RUNS_MAX)
			return 0;
		runs[n++] = (struct node_run){node, 1};
	}
	return n;
}

/* A single thread, or the pages come in no order at all; policy: the thread's
 * own. */
static size_t touch_runs(struct superpage_batch *batch, const struct node_run *runs, size_t n,
			 const struct node_policy *policy, int *error)
{
	struct superpage_request request = batch->request;
	size_t came = 0, first = 0;

	*error = 0;
	request.threads = 1;
	for (size_t i = 0; i < n; first += runs[i++].n) {
		int err;

		/* The node was taken from us: better from any than from that of
		 * the run before, or not at all. */
		if (runs[i].node >= 0 && contig_node_policy_bind(runs[i].node) < 0)
			contig_node_policy_restore(policy);
		came += contig_superpage_touch(&request, batch->pages + first, runs[i].n, &err);
		if (err && !*error)
			*error = err;
	}
	return came;
}

int contig_superpage_reorder(struct superpage_batch *batch)
{
	struct node_run runs[NODE_RUNS_MAX];
	struct node_policy policy;
	struct hugetlb_counts counts;
	size_t came, n_runs;
	bool bound;
	int err, resolved;

	if (batch->request.kind != SUPERPAGE_HUGETLB)
		return -EINVAL;
	for (size_t i = 0; i < batch->n; i++)
		if (batch->pages[i].mapped)
			return -EINVAL;
	contig_superpage_sort(batch);
	contig_superpage_squeeze(batch);
	err = contig_hugetlb_counts(batch->request.page_size, HUGETLB_ALL_NODES, &counts);
	n_runs = node_runs(batch, runs);
	bound = n_runs && runs[0].node >= 0;
	if (!err && bound)
		err = contig_node_policy_save(&policy);
	/* Containers forbid it. */
	if (!err && bound)
		err = contig_node_policy_bind(runs[0].node);
	/* While a node has surplus pages, what is freed on it leaves the pool. */
	if (err || counts.surplus || !n_runs) {
		contig_debug(TAKE, "not reordered: surplus %llu, %zu runs, error %d",
			     (unsigned long long)counts.surplus, n_runs, err);
		if (!err && bound)
			contig_node_policy_restore(&policy);
		contig_superpage_sort_index(batch);
		return 0;
	}
	for (size_t i = batch->n; i-- > 0;)
		put_back(batch, i);
	contig_superpage_sort_index(batch);
	came = touch_runs(batch, runs, n_runs, &policy, &err);
	if (bound)
		contig_node_policy_restore(&policy);
	if (came < batch->n) {
		contig_reason_set("reordering %zu superpages: %zu were taken by "
				  "another process meanwhile; hold the system-wide lock",
				  batch->n, batch->n - came);
		lose_absent(batch);
		err = -ENOMEM;
	}
	resolved = contig_superpage_resolve(batch);
	return err ? err : resolved;
}
