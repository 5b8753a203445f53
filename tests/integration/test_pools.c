/* SPDX-License-Identifier: BSD-2-Clause */
/* Pools: the trust boundary, their settings, their end; trim and reserve. */
#include "harness.h"
#include "hugepool.h"
#include "probe.h"

#include <contig.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#define ANY 0, ~(vm_paddr_t)0, 0, 0
#define POOLS_MADE 4
#define BLOCKS 40

static struct contig_pool_attr attributes(void)
{
	return (struct contig_pool_attr){.struct_size = sizeof(struct contig_pool_attr),
					 .node = -1};
}

static contig_pool_t *make(enum contig_pool_kind kind)
{
	struct contig_pool_attr attr = attributes();
	contig_pool_t *pool;

	attr.kind = kind;
	pool = contig_pool_create(&attr);
	require(pool, "%s", contig_strreason());
	return pool;
}

static struct contig_stats stats(void)
{
	struct contig_stats s = {.struct_size = sizeof(s)};

	contig_stats_get(&s);
	return s;
}

/* The part of an address that two blocks of a superpage share: by frame where
 * frames are seen, else by place. */
static uint64_t superpage_of(const void *va)
{
	uint64_t pa = probe_address(va);

	return (pa < ADDRESS_HIDDEN && contig_level() == CONTIG_LEVEL_PHYSICAL
		    ? pa
		    : (uintptr_t)va) /
	       SUPERPAGE;
}

static void boundary(void)
{
	contig_pool_t *pools[POOLS_MADE] = {NULL, make(CONTIG_POOL_DEFAULT),
					    make(CONTIG_POOL_PRIVATE),
					    make(CONTIG_POOL_PRIVATE)};
	uint64_t superpages[POOLS_MADE][2 * BLOCKS];
	char *blocks[POOLS_MADE][BLOCKS];

	for (unsigned int i = 0; i < BLOCKS; i++) {
		for (unsigned int p = 0; p < POOLS_MADE; p++) {
			size_t size = (1 + i % 30 * 3) * PAGE;

			blocks[p][i] = contig_pool_malloc(pools[p], size, M_TEMP,
							  i % 2 ? M_ZERO : 0, ANY);
			require(blocks[p][i], "pool %u: %s", p, contig_strreason());
			/* It may lie in two that are neighbours. */
			superpages[p][2 * i] = superpage_of(blocks[p][i]);
			superpages[p][2 * i + 1] = superpage_of(blocks[p][i] + size - 1);
			memset(blocks[p][i], (int)p + 1, size);
			/* Frees find their pool by themselves. */
			if (i % 4 == 3) {
				contig_free(blocks[p][i - 1]);
				blocks[p][i - 1] = NULL;
			}
		}
	}
	for (unsigned int p = 0; p < POOLS_MADE; p++)
		for (unsigned int q = 0; q < p; q++)
			for (unsigned int i = 0; i < 2 * BLOCKS; i++)
				for (unsigned int j = 0; j < 2 * BLOCKS; j++)
					require(superpages[p][i] != superpages[q][j],
						"pools %u and %u share a superpage", p,
						q);
	for (unsigned int p = 0; p < POOLS_MADE; p++) {
		for (unsigned int i = 0; i < BLOCKS; i++) {
			if (!blocks[p][i])
				continue;
			require(blocks[p][i][0] == (char)(p + 1), "content");
			require(contig_usable_size(blocks[p][i]) ==
				    (1 + i % 30 * 3) * PAGE,
				"size");
			contigfree(blocks[p][i], (1 + i % 30 * 3) * PAGE, M_TEMP);
		}
	}
	require(!stats().allocated, "%" PRIu64 " bytes allocated", stats().allocated);
	contig_trim();
	require(!stats().held, "%" PRIu64 " bytes held", stats().held);
	for (unsigned int p = 1; p < POOLS_MADE; p++)
		contig_pool_destroy(pools[p]);
}

/* What a default pool frees serves no other pool, cached or not. */
static void caches(void)
{
	contig_pool_t *pool = make(CONTIG_POOL_DEFAULT);
	uint64_t ours[64];
	void *va;

	for (unsigned int i = 0; i < 64; i++) {
		va = contigmalloc(PAGE, M_TEMP, 0, ANY);
		require(va, "%s", contig_strreason());
		ours[i] = superpage_of(va);
		contig_free(va);
		va = contig_pool_malloc(pool, PAGE, M_TEMP, 0, ANY);
		require(va, "%s", contig_strreason());
		for (unsigned int j = 0; j <= i; j++)
			require(superpage_of(va) != ours[j],
				"the default pool's superpage");
		if (i % 2)
			contig_free(va);
	}
	contig_pool_destroy(pool);
}

static void bad_attributes(struct contig_pool_attr *attr, const char *field)
{
	errno = 0;
	require(!contig_pool_create(attr) && errno == EINVAL, "%s: errno %d", field,
		errno);
	require(strstr(contig_strreason(), field), "'%s' doesn't name %s",
		contig_strreason(), field);
	*attr = attributes();
}

static void settings(void)
{
	struct contig_pool_attr attr = attributes();
	contig_pool_t *pool;
	unsigned int n = 0;
	void *va;

	attr.struct_size = 1;
	bad_attributes(&attr, "struct_size");
	attr.kind = (enum contig_pool_kind)7;
	bad_attributes(&attr, "kind");
	attr.fork = (enum contig_fork)7;
	bad_attributes(&attr, "fork");
	attr.sources = 64;
	bad_attributes(&attr, "sources");
	attr.node = 4711;
	bad_attributes(&attr, "node");
	attr.node = -2;
	bad_attributes(&attr, "node");
	/* A limit of the pool's own. */
	attr.limit = 6 * MIB;
	attr.name = "a name that is quite a bit longer than what fits";
	attr.node = 0;
	pool = contig_pool_create(&attr);
	require(pool, "%s", contig_strreason());
	while (contig_pool_malloc(pool, SUPERPAGE, M_TEMP, 0, 0, ~(vm_paddr_t)0,
				  SUPERPAGE, 0))
		n++;
	require(n == 3 && errno == ENOMEM, "%u superpages, errno %d", n, errno);
	require(stats().held == 6 * MIB, "%" PRIu64 " held", stats().held);
	va = contigmalloc(SUPERPAGE, M_TEMP, 0, 0, ~(vm_paddr_t)0, SUPERPAGE, 0);
	require(va, "the default pool has no limit: %s", contig_strreason());
	contig_free(va);
	contig_pool_destroy(pool);
	contig_pool_destroy(NULL);
}

static void sources(void)
{
	struct contig_pool_attr attr = attributes();
	contig_pool_t *pool;
	void *va;

	attr.sources = CONTIG_SOURCE_THP;
	pool = contig_pool_create(&attr);
	require(pool, "%s", contig_strreason());
	va = contig_pool_malloc(pool, PAGE, M_TEMP, 0, ANY);
	require(va, "%s", contig_strreason());
	require(stats().superpages_thp && !stats().superpages_2m, "not collapsed memory");
	contig_pool_destroy(pool);
	attr.sources = CONTIG_SOURCE_2M;
	pool = contig_pool_create(&attr);
	require(pool, "%s", contig_strreason());
	va = contig_pool_malloc(pool, PAGE, M_TEMP, 0, ANY);
	require(va, "%s", contig_strreason());
	require(!stats().superpages_thp && stats().superpages_2m, "not a hugetlb page");
	contig_pool_destroy(pool);
}

/* --- the end of a pool -------------------------------------------------- */

static void destroy_with_blocks(void *arg)
{
	contig_pool_t *pool = make(*(enum contig_pool_kind *)arg),
		      *other = make(CONTIG_POOL_DEFAULT);
	char *gone = contig_pool_malloc(pool, 100 * PAGE, M_TEMP, 0, ANY);
	char *kept = contigmalloc(100 * PAGE, M_TEMP, 0, ANY);
	char *others = contig_pool_malloc(other, 100 * PAGE, M_DEVBUF, 0, ANY);
	struct contig_type_stats type;
	pid_t child;

	require(gone && kept && others, "%s", contig_strreason());
	memset(kept, 1, 100 * PAGE);
	memset(others, 2, 100 * PAGE);
	contig_pool_destroy(pool);
	/* Gone from every account. */
	require(stats().allocated == 200 * PAGE, "%" PRIu64 " bytes allocated",
		stats().allocated);
	for (unsigned int i = 0; !contig_type_stats_get(i, &type); i++)
		require(type.inuse == 1 && type.memuse == 100 * PAGE,
			"%s: %" PRIu64 " %" PRIu64, type.name, type.inuse, type.memuse);
	require(!contig_usable_size(gone), "a size");
	require(contig_virt_to_phys(gone) == CONTIG_PADDR_NONE, "an address");
	require(contig_virt_to_phys_inline(gone) == CONTIG_PADDR_NONE,
		"an address, inline");
	fflush(NULL);
	child = fork();
	if (!child) {
		signal(SIGSEGV, SIG_DFL); /* a sanitizer has its own */
		*(volatile char *)gone = 1;
		_exit(0);
	}
	require(reap(child).signal == SIGSEGV, "the memory is still there");
	for (size_t i = 0; i < 100 * PAGE; i++)
		require(kept[i] == 1 && others[i] == 2, "byte %zu of another pool", i);
	contig_free(others);
	contig_pool_destroy(other);
	contig_free(kept);
	exit(0);
}

static void destroyed(void)
{
	static enum contig_pool_kind kinds[] = {CONTIG_POOL_DEFAULT, CONTIG_POOL_PRIVATE};
	static struct outcome out;

	for (size_t i = 0; i < 2; i++) {
		collect_child(destroy_with_blocks, &kinds[i], &out);
		require(!out.status, "status %d signal %d: %s%s", out.status, out.signal,
			out.out, out.err);
		require(lines(out.err) == 1 && strstr(out.err, "400 KiB"), "%u lines: %s",
			lines(out.err), out.err);
	}
}

static void made_and_destroyed(void)
{
	for (unsigned int i = 0; i < 100; i++) {
		contig_pool_t *pool =
		    make(i % 2 ? CONTIG_POOL_PRIVATE : CONTIG_POOL_DEFAULT);

		for (unsigned int j = 0; j < i % 4; j++) {
			char *va =
			    contig_pool_malloc(pool, (1 + i) * PAGE, M_TEMP, M_ZERO, ANY);

			require(va, "%s", contig_strreason());
			require(!va[0] && !va[PAGE - 1], "not zero");
			memset(va, 0xff, (1 + i) * PAGE);
			contig_free(va);
		}
		contig_pool_destroy(pool);
		require(!stats().held, "%" PRIu64 " bytes held", stats().held);
	}
}

static unsigned int panics;

static void on_panic(const char *message)
{
	panics += strstr(message, "contig_pool_destroy") != NULL;
}

/* --- trim --------------------------------------------------------------- */

static void trim(void)
{
	static char *blocks[64];
	uint64_t pa[64];
	size_t n = 0, returned;
	long before = hugepool_usable(POOL_2M);
	uint64_t held;

	for (; n < 64 && n < (size_t)before; n++) {
		blocks[n] =
		    contigmalloc(SUPERPAGE, M_TEMP, 0, 0, ~(vm_paddr_t)0, SUPERPAGE, 0);
		if (!blocks[n])
			break;
		pa[n] = probe_address(blocks[n]);
		memset(blocks[n], (int)n, SUPERPAGE);
	}
	require(n >= 16, "%s", contig_strreason());
	require(hugepool_usable_becomes(POOL_2M, before - (long)(stats().held / SUPERPAGE)),
		"usable %ld", hugepool_usable(POOL_2M));
	contig_trim();
	require(stats().held == n * SUPERPAGE, "%" PRIu64 " held for %zu", stats().held,
		n);
	require(!contig_trim(), "trimmed what is in use");
	/* Holes in the pinned segments: what stays is as it was. */
	for (size_t i = 0; i < n; i++)
		if (i % 3)
			contig_free(blocks[i]);
	held = stats().held;
	returned = contig_trim();
	require(held - stats().held == returned, "%zu returned, %" PRIu64 " less",
		returned, held - stats().held);
	require(returned == n * SUPERPAGE - (n + 2) / 3 * SUPERPAGE, "%zu returned",
		returned);
	require(hugepool_usable_becomes(POOL_2M, before - (long)(n + 2) / 3),
		"usable %ld", hugepool_usable(POOL_2M));
	for (size_t i = 0; i < n; i += 3) {
		struct contig_range_info info;

		require(contig_range_check(blocks[i], SUPERPAGE, &info) == 1, "%s",
			contig_strreason());
		require(info.wiring == CONTIG_WIRING_PINNED || !probe_sees(), "wiring %d",
			(int)info.wiring);
		require(probe_address(blocks[i]) == pa[i], "moved");
		for (size_t b = 0; b < SUPERPAGE; b += 511)
			require(blocks[i][b] == (char)i, "content of %zu", i);
	}
	if (probe_sees())
		require(!contig_verify(), "frames moved");
	/* Without privileges most is held by pipes, which don't count there. */
	if (!geteuid() && probe_status("VmPin") > 0)
		require(probe_status("VmPin") >= (long)(stats().pinned / 1024),
			"VmPin %ld kB of %" PRIu64, probe_status("VmPin"),
			stats().pinned / 1024);
	/* A page in use keeps its superpage, and that one only. */
	for (size_t i = 0; i < n; i += 3)
		contig_free(blocks[i]);
	blocks[0] = contigmalloc(PAGE, M_TEMP, 0, ANY);
	require(blocks[0], "%s", contig_strreason());
	contig_trim();
	require(stats().held == SUPERPAGE, "%" PRIu64 " held for a page", stats().held);
	contig_free(blocks[0]);
	require(contig_trim() == SUPERPAGE && !stats().held, "the last");
	require(hugepool_usable_becomes(POOL_2M, before), "usable %ld",
		hugepool_usable(POOL_2M));
}

/* --- reserve ------------------------------------------------------------ */

static void reserve(void)
{
	long before = hugepool_usable(POOL_2M);
	unsigned int n = 0;

	require(!contig_reserve(0), "nothing: %s", contig_strreason());
	contig_trim();
	require(!contig_reserve(9 * MIB), "%s", contig_strreason());
	require(stats().free >= 9 * MIB && stats().held <= 12 * MIB, "free %" PRIu64,
		stats().free);
	/* Enough is free: nothing more is taken. */
	require(!contig_reserve(9 * MIB) && stats().held <= 12 * MIB, "held %" PRIu64,
		stats().held);
	while (contigmalloc(MIB / 2, M_TEMP, M_NOWAIT, ANY))
		if (++n >= 18)
			break;
	require(n >= 18 - 1, "%u blocks of 512 KiB", n);
	/* More than there is: what could be taken is kept. */
	require(contig_reserve((size_t)(before + 40) * SUPERPAGE) == -1 &&
		    errno == ENOMEM,
		"errno %d", errno);
	require(*contig_strreason(), "no reason");
	require(stats().held > 12 * MIB && stats().held <= (uint64_t)before * SUPERPAGE,
		"held %" PRIu64, stats().held);
	require(contig_reserve(SIZE_MAX) == -1 && errno == ENOMEM, "errno %d", errno);
	require(contig_reserve(SIZE_MAX - 4095) == -1 && errno == ENOMEM, "errno %d",
		errno);
}

static void default_pool_stays(void)
{
	void *va = contigmalloc(PAGE, M_TEMP, 0, ANY);

	require(va, "%s", contig_strreason());
	contig_set_panic_handler(on_panic);
	/* A pointer that was never a pool's can't be told; the default pool has
	 * none. */
	contig_pool_destroy(NULL);
	require(!panics && contig_usable_size(va) == PAGE, "NULL destroyed something");
}

static const struct test_case cases[] = {
    {"boundary_pool", boundary, 60, 0, "CONTIG_SOURCES=2m"},
    {"boundary_collapsed", boundary, 0, CASE_MAY_TRY, "CONTIG_SOURCES=thp"},
    {"caches", caches, 16, CASE_MAY_TRY, NULL},
    {"settings_pool", settings, 24, 0, "CONTIG_SOURCES=2m"},
    {"settings_collapsed", settings, 0, CASE_MAY_TRY, "CONTIG_SOURCES=thp"},
    {"sources", sources, 8, 0, NULL},
    {"destroyed_pool", destroyed, 24, 0, "CONTIG_SOURCES=2m"},
    {"destroyed_collapsed", destroyed, 0, CASE_MAY_TRY, "CONTIG_SOURCES=thp"},
    {"made_and_destroyed_pool", made_and_destroyed, 24, 0, "CONTIG_SOURCES=2m"},
    {"made_and_destroyed_collapsed", made_and_destroyed, 0, CASE_MAY_TRY,
     "CONTIG_SOURCES=thp"},
    {"trim", trim, 100, 0, "CONTIG_SOURCES=2m"},
    {"reserve", reserve, 24, 0, "CONTIG_SOURCES=2m"},
    {"default_pool_stays", default_pool_stays, POOL_ANY, 0, NULL},
};

int main(int argc, char **argv)
{
	return RUN_CASES(cases, argc, argv);
}
