/* SPDX-License-Identifier: BSD-2-Clause */
/* /proc/zoneinfo: the populated zones and the nodes that have them. */
#ifndef HOST_ZONES_H
#define HOST_ZONES_H

#include "base/page.h"
#include "host/topology.h"

/* No frame is beyond: x86-64's and arm64's physical addresses have at most
 * 52 bits. */
#define ZONES_FRAME_LIMIT (UINT64_C(1) << (52 - FRAME_SHIFT))

/*
 * Fill zones[] and nodes[] of an empty topology.  Every zone lies below the
 * limit and isn't empty.  0, -EINVAL for a file that the kernel didn't write
 * so, -E2BIG, -errno; the reason is set.
 */
int contig_zones_read(struct host_topology *t);

#endif
