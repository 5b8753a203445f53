/* SPDX-License-Identifier: BSD-2-Clause */
#include "phys_scan.h"

#include "base/clock.h"
#include "base/page.h"
#include "base_page.h"
#include "host/pageflags.h"
#include "grow.h"
#include "phys_zones.h"
#include "progress.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Documentation/admin-guide/mm/pagemap.rst */
#define KPF_COMPOUND_HEAD 15
#define KPF_NOPAGE 20

#define BATCH 65536 /* frames a read: half a MiB, which stays in the cache */

/* The block of one size that the pass is in. */
struct block_pass {
	uint64_t size;  /* frames */
	uint64_t index; /* frame / size */
	uint32_t frames[PHYS_USES_N];
	bool several; /* folios, of which one begins behind its first frame */
	struct phys_blocks *out;
};

struct pass {
	struct phys_scan *scan;
	struct phys_zone *zone;
	struct block_pass super, giga;
	enum phys_use head;
	uint64_t run, run_end; /* the free run that the pass is in, frames */
	struct progress progress;
	uint64_t done; /* frames */
};

static bool is_whole(const uint32_t *frames, uint64_t size, enum phys_use use)
{
	return frames[use] == size;
}

static void block_end(struct block_pass *b)
{
	enum phys_use worst = USE_KERNEL;
	uint64_t all = 0, stays = 0;

	for (int use = 0; use < PHYS_USES_N; use++) {
		all += b->frames[use];
		if (phys_use_movable((enum phys_use)use))
			continue;
		stays += b->frames[use];
		if (b->frames[use] > b->frames[worst])
			worst = (enum phys_use)use;
	}
	if (all == b->size) {
		b->out->whole++;
		if (is_whole(b->frames, b->size, USE_FREE))
			b->out->free++;
		if (!b->several && (is_whole(b->frames, b->size, USE_HUGETLB) ||
				    is_whole(b->frames, b->size, USE_THP)))
			b->out->taken++;
		if (stays)
			b->out->in_the_way[worst]++;
		else
			b->out->movable++;
	}
	memset(b->frames, 0, sizeof(b->frames));
	b->several = false;
}

static void block_add(struct block_pass *b, uint64_t frame, enum phys_use use, uint64_t n)
{
	if (!b->size)
		return;
	if (frame / b->size != b->index) {
		block_end(b);
		b->index = frame / b->size;
	}
	b->frames[use] += (uint32_t)n;
}

static int cell_add(struct pass *p, uint64_t frame, const uint32_t *frames, uint64_t size)
{
	bool stays = false;
	struct phys_scan *s = p->scan;
	uint64_t index = frame * s->page / s->cell;
	struct phys_cell *last = s->n_cells ? &s->cells[s->n_cells - 1] : NULL;

	if (!last || last->index != index || last->node != p->zone->zone->node) {
		struct phys_cell *larger = grow(s->cells, s->n_cells, sizeof(*larger));

		if (!larger)
			return -ENOMEM;
		s->cells = larger;
		last = &larger[s->n_cells++];
		memset(last, 0, sizeof(*last));
		last->node = p->zone->zone->node;
		last->index = index;
	}
	last->zone = p->zone->zone;
	for (int use = 0; use < PHYS_USES_N; use++) {
		last->frames[use] += frames[use];
		stays |= frames[use] && !phys_use_movable((enum phys_use)use);
	}
	last->blocks++;
	last->blocks_free += frames[USE_FREE] == size;
	last->blocks_spoiled += stays;
	return 0;
}

/* Frames of one use, side by side. */
static void piece_add(struct pass *p, uint64_t frame, enum phys_use use, uint64_t n)
{
	struct phys_zone *z = p->zone;

	if (use != USE_FREE)
		return;
	if (frame != p->run_end)
		p->run = frame;
	p->run_end = frame + n;
	if (p->run_end - p->run > z->longest_free) {
		z->longest_free = p->run_end - p->run;
		z->longest_at = p->run;
	}
}

/* Frames from first on that lie in one superpage's place. */
static int batch_add(struct pass *p, uint64_t first, const uint64_t *flags, uint64_t n)
{
	uint32_t frames[PHYS_USES_N] = {0};
	uint64_t start = 0, heads = 0;
	enum phys_use use = phys_use_of(flags[0], &p->head);

	for (uint64_t i = 1; i <= n; i++) {
		enum phys_use next = i < n ? phys_use_of(flags[i], &p->head) : use;

		if (i < n && next == use)
			continue;
		frames[use] += (uint32_t)(i - start);
		piece_add(p, first + start, use, i - start);
		start = i;
		use = next;
	}
	if (frames[USE_BLANK] != p->super.size) {
		frames[USE_KERNEL] += frames[USE_BLANK];
		frames[USE_BLANK] = 0;
	}
	for (int u = 0; u < PHYS_USES_N; u++) {
		if (!frames[u])
			continue;
		p->zone->frames[u] += frames[u];
		block_add(&p->super, first, (enum phys_use)u, frames[u]);
		block_add(&p->giga, first, (enum phys_use)u, frames[u]);
	}
	/* Multi-size THP and large folios of the page cache have the flag, too. */
	for (uint64_t i = 1; frames[USE_HUGETLB] + frames[USE_THP] == n && i < n; i++)
		heads += flags[i] >> KPF_COMPOUND_HEAD & 1;
	p->super.several |= heads;
	p->giga.several |= heads || (p->giga.size && first % p->giga.size &&
				     flags[0] >> KPF_COMPOUND_HEAD & 1);
	return cell_add(p, first, frames, p->super.size);
}

/* Frames [first, end) of one zone. */
static int range_add(struct pass *p, int fd, uint64_t first, uint64_t end, uint64_t *flags)
{
	while (first < end) {
		/* Reads end where superpages do. */
		uint64_t n = BATCH - first % BATCH < end - first ? BATCH - first % BATCH
								 : end - first;
		ssize_t got = pread(fd, flags, n * sizeof(*flags),
				    (off_t)(first * sizeof(*flags)));
		int error = 0;

		if (got < 0)
			return -errno;
		/* Past the last frame that has a record the file just ends. */
		for (uint64_t i = (uint64_t)got / sizeof(*flags); i < n; i++)
			flags[i] = UINT64_C(1) << KPF_NOPAGE;
		for (uint64_t at = 0; at < n && !error;) {
			uint64_t left = p->super.size - (first + at) % p->super.size;

			if (left > n - at)
				left = n - at;
			error = batch_add(p, first + at, flags + at, left);
			at += left;
		}
		if (error)
			return error;
		p->zone->ram += n;
		p->done += n;
		first += n;
		progress_show(&p->progress, p->done * p->scan->page);
	}
	return 0;
}

static void choose_cell(const struct host_topology *t, int node, size_t cells,
			struct phys_scan *s)
{
	uint64_t bytes = 0;

	for (unsigned int i = 0; i < t->n_zones; i++)
		if (node < 0 || t->zones[i].node == node)
			bytes += t->zones[i].present * s->page;
	s->cell = s->superpage;
	while (bytes / s->cell > cells)
		s->cell *= 2;
}

static int zone_add(struct pass *p, const struct host_topology *t, unsigned int zone,
		    const struct phys_pieces *pieces, int fd, uint64_t *flags)
{
	int error = 0;

	p->zone = &p->scan->zones[p->scan->n_zones++];
	p->zone->zone = &t->zones[zone];
	p->super.out = &p->zone->super;
	p->giga.out = &p->zone->giga;
	p->run = p->run_end = 0;
	for (size_t i = 0; i < pieces->n && !error; i++) {
		const struct phys_piece *piece = &pieces->pieces[i];

		if (piece->zone != zone)
			continue;
		p->zone->guessed += piece->guessed ? piece->end - piece->first : 0;
		error = range_add(p, fd, piece->first, piece->end, flags);
	}
	block_end(&p->super);
	if (p->giga.size)
		block_end(&p->giga);
	return error;
}

static int compare_cells(const void *a, const void *b)
{
	const struct phys_cell *x = a, *y = b;

	if (x->node != y->node)
		return x->node < y->node ? -1 : 1;
	return x->index < y->index ? -1 : x->index > y->index;
}

/* Zones that interleave come one after the other; a picture wants addresses. */
static void cells_sort(struct phys_scan *s)
{
	size_t n = 0;

	if (s->n_cells)
		qsort(s->cells, s->n_cells, sizeof(*s->cells), compare_cells);
	for (size_t i = 0; i < s->n_cells; i++) {
		struct phys_cell *to = &s->cells[n ? n - 1 : 0];
		const struct phys_cell *from = &s->cells[i];

		if (!n || compare_cells(to, from)) {
			s->cells[n++] = *from;
			continue;
		}
		for (int use = 0; use < PHYS_USES_N; use++)
			to->frames[use] += from->frames[use];
		to->blocks += from->blocks;
		to->blocks_free += from->blocks_free;
		to->blocks_spoiled += from->blocks_spoiled;
		if (from->zone->start_frame > to->zone->start_frame)
			to->zone = from->zone;
	}
	s->n_cells = n;
}

static int zones_add(struct pass *p, const struct host_topology *t, int node, int fd)
{
	struct phys_pieces pieces;
	uint64_t *flags = malloc(BATCH * sizeof(*flags)), all = 0;
	int error = flags ? phys_pieces_find(t, p->scan->page, &pieces) : -ENOMEM;

	if (error) {
		free(flags);
		return error;
	}
	for (size_t i = 0; i < pieces.n; i++)
		if (node < 0 || t->zones[pieces.pieces[i].zone].node == node)
			all += pieces.pieces[i].end - pieces.pieces[i].first;
	progress_begin(&p->progress, "looking", all * p->scan->page);
	for (unsigned int i = 0; i < t->n_zones && !error; i++)
		if (node < 0 || t->zones[i].node == node)
			error = zone_add(p, t, i, &pieces, fd, flags);
	progress_end(&p->progress);
	phys_pieces_free(&pieces);
	free(flags);
	return error;
}

int phys_scan(const struct host_topology *t, int node, size_t cells, struct phys_scan *out,
	      const char **object)
{
	struct pass p = {.scan = out, .head = USE_KERNEL};
	int fd = contig_pageflags_open(), error;
	uint64_t start = clock_ns();

	*object = "/proc/kpageflags";
	memset(out, 0, sizeof(*out));
	out->page = base_page_size(t);
	out->superpage = base_superpage_size(out->page);
	out->gigapage = out->page == 4096 ? GIGAPAGE_SIZE : 0;
	out->holes = !t->ram_exact;
	choose_cell(t, node, cells, out);
	p.super.size = out->superpage / out->page;
	p.giga.size = out->gigapage / out->page;
	if (fd < 0)
		return fd;
	error = zones_add(&p, t, node, fd);
	close(fd);
	cells_sort(out);
	out->nanoseconds = clock_ns() - start;
	if (error)
		phys_scan_free(out);
	return error;
}

void phys_scan_free(struct phys_scan *scan)
{
	free(scan->cells);
	scan->cells = NULL;
	scan->n_cells = 0;
}

uint64_t phys_blocks_most(const struct phys_zone *zone, const struct phys_blocks *blocks,
			  uint64_t bytes, uint64_t page)
{
	uint64_t room = zone->frames[USE_FREE] * page / bytes;
	uint64_t movable = blocks->movable - blocks->taken;

	/* What is free whole needs no room elsewhere. */
	if (room < blocks->free)
		room = blocks->free;
	return movable < room ? movable : room;
}
