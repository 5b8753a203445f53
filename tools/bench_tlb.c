/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What page sizes cost a program: a chase of pointers through memory, one
 * cache line in each KiB, in an order that nothing can foresee.
 */
#include "bench.h"
#include "command.h"

#include "base/page.h"
#include "base/reason.h"
#include "base/size.h"
#include "host/hugetlb.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define STEP 1024 /* bytes between cache lines */
#define LEAST (UINT64_C(1) << 20)
#define MOST GIGAPAGE_SIZE
#define HOPS 2000000

static const struct kind {
	const char *name;
	uint64_t page; /* of hugetlb; 0: ordinary memory */
	bool thp;
} kinds[] = {
	{"4K pages", 0, false},
	{"transparent 2M", 0, true},
	{"hugetlb 2M", SUPERPAGE_SIZE, false},
	{"hugetlb 1G", GIGAPAGE_SIZE, false},
};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static uint64_t random_state = 88172645463325252u;

static uint64_t random_next(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

/* One cycle through all lines of len bytes (Sattolo's shuffle of the links). */
static void link_lines(char *va, uint64_t len)
{
	uint64_t n = len / STEP;

	for (uint64_t i = 0; i < n; i++)
		*(char **)(void *)(va + i * STEP) = va + i * STEP;
	for (uint64_t i = n - 1; i > 0; i--) {
		char **a = (char **)(void *)(va + i * STEP);
		char **b = (char **)(void *)(va + random_next() % i * STEP);
		char *swap = *a;

		*a = *b;
		*b = swap;
	}
}

static double chase(char *va, uint64_t hops)
{
	char *p = va;
	uint64_t start;

	for (uint64_t i = 0; i < hops / 4; i++)
		p = *(char **)(void *)p;
	start = clock_ns();
	for (uint64_t i = 0; i < hops; i++)
		p = *(char **)(void *)p;
	__asm__ volatile("" : : "r"(p) : "memory");
	return (double)(clock_ns() - start) / (double)hops;
}

/* len bytes of this kind, or MAP_FAILED; *map and *map_len to unmap. */
static char *memory(const struct kind *k, uint64_t len, char **map, size_t *map_len)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS;
	char *va;

	*map_len = k->page ? align_up(len, k->page) : len + SUPERPAGE_SIZE;
	if (k->page)
		flags |= MAP_HUGETLB | (int)(floor_log2(k->page) << MAP_HUGE_SHIFT);
	*map = mmap(NULL, *map_len, PROT_READ | PROT_WRITE, flags, -1, 0);
	if (*map == MAP_FAILED)
		return MAP_FAILED;
	va = k->page ? *map : (char *)align_up((uintptr_t)*map, SUPERPAGE_SIZE);
	if (!k->page)
		madvise(va, len, k->thp ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	/* An empty node would be SIGBUS at the touch, here it is an error. */
	if (madvise(va, len, MADV_POPULATE_WRITE) && k->page) {
		munmap(*map, *map_len);
		errno = ENOMEM;
		return MAP_FAILED;
	}
	return va;
}

static const struct column columns[] = {
	{"pages", "PAGES", COLUMN_LEFT},	 {"1m", "1M", COLUMN_RIGHT},
	{"4m", "4M", COLUMN_RIGHT},		 {"16m", "16M", COLUMN_RIGHT},
	{"64m", "64M", COLUMN_RIGHT},		 {"256m", "256M", COLUMN_RIGHT},
	{"1g", "1G", COLUMN_RIGHT},		 {"why", "NOTE", COLUMN_BELOW},
};

#define N_COLUMNS (sizeof(columns) / sizeof(columns[0]))

static void kind_row(struct bench *b, const struct kind *k, struct hugetlb_guard *g)
{
	struct plot_series *s = bench_series(b, BENCH_PLOT_TLB, k->name);
	struct value row[N_COLUMNS];
	char texts[N_COLUMNS][16], why[128] = "";
	size_t column = 1;

	row[0] = value_text(k->name);
	for (size_t i = 1; i < N_COLUMNS; i++)
		row[i] = value_unknown();
	row[N_COLUMNS - 1] = value_nothing();
	if (k->page) {
		struct hugetlb_counts counts;
		int error = contig_hugetlb_counts(k->page, HUGETLB_ALL_NODES, &counts);
		uint64_t want = align_up(b->size, k->page) / k->page, got;

		contig_reason_clear();
		if (!error && g)
			contig_hugetlb_guard_raise(g, k->page, HUGETLB_ALL_NODES,
						   counts.total + want, &got);
	}
	for (uint64_t len = LEAST; len <= MOST && column < N_COLUMNS - 1; len *= 4, column++) {
		char *map, *va;
		size_t map_len;
		double ns;

		if (len > b->size)
			continue;
		bench_say(b, k->name);
		va = memory(k, len, &map, &map_len);
		if (va == MAP_FAILED) {
			snprintf(why, sizeof(why), "%s",
				 *contig_reason_get() ? contig_reason_get() : strerror(errno));
			continue;
		}
		link_lines(va, len);
		ns = chase(va, b->quick ? HOPS / 10 : HOPS);
		munmap(map, map_len);
		plot_point(s, (double)len, ns);
		snprintf(texts[column], sizeof(texts[column]), "%.1f ns", ns);
		row[column] = emitter_is_json(b->e) ? value_nanoseconds((uint64_t)(ns + 0.5))
						    : value_text(texts[column]);
	}
	if (*why)
		row[N_COLUMNS - 1] = value_text(why);
	emitter_row(b->e, row);
}

int bench_tlb(struct bench *b)
{
	struct plot *plot = &b->plots[BENCH_PLOT_TLB];
	struct hugetlb_guard *g = contig_hugetlb_guard_start();

	snprintf(plot->title, sizeof(plot->title), "Pointer chase by page size");
	plot->x_title = "memory walked, one line in each KiB";
	plot->y_title = "time of a hop";
	plot->x_unit = PLOT_BYTES;
	plot->y_unit = PLOT_NANOSECONDS;
	emitter_line(b->e, "tlb: time of a hop in a chase of pointers through so much memory");
	emitter_table_begin(b->e, "tlb", columns, N_COLUMNS, false);
	for (size_t i = 0; i < KINDS; i++)
		kind_row(b, &kinds[i], g);
	emitter_table_end(b->e);
	contig_hugetlb_guard_stop(g);
	bench_say(b, NULL);
	return STATUS_YES;
}
