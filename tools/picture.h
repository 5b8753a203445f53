/* SPDX-License-Identifier: BSD-2-Clause */
/* A picture of where memory lies in the machine's RAM. */
#ifndef TOOLS_PICTURE_H
#define TOOLS_PICTURE_H

#include "draw.h"
#include "host/topology.h"

#include <stddef.h>
#include <stdint.h>

struct picture_range {
	uint64_t start, end; /* physical bytes, end exclusive */
};

/*
 * All RAM by node and zone with the ranges marked, and below it a close view
 * of the superpages in which they lie (of the first range, when they lie far
 * apart).  title may be NULL.
 */
void picture_memory(struct draw *d, const struct host_topology *topology,
		    const struct picture_range *ranges, size_t n, const char *title);

#endif
