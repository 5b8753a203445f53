/* SPDX-License-Identifier: BSD-2-Clause */
#include "phys_picture.h"

#include "base/size.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define LABEL_CELLS 8 /* "127 GiB" and a gap */
#define STRIP 0.45    /* of a row, at most */
#define ZONE_CELLS 8  /* a gap and "Movable", behind the row where it begins */

unsigned int phys_picture_across(double columns)
{
	unsigned int across = 16;

	while (across * 2 <= columns - LABEL_CELLS && across < 1024)
		across *= 2;
	return across;
}

/* What most of a cell is; of equals the one that is listed first. */
static enum phys_use cell_use(const struct phys_cell *cell)
{
	enum phys_use most = USE_FREE;

	for (int use = 0; use < PHYS_USES_N; use++)
		if (cell->frames[use] > cell->frames[most])
			most = (enum phys_use)use;
	return most;
}

static void cell_hint(struct draw *d, const struct phys_scan *s,
		      const struct phys_owners *owners, const struct phys_cell *cell)
{
	uint64_t start = cell->index * s->cell;
	char text[512], whose[256], size[24];
	int at = snprintf(text, sizeof(text),
			  "0x%" PRIx64 " to 0x%" PRIx64 ", node %d", start, start + s->cell,
			  cell->node);

	for (int use = 0; use < PHYS_USES_N; use++)
		if (cell->frames[use] && at < (int)sizeof(text))
			at += snprintf(text + at, sizeof(text) - (size_t)at, "\n%s %s",
				       phys_use_key((enum phys_use)use),
				       contig_size_print(cell->frames[use] * s->page, size,
							 sizeof(size)));
	if (at < (int)sizeof(text) && phys_owners_text(owners, start / s->page,
						       (start + s->cell) / s->page, whose,
						       sizeof(whose)))
		at += snprintf(text + at, sizeof(text) - (size_t)at, "\nsuperpages of %s",
			       whose);
	if (at < (int)sizeof(text))
		snprintf(text + at, sizeof(text) - (size_t)at,
			 "\nof %" PRIu32 " superpages %" PRIu32 " free, %" PRIu32
			 " can't be emptied",
			 cell->blocks, cell->blocks_free, cell->blocks_spoiled);
	draw_hint(d, text);
}

/* A strip at the foot of a cell: how much of it can't become superpages,
 * though most of it could.  On a terminal it is too low to be seen. */
static void cell_strip(struct draw *d, const struct phys_cell *cell, double x, double y)
{
	double height = STRIP * (double)cell->blocks_spoiled / (double)cell->blocks;
	enum phys_use most = USE_KERNEL;

	if (!cell->blocks_spoiled || !phys_use_movable(cell_use(cell)))
		return;
	for (int use = 0; use < PHYS_USES_N; use++)
		if (!phys_use_movable((enum phys_use)use) &&
		    cell->frames[use] > cell->frames[most])
			most = (enum phys_use)use;
	draw_box(d, x, y + 1 - height, 1, height, phys_use_fill(most));
}

/* Which uses appear at all as the colour of a cell. */
static double legend(struct draw *d, const struct phys_scan *s, double y)
{
	bool seen[PHYS_USES_N] = {false}, drawn[PHYS_USES_N] = {false};
	double x = 0;

	for (size_t i = 0; i < s->n_cells; i++)
		seen[cell_use(&s->cells[i])] = true;
	for (int use = 0; use < PHYS_USES_N; use++) {
		enum draw_fill fill = phys_use_fill((enum phys_use)use);
		const char *key = phys_use_key((enum phys_use)use);
		bool again = false;

		/* Uses of one colour share an entry, under the first name. */
		for (int other = 0; other < use; other++)
			again |= drawn[other] && phys_use_fill((enum phys_use)other) == fill;
		if (!seen[use] || again)
			continue;
		drawn[use] = true;
		if (x + 2 + (double)strlen(key) > d->width) {
			x = 0;
			y += 1;
		}
		draw_box(d, x, y, 1, 1, fill);
		draw_text(d, x + 2, y, key, DRAW_TEXT);
		x += 4 + (double)strlen(key);
	}
	return y + 1;
}

/* "127 GiB", "1280G": an address that fits the margin, exactly. */
static const char *label(uint64_t address, char *text, size_t len)
{
	unsigned int shift = 40;
	const char *unit = "TGMK";

	if (!address)
		return "0";
	/* With one decimal at most. */
	while (shift > 10 && (!(address >> shift) || address * 10 % (UINT64_C(1) << shift))) {
		shift -= 10;
		unit++;
	}
	snprintf(text, len, "%g %ciB", (double)address / (double)(UINT64_C(1) << shift), *unit);
	if (strlen(text) >= LABEL_CELLS)
		snprintf(text, len, "%g%c", (double)address / (double)(UINT64_C(1) << shift),
			 *unit);
	return text;
}

/* The zone that begins in the row of cells from first on, for its margin;
 * NULL: it goes on. */
static const char *zone_begins(const struct phys_scan *s, size_t first, unsigned int across)
{
	const struct phys_cell *c = &s->cells[first];
	const struct host_zone *before = first && c[-1].node == c->node ? c[-1].zone : NULL;
	const char *name = NULL;

	for (size_t i = first; i < s->n_cells && s->cells[i].node == c->node &&
			       s->cells[i].index / across == c->index / across; i++) {
		if (s->cells[i].zone != before)
			name = s->cells[i].zone->name; /* the last: DMA is a sliver */
		before = s->cells[i].zone;
	}
	return name;
}

void phys_picture(struct draw *d, const struct phys_scan *s,
		  const struct phys_owners *owners, const char *title)
{
	unsigned int across = phys_picture_across(d->width - ZONE_CELLS);
	uint64_t row = UINT64_MAX;
	double y = 0;
	int node = -1;
	char text[96], size[24], cell[24];

	if (title) {
		draw_text(d, 0, y, title, DRAW_TITLE);
		y += 1;
	}
	snprintf(text, sizeof(text), "one cell is %s, shown as what most of it is; a row is %s",
		 contig_size_print(s->cell, cell, sizeof(cell)),
		 contig_size_print(s->cell * across, size, sizeof(size)));
	draw_text(d, 0, y, text, DRAW_FAINT);
	if (title) {
		y += 1;
		draw_text(d, 0, y,
			  "a strip at its foot: the share that can't become superpages, in the "
			  "colour of what stays there",
			  DRAW_FAINT);
	}
	y = legend(d, s, y + 1);
	for (size_t i = 0; i < s->n_cells; i++) {
		const struct phys_cell *c = &s->cells[i];
		const char *zone;
		uint64_t bytes = s->cell * across;

		if (c->node != node) {
			node = c->node;
			row = UINT64_MAX;
			snprintf(text, sizeof(text), "node %d", node);
			draw_text(d, 0, y, text, DRAW_TITLE);
			y += 1;
		}
		if (c->index / across != row) {
			/* Rows without memory are left out, and said so. */
			if (row != UINT64_MAX && c->index / across > row + 1) {
				snprintf(text, sizeof(text), "no memory for %s",
					 contig_size_print((c->index / across - row - 1) * bytes,
							   size, sizeof(size)));
				draw_text(d, LABEL_CELLS, y + 1, text, DRAW_FAINT);
				y += 1;
			}
			if (row != UINT64_MAX)
				y += 1;
			row = c->index / across;
			draw_text(d, 0, y, label(row * bytes, text, sizeof(text)), DRAW_FAINT);
			zone = zone_begins(s, i, across);
			if (zone)
				draw_text(d, LABEL_CELLS + across + 1, y, zone, DRAW_FAINT);
		}
		cell_hint(d, s, owners, c);
		draw_box(d, LABEL_CELLS + (double)(c->index % across), y, 1, 1,
			 phys_use_fill(cell_use(c)));
		cell_strip(d, c, LABEL_CELLS + (double)(c->index % across), y);
		if (i + 1 == s->n_cells || s->cells[i + 1].node != node)
			y += 1;
	}
}
