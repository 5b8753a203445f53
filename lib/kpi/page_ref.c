/* SPDX-License-Identifier: BSD-2-Clause */
#include "kpi/page_ref.h"

#include "base/lock.h"
#include "base/page.h"
#include "phys/fork.h"
#include "phys/page.h"

static struct lock first_lock = LOCK_INITIALIZER(LOCK_LEAF);

/* Another thread of the parent may have held it. */
static void fork_child(void)
{
	contig_lock_init(&first_lock, LOCK_LEAF);
}

static void nothing(void)
{
}

__attribute__((constructor)) static void add_hook(void)
{
	static struct fork_hook hook = {nothing, nothing, fork_child, NULL};

	contig_fork_hook_add(&hook);
}

static bool ref_add(struct vm_page *page)
{
	uint32_t refs = page_refs(page);

	do {
		if (!refs || (refs & REF_MAPPINGS) == REF_MAPPINGS)
			return false;
	} while (!__atomic_compare_exchange_n(&page->ref_count, &refs, refs + REF_MAPPING, true,
					      __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
	return true;
}

/* true: it was the last. */
static bool ref_sub(struct vm_page *page)
{
	return __atomic_sub_fetch(&page->ref_count, REF_MAPPING, __ATOMIC_SEQ_CST) == 0;
}

/*
 * A block is counted as a whole, in its first frame, and only from its first
 * mapping on: contigfree() of one that was never mapped looks at its flags
 * only.
 */
static void block_count(struct vm_page *head)
{
	if (__atomic_load_n(&head->flags, __ATOMIC_ACQUIRE) & VM_PAGE_MAPPED)
		return;
	contig_lock(&first_lock);
	if (!(head->flags & VM_PAGE_MAPPED)) {
		__atomic_store_n(&head->ref_count, REF_OWNER, __ATOMIC_RELAXED);
		/* Not common: freeing takes the slow path, which looks. */
		__atomic_store_n(&head->flags,
				 (uint8_t)((head->flags & ~VM_PAGE_COMMON) | VM_PAGE_MAPPED),
				 __ATOMIC_RELEASE);
	}
	contig_unlock(&first_lock);
}

static bool block_ref(struct vm_page *head)
{
	block_count(head);
	return ref_add(head);
}

static bool ours(const struct vm_page *page)
{
	return page->generation == contig_fork_generation;
}

bool contig_page_map_ref(struct vm_page *page)
{
	struct vm_page *head;

	if (page_state(page) == VM_PAGE_SINGLE)
		return ours(page) && ref_add(page);
	head = contig_block_of_frame(page_frame(page));
	return head && ours(head) && block_ref(head);
}

void contig_page_map_unref(struct vm_page *page)
{
	struct vm_page *head;

	if (page_state(page) == VM_PAGE_SINGLE) {
		if (ref_sub(page))
			page_release(page);
		return;
	}
	head = contig_block_of_frame(page_frame(page));
	if (head && ref_sub(head))
		contig_block_release(head);
}

/*
 * The superpage's blocks and, as one, its pages by themselves.  Nothing of
 * these changes its kind while it is referenced, so going through it again
 * finds the same.
 */
static uint64_t super_each(uint64_t start, bool (*block)(struct vm_page *), bool *singles)
{
	uint64_t end = start + SUPERPAGE_FRAMES;

	*singles = false;
	for (uint64_t frame = start; frame < end;) {
		struct vm_page *page = frame_page(frame);
		enum vm_page_state state = page_state(page);

		if (state == VM_PAGE_SINGLE || state == VM_PAGE_HELD) {
			*singles = true;
			frame++;
			continue;
		}
		page = contig_block_of_frame(frame);
		if (!page || !ours(page))
			return frame;
		frame = page_frame(page) + page_npages(page);
		if (!block(page))
			return page_frame(page) < start ? start : page_frame(page);
	}
	return end;
}

static bool block_unref(struct vm_page *head)
{
	if (ref_sub(head))
		contig_block_release(head);
	return true;
}

/* Drop what was taken in [start, end). */
static void super_undo(uint64_t start, uint64_t end)
{
	for (uint64_t frame = start; frame < end;) {
		struct vm_page *page = frame_page(frame);
		enum vm_page_state state = page_state(page);

		if (state == VM_PAGE_SINGLE || state == VM_PAGE_HELD) {
			frame++;
			continue;
		}
		page = contig_block_of_frame(frame);
		frame = page_frame(page) + page_npages(page);
		block_unref(page);
	}
}

bool contig_page_map_ref_super(struct vm_page *page)
{
	uint64_t start = page_frame(page), done;
	bool singles;

	if (start % SUPERPAGE_FRAMES || !contig_physmap_segment(start << FRAME_SHIFT))
		return false;
	done = super_each(start, block_ref, &singles);
	if (done < start + SUPERPAGE_FRAMES || (singles && !contig_page_super_ref(start))) {
		super_undo(start, done);
		return false;
	}
	return true;
}

void contig_page_map_unref_super(struct vm_page *page)
{
	uint64_t start = page_frame(page), end = start + SUPERPAGE_FRAMES;
	bool singles = false;

	/* First look, then let go: what is let go of may be free. */
	for (uint64_t frame = start; frame < end;) {
		struct vm_page *at = frame_page(frame);
		enum vm_page_state state = page_state(at);

		if (state == VM_PAGE_SINGLE || state == VM_PAGE_HELD) {
			singles = true;
			frame++;
			continue;
		}
		at = contig_block_of_frame(frame);
		if (!at)
			break;
		frame = page_frame(at) + page_npages(at);
		block_unref(at);
	}
	if (singles)
		contig_page_super_unref(start);
}
