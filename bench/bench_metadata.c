/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the library keeps beside the memory it hands out, in bytes a frame:
 * by its own count, and by what the kernel says of this process.
 *
 *	bench_metadata
 *
 * Twice: 512 MiB just taken, and all of it in blocks of one page, every other
 * one freed, so that each table is as large as it gets.  hugetlb pages aren't
 * part of a process's resident size, so all growth of that is metadata.
 */
#include "hugepool.h"
#include "measure.h"

#include <contig.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BYTES (UINT64_C(512) << 20)
#define FRAMES (BYTES / 4096)
#define TARGET 64

static long from_file(const char *path, const char *format)
{
	char line[256];
	long value = -1;
	FILE *f = fopen(path, "re");

	while (f && value < 0 && fgets(line, sizeof(line), f))
		if (sscanf(line, format, &value) != 1)
			value = -1;
	if (f)
		fclose(f);
	if (value < 0)
		die("%s can't be read", path);
	return value;
}

struct usage {
	double statm, rollup, tables; /* bytes */
};

static struct usage usage(void)
{
	struct usage u;

	u.statm = (double)from_file("/proc/self/statm", "%*d %ld") * 4096;
	u.rollup = (double)from_file("/proc/self/smaps_rollup", "Rss: %ld") * 1024;
	u.tables = (double)from_file("/proc/self/status", "VmPTE: %ld") * 1024;
	return u;
}

static void row(const char *name, double bytes, double target)
{
	struct measure m = {0};

	measure_add(&m, bytes / (double)FRAMES);
	if (target > 0)
		row_target(name, "B", &m, target);
	else
		row_plain(name, "B", &m);
}

static void rows(const struct usage *before)
{
	struct contig_stats stats = {.struct_size = sizeof(stats)};
	struct usage now = usage();

	contig_stats_get(&stats);
	row("  contig_stats.metadata", (double)stats.metadata, TARGET);
	row("  growth of the resident size, /proc/self/statm", now.statm - before->statm, TARGET);
	row("  growth of the resident size, smaps_rollup", now.rollup - before->rollup, TARGET);
	row("  growth of page tables, VmPTE", now.tables - before->tables, 0);
}

int main(int argc, char **argv)
{
	static void *block[FRAMES];
	struct usage before;
	size_t n = 0;

	measure_options(argc, argv);
	table_title("metadata, 512 MiB of hugetlb, a frame of 4 KiB");
	if (!hugepool_need(BYTES / HUGE_SIZE + 1))
		return 0;
	setenv("CONTIG_SOURCES", "2m", 1);
	memset(block, 1, sizeof(block)); /* ours, not the library's */
	free(malloc(1 << 16));
	before = usage();
	before = usage(); /* what stdio wanted is there now */
	if (contig_reserve(BYTES))
		die("%s", contig_strreason());
	row_note("taken:");
	rows(&before);
	while (n < FRAMES) {
		block[n] = contigmalloc(4096, M_DEVBUF, M_NOWAIT, 0, ~UINT64_C(0), 4096, 0);
		if (!block[n])
			die("%s", contig_strreason());
		n++;
	}
	for (size_t i = 0; i < n; i += 2)
		contigfree(block[i], 4096, M_DEVBUF);
	row_note("in blocks of a page, every other one freed:");
	rows(&before);
	return 0;
}
