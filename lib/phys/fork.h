/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fork(2).  The parent keeps its pools; what was mapped is from now on never
 * trimmed and never believed zero, since a child may write it.  The child
 * keeps the default pool's memory in view but allocates only from memory it
 * takes itself.  A child made by a bare clone(2) is not seen: it must not
 * call the library.
 */
#ifndef PHYS_FORK_H
#define PHYS_FORK_H

/* Register the handlers, once, at load.  0/-errno. */
int contig_fork_init(void);

#endif
