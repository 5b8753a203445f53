/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/buddy.h"

#include "base/page.h"
#include "host/root.h"

#include <stdio.h>
#include <string.h>

#define SUPERPAGE_ORDER (SUPERPAGE_SHIFT - FRAME_SHIFT)

struct superpages {
	uint64_t all, lone;
};

/* The columns: free blocks of 1, 2, 4... frames. */
static void add_blocks(char *at, struct superpages *sum)
{
	uint64_t blocks;

	for (unsigned int order = 0; order < 64; order++) {
		at += strspn(at, " ");
		if (!*at || contig_root_number(&at, 10, &blocks))
			break;
		if (order >= SUPERPAGE_ORDER)
			sum->all += blocks << (order - SUPERPAGE_ORDER);
		if (order == SUPERPAGE_ORDER)
			sum->lone += blocks;
	}
}

static int read_sum(const char *zone, int node, struct superpages *sum)
{
	struct root_lines lines;
	int err = contig_root_lines_open(&lines, "/proc/buddyinfo");
	char *line;

	*sum = (struct superpages){0};
	if (err)
		return err;
	while ((line = contig_root_lines_next(&lines))) {
		int line_node, used = 0;
		char name[32];

		if (sscanf(line, "Node %d, zone %31s%n", &line_node, name, &used) != 2)
			continue;
		if ((zone && strcmp(zone, name)) || (node >= 0 && node != line_node))
			continue;
		add_blocks(line + used, sum);
	}
	err = lines.error;
	contig_root_lines_close(&lines);
	return err;
}

int contig_buddy_superpages(const char *zone, int node, uint64_t *superpages)
{
	struct superpages sum;
	int err = read_sum(zone, node, &sum);

	if (!err)
		*superpages = sum.all;
	return err;
}

uint64_t contig_buddy_lone_superpages(int node)
{
	struct superpages sum;

	return read_sum(NULL, node, &sum) ? 0 : sum.lone;
}
