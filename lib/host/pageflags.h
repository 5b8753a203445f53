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

#endif
