/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libhugetlbfs tells sizes and mounts of the running machine.  It read them
 * once at its start and obeys HUGETLB_* variables, so sysfs and the mount
 * table have the last word; they are all there is on a captured tree, and in
 * a build without the library (CONTIG_WITHOUT_LIBHUGETLBFS, for the shim).
 */
#include "host/hugetlb.h"

#include "base/log.h"
#include "base/reason.h"
#include "host/available.h"
#include "host/cgroup.h"
#include "host/guard_process.h"
#include "host/nodes.h"
#include "host/root.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#ifndef CONTIG_WITHOUT_LIBHUGETLBFS
#include <hugetlbfs.h>
#endif

#define SIZES_DIR "/sys/kernel/mm/hugepages"
#define SIZES_MAX 16

static void insert_sorted(uint64_t *sizes, int *n, int max, uint64_t size)
{
	int at = 0;

	while (at < *n && sizes[at] < size)
		at++;
	if (*n >= max || (at < *n && sizes[at] == size))
		return;
	memmove(sizes + at + 1, sizes + at, (size_t)(*n - at) * sizeof(*sizes));
	sizes[at] = size;
	(*n)++;
}

/* getdents64 by hand: opendir would malloc inside an allocator. */
static int sizes_from_sysfs(uint64_t *sizes, int max)
{
	_Alignas(struct dirent64) char buf[1024];
	int fd = contig_root_open(SIZES_DIR, O_RDONLY | O_DIRECTORY);
	int n = 0;
	ssize_t got;

	if (fd < 0)
		return fd;
	while ((got = getdents64(fd, buf, sizeof(buf))) > 0) {
		for (ssize_t at = 0; at < got;) {
			struct dirent64 *d = (struct dirent64 *)(void *)(buf + at);
			char *p = d->d_name;
			uint64_t size;

			at += d->d_reclen;
			if (strncmp(p, "hugepages-", 10))
				continue;
			p += 10;
			if (contig_root_number(&p, 10, &size) || strcmp(p, "kB") || !size ||
			    __builtin_mul_overflow(size, UINT64_C(1024), &size))
				continue;
			insert_sorted(sizes, &n, max, size);
		}
	}
	if (got < 0)
		n = -errno;
	close(fd);
	return n;
}

int contig_hugetlb_sizes(uint64_t *sizes, int max)
{
	int n = sizes_from_sysfs(sizes, max);
#ifndef CONTIG_WITHOUT_LIBHUGETLBFS
	long found[SIZES_MAX];
	int have, m = 0;

	if (!contig_root_is_real())
		return n;
	have = gethugepagesizes(found, SIZES_MAX);
	if (n < 0) {
		/* Without sysfs, believe the library. */
		if (have <= 0)
			return n;
		for (int i = 0; i < have; i++)
			if (found[i] > 0)
				insert_sorted(sizes, &m, max, (uint64_t)found[i]);
		return m;
	}
	if (have != n)
		contig_debug(HOST, "libhugetlbfs knows %d huge page sizes, sysfs %d: sysfs it is",
			     have, n);
#endif
	return n;
}

void contig_hugetlb_file(char *buf, size_t len, uint64_t size, int node, const char *file)
{
	if (node == HUGETLB_ALL_NODES)
		snprintf(buf, len, SIZES_DIR "/hugepages-%" PRIu64 "kB/%s", size / 1024, file);
	else
		snprintf(buf, len,
			 "/sys/devices/system/node/node%d/hugepages/hugepages-%" PRIu64 "kB/%s",
			 node, size / 1024, file);
}

static int read_count(uint64_t size, int node, const char *file, uint64_t *out)
{
	char path[160];

	contig_hugetlb_file(path, sizeof(path), size, node, file);
	return contig_root_read_u64(path, out);
}

static int write_count(uint64_t size, int node, const char *file, uint64_t value)
{
	char path[160];

	contig_hugetlb_file(path, sizeof(path), size, node, file);
	return contig_root_write_u64(path, value);
}

int contig_hugetlb_counts(uint64_t size, int node, struct hugetlb_counts *out)
{
	int err;

	memset(out, 0, sizeof(*out));
	err = read_count(size, node, "nr_hugepages", &out->total);
	if (!err)
		err = read_count(size, node, "free_hugepages", &out->free);
	if (!err)
		err = read_count(size, node, "surplus_hugepages", &out->surplus);
	if (!err && node == HUGETLB_ALL_NODES)
		err = read_count(size, node, "resv_hugepages", &out->reserved);
	if (!err && node == HUGETLB_ALL_NODES)
		err = read_count(size, node, "nr_overcommit_hugepages", &out->overcommit);
	if (err)
		memset(out, 0, sizeof(*out));
	return err;
}

/*
 * Before Linux 6.14 a node's file isn't the node's alone: what is written is
 * held against the pages of all nodes less the surplus of all, so a node gets
 * as many more as others have surplus pages.  The file of all nodes that obeys
 * the writer's memory policy counts right.
 */
static int resize_bound(uint64_t size, int node, uint64_t total)
{
	struct hugetlb_counts all, here;
	struct node_policy policy;
	int err = contig_hugetlb_counts(size, HUGETLB_ALL_NODES, &all);

	if (!err)
		err = contig_hugetlb_counts(size, node, &here);
	if (err)
		return err;
	if (all.surplus <= here.surplus)
		return -EAGAIN; /* the plain file will do */
	err = contig_node_policy_save(&policy);
	if (!err)
		err = contig_node_policy_bind(node);
	if (err)
		return err;
	all.total -= all.surplus;
	here.total -= here.surplus < here.total ? here.surplus : here.total;
	total = all.total + total < here.total ? 0 : all.total + total - here.total;
	err = write_count(size, HUGETLB_ALL_NODES, "nr_hugepages_mempolicy", total);
	contig_node_policy_restore(&policy);
	return err;
}

static int resize(uint64_t size, int node, uint64_t total)
{
	int err = -EAGAIN;

	if (node != HUGETLB_ALL_NODES && contig_root_is_real())
		err = resize_bound(size, node, total);
	return err ? write_count(size, node, "nr_hugepages", total) : 0;
}

/* See contig_guard_outsiders(): only of a number that was lowered. */
static int take_outsiders(uint64_t size, int node, uint64_t total,
			  const struct hugetlb_counts *before)
{
	static const struct timespec pause = {0, OUTSIDERS_PAUSE_NS};
	uint64_t last = UINT64_MAX;
	int err = 0;

	for (int i = 0; i < OUTSIDERS_TRIES && !err; i++) {
		struct hugetlb_counts now;
		int64_t n;

		if (i >= OUTSIDERS_AT_ONCE)
			nanosleep(&pause, NULL);
		if (contig_hugetlb_counts(size, node, &now))
			break;
		n = contig_guard_outsiders((int64_t)before->surplus, (int64_t)now.surplus,
					   (int64_t)now.free);
		if (!n)
			break;
		/* Not of one moment: pages are being freed.  Or somebody else has
		 * changed the number. */
		if (now.total - now.surplus != total)
			continue;
		if (now.total >= last)
			break;
		last = now.total;
		err = resize(size, node, total + (uint64_t)n);
		if (!err)
			err = resize(size, node, total);
	}
	return err;
}

int contig_hugetlb_resize(uint64_t size, int node, uint64_t total, uint64_t *got)
{
	struct hugetlb_counts before;
	bool lowered = !contig_hugetlb_counts(size, node, &before) && total < before.total;
	int err = resize(size, node, total);

	if (!err && lowered)
		err = take_outsiders(size, node, total, &before);
	if (!err && got)
		err = read_count(size, node, "nr_hugepages", got);
	return err;
}

int contig_hugetlb_overcommit(uint64_t size, uint64_t pages)
{
	return write_count(size, HUGETLB_ALL_NODES, "nr_overcommit_hugepages", pages);
}

int contig_hugetlb_demote(uint64_t size, int node, uint64_t n)
{
	int err = write_count(size, node, "demote", n);

	if (err != -ENOENT)
		return err;
	contig_reason_set("the kernel can't demote pages of %" PRIu64 " kB (needs Linux 5.16 and a smaller size)",
			  size / 1024);
	return -EOPNOTSUPP;
}

int contig_hugetlb_demote_size(uint64_t size, uint64_t *out)
{
	char path[160], text[32], *p = text;
	ssize_t n;

	contig_hugetlb_file(path, sizeof(path), size, HUGETLB_ALL_NODES, "demote_size");
	n = contig_root_read(path, text, sizeof(text));
	if (n < 0)
		return n == -ENOENT ? -EOPNOTSUPP : (int)n;
	if (contig_root_number(&p, 10, out) || strcmp(p, "kB") || !*out ||
	    __builtin_mul_overflow(*out, UINT64_C(1024), out) || *out >= size)
		return -EINVAL;
	return 0;
}

int contig_hugetlb_compact(int node)
{
	char path[64];

	if (node == HUGETLB_ALL_NODES)
		return contig_root_write_u64("/proc/sys/vm/compact_memory", 1);
	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/compact", node);
	return contig_root_write_u64(path, 1);
}

/* The page size in a hugetlbfs mount's options, "pagesize=2M"; without one,
 * the default size. */
static uint64_t mount_page_size(const char *options)
{
	const char *at = strstr(options, "pagesize=");
	uint64_t size;
	char *p;

	if (!at)
		return contig_meminfo("Hugepagesize", &size) ? 0 : size;
	p = (char *)(uintptr_t)at + strlen("pagesize=");
	if (contig_root_number(&p, 10, &size))
		return 0;
	for (const char *unit = "KMG"; *unit; unit++) {
		if (__builtin_mul_overflow(size, UINT64_C(1024), &size))
			return 0;
		if (*p == *unit)
			return size;
	}
	return 0;
}

static int mount_from_table(uint64_t size, char *path, size_t len)
{
	struct root_lines lines;
	int err = contig_root_lines_open(&lines, "/proc/self/mounts");
	char *line;

	if (err == -ENOENT)
		err = contig_root_lines_open(&lines, "/proc/mounts");
	if (err)
		return err;
	err = -ENOENT;
	while (err && (line = contig_root_lines_next(&lines))) {
		char *save, *dir, *type, *options;

		if (!strtok_r(line, " ", &save))
			continue;
		dir = strtok_r(NULL, " ", &save);
		type = strtok_r(NULL, " ", &save);
		options = strtok_r(NULL, " ", &save);
		if (!options || strcmp(type, "hugetlbfs") || mount_page_size(options) != size)
			continue;
		contig_root_unescape(dir);
		if ((size_t)snprintf(path, len, "%s", dir) >= len)
			err = -ENAMETOOLONG;
		else
			err = 0;
	}
	contig_root_lines_close(&lines);
	return err;
}

int contig_hugetlb_mount(uint64_t size, char *path, size_t len)
{
#ifndef CONTIG_WITHOUT_LIBHUGETLBFS
	if (contig_root_is_real()) {
		const char *found = hugetlbfs_find_path_for_size((long)size);
		struct statfs fs;

		/* Still mounted, and of this size? */
		if (found && strlen(found) < len && statfs(found, &fs) == 0 &&
		    (unsigned int)fs.f_type == HUGETLBFS_MAGIC &&
		    (uint64_t)fs.f_bsize == size) {
			strcpy(path, found);
			return 0;
		}
	}
#endif
	return mount_from_table(size, path, len);
}

struct cgroup_room {
	uint64_t size, pages;
	char label[16]; /* as in the kernel's mem_fmt(): 64KB, 2MB, 1GB */
};

static void narrow_by_file(struct cgroup_room *room, const char *dir,
			   const char *limit_file, const char *usage_file)
{
	char file[64];
	uint64_t limit, used, pages;
	int err;

	snprintf(file, sizeof(file), "hugetlb.%s.%s", room->label, limit_file);
	err = contig_cgroup_number(dir, file, &limit);
	if (err == -ENOENT || (!err && limit == UINT64_MAX))
		return;
	snprintf(file, sizeof(file), "hugetlb.%s.%s", room->label, usage_file);
	if (err || contig_cgroup_number(dir, file, &used)) {
		room->pages = 0; /* there is a limit that we can't read */
		return;
	}
	pages = limit > used ? (limit - used) / room->size : 0;
	if (pages < room->pages)
		room->pages = pages;
}

static void narrow_by_level(int version, const char *dir, void *arg)
{
	if (version == 2) {
		narrow_by_file(arg, dir, "max", "current");
		narrow_by_file(arg, dir, "rsvd.max", "rsvd.current");
	} else {
		narrow_by_file(arg, dir, "limit_in_bytes", "usage_in_bytes");
		narrow_by_file(arg, dir, "rsvd.limit_in_bytes", "rsvd.usage_in_bytes");
	}
}

uint64_t contig_hugetlb_cgroup_room(uint64_t size)
{
	struct cgroup_room room = {.size = size, .pages = UINT64_MAX};

	if (!size)
		return 0;
	if (size >= UINT64_C(1) << 30)
		snprintf(room.label, sizeof(room.label), "%" PRIu64 "GB", size >> 30);
	else if (size >= UINT64_C(1) << 20)
		snprintf(room.label, sizeof(room.label), "%" PRIu64 "MB", size >> 20);
	else
		snprintf(room.label, sizeof(room.label), "%" PRIu64 "KB", size >> 10);
	if (contig_cgroup_each_level("hugetlb", narrow_by_level, &room) < 0)
		return 0;
	return room.pages;
}
