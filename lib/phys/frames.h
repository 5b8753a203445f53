/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames of this process's memory, pool or not.  fork(2) doesn't copy page
 * tables of shared files: in a child, pool memory is absent until touched.
 */
#ifndef PHYS_FRAMES_H
#define PHYS_FRAMES_H

#include <stddef.h>
#include <stdint.h>

/* Like contig_pagemap_read(), with pool memory faulted in first where it is
 * absent; the simulated level answers from its description. */
int contig_frames_read(int pagemap, uintptr_t va, size_t n, uint64_t *frames);

#endif
