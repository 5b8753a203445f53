/* SPDX-License-Identifier: BSD-2-Clause */
/* /proc/buddyinfo: how many free blocks the kernel itself could make
 * superpages of, without compacting. */
#ifndef TOOLS_BUDDY_H
#define TOOLS_BUDDY_H

#include <stdint.h>

/*
 * Free superpages in zones named zone (NULL: all) of node (-1: all).
 * 0/-errno.
 */
int buddy_superpages(const char *zone, int node, uint64_t *superpages);

#endif
