/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_insert_page and zap_vma_ptes in this process against the bare system
 * calls that they can't do without: mmap(MAP_FIXED) of the same page of a
 * memfd, and of PROT_NONE over it again.  Both populate, and both touch the
 * page once in between.
 *
 *	bench_vm_insert [-q]	-q: fewer repetitions
 */
#include "hugepool.h"
#include "measure.h"

#include <contig.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define REPETITIONS 41u
#define PAGES 256u /* inserted and unmapped in one sample */
#define BATCH 512u
#define SMALL UINT64_C(4096)

/* One contest: the same number of pages of one size, scattered so that none
 * joins its neighbour, or a batch of neighbours at once. */
struct contest {
	const char *name;
	uint64_t size;
	bool hugetlb;
	bool batch;
	size_t pages;
	struct vm_area_struct *vma;
	vm_page_t *page;
	int fd;
	char *bare;
	struct measure ours, theirs;
};

static void touch(const void *va)
{
	(void)*(const volatile char *)va;
}

static double ours(struct contest *c)
{
	uint64_t start = now_ns();
	unsigned long addr = c->vma->vm_start + HUGE_SIZE, n = c->pages;

	if (c->batch) {
		if (vm_insert_pages(c->vma, addr, c->page, &n))
			die("%s", contig_strreason());
		touch((void *)addr);
		if (zap_vma_ptes(c->vma, addr, c->pages * c->size))
			die("%s", contig_strreason());
		return (double)(now_ns() - start) / 1000;
	}
	for (size_t i = 0; i < c->pages; i++) {
		if (vm_insert_page(c->vma, addr, c->page[i]))
			die("%s", contig_strreason());
		touch((void *)addr);
		if (zap_vma_ptes(c->vma, addr, c->size))
			die("%s", contig_strreason());
	}
	return (double)(now_ns() - start) / (double)c->pages / 1000;
}

static void bare_pair(struct contest *c, uint64_t offset, size_t len)
{
	if (mmap(c->bare, len, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_FIXED | MAP_NORESERVE | MAP_POPULATE, c->fd,
		 (off_t)offset) == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	touch(c->bare);
	if (mmap(c->bare, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED,
		 -1, 0) == MAP_FAILED)
		die("mmap: %s", strerror(errno));
}

static double theirs(struct contest *c)
{
	uint64_t start = now_ns();

	if (c->batch) {
		bare_pair(c, 0, c->pages * c->size);
		return (double)(now_ns() - start) / 1000;
	}
	for (size_t i = 0; i < c->pages; i++)
		bare_pair(c, i * c->size, c->size);
	return (double)(now_ns() - start) / (double)c->pages / 1000;
}

/* A file of memory of the same kind as the pool's, all of it there. */
static void make_file(struct contest *c)
{
	size_t len = c->pages * c->size;
	char *raw, *all;

	len = (len + HUGE_SIZE - 1) / HUGE_SIZE * HUGE_SIZE;
	c->fd = memfd_create("bench", MFD_CLOEXEC | (c->hugetlb ? MFD_HUGETLB : 0));
	if (c->fd < 0 || ftruncate(c->fd, (off_t)len))
		die("memfd: %s", strerror(errno));
	/* The file's own mapping, and bare addresses on both sides of the place
	 * for the copies, as in a vma: splitting and merging cost the same. */
	raw = mmap(NULL, 2 * len + 4 * HUGE_SIZE, PROT_NONE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (raw == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	all = (char *)(((uintptr_t)raw + HUGE_SIZE - 1) & ~(uintptr_t)(HUGE_SIZE - 1));
	c->bare = all + len + HUGE_SIZE;
	if (mmap(all, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, c->fd, 0) == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	for (size_t off = 0; off < len; off += HUGE_SIZE)
		all[off] = 1;
	if (!c->hugetlb && madvise(all, len, MADV_COLLAPSE))
		die("MADV_COLLAPSE: %s", strerror(errno));
}

static void take_pages(struct contest *c, contig_pool_t *pool)
{
	char *block = NULL;

	c->page = calloc(c->pages, sizeof(*c->page));
	for (size_t i = 0; i < c->pages; i++) {
		uint64_t at = i * c->size % HUGE_SIZE;

		if (!at)
			block = contig_pool_malloc(pool, HUGE_SIZE, M_TEMP, 0, 0, ~UINT64_C(0),
						   HUGE_SIZE, 0);
		if (!block)
			die("%s", contig_strreason());
		c->page[i] = vm_page_of_address(block + at);
	}
	c->vma = vma_create(c->pages * c->size + 2 * HUGE_SIZE, c->size, PROT_READ | PROT_WRITE);
	if (!c->vma)
		die("%s", contig_strreason());
}

static void contest(const char *name, uint64_t size, bool hugetlb, bool batch, size_t pages,
		    contig_pool_t *pool, double target)
{
	struct contest c = {name, size, hugetlb, batch, pages, NULL, NULL, -1, NULL, {0, {0}}, {0, {0}}};
	char row[96];

	take_pages(&c, pool);
	make_file(&c);
	for (unsigned int i = 0; i <= repetitions(REPETITIONS); i++) {
		double a = ours(&c), b = theirs(&c);

		if (!i)
			continue; /* warm now */
		measure_add(&c.ours, a);
		measure_add(&c.theirs, b);
	}
	row_plain(name, "us", &c.ours);
	snprintf(row, sizeof(row), "  the bare mmaps");
	row_peer(row, "us", &c.theirs, &c.ours);
	row_ratio("  ratio", measure_median(&c.ours) / measure_median(&c.theirs),
		  measure_min(&c.ours) / measure_min(&c.theirs), target, false);
	close(c.fd);
	vma_destroy(c.vma);
	for (size_t i = 0; i < c.pages; i += HUGE_SIZE / c.size)
		contig_free(vm_page_address(c.page[i]));
	free(c.page);
}

static contig_pool_t *pool_of(enum contig_pool_kind kind, unsigned int sources)
{
	struct contig_pool_attr attr = {
		.struct_size = sizeof(attr), .kind = kind, .sources = sources, .node = -1};
	contig_pool_t *pool = contig_pool_create(&attr);

	if (!pool)
		die("%s", contig_strreason());
	return pool;
}

int main(int argc, char **argv)
{
	contig_pool_t *plain, *shareable;

	measure_options(argc, argv);
	cpu_stay_on(0);
	table_title("insert a page, touch it, unmap it; in this process");
	plain = pool_of(CONTIG_POOL_DEFAULT, CONTIG_SOURCE_THP);
	shareable = pool_of(CONTIG_POOL_SHAREABLE, CONTIG_SOURCE_THP);
	contest("4 KiB, shareable pool", SMALL, false, false, PAGES, shareable, 1.2);
	contest("4 KiB, default pool (no descriptor: mremap)", SMALL, false, false, PAGES, plain, 0);
	contest("512 pages of 4 KiB at once, shareable pool", SMALL, false, true, BATCH, shareable, 0);
	contest("2 MiB collapsed, shareable pool", HUGE_SIZE, false, false, 8, shareable, 1.2);
	contest("2 MiB collapsed, default pool", HUGE_SIZE, false, false, 8, plain, 0);
	contig_pool_destroy(plain);
	contig_pool_destroy(shareable);
	if (!hugepool_need(40))
		return 0;
	plain = pool_of(CONTIG_POOL_DEFAULT, CONTIG_SOURCE_2M);
	shareable = pool_of(CONTIG_POOL_SHAREABLE, CONTIG_SOURCE_2M);
	contest("2 MiB hugetlb, shareable pool", HUGE_SIZE, true, false, 8, shareable, 1.2);
	contest("2 MiB hugetlb, default pool (map_files)", HUGE_SIZE, true, false, 8, plain, 0);
	contig_pool_destroy(plain);
	contig_pool_destroy(shareable);
	return 0;
}
