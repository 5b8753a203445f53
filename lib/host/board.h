/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * This process's board (base/board.h): made, mapped, and gone in a forked
 * child.  It is for others to read: the library itself takes nothing from it,
 * and goes on without when it can't have one.
 */
#ifndef HOST_BOARD_H
#define HOST_BOARD_H

#include "base/board.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* NULL: none (yet).  Once made it stays, until fork(2). */
extern struct board *contig_board_now;

static inline struct board *board_now(void)
{
	return __atomic_load_n(&contig_board_now, __ATOMIC_ACQUIRE);
}

/*
 * Make it and fill in its header; one caller at a time.  level: enum
 * contig_level.  NULL when that can't be done, which is tried once.  Its
 * records are not there for others before contig_board_show().
 */
struct board *contig_board_make(uint32_t level);
void contig_board_show(struct board *board);

/* In a forked child: the board is the parent's, and unmapped here. */
void contig_board_forget(void);

/* A free record of a table, its state still 0; for each table its callers
 * take turns.  -1: no room. */
int contig_board_record(struct board *board, enum board_tables table);

uint64_t contig_board_clock(void);

#endif
