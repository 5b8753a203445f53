/* SPDX-License-Identifier: BSD-2-Clause */
/* First use: settings, machine, direct map, default pool, fork handlers. */
#ifndef PHYS_START_H
#define PHYS_START_H

#include <stdbool.h>

extern bool contig_started; /* set once all of it stands */

static inline bool contig_is_started(void)
{
	return __builtin_expect(__atomic_load_n(&contig_started, __ATOMIC_ACQUIRE), 1);
}

/* Returns 0, or -errno with a reason; the same answer every time. */
int contig_start_slow(void);

static inline int contig_start(void)
{
	return contig_is_started() ? 0 : contig_start_slow();
}

/* The settings have been read and may still be changed: 0, -EBUSY when
 * memory has been taken. */
int contig_start_settings(void);

#endif
