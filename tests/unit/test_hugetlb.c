/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Changing the kernel's pools, and taking the change back whatever happens.
 * Needs root; the pools are left as they were found, which is checked.
 */
#include "base/page.h"
#include "base/reason.h"
#include "host/guard_process.h"
#include "host/hugetlb.h"
#include "host/syslock.h"
#include "host/topology.h"

#include <check.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define ALL HUGETLB_ALL_NODES
#define MB2 SUPERPAGE_SIZE
#define GB GIGAPAGE_SIZE
/* The pool is back after a kill, or what gives pages back late, within: some
 * milliseconds on an idle machine, and what counts is that it comes. */
#define BACK_MS 10000

static bool root;

static bool needs_root(const char *test)
{
	if (!root)
		printf("skipped: %s: needs root\n", test);
	return !root;
}

/* ---- oracle: sysfs by stdio ---- */

static long oracle(uint64_t size, int node, const char *file)
{
	char path[160];
	long value = -1;
	FILE *f;

	if (node == ALL)
		snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/hugepages-%lukB/%s",
			 (unsigned long)(size >> 10), file);
	else
		snprintf(path, sizeof(path),
			 "/sys/devices/system/node/node%d/hugepages/hugepages-%lukB/%s", node,
			 (unsigned long)(size >> 10), file);
	f = fopen(path, "r");
	if (!f)
		return -1;
	if (fscanf(f, "%ld", &value) != 1)
		value = -1;
	fclose(f);
	return value;
}

static void oracle_set(uint64_t size, const char *file, long value)
{
	char path[160];
	FILE *f;

	snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/hugepages-%lukB/%s",
		 (unsigned long)(size >> 10), file);
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	fprintf(f, "%ld", value);
	ck_assert_int_eq(fclose(f), 0);
}

static long total(uint64_t size)
{
	return oracle(size, ALL, "nr_hugepages");
}

struct pools {
	long value[2][4];
};

static struct pools found;

/* Back to what was found: written as a total, somebody's surplus pages would become
 * persistent. */
static void put_back(void)
{
	oracle_set(MB2, "nr_hugepages", found.value[0][0] - found.value[0][2]);
}

static int64_t us_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* Microseconds until the pool has this many pages; -1 after limit_ms. */
static int64_t wait_for(uint64_t size, long pages, int limit_ms)
{
	int64_t start = us_now();

	while (total(size) != pages) {
		if (us_now() - start > limit_ms * 1000) {
			printf("%ld pages instead of %ld (%ld free, %ld surplus)\n", total(size),
			       pages, oracle(size, ALL, "free_hugepages"),
			       oracle(size, ALL, "surplus_hugepages"));
			return -1;
		}
		usleep(200);
	}
	return us_now() - start;
}

/* ---- the pools, before and after ---- */

static struct pools pools_now(void)
{
	static const char *const files[] = {"nr_hugepages", "free_hugepages",
					    "surplus_hugepages", "nr_overcommit_hugepages"};
	struct pools p;

	for (int f = 0; f < 4; f++) {
		p.value[0][f] = oracle(MB2, ALL, files[f]);
		p.value[1][f] = oracle(GB, ALL, files[f]);
	}
	return p;
}

static bool pools_back(int limit_ms)
{
	int64_t start = us_now();

	for (;;) {
		struct pools now = pools_now();

		if (!memcmp(&now, &found, sizeof(now)))
			return true;
		if (us_now() - start > limit_ms * 1000) {
			for (int s = 0; s < 2; s++)
				printf("%s: total %ld -> %ld, free %ld -> %ld, surplus %ld -> %ld, overcommit %ld -> %ld\n",
				       s ? "1G" : "2M", found.value[s][0], now.value[s][0],
				       found.value[s][1], now.value[s][1], found.value[s][2],
				       now.value[s][2], found.value[s][3], now.value[s][3]);
			return false;
		}
		usleep(1000);
	}
}

static void setup(void)
{
	found = pools_now();
}

static void teardown(void)
{
	ck_assert(pools_back(BACK_MS));
}

/* ---- taking pages ---- */

static void *take(size_t pages)
{
	void *p = mmap(NULL, pages * MB2, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | (21 << 26), -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	if (madvise(p, pages * MB2, MADV_POPULATE_WRITE)) {
		munmap(p, pages * MB2);
		return NULL;
	}
	return p;
}

/* The guard: our one child that we didn't fork. */
static pid_t guard_pid(pid_t parent)
{
	struct dirent *d;
	pid_t found_pid = 0;
	DIR *dir = opendir("/proc");

	ck_assert_ptr_nonnull(dir);
	while ((d = readdir(dir))) {
		char path[300], text[512];
		pid_t ppid = 0;
		FILE *f;
		char *p;

		if (!isdigit((unsigned char)d->d_name[0]))
			continue;
		snprintf(path, sizeof(path), "/proc/%s/stat", d->d_name);
		f = fopen(path, "r");
		if (!f)
			continue;
		p = fgets(text, sizeof(text), f) ? strrchr(text, ')') : NULL;
		fclose(f);
		if (p && sscanf(p, ") %*c %d", &ppid) == 1 && ppid == parent)
			found_pid = atoi(d->d_name);
	}
	closedir(dir);
	return found_pid;
}

/* ---- plain changes ---- */

START_TEST(resize)
{
	const struct host_topology *t = contig_topology();
	struct hugetlb_counts before, now;
	uint64_t got = 0;

	if (needs_root("resize"))
		return;
	ck_assert_int_eq(contig_hugetlb_counts(MB2, ALL, &before), 0);
	ck_assert_int_eq(contig_hugetlb_resize(MB2, ALL, before.total + 5, &got), 0);
	ck_assert_uint_eq(got, before.total + 5);
	ck_assert_int_eq(total(MB2), (long)before.total + 5);
	ck_assert_int_eq(contig_hugetlb_resize(MB2, ALL, before.total, NULL), 0);
	for (int i = 0; i < t->n_nodes; i++) {
		int node = t->nodes[i];

		ck_assert_int_eq(contig_hugetlb_counts(MB2, node, &before), 0);
		ck_assert_int_eq(contig_hugetlb_resize(MB2, node, before.total + 3, &got), 0);
		ck_assert_uint_eq(got, before.total + 3);
		ck_assert_int_eq(oracle(MB2, node, "nr_hugepages"), (long)before.total + 3);
		ck_assert_int_eq(contig_hugetlb_counts(MB2, node, &now), 0);
		ck_assert_uint_eq(now.free, before.free + 3);
		ck_assert_int_eq(contig_hugetlb_resize(MB2, node, before.total, NULL), 0);
	}
	put_back();
	ck_assert_int_eq(contig_hugetlb_resize(12345 << 10, ALL, 1, NULL), -ENOENT);
	ck_assert_int_eq(contig_hugetlb_counts(MB2, ALL, &before), 0);
	ck_assert_int_eq(contig_hugetlb_overcommit(MB2, before.overcommit + 7), 0);
	ck_assert_int_eq(oracle(MB2, ALL, "nr_overcommit_hugepages"), (long)before.overcommit + 7);
	ck_assert_int_eq(contig_hugetlb_overcommit(MB2, before.overcommit), 0);
	ck_assert_int_eq(contig_hugetlb_demote(MB2, ALL, 1), -EOPNOTSUPP);
}
END_TEST

START_TEST(compact)
{
	if (needs_root("compact"))
		return;
	ck_assert_int_eq(contig_hugetlb_compact(contig_topology()->nodes[0]), 0);
	ck_assert_int_eq(contig_hugetlb_compact(HOST_NODE_LIMIT), -ENOENT);
}
END_TEST

/* ---- pages that are free and surplus at once ---- */

START_TEST(outsiders)
{
	ck_assert_int_eq(contig_guard_outsiders(0, 0, 5), 0);
	ck_assert_int_eq(contig_guard_outsiders(0, 5, 0), 0);
	ck_assert_int_eq(contig_guard_outsiders(0, 5, 2), 5);
	ck_assert_int_eq(contig_guard_outsiders(0, 2, 5), 2);
	/* Others' surplus is theirs. */
	ck_assert_int_eq(contig_guard_outsiders(3, 3, 9), 0);
	ck_assert_int_eq(contig_guard_outsiders(3, 2, 9), 0);
	ck_assert_int_eq(contig_guard_outsiders(3, 4, 9), 4);
	/* Unreadable. */
	ck_assert_int_eq(contig_guard_outsiders(-EIO, 4, 9), 0);
	ck_assert_int_eq(contig_guard_outsiders(0, -EIO, 9), 0);
	ck_assert_int_eq(contig_guard_outsiders(0, 4, -EIO), 0);
}
END_TEST

/* Pages that a mapping was promised are free and can't be taken from it, so
 * lowering leaves them free and surplus: nothing more comes of it. */
START_TEST(promised_stay)
{
	struct hugetlb_guard *g;
	long before = total(MB2);
	uint64_t got;
	char *p;

	if (needs_root("promised_stay"))
		return;
	g = contig_hugetlb_guard_start();
	ck_assert_ptr_nonnull(g);
	ck_assert_int_eq(contig_hugetlb_guard_raise(g, MB2, ALL, (uint64_t)before + 6, &got), 0);
	ck_assert_uint_eq(got, (uint64_t)before + 6);
	/* Promised, not touched. */
	p = mmap(NULL, 4 * MB2, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB, -1,
		 0);
	ck_assert_ptr_ne(p, MAP_FAILED);
	ck_assert_int_eq(contig_hugetlb_guard_stop(g), 0);
	if (!found.value[0][1] && !found.value[0][2]) {
		ck_assert_int_eq(total(MB2), before + 4);
		ck_assert_int_eq(oracle(MB2, ALL, "surplus_hugepages"), found.value[0][2] + 4);
		ck_assert_int_eq(contig_hugetlb_resize(MB2, ALL, (uint64_t)before, &got), 0);
		ck_assert_uint_eq(got, (uint64_t)before + 4);
	}
	memset(p, 1, 4 * MB2); /* the promise holds */
	munmap(p, 4 * MB2);
	ck_assert_int_ge(wait_for(MB2, before, BACK_MS), 0);
}
END_TEST

#define FREED 64 /* pages at once: the kernel lets go of its lock for each */

static useconds_t free_pause;

static void *free_pages(void *arg)
{
	char *p = arg;

	for (int i = 0; i < FREED; i++) {
		munmap(p + i * MB2, MB2);
		if (free_pause && i >= FREED / 2)
			usleep(free_pause);
	}
	return NULL;
}

START_TEST(lowered_while_freed)
{
	uint64_t got;
	long before = total(MB2);
	pthread_t thread;

	if (needs_root("lowered_while_freed") || found.value[0][1] || found.value[0][2])
		return;
	for (int round = 0; round < 50; round++) {
		char *p;

		ck_assert_int_eq(contig_hugetlb_resize(MB2, ALL, (uint64_t)before + FREED, &got), 0);
		ck_assert_uint_eq(got, (uint64_t)before + FREED);
		p = take(FREED);
		ck_assert_ptr_nonnull(p);
		/* The second half slowly: in use while those are to be found. */
		free_pause = round % 2 ? 200 : 0;
		ck_assert_int_eq(pthread_create(&thread, NULL, free_pages, p), 0);
		usleep((useconds_t)(round % 10) * 30);
		ck_assert_int_eq(contig_hugetlb_resize(MB2, ALL, (uint64_t)before, &got), 0);
		pthread_join(thread, NULL);
		/*
		 * With several nodes the kernel counts surplus on one and frees
		 * pages of another, later: those are nobody's doing, and put
		 * away here.
		 */
		for (int i = 0; i < 20 && contig_topology()->n_nodes > 1 &&
				wait_for(MB2, before, 50) < 0; i++) {
			oracle_set(MB2, "nr_hugepages", total(MB2));
			oracle_set(MB2, "nr_hugepages", before);
		}
		ck_assert_int_ge(wait_for(MB2, before, BACK_MS), 0);
	}
}
END_TEST

/* ---- the guard while all goes well ---- */

START_TEST(guard_restores)
{
	struct hugetlb_guard *g;
	uint64_t got = 0;
	long before = total(MB2);
	sigset_t mask, mask_after;
	void *p;

	if (needs_root("guard_restores"))
		return;
	/* The kernel fills 8 bytes of it. */
	memset(&mask, 0, sizeof(mask));
	memset(&mask_after, 0, sizeof(mask_after));
	sigprocmask(SIG_SETMASK, NULL, &mask);
	g = contig_hugetlb_guard_start();
	ck_assert_ptr_nonnull(g);
	sigprocmask(SIG_SETMASK, NULL, &mask_after);
	ck_assert(!memcmp(&mask, &mask_after, sizeof(mask)));
	ck_assert_int_eq(contig_hugetlb_guard_raise(g, MB2, ALL, (uint64_t)before + 8, &got), 0);
	ck_assert_uint_eq(got, (uint64_t)before + 8);
	ck_assert_int_eq(total(MB2), before + 8);
	/* Never lowers. */
	ck_assert_int_eq(contig_hugetlb_guard_raise(g, MB2, ALL, (uint64_t)before, &got), 0);
	ck_assert_uint_eq(got, (uint64_t)before + 8);
	/* And again, further. */
	ck_assert_int_eq(contig_hugetlb_guard_raise(g, MB2, ALL, (uint64_t)before + 12, &got), 0);
	ck_assert_int_eq(total(MB2), before + 12);
	/* As a whole or per node, not both. */
	ck_assert_int_eq(contig_hugetlb_guard_raise(g, MB2, 0, 1000000, &got), -EINVAL);
	p = take(5);
	ck_assert_ptr_nonnull(p);
	errno = 4711;
	ck_assert_int_eq(contig_hugetlb_guard_stop(g), 0);
	ck_assert_int_eq(errno, 4711);
	/* Ours are surplus now, if the pool had nothing free before. */
	if (!found.value[0][1]) {
		ck_assert_int_eq(total(MB2), before + 5);
		ck_assert_int_eq(oracle(MB2, ALL, "surplus_hugepages"), found.value[0][2] + 5);
	}
	memset(p, 0x5a, 5 * MB2); /* still ours */
	munmap(p, 5 * MB2);
	ck_assert_int_ge(wait_for(MB2, before, BACK_MS), 0);
	ck_assert_int_eq(contig_hugetlb_guard_stop(NULL), 0);
}
END_TEST

START_TEST(guard_per_node)
{
	const struct host_topology *t = contig_topology();
	struct hugetlb_guard *g;
	long before[HOST_NODES_MAX];
	uint64_t got;

	if (needs_root("guard_per_node"))
		return;
	g = contig_hugetlb_guard_start();
	ck_assert_ptr_nonnull(g);
	for (int i = 0; i < t->n_nodes; i++) {
		before[i] = oracle(MB2, t->nodes[i], "nr_hugepages");
		ck_assert_int_eq(contig_hugetlb_guard_raise(g, MB2, t->nodes[i],
							    (uint64_t)before[i] + 3, &got), 0);
		ck_assert_uint_eq(got, (uint64_t)before[i] + 3);
	}
	ck_assert_int_eq(contig_hugetlb_guard_raise(g, MB2, ALL, 1000000, &got), -EINVAL);
	ck_assert_int_eq(contig_hugetlb_guard_stop(g), 0);
	for (int i = 0; i < t->n_nodes; i++)
		ck_assert_int_eq(oracle(MB2, t->nodes[i], "nr_hugepages"), before[i]);
}
END_TEST

/* What somebody else did meanwhile stays. */
START_TEST(guard_keeps_others)
{
	static const long change[] = {+3, -2, -9};
	struct hugetlb_guard *g;
	long before = total(MB2), base = before + 10;

	if (needs_root("guard_keeps_others"))
		return;
	oracle_set(MB2, "nr_hugepages", base);
	g = contig_hugetlb_guard_start();
	ck_assert_ptr_nonnull(g);
	ck_assert_int_eq(contig_hugetlb_guard_raise(g, MB2, ALL, (uint64_t)base + 8, NULL), 0);
	oracle_set(MB2, "nr_hugepages", base + 8 + change[_i]);
	ck_assert_int_eq(contig_hugetlb_guard_stop(g), 0);
	ck_assert_int_eq(total(MB2), base + change[_i]);
	put_back();
}
END_TEST

/* Writing back what was read would make surplus pages persistent. */
START_TEST(guard_surplus)
{
	struct hugetlb_guard *g;
	long before = total(MB2), over = oracle(MB2, ALL, "nr_overcommit_hugepages");
	long spare = oracle(MB2, ALL, "free_hugepages") - oracle(MB2, ALL, "resv_hugepages");
	void *p, *held = NULL;
	uint64_t got;

	if (needs_root("guard_surplus"))
		return;
	if (spare > 256) {
		printf("skipped: guard_surplus: the pool has many free pages\n");
		return;
	}
	if (spare) { /* out of the way, so that more are surplus */
		held = take((size_t)spare);
		ck_assert_ptr_nonnull(held);
	}
	oracle_set(MB2, "nr_overcommit_hugepages", oracle(MB2, ALL, "surplus_hugepages") + 3);
	p = take(3);
	oracle_set(MB2, "nr_overcommit_hugepages", over);
	ck_assert_ptr_nonnull(p);
	ck_assert_int_eq(total(MB2), before + 3);
	g = contig_hugetlb_guard_start();
	ck_assert_ptr_nonnull(g);
	ck_assert_int_eq(contig_hugetlb_guard_raise(g, MB2, ALL, (uint64_t)before + 7, &got), 0);
	ck_assert_uint_eq(got, (uint64_t)before + 7);
	ck_assert_int_eq(contig_hugetlb_guard_stop(g), 0);
	ck_assert_int_eq(total(MB2), before + 3);
	ck_assert_int_eq(oracle(MB2, ALL, "surplus_hugepages"), found.value[0][2] + 3);
	munmap(p, 3 * MB2);
	if (held)
		munmap(held, (size_t)spare * MB2);
	ck_assert_int_ge(wait_for(MB2, before, BACK_MS), 0);
}
END_TEST

/* 1 GiB raised, demoted, some of it taken: everything goes back. */
START_TEST(guard_demote)
{
	struct hugetlb_guard *g;
	long before_1g = total(GB), before_2m = total(MB2);
	uint64_t got = 0;
	void *p;

	if (needs_root("guard_demote"))
		return;
	if (before_1g < 0) {
		printf("skipped: guard_demote: no 1 GiB pages\n");
		return;
	}
	g = contig_hugetlb_guard_start();
	ck_assert_ptr_nonnull(g);
	ck_assert_int_eq(contig_hugetlb_guard_raise(g, GB, ALL, (uint64_t)before_1g + 1, &got), 0);
	if (got == (uint64_t)before_1g) {
		printf("skipped: guard_demote: no 1 GiB page to be had\n");
		contig_hugetlb_guard_stop(g);
		return;
	}
	ck_assert_int_eq(contig_hugetlb_guard_demote(g, GB, ALL, 1), 0);
	ck_assert_int_eq(total(GB), before_1g);
	ck_assert_int_eq(total(MB2), before_2m + 512);
	ck_assert_int_eq(contig_hugetlb_guard_demote(g, MB2, ALL, 1), -EOPNOTSUPP);
	p = take(4);
	ck_assert_ptr_nonnull(p);
	if (_i == 1) {
		/* As if killed: the guard alone puts things right. */
		pid_t guard = guard_pid(getpid());

		ck_assert_int_gt(guard, 0);
		kill(guard, SIGTERM); /* doesn't impress it */
		kill(guard, SIGHUP);
		usleep(20000);
		ck_assert_int_eq(total(MB2), before_2m + 512);
		ck_assert_int_eq(contig_hugetlb_guard_raise(g, MB2, ALL, 0, NULL), 0);
	}
	ck_assert_int_eq(contig_hugetlb_guard_stop(g), 0);
	ck_assert_int_eq(total(GB), before_1g);
	munmap(p, 4 * MB2);
	ck_assert_int_ge(wait_for(MB2, before_2m, BACK_MS), 0);
}
END_TEST

/* Somebody kills the guard: stop does its work. */
START_TEST(guard_killed)
{
	struct hugetlb_guard *g;
	long before = total(MB2);
	pid_t guard;

	if (needs_root("guard_killed"))
		return;
	g = contig_hugetlb_guard_start();
	ck_assert_ptr_nonnull(g);
	ck_assert_int_eq(contig_hugetlb_guard_raise(g, MB2, ALL, (uint64_t)before + 4, NULL), 0);
	guard = guard_pid(getpid());
	ck_assert_int_gt(guard, 0);
	kill(guard, SIGKILL);
	usleep(20000);
	ck_assert_int_eq(total(MB2), before + 4);
	/* A pool that it doesn't guard yet is not raised without it. */
	ck_assert_int_eq(contig_hugetlb_guard_raise(g, GB, ALL, 1000000, NULL), -ESRCH);
	ck_assert_uint_gt(strlen(contig_reason_get()), 0);
	ck_assert_int_eq(contig_hugetlb_guard_stop(g), 0);
	ck_assert_int_eq(total(MB2), before);
}
END_TEST

/* The guard is nobody's child, holds nothing, and is in no one's session. */
START_TEST(guard_invisible)
{
	struct hugetlb_guard *g;
	int status, fds = 0, ends[2];
	char path[64], byte;
	struct dirent *d;
	pid_t guard;
	DIR *dir;

	ck_assert_int_eq(pipe(ends), 0);
	ck_assert_int_eq(dup2(ends[1], 200), 200);
	g = contig_hugetlb_guard_start();
	ck_assert_ptr_nonnull(g);
	guard = guard_pid(getpid());
	ck_assert_int_gt(guard, 0);
	errno = 0;
	ck_assert_int_eq(waitpid(-1, &status, WNOHANG), -1);
	ck_assert_int_eq(errno, ECHILD);
	ck_assert_int_eq(getsid(guard), guard);
	ck_assert_int_ne(getpgid(guard), getpgid(0));
	/* Our pipe ends when we close it, though the guard lives. */
	close(ends[1]);
	close(200);
	ck_assert_int_eq(read(ends[0], &byte, 1), 0);
	snprintf(path, sizeof(path), "/proc/%d/fd", (int)guard);
	dir = opendir(path);
	ck_assert_ptr_nonnull(dir);
	while ((d = readdir(dir)))
		fds += d->d_name[0] != '.';
	closedir(dir);
	ck_assert_int_eq(fds, 3); /* socket, pidfd, lock */
	ck_assert_int_eq(contig_hugetlb_guard_stop(g), 0);
	ck_assert_int_eq(kill(guard, 0), -1);
	ck_assert_int_eq(errno, ESRCH);
	close(ends[0]);
}
END_TEST

/* ---- the guard when all goes wrong ---- */

static void *spin(void *arg)
{
	for (;;)
		*(volatile int *)arg += 1;
	return NULL;
}

/* What a doomed child does for ever. */
static void work(unsigned int seed, int round)
{
	static int counter;
	pthread_t thread;

	if (round % 4 == 1)
		pthread_create(&thread, NULL, spin, &counter);
	for (;;) {
		struct hugetlb_guard *g = contig_hugetlb_guard_start();
		long more = 4 + (long)(rand_r(&seed) % 24);
		void *p;

		if (!g)
			_exit(9);
		contig_hugetlb_guard_raise(g, MB2, ALL, (uint64_t)(total(MB2) + more), NULL);
		p = take((size_t)(1 + rand_r(&seed) % 4));
		if (rand_r(&seed) % 2)
			contig_hugetlb_guard_raise(g, MB2, ALL, (uint64_t)(total(MB2) + 2), NULL);
		if (rand_r(&seed) % 4)
			contig_hugetlb_guard_stop(g);
		else
			usleep(1000); /* forgotten; and stopped only below */
		if (p)
			munmap(p, MB2);
		if (rand_r(&seed) % 4 == 0)
			pause();
	}
}

START_TEST(guard_kill_at_random)
{
	long before = total(MB2);
	unsigned int seed = 20240601u, life_us = 12000;
	int64_t worst = 0;
	int raised = 0;

	if (needs_root("guard_kill_at_random"))
		return;
	for (int round = 0; round < 80 || (raised <= 10 && round < 400); round++) {
		int64_t took;
		int status;
		pid_t pid = fork();

		if (!pid) {
			setpgid(0, 0);
			work((unsigned int)round * 7919, round);
			_exit(0);
		}
		setpgid(pid, pid);
		usleep((unsigned int)rand_r(&seed) % life_us);
		raised += total(MB2) != before;
		/* A slow machine gets to it later. */
		if (round % 10 == 9 && raised < round / 5 && life_us < 200000)
			life_us *= 2;
		/* The whole group at once: the guard isn't in it. */
		kill(round & 1 ? pid : -pid, SIGKILL);
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		ck_assert(WIFSIGNALED(status));
		took = wait_for(MB2, before, BACK_MS);
		ck_assert_msg(took >= 0, "round %d: %ld pages instead of %ld", round, total(MB2),
			      before);
		worst = took > worst ? took : worst;
	}
	printf("guard_kill_at_random: raised at %d kills, back after at most %" PRId64 " us\n",
	       raised, worst);
	ck_assert_int_gt(raised, 10);
}
END_TEST

/* Inside the long raise of a 1 GiB page, its demotion, and after. */
START_TEST(guard_kill_in_giga)
{
	long before_1g = total(GB), before_2m = total(MB2);
	int seen = 0;

	if (needs_root("guard_kill_in_giga"))
		return;
	if (before_1g < 0) {
		printf("skipped: guard_kill_in_giga: no 1 GiB pages\n");
		return;
	}
	for (int round = 0; round < 12; round++) {
		int status;
		pid_t pid = fork();

		if (!pid) {
			struct hugetlb_guard *g = contig_hugetlb_guard_start();

			contig_hugetlb_guard_raise(g, GB, ALL, (uint64_t)before_1g + 1, NULL);
			contig_hugetlb_guard_demote(g, GB, ALL, 1);
			take(3);
			pause();
		}
		usleep((unsigned int)round * 15000);
		seen += total(GB) != before_1g || total(MB2) != before_2m;
		kill(pid, SIGKILL);
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		ck_assert_int_ge(wait_for(MB2, before_2m, BACK_MS), 0);
		ck_assert_int_ge(wait_for(GB, before_1g, BACK_MS), 0);
	}
	printf("guard_kill_in_giga: raised at %d of 12 kills\n", seen);
}
END_TEST

/* Other ways to go: 0 exit, 1 exec, 2 a stray child holds the socket,
 * 3 rights given up, 4 a crash. */
START_TEST(guard_other_ends)
{
	long before = total(MB2);
	pid_t pid, stray = -1;
	int status, tell[2];

	if (needs_root("guard_other_ends"))
		return;
	ck_assert_int_eq(pipe(tell), 0);
	pid = fork();
	if (!pid) {
		struct hugetlb_guard *g = contig_hugetlb_guard_start();

		if (!g || contig_hugetlb_guard_raise(g, MB2, ALL, (uint64_t)before + 6, NULL))
			_exit(2);
		if (total(MB2) != before + 6)
			_exit(3);
		if (_i == 1)
			execl("/bin/sleep", "sleep", "100", (char *)NULL);
		if (_i == 2) {
			stray = fork();
			if (!stray) {
				pause();
				_exit(0);
			}
			if (write(tell[1], &stray, sizeof(stray)) != sizeof(stray))
				_exit(4);
		}
		if (_i == 3 && (setgid(65534) || setuid(65534)))
			_exit(5);
		if (_i == 4) {
			signal(SIGSEGV, SIG_DFL); /* not a sanitizer's */
			raise(SIGSEGV);
		}
		_exit(0);
	}
	if (_i == 1) { /* sleep runs on; the pool is back all the same */
		usleep(50000);
		ck_assert_int_ge(wait_for(MB2, before, BACK_MS), 0);
		ck_assert_int_eq(waitpid(pid, &status, WNOHANG), 0);
		kill(pid, SIGKILL);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	if (_i == 0 || _i == 2 || _i == 3)
		ck_assert_int_eq(status, 0);
	ck_assert_int_ge(wait_for(MB2, before, BACK_MS), 0);
	if (_i == 2) {
		ck_assert_int_eq(read(tell[0], &stray, sizeof(stray)), (ssize_t)sizeof(stray));
		ck_assert_int_eq(kill(stray, SIGKILL), 0);
	}
	close(tell[0]);
	close(tell[1]);
}
END_TEST

/* In a forked child stop only lets go: the parent's pool stays raised. */
START_TEST(guard_stop_in_child)
{
	long before = total(MB2);
	struct hugetlb_guard *g;
	int status;
	pid_t pid;

	if (needs_root("guard_stop_in_child"))
		return;
	g = contig_hugetlb_guard_start();
	ck_assert_ptr_nonnull(g);
	ck_assert_int_eq(contig_hugetlb_guard_raise(g, MB2, ALL, (uint64_t)before + 4, NULL), 0);
	pid = fork();
	if (!pid)
		_exit(contig_hugetlb_guard_stop(g) ? 1 : 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	usleep(20000);
	ck_assert_int_eq(total(MB2), before + 4);
	ck_assert_int_eq(contig_hugetlb_guard_stop(g), 0);
	ck_assert_int_eq(total(MB2), before);
}
END_TEST

/* ---- where nothing may be changed ---- */

static int try_changes(int want)
{
	struct hugetlb_guard *g = contig_hugetlb_guard_start();
	uint64_t got;

	if (!g)
		return 2;
	contig_reason_clear();
	if (contig_hugetlb_guard_raise(g, MB2, ALL, 1000000, &got) != want)
		return 3;
	if (!strlen(contig_reason_get()))
		return 4;
	if (contig_hugetlb_guard_stop(g))
		return 5;
	contig_reason_clear();
	if (contig_hugetlb_resize(MB2, ALL, 1000000, &got) != want)
		return 6;
	if (!strlen(contig_reason_get()))
		return 7;
	return 0;
}

START_TEST(not_root)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		if (root && (setgid(65534) || setuid(65534)))
			_exit(1);
		_exit(try_changes(-EACCES));
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(read_only_sys)
{
	int status;
	pid_t pid;

	if (needs_root("read_only_sys"))
		return;
	pid = fork();
	if (!pid) {
		if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
		    mount("/sys", "/sys", NULL, MS_BIND | MS_REC, NULL) ||
		    mount(NULL, "/sys", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL))
			_exit(77);
		_exit(try_changes(-EROFS));
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		printf("skipped: read_only_sys: no mount namespaces here\n");
	else
		ck_assert_int_eq(status, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("hugetlb");
	TCase *tc = tcase_create("pools");
	SRunner *runner;
	int failed, lock;

	setbuf(stdout, NULL);
	root = geteuid() == 0 && access("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages",
					W_OK) == 0;
	if (access("/sys/kernel/mm/hugepages/hugepages-2048kB", F_OK)) {
		printf("skipped: no 2 MiB hugetlb pages on this machine\n");
		return 77;
	}
	lock = contig_syslock_take(30000);
	setup();
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, resize);
	tcase_add_test(tc, compact);
	tcase_add_test(tc, outsiders);
	tcase_add_test(tc, promised_stay);
	tcase_add_test(tc, lowered_while_freed);
	tcase_add_test(tc, guard_restores);
	tcase_add_test(tc, guard_per_node);
	tcase_add_loop_test(tc, guard_keeps_others, 0, 3);
	tcase_add_test(tc, guard_surplus);
	tcase_add_loop_test(tc, guard_demote, 0, 2);
	tcase_add_test(tc, guard_killed);
	tcase_add_test(tc, guard_invisible);
	tcase_add_test(tc, guard_kill_at_random);
	tcase_add_test(tc, guard_kill_in_giga);
	tcase_add_loop_test(tc, guard_other_ends, 0, 5);
	tcase_add_test(tc, guard_stop_in_child);
	tcase_add_test(tc, not_root);
	tcase_add_test(tc, read_only_sys);
	tcase_set_timeout(tc, 240);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	contig_syslock_drop(lock);
	if (!pools_back(BACK_MS)) {
		printf("the pools are not as they were found\n");
		return EXIT_FAILURE;
	}
	if (failed)
		return EXIT_FAILURE;
	if (!root)
		printf("skipped: most tests: need root and a writable /sys\n");
	return root ? EXIT_SUCCESS : 77;
}
