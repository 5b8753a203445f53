/* SPDX-License-Identifier: BSD-2-Clause */
/* Where the superpages of each owner lie: by its pagemap. */
#include "phys_owners.h"

#include "base/page.h"
#include "host/maps.h"
#include "host/root.h"
#include "grow.h"
#include "map_source.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define NAMED 4 /* owners that a text has */

struct walk {
	struct phys_owners *owners;
	const struct map_source *source;
	unsigned int owner;
	uint64_t superpage; /* bytes */
	int error;
};

static int place_add(struct phys_owners *owners, uint64_t frame, unsigned int owner)
{
	struct phys_place *larger = grow(owners->places, owners->n_places, sizeof(*larger));

	if (!larger)
		return -ENOMEM;
	owners->places = larger;
	larger[owners->n_places++] = (struct phys_place){frame, owner};
	return 0;
}

static void region_add(const struct map_region *region, void *arg)
{
	struct walk *w = arg;
	uint64_t frames = w->superpage >> w->source->shift;

	for (uint64_t va = align_up(region->start, w->superpage); va < region->end && !w->error;
	     va += w->superpage) {
		uint64_t entry;

		/* It may have changed meanwhile: then it is no superpage's frame. */
		if (map_source_read(w->source, va, 1, &entry) != 1 ||
		    !(entry & ENTRY_PRESENT) || !(entry & ENTRY_FRAME) ||
		    (entry & ENTRY_FRAME) % frames)
			continue;
		w->error = place_add(w->owners, entry & ENTRY_FRAME, w->owner);
	}
}

static int mapping_add(const struct host_mapping *m, void *arg)
{
	struct walk *w = arg;

	/* Fails before Linux 6.7, and of [vsyscall]. */
	if (m->end - m->start >= w->superpage)
		map_source_scan(w->source, m->start, m->end, SCAN_HUGE, SCAN_HUGE, region_add, w);
	return w->error;
}

static int by_frame(const void *a, const void *b)
{
	const struct phys_place *x = a, *y = b;

	if (x->frame != y->frame)
		return x->frame < y->frame ? -1 : 1;
	return (x->owner > y->owner) - (x->owner < y->owner);
}

int phys_owners_find_places(struct phys_owners *owners, uint64_t page, uint64_t superpage)
{
	int error = 0;

	if (!contig_root_is_real())
		return 0;
	for (size_t i = 0; i < owners->n && !error; i++) {
		struct target process = {.pid = owners->owners[i].pid, .page_size = page};
		struct map_source source;
		struct walk w = {owners, &source, (unsigned int)i, superpage, 0};

		if (map_source_open(&source, &process))
			continue; /* gone, or not ours to see */
		if (!source.hidden)
			contig_maps_each(process.pid, false, mapping_add, &w);
		error = w.error;
		map_source_close(&source);
	}
	if (owners->n_places)
		qsort(owners->places, owners->n_places, sizeof(*owners->places), by_frame);
	return error;
}

static size_t first_at(const struct phys_owners *owners, uint64_t frame)
{
	size_t low = 0, high = owners->n_places;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (owners->places[middle].frame < frame)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const char *phys_owners_text(const struct phys_owners *owners, uint64_t first, uint64_t end,
			     char *text, size_t len)
{
	struct {
		unsigned int owner;
		uint64_t places;
	} named[NAMED];
	uint64_t others = 0;
	size_t n = 0, at = 0;

	for (size_t i = first_at(owners, first);
	     i < owners->n_places && owners->places[i].frame < end; i++) {
		size_t k = 0;

		/* The same frame may be mapped twice by one process. */
		if (i && !by_frame(&owners->places[i - 1], &owners->places[i]))
			continue;
		while (k < n && named[k].owner != owners->places[i].owner)
			k++;
		if (k == NAMED) {
			others++;
			continue;
		}
		if (k == n) {
			named[n].owner = owners->places[i].owner;
			named[n++].places = 0;
		}
		named[k].places++;
	}
	if (!n)
		return NULL;
	for (size_t k = 0; k < n && at < len; k++) {
		const struct phys_owner *o = &owners->owners[named[k].owner];

		at += (size_t)snprintf(text + at, len - at, "%s%s (%d) %" PRIu64, k ? ", " : "",
				       o->name, (int)o->pid, named[k].places);
	}
	if (others && at < len)
		snprintf(text + at, len - at, ", others %" PRIu64, others);
	return text;
}
