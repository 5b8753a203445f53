/* SPDX-License-Identifier: BSD-2-Clause */
/* What is measured in processes of its own: memory whose frames are read, and
 * single calls. */
#include "bench.h"
#include "bench_apart.h"
#include "bench_calls.h"
#include "bench_peer.h"
#include "bench_runs.h"

#include "base/page.h"

#include <contig.h>
#include <errno.h>
#include <hugetlbfs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DPDK_ROOM 65536 /* a block's header mustn't cost it a superpage */

/* Memory of another allocator, touched; its frames go into the report. */
static void touch_and_read(void *va, size_t len, uint64_t start, struct bench_report *out)
{
	/* Whole pages, so that nothing of a neighbour's is counted. */
	uintptr_t from = align_up((uintptr_t)va, FRAME_SIZE),
		  to = align_down((uintptr_t)va + len, FRAME_SIZE);

	for (size_t at = 0; at < len; at += FRAME_SIZE)
		((volatile char *)va)[at] = 1;
	out->nanoseconds = clock_ns() - start;
	bench_report_memory(out, (void *)from, to - from, FRAME_SIZE);
	out->done = out->n > 0;
	if (!out->done)
		snprintf(out->why, sizeof(out->why), BENCH_HIDDEN);
}

static void memory_malloc(struct bench_report *out)
{
	size_t len = out->size;
	uint64_t start = clock_ns();
	void *va = malloc(len);

	if (va)
		touch_and_read(va, len, start, out);
	else
		snprintf(out->why, sizeof(out->why), "%s", strerror(errno));
	free(va);
}

static bool is_jemalloc(struct bench_report *out)
{
	if (peer_malloc_is_jemalloc())
		return true;
	snprintf(out->why, sizeof(out->why), "not installed");
	return false;
}

static void memory_jemalloc(struct bench_report *out)
{
	if (is_jemalloc(out))
		memory_malloc(out);
}

static bool default_is_superpage(struct bench_report *out)
{
	if (gethugepagesize() == (long)SUPERPAGE_SIZE)
		return true;
	snprintf(out->why, sizeof(out->why), "the kernel's default huge pages have another size");
	return false;
}

static void memory_get_huge_pages(struct bench_report *out)
{
	size_t len = out->size;
	uint64_t start = clock_ns();
	void *va;

	if (!default_is_superpage(out))
		return;
	va = get_huge_pages(len, GHP_DEFAULT);
	if (!va)
		return;
	/* Reserved, but not there yet. */
	for (size_t at = 0; at < len; at += SUPERPAGE_SIZE)
		((volatile char *)va)[at] = 1;
	out->nanoseconds = clock_ns() - start;
	bench_report_memory(out, va, len, SUPERPAGE_SIZE);
	out->done = out->n > 0;
	free_huge_pages(va);
}

static bool is_one_run(const void *va, size_t len)
{
	size_t n;
	uint64_t *frames = bench_memory_frames(va, len, FRAME_SIZE, &n);
	struct bench_runs runs = {0};

	if (frames)
		bench_runs_of(frames, n, FRAME_SIZE, false, &runs);
	free(frames);
	return runs.n == 1 && runs.bytes == len;
}

/* The longest zone, from above: a longer one may fit where a shorter did not. */
static uint64_t dpdk_longest(const struct peer_dpdk *dpdk, uint64_t most)
{
	for (uint64_t len = most; len; len -= SUPERPAGE_SIZE) {
		const void *zone = dpdk->memzone_reserve("bench", len - DPDK_ROOM, DPDK_ANY_SOCKET,
							 DPDK_CONTIGUOUS);
		uintptr_t from;
		bool is;

		if (!zone)
			continue;
		from = align_up((uintptr_t)peer_dpdk_zone_address(zone), FRAME_SIZE);
		is = is_one_run((const void *)from, len - DPDK_ROOM - FRAME_SIZE);
		dpdk->memzone_free(zone);
		if (is)
			return len;
	}
	return 0;
}

#define DPDK_BLOCKS 64 /* nodes, and pieces of a heap that has holes */

/* All of the heap, in blocks as large as it gives: each lies on one node.  The
 * frames of their superpages. */
static void dpdk_frames(const struct peer_dpdk *dpdk, struct bench_report *out)
{
	uint64_t left = out->size, len = left;
	void *blocks[DPDK_BLOCKS];
	size_t n_blocks = 0, n;

	out->page = SUPERPAGE_SIZE;
	while (left && len && n_blocks < DPDK_BLOCKS) {
		void *va = dpdk->malloc(NULL, len - DPDK_ROOM, 0);
		uint64_t *frames;

		if (!va) {
			len -= SUPERPAGE_SIZE;
			continue;
		}
		blocks[n_blocks++] = va;
		va = (void *)align_down((uintptr_t)va, SUPERPAGE_SIZE);
		frames = bench_memory_frames(va, len, SUPERPAGE_SIZE, &n);
		for (size_t i = 0; frames && i < n && out->n < out->most; i++)
			out->frames[out->n++] = frames[i];
		free(frames);
		left -= len;
		len = left < len ? left : len;
	}
	while (n_blocks)
		dpdk->free(blocks[--n_blocks]);
}

/* What rte_eal_init() took, and the longest zone in it. */
static void memory_dpdk(struct bench_report *out)
{
	uint64_t start = clock_ns(), *sorted;
	struct bench_runs runs;
	struct peer_dpdk dpdk;

	/* One superpage more for what DPDK itself allocates. */
	if (!peer_dpdk_open(&dpdk, out->size + SUPERPAGE_SIZE, out->why, sizeof(out->why)))
		return;
	out->nanoseconds = clock_ns() - start;
	dpdk_frames(&dpdk, out);
	sorted = malloc((out->n + 1) * sizeof(*sorted));
	if (!sorted || !out->n) {
		snprintf(out->why, sizeof(out->why), "rte_malloc failed");
		free(sorted);
		return;
	}
	memcpy(sorted, out->frames, out->n * sizeof(*sorted));
	bench_runs_of(sorted, out->n, SUPERPAGE_SIZE, true, &runs);
	free(sorted);
	out->longest = dpdk_longest(&dpdk, runs.longest);
	snprintf(out->why, sizeof(out->why), "rte_eal_init -m, rte_memzone_reserve");
	out->done = true;
}

/* All frames of the default pool, by taking every superpage; the longest run
 * among them. */
static uint64_t ours_frames(uint64_t held, struct bench_report *out)
{
	size_t most = held / SUPERPAGE_SIZE, n = 0, all = 0, known;
	uint64_t *frame;
	void **blocks = calloc(most + 1, sizeof(*blocks));
	struct bench_runs runs = {0};

	while (blocks && n < most && n < out->most) {
		blocks[n] = contigmalloc(SUPERPAGE_SIZE, M_TEMP, M_NOWAIT | M_USE_RESERVE, 0,
					 ~UINT64_C(0), SUPERPAGE_SIZE, 0);
		if (!blocks[n])
			break;
		frame = bench_memory_frames(blocks[n], SUPERPAGE_SIZE, SUPERPAGE_SIZE, &known);
		all += frame && known;
		if (frame && known)
			out->frames[n] = *frame;
		free(frame);
		n++;
	}
	if (all < n) {
		snprintf(out->why, sizeof(out->why), BENCH_HIDDEN);
		while (n)
			contig_free(blocks[--n]);
	}
	out->n = n;
	out->page = SUPERPAGE_SIZE;
	if (n)
		bench_runs_of(out->frames, n, SUPERPAGE_SIZE, true, &runs);
	while (n)
		contig_free(blocks[--n]);
	free(blocks);
	return runs.longest;
}

static void memory_libcontig(struct bench_report *out)
{
	struct contig_config config = {.struct_size = sizeof(config)};
	struct contig_stats stats = {.struct_size = sizeof(stats)};
	uint64_t start = clock_ns(), low = 0, high;
	bool is = true; /* what it gives is what it promised */

	contig_config_get(&config);
	config.grow = CONTIG_GROW_SYSTEM;
	contig_configure(&config);
	if (contig_reserve(out->size))
		snprintf(out->why, sizeof(out->why), "%s", contig_strreason());
	out->nanoseconds = clock_ns() - start;
	contig_stats_get(&stats);
	/* The longest block that it gives, by halving. */
	for (high = ours_frames(stats.held, out) / FRAME_SIZE; is && low < high;) {
		uint64_t frames = low + (high - low + 1) / 2;
		void *block = contigmalloc(frames * FRAME_SIZE, M_TEMP,
					   M_NOWAIT | M_USE_RESERVE, 0, ~UINT64_C(0),
					   FRAME_SIZE, 0);

		if (block) {
			low = frames;
			is = is_one_run(block, frames * FRAME_SIZE);
			contig_free(block);
		} else {
			high = frames - 1;
		}
	}
	out->longest = low * FRAME_SIZE;
	out->done = is && out->n > 0;
	if (!is)
		snprintf(out->why, sizeof(out->why), "a block of %zu bytes isn't contiguous",
			 (size_t)(low * FRAME_SIZE));
}

/* What a job of single calls works with. */
struct calls {
	uint64_t size;
	struct peer_dpdk dpdk;
	void *block;
};

static void calls_run(struct bench_report *out, bench_call *call, struct calls *with)
{
	with->size = out->size;
	out->done = bench_calls(&out->calls, out->wanted, call, with);
}

static bool call_malloc(void *with)
{
	const struct calls *c = with;
	void *p = malloc(c->size);

	__asm__ volatile("" : : "r"(p) : "memory");
	free(p);
	return p != NULL;
}

static void calls_malloc(struct bench_report *out)
{
	struct calls c = {0};

	calls_run(out, call_malloc, &c);
}

static void calls_jemalloc(struct bench_report *out)
{
	if (is_jemalloc(out))
		calls_malloc(out);
}

static bool call_get_huge_pages(void *with)
{
	const struct calls *c = with;
	void *p = get_huge_pages(c->size, GHP_DEFAULT);

	if (!p)
		return false;
	*(volatile char *)p = 1;
	free_huge_pages(p);
	return true;
}

static void calls_get_huge_pages(struct bench_report *out)
{
	struct calls c = {0};

	if (default_is_superpage(out))
		calls_run(out, call_get_huge_pages, &c);
}

static void calls_dpdk(struct bench_report *out, bench_call *call)
{
	struct calls c = {0};

	if (!peer_dpdk_open(&c.dpdk, DPDK_HEAP, out->why, sizeof(out->why)))
		return;
	c.block = c.dpdk.malloc(NULL, FRAME_SIZE, FRAME_SIZE);
	calls_run(out, call, &c);
}

static bool call_rte_malloc(void *with)
{
	const struct calls *c = with;
	void *p = c->dpdk.malloc(NULL, c->size, FRAME_SIZE);

	if (!p)
		return false;
	c->dpdk.free(p);
	return true;
}

static bool call_rte_memzone(void *with)
{
	const struct calls *c = with;
	const void *zone = c->dpdk.memzone_reserve("bench-call", c->size, DPDK_ANY_SOCKET,
						   DPDK_CONTIGUOUS);

	return zone && !c->dpdk.memzone_free(zone);
}

static bool call_mem_virt2iova(void *with)
{
	const struct calls *c = with;

	return c->dpdk.mem_virt2iova(c->block) != DPDK_NO_ADDRESS;
}

static bool call_malloc_virt2iova(void *with)
{
	const struct calls *c = with;

	return c->dpdk.malloc_virt2iova(c->block) != DPDK_NO_ADDRESS;
}

static void calls_rte_malloc(struct bench_report *out)
{
	calls_dpdk(out, call_rte_malloc);
}

static void calls_rte_memzone(struct bench_report *out)
{
	calls_dpdk(out, call_rte_memzone);
}

static void calls_mem_virt2iova(struct bench_report *out)
{
	calls_dpdk(out, call_mem_virt2iova);
}

static void calls_malloc_virt2iova(struct bench_report *out)
{
	calls_dpdk(out, call_malloc_virt2iova);
}

const struct bench_job_entry bench_jobs[] = {
	{"malloc memory", memory_malloc},
	{"jemalloc memory", memory_jemalloc},
	{"get_huge_pages memory", memory_get_huge_pages},
	{"DPDK memory", memory_dpdk},
	{"libcontig memory", memory_libcontig},
	{"malloc calls", calls_malloc},
	{"jemalloc calls", calls_jemalloc},
	{"get_huge_pages calls", calls_get_huge_pages},
	{"rte_malloc calls", calls_rte_malloc},
	{"rte_memzone calls", calls_rte_memzone},
	{"rte_mem_virt2iova calls", calls_mem_virt2iova},
	{"rte_malloc_virt2iova calls", calls_malloc_virt2iova},
	{NULL, NULL},
};
