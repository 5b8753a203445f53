/* SPDX-License-Identifier: BSD-2-Clause */
#include "phys/outlook.h"

#include "base/page.h"
#include "host/pageflags.h"
#include "phys/machine.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Taking and zeroing a superpage costs as much as so many reads. */
#define READS_A_TAKE 256

static uint64_t reads_needed(void)
{
	uint64_t bytes = 0;

	for (unsigned int i = 0; i < contig_machine.n_ranges; i++)
		bytes += contig_machine.ranges[i].end - contig_machine.ranges[i].start;
	return bytes >> SUPERPAGE_SHIFT;
}

/* Beside what list has.  False: not to be told, or fewer than there are. */
static bool add_free(struct candidates *all, size_t room, size_t free, int fd)
{
	size_t had = all->n;

	for (unsigned int i = 0; i < contig_machine.n_ranges; i++) {
		const struct machine_range *range = &contig_machine.ranges[i];

		for (uint64_t place = range->start; place < range->end; place += SUPERPAGE_SIZE) {
			int is = contig_pageflags_may_be_free_hugetlb(fd, place >> FRAME_SHIFT);

			if (is < 0 || (is && all->n == room))
				return false;
			if (is)
				all->list[all->n++] = (struct candidate){.place = place,
									 .node = range->node};
		}
	}
	return all->n - had >= free;
}

bool contig_outlook_good(struct candidates *c, const struct frame_request *request, size_t free_pages)
{
	struct candidates all = *c;
	/* Pages come back while this reads. */
	size_t room = c->n + 2 * free_pages;
	bool good = true;
	int fd;

	if (contig_machine.level != CONTIG_LEVEL_PHYSICAL ||
	    c->want.page_size != SUPERPAGE_SIZE || c->want.kind != SUPERPAGE_HUGETLB ||
	    reads_needed() / READS_A_TAKE > free_pages)
		return true;
	fd = contig_pageflags_open();
	if (fd < 0)
		return true;
	all.list = malloc(room * sizeof(*all.list));
	if (all.list) {
		if (c->n)
			memcpy(all.list, c->list, c->n * sizeof(*all.list));
		if (add_free(&all, room, free_pages, fd))
			good = contig_candidates_can(&all, request);
	}
	free(all.list);
	close(fd);
	return good;
}

static int place_compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Runs that the superpages at places are in; *alone: of one. */
static size_t count_runs(uint64_t *places, size_t n, size_t *alone)
{
	size_t runs = 0, length = 0;

	qsort(places, n, sizeof(*places), place_compare);
	*alone = 0;
	for (size_t i = 0; i < n; i++) {
		length++;
		if (i + 1 < n && places[i + 1] == places[i] + SUPERPAGE_SIZE)
			continue;
		*alone += length == 1;
		runs++;
		length = 0;
	}
	return runs;
}

/*
 * If one superpage in m ends a run, the longest of n superpages is about
 * m * ln(n / m) long.  What lies between them may close gaps as more are
 * taken: hence several times that.
 */
#define HOPE 3

bool contig_outlook_likely(const struct candidates *c, size_t alone, size_t need, size_t most)
{
	uint64_t *places = malloc(c->n * sizeof(*places));
	size_t n = c->n, runs, seen_alone, mean;

	if (!places)
		return true;
	for (size_t i = 0; i < n; i++)
		places[i] = c->list[i].place;
	runs = count_runs(places, n, &seen_alone);
	free(places);
	if (alone > seen_alone)
		alone = seen_alone;
	runs -= alone;
	n -= alone;
	if (!runs)
		return false;
	mean = (n + runs - 1) / runs;
	return most <= mean || HOPE * mean * (floor_log2(most / mean) + 1) >= need;
}
