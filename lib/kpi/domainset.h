/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef KPI_DOMAINSET_H
#define KPI_DOMAINSET_H

#include "contig/contigmalloc.h"

#include <stdbool.h>

/* Node index to try first for an allocation from ds, and whether others may
 * follow.  Advances a round-robin set. */
void contig_domainset_next(const struct domainset *ds, int *index, bool *strict);

#endif
