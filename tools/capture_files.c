/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture_files.h"

#include "grow.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE (256 * 1024)

/* glob(7) patterns.  Of these only iomem holds addresses; cmdline, mounts and
 * mountinfo name devices and directories. */
static const char *const patterns[] = {
	"/proc/meminfo",
	"/proc/zoneinfo",
	"/proc/buddyinfo",
	"/proc/pagetypeinfo",
	"/proc/vmstat",
	"/proc/iomem",
	"/proc/version",
	"/proc/cmdline",
	"/proc/mounts",
	"/proc/self/cgroup",
	"/proc/self/limits",
	"/proc/self/mountinfo",
	"/proc/self/status",
	"/proc/sys/kernel/io_uring_disabled",
	"/proc/sys/kernel/osrelease",
	"/proc/sys/kernel/numa_balancing",
	"/proc/sys/vm/compact*",
	"/proc/sys/vm/extfrag_threshold",
	"/proc/sys/vm/hugetlb*",
	"/proc/sys/vm/max_map_count",
	"/proc/sys/vm/min_free_kbytes",
	"/proc/sys/vm/nr_hugepages*",
	"/proc/sys/vm/nr_overcommit_hugepages",
	"/proc/sys/vm/overcommit_*",
	"/proc/sys/vm/swappiness",
	"/proc/sys/vm/unprivileged_userfaultfd",
	"/proc/sys/vm/zone_reclaim_mode",
	"/sys/devices/system/memory/block_size_bytes",
	"/sys/devices/system/memory/memory*/state",
	"/sys/devices/system/memory/memory*/valid_zones",
	"/sys/devices/system/node/*",
	"/sys/devices/system/node/node*/*",
	"/sys/devices/system/node/node*/hugepages/*/*",
	"/sys/kernel/mm/hugepages/*/*",
	"/sys/kernel/mm/transparent_hugepage/*",
	"/sys/kernel/mm/transparent_hugepage/*/*",
};

static int missing(struct capture *c, const char *path, int error)
{
	struct capture_missing *larger = grow(c->missing, c->n_missing, sizeof(*larger));

	if (!larger)
		return -ENOMEM;
	c->missing = larger;
	larger[c->n_missing].path = strdup(path);
	larger[c->n_missing].error = error;
	if (!larger[c->n_missing].path)
		return -ENOMEM;
	c->n_missing++;
	return 0;
}

/* Make the directories of a path below c->dir and open the copy. */
static int open_copy(const struct capture *c, const char *path)
{
	char full[4096];
	int fd;

	if (snprintf(full, sizeof(full), "%s%s", c->dir, path) >= (int)sizeof(full))
		return -ENAMETOOLONG;
	for (char *at = full + strlen(c->dir) + 1; (at = strchr(at, '/')); at++) {
		*at = '\0';
		if (mkdir(full, 0755) && errno != EEXIST)
			return -errno;
		*at = '/';
	}
	fd = open(full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	return fd < 0 ? -errno : fd;
}

static int write_all(int fd, const char *data, size_t len, off_t at)
{
	while (len) {
		ssize_t n = pwrite(fd, data, len, at);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			data += n;
			len -= (size_t)n;
			at += n;
		}
	}
	return 0;
}

static int is_zero(const char *data, size_t len)
{
	return !len || (!data[0] && !memcmp(data, data + 1, len - 1));
}

/* Bytes [from, to) of one file into the same place of the other; zeros stay
 * holes.  to: UINT64_MAX is its end. */
static int copy_part(struct capture *c, int in, int out, uint64_t from, uint64_t to,
		     int *read_error)
{
	static char buf[PIECE];

	while (from < to) {
		size_t want = to - from < sizeof(buf) ? (size_t)(to - from) : sizeof(buf);
		ssize_t n = pread(in, buf, want, (off_t)from);
		int error;

		if (*c->stop)
			return -EINTR;
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			*read_error = n ? errno : 0;
			return 0;
		}
		if (!is_zero(buf, (size_t)n)) {
			error = write_all(out, buf, (size_t)n, (off_t)from);
			if (error)
				return error;
		}
		from += (uint64_t)n;
		c->bytes += (uint64_t)n;
	}
	return 0;
}

/* The size of a file whose end is a hole. */
static int set_size(int out, uint64_t size)
{
	return ftruncate(out, (off_t)size) ? -errno : 0;
}

static int copy_file(struct capture *c, const char *from, const char *to)
{
	int in = open(from, O_RDONLY | O_CLOEXEC | O_NONBLOCK), out, error, unreadable = 0;
	uint64_t before = c->bytes;

	if (in < 0)
		return missing(c, from, errno);
	out = open_copy(c, to);
	if (out < 0) {
		close(in);
		return out;
	}
	error = copy_part(c, in, out, 0, UINT64_MAX, &unreadable);
	if (!error)
		error = set_size(out, c->bytes - before);
	if (close(out) && !error)
		error = -errno;
	close(in);
	if (!error && unreadable)
		return missing(c, from, unreadable);
	c->files++;
	return error;
}

/* As those without privilege see it. */
static int copy_iomem(struct capture *c)
{
	FILE *in = fopen("/proc/iomem", "re"), *out;
	int fd = open_copy(c, "/proc/iomem"), error = 0, ch;

	if (fd < 0 || !in) {
		error = fd < 0 ? fd : missing(c, "/proc/iomem", errno);
		if (in)
			fclose(in);
		if (fd >= 0)
			close(fd);
		return error;
	}
	out = fdopen(fd, "w");
	if (!out) {
		error = -errno;
		close(fd);
		fclose(in);
		return error;
	}
	for (int before_colon = 1; (ch = getc(in)) != EOF;) {
		if (ch == ':')
			before_colon = 0;
		if (ch == '\n')
			before_colon = 1;
		if (before_colon && strchr("123456789abcdef", ch))
			ch = '0';
		putc(ch, out);
	}
	fclose(in);
	c->files++;
	return fclose(out) ? -errno : 0;
}

static int touch_copy(const struct capture *c, const char *path)
{
	int fd = open_copy(c, path);

	return fd < 0 ? fd : close(fd) ? -errno : 0;
}

static int copy_pattern(struct capture *c, const char *pattern)
{
	glob_t found;
	int error = 0;

	if (glob(pattern, 0, NULL, &found))
		return 0; /* this kernel hasn't it */
	for (size_t i = 0; i < found.gl_pathc && !error; i++) {
		const char *path = found.gl_pathv[i];
		struct stat st;

		if (*c->stop)
			error = -EINTR;
		/* A node's memory blocks are links: that they are there tells. */
		else if (!lstat(path, &st) && S_ISLNK(st.st_mode) &&
			 strstr(path, "/node/node") && strstr(path, "/memory"))
			error = touch_copy(c, path);
		/* Triggers such as "compact" are written only. */
		else if (lstat(path, &st) || !S_ISREG(st.st_mode) || !(st.st_mode & 0444))
			continue;
		else if (c->no_addresses && !strcmp(path, "/proc/iomem"))
			error = copy_iomem(c);
		else
			error = copy_file(c, path, path);
	}
	globfree(&found);
	return error;
}

/* As a pattern that matches only itself; cut where there is no room. */
static void escape(const char *path, char *out, size_t len)
{
	size_t n = 0;

	for (; *path && n + 2 < len; path++) {
		if (strchr("*?[\\", *path))
			out[n++] = '\\';
		out[n++] = *path;
	}
	out[n] = '\0';
}

/* The limits of the cgroups that this process is in, up to the root. */
static int copy_cgroups(struct capture *c)
{
	static const char *const files[] = {
		"memory.current", "memory.max", "memory.high", "memory.stat",
		"memory.*_in_bytes", "hugetlb.*", "cpuset.mems*",
	};
	FILE *in = fopen("/proc/self/cgroup", "re");
	char line[4096], escaped[2 * sizeof(line)], pattern[2 * sizeof(escaped)];
	int error = 0;

	while (in && !error && fgets(line, sizeof(line), in)) {
		char *controller = strchr(line, ':'), *path = NULL;

		line[strcspn(line, "\n")] = '\0';
		if (controller)
			path = strchr(++controller, ':');
		if (!path)
			continue;
		*path++ = '\0';
		for (;;) {
			char *slash;

			escape(path, escaped, sizeof(escaped));
			for (size_t i = 0; i < sizeof(files) / sizeof(files[0]) && !error; i++) {
				snprintf(pattern, sizeof(pattern), "/sys/fs/cgroup/%.4000s%s/%s",
					 controller, escaped, files[i]);
				error = copy_pattern(c, pattern);
			}
			slash = strrchr(path, '/');
			if (error || !slash || !*path)
				break;
			*slash = '\0';
		}
	}
	if (in)
		fclose(in);
	return error;
}

/* The pagemap of what is mapped; the rest stays a hole. */
static int copy_pagemap(struct capture *c, const char *dir)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), start, end, last = 0;
	char path[64], *line = NULL;
	size_t room = 0;
	int in, out, error = 0;
	FILE *maps;

	snprintf(path, sizeof(path), "%s/pagemap", dir);
	in = open(path, O_RDONLY | O_CLOEXEC);
	if (in < 0)
		return missing(c, path, errno);
	out = open_copy(c, path);
	snprintf(path, sizeof(path), "%s/maps", dir);
	maps = fopen(path, "re");
	if (out < 0)
		error = out;
	while (maps && !error && getline(&line, &room, maps) > 0) {
		int unreadable = 0;

		/* vsyscall has no entries. */
		if (sscanf(line, "%" SCNx64 "-%" SCNx64, &start, &end) != 2 || start >> 63)
			continue;
		error = copy_part(c, in, out, start / page * 8, end / page * 8, &unreadable);
		last = end / page * 8;
	}
	if (out >= 0 && !error)
		error = set_size(out, last);
	free(line);
	if (maps)
		fclose(maps);
	close(in);
	if (out >= 0 && close(out) && !error)
		error = -errno;
	c->files++;
	return error;
}

static int copy_process(struct capture *c)
{
	static const char *const files[] = {"comm", "maps", "smaps", "numa_maps", "status",
					    "smaps_rollup"};
	char dir[32], path[64];
	int error = 0;

	snprintf(dir, sizeof(dir), "/proc/%d", (int)c->process);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]) && !error; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
		error = copy_file(c, path, path);
	}
	return error ? error : copy_pagemap(c, dir);
}

/* What no file says: see base_page.h. */
static int write_page_size(struct capture *c)
{
	char text[32];
	int fd = open_copy(c, "/contig/page_size"), error;
	int len = snprintf(text, sizeof(text), "%ld\n", sysconf(_SC_PAGESIZE));

	if (fd < 0)
		return fd;
	error = write_all(fd, text, (size_t)len, 0);
	return close(fd) && !error ? -errno : error;
}

int capture_files(struct capture *c)
{
	int error = write_page_size(c);

	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]) && !error; i++)
		error = copy_pattern(c, patterns[i]);
	if (!error)
		error = copy_cgroups(c);
	if (!error && c->frames)
		error = copy_file(c, "/proc/kpageflags", "/proc/kpageflags");
	if (!error && c->process)
		error = copy_process(c);
	return error;
}

void capture_free(struct capture *c)
{
	for (size_t i = 0; i < c->n_missing; i++)
		free(c->missing[i].path);
	free(c->missing);
	c->missing = NULL;
	c->n_missing = 0;
}
