/* SPDX-License-Identifier: BSD-2-Clause */
/* Giving memory back: whole free superpages, or a whole pool. */
#ifndef PHYS_TRIM_H
#define PHYS_TRIM_H

#include "phys/pool.h"

#include <stdint.h>

/* Whole free superpages of all pools go back to the kernel; bytes. */
uint64_t contig_trim_pools(void);

/*
 * The same of one pool, until no more than keep bytes are free in it.  Without
 * wait nothing happens while another thread reclaims.
 */
uint64_t contig_trim_pool(struct contig_pool *pool, uint64_t keep, bool wait);

/* All of a pool's memory goes, used or not, and the pool leaves the list.
 * Memory that a forked child may be using is unmapped here and stays there.
 * Frames that were in use. */
uint64_t contig_trim_destroy(struct contig_pool *pool);

#endif
