/* SPDX-License-Identifier: BSD-2-Clause */
#include "phys/usage.h"

#include "phys/counters.h"

#include <stdatomic.h>
#include <string.h>

struct total {
	atomic_uint_fast64_t allocs, frees;
	atomic_int_fast64_t bytes, high;
};

/* 2 MiB of zero pages, of which only those of labels in use are touched. */
static struct total totals[USAGE_LABELS_MAX + 1];
static _Atomic unsigned int highest;

void contig_usage_fold(uint16_t label, struct usage *usage)
{
	struct total *total = &totals[label];
	int64_t before = atomic_fetch_add(&total->bytes, usage->delta);
	int64_t peak = before + usage->peak;
	int_fast64_t high = atomic_load(&total->high);
	unsigned int top = atomic_load(&highest);

	while (peak > high && !atomic_compare_exchange_weak(&total->high, &high, peak)) {
	}
	atomic_fetch_add(&total->allocs, usage->allocs);
	contig_counter_add(&contig_counters.requests, usage->allocs);
	atomic_fetch_add(&total->frees, usage->frees);
	while (label > top && !atomic_compare_exchange_weak(&highest, &top, label)) {
	}
	memset(usage, 0, sizeof(*usage));
}

void contig_usage_total(uint16_t label, struct usage_total *out)
{
	struct total *total = &totals[label];

	out->allocs = atomic_load(&total->allocs);
	out->frees = atomic_load(&total->frees);
	out->bytes = atomic_load(&total->bytes);
	out->high = atomic_load(&total->high);
}

void contig_usage_sum(struct usage_total *out)
{
	unsigned int top = atomic_load(&highest);

	memset(out, 0, sizeof(*out));
	for (unsigned int label = 0; label <= top; label++) {
		struct usage_total one;

		contig_usage_total((uint16_t)label, &one);
		out->allocs += one.allocs;
		out->frees += one.frees;
		out->bytes += one.bytes;
		out->high += one.high;
	}
}
