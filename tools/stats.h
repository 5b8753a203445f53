/* SPDX-License-Identifier: BSD-2-Clause */
/* contig stats: what was gathered, for its printers. */
#ifndef TOOLS_STATS_H
#define TOOLS_STATS_H

#include "board.h"
#include "emitter.h"
#include "process.h"

#include "contig/pool.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The counters of <contig/pool.h>, as they follow from a board. */
enum counter {
#define X(name, text) COUNTER_##name,
	CONTIG_STATS_COUNTERS(X)
#undef X
	N_COUNTERS
};

struct stats_counter {
	const char *name, *text;
	bool shown; /* without -o */
	enum value_kind kind;
	bool total; /* only ever rises, to Prometheus a counter */
};
extern const struct stats_counter stats_counters[N_COUNTERS];

struct subject {
	struct process process;
	struct board_copy board;
	uint64_t values[N_COUNTERS];
	bool known[N_COUNTERS];
};

struct stats {
	struct emitter *e;
	struct subject *subjects;
	size_t n;
	size_t forbidden; /* processes that we could not look at */
	size_t invalid;   /* whose boards make no sense */
};

/* Names of enum contig_pool_kind. */
const char *stats_kind_name(uint32_t kind);

/* The text format of Prometheus on standard output. */
void stats_prometheus(const struct stats *stats);

#endif
