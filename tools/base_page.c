/* SPDX-License-Identifier: BSD-2-Clause */
#include "base_page.h"

#include "base/page.h"
#include "host/root.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A value of /proc/meminfo in KiB; 0: not there. */
static uint64_t meminfo(const char *key)
{
	char *text, *at;
	uint64_t value = 0;

	if (contig_root_read_all("/proc/meminfo", &text) < 0)
		return 0;
	at = strstr(text, key);
	if (at && (at == text || at[-1] == '\n'))
		value = strtoull(at + strlen(key), NULL, 10);
	free(text);
	return value;
}

uint64_t base_page_size(const struct host_topology *t)
{
	uint64_t told, total = meminfo("MemTotal:") * 1024, frames = 0, page = 4096;

	if (contig_root_is_real() || !total)
		return (uint64_t)sysconf(_SC_PAGESIZE);
	if (!contig_root_read_u64("/contig/page_size", &told) && told >= 4096 &&
	    told <= 262144 && is_pow2(told))
		return told;
	for (unsigned int i = 0; i < t->n_zones; i++)
		frames += t->zones[i].present;
	while (page < 65536 && frames * page < total)
		page *= 4;
	return page;
}

uint64_t base_superpage_size(uint64_t page)
{
	uint64_t size = meminfo("Hugepagesize:") * 1024;
	uint64_t middle = page / 8 * page; /* entries of 8 bytes fill a page */

	/* hugetlb's default may be another size: 1G, or 2M of 64K pages. */
	return size && size == middle ? size : middle;
}
