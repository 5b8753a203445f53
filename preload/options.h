/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What `contig run` (or a user of LD_PRELOAD) asks for, from the environment.
 * Read once at start, by code that allocates nothing; ignored in set-id
 * programs, which the shim leaves alone altogether.
 *
 *	CONTIG_RUN_THRESHOLD=SIZE    from here on a block is one run (65536)
 *	CONTIG_RUN_STRICT=1          ENOMEM instead of base pages
 *	CONTIG_RUN_FORK=enomem|cow   when a fork can neither pin nor swap
 *	CONTIG_RUN_BELOW=SIZE        physical addresses below this
 *	CONTIG_RUN_ALIGN=SIZE        of blocks of the threshold and more
 *	CONTIG_RUN_MAP_LIMIT=SIZE    longer mappings are left alone (64M)
 *	CONTIG_RESTRICT=NAME:NAME    file names of the programs meant
 *	CONTIG_LIMIT CONTIG_SOURCES CONTIG_GROW CONTIG_NODE   as the core reads them
 *	CONTIG_REPORT=PATH           see report.h
 */
#ifndef PRELOAD_OPTIONS_H
#define PRELOAD_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHIM_THRESHOLD_DEFAULT 65536
#define SHIM_MAP_LIMIT_DEFAULT (UINT64_C(64) << 20)

enum shim_fork {
	SHIM_FORK_ENOMEM,
	SHIM_FORK_COW,
};

struct shim_options {
	bool active;          /* false: stand aside, everything is the libc's or base pages */
	const char *aside;    /* why not active; NULL if it is */
	size_t threshold;
	size_t align;         /* 0 none */
	uint64_t low, high;   /* physical, high exclusive; high UINT64_MAX: any */
	uint64_t map_limit;   /* mappings up to so many bytes are taken at once */
	int node;             /* -1 any; else a kernel node number */
	bool strict;
	enum shim_fork fork;
	const char *report;   /* CONTIG_REPORT or NULL; points into environ */
	char program[64];     /* file name of this program, cut if longer */
};

extern struct shim_options shim_options;

/* Once, before anything else reads shim_options. */
void shim_options_read(void);

#endif
