/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether a search among the kernel's free superpages will end well, before
 * all of it is made: the kernel gives them in an order of its own and zeroes
 * each.
 */
#ifndef PHYS_OUTLOOK_H
#define PHYS_OUTLOOK_H

#include "phys/candidates.h"
#include "phys/pool.h"

#include <stdbool.h>

/*
 * False: the free 2 MiB pages of the hugetlb pool (free_pages of them), the
 * candidates and what the pool (c->pool) holds free have no run that meets the
 * request, on any node.  True: there may be one; always where /proc/kpageflags
 * can't be read, shows fewer free pages than there are, or would cost as much
 * to read as they to take.
 */
bool contig_outlook_good(struct candidates *c, const struct frame_request *request,
			 size_t free_pages);

/*
 * Whether so many superpages in a row are likely among most, after what the
 * first of them are like, but for alone of them that lie alone.  Where memory
 * is in pieces a run of many is found only when nearly all was taken.
 */
bool contig_outlook_likely(const struct candidates *c, size_t alone, size_t need, size_t most);

#endif
