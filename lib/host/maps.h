/* SPDX-License-Identifier: BSD-2-Clause */
/* /proc/PID/maps and smaps: mappings, one callback each. */
#ifndef HOST_MAPS_H
#define HOST_MAPS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct host_mapping {
	uintptr_t start, end;
	bool read, write, exec, shared;
	uint64_t offset, inode;
	unsigned int dev_major, dev_minor;
	const char *name;      /* path or "[heap]"; "" when anonymous; cut at 4095 bytes */
	uint64_t kernel_page;  /* KernelPageSize, bytes; 0 without smaps */
	uint64_t huge_bytes;   /* Anon/Shmem/FilePmdMapped + hugetlb; smaps */
};

/* Return non-zero from the callback to stop; that value is returned. */
typedef int (*host_mapping_fn)(const struct host_mapping *m, void *arg);

/* pid 0: this process.  smaps: read smaps (slower), else maps.  0, the
 * callback's value, or -errno. */
int contig_maps_each(pid_t pid, bool smaps, host_mapping_fn fn, void *arg);

#endif
