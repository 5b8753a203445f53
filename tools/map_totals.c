/* SPDX-License-Identifier: BSD-2-Clause */
/* What was found in all mappings together, and what could not be. */
#include "map.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void emit_sizes(struct emitter *e, const char *key, const struct map *m,
		       const struct map_size *sizes, unsigned int n)
{
	static const struct column columns[] = {{"page_size", "SIZE", COLUMN_RIGHT},
						{"bytes", "BYTES", COLUMN_RIGHT}};

	emitter_table_begin(e, key, columns, 2, false);
	for (unsigned int i = 0; i < n; i++)
		emitter_row(e, (const struct value[]){
				       value_bytes(sizes[i].size),
				       value_bytes(sizes[i].pages * m->source.page)});
	emitter_table_end(e);
}

static void emit_json_totals(struct emitter *e, const struct map *m)
{
	static const struct column columns[] = {{"node", "NODE", COLUMN_RIGHT},
						{"bytes", "BYTES", COLUMN_RIGHT}};
	const struct map_tally *t = &m->total;
	uint64_t page = m->source.page, size = 0;
	bool known = !t->hidden && !m->missed;

	for (size_t i = 0; i < m->n; i++)
		size += m->vmas[i].end - m->vmas[i].start;
	emitter_group_begin(e, "totals", NULL);
	emitter_field(e, "mappings", NULL, value_count(m->n));
	emitter_field(e, "size", NULL, value_bytes(size));
	emitter_field(e, "present", NULL, value_bytes((t->present - t->zero) * page));
	emitter_field(e, "zero", NULL,
		      m->source.zero_frame == UINT64_MAX && !t->zero
			      ? value_unknown()
			      : value_bytes(t->zero * page));
	emitter_field(e, "swapped", NULL, value_bytes(t->swapped * page));
	emitter_field(e, "hidden", NULL, value_bytes(t->hidden * page));
	emitter_field(e, "superpage_bytes", NULL,
		      m->size_unknown ? value_unknown() : value_bytes(t->superpages * page));
	emitter_field(e, "runs", NULL, known ? value_count(t->runs) : value_unknown());
	emitter_field(e, "longest", NULL,
		      known ? value_bytes(t->longest * page) : value_unknown());
	emitter_field(e, "mean", NULL,
		      !known	? value_unknown()
		      : t->runs ? value_bytes(t->in_runs * page / t->runs)
				: value_nothing());
	emitter_field(e, "missed", NULL, value_count(m->missed));
	emitter_field(e, "changed", NULL, value_count(m->changed));
	emitter_field(e, "ended", NULL, value_bool(m->ended));
	emitter_field(e, "time_ns", NULL, value_nanoseconds(m->ns));
	emitter_group_end(e);
	emit_sizes(e, "page_sizes", m, m->sizes, m->n_sizes);
	if (m->n_folios)
		emit_sizes(e, "folios", m, m->folios, m->n_folios);
	emitter_table_begin(e, "nodes", columns, 2, false);
	for (int i = 0; i <= m->nodes.n; i++)
		if (m->node_pages[i])
			emitter_row(e, (const struct value[]){
					       i < m->nodes.n
						       ? value_count((uint64_t)m->nodes.number[i])
						       : value_nothing(),
					       value_bytes(m->node_pages[i] * page)});
	emitter_table_end(e);
}

static void append(char *text, size_t len, const char *format, const char *size, const char *what)
{
	size_t at = strlen(text);

	if (at < len)
		snprintf(text + at, len - at, format, at ? ", " : "", size, what);
}

static void emit_sizes_line(struct emitter *e, const char *heading, const struct map *m,
			    const struct map_size *sizes, unsigned int n, uint64_t unknown)
{
	char text[1024] = "", bytes[24], size[24];

	for (unsigned int i = 0; i < n; i++)
		append(text, sizeof(text), "%s%s of %s",
		       emitter_size(e, sizes[i].pages * m->source.page, bytes, sizeof(bytes)),
		       map_short_size(sizes[i].size, size, sizeof(size)));
	if (unknown)
		append(text, sizeof(text), "%s%s of %s",
		       emitter_size(e, unknown * m->source.page, bytes, sizeof(bytes)), "?");
	if (*text)
		emitter_line(e, "%s: %s", heading, text);
}

static void emit_text_totals(struct emitter *e, const struct map *m)
{
	const struct map_tally *t = &m->total;
	uint64_t page = m->source.page, size = 0;
	char a[24], b[24], text[1024] = "";

	for (size_t i = 0; i < m->n; i++)
		size += m->vmas[i].end - m->vmas[i].start;
	emitter_line(e, "%s", "");
	emitter_size(e, size, a, sizeof(a));
	emitter_size(e, (t->present - t->zero) * page, b, sizeof(b));
	emitter_line(e, "Total: %zu mapping%s of %s, %s present", m->n, m->n == 1 ? "" : "s", a, b);
	if (t->swapped)
		emitter_line(e, "Swapped out: %s", emitter_size(e, t->swapped * page, a, sizeof(a)));
	if (t->hidden)
		emitter_line(e, "Runs: ?");
	else if (t->runs)
		emitter_line(e, "Runs: %" PRIu64 ", the longest %s, the mean %s", t->runs,
			     emitter_size(e, t->longest * page, a, sizeof(a)),
			     emitter_size(e, t->in_runs * page / t->runs, b, sizeof(b)));
	emit_sizes_line(e, "Pages", m, m->sizes, m->n_sizes, m->size_unknown);
	emit_sizes_line(e, "Folios", m, m->folios, m->n_folios, 0);
	for (int i = 0; i <= m->nodes.n; i++) {
		char node[24] = "no node";

		if (!m->node_pages[i])
			continue;
		if (i < m->nodes.n)
			snprintf(node, sizeof(node), "node %d", m->nodes.number[i]);
		append(text, sizeof(text), "%s%s on %s",
		       emitter_size(e, m->node_pages[i] * page, a, sizeof(a)), node);
	}
	if (*text)
		emitter_line(e, "Nodes: %s", text);
}

static void emit_longest(struct emitter *e, const struct map *m)
{
	static const struct column columns[] = {
		{"address", "ADDRESS", COLUMN_RIGHT}, {"size", "SIZE", COLUMN_RIGHT},
		{"start", "START", COLUMN_RIGHT},     {"end", "END", COLUMN_RIGHT},
		{"node", "NODE", COLUMN_RIGHT},
	};
	unsigned int shift = m->source.shift;

	emitter_line(e, "%s", "");
	if (!m->longest.n)
		emitter_line(e, "%s", m->hidden ? "Runs: ?" : "Runs: none");
	else if (m->longest.n < m->longest.seen)
		emitter_line(e, "The %zu longest of %" PRIu64 " runs, by address:", m->longest.n,
			     m->longest.seen);
	emitter_table_begin(e, "runs", columns, 5, false);
	for (size_t i = 0; i < m->longest.n; i++) {
		const struct map_found *run = &m->longest.runs[i];

		emitter_row(e, (const struct value[]){
				       value_address(run->va),
				       value_bytes(run->pages << shift),
				       value_address(run->frame << shift),
				       value_address((run->frame + run->pages) << shift),
				       run->node < 0 ? value_unknown()
						     : value_count((uint64_t)run->node)});
	}
	emitter_table_end(e);
}

void map_emit(struct emitter *e, const struct map *m, bool summary, bool table_only)
{
	emitter_group_begin(e, "process", NULL);
	emitter_field(e, "pid", NULL, m->process->pid ? value_count((uint64_t)m->process->pid)
						      : value_unknown());
	emitter_field(e, "name", NULL, value_text(m->process->name));
	emitter_field(e, "page_size", NULL, value_bytes(m->source.page));
	emitter_group_end(e);
	map_emit_table(e, m, summary);
	if (emitter_is_json(e))
		emit_json_totals(e, m);
	else if (!table_only)
		emit_text_totals(e, m);
	if (m->longest.runs && !table_only)
		emit_longest(e, m);
}

void map_emit_notes(struct emitter *e, const struct map *m, bool folios)
{
	if (m->hidden)
		emitter_line(e, "?: pagemap hides frame numbers from this process (needs "
				"CAP_SYS_ADMIN)");
	if (m->size_unknown && m->sizes_error)
		emitter_line(e, "Pages: ?: smaps: %s", m->sizes_error == -ENODATA
							       ? "does not tell their size"
							       : strerror(-m->sizes_error));
	if (!m->nodes.n && m->total.present)
		emitter_line(e, "Nodes: ?: /proc/zoneinfo can't be read");
	if (folios && m->folio_error)
		emitter_line(e, "Folios: ?: /proc/kpageflags: %s%s", strerror(-m->folio_error),
			     m->folio_error == -EACCES || m->folio_error == -EPERM
				     ? " (needs CAP_SYS_ADMIN)"
				     : "");
	if (m->changed)
		emitter_line(e, "%zu mapping%s changed or went away while they were read",
			     m->changed, m->changed == 1 ? "" : "s");
}
