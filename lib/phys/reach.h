/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether a source can give memory in a window at all, before a lot of it is
 * taken and zeroed only to be given back.
 */
#ifndef PHYS_REACH_H
#define PHYS_REACH_H

#include "phys/pool.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * The kernel serves from a node's highest zone until that is down to its
 * watermark.  False when most bytes taken can't get it down to a zone that
 * the window touches.
 */
bool contig_reach_zones(const struct frame_request *request, uint64_t most);

/* Whether a whole 1 GiB page of RAM lies so that it holds part of the run's
 * window, long enough for the run (or for 1 GiB of it). */
bool contig_reach_giga(const struct frame_request *request);

/* Whether a 1 GiB page at frame has room for the run within the window. */
bool contig_reach_in_giga(const struct frame_request *request, uint64_t frame);

#endif
