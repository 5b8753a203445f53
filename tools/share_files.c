/* SPDX-License-Identifier: BSD-2-Clause */
#include "share_files.h"

#include "host/maps.h"
#include "grow.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define MEMFD_NAME "/memfd:libcontig" /* host/memfd.c */

static bool is_ours(const char *name)
{
	size_t n = strlen(MEMFD_NAME);

	return !strncmp(name, MEMFD_NAME, n) && (!name[n] || name[n] == ' ');
}

static bool add(struct share_files *files, const struct share_file *file)
{
	struct share_file *larger = grow(files->files, files->n, sizeof(*larger));

	if (!larger)
		return false;
	files->files = larger;
	larger[files->n++] = *file;
	return true;
}

static int compare(const void *a, const void *b)
{
	const struct share_file *x = a, *y = b;

	if (x->device != y->device)
		return x->device < y->device ? -1 : 1;
	return (x->inode > y->inode) - (x->inode < y->inode);
}

static void sort(struct share_files *files)
{
	if (files->n)
		qsort(files->files, files->n, sizeof(files->files[0]), compare);
}

bool share_files_has(const struct share_files *set, const struct share_file *file)
{
	return set->n &&
	       bsearch(file, set->files, set->n, sizeof(set->files[0]), compare);
}

void share_files_free(struct share_files *files)
{
	free(files->files);
	*files = (struct share_files){0, NULL};
}

static int take_mapping(const struct host_mapping *m, void *arg)
{
	const struct share_file file = {makedev(m->dev_major, m->dev_minor), m->inode, m->start,
					m->end};

	if (!m->shared || !is_ours(m->name))
		return 0;
	return add(arg, &file) ? 0 : -ENOMEM;
}

ssize_t share_processes(struct share_process **out)
{
	struct process *list;
	ssize_t n = process_list(NULL, &list);
	struct share_process *all;

	if (n < 0)
		return n;
	all = calloc(n ? (size_t)n : 1, sizeof(*all));
	if (!all) {
		free(list);
		return -ENOMEM;
	}
	for (ssize_t i = 0; i < n; i++) {
		int err;

		all[i].process = list[i];
		err = contig_maps_each(list[i].pid, false, take_mapping, &all[i].mapped);
		all[i].forbidden = err == -EACCES || err == -EPERM;
		sort(&all[i].mapped);
	}
	free(list);
	*out = all;
	return n;
}

void share_processes_free(struct share_process *processes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		share_files_free(&processes[i].mapped);
	free(processes);
}

bool share_files_within(const struct share_files *mapped, uint64_t start, uint64_t end,
			struct share_files *out)
{
	*out = (struct share_files){0, NULL};
	for (size_t i = 0; i < mapped->n; i++) {
		const struct share_file *file = &mapped->files[i];

		if (file->start < start || file->end > end ||
		    (out->n && !compare(&out->files[out->n - 1], file)))
			continue;
		if (!add(out, file)) {
			share_files_free(out);
			return false;
		}
	}
	return true;
}

struct search {
	pid_t pid;
	struct share_files found;
};

static int take_descriptor(const char *name, void *arg)
{
	struct search *search = arg;
	char path[64], link[64] = "";
	struct share_file file = {0};
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/fd/%.16s", (int)search->pid, name);
	if (readlink(path, link, sizeof(link) - 1) <= 0 || !is_ours(link) || stat(path, &st) < 0)
		return 0;
	file.device = st.st_dev;
	file.inode = st.st_ino;
	return add(&search->found, &file) ? 0 : -ENOMEM;
}

void share_files_described(struct share_files *set, pid_t pid)
{
	struct search search = {.pid = pid};
	char path[32];
	size_t n = 0;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	process_each_name(path, take_descriptor, &search);
	sort(&search.found);
	for (size_t i = 0; i < set->n; i++)
		if (share_files_has(&search.found, &set->files[i]))
			set->files[n++] = set->files[i];
	set->n = n;
	share_files_free(&search.found);
}

uint64_t share_files_bytes(const struct share_files *mapped, const struct share_files *set)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < mapped->n; i++)
		if (share_files_has(set, &mapped->files[i]))
			bytes += mapped->files[i].end - mapped->files[i].start;
	return bytes;
}
