/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Programs in a row that each use most of the pool: pinned pages come back
 * some 50 ms after their owner's end (FACTS 15), and none may notice.
 */
#include "harness.h"
#include "hugepool.h"
#include "probe.h"

#include <contig.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#define POOL 120
#define PROCESSES ((int)test_scaled(10, 3))

static size_t usable;

/* ~80 % of the pool, wherever it lies. */
static void use_most(void)
{
	size_t want = usable * 8 / 10;

	for (size_t i = 0; i < want; i++) {
		char *va = contigmalloc(SUPERPAGE, M_TEMP, M_WAITOK, 0, ~(vm_paddr_t)0,
					SUPERPAGE, 0);

		if (!va)
			fail("%zu of %zu superpages: %s", i, want, contig_strreason());
		va[i] = 1;
	}
}

static void end_by_exit(void *arg)
{
	(void)arg;
	use_most();
	exit(0);
}

static void end_by_quick_exit(void *arg)
{
	(void)arg;
	use_most();
	_exit(0);
}

static void end_by_kill(void *arg)
{
	(void)arg;
	use_most();
	kill(getpid(), SIGKILL);
}

static void end_tidily(void *arg)
{
	struct contig_stats stats = {.struct_size = sizeof(stats)};
	void *kept[POOL];
	size_t want = usable * 8 / 10;

	(void)arg;
	for (size_t i = 0; i < want; i++) {
		kept[i] =
		    contigmalloc(SUPERPAGE, M_TEMP, M_ZERO, 0, ~(vm_paddr_t)0, 0, 0);
		if (!kept[i])
			fail("%zu of %zu superpages: %s", i, want, contig_strreason());
	}
	for (size_t i = 0; i < want; i++)
		contig_free(kept[i]);
	contig_trim();
	contig_stats_get(&stats);
	if (stats.held)
		fail("%" PRIu64 " bytes still held", stats.held);
	exit(0);
}

static void in_a_row(void (*way)(void *arg), int expected)
{
	for (int i = 0; i < PROCESSES; i++) {
		struct outcome out = run_child(way, NULL);

		require(expected ? out.signal == expected : !out.status,
			"process %d: status %d signal %d", i, out.status, out.signal);
	}
}

static void look(void)
{
	usable = (size_t)hugepool_usable(POOL_2M);
	/* Most of it must be ours, and somebody else's pool can be any size. */
	if (usable > POOL)
		skip("the pool has %zu superpages, %d are wanted", usable, POOL);
}

static void back_to_back(void)
{
	look();
	in_a_row(end_by_exit, 0);
	in_a_row(end_by_quick_exit, 0);
	in_a_row(end_by_kill, SIGKILL);
	in_a_row(end_tidily, 0);
}

/* One process that trims and takes again finds its own pages. */
static void oneself(void)
{
	size_t want;

	look();
	want = usable * 8 / 10;
	for (int round = 0; round < PROCESSES; round++) {
		void *kept[POOL];

		for (size_t i = 0; i < want; i++) {
			kept[i] =
			    contigmalloc(SUPERPAGE, M_TEMP, 0, 0, ~(vm_paddr_t)0, 0, 0);
			require(kept[i], "round %d, %zu of %zu: %s", round, i, want,
				contig_strreason());
		}
		for (size_t i = 0; i < want; i++)
			contig_free(kept[i]);
		contig_trim();
	}
}

/* Several at once, each with a part that all together fit. */
static void share_alike(void *arg)
{
	size_t want = *(size_t *)arg;

	for (int round = 0; round < 5; round++) {
		void *kept[POOL];

		for (size_t i = 0; i < want; i++) {
			kept[i] =
			    contigmalloc(SUPERPAGE, M_TEMP, 0, 0, ~(vm_paddr_t)0, 0, 0);
			if (!kept[i])
				fail("round %d, %zu of %zu: %s", round, i, want,
				     contig_strreason());
		}
		for (size_t i = 0; i < want; i++)
			contig_free(kept[i]);
		contig_trim();
	}
}

static void at_once(void)
{
	pid_t children[4];
	size_t want;

	look();
	want = usable / 4 * 8 / 10;
	for (int i = 0; i < 4; i++) {
		fflush(NULL);
		children[i] = fork();
		if (!children[i]) {
			share_alike(&want);
			_exit(0);
		}
	}
	for (int i = 0; i < 4; i++) {
		struct outcome out = reap(children[i]);

		require(!out.status, "process %d: status %d signal %d", i, out.status,
			out.signal);
	}
}

static const struct test_case cases[] = {
    {"back_to_back", back_to_back, POOL, CASE_SLOW, "CONTIG_SOURCES=2m"},
    {"oneself", oneself, POOL, CASE_SLOW, "CONTIG_SOURCES=2m"},
    {"at_once", at_once, POOL, CASE_SLOW, "CONTIG_SOURCES=2m"},
};

int main(int argc, char **argv)
{
	return RUN_CASES(cases, argc, argv);
}
