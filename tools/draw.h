/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One drawing interface, two back ends: a terminal and SVG.  The unit is the
 * character cell; x grows to the right, y down, both from 0.  Fractions are
 * exact in SVG and rounded on a terminal.
 */
#ifndef TOOLS_DRAW_H
#define TOOLS_DRAW_H

#include <stdio.h>

/* What a box shows. */
enum draw_fill {
	DRAW_HOLE,  /* no memory there */
	DRAW_RAM,
	DRAW_RAM_OTHER, /* RAM again, told apart from its neighbour */
	DRAW_OURS,  /* the memory that the picture is about */
	DRAW_RUN,   /* one physical run */
	DRAW_RUN_NEXT, /* the next one, told apart from its neighbour */
	DRAW_SCATTERED, /* several runs in one place */
	DRAW_SWAPPED,
	DRAW_HIDDEN, /* present, frames withheld */
	DRAW_FRAME, /* an outline only */
	/* Uses of physical memory. */
	DRAW_FREE,
	DRAW_HUGETLB,
	DRAW_THP,
	DRAW_ANON,
	DRAW_CACHE,
	DRAW_SLAB,
	DRAW_KERNEL,
	DRAW_BLANK,
	DRAW_RESERVED
};

enum draw_style { DRAW_TEXT, DRAW_TITLE, DRAW_FAINT, DRAW_MARK };

struct draw;

struct draw_backend {
	void (*box)(struct draw *d, double x, double y, double width, double height,
		    enum draw_fill fill);
	void (*line)(struct draw *d, double x1, double y1, double x2, double y2);
	void (*text)(struct draw *d, double x, double y, const char *text,
		     enum draw_style style);
	/* What the next box tells whoever points at it; nothing on a terminal. */
	void (*hint)(struct draw *d, const char *text);
	/* Write the picture and free d.  0, or -errno. */
	int (*finish)(struct draw *d);
};

/* Back ends embed it as their first member. */
struct draw {
	const struct draw_backend *backend;
	double width; /* cells across; the height grows as needed */
};

static inline void draw_box(struct draw *d, double x, double y, double width,
			    double height, enum draw_fill fill)
{
	d->backend->box(d, x, y, width, height, fill);
}
static inline void draw_line(struct draw *d, double x1, double y1, double x2, double y2)
{
	d->backend->line(d, x1, y1, x2, y2);
}
static inline void draw_text(struct draw *d, double x, double y, const char *text,
			     enum draw_style style)
{
	d->backend->text(d, x, y, text, style);
}
static inline void draw_hint(struct draw *d, const char *text)
{
	d->backend->hint(d, text);
}
static inline int draw_finish(struct draw *d)
{
	return d->backend->finish(d);
}

/* NULL with errno.  out stays the caller's; the file at path is made, and closed
 * by draw_finish(). */
struct draw *draw_term_create(FILE *out, int columns);
struct draw *draw_svg_create(const char *path);

#endif
