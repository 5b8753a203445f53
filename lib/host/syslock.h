/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One reclaim at a time on the whole machine: flock(2) on the kernel's
 * hugepages directory, which works for every user.
 */
#ifndef HOST_SYSLOCK_H
#define HOST_SYSLOCK_H

/* Wait up to timeout_ms (0: only try).  A descriptor to drop, -ETIMEDOUT,
 * or -errno where there is nothing to lock (callers then go on without). */
int contig_syslock_take(int timeout_ms);
void contig_syslock_drop(int lock);

#endif
