/* SPDX-License-Identifier: BSD-2-Clause */
/* /proc/buddyinfo: how many free blocks the kernel itself could make
 * superpages of, without compacting. */
#ifndef HOST_BUDDY_H
#define HOST_BUDDY_H

#include <stdint.h>

/*
 * Free superpages in zones named zone (NULL: all) of node (-1: all).
 * 0/-errno.
 */
int contig_buddy_superpages(const char *zone, int node, uint64_t *superpages);

/* Those of them that lie alone: the kernel gives them before it breaks larger
 * blocks up.  0 where it can't be told. */
uint64_t contig_buddy_lone_superpages(int node);

#endif
