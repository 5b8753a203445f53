/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Threads.  Every block carries its owner's stamp, so that a block handed out
 * twice is seen whoever got it; to be run under the thread sanitizer as well.
 */
#include "harness.h"
#include "hugepool.h"
#include "probe.h"

#include <contig.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define THREADS 8
#define HELD 48
#define EXCHANGE 256
#define RUN_MS 1500
#define ENOUGH 1000 /* allocations, or nothing was tested */

static MALLOC_DEFINE(M_SHARED, "shared", "by all threads");

struct held {
	uint64_t *va;
	size_t size;
	uint64_t stamp;
};

/* Blocks on their way from thread to thread. */
static _Atomic(struct held *) exchange[EXCHANGE];
static atomic_ulong allocations, frees, refusals;
static atomic_bool stop;
static bool sees;
static vm_paddr_t high_memory; /* from here on: 4 GiB, or half of a small machine */

static void check_held(const struct held *h)
{
	require(h->va[0] == h->stamp && h->va[h->size / 16] == h->stamp &&
		    h->va[h->size / 8 - 1] == h->stamp,
		"a block of %zu bytes was overwritten", h->size);
}

static bool get(struct held *h, uint64_t *state, bool surely)
{
	static const unsigned long alignments[] = {0, 0, 4096, 65536, 0, 1 << 20};
	size_t pages = 1 + probe_random(state) % (probe_random(state) % 16 ? 16 : 300);
	unsigned long alignment = alignments[probe_random(state) % 6];
	vm_paddr_t boundary = probe_random(state) % 4 ? 0 : 2 << 20;
	vm_paddr_t low = probe_random(state) % 16 || !sees ? 0 : high_memory;
	int flags = (surely || probe_random(state) % 3 ? 0 : M_NOWAIT) |
		    (probe_random(state) % 8 ? 0 : M_ZERO);
	uint64_t pa;

	h->size = pages * PAGE;
	h->va = contigmalloc(h->size, M_SHARED, flags, low, ~(vm_paddr_t)0, alignment,
			     boundary);
	if (!h->va) {
		atomic_fetch_add(&refusals, 1);
		require(errno == ENOMEM && *contig_strreason(), "errno %d", errno);
		require(!surely, "%s", contig_strreason());
		return false;
	}
	atomic_fetch_add(&allocations, 1);
	if (flags & M_ZERO)
		require(!h->va[0] && !h->va[h->size / 8 - 1] && !h->va[h->size / 16],
			"not zero");
	if (sees && probe_random(state) % 8 == 0) {
		require(!probe_run(h->va, h->size, &pa), "not contiguous");
		require(pa >= low && (!alignment || pa % alignment == 0) &&
			    (!boundary || !((pa ^ (pa + h->size - 1)) & -boundary)),
			"constraint");
		require(contig_virt_to_phys_inline(h->va) == pa, "translation");
	}
	h->stamp = probe_random(state);
	h->va[0] = h->va[h->size / 16] = h->va[h->size / 8 - 1] = h->stamp;
	return true;
}

static void put(struct held *h, uint64_t *state)
{
	check_held(h);
	h->va[0] = 0;
	if (probe_random(state) % 2)
		contig_free(h->va);
	else
		contigfree(h->va, h->size, M_SHARED);
	h->va = NULL;
	atomic_fetch_add(&frees, 1);
}

/* Give one away, take and free what another gave. */
static void trade(struct held *h, uint64_t *state)
{
	struct held *mine = malloc(sizeof(*mine)), *theirs;

	require(mine, "malloc");
	*mine = *h;
	h->va = NULL;
	theirs = atomic_exchange(&exchange[probe_random(state) % EXCHANGE], mine);
	if (theirs) {
		put(theirs, state);
		free(theirs);
	}
}

static void look_around(unsigned int what)
{
	struct contig_stats stats = {.struct_size = sizeof(stats)};
	struct contig_type_stats type;

	switch (what) {
	case 0:
		contig_trim();
		break;
	case 1:
		contig_reserve(4 * MIB);
		break;
	case 2:
		contig_stats_get(&stats);
		require(stats.free <= stats.held && stats.largest_free <= stats.held,
			"stats");
		break;
	case 3:
		for (unsigned int i = 0; !contig_type_stats_get(i, &type); i++)
			require(*type.name, "no name");
		break;
	default:
		if (sees)
			require(!contig_verify(), "frames moved");
	}
}

static void *hammer(void *arg)
{
	uint64_t state = *(uint64_t *)arg;
	struct held held[HELD] = {{NULL, 0, 0}};

	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		struct held *h = &held[probe_random(&state) % HELD];

		if (!h->va)
			get(h, &state, false);
		else if (probe_random(&state) % 4 == 0)
			trade(h, &state);
		else
			put(h, &state);
		if (probe_random(&state) % 2000 == 0)
			look_around((unsigned int)(probe_random(&state) % 5));
	}
	for (unsigned int i = 0; i < HELD; i++)
		if (held[i].va)
			put(&held[i], &state);
	return NULL;
}

static void empty_exchange(void)
{
	uint64_t state = 0;

	for (unsigned int i = 0; i < EXCHANGE; i++) {
		struct held *h = atomic_exchange(&exchange[i], NULL);

		if (h) {
			put(h, &state);
			free(h);
		}
	}
}

static void nothing_left(void)
{
	struct contig_stats stats = {.struct_size = sizeof(stats)};
	struct contig_type_stats type;

	contig_stats_get(&stats);
	require(!stats.allocated, "%" PRIu64 " bytes allocated", stats.allocated);
	require(stats.free + stats.cached == stats.held,
		"free %" PRIu64 " cached %" PRIu64 " held %" PRIu64, stats.free,
		stats.cached, stats.held);
	for (unsigned int i = 0; !contig_type_stats_get(i, &type); i++) {
		require(!type.inuse && !type.memuse,
			"%s: %" PRIu64 " in use, %" PRIu64 " bytes", type.name,
			type.inuse, type.memuse);
		require(strcmp(type.name, "shared") ||
			    type.requests == atomic_load(&allocations),
			"%" PRIu64 " requests, %lu made", type.requests,
			atomic_load(&allocations));
	}
	contig_trim();
	contig_stats_get(&stats);
	require(!stats.held, "%" PRIu64 " bytes held", stats.held);
}

static void look_at_machine(void)
{
	sees = probe_sees();
	high_memory = UINT64_C(1) << 32;
	if (probe_top() / 2 < high_memory)
		high_memory = probe_top() / 2;
}

static void run_threads(void *(*body)(void *), long ms, unsigned long enough)
{
	pthread_t threads[THREADS];
	uint64_t seeds[THREADS];

	run_anywhere();
	look_at_machine();
	sees = sees && contig_level() == CONTIG_LEVEL_PHYSICAL;
	for (unsigned int i = 0; i < THREADS; i++) {
		seeds[i] = test_seed() * 1000 + i;
		require(!pthread_create(&threads[i], NULL, body, &seeds[i]),
			"pthread_create");
	}
	probe_sleep_ms(ms);
	/* An emulated or busy machine takes longer. */
	for (int i = 0; atomic_load(&allocations) <= enough && i < 20; i++)
		probe_sleep_ms(ms);
	atomic_store(&stop, true);
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

static void hammered(void)
{
	run_threads(hammer, RUN_MS, ENOUGH);
	empty_exchange();
	require(atomic_load(&allocations) == atomic_load(&frees), "the test is wrong");
	note("%lu blocks, %lu refused", atomic_load(&allocations),
	     atomic_load(&refusals));
	require(atomic_load(&allocations) > ENOUGH, "too few");
	nothing_left();
}

/* --- threads that come and go ------------------------------------------- */

static void *brief(void *arg)
{
	uint64_t state = (uint64_t)(uintptr_t)arg;
	struct held held[8];

	for (unsigned int i = 0; i < 8; i++)
		if (!get(&held[i], &state, false))
			held[i].va = NULL;
	for (unsigned int i = 0; i < 8; i++)
		if (held[i].va)
			put(&held[i], &state);
	return NULL;
}

/* Without joining caches a thread's blocks would pile up. */
static void exits(void)
{
	struct contig_stats stats = {.struct_size = sizeof(stats)};
	unsigned int rounds = under_sanitizer() ? 20 : 200;

	look_at_machine();
	for (unsigned int round = 0; round < rounds; round++) {
		pthread_t threads[4];

		for (uintptr_t i = 0; i < 4; i++)
			require(!pthread_create(&threads[i], NULL, brief,
						(void *)(round * 4 + i)),
				"pthread_create");
		for (unsigned int i = 0; i < 4; i++)
			pthread_join(threads[i], NULL);
	}
	contig_stats_get(&stats);
	require(!stats.cached && !stats.allocated, "%" PRIu64 " bytes still cached",
		stats.cached);
	require(stats.held <= 24 * MIB, "%" PRIu64 " bytes held", stats.held);
	nothing_left();
}

static pthread_key_t early, late;

/* pthread destructors run in no order, and again when keys are set anew:
 * blocks are freed and made before and after the library's own. */
static void destroy(struct held *h, pthread_key_t key)
{
	uint64_t state = h->stamp;
	static __thread int again;

	put(h, &state);
	if (again++ < 4) {
		get(h, &state, true);
		pthread_setspecific(key, h);
	} else {
		free(h);
	}
}

static void destroy_early(void *arg)
{
	destroy(arg, early);
}

static void destroy_late(void *arg)
{
	destroy(arg, late);
}

static void *with_destructors(void *arg)
{
	static _Atomic unsigned int number;
	uint64_t state = atomic_fetch_add(&number, 1);
	struct held *a = calloc(1, sizeof(*a)), *b = calloc(1, sizeof(*b));

	(void)arg;
	get(a, &state, true);
	get(b, &state, true);
	pthread_setspecific(early, a);
	pthread_setspecific(late, b);
	return NULL;
}

static void destructors(void)
{
	look_at_machine();
	require(!pthread_key_create(&early, destroy_early), "key");
	/* The library makes its key between these. */
	contig_free(contigmalloc(PAGE, M_SHARED, 0, 0, ~(vm_paddr_t)0, 0, 0));
	atomic_fetch_add(&allocations, 1);
	require(!pthread_key_create(&late, destroy_late), "key");
	for (unsigned int round = 0; round < 50; round++) {
		pthread_t threads[4];

		for (unsigned int i = 0; i < 4; i++)
			require(
			    !pthread_create(&threads[i], NULL, with_destructors, NULL),
			    "pthread_create");
		for (unsigned int i = 0; i < 4; i++)
			pthread_join(threads[i], NULL);
	}
	nothing_left();
}

/* A block that a thread leaves behind is freed by another after its end. */
static void *leave_one(void *arg)
{
	uint64_t state = test_seed();

	get(arg, &state, true);
	return NULL;
}

static void inherited(void)
{
	uint64_t state = 1;

	for (unsigned int i = 0; i < 100; i++) {
		struct held h;
		pthread_t thread;

		require(!pthread_create(&thread, NULL, leave_one, &h), "pthread_create");
		pthread_join(thread, NULL);
		put(&h, &state);
	}
	nothing_left();
}

/* First use by many at once. */
static pthread_barrier_t barrier;

static void *first(void *arg)
{
	struct held *h = arg;
	uint64_t state = (uint64_t)(uintptr_t)h;

	pthread_barrier_wait(&barrier);
	get(h, &state, true);
	return NULL;
}

static void first_use_child(void *arg)
{
	pthread_t threads[THREADS];
	struct held held[THREADS];
	uint64_t state = 1;

	(void)arg;
	pthread_barrier_init(&barrier, NULL, THREADS);
	for (unsigned int i = 0; i < THREADS; i++)
		require(!pthread_create(&threads[i], NULL, first, &held[i]),
			"pthread_create");
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (unsigned int i = 0; i < THREADS; i++)
		put(&held[i], &state);
	nothing_left();
}

static void first_use(void)
{
	for (unsigned int i = 0; i < (under_sanitizer() ? 5 : 30); i++) {
		struct outcome out = run_child(first_use_child, NULL);

		require(!out.status, "status %d signal %d", out.status, out.signal);
	}
}

/* Pools made, used and destroyed while others trim and count. */
static void *pool_user(void *arg)
{
	uint64_t state = *(uint64_t *)arg;
	struct contig_pool_attr attr = {.struct_size = sizeof(attr), .node = -1};

	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		contig_pool_t *pool;
		struct held h;
		void *va;

		if (probe_random(&state) % 4 == 0) {
			look_around((unsigned int)(probe_random(&state) % 5));
			continue;
		}
		attr.kind =
		    probe_random(&state) % 2 ? CONTIG_POOL_PRIVATE : CONTIG_POOL_DEFAULT;
		pool = contig_pool_create(&attr);
		require(pool, "%s", contig_strreason());
		va = contig_pool_malloc(pool, 5 * PAGE, M_TEMP, 0, 0, ~(vm_paddr_t)0, 0,
					0);
		if (va)
			memset(va, 1, 5 * PAGE);
		if (get(&h, &state, false))
			put(&h, &state);
		contig_free(va);
		contig_pool_destroy(pool);
	}
	return NULL;
}

static void pools(void)
{
	run_threads(pool_user, 1200, 0);
	nothing_left();
}

/* What one thread frees serves all before anything is refused. */
static int freed_pipe[2], drained_pipe[2];

static void *free_all(void *arg)
{
	void **blocks = arg;
	char byte;

	for (unsigned int i = 0; blocks[i]; i++)
		contig_free(blocks[i]);
	require(write(freed_pipe[1], "", 1) == 1, "write");
	require(read(drained_pipe[0], &byte, 1) == 1, "read");
	return NULL;
}

static void caches_drained(void)
{
	static void *blocks[70000];
	unsigned int n = 0;
	pthread_t thread;
	size_t whole = (size_t)hugepool_usable(POOL_2M) * SUPERPAGE;
	char byte;

	require(!pipe(freed_pipe) && !pipe(drained_pipe), "pipe");
	if (whole / (4 * PAGE) >= sizeof(blocks) / sizeof(blocks[0]))
		skip("the pool is too large to be used up");
	while ((blocks[n] = contigmalloc(4 * PAGE, M_TEMP, 0, 0, ~(vm_paddr_t)0, 0, 0)))
		n++;
	require(n * 4 * PAGE >= whole - SUPERPAGE, "%u blocks of %zu bytes in all", n,
		whole);
	require(!pthread_create(&thread, NULL, free_all, blocks), "pthread_create");
	require(read(freed_pipe[0], &byte, 1) == 1, "read");
	/* The other thread lives and has a cache full; it is drained. */
	require(contigmalloc(SUPERPAGE, M_TEMP, 0, 0, ~(vm_paddr_t)0, SUPERPAGE, 0), "%s",
		contig_strreason());
	for (size_t got = SUPERPAGE; got < whole; got += SUPERPAGE)
		require(
		    contigmalloc(SUPERPAGE, M_TEMP, 0, 0, ~(vm_paddr_t)0, SUPERPAGE, 0),
		    "%zu of %zu: %s", got, whole, contig_strreason());
	require(write(drained_pipe[1], "", 1) == 1, "write");
	pthread_join(thread, NULL);
}

static const struct test_case cases[] = {
    {"hammered_pool", hammered, 48, CASE_SLOW, "CONTIG_SOURCES=2m"},
    {"hammered_collapsed", hammered, 0, CASE_SLOW | CASE_MAY_TRY,
     "CONTIG_SOURCES=thp CONTIG_LIMIT=64M"},
    {"hammered_short", hammered, 6, CASE_SLOW, "CONTIG_SOURCES=2m"},
    {"hammered_simulated", hammered, POOL_ANY, CASE_SLOW,
     "CONTIG_SIM=4G-4160M,5G-5152M@1"},
    {"exits", exits, 16, CASE_SLOW | CASE_MAY_TRY, NULL},
    {"destructors", destructors, 16, CASE_SLOW | CASE_MAY_TRY, NULL},
    {"inherited", inherited, 16, CASE_MAY_TRY, NULL},
    {"first_use", first_use, 16, CASE_SLOW | CASE_MAY_TRY, NULL},
    {"pools", pools, 40, CASE_SLOW | CASE_MAY_TRY, "CONTIG_LIMIT=64M"},
    {"caches_drained", caches_drained, 16, CASE_SLOW, "CONTIG_SOURCES=2m"},
};

int main(int argc, char **argv)
{
	return RUN_CASES(cases, argc, argv);
}
