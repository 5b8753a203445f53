/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pools, configuration and statistics.  See libcontig(7).
 */
#ifndef CONTIG_POOL_H
#define CONTIG_POOL_H

#include <contig/contigmalloc.h>
#include <contig/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Settings of the library.  Start from contig_config_get(), change, pass to
 * contig_configure() before the first allocation.  Structures that begin with
 * struct_size only ever grow at their end.
 */
struct contig_config {
	size_t struct_size;    /* sizeof(struct contig_config) */
	unsigned int sources;  /* mask of enum contig_source */
	enum contig_grow grow;
	enum contig_fork fork; /* of the default pool */
	int node;              /* preferred NUMA node, -1: the caller's */
	uint64_t reserve;      /* bytes to take at start */
	uint64_t limit;        /* most bytes of superpages held; 0: none */
	uint64_t reclaim_max;  /* most bytes a reclaim may hold for a moment;
				* 0: a quarter of what machine and cgroup have */
	int panic_errno;       /* panics become error returns */
};

/* The settings in force: environment, then contig_configure().  Set
 * out->struct_size to sizeof(struct contig_config) first. */
void contig_config_get(struct contig_config *out);

/*
 * Returns 0, or -1 with errno EINVAL (contig_strreason() names the field) or
 * EBUSY (the library is in use already).
 */
int contig_configure(const struct contig_config *config);

/* Who may see a pool's memory; see libcontig(7), "Pools". */
enum contig_pool_kind {
	CONTIG_POOL_DEFAULT = 0, /* shared with forked children */
	CONTIG_POOL_PRIVATE = 1, /* copy-on-write at fork, this process alone */
	CONTIG_POOL_SHAREABLE = 2 /* may be inserted in other processes */
};

/* What is promised of a shareable pool's memory in other processes; chosen
 * when the pool is made.  See vma(7), "Threats". */
enum contig_share_mode {
	CONTIG_SHARE_REVOCABLE = 0, /* peers may write; pages can be taken back;
				     * a peer can destroy their content */
	CONTIG_SHARE_READONLY = 1,  /* sealed: nobody else can ever write */
	CONTIG_SHARE_FIXED = 2      /* peers write; then sealed: content can't be
				     * punched away, frames stay */
};

struct contig_pool_attr {
	size_t struct_size; /* sizeof(struct contig_pool_attr) */
	const char *name;   /* copied; may be NULL */
	enum contig_pool_kind kind;
	enum contig_fork fork;
	unsigned int sources; /* 0: as configured; of a shareable pool:
			       * collapsed memory, which can be mapped page by
			       * page (hugetlb only in whole superpages) */
	int node;             /* only this node; -1: any */
	uint64_t limit;       /* bytes; 0: the library's */
	enum contig_share_mode mode; /* of a shareable pool; else 0 */
};

/*
 * A new empty pool, or NULL with errno EINVAL or ENOMEM.  The caller owns it
 * until contig_pool_destroy().
 */
contig_pool_t *contig_pool_create(const struct contig_pool_attr *attr);

/*
 * Give all memory of a pool back.  Blocks still allocated are reported on
 * stderr and vanish with it.
 */
void contig_pool_destroy(contig_pool_t *pool);

/* contigmalloc() from a given pool; NULL is the default pool. */
void *contig_pool_malloc(contig_pool_t *pool, unsigned long size,
			 struct malloc_type *type, int flags, vm_paddr_t low,
			 vm_paddr_t high, unsigned long alignment,
			 vm_paddr_t boundary);

/*
 * Take superpages now until at least bytes are free in the default pool, so
 * that M_NOWAIT succeeds later.  Returns 0, or -1 with errno ENOMEM and what
 * could be taken kept, or EPERM when privileges were dropped since the start.
 */
int contig_reserve(size_t bytes);

/*
 * Give whole free superpages back to the kernel; the bytes given back.  They
 * reach the kernel's pool within about 100 ms.  Memory that was shared with a
 * child at a fork(2) stays for good: the child may be using it.
 */
size_t contig_trim(void);

/* Why the last call of this thread failed, in words; "" if none did. */
const char *contig_strreason(void);

/*
 * Called with one line of text on a programming error, instead of aborting;
 * if it returns, the call returns its error with EINVAL.  NULL restores the
 * default.  Returns the handler replaced.
 */
typedef void (*contig_panic_handler)(const char *message);
contig_panic_handler contig_set_panic_handler(contig_panic_handler handler);

/* Counters of this process; X(name, what it counts). */
#define CONTIG_STATS_COUNTERS(X)                                              \
	X(held, "bytes of superpages held")                                   \
	X(allocated, "bytes in live blocks")                                  \
	X(cached, "bytes in per-thread caches")                               \
	X(free, "bytes free")                                                 \
	X(largest_free, "longest free run, bytes")                            \
	X(pinned, "bytes wired: pinned")                                      \
	X(resident, "bytes wired: resident")                                  \
	X(unwired, "bytes not wired")                                         \
	X(superpages_2m, "hugetlb superpages of 2 MiB held")                  \
	X(superpages_1g, "hugetlb superpages of 1 GiB held")                  \
	X(superpages_thp, "collapsed superpages held")                        \
	X(requests, "allocations that succeeded")                             \
	X(failures, "allocations that failed")                                \
	X(reclaims, "reclaim passes")                                         \
	X(taken, "superpages taken from the kernel, ever")                    \
	X(returned, "superpages given back, ever")                            \
	X(metadata, "bytes of the library's own tables, resident at most")

struct contig_stats {
	size_t struct_size; /* sizeof(struct contig_stats), set by the caller */
	enum contig_level level;
#define CONTIG_STATS_FIELD(name, text) uint64_t name;
	CONTIG_STATS_COUNTERS(CONTIG_STATS_FIELD)
#undef CONTIG_STATS_FIELD
};

void contig_stats_get(struct contig_stats *out);

#ifdef __cplusplus
}
#endif
#endif
