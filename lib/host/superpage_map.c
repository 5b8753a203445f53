/* SPDX-License-Identifier: BSD-2-Clause */
/* Superpages at their final address, and away from there. */
#include "host/superpage.h"
#include "host/superpage_touch.h"

#include "base/page.h"
#include "base/reason.h"
#include "host/bare.h"
#include "host/pagemap.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

/* Pages from i on that are neighbours in the file, at most count. */
static size_t run_length(const struct superpage *pages, size_t count)
{
	size_t n = 1;

	while (n < count && pages[n].index == pages[0].index + n)
		n++;
	return n;
}

static int map_shared(struct superpage_batch *batch, struct superpage *pages,
		      size_t count, char *va)
{
	uint64_t size = batch->request.page_size;
	int err;

	for (size_t i = 0, run; i < count; i += run) {
		run = run_length(pages + i, count - i);
		if (mmap(va + i * size, run * size, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED | MAP_NORESERVE, batch->fd,
			 (off_t)(pages[i].index * size)) == MAP_FAILED)
			return -errno;
	}
	err = contig_superpage_advise(va, count * size, MADV_POPULATE_WRITE);
	if (err)
		return err;
	/* The frames are right in any case; this is only about page tables. */
	if (batch->request.kind == SUPERPAGE_COLLAPSED &&
	    contig_pagemap_is_huge(va, count * size) == 0)
		contig_superpage_advise(va, count * size, MADV_COLLAPSE);
	for (size_t i = 0; i < count; i++)
		pages[i].mapped = true;
	return 0;
}

/* Moves page tables, not memory: the frames stay, pinned or not. */
static int map_private(struct superpage_batch *batch, struct superpage *pages,
		       size_t count, char *va)
{
	uint64_t size = batch->request.page_size;

	for (size_t i = 0, run; i < count; i += run) {
		run = run_length(pages + i, count - i);
		if (mremap(pages[i].staging, run * size, run * size,
			   MREMAP_MAYMOVE | MREMAP_FIXED, va + i * size) ==
		    MAP_FAILED)
			return -errno;
		for (size_t j = i; j < i + run; j++) {
			/* Its old address may be anybody's now. */
			pages[j].staging = NULL;
			pages[j].mapped = true;
		}
	}
	return 0;
}

int contig_superpage_map(struct superpage_batch *batch, size_t first,
			 size_t count, void *va)
{
	struct superpage *pages = batch->pages + first;
	uint64_t size = batch->request.page_size;
	int err;

	if (!count || first >= batch->n || count > batch->n - first ||
	    (uintptr_t)va % size)
		return -EINVAL;
	for (size_t i = 0; i < count; i++)
		if (!pages[i].staging || pages[i].mapped)
			return -EINVAL;
	err = batch->request.shared ? map_shared(batch, pages, count, va) :
				      map_private(batch, pages, count, va);
	if (!err)
		return 0;
	contig_reason_set("mapping %zu superpages: %s", count,
			  err == -ENOMEM ? "too many mappings; raise vm.max_map_count" :
					   strerror(-err));
	/* Also frees private pages that had been moved. */
	bare_again(va, count * size);
	for (size_t i = 0; i < count; i++)
		pages[i].mapped = false;
	return err;
}

int contig_superpage_populate(void *va, size_t len)
{
	return contig_superpage_advise(va, len, MADV_POPULATE_WRITE);
}

int contig_superpage_release(void *va, uint64_t page_size, size_t count,
			     bool shared)
{
	size_t len = count * page_size;
	int err = 0;

	/* Unmapping alone frees nothing while other pages of the memfd are
	 * mapped. */
	if (shared)
		err = contig_superpage_advise(va, len, MADV_REMOVE);
	if (err == -EINVAL) {
		/* Locked, by mlockall(2) say: that forbids it. */
		syscall(SYS_munlock, va, len);
		err = contig_superpage_advise(va, len, MADV_REMOVE);
	}
	if (!err)
		err = bare_again(va, len);
	if (err)
		contig_reason_set("releasing %zu superpages: %s", count,
				  err == -ENOMEM ? "too many mappings; raise vm.max_map_count" :
						   strerror(-err));
	return err;
}
