/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Other people's allocators, where they are installed: found while the program
 * runs, so that it depends on none of them.  Only in a process of their own
 * (bench_apart.h).
 */
#ifndef TOOLS_BENCH_PEER_H
#define TOOLS_BENCH_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* It has to be there when the program starts: too much of its thread-local
 * storage is static for dlopen(3). */
#define PEER_JEMALLOC "libjemalloc.so.2"

/* Whether malloc is jemalloc's here. */
bool peer_malloc_is_jemalloc(void);

/* What DPDK's ABI policy has kept since 20.11 at least. */
struct peer_dpdk {
	int (*eal_init)(int argc, char **argv);
	void *(*malloc)(const char *type, size_t size, unsigned int align);
	void (*free)(void *p);
	uint64_t (*malloc_virt2iova)(const void *p);
	uint64_t (*mem_virt2iova)(const void *p);
	const void *(*memzone_reserve)(const char *name, size_t len, int socket,
				       unsigned int flags);
	int (*memzone_free)(const void *zone);
};

#define DPDK_ANY_SOCKET (-1)	    /* SOCKET_ID_ANY */
#define DPDK_CONTIGUOUS 0x00100000u /* RTE_MEMZONE_IOVA_CONTIG */
#define DPDK_HEAP (UINT64_C(48) << 20) /* for single calls: none of them maps anything */
#define DPDK_NO_ADDRESS UINT64_MAX  /* RTE_BAD_IOVA */

/*
 * Start DPDK with so many bytes of hugetlb memory, physical addresses, no
 * drivers, no devices; its files lie where only this process sees them, and go with it.
 * false: why says what is missing, or DPDK printed it.
 */
bool peer_dpdk_open(struct peer_dpdk *peer, uint64_t bytes, char *why, size_t len);

/* Where a zone's memory is. */
const void *peer_dpdk_zone_address(const void *zone);

#endif
