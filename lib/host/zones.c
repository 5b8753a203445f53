/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The sizes of zones come from start_pfn, spanned and present; "managed" was
 * seen to be far below what a zone really hands out (memory that the kernel
 * accepts or initialises late) and decides nothing here.
 */
#include "host/zones.h"

#include "base/reason.h"
#include "host/root.h"

#include <errno.h>
#include <string.h>

enum {
	SEEN_FREE = 1, SEEN_SPANNED = 2, SEEN_PRESENT = 4, SEEN_START = 8,
	SEEN_ALL = SEEN_FREE | SEEN_SPANNED | SEEN_PRESENT | SEEN_START
};

static int keep_zone(struct host_topology *t, const struct host_zone *z, unsigned int seen)
{
	int at;

	if (seen & SEEN_PRESENT && !z->present)
		return 0; /* the kernel prints no start_pfn for these */
	if (seen != SEEN_ALL || !z->spanned || z->present > z->spanned ||
	    z->start_frame >= ZONES_FRAME_LIMIT || z->spanned > ZONES_FRAME_LIMIT - z->start_frame)
		return -EINVAL;
	if (t->n_zones == HOST_ZONES_MAX)
		return -E2BIG;
	t->zones[t->n_zones++] = *z;
	for (at = 0; at < t->n_nodes && t->nodes[at] < z->node; at++)
		;
	if (at < t->n_nodes && t->nodes[at] == z->node)
		return 0;
	if (t->n_nodes == HOST_NODES_MAX)
		return -E2BIG;
	memmove(t->nodes + at + 1, t->nodes + at,
		(size_t)(t->n_nodes - at) * sizeof(t->nodes[0]));
	t->nodes[at] = z->node;
	t->n_nodes++;
	return 0;
}

/* "Node 0, zone   Normal" */
static int parse_zone_header(char *line, struct host_zone *z)
{
	char *p = line + strlen("Node ");
	uint64_t node;
	size_t len;

	memset(z, 0, sizeof(*z));
	if (contig_root_number(&p, 10, &node) || node >= HOST_NODE_LIMIT ||
	    strncmp(p, ", zone ", 7))
		return -EINVAL;
	p += 7;
	p += strspn(p, " ");
	len = strlen(p);
	if (!len || len >= sizeof(z->name))
		return -EINVAL;
	z->node = (int)node;
	memcpy(z->name, p, len + 1);
	return 0;
}

/* "        spanned  4095": the value of a line that begins with this word. */
static bool zone_value(const char *line, const char *key, uint64_t *out, int *err)
{
	size_t len = strlen(key);
	char *p;

	line += strspn(line, " ");
	if (strncmp(line, key, len) || line[len] != ' ')
		return false;
	p = (char *)(uintptr_t)line + len;
	p += strspn(p, " ");
	if (contig_root_number(&p, 10, out) || *p)
		*err = -EINVAL;
	return true;
}

static int parse_zone_line(const char *line, struct host_zone *z, unsigned int *seen)
{
	int err = 0;

	/* Whole words: "high:" of the per-CPU lists is not "high". */
	if (zone_value(line, "pages free", &z->free, &err))
		*seen |= SEEN_FREE;
	else if (zone_value(line, "spanned", &z->spanned, &err))
		*seen |= SEEN_SPANNED;
	else if (zone_value(line, "present", &z->present, &err))
		*seen |= SEEN_PRESENT;
	else if (zone_value(line, "start_pfn:", &z->start_frame, &err))
		*seen |= SEEN_START;
	else if (!zone_value(line, "managed", &z->managed, &err) &&
		 !zone_value(line, "min", &z->wmark_min, &err) &&
		 !zone_value(line, "low", &z->wmark_low, &err))
		zone_value(line, "high", &z->wmark_high, &err);
	return err;
}

int contig_zones_read(struct host_topology *t)
{
	struct root_lines lines;
	int err = contig_root_lines_open(&lines, "/proc/zoneinfo");
	struct host_zone z;
	unsigned int seen = 0;
	bool in_zone = false;
	char *line;

	if (err) {
		contig_reason_set("/proc/zoneinfo: %s", strerror(-err));
		return err;
	}
	while (!err && (line = contig_root_lines_next(&lines))) {
		if (!strncmp(line, "Node ", 5)) {
			if (in_zone)
				err = keep_zone(t, &z, seen);
			if (!err)
				err = parse_zone_header(line, &z);
			in_zone = true;
			seen = 0;
		} else if (in_zone) {
			err = parse_zone_line(line, &z, &seen);
		}
		/* The kernel ends every line; a cut one may have lost digits. */
		if (!err && !lines.complete)
			err = -EINVAL;
	}
	if (!err)
		err = lines.error;
	if (!err && in_zone)
		err = keep_zone(t, &z, seen);
	contig_root_lines_close(&lines);
	if (!err && !t->n_zones)
		err = -EINVAL;
	if (err)
		contig_reason_set("/proc/zoneinfo: %s", err == -E2BIG ?
				  "more zones or nodes than this library is made for" :
				  "not as the kernel writes it");
	return err;
}
