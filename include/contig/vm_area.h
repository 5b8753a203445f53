/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A range of addresses into which pages are inserted one by one: Linux's
 * vm_insert_page() and its family for user space.  The range may be of this
 * process, or of another one that exported it (<contig/share.h>): the calls
 * are the same.  See vm_insert_page(3) and vma(7).
 *
 * Functions return 0 or a negative errno, as in the kernel; contig_strreason()
 * says more.  Calls on one vma may be made from any thread.
 */
#ifndef CONTIG_VM_AREA_H
#define CONTIG_VM_AREA_H

#include <contig/vm_object.h>
#include <contig/vm_page.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The first fields may be read by programs; vm_pgoff and vm_private_data are
 * theirs.  Addresses are those of the process that owns the range.
 */
struct vm_area_struct {
	unsigned long vm_start, vm_end; /* [vm_start, vm_end) */
	unsigned long vm_pgoff;         /* in pages of the vma; vm_map_pages() */
	void *vm_private_data;
	size_t vm_page_size;            /* bytes: 4 KiB or 2 MiB */
	int vm_page_prot;               /* PROT_READ, or with PROT_WRITE */
	/* Private from here on. */
	void *reserved[8];
};

/*
 * Reserve size bytes (a multiple of page_size: 4096 or 2 MiB) of address
 * space, nothing mapped: a touch there is SIGSEGV.  prot is that of all pages
 * inserted: PROT_READ or PROT_READ|PROT_WRITE.  Returns the vma, the caller's
 * until vma_destroy(), or NULL with errno EINVAL or ENOMEM.
 */
struct vm_area_struct *vma_create(size_t size, size_t page_size, int prot);
/* Unmap all its pages, drop their references, give the range up.  An exported
 * vma is taken away from its importers first.  NULL is ignored. */
void vma_destroy(struct vm_area_struct *vma);

/*
 * Map page at addr with the vma's protection and take a reference on it,
 * dropped when it is unmapped.  In a vma of 2 MiB pages, page is the first of
 * a whole aligned superpage, of which each frame is referenced.
 *   -EFAULT  addr is outside the vma
 *   -EINVAL  addr is not aligned; the page is free; a part of a hugetlb page
 *            in a vma of 4 KiB pages, or less than a superpage in one of 2 MiB
 *   -EBUSY   something is mapped there
 *   -ENOMEM  no memory, or vm.max_map_count is reached
 *   -EPERM   (another process's vma) the page's pool is not shareable, or its
 *            mode doesn't allow it
 *   -EPIPE, -ETIMEDOUT  (the same) the peer is gone, or doesn't answer
 */
int vm_insert_page(struct vm_area_struct *vma, unsigned long addr, vm_page_t page);
/* *num pages from addr on; *num becomes the pages NOT mapped.  Those mapped
 * stay, also on error. */
int vm_insert_pages(struct vm_area_struct *vma, unsigned long addr, vm_page_t *pages,
		    unsigned long *num);
/* Map pages[vm_pgoff...] (or pages[0...]) over the whole vma: -ENXIO when
 * vm_pgoff is beyond num or the vma is larger than what is left.  Stops at
 * the first error, what is mapped stays. */
int vm_map_pages(struct vm_area_struct *vma, vm_page_t *pages, unsigned long num);
int vm_map_pages_zero(struct vm_area_struct *vma, vm_page_t *pages, unsigned long num);

/* Unmap [addr, addr + size), holes allowed.  -EINVAL: not aligned or not
 * within the vma. */
int zap_vma_ptes(struct vm_area_struct *vma, unsigned long addr, unsigned long size);

typedef int vm_fault_t;
#define VM_FAULT_NOPAGE 0x0100
#define VM_FAULT_SIGBUS 0x0002
#define VM_FAULT_OOM 0x0001

/* By frame number (physical address >> 12), without references: the caller
 * keeps the frames.  Frames of nobody we know: -EPERM. */
int vm_insert_pfn(struct vm_area_struct *vma, unsigned long addr, unsigned long pfn);
vm_fault_t vmf_insert_pfn(struct vm_area_struct *vma, unsigned long addr,
			  unsigned long pfn);
/* A contiguous range, all or nothing.  prot must not exceed the vma's
 * (-EACCES).  -EINVAL not aligned, -EBUSY occupied. */
int remap_pfn_range(struct vm_area_struct *vma, unsigned long addr, unsigned long pfn,
		    unsigned long size, int prot);
/* [start, start + len) of physical memory over the whole vma, from vm_pgoff:
 * -EINVAL on wrap or when the vma is too large. */
int vm_iomap_memory(struct vm_area_struct *vma, vm_paddr_t start, unsigned long len);

/* Unmap pages of object with indices [start, start + len) (bytes; len 0: to
 * its end) from every vma of this process and from those of others.
 * even_cows is ignored: there are no private copies. */
int unmap_mapping_range(vm_object_t object, uint64_t start, uint64_t len, int even_cows);

/* The frame number mapped at addr; -EINVAL unless mapped, -EPERM hidden. */
int follow_pfn(struct vm_area_struct *vma, unsigned long addr, unsigned long *pfn);
/* The page mapped at addr, or NULL; no reference is taken. */
vm_page_t vma_lookup_page(struct vm_area_struct *vma, unsigned long addr);

#ifdef __cplusplus
}
#endif
#endif
