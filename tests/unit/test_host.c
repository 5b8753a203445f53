/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lib/host on the running machine, against oracles that share no code with
 * it: the test's own reads of pagemap, meminfo, smaps.
 */
#include "base/page.h"
#include "base/reason.h"
#include "host/available.h"
#include "host/hugetlb.h"
#include "host/maps.h"
#include "host/nodes.h"
#include "host/pagemap.h"
#include "host/root.h"
#include "host/syslock.h"
#include "host/topology.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

static void skip(const char *test, const char *why)
{
	printf("skipped: %s: %s\n", test, why);
}

/* ---- oracles ---- */

static uint64_t oracle_entry(const void *va)
{
	uint64_t entry = 0;
	int fd = open("/proc/self/pagemap", O_RDONLY);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pread(fd, &entry, 8, (off_t)((uintptr_t)va / 4096 * 8)), 8);
	close(fd);
	return entry;
}

/* "Key: N" or "Key: N kB" of a file, unscaled; -1 without. */
static long long oracle_field(const char *file, const char *key)
{
	char line[512];
	long long value = -1;
	FILE *f = fopen(file, "r");

	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f)) {
		size_t len = strlen(key);

		if (!strncmp(line, key, len) && line[len] == ':') {
			value = atoll(line + len + 1);
			break;
		}
	}
	fclose(f);
	return value;
}

static int64_t ms_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void *map_pages(size_t len, int prot)
{
	void *p = mmap(NULL, len, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(p, MAP_FAILED);
	return p;
}

/* ---- root ---- */

START_TEST(root_paths)
{
	char dir[] = "/tmp/contig-host-XXXXXX", path[128], buf[64];
	int fd;

	ck_assert(contig_root_is_real());
	ck_assert_int_eq(contig_root_set("/nonexistent"), -ENOENT);
	ck_assert_int_eq(contig_root_set("/proc/version"), -ENOTDIR);
	ck_assert(contig_root_is_real());
	ck_assert_int_eq(contig_root_set("/"), 0);
	ck_assert(contig_root_is_real());
	ck_assert_int_gt(contig_root_read("/proc/sys/kernel/ostype", buf, sizeof(buf)), 0);
	ck_assert_str_eq(buf, "Linux"); /* no newline */

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/", dir);
	ck_assert_int_eq(contig_root_set(path), 0);
	ck_assert(!contig_root_is_real());
	ck_assert_int_eq(contig_root_read("/proc/version", buf, sizeof(buf)), -ENOENT);
	snprintf(path, sizeof(path), "%s/proc", dir);
	ck_assert_int_eq(mkdir(path, 0777), 0);
	/* A link to this machine's file stays inside the tree. */
	snprintf(path, sizeof(path), "%s/proc/version", dir);
	ck_assert_int_eq(symlink("/proc/sys/kernel/ostype", path), 0);
	ck_assert_int_eq(contig_root_read("/proc/version", buf, sizeof(buf)), -ENOENT);
	unlink(path);
	ck_assert_int_eq(symlink("../../../../../../proc/sys/kernel/ostype", path), 0);
	ck_assert_int_eq(contig_root_read("/proc/version", buf, sizeof(buf)), -ENOENT);
	unlink(path);
	/* A FIFO in it doesn't hang. */
	ck_assert_int_eq(mkfifo(path, 0666), 0);
	ck_assert_int_eq(contig_root_read("/proc/version", buf, sizeof(buf)), 0);
	unlink(path);
	/* Nothing is written to it, though it could be. */
	fd = open(path, O_CREAT | O_WRONLY, 0666);
	ck_assert_int_ge(fd, 0);
	close(fd);
	ck_assert_int_eq(contig_root_write_u64("/proc/version", 5), -EROFS);
	ck_assert_int_eq(contig_root_read("/proc/version", buf, sizeof(buf)), 0);
	unlink(path);
	snprintf(path, sizeof(path), "%s/proc", dir);
	rmdir(path);
	rmdir(dir);
	ck_assert_int_eq(contig_root_set(NULL), 0);
	ck_assert(contig_root_is_real());
}
END_TEST

START_TEST(root_numbers)
{
	static const struct {
		const char *text;
		int err;
		uint64_t value;
	} cases[] = {
		{"0\n", 0, 0},
		{"18446744073709551615\n", 0, UINT64_MAX},
		{"18446744073709551616\n", -ERANGE, 0},
		{"max\n", 0, UINT64_MAX},
		{"42", 0, 42},
		{"", -EINVAL, 0},
		{"\n", -EINVAL, 0},
		{"-1\n", -EINVAL, 0},
		{"+1\n", -EINVAL, 0},
		{" 1\n", -EINVAL, 0},
		{"1 2\n", -EINVAL, 0},
		{"0x10\n", -EINVAL, 0},
		{"1\n\n", -EINVAL, 0},
		{"00000000000000000000000000000000000000000000000000000000000000000000\n", -EINVAL, 0},
	};
	char dir[] = "/tmp/contig-host-XXXXXX", path[64], buf[8], *all;
	FILE *f;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(contig_root_set(dir), 0);
	snprintf(path, sizeof(path), "%s/n", dir);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t got = 77;

		f = fopen(path, "w");
		fputs(cases[i].text, f);
		fclose(f);
		ck_assert_int_eq(contig_root_read_u64("/n", &got), cases[i].err);
		ck_assert_uint_eq(got, cases[i].err ? 77 : cases[i].value);
	}
	/* Room for the text and its end, or -E2BIG. */
	f = fopen(path, "w");
	fputs("1234567", f);
	fclose(f);
	ck_assert_int_eq(contig_root_read("/n", buf, 8), 7);
	ck_assert_str_eq(buf, "1234567");
	ck_assert_int_eq(contig_root_read("/n", buf, 7), -E2BIG);
	ck_assert_int_eq(contig_root_read("/n", buf, 0), -E2BIG);
	/* Larger than the first buffer of read_all. */
	f = fopen(path, "w");
	for (int i = 0; i < 10000; i++)
		fprintf(f, "%07d\n", i);
	fclose(f);
	ck_assert_int_eq(contig_root_read_all("/n", &all), 80000);
	ck_assert_str_eq(all + 80000 - 8, "0009999\n");
	free(all);
	unlink(path);
	rmdir(dir);
	contig_root_set("");
}
END_TEST

START_TEST(root_line_reader)
{
	static struct root_lines lines;
	char dir[] = "/tmp/contig-host-XXXXXX", path[64], *line;
	FILE *f;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(contig_root_set(dir), 0);
	snprintf(path, sizeof(path), "%s/n", dir);
	f = fopen(path, "w");
	fputs("first\n\n", f);
	for (int i = 0; i < 3 * 8192; i++)
		fputc('x', f);
	fputs("\nlast", f);
	fclose(f);
	ck_assert_int_eq(contig_root_lines_open(&lines, "/n"), 0);
	ck_assert_str_eq(contig_root_lines_next(&lines), "first");
	ck_assert_str_eq(contig_root_lines_next(&lines), "");
	line = contig_root_lines_next(&lines);
	ck_assert_uint_eq(strlen(line), ROOT_LINES_ROOM - 1);
	ck_assert(!lines.complete);
	line = contig_root_lines_next(&lines);
	ck_assert_str_eq(line, "last");
	ck_assert(!lines.complete);
	ck_assert_ptr_null(contig_root_lines_next(&lines));
	ck_assert_int_eq(lines.error, 0);
	contig_root_lines_close(&lines);
	unlink(path);
	rmdir(dir);
	contig_root_set("");
	/* A directory opens, but can't be read. */
	ck_assert_int_eq(contig_root_lines_open(&lines, "/proc"), 0);
	ck_assert_ptr_null(contig_root_lines_next(&lines));
	ck_assert_int_eq(lines.error, -EISDIR);
	contig_root_lines_close(&lines);
}
END_TEST

/* ---- pagemap ---- */

START_TEST(pagemap_matches)
{
	const size_t n = 9000; /* more than two batches */
	char *p = map_pages(n * 4096, PROT_READ | PROT_WRITE);
	uint64_t *frames = calloc(n + 1, sizeof(*frames)), *entries = calloc(n, sizeof(*entries));
	bool visible, moved = true;
	int fd;

	ck_assert_ptr_nonnull(frames);
	ck_assert_ptr_nonnull(entries);
	frames[n] = 4711;
	for (size_t i = 0; i < n; i++)
		if (i % 3)
			p[i * 4096] = 1;
	/* THP may have filled the holes: drop them for certain. */
	for (size_t i = 0; i < n; i += 3)
		madvise(p + i * 4096, 4096, MADV_DONTNEED);
	visible = oracle_entry(p + 4096) & ((UINT64_C(1) << 55) - 1);
	ck_assert(contig_pagemap_visible() == visible);
	fd = contig_pagemap_open(0);
	ck_assert_int_ge(fd, 0);
	/* The kernel moves pages when it likes: between two looks that agree it hasn't. */
	for (int i = 0; moved && i < 20; i++) {
		for (size_t j = 0; j < n; j++)
			entries[j] = oracle_entry(p + j * 4096);
		ck_assert_int_eq(contig_pagemap_read(fd, (uintptr_t)p, n, frames), 0);
		moved = false;
		for (size_t j = 0; j < n; j++)
			moved |= entries[j] != oracle_entry(p + j * 4096);
	}
	ck_assert_msg(!moved, "the pages never stay for the time of a look");
	ck_assert_uint_eq(frames[n], 4711);
	for (size_t i = 0; i < n; i++) {
		uint64_t entry = entries[i];
		uint64_t frame = entry & ((UINT64_C(1) << 55) - 1);

		if (!(entry >> 63))
			ck_assert_uint_eq(frames[i], FRAME_ABSENT);
		else if (visible)
			ck_assert_uint_eq(frames[i], frame);
		else
			ck_assert_uint_eq(frames[i], FRAME_HIDDEN);
		ck_assert(frames[i] != 0);
		ck_assert_int_eq(frames[i] == FRAME_ABSENT, i % 3 == 0);
	}
	for (int i = 0; i < 20; i++) {
		entries[1] = oracle_entry(p + 4096);
		frames[1] = contig_pagemap_frame(p + 4096 + 123);
		if (entries[1] == oracle_entry(p + 4096))
			break;
	}
	ck_assert_uint_eq(frames[1], visible ? entries[1] & ((UINT64_C(1) << 55) - 1) :
					       FRAME_HIDDEN);
	ck_assert_uint_eq(contig_pagemap_frame(p), FRAME_ABSENT);
	ck_assert_int_eq(contig_pagemap_read(fd, (uintptr_t)p + 1, 1, frames), -EINVAL);
	ck_assert_int_eq(contig_pagemap_read(fd, (uintptr_t)p, 0, NULL), 0);
	/* Up to and beyond the end of the address space. */
	ck_assert_int_eq(contig_pagemap_read(fd, UINT64_C(0x7fffffffe000), 8, frames), 0);
	for (int i = 0; i < 8; i++)
		ck_assert_uint_eq(frames[i], FRAME_ABSENT);
	ck_assert_int_eq(contig_pagemap_read(fd, ~(uintptr_t)4095, 8, frames), 0);
	ck_assert_uint_eq(frames[0], FRAME_ABSENT);
	close(fd);
	ck_assert_int_eq(contig_pagemap_read(fd, (uintptr_t)p, 1, frames), -EBADF);
	ck_assert_int_eq(contig_pagemap_open(-5), -EINVAL);
	free(entries);
	free(frames);
	munmap(p, n * 4096);
}
END_TEST

/* Frame 0 to an unprivileged reader is "hidden", found by reading. */
START_TEST(pagemap_hidden)
{
	int status;
	pid_t pid;

	if (geteuid() == 0) {
		pid = fork();
		if (!pid) {
			volatile char here = 1;
			uint64_t frame;

			if (setgid(65534) || setuid(65534))
				_exit(2);
			frame = contig_pagemap_frame((const void *)&here);
			/* setuid makes us undumpable: pagemap is root's then. */
			if (frame == FRAME_ABSENT && errno == EACCES)
				_exit(contig_pagemap_visible() ? 4 : 0);
			_exit(frame == FRAME_HIDDEN && !contig_pagemap_visible() ? 0 : 3);
		}
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		ck_assert_int_eq(status, 0);
	} else {
		volatile char here = 1;

		ck_assert_uint_eq(contig_pagemap_frame((const void *)&here), FRAME_HIDDEN);
	}
}
END_TEST

static void *from_thread(void *arg)
{
	volatile char here = 1;

	(void)arg;
	return (void *)(uintptr_t)(contig_pagemap_frame((const void *)&here) != FRAME_ABSENT);
}

START_TEST(pagemap_in_thread)
{
	pthread_t thread;
	void *ok;

	ck_assert_int_eq(pthread_create(&thread, NULL, from_thread, NULL), 0);
	ck_assert_int_eq(pthread_join(thread, &ok), 0);
	ck_assert_ptr_nonnull(ok);
}
END_TEST

/* AnonHugePages of the mapping that begins at p, in bytes. */
static uint64_t oracle_anon_huge(const void *p)
{
	char line[512], start[32];
	uint64_t bytes = 0;
	bool here = false;
	FILE *f = fopen("/proc/self/smaps", "r");

	ck_assert_ptr_nonnull(f);
	snprintf(start, sizeof(start), "%" PRIxPTR "-", (uintptr_t)p);
	while (fgets(line, sizeof(line), f)) {
		unsigned long kb;

		if (!strncmp(line, start, strlen(start)))
			here = true;
		else if (here && sscanf(line, "AnonHugePages: %lu kB", &kb) == 1) {
			bytes = (uint64_t)kb * 1024;
			break;
		}
	}
	fclose(f);
	return bytes;
}

START_TEST(pagemap_huge)
{
	const size_t len = 8 * SUPERPAGE_SIZE;
	char *raw = map_pages(len, PROT_READ | PROT_WRITE), *p;
	int ret;

	p = (char *)align_up((uintptr_t)raw, SUPERPAGE_SIZE);
	/* A mapping of its own, four superpages, next to nothing. */
	munmap(raw, (size_t)(p - raw));
	munmap(p + 4 * SUPERPAGE_SIZE, (size_t)(raw + len - p) - 4 * SUPERPAGE_SIZE);
	madvise(p, 4 * SUPERPAGE_SIZE, MADV_NOHUGEPAGE);
	memset(p, 1, 4 * SUPERPAGE_SIZE);
	ret = contig_pagemap_is_huge(p, 4 * SUPERPAGE_SIZE);
	if (ret == -EOPNOTSUPP) {
		skip("pagemap_huge", "this kernel has no PAGEMAP_SCAN");
		return;
	}
	ck_assert_int_eq(ret, 0);
	madvise(p, 4 * SUPERPAGE_SIZE, MADV_HUGEPAGE);
	for (int i = 0; (ret = madvise(p, 4 * SUPERPAGE_SIZE, MADV_COLLAPSE)) && i < 100; i++)
		usleep(10000);
	if (ret) {
		skip("pagemap_huge", "MADV_COLLAPSE failed");
		return;
	}
	/* Or khugepaged could mend what is broken below. */
	madvise(p, 4 * SUPERPAGE_SIZE, MADV_NOHUGEPAGE);
	ck_assert_uint_eq(oracle_anon_huge(p), 4 * SUPERPAGE_SIZE);
	ck_assert_int_eq(contig_pagemap_is_huge(p, 4 * SUPERPAGE_SIZE), 1);
	ck_assert_int_eq(contig_pagemap_is_huge(p, 1), 1);
	ck_assert_int_eq(contig_pagemap_is_huge(p + 4096, SUPERPAGE_SIZE), 1);
	/* Into the unmapped, on either side. */
	ck_assert_int_eq(contig_pagemap_is_huge(p, 4 * SUPERPAGE_SIZE + 1), 0);
	ck_assert_int_eq(contig_pagemap_is_huge(p - 4096, 8192), 0);
	/* One page in the middle gone: that superpage is split. */
	ck_assert_int_eq(madvise(p + SUPERPAGE_SIZE + 40960, 4096, MADV_DONTNEED), 0);
	ck_assert_int_eq(contig_pagemap_is_huge(p, SUPERPAGE_SIZE), 1);
	ck_assert_int_eq(contig_pagemap_is_huge(p, 2 * SUPERPAGE_SIZE), 0);
	ck_assert_int_eq(contig_pagemap_is_huge(p + SUPERPAGE_SIZE, SUPERPAGE_SIZE), 0);
	ck_assert_int_eq(contig_pagemap_is_huge(p + 2 * SUPERPAGE_SIZE, 2 * SUPERPAGE_SIZE), 1);
	/* A hole between two. */
	munmap(p + 2 * SUPERPAGE_SIZE, SUPERPAGE_SIZE);
	ck_assert_int_eq(contig_pagemap_is_huge(p + 2 * SUPERPAGE_SIZE, 2 * SUPERPAGE_SIZE), 0);
	ck_assert_int_eq(contig_pagemap_is_huge(p + 1, 4096), -EINVAL);
	ck_assert_int_eq(contig_pagemap_is_huge(p, 0), -EINVAL);
	ck_assert_int_eq(contig_pagemap_is_huge(p, SIZE_MAX), -EINVAL);
	munmap(p, 4 * SUPERPAGE_SIZE);
}
END_TEST

/* ---- maps ---- */

struct want {
	uintptr_t start, end;
	struct host_mapping found;
	char name[64];
	int n, total;
};

static int find(const struct host_mapping *m, void *arg)
{
	struct want *w = arg;

	w->total++;
	if (m->start == w->start && m->end == w->end) {
		w->found = *m;
		snprintf(w->name, sizeof(w->name), "%s", m->name);
		w->n++;
	}
	return 0;
}

START_TEST(maps_real)
{
	struct want w = {.n = 0};
	struct stat st;
	int fd = memfd_create("contig test", MFD_CLOEXEC);
	char *p;
	FILE *f;
	int lines = 0, c;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, 5 * 4096), 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	p = mmap(NULL, 3 * 4096, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 4096);
	ck_assert_ptr_ne(p, MAP_FAILED);
	w.start = (uintptr_t)p;
	w.end = w.start + 3 * 4096;
	ck_assert_int_eq(contig_maps_each(_i > 1 ? getpid() : 0, _i & 1, find, &w), 0);
	ck_assert_int_eq(w.n, 1);
	ck_assert(w.found.read && !w.found.write && w.found.exec && w.found.shared);
	ck_assert_uint_eq(w.found.offset, 4096);
	ck_assert_uint_eq(w.found.inode, st.st_ino);
	ck_assert_str_eq(w.name, "/memfd:contig test (deleted)");
	ck_assert_uint_eq(w.found.kernel_page, _i & 1 ? 4096 : 0);
	f = fopen("/proc/self/maps", "r");
	while ((c = fgetc(f)) != EOF)
		lines += c == '\n';
	fclose(f);
	/* Reading it may have mapped a stdio buffer. */
	ck_assert_int_le(abs(lines - w.total), 1);
	munmap(p, 3 * 4096);
	close(fd);
}
END_TEST

/* A path that is longer than the reader's buffer: only its name is cut. */
START_TEST(maps_deep)
{
	enum { DEPTH = 40, LONG = 250 };
	char step[LONG + 1], top[] = "/tmp/contig-deep-XXXXXX";
	struct want w = {.n = 0};
	int before = open(".", O_RDONLY | O_DIRECTORY), fd;
	char *p;

	memset(step, 'd', LONG);
	step[LONG] = '\0';
	ck_assert_int_ge(before, 0);
	ck_assert_ptr_nonnull(mkdtemp(top));
	ck_assert_int_eq(chdir(top), 0);
	for (int i = 0; i < DEPTH; i++)
		ck_assert_int_eq(mkdir(step, 0700) | chdir(step), 0);
	fd = open("file", O_RDWR | O_CREAT, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, 4096), 0);
	p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(p, MAP_FAILED);
	w.start = (uintptr_t)p;
	w.end = w.start + 4096;
	ck_assert_int_eq(contig_maps_each(0, _i, find, &w), 0);
	ck_assert_int_eq(w.n, 1);
	/* The lines after it are there as well: the stack's and the kernel's. */
	ck_assert_int_gt(w.total, 5);
	ck_assert_int_eq(strncmp(w.name, "/tmp/contig-deep-", 17), 0);
	ck_assert_uint_eq(w.found.kernel_page, _i ? 4096 : 0);
	munmap(p, 4096);
	close(fd);
	ck_assert_int_eq(unlink("file"), 0);
	for (int i = 0; i < DEPTH; i++)
		ck_assert_int_eq(chdir("..") | rmdir(step), 0);
	ck_assert_int_eq(fchdir(before) | rmdir(top), 0);
	close(before);
}
END_TEST

/* ---- meminfo, topology, sizes ---- */

START_TEST(meminfo_real)
{
	uint64_t bytes;
	long long kb;

	ck_assert_int_eq(contig_meminfo("MemTotal", &bytes), 0);
	ck_assert_uint_eq(bytes, (uint64_t)oracle_field("/proc/meminfo", "MemTotal") * 1024);
	ck_assert_int_eq(contig_meminfo("NoSuchField", &bytes), -ENOENT);
	kb = oracle_field("/proc/meminfo", "MemAvailable");
	ck_assert_uint_le(contig_available(), ((uint64_t)kb + 512 * 1024) * 1024);
	ck_assert_uint_gt(contig_available(), 0);
}
END_TEST

/* A group with a limit, which this process enters. */
START_TEST(memcg_real)
{
	static const char *const text = "536870912", *const control =
		"/sys/fs/cgroup/cgroup.subtree_control";
	const char *root = "/sys/fs/cgroup/memory", *file = "memory.limit_in_bytes";
	char group[96], path[160], pid_text[32];
	uint64_t before = contig_memcg_room(), room;
	bool second = access("/sys/fs/cgroup/memory", F_OK) < 0, turned_on = false;
	int status, fd;
	pid_t pid;

	if (second) {
		root = "/sys/fs/cgroup";
		file = "memory.max";
	}
	snprintf(group, sizeof(group), "%s/contig-test-host", root);
	if (geteuid() || mkdir(group, 0755)) {
		skip("memcg_real", geteuid() ? "not root" : "no memory hierarchy to write to");
		return;
	}
	snprintf(path, sizeof(path), "%s/%s", group, file);
	if (second && access(path, F_OK) < 0) {
		fd = open(control, O_WRONLY);
		turned_on = write(fd, "+memory", 7) == 7;
		close(fd);
	}
	pid = fork();
	if (!pid) {
		fd = open(path, O_WRONLY);
		if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
			_exit(2);
		close(fd);
		snprintf(path, sizeof(path), "%s/cgroup.procs", group);
		fd = open(path, O_WRONLY);
		snprintf(pid_text, sizeof(pid_text), "%d", (int)getpid());
		if (write(fd, pid_text, strlen(pid_text)) < 0)
			_exit(3);
		close(fd);
		room = contig_memcg_room();
		if (room > 536870912 || room < 500000000)
			_exit(4);
		memset(map_pages(20 << 20, PROT_READ | PROT_WRITE), 1, 20 << 20);
		room -= contig_memcg_room();
		/* A sanitizer takes some more for itself. */
		_exit(room > 18 << 20 && room < 200 << 20 ? 0 : 5);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	for (int i = 0; i < 100 && rmdir(group) && errno == EBUSY; i++)
		usleep(10000);
	if (turned_on) {
		fd = open(control, O_WRONLY);
		ck_assert_int_eq(write(fd, "-memory", 7), 7);
		close(fd);
	}
	ck_assert_int_eq(status, 0);
	room = contig_memcg_room();
	ck_assert(before == UINT64_MAX ? room == before : room > 536870912);
}
END_TEST

START_TEST(topology_real)
{
	const struct host_topology *t = contig_topology();
	uint64_t present = 0, ram = 0, total;
	volatile char here = 1;
	uint64_t frame = contig_pagemap_frame((const void *)&here);
	int node = contig_topology_node_here();

	ck_assert_ptr_nonnull(t);
	ck_assert_int_ge(t->n_nodes, 1);
	for (unsigned int i = 0; i < t->n_zones; i++) {
		present += t->zones[i].present;
		ck_assert_uint_le((t->zones[i].start_frame + t->zones[i].spanned) << 12, t->end);
	}
	for (unsigned int i = 0; i < t->n_ram; i++) {
		ck_assert_uint_lt(t->ram[i].start, t->ram[i].end);
		if (i)
			ck_assert_uint_ge(t->ram[i].start, t->ram[i - 1].end);
		ram += t->ram[i].end - t->ram[i].start;
	}
	/* All of MemTotal is in them. */
	total = (uint64_t)oracle_field("/proc/meminfo", "MemTotal") * 1024;
	ck_assert_uint_ge(present << 12, total);
	ck_assert_uint_ge(ram, total);
	ck_assert_uint_ge(t->end, ram);
	if (t->ram_exact) /* firmware's pages differ a little */
		ck_assert_uint_le(ram, (present << 12) + (UINT64_C(16) << 20));
	if (frame_is_known(frame))
		ck_assert_int_ge(contig_topology_node_of(frame), 0);
	ck_assert_int_eq(contig_topology_distance(t->nodes[0], t->nodes[0]), 10);
	ck_assert_int_eq(contig_topology_distance(HOST_NODE_LIMIT - 1, 0), -1);
	ck_assert_int_ge(node, 0);
}
END_TEST

START_TEST(node_masks)
{
	unsigned long mask[HOST_NODE_LIMIT / (8 * sizeof(unsigned long))];
	const int nodes[] = {0, 1, 63, 64, HOST_NODE_LIMIT - 1};

	for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++) {
		memset(mask, 0xff, sizeof(mask));
		ck_assert_int_eq(contig_node_mask(nodes[i], mask), 0);
		for (int bit = 0; bit < HOST_NODE_LIMIT; bit++)
			ck_assert_int_eq(((unsigned char *)mask)[bit / 8] >> bit % 8 & 1,
					 bit == nodes[i]);
	}
	ck_assert_int_eq(contig_node_mask(HOST_NODE_LIMIT, mask), -EINVAL);
	ck_assert_int_eq(contig_node_mask(HUGETLB_ALL_NODES, mask), -EINVAL);
}
END_TEST

START_TEST(hugetlb_real)
{
	struct hugetlb_counts c;
	uint64_t sizes[8];
	int n = contig_hugetlb_sizes(sizes, 8);
	char path[256];

	ck_assert_int_ge(n, 0);
	for (int i = 0; i < n; i++) {
		if (i)
			ck_assert_uint_lt(sizes[i - 1], sizes[i]);
		snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/hugepages-%" PRIu64 "kB",
			 sizes[i] / 1024);
		ck_assert_int_eq(access(path, F_OK), 0);
		ck_assert_int_eq(contig_hugetlb_counts(sizes[i], HUGETLB_ALL_NODES, &c), 0);
		ck_assert_uint_le(c.free, c.total);
	}
	ck_assert_int_eq(contig_hugetlb_counts(12345678, HUGETLB_ALL_NODES, &c), -ENOENT);
}
END_TEST

/* ---- syslock ---- */

START_TEST(syslock_excludes)
{
	int64_t start;
	int lock = contig_syslock_take(30000), second, status;
	char byte;
	int ready[2];
	pid_t pid;

	if (lock == -ENOENT) {
		skip("syslock_excludes", "no /sys/kernel/mm/hugepages");
		return;
	}
	ck_assert_int_ge(lock, 0);
	ck_assert_int_eq(fcntl(lock, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	start = ms_now();
	ck_assert_int_eq(contig_syslock_take(0), -ETIMEDOUT);
	ck_assert_int_lt(ms_now() - start, 100);
	start = ms_now();
	ck_assert_int_eq(contig_syslock_take(150), -ETIMEDOUT);
	ck_assert_int_ge(ms_now() - start, 150);
	ck_assert_int_lt(ms_now() - start, 400);
	ck_assert_uint_gt(strlen(contig_reason_get()), 0);
	/* A child that inherited the descriptor doesn't keep the lock. */
	pid = fork();
	if (!pid) {
		pause();
		_exit(0);
	}
	contig_syslock_drop(lock);
	second = contig_syslock_take(2000);
	ck_assert_int_ge(second, 0);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	contig_syslock_drop(second);
	/* The lock of a killed process is free at once. */
	ck_assert_int_eq(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		second = contig_syslock_take(30000);
		if (write(ready[1], "x", 1) == 1 && second >= 0)
			pause();
		_exit(0);
	}
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	ck_assert_int_eq(contig_syslock_take(0), -ETIMEDOUT);
	start = ms_now();
	kill(pid, SIGKILL);
	lock = contig_syslock_take(5000);
	ck_assert_int_ge(lock, 0);
	waitpid(pid, &status, 0);
	contig_syslock_drop(lock);
	contig_syslock_drop(-1);
	close(ready[0]);
	close(ready[1]);
}
END_TEST

START_TEST(reason_once)
{
	char to[12], large[64];

	contig_reason_once("one; two; one; three; two", large, sizeof(large));
	ck_assert_str_eq(large, "one; two; three");
	contig_reason_once("one; two; one; three; two", to, sizeof(to));
	ck_assert_str_eq(to, "one; two");
	contig_reason_once("one; tw; x; yz", to, sizeof(to));
	ck_assert_str_eq(to, "one; tw; x");
	contig_reason_once("as long as this; x", to, sizeof(to));
	ck_assert_str_eq(to, "as long as ");
	contig_reason_once("eleven char", to, sizeof(to));
	ck_assert_str_eq(to, "eleven char");
	contig_reason_once("a; ", to, sizeof(to));
	ck_assert_str_eq(to, "a");
	contig_reason_once("", to, sizeof(to));
	ck_assert_str_eq(to, "");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("host");
	TCase *tc = tcase_create("real");
	SRunner *runner;
	int failed;

	tcase_add_test(tc, root_paths);
	tcase_add_test(tc, root_numbers);
	tcase_add_test(tc, root_line_reader);
	tcase_add_test(tc, pagemap_matches);
	tcase_add_test(tc, pagemap_hidden);
	tcase_add_test(tc, pagemap_in_thread);
	tcase_add_test(tc, pagemap_huge);
	tcase_add_loop_test(tc, maps_real, 0, 4);
	tcase_add_loop_test(tc, maps_deep, 0, 2);
	tcase_add_test(tc, meminfo_real);
	tcase_add_test(tc, memcg_real);
	tcase_add_test(tc, topology_real);
	tcase_add_test(tc, node_masks);
	tcase_add_test(tc, hugetlb_real);
	tcase_add_test(tc, syslock_excludes);
	tcase_add_test(tc, reason_once);
	tcase_set_timeout(tc, 240);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
