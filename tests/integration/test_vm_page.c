/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pages and objects: every promise of vm_page_alloc(3) and vm_object(3), with
 * frames read from pagemap by the test itself.
 */
#include "harness.h"
#include "hugepool.h"
#include "probe.h"

#include <contig.h>
#include <contig/vm_object.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#define ANY 0, ~(vm_paddr_t)0, 0, 0
#define NORMAL VM_ALLOC_NORMAL

static vm_object_t object_of(vm_pindex_t size)
{
	vm_object_t object = vm_object_allocate(OBJT_DEFAULT, size);

	require(object, "%s", contig_strreason());
	return object;
}

static contig_pool_t *pool_of(uint64_t limit, unsigned int sources)
{
	struct contig_pool_attr attr = {.struct_size = sizeof(attr), .node = -1};
	contig_pool_t *pool;

	attr.limit = limit;
	attr.sources = sources;
	pool = contig_pool_create(&attr);
	require(pool, "%s", contig_strreason());
	return pool;
}

static struct contig_watermarks marks(contig_pool_t *pool)
{
	struct contig_watermarks w;

	contig_watermarks_get(pool, &w);
	return w;
}

/* Whether a page is where it says it is, by our own pagemap. */
static void true_frame(vm_page_t m)
{
	uint64_t pa = VM_PAGE_TO_PHYS(m);
	void *va = vm_page_address(m);

	require(vm_page_of_address(va) == m && vm_page_of_address((char *)va + 4095) == m,
		"vm_page_of_address");
	if (contig_level() != CONTIG_LEVEL_PHYSICAL) {
		if (contig_level() == CONTIG_LEVEL_HIDDEN)
			require(pa == CONTIG_PADDR_NONE, "an address where frames are hidden");
		return;
	}
	*(volatile char *)va = 1;
	require(pa == probe_address(va), "0x%" PRIx64 " told, 0x%" PRIx64 " read", pa,
		probe_address(va));
	require(PHYS_TO_VM_PAGE(pa) == m && PHYS_TO_VM_PAGE(pa + 4095) == m, "PHYS_TO_VM_PAGE");
}

static void one_page(void)
{
	vm_object_t object;
	vm_page_t m;
	void *block;

	/* The first thing that this process does with the library. */
	require(!PHYS_TO_VM_PAGE(1 << 20) && !vm_page_of_address(&object), "before the start");
	object = object_of(10);
	VM_OBJECT_WLOCK(object);
	m = vm_page_alloc(object, 3, NORMAL);
	require(m, "%s", contig_strreason());
	true_frame(m);
	require(m->object == object && m->pindex == 3, "inserted elsewhere");
	require(vm_page_xbusied(m) && vm_page_busied(m) && !vm_page_sbusied(m), "not xbusy");
	require(!vm_page_wired(m), "wired");
	require(vm_page_lookup(object, 3) == m && !vm_page_lookup(object, 4), "lookup");
	require(vm_object_resident_page_count(object) == 1, "resident");
	memset(vm_page_address(m), 0xab, PAGE);
	vm_page_xunbusy(m);
	vm_page_free(m);
	require(!vm_page_lookup(object, 3), "still there");
	require(vm_object_resident_page_count(object) == 0, "resident");
	VM_OBJECT_WUNLOCK(object);
	vm_object_deallocate(object);
	require(PHYS_TO_VM_PAGE(~(vm_paddr_t)0) == NULL, "a page beyond all memory");
	block = contigmalloc(8 * PAGE, M_TEMP, 0, ANY);
	require(block, "%s", contig_strreason());
	require(vm_page_address(vm_page_of_address((char *)block + 3 * PAGE + 5)) ==
			(char *)block + 3 * PAGE,
		"inside a block");
	contig_free(block);
}

static void request_flags(void)
{
	vm_object_t object = object_of(100);
	vm_page_t m;

	VM_OBJECT_WLOCK(object);
	m = vm_page_alloc(object, 0, NORMAL | VM_ALLOC_NOBUSY);
	require(m && !vm_page_busied(m), "NOBUSY");
	m = vm_page_alloc(object, 1, NORMAL | VM_ALLOC_SBUSY);
	require(m && vm_page_sbusied(m) && !vm_page_xbusied(m), "SBUSY");
	vm_page_sunbusy(m);
	require(!vm_page_busied(m), "one sharer");
	m = vm_page_alloc(object, 2, NORMAL | VM_ALLOC_WIRED | VM_ALLOC_COUNT(9));
	require(m && vm_page_wired(m), "WIRED");
	require(vm_page_unwire_noq(m) && !vm_page_wired(m), "wired more than once");
	m = vm_page_alloc(object, 3, VM_ALLOC_SYSTEM);
	require(m, "SYSTEM: %s", contig_strreason());
	m = vm_page_alloc(object, 4, VM_ALLOC_INTERRUPT);
	require(m, "INTERRUPT: %s", contig_strreason());
	m = vm_page_alloc(object, 5, NORMAL | VM_ALLOC_NOOBJ);
	require(m && !m->object && !vm_page_lookup(object, 5), "NOOBJ");
	vm_page_free(m);
	m = vm_page_alloc(NULL, 77, NORMAL | VM_ALLOC_NOOBJ | VM_ALLOC_NOBUSY);
	require(m && !m->object && !vm_page_busied(m), "NOOBJ without an object");
	vm_page_free(m);
	m = vm_page_alloc(object, 6, NORMAL | VM_ALLOC_NODUMP);
	require(m, "NODUMP: %s", contig_strreason());
	/* The pool's pages may all be of another one so far. */
	m = vm_page_alloc_domain(object, 7, 0, NORMAL | VM_ALLOC_WAITOK);
	require(m, "domain 0: %s", contig_strreason());
	require(!vm_page_alloc_domain(object, 8, 4711, NORMAL) && errno == EINVAL, "domain 4711");
	require(!vm_page_alloc_domain(object, 8, -1, NORMAL) && errno == EINVAL, "domain -1");
	m = vm_page_alloc_noobj_domain(0, NORMAL | VM_ALLOC_ZERO);
	require(m && !m->object && !vm_page_busied(m), "noobj, domain 0");
	vm_page_free(m);
	VM_OBJECT_WUNLOCK(object);
	vm_object_deallocate(object);
}

/* PG_ZERO never lies, and the forms without an object always keep it. */
static void zero(void)
{
	static const char nought[4096];
	vm_object_t object = object_of(4000);
	unsigned int told = 0;

	VM_OBJECT_WLOCK(object);
	for (int round = 0; round < 3; round++) {
		for (vm_pindex_t i = 0; i < 300; i++) {
			vm_page_t m = vm_page_alloc(object, i,
						    NORMAL | VM_ALLOC_ZERO | VM_ALLOC_NOBUSY);

			require(m, "%s", contig_strreason());
			if (m->flags & PG_ZERO) {
				told++;
				require(!memcmp(vm_page_address(m), nought, PAGE),
					"PG_ZERO, round %d, page %d", round, (int)i);
			}
			memset(vm_page_address(m), 0x5a, PAGE);
		}
		vm_object_page_remove(object, 0, 0, 0);
	}
	require(told, "fresh memory, and no page known to be zero");
	VM_OBJECT_WUNLOCK(object);
	vm_object_deallocate(object);
	for (int i = 0; i < 2000; i++) {
		vm_page_t m = vm_page_alloc_noobj(NORMAL | VM_ALLOC_ZERO);

		require(m, "%s", contig_strreason());
		require(m->flags & PG_ZERO && !memcmp(vm_page_address(m), nought, PAGE),
			"a page that isn't zero, %d", i);
		memset(vm_page_address(m), 0x5a, PAGE);
		vm_page_free(m);
	}
}

/* --- watermarks --------------------------------------------------------- */

#define POOL_PAGES (8 * MIB / PAGE)

/* Take pages until only so many are free. */
static void leave(contig_pool_t *pool, uint64_t free)
{
	while (marks(pool).free_count > free)
		require(contig_pool_page_alloc(pool, VM_ALLOC_INTERRUPT, 1, ANY),
			"%" PRIu64 " free: %s", marks(pool).free_count, contig_strreason());
	require(marks(pool).free_count == free, "%" PRIu64 " free", marks(pool).free_count);
}

static void floor_of(contig_pool_t *pool, int class, uint64_t floor)
{
	vm_object_t object = contig_object_allocate(pool, 10);
	vm_page_t m;

	require(object, "%s", contig_strreason());
	VM_OBJECT_WLOCK(object);
	/* One above the floor: yes, once. */
	leave(pool, floor + 1);
	m = vm_page_alloc(object, 1, class);
	require(m, "class %d, floor %" PRIu64 ": %s", class, floor, contig_strreason());
	require(marks(pool).free_count == floor, "%" PRIu64 " free", marks(pool).free_count);
	/* At the floor: no. */
	errno = 0;
	require(!vm_page_alloc(object, 2, class) && errno == ENOMEM, "class %d below %" PRIu64
		", errno %d", class, floor, errno);
	require(strstr(contig_strreason(), "vm_wait"), "'%s'", contig_strreason());
	/* One back: yes again. */
	vm_page_free(m);
	m = vm_page_alloc(object, 2, class);
	require(m, "class %d again: %s", class, contig_strreason());
	/* n pages: floor + n. */
	vm_page_free(m);
	require(!contig_pool_page_alloc(pool, class, 2, ANY), "two pages where one may go");
	VM_OBJECT_WUNLOCK(object);
	vm_object_deallocate(object);
}

static void floors(contig_pool_t *pool)
{
	struct contig_watermarks w = marks(pool);

	floor_of(pool, VM_ALLOC_NORMAL, w.free_reserved);
	floor_of(pool, VM_ALLOC_SYSTEM, w.interrupt_free_min);
	floor_of(pool, VM_ALLOC_INTERRUPT, 0);
	require(marks(pool).free_count == 1, "%" PRIu64 " free", marks(pool).free_count);
	leave(pool, 0);
	require(!contig_pool_page_alloc(pool, VM_ALLOC_INTERRUPT, 1, ANY), "from nothing");
}

static void watermarks(void)
{
	contig_pool_t *pool = pool_of(8 * MIB, CONTIG_SOURCE_THP);
	struct contig_watermarks w;
	vm_object_t object;

	w = marks(pool);
	require(!w.page_count && !w.free_count && w.interrupt_free_min == 2 &&
			w.pageout_free_min == 34 && w.free_reserved == 8 + 34,
		"empty: %" PRIu64 " %" PRIu64 " %" PRIu64, w.interrupt_free_min,
		w.pageout_free_min, w.free_reserved);
	object = contig_object_allocate(pool, 1);
	require(object, "%s", contig_strreason());
	w = marks(pool);
	require(w.page_count >= 512 && w.page_count == w.free_count, "an object's pool is empty");
	/* Everything it may have, for the large parameters. */
	while (marks(pool).page_count < POOL_PAGES) {
		leave(pool, marks(pool).free_reserved);
		require(!vm_wait(object), "%s", contig_strreason());
		require(marks(pool).free_count > marks(pool).free_reserved, "vm_wait");
	}
	w = marks(pool);
	require(w.free_reserved == 32 + 34 + POOL_PAGES / 768, "%" PRIu64 " reserved",
		w.free_reserved);
	floors(pool);
	require(vm_wait(object) == -1 && errno == ENOMEM, "vm_wait in a full pool");
	vm_object_deallocate(object);
	contig_pool_destroy(pool);
}

/* The same in the default pool, whose free pages lie in caches as well. */
static vm_page_t *cached_pages;

static void *cache_some(void *arg)
{
	(void)arg;
	for (int i = 0; i < 60; i++) {
		cached_pages[i] = vm_page_alloc_noobj(NORMAL);
		require(cached_pages[i], "%s", contig_strreason());
	}
	for (int i = 0; i < 60; i++)
		vm_page_free(cached_pages[i]);
	pthread_barrier_wait(arg);
	pthread_barrier_wait(arg);
	return NULL;
}

static void default_floors(void)
{
	static vm_page_t pages[64];
	pthread_barrier_t barrier;
	pthread_t thread;
	vm_object_t object = object_of(1);
	uint64_t before;

	cached_pages = pages;
	require(marks(NULL).page_count == 512, "%" PRIu64 " pages: CONTIG_LIMIT?",
		marks(NULL).page_count);
	before = marks(NULL).free_count;
	pthread_barrier_init(&barrier, NULL, 2);
	pthread_create(&thread, NULL, cache_some, &barrier);
	pthread_barrier_wait(&barrier);
	require(marks(NULL).free_count == before, "pages in a cache are not counted");
	floors(NULL);
	pthread_barrier_wait(&barrier);
	pthread_join(thread, NULL);
	vm_object_deallocate(object);
}

/* They follow the pool: from 2000 pages on, and by one for each 768. */
static void growing(void)
{
	uint64_t pages;

	do {
		require(!contig_reserve((size_t)marks(NULL).free_count * PAGE + PAGE), "%s",
			contig_strreason());
		pages = marks(NULL).page_count;
		require(marks(NULL).free_reserved == (pages < 2000 ? 8u : 32u) + 34 + pages / 768,
			"%" PRIu64 " reserved of %" PRIu64, marks(NULL).free_reserved, pages);
	} while (pages < 20000);
	contig_trim();
	require(marks(NULL).free_reserved == 42, "%" PRIu64 " after a trim",
		marks(NULL).free_reserved);
}

/* --- contiguous --------------------------------------------------------- */

static void check_run(vm_page_t m, unsigned long npages, vm_paddr_t low, vm_paddr_t high,
		      unsigned long alignment, vm_paddr_t boundary)
{
	uint64_t pa = VM_PAGE_TO_PHYS(m), first;

	require(pa >= low && pa + npages * PAGE <= high, "0x%" PRIx64 " outside", pa);
	require(!alignment || !(pa & (alignment - 1)), "0x%" PRIx64 " not aligned", pa);
	require(!boundary || !((pa ^ (pa + npages * PAGE - 1)) & -boundary), "0x%" PRIx64
		" crosses", pa);
	memset(vm_page_address(m), 7, npages * PAGE);
	if (contig_level() == CONTIG_LEVEL_PHYSICAL)
		require(!probe_run(vm_page_address(m), npages * PAGE, &first) && first == pa,
			"pagemap says otherwise");
}

static void contiguous(void)
{
	vm_object_t object = object_of(1000000);
	uint64_t seed = test_seed();
	vm_paddr_t low, high;
	vm_page_t m;

	VM_OBJECT_WLOCK(object);
	m = vm_page_alloc_contig(object, 100, NORMAL | VM_ALLOC_WIRED, 16, 0, ~(vm_paddr_t)0,
				 16 * PAGE, 32 * PAGE, VM_MEMATTR_DEFAULT);
	require(m, "%s", contig_strreason());
	check_run(m, 16, 0, ~(vm_paddr_t)0, 16 * PAGE, 32 * PAGE);
	for (unsigned int i = 0; i < 16; i++) {
		require(vm_page_lookup(object, 100 + i) == m + i && (m + i)->pindex == 100 + i,
			"page %u", i);
		require(vm_page_xbusied(m + i) && vm_page_wired(m + i), "state of page %u", i);
	}
	/* Each is freed on its own, the middle first. */
	for (unsigned int i = 0; i < 16; i++) {
		vm_page_unwire(m + (i * 7 & 15), PQ_NONE);
		vm_page_free(m + (i * 7 & 15));
	}
	require(!vm_object_resident_page_count(object), "pages left");
	/* A window of one superpage that we hold. */
	m = vm_page_alloc(object, 0, NORMAL);
	low = VM_PAGE_TO_PHYS(m) & ~(vm_paddr_t)(SUPERPAGE - 1);
	high = low + SUPERPAGE;
	for (int i = 0; i < 500; i++) {
		unsigned long npages = 1 + probe_random(&seed) % 40;
		unsigned long alignment = PAGE << probe_random(&seed) % 6;
		vm_paddr_t boundary = PAGE * 64 << probe_random(&seed) % 3;
		vm_page_t run = vm_page_alloc_contig(object, 1000 + 50 * (vm_pindex_t)i, NORMAL,
						     npages, low, high, alignment, boundary, 0);

		require(run, "%lu pages: %s", npages, contig_strreason());
		check_run(run, npages, low, high, alignment, boundary);
		for (unsigned long j = 0; j < npages; j++)
			vm_page_xunbusy(run + j);
		if (i % 8 == 7)
			vm_object_page_remove(object, 1000, 0, 0);
	}
	require(!vm_page_alloc_contig(object, 1, NORMAL, 2, 0, ~(vm_paddr_t)0, 0, PAGE, 0) &&
			errno == ERANGE, "a boundary below the size: %d", errno);
	require(!vm_page_alloc_contig(object, 1, NORMAL, 2, PAGE, PAGE, 0, 0, 0) &&
			errno == ERANGE, "an empty window: %d", errno);
	VM_OBJECT_WUNLOCK(object);
	m = vm_page_alloc_noobj_contig(NORMAL | VM_ALLOC_ZERO, 30, ANY, 0);
	require(m && !vm_page_busied(m + 29) && (m + 29)->flags & PG_ZERO, "noobj");
	for (size_t i = 0; i < 30 * PAGE; i++)
		require(!((char *)vm_page_address(m))[i], "byte %zu", i);
	for (int i = 0; i < 30; i++)
		vm_page_free(m + i);
	vm_object_deallocate(object);
}

static void reclaim_contig(void)
{
	vm_page_t m;

	require(vm_page_reclaim_contig(NORMAL, 256, 0, ~(vm_paddr_t)0, 256 * PAGE, 0), "%s",
		contig_strreason());
	m = vm_page_alloc_noobj_contig(NORMAL, 256, 0, ~(vm_paddr_t)0, 256 * PAGE, 0, 0);
	require(m, "%s", contig_strreason());
	for (int i = 0; i < 256; i++)
		vm_page_free(m + i);
	require(!vm_page_reclaim_contig(NORMAL, 2, 0, ~(vm_paddr_t)0, 0, PAGE), "the impossible");
}

/* --- busy, wired, let go of --------------------------------------------- */

static void busy_states(void)
{
	vm_object_t object = object_of(1);
	vm_page_t m;

	VM_OBJECT_WLOCK(object);
	m = vm_page_alloc(object, 0, NORMAL);
	require(!vm_page_tryxbusy(m) && !vm_page_trysbusy(m), "xbusy twice");
	vm_page_busy_downgrade(m);
	require(vm_page_sbusied(m) && !vm_page_xbusied(m), "downgrade");
	require(vm_page_trysbusy(m) && !vm_page_tryxbusy(m), "a second sharer");
	require(!vm_page_tryupgrade(m), "an upgrade of two sharers");
	vm_page_sunbusy(m);
	require(vm_page_tryupgrade(m) && vm_page_xbusied(m), "an upgrade of one");
	vm_page_xunbusy(m);
	require(!vm_page_busied(m), "busy");
	require(vm_page_busy_acquire(m, VM_ALLOC_SBUSY), "acquire shared");
	require(vm_page_busy_acquire(m, VM_ALLOC_SBUSY | VM_ALLOC_NOWAIT), "acquire shared");
	require(!vm_page_busy_acquire(m, VM_ALLOC_NOWAIT), "acquire exclusive");
	vm_page_sunbusy(m);
	vm_page_sunbusy(m);
	vm_page_free(m);
	VM_OBJECT_WUNLOCK(object);
	vm_object_deallocate(object);
}

struct contest {
	vm_page_t m;
	uint64_t inside, shared, turns;
};

static void *contend(void *arg)
{
	struct contest *contest = arg;
	uint64_t seed = (uintptr_t)&seed;

	for (int i = 0; i < 20000; i++) {
		if (probe_random(&seed) % 3) {
			vm_page_sbusy(contest->m);
			__atomic_fetch_add(&contest->shared, 1, __ATOMIC_SEQ_CST);
			require(!__atomic_load_n(&contest->inside, __ATOMIC_SEQ_CST),
				"shared beside exclusive");
			__atomic_fetch_sub(&contest->shared, 1, __ATOMIC_SEQ_CST);
			vm_page_sunbusy(contest->m);
			continue;
		}
		vm_page_xbusy(contest->m);
		require(!__atomic_exchange_n(&contest->inside, 1, __ATOMIC_SEQ_CST) &&
				!__atomic_load_n(&contest->shared, __ATOMIC_SEQ_CST),
			"not alone");
		contest->turns++;
		__atomic_store_n(&contest->inside, 0, __ATOMIC_SEQ_CST);
		vm_page_xunbusy(contest->m);
	}
	return NULL;
}

static void busy_threads(void)
{
	struct contest contest = {.m = vm_page_alloc_noobj(NORMAL)};
	pthread_t threads[4];

	require(contest.m, "%s", contig_strreason());
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, contend, &contest);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	require(contest.turns && !vm_page_busied(contest.m), "turns %" PRIu64, contest.turns);
	vm_page_free(contest.m);
}

/* A page that is freed under one who sleeps for it: told, if it is seen, and
 * in no case a free page that is busied, or a sleep for ever. */
static void note_panic(const char *message)
{
	require(strstr(message, "vm_page_xbusy"), "'%s'", message);
}

static void *busy_late(void *arg)
{
	vm_page_xbusy(arg);
	return NULL;
}

static void busy_freed(void)
{
	uint64_t before = marks(NULL).free_count;
	vm_page_t m;

	contig_set_panic_handler(note_panic);
	for (unsigned int i = 0; i < 40; i++) {
		pthread_t thread;

		while (!(m = vm_page_alloc_noobj(NORMAL)))
			require(!vm_wait(NULL), "%s", contig_strreason());
		if (!i)
			before = marks(NULL).free_count + 1;
		vm_page_xbusy(m);
		pthread_create(&thread, NULL, busy_late, m);
		probe_sleep_ms(i % 4 * 5);
		vm_page_free(m);
		pthread_join(thread, NULL);
		contig_trim(); /* what is cached goes back, as long as it says it is */
		require(marks(NULL).free_count == marks(NULL).page_count &&
				marks(NULL).page_count <= before,
			"%" PRIu64 " free of %" PRIu64, marks(NULL).free_count,
			marks(NULL).page_count);
	}
}

static vm_object_t shared_object;

static void *grab_late(void *arg)
{
	vm_page_t m;

	(void)arg;
	VM_OBJECT_WLOCK(shared_object);
	m = vm_page_grab(shared_object, 5, NORMAL);
	VM_OBJECT_WUNLOCK(shared_object);
	return m;
}

static void grab(void)
{
	static const char nought[4096];
	vm_object_t object = shared_object = object_of(100);
	pthread_t thread;
	vm_page_t m, n;
	void *got;

	VM_OBJECT_WLOCK(object);
	require(!vm_page_grab(object, 1, NORMAL | VM_ALLOC_NOCREAT) && errno == ENOENT, "NOCREAT");
	m = vm_page_grab(object, 1, NORMAL | VM_ALLOC_ZERO);
	require(m && m->pindex == 1 && vm_page_xbusied(m), "%s", contig_strreason());
	require(!memcmp(vm_page_address(m), nought, PAGE), "not zero");
	require(!vm_page_grab(object, 1, NORMAL | VM_ALLOC_NOWAIT), "busy");
	vm_page_xunbusy(m);
	n = vm_page_grab(object, 1, NORMAL | VM_ALLOC_SBUSY | VM_ALLOC_WIRED);
	require(n == m && vm_page_sbusied(m) && vm_page_wired(m), "the page that is there");
	require(!vm_page_grab(object, 1, NORMAL | VM_ALLOC_NOBUSY | VM_ALLOC_NOWAIT), "sbusy");
	require(vm_page_grab(object, 1,
			     NORMAL | VM_ALLOC_NOBUSY | VM_ALLOC_NOWAIT | VM_ALLOC_IGN_SBUSY) == m,
		"IGN_SBUSY");
	vm_page_sunbusy(m);
	vm_page_unwire(m, PQ_ACTIVE);
	/* Another thread sleeps for a busy page, which is freed meanwhile. */
	m = vm_page_alloc(object, 5, NORMAL);
	VM_OBJECT_WUNLOCK(object);
	pthread_create(&thread, NULL, grab_late, NULL);
	probe_sleep_ms(100);
	VM_OBJECT_WLOCK(object);
	require(vm_page_lookup(object, 5) == m, "taken while busy");
	vm_page_free(m);
	VM_OBJECT_WUNLOCK(object);
	pthread_join(thread, &got);
	VM_OBJECT_WLOCK(object);
	require(got && got == vm_page_lookup(object, 5) && vm_page_xbusied(got), "after the wait");
	VM_OBJECT_WUNLOCK(object);
	vm_object_deallocate(object);
}

/* What is wired outlives its object, and is free with the last wiring. */
static void wired(void)
{
	vm_object_t object = object_of(10);
	uint64_t free_before;
	vm_page_t m, other;

	VM_OBJECT_WLOCK(object);
	free_before = marks(NULL).free_count;
	m = vm_page_alloc(object, 0, NORMAL | VM_ALLOC_WIRED);
	vm_page_wire(m);
	other = vm_page_alloc(object, 1, NORMAL | VM_ALLOC_WIRED);
	strcpy(vm_page_address(m), "kept");
	vm_page_free(m);
	require(!vm_page_lookup(object, 0) && !m->object, "still in its object");
	require(vm_page_wired(m) && marks(NULL).free_count == free_before - 2, "freed");
	VM_OBJECT_WUNLOCK(object);
	vm_object_deallocate(object);
	require(marks(NULL).free_count == free_before - 2, "freed with the object");
	require(!strcmp(vm_page_address(m), "kept"), "its content");
	require(!vm_page_unwire_noq(m), "one is left");
	require(vm_page_unwire_noq(m), "that was the last");
	vm_page_unwire(other, PQ_INACTIVE);
	require(marks(NULL).free_count == free_before, "%" PRIu64 " of %" PRIu64 " free",
		marks(NULL).free_count, free_before);
}

/* --- objects ------------------------------------------------------------ */

static void sparse(void)
{
	vm_object_t object = object_of(VM_OBJECT_SIZE_MAX);
	static const vm_pindex_t at[] = {0, 1, 63, 64, 4095, 4096, 1 << 20, UINT64_C(1) << 39,
					 VM_OBJECT_SIZE_MAX - 2, VM_OBJECT_SIZE_MAX - 1};
	const size_t n = sizeof(at) / sizeof(at[0]);
	vm_page_t pages[sizeof(at) / sizeof(at[0])];
	long before = probe_status("VmData");

	require(vm_object_size(object) == VM_OBJECT_SIZE_MAX, "size");
	require(!vm_object_allocate(OBJT_DEFAULT, VM_OBJECT_SIZE_MAX + 1) && errno == EINVAL,
		"larger");
	require(!vm_object_allocate((objtype_t)9, 1) && errno == EINVAL, "type 9");
	VM_OBJECT_WLOCK(object);
	for (size_t i = n; i-- > 0;) {
		pages[i] = vm_page_alloc(object, at[i], NORMAL);
		require(pages[i], "%s", contig_strreason());
	}
	require(vm_object_resident_page_count(object) == n, "resident");
	for (size_t i = 0; i < n; i++) {
		vm_pindex_t after = i ? at[i - 1] + 1 : 0;
		vm_page_t next = i + 1 < n && at[i + 1] == at[i] + 1 ? pages[i + 1] : NULL;
		vm_page_t prev = i && at[i - 1] + 1 == at[i] ? pages[i - 1] : NULL;

		require(vm_page_lookup(object, at[i]) == pages[i], "lookup of %zu", i);
		require(vm_page_find_least(object, after) == pages[i], "find_least of %zu", i);
		require(vm_page_next(pages[i]) == next && vm_page_prev(pages[i]) == prev,
			"neighbours of %zu", i);
		vm_page_xunbusy(pages[i]);
	}
	require(!vm_page_find_least(object, VM_OBJECT_SIZE_MAX), "past the end");
	vm_object_page_remove(object, 1, UINT64_C(1) << 39, 0);
	require(vm_object_resident_page_count(object) == 4, "removed [1, 2^39)");
	vm_object_page_remove(object, 1, 0, 0);
	require(vm_object_resident_page_count(object) == 1 && vm_page_lookup(object, 0) == pages[0],
		"removed to the end");
	VM_OBJECT_WUNLOCK(object);
	require(probe_status("VmData") - before < 4096, "%ld KiB for ten pages",
		probe_status("VmData") - before);
	vm_object_deallocate(object);
	vm_object_deallocate(NULL);
}

#define OBJECTS 20000
static void many_objects(void)
{
	static vm_object_t objects[OBJECTS];
	double start = probe_ms();
	uint64_t free_before;
	long before;

	objects[0] = object_of(1);
	free_before = marks(NULL).free_count;
	before = probe_status("VmRSS");
	for (int i = 1; i < OBJECTS; i++)
		objects[i] = object_of(VM_OBJECT_SIZE_MAX);
	note("%d objects: %ld KiB, %.0f ms", OBJECTS, probe_status("VmRSS") - before,
	     probe_ms() - start);
	/* A sanitizer has books of its own. */
	require(under_sanitizer() || probe_status("VmRSS") - before < OBJECTS * 600L / 1024,
		"too much memory");
	for (int i = 0; i < 100; i++) {
		VM_OBJECT_WLOCK(objects[i]);
		require(vm_page_alloc(objects[i], 0, NORMAL), "%s", contig_strreason());
		VM_OBJECT_WUNLOCK(objects[i]);
	}
	vm_object_reference(objects[7]);
	for (int i = 0; i < OBJECTS; i++)
		vm_object_deallocate(objects[i]);
	require(marks(NULL).free_count == free_before - 1, "a reference didn't count");
	vm_object_deallocate(objects[7]);
	require(marks(NULL).free_count == free_before, "pages left");
}

/* Readers don't block each other, nor does a lookup a writer elsewhere. */
static bool readers_stop;

static void *read_pages(void *arg)
{
	vm_object_t object = arg;
	uint64_t n = 0;

	while (!__atomic_load_n(&readers_stop, __ATOMIC_RELAXED)) {
		vm_page_t m = vm_page_lookup(object, 1000 * (n % 3));

		require(m && m->object == object && m->pindex == 1000 * (n % 3), "lookup");
		n++;
		if (n % 64 == 0) {
			VM_OBJECT_RLOCK(object);
			for (m = vm_page_find_least(object, 0); m;
			     m = vm_page_find_least(object, m->pindex + 1))
				require(m->object == object, "an object's walk");
			VM_OBJECT_RUNLOCK(object);
		}
	}
	return (void *)(uintptr_t)(n > 0);
}

static void readers(void)
{
	vm_object_t object = object_of(100000);
	pthread_t threads[3];
	void *looked;

	VM_OBJECT_WLOCK(object);
	for (vm_pindex_t i = 0; i < 3; i++)
		vm_page_wire(vm_page_alloc(object, 1000 * i, NORMAL | VM_ALLOC_NOBUSY));
	VM_OBJECT_WUNLOCK(object);
	VM_OBJECT_RLOCK(object);
	require(VM_OBJECT_TRYRLOCK(object), "a second reader waits");
	require(!VM_OBJECT_TRYWLOCK(object), "a writer beside readers");
	vm_object_assert_locked(object);
	VM_OBJECT_RUNLOCK(object);
	VM_OBJECT_RUNLOCK(object);
	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, read_pages, object);
	for (unsigned long i = 0, n = test_scaled(30000, 3000); i < n; i++) {
		vm_pindex_t at = 1 + (vm_pindex_t)(i * 37 % 99000);
		vm_page_t m;

		at += at % 1000 == 0;
		VM_OBJECT_WLOCK(object);
		require(VM_OBJECT_WOWNED(object), "not ours");
		m = vm_page_lookup(object, at);
		if (m)
			vm_page_free(m);
		else
			require(vm_page_alloc(object, at, NORMAL), "%s", contig_strreason());
		VM_OBJECT_WUNLOCK(object);
		if (i % 100 == 99) {
			VM_OBJECT_WLOCK(object);
			for (m = vm_page_find_least(object, 0); m;
			     m = vm_page_find_least(object, at)) {
				at = m->pindex + 1;
				if (!vm_page_wired(m))
					vm_page_free(m);
			}
			VM_OBJECT_WUNLOCK(object);
		}
	}
	__atomic_store_n(&readers_stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < 3; i++) {
		pthread_join(threads[i], &looked);
		require(looked, "a reader that never read");
	}
	vm_object_deallocate(object);
}

/* --- waiting ------------------------------------------------------------ */

static void *free_later(void *arg)
{
	probe_sleep_ms(200);
	vm_page_free(arg);
	return NULL;
}

static void waiting(void)
{
	contig_pool_t *pool = pool_of(2 * MIB, CONTIG_SOURCE_THP);
	vm_object_t object = contig_object_allocate(pool, 10);
	vm_page_t last, m;
	pthread_t thread;
	double start;

	VM_OBJECT_WLOCK(object);
	leave(pool, marks(pool).free_reserved + 1);
	last = contig_pool_page_alloc(pool, NORMAL, 1, ANY);
	require(last, "%s", contig_strreason());
	require(!vm_page_alloc(object, 0, NORMAL), "below the floor");
	start = probe_ms();
	require(!vm_page_alloc(object, 0, NORMAL | VM_ALLOC_WAITFAIL), "WAITFAIL");
	require(VM_OBJECT_WOWNED(object), "not locked after a wait");
	require(probe_ms() - start < 20000, "WAITFAIL waited %.0f ms", probe_ms() - start);
	pthread_create(&thread, NULL, free_later, last);
	m = vm_page_alloc(object, 0, NORMAL | VM_ALLOC_WAITOK);
	require(m && VM_OBJECT_WOWNED(object), "WAITOK: %s", contig_strreason());
	pthread_join(thread, NULL);
	VM_OBJECT_WUNLOCK(object);
	pthread_create(&thread, NULL, free_later,
		       contig_pool_page_alloc(pool, VM_ALLOC_SYSTEM, 1, ANY));
	require(vm_wait(object) == -1, "vm_wait: the one freed is at the floor");
	pthread_join(thread, NULL);
	vm_object_deallocate(object);
	contig_pool_destroy(pool);
}

/* What lacks is a page of one node: any other is of no use. */
static void waiting_domain(void)
{
	vm_page_t m, last = NULL;
	unsigned int n = 0;
	pthread_t thread;

	require(!contig_reserve(16 * MIB), "%s", contig_strreason());
	/* All of node 1, as programs do it. */
	for (;;) {
		m = vm_page_alloc_noobj_domain(1, NORMAL);
		if (m) {
			require(VM_PAGE_TO_PHYS(m) >= 5 * GIB, "of another node");
			last = m;
			n++;
			continue;
		}
		if (vm_wait(NULL))
			break;
		m = vm_page_alloc_noobj_domain(1, NORMAL);
		require(m, "page %u: vm_wait said yes: %s", n, contig_strreason());
		vm_page_free(m);
	}
	require(errno == ENOMEM && strstr(contig_strreason(), "domain"), "%s", contig_strreason());
	require(n == 6 * MIB / PAGE, "%u pages of 6 MiB", n);
	/* Now one comes. */
	require(!vm_page_alloc_noobj_domain(1, NORMAL), "from nothing");
	pthread_create(&thread, NULL, free_later, last);
	require(!vm_wait(NULL), "%s", contig_strreason());
	pthread_join(thread, NULL);
	m = vm_page_alloc_noobj_domain(1, NORMAL);
	require(m, "%s", contig_strreason());
	/* What came after the refusal is what counts. */
	require(!vm_page_alloc_noobj_domain(1, NORMAL), "from nothing");
	require(vm_page_alloc_noobj_domain(0, NORMAL), "%s", contig_strreason());
	require(!vm_wait(NULL), "%s", contig_strreason());
	require(!vm_page_alloc_noobj_domain(1, NORMAL), "from nothing");
	require(vm_page_alloc_noobj(NORMAL) && vm_page_alloc_noobj(NORMAL), "%s",
		contig_strreason());
	require(!vm_wait(NULL), "%s", contig_strreason());
	/* A run that no superpage has room for. */
	require(!vm_page_alloc_noobj_contig_domain(1, NORMAL, 2, ANY, 0), "from nothing");
	require(vm_wait(NULL) && strstr(contig_strreason(), "run"), "%s", contig_strreason());
}

/* --- caches of other pools' pages ----------------------------------------- */

static struct contig_stats stats(void)
{
	struct contig_stats s = {.struct_size = sizeof(s)};

	contig_stats_get(&s);
	return s;
}

static contig_pool_t *pool_of_kind(enum contig_pool_kind kind, uint64_t limit)
{
	struct contig_pool_attr attr = {
		.struct_size = sizeof(attr), .kind = kind, .node = -1, .limit = limit};
	contig_pool_t *pool = contig_pool_create(&attr);

	require(pool, "%s", contig_strreason());
	return pool;
}

static vm_page_t pool_page(contig_pool_t *pool, int req)
{
	vm_page_t m = contig_pool_page_alloc(pool, req, 1, ANY);

	/* Not vm_wait(): that is for an object's pool. */
	if (!m)
		m = contig_pool_page_alloc(pool, req | VM_ALLOC_WAITOK, 1, ANY);
	require(m, "%s", contig_strreason());
	return m;
}

struct keeper {
	vm_page_t *pages;
	unsigned int n;
	pthread_barrier_t barrier;
};

/* Frees what others took, into a cache of its own, and stays. */
static void *keep(void *arg)
{
	struct keeper *keeper = arg;

	for (unsigned int i = 0; i < keeper->n; i++)
		vm_page_free(keeper->pages[i]);
	pthread_barrier_wait(&keeper->barrier);
	pthread_barrier_wait(&keeper->barrier);
	return NULL;
}

static void cached_of(enum contig_pool_kind kind)
{
	contig_pool_t *pool = pool_of_kind(kind, SUPERPAGE);
	static vm_page_t pages[512];
	struct keeper keeper = {.pages = pages};
	pthread_t thread;
	void *block;

	for (; keeper.n < 400; keeper.n++)
		pages[keeper.n] = pool_page(pool, NORMAL);
	require(stats().allocated == 400 * PAGE, "%" PRIu64 " allocated", stats().allocated);
	for (unsigned int i = 0; i < 20; i++)
		vm_page_free(pages[--keeper.n]);
	require(stats().cached, "nothing is cached");
	pthread_barrier_init(&keeper.barrier, NULL, 2);
	pthread_create(&thread, NULL, keep, &keeper);
	pthread_barrier_wait(&keeper.barrier);
	require(!stats().allocated && stats().cached >= 64 * PAGE,
		"%" PRIu64 " allocated, %" PRIu64 " cached", stats().allocated, stats().cached);
	require(marks(pool).free_count == 512, "%" PRIu64 " free", marks(pool).free_count);
	/* All of it at once: what is cached must come back first. */
	block = contig_pool_malloc(pool, SUPERPAGE, M_TEMP, 0, ANY);
	require(block, "%s", contig_strreason());
	require(!stats().cached && marks(pool).free_count == 0, "%" PRIu64 " cached, %" PRIu64
		" free", stats().cached, marks(pool).free_count);
	contig_free(block);
	vm_page_free(pool_page(pool, NORMAL));
	require(contig_pool_page_alloc(pool, VM_ALLOC_INTERRUPT, 512, ANY) == pages[0] -
			((VM_PAGE_TO_PHYS(pages[0]) % SUPERPAGE) / PAGE) ||
			contig_level() == CONTIG_LEVEL_HIDDEN,
		"not the whole superpage: %s", contig_strreason());
	pthread_barrier_wait(&keeper.barrier);
	pthread_join(thread, NULL);
	contig_pool_destroy(pool);
	/* Given back, though in a cache. */
	pool = pool_of_kind(kind, SUPERPAGE);
	vm_page_free(pool_page(pool, NORMAL));
	require(stats().cached && contig_trim() == SUPERPAGE && !stats().held,
		"%" PRIu64 " held", stats().held);
	contig_pool_destroy(pool);
}

static void pool_caches(void)
{
	cached_of(CONTIG_POOL_DEFAULT);
	cached_of(CONTIG_POOL_SHAREABLE);
}

/* More pools than a thread has caches, made and destroyed under others' hands
 * that have some of their pages. */
#define MANY_POOLS 7
static void pools_come_and_go(void)
{
	contig_pool_t *pools[MANY_POOLS];
	vm_page_t pages[MANY_POOLS][40];

	for (unsigned int round = 0; round < 20; round++) {
		struct keeper keeper = {.n = 40};
		pthread_t thread;

		for (unsigned int p = 0; p < MANY_POOLS; p++)
			pools[p] = pool_of_kind(p % 2 ? CONTIG_POOL_SHAREABLE
						      : CONTIG_POOL_DEFAULT, 0);
		for (unsigned int i = 0; i < 40; i++)
			for (unsigned int p = 0; p < MANY_POOLS; p++)
				pages[p][i] = pool_page(pools[p], NORMAL);
		keeper.pages = pages[round % MANY_POOLS];
		pthread_barrier_init(&keeper.barrier, NULL, 2);
		pthread_create(&thread, NULL, keep, &keeper);
		pthread_barrier_wait(&keeper.barrier);
		for (unsigned int i = 0; i < 40; i++)
			for (unsigned int p = 0; p < MANY_POOLS; p++)
				if (p != round % MANY_POOLS)
					vm_page_free(pages[p][i]);
		require(!stats().allocated, "%" PRIu64 " allocated", stats().allocated);
		for (unsigned int p = 0; p < MANY_POOLS; p++)
			require(marks(pools[p]).free_count == marks(pools[p]).page_count,
				"pool %u: %" PRIu64 " of %" PRIu64 " free", p,
				marks(pools[p]).free_count, marks(pools[p]).page_count);
		for (unsigned int p = 0; p < MANY_POOLS; p++)
			contig_pool_destroy(pools[p]);
		require(!stats().held && !stats().cached, "%" PRIu64 " held, %" PRIu64 " cached",
			stats().held, stats().cached);
		pthread_barrier_wait(&keeper.barrier);
		pthread_join(thread, NULL);
		pthread_barrier_destroy(&keeper.barrier);
	}
}

/* Every page has one owner at a time, whoever drains meanwhile. */
static contig_pool_t *busy_pools[MANY_POOLS];
static bool busy_stop;

static void *work_on_pools(void *arg)
{
	uint64_t state = test_seed() + (uintptr_t)arg, n = 0;
	vm_page_t held[64] = {NULL};

	while (!__atomic_load_n(&busy_stop, __ATOMIC_RELAXED)) {
		unsigned int i = (unsigned int)(probe_random(&state) % 64);
		uint64_t *stamp;

		if (!held[i]) {
			held[i] = contig_pool_page_alloc(
				busy_pools[probe_random(&state) % MANY_POOLS], NORMAL, 1, ANY);
			if (!held[i])
				continue;
			stamp = vm_page_address(held[i]);
			*stamp = (uint64_t)(uintptr_t)arg << 32 | i;
			n++;
			continue;
		}
		stamp = vm_page_address(held[i]);
		require(*stamp == ((uint64_t)(uintptr_t)arg << 32 | i), "somebody else's page");
		vm_page_free(held[i]);
		held[i] = NULL;
	}
	for (unsigned int i = 0; i < 64; i++)
		if (held[i])
			vm_page_free(held[i]);
	return (void *)(uintptr_t)n;
}

static void pools_threads(void)
{
	unsigned long rounds = test_scaled(300, 20);
	pthread_t threads[3];
	void *n;

	for (unsigned int p = 0; p < MANY_POOLS; p++) {
		busy_pools[p] = pool_of_kind(p % 2 ? CONTIG_POOL_SHAREABLE : CONTIG_POOL_DEFAULT,
					     2 * SUPERPAGE);
		vm_page_free(pool_page(busy_pools[p], NORMAL));
	}
	for (uintptr_t t = 0; t < 3; t++)
		pthread_create(&threads[t], NULL, work_on_pools, (void *)(t + 1));
	for (unsigned long i = 0; i < rounds; i++) {
		contig_pool_t *pool = busy_pools[i % MANY_POOLS];

		if (i % 3 == 0)
			contig_trim();
		else if (i % 3 == 1)
			require(marks(pool).free_count <= marks(pool).page_count ||
					marks(pool).page_count < 1024, "more free than there are");
		else
			vm_page_free(pool_page(pool, NORMAL));
		probe_sleep_ms(1);
	}
	__atomic_store_n(&busy_stop, true, __ATOMIC_RELAXED);
	for (unsigned int t = 0; t < 3; t++) {
		pthread_join(threads[t], &n);
		require(n, "thread %u got no page at all", t);
	}
	require(!stats().allocated, "%" PRIu64 " allocated", stats().allocated);
	for (unsigned int p = 0; p < MANY_POOLS; p++) {
		require(marks(busy_pools[p]).free_count == marks(busy_pools[p]).page_count,
			"pool %u lost pages", p);
		contig_pool_destroy(busy_pools[p]);
	}
	require(!stats().held, "%" PRIu64 " held", stats().held);
}

/* A child has its parent's memory in view, and its caches not. */
static contig_pool_t *forked_pool;
static vm_page_t forked_page;

static void cached_in_child(void *arg)
{
	char *base = vm_page_address(forked_page);
	vm_page_t m;

	(void)arg;
	/* Neighbours that wait in the parent's cache and are zero so far. */
	for (unsigned int i = 1; i <= 8; i++)
		memset(base + i * PAGE, 0x77, PAGE);
	for (unsigned int i = 0; i < 40; i++) {
		if (i == 20) /* for this process; the parent has it still */
			vm_page_free(forked_page);
		m = pool_page(forked_pool, NORMAL);
		require((char *)vm_page_address(m) < base - SUPERPAGE ||
				(char *)vm_page_address(m) > base + SUPERPAGE,
			"the parent's page");
		memset(vm_page_address(m), 0x66, PAGE);
	}
	require(!stats().cached || stats().cached < 64 * PAGE, "the parent's cache");
}

static void pool_caches_forked(void)
{
	static const char nought[4096];
	struct outcome out;

	forked_pool = pool_of_kind(CONTIG_POOL_SHAREABLE, 0);
	pool_page(forked_pool, NORMAL); /* of an empty pool: alone */
	forked_page = pool_page(forked_pool, NORMAL); /* others with it */
	require(stats().cached >= 8 * PAGE, "%" PRIu64 " cached", stats().cached);
	out = run_child(cached_in_child, NULL);
	require(!out.status, "the child failed");
	for (unsigned int i = 0; i < 100; i++) {
		vm_page_t m = pool_page(forked_pool, NORMAL | VM_ALLOC_ZERO);

		require(m->flags & PG_ZERO && !memcmp(vm_page_address(m), nought, PAGE),
			"page %u isn't zero", i);
	}
}

/* --- panics ------------------------------------------------------------- */

static vm_object_t bad_object;
static vm_page_t bad_page, bad_noobj;
static char panic_text[400];

static void on_panic(const char *message)
{
	snprintf(panic_text, sizeof(panic_text), "%s", message);
}

static void expect_panic(const char *what, const char *word)
{
	require(strstr(panic_text, word), "%s: '%s' doesn't say '%s'", what, panic_text, word);
	panic_text[0] = '\0';
}

#define PANICS(call, word)                                                        \
	do {                                                                      \
		errno = 0;                                                        \
		call;                                                             \
		require(errno == EINVAL, #call ": errno %d", errno);              \
		expect_panic(#call, word);                                        \
	} while (0)
#define PANICS_NULL(call, word) PANICS(require(!(call), #call), word)

static void panics(void)
{
	char pindex[] = "pindex 0x3";

	contig_set_panic_handler(on_panic);
	bad_object = object_of(10);
	PANICS_NULL(vm_page_alloc(bad_object, 3, NORMAL), "not write-locked");
	VM_OBJECT_RLOCK(bad_object);
	PANICS_NULL(vm_page_alloc(bad_object, 3, NORMAL), "not write-locked");
	VM_OBJECT_RUNLOCK(bad_object);
	VM_OBJECT_WLOCK(bad_object);
	bad_page = vm_page_alloc(bad_object, 3, NORMAL);
	require(bad_page, "%s", contig_strreason());
	PANICS_NULL(vm_page_alloc(bad_object, 3, NORMAL), pindex);
	PANICS_NULL(vm_page_alloc(bad_object, 3, NORMAL | VM_ALLOC_NODUMP), pindex);
	PANICS_NULL(vm_page_alloc_contig(bad_object, 1, NORMAL, 4, 0, ~(vm_paddr_t)0, 0, 0, 0),
		    pindex);
	PANICS_NULL(vm_page_alloc(bad_object, 10, NORMAL), "beyond the object");
	PANICS_NULL(vm_page_alloc_contig(bad_object, 8, NORMAL, 3, 0, ~(vm_paddr_t)0, 0, 0, 0),
		    "beyond the object");
	PANICS_NULL(vm_page_alloc(bad_object, 4, 0), "no class");
	PANICS_NULL(vm_page_alloc(bad_object, 4, NORMAL | VM_ALLOC_SYSTEM), "more than one class");
	PANICS_NULL(vm_page_alloc(bad_object, 4, VM_ALLOC_CLASS_MASK), "more than one class");
	PANICS_NULL(vm_page_alloc(bad_object, 4, NORMAL | VM_ALLOC_NOBUSY | VM_ALLOC_SBUSY),
		    "VM_ALLOC_NOBUSY");
	PANICS_NULL(vm_page_alloc(bad_object, 4, NORMAL | VM_ALLOC_WAITOK | VM_ALLOC_NOWAIT),
		    "VM_ALLOC_WAITOK");
	PANICS_NULL(vm_page_alloc(NULL, 4, NORMAL), "VM_ALLOC_NOOBJ");
	PANICS_NULL(vm_page_alloc_noobj(0), "no class");
	PANICS_NULL(vm_page_alloc_noobj(NORMAL | VM_ALLOC_SBUSY), "VM_ALLOC_SBUSY");
	PANICS_NULL(vm_page_alloc_noobj_contig(NORMAL, 0, ANY, 0), "npages is 0");
	PANICS_NULL(vm_page_alloc_noobj_contig(NORMAL, 1, 0, ~(vm_paddr_t)0, 3 * PAGE, 0, 0),
		    "alignment");
	PANICS_NULL(vm_page_alloc_noobj_contig(NORMAL, 1, 0, ~(vm_paddr_t)0, 0, 3 * PAGE, 0),
		    "boundary");
	PANICS_NULL(vm_page_grab(bad_object, 4, 0), "class");
	PANICS(VM_OBJECT_WLOCK(bad_object), "already");
	PANICS(vm_object_deallocate(bad_object), "locked");
	/* Busy, wired. */
	PANICS(vm_page_sunbusy(bad_page), "not shared-busy");
	vm_page_xunbusy(bad_page);
	PANICS(vm_page_xunbusy(bad_page), "not exclusive-busy");
	PANICS(vm_page_busy_downgrade(bad_page), "not exclusive-busy");
	PANICS(require(!vm_page_tryupgrade(bad_page), "upgraded"), "not shared-busy");
	PANICS(vm_page_unwire(bad_page, PQ_NONE), "not wired");
	PANICS(require(!vm_page_unwire_noq(bad_page), "unwired"), "not wired");
	require(vm_page_trysbusy(bad_page), "sbusy");
	PANICS(vm_page_free(bad_page), "shared-busy");
	vm_page_sunbusy(bad_page);
	VM_OBJECT_WUNLOCK(bad_object);
	PANICS(vm_page_free(bad_page), "not write-locked");
	PANICS(VM_OBJECT_WUNLOCK(bad_object), "not write-locked");
	PANICS(VM_OBJECT_RUNLOCK(bad_object), "not read-locked");
	PANICS(vm_object_assert_wlocked(bad_object), "not write-locked");
	PANICS(vm_object_assert_locked(bad_object), "not locked");
	PANICS(vm_object_page_remove(bad_object, 0, 0, 0), "not write-locked");
	PANICS_NULL(vm_page_grab(bad_object, 4, NORMAL), "not write-locked");
	/* Freed. */
	bad_noobj = vm_page_alloc_noobj(NORMAL | VM_ALLOC_WIRED);
	vm_page_free(bad_noobj);
	PANICS(vm_page_free(bad_noobj), "let go of before");
	vm_page_unwire(bad_noobj, PQ_NONE);
	PANICS(vm_page_free(bad_noobj), "free page");
	PANICS(vm_page_wire(bad_noobj), "free page");
	PANICS(vm_page_unwire(bad_noobj, PQ_NONE), "free page");
	PANICS(require(!vm_page_tryxbusy(bad_noobj), "busied"), "free page");
	/* No panic left a lock held, and the object is as it was. */
	require(VM_OBJECT_TRYWLOCK(bad_object), "a lock is held");
	require(vm_page_lookup(bad_object, 3) == bad_page &&
			vm_object_resident_page_count(bad_object) == 1,
		"the object changed");
	VM_OBJECT_WUNLOCK(bad_object);
	vm_object_deallocate(bad_object);
}

static void aborting(void *arg)
{
	(void)arg;
	vm_page_alloc_noobj(0);
}

static void panics_abort(void)
{
	static struct outcome out;

	collect_child(aborting, NULL, &out);
	require(out.signal == SIGABRT && lines(out.err) == 1 &&
			strstr(out.err, "vm_page_alloc_noobj"),
		"signal %d: %s", out.signal, out.err);
}

static void panics_errno(void)
{
	require(!vm_page_alloc_noobj(0) && errno == EINVAL, "errno %d", errno);
}

/* contigmalloc() and pages don't take each other's memory for their own. */
static void strangers(void)
{
	void *block = contigmalloc(PAGE, M_TEMP, 0, ANY);
	vm_page_t m = vm_page_alloc_noobj(NORMAL), head = vm_page_of_address(block);

	contig_set_panic_handler(on_panic);
	require(block && m, "%s", contig_strreason());
	PANICS(contig_free(vm_page_address(m)), "vm_page_alloc");
	PANICS(vm_page_free(head), "contigmalloc");
	PANICS(vm_page_xbusy(head), "contigmalloc");
	require(!vm_page_busied(head) && !vm_page_wired(head), "states of a block");
	vm_page_free(m);
	contig_free(block);
}

/* --- fork --------------------------------------------------------------- */

static vm_object_t inherited;

static void in_child(void *arg)
{
	vm_page_t parents = arg;
	vm_object_t own;
	vm_page_t m;

	/* What it inherited it may let go of; nothing comes of it. */
	vm_object_deallocate(inherited);
	vm_page_free(parents);
	own = vm_object_allocate(OBJT_DEFAULT, 10);
	require(own, "%s", contig_strreason());
	VM_OBJECT_WLOCK(own);
	m = vm_page_alloc(own, 0, NORMAL | VM_ALLOC_WAITOK);
	require(m && m != parents, "%s", contig_strreason());
	true_frame(m);
	memset(vm_page_address(m), 0xcc, PAGE);
	VM_OBJECT_WUNLOCK(own);
	vm_object_deallocate(own);
}

static void forked(void)
{
	struct outcome out;
	uint64_t free_before;
	vm_page_t m, noobj;

	inherited = object_of(10);
	VM_OBJECT_WLOCK(inherited);
	m = vm_page_alloc(inherited, 0, NORMAL);
	VM_OBJECT_WUNLOCK(inherited);
	noobj = vm_page_alloc_noobj(NORMAL);
	require(m && noobj, "%s", contig_strreason());
	memset(vm_page_address(m), 0x11, PAGE);
	memset(vm_page_address(noobj), 0x22, PAGE);
	free_before = marks(NULL).free_count;
	out = run_child(in_child, noobj);
	require(!out.status, "status %d signal %d", out.status, out.signal);
	require(marks(NULL).free_count == free_before, "a child's free counted here");
	for (size_t i = 0; i < PAGE; i++)
		require(((unsigned char *)vm_page_address(m))[i] == 0x11 &&
				((unsigned char *)vm_page_address(noobj))[i] == 0x22,
			"byte %zu", i);
	true_frame(noobj);
	vm_page_free(noobj);
	vm_object_deallocate(inherited);
}

/* --- all of it at random, against a list -------------------------------- */

#define SLOTS 700
static void model(void)
{
	static struct {
		vm_page_t m;
		uint64_t tag;
		unsigned int wirings;
		bool gone;
	} slots[SLOTS];
	vm_object_t object = object_of(SLOTS * UINT64_C(1000003));
	uint64_t seed = test_seed(), resident = 0;

	VM_OBJECT_WLOCK(object);
	for (int step = 0; step < 60000; step++) {
		uint64_t i = probe_random(&seed) % SLOTS;
		vm_pindex_t at = i * 1000003;

		if (!slots[i].m) {
			require(!vm_page_lookup(object, at), "a page at %" PRIu64, i);
			slots[i].m = vm_page_alloc(object, at, NORMAL | VM_ALLOC_WAITOK);
			require(slots[i].m, "%s", contig_strreason());
			for (int j = 0; j < 3; j++)
				require(slots[(i + 1 + (uint64_t)j) % SLOTS].m != slots[i].m, "twice");
			slots[i].tag = probe_random(&seed);
			*(uint64_t *)vm_page_address(slots[i].m) = slots[i].tag;
			slots[i].wirings = 0;
			slots[i].gone = false;
			resident++;
			continue;
		}
		require(*(uint64_t *)vm_page_address(slots[i].m) == slots[i].tag, "content");
		require(vm_page_wired(slots[i].m) == (slots[i].wirings > 0), "wired");
		if (probe_random(&seed) % 2 && !slots[i].gone) {
			vm_page_wire(slots[i].m);
			slots[i].wirings++;
		} else if (slots[i].wirings) {
			vm_page_unwire(slots[i].m, PQ_NONE);
			if (!--slots[i].wirings && slots[i].gone) {
				slots[i].m = NULL;
				slots[i].gone = false;
			}
		} else {
			vm_page_free(slots[i].m);
			slots[i].m = NULL;
			resident--;
			continue;
		}
		if (slots[i].m && !slots[i].gone && slots[i].wirings && probe_random(&seed) % 8 == 0) {
			vm_page_free(slots[i].m);
			slots[i].gone = true;
			resident--;
		}
		require(vm_object_resident_page_count(object) == resident, "resident");
	}
	for (uint64_t i = 0; i < SLOTS; i++)
		while (slots[i].wirings) {
			vm_page_unwire(slots[i].m, PQ_NONE);
			slots[i].wirings--;
		}
	VM_OBJECT_WUNLOCK(object);
	vm_object_deallocate(object);
	require(marks(NULL).free_count == marks(NULL).page_count, "%" PRIu64 " of %" PRIu64,
		marks(NULL).free_count, marks(NULL).page_count);
	require(contig_trim() == marks(NULL).page_count * PAGE || !marks(NULL).page_count,
		"memory left");
}

int main(int argc, char **argv)
{
#define SIM "CONTIG_SIM=1G-2G,4G-5G"
	static const struct test_case cases[] = {
	    {"one_page", one_page, 0, 0, "CONTIG_SOURCES=thp"},
	    {"one_page_hugetlb", one_page, 4, 0, "CONTIG_SOURCES=2m"},
	    {"one_page_simulated", one_page, 0, 0, SIM},
	    {"flags", request_flags, 0, 0, SIM},
	    {"flags_real", request_flags, 0, 0, "CONTIG_SOURCES=thp"},
	    {"zero", zero, 0, 0, "CONTIG_SOURCES=thp"},
	    {"watermarks", watermarks, 0, 0, NULL},
	    {"default_floors", default_floors, 0, 0, "CONTIG_SIM=4G-5G CONTIG_LIMIT=2M"},
	    {"growing", growing, 0, 0, SIM},
	    {"contiguous", contiguous, 0, CASE_SEES, "CONTIG_SOURCES=thp"},
	    {"contiguous_simulated", contiguous, 0, 0, SIM},
	    {"reclaim_contig", reclaim_contig, 0, 0, "CONTIG_SOURCES=thp"},
	    {"busy_states", busy_states, 0, 0, SIM},
	    {"busy_threads", busy_threads, 0, CASE_SLOW, SIM},
	    {"busy_freed", busy_freed, 0, 0, "CONTIG_SIM=4G-5G CONTIG_PANIC=errno"},
	    {"grab", grab, 0, 0, SIM},
	    {"wired", wired, 0, 0, SIM},
	    {"sparse", sparse, 0, 0, SIM},
	    {"many_objects", many_objects, 0, 0, SIM},
	    {"readers", readers, 0, CASE_SLOW, SIM},
	    {"waiting", waiting, 0, 0, NULL},
	    {"waiting_domain", waiting_domain, 0, 0, "CONTIG_SIM=4G-5G@0,5G-5126M@1"},
	    {"pool_caches", pool_caches, 0, CASE_SLOW, "CONTIG_SIM=4G-5G"},
	    {"pool_caches_real", pool_caches, 0, CASE_SLOW | CASE_MAY_TRY, "CONTIG_SOURCES=thp"},
	    {"pools_come_and_go", pools_come_and_go, 0, CASE_SLOW, "CONTIG_SIM=4G-5G"},
	    {"pools_threads", pools_threads, 0, CASE_SLOW, "CONTIG_SIM=4G-5G"},
	    {"pool_caches_forked", pool_caches_forked, 0, CASE_SLOW, "CONTIG_SIM=4G-5G"},
	    {"panics", panics, 0, 0, SIM},
	    {"panics_abort", panics_abort, 0, 0, SIM},
	    {"panics_errno", panics_errno, 0, 0, SIM " CONTIG_PANIC=errno"},
	    {"strangers", strangers, 0, 0, SIM},
	    {"forked", forked, 0, 0, "CONTIG_SOURCES=thp"},
	    {"forked_isolated", forked, 0, 0, "CONTIG_SOURCES=thp CONTIG_FORK=isolate"},
	    {"model", model, 0, CASE_SLOW, SIM},
	    {"model_real", model, 0, CASE_SLOW, "CONTIG_SOURCES=thp"},
	};

	return RUN_CASES(cases, argc, argv);
}
