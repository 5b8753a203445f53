/* SPDX-License-Identifier: BSD-2-Clause */
/* System V shared memory that this process attached and we wired (shm.c). */
#ifndef PRELOAD_SEGMENTS_H
#define PRELOAD_SEGMENTS_H

#include <stdbool.h>

/* Called by shim_mappings_fork_*() and shim_mappings_exit(). */
void shim_segments_fork_prepare(void);
void shim_segments_fork_done(bool child);
void shim_segments_exit(void);

#endif
