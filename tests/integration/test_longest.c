/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What can be had from the kernel's pools is had.  The test takes all free
 * superpages itself, reads their frames, and so knows the best that any
 * library could do; then it gives some or all back and asks.
 */
#include "harness.h"
#include "hugepool.h"
#include "probe.h"

#include <contig.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#define POOL 256
#define FIELD 64 /* superpages that random requests play with */
#define ROUNDS test_scaled(8, 2)

/* All superpages of the pool, in the test's own hands. */
struct taken {
	int fd;
	size_t n, size;
	struct page {
		uint64_t pa;
		size_t index;
		bool free; /* given back */
	} pages[2048];
};

static int by_address(const void *a, const void *b)
{
	const struct page *x = a, *y = b;

	return x->pa < y->pa ? -1 : x->pa > y->pa;
}

static void take_all(struct taken *t)
{
	char *p;

	t->n = (size_t)hugepool_usable(POOL_2M);
	require(t->n <= 2048, "%zu superpages", t->n);
	t->size = t->n * SUPERPAGE;
	t->fd = memfd_create("all", MFD_CLOEXEC | MFD_HUGETLB | 21U << 26);
	require(t->fd >= 0 && !ftruncate(t->fd, (off_t)(t->n * SUPERPAGE)), "memfd: %s",
		strerror(errno));
	p = mmap(NULL, t->n * SUPERPAGE, PROT_READ | PROT_WRITE, MAP_SHARED, t->fd, 0);
	require(p != MAP_FAILED, "mmap: %s", strerror(errno));
	require(!madvise(p, t->n * SUPERPAGE, MADV_POPULATE_WRITE), "populate: %s",
		strerror(errno));
	for (size_t i = 0; i < t->n; i++) {
		t->pages[i] = (struct page){probe_address(p + i * SUPERPAGE), i, false};
		require(t->pages[i].pa % SUPERPAGE == 0, "0x%" PRIx64, t->pages[i].pa);
	}
	munmap(p, t->n * SUPERPAGE);
	qsort(t->pages, t->n, sizeof(t->pages[0]), by_address);
}

/* All of the pool, but play with n pages only: neighbours where there are
 * such, so that there is something to find. */
static void take_field(struct taken *t, size_t n)
{
	size_t best = 0, first = 0;

	if (!hugepool_add_run())
		note("no 1 GiB page to demote: runs are as the kernel's pool has them");
	take_all(t);
	for (size_t i = 0, run = 0; i < t->n; i++) {
		run = i && t->pages[i].pa == t->pages[i - 1].pa + SUPERPAGE ? run + 1 : 1;
		if (run > best) {
			best = run;
			first = i + 1 - run;
		}
	}
	/* The middle of the run, and some other pages before it. */
	first += best > n ? (best - n) / 2 : 0;
	if (first + n > t->n)
		first = t->n > n ? t->n - n : 0;
	n = t->n < n ? t->n : n;
	memmove(t->pages, &t->pages[first], n * sizeof(t->pages[0]));
	t->n = n;
}

/* The end of a case: as many superpages as it began with, once the last of
 * what the library had pinned is back. */
static void close_field(struct taken *t, long usable)
{
	contig_trim();
	close(t->fd);
	require(hugepool_usable_becomes(POOL_2M, (long)(t->size / SUPERPAGE)),
		"%ld superpages usable", hugepool_usable(POOL_2M));
	require(hugepool_set_usable(POOL_2M, usable), "the pool doesn't shrink");
}

static void give_back(struct taken *t, size_t i)
{
	require(!fallocate(t->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			   (off_t)(t->pages[i].index * SUPERPAGE), (off_t)SUPERPAGE),
		"punch: %s", strerror(errno));
	t->pages[i].free = true;
}

/* Those given back are taken once more, wherever they land in the file. */
static void take_back(struct taken *t)
{
	char *p = mmap(NULL, t->size, PROT_READ | PROT_WRITE, MAP_SHARED, t->fd, 0);
	size_t n = 0;

	require(p != MAP_FAILED, "mmap: %s", strerror(errno));
	for (size_t i = 0; i < t->n; i++)
		if (t->pages[i].free)
			require(!madvise(p + t->pages[i].index * SUPERPAGE, SUPERPAGE,
					 MADV_POPULATE_WRITE),
				"populate: %s", strerror(errno));
	for (size_t i = 0; i < t->n; i++) {
		t->pages[i].pa = probe_address(p + t->pages[i].index * SUPERPAGE);
		n += t->pages[i].free;
		t->pages[i].free = false;
		/* Not part of our page tables, if it wasn't just touched. */
		if (t->pages[i].pa == ADDRESS_ABSENT) {
			require(p[t->pages[i].index * SUPERPAGE] == 0, "content");
			t->pages[i].pa = probe_address(p + t->pages[i].index * SUPERPAGE);
		}
	}
	munmap(p, t->size);
	qsort(t->pages, t->n, sizeof(t->pages[0]), by_address);
	require(n, "nothing was given back");
}

/* The longest run of superpages given back, in bytes. */
static size_t longest(const struct taken *t)
{
	size_t best = 0, run = 0;
	uint64_t next = 0;

	for (size_t i = 0; i < t->n; i++) {
		if (!t->pages[i].free)
			continue;
		run = t->pages[i].pa == next ? run + SUPERPAGE : SUPERPAGE;
		next = t->pages[i].pa + SUPERPAGE;
		best = run > best ? run : best;
	}
	return best;
}

struct request {
	size_t size;
	vm_paddr_t low, high;
	unsigned long alignment;
	vm_paddr_t boundary;
};

static bool meets(const struct request *r, uint64_t pa)
{
	return pa >= r->low && pa + r->size <= r->high && pa % r->alignment == 0 &&
	       !(r->boundary && ((pa ^ (pa + r->size - 1)) & -r->boundary));
}

/* Whether pages given back could meet a request; every start is tried. */
static bool feasible(const struct taken *t, const struct request *r)
{
	uint64_t start = 0, end = 0, step = PAGE;

	for (size_t i = 0; i <= t->n; i++) {
		if (i < t->n && !t->pages[i].free)
			continue;
		if (i < t->n && t->pages[i].pa == end) {
			end += SUPERPAGE;
			continue;
		}
		step = r->alignment > PAGE ? r->alignment : PAGE;
		for (uint64_t pa = (start + step - 1) / step * step; pa + r->size <= end;
		     pa += step)
			if (meets(r, pa))
				return true;
		if (i < t->n) {
			start = t->pages[i].pa;
			end = start + SUPERPAGE;
		}
	}
	return false;
}

static void settled(const struct taken *t)
{
	long n = 0;

	for (size_t i = 0; i < t->n; i++)
		n += t->pages[i].free;
	/* Pages that the library's pins held come back late. */
	require(hugepool_usable_becomes(POOL_2M, n),
		"%ld superpages given back, %ld usable", n, hugepool_usable(POOL_2M));
}

static void *ask(const struct request *r)
{
	return contigmalloc(r->size, M_DEVBUF, M_WAITOK, r->low, r->high, r->alignment,
			    r->boundary);
}

static void ask_for_longest(const struct taken *t)
{
	struct request r = {longest(t), 0, ~(vm_paddr_t)0, PAGE, 0};
	uint64_t pa;
	void *va;

	r.size += SUPERPAGE;
	va = ask(&r);
	require(!va, "%zu bytes, more than the longest run", r.size);
	require(errno == ENOMEM, "errno %d: %s", errno, contig_strreason());
	require(*contig_strreason(), "no reason");
	settled(t);
	r.size -= SUPERPAGE;
	va = ask(&r);
	require(va, "%zu MiB of %zu superpages refused: %s", r.size / MIB, t->n,
		contig_strreason());
	require(!probe_run(va, r.size, &pa), "not contiguous");
	memset(va, 0x77, r.size);
	require(!contig_verify(), "frames moved");
	contigfree(va, r.size, M_DEVBUF);
	contig_trim();
	settled(t);
}

static void whole_pool(void)
{
	static struct taken t;

	take_all(&t);
	for (size_t i = t.n; i > 0; i--)
		give_back(&t, i - 1);
	note("%zu superpages, longest run %zu MiB", t.n, longest(&t) / MIB);
	ask_for_longest(&t);
	close(t.fd);
}

/* The same with holes in the pool, so that there is something to find. */
static void holes(void)
{
	static struct taken t;
	long usable = hugepool_usable(POOL_2M);
	uint64_t state = test_seed();

	take_field(&t, POOL);
	for (unsigned int round = 0; round < ROUNDS; round++) {
		unsigned int part = 2 + (unsigned int)(probe_random(&state) % 12);

		/* In random order: the free list shall not help. */
		for (size_t i = t.n; i > 1; i--) {
			size_t j = probe_random(&state) % i;
			struct page swap = t.pages[i - 1];

			t.pages[i - 1] = t.pages[j];
			t.pages[j] = swap;
		}
		for (size_t i = 0; i < t.n; i++)
			if (probe_random(&state) % part)
				give_back(&t, i);
		qsort(t.pages, t.n, sizeof(t.pages[0]), by_address);
		ask_for_longest(&t);
		take_back(&t);
	}
	close_field(&t, usable);
}

static struct request random_request(const struct taken *t, uint64_t *state)
{
	struct request r = {0, 0, ~(vm_paddr_t)0, PAGE, 0};
	size_t most = longest(t) / PAGE;
	uint64_t a =
	    t->pages[probe_random(state) % t->n].pa + probe_random(state) % SUPERPAGE;
	uint64_t b =
	    t->pages[probe_random(state) % t->n].pa + probe_random(state) % SUPERPAGE;

	r.size = (1 + probe_random(state) % (most + most / 8)) * PAGE;
	if (probe_random(state) % 2)
		r.alignment = PAGE << probe_random(state) % 14;
	if (probe_random(state) % 3 == 0)
		for (r.boundary = PAGE; r.boundary < r.size || probe_random(state) % 2;)
			r.boundary <<= 1;
	if (probe_random(state) % 2) {
		r.low = a < b ? a : b;
		r.high = a < b ? b : a;
		r.high += r.size * (probe_random(state) % 2);
	}
	return r;
}

/* Superpages here and there go to the library, which keeps them free. */
static void hold_some(const struct taken *t, uint64_t *state)
{
	void *blocks[8] = {NULL};

	for (unsigned int i = 0; i < 8; i++) {
		const struct page *page = &t->pages[probe_random(state) % t->n];

		if (page->free)
			blocks[i] = contigmalloc(SUPERPAGE, M_DEVBUF, 0, page->pa,
						 page->pa + SUPERPAGE, 0, 0);
	}
	for (unsigned int i = 0; i < 8; i++)
		contig_free(blocks[i]);
}

/* Any request is met exactly when a full search of the pool says so, whether
 * the library holds a part of it already or not. */
static void any_request(bool holds)
{
	uint64_t state = test_seed() + 7;
	unsigned int met = 0, refused = 0;
	long usable = hugepool_usable(POOL_2M);
	static struct taken t;

	take_field(&t, FIELD);
	for (size_t i = 0; i < t.n; i++)
		if (probe_random(&state) % 8)
			give_back(&t, i);
	for (unsigned int i = 0; i < test_scaled(36, 20); i++) {
		struct request r = random_request(&t, &state);
		bool can = feasible(&t, &r);
		uint64_t pa = 0;
		char *va;

		settled(&t);
		if (holds)
			hold_some(&t, &state);
		va = ask(&r);
		require(!va || can, "met, but the search says it can't be");
		require(
		    va || !can,
		    "size 0x%zx low 0x%" PRIx64 " high 0x%" PRIx64
		    " alignment 0x%lx boundary 0x%" PRIx64 " refused, but can be met: %s",
		    r.size, r.low, r.high, r.alignment, r.boundary, contig_strreason());
		if (!va) {
			require(errno == ENOMEM || errno == ERANGE, "errno %d", errno);
			refused++;
			contig_trim();
			continue;
		}
		met++;
		require(!probe_run(va, r.size, &pa) && meets(&r, pa), "0x%" PRIx64, pa);
		contig_free(va);
		contig_trim();
	}
	note("%u met, %u refused", met, refused);
	require(met > 3 && refused > 3, "too one-sided");
	close_field(&t, usable);
}

static void any_request_from_nothing(void)
{
	any_request(false);
}

static void any_request_with_some(void)
{
	any_request(true);
}

/* --- 1 GiB pages -------------------------------------------------------- */

static void all_as_before(const struct pool_state *before)
{
	for (int pool = 0; pool < POOLS; pool++)
		require(hugepool_becomes(pool, &before[pool]), "a pool was left changed");
}

/* What a grown pool of 2 MiB pages surely yields: the test grows it itself by
 * an eighth of what is available, half of what the library may. */
static size_t run_of_grown(void)
{
	static struct taken t;
	long usable = hugepool_usable(POOL_2M);
	size_t best;

	probe_write("/proc/sys/vm/compact_memory", 1);
	require(hugepool_set_usable(POOL_2M,
				    usable + probe_meminfo("MemAvailable") / 8 / 2048),
		"the pool doesn't grow");
	take_all(&t);
	for (size_t i = t.n; i > 0; i--)
		give_back(&t, i - 1);
	best = longest(&t);
	close(t.fd);
	require(hugepool_set_usable(POOL_2M, usable), "the pool doesn't shrink");
	return best;
}

/* CONTIG_GROW=system with nothing in the pools. */
static void grown(void)
{
	struct pool_state before[POOLS];
	long giga = hugepool_value(POOL_1G, "nr_hugepages");
	size_t size = 512 * MIB;
	uint64_t pa = 0;
	char *va;

	/* A small machine, or a fragmented one, has no 1 GiB page to demote. */
	if (probe_meminfo("MemAvailable") / 4 < 1 << 20 || giga < 0 ||
	    !hugepool_set_usable(POOL_1G, hugepool_usable(POOL_1G) + 1))
		size = run_of_grown() / 2;
	else
		require(hugepool_set_usable(POOL_1G, hugepool_usable(POOL_1G) - 1), "1 GiB");
	for (int pool = 0; pool < POOLS; pool++)
		hugepool_read(pool, &before[pool]);
	note("%zu MiB", size / MIB);
	require(size >= 4 * MIB, "the test asks for next to nothing");
	va = contigmalloc(size, M_DEVBUF, M_WAITOK, 0, ~(vm_paddr_t)0, 0, 0);
	require(va, "%zu MiB: %s", size / MIB, contig_strreason());
	require(!probe_run(va, size, &pa), "not contiguous");
	memset(va, 0x3c, size);
	/* The settings are back while the memory is in use: it is surplus. */
	for (int pool = 0; pool < POOLS; pool++) {
		struct pool_state now;

		hugepool_read(pool, &now);
		require(now.nr - now.surplus == before[pool].nr - before[pool].surplus &&
			    now.overcommit == before[pool].overcommit,
			"pool %d: nr %ld surplus %ld overcommit %ld", pool, now.nr,
			now.surplus, now.overcommit);
	}
	contig_free(va);
	require(contig_trim() >= size, "trim");
	all_as_before(before);
}

static void from_gigapage(void)
{
	struct pool_state before[POOLS];
	struct contig_stats stats = {.struct_size = sizeof(stats)};
	uint64_t pa = 0;
	char *va;

	long giga = hugepool_usable(POOL_1G);

	if (!hugepool_set_usable(POOL_1G, giga + 1))
		leave_out("no 1 GiB page to be had");
	for (int pool = 0; pool < POOLS; pool++)
		hugepool_read(pool, &before[pool]);
	/* A small request must not take and zero a 1 GiB page. */
	va = contigmalloc(PAGE, M_DEVBUF, M_WAITOK, 0, ~(vm_paddr_t)0, 0, 0);
	require(va, "%s", contig_strreason());
	contig_stats_get(&stats);
	require(!stats.superpages_1g, "a page took a gigapage");
	contig_free(va);
	contig_trim();
	va = contigmalloc(GIB, M_DEVBUF, M_WAITOK, 0, ~(vm_paddr_t)0, GIB, GIB);
	require(va, "1 GiB: %s", contig_strreason());
	require(!probe_run(va, GIB, &pa) && pa % GIB == 0, "0x%" PRIx64, pa);
	contig_stats_get(&stats);
	require(stats.superpages_1g == 1 && stats.held == GIB, "%" PRIu64 " gigapages",
		stats.superpages_1g);
	va[0] = va[GIB - 1] = 1;
	if (!giga)
		require(!contigmalloc(GIB + PAGE, M_DEVBUF, M_WAITOK, 0, ~(vm_paddr_t)0,
				      0, 0) &&
			    (errno == ENOMEM || errno == ERANGE),
			"errno %d", errno);
	contig_free(va);
	require(contig_trim() == GIB, "trim");
	all_as_before(before);
	require(hugepool_set_usable(POOL_1G, giga), "the 1 GiB page doesn't go");
}

static void grown_gigapage(void)
{
	struct pool_state before[POOLS];
	uint64_t pa = 0;
	char *va;

	if (hugepool_value(POOL_1G, "nr_hugepages") < 0)
		skip("no 1 GiB pages on this machine");
	for (int pool = 0; pool < POOLS; pool++)
		hugepool_read(pool, &before[pool]);
	/* A fragmented machine has none to give. */
	if (!hugepool_set_usable(POOL_1G, 1) || !hugepool_set_usable(POOL_1G, 0))
		leave_out("the kernel has no 1 GiB page to give");
	va = contigmalloc(GIB, M_DEVBUF, M_WAITOK, 0, ~(vm_paddr_t)0, 0, 0);
	require(va, "1 GiB: %s", contig_strreason());
	require(!probe_run(va, GIB, &pa), "not contiguous");
	contig_free(va);
	contig_trim();
	all_as_before(before);
}

static const struct test_case cases[] = {
    {"whole_pool", whole_pool, POOL, CASE_SEES | CASE_SLOW, "CONTIG_SOURCES=2m"},
    {"holes", holes, 16, CASE_SEES | CASE_SLOW, "CONTIG_SOURCES=2m"},
    {"any_request", any_request_from_nothing, 16, CASE_SEES | CASE_SLOW,
     "CONTIG_SOURCES=2m"},
    {"any_request_with_some", any_request_with_some, 16, CASE_SEES | CASE_SLOW,
     "CONTIG_SOURCES=2m"},
    {"grown", grown, 0, CASE_ROOT | CASE_SEES, "CONTIG_GROW=system CONTIG_SOURCES=1g,2m"},
    {"from_gigapage", from_gigapage, 4, CASE_ROOT | CASE_SEES, "CONTIG_SOURCES=1g,2m"},
    {"grown_gigapage", grown_gigapage, 0, CASE_ROOT | CASE_SEES,
     "CONTIG_GROW=system CONTIG_SOURCES=1g"},
};

int main(int argc, char **argv)
{
	return RUN_CASES(cases, argc, argv);
}
