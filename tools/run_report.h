/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The report of `contig run`: the memfd that the program's processes count
 * in, and what is printed of it when the program has ended.  It was writable
 * to the program: nothing read from it is believed to be well-formed.
 */
#ifndef TOOLS_RUN_REPORT_H
#define TOOLS_RUN_REPORT_H

#include "emitter.h"
#include "preload/report.h"

struct run_report {
	int fd;
	struct shim_report *map;
	char name[64]; /* for CONTIG_REPORT */
};

/* 0 or -errno. */
int report_create(struct run_report *out);

struct report_ending {
	const char *program;
	uint64_t threshold;
	int status;	     /* as waitpid(2) has it */
	uint64_t elapsed_ns;
	bool promised;	     /* no doubt was raised before the start */
};

/* The columns of the table of processes, for -o. */
const struct column *report_columns(size_t *n);

/* To e, all; or the table of processes alone. */
void report_emit(const struct run_report *report, const struct report_ending *ending,
		 bool table_only, struct emitter *e);

#endif
