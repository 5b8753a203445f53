/* SPDX-License-Identifier: BSD-2-Clause */
/* Vmas of this process: pages are mapped a second time. */
#include "kpi/vma.h"

#include "base/log.h"
#include "base/page.h"
#include "base/reason.h"
#include "host/alias.h"
#include "phys/backing.h"
#include "phys/physmap.h"
#include "phys/pool.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 * The kernel merges neighbouring mappings of a file, but not those of hugetlb:
 * there a new page is mapped together with the run it joins.  Not with all of
 * a longer run than this, or n pages one by one would cost n * n.
 */
#define JOIN_MOST 512

/* Neighbours in one file, page_size apart. */
static bool follows(const struct backing *a, const struct backing *b, uint64_t bytes)
{
	return a->file == b->file && a->offset + (off_t)bytes == b->offset;
}

/* Whether the vma has, at index, what lies bytes behind origin in its file
 * (or before it), with the same protection. */
static bool joins(const struct vma *vma, uint64_t index, int prot, const struct backing *origin,
		  uint64_t bytes, bool before, uint64_t *frame)
{
	void *entry = radix_lookup(&vma->shadow, index);
	struct backing backing;

	if (!entry || ((uintptr_t)entry & VMA_READ_ONLY) != (prot != vma->area.vm_page_prot
								     ? VMA_READ_ONLY : 0))
		return false;
	*frame = page_frame(vma_entry_page(entry));
	return contig_backing_of(*frame, &backing) &&
	       (before ? follows(&backing, origin, bytes) : follows(origin, &backing, bytes));
}

/* The run and its neighbours: what becomes one mapping. */
static struct vma_run joined(const struct vma *vma, const struct vma_run *run,
			     const struct backing *backing)
{
	uint64_t first = vma_index(vma, run->addr), end = first + run->count;
	uint64_t size = vma->area.vm_page_size, start = first, last = vma_pages(vma), frame;
	struct vma_run all = *run;

	while (start && first - start < JOIN_MOST &&
	       joins(vma, start - 1, run->prot, backing, (first - start + 1) * size, true,
		     &frame)) {
		start--;
		all.frame = frame;
	}
	for (uint64_t most = end + JOIN_MOST;
	     end < last && end < most &&
	     joins(vma, end, run->prot, backing, (end - first) * size, false, &frame);)
		end++;
	all.addr = vma_address(vma, start);
	all.count = end - start;
	return all;
}

static bool isolated(uint64_t frame)
{
	const struct segment *segment = contig_physmap_segment(frame << FRAME_SHIFT);

	return segment && segment->pool->fork == CONTIG_FORK_ISOLATE;
}

/* Hugetlb memory of a pool that keeps no descriptor: once by another way,
 * which is slow, then by the descriptor that this way gave. */
static int map_reopened(void *va, size_t len, const struct vma_run *run,
			const struct backing *backing)
{
	off_t offset;
	int err, fd = contig_alias_reopen(frame_address(run->frame), &offset);

	if (fd < 0)
		return fd;
	err = contig_alias_descriptor(va, len, run->prot, fd, offset);
	if (err || offset != backing->offset || !contig_backing_reopened(run->frame, fd))
		close(fd);
	return err;
}

static int map_hugetlb(void *va, size_t len, const struct vma_run *run,
		       const struct backing *backing)
{
	int err;

	if (backing->fd >= 0 && backing->mode == CONTIG_SHARE_READONLY && run->prot & PROT_WRITE) {
		contig_reason_set("the page's pool is shared read-only");
		return -EPERM;
	}
	/* Looked at each time: the program may have closed it, and have
	 * something else under its number. */
	err = contig_memfd_check(&backing->local);
	if (!err)
		return contig_alias_descriptor(va, len, run->prot, backing->local.fd,
					       backing->offset);
	if (backing->fd >= 0)
		return err;
	if (backing->local.fd >= 0)
		contig_backing_closed(run->frame);
	return map_reopened(va, len, run, backing);
}

static int map_alias(const struct vma *vma, const struct vma_run *run,
		     const struct backing *backing)
{
	void *va = (void *)run->addr;
	size_t len = run->count * vma->area.vm_page_size;
	int err;

	/* Our own mapping repeated: no descriptor to look after, and a sealed
	 * file takes no new writable mapping but that. */
	if (!backing->hugetlb)
		return contig_alias_duplicate(va, len, run->prot, frame_address(run->frame));
	err = map_hugetlb(va, len, run, backing);
	if (!err && isolated(run->frame)) {
		err = contig_alias_isolate(va, len);
		if (err)
			contig_alias_clear(va, len);
	}
	return err;
}

/* Old neighbours again, after a kernel had unmapped them and then failed. */
static void map_again(const struct vma *vma, const struct vma_run *part)
{
	struct backing backing;

	if (part->count &&
	    (!contig_backing_of(part->frame, &backing) || map_alias(vma, part, &backing)))
		contig_warn("%llu pages at 0x%lx are no longer mapped: %s",
			    (unsigned long long)part->count, part->addr, contig_reason_get());
}

static int map_run(const struct vma *vma, const struct vma_run *run)
{
	uint64_t size = vma->area.vm_page_size;
	struct vma_run all = *run, rest;
	struct backing backing = run->backing;
	int err;

	if (backing.hugetlb)
		all = joined(vma, run, &backing);
	if (all.frame != run->frame)
		contig_backing_of(all.frame, &backing);
	err = map_alias(vma, &all, &backing);
	if (!err || !contig_alias_lost((void *)all.addr, all.count * size))
		return err;
	rest = all;
	rest.count = (run->addr - all.addr) / size;
	map_again(vma, &rest);
	rest.addr = run->addr + run->count * size;
	rest.count = all.count - run->count - rest.count;
	if (rest.count) {
		rest.frame = page_frame(vma_entry_page(
			radix_lookup(&vma->shadow, vma_index(vma, rest.addr))));
		map_again(vma, &rest);
	}
	return err;
}

static int local_map(struct vma *vma, const struct vma_run *runs, size_t n, size_t *done)
{
	int err = 0;

	for (*done = 0; *done < n && !err; *done += !err)
		err = map_run(vma, &runs[*done]);
	return err;
}

static int local_unmap(struct vma *vma, const struct vma_run *ranges, size_t n, size_t *done)
{
	int err = 0;

	for (*done = 0; *done < n && !err; *done += !err)
		err = contig_alias_clear((void *)ranges[*done].addr,
					 ranges[*done].count * vma->area.vm_page_size);
	return err;
}

/* What is mapped, range by range: that never needs a mapping more. */
static int clear_ranges(struct vma *vma)
{
	uint64_t index = 0;

	while (contig_radix_next(&vma->shadow, &index)) {
		struct vma_run run = {.addr = vma_address(vma, index)};
		size_t done;
		int err;

		while (radix_lookup(&vma->shadow, index)) {
			run.count++;
			index++;
		}
		err = local_unmap(vma, &run, 1, &done);
		if (err)
			return err;
	}
	return 0;
}

static void local_destroy(struct vma *vma)
{
	void *va = (void *)vma->area.vm_start;
	size_t len = vma->area.vm_end - vma->area.vm_start;

	if (!contig_alias_unreserve(va, len))
		return;
	/* vm.max_map_count is reached. */
	if (!clear_ranges(vma)) {
		if (contig_alias_unreserve(va, len))
			contig_debug(POOL, "%zu bytes of addresses at %p are lost", len, va);
		return;
	}
	/* Better lose the pages than leave them mapped and free. */
	contig_warn("vma_destroy: pages at %p stay mapped and are lost: %s", va,
		    contig_reason_get());
	contig_radix_destroy(&vma->shadow);
	vma->shadow = (struct radix){0};
}

const struct vma_ops contig_vma_local_ops = {
	.map = local_map,
	.unmap = local_unmap,
	.destroy = local_destroy,
};
