/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fixed mode: after its owner's seal a file can't be mapped for writing any
 * more, so the peer maps all of it before, out of sight, and makes further
 * mappings out of that one: mremap(2) of no bytes duplicates.  (Not of hugetlb
 * memory, which is why fixed pools are made of collapsed superpages.)
 */
#ifndef SHARE_STAGING_H
#define SHARE_STAGING_H

#include "share/files.h"

#include <stddef.h>

#define STAGING_FILE_MAX (UINT64_C(1) << 30) /* bytes: a file is a superpage */

/* Map all of fd, read and write.  0/-errno. */
int contig_staging_make(struct shared_file *file, int fd);
void contig_staging_drop(struct shared_file *file);
/* Map [offset, offset + len) at va.  0/-errno. */
int contig_staging_map(struct shared_file *file, uint64_t offset, size_t len, int prot,
		       void *va);

#endif
