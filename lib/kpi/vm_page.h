/* SPDX-License-Identifier: BSD-2-Clause */
/* A page's way into its object and out of it. */
#ifndef KPI_VM_PAGE_H
#define KPI_VM_PAGE_H

#include "kpi/object.h"
#include "kpi/vm_busy.h"
#include "phys/page.h"

/* A live block of one frame becomes a page by itself, in no object yet. */
static inline void page_begin(struct vm_page *m, uint32_t busy, uint32_t refs, uint8_t flags)
{
	m->object = NULL;
	m->pindex = 0;
	m->flags = flags;
	__atomic_store_n(&m->busy_lock, busy, __ATOMIC_RELAXED);
	__atomic_store_n(&m->ref_count, refs, __ATOMIC_RELAXED);
	page_state_set(m, VM_PAGE_SINGLE);
}

/* Its owner lets go of a page that is in no object any more. */
static inline void page_let_go(struct vm_page *m)
{
	m->object = NULL;
	if (busy_load(m))
		busy_clear(m);
	if (!__atomic_and_fetch(&m->ref_count, ~REF_OWNER, __ATOMIC_SEQ_CST))
		page_release(m);
}

#endif
