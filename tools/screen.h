/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What standard output can show: its width, and whether colour and
 * characters beyond ASCII make sense there.
 */
#ifndef TOOLS_SCREEN_H
#define TOOLS_SCREEN_H

#include <stdbool.h>

struct screen {
	int columns; /* COLUMNS, else the terminal's, else 80 */
	bool colour; /* a terminal, NO_COLOR unset, TERM not "dumb" */
	bool utf8;   /* the locale's characters are UTF-8 */
};

/* Looked up once; never NULL. */
const struct screen *screen_get(void);
/* It may have another size now. */
void screen_forget(void);

/* What a piece of text means; back ends choose the colour. */
enum paint {
	PAINT_PLAIN,
	PAINT_GOOD,
	PAINT_WARN,
	PAINT_BAD,
	PAINT_DIM,
	PAINT_STRONG,
	PAINT_OURS /* memory of ours in a picture */
};

/* Escape sequences that begin and end a paint; "" without colour. */
const char *screen_paint_begin(enum paint paint);
const char *screen_paint_end(enum paint paint);

#endif
