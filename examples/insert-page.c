/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One frame at two addresses: a page is inserted into a vma of this process
 * twice, once to write and once, in another vma, only to read.  What is
 * written through one address is read through the others; after the unmapping
 * a touch would be a segmentation fault.
 *
 * Without privilege it works as well; physical addresses are not shown then.
 */
#include <contig.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE 4096

static int fail(const char *what)
{
	fprintf(stderr, "insert-page: %s: %s\n", what, contig_strreason());
	return 1;
}

int main(void)
{
	struct vm_area_struct *writer = vma_create(4 * PAGE, PAGE, PROT_READ | PROT_WRITE);
	struct vm_area_struct *reader = vma_create(PAGE, PAGE, PROT_READ);
	struct contig_pool_attr attr = {
		.struct_size = sizeof(attr),
		.sources = CONTIG_SOURCE_THP, /* can be mapped page by page */
		.node = -1,
	};
	contig_pool_t *pool = contig_pool_create(&attr);
	vm_page_t page;
	char *first, *second;

	if (!writer || !reader || !pool)
		return fail("setup");
	page = contig_pool_page_alloc(pool, VM_ALLOC_NORMAL | VM_ALLOC_ZERO | VM_ALLOC_WAITOK, 1,
				      0, ~(vm_paddr_t)0, 0, 0);
	if (!page)
		return fail("contig_pool_page_alloc");
	if (vm_insert_page(writer, writer->vm_start + 2 * PAGE, page) ||
	    vm_insert_page(reader, reader->vm_start, page))
		return fail("vm_insert_page");

	first = (char *)writer->vm_start + 2 * PAGE;
	second = (char *)reader->vm_start;
	strcpy(first, "one frame");
	printf("%p and %p: \"%s\"\n", (void *)first, (void *)second, second);
	if (VM_PAGE_TO_PHYS(page) != CONTIG_PADDR_NONE)
		printf("physical address 0x%" PRIx64 "\n", (uint64_t)VM_PAGE_TO_PHYS(page));

	/* Our own hold on the page goes; the mappings keep it. */
	vm_page_free(page);
	if (strcmp(second, "one frame"))
		return fail("the page was lost");
	if (zap_vma_ptes(writer, writer->vm_start, 4 * PAGE))
		return fail("zap_vma_ptes");
	printf("unmapped at %p; still \"%s\" at %p\n", (void *)first, second, (void *)second);
	vma_destroy(reader); /* the last mapping: now the page is free */
	vma_destroy(writer);
	contig_pool_destroy(pool);
	return 0;
}
