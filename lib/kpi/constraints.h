/* SPDX-License-Identifier: BSD-2-Clause */
/* The constraints of a call that wants contiguous frames, and its failure. */
#ifndef KPI_CONSTRAINTS_H
#define KPI_CONSTRAINTS_H

#include "base/page.h"
#include "contig/types.h"
#include "phys/extent.h"

#include <stdbool.h>

/* A call's arguments, for messages and the slow path. */
struct call {
	const char *name;
	unsigned long size; /* bytes */
	int flags;
	vm_paddr_t low, high;
	unsigned long alignment;
	vm_paddr_t boundary;
};

static inline bool pow2_or_zero(uint64_t x)
{
	return !(x & (x - 1));
}

/* Bytes to frames: inward for the window, never below a page. */
static inline void run_of_call(const struct call *call, struct extent_request *run)
{
	run->count = (call->size >> FRAME_SHIFT) + !!(call->size & (FRAME_SIZE - 1));
	run->low = (call->low >> FRAME_SHIFT) + !!(call->low & (FRAME_SIZE - 1));
	run->high = call->high >> FRAME_SHIFT;
	run->align = call->alignment > FRAME_SIZE ? call->alignment >> FRAME_SHIFT : 1;
	run->boundary = call->boundary >> FRAME_SHIFT;
}

/* What the kernel panics on: panics, and false. */
bool contig_call_sane(const struct call *call);
/* Constraints that no memory of any machine meets.  NULL, or why. */
const char *contig_call_impossible(const struct call *call, const struct extent_request *run);
/* What can't be promised where frames are hidden; makes the others fit. */
const char *contig_call_hidden(const struct call *call, struct extent_request *run);

/* All return NULL, with errno and the reason set. */
void *contig_fail(const struct call *call, int err, const char *why);
void *contig_fail_range(const struct call *call);
void *contig_fail_memory(const struct call *call, bool nowait);

#endif
