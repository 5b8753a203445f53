/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bytes and blocks in use, by label (a malloc type's number).  Threads count
 * in tables of their own and fold them into the totals when they have
 * drifted by USAGE_SLACK, so the hot path shares no cache line.
 */
#ifndef PHYS_USAGE_H
#define PHYS_USAGE_H

#include <stdbool.h>
#include <stdint.h>

/* Promised in contigmalloc.h.  A superpage: a pair of that size must not fold
 * at every step, or two threads fight for the totals' cache lines. */
#define USAGE_SLACK (2 * 1024 * 1024)
#define USAGE_LABELS_MAX 65535

/* One thread's drift since it last folded; guarded by its cache's lock. */
struct usage {
	uint64_t allocs, frees;
	int64_t delta, peak; /* bytes; peak is the most delta has been */
};

struct usage_total {
	uint64_t allocs, frees;
	int64_t bytes, high;
};

/* Add a thread's drift to the totals and clear it. */
void contig_usage_fold(uint16_t label, struct usage *usage);
/* Totals of a label that was folded at least once; zeros otherwise. */
void contig_usage_total(uint16_t label, struct usage_total *out);
/* Sum over all labels. */
void contig_usage_sum(struct usage_total *out);

static inline void usage_alloc(struct usage *usage, uint16_t label, uint64_t bytes)
{
	usage->allocs++;
	usage->delta += (int64_t)bytes;
	if (usage->delta > usage->peak)
		usage->peak = usage->delta;
	if (usage->delta > USAGE_SLACK)
		contig_usage_fold(label, usage);
}

static inline void usage_free(struct usage *usage, uint16_t label, uint64_t bytes)
{
	usage->frees++;
	usage->delta -= (int64_t)bytes;
	if (usage->delta < -USAGE_SLACK)
		contig_usage_fold(label, usage);
}

#endif
