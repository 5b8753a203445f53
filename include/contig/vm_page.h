/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames as the kernel's virtual memory system knows them: vm_page_alloc(9)
 * and its family, of FreeBSD 13/14.  See vm_page_alloc(3).
 *
 * A page is one base frame (4 KiB).  Its struct vm_page lives as long as the
 * process; what it describes is valid from allocation until the page is free
 * again: when its object has let go of it, the last wiring is undone and the
 * last mapping (vm_insert_page(3)) is gone.  All calls may be made from any
 * thread; none is async-signal-safe.  A forked child must not use pages of
 * its parent: it allocates its own.
 */
#ifndef CONTIG_VM_PAGE_H
#define CONTIG_VM_PAGE_H

#include <contig/phys.h>
#include <contig/types.h>

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vm_object;
typedef struct vm_object *vm_object_t;
typedef uint64_t vm_pindex_t; /* index of a page in its object; < 2^40 */

/*
 * Read-only for programs; 32 bytes, so that VM_PAGE_TO_PHYS() is a
 * subtraction.  object and pindex are those the page was inserted at; they
 * are stable while the object is locked or the page is busy.
 */
struct vm_page {
	vm_object_t object; /* NULL: none */
	vm_pindex_t pindex;
	uint32_t busy_lock;  /* private */
	uint32_t generation; /* private: fork generation */
	uint32_t ref_count;  /* private: wirings, mappings, the object */
	uint16_t label;      /* private: usage label */
	uint8_t state;       /* private */
	uint8_t flags;       /* PG_ZERO, and private ones */
};
typedef struct vm_page *vm_page_t;

/* m->flags: the page was all zero when it was allocated. */
#define PG_ZERO 0x01

/* The page of physical address 0, of this process.  const for compilers, as
 * contig_direct_map is (<contig/phys.h>): written once, before any page is
 * handed out; who reads the values of before takes the calls below. */
#ifdef CONTIG_VM_PAGE_ARRAY_WRITER /* the library's one file */
extern vm_page_t vm_page_array;
#else
extern const vm_page_t vm_page_array;
#endif

/* What the two inline functions below call where their test says no. */
vm_paddr_t contig_page_to_phys(vm_page_t m);
vm_page_t contig_phys_to_page(vm_paddr_t pa);

/* The physical address of a page; CONTIG_PADDR_NONE when the kernel hides
 * frames from this process. */
static inline vm_paddr_t VM_PAGE_TO_PHYS(vm_page_t m)
{
	uint64_t pa = ((uint64_t)((uintptr_t)m - (uintptr_t)vm_page_array) / 32) << 12;

	return pa < contig_direct_map.span ? pa : contig_page_to_phys(m);
}

/* The page of a physical address in memory that this process holds, or NULL.
 * The inline test is that of contig_virt_to_phys_inline(). */
static inline vm_page_t PHYS_TO_VM_PAGE(vm_paddr_t pa)
{
	if (vm_page_array && pa < contig_direct_map.span &&
	    ((const volatile unsigned char *)(contig_direct_map.base -
					      CONTIG_PRESENCE_BELOW))[pa >> 21])
		return vm_page_array + (pa >> 12);
	return contig_phys_to_page(pa);
}

/* Where the page's bytes are in this process: readable and writable until
 * the page is free.  Works at every level of addresses. */
void *vm_page_address(vm_page_t m);
/* The page of an address returned by vm_page_address() or contigmalloc(), or
 * any byte behind it; NULL when it isn't pool memory. */
vm_page_t vm_page_of_address(const void *va);

/*
 * Requests.  Exactly one class; none or two panics.  The class says how far
 * the pool's free pages may go down (see vm_page_alloc(3), "Watermarks").
 */
#define VM_ALLOC_NORMAL 0x00000001
#define VM_ALLOC_SYSTEM 0x00000002
#define VM_ALLOC_INTERRUPT 0x00000004
#define VM_ALLOC_CLASS_MASK 0x00000007

#define VM_ALLOC_WAITOK 0x00000008   /* wait for memory, then succeed */
#define VM_ALLOC_WAITFAIL 0x00000010 /* wait for memory, then return NULL */
#define VM_ALLOC_WIRED 0x00000020    /* wired once */
#define VM_ALLOC_ZERO 0x00000040     /* preferably zero: see PG_ZERO */
#define VM_ALLOC_NOOBJ 0x00000100    /* object and pindex are ignored */
#define VM_ALLOC_NOBUSY 0x00000200   /* not exclusive-busy */
#define VM_ALLOC_NOCREAT 0x00000400  /* vm_page_grab(): only what is there */
#define VM_ALLOC_IGN_SBUSY 0x00001000 /* vm_page_grab(): sbusy doesn't matter */
#define VM_ALLOC_NODUMP 0x00002000   /* leave out of core dumps */
#define VM_ALLOC_SBUSY 0x00004000    /* shared-busy */
#define VM_ALLOC_NOWAIT 0x00008000   /* vm_page_grab(): never sleep */
#define VM_ALLOC_COUNT_SHIFT 16
#define VM_ALLOC_COUNT_MAX 0xffff
/* A hint: so many more pages will be wanted soon. */
#define VM_ALLOC_COUNT(n) ((uint32_t)(n) << VM_ALLOC_COUNT_SHIFT)

typedef int vm_memattr_t;
#define VM_MEMATTR_DEFAULT 0 /* write-back; nothing else exists in user space */

/*
 * Allocate a page at pindex of a write-locked object; never sleeps.  Returns
 * the page, or NULL (contig_strreason() says why): wait with vm_wait() and
 * try again.  A page already at pindex, or an object that isn't locked,
 * panics.
 */
vm_page_t vm_page_alloc(vm_object_t object, vm_pindex_t pindex, int req);
vm_page_t vm_page_alloc_domain(vm_object_t object, vm_pindex_t pindex, int domain,
			       int req);
/*
 * npages neighbouring frames, at pindex, pindex + 1, ..., within constraints
 * as contigmalloc() has them (bytes).  The first page, or NULL.  Each page is
 * freed on its own.
 */
vm_page_t vm_page_alloc_contig(vm_object_t object, vm_pindex_t pindex, int req,
			       unsigned long npages, vm_paddr_t low, vm_paddr_t high,
			       unsigned long alignment, vm_paddr_t boundary,
			       vm_memattr_t memattr);
vm_page_t vm_page_alloc_contig_domain(vm_object_t object, vm_pindex_t pindex,
				      int domain, int req, unsigned long npages,
				      vm_paddr_t low, vm_paddr_t high,
				      unsigned long alignment, vm_paddr_t boundary,
				      vm_memattr_t memattr);
/* Pages of no object, from the default pool; with VM_ALLOC_ZERO they are
 * zero for sure.  Not busy unless asked (VM_ALLOC_SBUSY panics). */
vm_page_t vm_page_alloc_noobj(int req);
vm_page_t vm_page_alloc_noobj_domain(int domain, int req);
vm_page_t vm_page_alloc_noobj_contig(int req, unsigned long npages, vm_paddr_t low,
				     vm_paddr_t high, unsigned long alignment,
				     vm_paddr_t boundary, vm_memattr_t memattr);
vm_page_t vm_page_alloc_noobj_contig_domain(int domain, int req, unsigned long npages,
					    vm_paddr_t low, vm_paddr_t high,
					    unsigned long alignment,
					    vm_paddr_t boundary, vm_memattr_t memattr);
/* The same from a given pool (NULL: the default pool). */
vm_page_t contig_pool_page_alloc(contig_pool_t *pool, int req, unsigned long npages,
				 vm_paddr_t low, vm_paddr_t high,
				 unsigned long alignment, vm_paddr_t boundary);

/* The page at pindex, or NULL.  The object is locked, or the caller keeps the
 * page from being freed; readers don't block each other. */
vm_page_t vm_page_lookup(vm_object_t object, vm_pindex_t pindex);
/*
 * The page at pindex, busied as req says; allocated if there is none.  Sleeps
 * (with the object unlocked for the while) unless VM_ALLOC_NOWAIT; then NULL.
 */
vm_page_t vm_page_grab(vm_object_t object, vm_pindex_t pindex, int req);

/*
 * Take the page out of its object (which is write-locked, if it has one) and
 * let go of it: it is free at once, or when the last wiring and mapping is
 * gone.  A page of an object must be exclusive-busy or not busy at all; the
 * page of none likewise.  A free page panics.
 */
void vm_page_free(vm_page_t m);

/* Wirings: they keep the page from being freed.  (Frames of the library
 * don't move anyway.)  Undoing one that was not done panics.
 * vm_page_unwire_noq(): true when it was the last. */
#define PQ_NONE 255
#define PQ_INACTIVE 0
#define PQ_ACTIVE 1
void vm_page_wire(vm_page_t m);
void vm_page_unwire(vm_page_t m, uint8_t nqueue);
bool vm_page_unwire_noq(vm_page_t m);
bool vm_page_wired(vm_page_t m);

/*
 * Busy states: one exclusive holder, or some shared ones.  The blocking forms
 * sleep; a wrong unbusy panics.  Freeing a page wakes who sleeps for it:
 * vm_page_xbusy() and vm_page_sbusy() then panic, or busy what the page has
 * become meanwhile.  So their callers keep it from being freed, by a wiring
 * say; vm_page_busy_acquire() with the object locked copes.
 */
void vm_page_xbusy(vm_page_t m);
bool vm_page_tryxbusy(vm_page_t m);
void vm_page_xunbusy(vm_page_t m);
void vm_page_sbusy(vm_page_t m);
bool vm_page_trysbusy(vm_page_t m);
void vm_page_sunbusy(vm_page_t m);
bool vm_page_tryupgrade(vm_page_t m);
void vm_page_busy_downgrade(vm_page_t m);
bool vm_page_busied(vm_page_t m);
bool vm_page_xbusied(vm_page_t m);
bool vm_page_sbusied(vm_page_t m);
/* VM_ALLOC_SBUSY or not, VM_ALLOC_NOWAIT, VM_ALLOC_WAITFAIL: true when busied. */
bool vm_page_busy_acquire(vm_page_t m, int allocflags);

/*
 * Wait until the pool of object (NULL: the default pool) has what this
 * thread's last call was refused (a page of its class and domain, a run), or a
 * page above free_reserved when none was: first by reclaiming (grow, compact,
 * collapse), then until somebody frees, a second at most.  Returns 0, or -1
 * with errno ENOMEM: nothing came.
 */
int vm_wait(vm_object_t object);

/* Make a run within the constraints free, so that vm_page_alloc_contig()
 * finds one.  true when there is one. */
bool vm_page_reclaim_contig(int req, unsigned long npages, vm_paddr_t low,
			    vm_paddr_t high, unsigned long alignment,
			    vm_paddr_t boundary);

/* A pool's pages and watermarks, in pages; pool NULL: the default pool. */
struct contig_watermarks {
	uint64_t page_count, free_count;
	uint64_t interrupt_free_min, pageout_free_min, free_reserved;
};
void contig_watermarks_get(contig_pool_t *pool, struct contig_watermarks *out);

#ifdef __cplusplus
}
#endif
#endif
