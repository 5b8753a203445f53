/* SPDX-License-Identifier: BSD-2-Clause */
/* Making a run of private superpages at a given address. */
#ifndef PRELOAD_MAPPING_AREA_H
#define PRELOAD_MAPPING_AREA_H

#include "contig/types.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pin;

/* What came. */
struct mapping_run {
	size_t n;           /* superpages: as many as asked for */
	bool contiguous;    /* proved: frame after frame */
	uint64_t first;     /* frame, or FRAME_HIDDEN */
	struct pin *pin;    /* NULL: none */
	enum contig_wiring wiring;
	const char *why;    /* what is missing, NULL nothing; valid until the
			     * thread makes another */
};

/* What is asked of frames; all bytes. */
struct mapping_wish {
	uint64_t low, high, align;
	int node;
};

/*
 * n superpages at va, which is aligned and reserved (PROT_NONE), populated
 * and zero, pinned if that is possible.  0, or -errno with a reason and the
 * reservation as it was.
 */
int shim_mapping_run_make(void *va, size_t n, const struct mapping_wish *wish,
			  struct mapping_run *out);

#endif
