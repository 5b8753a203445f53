/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A trial before the program starts: a block as the program would get one, by
 * the settings in the environment, in a process of its own, given back with
 * it.  So what is found out is what the shim will find, and nothing is left
 * behind.
 */
#ifndef TOOLS_RUN_TRIAL_H
#define TOOLS_RUN_TRIAL_H

#include <contig/types.h>
#include <stdbool.h>
#include <stdint.h>

struct trial_wish {
	uint64_t size, align; /* align 1: any */
	uint64_t high;	      /* physical, exclusive; UINT64_MAX: any */
	int node;	      /* -1: any */
	uint64_t most;	      /* bytes that a search may hold; 0: as much as ever */
	unsigned int ms;      /* no longer than this */
};

enum trial_end {
	TRIAL_GOT,
	TRIAL_REFUSED, /* why tells */
	TRIAL_LATE,    /* still looking when the time was over */
	TRIAL_FAILED   /* it could not be made at all: nothing is known */
};

struct trial {
	enum trial_end end;
	enum contig_wiring wiring;
	char why[400];
};

void trial_make(const struct trial_wish *wish, struct trial *out);

#endif
