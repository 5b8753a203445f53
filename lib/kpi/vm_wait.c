/* SPDX-License-Identifier: BSD-2-Clause */
/* Waiting for pages, and making room for a run. */
#include "base/cancel.h"
#include "base/reason.h"
#include "kpi/blinded.h"
#include "kpi/constraints.h"
#include "kpi/object.h"
#include "kpi/vm_request.h"
#include "kpi/vm_watermark.h"
#include "phys/magazine.h"
#include "phys/physmap.h"
#include "phys/reclaim.h"
#include "phys/start.h"

#include <errno.h>
#include <time.h>

/* What others free into their caches wakes nobody: it is looked for. */
#define WAIT_NS 1000000000
#define MORE_MOST 8
#define WAIT_STEP_NS 2000000

/* The floor moves with the pool. */
static bool can(struct contig_pool *pool, const struct frame_request *request, int class)
{
	struct frame_request now = *request;

	now.floor = class_floor(pool, class);
	if (contig_pool_can(pool, &now))
		return true;
	return contig_magazines_drain_pool(pool) && contig_pool_can(pool, &now);
}

bool contig_pool_make_room(struct contig_pool *pool, const struct frame_request *request,
			   int class, bool wait)
{
	const struct timespec step = {0, WAIT_STEP_NS};

	contig_reclaim_why_clear();
	if (can(pool, request, class))
		return true;
	if (!contig_reclaim_blinded())
		/* What came for the run may still leave the pool at its floor,
		 * or have gone to another thread. */
		for (unsigned int pass = 0, more = 0; pass < RECLAIM_PASSES;) {
			bool came = contig_reclaim(pool, request, pass);

			if (came && can(pool, request, class))
				return true;
			if (came && more++ < MORE_MOST)
				continue;
			pass++;
		}
	for (long waited = 0; wait && waited < WAIT_NS; waited += WAIT_STEP_NS) {
		nanosleep(&step, NULL);
		if (can(pool, request, class))
			return true;
	}
	return false;
}

__thread bool contig_wait_noted;

static __thread struct {
	const struct contig_pool *pool; /* to compare with: it may be gone */
	struct frame_request frames;
	int class;
} refused;

void contig_wait_note(struct contig_pool *pool, const struct frame_request *frames, int class)
{
	refused.pool = pool;
	refused.frames = *frames;
	refused.class = class;
	contig_wait_noted = true;
}

int vm_wait(vm_object_t object)
{
	struct frame_request request = {.run = {.count = 1, .align = 1}, .node = -1};
	int class = VM_ALLOC_NORMAL;
	struct contig_pool *pool;
	NO_CANCEL;

	if (contig_start()) {
		errno = ENOMEM;
		return -1;
	}
	pool = object ? object->pool : &contig_default_pool;
	request.run.high = contig_physmap.frames;
	if (contig_wait_noted && refused.pool == pool) {
		request = refused.frames;
		request.nowait = false;
		class = refused.class;
	}
	contig_wait_forget();
	if (contig_pool_make_room(pool, &request, class, true))
		return 0;
	contig_reason_set("vm_wait(%p): pool %s has no %s: %s", (void *)object, pool->name,
			  request.run.count > 1	     ? "such run above its floor"
			  : request.strict	     ? "page of that domain above its floor"
			  : class == VM_ALLOC_NORMAL ? "page above free_reserved"
						     : "page above its floor",
			  contig_reclaim_blinded() ? BLINDED
			  : *contig_reclaim_why()  ? contig_reclaim_why()
						   : "nothing was freed");
	errno = ENOMEM;
	return -1;
}

bool vm_page_reclaim_contig(int req, unsigned long npages, vm_paddr_t low, vm_paddr_t high,
			    unsigned long alignment, vm_paddr_t boundary)
{
	struct page_request request = {
		.call = {"vm_page_reclaim_contig", npages << FRAME_SHIFT, req, low, high, alignment,
			 boundary},
		.npages = npages,
		.domain = -1,
	};
	struct frame_request frames;
	NO_CANCEL;

	if (!contig_page_request_sane(&request) ||
	    contig_page_request_frames(&request, &frames) < 0)
		return false;
	if (contig_pool_make_room(request.pool, &frames, req & VM_ALLOC_CLASS_MASK, false))
		return true;
	contig_fail_memory(&request.call, false);
	return false;
}
