/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where this process's control groups are mounted: v1 hierarchies, the
 * unified one, or both at once (hybrid).
 */
#ifndef HOST_CGROUP_H
#define HOST_CGROUP_H

#include <stdbool.h>
#include <stdint.h>

/*
 * One level: dir ("/sys/fs/cgroup/memory/a/b") is the group of this process
 * or an ancestor of it.  version is 1 or 2.
 */
typedef void (*cgroup_level_fn)(int version, const char *dir, void *arg);

/*
 * Every visible level that governs this process, from its own group up to
 * the mount point; v1's hierarchy of this controller, then the unified one.
 * A container that hides its own group from us still shows an ancestor,
 * whose limits hold too.  Returns how many levels, or -errno.
 */
int contig_cgroup_each_level(const char *controller, cgroup_level_fn fn, void *arg);

/*
 * The number in dir/file; "max" and v1's huge default are UINT64_MAX.
 * 0, -ENOENT where the level has no such file, -errno.
 */
int contig_cgroup_number(const char *dir, const char *file, uint64_t *out);

/* The number behind key in dir/file ("inactive_file 4096").  0/-errno. */
int contig_cgroup_stat(const char *dir, const char *file, const char *key, uint64_t *out);

#endif
