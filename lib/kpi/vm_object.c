/* SPDX-License-Identifier: BSD-2-Clause */
/* Objects: their life, and walks over their pages. */
#include "base/cancel.h"
#include "base/reason.h"
#include "kpi/misuse.h"
#include "kpi/vm_page.h"
#include "kpi/vm_watermark.h"
#include "phys/reclaim.h"
#include "phys/start.h"

#include <errno.h>
#include <stdlib.h>

static vm_object_t refuse(const char *call, vm_pindex_t size, int err, const char *why)
{
	contig_reason_set("%s(size 0x%llx): %s", call, (unsigned long long)size, why);
	errno = err;
	return NULL;
}

/* vm_page_alloc() may ask for nothing that must be made: so that it has
 * something to take, a pool that is empty gets its first superpages here.
 * Once; it isn't this call's business whether they come. */
static void take_first(struct contig_pool *pool)
{
	struct frame_request request = {.run = {.count = 1, .align = 1}, .node = -1};

	if (pool_held_seen(pool) ||
	    __atomic_exchange_n(&pool->first_tried, true, __ATOMIC_RELAXED))
		return;
	request.run.high = contig_physmap.frames;
	contig_pool_make_room(pool, &request, VM_ALLOC_NORMAL, false);
}

static vm_object_t make(const char *call, contig_pool_t *pool, objtype_t type, vm_pindex_t size)
{
	pthread_rwlockattr_t attr;
	vm_object_t object;
	NO_CANCEL;

	if (!size || size > VM_OBJECT_SIZE_MAX)
		return refuse(call, size, EINVAL, "size is not 1 to 2^40 pages");
	if ((unsigned int)type > OBJT_PHYS)
		return refuse(call, size, EINVAL, "type is not one of OBJT_*");
	if (contig_start()) {
		errno = ENOMEM;
		return NULL;
	}
	object = calloc(1, sizeof(*object));
	if (!object)
		return refuse(call, size, ENOMEM, "no memory");
	/* Writers first: else many readers would keep them out for ever. */
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&object->lock, &attr);
	pthread_rwlockattr_destroy(&attr);
	object->refs = 1;
	object->generation = contig_fork_generation;
	object->type = type;
	object->size = size;
	object->pool = pool ? pool : &contig_default_pool;
	take_first(object->pool);
	contig_reason_clear();
	return object;
}

vm_object_t vm_object_allocate(objtype_t type, vm_pindex_t size)
{
	return make("vm_object_allocate", NULL, type, size);
}

vm_object_t contig_object_allocate(contig_pool_t *pool, vm_pindex_t size)
{
	return make("contig_object_allocate", pool, OBJT_DEFAULT, size);
}

void vm_object_reference(vm_object_t object)
{
	if (object)
		__atomic_fetch_add(&object->refs, 1, __ATOMIC_RELAXED);
}

void vm_object_deallocate(vm_object_t object)
{
	uint64_t at = 0;
	vm_page_t m;
	NO_CANCEL;

	if (!object)
		return;
	if (object_wowned(object)) {
		misuse("vm_object_deallocate(%p): locked by this thread", (void *)object);
		return;
	}
	if (__atomic_sub_fetch(&object->refs, 1, __ATOMIC_ACQ_REL))
		return;
	while ((m = contig_radix_next(&object->pages, &at))) {
		/* Its pages are not a child's to give back. */
		if (object->generation == contig_fork_generation)
			page_let_go(m);
		at++;
	}
	contig_radix_destroy(&object->pages);
	pthread_rwlock_destroy(&object->lock);
	free(object);
}

vm_pindex_t vm_object_size(vm_object_t object)
{
	return object->size;
}

uint64_t vm_object_resident_page_count(vm_object_t object)
{
	return __atomic_load_n(&object->pages.entries, __ATOMIC_RELAXED);
}

vm_page_t vm_page_find_least(vm_object_t object, vm_pindex_t pindex)
{
	return contig_radix_next(&object->pages, &pindex);
}

vm_page_t vm_page_next(vm_page_t m)
{
	return m->object ? radix_lookup(&m->object->pages, m->pindex + 1) : NULL;
}

vm_page_t vm_page_prev(vm_page_t m)
{
	return m->object && m->pindex ? radix_lookup(&m->object->pages, m->pindex - 1) : NULL;
}

void vm_object_page_remove(vm_object_t object, vm_pindex_t start, vm_pindex_t end, int options)
{
	uint64_t at = start;
	uint32_t value;
	vm_page_t m;
	NO_CANCEL;

	(void)options; /* nothing is dirty, and mappings are not the object's */
	if (!contig_object_require_wlock(object, "vm_object_page_remove"))
		return;
	if (!end)
		end = object->size;
	while (at < end && (m = contig_radix_next(&object->pages, &at)) && at < end) {
		if (contig_busy_announce(m, false, &value)) {
			vm_object_wunlock(object);
			contig_busy_sleep(m, value);
			vm_object_wlock(object);
			continue; /* from the same index: the page may have gone */
		}
		contig_radix_remove(&object->pages, at);
		page_let_go(m);
		at++;
	}
}
