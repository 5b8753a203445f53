/* SPDX-License-Identifier: BSD-2-Clause */
/* contig share, between gathering and printing. */
#ifndef TOOLS_SHARE_H
#define TOOLS_SHARE_H

#include "board.h"
#include "emitter.h"
#include "share_files.h"

#include <stddef.h>

/* One process and what it says. */
struct sharer {
	const struct share_process *who;
	struct board_copy board;
};

struct share {
	struct emitter *e;
	struct share_process *all;
	size_t n_all;
	struct sharer *sharers;
	size_t n_sharers;
	size_t rows;
	const struct board_vma *last; /* of the last row */
	size_t forbidden; /* processes that we could not look at */
	size_t invalid;   /* whose boards make no sense */
};

#define SHARE_COLUMNS 16
extern const struct column share_columns[SHARE_COLUMNS];

/* Rows of all sharers, and their shareable pools. */
void share_print(struct share *share);
void share_print_pools(struct share *share);

#endif
