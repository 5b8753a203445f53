/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A node that has no superpage left, in the kernel's pool or at all: who wants
 * that node and no other is refused with a reason, soon, and is not killed; who
 * only prefers it gets another.  Run in the lab (short.lab).
 */
#include "harness.h"
#include "lab_node.h"
#include "lab_ways.h"
#include "probe.h"

#include <contig.h>
#include <errno.h>
#include <linux/mempolicy.h>
#include <string.h>
#include <sys/syscall.h>

#define PATIENCE_MS 60000
/* Superpages that may come free while somebody holds all there were. */
#define STRAYS 8

/* The pools are empty: what comes, comes by growth.  (The harness sees that
 * they are as before afterwards.) */
static void bound_grown(void)
{
	pid_t holder = hold(eat_pools, -1);
	long before[NODES] = {pool_of(0, "nr_hugepages"), pool_of(1, "nr_hugepages")};

	/* Without a node the kernel chooses. */
	asked_each(asked_keeps, "2m", "system",
		   (WAYS_FEW & ~(1u << WAY_PLAIN)) | 1u << WAY_ENVIRONMENT);
	for (int node = 0; node < NODES; node++) {
		for (int i = 0; i < 1000 && pool_of(node, "nr_hugepages") != before[node];
		     i++)
			probe_sleep_ms(10);
		require(pool_of(node, "nr_hugepages") == before[node],
			"the pool of node %d was %ld and is %ld", node, before[node],
			pool_of(node, "nr_hugepages"));
	}
	let_go(holder);
}

/* Ask until what came free meanwhile is used up. */
static void *ask_on(struct asked *a, size_t size)
{
	for (int i = 0; i < STRAYS; i++) {
		double start = probe_ms();
		void *va = asked_malloc(a, size);

		require(probe_ms() - start < PATIENCE_MS, "%s: %.0f ms",
			asked_describe(a), probe_ms() - start);
		if (!va || node_by_kernel(va) != a->node)
			return va;
		lies_on(va, size, a->node, asked_describe(a));
	}
	fail("%s: %d blocks of %zu KiB, though there is nothing", asked_describe(a),
	     STRAYS, size / 1024);
}

static void short_child(void *arg)
{
	static const size_t sizes[] = {SUPERPAGE, PAGE, 6 * MIB};
	struct asked *a = arg;
	void *va;

	asked_prepare(a);
	for (size_t i = 0; i < 3; i++) {
		/* The rest of a stray superpage serves small ones for long. */
		va = ask_on(a, sizes[i] == PAGE ? SUPERPAGE - PAGE : sizes[i]);
		if (!way_is_strict(a->way)) {
			require(va, "%s: %s", asked_describe(a), contig_strreason());
			lies_on(va, sizes[i] == PAGE ? PAGE : sizes[i], !a->node,
				asked_describe(a));
			continue;
		}
		require(!va, "%s: got memory of node %d", asked_describe(a),
			node_by_kernel(va));
		require(errno == ENOMEM, "%s: %s", asked_describe(a), strerror(errno));
		require(strstr(contig_strreason(), "contig"), "no reason");
	}
	if (a->way == WAY_FIXED)
		note("%s: refused%.250s", asked_describe(a),
		     strchr(contig_strreason(), ')'));
	/* M_NOWAIT too. */
	if (a->way == WAY_FIXED)
		require(!contigmalloc_domainset(6 * MIB, M_DEVBUF,
						DOMAINSET_FIXED(a->node), M_NOWAIT, 0,
						ANY, 0, 0) &&
			    errno == ENOMEM,
			"%s: M_NOWAIT", asked_describe(a));
	/* The other node is still to be had. */
	va = contigmalloc_domainset(SUPERPAGE, M_DEVBUF, DOMAINSET_FIXED(!a->node), 0, 0,
				    ANY, 0, 0);
	require(va, "the other node: %s", contig_strreason());
	lies_on(va, SUPERPAGE, !a->node, "the other node");
}

static void short_of(const char *sources, const char *grow, void (*eat)(int node),
		     unsigned int ways)
{
	for (int node = 0; node < NODES; node++) {
		pid_t holder = hold(eat, node);

		for (unsigned int way = 0; way < WAYS; way++) {
			struct asked a = {(enum way)way, node, sources, grow, NULL};
			struct outcome out = {0};

			if (ways >> way & 1)
				out = run_child(short_child, &a);
			require(!out.status && !out.signal && !out.timed_out,
				"%s: status %d, signal %d%s", asked_describe(&a),
				out.status, out.signal,
				out.timed_out ? ", ended after a minute" : "");
		}
		let_go(holder);
	}
}

static void short_pool(void)
{
	short_of("2m", "never", eat_pools, WAYS_ALL);
}

static void short_memory(void)
{
	probe_write_text("/proc/sys/vm/drop_caches", "3");
	short_of("thp", "never", eat_memory, WAYS_FEW);
}

static void eat_both(int node)
{
	char path[128];
	long before = pool_of(node, "nr_hugepages");

	snprintf(
	    path, sizeof(path),
	    "/sys/devices/system/node/node%d/hugepages/hugepages-2048kB/nr_hugepages",
	    node);
	probe_write(path, 2000);
	eat_pools(node);
	/* What is in use becomes surplus, and goes with its owner. */
	probe_write(path, before);
	eat_memory(node);
}

static void short_everything(void)
{
	probe_write_text("/proc/sys/vm/drop_caches", "3");
	short_of("2m,thp", "system", eat_both, WAYS_FEW);
}

static void round_robin_short(void)
{
	for (int node = 0; node < NODES; node++) {
		pid_t holder = hold(eat_pools, node);

		for (int i = 0; i < 4; i++) {
			void *va = contigmalloc_domainset(
			    SUPERPAGE, M_DEVBUF, DOMAINSET_RR(), 0, 0, ANY, 0, 0);

			require(va, "%s", contig_strreason());
			lies_on(va, SUPERPAGE, !node, "round robin, one node empty");
		}
		let_go(holder);
		for (int i = 0; i < 1000 && !pool_of(node, "free_hugepages"); i++)
			probe_sleep_ms(10);
	}
}

/* Bound to a node whose pool is empty: refused, though the other has pages. */
static void membind_short_child(void *arg)
{
	struct asked *a = arg;
	unsigned long nodes = 1UL << a->node;
	double start = probe_ms();
	void *va;

	require(!syscall(SYS_set_mempolicy, MPOL_BIND, &nodes, 8 * sizeof(nodes)), "%s",
		strerror(errno));
	run_on(a->node);
	setenv("CONTIG_SOURCES", a->sources, 1);
	va = contigmalloc(SUPERPAGE, M_DEVBUF, 0, 0, ANY, 0, 0);
	require(!va, "got memory of node %d", node_by_kernel(va));
	require(errno == ENOMEM && *contig_strreason(), "%s", strerror(errno));
	require(probe_ms() - start < PATIENCE_MS, "%.0f ms", probe_ms() - start);
}

static void membind_short(void)
{
	for (int node = 0; node < NODES; node++) {
		struct asked a = {WAY_PLAIN, node, "2m", "never", NULL};
		pid_t holder = hold(eat_pools, node);
		struct outcome out = run_child(membind_short_child, &a);

		require(!out.status && !out.signal && !out.timed_out,
			"status %d, signal %d", out.status, out.signal);
		let_go(holder);
	}
}

static const struct test_case cases[] = {
    {"bound_grown", bound_grown, POOL_ANY, CASE_SLOW, NULL},
    {"short_pool", short_pool, POOL_ANY, CASE_SLOW, NULL},
    {"short_memory", short_memory, POOL_ANY, CASE_SLOW, NULL},
    {"short_everything", short_everything, POOL_ANY, CASE_SLOW, NULL},
    {"round_robin_short", round_robin_short, POOL_ANY, 0, "CONTIG_SOURCES=2m"},
    {"membind_short", membind_short, POOL_ANY, 0, NULL},
};

int main(int argc, char **argv)
{
	if (access("/sys/devices/system/node/node1", F_OK)) {
		printf("skipped: this machine has one node\n");
		return 77;
	}
	return RUN_CASES(cases, argc, argv);
}
