/* SPDX-License-Identifier: BSD-2-Clause */
#include "phys/counters.h"

#include <stddef.h>

struct counters contig_counters;

#define SAME(name)                                                                       \
	_Static_assert(offsetof(struct counters, name) / sizeof(uint64_t) ==             \
			       BOARD_COUNTER_##name, "the board's order is that of struct counters")
SAME(failures);
SAME(reclaims);
SAME(taken);
SAME(returned);
SAME(requests);
