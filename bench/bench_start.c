/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The first 512 MiB: contig_reserve() in a fresh process, memory pinned and
 * mapped at its place, next to the least that any program must do for as much
 * memory with as many threads.
 *
 *	bench_start [-q]	-q: fewer repetitions
 *
 * Each sample is a child process.  Contestants take turns; the first turn
 * only warms the memory (FACTS 8).
 */
#include "hugepool.h"
#include "measure.h"
#include "peer.h"

#include <contig.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1 */
#endif

#define BYTES (UINT64_C(512) << 20)
#define PAGES (BYTES / HUGE_SIZE)
#define TURNS 15u
#define THREADS_MAX 8u /* as many as the library takes */
#define PAUSE_US 100000 /* pinned pages come back late (FACTS 15) */

/* What a child reports. */
struct report {
	double ms, of_which_start;
};

struct share {
	unsigned char *va;
	size_t bytes;
	bool collapse;
};

static unsigned int threads(void)
{
	unsigned int n = cpu_count();

	return n > THREADS_MAX ? THREADS_MAX : n;
}

static void advise(void *va, size_t bytes, int advice)
{
	while (madvise(va, bytes, advice))
		if (errno != EAGAIN && errno != EINTR)
			die("madvise %d: %s", advice, strerror(errno));
}

static void *take_share(void *arg)
{
	const struct share *share = arg;

	if (!share->collapse) {
		advise(share->va, share->bytes, MADV_POPULATE_WRITE);
		return NULL;
	}
	for (size_t at = 0; at < share->bytes; at += HUGE_SIZE) {
		*(volatile unsigned char *)(share->va + at) = 0;
		advise(share->va + at, HUGE_SIZE, MADV_COLLAPSE);
	}
	return NULL;
}

/* The least that must be done: fault all of it in, in parallel. */
static void take_bare(bool collapse)
{
	int flags = MFD_CLOEXEC | (collapse ? 0 : MFD_HUGETLB), fd = memfd_create("bench", flags);
	unsigned int n = threads(), started = 0;
	struct share share[THREADS_MAX];
	pthread_t thread[THREADS_MAX];
	uintptr_t at;
	void *va;

	if (fd < 0 || ftruncate(fd, (off_t)BYTES))
		die("memfd: %s", strerror(errno));
	/* Aligned, or shared memory can't be mapped by superpages. */
	va = mmap(NULL, BYTES + HUGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		  -1, 0);
	if (va == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	at = ((uintptr_t)va + HUGE_SIZE - 1) & ~(uintptr_t)(HUGE_SIZE - 1);
	va = mmap((void *)at, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	if (va == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	for (unsigned int i = 0; i < n; i++) {
		size_t first = PAGES * i / n, end = PAGES * (i + 1) / n;

		share[i].va = (unsigned char *)va + first * HUGE_SIZE;
		share[i].bytes = (end - first) * HUGE_SIZE;
		share[i].collapse = collapse;
		if (i && !pthread_create(&thread[i], NULL, take_share, &share[i]))
			started++;
	}
	take_share(&share[0]);
	for (unsigned int i = 1; i <= started; i++)
		pthread_join(thread[i], NULL);
}

static struct report run_bare(bool collapse)
{
	struct report report = {0};
	uint64_t start = now_ns();

	take_bare(collapse);
	report.ms = (double)(now_ns() - start) / 1e6;
	return report;
}

static struct report run_ours(bool collapse)
{
	struct report report = {0};
	uint64_t start;

	setenv("CONTIG_SOURCES", collapse ? "thp" : "2m", 1);
	start = now_ns();
	contig_level();
	report.of_which_start = (double)(now_ns() - start) / 1e6;
	if (contig_reserve(BYTES))
		die("%s", contig_strreason());
	report.ms = (double)(now_ns() - start) / 1e6;
	return report;
}

static struct report in_child(struct report (*run)(bool), bool collapse)
{
	struct report report;
	int ends[2], status;
	pid_t child;

	usleep(PAUSE_US);
	if (!collapse)
		hugepool_settle(PAGES + 1);
	fflush(stdout);
	if (pipe(ends) || (child = fork()) < 0)
		die("fork: %s", strerror(errno));
	if (!child) {
		report = run(collapse);
		_exit(write(ends[1], &report, sizeof(report)) == sizeof(report) ? 0 : 1);
	}
	close(ends[1]);
	if (read(ends[0], &report, sizeof(report)) != sizeof(report))
		report.ms = -1;
	close(ends[0]);
	waitpid(child, &status, 0);
	if (report.ms < 0)
		die("a child failed");
	return report;
}

static void rows(const char *ours_name, const char *bare_name, const struct measure *ours,
		 const struct measure *start, const struct measure *bare, double target)
{
	row_plain(ours_name, "ms", ours);
	row_plain("  of which starting the library", "ms", start);
	row_peer(bare_name, "ms", bare, ours);
	row_ratio("  ours / bare", measure_median(ours) / measure_median(bare),
		  measure_min(ours) / measure_min(bare), target, false);
}

static void contest(bool collapse)
{
	struct measure ours = {0}, start = {0}, bare = {0};
	static struct peers peers;
	bool dpdk = !collapse;

	for (unsigned int turn = 0; turn <= repetitions(TURNS); turn++) {
		struct report a = in_child(run_ours, collapse), b = in_child(run_bare, collapse);

		if (!turn)
			continue;
		measure_add(&ours, a.ms);
		measure_add(&start, a.of_which_start);
		measure_add(&bare, b.ms);
		if (dpdk && turn <= 7) {
			hugepool_settle(PAGES + 1);
			dpdk = peers_run(&peers, "start 512") && peers_run(&peers, "start");
		}
	}
	if (collapse)
		rows("CONTIG_SOURCES=thp contig_reserve(512 MiB)",
		     "parallel touch + MADV_COLLAPSE alone", &ours, &start, &bare, 1.3);
	else
		rows("contig_reserve(512 MiB), hugetlb", "parallel MADV_POPULATE_WRITE alone", &ours,
		     &start, &bare, 1.1);
	for (unsigned int i = 0; !collapse && i < peers.n; i++)
		row_peer(peers.peer[i].name, "ms", &peers.peer[i].times, &ours);
}

int main(int argc, char **argv)
{
	char title[80];

	measure_options(argc, argv);
	snprintf(title, sizeof(title), "the first 512 MiB in a fresh process, %u threads",
		 threads());
	table_title(title);
	/* 512 MiB, and what contig_reserve() keeps back; DPDK wants some more. */
	if (hugepool_need(PAGES + 8))
		contest(false);
	contest(true);
	return 0;
}
