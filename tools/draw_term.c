/* SPDX-License-Identifier: BSD-2-Clause */
/* Drawing on a terminal: a grid of characters, written out at the end. */
#include "draw.h"
#include "screen.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_MAX 200

/* A cell: an ASCII character, or the UTF-8 of a block or line character. */
struct glyph {
	char bytes[4];
	enum paint paint;
};

struct term {
	struct draw draw;
	FILE *out;
	int columns, rows;
	struct glyph *grid; /* ROWS_MAX * columns */
};

static void put(struct term *t, int x, int y, const char *bytes, enum paint paint)
{
	struct glyph *g;

	if (x < 0 || y < 0 || x >= t->columns || y >= ROWS_MAX)
		return;
	g = &t->grid[y * t->columns + x];
	snprintf(g->bytes, sizeof(g->bytes), "%s", bytes);
	g->paint = paint;
	if (y >= t->rows)
		t->rows = y + 1;
}

static int cell(double v)
{
	return (int)(v + 0.5);
}

static void term_frame(struct term *t, int x, int y, int x2, int y2)
{
	bool utf8 = screen_get()->utf8;
	const char *h = utf8 ? "─" : "-", *v = utf8 ? "│" : "|";

	for (int i = x + 1; i < x2; i++) {
		put(t, i, y, h, PAINT_DIM);
		put(t, i, y2, h, PAINT_DIM);
	}
	for (int i = y + 1; i < y2; i++) {
		put(t, x, i, v, PAINT_DIM);
		put(t, x2, i, v, PAINT_DIM);
	}
	put(t, x, y, utf8 ? "┌" : "+", PAINT_DIM);
	put(t, x2, y, utf8 ? "┐" : "+", PAINT_DIM);
	put(t, x, y2, utf8 ? "└" : "+", PAINT_DIM);
	put(t, x2, y2, utf8 ? "┘" : "+", PAINT_DIM);
}

static void term_box(struct draw *d, double x, double y, double width, double height,
		     enum draw_fill fill)
{
	static const struct {
		const char *utf8, *ascii;
		enum paint paint;
	} fills[] = {
		[DRAW_HOLE] = {" ", " ", PAINT_PLAIN},
		[DRAW_RAM] = {"░", ".", PAINT_DIM},
		[DRAW_RAM_OTHER] = {"▒", ":", PAINT_DIM},
		[DRAW_OURS] = {"█", "#", PAINT_OURS},
		[DRAW_RUN] = {"█", "#", PAINT_OURS},
		[DRAW_RUN_NEXT] = {"▓", "=", PAINT_GOOD},
		[DRAW_SCATTERED] = {"▒", ":", PAINT_WARN},
		[DRAW_SWAPPED] = {"s", "s", PAINT_BAD},
		[DRAW_HIDDEN] = {"?", "?", PAINT_WARN},
		[DRAW_FREE] = {"·", ".", PAINT_DIM},
		[DRAW_HUGETLB] = {"H", "H", PAINT_OURS},
		[DRAW_THP] = {"T", "T", PAINT_GOOD},
		[DRAW_ANON] = {"a", "a", PAINT_PLAIN},
		[DRAW_CACHE] = {"c", "c", PAINT_PLAIN},
		[DRAW_SLAB] = {"s", "s", PAINT_WARN},
		[DRAW_KERNEL] = {"k", "k", PAINT_BAD},
		[DRAW_BLANK] = {"-", "-", PAINT_DIM},
		[DRAW_RESERVED] = {"r", "r", PAINT_DIM},
	};
	struct term *t = (struct term *)d;
	int x1 = cell(x), x2 = cell(x + width), y1 = cell(y), y2 = cell(y + height);

	if (fill == DRAW_FRAME) {
		term_frame(t, x1, y1, x2 - 1, y2 - 1);
		return;
	}
	if (fill == DRAW_OURS) { /* however small, it must be seen */
		x1 = (int)x;
		if (x2 <= x1)
			x2 = x1 + 1;
	}
	for (int row = y1; row < y2; row++)
		for (int i = x1; i < x2; i++)
			put(t, i, row, screen_get()->utf8 ? fills[fill].utf8
							  : fills[fill].ascii,
			    fills[fill].paint);
}

static void term_line(struct draw *d, double x1, double y1, double x2, double y2)
{
	struct term *t = (struct term *)d;
	bool utf8 = screen_get()->utf8;
	int ax = (int)x1, bx = (int)x2, ay = (int)y1, by = (int)y2;

	if (ay == by && ax != bx) {
		for (int x = ax < bx ? ax : bx; x <= (ax < bx ? bx : ax); x++)
			put(t, x, ay, utf8 ? "─" : "-", PAINT_DIM);
		return;
	}
	/* Only downright lines and steep ones: enough to lead the eye. */
	for (int y = ay; y <= by; y++) {
		int x = ay == by ? ax : ax + (bx - ax) * (y - ay) / (by - ay);

		put(t, x, y, ax == bx ? (utf8 ? "│" : "|") : bx > ax ? "\\" : "/", PAINT_DIM);
	}
}

static void term_text(struct draw *d, double x, double y, const char *text,
		      enum draw_style style)
{
	static const enum paint paints[] = {
		[DRAW_TEXT] = PAINT_PLAIN,
		[DRAW_TITLE] = PAINT_STRONG,
		[DRAW_FAINT] = PAINT_DIM,
		[DRAW_MARK] = PAINT_OURS,
	};
	struct term *t = (struct term *)d;
	char one[2] = "";

	for (int i = 0; text[i]; i++) {
		one[0] = text[i];
		put(t, cell(x) + i, (int)y, one, paints[style]);
	}
}

static void term_hint(struct draw *d, const char *text)
{
	(void)d;
	(void)text;
}

static int term_finish(struct draw *d)
{
	struct term *t = (struct term *)d;

	for (int y = 0; y < t->rows; y++) {
		const struct glyph *row = &t->grid[y * t->columns];
		enum paint paint = PAINT_PLAIN;
		int end = t->columns;

		while (end && (!row[end - 1].bytes[0] || row[end - 1].bytes[0] == ' '))
			end--;
		for (int x = 0; x < end; x++) {
			if (row[x].paint != paint) {
				fputs(screen_paint_end(paint), t->out);
				paint = row[x].paint;
				fputs(screen_paint_begin(paint), t->out);
			}
			fputs(row[x].bytes[0] ? row[x].bytes : " ", t->out);
		}
		fputs(screen_paint_end(paint), t->out);
		fputc('\n', t->out);
	}
	free(t->grid);
	free(t);
	return 0;
}

static const struct draw_backend term_backend = {term_box, term_line, term_text,
						 term_hint, term_finish};

struct draw *draw_term_create(FILE *out, int columns)
{
	struct term *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->grid = calloc((size_t)ROWS_MAX * (size_t)columns, sizeof(*t->grid));
	if (!t->grid) {
		free(t);
		return NULL;
	}
	t->draw = (struct draw){&term_backend, columns};
	t->out = out;
	t->columns = columns;
	return &t->draw;
}
