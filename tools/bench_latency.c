/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How long single calls take, as percentiles: the library's, the kernel's, and
 * those of other allocators, where they are installed.
 */
#include "bench.h"
#include "bench_apart.h"
#include "bench_calls.h"
#include "bench_peer.h"
#include "command.h"

#include "base/page.h"
#include "base/size.h"

#include <contig.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CALLS 200000
#define CALLS_SLOW 4000 /* of what takes the kernel */
#define CALLS_DPDK 2000

struct work {
	const char *name; /* who does it */
	uint64_t size;	  /* bytes; 0: does not apply */
	unsigned int calls;
	/* One of: here, with this struct; in a process of its own. */
	bench_call *call;
	struct bench_job job;
	enum bench_plot plot;
	const char *line; /* its name in the plot; NULL: none there */
	void *pointer;
	int fd;
};

static const struct column columns[] = {
	{"work", "WORK", COLUMN_LEFT},
	{"size", "SIZE", COLUMN_RIGHT},
	{"calls", "CALLS", COLUMN_RIGHT},
	{"p50_ns", "P50", COLUMN_RIGHT},
	{"p99_ns", "P99", COLUMN_RIGHT},
	{"p999_ns", "P99.9", COLUMN_RIGHT},
	{"most_ns", "MOST", COLUMN_RIGHT},
	{"why", "NOTE", COLUMN_BELOW},
};

#define N_COLUMNS (sizeof(columns) / sizeof(columns[0]))

/* Of the plots that are filled here. */
static const char *const titles[BENCH_PLOTS] = {
	[BENCH_PLOT_ALLOC_SMALL] = "Allocate and free one base page",
	[BENCH_PLOT_ALLOC_MEDIUM] = "Allocate and free 64 KiB",
	[BENCH_PLOT_ALLOC_SUPERPAGE] = "Allocate and free one superpage",
	[BENCH_PLOT_TRANSLATE] = "Virtual to physical address",
	[BENCH_PLOT_INSERT] = "Insert a page into a vma and take it out",
};

static void plot_latency(struct bench *b, const struct work *w, const struct histogram *h)
{
	struct plot *plot = &b->plots[w->plot];
	struct plot_series *s;

	snprintf(plot->title, sizeof(plot->title), "%s", titles[w->plot]);
	plot->x_title = "percentile of the calls";
	plot->y_title = "time of a call, at most";
	plot->x_unit = PLOT_NINES;
	plot->y_unit = PLOT_NANOSECONDS;
	plot->y_log = true;
	s = bench_series(b, w->plot, w->line);
	for (double nines = 1.25; nines <= (double)h->n / 2; nines *= 1.5849) {
		uint64_t value = histogram_at(h, 1 - 1 / nines);

		plot_point(s, nines, value ? (double)value : 1);
	}
}

static void row_none(struct bench *b, const struct work *w, const char *why)
{
	emitter_row(b->e, (const struct value[N_COLUMNS]){
				  value_text(w->name),
				  w->size ? value_bytes(w->size) : value_nothing(),
				  value_unknown(), value_unknown(), value_unknown(),
				  value_unknown(), value_unknown(), value_text(why)});
}

static void row(struct bench *b, const struct work *w, const struct histogram *h)
{
	emitter_row(b->e, (const struct value[N_COLUMNS]){
				  value_text(w->name),
				  w->size ? value_bytes(w->size) : value_nothing(),
				  value_count(h->n),
				  value_nanoseconds(histogram_at(h, 0.5)),
				  value_nanoseconds(histogram_at(h, 0.99)),
				  value_nanoseconds(histogram_at(h, 0.999)),
				  value_nanoseconds(h->most), value_nothing()});
	if (w->line)
		plot_latency(b, w, h);
}

static void work_here(struct bench *b, struct work *w, unsigned int calls)
{
	struct histogram *h = calloc(1, sizeof(*h));

	if (h && bench_calls(h, calls, w->call, w)) {
		row(b, w, h);
	} else {
		int error = errno;
		const char *reason = contig_strreason();

		row_none(b, w, *reason ? reason : strerror(error));
	}
	free(h);
}

static void work_apart(struct bench *b, struct work *w, unsigned int calls)
{
	struct bench_report *report;

	w->job.size = w->size;
	w->job.calls = calls;
	report = bench_apart(&w->job);
	if (report && report->done)
		row(b, w, &report->calls);
	else
		row_none(b, w, report ? report->why : strerror(errno));
	bench_report_free(report);
}

static void work_row(struct bench *b, struct work *w)
{
	unsigned int calls = b->quick ? w->calls / 10 : w->calls;
	char name[64], size[24];

	snprintf(name, sizeof(name), "%s%s%s", w->name, w->size ? " " : "",
		 w->size ? contig_size_print(w->size, size, sizeof(size)) : "");
	bench_say(b, name);
	if (w->call)
		work_here(b, w, calls);
	else
		work_apart(b, w, calls);
}

static void table(struct bench *b, const char *key, struct work *works, size_t n)
{
	emitter_table_begin(b->e, key, columns, N_COLUMNS, false);
	for (size_t i = 0; i < n; i++)
		work_row(b, &works[i]);
	emitter_table_end(b->e);
	bench_say(b, NULL);
}

static bool call_contigmalloc(void *with)
{
	const struct work *w = with;
	void *p = contigmalloc(w->size, M_TEMP, M_NOWAIT, 0, ~UINT64_C(0), FRAME_SIZE, 0);

	if (!p)
		return false;
	contigfree(p, w->size, M_TEMP);
	return true;
}

static bool call_mmap(void *with)
{
	const struct work *w = with;
	void *p = mmap(NULL, w->size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (p == MAP_FAILED)
		return false;
	munmap(p, w->size);
	return true;
}

/* So that all that is timed is memory already held. */
static int hold(struct bench *b, uint64_t bytes)
{
	struct contig_config config = {.struct_size = sizeof(config)};

	contig_config_get(&config);
	if (config.grow == CONTIG_GROW_NEVER) {
		config.grow = CONTIG_GROW_SYSTEM;
		contig_configure(&config); /* -1: an earlier part did it */
	}
	if (!contig_reserve(bytes))
		return STATUS_YES;
	emitter_error(b->e, "superpages", errno, contig_strreason(), "Try 'contig doctor'");
	return STATUS_NO;
}

/* The peers for one size, beside contigmalloc. */
static void alloc_works(struct bench *b, uint64_t size, enum bench_plot plot)
{
	const struct bench_job dpdk = {.superpages = DPDK_HEAP / SUPERPAGE_SIZE};
	struct work works[] = {
		{.name = "contigmalloc", .calls = CALLS, .call = call_contigmalloc},
		{.name = "rte_malloc", .calls = CALLS_DPDK, .job = dpdk},
		{.name = "rte_memzone", .calls = CALLS_DPDK, .job = dpdk},
		{.name = "get_huge_pages", .calls = CALLS_SLOW,
		 .job = {.name = "get_huge_pages calls", .superpages = 1}},
		{.name = "mmap", .calls = CALLS_SLOW, .call = call_mmap},
		{.name = "glibc malloc", .calls = CALLS, .job = {.name = "malloc calls"}},
		{.name = "jemalloc", .calls = CALLS,
		 .job = {.name = "jemalloc calls", .preload = PEER_JEMALLOC}},
	};

	works[1].job.name = "rte_malloc calls";
	works[2].job.name = "rte_memzone calls";
	for (size_t i = 0; i < sizeof(works) / sizeof(works[0]); i++) {
		works[i].size = size;
		works[i].plot = plot;
		works[i].line = works[i].name;
		/* It gives whole huge pages. */
		if (size == SUPERPAGE_SIZE || i != 3)
			work_row(b, &works[i]);
	}
}

int bench_alloc(struct bench *b)
{
	int status = hold(b, UINT64_C(32) << 20);

	if (status)
		return status;
	emitter_line(b->e, "alloc: allocate a block and free it, again and again; pages of "
			   "mmap and get_huge_pages are touched as well; malloc's and jemalloc's "
			   "memory is neither contiguous nor wired");
	emitter_table_begin(b->e, "alloc", columns, N_COLUMNS, false);
	alloc_works(b, FRAME_SIZE, BENCH_PLOT_ALLOC_SMALL);
	alloc_works(b, UINT64_C(64) << 10, BENCH_PLOT_ALLOC_MEDIUM);
	alloc_works(b, SUPERPAGE_SIZE, BENCH_PLOT_ALLOC_SUPERPAGE);
	emitter_table_end(b->e);
	bench_say(b, NULL);
	return STATUS_YES;
}

static bool call_translate(void *with)
{
	const struct work *w = with;
	return contig_virt_to_phys(w->pointer) != CONTIG_PADDR_NONE;
}

static bool call_table(void *with)
{
	const struct work *w = with;
	static uint64_t pa[512];

	return contig_paddr_table(w->pointer, w->size, FRAME_SIZE, pa, 512) == 512;
}

static bool call_pagemap(void *with)
{
	const struct work *w = with;
	uint64_t entry;

	return pread(w->fd, &entry, sizeof(entry),
		     (off_t)((uintptr_t)w->pointer / FRAME_SIZE * sizeof(entry))) == sizeof(entry);
}

int bench_translate(struct bench *b)
{
	int status = hold(b, UINT64_C(8) << 20);
	struct work works[5] = {0};
	void *block;

	if (status)
		return status;
	block = contigmalloc(SUPERPAGE_SIZE, M_TEMP, M_NOWAIT, 0, ~UINT64_C(0), SUPERPAGE_SIZE, 0);
	if (!block) {
		emitter_error(b->e, "superpage", errno, contig_strreason(), NULL);
		return STATUS_NO;
	}
	works[0] = (struct work){.name = "contig_virt_to_phys", .calls = CALLS,
				 .call = call_translate, .pointer = block};
	works[1] = (struct work){.name = "contig_paddr_table", .size = SUPERPAGE_SIZE,
				 .calls = CALLS / 10, .call = call_table, .pointer = block};
	works[2] = (struct work){.name = "pread of pagemap", .calls = CALLS / 10,
				 .call = call_pagemap, .pointer = block,
				 .fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC)};
	works[3] = (struct work){.name = "rte_mem_virt2iova", .calls = CALLS / 10,
				 .job = {.name = "rte_mem_virt2iova calls",
					 .superpages = DPDK_HEAP / SUPERPAGE_SIZE}};
	works[4] = (struct work){.name = "rte_malloc_virt2iova", .calls = CALLS,
				 .job = {.name = "rte_malloc_virt2iova calls",
					 .superpages = DPDK_HEAP / SUPERPAGE_SIZE}};
	for (size_t i = 0; i < 5; i++) {
		works[i].plot = BENCH_PLOT_TRANSLATE;
		/* 512 addresses in one call: no like of the others. */
		works[i].line = i == 1 ? NULL : works[i].name;
	}
	emitter_line(b->e, "translate: virtual to physical; one call costs less than the clock "
			   "can tell when it is inlined (bench/bench_translate of the source)");
	table(b, "translate", works, 5);
	close(works[2].fd);
	contig_free(block);
	return STATUS_YES;
}

struct insert {
	struct vm_area_struct *vma;
	struct vm_page *page;
	uint64_t size;
};

static bool call_insert(void *with)
{
	const struct work *w = with;
	struct insert *i = w->pointer;
	int error = vm_insert_page(i->vma, i->vma->vm_start, i->page);

	if (!error)
		error = zap_vma_ptes(i->vma, i->vma->vm_start, i->size);
	errno = -error;
	return !error;
}

/* What the kernel takes for the like: a shared mapping of a file's page. */
static bool call_map(void *with)
{
	const struct work *w = with;
	struct insert *i = w->pointer;
	void *at = (void *)i->vma->vm_start;

	if (mmap(at, i->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_POPULATE,
		 w->fd, 0) == MAP_FAILED ||
	    mmap(at, i->size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED,
		 -1, 0) == MAP_FAILED)
		return false;
	return true;
}

int bench_insert(struct bench *b)
{
	struct contig_pool_attr attr = {
		.struct_size = sizeof(attr),
		.name = "bench",
		.kind = CONTIG_POOL_SHAREABLE,
		.node = -1,
	};
	struct insert insert = {.size = FRAME_SIZE};
	struct work works[2] = {0};
	contig_pool_t *pool;
	void *block;
	int status = hold(b, UINT64_C(8) << 20), fd;

	if (status)
		return status;
	pool = contig_pool_create(&attr);
	block = pool ? contig_pool_malloc(pool, FRAME_SIZE, M_TEMP, 0, 0, ~UINT64_C(0),
					  FRAME_SIZE, 0)
		     : NULL;
	insert.vma = vma_create(SUPERPAGE_SIZE, FRAME_SIZE, PROT_READ | PROT_WRITE);
	fd = memfd_create("contig-bench", MFD_CLOEXEC);
	if (!block || !insert.vma || fd < 0 || ftruncate(fd, FRAME_SIZE)) {
		emitter_error(b->e, "page", errno, contig_strreason(), NULL);
		status = STATUS_NO;
		goto out;
	}
	insert.page = vm_page_of_address(block);
	works[0] = (struct work){.name = "vm_insert_page, zap", .size = FRAME_SIZE,
				 .calls = CALLS / 4, .call = call_insert, .pointer = &insert};
	works[1] = (struct work){.name = "mmap, mmap", .size = FRAME_SIZE, .calls = CALLS / 4,
				 .call = call_map, .pointer = &insert, .fd = fd};
	for (size_t i = 0; i < 2; i++) {
		works[i].plot = BENCH_PLOT_INSERT;
		works[i].line = works[i].name;
	}
	emitter_line(b->e, "insert: a page into a vma of this process and out of it, against the "
			   "bare system calls, which check nothing");
	table(b, "insert", works, 2);
out:
	if (fd >= 0)
		close(fd);
	if (insert.vma)
		vma_destroy(insert.vma);
	contig_free(block);
	contig_pool_destroy(pool);
	return status;
}
