/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unmapping pages wherever they are: an object's, or a pool's.  There is no
 * table of a page's mappings: the vmas are asked, and a filter in each says
 * when it can't have any.
 */
#include "kpi/vma.h"

#include "base/cancel.h"
#include "base/log.h"
#include "base/page.h"
#include "base/reason.h"
#include "phys/physmap.h"
#include "phys/pool.h"
#include "phys/segment.h"

#include <errno.h>

/* Ranges unmapped at a time: one message to another process. */
#define RANGES 64

struct wanted {
	vm_object_t object;
	uint64_t start, end; /* indices */
	const struct contig_pool *pool; /* instead of an object */
};

static bool is_wanted(const struct vma *vma, const struct vm_page *page,
		      const struct wanted *wanted)
{
	const struct segment *segment;

	if (wanted->pool) {
		segment = contig_physmap_segment(page_frame(page) << FRAME_SHIFT);
		return segment && segment->pool == wanted->pool;
	}
	/* A superpage is unmapped whole when one of its pages is wanted. */
	for (uint64_t n = vma->area.vm_page_size >> FRAME_SHIFT; n; n--, page++) {
		uint64_t index = __atomic_load_n(&page->pindex, __ATOMIC_RELAXED);

		if (__atomic_load_n(&page->object, __ATOMIC_RELAXED) == wanted->object &&
		    index >= wanted->start && index < wanted->end)
			return true;
	}
	return false;
}

/* The next ranges of wanted pages from *index on; how many. */
static size_t collect(struct vma *vma, const struct wanted *wanted, uint64_t *index,
		      struct vma_run *ranges)
{
	size_t n = 0;
	uint64_t next = UINT64_MAX; /* behind the last range */
	void *entry;

	for (; (entry = contig_radix_next(&vma->shadow, index)); ++*index) {
		if (!is_wanted(vma, vma_entry_page(entry), wanted))
			continue;
		if (*index == next) {
			ranges[n - 1].count++;
		} else if (n == RANGES) {
			break;
		} else {
			ranges[n++] = (struct vma_run){.addr = vma_address(vma, *index), .count = 1};
			next = *index;
		}
		next++;
	}
	return n;
}

static int unmap_wanted(struct vma *vma, const void *arg)
{
	const struct wanted *wanted = arg;
	struct vma_run ranges[RANGES];
	uint64_t index = 0;
	size_t n, done;
	int err = 0;

	while (!err && (n = collect(vma, wanted, &index, ranges))) {
		err = vma->ops->unmap(vma, ranges, n, &done);
		if (vma->dead)
			return err;
		for (size_t i = 0; i < done; i++)
			contig_vma_forget(vma, ranges[i].addr,
					  ranges[i].count * vma->area.vm_page_size);
	}
	return err;
}

static bool may_have(const struct vma *vma, const void *arg)
{
	const struct wanted *wanted = arg;
	uint64_t objects = __atomic_load_n(&vma->objects, __ATOMIC_RELAXED);

	return wanted->pool ? objects != 0 : (objects & object_bit(wanted->object)) != 0;
}

int unmap_mapping_range(vm_object_t object, uint64_t start, uint64_t len, int even_cows)
{
	struct wanted wanted = {.object = object, .start = start >> FRAME_SHIFT};
	uint64_t pages = (len >> FRAME_SHIFT) + !!(len & (FRAME_SIZE - 1));
	NO_CANCEL;

	(void)even_cows;
	contig_reason_clear();
	if (!object) {
		contig_reason_set("unmap_mapping_range: no object");
		return -EINVAL;
	}
	wanted.end = len ? wanted.start + pages : UINT64_MAX;
	return contig_vma_each(may_have, unmap_wanted, &wanted);
}

static bool may_know(const struct vma *vma, const void *wanted)
{
	return vma->ops->forget_pool || may_have(vma, wanted);
}

/*
 * What could not be unmapped (at vm.max_map_count, when the kernel had merged
 * it with what must stay) stays in memory for as long as it is mapped: nothing
 * is punched out of its file, where the next touch would find a hole, which is
 * SIGBUS or a page of zeros.
 */
static void leave_mapped(struct vma *vma, const struct wanted *wanted)
{
	uint64_t index = 0, n = 0;
	void *entry;

	for (; (entry = contig_radix_next(&vma->shadow, &index)); index++) {
		uint64_t place = page_frame(vma_entry_page(entry)) << FRAME_SHIFT;

		if (!is_wanted(vma, vma_entry_page(entry), wanted))
			continue;
		place = align_down(place, contig_physmap_segment(place)->page_size);
		place_block(place)->keep = true; /* as for a forked child */
		contig_vma_forget(vma, vma_address(vma, index), vma->area.vm_page_size);
		n++;
	}
	contig_warn("%llu pages of pool %s stay mapped, and in memory: %s",
		    (unsigned long long)n, wanted->pool->name, contig_reason_get());
}

static int leave(struct vma *vma, const void *arg)
{
	const struct wanted *wanted = arg;

	if (may_have(vma, wanted) && unmap_wanted(vma, wanted) && !vma->dead)
		leave_mapped(vma, wanted);
	if (vma->ops->forget_pool && !vma->dead)
		vma->ops->forget_pool(vma, wanted->pool);
	return 0;
}

void contig_vmas_unmap_pool(struct contig_pool *pool)
{
	struct wanted wanted = {.pool = pool};

	contig_vma_each(may_know, leave, &wanted);
}
