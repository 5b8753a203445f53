/* SPDX-License-Identifier: BSD-2-Clause */
#include "buddy.h"

#include "base/page.h"
#include "host/root.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUPERPAGE_ORDER (SUPERPAGE_SHIFT - FRAME_SHIFT)

int buddy_superpages(const char *zone, int node, uint64_t *superpages)
{
	char *text, *line, *rest;
	ssize_t error = contig_root_read_all("/proc/buddyinfo", &text);

	if (error < 0)
		return (int)error;
	*superpages = 0;
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		int line_node, used = 0;
		char name[32], *at, *end;

		if (sscanf(line, "Node %d, zone %31s%n", &line_node, name, &used) != 2)
			continue;
		if ((zone && strcmp(zone, name)) || (node >= 0 && node != line_node))
			continue;
		at = line + used;
		for (unsigned int order = 0; order < 64; order++, at = end) {
			uint64_t blocks = strtoull(at, &end, 10);

			if (end == at)
				break;
			if (order >= SUPERPAGE_ORDER)
				*superpages += blocks << (order - SUPERPAGE_ORDER);
		}
	}
	free(text);
	return 0;
}
