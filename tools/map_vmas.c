/* SPDX-License-Identifier: BSD-2-Clause */
/* The mappings of a process, before their pages are looked at. */
#include "grow.h"
#include "map.h"

#include "host/maps.h"
#include "host/root.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#define LARGE (UINT64_C(1) << 30)

struct reading {
	struct map *m;
	const struct map_options *options;
};

static int compare_names(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* One copy of each name, however many mappings have it. */
static const char *intern(struct map *m, const char *name)
{
	char **found = tfind(name, &m->names, compare_names);
	char *copy;

	if (found)
		return *found;
	copy = strdup(name);
	if (!copy || !tsearch(copy, &m->names, compare_names)) {
		free(copy);
		return NULL;
	}
	return copy;
}

static bool name_matches(const char *pattern, const char *name)
{
	if (!*name)
		name = "anonymous";
	if (strpbrk(pattern, "*?[") && !fnmatch(pattern, name, 0))
		return true;
	/* Also as it stands: "[heap]" is a pattern to fnmatch. */
	return strstr(name, pattern);
}

static bool selected(const struct host_mapping *m, const struct map_options *options)
{
	if (options->by_address)
		return options->address >= m->start && options->address < m->end;
	return !options->pattern || name_matches(options->pattern, m->name);
}

static int add(const struct host_mapping *from, void *arg)
{
	struct reading *reading = arg;
	struct map *m = reading->m;
	struct map_vma *v;

	if (!selected(from, reading->options))
		return 0;
	v = grow(m->vmas, m->n, sizeof(*v));
	if (!v)
		return -ENOMEM;
	m->vmas = v;
	v += m->n;
	*v = (struct map_vma){.start = from->start, .end = from->end, .offset = from->offset};
	v->permissions[0] = from->read ? 'r' : '-';
	v->permissions[1] = from->write ? 'w' : '-';
	v->permissions[2] = from->exec ? 'x' : '-';
	v->permissions[3] = from->shared ? 's' : 'p';
	v->name = intern(m, from->name);
	if (!v->name)
		return -ENOMEM;
	m->n++;
	return 0;
}

int map_vmas_read(struct map *m, const struct target *p, const struct map_options *options)
{
	struct reading reading = {m, options};
	int error;

	error = contig_maps_each(p->pid, false, add, &reading);
	if (error)
		map_vmas_free(m);
	return error;
}

void map_vmas_compare(struct map *m, const struct map_options *options)
{
	struct map now = {0};
	size_t j = 0;

	if (map_vmas_read(&now, m->process, options))
		return;
	m->changed = 0;
	for (size_t i = 0; i < m->n; i++) {
		while (j < now.n && now.vmas[j].start < m->vmas[i].start)
			j++;
		m->changed += j == now.n || now.vmas[j].start != m->vmas[i].start ||
			      now.vmas[j].end != m->vmas[i].end ||
			      strcmp(now.vmas[j].name, m->vmas[i].name);
	}
	map_vmas_free(&now);
}

size_t map_vmas_find(const struct map *m, uint64_t start)
{
	size_t low = 0, high = m->n;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (m->vmas[mid].start < start)
			low = mid + 1;
		else
			high = mid;
	}
	return low < m->n && m->vmas[low].start == start ? low : m->n;
}

/* Of the lines of smaps that count pages, whether this one counts any. */
static bool counts_pages(const char *line)
{
	static const char *const keys[] = {"Rss:", "Swap:", "Shared_Hugetlb:",
					   "Private_Hugetlb:"};

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		size_t n = strlen(keys[i]);

		if (!strncmp(line, keys[i], n))
			return line[n + strspn(line + n, " ")] != '0';
	}
	return false;
}

void map_vmas_find_empty(struct map *m)
{
	struct root_lines lines;
	bool large = false;
	size_t i = m->n;
	char *line;
	int fd;

	for (size_t j = 0; j < m->n; j++)
		large |= m->vmas[j].end - m->vmas[j].start > LARGE;
	if (!large)
		return;
	fd = contig_root_open_proc(m->process->pid, "smaps", O_RDONLY);
	if (fd < 0)
		return;
	contig_root_lines_fd(&lines, fd);
	while ((line = contig_root_lines_next(&lines))) {
		uint64_t start;
		char *p = line;

		if (!contig_root_number(&p, 16, &start) && *p == '-') {
			i = map_vmas_find(m, start);
			if (i < m->n)
				m->vmas[i].empty = m->vmas[i].end - m->vmas[i].start > LARGE;
		} else if (i < m->n && counts_pages(line)) {
			m->vmas[i].empty = false;
		}
	}
	/* Half of it proves nothing. */
	for (size_t j = 0; lines.error && j < m->n; j++)
		m->vmas[j].empty = false;
	contig_root_lines_close(&lines);
}

void map_vmas_free(struct map *m)
{
	for (size_t i = 0; i < m->n; i++)
		free(m->vmas[i].node_pages);
	free(m->vmas);
	tdestroy(m->names, free);
	m->vmas = NULL;
	m->names = NULL;
	m->n = 0;
}
