/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench_take.h"

#include "base/page.h"
#include "base/reason.h"
#include "bench_runs.h"
#include "host/hugetlb.h"
#include "host/superpage.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static const char *const names[BENCH_WAYS] = {
	[WAY_BASE] = "mmap, base pages",
	[WAY_THP] = "mmap, transparent",
	[WAY_COLLAPSED] = "collapsed",
	[WAY_POOL] = "pool as it is",
	[WAY_GROWN] = "pool grown",
	[WAY_COMPACTED] = "compacted, grown",
	[WAY_DEMOTED] = "1G demoted",
	[WAY_SURPLUS] = "surplus",
};

const char *bench_way_name(enum bench_way way)
{
	return names[way];
}

static void why(struct bench_taken *t, int error)
{
	const char *reason = contig_reason_get();

	snprintf(t->why, sizeof(t->why), "%s", *reason ? reason : strerror(error));
}

/* Anonymous memory at an address that superpages fit. */
static void take_anonymous(bool superpages, uint64_t bytes, struct bench_taken *t)
{
	size_t len = bytes + SUPERPAGE_SIZE;
	char *map = mmap(NULL, len, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *va = (char *)align_up((uintptr_t)map, SUPERPAGE_SIZE);
	uint64_t start = clock_ns();

	if (map == MAP_FAILED) {
		why(t, errno);
		return;
	}
	t->page = FRAME_SIZE;
	if (madvise(va, bytes, superpages ? MADV_HUGEPAGE : MADV_NOHUGEPAGE) && superpages)
		snprintf(t->why, sizeof(t->why), "MADV_HUGEPAGE: %s", strerror(errno));
	for (uint64_t at = 0; at < bytes; at += FRAME_SIZE)
		((volatile char *)va)[at] = 1;
	t->nanoseconds = clock_ns() - start;
	t->frames = bench_memory_frames(va, bytes, FRAME_SIZE, &t->n);
	munmap(map, len);
}

static void take_batch(const struct superpage_request *request, struct bench_taken *t)
{
	struct superpage_batch batch;
	uint64_t start = clock_ns();
	int error;

	contig_reason_clear();
	error = contig_superpage_take(request, &batch);
	t->nanoseconds += clock_ns() - start;
	if (error) {
		why(t, -error);
		return;
	}
	t->frames = bench_batch_frames(&batch, &t->n);
	if (!t->n)
		snprintf(t->why, sizeof(t->why), BENCH_HIDDEN);
	else if (t->n < request->count)
		snprintf(t->why, sizeof(t->why), "the kernel had no more");
	contig_superpage_drop(&batch);
}

/* Raise the pool of size so that count pages more are free. */
static int raise_pool(struct hugetlb_guard *g, uint64_t size, uint64_t count, struct bench_taken *t)
{
	struct hugetlb_counts counts;
	uint64_t got = 0;
	int error = contig_hugetlb_counts(size, HUGETLB_ALL_NODES, &counts);

	if (!error)
		error = contig_hugetlb_guard_raise(g, size, HUGETLB_ALL_NODES,
						   counts.total + count, &got);
	if (!error && got <= counts.total) {
		snprintf(t->why, sizeof(t->why), "the kernel could make no page of %s",
			 size == GIGAPAGE_SIZE ? "1 GiB" : "2 MiB");
		error = -ENOMEM;
	}
	return error;
}

static void take_changed(enum bench_way way, struct superpage_request *request,
			 struct bench_taken *t)
{
	uint64_t start = clock_ns(), per = GIGAPAGE_SIZE / SUPERPAGE_SIZE;
	struct hugetlb_guard *g;
	int error = 0;

	contig_reason_clear();
	g = contig_hugetlb_guard_start();
	if (!g) {
		why(t, errno);
		return;
	}
	if (way == WAY_COMPACTED)
		error = contig_hugetlb_compact(-1);
	if (!error && way == WAY_DEMOTED) {
		uint64_t large = (request->count + per - 1) / per;

		error = raise_pool(g, GIGAPAGE_SIZE, large, t);
		if (!error)
			error = contig_hugetlb_guard_demote(g, GIGAPAGE_SIZE, HUGETLB_ALL_NODES,
							    large);
	} else if (!error) {
		error = raise_pool(g, SUPERPAGE_SIZE, request->count, t);
	}
	t->nanoseconds = clock_ns() - start;
	if (error && !t->why[0])
		why(t, -error);
	else if (!error)
		take_batch(request, t);
	contig_hugetlb_guard_stop(g);
}

/* The pages that are free without our doing. */
static void take_free(struct superpage_request *request, struct bench_taken *t)
{
	struct hugetlb_counts counts;

	if (contig_hugetlb_counts(SUPERPAGE_SIZE, HUGETLB_ALL_NODES, &counts) ||
	    counts.free <= counts.reserved) {
		snprintf(t->why, sizeof(t->why), "it has no free page");
		return;
	}
	take_batch(request, t);
}

static void take_surplus(struct superpage_request *request, struct bench_taken *t)
{
	struct hugetlb_counts counts;

	if (contig_hugetlb_counts(SUPERPAGE_SIZE, HUGETLB_ALL_NODES, &counts) ||
	    counts.overcommit <= counts.surplus) {
		snprintf(t->why, sizeof(t->why), "the settings allow no surplus pages");
		return;
	}
	if (counts.free > counts.reserved) {
		snprintf(t->why, sizeof(t->why), "not tried: the pool's free pages come first");
		return;
	}
	request->surplus = true;
	if (request->count > counts.overcommit - counts.surplus)
		request->count = counts.overcommit - counts.surplus;
	take_batch(request, t);
}

bool bench_take(enum bench_way way, uint64_t bytes, struct bench_taken *t)
{
	struct superpage_request request = {
		.kind = way == WAY_COLLAPSED ? SUPERPAGE_COLLAPSED : SUPERPAGE_HUGETLB,
		.page_size = SUPERPAGE_SIZE,
		.shared = true,
		.node = -1,
		.count = bytes / SUPERPAGE_SIZE,
	};

	memset(t, 0, sizeof(*t));
	t->page = SUPERPAGE_SIZE;
	switch (way) {
	case WAY_BASE:
	case WAY_THP:
		take_anonymous(way == WAY_THP, bytes, t);
		break;
	case WAY_COLLAPSED:
		take_batch(&request, t);
		break;
	case WAY_POOL:
		take_free(&request, t);
		break;
	case WAY_SURPLUS:
		take_surplus(&request, t);
		break;
	default:
		take_changed(way, &request, t);
	}
	return t->n > 0;
}
