/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Drawing as SVG 1.1: no scripts, no fonts of its own.  Shapes are collected
 * first, since the size of the picture is known only at the end.
 */
#include "draw.h"

#include <errno.h>
#include <stdlib.h>

#define CELL_WIDTH 9.0 /* pixels; a monospace glyph of FONT_SIZE is narrower */
#define CELL_HEIGHT 20.0
#define FONT_SIZE 14
#define MARGIN 16.0
#define WIDTH_CELLS 120
#define MARK_MIN 2.0 /* pixels: memory of ours is seen however small it is */

struct svg {
	struct draw draw;
	FILE *out, *shapes;
	char *text;
	size_t text_len;
	char hint[512]; /* of the next box */
	double bottom;
};

static void reach(struct svg *s, double y)
{
	if (y > s->bottom)
		s->bottom = y;
}

static void escaped(FILE *out, const char *text)
{
	for (; *text; text++) {
		switch (*text) {
		case '<':
			fputs("&lt;", out);
			break;
		case '>':
			fputs("&gt;", out);
			break;
		case '&':
			fputs("&amp;", out);
			break;
		default:
			/* XML has no way to write what is no text. */
			fputc((unsigned char)*text < ' ' && *text != '\n' ? '?' : *text, out);
		}
	}
}

static void svg_hint(struct draw *d, const char *text)
{
	struct svg *s = (struct svg *)d;

	snprintf(s->hint, sizeof(s->hint), "%s", text);
}

static void svg_box(struct draw *d, double x, double y, double width, double height,
		    enum draw_fill fill)
{
	static const char *const classes[] = {
		[DRAW_HOLE] = "hole",	[DRAW_RAM] = "ram",	[DRAW_RAM_OTHER] = "other",
		[DRAW_OURS] = "ours",	[DRAW_FRAME] = "frame",
		[DRAW_RUN] = "run",	[DRAW_RUN_NEXT] = "next",
		[DRAW_SCATTERED] = "scattered", [DRAW_SWAPPED] = "swapped",
		[DRAW_HIDDEN] = "hidden",
		[DRAW_FREE] = "free",	[DRAW_HUGETLB] = "hugetlb",
		[DRAW_THP] = "thp",	[DRAW_ANON] = "anon",
		[DRAW_CACHE] = "cache",	[DRAW_SLAB] = "slab",
		[DRAW_KERNEL] = "kernel", [DRAW_BLANK] = "blank",
		[DRAW_RESERVED] = "reserved",
	};
	struct svg *s = (struct svg *)d;
	double pixels = width * CELL_WIDTH;

	if (fill == DRAW_OURS && pixels < MARK_MIN)
		pixels = MARK_MIN;
	fprintf(s->shapes,
		"<rect class=\"%s\" x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\"",
		classes[fill], x * CELL_WIDTH, y * CELL_HEIGHT, pixels,
		height * CELL_HEIGHT);
	if (s->hint[0]) {
		fputs("><title>", s->shapes);
		escaped(s->shapes, s->hint);
		fputs("</title></rect>\n", s->shapes);
		s->hint[0] = '\0';
	} else {
		fputs("/>\n", s->shapes);
	}
	reach(s, y + height);
}

static void svg_line(struct draw *d, double x1, double y1, double x2, double y2)
{
	struct svg *s = (struct svg *)d;

	fprintf(s->shapes, "<line x1=\"%.2f\" y1=\"%.2f\" x2=\"%.2f\" y2=\"%.2f\"/>\n",
		x1 * CELL_WIDTH, y1 * CELL_HEIGHT, x2 * CELL_WIDTH, y2 * CELL_HEIGHT);
	reach(s, y2);
}

static void svg_text(struct draw *d, double x, double y, const char *text,
		     enum draw_style style)
{
	static const char *const classes[] = {
		[DRAW_TEXT] = "text",
		[DRAW_TITLE] = "title",
		[DRAW_FAINT] = "faint",
		[DRAW_MARK] = "mark",
	};
	struct svg *s = (struct svg *)d;

	fprintf(s->shapes, "<text class=\"%s\" x=\"%.2f\" y=\"%.2f\">", classes[style],
		x * CELL_WIDTH, (y + 0.75) * CELL_HEIGHT);
	escaped(s->shapes, text);
	fputs("</text>\n", s->shapes);
	reach(s, y + 1);
}

static int svg_finish(struct draw *d)
{
	struct svg *s = (struct svg *)d;
	double width = d->width * CELL_WIDTH + 2 * MARGIN;
	double height;
	int error = fclose(s->shapes) ? -errno : 0;

	height = s->bottom * CELL_HEIGHT + 2 * MARGIN;
	if (!error) {
		fprintf(s->out,
			"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
			"<svg xmlns=\"http://www.w3.org/2000/svg\" version=\"1.1\" "
			"width=\"%.0f\" height=\"%.0f\" viewBox=\"%.0f %.0f %.0f %.0f\">\n"
			"<style>\n"
			"text { font: %dpx monospace; fill: #222; white-space: pre }\n"
			".title { font-weight: bold }\n.faint { fill: #666 }\n"
			".mark { fill: #b03000; font-weight: bold }\n"
			".hole { fill: none; stroke: #bbb; stroke-dasharray: 3 3 }\n"
			".ram { fill: #cfe0f0 }\n.other { fill: #aac6e0 }\n"
			".ours { fill: #d04a10 }\n"
			".run { fill: #1f6fb5 }\n.next { fill: #7db4e0 }\n"
			".scattered { fill: #e3a52e }\n.swapped { fill: #a83232 }\n"
			".hidden { fill: #b0b0b0 }\n"
			".free { fill: #eef3ea }\n.hugetlb { fill: #d04a10 }\n"
			".thp { fill: #3f8f4f }\n.anon { fill: #5b87c0 }\n"
			".cache { fill: #a9c7e8 }\n.slab { fill: #e0b030 }\n"
			".kernel { fill: #7a4b9a }\n.blank { fill: #d8d8d8 }\n.reserved { fill: #9a9a9a }\n"
			".frame { fill: none; stroke: #666 }\nline { stroke: #888 }\n"
			"</style>\n"
			"<rect x=\"%.0f\" y=\"%.0f\" width=\"%.0f\" height=\"%.0f\" "
			"fill=\"#fff\"/>\n",
			width, height, -MARGIN, -MARGIN, width, height, FONT_SIZE, -MARGIN,
			-MARGIN, width, height);
		fwrite(s->text, 1, s->text_len, s->out);
		fputs("</svg>\n", s->out);
		errno = 0;
		if (fflush(s->out) || ferror(s->out))
			error = errno ? -errno : -EIO;
	}
	if (fclose(s->out) && !error)
		error = -errno;
	free(s->text);
	free(s);
	return error;
}

static const struct draw_backend svg_backend = {svg_box, svg_line, svg_text, svg_hint,
						svg_finish};

struct draw *draw_svg_create(const char *path)
{
	FILE *out = fopen(path, "we");
	struct svg *s;

	if (!out)
		return NULL;
	s = calloc(1, sizeof(*s));
	if (s)
		s->shapes = open_memstream(&s->text, &s->text_len);
	if (!s || !s->shapes) {
		fclose(out);
		free(s);
		errno = ENOMEM;
		return NULL;
	}
	s->draw = (struct draw){&svg_backend, WIDTH_CELLS};
	s->out = out;
	return &s->draw;
}
