/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether this machine can keep what `contig run` promises: each allocation
 * of the threshold and more, and each page-aligned one, is one physically
 * contiguous run, wired.
 */
#ifndef TOOLS_RUN_PROMISE_H
#define TOOLS_RUN_PROMISE_H

#include <contig/pool.h>
#include <stdbool.h>
#include <stdint.h>

struct promise_wanted {
	unsigned int sources; /* CONTIG_SOURCE_* */
	enum contig_grow grow;
	uint64_t limit;	      /* 0: as much as there is */
	uint64_t below;	      /* physical address; UINT64_MAX: any */
	uint64_t align;	      /* 1: any */
	int node;	      /* -1: any */
	uint64_t run;	      /* the longest block that matters; 0: not said */
};

#define PROMISE_DOUBTS 8

struct promise {
	const char *level, *wiring; /* what most memory will get */
	unsigned int n;		    /* 0: it can be kept, as far as can be told before */
	unsigned int n_slow;	    /* of n: it can be kept, perhaps, at a price */
	unsigned int n_chosen;	    /* of n: by the user's own wish, so no reason not to start */
	unsigned int n_long;	    /* of n: only blocks longer than a superpage are meant */
	struct {
		bool slow;
		char why[640];
		char mend[512]; /* a command, or "# what to do"; "" none */
	} doubt[PROMISE_DOUBTS];
};

/* Tries one superpage, one pin, and a block as the program would get it by the
 * settings in the environment, and gives them back. */
void promise_examine(const struct promise_wanted *wanted, struct promise *out);

#endif
