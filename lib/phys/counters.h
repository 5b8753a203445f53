/* SPDX-License-Identifier: BSD-2-Clause */
/* Event counters of this process; relaxed, read by contig_stats_get(), and
 * copied to the board as they count. */
#ifndef PHYS_COUNTERS_H
#define PHYS_COUNTERS_H

#include "host/board.h"

#include <stdint.h>

/* The first ones of BOARD_COUNTERS_EACH(), in its order. */
struct counters {
	uint64_t failures, reclaims, taken, returned;
	uint64_t requests; /* that threads have folded into the totals */
};

extern struct counters contig_counters;

static inline void contig_counter_add(uint64_t *counter, uint64_t n)
{
	struct board *board = board_now();

	__atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
	if (board)
		__atomic_fetch_add(&board->counters[counter - (uint64_t *)&contig_counters].value,
				   n, __ATOMIC_RELAXED);
}

static inline uint64_t contig_counter_read(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

#endif
