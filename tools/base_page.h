/* SPDX-License-Identifier: BSD-2-Clause */
/* Page sizes of the machine that is looked at: this one's, or a captured
 * one's, whose pages may be larger. */
#ifndef TOOLS_BASE_PAGE_H
#define TOOLS_BASE_PAGE_H

#include "host/topology.h"

#include <stdint.h>

/*
 * Bytes of a base page.  A tree of "contig capture" says it in
 * contig/page_size; of another it is the smallest of 4K, 16K and 64K with
 * which the zones hold what /proc/meminfo has, or reach to the end of RAM.
 */
uint64_t base_page_size(const struct host_topology *topology);

/* Hugepagesize of /proc/meminfo, which is what a page middle directory
 * reaches where hugetlb's default was not changed; else computed. */
uint64_t base_superpage_size(uint64_t page);

#endif
