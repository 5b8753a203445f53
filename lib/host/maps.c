/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/maps.h"

#include "base/reason.h"
#include "host/root.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* As much as a path can be opened by; deeper ones exist, and come cut. */
#define NAME_MAX_LEN 4096

static bool eat(char **p, char c)
{
	if (**p != c)
		return false;
	(*p)++;
	return true;
}

static bool eat_number(char **p, unsigned int base, uint64_t *out)
{
	return contig_root_number(p, base, out) == 0;
}

/* One of "r-", "w-", "x-", "sp": the letter read, or 0. */
static bool eat_flag(char **p, char set, char clear, bool *out)
{
	*out = **p == set;
	if (**p != set && **p != clear)
		return false;
	(*p)++;
	return true;
}

/* "start-end rwxp offset major:minor inode      name" */
static int parse_header(char *line, struct host_mapping *m)
{
	uint64_t start, end, major, minor;
	char *p = line;

	memset(m, 0, sizeof(*m));
	if (!eat_number(&p, 16, &start) || !eat(&p, '-') ||
	    !eat_number(&p, 16, &end) || !eat(&p, ' ') ||
	    !eat_flag(&p, 'r', '-', &m->read) ||
	    !eat_flag(&p, 'w', '-', &m->write) ||
	    !eat_flag(&p, 'x', '-', &m->exec) ||
	    !eat_flag(&p, 's', 'p', &m->shared) || !eat(&p, ' ') ||
	    !eat_number(&p, 16, &m->offset) || !eat(&p, ' ') ||
	    !eat_number(&p, 16, &major) || !eat(&p, ':') ||
	    !eat_number(&p, 16, &minor) || !eat(&p, ' ') ||
	    !eat_number(&p, 10, &m->inode))
		return -EINVAL;
	if (start >= end || end > UINTPTR_MAX || major > UINT32_MAX || minor > UINT32_MAX)
		return -EINVAL;
	if (*p && *p != ' ')
		return -EINVAL;
	while (*p == ' ')
		p++;
	m->start = (uintptr_t)start;
	m->end = (uintptr_t)end;
	m->dev_major = (unsigned int)major;
	m->dev_minor = (unsigned int)minor;
	m->name = p;
	return 0;
}

/* A header begins "hex-"; no key does. */
static bool is_header(const char *line)
{
	size_t n = strspn(line, "0123456789abcdef");

	return n && line[n] == '-';
}

/* "Key:   12 kB": only the keys we want must make sense. */
static int parse_key(char *line, struct host_mapping *m)
{
	static const char *const huge[] = {
		"AnonHugePages", "ShmemPmdMapped", "FilePmdMapped",
		"Shared_Hugetlb", "Private_Hugetlb",
	};
	char *p = strchr(line, ':');
	bool page, add = false;
	uint64_t bytes;

	if (!p)
		return -EINVAL;
	*p++ = '\0';
	page = !strcmp(line, "KernelPageSize");
	for (size_t i = 0; i < sizeof(huge) / sizeof(huge[0]); i++)
		add |= !strcmp(line, huge[i]);
	if (!page && !add)
		return 0;
	p += strspn(p, " \t");
	if (!eat_number(&p, 10, &bytes) || strcmp(p, " kB") ||
	    __builtin_mul_overflow(bytes, UINT64_C(1024), &bytes))
		return -EINVAL;
	if (page) {
		m->kernel_page = bytes;
		return 0;
	}
	return __builtin_add_overflow(m->huge_bytes, bytes, &m->huge_bytes) ? -EINVAL : 0;
}

int contig_maps_each(pid_t pid, bool smaps, host_mapping_fn fn, void *arg)
{
	const char *file = smaps ? "smaps" : "maps";
	struct host_mapping m;
	struct root_lines lines;
	char name[NAME_MAX_LEN]; /* outlives the header's line in smaps */
	bool pending = false;
	int fd = contig_root_open_proc(pid, file, O_RDONLY);
	int ret = 0;
	char *line;

	if (fd < 0) {
		contig_reason_set("%s of process %d: %s", file, (int)pid, strerror(-fd));
		return fd;
	}
	contig_root_lines_fd(&lines, fd);
	while ((line = contig_root_lines_next(&lines))) {
		if (is_header(line)) {
			if (pending) {
				pending = false;
				ret = fn(&m, arg);
				if (ret)
					goto out;
			}
			ret = parse_header(line, &m);
			/* Too long for the reader: it lacks the end of its name, no more. */
			if (ret || (!lines.complete && !lines.skip))
				goto bad;
			snprintf(name, sizeof(name), "%s", m.name);
			m.name = name;
			pending = true;
		} else {
			if (!smaps || !pending || !lines.complete)
				goto bad;
			if (parse_key(line, &m))
				goto bad;
		}
	}
	ret = lines.error;
	if (!ret && pending)
		ret = fn(&m, arg);
out:
	contig_root_lines_close(&lines);
	return ret;
bad:
	contig_root_lines_close(&lines);
	contig_reason_set("%s of process %d: a line that makes no sense", file, (int)pid);
	return -EINVAL;
}
