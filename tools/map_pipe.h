/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading ahead: threads fetch pieces of a pagemap while the caller looks at
 * those before, in order.  Without threads each piece is read as it is asked
 * for.
 */
#ifndef TOOLS_MAP_PIPE_H
#define TOOLS_MAP_PIPE_H

#include "map_source.h"

#include <stddef.h>
#include <stdint.h>

#define MAP_PIPE_PAGES 8192 /* the most that one piece can have */

struct map_piece {
	size_t vma;    /* the caller's */
	uint64_t va;
	size_t n;      /* pages */
	ssize_t got;   /* how many were read, or -errno */
	const uint64_t *entries; /* n of them; those not read are 0 */
};

struct map_pipe;

/* NULL with errno.  threads 0: none. */
struct map_pipe *map_pipe_create(const struct map_source *source, unsigned int threads,
				 void (*look)(const struct map_piece *piece, void *arg),
				 void *arg);

/* Ask for n <= MAP_PIPE_PAGES pages; look() may be called for earlier ones. */
void map_pipe_read(struct map_pipe *pipe, size_t vma, uint64_t va, size_t n);

/* look() has been called for all that was asked for. */
void map_pipe_finish(struct map_pipe *pipe);
void map_pipe_destroy(struct map_pipe *pipe);

#endif
