/* SPDX-License-Identifier: BSD-2-Clause */
/* A request for pages, whatever call it came by. */
#ifndef KPI_VM_REQUEST_H
#define KPI_VM_REQUEST_H

#include "contig/vm_object.h"
#include "kpi/constraints.h"
#include "phys/pool.h"

#include <stdbool.h>

struct page_request {
	struct call call;         /* flags: VM_ALLOC_... */
	struct contig_pool *pool; /* NULL: the default pool */
	vm_object_t object;       /* NULL: none */
	vm_pindex_t pindex;
	unsigned long npages;
	int domain;  /* the kernel's number; -1: any */
	bool zeroed; /* VM_ALLOC_ZERO is no preference */
	bool idle;   /* not busied, whatever the flags say */
};

/*
 * What this thread was refused for want of pages last, for vm_wait(): there is
 * no use in any page when one of a certain node, or a run, is what lacks.
 * Forgotten with the next page that it gets.
 */
void contig_wait_note(struct contig_pool *pool, const struct frame_request *frames, int class);
extern __thread bool contig_wait_noted __attribute__((tls_model("initial-exec")));

static inline void contig_wait_forget(void)
{
	contig_wait_noted = false;
}

/* What the kernel panics on, but for the object: panics, and false. */
bool contig_page_request_sane(const struct page_request *request);
/* Starts the library and fills in the pool and the frames wanted.  0, or -1
 * with errno and a reason. */
int contig_page_request_frames(struct page_request *request, struct frame_request *frames);

#endif
