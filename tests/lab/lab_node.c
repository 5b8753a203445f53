/* SPDX-License-Identifier: BSD-2-Clause */
#include "lab_node.h"

#include "harness.h"
#include "probe.h"

#include <contig.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define BLOCK (128 * MIB) /* of memory, as /sys numbers them */
#define LARGE (8 * MIB)
#define FRAMES (SUPERPAGE / PAGE)

int node_by_kernel(const void *va)
{
	const void *page = va;
	int status = -1;

	if (syscall(SYS_move_pages, 0, 1UL, &page, NULL, &status, 0))
		return -1;
	return status;
}

int node_by_block(uint64_t pa)
{
	char path[96];

	for (int node = 0; node < NODES; node++) {
		snprintf(path, sizeof(path),
			 "/sys/devices/system/node/node%d/memory%" PRIu64, node,
			 (uint64_t)(pa / BLOCK));
		if (!access(path, F_OK))
			return node;
	}
	return -1;
}

long pool_of(int node, const char *field)
{
	char path[128];

	snprintf(path, sizeof(path),
		 "/sys/devices/system/node/node%d/hugepages/hugepages-2048kB/%s", node,
		 field);
	return probe_number(path);
}

/* Pinned pages come back some 50 ms after their process. */
static void settle(void)
{
	for (int i = 0; i < 2000; i++) {
		if (pool_of(0, "free_hugepages") == pool_of(0, "nr_hugepages") &&
		    pool_of(1, "free_hugepages") == pool_of(1, "nr_hugepages"))
			break;
		probe_sleep_ms(5);
	}
}

void run_on(int node)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	for (int cpu = 0; cpu < 64; cpu++) {
		char path[96];

		snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/cpu%d",
			 node, cpu);
		if (!access(path, F_OK))
			CPU_SET(cpu, &cpus);
	}
	require(!sched_setaffinity(0, sizeof(cpus), &cpus), "affinity: %s",
		strerror(errno));
}

long bind_range(void *va, size_t len, int mode, int node)
{
	unsigned long nodes = 1UL << node;

	return syscall(SYS_mbind, va, len, mode, &nodes, 8 * sizeof(nodes), 0);
}

/* --- memory that others hold ---------------------------------------------- */

void eat_pools(int node)
{
	for (int n = 0; n < NODES; n++) {
		long pages = pool_of(n, "free_hugepages");
		char *va;

		if ((node >= 0 && n != node) || pages <= 0)
			continue;
		va = mmap(NULL, (size_t)pages * SUPERPAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_NORESERVE, -1,
			  0);
		if (va == MAP_FAILED ||
		    bind_range(va, (size_t)pages * SUPERPAGE, MPOL_BIND, n) ||
		    madvise(va, (size_t)pages * SUPERPAGE, MADV_POPULATE_WRITE))
			_exit(1);
	}
}

void eat_memory(int node)
{
	size_t len = 2 * GIB;
	char *va = mmap(NULL, len, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	unsigned int failures = 0;

	if (va == MAP_FAILED || bind_range(va, len, MPOL_BIND, node) ||
	    madvise(va, len, MADV_HUGEPAGE))
		_exit(1);
	va = (char *)(((uintptr_t)va + SUPERPAGE - 1) & ~(SUPERPAGE - 1));
	for (size_t at = 0; at + 2 * SUPERPAGE <= len && failures < 4; at += SUPERPAGE)
		if (madvise(va + at, PAGE, MADV_POPULATE_WRITE) ||
		    madvise(va + at, SUPERPAGE, MADV_COLLAPSE))
			failures++;
}

pid_t hold(void (*eat)(int node), int node)
{
	int ready[2];
	char byte;
	pid_t child;

	settle();
	require(!pipe(ready), "pipe");
	child = fork();
	require(child >= 0, "fork: %s", strerror(errno));
	if (!child) {
		probe_write_text("/proc/self/oom_score_adj", "1000");
		close(ready[0]);
		eat(node);
		if (write(ready[1], "", 1) == 1)
			pause();
		_exit(1);
	}
	close(ready[1]);
	require(read(ready[0], &byte, 1) == 1,
		"a child couldn't take the memory of node %d", node);
	close(ready[0]);
	return child;
}

void let_go(pid_t child)
{
	int status;

	require(!waitpid(child, &status, WNOHANG),
		"the holder of memory was killed: there was none left for somebody");
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

/* Each page, or of large blocks a page of each superpage. */
static void pages_lie_on(char *va, size_t len, int node, const char *what)
{
	size_t step = len > LARGE ? SUPERPAGE : PAGE;
	static __thread void *pages[FRAMES];
	static __thread int status[FRAMES];

	for (size_t at = 0, n; at < len; at += n * step) {
		for (n = 0; n < FRAMES && at + n * step < len; n++)
			pages[n] = va + at + n * step;
		require(!syscall(SYS_move_pages, 0, n, pages, NULL, status, 0),
			"move_pages: %s", strerror(errno));
		for (size_t i = 0; i < n; i++)
			require(status[i] == node,
				"%s: page %zu of %zu is on node %d, not %d", what,
				(at + i * step) / PAGE, len / PAGE, status[i], node);
	}
}

void lies_on(void *va, size_t len, int node, const char *what)
{
	struct contig_range_info info;
	uint64_t pa = 0;

	for (size_t at = 0; at < len; at += PAGE)
		((volatile char *)va)[at] = 1;
	require(!probe_run(va, len, &pa), "%s: %zu bytes aren't contiguous", what, len);
	pages_lie_on(va, len, node, what);
	for (uint64_t at = pa; at < pa + len; at = (at | (BLOCK - 1)) + 1)
		require(node_by_block(at) == node && node_by_block(pa + len - 1) == node,
			"%s: 0x%" PRIx64 " belongs to node %d, not %d", what, at,
			node_by_block(at), node);
	require(contig_range_check(va, len, &info) == 1, "%s: %s", what,
		contig_strreason());
	require(info.node == node && info.first == pa && info.runs == 1,
		"%s: the library says node %d, 0x%" PRIx64 ", %u runs", what, info.node,
		info.first, info.runs);
	require(contig_virt_to_phys(va) == pa, "%s: translation", what);
}
