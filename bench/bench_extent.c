/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The extent search on heaps that break simpler ones, next to two of these in
 * the same run: a walk over the extents in address order, and a tree over them
 * that knows only longest lengths.
 *
 *	bench_extent [-q]	-q: fewer samples
 *
 * Times are of single calls in ns, the clock's own cost taken off.
 */
#include "phys/extent.h"

#include "base/page.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EXTENTS 100000u
#define SAMPLES 40000u
#define BASELINE_SAMPLES 60u

static unsigned int samples = SAMPLES;
static uint64_t clock_cost;
static uint64_t random_state = 42;

static uint64_t random_below(uint64_t n)
{
	uint64_t x = random_state += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return (x ^ x >> 31) % n;
}

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* The times of one kind of call. */
struct times {
	uint64_t ns[SAMPLES];
	unsigned int count;
};

static void times_add(struct times *times, uint64_t start)
{
	uint64_t ns = now() - start;

	times->ns[times->count++] = ns > clock_cost ? ns - clock_cost : 0;
}

/* per_mille: 500 is the median. */
static uint64_t times_at(struct times *times, unsigned int per_mille)
{
	if (!times->count)
		return 0;
	qsort(times->ns, times->count, sizeof(times->ns[0]), compare);
	return times->ns[(uint64_t)(times->count - 1) * per_mille / 1000];
}

/* A heap as the baselines keep it: its extents by address. */
struct extent {
	uint64_t start, count;
	struct extent *below;
};

struct heap {
	const char *name;
	uint64_t span, frames;
	struct extent_set *set;
	struct extent *extent;
	unsigned int extents;
	uint64_t *longest; /* a binary tree over the extents, node 1 its root */
	unsigned int leaves;
};

static void die(const char *why)
{
	fprintf(stderr, "bench_extent: %s\n", why);
	exit(1);
}

static uint64_t extent_place(const struct extent *extent, const struct extent_request *request)
{
	uint64_t start = extent->start, end = extent->start + extent->count, at;

	start = start < request->low ? request->low : start;
	end = end > request->high ? request->high : end;
	if (end < start || end - start < request->count)
		return EXTENT_NONE;
	at = align_down(end - request->count, request->align);
	if (request->boundary && at >= start) {
		uint64_t crossed = align_down(at + request->count - 1, request->boundary);

		if (crossed > at) {
			if (crossed < request->count)
				return EXTENT_NONE;
			at = align_down(crossed - request->count, request->align);
		}
	}
	return at >= start ? at : EXTENT_NONE;
}

static uint64_t list_find(const struct heap *heap, const struct extent_request *request)
{
	for (const struct extent *e = &heap->extent[heap->extents - 1]; e; e = e->below) {
		uint64_t at = extent_place(e, request);

		if (at != EXTENT_NONE)
			return at;
	}
	return EXTENT_NONE;
}

static uint64_t tree_find(const struct heap *heap, const struct extent_request *request,
			  unsigned int node)
{
	uint64_t at;

	if (heap->longest[node] < request->count)
		return EXTENT_NONE;
	if (node >= heap->leaves)
		return extent_place(&heap->extent[node - heap->leaves], request);
	at = tree_find(heap, request, 2 * node + 1);
	return at != EXTENT_NONE ? at : tree_find(heap, request, 2 * node);
}

static void heap_init(struct heap *heap, const char *name, uint64_t span)
{
	memset(heap, 0, sizeof(*heap));
	heap->name = name;
	heap->span = span;
	heap->set = contig_extent_set_create(span);
	heap->extent = calloc(EXTENTS, sizeof(*heap->extent));
	if (!heap->set || !heap->extent || contig_extent_cover(heap->set, 0, span))
		die("no memory");
}

static void heap_add(struct heap *heap, uint64_t start, uint64_t count)
{
	struct extent *extent = &heap->extent[heap->extents];

	contig_extent_free(heap->set, start, count);
	*extent = (struct extent){ start, count, heap->extents ? extent - 1 : NULL };
	heap->extents++;
}

static void heap_finish(struct heap *heap)
{
	for (heap->leaves = 1; heap->leaves < heap->extents;)
		heap->leaves *= 2;
	heap->longest = calloc(2 * (size_t)heap->leaves, sizeof(*heap->longest));
	if (!heap->longest)
		die("no memory");
	for (unsigned int i = 0; i < heap->extents; i++)
		heap->longest[heap->leaves + i] = heap->extent[i].count;
	for (unsigned int i = heap->leaves - 1; i; i--) {
		uint64_t left = heap->longest[2 * i], right = heap->longest[2 * i + 1];

		heap->longest[i] = left > right ? left : right;
	}
}

static void heap_fini(struct heap *heap)
{
	contig_extent_set_destroy(heap->set);
	free(heap->extent);
	free(heap->longest);
}

/* Requests vary by window when frames is not 0: windows of so many frames. */
struct work {
	const char *name;
	struct extent_request request;
	uint64_t window;
};

static struct extent_request work_request(const struct heap *heap, const struct work *work)
{
	struct extent_request request = work->request;

	if (!request.high)
		request.high = heap->span;
	if (work->window) {
		request.low = random_below(heap->span - work->window);
		request.high = request.low + work->window;
	}
	return request;
}

static void print_times(struct times *times)
{
	printf(" %7" PRIu64 " %7" PRIu64 " %7" PRIu64, times_at(times, 500),
	       times_at(times, 990), times_at(times, 999));
}

static void work_run(struct heap *heap, const struct work *work)
{
	static struct times find, pair, list, tree;
	unsigned int found = 0;
	uint64_t start;

	find.count = pair.count = list.count = tree.count = 0;
	for (unsigned int i = 0; i < samples; i++) {
		struct extent_request request = work_request(heap, work);
		uint64_t at, got;

		start = now();
		at = contig_extent_find(heap->set, &request);
		times_add(&find, start);

		start = now();
		got = contig_extent_alloc(heap->set, &request);
		if (got != EXTENT_NONE)
			contig_extent_free(heap->set, got, request.count);
		times_add(&pair, start);
		if (got != at)
			die("alloc and find disagree");
		found += at != EXTENT_NONE;
		if (i >= BASELINE_SAMPLES)
			continue;

		start = now();
		got = list_find(heap, &request);
		times_add(&list, start);
		if (got != at)
			die("the list disagrees");
		start = now();
		got = tree_find(heap, &request, 1);
		times_add(&tree, start);
		if (got != at)
			die("the tree of longest lengths disagrees");
	}
	printf("%-12s %-40s %4u%%", heap->name, work->name, found * 100 / samples);
	print_times(&find);
	print_times(&pair);
	printf(" %8" PRIu64 " %8" PRIu64 "\n", times_at(&list, 500), times_at(&tree, 500));
}

/* Extents of 120 KiB, none with 64 KiB at a multiple of it; far: but the last. */
static void heap_make_unaligned(struct heap *heap, const char *name, bool far)
{
	heap_init(heap, name, EXTENTS * 32 + 64);
	for (unsigned int i = 0; i < EXTENTS; i++)
		heap_add(heap, i * 32 + (far && !i ? 0 : 1), 30);
	heap_finish(heap);
}

/* 60 KiB around each second multiple of 64 KiB. */
static void heap_make_straddling(struct heap *heap, const char *name, bool far)
{
	heap_init(heap, name, EXTENTS * 32 + 64);
	for (unsigned int i = 0; i < EXTENTS; i++)
		heap_add(heap, i * 32 + (far && !i ? 0 : 9), 15);
	heap_finish(heap);
}

/* Extents that are aligned but straddle, and others that do neither. */
static void heap_make_either(struct heap *heap, const char *name, bool far)
{
	heap_init(heap, name, EXTENTS * 32 + 64);
	for (unsigned int i = 0; i < EXTENTS; i++) {
		if (far && !i)
			heap_add(heap, 0, 15);
		else if (i % 2)
			heap_add(heap, i * 32 + 8, 15);
		else
			heap_add(heap, i * 32 + 1, 14);
	}
	heap_finish(heap);
}

static void heap_make_random(struct heap *heap)
{
	uint64_t at = 0;

	heap_init(heap, "random", EXTENTS * 66);
	while (heap->extents < EXTENTS && at + 128 < heap->span) {
		uint64_t count = 1 + random_below(64);

		at += 1 + random_below(64);
		heap_add(heap, at, count);
		at += count;
	}
	heap_finish(heap);
}

/* Large ranges and superpages in a free heap. */
static void superpages_run(void)
{
	static struct times pair, giga;
	struct extent_set *set = contig_extent_set_create(UINT64_C(4) << 18);
	struct extent_request request = { .count = 512, .high = UINT64_C(4) << 18, .align = 512 };

	if (!set || contig_extent_cover(set, 0, request.high))
		die("no memory");
	contig_extent_free(set, 0, request.high);
	for (unsigned int i = 0; i < samples; i++) {
		uint64_t start = now(), got = contig_extent_alloc(set, &request);

		contig_extent_free(set, got, request.count);
		times_add(&pair, start);
	}
	for (unsigned int i = 0; i < 200; i++) {
		uint64_t start = now();

		contig_extent_take(set, 1 << 18, 1 << 18);
		contig_extent_free(set, 1 << 18, 1 << 18);
		times_add(&giga, start);
	}
	printf("\n2 MiB alloc + free in 4 GiB that are free:  ");
	print_times(&pair);
	printf("\n1 GiB take + free, 512 leaves each:         ");
	print_times(&giga);
	printf("\n");
	contig_extent_set_destroy(set);
}

int main(int argc, char **argv)
{
	static const struct work aligned[] = {
		{ "64K aligned 64K", { 16, 0, 0, 16, 0 }, 0 },
		{ "64K aligned 64K in a window of 4G", { 16, 0, 0, 16, 0 }, 1 << 20 },
		{ "120K", { 30, 0, 0, 1, 0 }, 0 },
	};
	static const struct work bounded[] = {
		{ "48K within 64K", { 12, 0, 0, 1, 16 }, 0 },
		{ "48K within 64K in a window of 4G", { 12, 0, 0, 1, 16 }, 1 << 20 },
	};
	static const struct work both[] = {
		{ "48K aligned 16K within 64K", { 12, 0, 0, 4, 16 }, 0 },
		{ "48K aligned 16K within 64K, window of 4G", { 12, 0, 0, 4, 16 }, 1 << 20 },
	};
	static const struct work mixed[] = {
		{ "4K", { 1, 0, 0, 1, 0 }, 0 },
		{ "4K in a window of 1M", { 1, 0, 0, 1, 0 }, 256 },
		{ "64K in a window of 16M", { 16, 0, 0, 1, 0 }, 4096 },
		{ "224K aligned 128K", { 56, 0, 0, 32, 0 }, 0 },
		{ "224K aligned 128K in a window of 64M", { 56, 0, 0, 32, 0 }, 1 << 14 },
		{ "200K within 256K in a window of 64M", { 50, 0, 0, 1, 64 }, 1 << 14 },
		{ "200K aligned 64K within 256K, 256M", { 50, 0, 0, 16, 64 }, 1 << 16 },
		{ "260K, none so long", { 65, 0, 0, 1, 0 }, 0 },
	};
	struct heap heap;
	uint64_t frames;
	size_t metadata;

	if (argc > 1 && !strcmp(argv[1], "-q"))
		samples = SAMPLES / 10;
	clock_cost = UINT64_MAX;
	for (int i = 0; i < 10000; i++) {
		uint64_t start = now(), cost = now() - start;

		clock_cost = cost < clock_cost ? cost : clock_cost;
	}

	printf("%u free extents; ns; list, tree: medians of the two others' find\n", EXTENTS);
	printf("%-12s %-40s %5s %23s %23s %8s %8s\n", "", "", "", "find", "alloc + free", "list",
	       "longest");
	printf("%-12s %-40s %5s %7s %7s %7s %7s %7s %7s %8s %8s\n", "heap", "request", "found",
	       "median", "p99", "p99.9", "median", "p99", "p99.9", "find", "find");

#define RUN(works) do {							\
	for (size_t w = 0; w < sizeof(works) / sizeof(works[0]); w++)	\
		work_run(&heap, &works[w]);				\
	} while (0)
	heap_make_unaligned(&heap, "unaligned", false);
	RUN(aligned);
	frames = heap.span;
	metadata = contig_extent_metadata(heap.set);
	heap_fini(&heap);
	heap_make_unaligned(&heap, "one aligned", true);
	RUN(aligned);
	heap_fini(&heap);
	heap_make_straddling(&heap, "straddling", false);
	RUN(bounded);
	heap_fini(&heap);
	heap_make_straddling(&heap, "one inside", true);
	RUN(bounded);
	heap_fini(&heap);
	heap_make_either(&heap, "either", false);
	RUN(both);
	heap_fini(&heap);
	heap_make_either(&heap, "one both", true);
	RUN(both);
	heap_fini(&heap);
	heap_make_random(&heap);
	RUN(mixed);
	heap_fini(&heap);

	superpages_run();
	printf("metadata: %zu bytes for %" PRIu64 " frames: %.2f a frame\n", metadata, frames,
	       (double)metadata / (double)frames);
	return 0;
}
