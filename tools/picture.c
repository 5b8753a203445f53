/* SPDX-License-Identifier: BSD-2-Clause */
#include "picture.h"

#include "base/page.h"
#include "base/size.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LABEL_CELLS 9 /* room for "node 63 " left of the bars */
#define AXIS_CELLS 9  /* "128 GiB" and a gap */
#define CLOSE_SUPERPAGES_MAX 64 /* a close view of more shows nothing */

struct scale {
	double x, width;     /* cells */
	uint64_t start, end; /* bytes */
};

static double scale_at(const struct scale *s, uint64_t address)
{
	if (address <= s->start)
		return s->x;
	if (address >= s->end)
		return s->x + s->width;
	return s->x +
	       s->width * ((double)(address - s->start) / (double)(s->end - s->start));
}

static void bar(struct draw *d, const struct scale *s, double y, uint64_t start,
		uint64_t end, enum draw_fill fill)
{
	double from = scale_at(s, start), to = scale_at(s, end);

	if (end > s->start && start < s->end)
		draw_box(d, from, y, to - from, 1, fill);
}

static void bar_ranges(struct draw *d, const struct scale *s, double y,
		       const struct picture_range *ranges, size_t n, uint64_t start,
		       uint64_t end)
{
	for (size_t i = 0; i < n; i++)
		if (ranges[i].end > start && ranges[i].start < end)
			bar(d, s, y, ranges[i].start > start ? ranges[i].start : start,
			    ranges[i].end < end ? ranges[i].end : end, DRAW_OURS);
}

/* Addresses along the top; one that would touch its neighbour is left out. */
static void axis(struct draw *d, const struct scale *s, double y, uint64_t step)
{
	double free_from = s->x;
	char text[32];

	for (uint64_t at = align_down(s->start + step - 1, step); at <= s->end; at += step) {
		double x = scale_at(s, at);

		if (at)
			contig_size_print(at, text, sizeof(text));
		else
			strcpy(text, "0");
		if (x >= free_from && x + (double)strlen(text) <= s->x + s->width) {
			draw_text(d, x, y, text, DRAW_FAINT);
			free_from = x + (double)strlen(text) + 2;
		}
		if (at > UINT64_MAX - step)
			break;
	}
}

/* The zones of one node under its bar, each name where its zone begins. */
static void zone_names(struct draw *d, const struct host_topology *t, int node,
		       const struct scale *s, double y)
{
	double free_from = s->x;

	for (unsigned int i = 0; i < t->n_zones; i++) {
		const struct host_zone *z = &t->zones[i];
		uint64_t start = z->start_frame << FRAME_SHIFT;
		double x = scale_at(s, start);

		if (z->node != node || x < free_from ||
		    x + (double)strlen(z->name) > s->x + s->width)
			continue;
		/* A zone too narrow for its name gives way to the next one. */
		double to = scale_at(s, (z->start_frame + z->spanned) << FRAME_SHIFT);

		if (to - x < (double)strlen(z->name))
			continue;
		draw_text(d, x, y, z->name, DRAW_FAINT);
		free_from = x + (double)strlen(z->name) + 1;
	}
}

/* The zone of this node that spans the address (nodes may interleave), and
 * where it ends, but at most limit. */
static unsigned int zone_of(const struct host_topology *t, int node, uint64_t start,
			    uint64_t limit, uint64_t *end)
{
	*end = limit;
	for (unsigned int i = 0; i < t->n_zones; i++) {
		uint64_t from = t->zones[i].start_frame << FRAME_SHIFT;
		uint64_t to = from + (t->zones[i].spanned << FRAME_SHIFT);

		if (t->zones[i].node != node || start < from || start >= to)
			continue;
		if (to < limit)
			*end = to;
		return i;
	}
	return 0;
}

static void node_bar(struct draw *d, const struct host_topology *t, int node,
		     const struct scale *s, double y, const struct picture_range *ranges,
		     size_t n)
{
	char label[24];

	snprintf(label, sizeof(label), "node %d", node);
	draw_text(d, 0, y, label, DRAW_TEXT);
	for (unsigned int i = 0; i < t->n_ram; i++) {
		const struct host_ram *ram = &t->ram[i];

		if (ram->node != node && !(ram->node < 0 && node == t->nodes[0]))
			continue;
		for (uint64_t at = ram->start; at < ram->end;) {
			uint64_t end;
			unsigned int zone = zone_of(t, node, at, ram->end, &end);

			/* Neighbouring zones get different shades. */
			bar(d, s, y, at, end, zone & 1 ? DRAW_RAM_OTHER : DRAW_RAM);
			at = end;
		}
		bar_ranges(d, s, y, ranges, n, ram->start, ram->end);
	}
	zone_names(d, t, node, s, y + 1);
}

/* The superpages in which ranges lie, so that the eye sees alignment. */
static double close_view(struct draw *d, const struct picture_range *ranges, size_t n,
			 double x, double width, double y)
{
	struct scale s = {x, width, UINT64_MAX, 0};
	char text[96], size[24];
	uint64_t cell;

	for (size_t i = 0; i < n; i++) {
		uint64_t start = align_down(ranges[i].start, SUPERPAGE_SIZE);
		uint64_t end = align_up(ranges[i].end, SUPERPAGE_SIZE);
		uint64_t all_start = start < s.start ? start : s.start;
		uint64_t all_end = end > s.end ? end : s.end;

		if (i && (all_end - all_start) / SUPERPAGE_SIZE > CLOSE_SUPERPAGES_MAX)
			break;
		s.start = all_start;
		s.end = all_end;
	}
	cell = (uint64_t)((double)(s.end - s.start) / width);
	snprintf(text, sizeof(text),
		 "close up: 0x%" PRIx64 " to 0x%" PRIx64 ", one column is %s", s.start, s.end,
		 contig_size_print(cell, size, sizeof(size)));
	draw_text(d, x, y, text, DRAW_TEXT);
	bar(d, &s, y + 1, s.start, s.end, DRAW_RAM);
	bar_ranges(d, &s, y + 1, ranges, n, s.start, s.end);
	/* Ticks where superpages meet, as long as they can be told apart. */
	for (uint64_t at = s.start; at < s.end; at += SUPERPAGE_SIZE)
		if ((double)SUPERPAGE_SIZE / (double)(s.end - s.start) * width >= 3)
			draw_line(d, scale_at(&s, at), y + 2, scale_at(&s, at), y + 2.5);
	return y + 3;
}

void picture_memory(struct draw *d, const struct host_topology *t,
		    const struct picture_range *ranges, size_t n, const char *title)
{
	struct scale s = {LABEL_CELLS, d->width - LABEL_CELLS, 0, t->end};
	double y = 0;
	char text[96], size[24];
	uint64_t step = GIGAPAGE_SIZE;

	if (!t->end)
		return;
	if (title) {
		draw_text(d, 0, y, title, DRAW_TITLE);
		y += 1;
	}
	/* As many numbers along the axis as have room, eight at most. */
	while (t->end / step > 8 ||
	       s.width * (double)step / (double)t->end < AXIS_CELLS)
		step *= 2;
	while (step > SUPERPAGE_SIZE && t->end / step < 2)
		step /= 2;
	axis(d, &s, y, step);
	y += 1;
	for (int i = 0; i < t->n_nodes; i++) {
		node_bar(d, t, t->nodes[i], &s, y, ranges, n);
		y += 2;
	}
	snprintf(text, sizeof(text), "one column is %s; what stands out was allocated",
		 contig_size_print((uint64_t)((double)t->end / s.width), size, sizeof(size)));
	draw_text(d, s.x, y, text, DRAW_FAINT);
	y += 1;
	if (n)
		close_view(d, ranges, n, s.x, s.width, y);
}
