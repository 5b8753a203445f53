/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory that is one mapping to the program and several to the kernel.
 *
 * Superpages that were put next to each other in another order than they were
 * taken in can't become one mapping: the kernel remembers where anonymous
 * pages were first touched.  They stay several wherever the program moves
 * them, and in its children.  No call but mremap minds.
 */
#ifndef PRELOAD_PIECES_H
#define PRELOAD_PIECES_H

#include <stddef.h>

/*
 * What mremap does, for what it refused with EFAULT; sizes are whole pages.
 * MAP_FAILED and errno EFAULT also where there is no telling that this was one
 * mapping: a hole, files, differing protection.  Failed: all is as it was, but
 * for what was at new_addr.
 */
void *shim_pieces_remap(void *old, size_t old_len, size_t new_len, int flags,
			void *new_addr);

#endif
