/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CONTIG_GROW=system: making the kernel's pools larger for a moment, under a
 * guard that puts every number back even if this process is killed.  Pages
 * that were taken meanwhile become surplus and vanish with their owner.
 */
#ifndef PHYS_GROWTH_H
#define PHYS_GROWTH_H

#include "contig/types.h"
#include "phys/pool.h"

#include <stdbool.h>
#include <stdint.h>

enum growth_way {
	GROWTH_2M = 0,   /* compact, then more 2 MiB pages */
	GROWTH_DEMOTE,   /* 1 GiB pages, demoted: long runs, and low ones */
	GROWTH_1G,       /* 1 GiB pages as they are */
	GROWTH_WAYS
};

struct growth;

struct growth *contig_growth_start(void); /* NULL with a reason */

/*
 * Grow by one step of the way, if it suits the request and all steps of the
 * way together stay within most bytes.  false: this way is at its end.
 */
bool contig_growth_step(struct growth *growth, enum growth_way way,
			const struct frame_request *request, uint64_t most);
/* What a way gives to take from. */
enum contig_source contig_growth_source(enum growth_way way);
const char *contig_growth_name(enum growth_way way);
const char *contig_growth_why(const struct growth *growth);
/* Nothing can be raised here (a read-only /sys): no other way will do. */
bool contig_growth_denied(const struct growth *growth);
void contig_growth_stop(struct growth *growth); /* all numbers as before */

#endif
