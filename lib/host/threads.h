/* SPDX-License-Identifier: BSD-2-Clause */
/* Whether anybody else runs in this process's memory. */
#ifndef HOST_THREADS_H
#define HOST_THREADS_H

#include <signal.h>
#include <stdbool.h>

/*
 * No other thread: as the kernel counts them, io_uring's workers included.  A
 * thread that was joined may be counted for a moment more; with wait, it is
 * waited for, a few milliseconds.  Where /proc is missing, the C library's
 * word counts.  Not seen is who shares the memory without being a thread
 * (clone(2) with CLONE_VM alone).
 */
bool contig_threads_alone(bool wait);

/* All signals, those that the C library keeps for itself included. */
void contig_signals_block(sigset_t *old);
void contig_signals_restore(const sigset_t *old);

#endif
