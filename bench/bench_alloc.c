/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * contigmalloc and contigfree: the hot pair on one thread and on two, what a
 * constrained request costs from the cache and from the pool, and how fast
 * an impossible one is refused.
 *
 *	bench_alloc [-q]	-q: fewer repetitions
 *
 * Blocks aren't touched: only the allocator is timed.
 */
#include "hugepool.h"
#include "measure.h"
#include "peer.h"

#include <contig.h>

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define POOL_BYTES (UINT64_C(128) << 20)
#define PAIRS 20000u /* of one sample: about a millisecond */
#define REPETITIONS 41u
#define THREAD_PAIRS 50000u /* a millisecond: most fit between preemptions */
#define SLOW_SAMPLES 20000u
#define BATCH 12u /* live at once: more than one block of a magazine */
#define ANYWHERE 0, ~UINT64_C(0), 4096, 0

static const struct {
	const char *name;
	size_t bytes;
	double target;
} sizes[] = {
	{"4 KiB", 4096, 40},	   {"8 KiB", 8192, 40},	    {"16 KiB", 16384, 40},
	{"32 KiB", 32768, 40}, {"64 KiB", 65536, 40}, {"2 MiB", 2097152, 200},
};
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

static void *get(size_t bytes)
{
	void *p = contigmalloc(bytes, M_DEVBUF, M_NOWAIT, ANYWHERE);

	if (!p)
		die("%s", contig_strreason());
	return p;
}

static void pairs_contig(size_t bytes, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		void *p = contigmalloc(bytes, M_DEVBUF, M_NOWAIT, ANYWHERE);

		keep(p);
		contigfree(p, bytes, M_DEVBUF);
	}
}

static void batches_contig(size_t bytes, unsigned int n)
{
	void *p[BATCH];

	for (unsigned int i = 0; i < n; i += BATCH) {
		for (unsigned int j = 0; j < BATCH; j++)
			p[j] = contigmalloc(bytes, M_DEVBUF, M_NOWAIT, ANYWHERE);
		keep(p);
		for (unsigned int j = 0; j < BATCH; j++)
			contigfree(p[j], bytes, M_DEVBUF);
	}
}

/* All five constraints, met by the block that lies in the cache. */
static void pairs_constrained(size_t bytes, unsigned int n)
{
	void *p = get(bytes);
	uint64_t low = contig_virt_to_phys(p) & ~(HUGE_SIZE - 1);

	contigfree(p, bytes, M_DEVBUF);
	for (unsigned int i = 0; i < n; i++) {
		p = contigmalloc(bytes, M_DEVBUF, M_NOWAIT, low, low + HUGE_SIZE, bytes, HUGE_SIZE);
		keep(p);
		contigfree(p, bytes, M_DEVBUF);
	}
}

static void pairs_malloc(size_t bytes, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		void *p = malloc(bytes);

		keep(p);
		free(p);
	}
}

static void pairs_mmap(size_t bytes, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_POPULATE, -1, 0);

		if (p == MAP_FAILED)
			die("mmap of a huge page: %s", strerror(errno));
		munmap(p, bytes);
	}
}

static void sample(struct measure *m, void (*pairs)(size_t, unsigned int), size_t bytes,
		   unsigned int n)
{
	uint64_t start = now_ns();

	pairs(bytes, n);
	measure_add(m, (double)(now_ns() - start) / n);
}

static void hot_pairs(bool have_pool)
{
	static struct measure ours[SIZES], batch[SIZES], libc[SIZES], mapped,
		bounded;
	static struct peers peers;
	unsigned int rounds = repetitions(REPETITIONS);
	char name[80];

	cpu_stay_on(0);
	for (size_t s = 0; s < SIZES; s++) {
		pairs_contig(sizes[s].bytes, PAIRS);
		pairs_malloc(sizes[s].bytes, PAIRS);
	}
	for (unsigned int i = 0; i < rounds; i++) {
		for (size_t s = 0; s < SIZES; s++) {
			sample(&ours[s], pairs_contig, sizes[s].bytes, PAIRS);
			sample(&batch[s], batches_contig, sizes[s].bytes, PAIRS / BATCH * BATCH);
			sample(&libc[s], pairs_malloc, sizes[s].bytes, PAIRS);
		}
		sample(&bounded, pairs_constrained, 16384, PAIRS);
		if (have_pool)
			sample(&mapped, pairs_mmap, HUGE_SIZE, 8);
	}
	table_title("contigmalloc + contigfree, one thread, hot, a pair");
	for (size_t s = 0; s < SIZES; s++)
		row_target(sizes[s].name, "ns", &ours[s], sizes[s].target);
	row_target("16 KiB, window 2 MiB, aligned 16 KiB, boundary 2 MiB", "ns", &bounded, 40);
	for (size_t s = 0; s < SIZES; s++) {
		snprintf(name, sizeof(name), "%s, %u allocated, then %u freed", sizes[s].name, BATCH,
			 BATCH);
		row_plain(name, "ns", &batch[s]);
	}
	for (size_t s = 0; s < SIZES; s++) {
		snprintf(name, sizeof(name), "glibc malloc + free, %s", sizes[s].name);
		row_peer(name, "ns", &libc[s], &ours[s]);
	}
	if (mapped.n)
		row_peer("mmap, populated + munmap of a huge page", "ns", &mapped, &ours[SIZES - 1]);
	if (have_pool && peers_run(&peers, "alloc"))
		peers_run(&peers, "alloc-dynamic");
	for (unsigned int i = 0; i < peers.n; i++) {
		size_t s = 0;

		for (size_t j = 0; j < SIZES; j++)
			if (strstr(peers.peer[i].name, sizes[j].name))
				s = j;
		row_peer(peers.peer[i].name, peers.peer[i].unit, &peers.peer[i].times, &ours[s]);
	}
}

/* Two threads, each on a CPU of its own; every other turn the second idles. */
struct worker {
	pthread_t thread;
	unsigned int index;
	uint64_t start, end;
};

static pthread_barrier_t gate;
static size_t work_bytes; /* 0: the end */
static unsigned int workers_on;

static void *work(void *arg)
{
	struct worker *worker = arg;

	cpu_stay_on(worker->index);
	for (;;) {
		pthread_barrier_wait(&gate);
		if (!work_bytes)
			return NULL;
		if (worker->index < workers_on) {
			pairs_contig(work_bytes, 1000); /* awake and warm */
			worker->start = now_ns();
			pairs_contig(work_bytes, THREAD_PAIRS);
			worker->end = now_ns();
		}
		pthread_barrier_wait(&gate);
	}
}

static double turn(struct worker *workers, size_t bytes, unsigned int on)
{
	uint64_t start = UINT64_MAX, end = 0;

	work_bytes = bytes;
	workers_on = on;
	pthread_barrier_wait(&gate);
	pthread_barrier_wait(&gate);
	for (unsigned int i = 0; i < on; i++) {
		start = workers[i].start < start ? workers[i].start : start;
		end = workers[i].end > end ? workers[i].end : end;
	}
	/* Of the slower of two that overlap nearly all the time. */
	return (double)(end - start) / (double)(THREAD_PAIRS * on);
}

static void two_threads(void)
{
	static struct worker workers[2];
	char name[80];

	table_title("the same on two threads, each on its own CPU");
	if (cpu_count() < 2) {
		row_note("left out: only one CPU");
		return;
	}
	cpu_any();
	pthread_barrier_init(&gate, NULL, 3);
	for (unsigned int i = 0; i < 2; i++) {
		workers[i].index = i;
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
			die("pthread_create failed");
	}
	for (size_t s = 0; s < SIZES; s++) {
		struct measure one = {0}, two = {0};

		for (unsigned int i = 0; i < repetitions(MEASURE_MAX); i++) {
			measure_add(&one, turn(workers, sizes[s].bytes, 1));
			measure_add(&two, turn(workers, sizes[s].bytes, 2));
		}
		snprintf(name, sizeof(name), "%s, one thread", sizes[s].name);
		row_plain(name, "ns", &one);
		snprintf(name, sizeof(name), "%s, two threads, time / pairs of both", sizes[s].name);
		row_plain(name, "ns", &two);
		snprintf(name, sizeof(name), "%s, throughput of two / of one", sizes[s].name);
		row_ratio(name, measure_median(&one) / measure_median(&two),
			  measure_min(&one) / measure_min(&two),
			  sizes[s].bytes < HUGE_SIZE ? 1.8 : 0, true);
	}
	work_bytes = 0;
	pthread_barrier_wait(&gate);
	for (unsigned int i = 0; i < 2; i++)
		pthread_join(workers[i].thread, NULL);
	pthread_barrier_destroy(&gate);
}

/* Times of single calls, the clock's own cost taken off. */
struct calls {
	unsigned int n, refused;
	uint64_t ns[SLOW_SAMPLES];
};

static uint64_t clock_cost = UINT64_MAX;

static void calls_add(struct calls *calls, uint64_t start)
{
	uint64_t ns = now_ns() - start;

	calls->ns[calls->n++] = ns > clock_cost ? ns - clock_cost : 0;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static uint64_t calls_at(const struct calls *calls, unsigned int per_mille)
{
	return calls->n ? calls->ns[(uint64_t)(calls->n - 1) * per_mille / 1000] : 0;
}

struct constraint {
	const char *name;
	size_t bytes;
	uint64_t window; /* random windows of so much of the pool; 0: none */
	unsigned long alignment;
	uint64_t boundary;
};

/* Windows lie around blocks of the heap: elsewhere there is nothing of ours. */
static void constrained(const struct constraint *c, const vm_paddr_t *blocks, size_t n)
{
	static struct calls alloc, both;

	alloc.n = both.n = alloc.refused = 0;
	for (unsigned int i = 0; i < repetitions(SLOW_SAMPLES); i++) {
		uint64_t from = 0, to = ~UINT64_C(0), start;
		void *p;

		if (c->window) {
			from = blocks[random_next() % n];
			from -= from < c->window / 2 ? from : c->window / 2;
			to = from + c->window;
		}
		start = now_ns();
		p = contigmalloc(c->bytes, M_DEVBUF, M_NOWAIT, from, to, c->alignment, c->boundary);
		if (!p) {
			alloc.refused++;
			continue;
		}
		calls_add(&alloc, start);
		contigfree(p, c->bytes, M_DEVBUF);
		calls_add(&both, start);
	}
	qsort(alloc.ns, alloc.n, sizeof(alloc.ns[0]), compare);
	qsort(both.ns, both.n, sizeof(both.ns[0]), compare);
	printf("%-50s %6" PRIu64 " %6" PRIu64 " %7" PRIu64 "  %6" PRIu64 " %6" PRIu64 " %7" PRIu64
	       " %6u\n",
	       c->name, calls_at(&alloc, 500), calls_at(&alloc, 990), calls_at(&alloc, 999),
	       calls_at(&both, 500), calls_at(&both, 990), calls_at(&both, 999), alloc.refused);
}

/* A call that can't be met by any machine. */
static void refused(const char *name, size_t bytes, uint64_t low, uint64_t high,
		    uint64_t boundary)
{
	struct measure m = {0};

	for (unsigned int i = 0; i < repetitions(MEASURE_MAX); i++) {
		uint64_t start = now_ns();

		if (contigmalloc(bytes, M_DEVBUF, M_WAITOK, low, high, 4096, boundary) ||
		    errno != ERANGE)
			die("%s: not refused with ERANGE", name);
		measure_add(&m, (double)(now_ns() - start) / 1000);
	}
	row_target(name, "us", &m, 1000);
}

static void single_calls(void)
{
	static const struct constraint cached[] = {
		{"64 KiB, no constraint", 65536, 0, 4096, 0},
		{"64 KiB aligned 64 KiB within 1 MiB", 65536, 0, 65536, 1 << 20},
	};
	static const struct constraint cold[] = {
		{"68 KiB, no constraint", 69632, 0, 4096, 0},
		{"68 KiB aligned 128 KiB", 69632, 0, 131072, 0},
		{"68 KiB within 128 KiB", 69632, 0, 4096, 131072},
		{"68 KiB in a window of 16 MiB", 69632, 16 << 20, 4096, 0},
		{"68 KiB aligned 64K within 128K, window of 16 MiB", 69632, 16 << 20, 65536, 131072},
		{"4 KiB in a window of 16 MiB (not the cached ones)", 4096, 16 << 20, 4096, 0},
	};
	static void *block[POOL_BYTES / 4096];
	static size_t length[POOL_BYTES / 4096];
	static vm_paddr_t paddr[POOL_BYTES / 4096];
	struct contig_stats stats = {.struct_size = sizeof(stats)};
	size_t n = 0;

	cpu_stay_on(0);
	for (int i = 0; i < 10000; i++) {
		uint64_t start = now_ns(), cost = now_ns() - start;

		clock_cost = cost < clock_cost ? cost : clock_cost;
	}
	printf("\n%-50s %22s  %22s\n%-50s %6s %6s %7s  %6s %6s %7s %6s\n",
	       "single calls, ns, the clock's cost taken off", "contigmalloc alone",
	       "contigmalloc + contigfree", "", "p50", "p99", "p99.9", "p50", "p99", "p99.9",
	       "no");
	row_note("served from the thread's cache:");
	for (size_t i = 0; i < sizeof(cached) / sizeof(cached[0]); i++)
		constrained(&cached[i], NULL, 0);

	/* A heap in pieces: blocks of all lengths, every other one freed. */
	while (n < sizeof(block) / sizeof(block[0])) {
		/* Above 16 pages and no power of two: no magazine takes them. */
		length[n] = (17 + random_next() % 15) * 4096;
		block[n] = contigmalloc(length[n], M_TEMP, M_NOWAIT, ANYWHERE);
		if (!block[n])
			break;
		paddr[n] = contig_virt_to_phys(block[n]);
		n++;
	}
	for (size_t i = 0; i < n; i++) {
		if (random_next() % 2) {
			contigfree(block[i], length[i], M_TEMP);
			block[i] = NULL;
		}
	}
	contig_stats_get(&stats);
	row_note("from the pool, %" PRIu64 " MiB in pieces of 68-124 KiB, half of them free:",
		 stats.held >> 20);
	for (size_t i = 0; i < sizeof(cold) / sizeof(cold[0]); i++)
		constrained(&cold[i], paddr, n);
	for (size_t i = 0; i < n; i++)
		if (block[i])
			contigfree(block[i], length[i], M_TEMP);

	table_title("refused with ERANGE: no machine can meet it");
	refused("boundary smaller than the size", 65536, 0, ~UINT64_C(0), 4096);
	refused("low above high", 65536, 1 << 20, 1 << 16, 0);
	refused("a window without RAM", 65536, UINT64_C(1) << 50, UINT64_C(1) << 51, 0);
}

int main(int argc, char **argv)
{
	struct contig_config config = {.struct_size = sizeof(config)};
	bool have_pool;

	measure_options(argc, argv);
	/* Ours, two for mmap, and what DPDK wants: without them from collapsed
	 * memory, which the allocator can't tell. */
	have_pool = hugepool_need(POOL_BYTES / HUGE_SIZE + 64);
	contig_config_get(&config);
	/* A request that fails must not take more; a superpage for the reserve. */
	config.limit = POOL_BYTES + HUGE_SIZE;
	if (contig_configure(&config) || contig_reserve(POOL_BYTES))
		die("contig_reserve: %s", contig_strreason());
	contigfree(get(4096), 4096, M_DEVBUF);
	hot_pairs(have_pool);
	two_threads();
	single_calls();
	return 0;
}
