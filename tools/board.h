/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Another process's board (base/board.h): found, read and checked.  It is
 * what that process says of itself: nothing in it is believed to be in range,
 * and a process that dies meanwhile is an error like others.
 */
#ifndef TOOLS_BOARD_H
#define TOOLS_BOARD_H

#include "base/board.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A copy, as consistent as base/board.h promises; strings end. */
struct board_copy {
	struct board_header header; /* what this program knows of it */
	size_t n_counters, n_pools, n_vmas, n_peers;
	struct board_counter *counters;
	struct board_pool *pools;   /* by number; state 0: not in use */
	struct board_vma *vmas;
	struct board_peer *peers;
	size_t torn; /* records that were being written whenever they were read */
};

/* Where a process's board is. */
struct board_place {
	uint64_t start, end; /* mapping */
	uint64_t device, inode;
};

enum board_error {
	BOARD_FOUND,
	BOARD_NO_PROCESS,  /* there is none, or it ended */
	BOARD_FORBIDDEN,   /* we may not look */
	BOARD_NO_LIBRARY,  /* no libcontig in it */
	BOARD_NONE,        /* libcontig, but no board (yet) */
	BOARD_INVALID      /* makes no sense */
};

/* reason: for people. */
enum board_error board_find(pid_t pid, struct board_place *place, char *reason, size_t len);
/* Find and read.  Free it when it is BOARD_FOUND. */
enum board_error board_read(pid_t pid, struct board_copy *out, char *reason, size_t len);
/* The same of a file, pid apart: for tests. */
enum board_error board_read_file(int fd, struct board_copy *out, char *reason, size_t len);
void board_free(struct board_copy *copy);

/* A counter by its name; false: this library has no such. */
bool board_counter(const struct board_copy *copy, const char *name, uint64_t *value);

#endif
