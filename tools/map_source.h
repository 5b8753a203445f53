/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pagemap of one process as raw entries, and PAGEMAP_SCAN on it.  A
 * descriptor belongs to the memory that the process had when it was opened:
 * after its end, or execve, there is nothing to read any more.
 *
 * The library's reader is for its own process and 4 KiB frames; this one is
 * for any process of any machine.
 */
#ifndef TOOLS_MAP_SOURCE_H
#define TOOLS_MAP_SOURCE_H

#include "target.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Documentation/admin-guide/mm/pagemap.rst */
#define ENTRY_PRESENT (UINT64_C(1) << 63)
#define ENTRY_SWAPPED (UINT64_C(1) << 62)
#define ENTRY_GUARD (UINT64_C(1) << 58)
#define ENTRY_FRAME ((UINT64_C(1) << 55) - 1)

/* linux/fs.h of 6.7 and later */
#define SCAN_PRESENT (UINT64_C(1) << 3)
#define SCAN_SWAPPED (UINT64_C(1) << 4)
#define SCAN_ZERO (UINT64_C(1) << 5)
#define SCAN_HUGE (UINT64_C(1) << 6)

struct map_source {
	int fd;
	int maps;	/* for PROCMAP_QUERY; -1: not there */
	unsigned int shift;
	uint64_t page;
	bool captured;
	bool scan;	/* the kernel has PAGEMAP_SCAN */
	bool hidden;	/* the kernel withholds frames from us */
	uint64_t zero_frame; /* the page of zeros; UINT64_MAX unknown */
};

/* 0/-errno. */
int map_source_open(struct map_source *s, const struct target *p);
void map_source_close(struct map_source *s);

/*
 * Entries of n base pages from va on; those that can't be had are 0.  How many
 * the kernel gave, or -errno.  Any thread may call it.
 */
ssize_t map_source_read(const struct map_source *s, uint64_t va, size_t n,
			uint64_t *entries);

/*
 * The first frame of the superpage of zeros, of which this size, that is mapped
 * where a transparent superpage was only read; UINT64_MAX: there is none, or it
 * isn't known.
 */
uint64_t map_source_zero_huge(const struct map_source *s, uint64_t size);

/* The first page of [at, end) that may be present or swapped out; end: none. */
uint64_t map_source_next(const struct map_source *s, uint64_t at, uint64_t end);

/* Whether the memory is still there: not after exit or execve. */
bool map_source_alive(const struct map_source *s);

struct map_region {
	uint64_t start, end, categories;
};

/* fn for each region of [start, end) in which any of the categories holds;
 * wanted: which ones to tell apart.  0/-errno. */
int map_source_scan(const struct map_source *s, uint64_t start, uint64_t end, uint64_t any,
		    uint64_t wanted, void (*fn)(const struct map_region *r, void *arg),
		    void *arg);

/* The page size of the mapping at va, from PROCMAP_QUERY (Linux 6.11); 0
 * unknown. */
uint64_t map_source_page_size(const struct map_source *s, uint64_t va);

/* Whether an entry is of a page that is swapped out, as smaps counts it. */
static inline bool entry_is_swapped(uint64_t entry)
{
	/*
	 * Low bits are the swap file's number, unless frames are hidden (then
	 * they are 0); the highest are no swap but migration, poison and marks.
	 */
	return (entry & (ENTRY_PRESENT | ENTRY_SWAPPED | ENTRY_GUARD)) == ENTRY_SWAPPED &&
	       (entry & 31) < 23;
}

#endif
