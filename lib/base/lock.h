/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The lock order, in one place.  A thread takes locks only in rising rank;
 * with --enable-debug every wrong order aborts with both names.
 */
#ifndef BASE_LOCK_H
#define BASE_LOCK_H

#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <pthread.h>
#include <stdbool.h>

enum lock_rank {
	LOCK_OBJECT = 1,  /* one object: users hold it when they call us */
	LOCK_VMAS,        /* the list of vmas */
	LOCK_EXPORT,      /* one export: its peers and its socket */
	LOCK_VMA,         /* one vma */
	LOCK_RECLAIM,     /* one reclaim, trim, reserve or fork at a time */
	LOCK_POOLS,       /* the list of pools and of segments */
	LOCK_POOL,        /* one pool's free extents */
	LOCK_CACHES,      /* the list of per-thread caches */
	LOCK_CACHE,       /* one per-thread cache (a spin lock) */
	LOCK_LEAF         /* held while nothing else is taken */
};

struct lock {
	pthread_mutex_t mutex;
	enum lock_rank rank;
};

#define LOCK_INITIALIZER(rank) {PTHREAD_MUTEX_INITIALIZER, (rank)}

void contig_lock_init(struct lock *lock, enum lock_rank rank);
void contig_lock(struct lock *lock);
bool contig_trylock(struct lock *lock);
void contig_unlock(struct lock *lock);

/* For spin locks, which have no struct lock: tell the checker. */
#ifdef CONTIG_LOCK_CHECK
void contig_lock_enter(enum lock_rank rank);
void contig_lock_leave(enum lock_rank rank);
#else
static inline void contig_lock_enter(enum lock_rank rank)
{
	(void)rank;
}
static inline void contig_lock_leave(enum lock_rank rank)
{
	(void)rank;
}
#endif

#endif
