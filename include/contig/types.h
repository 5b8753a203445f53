/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Types shared by every libcontig header.  All sizes, lengths and addresses
 * are bytes unless a name says "frames" or "npages" (base pages of 4 KiB).
 */
#ifndef CONTIG_TYPES_H
#define CONTIG_TYPES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A physical address.  Not a bus address: see libcontig(7), "IOMMU". */
typedef uint64_t vm_paddr_t;

/* "No address": the frame is absent, hidden from this process, or not ours. */
#define CONTIG_PADDR_NONE ((vm_paddr_t)-1)

/* What this process knows of physical addresses. */
enum contig_level {
	CONTIG_LEVEL_PHYSICAL = 0, /* frames read from pagemap */
	CONTIG_LEVEL_HIDDEN = 1,   /* the kernel hides frames from us; only
				    * what a superpage guarantees is known */
	CONTIG_LEVEL_SIMULATED = 2 /* CONTIG_SIM: a described machine made of
				    * ordinary memory; never for devices */
};

/* How firmly memory stays in its frames. */
enum contig_wiring {
	CONTIG_WIRING_NONE = 0,     /* may be swapped or migrated */
	CONTIG_WIRING_RESIDENT = 1, /* never swapped; the kernel may migrate it */
	CONTIG_WIRING_PINNED = 2    /* a kernel reference keeps the frame */
};

/* Where superpages may come from; a bit mask. */
enum contig_source {
	CONTIG_SOURCE_2M = 1 << 0,  /* hugetlb pages of the superpage size */
	CONTIG_SOURCE_1G = 1 << 1,  /* hugetlb pages of 1 GiB */
	CONTIG_SOURCE_THP = 1 << 2, /* shared memory collapsed to superpages */
	CONTIG_SOURCE_ALL = 7
};

/* How far an allocation may go to make the kernel's pools larger. */
enum contig_grow {
	CONTIG_GROW_NEVER = 0,      /* only what is free now */
	CONTIG_GROW_OVERCOMMIT = 1, /* surplus pages within nr_overcommit */
	CONTIG_GROW_SYSTEM = 2      /* raise pools, compact, demote 1 GiB pages;
				     * every setting is put back */
};

/* What a forked child gets of a pool. */
enum contig_fork {
	CONTIG_FORK_SHARE = 0,  /* the same frames, shared and still pinned */
	CONTIG_FORK_ISOLATE = 1 /* nothing: touching it there is SIGSEGV */
};

struct contig_pool;
typedef struct contig_pool contig_pool_t;

#ifdef __cplusplus
}
#endif
#endif
