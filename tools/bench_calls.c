/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench_calls.h"

#include "bench.h"

#define WARM 64
#define CLOCKS 10000

static uint64_t clock_cost(void)
{
	static struct histogram h;

	if (h.n)
		return histogram_at(&h, 0.5);
	for (int i = 0; i < CLOCKS; i++) {
		uint64_t start = clock_ns();

		histogram_add(&h, clock_ns() - start);
	}
	return histogram_at(&h, 0.5);
}

bool bench_calls(struct histogram *h, unsigned int calls, bench_call *call, void *with)
{
	uint64_t clock = clock_cost();

	for (unsigned int i = 0; i < calls + WARM; i++) {
		uint64_t start = clock_ns(), took;

		if (!call(with))
			return false;
		took = clock_ns() - start;
		if (i >= WARM)
			histogram_add(h, took > clock ? took - clock : 0);
	}
	return h->n > 0;
}
