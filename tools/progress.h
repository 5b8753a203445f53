/* SPDX-License-Identifier: BSD-2-Clause */
/* A bar on standard error while something takes long; on a terminal only. */
#ifndef TOOLS_PROGRESS_H
#define TOOLS_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	const char *what;
	uint64_t total, started, shown; /* ns of the clock */
	bool terminal, drawn;
};

/* total 0: unknown, then the amount is shown and no share. */
void progress_begin(struct progress *p, const char *what, uint64_t total);
void progress_show(struct progress *p, uint64_t done); /* bytes; cheap */
void progress_end(struct progress *p); /* the line is clean again */

#endif
