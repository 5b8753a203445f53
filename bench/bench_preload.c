/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unmodified programs under the shim, next to the same under glibc, glibc
 * with glibc.malloc.hugetlb=2, and jemalloc alone.
 *
 *	bench_preload [-q] [SECTION...]
 *
 * Sections: start, programs, chase, threads, fork; all if none is named.
 * $CONTIG_PRELOAD: the shim.  Superpages for everybody come from a pool that
 * is raised for as long as this runs.
 */
#include "base/page.h"
#include "host/pin.h"
#include "hugepool.h"
#include "measure.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define JEMALLOC    "libjemalloc.so.2"
#define POOL_PAGES  1400u /* 1 GiB, as much for its child, and some more */
#define TURNS	    5u
#define TURNS_START 101u
#define WORKS_MAX   16
#define SETTLE_US   60000 /* pinned pages come back late (FACTS 15) */
#define WARM_BYTES  (UINT64_C(512) << 20)

enum allocator { GLIBC, HUGETLB2, JEMALLOC_ALONE, OURS, ALLOCATORS };

static const char *const names[] = {"glibc", "glibc.malloc.hugetlb=2", "jemalloc", "the shim"};
static char with[ALLOCATORS][4200]; /* words for env(1) */
static char shim[4096], worker[4096], work_script[4096], directory[] = "/tmp/bench-preload-XXXXXX";

/* false, and why, where the shim isn't built (with a sanitizer). */
static bool find_files(void)
{
	const char *given = getenv("CONTIG_PRELOAD"), *source = getenv("top_srcdir");
	char self[4000];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n < 0)
		die("/proc/self/exe: %s", strerror(errno));
	self[n] = '\0';
	/* Built by libtool, this may be in bench/.libs and the shim in .libs. */
	for (int up = 0; up < 3 && strrchr(self, '/'); up++) {
		*strrchr(self, '/') = '\0';
		if (!*worker) {
			snprintf(worker, sizeof(worker), "%s/preload_worker", self);
			if (access(worker, X_OK))
				*worker = '\0';
		}
		if (given)
			continue;
		snprintf(shim, sizeof(shim), "%s/.libs/libcontig-preload.so", self);
		if (!access(shim, R_OK))
			break;
	}
	if (given)
		snprintf(shim, sizeof(shim), "%s", given);
	snprintf(work_script, sizeof(work_script), "%s/bench/preload_work.sh",
		 source ? source : SOURCE_DIR);
	if (!*worker || access(work_script, R_OK))
		die("preload_worker or preload_work.sh is not to be found");
	if (access(shim, R_OK)) {
		row_note("left out: %s: %s", shim, strerror(errno));
		return false;
	}
	snprintf(with[HUGETLB2], sizeof(with[0]), "GLIBC_TUNABLES=glibc.malloc.hugetlb=2");
	snprintf(with[JEMALLOC_ALONE], sizeof(with[0]), "LD_PRELOAD=" JEMALLOC);
	snprintf(with[OURS], sizeof(with[0]), "LD_PRELOAD=%s", shim);
	return true;
}

/*
 * A virtual machine's free memory may go back to its host within a second, and
 * then the first touch of a superpage costs 5 ms, not 0.1: whoever comes next
 * shall find some that has just been touched, whichever pages it takes.
 */
static void warm_memory(void)
{
	void *va = mmap(NULL, WARM_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (va == MAP_FAILED)
		return;
	madvise(va, WARM_BYTES, MADV_HUGEPAGE);
	for (size_t at = 0; at < WARM_BYTES; at += FRAME_SIZE)
		((volatile char *)va)[at] = 1;
	munmap(va, WARM_BYTES);
}

/* Runs a command line of the shell; the seconds it took, or -1. */
static double run_shell(const char *command)
{
	uint64_t start = now_ns();
	int status = system(command);

	return status ? -1 : (double)(now_ns() - start) / 1e9;
}

/* Of the child alone: fork, exec, exit; no shell between. */
static double run_true(enum allocator allocator)
{
	char *argv[] = {(char *)"/bin/true", NULL}, *environment[] = {with[allocator], NULL};
	uint64_t start = now_ns();
	pid_t pid = vfork();
	int status;

	if (!pid) {
		execve(argv[0], argv, *with[allocator] ? environment : environment + 1);
		_exit(1);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		die("/bin/true under %s failed", names[allocator]);
	return (double)(now_ns() - start) / 1e3;
}

/* The number that the worker prints; -1: it failed. */
static double run_worker(enum allocator allocator, const char *arguments)
{
	char command[32768], line[64];
	double value = -1;
	FILE *out;

	warm_memory();
	usleep(SETTLE_US);
	snprintf(command, sizeof(command), "exec env %s %s %s", with[allocator], worker,
		 arguments);
	out = popen(command, "r");
	if (out && fgets(line, sizeof(line), out))
		value = strtod(line, NULL);
	if (!out || pclose(out) || value < 0) {
		row_note("%s: %s failed", names[allocator], arguments);
		return -1;
	}
	return value;
}

static void bench_start(void)
{
	static struct measure m[ALLOCATORS];
	double medians, least;

	table_title("/bin/true, from vfork to its end");
	for (unsigned int turn = 0; turn <= repetitions(TURNS_START) && turn <= MEASURE_MAX; turn++)
		for (enum allocator a = 0; a < ALLOCATORS; a++) {
			double us = run_true(a);

			if (turn)
				measure_add(&m[a], us);
		}
	for (enum allocator a = 0; a < ALLOCATORS; a++)
		if (a != OURS)
			row_peer(names[a], "us", &m[a], &m[OURS]);
	row_plain(names[OURS], "us", &m[OURS]);
	medians = measure_median(&m[OURS]) - measure_median(&m[JEMALLOC_ALONE]);
	least = measure_min(&m[OURS]) - measure_min(&m[JEMALLOC_ALONE]);
	row_ratio("  (ours - jemalloc) / 200 us", medians / 200, least / 200, 1, false);
}

static double run_work(const char *name, enum allocator allocator)
{
	char command[32768];

	warm_memory();
	usleep(SETTLE_US);
	snprintf(command, sizeof(command), "BENCH_WITH='%s' sh '%s' %s '%s'", with[allocator],
		 work_script, name, directory);
	return run_shell(command);
}

static void bench_programs(void)
{
	char command[9000], title[160], works[WORKS_MAX][32];
	double sum[ALLOCATORS] = {0}, sum_least[ALLOCATORS] = {0};
	int n = 0, complete = 0;
	FILE *out;

	if (!mkdtemp(directory))
		die("%s: %s", directory, strerror(errno));
	snprintf(command, sizeof(command), "sh '%s' prepare '%s'", work_script, directory);
	out = popen(command, "r");
	while (out && n < WORKS_MAX && fscanf(out, "%31s", works[n]) == 1)
		n++;
	if (!out || pclose(out) || !n)
		die("%s prepare failed", work_script);
	for (int i = 0; i < n; i++) {
		struct measure m[ALLOCATORS] = {0};
		bool failed = false;

		table_title(works[i]);
		for (unsigned int turn = 0; turn <= repetitions(TURNS) && !failed; turn++)
			for (enum allocator a = 0; a < ALLOCATORS; a++) {
				double s = run_work(works[i], a);

				if (s < 0) {
					row_note("failed under %s", names[a]);
					failed = true;
				} else if (turn) {
					measure_add(&m[a], s * 1e3);
				}
			}
		if (failed)
			continue;
		complete++;
		for (enum allocator a = 0; a < ALLOCATORS; a++) {
			sum[a] += log(measure_median(&m[a]));
			sum_least[a] += log(measure_min(&m[a]));
			if (a == OURS)
				row_plain(names[a], "ms", &m[a]);
			else
				row_peer(names[a], "ms", &m[a], &m[OURS]);
		}
	}
	snprintf(command, sizeof(command), "rm -rf '%s'", directory);
	run_shell(command);
	if (!complete)
		return;
	snprintf(title, sizeof(title), "%d programs, geometric mean of wall times", complete);
	table_title(title);
	for (enum allocator a = 0; a < OURS; a++) {
		char name[64];

		snprintf(name, sizeof(name), "the shim / %s", names[a]);
		row_ratio(name, exp((sum[OURS] - sum[a]) / complete),
			  exp((sum_least[OURS] - sum_least[a]) / complete),
			  a == HUGETLB2 ? 1 : 0, false);
	}
}

static void measure_workers(struct measure *m, const char *arguments)
{
	for (unsigned int turn = 0; turn < repetitions(TURNS); turn++)
		for (enum allocator a = 0; a < ALLOCATORS; a++) {
			double value = run_worker(a, arguments);

			if (value >= 0)
				measure_add(&m[a], value);
		}
}

static void bench_chase(void)
{
	static struct measure m[ALLOCATORS];

	measure_workers(m, "chase 1024");
	table_title("random pointer chase through 1 GiB, a step");
	for (enum allocator a = 0; a < OURS; a++)
		row_peer(names[a], "ns", &m[a], &m[OURS]);
	row_plain(names[OURS], "ns", &m[OURS]);
	row_ratio("  glibc / ours", measure_median(&m[GLIBC]) / measure_median(&m[OURS]),
		  measure_min(&m[GLIBC]) / measure_min(&m[OURS]), 1.15, true);
}

static void bench_threads(void)
{
	static const unsigned int sizes[] = {64, 4096, 65536};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct measure one[ALLOCATORS] = {0}, two[ALLOCATORS] = {0};
		char arguments[64], title[96];

		snprintf(arguments, sizeof(arguments), "pairs %u 1", sizes[i]);
		measure_workers(one, arguments);
		snprintf(arguments, sizeof(arguments), "pairs %u 2", sizes[i]);
		measure_workers(two, arguments);
		snprintf(title, sizeof(title), "malloc + free of %u bytes, 32 live, a pair", sizes[i]);
		table_title(title);
		for (enum allocator a = 0; a < OURS; a++)
			row_peer(names[a], "ns", &one[a], &one[OURS]);
		row_plain(names[OURS], "ns", &one[OURS]);
		row_plain("the shim, two threads, each", "ns", &two[OURS]);
		row_ratio("  two threads / one, work done",
			  2 * measure_median(&one[OURS]) / measure_median(&two[OURS]),
			  2 * measure_min(&one[OURS]) / measure_min(&two[OURS]),
			  sizes[i] == 4096 ? 0 : 1.8, true);
	}
}

/* The kernel's own copy: pinned hugetlb pages, and nothing of ours around it. */
static double fork_bare(size_t bytes)
{
	unsigned char *va = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	struct iovec range = {va, bytes};
	double least = -1;
	struct pin *pin;

	if (va == MAP_FAILED)
		return -1;
	memset(va, 1, bytes);
	pin = contig_pin_make(&range, 1, HUGE_SIZE, false);
	for (int i = 0; i < 5 && pin && contig_pin_method(pin) == PIN_URING; i++) {
		uint64_t start = now_ns();
		pid_t pid = fork();
		double ms = (double)(now_ns() - start) / 1e6;

		if (!pid)
			_exit(0);
		if (pid < 0)
			break;
		waitpid(pid, NULL, 0);
		if (least < 0 || ms < least)
			least = ms;
		usleep(SETTLE_US);
	}
	contig_pin_drop(pin);
	munmap(va, bytes);
	hugepool_settle(POOL_PAGES);
	return least;
}

static void bench_fork(void)
{
	static struct measure m[ALLOCATORS], bare;

	for (unsigned int turn = 0; turn < repetitions(TURNS); turn++) {
		double ms = fork_bare(GIGAPAGE_SIZE);

		if (ms < 0)
			die("the kernel's own fork failed: %s", strerror(errno));
		measure_add(&bare, ms);
		for (enum allocator a = 0; a < ALLOCATORS; a++) {
			ms = run_worker(a, "fork 1024");
			if (ms >= 0)
				measure_add(&m[a], ms);
			hugepool_settle(POOL_PAGES);
		}
	}
	table_title("fork() of a heap of 1 GiB, the least of 5 in each process");
	row_peer("pinned hugetlb pages, the kernel alone", "ms", &bare, &m[OURS]);
	for (enum allocator a = 0; a < OURS; a++)
		row_peer(names[a], "ms", &m[a], &m[OURS]);
	row_plain(names[OURS], "ms", &m[OURS]);
	row_ratio("  ours / the kernel alone", measure_median(&m[OURS]) / measure_median(&bare),
		  measure_min(&m[OURS]) / measure_min(&bare), 1.1, false);
}

/* In a virtual machine the host gives the memory of a new pool when it is first
 * touched, 2.5 ms for a superpage: not at the cost of whoever comes first. */
static void warm_pool(void)
{
	size_t bytes = POOL_PAGES * HUGE_SIZE;
	void *va = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_POPULATE, -1, 0);

	if (va == MAP_FAILED)
		die("%d superpages: %s", POOL_PAGES, strerror(errno));
	munmap(va, bytes);
	hugepool_settle(POOL_PAGES);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} sections[] = {
		{"start", bench_start},	    {"programs", bench_programs}, {"chase", bench_chase},
		{"threads", bench_threads}, {"fork", bench_fork},
	};
	int named = 0;

	measure_options(argc, argv);
	if (!find_files() || !hugepool_need(POOL_PAGES))
		return 0;
	warm_pool();
	for (int i = 1; i < argc; i++)
		named += argv[i][0] != '-';
	for (size_t s = 0; s < sizeof(sections) / sizeof(sections[0]); s++) {
		bool wanted = !named;

		for (int i = 1; i < argc; i++)
			wanted |= !strcmp(argv[i], sections[s].name);
		if (wanted)
			sections[s].run();
	}
	return 0;
}
