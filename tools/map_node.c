/* SPDX-License-Identifier: BSD-2-Clause */
#include "map_node.h"

#include "host/root.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* Where the zones of two nodes interleave, ask again after so many frames: the
 * smallest block of memory that can be plugged is larger. */
#define ASK_AGAIN_FRAMES 2048

void map_nodes_load(struct map_nodes *nodes)
{
	const struct host_topology *t = contig_topology();

	nodes->n = 0;
	nodes->n_spans = nodes->last = 0;
	if (!t)
		return;
	nodes->n = t->n_nodes;
	memcpy(nodes->number, t->nodes, (size_t)t->n_nodes * sizeof(t->nodes[0]));
	for (unsigned int i = 0; i < t->n_zones; i++) {
		int index = 0;

		while (index < nodes->n && nodes->number[index] != t->zones[i].node)
			index++;
		if (index == nodes->n)
			continue;
		nodes->spans[nodes->n_spans].start = t->zones[i].start_frame;
		nodes->spans[nodes->n_spans].end = t->zones[i].start_frame + t->zones[i].spanned;
		nodes->spans[nodes->n_spans++].index = index;
	}
}

int map_nodes_of(struct map_nodes *nodes, uint64_t frame, uint64_t *end)
{
	int index = -1;

	*end = UINT64_MAX;
	for (unsigned int i = 0; i < nodes->n_spans; i++) {
		uint64_t from = nodes->spans[i].start, to = nodes->spans[i].end;

		if (frame < from) {
			if (from < *end)
				*end = from;
			continue;
		}
		if (frame >= to)
			continue;
		if (to < *end)
			*end = to;
		if (index >= 0 && index != nodes->spans[i].index) {
			int node = contig_topology_node_of(frame);

			*end = (frame | (ASK_AGAIN_FRAMES - 1)) + 1;
			for (int j = 0; j < nodes->n; j++)
				if (nodes->number[j] == node)
					return j;
			return -1;
		}
		index = nodes->spans[i].index;
	}
	return index;
}

/* "7f0000000000 default anon=512 dirty=512 N0=512 kernelpagesize_kB=4" */
static void parse_line(char *line,
		       void (*fn)(uint64_t start, int node, uint64_t pages,
				  uint64_t page_size, void *arg),
		       void *arg)
{
	uint64_t start, page_size = 0, pages;
	char *word, *save, *p = line;

	if (contig_root_number(&p, 16, &start) || *p != ' ')
		return;
	word = strstr(p, " kernelpagesize_kB=");
	if (word) {
		word += strlen(" kernelpagesize_kB=");
		if (contig_root_number(&word, 10, &page_size))
			return;
		page_size *= 1024;
	}
	/* Names come before the numbers and have their blanks escaped. */
	for (word = strtok_r(p, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		uint64_t node;

		if (*word++ != 'N' || contig_root_number(&word, 10, &node) || *word++ != '=' ||
		    contig_root_number(&word, 10, &pages) || *word || node >= HOST_NODE_LIMIT)
			continue;
		fn(start, (int)node, pages, page_size, arg);
	}
}

int map_nodes_each(pid_t pid,
		   void (*fn)(uint64_t start, int node, uint64_t pages, uint64_t page_size,
			      void *arg),
		   void *arg)
{
	int fd = contig_root_open_proc(pid, "numa_maps", O_RDONLY), error;
	struct root_lines lines;
	char *line;

	if (fd < 0)
		return fd;
	contig_root_lines_fd(&lines, fd);
	while ((line = contig_root_lines_next(&lines)))
		parse_line(line, fn, arg);
	error = lines.error;
	contig_root_lines_close(&lines);
	return error;
}
