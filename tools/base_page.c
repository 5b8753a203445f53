/* SPDX-License-Identifier: BSD-2-Clause */
#include "base_page.h"

#include "base/page.h"
#include "host/available.h"
#include "host/root.h"

#include <unistd.h>

static uint64_t meminfo(const char *field)
{
	uint64_t bytes;

	return contig_meminfo(field, &bytes) ? 0 : bytes;
}

uint64_t base_page_size(const struct host_topology *t)
{
	uint64_t told, total = meminfo("MemTotal"), frames = 0, page = 4096;
	uint64_t end = 0, ram_end = UINT64_MAX;

	if (contig_root_is_real() || !total)
		return (uint64_t)sysconf(_SC_PAGESIZE);
	if (!contig_root_read_u64("/contig/page_size", &told) && told >= 4096 &&
	    told <= 262144 && is_pow2(told))
		return told;
	for (unsigned int i = 0; i < t->n_zones; i++) {
		uint64_t zone_end = t->zones[i].start_frame + t->zones[i].spanned;

		frames += t->zones[i].present;
		if (zone_end > end)
			end = zone_end;
	}
	if (t->ram_exact && t->n_ram)
		ram_end = t->ram[t->n_ram - 1].end;
	/* The last page of RAM may be a part of one. */
	while (page < 65536 && frames * page < total && (end + 1) * page < ram_end)
		page *= 4;
	return page;
}

uint64_t base_superpage_size(uint64_t page)
{
	uint64_t size = meminfo("Hugepagesize");
	uint64_t middle = page / 8 * page; /* entries of 8 bytes fill a page */

	/* hugetlb's default may be another size: 1G, or 2M of 64K pages. */
	return size && size == middle ? size : middle;
}
