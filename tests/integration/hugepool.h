/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel's superpage pools, as a test wants them and afterwards exactly as
 * they were: at exit, and through a guardian process also when the test is
 * killed or crashes.  Only the process that called hugepool_open() restores;
 * its forked children don't.
 */
#ifndef TESTS_HUGEPOOL_H
#define TESTS_HUGEPOOL_H

#include <stdbool.h>
#include <sys/types.h>

#define POOL_2M 0
#define POOL_1G 1
#define POOLS 2

struct pool_state {
	long nr, overcommit, surplus, free, reserved; /* -1: no such pool */
};

/* Remember everything and start the guardian.  Call it once, first. */
void hugepool_open(void);
/* Put everything back; false when the kernel's numbers don't follow in 10 s. */
bool hugepool_restore(void);
/* The guardian, which is no stray child. */
pid_t hugepool_guardian(void);
bool hugepool_may_change(void);

void hugepool_read(int pool, struct pool_state *out);
long hugepool_value(int pool, const char *file);
/* Free pages that nobody has reserved. */
long hugepool_usable(int pool);

/* Make exactly this many pages usable (more or fewer than now).  False, and
 * nothing is promised, when we may not or the kernel has no more to give. */
bool hugepool_set_usable(int pool, long pages);
bool hugepool_set_overcommit(int pool, long pages);

/* 512 superpages more that are one run: a 1 GiB page, demoted.  False: none
 * to be had. */
bool hugepool_add_run(void);

/* Whether a pool is in the given state within ten seconds: pinned pages come
 * back some 50 ms after their process, on a busy machine later. */
bool hugepool_becomes(int pool, const struct pool_state *want);
bool hugepool_usable_becomes(int pool, long pages);

/* Writes state ("offline", "online") to a block of memory; 0/-errno.  A block
 * that is offline is brought back in any case. */
int memory_block_set(long block, const char *state);

#endif
