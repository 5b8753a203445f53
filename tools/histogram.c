/* SPDX-License-Identifier: BSD-2-Clause */
#include "histogram.h"

#define PARTS_SHIFT 5

/* Values below HISTOGRAM_PARTS have a bucket each. */
static unsigned int bucket_of(uint64_t value)
{
	unsigned int power;

	if (value < HISTOGRAM_PARTS)
		return (unsigned int)value;
	power = 63 - (unsigned int)__builtin_clzll(value);
	return (power - PARTS_SHIFT + 1) * HISTOGRAM_PARTS +
	       (unsigned int)(value >> (power - PARTS_SHIFT) & (HISTOGRAM_PARTS - 1));
}

/* The middle of a bucket. */
static uint64_t value_of(unsigned int bucket)
{
	unsigned int shift;
	uint64_t first;

	if (bucket < HISTOGRAM_PARTS)
		return bucket;
	shift = bucket / HISTOGRAM_PARTS - 1;
	first = (uint64_t)(HISTOGRAM_PARTS + bucket % HISTOGRAM_PARTS) << shift;
	return first + ((UINT64_C(1) << shift) - 1) / 2;
}

void histogram_add(struct histogram *h, uint64_t value)
{
	if (!h->n || value < h->least)
		h->least = value;
	if (value > h->most)
		h->most = value;
	h->buckets[bucket_of(value)]++;
	h->n++;
}

uint64_t histogram_at(const struct histogram *h, double share)
{
	uint64_t want = (uint64_t)(share * (double)h->n + 0.999999), seen = 0;

	if (want < 1)
		want = 1;
	for (unsigned int i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += h->buckets[i];
		if (seen >= want && h->n) {
			uint64_t value = value_of(i);

			return value > h->most ? h->most : value < h->least ? h->least : value;
		}
	}
	return 0;
}
