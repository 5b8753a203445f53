/* SPDX-License-Identifier: BSD-2-Clause */
#include "map_superpage.h"

#include "base/page.h"
#include "host/maps.h"

#include <errno.h>
#include <stdlib.h>

struct map_superpages {
	struct map *m;
	uint64_t start, end; /* addresses still to ask about; of one mapping */
	size_t vma;
};

int map_superpages_create(struct map *m, struct map_superpages **out)
{
	struct map_superpages *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->m = m;
	*out = s;
	return 0;
}

void map_superpages_destroy(struct map_superpages *s)
{
	free(s);
}

static void found(const struct map_region *region, void *arg)
{
	struct map_superpages *s = arg;
	struct map_vma *v = &s->m->vmas[s->vma];

	v->sizes = PAGES_SUPER;
	v->t.superpages += (region->end - region->start) >> s->m->source.shift;
}

static void ask(struct map_superpages *s)
{
	if (s->start == s->end)
		return;
	if (map_source_scan(&s->m->source, s->start, s->end, SCAN_HUGE, SCAN_HUGE, found, s) &&
	    s->m->vmas[s->vma].sizes == PAGES_BASE)
		s->m->vmas[s->vma].sizes = PAGES_ASK;
	s->start = s->end = 0;
}

void map_superpages_run(struct map_superpages *s, size_t vma, const struct map_run *run)
{
	unsigned int shift = s->m->source.shift;
	uint64_t block = s->m->process->least_huge >> shift;
	uint64_t page = run->va >> shift, first, last;

	if ((page - run->frame) & (block - 1))
		return;
	first = align_up(page, block) << shift;
	last = align_down(page + run->pages, block) << shift;
	if (first >= last)
		return;
	if (s->start != s->end && vma == s->vma && first == s->end) {
		s->end = last;
		return;
	}
	ask(s);
	s->vma = vma;
	s->start = first;
	s->end = last;
}

static int smaps_line(const struct host_mapping *from, void *arg)
{
	struct map *m = arg;
	uint64_t base = m->source.page, pages;
	size_t i = map_vmas_find(m, from->start);
	struct map_vma *v;

	if (i == m->n)
		return 0;
	v = &m->vmas[i];
	pages = v->t.present - v->t.zero;
	if (!from->kernel_page || v->sizes == PAGES_BASE)
		return 0;
	v->sizes = PAGES_BASE;
	v->t.superpages = 0;
	if (from->kernel_page > base) {
		v->sizes = PAGES_SUPER;
		v->superpage_size = from->kernel_page;
		v->t.superpages = pages;
	} else if (from->huge_bytes && pages) {
		v->sizes = PAGES_SUPER;
		v->superpage_size = m->process->huge_size;
		v->t.superpages = from->huge_bytes / base;
		if (v->t.superpages > pages)
			v->t.superpages = pages; /* it has changed since */
	}
	return 0;
}

int map_superpages_finish(struct map_superpages *s)
{
	struct map *m = s->m;
	bool smaps = false;

	ask(s);
	for (size_t i = 0; i < m->n; i++) {
		struct map_vma *v = &m->vmas[i];

		if (!m->source.scan && v->sizes == PAGES_BASE &&
		    (v->t.hidden || m->process->least_huge <= m->source.page))
			v->sizes = PAGES_ASK;
		if (v->sizes == PAGES_SUPER) {
			v->superpage_size = map_source_page_size(&m->source, v->start);
			if (!v->superpage_size)
				v->sizes = PAGES_ASK;
			else if (v->superpage_size <= m->source.page)
				v->superpage_size = m->process->huge_size;
		}
		smaps |= v->sizes == PAGES_ASK;
	}
	if (!smaps)
		return 0;
	m->sizes_error = contig_maps_each(m->process->pid, true, smaps_line, m);
	for (size_t i = 0; i < m->n; i++) {
		if (m->vmas[i].sizes != PAGES_ASK)
			continue;
		m->vmas[i].sizes = PAGES_UNKNOWN;
		m->vmas[i].t.superpages = 0;
		if (!m->sizes_error)
			m->sizes_error = -ENODATA;
	}
	return 0;
}
