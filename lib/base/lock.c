/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/lock.h"

#include <stdio.h>
#include <stdlib.h>

#ifdef CONTIG_LOCK_CHECK
static __thread unsigned int held; /* bit per rank */

void contig_lock_enter(enum lock_rank rank)
{
	if (held >> rank) {
		fprintf(stderr, "libcontig: lock of rank %d taken under ranks 0x%x\n",
			(int)rank, held);
		abort();
	}
	held |= 1u << rank;
}

void contig_lock_leave(enum lock_rank rank)
{
	held &= ~(1u << rank);
}
#endif

void contig_lock_init(struct lock *lock, enum lock_rank rank)
{
	pthread_mutex_init(&lock->mutex, NULL);
	lock->rank = rank;
}

void contig_lock(struct lock *lock)
{
	contig_lock_enter(lock->rank);
	pthread_mutex_lock(&lock->mutex);
}

bool contig_trylock(struct lock *lock)
{
	if (pthread_mutex_trylock(&lock->mutex))
		return false;
	contig_lock_enter(lock->rank);
	return true;
}

void contig_unlock(struct lock *lock)
{
	contig_lock_leave(lock->rank);
	pthread_mutex_unlock(&lock->mutex);
}
