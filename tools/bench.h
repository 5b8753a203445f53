/* SPDX-License-Identifier: BSD-2-Clause */
/* What the parts of contig bench share. */
#ifndef TOOLS_BENCH_H
#define TOOLS_BENCH_H

#include "emitter.h"
#include "plot.h"

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

enum bench_plot {
	BENCH_PLOT_RUNS,     /* contiguity */
	BENCH_PLOT_LATENCY,  /* alloc, translate and insert */
	BENCH_PLOT_TLB,
	BENCH_PLOT_FRAGMENT,
	BENCH_PLOTS
};

struct bench {
	struct emitter *e;
	uint64_t size; /* bytes of superpages that a part may take at a time */
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

/* What is being done, on a terminal's standard error; NULL: clear it. */
void bench_say(const struct bench *b, const char *what);

static inline uint64_t bench_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

#endif
