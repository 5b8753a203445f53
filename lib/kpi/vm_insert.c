/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inserting pages into a vma and unmapping them.  Pages are checked, referenced
 * and put into the shadow one by one, or as many neighbours of a block at once
 * as lie in one superpage, then mapped in runs, so that neighbours cost one
 * mapping and, in another process, one message.
 */
#include "kpi/vma.h"

#include "base/cancel.h"
#include "base/page.h"
#include "base/reason.h"
#include "kpi/page_ref.h"
#include "phys/backing.h"
#include "phys/physmap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RUNS_INLINE 16
#define RANGES 64 /* unmapped at a time in another process */

struct plan {
	struct vma *vma;
	const char *call;
	const struct vma_insertion *what;
	uint64_t first;     /* page index in the vma */
	struct vma_run *runs;
	size_t n, room;
	uint64_t last_frame;
	struct backing last; /* of the page before, that at last_frame */
	struct vma_run inline_runs[RUNS_INLINE];
};

static struct vm_page *nth_page(const struct vma *vma, const struct vma_insertion *what, uint64_t i)
{
	if (what->pages)
		return what->pages[i];
	return frame_page(what->frame + i * (vma->area.vm_page_size >> FRAME_SHIFT));
}

/* Whether page is one at all, in memory that we hold. */
static bool is_ours(const struct vm_page *page)
{
	uintptr_t off = (uintptr_t)page - (uintptr_t)contig_memmap;
	uint64_t frame = off / sizeof(*page);

	return contig_memmap && page >= contig_memmap && !(off % sizeof(*page)) &&
	       frame < contig_physmap.frames && contig_physmap_segment(frame << FRAME_SHIFT);
}

static int refuse(const struct plan *plan, uint64_t i, const char *why)
{
	contig_reason_set("%s(0x%lx): %s", plan->call,
			  plan->what->addr + i * plan->vma->area.vm_page_size, why);
	return -EINVAL;
}

static void unref(const struct vma *vma, struct vm_page *page)
{
	if (vma->area.vm_page_size == FRAME_SIZE)
		page_map_unref(page);
	else
		page_map_unref_super(page);
}

/* Size and pool of a page that is in use. */
static int check_page(struct plan *plan, uint64_t i, const struct vm_page *page,
		      struct backing *backing)
{
	uint64_t size = plan->vma->area.vm_page_size, frame = page_frame(page);

	/* A superpage is of one pool and one piece of a file, and can't go: the
	 * page before is in use. */
	if (plan->n && frame / SUPERPAGE_FRAMES == plan->last_frame / SUPERPAGE_FRAMES) {
		*backing = plan->last;
		backing->offset += ((off_t)frame - (off_t)plan->last_frame) * (off_t)FRAME_SIZE;
		return 0;
	}
	if (!contig_backing_of(frame, backing))
		return refuse(plan, i, "no page of this process");
	if (!backing->shared) {
		refuse(plan, i,
		       "a page of a private pool, which is never mapped twice; take one of another pool");
		return -EPERM;
	}
	if (backing->hugetlb && backing->page_size != size)
		return refuse(plan, i,
			      size == FRAME_SIZE
				      ? "a part of a hugetlb page, which is mapped whole or not at all: take a vma of 2 MiB pages, or collapsed memory (CONTIG_SOURCES=thp)"
				      : "a part of a 1 GiB hugetlb page, which is mapped whole or not at all");
	return plan->vma->ops->allows ? plan->vma->ops->allows(plan->vma, page) : 0;
}

static int check_free(const struct plan *plan, uint64_t index)
{
	struct vma *vma = plan->vma;

	if (!radix_lookup(&vma->shadow, index) &&
	    !(vma->exported && vma->exported->occupied(vma, index, 1)))
		return 0;
	contig_reason_set("%s(0x%lx): something is mapped there; zap_vma_ptes() first", plan->call,
			  vma_address(vma, index));
	return -EBUSY;
}

/* Pages behind the i-th that are its neighbours in memory, as they shall be in
 * the vma, where no peer has anything mapped. */
static uint64_t neighbours(const struct plan *plan, uint64_t i, const struct vm_page *page)
{
	const struct vma_insertion *what = plan->what;
	struct vma *vma = plan->vma;
	uint64_t index = plan->first + i + 1, n = what->count - i - 1, same = 0;

	if (vma->area.vm_page_size != FRAME_SIZE || !n)
		return 0;
	if (n >= SUPERPAGE_FRAMES)
		n = SUPERPAGE_FRAMES - 1;
	if (vma->exported && vma->exported->occupied(vma, index, n))
		return 0;
	if (!what->pages)
		return n;
	while (same < n && what->pages[i + 1 + same] == page + 1 + same)
		same++;
	return same;
}

/* n neighbours, referenced, into the shadow, as far as nothing is there.  How
 * many. */
static uint32_t put_shadow(struct plan *plan, uint64_t i, struct vm_page *page, uint32_t n)
{
	struct vma *vma = plan->vma;
	uintptr_t bits = (plan->what->reference ? 0 : VMA_NO_REF) |
			 (plan->what->prot == vma->area.vm_page_prot ? 0 : VMA_READ_ONLY);

	return (uint32_t)contig_radix_insert_run(&vma->shadow, plan->first + i, n,
						 (void *)((uintptr_t)page | bits), sizeof(*page));
}

/* A page, and *n - 1 of those behind it, checked and in the shadow: 0 or -errno
 * and nothing done. */
static int enlist(struct plan *plan, uint64_t i, struct backing *backing, uint32_t *n)
{
	const struct vma_insertion *what = plan->what;
	struct vma *vma = plan->vma;
	struct vm_page *page = nth_page(vma, what, i);
	bool super = vma->area.vm_page_size != FRAME_SIZE;
	uint32_t refs = 1, put = 0;
	int err;

	if (!is_ours(page)) {
		refuse(plan, i, what->pages ? "no page of this process"
					    : "a frame that is not of this process's pools");
		return what->pages ? -EINVAL : -EPERM;
	}
	if (super && page_frame(page) & (SUPERPAGE_FRAMES - 1))
		return refuse(plan, i, "not the first page of a superpage");
	err = super ? page_map_ref_super(page) : page_map_ref(page);
	if (err == -ENOMEM) {
		refuse(plan, i, "it is mapped as often as can be counted already: 262143 times a page, 2147483647 a block of contigmalloc()");
		return err;
	}
	if (err)
		return refuse(plan, i, super ? "less than a superpage is in use there"
					     : "the page is free");
	err = check_page(plan, i, page, backing);
	if (!err)
		err = check_free(plan, plan->first + i);
	if (!err) {
		uint64_t more = neighbours(plan, i, page);

		refs += more ? contig_page_map_ref_next(page, more) : 0;
		put = put_shadow(plan, i, page, refs);
		if (!put) {
			contig_reason_set("%s: out of memory", plan->call);
			err = -ENOMEM;
		}
	}
	*n = put;
	if (put && super) /* its pages may be of many objects */
		__atomic_store_n(&vma->objects, UINT64_MAX, __ATOMIC_RELAXED);
	else if (put) /* pages of a block have none */
		contig_vma_note_object(vma, page);
	for (uint32_t k = what->reference ? put : 0; k < refs; k++)
		unref(vma, page + k);
	return err;
}

static void note_last(struct plan *plan, uint64_t i, const struct backing *backing, uint32_t n)
{
	plan->last_frame = page_frame(nth_page(plan->vma, plan->what, i)) + n - 1;
	plan->last = *backing;
	plan->last.offset += (off_t)(n - 1) * (off_t)plan->vma->area.vm_page_size;
}

/* The n pages are mapped with the run before them, or begin another. */
static int append(struct plan *plan, uint64_t i, const struct backing *backing, uint32_t n)
{
	uint64_t size = plan->vma->area.vm_page_size;

	if (plan->n && backing->file == plan->last.file &&
	    backing->offset == plan->last.offset + (off_t)size) {
		plan->runs[plan->n - 1].count += n;
		note_last(plan, i, backing, n);
		return 0;
	}
	if (plan->n == plan->room) {
		size_t room = plan->room * 4;
		struct vma_run *more = plan->runs == plan->inline_runs
					       ? malloc(room * sizeof(*more))
					       : realloc(plan->runs, room * sizeof(*more));

		if (!more) {
			contig_reason_set("%s: out of memory", plan->call);
			return -ENOMEM;
		}
		if (plan->runs == plan->inline_runs)
			memcpy(more, plan->inline_runs, sizeof(plan->inline_runs));
		plan->runs = more;
		plan->room = room;
	}
	plan->runs[plan->n++] = (struct vma_run){
		.addr = vma_address(plan->vma, plan->first + i),
		.frame = page_frame(nth_page(plan->vma, plan->what, i)),
		.count = n,
		.prot = plan->what->prot,
		.backing = *backing,
	};
	note_last(plan, i, backing, n);
	return 0;
}

/* Drop shadow entries [from, to) of this insertion. */
static void undo(struct plan *plan, uint64_t from, uint64_t to)
{
	uint64_t size = plan->vma->area.vm_page_size;

	contig_vma_forget(plan->vma, vma_address(plan->vma, plan->first + from),
			  (to - from) * size);
}

/* Map what was enlisted.  *mapped: its pages. */
static int map_runs(struct plan *plan, uint64_t enlisted, uint64_t *mapped)
{
	struct vma *vma = plan->vma;
	size_t done = 0;
	int err = vma->ops->map(vma, plan->runs, plan->n, &done);

	*mapped = enlisted;
	if (!err)
		return 0;
	*mapped = 0;
	if (vma->dead)
		return err;
	for (size_t i = 0; i < done; i++)
		*mapped += plan->runs[i].count;
	undo(plan, *mapped, enlisted);
	if (!plan->what->whole || !done)
		return err;
	/* All or nothing. */
	if (!vma->ops->unmap(vma, plan->runs, done, &done) && !vma->dead) {
		undo(plan, 0, *mapped);
		*mapped = 0;
	}
	return err;
}

int contig_vma_insert(struct vma *vma, const char *call, const struct vma_insertion *what,
		      uint64_t *done)
{
	struct plan plan; /* too big to zero for one page */
	uint64_t enlisted = 0;
	int err = 0, map_err;

	plan.vma = vma;
	plan.call = call;
	plan.what = what;
	plan.first = vma_index(vma, what->addr);
	plan.runs = plan.inline_runs;
	plan.n = 0;
	plan.room = RUNS_INLINE;
	*done = 0;
	while (enlisted < what->count && !err) {
		struct backing backing;
		uint32_t n;

		err = enlist(&plan, enlisted, &backing, &n);
		if (err)
			break;
		err = append(&plan, enlisted, &backing, n);
		if (err)
			undo(&plan, enlisted, enlisted + n);
		else
			enlisted += n;
	}
	if (err && what->whole) {
		undo(&plan, 0, enlisted);
		enlisted = 0;
	}
	if (enlisted) {
		map_err = map_runs(&plan, enlisted, done);
		if (map_err)
			err = map_err;
	}
	if (plan.runs != plan.inline_runs)
		free(plan.runs);
	return err;
}

/* [addr, addr + count pages) is within the vma, and aligned. */
static int check_range(const struct vma *vma, const char *call, unsigned long addr, uint64_t count)
{
	const struct vm_area_struct *area = &vma->area;

	if (addr < area->vm_start || addr >= area->vm_end ||
	    count > (area->vm_end - addr + area->vm_page_size - 1) / area->vm_page_size) {
		contig_reason_set("%s(0x%lx): outside of the vma, which is [0x%lx, 0x%lx)", call,
				  addr, area->vm_start, area->vm_end);
		return -EFAULT;
	}
	if ((addr - area->vm_start) % area->vm_page_size) {
		contig_reason_set("%s(0x%lx): not a multiple of the vma's page size, %zu", call,
				  addr, area->vm_page_size);
		return -EINVAL;
	}
	return 0;
}

static int insert_pages(struct vma *vma, const char *call, unsigned long addr, vm_page_t *pages,
			uint64_t count, uint64_t *done)
{
	struct vma_insertion what = {
		.addr = addr,
		.pages = pages,
		.count = count,
		.prot = vma->area.vm_page_prot,
		.reference = true,
	};
	int err = check_range(vma, call, addr, count);

	*done = 0;
	return err ? err : contig_vma_insert(vma, call, &what, done);
}

int vm_insert_page(struct vm_area_struct *area, unsigned long addr, vm_page_t page)
{
	struct vma *vma = (struct vma *)area;
	uint64_t done;
	NO_CANCEL;
	int err = contig_vma_enter(vma, "vm_insert_page");

	if (err)
		return err;
	err = insert_pages(vma, "vm_insert_page", addr, &page, 1, &done);
	contig_vma_leave(vma);
	return err;
}

int vm_insert_pages(struct vm_area_struct *area, unsigned long addr, vm_page_t *pages,
		    unsigned long *num)
{
	struct vma *vma = (struct vma *)area;
	uint64_t done;
	NO_CANCEL;
	int err = contig_vma_enter(vma, "vm_insert_pages");

	if (err)
		return err;
	err = insert_pages(vma, "vm_insert_pages", addr, pages, *num, &done);
	*num -= done;
	contig_vma_leave(vma);
	return err;
}

static int map_pages(struct vm_area_struct *area, const char *call, vm_page_t *pages,
		     unsigned long num, bool from_pgoff)
{
	struct vma *vma = (struct vma *)area;
	unsigned long offset;
	uint64_t done;
	NO_CANCEL;
	int err = contig_vma_enter(vma, call);

	if (err)
		return err;
	offset = from_pgoff ? area->vm_pgoff : 0;
	if (offset >= num || vma_pages(vma) > num - offset) {
		contig_reason_set("%s: %lu pages from page %lu on don't fill a vma of %llu", call,
				  num, offset, (unsigned long long)vma_pages(vma));
		err = -ENXIO;
	} else {
		err = insert_pages(vma, call, area->vm_start, pages + offset, vma_pages(vma), &done);
	}
	contig_vma_leave(vma);
	return err;
}

int vm_map_pages(struct vm_area_struct *vma, vm_page_t *pages, unsigned long num)
{
	return map_pages(vma, "vm_map_pages", pages, num, true);
}

int vm_map_pages_zero(struct vm_area_struct *vma, vm_page_t *pages, unsigned long num)
{
	return map_pages(vma, "vm_map_pages_zero", pages, num, false);
}

/*
 * In another process, what lies between our pages may be another's, and asking
 * to unmap that ends the connection: name what is ours.
 */
static int zap_exact(struct vma *vma, uint64_t index, uint64_t last)
{
	struct vma_run ranges[RANGES];
	size_t n, done;
	int err = 0;

	do {
		uint64_t next = UINT64_MAX;

		for (n = 0; contig_radix_next(&vma->shadow, &index) && index <= last; index++) {
			if (index != next && n == RANGES)
				break;
			if (index == next)
				ranges[n - 1].count++;
			else
				ranges[n++] = (struct vma_run){.addr = vma_address(vma, index),
							       .count = 1};
			next = index + 1;
		}
		if (!n)
			break;
		err = vma->ops->unmap(vma, ranges, n, &done);
		if (vma->dead)
			break;
		for (size_t i = 0; i < done; i++)
			contig_vma_forget(vma, ranges[i].addr,
					  ranges[i].count * vma->area.vm_page_size);
	} while (!err);
	return err;
}

int contig_vma_zap(struct vma *vma, uint64_t first, uint64_t count)
{
	uint64_t from = first, last = first + count - 1;
	struct vma_run range;
	size_t done;
	int err;

	err = vma->exported ? vma->exported->zap(vma, first, count) : 0;
	if (err)
		return err;
	if (!contig_radix_next(&vma->shadow, &from) || from > last ||
	    !contig_radix_prev(&vma->shadow, &last))
		return 0;
	if (vma->ops != &contig_vma_local_ops)
		return zap_exact(vma, from, last);
	/* Holes between are unmapped with it. */
	range = (struct vma_run){.addr = vma_address(vma, from), .count = last - from + 1};
	err = vma->ops->unmap(vma, &range, 1, &done);
	if (!err && !vma->dead)
		contig_vma_forget(vma, range.addr, range.count * vma->area.vm_page_size);
	return err;
}

int zap_vma_ptes(struct vm_area_struct *area, unsigned long addr, unsigned long size)
{
	struct vma *vma = (struct vma *)area;
	NO_CANCEL;
	int err = contig_vma_enter(vma, "zap_vma_ptes");

	if (err)
		return err;
	if (addr < area->vm_start || addr > area->vm_end || size > area->vm_end - addr ||
	    (addr - area->vm_start) % area->vm_page_size || size % area->vm_page_size) {
		contig_reason_set("zap_vma_ptes(0x%lx, %lu): not whole pages within the vma, which is [0x%lx, 0x%lx)",
				  addr, size, area->vm_start, area->vm_end);
		err = -EINVAL;
	} else if (size) {
		err = contig_vma_zap(vma, vma_index(vma, addr), size / area->vm_page_size);
	}
	contig_vma_leave(vma);
	return err;
}
