/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Getting superpages from the kernel without ever dying of it: failure is an
 * error return, never SIGBUS, never an OOM kill, under hugetlb and memory
 * cgroup limits too.
 *
 * A batch is a staging mapping of superpages that were faulted in and whose
 * frames were read.  The caller chooses among them, gives the rest back,
 * pins (pin.h) through the staging addresses, has the frames read again and
 * maps each kept superpage at its final address; then drops the staging
 * mapping and the descriptor.  Memory fresh from the kernel is zero.
 *
 * Nothing here calls malloc, so that a heap can be made of it; only threads
 * do (pthread_create allocates): ask for threads = 1 inside an allocator.
 * A batch belongs to one thread at a time.
 */
#ifndef HOST_SUPERPAGE_H
#define HOST_SUPERPAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum superpage_kind {
	SUPERPAGE_HUGETLB,  /* MAP_HUGETLB pages of page_size */
	SUPERPAGE_COLLAPSED /* shmem touched, then MADV_COLLAPSE (2 MiB only) */
};

struct superpage_request {
	enum superpage_kind kind;
	uint64_t page_size; /* bytes: 2 MiB or 1 GiB */
	bool shared;        /* memfd, MAP_SHARED; else anonymous, private: when
			     * not pinned, the owner's write after a fork is
			     * SIGBUS if the pool has no page for the copy */
	size_t count;       /* how many at most */
	int node;           /* bind to this node; -1 no binding */
	unsigned int threads; /* for first touch; 0: choose; 1: the caller */
	bool surplus;       /* hugetlb: may go beyond the free pages */
	bool nowait;        /* don't wait for pages that come back late */
	bool sealable;      /* shared: the memfd takes seals */
	size_t enough;      /* hugetlb: wait for them while fewer are free */
	uint64_t until;     /* CLOCK_MONOTONIC, ns: then those that came do, at
			     * least one; 0: all */
};

struct superpage {
	void *staging;  /* its address in the staging mapping; NULL: given back,
			 * or private and moved to its final address */
	uint64_t index; /* its place in the file or mapping, in pages */
	uint64_t frame; /* first frame, or FRAME_HIDDEN */
	bool mapped;    /* contig_superpage_map() put it somewhere */
};

struct superpage_batch {
	struct superpage_request request; /* count: what was really asked for */
	int fd;            /* memfd, -1 when private */
	void *staging;
	size_t staging_len;
	size_t n;          /* superpages obtained, given back ones included */
	struct superpage *pages;
	size_t pages_len;  /* bytes of pages' own mapping */
};

/*
 * Obtain up to request->count superpages.  Returns 0 with batch->n >= 1
 * (perhaps fewer than asked), or -errno with nothing kept: -ENOMEM none
 * free, -EPERM/-EINVAL not possible here (contig_reason says why).
 * Without surplus at most the free, unreserved hugetlb pages are asked for;
 * two takers at once can still drive one of them into nr_overcommit (hold
 * the syslock to exclude it).  Memory that is not in a pool yet (collapsed,
 * surplus) is taken only as far as contig_superpage_room() goes.  An empty
 * pool (or one with less than enough) is watched for 100 ms, because pinned
 * pages of a process that just exited arrive late; not again within a second.
 */
int contig_superpage_take(const struct superpage_request *request,
			  struct superpage_batch *batch);

/* Bytes of ordinary memory that may be turned into superpages: what machine
 * and (memcg) cgroup have, less a margin that is never taken. */
uint64_t contig_superpage_room(bool memcg);
/* The same with memcg; where there is plenty, as it was some milliseconds ago. */
uint64_t contig_superpage_room_lately(void);

/* Read the frames again (after pinning).  0/-errno; a superpage that turns
 * out not to be one is an -EIO.  Where frames are hidden, collapsed pages are
 * proved by PAGE_IS_HUGE; without PAGEMAP_SCAN (before Linux 6.7) the word of
 * MADV_COLLAPSE stands. */
int contig_superpage_resolve(struct superpage_batch *batch);

/* Ascending by frame, then by index; pages given back come last. */
void contig_superpage_sort(struct superpage_batch *batch);

/*
 * Make file order equal frame order, by giving all pages back in descending
 * order and faulting them again (the kernel's free list is LIFO), so that a
 * run becomes one mapping.  Hugetlb only; costs a second zeroing.  Call it
 * before pinning and before mapping.  0 when the batch is still whole: in
 * order as a rule, but that is for the caller to look at, and untouched where
 * freed pages would not come back (surplus pages exist: the kernel destroys
 * what is freed).  -errno when pages were lost (batch->n says how many are
 * left; it can be 0).  Leaves the pages sorted by index; those given back
 * before leave the batch.
 */
int contig_superpage_reorder(struct superpage_batch *batch);

/* Give back page i (its staging becomes NULL).  Descending frame order keeps
 * the kernel's list in order.  Nothing happens to pages already mapped. */
void contig_superpage_give_back(struct superpage_batch *batch, size_t i);

/*
 * Map pages[first..first + count) at va, one after another (they are
 * consecutive in frame or the caller wants them so), populated, read-write.
 * Neighbours in the file become one mapping.  va is aligned to the page size
 * and lies in a PROT_NONE reservation.  0/-errno; on error nothing of them is
 * mapped at va (PROT_NONE stays); private pages that had been moved already
 * are then given back.
 */
int contig_superpage_map(struct superpage_batch *batch, size_t first,
			 size_t count, void *va);

/* Touch all of a shared mapping.  0/-errno. */
int contig_superpage_populate(void *va, size_t len);

/* Drop staging mapping and descriptor; frees batch->pages.  Pages not mapped
 * elsewhere are given back first, last to first.  Harmless on a batch that
 * contig_superpage_take() failed on. */
void contig_superpage_drop(struct superpage_batch *batch);

/*
 * Release count mapped superpages at va for good: the frames go back to the
 * kernel (punched for shared memory) and va becomes PROT_NONE, NORESERVE
 * again.  0/-errno; on error the range stays mapped but its content may be
 * gone.  Memory that was mlocked is unlocked.
 */
int contig_superpage_release(void *va, uint64_t page_size, size_t count, bool shared);

#endif
