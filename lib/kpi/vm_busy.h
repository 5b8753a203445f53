/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * busy_lock of a page by itself: 0, one exclusive holder, or sharers, and
 * whether threads sleep for it (futex).  Waking clears that: who still can't
 * have the page sets it again.
 */
#ifndef KPI_VM_BUSY_H
#define KPI_VM_BUSY_H

#include "contig/vm_page.h"

#include <stdbool.h>
#include <stdint.h>

#define BUSY_EXCLUSIVE UINT32_C(1)
#define BUSY_WAITERS UINT32_C(2)
#define BUSY_SHARER UINT32_C(4)

static inline uint32_t busy_load(const struct vm_page *m)
{
	return __atomic_load_n(&m->busy_lock, __ATOMIC_ACQUIRE);
}

void contig_busy_wake(struct vm_page *m);

/* Nobody has it any more; sleepers look again. */
static inline void busy_clear(struct vm_page *m)
{
	if (__builtin_expect(__atomic_exchange_n(&m->busy_lock, 0, __ATOMIC_ACQ_REL) & BUSY_WAITERS,
			     0))
		contig_busy_wake(m);
}

/*
 * In two steps, so that the object can be unlocked in between: announce (true
 * with the value to sleep on, unless it may be had already), then sleep while
 * that value stands.
 */
bool contig_busy_announce(struct vm_page *m, bool shared, uint32_t *value);
void contig_busy_sleep(struct vm_page *m, uint32_t value);

#endif
