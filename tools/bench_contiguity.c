/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How contiguous is memory, by where it comes from?  Each way's pages in the
 * order of addresses, as a program finds them, and in physical order, which
 * is the most that can be made of them; and what contigmalloc() makes of it.
 */
#include "bench.h"
#include "bench_runs.h"
#include "bench_take.h"
#include "command.h"

#include "base/page.h"

#include <contig.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct column columns[] = {
	{"source", "SOURCE", COLUMN_LEFT},
	{"taken", "TAKEN", COLUMN_RIGHT},
	{"time_ns", "TIME", COLUMN_RIGHT},
	{"runs", "RUNS", COLUMN_RIGHT},
	{"longest_by_address", "AS FOUND", COLUMN_RIGHT},
	{"longest", "SORTED", COLUMN_RIGHT},
	{"why", "NOTE", COLUMN_WRAP},
};

#define N_COLUMNS (sizeof(columns) / sizeof(columns[0]))

static void way_row(struct bench *b, enum bench_way way)
{
	struct bench_runs found, sorted;
	struct bench_taken t;
	const char *name = bench_way_name(way);

	bench_say(b, name);
	if (!bench_take(way, b->size, &t)) {
		emitter_row(b->e, (const struct value[N_COLUMNS]){
					  value_text(name), value_unknown(), value_unknown(),
					  value_unknown(), value_unknown(), value_unknown(),
					  value_text(t.why)});
		free(t.frames);
		return;
	}
	bench_runs_of(t.frames, t.n, t.page, false, &found);
	bench_runs_of(t.frames, t.n, t.page, true, &sorted);
	bench_runs_plot(&b->plots[BENCH_PLOT_RUNS], name, &sorted);
	emitter_row(b->e, (const struct value[N_COLUMNS]){
				  value_text(name), value_bytes(t.n * t.page),
				  value_nanoseconds(t.nanoseconds), value_count(sorted.n),
				  value_bytes(found.longest), value_bytes(sorted.longest),
				  value_text(t.why[0] ? t.why : NULL)});
	free(t.frames);
}

/* What the library gave: the longest block of all that it had taken. */
struct ours {
	uint64_t held, nanoseconds, optimum, longest;
	char why[160];
};

/* All frames of the default pool, by taking every superpage. */
static uint64_t optimum_of(uint64_t held)
{
	size_t most = held / SUPERPAGE_SIZE, n = 0;
	uint64_t *frames = calloc(most + 1, sizeof(*frames));
	void **blocks = calloc(most + 1, sizeof(*blocks));
	struct bench_runs runs = {0};

	while (frames && blocks && n < most) {
		blocks[n] = contigmalloc(SUPERPAGE_SIZE, M_TEMP, M_NOWAIT | M_USE_RESERVE, 0,
					 ~UINT64_C(0), SUPERPAGE_SIZE, 0);
		if (!blocks[n])
			break;
		frames[n] = contig_virt_to_phys(blocks[n]) / FRAME_SIZE;
		n++;
	}
	if (n)
		bench_runs_of(frames, n, SUPERPAGE_SIZE, true, &runs);
	while (n)
		contig_free(blocks[--n]);
	free(blocks);
	free(frames);
	return runs.longest;
}

/* In a child of its own: the library takes its settings once. */
static void ours_measure(uint64_t size, struct ours *out)
{
	struct contig_config config = {.struct_size = sizeof(config)};
	struct contig_stats stats = {.struct_size = sizeof(stats)};
	uint64_t start = bench_now(), low = 0, high;

	contig_config_get(&config);
	config.grow = CONTIG_GROW_SYSTEM;
	contig_configure(&config);
	if (contig_reserve(size))
		snprintf(out->why, sizeof(out->why), "%s", contig_strreason());
	out->nanoseconds = bench_now() - start;
	contig_stats_get(&stats);
	out->held = stats.held;
	out->optimum = optimum_of(stats.held);
	/* The longest block that it gives, by halving. */
	for (high = out->optimum / FRAME_SIZE; low < high;) {
		uint64_t frames = low + (high - low + 1) / 2;
		void *block = contigmalloc(frames * FRAME_SIZE, M_TEMP,
					   M_NOWAIT | M_USE_RESERVE, 0, ~UINT64_C(0),
					   FRAME_SIZE, 0);

		if (block) {
			contig_free(block);
			low = frames;
		} else {
			high = frames - 1;
		}
	}
	out->longest = low * FRAME_SIZE;
}

static void ours_row(struct bench *b)
{
	struct ours ours = {0};
	int ends[2], status;
	pid_t child;

	bench_say(b, "libcontig");
	if (pipe(ends))
		return;
	child = fork();
	if (!child) {
		ours_measure(b->size, &ours);
		_exit(write(ends[1], &ours, sizeof(ours)) == sizeof(ours) ? 0 : 1);
	}
	close(ends[1]);
	if (child < 0 || read(ends[0], &ours, sizeof(ours)) != sizeof(ours))
		snprintf(ours.why, sizeof(ours.why), "the measuring process failed");
	close(ends[0]);
	if (child > 0)
		waitpid(child, &status, 0);
	emitter_row(b->e, (const struct value[N_COLUMNS]){
				  value_text("libcontig"),
				  ours.held ? value_bytes(ours.held) : value_unknown(),
				  ours.held ? value_nanoseconds(ours.nanoseconds) : value_unknown(),
				  value_nothing(),
				  ours.held ? value_bytes(ours.longest) : value_unknown(),
				  ours.held ? value_bytes(ours.optimum) : value_unknown(),
				  value_text(ours.why[0] ? ours.why : NULL)});
}

int bench_contiguity(struct bench *b)
{
	struct plot *plot = &b->plots[BENCH_PLOT_RUNS];

	plot->title = "Contiguity by source";
	plot->x_title = "length of a physically contiguous run, at least";
	plot->y_title = "share of the memory taken";
	plot->x_unit = PLOT_BYTES;
	plot->y_unit = PLOT_PERCENT;
	emitter_line(b->e, "contiguity: the longest run as found (in the order of addresses) and "
			   "when sorted; libcontig: the longest block it gives, and the longest "
			   "run it holds");
	emitter_table_begin(b->e, "contiguity", columns, N_COLUMNS, false);
	for (int way = 0; way < BENCH_WAYS; way++)
		way_row(b, (enum bench_way)way);
	ours_row(b);
	emitter_table_end(b->e);
	bench_say(b, NULL);
	return STATUS_YES;
}
