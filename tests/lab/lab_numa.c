/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * On a machine with two nodes, memory comes from the node that was asked for,
 * and from no other.  Evidence: move_pages(2) that moves nothing but tells, the
 * node's memory blocks in /sys, and frames read here.  Run in the lab
 * (numa.lab), which gives each node a pool and lets the nodes touch.
 */
#include "harness.h"
#include "lab_node.h"
#include "lab_numa_runs.h"
#include "lab_ways.h"
#include "probe.h"

#include <contig.h>
#include <errno.h>
#include <linux/mempolicy.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* --- the node that was asked for --------------------------------------------- */

static void bound_2m(void)
{
	asked_each(asked_keeps, "2m", "never", WAYS_ALL);
}

static void bound_thp(void)
{
	asked_each(asked_keeps, "thp", "never", WAYS_ALL);
}

static void bound_free_grow(void)
{
	asked_each(asked_keeps, "2m,thp", "system", WAYS_ALL);
}

/* --- domain sets ------------------------------------------------------------- */

static void round_robin(void)
{
	int last = -1;

	for (int i = 0; i < 12; i++) {
		size_t size = i % 3 == 2 ? 5 * PAGE : SUPERPAGE;
		void *va = contigmalloc_domainset(size, M_DEVBUF, DOMAINSET_RR(), 0, 0,
						  ANY, 0, 0);
		int node;

		require(va, "%s", contig_strreason());
		node = node_by_kernel(va);
		lies_on(va, size, node, "round robin");
		require(node != last, "call %d: node %d again", i, node);
		last = node;
	}
}

static void no_such_node(void)
{
	static const int nodes[] = {2, 63, 64, -1, 1 << 20};

	for (size_t i = 0; i < sizeof(nodes) / sizeof(*nodes); i++) {
		errno = 0;
		require(!DOMAINSET_FIXED(nodes[i]) && errno == EINVAL, "fixed %d",
			nodes[i]);
		errno = 0;
		require(!DOMAINSET_PREF(nodes[i]) && errno == EINVAL, "preferred %d",
			nodes[i]);
	}
}

/* A fixed set and a pool of the other node contradict each other; a window on
 * one node and a set of the other too. */
static void contradictions(void)
{
	void *va = contigmalloc_domainset(SUPERPAGE, M_DEVBUF, DOMAINSET_FIXED(0), 0, 0,
					  ANY, 0, 0);
	uint64_t pa = va ? probe_address(va) : 0;

	require(va, "%s", contig_strreason());
	require(!contigmalloc_domainset(SUPERPAGE, M_DEVBUF, DOMAINSET_FIXED(1), 0, pa,
					pa + SUPERPAGE, 0, 0),
		"memory of node 1 among that of node 0");
	require(errno == ERANGE || errno == ENOMEM, "%s", strerror(errno));
	contig_free(va);
	/* The window wins over a preference. */
	va = contigmalloc_domainset(SUPERPAGE, M_DEVBUF, DOMAINSET_PREF(1), 0, pa,
				    pa + SUPERPAGE, 0, 0);
	require(va, "%s", contig_strreason());
	lies_on(va, SUPERPAGE, 0, "a window on node 0");
}

/* --- memory that the process has already ----------------------------------- */

/* Free memory of node 0 in the pool is no reason to give it to who wants node
 * 1, while node 1 has some. */
static void hoard_child(void *arg)
{
	struct asked *a = arg;
	void *hoard;

	asked_prepare(a);
	hoard = contigmalloc_domainset(4 * MIB, M_DEVBUF, DOMAINSET_FIXED(!a->node), 0, 0,
				       ANY, 0, 0);
	require(hoard, "%s", contig_strreason());
	lies_on(hoard, 4 * MIB, !a->node, "the hoard");
	contig_free(hoard);
	for (size_t size = PAGE; size <= SUPERPAGE; size *= 8) {
		void *va = asked_malloc(a, size);

		require(va, "%s: %s", asked_describe(a), contig_strreason());
		lies_on(va, size, a->node, asked_describe(a));
	}
}

static void hoard_strict(void)
{
	asked_each(hoard_child, "2m", "never",
		   1u << WAY_FIXED | 1u << WAY_POOL | 1u << WAY_PRIVATE);
}

static void hoard_preferred(void)
{
	asked_each(hoard_child, "2m", "never", 1u << WAY_PREF);
}

static void hoard_default(void)
{
	asked_each(hoard_child, "2m", "never",
		   1u << WAY_PLAIN | 1u << WAY_ENVIRONMENT | 1u << WAY_CONFIG);
}

static void *thread_on(void *arg)
{
	int node = (int)(intptr_t)arg;
	void *blocks[24];

	run_on(node);
	for (size_t i = 0; i < 24; i++) {
		size_t size = PAGE << i % 10;

		blocks[i] = contigmalloc(size, M_DEVBUF, 0, 0, ANY, 0, 0);
		require(blocks[i], "%s", contig_strreason());
		lies_on(blocks[i], size, node, "a thread on its node");
	}
	for (size_t i = 0; i < 24; i++)
		contig_free(blocks[i]);
	return NULL;
}

static void run_threads(int first, int last)
{
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		require(!pthread_create(&threads[i], NULL, thread_on,
					(void *)(intptr_t)(i % 2 ? first : last)),
			"pthread_create");
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
}

static void threads_of_node_0(void)
{
	run_threads(0, 0);
}

static void threads_of_node_1(void)
{
	run_threads(1, 1);
}

static void threads_of_both(void)
{
	run_threads(0, 1);
}

/* --- limits set by others ------------------------------------------------------ */

static void within_child(void *arg)
{
	struct asked *a = arg;

	run_on(!a->node);
	setenv("CONTIG_SOURCES", a->sources, 1);
	for (size_t size = PAGE; size <= 8 * MIB; size *= 8) {
		void *va = contigmalloc(size, M_DEVBUF, 0, 0, ANY, 0, 0);

		require(va, "%s", contig_strreason());
		lies_on(va, size, a->node, asked_describe(a));
	}
}

static void membind_child(void *arg)
{
	unsigned long nodes = 1UL << ((struct asked *)arg)->node;

	require(!syscall(SYS_set_mempolicy, MPOL_BIND, &nodes, 8 * sizeof(nodes)), "%s",
		strerror(errno));
	within_child(arg);
}

static void membind(void)
{
	asked_each(membind_child, "2m", "never", 1u << WAY_PLAIN);
	asked_each(membind_child, "thp", "never", 1u << WAY_PLAIN);
}

#define CGROUP "/sys/fs/cgroup/contig-numa"

static void cpuset_child(void *arg)
{
	struct asked *a = arg;
	void *va;

	require(!probe_write_text(CGROUP "/cgroup.procs", "0"),
		"joining the control group");
	within_child(a);
	/* The other node exists, but not for us. */
	va = contigmalloc_domainset(SUPERPAGE, M_DEVBUF, DOMAINSET_FIXED(!a->node), 0, 0,
				    ANY, 0, 0);
	require(!va, "memory of node %d, which the cpuset forbids", node_by_kernel(va));
	require(errno == ENOMEM && *contig_strreason(), "%s", strerror(errno));
	va = contigmalloc_domainset(SUPERPAGE, M_DEVBUF, DOMAINSET_PREF(!a->node), 0, 0,
				    ANY, 0, 0);
	require(va, "a preferred set: %s", contig_strreason());
	lies_on(va, SUPERPAGE, a->node, "a preferred set");
	for (int i = 0; i < 4; i++) {
		va = contigmalloc_domainset(SUPERPAGE, M_DEVBUF, DOMAINSET_RR(), 0, 0,
					    ANY, 0, 0);
		require(va, "round robin: %s", contig_strreason());
		lies_on(va, SUPERPAGE, a->node, "round robin");
	}
}

static void cpuset(void)
{
	if (probe_write_text("/sys/fs/cgroup/cgroup.subtree_control", "+cpuset") ||
	    (mkdir(CGROUP, 0755) && errno != EEXIST))
		skip("no cpuset controller");
	for (int node = 0; node < NODES; node++) {
		char number[12];

		snprintf(number, sizeof(number), "%d", node);
		require(!probe_write_text(CGROUP "/cpuset.mems", number), "cpuset.mems");
		for (int thp = 0; thp < 2; thp++) {
			struct asked a = {WAY_PLAIN, node, thp ? "thp" : "2m", "never",
					  NULL};
			struct outcome out = run_child(cpuset_child, &a);

			require(!out.status && !out.signal && !out.timed_out,
				"cpuset of node %d, %s: status %d, signal %d", node,
				a.sources, out.status, out.signal);
		}
	}
	/* The last process is gone a moment later. */
	for (int i = 0; i < 100 && rmdir(CGROUP); i++)
		probe_sleep_ms(10);
}

/* Whom the kernel shows no frames still gets the node he asks for. */
static void nobody_child(void *arg)
{
	struct asked *a = arg;

	require(become_nobody(), "setuid");
	asked_prepare(a);
	require(contig_level() == CONTIG_LEVEL_HIDDEN, "frames are not hidden");
	for (size_t size = PAGE; size <= SUPERPAGE; size *= 8) {
		struct contig_range_info info;
		char *va = asked_malloc(a, size);

		require(va, "%s: %s", asked_describe(a), contig_strreason());
		for (size_t at = 0; at < size; at += PAGE) {
			va[at] = 1;
			require(node_by_kernel(va + at) == a->node, "%s: node %d",
				asked_describe(a), node_by_kernel(va + at));
		}
		require(contig_range_check(va, size, &info) == 1 && info.node == a->node,
			"%s: the library says node %d", asked_describe(a), info.node);
	}
}

static void nobody(void)
{
	asked_each(nobody_child, "2m", "never", WAYS_ALL);
	asked_each(nobody_child, "thp", "never", WAYS_ALL);
}

static const struct test_case cases[] = {
    {"bound_2m", bound_2m, POOL_ANY, CASE_SLOW, NULL},
    {"bound_thp", bound_thp, POOL_ANY, CASE_SLOW, NULL},
    {"bound_free_grow", bound_free_grow, POOL_ANY, CASE_SLOW, NULL},
    {"round_robin", round_robin, POOL_ANY, 0, "CONTIG_SOURCES=2m"},
    {"round_robin_thp", round_robin, POOL_ANY, 0, "CONTIG_SOURCES=thp"},
    {"no_such_node", no_such_node, POOL_ANY, 0, NULL},
    {"contradictions", contradictions, POOL_ANY, 0, "CONTIG_SOURCES=2m"},
    {"hoard_strict", hoard_strict, POOL_ANY, 0, NULL},
    {"hoard_preferred", hoard_preferred, POOL_ANY, 0, NULL},
    {"hoard_default", hoard_default, POOL_ANY, 0, NULL},
    {"threads_of_node_0", threads_of_node_0, POOL_ANY, 0, "CONTIG_SOURCES=2m"},
    {"threads_of_node_1", threads_of_node_1, POOL_ANY, 0, "CONTIG_SOURCES=2m"},
    {"threads_of_node_1_thp", threads_of_node_1, POOL_ANY, 0, "CONTIG_SOURCES=thp"},
    {"threads_of_both", threads_of_both, POOL_ANY, 0, "CONTIG_SOURCES=2m"},
    {"longest", longest, POOL_ANY, CASE_SLOW, "CONTIG_SOURCES=2m"},
    {"crossing", crossing, POOL_ANY, CASE_SLOW, "CONTIG_SOURCES=2m"},
    {"crossing_any", crossing_any, POOL_ANY, CASE_SLOW, "CONTIG_SOURCES=2m"},
    {"membind", membind, POOL_ANY, 0, NULL},
    {"cpuset", cpuset, POOL_ANY, 0, NULL},
    {"nobody", nobody, POOL_ANY, CASE_SLOW, NULL},
};

int main(int argc, char **argv)
{
	if (access("/sys/devices/system/node/node1", F_OK)) {
		printf("skipped: this machine has one node\n");
		return 77;
	}
	return RUN_CASES(cases, argc, argv);
}
