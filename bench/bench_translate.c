/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Virtual to physical in memory of the pool: independent translations of
 * addresses all over it, ns each, the loop and the load of the address
 * included.
 *
 *	bench_translate [-q]	-q: fewer repetitions
 *
 * Every contestant's answers are held against pagemap first, and an address
 * in a hole of the direct map must be refused.
 */
#include "hugepool.h"
#include "measure.h"
#include "peer.h"

#include <contig.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define POOL_BYTES (UINT64_C(64) << 20)
#define ADDRESSES 4096u
#define ROUNDS 250u /* over all addresses: a sample is about a millisecond */
#define SLOW_ADDRESSES 1024u
#define REPETITIONS 41u

/* A table of two levels, as SPDK has: 1 GiB and 2 MiB, ~0 where nothing is. */
#define GIGA_SHIFT 30
#define MEGA_SHIFT 21
#define ADDRESS_BITS 48
#define NOTHING UINT64_MAX

struct giga {
	uint64_t physical[1 << (GIGA_SHIFT - MEGA_SHIFT)];
};

static struct giga **table;
static int pagemap;

static void table_add(const void *va, uint64_t pa)
{
	struct giga **giga = &table[(uintptr_t)va >> GIGA_SHIFT];

	if (!*giga) {
		*giga = malloc(sizeof(**giga));
		if (!*giga)
			die("no memory");
		memset(*giga, 0xff, sizeof(**giga));
	}
	(*giga)->physical[(uintptr_t)va >> MEGA_SHIFT & 511] = pa;
}

static inline uint64_t table_inline(const void *va)
{
	uint64_t at = (uintptr_t)va, pa;
	const struct giga *giga;

	if (at >> ADDRESS_BITS)
		return NOTHING;
	giga = table[at >> GIGA_SHIFT];
	if (!giga)
		return NOTHING;
	pa = giga->physical[at >> MEGA_SHIFT & 511];
	return pa == NOTHING ? NOTHING : pa + (at & (HUGE_SIZE - 1));
}

__attribute__((noinline)) static uint64_t table_call(const void *va)
{
	return table_inline(va);
}

static uint64_t pagemap_pread(const void *va)
{
	uint64_t entry;

	if (pread(pagemap, &entry, sizeof(entry),
		  (off_t)((uintptr_t)va / 4096 * sizeof(entry))) != sizeof(entry) ||
	    !(entry >> 63))
		return NOTHING;
	return (entry & ((UINT64_C(1) << 55) - 1)) * 4096 + ((uintptr_t)va & 4095);
}

static inline uint64_t nothing(const void *va)
{
	return opaque((uintptr_t)va);
}

/* One loop for each, so that inline ones are inlined. */
#define LOOP(name, translate)                                             \
	__attribute__((noinline)) static uint64_t loop_##name(            \
		const void *const *va, size_t n)                          \
	{                                                                 \
		uint64_t sum = 0;                                         \
									  \
		for (size_t i = 0; i < n; i++)                            \
			sum += translate(va[i]);                          \
		return sum;                                               \
	}
/* As a driver translates a burst: four in one turn of the loop. */
__attribute__((noinline)) static uint64_t loop_unrolled(const void *const *va, size_t n)
{
	uint64_t sum = 0;

	_Pragma("GCC unroll 4")
	for (size_t i = 0; i < n; i++)
		sum += contig_virt_to_phys_inline(va[i]);
	return sum;
}

LOOP(nothing, nothing)
LOOP(inline, contig_virt_to_phys_inline)
LOOP(call, contig_virt_to_phys)
LOOP(table_inline, table_inline)
LOOP(table_call, table_call)
LOOP(pread, pagemap_pread)

static struct contestant {
	const char *name;
	uint64_t (*loop)(const void *const *va, size_t n);
	size_t n;
	unsigned int rounds;
	struct measure times;
} contestants[] = {
	{"contig_virt_to_phys_inline", loop_inline, ADDRESSES, ROUNDS, {0, {0}}},
	{"contig_virt_to_phys_inline, loop unrolled by 4", loop_unrolled, ADDRESSES, ROUNDS, {0, {0}}},
	{"contig_virt_to_phys, a call", loop_call, ADDRESSES, ROUNDS, {0, {0}}},
	{"table of two levels, inline", loop_table_inline, ADDRESSES, ROUNDS, {0, {0}}},
	{"table of two levels, a call, as SPDK has it", loop_table_call, ADDRESSES, ROUNDS, {0, {0}}},
	{"pread of pagemap, descriptor open", loop_pread, SLOW_ADDRESSES, 1, {0, {0}}},
	{"(the loop alone: load and add)", loop_nothing, ADDRESSES, ROUNDS, {0, {0}}},
};
#define CONTESTANTS (sizeof(contestants) / sizeof(contestants[0]))

static void check_answers(const void *const *va)
{
	for (size_t i = 0; i < ADDRESSES; i++) {
		uint64_t expected = pagemap_pread(va[i]);

		/* All but the last, which translates nothing. */
		for (size_t c = 0; c < CONTESTANTS - 1; c++)
			if (contestants[c].loop(&va[i], 1) != expected)
				die("%s: wrong answer for %p", contestants[c].name, va[i]);
	}
}

static void check_hole(void)
{
	for (uint64_t off = 0; off < contig_direct_map.span; off += HUGE_SIZE) {
		const void *va = (const void *)(contig_direct_map.base + off);

		if (((const unsigned char *)(contig_direct_map.base - CONTIG_PRESENCE_BELOW))[off >> MEGA_SHIFT])
			continue;
		errno = 0;
		if (contig_virt_to_phys_inline(va) != CONTIG_PADDR_NONE || errno != EFAULT)
			die("a hole of the direct map got an address");
		return;
	}
}

static void sample(struct contestant *c, const void *const *va)
{
	uint64_t start = now_ns(), sum = 0;

	for (unsigned int round = 0; round < c->rounds; round++)
		sum += opaque(c->loop(va, c->n));
	opaque(sum);
	measure_add(&c->times, (double)(now_ns() - start) / (double)(c->n * c->rounds));
}

int main(int argc, char **argv)
{
	static const void *va[ADDRESSES];
	static struct peers peers;
	size_t pages = POOL_BYTES / HUGE_SIZE;
	unsigned char *block[POOL_BYTES / HUGE_SIZE];

	measure_options(argc, argv);
	table_title("translation in pool memory, 4096 addresses in 64 MiB");
	/* Ours and DPDK's.  Without a pool ours are collapsed ones: as good here. */
	hugepool_need(3 * pages);
	if (contig_level() != CONTIG_LEVEL_PHYSICAL) {
		row_note("left out: frames are hidden (needs CAP_SYS_ADMIN)");
		return 0;
	}
	pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	table = calloc(UINT64_C(1) << (ADDRESS_BITS - GIGA_SHIFT), sizeof(struct giga *));
	if (pagemap < 0 || !table || contig_reserve(POOL_BYTES))
		die("setup: %s", contig_strreason());
	for (size_t i = 0; i < pages; i++) {
		block[i] = contigmalloc(HUGE_SIZE, M_TEMP, M_NOWAIT | M_USE_RESERVE, 0,
					~UINT64_C(0), HUGE_SIZE, 0);
		if (!block[i])
			die("%s", contig_strreason());
		table_add(block[i], pagemap_pread(block[i]));
	}
	for (size_t i = 0; i < ADDRESSES; i++)
		va[i] = block[random_next() % pages] + random_next() % HUGE_SIZE;
	check_answers(va);
	check_hole();

	cpu_stay_on(0);
	for (unsigned int i = 0; i <= repetitions(REPETITIONS); i++) {
		for (size_t c = 0; c < CONTESTANTS; c++)
			sample(&contestants[c], va);
		if (!i)
			for (size_t c = 0; c < CONTESTANTS; c++)
				contestants[c].times.n = 0; /* warm now */
	}
	row_target(contestants[0].name, "ns", &contestants[0].times, 0.5);
	row_target(contestants[1].name, "ns", &contestants[1].times, 0.5);
	row_target(contestants[2].name, "ns", &contestants[2].times, 2);
	for (size_t c = 3; c < CONTESTANTS; c++)
		row_peer(contestants[c].name, "ns", &contestants[c].times, &contestants[0].times);
	if (peers_run(&peers, "translate"))
		for (unsigned int i = 0; i < peers.n; i++)
			row_peer(peers.peer[i].name, "ns", &peers.peer[i].times,
				 &contestants[0].times);
	return 0;
}
