/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The tool's own look at /proc/self/pagemap.  It shares no code with the
 * library, because it is the witness against it.
 */
#ifndef TOOLS_FRAMES_H
#define TOOLS_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct frames_range {
	uint64_t start, end; /* physical bytes, end exclusive */
};

struct frames {
	bool visible; /* frame numbers are shown to this process */
	bool present; /* every page was present */
	size_t n;     /* physically contiguous pieces, in the order of addresses */
	struct frames_range *ranges;
};

/* Read the pages of [va, va + len).  0/-errno.  frames_free() it. */
int frames_read(const void *va, size_t len, struct frames *out);
void frames_free(struct frames *frames);

/* Append a piece; it joins the last one when it goes on there.  0/-ENOMEM. */
int frames_add(struct frames *frames, uint64_t start, uint64_t len);

/* Whether two readings of one range agree. */
bool frames_equal(const struct frames *a, const struct frames *b);

/* Constraints of contigmalloc(9). */
struct frames_constraint {
	uint64_t size; /* as asked for; rounded to pages here */
	uint64_t low, high, alignment, boundary;
};

/* NULL when one range meets all of them, or in words which one it breaks.
 * When frames are hidden NULL if nothing wrong can be seen. */
const char *frames_broken(const struct frames *frames, const struct frames_constraint *want);

#endif
