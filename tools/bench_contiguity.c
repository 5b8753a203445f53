/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How contiguous is memory, by where it comes from?  Each way's pages in the
 * order of addresses, as a program finds them, and in physical order, which
 * is the most that can be made of them; then what other allocators make of it,
 * and contigmalloc().
 */
#include "bench.h"
#include "bench_apart.h"
#include "bench_peer.h"
#include "bench_runs.h"
#include "bench_take.h"
#include "command.h"

#include "base/page.h"
#include "base/reason.h"
#include "base/size.h"
#include "host/syslock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct column columns[] = {
	{"source", "SOURCE", COLUMN_LEFT},
	{"taken", "TAKEN", COLUMN_RIGHT},
	{"time_ns", "TIME", COLUMN_RIGHT},
	{"runs", "RUNS", COLUMN_RIGHT},
	{"longest_by_address", "LARGEST", COLUMN_RIGHT},
	{"longest", "OPTIMUM", COLUMN_RIGHT},
	{"why", "NOTE", COLUMN_BELOW},
};

#define N_COLUMNS (sizeof(columns) / sizeof(columns[0]))

static void row_emit(struct bench *b, const char *name, const struct bench_runs *sorted,
		     uint64_t nanoseconds, uint64_t longest, const char *why)
{
	struct plot_series *s = bench_series(b, BENCH_PLOT_LARGEST, name);

	plot_point(s, (double)longest, 0);
	plot_point(s, (double)sorted->longest, 0);
	plot_point(bench_series(b, BENCH_PLOT_TIME, name), (double)nanoseconds, 0);
	bench_runs_plot(b, BENCH_PLOT_RUNS, name, sorted);
	emitter_row(b->e, (const struct value[N_COLUMNS]){
				  value_text(name), value_bytes(sorted->bytes),
				  value_nanoseconds(nanoseconds), value_count(sorted->n),
				  value_bytes(longest), value_bytes(sorted->longest),
				  value_text(why[0] ? why : NULL)});
}

static void row_none(struct bench *b, const char *name, const char *why)
{
	emitter_row(b->e, (const struct value[N_COLUMNS]){
				  value_text(name), value_unknown(), value_unknown(),
				  value_unknown(), value_unknown(), value_unknown(),
				  value_text(why[0] ? why : BENCH_HIDDEN)});
}

static void way_row(struct bench *b, enum bench_way way)
{
	struct bench_runs found, sorted;
	struct bench_taken t = {0};
	const char *name = bench_way_name(way);
	int lock;

	bench_say(b, name);
	/* The guard of what is raised wants it; libcontig takes it by itself. */
	lock = contig_syslock_take(BENCH_LOCK_WAIT_MS);
	if (lock == -ETIMEDOUT) {
		row_none(b, name, contig_reason_get());
		return;
	}
	if (bench_take(way, b->size, &t)) {
		bench_runs_of(t.frames, t.n, t.page, false, &found);
		bench_runs_of(t.frames, t.n, t.page, true, &sorted);
		row_emit(b, name, &sorted, t.nanoseconds, found.longest, t.why);
	} else {
		row_none(b, name, t.why);
	}
	contig_syslock_drop(lock);
	free(t.frames);
}

static const struct peer {
	const char *name;
	struct bench_job job;
	uint64_t page; /* of its memory, at the least */
	bool pool;     /* free pages are made for it; libcontig makes its own */
	uint64_t beyond; /* superpages that it wants besides */
} peers[] = {
	{"glibc malloc", {.name = "malloc memory"}, FRAME_SIZE, false, 0},
	{"jemalloc", {.name = "jemalloc memory", .preload = PEER_JEMALLOC}, FRAME_SIZE, false, 0},
	{"get_huge_pages", {.name = "get_huge_pages memory"}, SUPERPAGE_SIZE, true, 0},
	{"DPDK", {.name = "DPDK memory"}, SUPERPAGE_SIZE, true, 1},
	{"libcontig", {.name = "libcontig memory"}, SUPERPAGE_SIZE, false, 1},
};

#define PEERS (sizeof(peers) / sizeof(peers[0]))

static void peer_row(struct bench *b, const struct peer *peer)
{
	uint64_t superpages = b->size / SUPERPAGE_SIZE + peer->beyond;
	struct bench_job job = peer->job;
	struct bench_report *report;
	struct bench_runs found, sorted;

	bench_say(b, peer->name);
	job.size = b->size;
	job.superpages = peer->pool ? superpages : 0;
	job.frames = superpages * (SUPERPAGE_SIZE / peer->page);
	report = bench_apart(&job);
	if (!report || !report->done) {
		row_none(b, peer->name, report ? report->why : strerror(errno));
		bench_report_free(report);
		return;
	}
	bench_runs_of(report->frames, report->n, report->page, false, &found);
	bench_runs_of(report->frames, report->n, report->page, true, &sorted);
	row_emit(b, peer->name, &sorted, report->nanoseconds,
		 report->longest ? report->longest : found.longest, report->why);
	bench_report_free(report);
}

static void plots_prepare(struct bench *b)
{
	struct plot *largest = &b->plots[BENCH_PLOT_LARGEST], *runs = &b->plots[BENCH_PLOT_RUNS],
		    *took = &b->plots[BENCH_PLOT_TIME];
	char size[24];

	contig_size_print(b->size, size, sizeof(size));
	snprintf(largest->title, sizeof(largest->title),
		 "Largest contiguous run in %s, against the optimum", size);
	largest->x_title = "length of the run";
	largest->x_unit = PLOT_BYTES;
	largest->dot = "as found, or given";
	largest->ring = "optimum, all sorted";
	snprintf(runs->title, sizeof(runs->title), "Runs in %s, sorted by frame", size);
	runs->x_title = "length of a physically contiguous run, at least";
	runs->y_title = "share of the memory";
	runs->x_unit = PLOT_BYTES;
	runs->y_unit = PLOT_PERCENT;
	snprintf(took->title, sizeof(took->title), "Time to take %s", size);
	took->x_title = "time, of all of it";
	took->x_unit = PLOT_NANOSECONDS;
	took->dot = "time";
}

int bench_contiguity(struct bench *b)
{
	plots_prepare(b);
	emitter_line(b->e, "contiguity: the largest physical run as a program finds it, in the "
			   "order of addresses, and the optimum, when all pages are sorted; DPDK "
			   "and libcontig: the largest block that a call gives, and the optimum "
			   "of what they hold");
	emitter_table_begin(b->e, "contiguity", columns, N_COLUMNS, false);
	for (int way = 0; way < BENCH_WAYS; way++)
		way_row(b, (enum bench_way)way);
	for (size_t i = 0; i < PEERS; i++)
		peer_row(b, &peers[i]);
	emitter_table_end(b->e);
	bench_say(b, NULL);
	return STATUS_YES;
}
