/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The longest physically contiguous run that can be had from a whole hugetlb
 * pool, against the longest run that a sort of all its frames shows.
 *
 *	bench_longest [-q]
 *
 * Twice: the pool as the kernel made it, and with every eighth page in other
 * hands.  The frames of the block that contigmalloc returned are read again
 * from pagemap.
 */
#include "hugepool.h"
#include "measure.h"
#include "peer.h"

#include <contig.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGES 512u
#define HUGE_FRAMES (HUGE_SIZE / 4096)

struct report {
	size_t pages; /* of the longest run; 0: none */
	double ms;
};

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static size_t longest_run(uint64_t *frames, size_t n)
{
	size_t longest = n ? 1 : 0, run = 1;

	qsort(frames, n, sizeof(frames[0]), compare);
	for (size_t i = 1; i < n; i++) {
		run = frames[i] == frames[i - 1] + HUGE_FRAMES ? run + 1 : 1;
		longest = run > longest ? run : longest;
	}
	return longest;
}

/* Take all free pages, keep one of every hold_one_of (0: none), give the
 * others back; the longest run among those.  *left: how many they are. */
static size_t take_and_sort(size_t hold_one_of, size_t *left)
{
	size_t n = hugepool_free();
	uint64_t *frames = calloc(n, sizeof(*frames));
	unsigned char *va = mmap(NULL, n * HUGE_SIZE, PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB | MAP_POPULATE, -1, 0);

	if (!frames || va == MAP_FAILED)
		die("the whole pool, %zu pages: %s", n, strerror(errno));
	frames_read(va, HUGE_SIZE, n, frames);
	*left = 0;
	for (size_t i = 0; i < n; i++) {
		if (hold_one_of && random_next() % hold_one_of == 0)
			continue;
		frames[(*left)++] = frames[i];
		/* Shared memory keeps its pages when only unmapped. */
		if (madvise(va + i * HUGE_SIZE, HUGE_SIZE, MADV_REMOVE) ||
		    munmap(va + i * HUGE_SIZE, HUGE_SIZE))
			die("giving a page back: %s", strerror(errno));
	}
	n = longest_run(frames, *left);
	free(frames);
	return n;
}

static void check_contiguous(const unsigned char *va, size_t pages)
{
	size_t n = pages * HUGE_FRAMES;
	uint64_t *frames = calloc(n, sizeof(*frames));

	if (!frames)
		die("no memory");
	frames_read(va, 4096, n, frames);
	for (size_t i = 1; i < n; i++)
		if (frames[i] != frames[0] + i)
			die("contigmalloc returned a block that is not contiguous");
	free(frames);
}

/* reserve: all of the pool first; otherwise straight away. */
static struct report ours(size_t optimum, size_t left, bool reserve)
{
	struct report report = {0, 0};
	uint64_t start;
	void *va = NULL;

	setenv("CONTIG_SOURCES", "2m", 1);
	start = now_ns();
	/* What is missing is the two frames that it keeps back. */
	if (reserve && contig_reserve(left * HUGE_SIZE) && errno != ENOMEM)
		die("%s", contig_strreason());
	for (report.pages = optimum; report.pages && !va; report.pages -= !va)
		va = contigmalloc(report.pages * HUGE_SIZE, M_DEVBUF, M_WAITOK, 0, ~UINT64_C(0),
				  4096, 0);
	report.ms = (double)(now_ns() - start) / 1e6;
	if (va)
		check_contiguous(va, report.pages);
	return report;
}

static struct report in_child(size_t optimum, size_t left, bool reserve)
{
	struct report report = {0, 0};
	int ends[2], status;
	pid_t child;

	fflush(stdout);
	if (pipe(ends) || (child = fork()) < 0)
		die("fork: %s", strerror(errno));
	if (!child) {
		report = ours(optimum, left, reserve);
		_exit(write(ends[1], &report, sizeof(report)) == sizeof(report) ? 0 : 1);
	}
	close(ends[1]);
	if (read(ends[0], &report, sizeof(report)) != sizeof(report))
		die("the child failed");
	close(ends[0]);
	waitpid(child, &status, 0);
	hugepool_settle(left);
	return report;
}

static void rows_ours(const char *name, struct report report, size_t optimum)
{
	struct measure size = {0}, ms = {0};

	measure_add(&size, (double)(report.pages * HUGE_SIZE >> 20));
	measure_add(&ms, report.ms);
	row_plain(name, "MiB", &size);
	row_plain("  in", "ms", &ms);
	row_ratio("  share of the optimum", (double)report.pages / (double)optimum,
		  (double)report.pages / (double)optimum, 1, true);
}

static void contest(const char *name, size_t hold_one_of)
{
	static struct peers peers;
	size_t left, optimum;
	char title[80], arguments[64];
	struct measure best = {0};

	optimum = take_and_sort(hold_one_of, &left);
	hugepool_settle(left);
	snprintf(title, sizeof(title), "longest run of %zu free pages, %s", left, name);
	table_title(title);
	measure_add(&best, (double)(optimum * HUGE_SIZE >> 20));
	row_plain("the sort of all frames shows", "MiB", &best);
	rows_ours("contigmalloc", in_child(optimum, left, false), optimum);
	rows_ours("contig_reserve of all, then contigmalloc", in_child(optimum, left, true),
		  optimum);
	peers.n = 0;
	memset(&peers, 0, sizeof(peers));
	/* DPDK looks at sizes one by one from above. */
	snprintf(arguments, sizeof(arguments), "longest %zu", optimum * HUGE_SIZE >> 20);
	peers_run(&peers, arguments);
	hugepool_settle(left);
	snprintf(arguments, sizeof(arguments), "longest-legacy %zu", left * HUGE_SIZE >> 20);
	peers_run(&peers, arguments);
	hugepool_settle(left);
	for (unsigned int i = 0; i < peers.n; i++)
		row_peer(peers.peer[i].name, "MiB", &peers.peer[i].times, &best);
}

int main(int argc, char **argv)
{
	measure_options(argc, argv);
	/* The library isn't called here: each child starts it afresh. */
	if (geteuid()) {
		row_note("bench_longest is left out: needs root");
		return 0;
	}
	if (!hugepool_need(PAGES))
		return 0;
	contest("as the kernel made the pool", 0);
	contest("every eighth in other hands", 8);
	return 0;
}
