/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Plots as SVG, or as an HTML page of them: axes with units, ticks, a legend;
 * dark where the reader's screen is.  What a value is decides how ticks are
 * labelled; x is logarithmic unless it is a share.
 *
 * A plot is of lines, or of rows: each series is then a row, its first point's
 * x a dot, its second point's x, if any, a ring that the dot is held against.
 */
#ifndef TOOLS_PLOT_H
#define TOOLS_PLOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define PLOT_POINTS_MAX 96
#define PLOT_SERIES_MAX 14

enum plot_unit { PLOT_BYTES, PLOT_NANOSECONDS, PLOT_PERCENT, PLOT_NINES };

struct plot_series {
	char name[48];
	unsigned int colour; /* of PLOT_SERIES_MAX */
	bool strong;	     /* the line that the plot is about */
	size_t n;
	double x[PLOT_POINTS_MAX], y[PLOT_POINTS_MAX];
};

struct plot {
	char title[80];
	const char *x_title, *y_title; /* y_title: of lines only */
	enum plot_unit x_unit, y_unit;
	bool y_log;
	const char *dot, *ring; /* what they are; dot NULL: a plot of lines */
	size_t n;
	struct plot_series series[PLOT_SERIES_MAX];
};

/* A new series, or NULL when there are too many.  Its colour is its number. */
struct plot_series *plot_series_add(struct plot *plot, const char *name);
/* Points beyond the most are dropped. */
void plot_point(struct plot_series *series, double x, double y);

/* All plots below each other, those without points left out; foot: a line of
 * text at the end (the conditions).  0/-errno. */
int plot_write_svg(FILE *out, const struct plot *const *plots, size_t n, const char *foot);
/* A page of them, with text (the tables) above.  0/-errno. */
int plot_write_html(FILE *out, const struct plot *const *plots, size_t n, const char *heading,
		    const char *text);

#endif
