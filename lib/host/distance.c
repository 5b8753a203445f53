/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Distances between nodes and the node of a CPU: libnuma on the running
 * machine; sysfs on a captured tree, where libnuma finds itself unable to
 * work (get_mempolicy(2) is forbidden in many containers), and in a build
 * without it (CONTIG_WITHOUT_LIBNUMA, for the shim).
 */
#include "host/root.h"
#include "host/topology.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#ifndef CONTIG_WITHOUT_LIBNUMA
#include <numa.h>
#endif

/* Whether number is in a list such as "0-3,8"; *before: how many of the list
 * are below it.  -EINVAL when the list makes no sense. */
static int find_in_list(char *list, uint64_t number, uint64_t *before)
{
	char *p = list;

	*before = 0;
	while (*p) {
		uint64_t first, last;

		if (contig_root_number(&p, 10, &first))
			return -EINVAL;
		last = first;
		if (*p == '-') {
			p++;
			if (contig_root_number(&p, 10, &last))
				return -EINVAL;
		}
		if (last < first || last > UINT32_MAX || (*p && *p != ','))
			return -EINVAL;
		if (number >= first && number <= last) {
			*before += number - first;
			return 1;
		}
		if (number > last)
			*before += last - first + 1;
		p += *p == ',';
	}
	return 0;
}

/* The place of a node in the list of those online. */
static bool find_column(int node, uint64_t *column)
{
	struct root_lines lines;
	bool found = false;
	char *line;

	if (contig_root_lines_open(&lines, "/sys/devices/system/node/online"))
		return false;
	line = contig_root_lines_next(&lines);
	if (line)
		found = find_in_list(line, (uint64_t)node, column) == 1;
	contig_root_lines_close(&lines);
	return found;
}

/* nodeN/distance has a column for each online node, ascending. */
static int distance_from_sysfs(int from, int to)
{
	struct root_lines lines;
	uint64_t column, value = 0;
	char path[64], *p;

	if (!find_column(to, &column))
		return -1;
	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/distance", from);
	if (contig_root_lines_open(&lines, path))
		return -1;
	p = contig_root_lines_next(&lines);
	for (uint64_t i = 0; p && i <= column; i++) {
		p += strspn(p, " ");
		if (contig_root_number(&p, 10, &value) || (*p && *p != ' '))
			p = NULL;
	}
	contig_root_lines_close(&lines);
	return p && value > 0 && value <= 255 ? (int)value : -1;
}

int contig_topology_distance(int from, int to)
{
	if (from < 0 || to < 0 || from >= HOST_NODE_LIMIT || to >= HOST_NODE_LIMIT)
		return -1;
#ifndef CONTIG_WITHOUT_LIBNUMA
	if (contig_root_is_real() && numa_available() >= 0) {
		int distance = numa_distance(from, to);

		return distance > 0 ? distance : -1;
	}
#endif
	return distance_from_sysfs(from, to);
}

/* The captured machine's node with a CPU of our CPU's number. */
static int node_from_sysfs(int cpu)
{
	char path[64], text[4096];
	uint64_t before;

	for (int node = 0; node < HOST_NODE_LIMIT; node++) {
		snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/cpulist", node);
		if (contig_root_read(path, text, sizeof(text)) <= 0)
			continue;
		if (find_in_list(text, (uint64_t)cpu, &before) == 1)
			return node;
	}
	return -1;
}

int contig_topology_node_here(void)
{
	int cpu = sched_getcpu();
	unsigned int here;

	if (cpu < 0)
		return -1;
#ifndef CONTIG_WITHOUT_LIBNUMA
	if (contig_root_is_real() && numa_available() >= 0) {
		int node = numa_node_of_cpu(cpu);

		if (node >= 0)
			return node;
	}
#endif
	if (contig_root_is_real() && !getcpu(NULL, &here))
		return (int)here;
	return node_from_sysfs(cpu);
}
