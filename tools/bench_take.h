/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ways to superpages, each as a program without libcontig would go it.  What
 * a way changes in the pools is taken back by a guard when it is over, also
 * when this process is killed.
 */
#ifndef TOOLS_BENCH_TAKE_H
#define TOOLS_BENCH_TAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum bench_way {
	WAY_BASE,      /* ordinary pages, touched */
	WAY_THP,       /* transparent superpages, touched */
	WAY_COLLAPSED, /* shared memory, collapsed */
	WAY_POOL,      /* the pool's free pages as they are */
	WAY_GROWN,     /* pool raised */
	WAY_COMPACTED, /* memory compacted, then the pool raised */
	WAY_DEMOTED,   /* pages of 1 GiB, demoted */
	WAY_SURPLUS,   /* beyond the pool, as far as overcommit allows */
	BENCH_WAYS
};

struct bench_taken {
	uint64_t page;    /* bytes of the pages that were taken */
	size_t n;         /* of them */
	uint64_t *frames; /* in the order of addresses */
	uint64_t nanoseconds;
	char why[160];    /* none or fewer than wanted: why */
};

const char *bench_way_name(enum bench_way way);

/* Take bytes this way, read the frames, give all back.  true: some came.
 * The caller frees taken->frames. */
bool bench_take(enum bench_way way, uint64_t bytes, struct bench_taken *taken);

#endif
