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
	bool constrained;     /* to physical addresses */
};

#define PROMISE_DOUBTS 6

struct promise {
	const char *level, *wiring; /* what most memory will get */
	unsigned int n;		    /* 0: it can be kept, as far as can be told before */
	struct {
		char why[512];
		char mend[512]; /* a command, or "# what to do"; "" none */
	} doubt[PROMISE_DOUBTS];
};

/* Tries one superpage and one pin, and gives them back. */
void promise_examine(const struct promise_wanted *wanted, struct promise *out);

#endif
