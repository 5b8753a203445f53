/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kill -9 at any moment: no superpage is lost, no setting stays changed.
 */
#include "harness.h"
#include "hugepool.h"
#include "probe.h"

#include <contig.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

/* Allocates, frees, trims, reserves until it is killed. */
static void busy(uint64_t seed, size_t most)
{
	uint64_t state = seed;
	void *kept[16] = {NULL};

	for (;;) {
		unsigned int slot = probe_random(&state) % 16;
		size_t size = 1 + probe_random(&state) % most;

		if (kept[slot]) {
			contig_free(kept[slot]);
			kept[slot] = NULL;
		} else {
			kept[slot] =
			    contigmalloc(size, M_TEMP, slot % 2 ? M_ZERO : 0, 0,
					 ~(vm_paddr_t)0, slot % 3 ? 0 : 65536, 0);
		}
		switch (probe_random(&state) % 12) {
		case 0:
			contig_trim();
			break;
		case 1:
			contig_reserve(most);
			break;
		case 2:
			for (unsigned int i = 0; i < 16; i++) {
				contig_free(kept[i]);
				kept[i] = NULL;
			}
			contig_trim();
		}
	}
}

static void kill_it(unsigned int iterations, long most_ms, size_t most, bool with_guard)
{
	struct pool_state before[POOLS];
	uint64_t state = test_seed();
	double end = probe_ms() + 30000;
	unsigned int done = 0;

	iterations = (unsigned int)test_scaled(iterations, 6);
	for (int pool = 0; pool < POOLS; pool++)
		hugepool_read(pool, &before[pool]);
	for (; done < iterations && probe_ms() < end; done++) {
		/* Short lives more often than long ones. */
		uint64_t share = probe_random(&state) % 1024;
		long us = (long)((uint64_t)most_ms * 1000 * share * share >> 20);
		struct timespec life = {us / 1000000, us % 1000000 * 1000};
		uint64_t seed = probe_random(&state);
		pid_t child = fork();

		if (!child) {
			/* As a shell's job; its guards must survive the group. */
			setpgid(0, 0);
			busy(seed, most);
		}
		require(child > 0, "fork: %s", strerror(errno));
		setpgid(child, child);
		nanosleep(&life, NULL);
		kill(with_guard ? -child : child, SIGKILL);
		require(waitpid(child, NULL, 0) == child, "waitpid: %s", strerror(errno));
		for (int pool = 0; pool < POOLS; pool++)
			require(
			    before[pool].nr < 0 || hugepool_becomes(pool, &before[pool]),
			    "killed after %ld us, iteration %u: pool %d", us, done, pool);
	}
	note("%u killed", done);
	require(done >= iterations / 4, "only %u", done);
}

static void with_pool(void)
{
	kill_it(60, 60, 24 * MIB, false);
}

static void collapsed(void)
{
	long shmem = probe_meminfo("ShmemHugePages");
	double end;

	kill_it(25, 60, 24 * MIB, false);
	for (end = probe_ms() + 10000; probe_meminfo("ShmemHugePages") > shmem + 65536;) {
		require(probe_ms() < end, "collapsed memory is missing");
		probe_sleep_ms(20);
	}
}

static void growing(void)
{
	kill_it(20, 900, 48 * MIB, true);
}

/* A 1 GiB page is raised, taken, demoted: the longest sequence of settings. */
static void demoting(void)
{
	kill_it(8, 1200, 400 * MIB, true);
}

static const struct test_case cases[] = {
    {"with_pool", with_pool, 48, CASE_SLOW, "CONTIG_SOURCES=2m"},
    {"collapsed", collapsed, 0, CASE_SLOW | CASE_MAY_TRY, "CONTIG_SOURCES=thp"},
    {"growing", growing, 4, CASE_SLOW | CASE_ROOT,
     "CONTIG_GROW=system CONTIG_SOURCES=1g,2m CONTIG_RECLAIM_MAX=512M"},
    {"demoting", demoting, 0, CASE_SLOW | CASE_ROOT,
     "CONTIG_GROW=system CONTIG_SOURCES=1g,2m"},
};

int main(int argc, char **argv)
{
	return RUN_CASES(cases, argc, argv);
}
