/* SPDX-License-Identifier: BSD-2-Clause */
#include "phys_picture.h"

#include "base/size.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define LABEL_CELLS 8 /* "127 GiB" and a gap */
#define SVG_LABEL_CELLS 10 /* "10.5 GiB" */
#define SVG_HEIGHT 0.88 /* of a row; what is left tells rows apart */
#define STRIP 0.4     /* of a row, at most */
#define ZONE_CELLS 8  /* a gap and "Movable", behind the row where it begins */

unsigned int phys_picture_across(double columns)
{
	unsigned int across = 16;

	while (across * 2 <= columns - LABEL_CELLS - ZONE_CELLS && across < 1024)
		across *= 2;
	return across;
}

/* In characters, of which an SVG can have parts. */
struct layout {
	unsigned int across;
	double margin, width, height; /* of a cell */
};

static struct layout layout_of(const struct draw *d, bool file)
{
	struct layout l = {phys_picture_across(d->width), LABEL_CELLS, 1, 1};

	if (file) {
		l = (struct layout){PHYS_PICTURE_SVG_ACROSS, SVG_LABEL_CELLS, 1, SVG_HEIGHT};
		l.width = (d->width - l.margin - ZONE_CELLS) / l.across;
	}
	return l;
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
static void cell_strip(struct draw *d, const struct layout *l, const struct phys_cell *cell,
		       double x, double y)
{
	double height = STRIP * (double)cell->blocks_spoiled / (double)cell->blocks;
	enum phys_use most = USE_KERNEL;

	if (!cell->blocks_spoiled || !phys_use_movable(cell_use(cell)))
		return;
	for (int use = 0; use < PHYS_USES_N; use++)
		if (!phys_use_movable((enum phys_use)use) &&
		    cell->frames[use] > cell->frames[most])
			most = (enum phys_use)use;
	draw_box(d, x, y + l->height - height, l->width, height, phys_use_fill(most));
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

/* "10.5 GiB", short "10.5G": an address, exactly. */
static const char *label(uint64_t address, bool brief, char *text, size_t len)
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
	snprintf(text, len, brief ? "%g%c" : "%g %ciB",
		 (double)address / (double)(UINT64_C(1) << shift), *unit);
	return text;
}

/* All of them short if one of them would not fit the margin. */
static bool labels_brief(const struct phys_scan *s, const struct layout *l)
{
	bool brief = false;
	char text[32];

	for (size_t i = 0; i < s->n_cells && !brief; i++)
		brief = strlen(label(s->cells[i].index / l->across * l->across * s->cell, false,
				     text, sizeof(text))) >= (size_t)l->margin;
	return brief;
}

/* "node 0: 24 GiB, 12.5 GiB free" */
static void node_title(struct draw *d, const struct phys_scan *s, int node, double y)
{
	uint64_t ram = 0, unused = 0;
	char text[96], size[24], of[24];

	for (size_t i = 0; i < s->n_zones; i++)
		if (s->zones[i].zone->node == node) {
			ram += s->zones[i].ram;
			unused += s->zones[i].frames[USE_FREE];
		}
	snprintf(text, sizeof(text), "node %d: %s, %s free", node,
		 contig_size_print(ram * s->page, of, sizeof(of)),
		 contig_size_print(unused * s->page, size, sizeof(size)));
	draw_text(d, 0, y, text, DRAW_TITLE);
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

/* The beginning of a row: its address, the zone that begins there, and before
 * it what was left out.  Where the row is. */
static double row_begin(struct draw *d, const struct phys_scan *s, const struct layout *l,
			size_t first, bool brief, double y)
{
	const struct phys_cell *c = &s->cells[first];
	uint64_t row = c->index / l->across, bytes = s->cell * l->across;
	char text[64], size[24];
	const char *zone;

	if (first && c[-1].node == c->node) {
		uint64_t before = c[-1].index / l->across;

		if (row > before + 1) {
			snprintf(text, sizeof(text), "no memory for %s",
				 contig_size_print((row - before - 1) * bytes, size,
						   sizeof(size)));
			draw_text(d, l->margin, y + 1, text, DRAW_FAINT);
			y += 1;
		}
		y += 1;
	}
	draw_text(d, 0, y, label(row * bytes, brief, text, sizeof(text)), DRAW_FAINT);
	zone = zone_begins(s, first, l->across);
	if (zone)
		draw_text(d, l->margin + l->across * l->width + 1, y, zone, DRAW_FAINT);
	return y;
}

void phys_picture(struct draw *d, const struct phys_scan *s,
		  const struct phys_owners *owners, const char *title)
{
	const struct layout l = layout_of(d, title);
	bool brief = labels_brief(s, &l);
	double y = 0;
	char text[96], size[24], cell[24];

	if (title) {
		draw_text(d, 0, y, title, DRAW_TITLE);
		y += 1;
	}
	snprintf(text, sizeof(text), "one cell is %s, shown as what most of it is; a row is %s",
		 contig_size_print(s->cell, cell, sizeof(cell)),
		 contig_size_print(s->cell * l.across, size, sizeof(size)));
	draw_text(d, 0, y, text, DRAW_FAINT);
	if (title) {
		y += 1;
		draw_text(d, 0, y,
			  "a strip at its foot: the share that can't become superpages, in the "
			  "colour of what stays there",
			  DRAW_FAINT);
		y += 0.25;
	}
	y = legend(d, s, y + 1);
	for (size_t i = 0; i < s->n_cells; i++) {
		const struct phys_cell *c = &s->cells[i], *before = i ? c - 1 : NULL;
		double x = l.margin + (double)(c->index % l.across) * l.width;

		if (!before || before->node != c->node) {
			if (before)
				y += 1;
			if (title)
				y += 0.5;
			node_title(d, s, c->node, y);
			y += 1;
		}
		if (!before || before->node != c->node ||
		    before->index / l.across != c->index / l.across)
			y = row_begin(d, s, &l, i, brief, y);
		cell_hint(d, s, owners, c);
		draw_box(d, x, y, l.width, l.height, phys_use_fill(cell_use(c)));
		cell_strip(d, &l, c, x, y);
	}
}
