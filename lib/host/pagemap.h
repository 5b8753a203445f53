/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * /proc/PID/pagemap.  A frame is known, hidden (present, but the kernel shows
 * frame 0 because the opener lacks CAP_SYS_ADMIN in the initial user
 * namespace) or absent.  A hidden frame is never 0.
 */
#ifndef HOST_PAGEMAP_H
#define HOST_PAGEMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define FRAME_ABSENT UINT64_MAX       /* nothing mapped, or not present */
#define FRAME_HIDDEN (UINT64_MAX - 1) /* present, number withheld */
#define FRAME_SWAPPED (UINT64_MAX - 2)
#define frame_is_known(f) ((f) < FRAME_SWAPPED)

/* Open pagemap of pid (0: this process).  fd or -errno.  A descriptor keeps
 * its opener's rights and shows the opener after fork. */
int contig_pagemap_open(pid_t pid);

/* Frames of n base pages from va (page-aligned) on.  Batches; a short read
 * past the end of the address space is FRAME_ABSENT.  0/-errno. */
int contig_pagemap_read(int fd, uintptr_t va, size_t n, uint64_t *frames);

/* This process, one page, through a descriptor that is opened for the call.
 * Frame or a FRAME_ constant; FRAME_ABSENT with errno set when pagemap can't
 * be read at all. */
uint64_t contig_pagemap_frame(const void *va);

/* Whether this process can see frames: reads one of its own. true/false. */
bool contig_pagemap_visible(void);

/* The same, with what can't be told kept apart: 0 visible, 1 hidden (so the
 * kernel says), or the -errno of reading pagemap (EMFILE, ENOENT, ...). */
int contig_pagemap_hidden(void);

/*
 * Whether [va, va + len) of this process is mapped by superpages throughout:
 * PAGEMAP_SCAN's PAGE_IS_HUGE (no privilege).  1 yes, 0 no, -EOPNOTSUPP where
 * the kernel has no PAGEMAP_SCAN, or another -errno.
 */
int contig_pagemap_is_huge(const void *va, size_t len);

#endif
