/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One attempt to get superpages for a request: from one source, on one node
 * or several, in steps, within limits and a budget.
 */
#ifndef PHYS_ATTEMPT_H
#define PHYS_ATTEMPT_H

#include "base/page.h"
#include "phys/machine.h"
#include "phys/pool.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct attempt {
	struct contig_pool *pool;
	const struct frame_request *request;
	enum contig_source source;
	bool surplus;
	uint64_t most;   /* bytes held for a moment, at most */
	const char *name;
	bool nowait;     /* no waiting for pages that come back late */
	bool unlocked;   /* others may be taking too: no more than is needed */
};

/* Superpages that came in, in steps that double until the request is met; a
 * preferred node first, then any, unless the request is strict.  0 with a
 * reason when none did. */
size_t contig_attempt_run(struct attempt attempt);

/* A node none of whose memory lies right isn't worth a search. */
bool contig_attempt_node_can(const struct attempt *attempt, int node);

/* Bytes of memory not set aside for superpages that may be held at once: the
 * user may go beyond a quarter, not into what keeps the machine alive. */
uint64_t contig_attempt_budget(void);
/* This thread's searches hold less than that quarter, and begin no further step
 * after a time (CLOCK_MONOTONIC, ns): 0 no such limit. */
void contig_attempt_cap(uint64_t bytes, uint64_t until);
bool contig_attempt_late(void);
/* Of so many milliseconds of waiting, those until then. */
int contig_attempt_patience(int ms);

/* Bytes the pool may still grow by: its own limit, and the library's. */
uint64_t contig_attempt_limit(struct contig_pool *pool);

/* Add to what contig_reclaim_why() tells. */
void contig_attempt_because(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Superpages of a size that hold a request if they lie well. */
static inline size_t attempt_pages(const struct frame_request *request, uint64_t page_size)
{
	uint64_t frames = page_size >> FRAME_SHIFT;

	return (size_t)((request->run.count + frames - 1) / frames);
}

/* No place is asked for beyond what any superpage has. */
static inline bool attempt_anywhere(const struct extent_request *run)
{
	return !run->low && run->high >= contig_machine.end >> FRAME_SHIFT &&
	       run->align <= SUPERPAGE_FRAMES;
}

#endif
