/* SPDX-License-Identifier: BSD-2-Clause */
#include "top_view.h"

#include "board.h"
#include "process.h"

#include "base/page.h"
#include "host/buddy.h"
#include "host/hugetlb.h"
#include "host/root.h"
#include "host/topology.h"
#include "host/zones.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZES_MAX 16
#define ROOMY 100 /* columns of a screen that all fit */
#define C_LONGEST 6
#define C_EXPORTED 8
#define FIXED_LINES 6 /* headings and blank lines */

const char *const top_order_names[TOP_ORDERS] = {"size", "use", "name", "pid"};

struct row {
	struct process process;
	uint64_t hugetlb; /* bytes mapped, by /proc/PID/status */
	bool library;     /* the rest is known */
	uint64_t held, live, free, longest, pinned, exported, imported;
};

static const struct column pool_columns[] = {
	{"size", "POOL", COLUMN_RIGHT},
	{"total", "TOTAL", COLUMN_RIGHT},
	{"free", "FREE", COLUMN_RIGHT},
	{"reserved", "RESERVED", COLUMN_RIGHT},
	{"surplus", "SURPLUS", COLUMN_RIGHT},
	{"overcommit", "OVERCOMMIT", COLUMN_RIGHT},
};

#define N_POOL_COLUMNS (sizeof(pool_columns) / sizeof(pool_columns[0]))

static const struct column zone_columns[] = {
	{"node", "NODE", COLUMN_RIGHT},
	{"zone", "ZONE", COLUMN_LEFT},
	{"free", "FREE", COLUMN_RIGHT},
	{"superpages_free", "2M FREE", COLUMN_RIGHT},
	{"fragmented", "FRAGMENTED", COLUMN_RIGHT},
};

#define N_ZONE_COLUMNS (sizeof(zone_columns) / sizeof(zone_columns[0]))

static const struct column columns[] = {
	{"pid", "PID", COLUMN_RIGHT},
	{"command", "COMMAND", COLUMN_LEFT},
	{"hugetlb", "HUGETLB", COLUMN_RIGHT},
	{"held", "HELD", COLUMN_RIGHT},
	{"in_use", "IN-USE", COLUMN_RIGHT},
	{"free", "FREE", COLUMN_RIGHT},
	{"longest", "LONGEST", COLUMN_RIGHT},
	{"pinned", "PINNED", COLUMN_RIGHT},
	{"exported", "VMAS", COLUMN_RIGHT},
	{"imported", "IMPORTED", COLUMN_EXTRA},
	{"uid", "UID", COLUMN_EXTRA},
};

#define N_COLUMNS (sizeof(columns) / sizeof(columns[0]))

char *top_bad_column(const struct emitter *e)
{
	return emitter_bad_column(e, columns, N_COLUMNS);
}

size_t top_view_height(void)
{
	const struct host_topology *t = contig_topology();
	uint64_t sizes[SIZES_MAX];
	int n = contig_hugetlb_sizes(sizes, SIZES_MAX);

	return FIXED_LINES + (n > 0 ? (size_t)n : 0) + (t ? t->n_zones : 0);
}

static void pools(struct emitter *e)
{
	uint64_t sizes[SIZES_MAX];
	int n = contig_hugetlb_sizes(sizes, SIZES_MAX);

	emitter_table_begin(e, "pools", pool_columns, N_POOL_COLUMNS, false);
	for (int i = 0; i < n; i++) {
		struct hugetlb_counts c;

		if (contig_hugetlb_counts(sizes[i], HUGETLB_ALL_NODES, &c))
			continue;
		emitter_row(e, (const struct value[N_POOL_COLUMNS]){
				       value_bytes(sizes[i]), value_count(c.total),
				       value_count(c.free), value_count(c.reserved),
				       value_count(c.surplus), value_count(c.overcommit)});
	}
	emitter_table_end(e);
}

/* The share of free memory that lies in pieces smaller than a superpage. */
static void zones(struct emitter *e)
{
	/* Not contig_topology_refresh(): that never frees what it replaces. */
	static struct host_topology now;
	const struct host_topology *t = &now;

	memset(&now, 0, sizeof(now));
	if (contig_zones_read(&now))
		t = NULL;
	emitter_line(e, "%s", "");
	emitter_table_begin(e, "zones", zone_columns, N_ZONE_COLUMNS, false);
	for (unsigned int i = 0; t && i < t->n_zones; i++) {
		const struct host_zone *z = &t->zones[i];
		uint64_t superpages = 0, free = z->free * FRAME_SIZE, whole;
		bool known = !contig_buddy_superpages(z->name, z->node, &superpages);
		char share[16];

		/* The two files are not of one moment. */
		whole = superpages * SUPERPAGE_SIZE < free ? superpages * SUPERPAGE_SIZE : free;
		snprintf(share, sizeof(share), "%.1f %%",
			 free ? 100.0 * (double)(free - whole) / (double)free : 0.0);
		emitter_row(e, (const struct value[N_ZONE_COLUMNS]){
				       value_count((uint64_t)z->node), value_text(z->name),
				       value_bytes(free),
				       known ? value_count(superpages) : value_unknown(),
				       known ? value_text(share) : value_unknown()});
	}
	emitter_table_end(e);
}

/* Whether there is something to show of this process. */
static bool look(struct row *r)
{
	struct board_copy board;
	char reason[128];

	r->hugetlb = process_memory(r->process.pid, "HugetlbPages");
	if (board_read(r->process.pid, &board, reason, sizeof(reason)) != BOARD_FOUND)
		return r->hugetlb > 0;
	r->library = true;
	for (size_t i = 0; i < board.n_pools; i++) {
		const struct board_pool *p = &board.pools[i];

		if (!p->record.state)
			continue;
		r->held += p->held;
		r->live += p->live;
		r->free += p->free;
		r->pinned += p->pinned;
		if (p->longest > r->longest)
			r->longest = p->longest;
	}
	for (size_t i = 0; i < board.n_vmas; i++) {
		if (!board.vmas[i].record.state)
			continue;
		r->exported += board.vmas[i].direction == BOARD_EXPORTED;
		r->imported += board.vmas[i].direction == BOARD_IMPORTED;
	}
	board_free(&board);
	return true;
}

static int by_size(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	uint64_t m = x->held > x->hugetlb ? x->held : x->hugetlb;
	uint64_t n = y->held > y->hugetlb ? y->held : y->hugetlb;

	return m < n ? 1 : m > n ? -1 : 0;
}

static int by_use(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	return x->live < y->live ? 1 : x->live > y->live ? -1 : by_size(a, b);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct row *)a)->process.name, ((const struct row *)b)->process.name);
}

static int by_pid(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	return x->process.pid < y->process.pid ? -1 : x->process.pid > y->process.pid;
}

static struct value ours(const struct row *r, struct value value)
{
	return r->library ? value : value_nothing();
}

static void process_rows(struct emitter *e, const struct row *rows, size_t n, size_t most)
{
	struct column fitting[N_COLUMNS];

	memcpy(fitting, columns, sizeof(columns));
	if (screen_get()->columns < ROOMY)
		fitting[C_LONGEST].place = fitting[C_EXPORTED].place = COLUMN_EXTRA;
	emitter_table_begin(e, "processes", fitting, N_COLUMNS, true);
	for (size_t i = 0; i < n; i++) {
		const struct row *r = &rows[i];

		if (most && i == most)
			emitter_table_rest_hidden(e);
		emitter_row(e, (const struct value[N_COLUMNS]){
				       value_count((uint64_t)r->process.pid),
				       value_text(r->process.name), value_bytes(r->hugetlb),
				       ours(r, value_bytes(r->held)), ours(r, value_bytes(r->live)),
				       ours(r, value_bytes(r->free)),
				       ours(r, value_bytes(r->longest)),
				       ours(r, value_bytes(r->pinned)),
				       ours(r, value_count(r->exported)),
				       ours(r, value_count(r->imported)),
				       value_count(r->process.uid)});
	}
	emitter_table_end(e);
	if (!n)
		emitter_line(e, "no process has hugetlb pages mapped or uses libcontig");
}

int top_view(struct emitter *e, enum top_order order, size_t most, bool only_processes)
{
	static int (*const orders[TOP_ORDERS])(const void *, const void *) = {by_size, by_use,
									      by_name, by_pid};
	struct process *processes;
	ssize_t all = process_list(NULL, &processes);
	struct row *rows;
	size_t n = 0;

	if (all < 0)
		return (int)all;
	rows = calloc((size_t)all + 1, sizeof(*rows));
	if (!rows) {
		free(processes);
		return -ENOMEM;
	}
	for (ssize_t i = 0; i < all; i++) {
		rows[n].process = processes[i];
		if (look(&rows[n]))
			n++;
		else
			memset(&rows[n], 0, sizeof(rows[n]));
	}
	free(processes);
	qsort(rows, n, sizeof(*rows), orders[order]);
	if (!only_processes) {
		pools(e);
		zones(e);
		emitter_line(e, "%s", "");
	}
	process_rows(e, rows, n, most);
	free(rows);
	return 0;
}
