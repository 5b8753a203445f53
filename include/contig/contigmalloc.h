/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * contigmalloc(9) and contigfree(9) of FreeBSD 13/14 for user space, with
 * malloc types and domain sets.  Every function here may be called from any
 * thread; none is async-signal-safe.  After fork(2) both processes go on:
 * memory from the default pool is shared with the child, and what the child
 * allocates afterwards is its own.  See contigmalloc(3).
 */
#ifndef CONTIG_CONTIGMALLOC_H
#define CONTIG_CONTIGMALLOC_H

#include <contig/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Flags; values as in FreeBSD's sys/malloc.h.  Unknown bits are ignored. */
#ifndef M_NOWAIT
#define M_NOWAIT 0x0001 /* never reclaim: only memory that is at hand */
#endif
#ifndef M_WAITOK
#define M_WAITOK 0x0002 /* up to 3 reclaims; never blocks for ever */
#endif
#ifndef M_ZERO
#define M_ZERO 0x0100 /* bytes are zero */
#endif
#ifndef M_USE_RESERVE
#define M_USE_RESERVE 0x0400 /* with M_NOWAIT: may use the pool's reserve */
#endif
#ifndef M_NODUMP
#define M_NODUMP 0x0800 /* leave out of core dumps */
#endif

/*
 * A malloc type labels allocations for statistics; it need not be registered.
 * It must outlive every call that names it.  Fields are private.
 */
struct malloc_type {
	const char *ks_shortdesc; /* name, as vmstat -m prints it */
	const char *ks_longdesc;
	unsigned int ks_id; /* 0 until first use; set by the library */
	unsigned int ks_reserved[3];
};

#define MALLOC_DECLARE(type) extern struct malloc_type type[1]
#define MALLOC_DEFINE(type, shortdesc, longdesc) \
	struct malloc_type type[1] = {{(shortdesc), (longdesc), 0, {0, 0, 0}}}

MALLOC_DECLARE(M_DEVBUF); /* device driver memory */
MALLOC_DECLARE(M_TEMP);   /* temporary buffers */

/*
 * A set of NUMA nodes to allocate from: one node only, one node first, or
 * all in turn.  Mirrors FreeBSD's domainset(9).  The three constructors
 * return objects with static lifetime, or NULL with EINVAL when there is no
 * such node.
 */
struct domainset;
const struct domainset *contig_domainset_fixed(int node);
const struct domainset *contig_domainset_pref(int node);
const struct domainset *contig_domainset_rr(void);
#define DOMAINSET_FIXED(node) contig_domainset_fixed(node)
#define DOMAINSET_PREF(node) contig_domainset_pref(node)
#define DOMAINSET_RR() contig_domainset_rr()

/*
 * Allocate size bytes (rounded up to whole pages) of physically contiguous,
 * wired memory at a physical address pa with
 *   low <= pa,  pa + round_page(size) <= high   (high is EXCLUSIVE),
 *   pa a multiple of alignment (0 counts as 1; never below a page),
 *   and no multiple of boundary inside the block (0: no boundary).
 * alignment and boundary are powers of two.
 *
 * Returns the block, owned by the caller until contigfree(), or NULL with
 * errno ENOMEM (none to be had now), ERANGE (no memory of this machine can
 * meet the constraints) or EPERM (a constraint on physical addresses, and
 * this process can't see them); contig_strreason() says more.
 * size 0, or an alignment or boundary that is not a power of two, panics.
 */
void *contigmalloc(unsigned long size, struct malloc_type *type, int flags,
		   vm_paddr_t low, vm_paddr_t high, unsigned long alignment,
		   vm_paddr_t boundary);

/* The same, from the nodes of ds. */
void *contigmalloc_domainset(unsigned long size, struct malloc_type *type,
			     const struct domainset *ds, int flags,
			     vm_paddr_t low, vm_paddr_t high,
			     unsigned long alignment, vm_paddr_t boundary);

/*
 * Free a block.  NULL is ignored.  A size other than the one allocated gets
 * a diagnostic and the whole block is freed.  A pointer that is not the
 * start of a live block panics.
 */
void contigfree(void *addr, unsigned long size, struct malloc_type *type);

/* Free a block without knowing its size, as free(9) does in FreeBSD 14. */
void contig_free(void *addr);

/* Bytes usable at addr (round_page of the size), or 0 with errno EINVAL. */
size_t contig_usable_size(const void *addr);

/* What vmstat -m shows of a type. */
struct contig_type_stats {
	char name[32];
	uint64_t inuse;    /* blocks now allocated */
	uint64_t memuse;   /* bytes now allocated, whole pages */
	uint64_t requests; /* successful allocations ever */
	uint64_t highwater; /* most bytes at once; exact for one thread, else
			     * within 2 MiB for each other thread */
	uint64_t reserved[4];
};

/*
 * Statistics of the index'th type used so far (0, 1, ...).  Returns 0, or -1
 * with errno ENOENT past the last one.
 */
int contig_type_stats_get(unsigned int index, struct contig_type_stats *out);

#ifdef __cplusplus
}
#endif
#endif
