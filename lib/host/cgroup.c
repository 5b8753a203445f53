/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/cgroup.h"

#include "host/root.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

/* v1 writes "no limit" as PAGE_COUNTER_MAX pages: LONG_MAX rounded down to a
 * page.  No machine has this much memory. */
#define V1_UNLIMITED (UINT64_C(1) << 62)

#define CGROUP_PATH_MAX 4096

/* Whether word is one of a comma-separated list. */
static bool list_has(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (;;) {
		size_t n = strcspn(list, ",");

		if (n == len && !memcmp(list, word, n))
			return true;
		if (!list[n])
			return false;
		list += n + 1;
	}
}

/* This process's path in the hierarchy: "7:memory:/a/b" or "0::/a/b". */
static int find_path(int version, const char *controller, char *path, size_t len)
{
	struct root_lines lines;
	int err = contig_root_lines_open(&lines, "/proc/self/cgroup");
	char *line;

	if (err)
		return err;
	err = -ENOENT;
	while ((line = contig_root_lines_next(&lines))) {
		char *names = strchr(line, ':');
		char *where = names ? strchr(names + 1, ':') : NULL;

		if (!where || !lines.complete)
			continue;
		*where++ = '\0';
		names++;
		if (*where != '/')
			continue;
		if (version == 2 ? *names : !list_has(names, controller))
			continue;
		if ((size_t)snprintf(path, len, "%s", where) < len)
			err = 0;
		else
			err = -ENAMETOOLONG;
		break;
	}
	if (!line && lines.error)
		err = lines.error;
	contig_root_lines_close(&lines);
	return err;
}

/* The n-th word of a line, counted from 0; the line is cut behind it. */
static char *word(char *line, int n)
{
	while (n--) {
		line = strchr(line, ' ');
		if (!line)
			return NULL;
		line++;
	}
	line[strcspn(line, " ")] = '\0';
	return line;
}

/* path is root or below it: what is below, "" for root itself; else NULL. */
static const char *below(const char *path, const char *root)
{
	size_t len = strlen(root);

	if (len && root[len - 1] == '/')
		len--;
	if (strncmp(path, root, len) || (path[len] && path[len] != '/'))
		return NULL;
	return path[len] && path[len + 1] ? path + len : "";
}

/*
 * dir becomes the group's directory, and *top the length of the mount
 * point's name in it.
 */
static int find_dir(int version, const char *controller, const char *path,
		    char *dir, size_t len, size_t *top)
{
	/* 36 35 98:0 /root /mount/point rw,noatime shared:1 - type source options */
	struct root_lines lines;
	int err = contig_root_lines_open(&lines, "/proc/self/mountinfo");
	char *line;

	if (err)
		return err;
	err = -ENOENT;
	while ((line = contig_root_lines_next(&lines))) {
		char *tail = strstr(line, " - "), *type, *options = NULL;
		char *root, *mount;
		const char *rest;
		int n;

		if (!tail)
			continue;
		*tail = '\0';
		type = tail + 3;
		options = strchr(type, ' ');
		if (!options)
			continue;
		*options++ = '\0';
		if (strcmp(type, version == 2 ? "cgroup2" : "cgroup"))
			continue;
		options = strchr(options, ' ');
		if (version == 1 && (!options || !list_has(options + 1, controller)))
			continue;
		mount = word(line, 4);
		root = mount ? word(line, 3) : NULL;
		if (!root)
			continue;
		contig_root_unescape(mount);
		contig_root_unescape(root);
		rest = below(path, root);
		/*
		 * A group that can't be found below the mount ("/../x": moved
		 * out of our namespace; root "/..": mounted outside of it):
		 * the mount point is an ancestor of ours at best.  Use it
		 * unless another mount fits.
		 */
		if (strstr(path, "/.."))
			rest = NULL;
		if (!rest && !err)
			continue;
		n = snprintf(dir, len, "%s%s", mount, rest ? rest : "");
		if (n < 0 || (size_t)n >= len) {
			err = -ENAMETOOLONG;
			continue;
		}
		*top = strlen(mount);
		err = 0;
		if (rest)
			break;
	}
	if (!line && lines.error)
		err = lines.error;
	contig_root_lines_close(&lines);
	return err;
}

/* Names as long as the kernel makes them: not on the stack, of which a thread
 * may have 16 KiB in all, nor malloc()ed, for this may run inside malloc. */
struct names {
	char path[CGROUP_PATH_MAX];
	char dir[2 * CGROUP_PATH_MAX];
};

static void *names_map(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static int each_level(int version, const char *controller, struct names *names,
		      cgroup_level_fn fn, void *arg)
{
	size_t top;
	int levels = 0;
	int err = find_path(version, controller, names->path, sizeof(names->path));

	if (err)
		return err;
	err = find_dir(version, controller, names->path, names->dir, sizeof(names->dir), &top);
	if (err)
		return err;
	for (;;) {
		char *slash;

		fn(version, names->dir, arg);
		levels++;
		slash = strrchr(names->dir, '/');
		if (!slash || slash < names->dir + top)
			return levels;
		*slash = '\0';
	}
}

int contig_cgroup_each_level(const char *controller, cgroup_level_fn fn, void *arg)
{
	struct names *names = names_map(sizeof(*names));
	int total = 0;

	if (!names)
		return -ENOMEM;
	for (int version = 1; version <= 2; version++) {
		int n = each_level(version, controller, names, fn, arg);

		if (n < 0 && n != -ENOENT) {
			total = n;
			break;
		}
		if (n > 0)
			total += n;
	}
	munmap(names, sizeof(*names));
	return total;
}

/* A group's file: NULL without memory; to be unmapped. */
#define FILE_PATH_MAX (2 * CGROUP_PATH_MAX + 64)

static char *file_path(const char *dir, const char *file)
{
	char *path = names_map(FILE_PATH_MAX);

	if (path)
		snprintf(path, FILE_PATH_MAX, "%s/%s", dir, file);
	return path;
}

int contig_cgroup_number(const char *dir, const char *file, uint64_t *out)
{
	char *path = file_path(dir, file);
	int err;

	if (!path)
		return -ENOMEM;
	err = contig_root_read_u64(path, out);
	munmap(path, FILE_PATH_MAX);
	if (!err && *out >= V1_UNLIMITED)
		*out = UINT64_MAX;
	return err;
}

int contig_cgroup_stat(const char *dir, const char *file, const char *key, uint64_t *out)
{
	char *path = file_path(dir, file);
	size_t len = strlen(key);
	struct root_lines lines;
	char *line;
	int err;

	if (!path)
		return -ENOMEM;
	err = contig_root_lines_open(&lines, path);
	munmap(path, FILE_PATH_MAX);
	if (err)
		return err;
	err = -ENOENT;
	while ((line = contig_root_lines_next(&lines))) {
		if (strncmp(line, key, len) || line[len] != ' ')
			continue;
		line += len + 1;
		err = contig_root_number(&line, 10, out);
		if (!err && *line)
			err = -EINVAL;
		break;
	}
	if (!line && lines.error)
		err = lines.error;
	contig_root_lines_close(&lines);
	return err;
}
