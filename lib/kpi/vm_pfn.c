/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * By frame number.  No references are held: the caller keeps the frames.  The
 * checks and their order are those of Linux's mm/memory.c, but what is a BUG
 * there is an error here.
 */
#include "kpi/vma.h"

#include "base/cancel.h"
#include "base/page.h"
#include "base/reason.h"
#include "phys/machine.h"

#include <errno.h>
#include <sys/mman.h>

static int hidden(const char *call)
{
	if (contig_machine.level != CONTIG_LEVEL_HIDDEN)
		return 0;
	contig_reason_set("%s: frames are hidden from this process (needs CAP_SYS_ADMIN); use pages",
			  call);
	return -EPERM;
}

static int misaligned(const char *call, const char *what, unsigned long value, uint64_t unit)
{
	contig_reason_set("%s: %s 0x%lx is not a multiple of the vma's page size, %llu bytes", call,
			  what, value, (unsigned long long)unit);
	return -EINVAL;
}

static int insert_frames(struct vma *vma, const char *call, unsigned long addr, unsigned long pfn,
			 uint64_t count, int prot)
{
	uint64_t size = vma->area.vm_page_size, done;
	struct vma_insertion what = {
		.addr = addr,
		.frame = pfn,
		.count = count,
		.prot = prot,
		.whole = true,
	};
	int err = hidden(call);

	if (err)
		return err;
	if (pfn & ((size >> FRAME_SHIFT) - 1))
		return misaligned(call, "frame", pfn, size >> FRAME_SHIFT);
	/* Far beyond any frame: is_ours() says so, the sum must not wrap. */
	if (pfn > UINT64_MAX >> FRAME_SHIFT) {
		contig_reason_set("%s: there is no frame 0x%lx", call, pfn);
		return -EPERM;
	}
	return contig_vma_insert(vma, call, &what, &done);
}

int vm_insert_pfn(struct vm_area_struct *area, unsigned long addr, unsigned long pfn)
{
	struct vma *vma = (struct vma *)area;
	NO_CANCEL;
	int err = contig_vma_enter(vma, "vm_insert_pfn");

	if (err)
		return err;
	if (addr < area->vm_start || addr >= area->vm_end) {
		contig_reason_set("vm_insert_pfn(0x%lx): outside of the vma, which is [0x%lx, 0x%lx)",
				  addr, area->vm_start, area->vm_end);
		err = -EFAULT;
	} else if ((addr - area->vm_start) % area->vm_page_size) {
		err = misaligned("vm_insert_pfn", "address", addr, area->vm_page_size);
	} else {
		err = insert_frames(vma, "vm_insert_pfn", addr, pfn, 1, area->vm_page_prot);
	}
	contig_vma_leave(vma);
	return err;
}

/* As a fault handler's answer: another thread's page there is as good. */
vm_fault_t vmf_insert_pfn(struct vm_area_struct *vma, unsigned long addr, unsigned long pfn)
{
	int err = vm_insert_pfn(vma, addr, pfn);

	if (err == -ENOMEM)
		return VM_FAULT_OOM;
	return err && err != -EBUSY ? VM_FAULT_SIGBUS : VM_FAULT_NOPAGE;
}

static int remap(struct vma *vma, const char *call, unsigned long addr, unsigned long pfn,
		 unsigned long size, int prot)
{
	const struct vm_area_struct *area = &vma->area;
	uint64_t count = size / area->vm_page_size + !!(size % area->vm_page_size);

	if ((addr - area->vm_start) % area->vm_page_size)
		return misaligned(call, "address", addr, area->vm_page_size);
	if (!size || !(prot & PROT_READ)) {
		contig_reason_set("%s: %s", call, size ? "prot has no PROT_READ" : "the size is 0");
		return -EINVAL;
	}
	if (prot & ~area->vm_page_prot) {
		contig_reason_set("%s: protection 0x%x is more than the vma's, 0x%x", call,
				  (unsigned int)prot, (unsigned int)area->vm_page_prot);
		return -EACCES;
	}
	if (addr < area->vm_start || addr >= area->vm_end ||
	    count > (area->vm_end - addr) / area->vm_page_size) {
		contig_reason_set("%s(0x%lx, %lu): outside of the vma, which is [0x%lx, 0x%lx)",
				  call, addr, size, area->vm_start, area->vm_end);
		return -EFAULT;
	}
	return insert_frames(vma, call, addr, pfn, count, prot);
}

int remap_pfn_range(struct vm_area_struct *area, unsigned long addr, unsigned long pfn,
		    unsigned long size, int prot)
{
	struct vma *vma = (struct vma *)area;
	NO_CANCEL;
	int err = contig_vma_enter(vma, "remap_pfn_range");

	if (err)
		return err;
	err = remap(vma, "remap_pfn_range", addr, pfn, size, prot);
	contig_vma_leave(vma);
	return err;
}

/* Units are pages of the vma; the names are Linux's. */
static int iomap(struct vma *vma, vm_paddr_t start, unsigned long len)
{
	const struct vm_area_struct *area = &vma->area;
	uint64_t size = area->vm_page_size, unit = start / size, pages;

	if (start + len < start)
		return -EINVAL;
	if (__builtin_add_overflow(len, start % size, &len))
		return -EINVAL;
	pages = len / size + !!(len % size);
	if (area->vm_pgoff > pages)
		return -EINVAL;
	unit += area->vm_pgoff;
	pages -= area->vm_pgoff;
	if (vma_pages(vma) > pages)
		return -EINVAL;
	return remap(vma, "vm_iomap_memory", area->vm_start, unit * (size >> FRAME_SHIFT),
		     area->vm_end - area->vm_start, area->vm_page_prot);
}

int vm_iomap_memory(struct vm_area_struct *area, vm_paddr_t start, unsigned long len)
{
	struct vma *vma = (struct vma *)area;
	NO_CANCEL;
	int err = contig_vma_enter(vma, "vm_iomap_memory");

	if (err)
		return err;
	err = iomap(vma, start, len);
	if (err == -EINVAL && !*contig_reason_get())
		contig_reason_set("vm_iomap_memory(0x%llx, %lu): wraps, or is less than the vma of %lu bytes from page %lu on",
				  (unsigned long long)start, len, area->vm_end - area->vm_start,
				  area->vm_pgoff);
	contig_vma_leave(vma);
	return err;
}

int follow_pfn(struct vm_area_struct *area, unsigned long addr, unsigned long *pfn)
{
	struct vma *vma = (struct vma *)area;
	void *entry = NULL;
	int err = contig_vma_enter(vma, "follow_pfn");

	if (err)
		return err;
	if (addr >= area->vm_start && addr < area->vm_end)
		entry = radix_lookup(&vma->shadow, vma_index(vma, addr));
	if (!entry) {
		contig_reason_set("follow_pfn(0x%lx): nothing is mapped there", addr);
		err = -EINVAL;
	} else {
		err = hidden("follow_pfn");
	}
	if (!err)
		*pfn = page_frame(vma_entry_page(entry)) +
		       ((addr - area->vm_start) % area->vm_page_size >> FRAME_SHIFT);
	contig_vma_leave(vma);
	return err;
}
