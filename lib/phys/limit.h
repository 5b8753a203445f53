/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CONTIG_LIMIT: one count of all superpages that this process holds, in pools
 * and beside them (the shim's mappings and segments).  What is about to be
 * taken counts before it is there, so that two who grow at once don't both
 * find the same room.  What a forked child inherited doesn't count.
 */
#ifndef PHYS_LIMIT_H
#define PHYS_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

/* Bytes that may still be taken; UINT64_MAX without a limit. */
uint64_t contig_limit_room(void);

/* Beside the pools: counted until returned.  false: beyond the limit. */
bool contig_limit_claim(uint64_t bytes);
void contig_limit_return(uint64_t bytes);
/* What is claimed now. */
uint64_t contig_limit_claimed(void);

/* On its way into a pool: counted until it has come there, or not.  false:
 * beyond the limit. */
bool contig_limit_expect(uint64_t bytes);
void contig_limit_came(uint64_t bytes);
/* What other threads of the parent were about to take never comes. */
void contig_limit_fork_child(void);

#endif
