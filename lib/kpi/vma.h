/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A vma's inside: its shadow page table says which page is mapped where; how
 * a mapping is made is behind vma_ops, so that a vma of another process
 * (lib/share) takes the same calls.
 */
#ifndef KPI_VMA_H
#define KPI_VMA_H

#include "base/lock.h"
#include "base/radix.h"
#include "contig/vm_area.h"
#include "phys/backing.h"
#include "phys/memmap.h"

#include <stdbool.h>
#include <stdint.h>

struct vma;

/* A run of pages that are neighbours in one file and go to neighbouring
 * addresses. */
struct vma_run {
	unsigned long addr;
	uint64_t frame;  /* first; the others follow it in the file, and are
			  * what the file has there, not frame + 1, ... */
	uint64_t count;  /* pages of the vma's page size */
	int prot;        /* the vma's, or PROT_READ: remap_pfn_range() may ask
			  * for less */
	struct backing backing; /* of the first page; map() only */
};

/*
 * Called with the vma locked and the request checked (range, alignment,
 * occupancy, references taken).  0 or -errno with contig_reason set.
 */
struct vma_ops {
	/* A call of the program's begins, in which the others may be called many
	 * times: its time counts from here.  NULL: none of them waits. */
	void (*begin)(struct vma *vma);
	/* Map runs[0..n); *done: runs mapped, also on error. */
	int (*map)(struct vma *vma, const struct vma_run *runs, size_t n, size_t *done);
	/* Unmap ranges[0..n) (frame unused), holes allowed; *done as above.
	 * -ENOMEM: the others stay mapped, for want of mappings.  Who sets
	 * vma->dead has forgotten the whole vma: the caller touches nothing
	 * then. */
	int (*unmap)(struct vma *vma, const struct vma_run *ranges, size_t n, size_t *done);
	/* Whether a page may be mapped here at all: 0, -EPERM, -EINVAL.  Asked once
	 * for pages of one superpage.  NULL: any that is not of private memory. */
	int (*allows)(struct vma *vma, const struct vm_page *page);
	void (*destroy)(struct vma *vma); /* locked, and no longer live */
	/* May be NULL.  Nothing of the pool is mapped here any more, and it is
	 * going: its files are not to be kept open.  Locked. */
	void (*forget_pool)(struct vma *vma, const struct contig_pool *pool);
};

/*
 * A local vma that is exported: what its peers map there is known to lib/share
 * alone (it is no page of ours, and not in the shadow).  first and count are
 * pages of the vma.
 */
struct vma_exported {
	/* Locked.  A peer maps something there: inserting is -EBUSY. */
	bool (*occupied)(struct vma *vma, uint64_t first, uint64_t count);
	/* Locked.  The owner zaps the range: unmap what peers have there.  0, or
	 * -errno with a reason: some of it stays mapped, and theirs. */
	int (*zap)(struct vma *vma, uint64_t first, uint64_t count);
	/* Not locked.  vma_destroy(), before anything else: no peer is served any
	 * more, nothing of theirs is mapped; exported is NULL afterwards. */
	void (*retract)(struct vma *vma);
};

struct vma {
	struct vm_area_struct area; /* first: what users hold */
	struct vma *next;           /* of all vmas, contig_vmas_lock */
	struct lock lock;           /* LOCK_VMA */
	struct radix shadow;        /* page index in the vma -> entry, see below */
	const struct vma_ops *ops;
	void *remote;               /* of lib/share: a peer's vma, or an export */
	const struct vma_exported *exported; /* NULL: local, not exported */
	bool dead;                  /* the peer is gone: -EPIPE */
	bool live;                  /* false after vma_destroy() */
	uint32_t generation;        /* fork generation that made it */
	unsigned int walkers;       /* contig_vmas_lock: it stays in the list */
	uint64_t objects;           /* filter: objects with pages here, see vm_unmap.c */
};

/* Shadow entries: the page and these bits.  Pages are 32 bytes apart. */
#define VMA_NO_REF 1UL    /* no reference is held (vm_insert_pfn) */
#define VMA_READ_ONLY 2UL /* mapped with less than the vma's protection */
#define VMA_BITS (VMA_NO_REF | VMA_READ_ONLY)
static inline struct vm_page *vma_entry_page(const void *entry)
{
	return (struct vm_page *)((uintptr_t)entry & ~VMA_BITS);
}

static inline uint64_t vma_index(const struct vma *vma, unsigned long addr)
{
	return (addr - vma->area.vm_start) / vma->area.vm_page_size;
}

static inline unsigned long vma_address(const struct vma *vma, uint64_t index)
{
	return vma->area.vm_start + index * vma->area.vm_page_size;
}

static inline uint64_t vma_pages(const struct vma *vma)
{
	return (vma->area.vm_end - vma->area.vm_start) / vma->area.vm_page_size;
}

/*
 * vma->objects: a bit for the object of each page, so that who looks for an
 * object's pages passes over most vmas.  A page without an object may get one
 * later: all bits.
 */
static inline uint64_t object_bit(const void *object)
{
	return object ? UINT64_C(1) << ((uintptr_t)object / 64 * UINT64_C(0x9e3779b97f4a7c15) >> 58)
		      : UINT64_MAX;
}

static inline void contig_vma_note_object(struct vma *vma, const struct vm_page *page)
{
	const void *object = __atomic_load_n(&page->object, __ATOMIC_RELAXED);

	__atomic_store_n(&vma->objects, vma->objects | object_bit(object), __ATOMIC_RELAXED);
}

extern const struct vma_ops contig_vma_local_ops;

/*
 * Lock a vma for a call of its user: 0, or with a reason and not locked
 * -EINVAL (destroyed, or no vma), -EPERM (a forked child may not use its
 * parent's), -EPIPE.
 */
int contig_vma_enter(struct vma *vma, const char *call);
void contig_vma_leave(struct vma *vma);
static inline void vma_begin(struct vma *vma)
{
	if (vma->ops->begin)
		vma->ops->begin(vma);
}

/* Call fn for each vma, locked and alive, that may() says yes for; the first
 * error.  No lock of a vma or of the list may be held. */
int contig_vma_each(bool (*may)(const struct vma *vma, const void *arg),
		    int (*fn)(struct vma *vma, const void *arg), const void *arg);

/* What to insert: pages[i], or count frames from frame on when NULL. */
struct vma_insertion {
	unsigned long addr;
	struct vm_page *const *pages;
	uint64_t frame;
	uint64_t count;     /* pages of the vma's page size */
	int prot;
	bool reference;     /* take a reference on each page */
	bool whole;         /* all of it or nothing */
};

/* Locked, range checked.  *done: pages mapped.  0 or -errno with a reason. */
int contig_vma_insert(struct vma *vma, const char *call, const struct vma_insertion *what,
		      uint64_t *done);
/* Locked.  Unmap pages [first, first + count) of the vma and forget them. */
int contig_vma_zap(struct vma *vma, uint64_t first, uint64_t count);
/* Unmap every page of a pool, which goes, from every vma.  Where that can't be
 * done the memory outlives the pool: it is not punched out of its file. */
struct contig_pool;
void contig_vmas_unmap_pool(struct contig_pool *pool);

/* A vma that is listed but has no range of this process. */
struct vma *contig_vma_new(unsigned long start, size_t size, size_t page_size, int prot,
			   const struct vma_ops *ops, void *remote);
/* Drop every shadow entry in [addr, addr + size) and its reference; nothing
 * is unmapped.  Locked. */
void contig_vma_forget(struct vma *vma, unsigned long addr, unsigned long size);

#endif
