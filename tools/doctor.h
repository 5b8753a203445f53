/* SPDX-License-Identifier: BSD-2-Clause */
/* The examination behind contig doctor. */
#ifndef TOOLS_DOCTOR_H
#define TOOLS_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>

enum doctor_state {
	DOCTOR_OK,
	DOCTOR_LIMITED,
	DOCTOR_MISSING,
	DOCTOR_UNTRIED /* needs the running machine, and this is a captured one */
};

struct doctor_check {
	const char *name;
	enum doctor_state state;
	char found[256];
	char means[320];
	char mend[320]; /* a command, or "# what to do"; "" when there is no need */
};

struct doctor {
	size_t n;
	struct doctor_check checks[48];
	bool fit; /* contiguous memory can be had now, physical and pinned */
	const char *level, *wiring; /* what an allocation would get; NULL unknown */
	char verdict[256];
};

/* NULL when not even /proc can be read.  doctor_free() it. */
struct doctor *doctor_examine(void);
void doctor_free(struct doctor *doctor);

#endif
