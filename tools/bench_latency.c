/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How long single calls take: each is timed by itself and goes into a
 * histogram, less what the clock itself costs.
 */
#include "bench.h"
#include "command.h"
#include "histogram.h"

#include "base/page.h"
#include "base/size.h"

#include <contig.h>
#include <errno.h>
#include <fcntl.h>
#include <hugetlbfs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CALLS 200000
#define CALLS_SLOW 4000 /* of what takes the kernel */
#define WARM 64

struct work {
	const char *name; /* who does it */
	uint64_t size;    /* bytes; 0: does not apply */
	unsigned int calls;
	/* One call; false: it failed, errno. */
	bool (*call)(struct work *w);
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
	{"why", "NOTE", COLUMN_WRAP},
};

#define N_COLUMNS (sizeof(columns) / sizeof(columns[0]))

static uint64_t clock_cost(void)
{
	static struct histogram h;

	for (int i = 0; i < 10000; i++) {
		uint64_t start = bench_now();

		histogram_add(&h, bench_now() - start);
	}
	return histogram_at(&h, 0.5);
}

static void plot_latency(struct bench *b, const char *name, const struct histogram *h)
{
	struct plot *plot = &b->plots[BENCH_PLOT_LATENCY];
	struct plot_series *s;

	plot->title = "Latency of single calls";
	plot->x_title = "percentile";
	plot->y_title = "time of a call, at most";
	plot->x_unit = PLOT_NINES;
	plot->y_unit = PLOT_NANOSECONDS;
	plot->y_log = true;
	s = plot_series_add(plot, name);
	for (double nines = 1.25; nines <= (double)h->n / 2; nines *= 1.5849) {
		uint64_t value = histogram_at(h, 1 - 1 / nines);

		plot_point(s, nines, value ? (double)value : 0.5);
	}
}

static void work_row(struct bench *b, struct work *w, uint64_t clock)
{
	struct histogram *h = calloc(1, sizeof(*h));
	unsigned int calls = b->quick ? w->calls / 10 : w->calls;
	bool failed = false;
	char name[64], size[24];

	if (!h)
		return;
	snprintf(name, sizeof(name), "%s%s%s", w->name, w->size ? " " : "",
		 w->size ? contig_size_print(w->size, size, sizeof(size)) : "");
	bench_say(b, name);
	for (unsigned int i = 0; i < calls + WARM && !failed; i++) {
		uint64_t start = bench_now(), took;

		failed = !w->call(w);
		took = bench_now() - start;
		if (i >= WARM && !failed)
			histogram_add(h, took > clock ? took - clock : 0);
	}
	if (failed || !h->n) {
		const char *reason = contig_strreason();

		emitter_row(b->e, (const struct value[N_COLUMNS]){
					  value_text(w->name),
					  w->size ? value_bytes(w->size) : value_nothing(),
					  value_unknown(), value_unknown(), value_unknown(),
					  value_unknown(), value_unknown(),
					  value_text(*reason ? reason : strerror(errno))});
		free(h);
		return;
	}
	emitter_row(b->e, (const struct value[N_COLUMNS]){
				  value_text(w->name),
				  w->size ? value_bytes(w->size) : value_nothing(),
				  value_count(h->n),
				  value_nanoseconds(histogram_at(h, 0.5)),
				  value_nanoseconds(histogram_at(h, 0.99)),
				  value_nanoseconds(histogram_at(h, 0.999)),
				  value_nanoseconds(h->most), value_nothing()});
	plot_latency(b, name, h);
	free(h);
}

static void table(struct bench *b, const char *key, struct work *works, size_t n)
{
	uint64_t clock = clock_cost();

	emitter_table_begin(b->e, key, columns, N_COLUMNS, false);
	for (size_t i = 0; i < n; i++)
		work_row(b, &works[i], clock);
	emitter_table_end(b->e);
	bench_say(b, NULL);
}

static bool call_contigmalloc(struct work *w)
{
	void *p = contigmalloc(w->size, M_TEMP, M_NOWAIT, 0, ~UINT64_C(0), FRAME_SIZE, 0);

	if (!p)
		return false;
	contigfree(p, w->size, M_TEMP);
	return true;
}

static bool call_malloc(struct work *w)
{
	void *p = malloc(w->size);

	__asm__ volatile("" : : "r"(p) : "memory");
	free(p);
	return p != NULL;
}

static bool call_mmap(struct work *w)
{
	void *p = mmap(NULL, w->size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (p == MAP_FAILED)
		return false;
	munmap(p, w->size);
	return true;
}

static bool call_get_huge_pages(struct work *w)
{
	void *p = get_huge_pages((long)w->size, GHP_DEFAULT);

	if (!p)
		return false;
	free_huge_pages(p);
	return true;
}

/* libhugetlbfs complains on stderr of what the row tells. */
static bool pool_has_free(void)
{
	FILE *in = fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "re");
	unsigned long n = 0;

	if (in) {
		if (fscanf(in, "%lu", &n) != 1)
			n = 0;
		fclose(in);
	}
	return n > 0;
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

int bench_alloc(struct bench *b)
{
	struct work works[] = {
		{.name = "contigmalloc", .size = 4096, .calls = CALLS, .call = call_contigmalloc},
		{.name = "contigmalloc", .size = 65536, .calls = CALLS, .call = call_contigmalloc},
		{.name = "contigmalloc", .size = SUPERPAGE_SIZE, .calls = CALLS,
		 .call = call_contigmalloc},
		{.name = "malloc", .size = 4096, .calls = CALLS, .call = call_malloc},
		{.name = "malloc", .size = 65536, .calls = CALLS, .call = call_malloc},
		{.name = "mmap, touched", .size = 65536, .calls = CALLS_SLOW, .call = call_mmap},
		{.name = "mmap, touched", .size = SUPERPAGE_SIZE, .calls = CALLS_SLOW,
		 .call = call_mmap},
		{.name = "get_huge_pages", .size = SUPERPAGE_SIZE, .calls = CALLS_SLOW,
		 .call = call_get_huge_pages},
	};
	size_t n = sizeof(works) / sizeof(works[0]);
	int status = hold(b, UINT64_C(32) << 20);

	if (status)
		return status;
	emitter_line(b->e, "alloc: allocate and free; malloc's memory is neither contiguous nor "
			   "wired");
	table(b, "alloc", works, pool_has_free() ? n : n - 1);
	return STATUS_YES;
}

static bool call_translate(struct work *w)
{
	return contig_virt_to_phys(w->pointer) != CONTIG_PADDR_NONE;
}

static bool call_table(struct work *w)
{
	static uint64_t pa[512];

	return contig_paddr_table(w->pointer, w->size, FRAME_SIZE, pa, 512) == 512;
}

static bool call_pagemap(struct work *w)
{
	uint64_t entry;

	return pread(w->fd, &entry, sizeof(entry),
		     (off_t)((uintptr_t)w->pointer / FRAME_SIZE * sizeof(entry))) == sizeof(entry);
}

int bench_translate(struct bench *b)
{
	int status = hold(b, UINT64_C(8) << 20);
	struct work works[4] = {0};
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
	emitter_line(b->e, "translate: virtual to physical; one call costs less than the clock "
			   "can tell when it is inlined (bench/bench_translate of the source)");
	table(b, "translate", works, 3);
	close(works[2].fd);
	contig_free(block);
	return STATUS_YES;
}

struct insert {
	struct vm_area_struct *vma;
	struct vm_page *page;
	uint64_t size;
};

static bool call_insert(struct work *w)
{
	struct insert *i = w->pointer;
	int error = vm_insert_page(i->vma, i->vma->vm_start, i->page);

	if (!error)
		error = zap_vma_ptes(i->vma, i->vma->vm_start, i->size);
	errno = -error;
	return !error;
}

/* What the kernel takes for the like: a shared mapping of a file's page. */
static bool call_map(struct work *w)
{
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
