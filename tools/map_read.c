/* SPDX-License-Identifier: BSD-2-Clause */
/* From pages to runs and tallies, as they stream by. */
#include "map.h"

#include "base/clock.h"
#include "base/page.h"
#include "host/maps.h"
#include "map_folio.h"
#include "map_pipe.h"
#include "map_superpage.h"
#include "progress.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Up to here reading a hole costs less than asking where it ends. */
#define HOLE_WORTH_ASKING 2048
/* Less than this is read before threads have started. */
#define WORTH_THREADS (UINT64_C(256) << 20)
#define THREADS_MOST 8u

struct reader {
	uint64_t zero_huge; /* the first frame of the superpage of zeros */
	bool zero_huge_known;
	struct map *m;
	const struct map_options *options;
	struct map_superpages *superpages;
	struct map_folios *folios;
	struct progress progress;
	size_t vma;	     /* the mapping that the open run is of */
	size_t joined_vma;   /* the last one of the joined run */
	struct map_run run;  /* open: pages != 0; of one mapping */
	struct map_run joined; /* the same, through adjoining mappings */
	uint64_t serial;     /* of the joined run */
	const char *name;    /* of all mappings of the joined run; NULL: several */
	uint64_t node_from, node_end; /* frames that are of the node below */
	int node;
	uint64_t done;	     /* pages, for the progress bar */
	bool ended;
	int error;
};

void map_size_add(struct map_size *sizes, unsigned int *n, uint64_t size, uint64_t pages)
{
	unsigned int i = 0;

	if (!pages)
		return;
	while (i < *n && sizes[i].size < size)
		i++;
	if (i == *n || sizes[i].size != size) {
		if (*n == MAP_SIZES)
			return;
		memmove(&sizes[i + 1], &sizes[i], (*n - i) * sizeof(*sizes));
		sizes[i] = (struct map_size){size, 0};
		(*n)++;
	}
	sizes[i].pages += pages;
}

/* --- runs */

static void add_node(struct reader *r, struct map_vma *v, int index, uint64_t pages)
{
	size_t known = (size_t)r->m->nodes.n;

	if (!known)
		return;
	if (!v->node_pages) {
		v->node_pages = calloc(known + 1, sizeof(*v->node_pages));
		if (!v->node_pages) {
			r->error = -ENOMEM;
			return;
		}
	}
	if (index < 0)
		index = (int)known; /* of no node: a device's memory */
	v->node_pages[index] += pages;
	r->m->node_pages[index] += pages;
}

static void add_nodes(struct reader *r, struct map_vma *v, uint64_t frame, uint64_t pages)
{
	while (pages) {
		uint64_t part;

		if (frame < r->node_from || frame >= r->node_end) {
			r->node = map_nodes_of(&r->m->nodes, frame, &r->node_end);
			r->node_from = frame;
		}
		part = r->node_end - frame;
		if (part > pages)
			part = pages;
		add_node(r, v, r->node, part);
		frame += part;
		pages -= part;
	}
}

static void joined_close(struct reader *r)
{
	struct map_tally *t = &r->m->total;

	if (!r->joined.pages)
		return;
	t->runs++;
	if (r->joined.pages > t->longest)
		t->longest = r->joined.pages;
	if (r->name && r->joined.pages > r->m->vmas[r->joined_vma].longest_joined)
		r->m->vmas[r->joined_vma].longest_joined = r->joined.pages;
	if (map_longest_wants(&r->m->longest, r->joined.pages)) {
		uint64_t end;
		int index = map_nodes_of(&r->m->nodes, r->joined.frame, &end);
		bool one = index >= 0 && end >= r->joined.frame + r->joined.pages;
		struct map_found found = {r->joined.va, r->joined.frame, r->joined.pages,
					  one ? r->m->nodes.number[index] : -1};

		map_longest_add(&r->m->longest, &found);
	}
	r->m->longest.seen++;
	r->joined.pages = 0;
}

static void run_add(struct reader *r, const struct map_run *run)
{
	uint64_t shift = r->m->source.shift;
	struct map_vma *v;

	/* At the end there may have been no mapping at all. */
	if (!run->pages)
		return;
	v = &r->m->vmas[r->vma];
	v->t.runs++;
	v->t.in_runs += run->pages;
	if (run->pages > v->t.longest)
		v->t.longest = run->pages;
	add_nodes(r, v, run->frame, run->pages);
	if (r->joined.pages && r->joined.frame + r->joined.pages == run->frame &&
	    r->joined.va + (r->joined.pages << shift) == run->va) {
		r->joined.pages += run->pages;
		if (r->name != v->name)
			r->name = NULL;
		v->joins = r->name != NULL;
	} else {
		joined_close(r);
		r->joined = *run;
		r->serial++;
		r->name = v->name;
	}
	r->joined_vma = r->vma;
	if (r->m->strip.cells)
		map_strip_add(&r->m->strip, r->vma, run->va, run->pages, STRIP_RUN, r->serial);
	if (r->superpages)
		map_superpages_run(r->superpages, r->vma, run);
	if (r->folios)
		map_folios_run(r->folios, run->frame, run->pages);
}

/* Its first and the one after its last; looked for when it may matter. */
static bool meets_zero_huge(struct reader *r, const struct map_run *run, uint64_t *zero,
			    uint64_t *zero_end)
{
	uint64_t size = r->m->process->huge_size, frames = size >> r->m->source.shift;

	if (run->pages < frames || frames < 2)
		return false;
	if (!r->zero_huge_known)
		r->zero_huge = map_source_zero_huge(&r->m->source, size);
	r->zero_huge_known = true;
	if (r->zero_huge == UINT64_MAX)
		return false;
	*zero = r->zero_huge;
	*zero_end = *zero + frames;
	return run->frame < *zero_end && *zero < run->frame + run->pages;
}

/* Without the superpage of zeros, which may lie next to the frames. */
static void run_close(struct reader *r)
{
	struct map_run run = r->run, part = run;
	uint64_t end = run.frame + run.pages, zero, zero_end;

	r->run.pages = 0;
	if (!meets_zero_huge(r, &run, &zero, &zero_end)) {
		run_add(r, &run);
		return;
	}
	part.pages = run.frame < zero ? zero - run.frame : 0;
	run_add(r, &part);
	run.pages -= part.pages;
	part.frame = end > zero_end ? zero_end : end;
	part.va += (part.frame - run.frame) << r->m->source.shift;
	part.pages = end - part.frame;
	run_add(r, &part);
	r->m->vmas[r->vma].t.zero += run.pages - part.pages;
}

/* Pages of which no frame is known, one after another. */
static void other_pages(struct reader *r, size_t vma, uint64_t va, uint64_t pages,
			enum map_strip_kind kind)
{
	if (r->m->strip.cells)
		map_strip_add(&r->m->strip, vma, va, pages, kind, 0);
}

static void begin_vma(struct reader *r, size_t vma)
{
	if (r->vma == vma)
		return;
	run_close(r);
	r->vma = vma;
}

/* An entry that doesn't continue the open run. */
static void entry_slow(struct reader *r, struct map_vma *v, uint64_t va, uint64_t entry)
{
	uint64_t frame = entry & ENTRY_FRAME;

	run_close(r);
	if (!(entry & ENTRY_PRESENT)) {
		if (entry_is_swapped(entry)) {
			v->t.swapped++;
			other_pages(r, r->vma, va, 1, STRIP_SWAPPED);
		}
		return;
	}
	v->t.present++;
	if (!frame) {
		v->t.hidden++;
		other_pages(r, r->vma, va, 1, STRIP_HIDDEN);
	} else if (frame == r->m->source.zero_frame) {
		v->t.zero++;
	} else {
		r->run = (struct map_run){va, frame, 1};
	}
}

static void look(const struct map_piece *piece, void *arg)
{
	struct reader *r = arg;
	struct map_vma *v = &r->m->vmas[piece->vma];
	unsigned int shift = r->m->source.shift;
	const uint64_t *entries = piece->entries;
	uint64_t present;

	begin_vma(r, piece->vma);
	if (piece->got < (ssize_t)piece->n) {
		/* Above all user memory ([vsyscall]) there is nothing to read. */
		if (piece->got < 0 || !map_source_alive(&r->m->source)) {
			v->missed = true;
			r->ended = true;
		}
	}
	if (r->run.pages && r->run.va + (r->run.pages << shift) != piece->va)
		run_close(r);
	present = v->t.present;
	for (size_t i = 0; i < piece->n;) {
		/* Both marks and the frame in one comparison. */
		uint64_t next = ENTRY_PRESENT | (r->run.frame + r->run.pages);
		size_t from = i;

		if (r->run.pages) {
			while (i < piece->n &&
			       (entries[i] & (ENTRY_PRESENT | ENTRY_FRAME)) == next) {
				i++;
				next++;
			}
			r->run.pages += i - from;
			v->t.present += i - from;
			if (i == piece->n)
				break;
		} else {
			while (i < piece->n && !(entries[i] & (ENTRY_PRESENT | ENTRY_SWAPPED)))
				i++;
			if (i == piece->n)
				break;
		}
		entry_slow(r, v, piece->va + ((uint64_t)i << shift), entries[i]);
		i++;
	}
	r->done += v->t.present - present;
	progress_show(&r->progress, r->done << shift);
}

/* --- without frames: regions tell all there is to know */

static void hidden_region(const struct map_region *region, void *arg)
{
	struct reader *r = arg;
	struct map_vma *v = &r->m->vmas[r->vma];
	uint64_t pages = (region->end - region->start) >> r->m->source.shift;

	if (!(region->categories & SCAN_PRESENT)) {
		v->t.swapped += pages;
		other_pages(r, r->vma, region->start, pages, STRIP_SWAPPED);
		return;
	}
	v->t.present += pages;
	r->done += pages;
	if (region->categories & SCAN_ZERO) {
		v->t.zero += pages;
		return;
	}
	v->t.hidden += pages;
	if (region->categories & SCAN_HUGE)
		v->t.superpages += pages;
	other_pages(r, r->vma, region->start, pages, STRIP_HIDDEN);
	progress_show(&r->progress, r->done << r->m->source.shift);
}

static void read_hidden(struct reader *r)
{
	struct map *m = r->m;

	for (size_t i = 0; i < m->n && !r->ended; i++) {
		int error;

		r->vma = i;
		error = map_source_scan(&m->source, m->vmas[i].start, m->vmas[i].end,
					SCAN_PRESENT | SCAN_SWAPPED,
					SCAN_PRESENT | SCAN_SWAPPED | SCAN_ZERO | SCAN_HUGE,
					hidden_region, r);
		/* Addresses above all user memory are refused. */
		if (error && !map_source_alive(&m->source))
			m->vmas[i].missed = r->ended = true;
		if (m->vmas[i].t.superpages)
			m->vmas[i].sizes = PAGES_SUPER;
	}
}

/* --- with frames */

static unsigned int threads_for(const struct map *m, uint64_t resident)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (m->source.captured || resident < WORTH_THREADS || cpus < 2)
		return 0;
	/* Whoever looks reads, too. */
	return (unsigned int)cpus - 1 < THREADS_MOST ? (unsigned int)cpus - 1 : THREADS_MOST;
}

static void read_vma(struct reader *r, struct map_pipe *pipe, size_t i)
{
	struct map *m = r->m;
	const struct map_vma *v = &m->vmas[i];
	unsigned int shift = m->source.shift;
	uint64_t at = v->empty ? v->end : v->start;

	while (at < v->end && !r->ended) {
		uint64_t left = (v->end - at) >> shift;
		size_t n;

		if (left > HOLE_WORTH_ASKING) {
			at = map_source_next(&m->source, at, v->end);
			left = (v->end - at) >> shift;
		}
		if (!left)
			break;
		n = left < MAP_PIPE_PAGES ? left : MAP_PIPE_PAGES;
		map_pipe_read(pipe, i, at, n);
		at += (uint64_t)n << shift;
	}
}

static int read_visible(struct reader *r, uint64_t resident)
{
	struct map *m = r->m;
	struct map_pipe *pipe;

	if (!m->source.scan)
		map_vmas_find_empty(m);
	pipe = map_pipe_create(&m->source, threads_for(m, resident), look, r);
	if (!pipe)
		return -errno;
	for (size_t i = 0; i < m->n && !r->ended; i++)
		read_vma(r, pipe, i);
	map_pipe_finish(pipe);
	map_pipe_destroy(pipe);
	run_close(r);
	joined_close(r);
	return 0;
}

/* --- all of it */

static void numa_line(uint64_t start, int node, uint64_t pages, uint64_t page_size, void *arg)
{
	struct reader *r = arg;
	struct map *m = r->m;
	size_t i = map_vmas_find(m, start);
	int index = 0;

	if (i == m->n)
		return;
	while (index < m->nodes.n && m->nodes.number[index] != node)
		index++;
	if (!page_size)
		page_size = m->source.page;
	add_node(r, &m->vmas[i], index < m->nodes.n ? index : -1,
		 pages * (page_size >> m->source.shift));
}

/* Frames that are hidden still have a node: the only one, or what numa_maps
 * counts. */
static void find_hidden_nodes(struct reader *r)
{
	struct map *m = r->m;

	if (m->nodes.n == 1)
		for (size_t i = 0; i < m->n; i++)
			add_node(r, &m->vmas[i], 0, m->vmas[i].t.hidden);
	else if (m->nodes.n > 1)
		map_nodes_each(m->process->pid, numa_line, r);
}

static void sum_up(struct map *m)
{
	uint64_t base = m->source.page;

	for (size_t i = 0; i < m->n; i++) {
		const struct map_vma *v = &m->vmas[i];
		uint64_t pages = v->t.present - v->t.zero;

		m->total.present += v->t.present;
		m->total.zero += v->t.zero;
		m->total.swapped += v->t.swapped;
		m->total.hidden += v->t.hidden;
		m->total.in_runs += v->t.in_runs;
		if (v->sizes == PAGES_UNKNOWN) {
			m->size_unknown += pages;
			continue;
		}
		m->total.superpages += v->t.superpages;
		map_size_add(m->sizes, &m->n_sizes, base,
			     pages > v->t.superpages ? pages - v->t.superpages : 0);
		map_size_add(m->sizes, &m->n_sizes, v->superpage_size, v->t.superpages);
	}
	m->hidden = m->total.hidden > 0;
}

static int read_all(struct reader *r)
{
	struct map *m = r->m;
	uint64_t resident = target_resident(m->process);
	int error = 0;

	progress_begin(&r->progress, "reading", resident);
	r->progress.terminal &= r->options->progress;
	if (m->source.hidden && m->source.scan)
		read_hidden(r);
	else
		error = read_visible(r, resident);
	if (!error)
		error = r->error;
	if (!error && r->superpages)
		error = map_superpages_finish(r->superpages);
	for (size_t i = 0; !r->superpages && i < m->n; i++) {
		m->vmas[i].sizes = PAGES_UNKNOWN;
		m->vmas[i].t.superpages = 0;
	}
	progress_end(&r->progress);
	return error;
}

int map_read(struct map *m, const struct target *p, const struct map_options *options,
	     const char **object)
{
	struct reader r = {.m = m, .options = options, .vma = SIZE_MAX, .node = -1};
	uint64_t start = clock_ns();
	int error;

	m->process = p;
	*object = "maps";
	error = map_vmas_read(m, p, options);
	if (error)
		return error;
	*object = "pagemap";
	error = map_source_open(&m->source, p);
	if (error)
		goto free_vmas;
	*object = "memory";
	map_nodes_load(&m->nodes);
	error = map_longest_begin(&m->longest, options->longest);
	if (!error && !options->no_page_sizes)
		error = map_superpages_create(m, &r.superpages);
	if (error)
		goto close_source;
	if (options->folios)
		m->folio_error = map_folios_create(m, &r.folios);
	error = read_all(&r);
	if (error)
		goto destroy;
	/* Read to the end, and still there: then nothing was missed. */
	m->ended = r.ended || (m->n && !map_source_alive(&m->source)) || !target_is_same(p);
	for (size_t i = r.vma + 1; r.ended && r.vma != SIZE_MAX && i < m->n; i++)
		m->vmas[i].missed = true;
	for (size_t i = 0; i < m->n; i++)
		m->missed += m->vmas[i].missed;
	if (!m->source.captured && !m->ended)
		map_vmas_compare(m, options);
	sum_up(m);
	if (m->hidden)
		find_hidden_nodes(&r);
	m->ns = clock_ns() - start;
destroy:
	map_folios_destroy(r.folios);
	map_superpages_destroy(r.superpages);
close_source:
	map_source_close(&m->source);
free_vmas:
	if (error)
		map_vmas_free(m);
	return error;
}

void map_free(struct map *m)
{
	map_longest_end(&m->longest);
	map_strip_end(&m->strip);
	map_vmas_free(m);
}
