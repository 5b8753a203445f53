/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_page_alloc() and its family.  Far from the watermarks a page comes from
 * the thread's cache; near them every free page is counted: all caches of the
 * pool are emptied into it, and its lock then covers both test and taking.
 */
#include "kpi/vm_page.h"

#include "base/cancel.h"
#include "base/page.h"
#include "base/reason.h"
#include "kpi/blinded.h"
#include "kpi/malloc_type.h"
#include "kpi/misuse.h"
#include "kpi/vm_request.h"
#include "kpi/vm_watermark.h"
#include "phys/block.h"
#include "phys/counters.h"
#include "phys/pool_magazine.h"
#include "phys/reclaim.h"
#include "phys/start.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* As far from the border as a refill of a cache may take. */
#define FAR (2 * MAGAZINE_SLOTS)

static MALLOC_DEFINE(pages_type, "vm_page", "pages of objects and of none");

static uint32_t busy_of(const struct page_request *request)
{
	int req = request->call.flags;

	if (req & VM_ALLOC_SBUSY)
		return BUSY_SHARER;
	return request->idle || req & VM_ALLOC_NOBUSY ? 0 : BUSY_EXCLUSIVE;
}

static inline uint32_t refs_of(int req)
{
	return req & VM_ALLOC_WIRED ? REF_OWNER | REF_WIRING : REF_OWNER;
}

static inline uint64_t take_cached(struct thread_cache *cache, const struct contig_pool *pool,
				   const struct extent_request *run, uint16_t label)
{
	return __builtin_expect(pool == &contig_default_pool, 1)
		       ? magazine_get(cache, run, label)
		       : pool_magazine_get(cache, pool, run, label);
}

/* Any page, and many are free: as contigmalloc() takes it. */
static uint64_t take_far(const struct page_request *request, const struct frame_request *frames,
			 uint16_t label)
{
	struct block_request block = {
		.pool = request->pool, .frames = *frames, .page = true, .label = label};
	struct thread_cache *cache;
	uint64_t frame;

	if (request->npages != 1 || request->domain >= 0 ||
	    pool_free_seen(request->pool) < pool_free_reserved(request->pool) + FAR)
		return EXTENT_NONE;
	cache = contig_thread_cache_make();
	if (!cache || !contig_usage_room(cache, label))
		return EXTENT_NONE;
	frame = take_cached(cache, request->pool, &frames->run, label);
	if (frame != EXTENT_NONE)
		return frame;
	block.frames.use_reserve = false;
	frame = contig_block_take(&block);
	if (frame != EXTENT_NONE)
		contig_usage_count(label, FRAME_SIZE, true);
	return frame;
}

/* Frames in state LIVE, a block of one each. */
static uint64_t take_near(const struct page_request *request, struct frame_request *frames,
			  uint16_t label)
{
	struct contig_pool *pool = request->pool;
	int class = request->call.flags & VM_ALLOC_CLASS_MASK;
	uint64_t first;
	bool zero;

	contig_magazines_drain_pool(pool);
	frames->floor = class_floor(pool, class);
	first = contig_pool_take(pool, frames, true, &zero);
	if (first == EXTENT_NONE)
		return first;
	for (uint64_t f = first; f < first + request->npages; f++) {
		struct vm_page *m = frame_page(f);

		m->generation = contig_fork_generation;
		m->label = label;
		m->flags = (zero ? VM_PAGE_ZERO : 0) | contig_block_common(pool, f);
		contig_usage_count(label, FRAME_SIZE, true);
	}
	return first;
}

/* What M_NOWAIT may do; the floor as the pool is then. */
static uint64_t take(const struct page_request *request, struct frame_request *frames)
{
	uint16_t label = type_label(pages_type);
	uint64_t first = take_far(request, frames, label);

	contig_reclaim_why_clear();
	if (first == EXTENT_NONE)
		first = take_near(request, frames, label);
	/* Twice: what comes for a long run may leave the pool at its floor. */
	for (int i = 0; first == EXTENT_NONE && i < 2 && !contig_reclaim_blinded() &&
			contig_reclaim_nowait(request->pool, frames);
	     i++)
		first = take_near(request, frames, label);
	return first;
}

static void occupied(const struct page_request *request, vm_pindex_t pindex)
{
	misuse("%s(object %p, pindex 0x%llx, req 0x%x): a page is at pindex 0x%llx already",
	       request->call.name, (void *)request->object, (unsigned long long)request->pindex,
	       (unsigned int)request->call.flags, (unsigned long long)pindex);
}

/* Where the pages go: locked, in range and empty.  How that went. */
enum room { ROOM, ROOM_TAKEN, ROOM_NEVER };
static enum room look_at_object(const struct page_request *request, bool slept)
{
	vm_pindex_t at = request->pindex;

	if (!contig_object_require_wlock(request->object, request->call.name))
		return ROOM_NEVER;
	if (at >= request->object->size || request->npages > request->object->size - at) {
		misuse("%s(object %p, pindex 0x%llx, req 0x%x): beyond the object's %llu pages",
		       request->call.name, (void *)request->object,
		       (unsigned long long)request->pindex, (unsigned int)request->call.flags,
		       (unsigned long long)request->object->size);
		return ROOM_NEVER;
	}
	if (!contig_radix_next(&request->object->pages, &at) || at - request->pindex >= request->npages)
		return ROOM;
	if (slept)
		return ROOM_TAKEN;
	occupied(request, at);
	return ROOM_NEVER;
}

static void begin_pages(const struct page_request *request, uint64_t first)
{
	int req = request->call.flags;
	uint32_t busy = busy_of(request), refs = refs_of(req);
	bool want_zero = req & VM_ALLOC_ZERO;

	for (uint64_t f = first; f < first + request->npages; f++) {
		struct vm_page *m = frame_page(f);
		uint8_t flags = m->flags & VM_PAGE_COMMON;

		if (want_zero && m->flags & VM_PAGE_ZERO) {
			flags |= PG_ZERO;
		} else if (want_zero && request->zeroed) {
			memset(frame_address(f), 0, FRAME_SIZE);
			flags |= PG_ZERO;
		}
		page_begin(m, busy, refs, flags);
	}
}

static void drop_pages(const struct page_request *request, uint64_t first, unsigned long inserted)
{
	for (unsigned long i = 0; i < inserted; i++)
		contig_radix_remove(&request->object->pages, request->pindex + i);
	for (unsigned long i = 0; i < request->npages; i++)
		page_let_go(frame_page(first + i));
}

static bool insert_pages(const struct page_request *request, uint64_t first)
{
	for (unsigned long i = 0; i < request->npages; i++) {
		struct vm_page *m = frame_page(first + i);

		m->object = request->object;
		m->pindex = request->pindex + i;
		if (contig_radix_insert(&request->object->pages, m->pindex, m) < 0) {
			drop_pages(request, first, i);
			return false;
		}
	}
	return true;
}

static vm_page_t no_memory(const struct page_request *request, const struct frame_request *frames)
{
	struct contig_pool *pool = request->pool;
	char why[1200];

	if (contig_reclaim_blinded())
		return contig_fail(&request->call, EPERM, BLINDED);
	contig_wait_note(pool, frames, request->call.flags & VM_ALLOC_CLASS_MASK);
	snprintf(why, sizeof(why),
		 "%llu pages free of pool %s, of which %llu are not for this class%s%s; vm_wait() makes more",
		 (unsigned long long)contig_pool_free_pages(pool), pool->name,
		 (unsigned long long)class_floor(pool, request->call.flags & VM_ALLOC_CLASS_MASK),
		 *contig_reclaim_why() ? "; " : "", contig_reclaim_why());
	return contig_fail(&request->call, ENOMEM, why);
}

/* With the object unlocked, whose pages others may be about to free. */
static bool wait_for_room(const struct page_request *request, const struct frame_request *frames)
{
	bool room;

	if (request->object)
		vm_object_wunlock(request->object);
	room = contig_pool_make_room(request->pool, frames,
				     request->call.flags & VM_ALLOC_CLASS_MASK, true);
	if (request->object)
		vm_object_wlock(request->object);
	return room;
}

static vm_page_t allocate(struct page_request *request)
{
	int req = request->call.flags;
	struct frame_request frames;
	bool slept = false;
	uint64_t first;
	enum room room;
	NO_CANCEL;

	if (!contig_page_request_sane(request) ||
	    (request->object && look_at_object(request, false) != ROOM) ||
	    contig_page_request_frames(request, &frames) < 0)
		return NULL;
	for (;;) {
		first = take(request, &frames);
		if (first != EXTENT_NONE)
			break;
		if (!(req & (VM_ALLOC_WAITOK | VM_ALLOC_WAITFAIL)) || contig_reclaim_blinded())
			return no_memory(request, &frames);
		slept = true;
		wait_for_room(request, &frames);
		if (req & VM_ALLOC_WAITFAIL)
			return no_memory(request, &frames);
		room = request->object ? look_at_object(request, true) : ROOM;
		if (room == ROOM_TAKEN)
			return contig_fail(&request->call, EAGAIN,
					   "another thread put a page there while this one waited");
		if (room != ROOM)
			return NULL;
	}
	contig_wait_forget();
	begin_pages(request, first);
	if (request->object && !insert_pages(request, first))
		return contig_fail(&request->call, ENOMEM, "no memory for the object's index");
	if (req & VM_ALLOC_NODUMP)
		contig_block_nodump(first, request->npages);
	if (slept)
		contig_reason_clear();
	return frame_page(first);
}

static vm_page_t allocate_object(const char *name, vm_object_t object, vm_pindex_t pindex,
				 int domain, int req)
{
	struct page_request request = {
		.call = {name, FRAME_SIZE, req, 0, ~(vm_paddr_t)0, 0, 0},
		.object = req & VM_ALLOC_NOOBJ ? NULL : object,
		.pindex = pindex,
		.npages = 1,
		.domain = domain,
	};

	if (!object && !(req & VM_ALLOC_NOOBJ)) {
		misuse("%s(object NULL, pindex 0x%llx, req 0x%x): no object, and not VM_ALLOC_NOOBJ",
		       name, (unsigned long long)pindex, (unsigned int)req);
		return NULL;
	}
	return allocate(&request);
}

/* Flags of which none needs more than the fast path has. */
#define FAST_FLAGS                                                                              \
	(VM_ALLOC_CLASS_MASK | VM_ALLOC_WAITOK | VM_ALLOC_WAITFAIL | VM_ALLOC_WIRED |           \
	 VM_ALLOC_ZERO | VM_ALLOC_NOBUSY | VM_ALLOC_NOWAIT | VM_ALLOC_IGN_SBUSY |                \
	 VM_ALLOC_NOCREAT | (int)VM_ALLOC_COUNT(VM_ALLOC_COUNT_MAX))

/* A page from this thread's cache, when nothing about the call is special. */
static inline struct vm_page *take_fast(const struct contig_pool *pool, int req)
{
	struct thread_cache *cache = contig_thread_cache;
	struct extent_request run = {1, 0, UINT64_MAX, 1, 0};
	unsigned int label = __atomic_load_n(&pages_type->ks_id, __ATOMIC_RELAXED);
	int class = req & VM_ALLOC_CLASS_MASK, waits = req & (VM_ALLOC_WAITOK | VM_ALLOC_WAITFAIL |
							      VM_ALLOC_NOWAIT);
	uint64_t frame;

	if (__builtin_expect(!cache || !label || req & ~FAST_FLAGS || !class ||
				     class & (class - 1) || waits & (waits - 1) ||
				     pool_free_seen(pool) < pool_free_reserved(pool) + 1,
			     0))
		return NULL;
	frame = take_cached(cache, pool, &run, (uint16_t)label);
	if (__builtin_expect(frame == EXTENT_NONE, 0))
		return NULL;
	contig_wait_forget();
	return frame_page(frame);
}

vm_page_t vm_page_alloc(vm_object_t object, vm_pindex_t pindex, int req)
{
	struct vm_page *m;
	int err;

	if (__builtin_expect(!object || req & VM_ALLOC_NOOBJ || !object_wowned(object) ||
				     pindex >= object->size,
			     0))
		return allocate_object("vm_page_alloc", object, pindex, -1, req);
	m = take_fast(object->pool, req);
	if (__builtin_expect(!m, 0))
		return allocate_object("vm_page_alloc", object, pindex, -1, req);
	page_begin(m, req & VM_ALLOC_NOBUSY ? 0 : BUSY_EXCLUSIVE, refs_of(req),
		   m->flags & (VM_PAGE_COMMON | (req & VM_ALLOC_ZERO ? PG_ZERO : 0)));
	m->object = object;
	m->pindex = pindex;
	err = contig_radix_insert(&object->pages, pindex, m);
	if (__builtin_expect(!err, 1))
		return m;
	page_let_go(m);
	return allocate_object("vm_page_alloc", object, pindex, -1, req);
}

vm_page_t vm_page_alloc_domain(vm_object_t object, vm_pindex_t pindex, int domain, int req)
{
	return allocate_object("vm_page_alloc_domain", object, pindex, domain < 0 ? INT32_MAX : domain,
			       req);
}

static vm_page_t allocate_contig(const char *name, vm_object_t object, vm_pindex_t pindex,
				 int domain, int req, unsigned long npages, vm_paddr_t low,
				 vm_paddr_t high, unsigned long alignment, vm_paddr_t boundary)
{
	struct page_request request = {
		.call = {name, npages << FRAME_SHIFT, req, low, high, alignment, boundary},
		.object = req & VM_ALLOC_NOOBJ ? NULL : object,
		.pindex = pindex,
		.npages = npages,
		.domain = domain,
	};

	if (!object && !(req & VM_ALLOC_NOOBJ)) {
		misuse("%s(object NULL, pindex 0x%llx, req 0x%x): no object, and not VM_ALLOC_NOOBJ",
		       name, (unsigned long long)pindex, (unsigned int)req);
		return NULL;
	}
	return allocate(&request);
}

vm_page_t vm_page_alloc_contig(vm_object_t object, vm_pindex_t pindex, int req,
			       unsigned long npages, vm_paddr_t low, vm_paddr_t high,
			       unsigned long alignment, vm_paddr_t boundary, vm_memattr_t memattr)
{
	(void)memattr; /* write-back is all there is */
	return allocate_contig("vm_page_alloc_contig", object, pindex, -1, req, npages, low, high,
			       alignment, boundary);
}

vm_page_t vm_page_alloc_contig_domain(vm_object_t object, vm_pindex_t pindex, int domain, int req,
				      unsigned long npages, vm_paddr_t low, vm_paddr_t high,
				      unsigned long alignment, vm_paddr_t boundary,
				      vm_memattr_t memattr)
{
	(void)memattr;
	return allocate_contig("vm_page_alloc_contig_domain", object, pindex,
			       domain < 0 ? INT32_MAX : domain, req, npages, low, high, alignment,
			       boundary);
}

static vm_page_t allocate_noobj(const char *name, contig_pool_t *pool, int domain, int req,
				unsigned long npages, vm_paddr_t low, vm_paddr_t high,
				unsigned long alignment, vm_paddr_t boundary)
{
	struct page_request request = {
		.call = {name, npages << FRAME_SHIFT, req, low, high, alignment, boundary},
		.pool = pool,
		.npages = npages,
		.domain = domain,
		.zeroed = true,
		.idle = true,
	};

	if (req & VM_ALLOC_SBUSY) {
		misuse("%s(req 0x%x, npages %lu): VM_ALLOC_SBUSY without an object", name,
		       (unsigned int)req, npages);
		return NULL;
	}
	return allocate(&request);
}

static inline struct vm_page *take_fast_noobj(const struct contig_pool *pool, int req)
{
	struct vm_page *m = req & (VM_ALLOC_ZERO | VM_ALLOC_NOOBJ) ? NULL : take_fast(pool, req);

	if (__builtin_expect(m != NULL, 1))
		page_begin(m, 0, refs_of(req), m->flags & VM_PAGE_COMMON);
	return m;
}

vm_page_t vm_page_alloc_noobj(int req)
{
	struct vm_page *m = take_fast_noobj(&contig_default_pool, req);

	return m ? m
		 : allocate_noobj("vm_page_alloc_noobj", NULL, -1, req, 1, 0, ~(vm_paddr_t)0, 0, 0);
}

vm_page_t vm_page_alloc_noobj_domain(int domain, int req)
{
	return allocate_noobj("vm_page_alloc_noobj_domain", NULL, domain < 0 ? INT32_MAX : domain,
			      req, 1, 0, ~(vm_paddr_t)0, 0, 0);
}

vm_page_t vm_page_alloc_noobj_contig(int req, unsigned long npages, vm_paddr_t low,
				     vm_paddr_t high, unsigned long alignment, vm_paddr_t boundary,
				     vm_memattr_t memattr)
{
	(void)memattr;
	return allocate_noobj("vm_page_alloc_noobj_contig", NULL, -1, req, npages, low, high,
			      alignment, boundary);
}

vm_page_t vm_page_alloc_noobj_contig_domain(int domain, int req, unsigned long npages,
					    vm_paddr_t low, vm_paddr_t high,
					    unsigned long alignment, vm_paddr_t boundary,
					    vm_memattr_t memattr)
{
	(void)memattr;
	return allocate_noobj("vm_page_alloc_noobj_contig_domain", NULL,
			      domain < 0 ? INT32_MAX : domain, req, npages, low, high, alignment,
			      boundary);
}

vm_page_t contig_pool_page_alloc(contig_pool_t *pool, int req, unsigned long npages,
				 vm_paddr_t low, vm_paddr_t high, unsigned long alignment,
				 vm_paddr_t boundary)
{
	struct vm_page *m = NULL;

	if (npages == 1 && !low && high == ~(vm_paddr_t)0 && !alignment && !boundary)
		m = take_fast_noobj(pool ? pool : &contig_default_pool, req);
	if (m)
		return m;
	return allocate_noobj("contig_pool_page_alloc", pool, -1, req, npages, low, high, alignment,
			      boundary);
}
