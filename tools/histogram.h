/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A histogram of times: buckets of 1/32 of a power of two, so that any
 * percentile is right to 3 %.  Fixed size, no allocation while it counts.
 */
#ifndef TOOLS_HISTOGRAM_H
#define TOOLS_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_PARTS 32
#define HISTOGRAM_BUCKETS (64 * HISTOGRAM_PARTS)

struct histogram {
	uint64_t n, least, most;
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *h, uint64_t value);

/* The value that share (0 to 1) of those counted do not exceed; 0 of none. */
uint64_t histogram_at(const struct histogram *h, double share);

#endif
