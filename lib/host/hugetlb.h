/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel's hugetlb pools: sizes, counters per node, growth, demotion,
 * compaction, mounts.  Changes that must not outlive their maker go through
 * hugetlb_raise()/restore().
 */
#ifndef HOST_HUGETLB_H
#define HOST_HUGETLB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HUGETLB_ALL_NODES (-1)

struct hugetlb_counts {
	uint64_t total;      /* nr_hugepages */
	uint64_t free;
	uint64_t reserved;   /* promised to mappings; 0 for one node */
	uint64_t surplus;
	uint64_t overcommit; /* nr_overcommit_hugepages; 0 for one node */
};

/* Page sizes in bytes, ascending; how many, or -errno.  (libhugetlbfs'
 * gethugepagesizes() on the real root.) */
int contig_hugetlb_sizes(uint64_t *sizes, int max);

/* Counters of one size on one node, or on all.  0, -ENOENT, -errno. */
int contig_hugetlb_counts(uint64_t size, int node, struct hugetlb_counts *out);

/* The sysfs file of a size, on one node or on all, in buf. */
void contig_hugetlb_file(char *buf, size_t len, uint64_t size, int node, const char *file);

/* Set nr_hugepages; *got (may be NULL) is what the kernel then has, surplus
 * included.  0 even when the kernel gave fewer; -errno when nothing could be
 * written (-EACCES: not root, -EROFS: read-only /sys; contig_reason says). */
int contig_hugetlb_resize(uint64_t size, int node, uint64_t total, uint64_t *got);

/* Set nr_overcommit_hugepages.  0/-errno. */
int contig_hugetlb_overcommit(uint64_t size, uint64_t pages);

/* Demote n free pages of size to the kernel's demote_size.  0, -EOPNOTSUPP
 * without a demote file, -errno. */
int contig_hugetlb_demote(uint64_t size, int node, uint64_t n);
/* Bytes of the pages that a demoted page becomes.  0, -EOPNOTSUPP, -errno. */
int contig_hugetlb_demote_size(uint64_t size, uint64_t *out);

/* Compact the whole machine's memory or one node's.  0/-errno. */
int contig_hugetlb_compact(int node);

/*
 * Raise a pool for a moment, safe against the death of this process at any
 * instant (kill -9 included): a guard process, which holds nothing but a
 * socket, takes our changes back when this process stops it or dies.  Pages
 * that are in use by then become surplus and vanish with their owner.
 * Several sizes and nodes can be under guard at once; a size is guarded
 * either globally or per node.  The caller holds the syslock and keeps fork
 * out (a child would not hold the pool up, but it would inherit the guard's
 * socket).  One thread at a time uses a guard.
 *
 * What is taken back is what we changed, as a difference: when somebody else
 * changed the number meanwhile, their change stays.
 *
 * The guard dies too when the whole control group or PID namespace is killed
 * at once, and when the OOM killer picks this process (it kills every
 * process that shares the memory): then the pool stays raised.
 */
struct hugetlb_guard;
struct hugetlb_guard *contig_hugetlb_guard_start(void); /* NULL: errno */
/* As contig_hugetlb_resize(), but never lowers: 0 and nothing changed when
 * the pool is that large already. */
int contig_hugetlb_guard_raise(struct hugetlb_guard *g, uint64_t size, int node,
			       uint64_t total, uint64_t *got);
/* As contig_hugetlb_demote(): the smaller pages are taken back at the end,
 * the larger ones not made again beyond what was there before the guard. */
int contig_hugetlb_guard_demote(struct hugetlb_guard *g, uint64_t size, int node, uint64_t n);
/* Takes all changes back and frees g.  0, or -errno when a pool could not be
 * set back.  In a forked child it only frees g.  NULL is allowed. */
int contig_hugetlb_guard_stop(struct hugetlb_guard *g);

/* Where hugetlbfs of this size is mounted (libhugetlbfs'
 * hugetlbfs_find_path_for_size() on the real root); 0, -ENOENT, -errno. */
int contig_hugetlb_mount(uint64_t size, char *path, size_t len);

/* Pages this process's cgroups still allow (hugetlb limit and rsvd.limit,
 * v1 and v2, every level up); UINT64_MAX when there is no limit. */
uint64_t contig_hugetlb_cgroup_room(uint64_t size);

#endif
