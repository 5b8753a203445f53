/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What fragmentation costs, and what gets over it: memory is filled with
 * ordinary pages, all but one in each superpage's place are given back, and
 * each way to superpages is tried before and meanwhile.  It is over, and all
 * memory the kernel's again, when the last page is unmapped.
 */
#include "bench.h"
#include "bench_runs.h"
#include "bench_take.h"
#include "buddy.h"
#include "command.h"

#include "base/page.h"
#include "base/size.h"
#include "host/available.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Never taken from the machine: a sixteenth of what is available, but this. */
#define MARGIN_LEAST (UINT64_C(256) << 20)
#define MARGIN_SHARE 16

static const enum bench_way ways[] = {WAY_GROWN, WAY_DEMOTED, WAY_THP, WAY_COLLAPSED,
				      WAY_COMPACTED};

#define WAYS (sizeof(ways) / sizeof(ways[0]))

static const struct column columns[] = {
	{"source", "SOURCE", COLUMN_LEFT},
	{"taken_before", "BEFORE", COLUMN_RIGHT},
	{"longest_before", "LONGEST", COLUMN_RIGHT},
	{"time_before_ns", "TIME", COLUMN_RIGHT},
	{"taken", "FRAGMENTED", COLUMN_RIGHT},
	{"longest", "LONGEST", COLUMN_RIGHT},
	{"time_ns", "TIME", COLUMN_RIGHT},
	{"why", "NOTE", COLUMN_WRAP},
};

#define N_COLUMNS (sizeof(columns) / sizeof(columns[0]))

struct result {
	uint64_t taken, longest, nanoseconds;
	char why[160];
};

static void attempt(struct bench *b, enum bench_way way, const char *suffix, bool plotted,
		    struct result *r)
{
	struct bench_taken t;
	struct bench_runs runs;
	char name[64];

	snprintf(name, sizeof(name), "%s%s", bench_way_name(way), suffix);
	bench_say(b, name);
	if (bench_take(way, b->size, &t)) {
		bench_runs_of(t.frames, t.n, t.page, true, &runs);
		r->taken = runs.bytes;
		r->longest = runs.longest;
		r->nanoseconds = t.nanoseconds;
		if (plotted)
			bench_runs_plot(&b->plots[BENCH_PLOT_FRAGMENT], name, &runs);
	}
	snprintf(r->why, sizeof(r->why), "%s", t.why);
	free(t.frames);
}

/* One frame of each superpage's place that they lie in stays. */
static uint64_t punch(char *va, uint64_t bytes)
{
	uint64_t kept = 0, last = UINT64_MAX;

	for (uint64_t at = 0; at < bytes; at += SUPERPAGE_SIZE) {
		uint64_t len = bytes - at < SUPERPAGE_SIZE ? bytes - at : SUPERPAGE_SIZE;
		size_t n;
		uint64_t *frames = bench_memory_frames(va + at, len, FRAME_SIZE, &n);

		if (!frames)
			break;
		for (size_t i = 0, from = 0; i <= n; i++) {
			bool stays = i < n && frames[i] / SUPERPAGE_FRAMES != last;

			if (!stays && i < n)
				continue;
			if (i > from)
				madvise(va + at + from * FRAME_SIZE, (i - from) * FRAME_SIZE,
					MADV_DONTNEED);
			from = i + 1;
			if (i < n) {
				last = frames[i] / SUPERPAGE_FRAMES;
				kept++;
			}
		}
		free(frames);
	}
	return kept;
}

static void row(struct bench *b, size_t i, const struct result *before,
		const struct result *after)
{
	emitter_row(b->e, (const struct value[N_COLUMNS]){
				  value_text(bench_way_name(ways[i])),
				  value_bytes(before->taken), value_bytes(before->longest),
				  value_nanoseconds(before->nanoseconds),
				  value_bytes(after->taken), value_bytes(after->longest),
				  value_nanoseconds(after->nanoseconds),
				  value_text(after->why[0]    ? after->why
					     : before->why[0] ? before->why
							      : NULL)});
}

int bench_fragment(struct bench *b)
{
	struct plot *plot = &b->plots[BENCH_PLOT_FRAGMENT];
	uint64_t room = contig_available(), margin = room / MARGIN_SHARE, bytes, whole = 0, left = 0, kept;
	struct result before[WAYS] = {0}, after[WAYS] = {0};
	char text[24];
	char *va;

	plot->title = "What fragmented memory still gives";
	plot->x_title = "length of a physically contiguous run, at least";
	plot->y_title = "share of the memory taken";
	plot->x_unit = PLOT_BYTES;
	plot->y_unit = PLOT_PERCENT;
	if (margin < MARGIN_LEAST)
		margin = MARGIN_LEAST;
	if (room < margin + 4 * b->size) {
		emitter_error(b->e, "memory", ENOMEM,
			      "too little is available to fragment it on purpose",
			      "Try a smaller --size");
		return STATUS_NO;
	}
	for (size_t i = 0; i < WAYS; i++)
		attempt(b, ways[i], "", false, &before[i]);
	bytes = align_down(contig_available() - margin, SUPERPAGE_SIZE);
	va = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (va == MAP_FAILED) {
		emitter_error(b->e, "memory", errno, strerror(errno), NULL);
		return STATUS_TROUBLE;
	}
	bench_say(b, "fragmenting");
	madvise(va, bytes, MADV_NOHUGEPAGE);
	buddy_superpages(NULL, -1, &whole);
	for (uint64_t at = 0; at < bytes; at += FRAME_SIZE) {
		((volatile char *)va)[at] = 1;
		/* Others may want memory meanwhile: stop in time. */
		if (at % (UINT64_C(256) << 20) == 0 && contig_available() < margin) {
			bytes = align_down(at + FRAME_SIZE, SUPERPAGE_SIZE);
			break;
		}
	}
	kept = punch(va, bytes);
	buddy_superpages(NULL, -1, &left);
	for (size_t i = 0; i < WAYS; i++)
		attempt(b, ways[i], "", true, &after[i]);
	munmap(va, bytes);
	emitter_line(b->e,
		     "fragment: %s filled, then one page kept in each of %zu superpages' places; "
		     "the kernel had %zu free superpages before and %zu then",
		     contig_size_print(bytes, text, sizeof(text)), (size_t)kept, (size_t)whole,
		     (size_t)left);
	emitter_field(b->e, "fragmented_bytes", NULL, value_bytes(bytes));
	emitter_field(b->e, "superpages_free_before", NULL, value_count(whole));
	emitter_field(b->e, "superpages_free_fragmented", NULL, value_count(left));
	emitter_table_begin(b->e, "fragment", columns, N_COLUMNS, false);
	for (size_t i = 0; i < WAYS; i++)
		row(b, i, &before[i], &after[i]);
	emitter_table_end(b->e);
	bench_say(b, NULL);
	return STATUS_YES;
}
