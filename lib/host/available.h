/* SPDX-License-Identifier: BSD-2-Clause */
/* How much memory may be taken without hurting anyone. */
#ifndef HOST_AVAILABLE_H
#define HOST_AVAILABLE_H

#include <stdint.h>

/* One field of /proc/meminfo in bytes (the few without a unit, such as
 * HugePages_Free, as they are); 0/-errno (-ENOENT: no such field). */
int contig_meminfo(const char *field, uint64_t *out);

/* Bytes this process's memory cgroups still allow, over all levels of the
 * hierarchy, v1 and v2; reclaimable page cache inside the cgroup counts as
 * available (inactive_file).  memory.high counts as a limit: beyond it the
 * kernel stops the process for seconds at a time.  UINT64_MAX without a
 * limit; a limit that can't be understood counts as 0. */
uint64_t contig_memcg_room(void);

/* min(MemAvailable, contig_memcg_room()); 0 when it can't be told. */
uint64_t contig_available(void);
/* Where there is plenty, as it was some milliseconds ago. */
uint64_t contig_available_lately(void);

#endif
