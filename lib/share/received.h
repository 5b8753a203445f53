/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A descriptor that a peer sent, before anything is mapped of it: a file of
 * memory that can't shrink under us, and that keeps what its mode promises.
 * Nothing here can stall: no file system of a user's own is asked.
 */
#ifndef SHARE_RECEIVED_H
#define SHARE_RECEIVED_H

#include "share/files.h"
#include "share/wire.h"

/*
 * Fill file's size, mode, hugetlb and sealed.  writable: it is to be mapped
 * so.  0; -EBADF, -EINVAL, -EPERM: not what was claimed, *why.
 */
int contig_received_check(int fd, const struct wire_file *claim, bool writable,
			  uint64_t page_size, struct shared_file *file, const char **why);

/* Whether what can be touched now can be touched always: no new writable
 * mapping, no hole, and none to come. */
int contig_received_sealed(int fd, const char **why);

#endif
