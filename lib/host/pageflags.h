/* SPDX-License-Identifier: BSD-2-Clause */
/* /proc/kpageflags: what a frame is used for.  Root only. */
#ifndef HOST_PAGEFLAGS_H
#define HOST_PAGEFLAGS_H

#include <stdbool.h>
#include <stdint.h>

/* Open it.  fd or -errno. */
int contig_pageflags_open(void);

/* Whether a hugetlb page of size bytes starts at frame, in use or free.
 * 1 yes, 0 no, -errno. */
int contig_pageflags_is_hugetlb(int fd, uint64_t frame, uint64_t size);

/* Whether frame can be the first of a free hugetlb page: one that nobody maps
 * and that isn't known to be bad.  One read, so the size isn't looked at.
 * 1 yes, 0 no, -errno. */
int contig_pageflags_may_be_free_hugetlb(int fd, uint64_t frame);

#endif
