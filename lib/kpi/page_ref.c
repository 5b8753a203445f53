/* SPDX-License-Identifier: BSD-2-Clause */
#include "kpi/page_ref.h"

#include "base/lock.h"
#include "base/page.h"
#include "phys/fork.h"
#include "phys/page.h"

#include <errno.h>

static struct lock first_lock = LOCK_INITIALIZER(LOCK_LEAF);

/* Another thread of the parent may have held it. */
static void fork_child(void)
{
	contig_lock_init(&first_lock, LOCK_LEAF);
}

__attribute__((constructor)) static void add_hook(void)
{
	static struct fork_hook hook = {NULL, NULL, fork_child, NULL};

	contig_fork_hook_add(&hook);
}

/* n mappings.  0, -EINVAL: nobody has it, or -ENOMEM: that count is full. */
static int ref_add(struct vm_page *page, uint32_t mappings, uint32_t n)
{
	uint32_t refs = page_refs(page);

	do {
		if (!refs)
			return -EINVAL;
		if (mappings - (refs & mappings) < n * REF_MAPPING)
			return -ENOMEM;
	} while (!__atomic_compare_exchange_n(&page->ref_count, &refs, refs + n * REF_MAPPING, true,
					      __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
	return 0;
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

static bool ours(const struct vm_page *page)
{
	return page->generation == contig_fork_generation;
}

static int block_ref(struct vm_page *head)
{
	if (!ours(head))
		return -EINVAL;
	block_count(head);
	return ref_add(head, REF_BLOCK_MAPPINGS, 1);
}

int contig_page_map_ref(struct vm_page *page)
{
	struct vm_page *head;

	if (page_state(page) == VM_PAGE_SINGLE)
		return ours(page) ? ref_add(page, REF_MAPPINGS, 1) : -EINVAL;
	head = contig_block_of_frame(page_frame(page));
	return head ? block_ref(head) : -EINVAL;
}

uint32_t contig_page_map_ref_next(struct vm_page *page, uint64_t most)
{
	uint64_t frame = page_frame(page), end = align_down(frame, SUPERPAGE_FRAMES) + SUPERPAGE_FRAMES;
	struct vm_page *head;

	if (page_state(page) == VM_PAGE_SINGLE)
		return 0;
	/* It stays: it is referenced. */
	head = contig_block_of_frame(frame);
	if (page_frame(head) + page_npages(head) < end)
		end = page_frame(head) + page_npages(head);
	if (most > end - frame - 1)
		most = end - frame - 1;
	return most && !ref_add(head, REF_BLOCK_MAPPINGS, (uint32_t)most) ? (uint32_t)most : 0;
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

/* What a superpage is made of: blocks, each of which is done something to, and
 * pages by themselves, which are counted. */
struct walk {
	int (*block)(struct vm_page *head); /* 0, or -errno: stop */
	unsigned int singles;
	int err;
};

/*
 * [start, end) of a superpage.  Nothing of these changes its kind while it is
 * referenced, so going through it again finds the same.  Returns where it
 * stopped.
 */
static uint64_t walk(struct walk *w, uint64_t start, uint64_t end)
{
	for (uint64_t frame = start; frame < end;) {
		struct vm_page *page = frame_page(frame);
		enum vm_page_state state = page_state(page);
		uint64_t next;

		if (state == VM_PAGE_SINGLE || state == VM_PAGE_HELD) {
			w->singles++;
			frame++;
			continue;
		}
		page = contig_block_of_frame(frame);
		if (!page) {
			w->err = -EINVAL;
			return frame;
		}
		/* First look: what is let go of may be free. */
		next = page_frame(page) + page_npages(page);
		w->err = w->block(page);
		if (w->err)
			return frame;
		frame = next;
	}
	return end;
}

static int block_unref(struct vm_page *head)
{
	if (ref_sub(head))
		contig_block_release(head);
	return 0;
}

int contig_page_map_ref_super(struct vm_page *page)
{
	uint64_t start = page_frame(page), done;
	struct walk take = {.block = block_ref}, undo = {.block = block_unref};

	if (start % SUPERPAGE_FRAMES || !contig_physmap_segment(start << FRAME_SHIFT))
		return -EINVAL;
	done = walk(&take, start, start + SUPERPAGE_FRAMES);
	if (!take.err && take.singles && !contig_page_super_ref(start, take.singles))
		take.err = -EINVAL;
	if (take.err)
		walk(&undo, start, done);
	return take.err;
}

void contig_page_map_unref_super(struct vm_page *page)
{
	struct walk drop = {.block = block_unref};
	uint64_t start = page_frame(page);

	walk(&drop, start, start + SUPERPAGE_FRAMES);
	if (drop.singles)
		contig_page_super_unref(start);
}
