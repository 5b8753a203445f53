/* SPDX-License-Identifier: BSD-2-Clause */
/* What the parts of contig bench share. */
#ifndef TOOLS_BENCH_H
#define TOOLS_BENCH_H

#include "base/clock.h"
#include "emitter.h"
#include "plot.h"

#include <stdbool.h>
#include <stdint.h>

#define BENCH_HIDDEN "frames are hidden: needs CAP_SYS_ADMIN"
#define BENCH_LOCK_WAIT_MS 10000 /* for the lock on pools */

enum bench_plot {
	BENCH_PLOT_LARGEST, /* contiguity; the next two as well */
	BENCH_PLOT_RUNS,
	BENCH_PLOT_TIME,
	BENCH_PLOT_FRAGMENT, /* what is had; the next two: its runs, and the time */
	BENCH_PLOT_FRAGMENT_RUNS,
	BENCH_PLOT_FRAGMENT_TIME,
	BENCH_PLOT_TLB,
	BENCH_PLOT_ALLOC_SMALL, /* 4 KiB; the next two: 64 KiB, 2 MiB */
	BENCH_PLOT_ALLOC_MEDIUM,
	BENCH_PLOT_ALLOC_SUPERPAGE,
	BENCH_PLOT_TRANSLATE,
	BENCH_PLOT_INSERT,
	BENCH_PLOTS
};

struct bench {
	struct emitter *e;
	uint64_t size; /* bytes of superpages that a part may take at a time */
	uint64_t fill; /* bytes that fragment may take */
	bool quick;
	struct plot plots[BENCH_PLOTS];
};

/* Each prints its tables and fills its plot.  An exit status. */
int bench_contiguity(struct bench *b);
int bench_alloc(struct bench *b);
int bench_translate(struct bench *b);
int bench_insert(struct bench *b);
int bench_tlb(struct bench *b);
int bench_fragment(struct bench *b);

/* A line or row of a plot; whoever has a colour has the same one everywhere,
 * and the library is the one that the plot is about. */
struct plot_series *bench_series(struct bench *b, enum bench_plot plot, const char *name);

/* What is being done, on a terminal's standard error; NULL: clear it. */
void bench_say(const struct bench *b, const char *what);

#endif
