/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Getting more memory for a request: what FreeBSD's vm_page_reclaim_contig()
 * is to contigmalloc().  Three passes, each harder on the system:
 *   0  superpages that are free in the kernel's pools now;
 *   1  surplus pages (CONTIG_GROW=overcommit), collapsed shared memory, and
 *      a 1 GiB page for a small request;
 *   2  CONTIG_GROW=system: compact, grow pools, demote 1 GiB pages.
 * A pass takes more than it needs, keeps what meets the request and gives
 * the rest back; all under the system-wide lock and within a budget.
 */
#ifndef PHYS_RECLAIM_H
#define PHYS_RECLAIM_H

#include "phys/pool.h"

#include <stdbool.h>
#include <stddef.h>

#define RECLAIM_PASSES 3

/* One reclaim, trim, reserve or fork at a time in this process. */
extern struct lock contig_reclaim_lock;

/* Privileges were dropped since the start: the frames of new memory can't be
 * seen any more, so none of it could be placed. */
bool contig_reclaim_blinded(void);

/* Runs one pass.  Superpages that came in; 0 with a reason when none did. */
size_t contig_reclaim(struct contig_pool *pool, const struct frame_request *request,
		      unsigned int pass);

/* What M_NOWAIT may do: a small step of pass 0, and no waiting for locks or
 * for pages that come back late. */
size_t contig_reclaim_nowait(struct contig_pool *pool, const struct frame_request *request);

/* The same for a request that is strict for the node it would rather have,
 * before it takes what there is elsewhere; if it may wait, for the lock and
 * with collapsing.  *looked: none came because the node has none. */
size_t contig_reclaim_near(struct contig_pool *pool, const struct frame_request *request,
			   bool *looked);

/* Take superpages, wherever they lie, until frames are free.  0, -ENOMEM, or
 * -EPERM when blinded. */
int contig_reclaim_reserve(struct contig_pool *pool, uint64_t frames);

/* The ways of this thread's last passes that failed, for the reason. */
const char *contig_reclaim_why(void);
void contig_reclaim_why_clear(void);

#endif
