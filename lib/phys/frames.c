/* SPDX-License-Identifier: BSD-2-Clause */
#include "phys/frames.h"

#include "base/page.h"
#include "host/pagemap.h"
#include "phys/physmap.h"

#include <stdbool.h>
#include <sys/mman.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* Linux 5.14 */
#endif

static bool of_a_pool(uintptr_t va)
{
	uint64_t place = address_place((void *)va);

	return place != UINT64_MAX && contig_physmap_segment(place);
}

static bool any_absent(const uint64_t *frames, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (frames[i] == FRAME_ABSENT)
			return true;
	return false;
}

int contig_frames_read(int pagemap, uintptr_t va, size_t n, uint64_t *frames)
{
	uint64_t place = address_place((void *)va);
	int err;

	if (contig_physmap.level == CONTIG_LEVEL_SIMULATED && place != UINT64_MAX) {
		for (size_t i = 0; i < n; i++)
			frames[i] = of_a_pool(va + (i << FRAME_SHIFT)) ? (place >> FRAME_SHIFT) + i
								       : FRAME_ABSENT;
		return 0;
	}
	err = contig_pagemap_read(pagemap, va, n, frames);
	if (!err && of_a_pool(va) && any_absent(frames, n) &&
	    !madvise((void *)va, n << FRAME_SHIFT, MADV_POPULATE_READ))
		err = contig_pagemap_read(pagemap, va, n, frames);
	return err;
}
