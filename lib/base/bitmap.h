/* SPDX-License-Identifier: BSD-2-Clause */
/* Ranges of bits in an array of words.  Nothing is locked. */
#ifndef BASE_BITMAP_H
#define BASE_BITMAP_H

#include <stdbool.h>
#include <stdint.h>

#define BITMAP_WORDS(bits) (((bits) + 63) / 64)

/* The bits of [first, end) that lie in first's word; *next: end, or the first
 * bit of the word behind. */
static inline uint64_t bitmap_mask(uint64_t first, uint64_t end, uint64_t *next)
{
	uint64_t mask = ~UINT64_C(0) << first % 64;

	*next = first / 64 * 64 + 64;
	if (end < *next) {
		mask &= ~UINT64_C(0) >> (*next - end);
		*next = end;
	}
	return mask;
}

static inline void bitmap_set(uint64_t *map, uint64_t first, uint64_t count)
{
	for (uint64_t end = first + count, next; first < end; first = next) {
		uint64_t mask = bitmap_mask(first, end, &next);

		map[first / 64] |= mask;
	}
}

static inline void bitmap_clear(uint64_t *map, uint64_t first, uint64_t count)
{
	for (uint64_t end = first + count, next; first < end; first = next) {
		uint64_t mask = bitmap_mask(first, end, &next);

		map[first / 64] &= ~mask;
	}
}

/* The first bit at or behind first that is set (or clear), below end; end when
 * there is none. */
static inline uint64_t bitmap_next(const uint64_t *map, uint64_t first, uint64_t end,
				   bool set)
{
	uint64_t next;

	for (; first < end; first = next) {
		uint64_t mask = bitmap_mask(first, end, &next);
		uint64_t found = (set ? map[first / 64] : ~map[first / 64]) & mask;

		if (found)
			return first / 64 * 64 + (uint64_t)__builtin_ctzll(found);
	}
	return end;
}

static inline bool bitmap_any(const uint64_t *map, uint64_t first, uint64_t count)
{
	return bitmap_next(map, first, first + count, true) != first + count;
}

#endif
