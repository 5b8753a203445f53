/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Plots as SVG, or as an HTML page of them: axes with units, ticks, a legend.
 * x is logarithmic; what a value is decides how ticks are labelled.
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
	size_t n;
	double x[PLOT_POINTS_MAX], y[PLOT_POINTS_MAX];
};

struct plot {
	const char *title, *x_title, *y_title;
	enum plot_unit x_unit, y_unit;
	bool y_log;
	size_t n;
	struct plot_series series[PLOT_SERIES_MAX];
};

/* A new series, or NULL when there are too many. */
struct plot_series *plot_series_add(struct plot *plot, const char *name);
/* Points beyond the most are dropped. */
void plot_point(struct plot_series *series, double x, double y);

/* All plots below each other, those without points left out.  0/-errno. */
int plot_write_svg(FILE *out, const struct plot *const *plots, size_t n);
/* A page of them, with lines of text (the conditions) above.  0/-errno. */
int plot_write_html(FILE *out, const struct plot *const *plots, size_t n, const char *heading,
		    const char *text);

#endif
