/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Page sizes and power-of-two arithmetic.  The base page is 4 KiB: configure
 * refuses others, and contig_machine_init() checks the running kernel.
 */
#ifndef BASE_PAGE_H
#define BASE_PAGE_H

#include <stdbool.h>
#include <stdint.h>

#define FRAME_SHIFT 12
#define FRAME_SIZE (UINT64_C(1) << FRAME_SHIFT)
#define SUPERPAGE_SHIFT 21 /* the page middle directory's reach */
#define SUPERPAGE_SIZE (UINT64_C(1) << SUPERPAGE_SHIFT)
#define GIGAPAGE_SHIFT 30
#define GIGAPAGE_SIZE (UINT64_C(1) << GIGAPAGE_SHIFT)
#define SUPERPAGE_FRAMES (SUPERPAGE_SIZE / FRAME_SIZE)

static inline bool is_pow2(uint64_t x)
{
	return x && !(x & (x - 1));
}

/* align is a power of two; the caller has excluded overflow. */
static inline uint64_t align_down(uint64_t x, uint64_t align)
{
	return x & ~(align - 1);
}

static inline uint64_t align_up(uint64_t x, uint64_t align)
{
	return (x + align - 1) & ~(align - 1);
}

/* x is not 0. */
static inline unsigned int floor_log2(uint64_t x)
{
	return 63u - (unsigned int)__builtin_clzll(x);
}

static inline unsigned int ceil_log2(uint64_t x)
{
	return x <= 1 ? 0 : floor_log2(x - 1) + 1;
}

#endif
