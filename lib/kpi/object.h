/* SPDX-License-Identifier: BSD-2-Clause */
/* An object's inside, and whose pages are whose. */
#ifndef KPI_OBJECT_H
#define KPI_OBJECT_H

#include "base/radix.h"
#include "contig/vm_object.h"
#include "phys/pool.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct vm_object {
	struct radix pages; /* by pindex; changed under the write lock */
	pthread_rwlock_t lock;
	const void *owner;  /* of the write lock: contig_this_thread() */
	uint32_t readers;   /* of the lock, for assertions */
	uint32_t refs;
	uint32_t generation; /* fork generation */
	objtype_t type;
	vm_pindex_t size;
	struct contig_pool *pool;
};

extern __thread char contig_thread_mark __attribute__((tls_model("initial-exec")));

/* What tells threads apart, for as long as they live. */
static inline const void *contig_this_thread(void)
{
	return &contig_thread_mark;
}

static inline bool object_wowned(const struct vm_object *object)
{
	return __atomic_load_n(&object->owner, __ATOMIC_RELAXED) == contig_this_thread();
}

/* false, after a panic, unless the calling thread has the write lock. */
bool contig_object_require_wlock(const struct vm_object *object, const char *call);

#endif
