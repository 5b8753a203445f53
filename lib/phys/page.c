/* SPDX-License-Identifier: BSD-2-Clause */
#include "phys/page.h"

#include "phys/extent.h"
#include "phys/fork.h"
#include "phys/pool_magazine.h"

static struct lock supers_lock = LOCK_INITIALIZER(LOCK_LEAF);

/* Another thread of the parent may have held it. */
static void fork_child(void)
{
	contig_lock_init(&supers_lock, LOCK_LEAF);
}

__attribute__((constructor)) static void add_hook(void)
{
	static struct fork_hook hook = {NULL, NULL, fork_child, NULL};

	contig_fork_hook_add(&hook);
}

/* To the pool, past the magazine. */
void contig_page_release_slow(struct vm_page *page)
{
	uint64_t frame = page_frame(page);
	struct segment *segment = contig_physmap_segment(frame << FRAME_SHIFT);
	uint16_t label = page->label;

	if (segment && segment->pool != &contig_default_pool &&
	    contig_pool_magazine_put(segment->pool, frame, page))
		return;
	page_state_set(page, VM_PAGE_OTHER);
	if (!segment)
		return; /* a child's view of what it did not get */
	contig_pool_put(segment->pool, frame, 1);
	contig_usage_count(label, FRAME_SIZE, false);
}

/* ref_count became 0 before this looks at supers; who maps counts there
 * before it looks at ref_count.  So one of them sees the other. */
bool contig_page_hold(struct vm_page *page)
{
	bool held;

	contig_lock(&supers_lock);
	held = frame_block(page_frame(page))->supers;
	if (held)
		page_state_set(page, VM_PAGE_HELD);
	contig_unlock(&supers_lock);
	return held;
}

static void supers_add(struct block *block)
{
	contig_lock(&supers_lock);
	__atomic_fetch_add(&block->supers, 1, __ATOMIC_SEQ_CST);
	contig_unlock(&supers_lock);
}

void contig_page_super_unref(uint64_t frame)
{
	struct block *block = frame_block(frame);
	uint64_t chain = EXTENT_NONE;

	contig_lock(&supers_lock);
	__atomic_fetch_sub(&block->supers, 1, __ATOMIC_SEQ_CST);
	for (uint64_t f = frame; !block->supers && f < frame + SUPERPAGE_FRAMES; f++) {
		struct vm_page *page = frame_page(f);

		if (page_state(page) != VM_PAGE_HELD)
			continue;
		/* Nobody else's any more: it was held by this count alone. */
		page_state_set(page, VM_PAGE_SINGLE);
		page_chain_set(page, chain);
		chain = f;
	}
	contig_unlock(&supers_lock);
	while (chain != EXTENT_NONE) {
		struct vm_page *page = frame_page(chain);

		chain = page_chain(page);
		contig_page_release_slow(page);
	}
}

/*
 * Once supers counts, a page that is let go of is held.  So what is looked for
 * is a moment after that in which it was a page in use; its state is read
 * again behind the count, which may have been a block's that came in between.
 */
static bool in_use(const struct vm_page *page)
{
	return page_state(page) == VM_PAGE_SINGLE &&
	       __atomic_load_n(&page->ref_count, __ATOMIC_SEQ_CST) != 0 &&
	       page_state(page) == VM_PAGE_SINGLE;
}

bool contig_page_super_ref(uint64_t frame, unsigned int pages)
{
	unsigned int found = 0;

	supers_add(frame_block(frame));
	/* By number: a page that was freed since the caller looked may be in a
	 * cache now, or inside a block that the caller has no reference to. */
	for (uint64_t f = frame; f < frame + SUPERPAGE_FRAMES; f++)
		found += in_use(frame_page(f));
	if (found == pages)
		return true;
	contig_page_super_unref(frame);
	return false;
}

/* In a block's other frames, pindex is a guess at its first: true or not, a
 * block in use that reaches the frame is the right one. */
static struct vm_page *guess(struct vm_page *page, uint64_t frame)
{
	uint64_t first = __atomic_load_n(&page->pindex, __ATOMIC_RELAXED);
	struct vm_page *head;
	enum vm_page_state state;

	if (!first || first > frame || !contig_physmap_segment(first << FRAME_SHIFT))
		return NULL;
	head = frame_page(first);
	state = page_state(head);
	if ((state != VM_PAGE_LIVE && state != VM_PAGE_LET_GO) ||
	    frame - first >= page_npages(head))
		return NULL;
	return head;
}

struct vm_page *contig_block_of_frame(uint64_t frame)
{
	for (uint64_t f = frame; contig_physmap_segment(f << FRAME_SHIFT); f--) {
		struct vm_page *page = frame_page(f), *head = NULL;
		enum vm_page_state state = page_state(page);

		if (state == VM_PAGE_LIVE || state == VM_PAGE_LET_GO) {
			if (frame - f >= page_npages(page))
				return NULL;
			head = page;
		} else if (state != VM_PAGE_OTHER) {
			return NULL;
		} else {
			head = guess(page, frame);
		}
		if (head) {
			if (head != frame_page(frame))
				__atomic_store_n(&frame_page(frame)->pindex, page_frame(head),
						 __ATOMIC_RELAXED);
			return head;
		}
		if (!f)
			break;
	}
	return NULL;
}
