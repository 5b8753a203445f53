/* SPDX-License-Identifier: BSD-2-Clause */
#include "plot.h"

#include "base/size.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

/* Pixels. */
#define WIDTH 860
#define HEIGHT 420
#define LEFT 90
#define RIGHT 230 /* the legend is there */
#define TOP 44
#define BOTTOM 62
#define TICKS_MAX 8
#define ROW 24
#define ROWS_LEFT 150 /* their names are there */
#define FOOT 28
#define MARKERS 12 /* of a line, about */

/* Okabe and Ito's, told apart by the colour-blind too; markers tell them
 * apart in print. */
static const char *const colours[PLOT_SERIES_MAX] = {
	"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9",
	"#000000", "#7f7f7f", "#8c564b", "#9467bd", "#bcbd22", "#17becf",
	"#e377c2", "#2ca02c",
};
/* On a dark ground. */
static const char *const dark_colours[PLOT_SERIES_MAX] = {
	"#4aa8e0", "#ff8a3d", "#2fc79a", "#e79fc9", "#f2b632", "#8fd0f5",
	"#ffffff", "#a8a8a8", "#c08a7d", "#b79bdc", "#d8d95a", "#5bdbe6",
	"#f4a3d8", "#6fcf6f",
};

struct axis {
	enum plot_unit unit;
	bool log;
	double least, most;
	double from, to; /* pixels */
};

struct plot_series *plot_series_add(struct plot *plot, const char *name)
{
	struct plot_series *s;

	if (plot->n == PLOT_SERIES_MAX)
		return NULL;
	s = &plot->series[plot->n];
	s->n = 0;
	s->strong = false;
	s->colour = (unsigned int)plot->n++;
	snprintf(s->name, sizeof(s->name), "%s", name);
	return s;
}

void plot_point(struct plot_series *s, double x, double y)
{
	if (!s || s->n == PLOT_POINTS_MAX)
		return;
	s->x[s->n] = x;
	s->y[s->n++] = y;
}

static double at(const struct axis *a, double value)
{
	double share;

	if (a->log)
		share = log(value / a->least) / log(a->most / a->least);
	else
		share = (value - a->least) / (a->most - a->least);
	return a->from + share * (a->to - a->from);
}

static void label(char *text, size_t len, enum plot_unit unit, double v)
{
	switch (unit) {
	case PLOT_BYTES:
		contig_size_print((uint64_t)(v + 0.5), text, len);
		break;
	case PLOT_NANOSECONDS:
		if (v < 1e3)
			snprintf(text, len, "%.3g ns", v);
		else if (v < 1e6)
			snprintf(text, len, "%.3g µs", v / 1e3);
		else if (v < 1e9)
			snprintf(text, len, "%.3g ms", v / 1e6);
		else
			snprintf(text, len, "%.3g s", v / 1e9);
		break;
	case PLOT_PERCENT:
		snprintf(text, len, "%.3g %%", v);
		break;
	case PLOT_NINES: /* 1 / (1 - share): 10 is p90, 1000 is p99.9 */
		snprintf(text, len, "p%.7g", 100 - 100 / v);
		break;
	}
}

/* Ends of an axis that all points fit between. */
static void axis_fit(struct axis *a, const struct plot *p, bool x)
{
	bool first = true;

	for (size_t i = 0; i < p->n; i++)
		for (size_t j = 0; j < p->series[i].n; j++) {
			double v = x ? p->series[i].x[j] : p->series[i].y[j];

			if (first || v < a->least)
				a->least = v;
			if (first || v > a->most)
				a->most = v;
			first = false;
		}
	if (a->unit == PLOT_PERCENT) {
		a->least = 0;
		a->most = 100;
	} else if (a->unit == PLOT_NINES) {
		a->least = 1;
		a->most = pow(10, ceil(log10(a->most)));
	} else if (!a->log) {
		a->least = 0;
		a->most *= 1.05;
	} else if (a->unit == PLOT_BYTES) {
		a->least = exp2(floor(log2(a->least)));
		a->most = exp2(ceil(log2(a->most)));
	} else {
		a->least = pow(10, floor(log10(a->least > 0 ? a->least : 1)));
		a->most = pow(10, ceil(log10(a->most)));
	}
	if (a->most <= a->least)
		a->most = a->log ? a->least * 2 : a->least + 1;
}

/* The next tick after v; v below least: the first. */
static double tick_next(const struct axis *a, double v, double step)
{
	if (a->unit == PLOT_NINES)
		return v < 2 ? 2 : v < 10 ? 10 : v * step; /* p50, p90, p99 */
	if (v < a->least || (a->least <= 0 && v < 0))
		return a->least;
	return a->log ? v * step : v + step;
}

static double tick_step(const struct axis *a)
{
	double step, magnitude;

	if (a->log) {
		step = a->unit == PLOT_BYTES ? 2 : 10;
		while (log(a->most / a->least) / log(step) > TICKS_MAX)
			step *= a->unit == PLOT_BYTES ? 2 : 10;
		return step;
	}
	step = (a->most - a->least) / TICKS_MAX;
	magnitude = pow(10, floor(log10(step)));
	if (step > magnitude * 5)
		return magnitude * 10;
	return step > magnitude * 2 ? magnitude * 5 : step > magnitude ? magnitude * 2 : magnitude;
}

static void escaped(FILE *out, const char *text)
{
	for (; *text; text++)
		if (*text == '<')
			fputs("&lt;", out);
		else if (*text == '&')
			fputs("&amp;", out);
		else
			fputc(*text, out);
}

static void text_at(FILE *out, double x, double y, const char *anchor, const char *class,
		    const char *text)
{
	fprintf(out, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", class, x, y,
		anchor);
	escaped(out, text);
	fputs("</text>\n", out);
}

static void x_write(FILE *out, const struct axis *x, const struct axis *y)
{
	char text[40];

	for (double v = tick_next(x, -1, 0), step = tick_step(x); v <= x->most * 1.0001;
	     v = tick_next(x, v, step)) {
		double px = at(x, v);

		fprintf(out, "<line class=\"grid\" x1=\"%.1f\" y1=\"%.1f\" "
			"x2=\"%.1f\" y2=\"%.1f\"/>\n",
			px, y->from, px, y->to);
		label(text, sizeof(text), x->unit, v);
		text_at(out, px, y->from + 18, "middle", "tick", text);
	}
	fprintf(out, "<rect class=\"frame\" x=\"%.1f\" y=\"%.1f\" "
		"width=\"%.1f\" height=\"%.1f\"/>\n",
		x->from, y->to, x->to - x->from, y->from - y->to);
}

static void y_write(FILE *out, const struct axis *x, const struct axis *y)
{
	char text[40];

	for (double v = tick_next(y, -1, 0), step = tick_step(y); v <= y->most * 1.0001;
	     v = tick_next(y, v, step)) {
		double py = at(y, v);

		fprintf(out, "<line class=\"grid\" x1=\"%.1f\" y1=\"%.1f\" "
			"x2=\"%.1f\" y2=\"%.1f\"/>\n",
			x->from, py, x->to, py);
		label(text, sizeof(text), y->unit, v);
		text_at(out, x->from - 8, py + 4, "end", "tick", text);
	}
}

static void marker(FILE *out, unsigned int kind, double x, double y)
{
	const char *colour = colours[kind];

	switch (kind % 4) {
	case 0:
		fprintf(out, "<circle class=\"f%u\" cx=\"%.1f\" cy=\"%.1f\" "
			"r=\"3.5\" fill=\"%s\"/>\n",
			kind, x, y, colour);
		break;
	case 1:
		fprintf(out, "<rect class=\"f%u\" x=\"%.1f\" y=\"%.1f\" width=\"7\" height=\"7\" "
			     "fill=\"%s\"/>\n",
			kind, x - 3.5, y - 3.5, colour);
		break;
	case 2:
		fprintf(out, "<path class=\"f%u\" d=\"M%.1f %.1fl4 "
			"7h-8z\" fill=\"%s\"/>\n", kind, x,
			y - 4, colour);
		break;
	default:
		fprintf(out, "<path class=\"f%u\" d=\"M%.1f %.1fl4 4l-4 4l-4 -4z\" fill=\"%s\"/>\n",
			kind, x, y - 4, colour);
	}
}

static void series_write(FILE *out, const struct plot *p, size_t i, size_t shown,
			 const struct axis *x, const struct axis *y)
{
	const struct plot_series *s = &p->series[i];
	double legend_y = y->to + 10 + 22 * (double)shown;
	size_t step = (s->n + MARKERS - 1) / MARKERS;
	int width = s->strong ? 4 : 2;

	fprintf(out, "<polyline class=\"s%u\" fill=\"none\" stroke=\"%s\" "
		"stroke-width=\"%d\" points=\"",
		s->colour, colours[s->colour], width);
	for (size_t j = 0; j < s->n; j++)
		fprintf(out, "%.1f,%.1f ", at(x, s->x[j]), at(y, s->y[j]));
	fputs("\"/>\n", out);
	for (size_t j = 0; j < s->n; j += step)
		marker(out, s->colour, at(x, s->x[j]), at(y, s->y[j]));
	fprintf(out,
		"<line class=\"s%u\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" "
		"stroke-width=\"%d\"/>\n",
		s->colour, x->to + 14, legend_y, x->to + 38, legend_y, colours[s->colour], width);
	marker(out, s->colour, x->to + 26, legend_y);
	text_at(out, x->to + 46, legend_y + 4, "start", "legend", s->name);
}

static void dot_write(FILE *out, double x, double y)
{
	fprintf(out, "<circle class=\"f0\" cx=\"%.1f\" cy=\"%.1f\" r=\"5\" fill=\"%s\"/>\n", x, y,
		colours[0]);
}

static void ring_write(FILE *out, double x, double y)
{
	fprintf(out,
		"<circle class=\"s1 paper\" cx=\"%.1f\" cy=\"%.1f\" "
		"r=\"7\" fill=\"#fff\" stroke=\"%s\" "
		"stroke-width=\"2\"/>\n",
		x, y, colours[1]);
}

static void row_write(FILE *out, const struct plot_series *s, double py, const struct axis *x)
{
	char text[80];

	fprintf(out, "<line class=\"grid\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n",
		x->from, py, x->to, py);
	text_at(out, x->from - 10, py + 4, "end", s->strong ? "strong" : "tick", s->name);
	label(text, sizeof(text), x->unit, s->x[0]);
	if (s->n > 1) {
		size_t used = strlen(text);

		snprintf(text + used, sizeof(text) - used, " / ");
		label(text + used + 3, sizeof(text) - used - 3, x->unit, s->x[1]);
		fprintf(out,
			"<line class=\"s1\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" "
			"stroke=\"%s\" stroke-width=\"2\"/>\n",
			at(x, s->x[0]), py, at(x, s->x[1]), py, colours[1]);
		ring_write(out, at(x, s->x[1]), py);
	}
	dot_write(out, at(x, s->x[0]), py);
	text_at(out, x->to + 14, py + 4, "start", s->strong ? "strong" : "tick", text);
}

/* What dot and ring are, above the numbers. */
static void key_write(FILE *out, const struct plot *p, double top)
{
	double x = WIDTH - RIGHT + 14;

	dot_write(out, x + 6, top + 12);
	text_at(out, x + 20, top + 16, "start", "legend", p->dot);
	if (!p->ring)
		return;
	ring_write(out, x + 6, top + 31);
	text_at(out, x + 20, top + 35, "start", "legend", p->ring);
}

static size_t points(const struct plot *p)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n; i++)
		n += p->series[i].n;
	return n;
}

static size_t shown_series(const struct plot *p)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n; i++)
		n += p->series[i].n > 0;
	return n;
}

static unsigned int plot_height(const struct plot *p)
{
	return p->dot ? TOP + (unsigned int)shown_series(p) * ROW + BOTTOM : HEIGHT;
}

static void plot_one(FILE *out, const struct plot *p, double top)
{
	double left = p->dot ? ROWS_LEFT : LEFT, bottom = top + plot_height(p) - BOTTOM;
	struct axis x = {p->x_unit, p->x_unit != PLOT_PERCENT, 0, 0, left, WIDTH - RIGHT};
	struct axis y = {p->y_unit, p->y_log, 0, 0, bottom, top + TOP};
	size_t shown = 0;

	axis_fit(&x, p, true);
	text_at(out, left, top + 26, "start", "title", p->title);
	x_write(out, &x, &y);
	text_at(out, (x.from + x.to) / 2, y.from + 44, "middle", "name", p->x_title);
	if (p->dot) {
		key_write(out, p, top);
	} else {
		axis_fit(&y, p, false);
		y_write(out, &x, &y);
		fprintf(out, "<g transform=\"translate(20 %.1f) rotate(-90)\">",
			(y.from + y.to) / 2);
		text_at(out, 0, 0, "middle", "name", p->y_title);
		fputs("</g>\n", out);
	}
	for (size_t i = 0; i < p->n; i++) {
		if (!p->series[i].n)
			continue;
		if (p->dot)
			row_write(out, &p->series[i], y.to + ROW * ((double)shown + 0.5), &x);
		else
			series_write(out, p, i, shown, &x, &y);
		shown++;
	}
}

static void style_write(FILE *out)
{
	fputs("<style>\ntext { font: 13px sans-serif; fill: #222 }\n"
	      ".title { font-weight: bold; font-size: 15px }\n.tick { font-size: 12px }\n"
	      ".strong { font-size: 12px; font-weight: bold }\n"
	      ".foot { font-size: 11px; fill: #666 }\n.paper { fill: #fff }\n"
	      ".grid { stroke: #ddd }\n.frame { fill: none; stroke: #444 }\n"
	      "@media (prefers-color-scheme: dark) {\ntext { fill: #ddd }\n"
	      ".foot { fill: #999 }\n.paper { fill: #16191d }\n.grid { stroke: #33383f }\n"
	      ".frame { stroke: #999 }\n",
	      out);
	for (size_t i = 0; i < PLOT_SERIES_MAX; i++)
		fprintf(out, ".s%zu { stroke: %s }\n.f%zu { fill: %s }\n", i, dark_colours[i], i,
			dark_colours[i]);
	fputs("}\n</style>\n", out);
}

static void svg_write(FILE *out, const struct plot *const *plots, size_t n, const char *foot)
{
	unsigned int height = foot ? FOOT : 0;
	double top = 0;

	for (size_t i = 0; i < n; i++)
		if (points(plots[i]))
			height += plot_height(plots[i]);
	fprintf(out,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" version=\"1.1\" width=\"%d\" "
		"height=\"%u\" viewBox=\"0 0 %d %u\">\n",
		WIDTH, height, WIDTH, height);
	style_write(out);
	fprintf(out, "<rect class=\"paper\" width=\"%d\" height=\"%u\" fill=\"#fff\"/>\n", WIDTH,
		height);
	for (size_t i = 0; i < n; i++) {
		if (!points(plots[i]))
			continue;
		plot_one(out, plots[i], top);
		top += plot_height(plots[i]);
	}
	if (foot)
		text_at(out, 20, top + 14, "start", "foot", foot);
	fputs("</svg>\n", out);
}

static int finish(FILE *out)
{
	errno = 0;
	if (fflush(out) || ferror(out))
		return errno ? -errno : -EIO;
	return 0;
}

int plot_write_svg(FILE *out, const struct plot *const *plots, size_t n, const char *foot)
{
	fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n", out);
	svg_write(out, plots, n, foot);
	return finish(out);
}

int plot_write_html(FILE *out, const struct plot *const *plots, size_t n, const char *heading,
		    const char *text)
{
	fprintf(out,
		"<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
		"<meta name=\"color-scheme\" content=\"light dark\"><title>%s</title>\n"
		"<style>body { font: 15px sans-serif; margin: 2em; max-width: 60em }\n"
		"pre { background: #f4f4f4; padding: 1em; overflow-x: auto }\n"
		"svg { max-width: 100%%; height: auto }\n"
		"@media (prefers-color-scheme: dark) { body { background: #16191d; color: #ddd }\n"
		"pre { background: #22262c } }</style></head><body>\n<h1>%s</h1>\n<pre>",
		heading, heading);
	escaped(out, text);
	fputs("</pre>\n", out);
	svg_write(out, plots, n, NULL);
	fputs("</body></html>\n", out);
	return finish(out);
}
