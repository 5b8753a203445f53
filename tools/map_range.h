/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One range of a process's memory: how far from its first byte on it is one
 * physical run, and keeps constraints; and why no farther.
 */
#ifndef TOOLS_MAP_RANGE_H
#define TOOLS_MAP_RANGE_H

#include "map_source.h"

#include <stdbool.h>
#include <stdint.h>

struct map_limits { /* of contigmalloc(9) */
	uint64_t low, high, alignment, boundary;
};

enum map_break {
	BREAK_NONE,
	BREAK_ABSENT,	/* not present: not touched, or not mapped */
	BREAK_SWAPPED,
	BREAK_ZERO,	/* the kernel's zeros: whoever writes gets another frame */
	BREAK_FRAMES,	/* the next frame is another */
	BREAK_ALIGNMENT,
	BREAK_LOW,
	BREAK_HIGH,
	BREAK_BOUNDARY,
	BREAK_UNKNOWN	/* frames are hidden */
};

struct map_range {
	uint64_t start;	   /* physical, of the first byte; UINT64_MAX unknown */
	uint64_t bytes;	   /* good ones from the first on */
	uint64_t next;	   /* physical, of the byte that breaks it; or UINT64_MAX */
	enum map_break why;
	uint64_t superpage; /* all of it lies in one superpage of so many bytes; 0 */
};

/* 0/-errno; -ESRCH: the process went away. */
int map_range_check(const struct map_source *s, const struct target *p, uint64_t address,
		    uint64_t len, const struct map_limits *limits, struct map_range *out);

#endif
