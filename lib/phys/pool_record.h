/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What others see of the pools and counters: records in the board
 * (base/board.h).  Never needed, never in the way: without a board these do
 * nothing.  No lock of LOCK_POOLS or above may be held.
 */
#ifndef PHYS_POOL_RECORD_H
#define PHYS_POOL_RECORD_H

#include <stdint.h>

struct board_pool;
struct contig_pool;

/* What there is to say of a pool, which is locked; also for those who ask from
 * inside. */
void contig_pool_describe(const struct contig_pool *pool, struct board_pool *out);
/* Bytes of its tables.  Locked. */
uint64_t contig_pool_metadata(const struct contig_pool *pool);

/* The board, made if there is none yet, with all pools and complete counters. */
void contig_records_update(void);

/* After a pool was made, grew, shrank or was quarantined. */
void contig_pool_record(struct contig_pool *pool);
/* It is no more, nor in the list. */
void contig_pool_record_end(struct contig_pool *pool);
/* Its number; -1: none. */
int contig_pool_record_number(const struct contig_pool *pool);

/* In a forked child, first of all: nothing of the parent's board is mapped. */
void contig_records_fork_child(void);

#endif
