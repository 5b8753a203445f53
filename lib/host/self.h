/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which process this is, without a system call, and also in a child that no
 * handler of fork(2) saw (a bare clone(2), _Fork(3)): its memory is a copy, and
 * what it finds noted there may be its parent's.
 */
#ifndef HOST_SELF_H
#define HOST_SELF_H

#include <stdint.h>

/*
 * A number that is another one in a child than in its parents; never 0.
 * Processes that share their memory (vfork(2), CLONE_VM) share it.  Any
 * thread, any time, also in a signal handler.
 */
uint32_t contig_self(void);

#endif
