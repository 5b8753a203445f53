/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A strip of the pages that are there, by virtual address, coloured by run.
 * Addresses without pages are left out: each row says where it begins.
 */
#include "map.h"

#include "base/size.h"
#include "draw.h"
#include "screen.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LABEL_CELLS 15 /* "0x7f0000000000 " */
#define NAME_CELLS 18
#define ROWS_TERMINAL 8
#define ROWS_FILE 24
#define PARTS_FILE 4 /* of a character cell that a file can show */

struct shape {
	double width; /* cells of a row */
	size_t rows;
	unsigned int parts; /* of a cell, each with a colour of its own */
};

/* Cells joined to parts of the picture, and what each shows. */
struct parts {
	struct map_cell *cells;
	enum draw_fill *fills;
	uint64_t *runs; /* the run that the colour is of; 0: of none */
	size_t n;
};

static bool is_edge(const struct parts *p, size_t i, uint64_t *run)
{
	const struct map_cell *c = &p->cells[i];
	bool from_before = i && c->runs && p->cells[i - 1].last == c->first;
	bool goes_on = i + 1 < p->n && c->runs && p->cells[i + 1].first == c->last;

	/* Where a long run ends or the next begins is no scatter; a page alone is. */
	if (c->runs <= 2 && from_before)
		*run = c->first;
	else if (c->runs <= 2 && goes_on)
		*run = c->last;
	else
		*run = c->runs == 1 && c->pages > 1 ? c->first : 0;
	return *run;
}

static enum draw_fill fill_of(const struct parts *p, size_t i, uint64_t *run)
{
	const struct map_cell *c = &p->cells[i];

	*run = 0;
	if (c->hidden * 2 > c->pages)
		return DRAW_HIDDEN;
	if (c->swapped * 2 > c->pages)
		return DRAW_SWAPPED;
	if (!is_edge(p, i, run))
		return DRAW_SCATTERED;
	return *run & 1 ? DRAW_RUN : DRAW_RUN_NEXT;
}

static void parts_free(struct parts *p)
{
	free(p->cells);
	free(p->fills);
	free(p->runs);
}

/* per cells of the strip to a part. */
static int parts_make(struct parts *p, const struct map *m, size_t per)
{
	p->n = (m->strip.n + per - 1) / per;
	p->cells = calloc(p->n + 1, sizeof(*p->cells));
	p->fills = calloc(p->n + 1, sizeof(*p->fills));
	p->runs = calloc(p->n + 1, sizeof(*p->runs));
	if (!p->cells || !p->fills || !p->runs) {
		parts_free(p);
		return -ENOMEM;
	}
	for (size_t i = 0; i < m->strip.n; i++) {
		if (i % per)
			map_cell_join(&p->cells[i / per], &m->strip.cells[i]);
		else
			p->cells[i / per] = m->strip.cells[i];
	}
	for (size_t i = 0; i < p->n; i++)
		p->fills[i] = fill_of(p, i, &p->runs[i]);
	return 0;
}

static void describe(const struct map *m, const struct map_cell *c, enum draw_fill fill,
		     char *text, size_t len)
{
	char size[24];

	contig_size_print(c->pages * m->source.page, size, sizeof(size));
	if (fill == DRAW_HIDDEN)
		snprintf(text, len, "0x%" PRIx64 ": %s, frames hidden", c->va, size);
	else if (fill == DRAW_SWAPPED)
		snprintf(text, len, "0x%" PRIx64 ": %s, swapped out", c->va, size);
	else
		snprintf(text, len, "0x%" PRIx64 ": %s of %" PRIu64 " run%s", c->va, size,
			 c->runs, c->runs == 1 ? "" : "s");
}

/* The last part of a path, in ASCII, as a terminal cell holds it. */
static void short_name(const char *name, char *text, size_t len)
{
	const char *slash = strrchr(name, '/');
	size_t i;

	if (!*name)
		name = "anonymous";
	else if (slash && slash[1])
		name = slash + 1;
	for (i = 0; i + 1 < len && name[i] && strcmp(name + i, " (deleted)"); i++)
		text[i] = name[i] < ' ' || name[i] > '~' ? '?' : name[i];
	text[i] = '\0';
	if (name[i] && i + 1 == len)
		text[i - 1] = '~';
}

static void row_label(struct draw *d, double y, uint64_t va, const char *name, double x_name)
{
	char text[64];

	snprintf(text, sizeof(text), "0x%" PRIx64, va);
	draw_text(d, 0, y, text, DRAW_TEXT);
	short_name(name, text, NAME_CELLS + 1);
	draw_text(d, x_name, y, text, DRAW_FAINT);
}

/* Which name has most of these parts: a majority vote. */
static const char *name_of(const struct map *m, const struct map_cell *cells, size_t n)
{
	const char *name = "";
	uint64_t votes = 0;

	for (size_t i = 0; i < n; i++) {
		const char *mine = m->vmas[cells[i].vma].name;

		if (!votes)
			name = mine;
		if (name == mine)
			votes += cells[i].pages;
		else
			votes -= votes < cells[i].pages ? votes : cells[i].pages;
	}
	return name;
}

/* n parts from the first on, as one row; neighbours alike are one box. */
static void row(struct draw *d, const struct map *m, const struct shape *shape,
		const struct parts *p, size_t first, size_t n, double y)
{
	for (size_t i = first; i < first + n;) {
		struct map_cell box = p->cells[i];
		size_t from = i++;
		char text[128];

		while (i < first + n && p->fills[i] == p->fills[from] &&
		       p->runs[i] == p->runs[from])
			map_cell_join(&box, &p->cells[i++]);
		describe(m, &box, p->fills[from], text, sizeof(text));
		draw_hint(d, text);
		draw_box(d, LABEL_CELLS + (double)(from - first) / shape->parts, y,
			 (double)(i - from) / shape->parts, 1, p->fills[from]);
	}
	row_label(d, y, p->cells[first].va, name_of(m, &p->cells[first], n),
		  LABEL_CELLS + shape->width + 1);
}

static double legend_item(struct draw *d, double x, double y, enum draw_fill fill,
			  const char *text)
{
	draw_box(d, x, y, 2, 1, fill);
	draw_text(d, x + 3, y, text, DRAW_FAINT);
	return x + 3 + (double)strlen(text) + 3;
}

static void legend(struct draw *d, const struct map *m, double y, const char *what,
		   uint64_t bytes)
{
	char text[96], size[24];
	double x = LABEL_CELLS;

	if (m->total.runs) {
		draw_box(d, x, y, 2, 1, DRAW_RUN);
		x = legend_item(d, x + 2, y, DRAW_RUN_NEXT, "runs in turn");
		x = legend_item(d, x, y, DRAW_SCATTERED, "scattered");
	}
	if (m->total.swapped)
		x = legend_item(d, x, y, DRAW_SWAPPED, "swapped");
	if (m->total.hidden)
		legend_item(d, x, y, DRAW_HIDDEN, "hidden");
	snprintf(text, sizeof(text), "one %s is %s; addresses without pages are left out",
		 what, contig_size_print(bytes, size, sizeof(size)));
	draw_text(d, LABEL_CELLS, y + 1, text, DRAW_FAINT);
}

static int picture(struct draw *d, struct map *m, size_t rows, unsigned int parts,
		   const char *title)
{
	struct shape shape = {d->width - LABEL_CELLS - 1 - NAME_CELLS, rows, parts};
	size_t across = (size_t)shape.width * shape.parts;
	size_t per = (m->strip.n + across * rows - 1) / (across * rows);
	struct parts p;
	double y = 0;

	if (title) {
		draw_text(d, 0, y, title, DRAW_TITLE);
		y += 2;
	}
	if (!per)
		per = 1;
	if (parts_make(&p, m, per))
		return -ENOMEM;
	for (size_t at = 0; at < p.n; at += across) {
		row(d, m, &shape, &p, at, p.n - at < across ? p.n - at : across, y);
		/* Rows of a file don't touch; on a terminal room is dear. */
		y += parts > 1 ? 1.25 : 1;
	}
	parts_free(&p);
	/* Columns can be counted on a terminal, rows in a file. */
	per *= m->strip.cell_pages * m->source.page;
	if (parts > 1)
		legend(d, m, y + 0.5, "row", per * across);
	else
		legend(d, m, y, "column", per);
	return 0;
}

int map_picture(struct map *m, const char *path, const char *title)
{
	struct draw *d;
	int error;

	if (!path) {
		if (!m->strip.n)
			return 0;
		d = draw_term_create(stdout, screen_get()->columns);
		if (!d)
			return -errno;
		error = picture(d, m, ROWS_TERMINAL, 1, title);
		draw_finish(d);
		return error;
	}
	d = draw_svg_create(path);
	if (!d)
		return -errno;
	picture(d, m, ROWS_FILE, PARTS_FILE, title);
	return draw_finish(d);
}
