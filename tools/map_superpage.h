/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which pages are mapped by superpages.  A superpage is a run of frames that
 * are aligned as their addresses are; only where such a run was seen is the
 * kernel asked, through PAGEMAP_SCAN.  Without it (before Linux 6.7, or on a
 * captured tree) smaps is read once, if any such run was seen at all.
 */
#ifndef TOOLS_MAP_SUPERPAGE_H
#define TOOLS_MAP_SUPERPAGE_H

#include "map.h"

struct map_superpages;

int map_superpages_create(struct map *m, struct map_superpages **out); /* 0/-ENOMEM */
void map_superpages_run(struct map_superpages *s, size_t vma, const struct map_run *run);
/* Ask what is left to ask: each mapping's sizes.  What can't be known is left
 * unknown, with m->sizes_error.  0/-errno. */
int map_superpages_finish(struct map_superpages *s);
void map_superpages_destroy(struct map_superpages *s);

#endif
