/* SPDX-License-Identifier: BSD-2-Clause */
/* One look at superpages, as contig top shows it. */
#ifndef TOOLS_TOP_VIEW_H
#define TOOLS_TOP_VIEW_H

#include "emitter.h"

#include <stdbool.h>
#include <stddef.h>

enum top_order { TOP_BY_SIZE, TOP_BY_USE, TOP_BY_NAME, TOP_BY_PID, TOP_ORDERS };

extern const char *const top_order_names[TOP_ORDERS];

/* Print pools and zones, unless only_processes, and at most rows processes (0:
 * all).  0/-errno. */
int top_view(struct emitter *e, enum top_order order, size_t rows, bool only_processes);

/* -o: as emitter_bad_column(). */
char *top_bad_column(const struct emitter *e);

/* Lines that the view takes besides the processes. */
size_t top_view_height(void);

#endif
