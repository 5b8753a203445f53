/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pages that are there, in the order of their addresses, in cells of equal
 * size.  How many pages will come isn't known: when the cells are used up,
 * each two become one.
 */
#ifndef TOOLS_MAP_STRIP_H
#define TOOLS_MAP_STRIP_H

#include <stddef.h>
#include <stdint.h>

#define MAP_STRIP_CELLS 8192

enum map_strip_kind { STRIP_RUN, STRIP_SWAPPED, STRIP_HIDDEN };

struct map_cell {
	uint64_t va;		/* of its first page */
	uint64_t first, last;	/* serial numbers of runs */
	size_t vma;		/* of its first page */
	uint64_t pages, swapped, hidden, runs; /* runs that it touches */
};

struct map_strip {
	struct map_cell *cells;
	size_t n;
	uint64_t cell_pages;	/* of a full one */
	uint64_t page;		/* bytes */
};

int map_strip_begin(struct map_strip *s, uint64_t page); /* 0/-ENOMEM */
/* Pages that follow all others so far.  serial: of the run they are of. */
void map_strip_add(struct map_strip *s, size_t vma, uint64_t va, uint64_t pages,
		   enum map_strip_kind kind, uint64_t serial);
/* Join cells until at most n are left. */
void map_strip_limit(struct map_strip *s, size_t n);
void map_strip_end(struct map_strip *s);

/* a becomes both. */
void map_cell_join(struct map_cell *a, const struct map_cell *b);

#endif
