/* SPDX-License-Identifier: BSD-2-Clause */
/* The longest runs of all that went by, at most so many. */
#ifndef TOOLS_MAP_LONGEST_H
#define TOOLS_MAP_LONGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_found {
	uint64_t va, frame, pages;
	int node; /* -1: unknown or several */
};

struct map_longest {
	struct map_found *runs; /* a heap, the shortest first */
	size_t n, most;
	uint64_t seen;
};

int map_longest_begin(struct map_longest *l, size_t most); /* 0/-ENOMEM */
/* Whether a run of so many pages would be kept. */
static inline bool map_longest_wants(const struct map_longest *l, uint64_t pages)
{
	return l->most && (l->n < l->most || pages > l->runs[0].pages);
}
void map_longest_add(struct map_longest *l, const struct map_found *run);
void map_longest_sort(struct map_longest *l); /* by address; the heap ends */
void map_longest_end(struct map_longest *l);

#endif
