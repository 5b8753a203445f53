/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The folios behind runs, from /proc/kpageflags: pages that the kernel
 * allocated in one piece (superpages, multi-size THP, large folios of the page
 * cache), however they are mapped.
 */
#ifndef TOOLS_MAP_FOLIO_H
#define TOOLS_MAP_FOLIO_H

#include "map.h"

struct map_folios;

int map_folios_create(struct map *m, struct map_folios **out); /* 0/-errno */
/* Count them in m->folios. */
void map_folios_run(struct map_folios *f, uint64_t frame, uint64_t pages);
void map_folios_destroy(struct map_folios *f);

#endif
