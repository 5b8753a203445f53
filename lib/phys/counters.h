/* SPDX-License-Identifier: BSD-2-Clause */
/* Event counters of this process; relaxed, read by contig_stats_get(). */
#ifndef PHYS_COUNTERS_H
#define PHYS_COUNTERS_H

#include <stdint.h>

struct counters {
	uint64_t failures, reclaims, taken, returned;
};

extern struct counters contig_counters;

static inline void contig_counter_add(uint64_t *counter, uint64_t n)
{
	__atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

static inline uint64_t contig_counter_read(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

#endif
