/* SPDX-License-Identifier: BSD-2-Clause */
/* What was found, as a table. */
#include "map.h"

#include "base/size.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	C_START,
	C_END,
	C_PERMISSIONS,
	C_OFFSET,
	C_MAPPINGS,
	C_SIZE,
	C_PRESENT,
	C_ZERO,
	C_SWAPPED,
	C_HIDDEN,
	C_PAGE_SIZES,
	C_SUPERPAGE_SIZE,
	C_SUPERPAGE_BYTES,
	C_RUNS,
	C_LONGEST,
	C_MEAN,
	C_NODES,
	C_NAME,
	N_COLUMNS
};

static const struct column all_columns[N_COLUMNS] = {
	[C_START] = {"start", "START", COLUMN_RIGHT},
	[C_END] = {"end", "END", COLUMN_EXTRA},
	[C_PERMISSIONS] = {"permissions", "PERM", COLUMN_EXTRA},
	[C_OFFSET] = {"offset", "OFFSET", COLUMN_EXTRA},
	[C_MAPPINGS] = {"mappings", "MAPPINGS", COLUMN_EXTRA},
	[C_SIZE] = {"size", "SIZE", COLUMN_RIGHT},
	[C_PRESENT] = {"present", "PRESENT", COLUMN_RIGHT},
	[C_ZERO] = {"zero", "ZERO", COLUMN_EXTRA},
	[C_SWAPPED] = {"swapped", "SWAPPED", COLUMN_EXTRA},
	[C_HIDDEN] = {"hidden", "HIDDEN", COLUMN_EXTRA},
	[C_PAGE_SIZES] = {"page_sizes", "PAGES", COLUMN_LEFT},
	[C_SUPERPAGE_SIZE] = {"superpage_size", "SUPERPAGE", COLUMN_EXTRA},
	[C_SUPERPAGE_BYTES] = {"superpage_bytes", "BY-SUPERPAGES", COLUMN_EXTRA},
	[C_RUNS] = {"runs", "RUNS", COLUMN_RIGHT},
	[C_LONGEST] = {"longest", "LONGEST", COLUMN_RIGHT},
	[C_MEAN] = {"mean", "MEAN", COLUMN_EXTRA},
	[C_NODES] = {"nodes", "NODES", COLUMN_EXTRA},
	[C_NAME] = {"name", "NAME", COLUMN_WRAP},
};

const char map_column_names[] =
	"start, end, permissions, offset, mappings, size, present, zero, swapped, hidden, "
	"page_sizes, superpage_size, superpage_bytes, runs, longest, mean, nodes, name";

/* Widths from which on a terminal has room for more. */
#define ROOMY 100
#define WIDE 150

char *map_bad_column(const struct emitter *e)
{
	return emitter_bad_column(e, all_columns, N_COLUMNS);
}

/* "4K", "512M": page sizes have no fractions. */
char *map_short_size(uint64_t size, char *buf, size_t len)
{
	static const char units[] = "BKMGT";
	size_t unit = 0;

	while (unit + 2 < sizeof(units) && size >= 1024 && size % 1024 == 0) {
		size /= 1024;
		unit++;
	}
	snprintf(buf, len, "%" PRIu64 "%c", size, units[unit]);
	return buf;
}

static struct value page_sizes(const struct map *m, const struct map_vma *v, char *buf,
			       size_t len)
{
	uint64_t pages = v->t.present - v->t.zero;
	char base[16], super[16];

	if (v->missed || (v->sizes == PAGES_UNKNOWN && pages))
		return value_unknown();
	if (!pages)
		return value_nothing();
	map_short_size(m->source.page, base, sizeof(base));
	map_short_size(v->superpage_size, super, sizeof(super));
	if (!v->t.superpages)
		snprintf(buf, len, "%s", base);
	else if (v->t.superpages >= pages)
		snprintf(buf, len, "%s", super);
	else
		snprintf(buf, len, "%s+%s", base, super);
	return value_text(buf);
}

/* "0", or "0:12M 1:4M" where there are several; a device's memory is on none. */
static struct value nodes_text(const struct map *m, const struct map_vma *v, char *buf,
			       size_t len)
{
	size_t at = 0;
	int n = 0, last = -1;

	buf[0] = '\0';
	if (v->missed || (!m->nodes.n && v->t.present > v->t.zero))
		return value_unknown();
	if (!v->node_pages)
		return v->t.hidden ? value_unknown() : value_nothing();
	for (int i = 0; i < m->nodes.n; i++) {
		if (v->node_pages[i]) {
			n++;
			last = i;
		}
	}
	if (n == 1) {
		snprintf(buf, len, "%d", m->nodes.number[last]);
		return value_text(buf);
	}
	for (int i = 0; n && i < m->nodes.n && at < len; i++) {
		char size[24];

		if (!v->node_pages[i])
			continue;
		contig_size_print(v->node_pages[i] * m->source.page, size, sizeof(size));
		at += (size_t)snprintf(buf + at, len - at, "%s%d:%s", at ? ", " : "",
				       m->nodes.number[i], size);
	}
	return n ? value_text(buf) : value_nothing();
}

/* A number of runs or of what is made from it: unknown where frames are. */
static struct value of_runs(const struct map_vma *v, struct value value)
{
	if (v->missed || v->t.hidden)
		return value_unknown();
	return v->t.runs ? value : value_nothing();
}

static struct value seen(const struct map_vma *v, uint64_t pages, uint64_t page)
{
	return v->missed ? value_unknown() : value_bytes(pages * page);
}

/* For people a file's name is enough where a line is short, and so is that of
 * memory which never had a path to lose. */
static const char *name_for(const struct emitter *e, const char *name, char *buf, size_t len)
{
	const char *slash = strrchr(name, '/');
	char *end;

	if (emitter_is_json(e) || screen_get()->columns >= ROOMY || !slash || !slash[1])
		return name;
	snprintf(buf, len, "%s", slash + 1);
	end = strstr(buf, " (deleted)");
	if (end && (!strncmp(name, "/memfd:", 7) || !strncmp(name, "/anon_hugepage", 14)))
		*end = '\0';
	return buf;
}

static void emit_vma(struct emitter *e, const struct map *m, const struct map_vma *v,
		     uint64_t size, uint64_t mappings)
{
	uint64_t page = m->source.page, runs = v->t.runs;
	char sizes[40], nodes[512], name[256];
	bool one = mappings == 1;

	emitter_row(e, (const struct value[N_COLUMNS]){
		[C_START] = one ? value_address(v->start) : value_nothing(),
		[C_END] = one ? value_address(v->end) : value_nothing(),
		[C_PERMISSIONS] = one ? value_text(v->permissions) : value_nothing(),
		[C_OFFSET] = one ? value_bytes(v->offset) : value_nothing(),
		[C_MAPPINGS] = value_count(mappings),
		[C_SIZE] = value_bytes(size),
		[C_PRESENT] = seen(v, v->t.present - v->t.zero, page),
		[C_ZERO] = m->source.zero_frame == UINT64_MAX && !v->t.zero
				   ? value_unknown()
				   : seen(v, v->t.zero, page),
		[C_SWAPPED] = seen(v, v->t.swapped, page),
		[C_HIDDEN] = seen(v, v->t.hidden, page),
		[C_PAGE_SIZES] = page_sizes(m, v, sizes, sizeof(sizes)),
		[C_SUPERPAGE_SIZE] = v->missed || v->sizes == PAGES_UNKNOWN ? value_unknown()
				     : v->t.superpages ? value_bytes(v->superpage_size)
						       : value_nothing(),
		[C_SUPERPAGE_BYTES] = v->sizes == PAGES_UNKNOWN
					      ? value_unknown()
					      : seen(v, v->t.superpages, page),
		[C_RUNS] = v->missed || v->t.hidden ? value_unknown() : value_count(runs),
		[C_LONGEST] = of_runs(v, value_bytes(v->t.longest * page)),
		[C_MEAN] = of_runs(v, value_bytes(runs ? v->t.in_runs * page / runs : 0)),
		[C_NODES] = nodes_text(m, v, nodes, sizeof(nodes)),
		[C_NAME] = v->name[0] ? value_text(name_for(e, v->name, name, sizeof(name)))
				      : value_null("anonymous"),
	});
}

/* --- by name */

struct group {
	struct map_vma all; /* sums; start is of the first mapping */
	uint64_t size, mappings;
};

static int compare_vmas(const void *a, const void *b)
{
	const struct map_vma *const *x = a, *const *y = b;

	if ((*x)->name != (*y)->name)
		return (uintptr_t)(*x)->name < (uintptr_t)(*y)->name ? -1 : 1;
	return (*x)->start < (*y)->start ? -1 : (*x)->start > (*y)->start;
}

static int compare_groups(const void *a, const void *b)
{
	const struct group *x = a, *y = b;
	uint64_t mine = x->all.t.present - x->all.t.zero, other = y->all.t.present - y->all.t.zero;

	if (mine != other)
		return mine > other ? -1 : 1;
	return strcmp(x->all.name, y->all.name);
}

static void group_add(struct group *g, const struct map *m, const struct map_vma *v)
{
	struct map_tally *t = &g->all.t;

	t->present += v->t.present;
	t->zero += v->t.zero;
	t->swapped += v->t.swapped;
	t->hidden += v->t.hidden;
	t->in_runs += v->t.in_runs;
	t->superpages += v->t.superpages;
	t->runs += v->t.runs - v->joins;
	if (v->longest_joined > t->longest)
		t->longest = v->longest_joined;
	if (v->t.longest > t->longest)
		t->longest = v->t.longest;
	if (v->sizes == PAGES_UNKNOWN)
		g->all.sizes = PAGES_UNKNOWN;
	if (v->superpage_size > g->all.superpage_size && v->t.superpages)
		g->all.superpage_size = v->superpage_size;
	g->all.missed |= v->missed;
	if (v->node_pages && g->all.node_pages)
		for (int i = 0; i <= m->nodes.n; i++)
			g->all.node_pages[i] += v->node_pages[i];
	g->size += v->end - v->start;
	g->mappings++;
}

static void emit_groups(struct emitter *e, const struct map *m)
{
	const struct map_vma **vmas = calloc(m->n + 1, sizeof(*vmas));
	struct group *groups = calloc(m->n + 1, sizeof(*groups));
	size_t n = 0;

	for (size_t i = 0; vmas && i < m->n; i++)
		vmas[i] = &m->vmas[i];
	if (vmas && groups) {
		qsort(vmas, m->n, sizeof(*vmas), compare_vmas);
		for (size_t i = 0; i < m->n; i++) {
			if (!n || groups[n - 1].all.name != vmas[i]->name) {
				groups[n].all = (struct map_vma){
					.start = vmas[i]->start,
					.end = vmas[i]->end,
					.name = vmas[i]->name,
				};
				memcpy(groups[n].all.permissions, vmas[i]->permissions,
				       sizeof(vmas[i]->permissions));
				if (m->nodes.n)
					groups[n].all.node_pages =
						calloc((size_t)m->nodes.n + 1,
						       sizeof(*groups[n].all.node_pages));
				n++;
			}
			group_add(&groups[n - 1], m, vmas[i]);
		}
		qsort(groups, n, sizeof(*groups), compare_groups);
		for (size_t i = 0; i < n; i++) {
			emit_vma(e, m, &groups[i].all, groups[i].size, groups[i].mappings);
			free(groups[i].all.node_pages);
		}
	}
	free(vmas);
	free(groups);
}

void map_emit_table(struct emitter *e, const struct map *m, bool summary)
{
	struct column columns[N_COLUMNS];
	bool roomy = screen_get()->columns >= ROOMY, wide = screen_get()->columns >= WIDE;

	/* Which columns there is room for; JSON and -o have all. */
	memcpy(columns, all_columns, sizeof(columns));
	if (m->total.swapped)
		columns[C_SWAPPED].place = COLUMN_RIGHT;
	if (m->total.hidden && roomy)
		columns[C_HIDDEN].place = COLUMN_RIGHT;
	if (roomy) {
		columns[C_MEAN].place = COLUMN_RIGHT;
		columns[C_NODES].place = COLUMN_LEFT;
	} else if (m->total.swapped) {
		columns[C_SIZE].place = COLUMN_EXTRA;
	}
	if (wide && !summary) {
		columns[C_END].place = COLUMN_RIGHT;
		columns[C_PERMISSIONS].place = COLUMN_LEFT;
	}
	if (summary) {
		columns[C_START].place = COLUMN_EXTRA;
		columns[C_MAPPINGS].place = COLUMN_RIGHT;
	}
	emitter_table_begin(e, "mappings", columns, N_COLUMNS, true);
	if (summary)
		emit_groups(e, m);
	for (size_t i = 0; !summary && i < m->n; i++)
		emit_vma(e, m, &m->vmas[i], m->vmas[i].end - m->vmas[i].start, 1);
	emitter_table_end(e);
}
