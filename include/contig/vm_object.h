/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Objects: sparse arrays of pages, vm_object(9) of FreeBSD.  The frame behind
 * an index can be any frame of the object's pool.  See vm_object(3).
 */
#ifndef CONTIG_VM_OBJECT_H
#define CONTIG_VM_OBJECT_H

#include <contig/vm_page.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum { OBJT_DEFAULT = 0, OBJT_PHYS = 1 } objtype_t;

#define VM_OBJECT_SIZE_MAX (UINT64_C(1) << 40) /* pages */

/*
 * An empty object of size pages (at most VM_OBJECT_SIZE_MAX), with one
 * reference, its pages from the default pool; NULL with errno EINVAL or
 * ENOMEM.  Memory grows with the pages in it, not with its size.
 */
vm_object_t vm_object_allocate(objtype_t type, vm_pindex_t size);
/* The same with pages of a given pool, which must outlive the object. */
vm_object_t contig_object_allocate(contig_pool_t *pool, vm_pindex_t size);

void vm_object_reference(vm_object_t object);
/* Drop a reference; with the last one every page is let go of, as by
 * vm_page_free(), and the object is gone.  Not locked.  NULL is ignored. */
void vm_object_deallocate(vm_object_t object);

vm_pindex_t vm_object_size(vm_object_t object);          /* pages */
uint64_t vm_object_resident_page_count(vm_object_t object);
/* First page at or behind pindex, or NULL; the object is locked. */
vm_page_t vm_page_find_least(vm_object_t object, vm_pindex_t pindex);
vm_page_t vm_page_next(vm_page_t m); /* at the next index, or NULL */
vm_page_t vm_page_prev(vm_page_t m);
/* Let go of the pages in [start, end); end 0: to the object's end.  Sleeps
 * for busy ones.  The object is write-locked. */
void vm_object_page_remove(vm_object_t object, vm_pindex_t start, vm_pindex_t end,
			   int options);

/* Locks: many readers or one writer; not recursive. */
void vm_object_wlock(vm_object_t object);
bool vm_object_trywlock(vm_object_t object);
void vm_object_wunlock(vm_object_t object);
void vm_object_rlock(vm_object_t object);
bool vm_object_tryrlock(vm_object_t object);
void vm_object_runlock(vm_object_t object);
bool vm_object_wowned(vm_object_t object); /* by this thread */
void vm_object_assert_wlocked(vm_object_t object); /* panics */
void vm_object_assert_locked(vm_object_t object);
#define VM_OBJECT_WLOCK(object) vm_object_wlock(object)
#define VM_OBJECT_TRYWLOCK(object) vm_object_trywlock(object)
#define VM_OBJECT_WUNLOCK(object) vm_object_wunlock(object)
#define VM_OBJECT_RLOCK(object) vm_object_rlock(object)
#define VM_OBJECT_TRYRLOCK(object) vm_object_tryrlock(object)
#define VM_OBJECT_RUNLOCK(object) vm_object_runlock(object)
#define VM_OBJECT_WOWNED(object) vm_object_wowned(object)
#define VM_OBJECT_ASSERT_WLOCKED(object) vm_object_assert_wlocked(object)
#define VM_OBJECT_ASSERT_LOCKED(object) vm_object_assert_locked(object)

#ifdef __cplusplus
}
#endif
#endif
