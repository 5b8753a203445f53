/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Measuring in a process of its own: other allocators change the process that
 * they run in, print what they like and may end it, some have to be there from
 * the start, and the library takes its settings once.
 */
#ifndef TOOLS_BENCH_APART_H
#define TOOLS_BENCH_APART_H

#include "histogram.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bench_job {
	const char *name;	/* of bench_jobs[] */
	const char *preload;	/* LD_PRELOAD of the process; NULL: none at all */
	uint64_t superpages;	/* so many are free in the pool meanwhile; 0: no matter */
	uint64_t size;		/* bytes, for the job */
	unsigned int calls;	/* likewise */
	size_t frames;		/* how many it may report */
};

/* In memory that both processes have. */
struct bench_report {
	char job[32];
	uint64_t size;
	unsigned int wanted;   /* calls */
	bool done;             /* it came to the end; else why says what stopped it */
	char why[160];         /* also of what was done only in part */
	uint64_t nanoseconds;  /* for all of the memory */
	uint64_t longest;      /* bytes of the longest block that was given; 0: not asked */
	uint64_t page;         /* bytes of the pages that frames[] names */
	struct histogram calls;
	size_t n, most;        /* of frames */
	uint64_t frames[];     /* in the order of addresses */
};

/*
 * Run the job in a process of its own; what that prints is kept from the
 * screen.  With superpages the lock on pools is held meanwhile, and what was
 * raised is taken back.  NULL: no memory, errno; else bench_report_free() it.
 */
struct bench_report *bench_apart(const struct bench_job *job);
void bench_report_free(struct bench_report *report);

/* The frames of the pages of page bytes at va, into the report. */
void bench_report_memory(struct bench_report *report, const void *va, size_t len, uint64_t page);

/* What the new process does; fd is the report's.  An exit status. */
int bench_apart_main(int fd);

/* By name; in bench_jobs.c. */
struct bench_job_entry {
	const char *name;
	void (*run)(struct bench_report *out);
};
extern const struct bench_job_entry bench_jobs[]; /* ends with a NULL name */

#endif
