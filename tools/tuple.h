/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Files of contigmalloc(9) calls, one a line, tab-separated: id, site, size,
 * low, high, alignment, boundary, note (may be missing).  '#' begins a
 * comment line.  Format: contig-replay(1), "FILE FORMAT".
 */
#ifndef TOOLS_TUPLE_H
#define TOOLS_TUPLE_H

#include "frames.h"

#include <stdbool.h>
#include <stdio.h>

struct tuple {
	char *id, *site, *note; /* note may be "" */
	struct frames_constraint want;
	bool zero; /* the note has the word M_ZERO */
};

struct tuple_file {
	size_t n;
	struct tuple *tuples;
};

/* What the symbols of a file stand for. */
struct tuple_symbols {
	uint64_t size;	    /* "S" */
	unsigned int order; /* "N<<order" */
};

/*
 * Read a whole file.  0, or -errno with where ("line 7") and why in reason;
 * nothing to free then.
 */
int tuple_file_read(FILE *in, const struct tuple_symbols *symbols, struct tuple_file *out,
		    char *reason, size_t reason_len);
void tuple_file_free(struct tuple_file *file);

#endif
