/* SPDX-License-Identifier: BSD-2-Clause */
/* Physical runs among pages that were taken, and how memory is shared out
 * among runs of different length. */
#ifndef TOOLS_BENCH_RUNS_H
#define TOOLS_BENCH_RUNS_H

#include "bench.h"
#include "host/superpage.h"

#include <stddef.h>
#include <stdint.h>

struct bench_runs {
	uint64_t bytes;   /* in all runs */
	uint64_t longest; /* bytes */
	uint64_t n;
	uint64_t by_power[64]; /* bytes in runs of [2^i, 2^(i+1)) bytes */
};

/* Pieces of size bytes at these frames, in this order.  sort: in physical
 * order, which frames[] then has. */
void bench_runs_of(uint64_t *frames, size_t n, uint64_t size, bool sort,
		   struct bench_runs *out);

/* The share of memory in runs of at least x, as a line of the plot. */
void bench_runs_plot(struct bench *b, enum bench_plot plot, const char *name,
		     const struct bench_runs *runs);

/* The frames of a batch, in the order of its mapping.  NULL: no memory. */
uint64_t *bench_batch_frames(const struct superpage_batch *batch, size_t *n);

/* The frames of pages of size bytes at va; NULL with errno. */
uint64_t *bench_memory_frames(const void *va, size_t len, uint64_t size, size_t *n);

#endif
