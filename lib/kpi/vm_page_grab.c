/* SPDX-License-Identifier: BSD-2-Clause */
/* vm_page_grab(): the page that is there, or a new one. */
#include "base/reason.h"
#include "kpi/misuse.h"
#include "kpi/vm_page.h"

#include <errno.h>
#include <string.h>

/* true: busied as wanted, or not at all for NOBUSY. */
static bool busy_as_wanted(vm_page_t m, int req)
{
	if (req & VM_ALLOC_SBUSY)
		return vm_page_trysbusy(m);
	if (!(req & VM_ALLOC_NOBUSY))
		return vm_page_tryxbusy(m);
	/* Others' exclusive state counts, sharers only unless ignored. */
	return !vm_page_xbusied(m) && (req & VM_ALLOC_IGN_SBUSY || !vm_page_sbusied(m));
}

static vm_page_t found(vm_page_t m, int req)
{
	if (req & VM_ALLOC_WIRED)
		vm_page_wire(m);
	return m;
}

static void wait_for(vm_object_t object, vm_page_t m, bool shared)
{
	uint32_t value;

	/* Announced while the object's lock keeps the page. */
	if (!contig_busy_announce(m, shared, &value))
		return;
	vm_object_wunlock(object);
	contig_busy_sleep(m, value);
	vm_object_wlock(object);
}

static vm_page_t refuse(vm_object_t object, vm_pindex_t pindex, int err, const char *why)
{
	contig_reason_set("vm_page_grab(object %p, pindex 0x%llx): %s", (void *)object,
			  (unsigned long long)pindex, why);
	errno = err;
	return NULL;
}

vm_page_t vm_page_grab(vm_object_t object, vm_pindex_t pindex, int req)
{
	/* Who wants it exclusively waits for sharers, whatever he ignores. */
	bool shared = req & VM_ALLOC_SBUSY ||
		      (req & VM_ALLOC_NOBUSY && req & VM_ALLOC_IGN_SBUSY);
	int alloc = req & ~(VM_ALLOC_WAITOK | VM_ALLOC_WAITFAIL | VM_ALLOC_NOWAIT);
	int class = req & VM_ALLOC_CLASS_MASK;
	vm_page_t m;

	if (!contig_object_require_wlock(object, "vm_page_grab"))
		return NULL;
	if ((!class && !(req & VM_ALLOC_NOCREAT)) || class & (class - 1) ||
	    (req & VM_ALLOC_NOBUSY && req & VM_ALLOC_SBUSY)) {
		misuse("vm_page_grab(object %p, pindex 0x%llx, req 0x%x): %s", (void *)object,
		       (unsigned long long)pindex, (unsigned int)req,
		       req & VM_ALLOC_NOBUSY && req & VM_ALLOC_SBUSY
			       ? "both VM_ALLOC_NOBUSY and VM_ALLOC_SBUSY"
			       : "not exactly one class");
		return NULL;
	}
	for (;;) {
		m = radix_lookup(&object->pages, pindex);
		if (m) {
			if (busy_as_wanted(m, req))
				return found(m, req);
			if (req & VM_ALLOC_NOWAIT)
				return refuse(object, pindex, EAGAIN, "the page is busy");
			wait_for(object, m, shared);
			if (req & VM_ALLOC_WAITFAIL)
				return refuse(object, pindex, EAGAIN, "waited for a busy page");
			continue;
		}
		if (req & VM_ALLOC_NOCREAT)
			return refuse(object, pindex, ENOENT, "no page there");
		m = vm_page_alloc(object, pindex, alloc);
		if (m) {
			/* A grabbed page that was asked for as zero is. */
			if (req & VM_ALLOC_ZERO && !(m->flags & PG_ZERO)) {
				memset(vm_page_address(m), 0, FRAME_SIZE);
				m->flags |= PG_ZERO;
			}
			return m;
		}
		if (req & VM_ALLOC_NOWAIT || errno == EPERM || errno == EINVAL)
			return NULL;
		vm_object_wunlock(object);
		vm_wait(object);
		vm_object_wlock(object);
		if (req & VM_ALLOC_WAITFAIL)
			return refuse(object, pindex, ENOMEM, "waited for memory");
	}
}
