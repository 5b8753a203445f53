/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel's pool of 2 MiB pages, raised for a benchmark and put back when
 * its process ends, however it ends.
 */
#ifndef BENCH_HUGEPOOL_H
#define BENCH_HUGEPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HUGE_SIZE (UINT64_C(2) << 20)

/* Free pages of 2 MiB, after those of programs that ended have come back. */
size_t hugepool_free(void);

/* See to it that so many are free; false, and why on stdout, if that can't be. */
bool hugepool_need(size_t pages);

/* Wait up to a second until so many are free again: pinned pages come back
 * some 50 ms after their process (FACTS 15). */
void hugepool_settle(size_t pages);

/* Frames of [va, va + n steps), read from pagemap; dies if they are hidden. */
void frames_read(const void *va, size_t step, size_t n, uint64_t *frames);

#endif
