/* SPDX-License-Identifier: BSD-2-Clause */
#define CONTIG_VM_PAGE_ARRAY_WRITER
#include "phys/memmap.h"

#include "base/page.h"
#include "host/bare.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>

/* The library reads its own: a compiler may have read the const one before
 * the library was started. */
struct vm_page *contig_memmap;
vm_page_t vm_page_array;

/* PROT_NONE first: overcommit mode 2 would charge a writable mapping whole. */
int contig_memmap_init(uint64_t frames)
{
	void *p = bare_reserve(frames * sizeof(struct vm_page));

	if (!p)
		return -errno;
	contig_memmap = p;
	__atomic_store_n(&vm_page_array, p, __ATOMIC_RELEASE);
	return 0;
}

int contig_memmap_cover(uint64_t frame, uint64_t count)
{
	uintptr_t start = align_down((uintptr_t)&contig_memmap[frame], FRAME_SIZE);
	uintptr_t end = align_up((uintptr_t)&contig_memmap[frame + count], FRAME_SIZE);

	if (mprotect((void *)start, end - start, PROT_READ | PROT_WRITE) < 0)
		return -errno;
	return 0;
}
