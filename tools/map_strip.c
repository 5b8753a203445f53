/* SPDX-License-Identifier: BSD-2-Clause */
#include "map_strip.h"

#include <errno.h>
#include <stdlib.h>

int map_strip_begin(struct map_strip *s, uint64_t page)
{
	*s = (struct map_strip){.cell_pages = 1, .page = page};
	s->cells = calloc(MAP_STRIP_CELLS, sizeof(*s->cells));
	return s->cells ? 0 : -ENOMEM;
}

void map_cell_join(struct map_cell *a, const struct map_cell *b)
{
	if (!b->pages)
		return;
	if (b->runs) {
		/* A run in both was counted twice. */
		a->runs += b->runs - (a->runs && a->last == b->first);
		if (a->runs == b->runs && !a->first)
			a->first = b->first;
		a->last = b->last;
	}
	a->pages += b->pages;
	a->swapped += b->swapped;
	a->hidden += b->hidden;
}

static void halve(struct map_strip *s)
{
	size_t to = 0;

	for (size_t i = 0; i < s->n; i += 2) {
		struct map_cell joined = s->cells[i];

		if (i + 1 < s->n)
			map_cell_join(&joined, &s->cells[i + 1]);
		s->cells[to++] = joined;
	}
	s->n = to;
	s->cell_pages *= 2;
}

void map_strip_add(struct map_strip *s, size_t vma, uint64_t va, uint64_t pages,
		   enum map_strip_kind kind, uint64_t serial)
{
	while (pages) {
		struct map_cell part = {.va = va, .vma = vma};
		struct map_cell *cell = s->n ? &s->cells[s->n - 1] : NULL;
		uint64_t room;

		if (!cell || cell->pages == s->cell_pages) {
			if (s->n == MAP_STRIP_CELLS) {
				halve(s);
				continue;
			}
			cell = &s->cells[s->n++];
			*cell = part;
		}
		room = s->cell_pages - cell->pages;
		part.pages = pages < room ? pages : room;
		switch (kind) {
		case STRIP_RUN:
			part.first = part.last = serial;
			part.runs = 1;
			break;
		case STRIP_SWAPPED:
			part.swapped = part.pages;
			break;
		case STRIP_HIDDEN:
			part.hidden = part.pages;
			break;
		}
		map_cell_join(cell, &part);
		pages -= part.pages;
		va += part.pages * s->page;
	}
}

void map_strip_limit(struct map_strip *s, size_t n)
{
	while (s->n > n)
		halve(s);
}

void map_strip_end(struct map_strip *s)
{
	free(s->cells);
	*s = (struct map_strip){0};
}
