/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/available.h"

#include "host/cgroup.h"
#include "host/lately.h"
#include "host/root.h"

#include <errno.h>
#include <string.h>

int contig_meminfo(const char *field, uint64_t *out)
{
	size_t len = strlen(field);
	struct root_lines lines;
	int err = contig_root_lines_open(&lines, "/proc/meminfo");
	char *line;

	if (err)
		return err;
	err = -ENOENT;
	while ((line = contig_root_lines_next(&lines))) {
		uint64_t value;

		if (strncmp(line, field, len) || line[len] != ':')
			continue;
		line += len + 1;
		line += strspn(line, " \t");
		err = contig_root_number(&line, 10, &value);
		if (!err && !lines.complete)
			err = -EINVAL; /* cut: digits may be missing */
		else if (!err && !strcmp(line, " kB"))
			err = __builtin_mul_overflow(value, UINT64_C(1024), &value) ?
				      -ERANGE : 0;
		else if (!err && *line)
			err = -EINVAL;
		if (!err)
			*out = value;
		break;
	}
	if (!line && lines.error)
		err = lines.error;
	contig_root_lines_close(&lines);
	return err;
}

static void narrow(uint64_t *room, uint64_t limit, uint64_t used)
{
	uint64_t left = limit > used ? limit - used : 0;

	if (limit != UINT64_MAX && left < *room)
		*room = left;
}

static void narrow_by_level(int version, const char *dir, void *arg)
{
	bool v2 = version == 2;
	uint64_t *room = arg, limit, other, used, cache;
	int err;

	err = contig_cgroup_number(dir, v2 ? "memory.max" : "memory.limit_in_bytes", &limit);
	if (err == -ENOENT)
		return; /* the root group, or the controller is not enabled */
	if (err) {
		*room = 0;
		return;
	}
	if (v2) {
		if (!contig_cgroup_number(dir, "memory.high", &other) && other < limit)
			limit = other;
	} else if (!contig_cgroup_stat(dir, "memory.stat", "hierarchical_memory_limit", &other) &&
		   other < limit) {
		limit = other; /* of an ancestor that may be out of sight */
	}
	if (limit == UINT64_MAX)
		return;
	if (contig_cgroup_number(dir, v2 ? "memory.current" : "memory.usage_in_bytes", &used)) {
		*room = 0;
		return;
	}
	/* Cache that nobody used lately goes before anyone is killed. */
	if (contig_cgroup_stat(dir, "memory.stat", v2 ? "inactive_file" : "total_inactive_file",
			       &cache))
		cache = 0;
	used = used > cache ? used - cache : 0;
	narrow(room, limit, used);
}

uint64_t contig_memcg_room(void)
{
	uint64_t room = UINT64_MAX;

	if (contig_cgroup_each_level("memory", narrow_by_level, &room) < 0)
		return 0;
	return room;
}

uint64_t contig_available(void)
{
	uint64_t available, room;

	if (contig_meminfo("MemAvailable", &available))
		return 0;
	room = contig_memcg_room();
	return available < room ? available : room;
}

uint64_t contig_available_lately(void)
{
	static struct lately lately;
	uint64_t available;

	if (lately_get_memory(&lately, &available))
		return available;
	available = contig_available();
	lately_put_memory(&lately, available);
	return available;
}
