/* SPDX-License-Identifier: BSD-2-Clause */
/* What the actions of contig pool have in common. */
#ifndef TOOLS_POOL_COMMAND_H
#define TOOLS_POOL_COMMAND_H

#include "emitter.h"
#include "host/hugetlb.h"

#include <stdbool.h>
#include <stdint.h>

struct pool_input {
	struct emitter_options output;
	const char *action;  /* "show" by default */
	uint64_t size;	     /* of the pool's pages, bytes; 0: the action's usual one */
	int node;	     /* HUGETLB_ALL_NODES: any */
	uint64_t n;	     /* pages */
	uint64_t address;    /* below: exclusive end, bytes */
	uint64_t most_runs;  /* keep-contiguous */
	bool dry_run, contiguity;
};

/* Each returns an exit status; the caller finishes the emitter. */
int pool_show(struct emitter *e, const struct pool_input *input);
int pool_grow(struct emitter *e, const struct pool_input *input);
int pool_shrink(struct emitter *e, const struct pool_input *input);
int pool_demote(struct emitter *e, const struct pool_input *input);
int pool_compact(struct emitter *e, const struct pool_input *input);
int pool_below(struct emitter *e, const struct pool_input *input);
int pool_keep_contiguous(struct emitter *e, const struct pool_input *input);

/* Held while pages are taken or counted; negative where there is no lock,
 * which is no error; -ETIMEDOUT is.  contig_syslock_drop() it. */
int pool_lock(struct emitter *e);

/* Say why a change failed: error is -errno.  Returns the exit status: 1 when
 * the kernel had not the memory, else 2. */
int pool_failed(struct emitter *e, const char *object, int error);

/* The shell command that writes number to a file of the pool. */
void pool_say_echo(struct emitter *e, uint64_t size, int node, const char *file,
		   uint64_t number, const char *comment);
/* "before" and "after" of a pool, and whether it is now what was wanted. */
void pool_emit_change(struct emitter *e, uint64_t size, const struct hugetlb_counts *before,
		      const struct hugetlb_counts *after);

static inline uint64_t pool_persistent(const struct hugetlb_counts *counts)
{
	return counts->total > counts->surplus ? counts->total - counts->surplus : 0;
}

#endif
