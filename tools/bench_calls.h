/* SPDX-License-Identifier: BSD-2-Clause */
/* Single calls, each timed by itself, less what the clock costs. */
#ifndef TOOLS_BENCH_CALLS_H
#define TOOLS_BENCH_CALLS_H

#include "histogram.h"

#include <stdbool.h>

/* One call; false: it failed, errno. */
typedef bool bench_call(void *with);

/* Some calls to warm up, then so many into the histogram.  false: one failed. */
bool bench_calls(struct histogram *h, unsigned int calls, bench_call *call, void *with);

#endif
