/* SPDX-License-Identifier: BSD-2-Clause */
/* Private to superpage*.c: the staging mapping under a batch. */
#ifndef HOST_SUPERPAGE_STAGE_H
#define HOST_SUPERPAGE_STAGE_H

#include "host/superpage.h"

/* A zeroed array of n pages, not from malloc.  0/-errno. */
int contig_superpage_array(struct superpage_batch *batch, size_t n);

/*
 * The mapping for request.count superpages, aligned, with nothing in it and
 * nothing reserved for it, bound to request.node; the memfd when shared.
 * 0/-errno with a reason and nothing kept.
 */
int contig_superpage_stage(struct superpage_batch *batch);

/* After the touch: the staging mapping's own advice is taken back. */
void contig_superpage_unadvise(struct superpage_batch *batch);

/* Give the memory of pages[i] back; the entry stays. */
void contig_superpage_unstage(struct superpage_batch *batch, size_t i);

/* Forget entries without a staging address; keeps the order of the others. */
void contig_superpage_squeeze(struct superpage_batch *batch);

/* Ascending by index. */
void contig_superpage_sort_index(struct superpage_batch *batch);

#endif
