/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * DPDK doing the same work, for the benchmarks beside it:
 *
 *	peer_dpdk translate | alloc | alloc-dynamic | start [MIB] |
 *		  longest MIB | longest-legacy MIB
 *
 * Prints "peer", a name, a unit and samples, with tabs between.  Physical
 * addresses (--iova-mode=pa), no devices.
 */
#include "measure.h"

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_malloc.h>
#include <rte_memory.h>
#include <rte_memzone.h>

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#define HUGE_SIZE (UINT64_C(2) << 20)
#define HEADER_ROOM 65536 /* a zone's header mustn't cost it a superpage */
#define MEBIBYTE (UINT64_C(1) << 20)

static void print(const char *name, const char *unit, const struct measure *m)
{
	printf("peer\t%s\t%s", name, unit);
	for (unsigned int i = 0; i < m->n; i++)
		printf("\t%g", m->value[i]);
	printf("\n");
}

/* DPDK leaves files in /run, and --legacy-mem wants a hugetlbfs: both where
 * nobody else sees them and nothing stays. */
static void private_mounts(void)
{
	if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", "/run", "tmpfs", 0, NULL) ||
	    mount("none", "/mnt", "hugetlbfs", 0, "pagesize=2M"))
		die("mounts: %s", strerror(errno));
}

/* mebibytes NULL: nothing is taken at the start; returns milliseconds. */
static double start_eal(const char *mebibytes, bool legacy)
{
	char *argv[16];
	int argc = 0;
	uint64_t start;

	private_mounts();
	argv[argc++] = strdup("peer_dpdk");
	argv[argc++] = strdup("--in-memory");
	argv[argc++] = strdup("--iova-mode=pa");
	argv[argc++] = strdup("--no-pci");
	argv[argc++] = strdup("--no-telemetry");
	argv[argc++] = strdup("--log-level=error");
	if (legacy) {
		/* Not together with --in-memory. */
		free(argv[1]);
		argv[1] = strdup("--legacy-mem");
		argv[argc++] = strdup("--huge-unlink");
	}
	if (mebibytes) {
		argv[argc++] = strdup("-m");
		argv[argc++] = strdup(mebibytes);
	}
	argv[argc] = NULL;
	start = now_ns();
	if (rte_eal_init(argc, argv) < 0)
		die("rte_eal_init: %s", rte_strerror(rte_errno));
	return (double)(now_ns() - start) / 1e6;
}

static void translate(void)
{
	enum { PAGES = 32, ADDRESSES = 1024 };
	static const void *va[ADDRESSES];
	struct measure paged = {0}, heap = {0};
	unsigned char *block[PAGES];

	start_eal("80", false);
	for (int i = 0; i < PAGES; i++) {
		block[i] = rte_malloc(NULL, HUGE_SIZE / 2, 4096);
		if (!block[i])
			die("rte_malloc failed");
	}
	for (int i = 0; i < ADDRESSES; i++)
		va[i] = block[random_next() % PAGES] + random_next() % (HUGE_SIZE / 2);
	cpu_stay_on(0);
	for (unsigned int i = 0; i < 21; i++) {
		uint64_t start = now_ns(), sum = 0;

		for (int j = 0; j < ADDRESSES; j++)
			sum += rte_mem_virt2iova(va[j]);
		opaque(sum);
		measure_add(&paged, (double)(now_ns() - start) / ADDRESSES);
		/* This one takes the start of a block only. */
		start = now_ns();
		for (int j = 0; j < ADDRESSES; j++)
			sum += rte_malloc_virt2iova(block[j % PAGES]);
		opaque(sum);
		measure_add(&heap, (double)(now_ns() - start) / ADDRESSES);
	}
	print("DPDK rte_mem_virt2iova, any address", "ns", &paged);
	print("DPDK rte_malloc_virt2iova, start of a block only", "ns", &heap);
}

static double memzone_pairs(size_t bytes, unsigned int n)
{
	uint64_t start = now_ns();

	for (unsigned int i = 0; i < n; i++) {
		const struct rte_memzone *zone =
			rte_memzone_reserve("bench", bytes, SOCKET_ID_ANY, RTE_MEMZONE_IOVA_CONTIG);

		if (!zone)
			die("rte_memzone_reserve: %s", rte_strerror(rte_errno));
		rte_memzone_free(zone);
	}
	return (double)(now_ns() - start) / n;
}

static double malloc_pairs(size_t bytes, unsigned int n)
{
	uint64_t start = now_ns();

	for (unsigned int i = 0; i < n; i++) {
		void *p = rte_malloc(NULL, bytes, 4096);

		if (!p)
			die("rte_malloc failed");
		keep(p);
		rte_free(p);
	}
	return (double)(now_ns() - start) / n;
}

/*
 * preallocated: as a program does that cares, nothing is mapped or unmapped
 * by a pair.  Otherwise as DPDK does by itself: a heap that is empty again
 * gives its superpages back.
 */
static void alloc(bool preallocated)
{
	static const struct {
		const char *name;
		size_t bytes;
		unsigned int n;
	} sizes[] = {
		{"4 KiB", 4096, 200},
		{"64 KiB", 65536, 100},
		{"2 MiB", HUGE_SIZE, 10},
	};
	const char *how = preallocated ? "preallocated" : "dynamic";
	static struct measure zone, heap;
	char name[64];

	start_eal(preallocated ? "80" : NULL, false);
	cpu_stay_on(0);
	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		/* Physically contiguous needs luck beyond a superpage's insides. */
		bool zones = sizes[s].bytes < HUGE_SIZE;
		unsigned int n = preallocated ? sizes[s].n : 10;

		zone.n = heap.n = 0;
		for (unsigned int i = 0; i < 21; i++) {
			if (zones)
				measure_add(&zone, memzone_pairs(sizes[s].bytes, n));
			measure_add(&heap, malloc_pairs(sizes[s].bytes, n));
		}
		if (zones) {
			snprintf(name, sizeof(name), "DPDK rte_memzone pair, %s, %s", how,
				 sizes[s].name);
			print(name, "ns", &zone);
		}
		snprintf(name, sizeof(name), "DPDK rte_malloc pair, %s, %s", how, sizes[s].name);
		print(name, "ns", &heap);
	}
}

static bool zone_fits(uint64_t pages)
{
	const struct rte_memzone *zone = rte_memzone_reserve(
		"bench", pages * HUGE_SIZE - HEADER_ROOM, SOCKET_ID_ANY, RTE_MEMZONE_IOVA_CONTIG);

	if (zone)
		rte_memzone_free(zone);
	return zone;
}

/* The largest contiguous zone, MiB; from above, as a larger one may fit where
 * a smaller one did not. */
static void longest(const char *mebibytes, bool legacy)
{
	uint64_t pages = strtoull(mebibytes, NULL, 10) * MEBIBYTE / HUGE_SIZE;
	struct measure m = {0};

	start_eal(legacy ? mebibytes : NULL, legacy);
	while (pages && !zone_fits(pages))
		pages--;
	measure_add(&m, (double)(pages * HUGE_SIZE / MEBIBYTE));
	print(legacy ? "DPDK rte_memzone, --legacy-mem" : "DPDK rte_memzone, dynamic memory",
	      "MiB", &m);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "", *mebibytes = argc > 2 ? argv[2] : NULL;
	struct measure m = {0};

	if (!strcmp(what, "translate")) {
		translate();
	} else if (!strcmp(what, "alloc")) {
		alloc(true);
	} else if (!strcmp(what, "alloc-dynamic")) {
		alloc(false);
	} else if (!strcmp(what, "start")) {
		measure_add(&m, start_eal(mebibytes, false));
		print(mebibytes ? "DPDK rte_eal_init with -m" : "DPDK rte_eal_init, no memory taken",
		      "ms", &m);
	} else if (!strcmp(what, "longest") && mebibytes) {
		longest(mebibytes, false);
	} else if (!strcmp(what, "longest-legacy") && mebibytes) {
		longest(mebibytes, true);
	} else {
		die("usage: peer_dpdk translate | alloc | alloc-dynamic | start [MIB] | longest MIB | longest-legacy MIB");
	}
	fflush(stdout);
	rte_eal_cleanup();
	return 0;
}
