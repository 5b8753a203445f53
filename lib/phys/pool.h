/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A pool: segments and the free frames among them, one set of extents per
 * node.  The pool is the trust boundary: private and shared memory never
 * share one.
 */
#ifndef PHYS_POOL_H
#define PHYS_POOL_H

#include "base/board.h"
#include "base/lock.h"
#include "base/page.h"
#include "contig/pool.h"
#include "phys/extent.h"
#include "phys/machine.h"
#include "phys/segment.h"

#include <stdbool.h>
#include <stdint.h>

/* What is left for M_USE_RESERVE: FreeBSD's interrupt_free_min. */
#define POOL_RESERVE_FRAMES 2

struct contig_pool {
	struct contig_pool *next; /* of all pools, under LOCK_POOLS */
	struct lock lock;
	char name[32];
	enum contig_pool_kind kind;
	enum contig_fork fork;
	enum contig_share_mode mode; /* of a shareable pool */
	unsigned int sources;
	int node; /* index; -1 any */
	uint64_t limit; /* bytes; 0 none */
	uint64_t held;  /* bytes of superpages, inherited ones not counted */
	uint64_t free_frames; /* read without the lock by pool_free_seen() */
	uint64_t live_frames; /* handed out or cached */
	/* CLOCK_MONOTONIC ns until when a node, by index, counts as having no
	 * superpage; [1]: nothing to collapse either.  Relaxed atomics. */
	uint64_t dry_until[2][HOST_NODES_MAX];
	bool first_tried;     /* its first superpages were asked for */
	bool wired_only;      /* private: what can't be pinned doesn't come in */
	bool quarantined;     /* some of its blocks are, see backing.h */
	uint64_t withheld_frames; /* free, but quarantined */
	struct extent_set *free[HOST_NODES_MAX]; /* NULL until used */
	struct segment *segments;
	struct board_pool *record; /* what others see of it; NULL: nothing */
};

struct frame_request {
	struct extent_request run;
	int node;         /* index of the node wanted; -1 any */
	bool strict;      /* that node only */
	bool nowait;      /* no reclaim */
	bool use_reserve; /* down to the last frame */
	uint64_t floor;   /* frames that must stay free, besides a reserve */
};

extern struct contig_pool contig_default_pool;

/* What was free a moment ago. */
static inline uint64_t pool_free_seen(const struct contig_pool *pool)
{
	return __atomic_load_n(&pool->free_frames, __ATOMIC_RELAXED);
}

/* Locked. */
static inline void pool_free_add(struct contig_pool *pool, uint64_t frames)
{
	__atomic_store_n(&pool->free_frames, pool->free_frames + frames, __ATOMIC_RELAXED);
}

static inline void pool_free_sub(struct contig_pool *pool, uint64_t frames)
{
	__atomic_store_n(&pool->free_frames, pool->free_frames - frames, __ATOMIC_RELAXED);
}

static inline uint64_t pool_held_seen(const struct contig_pool *pool)
{
	return __atomic_load_n(&pool->held, __ATOMIC_RELAXED);
}

static inline void pool_held_set(struct contig_pool *pool, uint64_t bytes)
{
	__atomic_store_n(&pool->held, bytes, __ATOMIC_RELAXED);
}

/* Locked.  free_frames and live_frames have changed: let others see. */
static inline void pool_seen_by_others(const struct contig_pool *pool)
{
	struct board_pool *record = pool->record;

	if (!record)
		return;
	board_store(&record->free, pool->free_frames << FRAME_SHIFT);
	board_store(&record->live, pool->live_frames << FRAME_SHIFT);
}

/* A child of fork(2) shares this pool's frames with its parent. */
static inline bool pool_fork_shares(const struct contig_pool *pool)
{
	return pool->kind != CONTIG_POOL_PRIVATE && pool->fork == CONTIG_FORK_SHARE;
}

/* Where its superpages may come from. */
unsigned int contig_pool_sources(const struct contig_pool *pool);

/* Initialise and list a pool. */
void contig_pool_setup(struct contig_pool *pool, const char *name);
void contig_pool_list_add(struct contig_pool *pool);
void contig_pool_list_remove(struct contig_pool *pool);
/* Call fn for each pool; stops at non-zero and returns it. */
int contig_pool_each(int (*fn)(struct contig_pool *pool, void *arg), void *arg);

/*
 * A free run, or EXTENT_NONE.  *zero: all of it is known to be zero.  mark:
 * it may be dirty from now on; else the caller goes on to contig_pool_zero().
 * The state of its pages is set by the caller.
 */
uint64_t contig_pool_take(struct contig_pool *pool, const struct frame_request *request,
			  bool mark, bool *zero);
/* Whether there is one now, the reserve not counted. */
bool contig_pool_can(struct contig_pool *pool, const struct frame_request *request);
/* Give frames back. */
void contig_pool_put(struct contig_pool *pool, uint64_t frame, uint64_t count);

/* Zero what isn't known to be zero in a run just taken, then mark all of it
 * as possibly dirty. */
void contig_pool_zero(struct contig_pool *pool, uint64_t frame, uint64_t count);

/* Publish a segment and add its frames: all of it, or -ENOMEM and nothing. */
int contig_pool_add(struct contig_pool *pool, struct segment *segment);

/* Bytes of superpages that the pool holds. */
uint64_t contig_pool_held(struct contig_pool *pool);

/* The order in which nodes are tried for a request. */
int contig_pool_node_order(const struct contig_pool *pool, const struct frame_request *request,
			   int *order);

/* Structure check: NULL or what is wrong. */
const char *contig_pool_check(struct contig_pool *pool);

/* fork(2): see fork.c. */
extern struct lock contig_pools_lock;
extern struct contig_pool *contig_pools;

#endif
