/* SPDX-License-Identifier: BSD-2-Clause */
/* Who has superpages mapped, by /proc/PID/smaps_rollup. */
#ifndef TOOLS_PHYS_OWNERS_H
#define TOOLS_PHYS_OWNERS_H

#include "emitter.h"

/* The table "owners"; lines about what could not be read.  0/-errno. */
int phys_owners_emit(struct emitter *e);

#endif
