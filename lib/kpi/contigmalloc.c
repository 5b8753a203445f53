/* SPDX-License-Identifier: BSD-2-Clause */
#include "contig/contigmalloc.h"

#include "base/cancel.h"
#include "base/log.h"
#include "base/page.h"
#include "base/reason.h"
#include "base/size.h"
#include "kpi/blinded.h"
#include "kpi/constraints.h"
#include "kpi/domainset.h"
#include "kpi/malloc_type.h"
#include "kpi/misuse.h"
#include "phys/block.h"
#include "phys/counters.h"
#include "phys/reclaim.h"
#include "phys/settings.h"
#include "phys/start.h"

#include "contig/pool.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Make a block ready for its user. */
static inline void *deliver(uint64_t frame, int flags)
{
	struct vm_page *page = frame_page(frame);
	void *va = frame_address(frame);

	if (flags & M_ZERO && !(page->flags & VM_PAGE_ZERO))
		memset(va, 0, (size_t)page_npages(page) << FRAME_SHIFT);
	page->flags = VM_PAGE_COMMON;
	return va;
}

static void *allocate_slow(const struct call *call, struct contig_pool *pool,
			   struct malloc_type *type, const struct domainset *ds)
{
	struct block_request request = {
		.pool = pool ? pool : &contig_default_pool,
		.frames.node = -1,
		.frames.nowait = call->flags & M_NOWAIT,
		.frames.use_reserve = call->flags & M_USE_RESERVE && call->flags & M_NOWAIT,
		.zero = call->flags & M_ZERO,
		.nodump = call->flags & M_NODUMP,
	};
	struct extent_request *run = &request.frames.run;
	struct thread_cache *cache;
	const char *why;
	NO_CANCEL;
	int err;
	void *va;

	if (!contig_call_sane(call))
		return NULL;
	run_of_call(call, run);
	why = contig_call_impossible(call, run);
	if (why)
		return contig_fail(call, ERANGE, why);
	err = contig_start();
	if (err)
		return contig_fail(call, ENOMEM, contig_reason_get());
	if (contig_machine.level == CONTIG_LEVEL_HIDDEN) {
		why = contig_call_hidden(call, run);
		if (why)
			return contig_fail(call, EPERM, why);
	}
	request.label = type_label(type);
	if (ds)
		contig_domainset_next(ds, &request.frames.node, &request.frames.strict);
	else if (contig_settings.config.node >= 0)
		request.frames.node = contig_machine_node_index(contig_settings.config.node);
	cache = contig_thread_cache_make();
	if (cache && contig_usage_room(cache, request.label) && !request.nodump &&
	    request.pool == &contig_default_pool && !ds) {
		uint64_t frame = magazine_get(cache, run, request.label);

		if (frame != EXTENT_NONE)
			return deliver(frame, call->flags);
	}
	va = contig_block_alloc(&request, &err);
	if (va) {
		contig_reason_clear(); /* of ways that were tried before */
		return va;
	}
	if (err == ERANGE)
		return contig_fail_range(call);
	if (err == EPERM)
		return contig_fail(call, EPERM, BLINDED);
	if (contig_machine.level == CONTIG_LEVEL_HIDDEN && run->count > SUPERPAGE_FRAMES)
		return contig_fail(call, EPERM,
			    "no free 1 GiB page, and a run of several superpages needs physical addresses, which this process can't see (needs CAP_SYS_ADMIN)");
	return contig_fail_memory(call, request.frames.nowait);
}

void *contigmalloc(unsigned long size, struct malloc_type *type, int flags, vm_paddr_t low,
		   vm_paddr_t high, unsigned long alignment, vm_paddr_t boundary)
{
	const struct call call = {"contigmalloc", size, flags, low, high, alignment, boundary};
	struct thread_cache *cache = contig_thread_cache;
	struct extent_request run;
	uint64_t frame;

	/* A cache exists only when the library stands; a type with a label
	 * was seen before; hidden places must not be held against a window. */
	if (__builtin_expect(cache && type && size - 1 < MAGAZINE_FRAMES_MAX << FRAME_SHIFT &&
				     pow2_or_zero(alignment) && pow2_or_zero(boundary) &&
				     (!boundary || boundary >= FRAME_SIZE) &&
				     !(flags & M_NODUMP) &&
				     contig_physmap.level != CONTIG_LEVEL_HIDDEN,
			     1)) {
		unsigned int label = __atomic_load_n(&type->ks_id, __ATOMIC_RELAXED);

		run_of_call(&call, &run);
		frame = label ? magazine_get(cache, &run, (uint16_t)label) : EXTENT_NONE;
		if (__builtin_expect(frame != EXTENT_NONE, 1))
			return deliver(frame, flags);
	}
	return allocate_slow(&call, NULL, type, NULL);
}

void *contigmalloc_domainset(unsigned long size, struct malloc_type *type,
			     const struct domainset *ds, int flags, vm_paddr_t low,
			     vm_paddr_t high, unsigned long alignment, vm_paddr_t boundary)
{
	const struct call call = {"contigmalloc_domainset", size, flags, low, high, alignment,
				  boundary};

	if (!ds) {
		misuse("contigmalloc_domainset: the domain set is NULL");
		return NULL;
	}
	return allocate_slow(&call, NULL, type, ds);
}

void *contig_pool_malloc(contig_pool_t *pool, unsigned long size, struct malloc_type *type,
			 int flags, vm_paddr_t low, vm_paddr_t high, unsigned long alignment,
			 vm_paddr_t boundary)
{
	const struct call call = {"contig_pool_malloc", size, flags, low, high, alignment,
				  boundary};

	return allocate_slow(&call, pool, type, NULL);
}

/* Why a pointer is not a live block's. */
static void panic_not_live(const char *name, const void *va)
{
	uint64_t place = address_place(va);
	struct vm_page *around = contig_is_started() ? contig_block_around(va) : NULL;

	if (!contig_is_started() || place == UINT64_MAX || !contig_physmap_segment(place))
		misuse("%s(%p): not memory of this library", name, va);
	else if (around)
		misuse("%s(%p): inside the block at %p, %" PRIu32 " pages long", name, va,
			     frame_address(page_frame(around)), page_npages(around));
	else if (page_state(frame_page(place >> FRAME_SHIFT)) == VM_PAGE_SINGLE)
		misuse("%s(%p): a page of vm_page_alloc(): see vm_page_free()", name, va);
	else if (page_state(frame_page(place >> FRAME_SHIFT)) == VM_PAGE_LET_GO)
		misuse("%s(%p): freed already; mappings keep the block", name, va);
	else if (place & (FRAME_SIZE - 1))
		misuse("%s(%p): not the start of a page, and no block there (page at %p)",
			     name, va, place_address(align_down(place, FRAME_SIZE)));
	else
		misuse("%s(%p): freed already, or never a block (page at %p is free)", name,
			     va, va);
}

static inline struct vm_page *live_page(const char *name, const void *va)
{
	struct vm_page *page = block_page(va);

	if (__builtin_expect(page && page->state == VM_PAGE_LIVE, 1))
		return page;
	/* Memory that a child inherited isn't in the presence map. */
	page = contig_is_started() ? contig_block_find(va) : NULL;
	if (!page)
		panic_not_live(name, va);
	return page;
}

void contigfree(void *addr, unsigned long size, struct malloc_type *type)
{
	struct vm_page *page;
	uint64_t npages;

	(void)type; /* the block remembers under which it was counted */
	if (!addr)
		return;
	page = live_page("contigfree", addr);
	if (!page)
		return;
	npages = page_npages(page);
	block_free(page);
	if (__builtin_expect((size >> FRAME_SHIFT) + !!(size & (FRAME_SIZE - 1)) != npages, 0))
		contig_warn("contigfree(%p, %lu): the block was %" PRIu64 " bytes; all of it is freed",
			    addr, size, npages << FRAME_SHIFT);
}

void contig_free(void *addr)
{
	struct vm_page *page;

	if (!addr)
		return;
	page = live_page("contig_free", addr);
	if (page)
		block_free(page);
}

size_t contig_usable_size(const void *addr)
{
	struct vm_page *page = contig_is_started() && addr ? contig_block_find(addr) : NULL;

	if (!page) {
		contig_reason_set("contig_usable_size(%p): not the start of a live block", addr);
		errno = EINVAL;
		return 0;
	}
	return (size_t)page_npages(page) << FRAME_SHIFT;
}
