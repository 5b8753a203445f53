/* SPDX-License-Identifier: BSD-2-Clause */
#include "phys/block.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/page.h"
#include "host/nodes.h"
#include "phys/counters.h"
#include "phys/pool_magazine.h"
#include "phys/reclaim.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/* How often a reclaim that met a request is repeated because others took what
 * it brought. */
#define STOLEN_MOST 8
/* A node that had no superpage to give isn't asked again for so long. */
#define DRY_NS UINT64_C(1000000000)

static void label_page(uint64_t frame, uint64_t npages, uint8_t state, uint8_t flags,
		       uint16_t label)
{
	struct vm_page *page = frame_page(frame);

	page_npages_set(page, (uint32_t)npages);
	page->generation = contig_fork_generation;
	page->label = label;
	page->flags = flags;
	page_state_set(page, (enum vm_page_state)state);
}

bool contig_frame_scarce(uint64_t frame)
{
	const uint64_t low_end = UINT64_C(1) << (32 - FRAME_SHIFT);

	return frame < low_end && contig_machine.end >> FRAME_SHIFT > low_end &&
	       contig_machine.level != CONTIG_LEVEL_HIDDEN;
}

uint8_t contig_block_common(const struct contig_pool *pool, uint64_t frame)
{
	return pool == &contig_default_pool && !contig_frame_scarce(frame) ? VM_PAGE_COMMON : 0;
}

/* Nothing asked for but a size: any neighbours will do as well. */
static bool plain(const struct frame_request *frames)
{
	return !frames->run.low && frames->run.align == 1 && !frames->run.boundary &&
	       frames->run.high >= contig_physmap.frames && frames->node < 0;
}

static bool stock(struct thread_cache *cache, struct contig_pool *pool, uint64_t frame)
{
	return pool == &contig_default_pool ? contig_magazine_stock(cache, frame)
					    : contig_pool_magazine_stock(cache, pool, frame);
}

/* A run of several blocks: one to hand out, the others for the magazine. */
static uint64_t take_several(const struct block_request *request)
{
	struct thread_cache *cache = contig_thread_cache_make();
	uint64_t npages = request->frames.run.count;
	unsigned int more = contig_magazine_refill(npages);
	struct frame_request several = request->frames;
	uint64_t first;
	uint8_t flags, common;
	bool zero;

	if (!more || !cache || (request->pool != &contig_default_pool && !request->page))
		return EXTENT_NONE;
	several.run.count = npages * (more + 1);
	first = contig_pool_take(request->pool, &several, true, &zero);
	if (first == EXTENT_NONE)
		return EXTENT_NONE;
	if (contig_frame_scarce(first)) {
		/* Low memory is all there is: one block, no hoard. */
		contig_pool_put(request->pool, first + npages, more * npages);
		more = 0;
	}
	common = contig_block_common(request->pool, first);
	flags = common | (zero ? VM_PAGE_ZERO : 0);
	for (unsigned int i = 1; i <= more; i++) {
		uint64_t frame = first + i * npages;

		label_page(frame, npages, VM_PAGE_CACHED, flags, request->label);
		if (!stock(cache, request->pool, frame)) {
			frame_page(frame)->state = VM_PAGE_OTHER;
			contig_pool_put(request->pool, frame, npages);
		}
	}
	label_page(first, npages, VM_PAGE_LIVE, common, request->label);
	if (request->zero && !zero)
		memset(frame_address(first), 0, npages << FRAME_SHIFT);
	return first;
}

static uint64_t take_one(const struct block_request *request)
{
	uint64_t npages = request->frames.run.count, frame;
	bool zero;

	frame = contig_pool_take(request->pool, &request->frames, !request->zero, &zero);
	if (frame == EXTENT_NONE)
		return frame;
	if (request->zero)
		contig_pool_zero(request->pool, frame, npages);
	label_page(frame, npages, VM_PAGE_LIVE, contig_block_common(request->pool, frame),
		   request->label);
	return frame;
}

/* What came in for this request, or all there is after every effort: the
 * reserve is not kept from it. */
static uint64_t take_reserve(const struct block_request *request)
{
	struct block_request all = *request;

	all.frames.use_reserve = true;
	return take_one(&all);
}

static uint64_t take(const struct block_request *request, bool several)
{
	uint64_t frame = several ? take_several(request) : EXTENT_NONE;

	return frame == EXTENT_NONE ? take_one(request) : frame;
}

static bool known_dry(const struct contig_pool *pool, int node, bool nowait)
{
	uint64_t now = clock_coarse_ns();

	return now < __atomic_load_n(&pool->dry_until[1][node], __ATOMIC_RELAXED) ||
	       (nowait && now < __atomic_load_n(&pool->dry_until[0][node], __ATOMIC_RELAXED));
}

/*
 * From the node that is wanted, or the caller's: what the kernel has free
 * there comes before what we have free elsewhere.
 */
static uint64_t take_near(const struct block_request *request)
{
	const struct extent_request *run = &request->frames.run;
	struct block_request near = *request;
	int node = request->frames.node;
	uint64_t frame;
	bool looked;

	if (contig_machine.n_nodes == 1 || request->frames.strict || request->pool->node >= 0 ||
	    run->low || run->high < contig_physmap.frames || run->align > SUPERPAGE_FRAMES)
		return EXTENT_NONE;
	if (node < 0 && contig_node_policy_set())
		return EXTENT_NONE; /* the kernel knows which node to take */
	if (node < 0)
		node = contig_machine_node_here();
	near.frames.node = node;
	near.frames.strict = true;
	frame = take(&near, plain(&request->frames));
	if (frame != EXTENT_NONE || contig_reclaim_blinded() ||
	    known_dry(request->pool, node, request->frames.nowait))
		return frame;
	if (contig_reclaim_near(request->pool, &near.frames, &looked))
		frame = take_reserve(&near);
	else if (looked && run->count <= SUPERPAGE_FRAMES)
		__atomic_store_n(&request->pool->dry_until[!request->frames.nowait][node],
				 clock_coarse_ns() + DRY_NS, __ATOMIC_RELAXED);
	contig_reclaim_why_clear();
	return frame;
}

uint64_t contig_block_take(const struct block_request *request)
{
	return take(request, plain(&request->frames));
}

/* Hugetlb takes madvise by whole pages only, so a superpage's other blocks
 * are left out with this one, until the superpage goes back. */
void contig_block_nodump(uint64_t frame, uint64_t npages)
{
	uint64_t start = frame << FRAME_SHIFT, end = (frame + npages) << FRAME_SHIFT;
	struct segment *segment = contig_physmap_segment(start);

	start = align_down(start, segment->page_size);
	end = align_up(end, segment->page_size);
	if (madvise(place_address(start), end - start, MADV_DONTDUMP) < 0)
		contig_warn("M_NODUMP: %s", strerror(errno));
}

void *contig_block_alloc(const struct block_request *request, int *err)
{
	struct contig_pool *pool = request->pool;
	const struct frame_request *frames = &request->frames;
	uint64_t frame;

	contig_reclaim_why_clear();
	if (contig_machine.level != CONTIG_LEVEL_HIDDEN &&
	    !contig_machine_can_hold(&frames->run, frames->strict ? frames->node : -1)) {
		*err = ERANGE;
		return NULL;
	}
	frame = take_near(request);
	if (frame == EXTENT_NONE)
		frame = take(request, plain(frames));
	/* Other threads' caches first: that memory is ours already. */
	if (frame == EXTENT_NONE && contig_magazines_drain_pool(pool))
		frame = take(request, plain(frames));
	if (frame == EXTENT_NONE && contig_reclaim_blinded()) {
		*err = EPERM;
		return NULL;
	}
	if (frame == EXTENT_NONE && frames->nowait && contig_reclaim_nowait(pool, frames))
		frame = take_reserve(request);
	for (unsigned int pass = 0, stolen = 0;
	     frame == EXTENT_NONE && !frames->nowait && pass < BLOCK_ATTEMPTS - 1;) {
		bool more = contig_reclaim(pool, frames, pass);

		/* What came in, came for this request.  If nothing did, another
		 * thread may have freed. */
		frame = more ? take_reserve(request) : take_one(request);
		/* What suited us suited another thread: not this pass's fault. */
		if (!more || stolen++ == STOLEN_MOST)
			pass++;
	}
	if (frame == EXTENT_NONE && !frames->nowait)
		frame = take_reserve(request);
	if (frame == EXTENT_NONE) {
		*err = ENOMEM;
		return NULL;
	}
	contig_usage_count(request->label, frames->run.count << FRAME_SHIFT, true);
	if (request->nodump)
		contig_block_nodump(frame, frames->run.count);
	return frame_address(frame);
}

struct vm_page *contig_block_find(const void *va)
{
	uint64_t place = address_place(va);
	struct vm_page *page;

	if (place == UINT64_MAX || place & (FRAME_SIZE - 1) || !contig_physmap_segment(place))
		return NULL;
	page = frame_page(place >> FRAME_SHIFT);
	return page->state == VM_PAGE_LIVE ? page : NULL;
}

struct vm_page *contig_block_around(const void *va)
{
	uint64_t place = address_place(va);

	if (place == UINT64_MAX)
		return NULL;
	for (uint64_t frame = place >> FRAME_SHIFT;
	     contig_physmap_segment(frame << FRAME_SHIFT); frame--) {
		struct vm_page *page = frame_page(frame);

		if (page->state != VM_PAGE_OTHER)
			return page->state == VM_PAGE_LIVE &&
					       frame + page_npages(page) > place >> FRAME_SHIFT
				       ? page
				       : NULL;
		if (!frame)
			break;
	}
	return NULL;
}

void contig_block_free_slow(struct vm_page *page)
{
	if (page->flags & VM_PAGE_MAPPED) {
		/* Freeing it again is seen from here on. */
		page_state_set(page, VM_PAGE_LET_GO);
		if (__atomic_and_fetch(&page->ref_count, ~REF_OWNER, __ATOMIC_ACQ_REL))
			return;
	}
	contig_block_release(page);
}

void contig_block_release(struct vm_page *page)
{
	uint64_t frame = page_frame(page), npages = page_npages(page);
	struct segment *segment = contig_physmap_segment(frame << FRAME_SHIFT);
	uint16_t label = page->label;

	/* A magazine that was full keeps the younger, warmer blocks: this
	 * block goes straight to the pool. */
	page_state_set(page, VM_PAGE_OTHER);
	contig_pool_put(segment->pool, frame, npages);
	contig_usage_count(label, npages << FRAME_SHIFT, false);
}
