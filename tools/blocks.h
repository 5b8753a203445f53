/* SPDX-License-Identifier: BSD-2-Clause */
/* Words for what the library reports, and its settings from options. */
#ifndef TOOLS_BLOCKS_H
#define TOOLS_BLOCKS_H

#include "frames.h"
#include "options.h"

#include <contig/types.h>

const char *level_name(enum contig_level level);
const char *wiring_name(enum contig_wiring wiring);

/* --grow: one of never, overcommit, system. */
enum contig_grow options_grow(const struct argp_state *state, const char *arg);

/* Tell the library how far to go; -1: as the environment says.  0/-errno. */
int blocks_configure(int grow);

/*
 * frames_read(), but on a described machine (CONTIG_SIM), of which pagemap
 * knows nothing, what the library says.  0/-errno.
 */
int blocks_frames(const void *va, size_t len, struct frames *out);

/* What to do about errno of an allocation; NULL: nothing to say. */
const char *blocks_way_out(int error);

/* A reason of the library without the call it begins with, which the user
 * typed. */
const char *blocks_reason_core(const char *reason);

#endif
