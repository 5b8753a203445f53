/* SPDX-License-Identifier: BSD-2-Clause */
/* Pages: where they are, letting go of them, wirings. */
#include "kpi/vm_page.h"

#include "base/cancel.h"
#include "base/page.h"
#include "kpi/misuse.h"
#include "phys/start.h"

vm_paddr_t contig_page_to_phys(vm_page_t m)
{
	/* By the variables that no compiler may have read too early. */
	uint64_t frame = (uint64_t)((uintptr_t)m - (uintptr_t)contig_memmap) / sizeof(*m);

	if (!contig_is_started() || contig_physmap.level == CONTIG_LEVEL_HIDDEN ||
	    frame >= contig_physmap.frames)
		return CONTIG_PADDR_NONE;
	return frame << FRAME_SHIFT;
}

vm_page_t contig_phys_to_page(vm_paddr_t pa)
{
	if (!contig_is_started() || contig_physmap.level == CONTIG_LEVEL_HIDDEN ||
	    pa >= contig_physmap.span ||
	    !__atomic_load_n(&contig_physmap.present[pa >> SUPERPAGE_SHIFT], __ATOMIC_ACQUIRE))
		return NULL;
	return frame_page(pa >> FRAME_SHIFT);
}

void *vm_page_address(vm_page_t m)
{
	return frame_address(page_frame(m));
}

vm_page_t vm_page_of_address(const void *va)
{
	uint64_t place;

	if (!contig_is_started())
		return NULL;
	place = address_place(va);
	if (place == UINT64_MAX || !contig_physmap_segment(place))
		return NULL;
	return frame_page(place >> FRAME_SHIFT);
}

vm_page_t vm_page_lookup(vm_object_t object, vm_pindex_t pindex)
{
	return radix_lookup(&object->pages, pindex);
}

static bool in_use(const struct vm_page *m, const char *call)
{
	if (__builtin_expect(page_state(m) == VM_PAGE_SINGLE && page_refs(m), 1))
		return true;
	misuse("%s(%p): %s", call, (const void *)m,
	       page_state(m) == VM_PAGE_OTHER || page_state(m) == VM_PAGE_CACHED ||
			       page_state(m) == VM_PAGE_HELD
		       ? "a free page, or one inside a block of contigmalloc()"
		       : "memory of contigmalloc()");
	return false;
}

/* Only wirings and mappings keep it: its owner has let go already. */
static bool owned(const struct vm_page *m, const char *call)
{
	if (__builtin_expect(page_refs(m) & REF_OWNER, 1))
		return true;
	misuse("%s(%p): let go of before; wirings or mappings keep it", call, (const void *)m);
	return false;
}

void vm_page_free(vm_page_t m)
{
	vm_object_t object;
	uint32_t busy;

	if (!in_use(m, "vm_page_free") || !owned(m, "vm_page_free"))
		return;
	object = m->object;
	busy = busy_load(m);
	if (busy >= BUSY_SHARER) {
		misuse("vm_page_free(%p): object %p, pindex 0x%llx: shared-busy", (void *)m,
		       (void *)object, (unsigned long long)m->pindex);
		return;
	}
	if (object) {
		if (!contig_object_require_wlock(object, "vm_page_free"))
			return;
		contig_radix_remove(&object->pages, m->pindex);
	}
	page_let_go(m);
}

void vm_page_wire(vm_page_t m)
{
	uint32_t refs;

	if (!in_use(m, "vm_page_wire"))
		return;
	refs = page_refs(m);
	do {
		if (!refs || (refs & REF_WIRINGS) == REF_WIRINGS) {
			misuse("vm_page_wire(%p): %s", (void *)m,
			       refs ? "8191 wirings already" : "a free page");
			return;
		}
	} while (!__atomic_compare_exchange_n(&m->ref_count, &refs, refs + REF_WIRING, true,
					      __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
}

/* 0: was not wired; else what is left, with a bit that is always set. */
#define UNWIRED (UINT64_C(1) << 32)
static uint64_t unwire(struct vm_page *m, const char *call)
{
	uint32_t refs;

	if (!in_use(m, call))
		return 0;
	refs = page_refs(m);
	do {
		if (!(refs & REF_WIRINGS)) {
			misuse("%s(%p): object %p, pindex 0x%llx: not wired", call, (void *)m,
			       (void *)m->object, (unsigned long long)m->pindex);
			return 0;
		}
	} while (!__atomic_compare_exchange_n(&m->ref_count, &refs, refs - REF_WIRING, true,
					      __ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE));
	refs -= REF_WIRING;
	if (!refs)
		page_release(m);
	return UNWIRED | refs;
}

void vm_page_unwire(vm_page_t m, uint8_t nqueue)
{
	(void)nqueue; /* nothing pages out here */
	unwire(m, "vm_page_unwire");
}

bool vm_page_unwire_noq(vm_page_t m)
{
	uint64_t left = unwire(m, "vm_page_unwire_noq");

	return left && !(left & REF_WIRINGS);
}

bool vm_page_wired(vm_page_t m)
{
	return page_state(m) == VM_PAGE_SINGLE && page_refs(m) & REF_WIRINGS;
}
