/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What importers may do to the exported range: map where nobody has anything,
 * unmap what they mapped themselves.
 *
 * What can't be unmapped for want of mappings (a part of what the kernel had
 * merged into one, at vm.max_map_count) stays its holder's; when that one goes,
 * it is lost: nobody's, out of use, counted, and tried again whenever somebody
 * wants the place.
 */
#ifndef SHARE_RANGE_H
#define SHARE_RANGE_H

#include "share/exporter.h"

/* The vma is locked.  0 or -errno, also what goes into an answer. */
int contig_range_map(struct peer *peer, const struct wire_run *run);
/* What the peer has there, and nothing else, is no longer mapped. */
int contig_range_unmap(struct peer *peer, const struct wire_range *range);

/* Of anybody's, for the owner of the range.  Locked. */
bool contig_range_occupied(struct exporter *exporter, uint64_t first, uint64_t count);
int contig_range_zap(struct exporter *exporter, uint64_t first, uint64_t count);

/* All that the peer has.  Locked.  -errno: some is lost, and still mapped. */
int contig_range_strip(struct peer *peer);
/* The vma goes, with what is lost in it.  Locked. */
void contig_range_end(struct exporter *exporter);

/* Bytes lost, in all ranges of this process. */
uint64_t contig_range_lost(void);

#endif
