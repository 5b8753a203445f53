/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A segment: up to PIN_SLOTS superpages of one pool that came from one
 * source and node and are wired by one pin.
 */
#ifndef PHYS_SEGMENT_H
#define PHYS_SEGMENT_H

#include "base/lock.h"
#include "contig/types.h"
#include "host/pin.h"
#include "host/superpage.h"

#include <stdbool.h>
#include <stdint.h>

struct backing_file;
struct contig_pool;

struct segment {
	struct segment *next; /* of the pool; under the pool's lock */
	struct contig_pool *pool;
	enum contig_source source;
	uint64_t page_size;
	bool shared;
	bool inherited;  /* we are a forked child: never allocate from it */
	bool plain;      /* private: base pages now, see fork_plan.h */
	int node;        /* index, see machine.h */
	unsigned int n;
	uint64_t places[PIN_SLOTS]; /* ascending */
	struct backing_file *file; /* NULL: private memory */
	uint32_t indices[PIN_SLOTS]; /* of the superpages in the file */
	struct pin *pin; /* NULL at the simulated level; contig_pin_lock */
	bool wired; /* private: pinned, for good but for a fork; a relaxed atomic */
};

/* Guards the pin of every segment: trimming replaces it while others ask how
 * memory is wired. */
extern struct lock contig_pin_lock;

/*
 * Pin, re-read, map and publish the superpages of a batch and hand their
 * frames to the pool.  Pages that can't be are given back.  The batch is
 * dropped in any case.  Returns how many came in.
 */
size_t contig_segments_install(struct contig_pool *pool, struct superpage_batch *batch,
			       enum contig_source source);

/* The simulated level's way to get n superpages.  How many came in. */
size_t contig_segments_simulate(struct contig_pool *pool, const uint64_t *places, size_t n);

/*
 * Give superpages of a segment back to the kernel and pin the others anew.
 * claim() says which, and takes their frames out of the pool; unclaim() puts
 * them back when the others could only be wired more weakly than they are:
 * then nothing happens.  Frees the segment when none is left.  Returns the
 * superpages given back.
 */
typedef bool (*segment_claim_fn)(const struct segment *segment, uint64_t place, void *arg);
typedef void (*segment_unclaim_fn)(const struct segment *segment, uint64_t place, void *arg);
size_t contig_segment_release(struct segment *segment, segment_claim_fn claim,
			      segment_unclaim_fn unclaim, void *arg);

/*
 * One superpage of a private pool becomes plain memory where it is: its blocks
 * live on there, on frames of no promise, and what is free in it is lost to
 * the pool.  swap() puts memory with the same content in its place, 0/-errno;
 * called with locks held.  Under contig_reclaim_lock.  0/-errno, nothing done.
 */
int contig_segment_detach(struct segment *segment, uint64_t place, int (*swap)(void *arg),
			  void *arg);

/* One more pin over all of a segment, of the kind that holds over a fork(2);
 * NULL with a reason. */
struct pin *contig_segment_pin(const struct segment *segment);
/* A new pin instead of one that may have lost its hold. */
void contig_segment_pin_again(struct segment *segment);

enum contig_wiring contig_segment_wiring(const struct segment *segment);
/* Of private memory the same, without a lock: whether it is pinned. */
static inline bool segment_is_wired(const struct segment *segment)
{
	return __atomic_load_n(&segment->wired, __ATOMIC_RELAXED);
}
/* Why it isn't, in words that stand behind "not wired: ". */
void contig_segment_why(const struct segment *segment, char *buf, size_t len);
/* For fork_plan.c: its pin may go, and frames move. */
void contig_segment_unpin(struct segment *segment);

/* What a place in the direct map is made of: a copy, since the segment may go
 * at any time.  false: nothing of ours is there (UINT64_MAX included). */
struct segment_info {
	uint64_t page_size;
	int node; /* index */
	enum contig_wiring wiring;
};
bool contig_segment_describe(uint64_t place, struct segment_info *out);

#endif
