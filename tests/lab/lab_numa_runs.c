/* SPDX-License-Identifier: BSD-2-Clause */
/* The longest runs of each node, and the border between two. */
#include "lab_numa_runs.h"

#include "harness.h"
#include "lab_node.h"
#include "probe.h"

#include <contig.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/mempolicy.h>
#include <string.h>
#include <sys/mman.h>

static int by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

struct runs {
	size_t n, longest[NODES]; /* superpages */
	bool touch;               /* the two nodes, through free superpages */
};

/* All free superpages, sorted by frame. */
static void look(struct runs *out)
{
	static uint64_t at[NODES * MOST];
	size_t run = 0;

	memset(out, 0, sizeof(*out));
	for (int node = 0; node < NODES; node++) {
		size_t pages = (size_t)pool_of(node, "free_hugepages");
		char *va = mmap(NULL, pages * SUPERPAGE, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_NORESERVE,
				-1, 0);

		require(va != MAP_FAILED && pages <= MOST &&
			    !bind_range(va, pages * SUPERPAGE, MPOL_BIND, node) &&
			    !madvise(va, pages * SUPERPAGE, MADV_POPULATE_WRITE),
			"the pool of node %d", node);
		for (size_t i = 0; i < pages; i++)
			at[out->n++] = probe_address(va + i * SUPERPAGE);
	}
	qsort(at, out->n, sizeof(*at), by_value);
	for (size_t i = 0; i < out->n; i++) {
		int node = node_by_block(at[i]);
		bool next = i && at[i] == at[i - 1] + SUPERPAGE;

		out->touch |= next && node != node_by_block(at[i - 1]);
		run = next && node == node_by_block(at[i - 1]) ? run + 1 : 1;
		if (run > out->longest[node])
			out->longest[node] = run;
	}
}

static void look_in_child(struct runs *out)
{
	struct runs *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t child = fork();

	if (!child) {
		look(shared);
		_exit(0);
	}
	require(!reap(child).status, "looking at the pools");
	*out = *shared;
	note("%zu free superpages, longest run on node 0 %zu, on node 1 %zu%s", out->n,
	     out->longest[0], out->longest[1], out->touch ? "; the nodes touch" : "");
}

void longest(void)
{
	struct runs runs;

	look_in_child(&runs);
	for (int node = 0; node < NODES; node++) {
		size_t len = runs.longest[node] * SUPERPAGE;
		const struct domainset *set = DOMAINSET_FIXED(node);
		void *va;

		require(runs.longest[node] > 1, "no run of two superpages on node %d",
			node);
		require(
		    !contigmalloc_domainset(len + PAGE, M_DEVBUF, set, 0, 0, ANY, 0, 0),
		    "more than node %d has in one run", node);
		require(errno == ENOMEM, "%s", strerror(errno));
		va = contigmalloc_domainset(len, M_DEVBUF, set, 0, 0, ANY, 0, 0);
		require(va, "node %d: %s", node, contig_strreason());
		lies_on(va, len, node, "the longest run");
		contig_free(va);
		/* Now the pool has it. */
		va = contigmalloc_domainset(len, M_DEVBUF, set, M_NOWAIT | M_USE_RESERVE,
					    0, ANY, 0, 0);
		require(va, "node %d, again: %s", node, contig_strreason());
		lies_on(va, len, node, "the longest run, again");
	}
	require(!contig_verify(), "frames moved");
}

/*
 * One node's last superpage and the other's first are neighbours.  With both
 * in the pool nothing may be served across unless any node will do, and even
 * then a block lies on one node.
 */
void crossing(void)
{
	size_t total[NODES] = {0}, n = 0;
	static void *blocks[NODES * MOST];
	struct contig_range_info info;
	struct runs runs;
	uint64_t low = 0, high = 0;
	void *va;

	look_in_child(&runs);
	if (!runs.touch)
		skip("no superpages on both sides of the nodes' border are free");
	while (n < NODES * MOST &&
	       (va = contigmalloc(SUPERPAGE, M_DEVBUF, 0, 0, ANY, SUPERPAGE, 0)))
		blocks[n++] = va;
	require(n == runs.n, "%zu superpages of %zu", n, runs.n);
	for (size_t i = 0; i < n; i++) {
		uint64_t pa = probe_address(blocks[i]);
		int node = node_by_kernel(blocks[i]);

		lies_on(blocks[i], SUPERPAGE, node, "a superpage");
		total[node]++;
		if (contig_phys_to_virt(pa - 1) && node_by_block(pa - 1) != node)
			low = pa - SUPERPAGE, high = pa;
	}
	require(high, "the border isn't in the pool");
	va = contig_phys_to_virt(low);
	require(va && node_by_kernel(va) != node_by_kernel((char *)va + SUPERPAGE),
		"no border");
	require(contig_range_check(va, 2 * SUPERPAGE, &info) == 1 && info.node == -1,
		"a range on two nodes is said to be on node %d", info.node);
	require(contig_range_check(va, SUPERPAGE, &info) == 1 &&
		    info.node == node_by_block(low),
		"the range before the border: node %d", info.node);
	note("border at 0x%" PRIx64 "; %zu and %zu superpages held", high, total[0],
	     total[1]);
	for (size_t i = 0; i < n; i++)
		contig_free(blocks[i]);
	/* Now all of it is free in the pool.  What would have to cross: */
	for (int node = 0; node < NODES; node++) {
		const struct domainset *set = DOMAINSET_FIXED(node);

		require(!contigmalloc_domainset(2 * SUPERPAGE, M_DEVBUF, set, 0, low,
						high + SUPERPAGE, 0, 0),
			"a block of node %d across the border", node);
		require(!contigmalloc_domainset((runs.longest[node] + 1) * SUPERPAGE,
						M_DEVBUF, set, 0, 0, ANY, 0, 0),
			"more than node %d has in one run", node);
		/* All of the node, in pieces that don't fit evenly. */
		for (n = 0; n < MOST; n++) {
			size_t len = SUPERPAGE + (n % 3) * 5 * PAGE;

			va = contigmalloc_domainset(len, M_DEVBUF, set, M_NOWAIT, 0, ANY,
						    0, 0);
			if (!va)
				break;
			lies_on(va, len, node, "pieces up to the border");
		}
		require(n > total[node] / 3, "node %d: only %zu pieces of %zu superpages",
			node, n, total[node]);
	}
	require(!contig_verify(), "frames moved");
}

/* No node asked for: a run of either node, or one across that says so. */
void crossing_any(void)
{
	struct contig_range_info info;
	size_t most, len;
	struct runs runs;
	void *va;

	look_in_child(&runs);
	most = runs.longest[0] > runs.longest[1] ? runs.longest[0] : runs.longest[1];
	va = contigmalloc(most * SUPERPAGE, M_DEVBUF, 0, 0, ANY, SUPERPAGE, 0);
	require(va, "%s", contig_strreason());
	lies_on(va, most * SUPERPAGE, node_by_kernel(va), "the longest run of any node");
	contig_free(va);
	len = (most + 1) * SUPERPAGE;
	va = contigmalloc(len, M_DEVBUF, 0, 0, ANY, SUPERPAGE, 0);
	note("across the border: %s", va ? "given" : "refused");
	require(va || errno == ENOMEM, "%s", strerror(errno));
	require(!va || (runs.touch && contig_range_check(va, len, &info) == 1 &&
			info.node == -1),
		"a longer run than any node has");
}
